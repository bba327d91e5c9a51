//! The hub: enrols boxes, checks and stores what they upload, serves it to researchers, shows the fleet, keeps the audit trail.
//!
//! - `settings`, `events`, `error`: what it is told, all it may log, what goes wrong
//! - `pki`, `tls`, `server`, `stream`: certificates, TLS 1.3, the two listeners, long bodies
//! - `store`: SQLite behind one writer, the archive of objects beside it
//! - `object`, `check`: reading DICOM strictly; the profile applied a second time, with code of the hub's own
//! - `boxes`: enrolment, STOW-RS, health reports, signed policy and system updates (device certificates)
//! - `web`: pages and DICOMweb (passwords, behind an allow-list)
//!
//! It holds no pseudonym key and never sees an identity, unless a box is broken: then the check isolates what arrives.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod boxes;
pub mod check;
pub mod error;
pub mod events;
pub mod hub;
pub mod object;
pub mod pki;
pub mod server;
pub mod settings;
pub mod store;
pub mod stream;
pub mod tls;
pub mod web;
