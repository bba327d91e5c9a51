//! A strict walk over a DICOM file (PS3.10 §7, PS3.5 §7 and Annex A.4): Explicit VR Little Endian data sets, encapsulated or not,
//! which is all a box releases. Nothing recurses, no length is believed before it is compared with the bytes that are there,
//! and memory is bounded by [`Limits::inline_bytes`] whatever the object's size.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use dicom_core::{Tag, VR};

/// Bounds of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deepest nesting of sequences.
    pub depth: usize,
    /// Most elements and items, all levels together.
    pub elements: u32,
    /// Longest value that is read, bytes; a longer one is told by offset and length.
    pub inline_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, elements: 1_000_000, inline_bytes: 64 << 10 }
    }
}

/// A value met on the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The value's bytes, padding included.
    Bytes(&'a [u8]),
    /// A longer value: where it is in the file.
    Long {
        /// Offset, bytes.
        offset: u64,
        /// Length, bytes.
        length: u64,
    },
    /// Encapsulated pixel data.
    Fragments {
        /// Number of fragments, the Basic Offset Table not counted.
        count: u32,
    },
}

/// What the walk meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An element that is not a sequence.
    Element {
        /// Its tag.
        tag: Tag,
        /// Its VR.
        vr: VR,
        /// Its value.
        value: Value<'a>,
    },
    /// A sequence begins.
    SequenceStart(Tag),
    /// An item begins.
    ItemStart,
    /// The item ends.
    ItemEnd,
    /// The sequence ends.
    SequenceEnd,
}

/// Who is told.
pub trait Visitor {
    /// `depth` is the number of sequences around the event; 0 for the data set itself and the file meta information.
    fn visit(&mut self, depth: usize, event: Event<'_>);
}

/// Why a file cannot be walked to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The file could not be read.
    #[error("unreadable")]
    Io(io::ErrorKind),
    /// No DICM prefix.
    #[error("no-prefix")]
    Prefix,
    /// The file meta information is not as PS3.10 §7.1 says.
    #[error("file-meta")]
    FileMeta,
    /// A transfer syntax whose data set is not Explicit VR Little Endian.
    #[error("transfer-syntax")]
    TransferSyntax,
    /// A length that goes beyond what contains it.
    #[error("length")]
    Length,
    /// Not a VR.
    #[error("vr")]
    Vr,
    /// Elements out of order, or one twice.
    #[error("order")]
    Order,
    /// A delimiter or item where none may be, or none where one must be.
    #[error("structure")]
    Structure,
    /// [`Limits::depth`].
    #[error("depth")]
    Depth,
    /// [`Limits::elements`].
    #[error("elements")]
    Elements,
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Length,
            kind => Self::Io(kind),
        }
    }
}

/// What the file says before its data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The 128 bytes of preamble are all zero.
    pub preamble_is_zero: bool,
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax: String,
}

/// Walks the file at `path`.
///
/// # Errors
/// The first thing that is not as the standard, or the limits, have it.
pub fn walk_file(path: &Path, limits: Limits, visitor: &mut dyn Visitor) -> Result<Header, WalkError> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    walk(BufReader::with_capacity(64 << 10, file), end, limits, visitor)
}

/// Walks `end` bytes of `source`.
///
/// # Errors
/// As for [`walk_file`].
pub fn walk<R: Read + Seek>(
    source: BufReader<R>,
    end: u64,
    limits: Limits,
    visitor: &mut dyn Visitor,
) -> Result<Header, WalkError> {
    let mut walk = Walk { source, at: 0, left: limits.elements, limits, value: Vec::new() };
    let mut lead = [0_u8; 132];
    if end < 132 {
        return Err(WalkError::Prefix);
    }
    walk.read(&mut lead)?;
    if &lead[128..] != b"DICM" {
        return Err(WalkError::Prefix);
    }
    let preamble_is_zero = lead[..128].iter().all(|&b| b == 0);

    let mut length = [0_u8; 12];
    walk.read(&mut length).map_err(|_| WalkError::FileMeta)?;
    if length[..8] != [2, 0, 0, 0, b'U', b'L', 4, 0] {
        return Err(WalkError::FileMeta);
    }
    let meta_end = walk.at + u64::from(u32::from_le_bytes([length[8], length[9], length[10], length[11]]));
    if meta_end > end {
        return Err(WalkError::FileMeta);
    }
    let mut meta = Meta { inner: visitor, transfer_syntax: None, foreign: false };
    walk.data_set(meta_end, &mut meta).map_err(|_| WalkError::FileMeta)?;
    if meta.foreign {
        return Err(WalkError::FileMeta);
    }
    let transfer_syntax = meta.transfer_syntax.ok_or(WalkError::FileMeta)?;
    if !is_explicit_little_endian(&transfer_syntax) {
        return Err(WalkError::TransferSyntax);
    }
    walk.data_set(end, visitor)?;
    Ok(Header { preamble_is_zero, transfer_syntax })
}

/// True unless the data set's encoding is another one: Implicit VR Little Endian, Explicit VR Big Endian, the deflated ones
/// (PS3.5 A.1, A.3, A.5, and JPIP deflated A.7), papyrus and GE private ones.
fn is_explicit_little_endian(uid: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.205",
    ];
    uid.starts_with("1.2.840.10008.1.2") && !OTHERS.contains(&uid)
}

/// Passes the file meta information on and keeps its transfer syntax.
struct Meta<'a> {
    inner: &'a mut dyn Visitor,
    transfer_syntax: Option<String>,
    foreign: bool,
}

impl Visitor for Meta<'_> {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        match event {
            Event::Element { tag, value, .. } if tag.group() == 2 => {
                if let (Tag(2, 0x0010), Value::Bytes(bytes)) = (tag, value) {
                    self.transfer_syntax = Some(super::text::ascii(bytes));
                }
                self.inner.visit(depth, event);
            }
            _ => self.foreign = true,
        }
    }
}

struct Walk<R> {
    source: BufReader<R>,
    at: u64,
    left: u32,
    limits: Limits,
    value: Vec<u8>,
}

/// A data set, item or sequence that is open. `end` is where it must end at the latest; when `defined`, exactly there.
struct Frame {
    kind: Kind,
    end: u64,
    defined: bool,
}

enum Kind {
    /// The tag seen last.
    Elements(Option<Tag>),
    Sequence,
}

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
const UNDEFINED: u32 = u32::MAX;

impl<R: Read + Seek> Walk<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<(), WalkError> {
        self.source.read_exact(into)?;
        self.at += into.len() as u64;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), WalkError> {
        self.source.seek_relative(i64::try_from(length).map_err(|_| WalkError::Length)?)?;
        self.at += length;
        Ok(())
    }

    fn read_tag(&mut self) -> Result<Tag, WalkError> {
        let mut b = [0_u8; 4];
        self.read(&mut b)?;
        Ok(Tag(u16::from_le_bytes([b[0], b[1]]), u16::from_le_bytes([b[2], b[3]])))
    }

    fn read_u32(&mut self) -> Result<u32, WalkError> {
        let mut b = [0_u8; 4];
        self.read(&mut b)?;
        Ok(u32::from_le_bytes(b))
    }

    fn count(&mut self) -> Result<(), WalkError> {
        self.left = self.left.checked_sub(1).ok_or(WalkError::Elements)?;
        Ok(())
    }

    /// The end of something of `length` that starts here and lies within `outer`.
    fn end_of(&self, length: u64, outer: u64) -> Result<u64, WalkError> {
        self.at.checked_add(length).filter(|&end| end <= outer).ok_or(WalkError::Length)
    }

    fn data_set(&mut self, end: u64, visitor: &mut dyn Visitor) -> Result<(), WalkError> {
        let mut stack = vec![Frame { kind: Kind::Elements(None), end, defined: true }];
        while let Some(frame) = stack.last() {
            // Every second frame is a sequence.
            let depth = stack.len() / 2;
            if frame.defined && self.at == frame.end {
                let closed = stack.pop();
                if !stack.is_empty() {
                    close(closed, stack.len(), visitor);
                }
                continue;
            }
            self.end_of(8, frame.end)?;
            let opened = match frame.kind {
                Kind::Elements(last) => self.element(&mut stack, last, depth, visitor)?,
                Kind::Sequence => self.item(&mut stack, depth, visitor)?,
            };
            if let Some(opened) = opened {
                if stack.len() / 2 >= self.limits.depth && matches!(opened.kind, Kind::Sequence) {
                    return Err(WalkError::Depth);
                }
                stack.push(opened);
            }
        }
        Ok(())
    }

    /// Reads an element (or an item's end) where elements are; gives a frame when a sequence begins.
    fn element(
        &mut self,
        stack: &mut Vec<Frame>,
        last: Option<Tag>,
        depth: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<Option<Frame>, WalkError> {
        let tag = self.read_tag()?;
        // Invariant: the caller found a frame.
        let Some(frame) = stack.last_mut() else { return Err(WalkError::Structure) };
        let outer = frame.end;
        if tag.group() == 0xFFFE {
            if tag != ITEM_END || frame.defined || self.read_u32()? != 0 {
                return Err(WalkError::Structure);
            }
            let closed = stack.pop();
            close(closed, stack.len(), visitor);
            return Ok(None);
        }
        if last.is_some_and(|last| last >= tag) {
            return Err(WalkError::Order);
        }
        frame.kind = Kind::Elements(Some(tag));
        self.count()?;

        let mut head = [0_u8; 4];
        self.read(&mut head)?;
        let vr = VR::from_binary([head[0], head[1]]).ok_or(WalkError::Vr)?;
        let length = if has_long_length(vr) {
            self.end_of(4, outer)?;
            self.read_u32()?
        } else {
            u32::from(u16::from_le_bytes([head[2], head[3]]))
        };
        if vr == VR::SQ {
            visitor.visit(depth, Event::SequenceStart(tag));
            let defined = length != UNDEFINED;
            let end = if defined { self.end_of(length.into(), outer)? } else { outer };
            return Ok(Some(Frame { kind: Kind::Sequence, end, defined }));
        }
        if length == UNDEFINED {
            if tag != Tag(0x7FE0, 0x0010) || !matches!(vr, VR::OB | VR::OW) {
                return Err(WalkError::Length);
            }
            let count = self.fragments(outer)?;
            visitor.visit(depth, Event::Element { tag, vr, value: Value::Fragments { count } });
            return Ok(None);
        }
        self.end_of(length.into(), outer)?;
        if length > self.limits.inline_bytes {
            let value = Value::Long { offset: self.at, length: length.into() };
            visitor.visit(depth, Event::Element { tag, vr, value });
            self.skip(length.into())?;
        } else {
            let mut bytes = std::mem::take(&mut self.value);
            bytes.resize(length as usize, 0);
            self.read(&mut bytes)?;
            visitor.visit(depth, Event::Element { tag, vr, value: Value::Bytes(&bytes) });
            self.value = bytes;
        }
        Ok(None)
    }

    /// Reads an item's beginning (or the sequence's end) where items are.
    fn item(
        &mut self,
        stack: &mut Vec<Frame>,
        depth: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<Option<Frame>, WalkError> {
        let Some((outer, sequence_defined)) = stack.last().map(|frame| (frame.end, frame.defined)) else {
            return Err(WalkError::Structure);
        };
        let (tag, length) = (self.read_tag()?, self.read_u32()?);
        match tag {
            ITEM => {
                self.count()?;
                visitor.visit(depth, Event::ItemStart);
                let defined = length != UNDEFINED;
                let end = if defined { self.end_of(length.into(), outer)? } else { outer };
                Ok(Some(Frame { kind: Kind::Elements(None), end, defined }))
            }
            SEQUENCE_END if !sequence_defined && length == 0 => {
                let closed = stack.pop();
                close(closed, stack.len(), visitor);
                Ok(None)
            }
            _ => Err(WalkError::Structure),
        }
    }

    /// Passes over encapsulated pixel data (PS3.5 A.4) and counts its fragments.
    fn fragments(&mut self, outer: u64) -> Result<u32, WalkError> {
        let mut items = 0_u32;
        loop {
            self.end_of(8, outer)?;
            let (tag, length) = (self.read_tag()?, self.read_u32()?);
            match tag {
                ITEM if length != UNDEFINED => {
                    self.count()?;
                    self.end_of(length.into(), outer)?;
                    self.skip(length.into())?;
                    items += 1;
                }
                SEQUENCE_END if length == 0 => return items.checked_sub(1).ok_or(WalkError::Structure),
                _ => return Err(WalkError::Structure),
            }
        }
    }
}

/// Tells of the end of what was `closed` when `open` frames remain.
fn close(closed: Option<Frame>, open: usize, visitor: &mut dyn Visitor) {
    match closed.map(|frame| frame.kind) {
        Some(Kind::Sequence) => visitor.visit(open / 2, Event::SequenceEnd),
        Some(Kind::Elements(_)) => visitor.visit(open / 2, Event::ItemEnd),
        None => {}
    }
}

/// VRs with a 32-bit length field (PS3.5 §7.1.2).
fn has_long_length(vr: VR) -> bool {
    use VR::{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV};
    matches!(vr, OB | OD | OF | OL | OV | OW | SQ | SV | UC | UN | UR | UT | UV)
}

#[cfg(test)]
mod tests;
