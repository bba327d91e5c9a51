//! Keys of sites and linkage domains, offline: made, shared out to holders, recovered, wrapped to a box, and used by the escrow
//! holder to compute one patient's pseudonym.
//!
//! This library exists so that the crate's own tests can drive the parts of the one binary `gift-keys`. It opens no socket, and
//! no secret is ever on a command line, in an error or in a log.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bundle;
pub mod files;
pub mod label;
pub mod manifest;
pub mod order;
pub mod provisioning;
pub mod share;
pub mod update;
pub mod wrap;
