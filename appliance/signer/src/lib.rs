//! gift-signer: the device key is in the TPM, and this is the only process that opens it. The uplink asks it to sign.
//!
//! The library is what both sides share, and links no TPM library: [`Request`] and [`Answer`] ([`protocol`]), and the
//! [`Client`]. The process itself (feature `process`, `src/main.rs`) is `docs/decisions/0014-device-key.md`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod patient;
pub mod protocol;

pub use client::{Client, ClientError};
pub use patient::Patient;
pub use protocol::{Answer, Failure, PublicKeyInfo, ReadError, Request};
