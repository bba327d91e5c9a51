//! The writer: one Part 10 file (PS3.10 §7.1) in Explicit VR Little Endian, long values streamed in chunks.

use std::io::Write;

use dicom_core::{Tag, VR};

use super::error::WriteError;
use super::syntax::{EXPLICIT, EXPLICIT_VR_LITTLE_ENDIAN, encoding_of, is_native};
use super::vr::{PIXEL_DATA, is_long_form, is_text};
use super::{DataSet, Element, Origin, Source, Value};

/// Implementation Class UID (0002,0012) of everything this box writes: a UUID-derived UID made once for this project, the one
/// that the receiver states in A-ASSOCIATE-AC.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.245317373089114414833174228995898601460";
/// Implementation Version Name (0002,0013): at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "GIFT_EDGE_1";

/// Bytes copied at once from a source: more than a writer gathers, so that they go straight through, and few enough for the caches.
const CHUNK: usize = 256 << 10;
/// Deepest nesting written; the reader allows 64.
const MAX_DEPTH: usize = 128;
const UNDEFINED: [u8; 4] = u32::MAX.to_le_bytes();

/// What the file meta information of the output states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputMeta {
    /// Transfer Syntax UID; see [`output_transfer_syntax`].
    pub transfer_syntax_uid: String,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// SOP Instance UID, the pseudonymous one.
    pub sop_instance_uid: String,
}

/// What the spans of a data set point into.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// [`Origin::Input`]: the body that came with the data set.
    pub input: &'a dyn Source,
    /// [`Origin::Scratch`]: what redaction wrote; an empty slice when it wrote nothing.
    pub scratch: &'a dyn Source,
}

impl Sources<'_> {
    /// The source of that origin.
    pub fn of(&self, origin: Origin) -> &dyn Source {
        match origin {
            Origin::Input => self.input,
            Origin::Scratch => self.scratch,
        }
    }
}

/// Transfer syntax in which an object of `input_uid` is written: the same when its pixel data are encapsulated, else
/// Explicit VR Little Endian (also for deflated, implicit and big-endian ones).
pub fn output_transfer_syntax(data_set: &DataSet, input_uid: &str) -> String {
    let encapsulated = data_set.get(PIXEL_DATA).is_some_and(|e| matches!(e.value, Value::Fragments { .. }));
    let uid = if encapsulated { input_uid } else { EXPLICIT_VR_LITTLE_ENDIAN };
    uid.to_owned()
}

/// Writes a Part 10 file: zeroed preamble, our own file meta information without any AE title, the data set. Memory is flat in
/// the length of spans. Returns the bytes written.
///
/// # Errors
/// See [`WriteError`]; `out` then holds a torn file.
pub fn write(
    data_set: &DataSet,
    meta: &OutputMeta,
    sources: Sources<'_>,
    out: &mut dyn Write,
) -> Result<u64, WriteError> {
    if let Some(pixels) = data_set.get(PIXEL_DATA) {
        let encapsulated = matches!(pixels.value, Value::Fragments { .. });
        if encapsulated == is_native(&meta.transfer_syntax_uid) {
            return Err(WriteError::PixelData);
        }
    }
    // Nothing is written implicit, big endian or deflated.
    if encoding_of(&meta.transfer_syntax_uid) != (EXPLICIT, false) {
        return Err(WriteError::PixelData);
    }
    let mut writer = Writer { out, sources, written: 0, chunk: Vec::new() };
    writer.bytes(&[0; 128])?;
    writer.bytes(b"DICM")?;
    writer.file_meta(meta)?;
    writer.data_set(data_set, 0)?;
    Ok(writer.written)
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    sources: Sources<'a>,
    written: u64,
    chunk: Vec<u8>,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn file_meta(&mut self, meta: &OutputMeta) -> Result<(), WriteError> {
        let mut group = Vec::new();
        let mut put = |element: u16, vr: VR, value: &[u8]| {
            let pad = value.len() % 2;
            let length = value.len() + pad;
            group.extend([2, 0]);
            group.extend(element.to_le_bytes());
            group.extend(vr.to_bytes());
            if is_long_form(vr) {
                group.extend([0, 0]);
                group.extend((length as u32).to_le_bytes());
            } else {
                group.extend((length as u16).to_le_bytes());
            }
            group.extend(value);
            group.resize(group.len() + pad, if vr == VR::UI { 0 } else { b' ' });
        };
        for uid in [&meta.sop_class_uid, &meta.sop_instance_uid, &meta.transfer_syntax_uid] {
            if uid.is_empty() || uid.len() > 64 || !uid.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                return Err(WriteError::Uid);
            }
        }
        put(0x0001, VR::OB, &[0, 1]);
        put(0x0002, VR::UI, meta.sop_class_uid.as_bytes());
        put(0x0003, VR::UI, meta.sop_instance_uid.as_bytes());
        put(0x0010, VR::UI, meta.transfer_syntax_uid.as_bytes());
        put(0x0012, VR::UI, IMPLEMENTATION_CLASS_UID.as_bytes());
        put(0x0013, VR::SH, IMPLEMENTATION_VERSION_NAME.as_bytes());
        self.header(Tag(2, 0), VR::UL, 4)?;
        self.bytes(&(group.len() as u32).to_le_bytes())?;
        self.bytes(&group)
    }

    fn data_set(&mut self, ds: &DataSet, depth: usize) -> Result<(), WriteError> {
        if depth > MAX_DEPTH {
            return Err(WriteError::TooDeep);
        }
        ds.iter().try_for_each(|element| self.element(element, depth))
    }

    /// Header of a value of `length` bytes. A value too long for a 16-bit length goes out as UN (PS3.5 §6.2.2 note 2 and
    /// §7.1.2).
    fn header(&mut self, tag: Tag, vr: VR, length: u64) -> Result<(), WriteError> {
        let length = u32::try_from(length).ok().filter(|l| *l != u32::MAX).ok_or(WriteError::TooLong)?;
        let vr = if !is_long_form(vr) && length > 0xFFFE { VR::UN } else { vr };
        self.tag_and_vr(tag, vr)?;
        if is_long_form(vr) {
            self.bytes(&[0, 0])?;
            self.bytes(&length.to_le_bytes())
        } else {
            self.bytes(&(length as u16).to_le_bytes())
        }
    }

    fn tag_and_vr(&mut self, tag: Tag, vr: VR) -> Result<(), WriteError> {
        self.delimiter_tag(tag)?;
        self.bytes(&vr.to_bytes())
    }

    fn delimiter_tag(&mut self, tag: Tag) -> Result<(), WriteError> {
        self.bytes(&tag.0.to_le_bytes())?;
        self.bytes(&tag.1.to_le_bytes())
    }

    fn item(&mut self, tag: u16, length: [u8; 4]) -> Result<(), WriteError> {
        self.delimiter_tag(Tag(0xFFFE, tag))?;
        self.bytes(&length)
    }

    fn element(&mut self, element: &Element, depth: usize) -> Result<(), WriteError> {
        if element.tag.0 < 8 || matches!(element.tag.0, 0xFFFE | 0xFFFF) {
            return Err(WriteError::Group);
        }
        match &element.value {
            Value::Sequence(items) => {
                self.tag_and_vr(element.tag, VR::SQ)?;
                self.bytes(&[0, 0])?;
                if items.is_empty() {
                    return self.bytes(&[0; 4]);
                }
                self.bytes(&UNDEFINED)?;
                for item in items {
                    self.item(0xE000, UNDEFINED)?;
                    self.data_set(item, depth + 1)?;
                    self.item(0xE00D, [0; 4])?;
                }
                self.item(0xE0DD, [0; 4])
            }
            Value::Fragments { offsets, fragments } => {
                self.tag_and_vr(element.tag, VR::OB)?;
                self.bytes(&[0, 0])?;
                self.bytes(&UNDEFINED)?;
                self.item(0xE000, length_of(offsets.len() as u64)?.to_le_bytes())?;
                self.padded(&Value::Bytes(offsets.clone()), 0)?;
                for fragment in fragments {
                    self.item(0xE000, length_of(value_length(fragment)?)?.to_le_bytes())?;
                    self.padded(fragment, 0)?;
                }
                self.item(0xE0DD, [0; 4])
            }
            value => {
                let length = value_length(value)?;
                self.header(element.tag, element.vr, length + length % 2)?;
                self.padded(value, if is_text(element.vr) && element.vr != VR::UI { b' ' } else { 0 })
            }
        }
    }

    /// The value, made even with `pad`.
    fn padded(&mut self, value: &Value, pad: u8) -> Result<(), WriteError> {
        match value {
            Value::Bytes(bytes) => self.bytes(bytes)?,
            Value::Span { origin, offset, length } => self.span(*origin, *offset, *length)?,
            Value::Sequence(_) | Value::Fragments { .. } => return Err(WriteError::PixelData),
        }
        if value_length(value)? % 2 == 1 { self.bytes(&[pad]) } else { Ok(()) }
    }

    fn span(&mut self, origin: Origin, mut offset: u64, length: u64) -> Result<(), WriteError> {
        let end = offset.checked_add(length).ok_or(WriteError::TooLong)?;
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(CHUNK, 0);
        while offset < end {
            let take = (end - offset).min(CHUNK as u64) as usize;
            self.sources.of(origin).read_exact_at(&mut chunk[..take], offset)?;
            self.bytes(&chunk[..take])?;
            offset += take as u64;
        }
        self.chunk = chunk;
        Ok(())
    }
}

fn value_length(value: &Value) -> Result<u64, WriteError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.len() as u64),
        Value::Span { length, .. } => Ok(*length),
        Value::Sequence(_) | Value::Fragments { .. } => Err(WriteError::PixelData),
    }
}

/// Length field of a fragment: even, and not the undefined one.
fn length_of(length: u64) -> Result<u32, WriteError> {
    u32::try_from(length + length % 2).ok().filter(|l| *l != u32::MAX).ok_or(WriteError::TooLong)
}
