//! The data set as an in-memory tree whose long values stay where they are.
//!
//! Values up to [`Limits::inline_bytes`] are read; longer ones are [`Value::Span`]s of the [`Source`], so memory stays flat
//! in the object's size.

use dicom_core::{Tag, VR};

/// Where an object's bytes are: a slice, or a file in a process that may do IO.
pub trait Source {
    /// Length, bytes.
    fn len(&self) -> u64;
    /// True when there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// The medium's, or `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()>;
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.get(start..end).ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Bounds of what is read (design: pre-scan).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of sequences.
    pub depth: u16,
    /// Most elements, all levels together.
    pub elements: u32,
    /// Longest value that is read into memory, bytes.
    pub inline_bytes: u32,
    /// Largest inflated size of a deflated data set, bytes.
    pub inflated_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, elements: 1_000_000, inline_bytes: 64 << 10, inflated_bytes: 2 << 30 }
    }
}

/// Which source a [`Value::Span`] points into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The object as received.
    Input,
    /// What redaction wrote, frame by frame.
    Scratch,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The value's bytes in the byte order of Explicit VR Little Endian, as they stood (padding included).
    Bytes(Vec<u8>),
    /// `length` bytes at `offset` of a source, little endian; a long value left where it is.
    Span {
        /// Which source.
        origin: Origin,
        /// Offset in the source, bytes.
        offset: u64,
        /// Length, bytes.
        length: u64,
    },
    /// A sequence of items.
    Sequence(Vec<DataSet>),
    /// Encapsulated pixel data (PS3.5 A.4): the basic offset table's bytes, then the fragments.
    Fragments {
        /// Basic Offset Table, bytes as they stood (may be empty).
        offsets: Vec<u8>,
        /// Each a `Bytes` or `Span`.
        fragments: Vec<Value>,
    },
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Tag.
    pub tag: Tag,
    /// VR as it stood, or from the dictionary for implicit VR; UN when unknown.
    pub vr: VR,
    /// Value.
    pub value: Value,
}

/// Elements in ascending order of tag, each tag once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataSet {
    elements: Vec<Element>,
}
