//! The data set as an in-memory tree whose long values stay where they are.
//!
//! # Reading
//!
//! [`read_dataset`] reads what the receiver stored (no file meta information), [`read_part10`] a file. Both are tolerant where
//! there is only one reading and refuse the rest ([`ReadError`]); neither recurses, panics or reserves memory for lengths
//! that the bytes do not bear out. Text, and other values up to [`Limits::inline_bytes`], are read into memory; longer ones
//! become [`Value::Span`]s of the [`Body`], so memory stays flat in the object's size.
//!
//! # Writing
//!
//! [`write`] makes a Part 10 file in Explicit VR Little Endian (or the encapsulated transfer syntax of the input) and streams
//! the spans.

mod access;
mod charset;
mod element;
mod error;
mod inflate;
mod part10;
mod read;
mod source;
mod syntax;
mod vr;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use charset::CharacterSet;
pub use element::{DataSet, Element, Origin, Value, Walk};
pub use error::{Fault, Limit, ReadError, WriteError};
pub use part10::{FileMeta, Parsed, read_dataset, read_part10};
pub use source::{Body, Source};
pub use syntax::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN,
    is_native,
};
pub use vr::{dictionary_vr, is_allowed_vr, is_multi_valued, is_private_creator, is_text, uses_character_set};
pub use write::{
    IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, OutputMeta, Sources, output_transfer_syntax, write,
};

/// Bounds of what is read (design: pre-scan).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of sequences.
    pub depth: u16,
    /// Most elements, items and fragments, all levels together.
    pub elements: u32,
    /// Longest value, other than text, that is read into memory, bytes.
    pub inline_bytes: u32,
    /// Most bytes of values in memory, all together.
    pub inline_total_bytes: u64,
    /// Largest inflated size of a deflated data set, bytes; it is held in memory.
    pub inflated_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            elements: 1_000_000,
            inline_bytes: 64 << 10,
            inline_total_bytes: 64 << 20,
            inflated_bytes: 256 << 20,
        }
    }
}
