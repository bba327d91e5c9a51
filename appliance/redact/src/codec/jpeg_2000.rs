//! JPEG 2000 (ISO/IEC 15444-1) and HTJ2K (15444-15) frames, decoded by OpenJPEG; PS3.5 A.4.4 and 8.2.4.
//!
//! The main header is read here first: the decoder sees only codestreams whose size, components and precision are those the
//! attributes state, so that what it reserves is bounded by the image. There is no encoder: a decoded frame stays native.

use jpeg2k::{DecodeParameters, Image};

use super::CodecError;
use crate::image::{Photometric, PixelLayout};

/// How a codestream begins (SOC).
pub(super) const START: [u8; 2] = [0xFF, 0x4F];
/// A lossy wavelet smears a pixel over this many neighbours at the usual five levels, to any visible degree.
pub(super) const MARGIN_PX: u32 = 16;

/// True when frames of this layout are handled.
pub(super) fn is_supported(layout: &PixelLayout) -> bool {
    [8, 16].contains(&layout.bits_allocated)
        && layout.high_bit + 1 == layout.bits_stored
        && !matches!(layout.photometric, Photometric::YbrFull422 | Photometric::YbrPartial420 | Photometric::Xyb)
}

/// What the main header says.
struct MainHeader {
    rows: u32,
    columns: u32,
    /// Precision of each component, bits.
    components: Vec<u16>,
    /// The components are transformed (Table A.17).
    transformed: bool,
    /// The reversible 5-3 wavelet (Table A.20).
    reversible: bool,
}

/// Decodes a frame into `samples` (little endian, pixel by pixel), which is cleared first. True when the wavelet was the
/// reversible one.
pub(super) fn decode(stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<bool, CodecError> {
    let stream = codestream(stream)?;
    let header = MainHeader::read(stream)?;
    let fits = (header.rows, header.columns) == (u32::from(layout.rows), u32::from(layout.columns))
        && header.components.len() == usize::from(layout.samples)
        && header.components.iter().all(|bits| *bits <= layout.bits_allocated)
        && (header.transformed || !matches!(layout.photometric, Photometric::YbrRct | Photometric::YbrIct));
    if !fits {
        return Err(CodecError::Geometry);
    }
    let malformed = |_| CodecError::Malformed("JPEG 2000 codestream cannot be decoded");
    let image = Image::from_bytes_with(stream, DecodeParameters::new().strict(true)).map_err(malformed)?;
    let size = usize::from(layout.rows) * usize::from(layout.columns);
    let components = image.components();
    let whole = |c: &jpeg2k::ImageComponent| (c.width(), c.height()) == (header.columns, header.rows);
    if components.len() != header.components.len() || !components.iter().all(whole) {
        return Err(CodecError::Geometry);
    }
    samples.clear();
    samples.reserve(size * components.len() * usize::from(layout.bits_allocated / 8));
    let planes: Vec<&[i32]> = components.iter().map(|c| c.data()).collect();
    if planes.iter().any(|plane| plane.len() != size) {
        return Err(CodecError::Geometry);
    }
    // Codestream and Pixel Representation may differ as to sign; the bits of the stream's precision are the value.
    let shifts: Vec<u32> = header.components.iter().map(|bits| 32 - u32::from(*bits)).collect();
    for pixel in 0..size {
        for (plane, shift) in planes.iter().zip(&shifts) {
            let bits = (plane[pixel] as u32) << shift;
            let value = if layout.signed { (bits as i32 >> shift) as u32 } else { bits >> shift };
            match layout.bits_allocated {
                8 => samples.push(value as u8),
                _ => samples.extend_from_slice(&(value as u16).to_le_bytes()),
            }
        }
    }
    Ok(header.reversible)
}

/// The codestream of a frame, which some writers leave in its JP2 boxes (ISO/IEC 15444-1 annex I; not allowed by PS3.5 A.4.4).
fn codestream(stream: &[u8]) -> Result<&[u8], CodecError> {
    const CONTIGUOUS_CODESTREAM: &[u8] = b"jp2c";
    let broken = CodecError::Malformed("JP2 boxes");
    if !stream.starts_with(b"\0\0\0\x0cjP  ") {
        return Ok(stream);
    }
    let mut rest = stream;
    loop {
        let head = rest.first_chunk::<8>().ok_or(broken)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (start, end) = match length {
            0 => (8, rest.len()),
            1 => {
                let long = rest.get(8..16).and_then(|b| b.first_chunk::<8>()).ok_or(broken)?;
                (16, usize::try_from(u64::from_be_bytes(*long)).map_err(|_| broken)?)
            }
            length => (8, length),
        };
        let content = rest.get(start..end).ok_or(broken)?;
        if &head[4..] == CONTIGUOUS_CODESTREAM {
            return Ok(content);
        }
        rest = &rest[end..];
    }
}

impl MainHeader {
    /// Reads SIZ (A.5.1) and COD (A.6.1); a codestream whose parts or components are coded otherwise (COC) is not handled.
    fn read(stream: &[u8]) -> Result<Self, CodecError> {
        let short = CodecError::Malformed("JPEG 2000 main header");
        let u16_at = |bytes: &[u8], at: usize| -> Result<u32, CodecError> {
            Ok(u32::from(u16::from_be_bytes([*bytes.get(at).ok_or(short)?, *bytes.get(at + 1).ok_or(short)?])))
        };
        let u32_at = |bytes: &[u8], at: usize| Ok(u16_at(bytes, at)? << 16 | u16_at(bytes, at + 2)?);
        if !stream.starts_with(&START) {
            return Err(CodecError::Unsupported("no bare JPEG 2000 codestream"));
        }
        let (mut size, mut coding) = (None, None);
        let mut at = 2;
        loop {
            let marker = u16_at(stream, at)?;
            if marker == 0xFF90 {
                break; // SOT: the main header ends.
            }
            let length = u16_at(stream, at + 2)? as usize;
            let segment = stream.get(at + 4..at + 2 + length.max(2)).ok_or(short)?;
            match marker {
                0xFF51 => {
                    let from = |at: usize| -> Result<u32, CodecError> { u32_at(segment, at) };
                    let (origin, size_x, size_y) = ((from(10)?, from(14)?), from(2)?, from(6)?);
                    let number = u16_at(segment, 34)? as usize;
                    let each = segment.get(36..36 + 3 * number).ok_or(short)?;
                    if origin != (0, 0) || each.chunks_exact(3).any(|c| (c[1], c[2]) != (1, 1)) {
                        return Err(CodecError::Unsupported("JPEG 2000 image offset or subsampling"));
                    }
                    let components = each.chunks_exact(3).map(|c| u16::from(c[0] & 0x7F) + 1);
                    size = Some((size_y, size_x, components.collect::<Vec<_>>()));
                }
                0xFF52 => {
                    let (transformed, wavelet) = (segment.get(4).ok_or(short)?, segment.get(9).ok_or(short)?);
                    coding = Some((*transformed != 0, *wavelet == 1));
                }
                0xFF53 => return Err(CodecError::Unsupported("JPEG 2000 components coded differently")),
                _ => {}
            }
            at += 2 + length.max(2);
        }
        let ((rows, columns, components), (transformed, reversible)) = size.zip(coding).ok_or(short)?;
        Ok(Self { rows, columns, components, transformed, reversible })
    }
}
