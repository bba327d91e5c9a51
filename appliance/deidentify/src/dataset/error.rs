//! Why a data set could not be read or written. Offsets and fixed words only, never a value.

use std::io::ErrorKind;

/// Why an object could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not a readable data set.
    #[error("{what} at offset {offset}")]
    Malformed {
        /// Offset in the body (the inflated bytes, when deflated), bytes.
        offset: u64,
        /// What is wrong.
        what: Fault,
    },
    /// A bound of [`super::Limits`] was exceeded.
    #[error("limit exceeded: {0}")]
    Limit(Limit),
    /// The medium failed.
    #[error("reading the source failed: {0}")]
    Io(ErrorKind),
}

/// What is wrong with a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No data set at all.
    #[error("empty")]
    Empty,
    /// The bytes end inside an element's header.
    #[error("truncated header")]
    TruncatedHeader,
    /// A length that exceeds the bytes that remain, in the item, the sequence or the object.
    #[error("length exceeds what encloses it")]
    Overlong,
    /// The bytes end inside a sequence or item of undefined length.
    #[error("missing delimiter")]
    MissingDelimiter,
    /// A delimiter or item tag where none can be.
    #[error("stray item or delimiter")]
    StrayDelimiter,
    /// A sequence holds something that is not an item.
    #[error("not an item")]
    NotAnItem,
    /// Undefined length of an element that cannot have it.
    #[error("undefined length not allowed here")]
    UndefinedLength,
    /// A tag occurs twice in one data set or item with different values.
    #[error("tag occurs twice")]
    Duplicate,
    /// The deflated bytes cannot be inflated.
    #[error("cannot be inflated")]
    Deflate,
    /// File meta information (group 0002) that contradicts itself.
    #[error("file meta information unreadable")]
    FileMeta,
    /// Neither implicit nor explicit VR can be made of the first element.
    #[error("transfer syntax cannot be guessed")]
    Unguessable,
}

/// Which bound was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Nesting of sequences.
    #[error("nesting")]
    Depth,
    /// Number of elements, items and fragments.
    #[error("elements")]
    Elements,
    /// Size or ratio of the inflated data set.
    #[error("inflated size")]
    Inflated,
    /// Bytes of values held in memory.
    #[error("values in memory")]
    Inline,
}

impl From<std::io::Error> for ReadError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e.kind())
    }
}

/// Why an object could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Encapsulated pixel data in a native transfer syntax, or the reverse; or a transfer syntax in which nothing is written.
    #[error("pixel data do not fit the transfer syntax")]
    PixelData,
    /// A value too long for its length field.
    #[error("value too long")]
    TooLong,
    /// Nested deeper than any reader allows.
    #[error("nested too deep")]
    TooDeep,
    /// A group that no data set may hold: command, file meta or directory elements, or delimiters (PS3.5 §7.1).
    #[error("group not allowed in a data set")]
    Group,
    /// A UID of the file meta information that is not one (PS3.5 §9.1).
    #[error("not a UID in the file meta information")]
    Uid,
    /// The medium failed.
    #[error("writing failed: {0}")]
    Io(ErrorKind),
}

impl From<std::io::Error> for WriteError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e.kind())
    }
}
