//! The `gift-uplink` binary against a real TLS hub of this test's own, which speaks the wire contract and misbehaves on
//! request. What counts as failure: an object that the hub does not have although the box forgot it, one that is sent to
//! anybody but the pinned hub, a queue that one object or one outage blocks. What does not: sending an object twice (the
//! hub's store is idempotent).
#![allow(clippy::unwrap_used, missing_docs)]

mod authority;
mod crash;
mod early;
mod enrolment;
mod faults;
mod hub;
mod network;
mod order;
mod path;
mod plain;
mod rig;
mod signer;
#[path = "../../../signer/tests/support/mod.rs"]
mod signer_support;
mod update;
