//! The tolerant, non-recursive reader of data sets (PS3.5 §7).
//!
//! Every length is compared with the bytes that remain in the innermost enclosing item, sequence and object before memory is
//! reserved for it. Nesting lives on an explicit stack of at most [`Limits::depth`] sequences.
//!
//! Tolerated, because scanners send it and it has only one reading:
//! - explicit-VR UN of undefined length: a sequence in implicit VR (CP-246; PS3.5 §6.2.2 note 4);
//! - explicit-VR UN of a public attribute: the VR of the dictionary, its value little endian whatever the transfer syntax, a
//!   sequence again in implicit VR (PS3.5 §6.2.2), so that a tree reads the same once it is written;
//! - an element without VR in an explicit data set: read as implicit when the two bytes cannot be a VR;
//! - VRs that no standard knows: two capital letters have a 32-bit length, anything else a 16-bit one; both become the VR of
//!   the dictionary, or UN;
//! - odd lengths, tags out of order, equal duplicates, group lengths (dropped), zeros after the last element;
//! - an item that ends with its sequence's delimiter; a superfluous delimiter at the end of an explicit length;
//! - encapsulated pixel data whose closing delimiter is missing at the very end of the object.
//!
//! Everything else that has more than one reading is an error: two different values of one tag (DCMTK keeps the first, others
//! the last), an item longer than its sequence, a missing delimiter. What is judged and what is written is always this tree.

use dicom_core::{Tag, VR};

use super::error::{Fault, Limit, ReadError};
use super::source::{Cursor, Swapped};
use super::syntax::{Encoding, IMPLICIT};
use super::vr::{PIXEL_DATA, dictionary_vr, is_long_form, is_text, word_width};
use super::{DataSet, Element, Limits, Origin, Value};

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);
const PIXEL_REPRESENTATION: Tag = Tag(0x0028, 0x0103);
const UNDEFINED: u32 = u32::MAX;

/// Reads the data set that fills `source` from `start` to its end. Returns the ranges that are big endian in the source.
pub(super) fn read(
    source: &dyn super::Source,
    start: u64,
    encoding: Encoding,
    limits: &Limits,
) -> Result<(DataSet, Vec<Swapped>), ReadError> {
    let cursor = Cursor::new(source);
    let end = cursor.end();
    if start >= end {
        return Err(ReadError::Malformed { offset: start, what: Fault::Empty });
    }
    let root = Level { end, defined: true, encoding, body: LevelBody::Item(Item::default()) };
    let mut reader =
        Reader { cursor, at: start, limits, levels: vec![root], elements: 0, inline: 0, swapped: Vec::new() };
    let ds = reader.run()?;
    Ok((ds, reader.swapped))
}

/// One item or sequence that is being read.
struct Level {
    /// Where it ends at the latest, offset.
    end: u64,
    /// True when it ends exactly there.
    defined: bool,
    encoding: Encoding,
    body: LevelBody,
}

enum LevelBody {
    Item(Item),
    Sequence { tag: Tag, items: Vec<DataSet> },
}

#[derive(Default)]
struct Item {
    elements: Vec<Element>,
    signed: bool,
}

/// Header of one element.
struct Header {
    tag: Tag,
    vr: VR,
    length: u32,
    /// Encoding of the value, nested items included.
    nested: Encoding,
}

struct Reader<'s, 'l> {
    cursor: Cursor<'s>,
    at: u64,
    limits: &'l Limits,
    levels: Vec<Level>,
    elements: u32,
    inline: u64,
    swapped: Vec<Swapped>,
}

impl Reader<'_, '_> {
    fn fault<T>(&self, what: Fault) -> Result<T, ReadError> {
        Err(ReadError::Malformed { offset: self.at, what })
    }

    fn run(&mut self) -> Result<DataSet, ReadError> {
        loop {
            let Some(level) = self.levels.last() else { return self.fault(Fault::StrayDelimiter) };
            let (end, defined, root) = (level.end, level.defined, self.levels.len() == 1);
            if self.at == end || (root && self.only_padding_left(end)?) {
                if !defined {
                    return self.fault(Fault::MissingDelimiter);
                }
                match self.close()? {
                    Some(ds) => return Ok(ds),
                    None => continue,
                }
            }
            if end - self.at < 8 {
                return self.fault(Fault::TruncatedHeader);
            }
            match self.levels.last().map(|l| matches!(l.body, LevelBody::Item(_))) {
                Some(true) => self.element()?,
                _ => self.item()?,
            }
        }
    }

    /// At the end of the object some writers pad with zeros: up to one header's worth is passed over.
    fn only_padding_left(&self, end: u64) -> Result<bool, ReadError> {
        let left = end - self.at;
        if left >= 8 {
            return Ok(false);
        }
        let mut bytes = [0_u8; 8];
        let bytes = &mut bytes[..left as usize];
        self.cursor.read(bytes, self.at)?;
        Ok(bytes.iter().all(|b| *b == 0))
    }

    fn count(&mut self) -> Result<(), ReadError> {
        self.elements += 1;
        if self.elements > self.limits.elements { Err(ReadError::Limit(Limit::Elements)) } else { Ok(()) }
    }

    /// Ends the innermost level; the data set when it was the root.
    fn close(&mut self) -> Result<Option<DataSet>, ReadError> {
        let Some(level) = self.levels.pop() else { return self.fault(Fault::StrayDelimiter) };
        match level.body {
            LevelBody::Item(item) => {
                let ds = match DataSet::from_elements(item.elements) {
                    Ok(ds) => ds,
                    Err(_) => return self.fault(Fault::Duplicate),
                };
                match self.levels.last_mut() {
                    None => return Ok(Some(ds)),
                    Some(Level { body: LevelBody::Sequence { items, .. }, .. }) => items.push(ds),
                    Some(_) => return self.fault(Fault::StrayDelimiter),
                }
            }
            LevelBody::Sequence { tag, items } => self.put(Element::sequence(tag, items))?,
        }
        Ok(None)
    }

    fn put(&mut self, element: Element) -> Result<(), ReadError> {
        match self.levels.last_mut() {
            Some(Level { body: LevelBody::Item(item), .. }) => {
                if element.tag == PIXEL_REPRESENTATION {
                    item.signed = element.value.bytes().is_some_and(|b| b.first() == Some(&1));
                }
                item.elements.push(element);
                Ok(())
            }
            _ => self.fault(Fault::NotAnItem),
        }
    }

    fn tag_at(&self, encoding: Encoding, bytes: &[u8; 8]) -> Tag {
        let half = |i: usize| {
            let pair = [bytes[i], bytes[i + 1]];
            if encoding.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        Tag(half(0), half(2))
    }

    fn length_at(&self, encoding: Encoding, bytes: [u8; 4]) -> u32 {
        if encoding.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// In a sequence: an item, or the end.
    fn item(&mut self) -> Result<(), ReadError> {
        let Some(level) = self.levels.last() else { return self.fault(Fault::StrayDelimiter) };
        let (encoding, end, defined) = (level.encoding, level.end, level.defined);
        let bytes: [u8; 8] = self.cursor.array(self.at)?;
        let tag = self.tag_at(encoding, &bytes);
        let length = self.length_at(encoding, [bytes[4], bytes[5], bytes[6], bytes[7]]);
        match tag {
            ITEM => {
                self.count()?;
                self.at += 8;
                let (item_end, item_defined) = self.extent(length, end)?;
                let signed = self.signed();
                self.levels.push(Level {
                    end: item_end,
                    defined: item_defined,
                    encoding,
                    body: LevelBody::Item(Item { elements: Vec::new(), signed }),
                });
                Ok(())
            }
            SEQUENCE_DELIMITER if !defined || self.at + 8 == end => {
                self.at += 8;
                self.close().map(drop)
            }
            SEQUENCE_DELIMITER | ITEM_DELIMITER => self.fault(Fault::StrayDelimiter),
            _ => self.fault(Fault::NotAnItem),
        }
    }

    /// Where something of `length` that starts here ends, within `end`.
    fn extent(&self, length: u32, end: u64) -> Result<(u64, bool), ReadError> {
        if length == UNDEFINED {
            return Ok((end, false));
        }
        match self.at.checked_add(u64::from(length)) {
            Some(own) if own <= end => Ok((own, true)),
            _ => self.fault(Fault::Overlong),
        }
    }

    /// Pixel Representation of the innermost item that states it.
    fn signed(&self) -> bool {
        self.levels.iter().rev().find_map(|l| match &l.body {
            LevelBody::Item(item) => Some(item.signed),
            LevelBody::Sequence { .. } => None,
        }) == Some(true)
    }

    /// In an item or at the root: one element, or the end of the item.
    fn element(&mut self) -> Result<(), ReadError> {
        let Some(level) = self.levels.last() else { return self.fault(Fault::StrayDelimiter) };
        let (encoding, end, defined) = (level.encoding, level.end, level.defined);
        let bytes: [u8; 8] = self.cursor.array(self.at)?;
        let tag = self.tag_at(encoding, &bytes);
        if tag.0 == 0xFFFE {
            return self.end_of_item(tag, end, defined);
        }
        self.count()?;
        let header = self.header(encoding, end, &bytes)?;
        let is_group_length = header.tag.1 == 0 && header.tag.0 != 0;
        if header.length == UNDEFINED {
            if is_group_length {
                return self.fault(Fault::UndefinedLength);
            }
            return self.undefined(&header, encoding, end);
        }
        let (value_end, _) = self.extent(header.length, end)?;
        if is_group_length {
            self.at = value_end; // (gggg,0000) says nothing that is not known.
            return Ok(());
        }
        if header.vr == VR::SQ {
            return self.open(header.tag, header.nested, value_end, true);
        }
        let value = self.value(header.vr, header.nested, u64::from(header.length))?;
        self.put(Element { tag: header.tag, vr: header.vr, value })
    }

    fn end_of_item(&mut self, tag: Tag, end: u64, defined: bool) -> Result<(), ReadError> {
        if self.levels.len() == 1 {
            return self.fault(Fault::StrayDelimiter);
        }
        match tag {
            ITEM_DELIMITER if !defined || self.at + 8 == end => {
                self.at += 8;
                self.close().map(drop)
            }
            // The item's delimiter is missing, the sequence's is there: both end here.
            SEQUENCE_DELIMITER if !defined => {
                self.close()?;
                match self.levels.last() {
                    Some(sequence) if !sequence.defined => {
                        self.at += 8;
                        self.close().map(drop)
                    }
                    _ => self.fault(Fault::StrayDelimiter),
                }
            }
            _ => self.fault(Fault::StrayDelimiter),
        }
    }

    /// Reads the header whose first eight bytes are `bytes`; afterwards `self.at` is at the value.
    fn header(&mut self, encoding: Encoding, end: u64, bytes: &[u8; 8]) -> Result<Header, ReadError> {
        let tag = self.tag_at(encoding, bytes);
        let last4 = [bytes[4], bytes[5], bytes[6], bytes[7]];
        let implicit = |length: u32, signed: bool| {
            // An unknown attribute of undefined length can only be a sequence.
            let vr = dictionary_vr(tag, signed).unwrap_or(if length == UNDEFINED { VR::SQ } else { VR::UN });
            Header { tag, vr, length, nested: encoding }
        };
        if !encoding.explicit {
            self.at += 8;
            return Ok(implicit(self.length_at(encoding, last4), self.signed()));
        }
        let letters = [bytes[4], bytes[5]];
        let standard = VR::from_binary(letters);
        if standard.is_none() && !letters.iter().all(|b| (0x20..0x7F).contains(b)) {
            self.at += 8;
            let header = implicit(self.length_at(encoding, last4), self.signed());
            return Ok(Header { nested: Encoding { explicit: false, ..encoding }, ..header });
        }
        let long = standard.map_or(letters.iter().all(u8::is_ascii_uppercase), is_long_form);
        // Of a public attribute whose VR tells nothing the dictionary knows more; the writer's reader will ask it too.
        let vr = match standard {
            Some(vr) if vr != VR::UN => vr,
            _ if !tag.0.is_multiple_of(2) => VR::UN,
            _ => dictionary_vr(tag, self.signed()).unwrap_or(VR::UN),
        };
        if !long {
            self.at += 8;
            let pair = [bytes[6], bytes[7]];
            let length = if encoding.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            return Ok(Header { tag, vr, length: u32::from(length), nested: encoding });
        }
        if end - self.at < 12 {
            return self.fault(Fault::TruncatedHeader);
        }
        let length = self.length_at(encoding, self.cursor.array(self.at + 8)?);
        self.at += 12;
        if standard != Some(VR::UN) {
            return Ok(Header { tag, vr, length, nested: encoding });
        }
        // UN holds implicit VR little endian; of undefined length it can only be a sequence (CP-246).
        let vr = if length == UNDEFINED && tag != PIXEL_DATA { VR::SQ } else { vr };
        Ok(Header { tag, vr, length, nested: IMPLICIT })
    }

    fn undefined(&mut self, header: &Header, encoding: Encoding, end: u64) -> Result<(), ReadError> {
        match header.vr {
            VR::SQ => self.open(header.tag, header.nested, end, false),
            VR::OB | VR::OW | VR::UN => {
                let value = self.fragments(encoding, end)?;
                self.put(Element { tag: header.tag, vr: VR::OB, value })
            }
            _ => self.fault(Fault::UndefinedLength),
        }
    }

    fn open(&mut self, tag: Tag, encoding: Encoding, end: u64, defined: bool) -> Result<(), ReadError> {
        let depth = self.levels.len().div_ceil(2);
        if depth > usize::from(self.limits.depth) {
            return Err(ReadError::Limit(Limit::Depth));
        }
        self.levels.push(Level { end, defined, encoding, body: LevelBody::Sequence { tag, items: Vec::new() } });
        Ok(())
    }

    /// The `length` bytes that start here, which exist.
    fn value(&mut self, vr: VR, encoding: Encoding, length: u64) -> Result<Value, ReadError> {
        let offset = self.at;
        self.at += length;
        let width = if encoding.big_endian { word_width(vr) } else { 1 };
        if length > u64::from(self.limits.inline_bytes) && !is_text(vr) {
            if width > 1 {
                self.swapped.push(Swapped { start: offset, end: offset + length / width * width, width });
            }
            return Ok(Value::Span { origin: Origin::Input, offset, length });
        }
        let mut bytes = self.inline(offset, length)?;
        if width > 1 {
            bytes.chunks_exact_mut(width as usize).for_each(<[u8]>::reverse);
        }
        Ok(Value::Bytes(bytes))
    }

    fn inline(&mut self, offset: u64, length: u64) -> Result<Vec<u8>, ReadError> {
        self.inline += length;
        let (Ok(size), true) = (usize::try_from(length), self.inline <= self.limits.inline_total_bytes) else {
            return Err(ReadError::Limit(Limit::Inline));
        };
        let mut bytes = vec![0; size];
        self.cursor.read(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Encapsulated pixel data (PS3.5 A.4), up to and with its delimiter.
    fn fragments(&mut self, encoding: Encoding, end: u64) -> Result<Value, ReadError> {
        let mut offsets = None;
        let mut fragments = Vec::new();
        loop {
            let closed_by_end = self.at == end && self.levels.len() == 1 && offsets.is_some();
            if closed_by_end {
                break;
            }
            if end - self.at < 8 {
                return self.fault(Fault::MissingDelimiter);
            }
            let bytes: [u8; 8] = self.cursor.array(self.at)?;
            let length = self.length_at(encoding, [bytes[4], bytes[5], bytes[6], bytes[7]]);
            match self.tag_at(encoding, &bytes) {
                ITEM => {
                    self.count()?;
                    self.at += 8;
                    let (fragment_end, defined) = self.extent(length, end)?;
                    if !defined {
                        return self.fault(Fault::UndefinedLength);
                    }
                    if offsets.is_none() {
                        let table = self.inline(self.at, u64::from(length))?;
                        self.at = fragment_end;
                        offsets = Some(table);
                    } else {
                        fragments.push(self.value(VR::OB, encoding, u64::from(length))?);
                    }
                }
                SEQUENCE_DELIMITER => {
                    self.at += 8;
                    break;
                }
                ITEM_DELIMITER => return self.fault(Fault::StrayDelimiter),
                _ => return self.fault(Fault::NotAnItem),
            }
        }
        Ok(Value::Fragments { offsets: offsets.unwrap_or_default(), fragments })
    }
}
