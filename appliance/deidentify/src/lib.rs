//! PS3.15 de-identification of DICOM data sets: tolerant reader and writer, profile engine, keyed pseudonyms, leak scan.
//! Pure: no IO but the [`dataset::Source`] it is handed, no clock, no log.
//!
//! The way of an object: [`dataset::read_dataset`], [`Identifiers::collect`] from it as received, `gift-redact` for the pixels,
//! [`deidentify`] under a [`profile::Profile`], [`Profiled::write`], [`Identifiers::scan`] over the finished bytes.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod dataset;
mod date;
mod engine;
pub mod identifiers;
pub mod profile;
pub mod pseudonym;
mod text;

pub use engine::{Counts, DeidError, Fated, Profiled, deidentify, deidentify_linked, explain};
pub use identifiers::{Identifiers, Kept, LeakFree, LeakKind, LeakScan, ScanError, SeenWord};
