//! Objects with file meta information (PS3.10 §7.1), present, damaged or absent, and bare data sets.

use dicom_core::{Tag, VR};

use super::error::{Fault, ReadError};
use super::inflate::inflate;
use super::source::{Body, Cursor};
use super::syntax::{
    EXPLICIT, EXPLICIT_BIG, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, encoding_of,
};
use super::vr::is_long_form;
use super::{Limits, Source, read};

/// Length of the preamble, bytes.
const PREAMBLE: u64 = 128;
const MAGIC: &[u8; 4] = b"DICM";
/// Most bytes of one value of file meta information that are read; longer ones (private information) are passed over.
const MAX_META_VALUE: u32 = 1 << 10;

/// What the file meta information says, as far as anyone needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileMeta {
    /// Transfer Syntax UID (0002,0010); guessed when absent.
    pub transfer_syntax_uid: String,
    /// Media Storage SOP Class UID (0002,0002); empty when absent.
    pub sop_class_uid: String,
    /// Media Storage SOP Instance UID (0002,0003); empty when absent.
    pub sop_instance_uid: String,
}

/// A data set and the bytes that its input spans point into.
#[derive(Debug)]
pub struct Parsed<'s> {
    /// The tree.
    pub data_set: super::DataSet,
    /// What [`super::Origin::Input`] means in it.
    pub body: Body<'s>,
}

/// Reads a bare data set, as the receiver stores it.
///
/// # Errors
/// See [`ReadError`]; never a panic, never more memory than `limits` and the bytes that exist.
pub fn read_dataset<'s>(
    source: &'s dyn Source,
    transfer_syntax_uid: &str,
    limits: &Limits,
) -> Result<Parsed<'s>, ReadError> {
    read_from(source, 0, transfer_syntax_uid, limits)
}

/// Reads an object with or without preamble and file meta information. What is missing is guessed as DCMTK does: from the
/// first element, whether it is explicit VR and of which byte order.
///
/// # Errors
/// As [`read_dataset`].
pub fn read_part10<'s>(source: &'s dyn Source, limits: &Limits) -> Result<(FileMeta, Parsed<'s>), ReadError> {
    let mut start = 0;
    for at in [PREAMBLE, 0] {
        let mut magic = [0; 4];
        if source.len() >= at + 4 {
            source.read_exact_at(&mut magic, at)?;
            if &magic == MAGIC {
                start = at + 4;
                break;
            }
        }
    }
    let (mut meta, start) = read_meta(&Cursor::new(source), start)?;
    if meta.transfer_syntax_uid.is_empty() {
        meta.transfer_syntax_uid = guess(source, start)?.to_owned();
    }
    let parsed = read_from(source, start, &meta.transfer_syntax_uid, limits)?;
    Ok((meta, parsed))
}

fn read_from<'s>(source: &'s dyn Source, start: u64, uid: &str, limits: &Limits) -> Result<Parsed<'s>, ReadError> {
    let (mut encoding, deflated) = encoding_of(uid);
    let (body, start) =
        if deflated { (Body::inflated(inflate(source, start, limits)?), 0) } else { (Body::given(source), start) };
    // What is announced as implicit may be explicit, and the byte order may be another: the first element tells. (Implicit
    // elements under an explicit syntax are understood one by one.)
    if matches!(uid, IMPLICIT_VR_LITTLE_ENDIAN | EXPLICIT_VR_LITTLE_ENDIAN | EXPLICIT_VR_BIG_ENDIAN) {
        encoding = match guess(&body, start) {
            Ok(EXPLICIT_VR_LITTLE_ENDIAN) => EXPLICIT,
            Ok(EXPLICIT_VR_BIG_ENDIAN) => EXPLICIT_BIG,
            _ => encoding,
        };
    }
    let (data_set, swapped) = read::read(&body, start, encoding, limits)?;
    Ok(Parsed { data_set, body: body.with_swapped(swapped) })
}

/// Reads group 0002 from `at`, whatever its group length claims: it ends where another group begins. It is always explicit VR
/// little endian; a writer that used implicit VR is understood.
fn read_meta(source: &Cursor<'_>, mut at: u64) -> Result<(FileMeta, u64), ReadError> {
    let mut meta = FileMeta::default();
    let fault = |offset| ReadError::Malformed { offset, what: Fault::FileMeta };
    loop {
        let mut head = [0; 8];
        if source.end().saturating_sub(at) < 8 {
            return Ok((meta, at));
        }
        source.read(&mut head, at)?;
        if u16::from_le_bytes([head[0], head[1]]) != 2 {
            return Ok((meta, at));
        }
        let tag = Tag(2, u16::from_le_bytes([head[2], head[3]]));
        let (length, header) = match VR::from_binary([head[4], head[5]]) {
            Some(vr) if is_long_form(vr) => {
                let mut length = [0; 4];
                if source.end() - at < 12 {
                    return Err(fault(at));
                }
                source.read(&mut length, at + 8)?;
                (u32::from_le_bytes(length), 12)
            }
            Some(_) => (u32::from(u16::from_le_bytes([head[6], head[7]])), 8),
            None => (u32::from_le_bytes([head[4], head[5], head[6], head[7]]), 8),
        };
        let value = at + header;
        let next = value.checked_add(u64::from(length)).filter(|end| *end <= source.end()).ok_or_else(|| fault(at))?;
        let field = match tag.1 {
            0x0002 => Some(&mut meta.sop_class_uid),
            0x0003 => Some(&mut meta.sop_instance_uid),
            0x0010 => Some(&mut meta.transfer_syntax_uid),
            _ => None,
        };
        if let (Some(field), true) = (field, length <= MAX_META_VALUE) {
            let mut bytes = vec![0; length as usize];
            source.read(&mut bytes, value)?;
            *field = String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']).to_owned();
        }
        at = next;
    }
}

/// Guesses a transfer syntax from the first element at `at`.
fn guess(source: &dyn Source, at: u64) -> Result<&'static str, ReadError> {
    let fault = |what| Err(ReadError::Malformed { offset: at, what });
    let mut head = [0; 8];
    match source.len().saturating_sub(at) {
        0 => return fault(Fault::Empty),
        1..8 => return fault(Fault::TruncatedHeader),
        _ => source.read_exact_at(&mut head, at)?,
    }
    let little = u16::from_le_bytes([head[0], head[1]]);
    let big = u16::from_be_bytes([head[0], head[1]]);
    let explicit = VR::from_binary([head[4], head[5]]).is_some();
    // Data sets begin with group 0008 or one near it; as 0800 to 1000 it is no group of the other byte order.
    let swapped = big <= 0x0010 && little > 0x00FF;
    match (explicit, swapped) {
        (true, false) => Ok(EXPLICIT_VR_LITTLE_ENDIAN),
        (true, true) => Ok(EXPLICIT_VR_BIG_ENDIAN),
        (false, false) => Ok(IMPLICIT_VR_LITTLE_ENDIAN),
        (false, true) => fault(Fault::Unguessable),
    }
}
