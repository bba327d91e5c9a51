//! PS3.15 de-identification of DICOM data sets: tolerant reader and writer, profile engine, keyed pseudonyms, leak scan.
//! Pure: no IO but the [`dataset::Source`] it is handed, no clock, no log.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod dataset;
mod date;
pub mod identifiers;
pub mod profile;
pub mod pseudonym;
mod text;
