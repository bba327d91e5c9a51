//! The whole system on one machine: scanner simulator, the rig that runs hub and box, and what the end-to-end tests share.
//! Test code: it may do what no product crate may.
#![allow(clippy::missing_errors_doc)]

pub mod generator;
pub mod outcome;
pub mod raw;
pub mod rig;
pub mod scu;
pub mod search;
pub mod web;
