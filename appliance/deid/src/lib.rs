//! The de-identifier: a monitor that holds the keys, and sandboxed workers that hold the parsers.
//!
//! This library exists so that the crate's own tests can drive, and attack, the parts of the one binary `gift-deid`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aside;
pub mod ask;
pub mod bundle;
pub mod channel;
pub mod child;
pub mod coder;
pub mod error;
pub mod events;
pub mod eyes;
pub mod files;
pub mod film;
pub mod judge;
pub mod key;
pub mod lane;
pub mod ledger;
pub mod linkage;
pub mod manifest;
pub mod monitor;
pub mod policy;
pub mod protocol;
pub mod quarantine;
pub mod queue;
pub mod reader;
pub mod release;
pub mod route;
pub mod sandbox;
pub mod settings;
pub mod shared;
pub mod start;
pub mod work;
pub mod worker;
