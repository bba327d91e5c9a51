//! JPEG XL frames (ISO/IEC 18181-1), decoded by jxl-oxide; PS3.5 A.4.12 and 8.2.15.
//!
//! Size, depth, components and colour are read from the image header before the decoder sees a byte, and what it may reserve is
//! bounded by the size of the image. There is no encoder: a decoded frame stays native.

use std::borrow::Cow;

use jxl_bitstream::Bitstream;
use jxl_oxide::{
    AllocTracker, InitializeResult, JxlImage,
    frame::Encoding,
    image::{BitDepth, ImageHeader},
};
use jxl_oxide_common::Bundle as _;

use super::CodecError;
use crate::image::{Photometric, PixelLayout};

/// How a bare codestream begins.
pub(super) const START: [u8; 2] = [0xFF, 0x0A];
/// A letter is smeared over no more neighbours than this, to any visible degree. Measured: 5 px (docs/decisions/0009).
pub(super) const MARGIN_PX: u32 = 16;
/// What decoding may reserve, bytes: for each pixel of the image (twice what three lossy components need), and whatever its size.
const BYTES_PER_PIXEL: usize = 64;
const BYTES_AT_LEAST: usize = 16 << 20;
/// Most frames, of which all but the last are not shown by themselves (patches, blended layers, low frequencies).
const MAX_FRAMES: usize = 64;

/// True when frames of this layout are handled. The format has no signed samples; indices of a palette bear no loss.
pub(super) fn is_supported(layout: &PixelLayout, lossless: bool) -> bool {
    let photometric = match layout.photometric {
        Photometric::Monochrome1 | Photometric::Monochrome2 | Photometric::Rgb => true,
        Photometric::Palette => lossless,
        Photometric::YbrFull | Photometric::YbrFull422 | Photometric::Xyb => !lossless,
        Photometric::YbrPartial420 | Photometric::YbrRct | Photometric::YbrIct => false,
    };
    photometric
        && [8, 16].contains(&layout.bits_allocated)
        && layout.bits_stored >= 8
        && layout.high_bit + 1 == layout.bits_stored
        && !layout.signed
}

/// Decodes a frame into `samples` (little endian, pixel by pixel), which is cleared first. True when it is in the mode of lossless
/// images.
pub(super) fn decode(stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<bool, CodecError> {
    let malformed = CodecError::Malformed("JPEG XL codestream cannot be decoded");
    let stream = codestream(stream)?;
    let header = ImageHeader::parse(&mut Bitstream::new(&stream), ()).map_err(|_| malformed)?;
    let bits = check(&header, layout)?;

    let pixels = usize::from(layout.rows) * usize::from(layout.columns);
    let tracker = AllocTracker::with_limit(BYTES_AT_LEAST + BYTES_PER_PIXEL * pixels);
    let mut decoder = JxlImage::builder().alloc_tracker(tracker).build_uninit();
    decoder.feed_bytes(&stream).map_err(|_| malformed)?;
    let Ok(InitializeResult::Initialized(image)) = decoder.try_init() else { return Err(malformed) };
    if !image.is_loading_done() {
        return Err(CodecError::Malformed("JPEG XL codestream ends early"));
    }
    if image.num_loaded_keyframes() != 1 || image.num_loaded_frames() > MAX_FRAMES {
        return Err(CodecError::Geometry);
    }
    let (coded_lossless, ycbcr) = coding(&image);
    match layout.photometric {
        Photometric::YbrFull | Photometric::YbrFull422 if !ycbcr => return Err(CodecError::Geometry),
        Photometric::Xyb if !header.metadata.xyb_encoded => return Err(CodecError::Geometry),
        _ => {}
    }

    let render = image.render_frame(0).map_err(|_| malformed)?;
    let mut planes = render.stream();
    let size = (planes.height(), planes.width(), planes.channels());
    if size != (layout.rows.into(), layout.columns.into(), layout.samples.into()) {
        return Err(CodecError::Geometry);
    }
    samples.clear();
    samples.reserve(pixels * usize::from(layout.samples) * usize::from(layout.bits_allocated / 8));
    let greatest = ((1u32 << bits) - 1) as f32;
    let mut line = vec![0f32; usize::from(layout.columns) * usize::from(layout.samples)];
    for _ in 0..layout.rows {
        if planes.write_to_buffer(&mut line) != line.len() {
            return Err(malformed);
        }
        // Exact for what is lossless: 24 bits of mantissa hold a fraction of 16 bits. What is no number becomes 0.
        let values = line.iter().map(|sample| (sample * greatest).round().clamp(0.0, greatest) as u16);
        match layout.bits_allocated {
            8 => samples.extend(values.map(|value| value as u8)),
            _ => samples.extend(values.flat_map(u16::to_le_bytes)),
        }
    }
    Ok(coded_lossless)
}

/// Holds the image header against the attributes; bits per sample.
fn check(header: &ImageHeader, layout: &PixelLayout) -> Result<u16, CodecError> {
    let metadata = &header.metadata;
    let BitDepth::IntegerSample { bits_per_sample } = metadata.bit_depth else {
        return Err(CodecError::Unsupported("JPEG XL floating point samples"));
    };
    // Some writers give the width of the cell for the depth.
    let bits = [layout.bits_stored, layout.bits_allocated].into_iter().find(|bits| u32::from(*bits) == bits_per_sample);
    let fits = (header.size.height, header.size.width) == (u32::from(layout.rows), u32::from(layout.columns))
        && metadata.grayscale() == (layout.samples == 1);
    let (Some(bits), true) = (bits, fits) else { return Err(CodecError::Geometry) };
    let unsupported = [
        (metadata.orientation != 1, "JPEG XL orientation"),
        (metadata.preview.is_some(), "JPEG XL preview"),
        (metadata.animation.is_some(), "JPEG XL animation"),
        (!metadata.ec_info.is_empty(), "JPEG XL extra channels"),
        (metadata.colour_encoding.want_icc(), "JPEG XL with an ICC profile"),
    ];
    match unsupported.into_iter().find(|(is, _)| *is) {
        Some((_, what)) => Err(CodecError::Unsupported(what)),
        None => Ok(bits),
    }
}

/// Whether all frames are in the mode of lossless images, and whether one is in YCbCr.
fn coding(image: &JxlImage) -> (bool, bool) {
    let mut coded_lossless = !image.image_header().metadata.xyb_encoded;
    let mut ycbcr = false;
    for frame in (0..image.num_loaded_frames()).filter_map(|index| image.frame(index)) {
        let header = frame.header();
        let filtered = header.restoration_filter.gab.enabled() || header.restoration_filter.epf.enabled();
        coded_lossless &=
            header.encoding == Encoding::Modular && !header.do_ycbcr && header.upsampling == 1 && !filtered;
        ycbcr |= header.do_ycbcr;
    }
    (coded_lossless, ycbcr)
}

/// The codestream of a frame, which may stand in boxes (ISO/IEC 18181-2). The other boxes (Exif, XMP, what makes the JPEG again) are
/// not looked at.
fn codestream(stream: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
    const SIGNATURE: &[u8] = b"\0\0\0\x0cJXL \r\n\x87\n";
    let broken = CodecError::Malformed("JPEG XL boxes");
    if !stream.starts_with(SIGNATURE) {
        return Ok(Cow::Borrowed(stream));
    }
    let (mut rest, mut parts, mut last) = (stream, Vec::new(), false);
    // What is shorter than a box's head is padding of the fragment.
    while let Some(head) = rest.first_chunk::<8>() {
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
        match &head[4..] {
            b"jxlc" if parts.is_empty() && !last => return Ok(Cow::Borrowed(content)),
            // Parts are numbered from 0; the highest bit is set in the last one.
            b"jxlp" => {
                let (number, part) = content.split_first_chunk::<4>().ok_or(broken)?;
                let number = u32::from_be_bytes(*number);
                if last || (number & 0x7FFF_FFFF) as usize != parts.len() {
                    return Err(broken);
                }
                last = number >> 31 == 1;
                parts.push(part);
            }
            _ => {}
        }
        rest = &rest[end..];
    }
    if last { Ok(Cow::Owned(parts.concat())) } else { Err(broken) }
}
