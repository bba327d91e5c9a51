//! Provisioning: what a box is told about its hospital, hub and network, signed offline and read at every boot.
//!
//! The image is the same for every box. What differs lies in one small raw partition: no file system for the kernel to parse, one
//! JSON text, signed by a key whose public half is in the verified root. Whoever swaps the disk's partition can at most bring
//! back an older provisioning of a signer we trust, and the state remembers the newest number it has seen.

pub mod canary;
mod document;
pub mod network;
mod way_out;

pub use document::{
    DocumentError, MAX_PROVISIONING_BYTES, NAMES, Provisioning, SignedProvisioning, Trust, verified_provisioning,
};
pub use way_out::{WayOut, WayOutError, way_out};
