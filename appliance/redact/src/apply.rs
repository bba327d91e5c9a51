//! Carries a plan out: reads frame by frame, writes the new pixel stream to scratch, reads it back and proves it.
//!
//! Memory holds a run of lines (native) or a few copies of one frame (encapsulated), whatever the number of frames.

pub(crate) mod encapsulated;
mod redacting;

pub use redacting::Redacting;

use crate::{
    PixelClearance,
    codec::{CodecError, FrameDecoder},
    decide::{Method, Plan},
    fragments,
    image::{Inconsistent, Photometric, PixelLayout},
    jpeg::JpegError,
    native::{self, Native},
    palette,
};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Element, Origin, Source, Value};
use std::io;

/// Where the new pixel stream goes. Spans with [`Origin::Scratch`] point into it.
pub trait Scratch: Source {
    /// Appends; afterwards [`Source::len`] has grown by the length of `bytes` and they can be read.
    ///
    /// # Errors
    /// The medium's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Scratch for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Why a plan could not be carried out. The data set is then unchanged; scratch holds rubbish.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The object could not be read.
    #[error("the object could not be read")]
    Read(#[source] io::Error),
    /// Scratch could not be written or read.
    #[error("scratch space failed")]
    Scratch(#[source] io::Error),
    /// Pixel data contradict the attributes, or these have changed since the plan was made.
    #[error("pixel data contradict the attributes")]
    Inconsistent,
    /// A frame's JPEG stream.
    #[error("frame {frame}")]
    Jpeg {
        /// Frame, from 1.
        frame: u32,
        /// What.
        #[source]
        error: JpegError,
    },
    /// A frame's stream.
    #[error("frame {frame}")]
    Codec {
        /// Frame, from 1.
        frame: u32,
        /// What.
        #[source]
        error: CodecError,
    },
    /// The image is not laid out as the template expects.
    #[error("anchor {anchor} fails on frame {frame}")]
    Anchor {
        /// Frame, from 1.
        frame: u32,
        /// Anchor of the template, from 1.
        anchor: u32,
    },
    /// What was written is not what it must be.
    #[error("redaction of frame {frame} unproven")]
    Unproven {
        /// Frame, from 1.
        frame: u32,
    },
    /// More or larger frames of video than are coded here.
    #[error("larger than is coded here")]
    TooLarge,
    /// The way to the coder of video.
    #[error("coder of video failed")]
    Coder(#[source] io::Error),
}

impl RedactError {
    /// The word of `gift_status::HoldReason` under which the object is held; `None` for a failed medium (retry, or stop).
    pub fn hold(&self) -> Option<&'static str> {
        match self {
            Self::Read(_) | Self::Scratch(_) | Self::Coder(_) => None,
            Self::TooLarge => Some("limit-exceeded"),
            Self::Anchor { .. } => Some("template-mismatch"),
            Self::Inconsistent
            | Self::Jpeg { error: JpegError::Geometry, .. }
            | Self::Codec { error: CodecError::Geometry, .. } => Some("inconsistent"),
            Self::Jpeg { error: JpegError::Unsupported(_), .. }
            | Self::Codec { error: CodecError::Unsupported(_), .. } => Some("unsupported-transfer-syntax"),
            Self::Jpeg { error: JpegError::Unproven(_), .. } | Self::Unproven { .. } => Some("redaction-unproven"),
            Self::Jpeg { .. } | Self::Codec { .. } => Some("decode-failed"),
        }
    }
}

impl From<Inconsistent> for RedactError {
    fn from(_: Inconsistent) -> Self {
        Self::Inconsistent
    }
}

/// Bytes per read and write of native pixels: fits the caches, makes long enough system calls.
const RUN_BYTES: usize = 256 << 10;

/// Carries `plan` out on the object it was made for, once the template's anchors have held in its every frame (of encapsulated ones
/// each before it is touched). `input` is what spans with [`Origin::Input`] point into. On success
/// Pixel Data (7FE0,0010) is new, offset tables are rebuilt, icons (0088,0200) are gone, and, when regions were blanked,
/// Burned In Annotation is NO (PS3.15 E.3.1).
///
/// # Errors
/// See [`RedactError`]; nothing of a failed redaction may be released.
pub fn apply(
    plan: &Plan,
    ds: &mut DataSet,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<PixelClearance, RedactError> {
    if PixelLayout::of(ds)? != plan.layout {
        return Err(RedactError::Inconsistent);
    }
    let element = ds.get(tags::PIXEL_DATA).ok_or(RedactError::Inconsistent)?;
    let (vr, value) = match plan.method {
        Method::Native => {
            let vr = if plan.layout.bits_allocated > 8 || element.vr == VR::OW { VR::OW } else { VR::OB };
            (vr, native_pixels(plan, ds, input, scratch)?)
        }
        Method::Jpeg => (VR::OB, encapsulated::jpeg(plan, ds, &element.value, input, scratch)?),
        Method::StripProgressiveJpeg => {
            (VR::OB, encapsulated::progressive_jpeg(plan, ds, &element.value, input, scratch)?)
        }
        Method::Frames(codec) => (VR::OB, encapsulated::frames(codec, plan, ds, &element.value, input, scratch)?),
        Method::Video(_) => {
            return Err(RedactError::Codec { frame: 1, error: CodecError::Unsupported("video without a coder") });
        }
        Method::Decoded { decoder, lossless } => {
            let (value, loss) = encapsulated::decoded((decoder, lossless), plan, ds, &element.value, input, scratch)?;
            native_attributes(ds, decoder, &plan.layout, loss);
            (if plan.layout.bits_allocated > 8 { VR::OW } else { VR::OB }, value)
        }
    };
    let (frames, regions) = (plan.layout.frames, plan.mask.rects().to_vec());
    let clearance = PixelClearance::new(plan.basis.clone(), frames, regions, &value);
    finished(plan, ds, vr, value);
    Ok(clearance)
}

/// Puts the new Pixel Data and what goes with it.
pub(crate) fn finished(plan: &Plan, ds: &mut DataSet, vr: VR, value: Value) {
    ds.insert(Element { tag: tags::PIXEL_DATA, vr, value });
    ds.remove(fragments::EXTENDED_OFFSET_TABLE);
    ds.remove(fragments::EXTENDED_OFFSET_TABLE_LENGTHS);
    ds.remove(tags::ICON_IMAGE_SEQUENCE);
    if !plan.mask.is_empty() {
        ds.insert(Element::new(tags::BURNED_IN_ANNOTATION, VR::CS, *b"NO"));
    }
}

/// What changes with the encoding (PS3.3 C.7.6.3.1.2, C.7.6.1.1.5): a decoded image is RGB and pixel by pixel; that it was
/// compressed with loss is said when nothing says it. `loss` is the ratio of that compression.
fn native_attributes(ds: &mut DataSet, decoder: FrameDecoder, layout: &PixelLayout, loss: Option<f64>) {
    if layout.samples == 3 {
        ds.put_u16(tags::PLANAR_CONFIGURATION, 0);
    }
    ds.put_str(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, decoder.decoded(layout.photometric).as_str());
    if let (Some(ratio), true) = (loss, ds.str(tags::LOSSY_IMAGE_COMPRESSION).as_deref() != Some("01")) {
        ds.put_str(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
        ds.put_str(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, &format!("{ratio:.2}"));
        ds.put_str(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, decoder.method_term());
    }
}

/// Reads `into.len()` bytes at `at` of a value.
pub(crate) fn read(value: &Value, at: u64, into: &mut [u8], input: &dyn Source) -> Result<(), RedactError> {
    match value {
        Value::Bytes(bytes) => bytes.as_slice().read_exact_at(into, at).map_err(|_| RedactError::Inconsistent),
        Value::Span { origin: Origin::Input, offset, length } => {
            if at.checked_add(into.len() as u64).is_none_or(|end| end > *length) {
                return Err(RedactError::Inconsistent);
            }
            let from = offset.checked_add(at).ok_or(RedactError::Inconsistent)?;
            input.read_exact_at(into, from).map_err(RedactError::Read)
        }
        _ => Err(RedactError::Inconsistent),
    }
}

/// The line writer for a plan.
fn lines_of<'p>(
    plan: &'p Plan,
    layout: &PixelLayout,
    ds: &DataSet,
    input: &dyn Source,
) -> Result<Native<'p>, RedactError> {
    let darkest = match layout.photometric {
        Photometric::Palette if !plan.mask.is_empty() => palette::darkest(ds, layout, input)?,
        _ => 0,
    };
    Ok(Native::new(layout, &plan.mask, native::black(layout, darkest)))
}

/// Native pixels by way of scratch: what [`Redacting`] hands out, written and read back.
fn native_pixels(
    plan: &Plan,
    ds: &DataSet,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<Value, RedactError> {
    let redacting = Redacting::of(plan, ds, input)?;
    let (offset, length) = (scratch.len(), redacting.len());
    let frame_bytes = (length / u64::from(plan.layout.frames)).max(1);
    let (mut written, mut there) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < length {
        let bytes = (length - at).min(RUN_BYTES as u64) as usize;
        written.resize(bytes, 0);
        if let Err(error) = redacting.read_exact_at(&mut written, at) {
            return Err(if redacting.is_unproven() { unproven(redacting) } else { RedactError::Read(error) });
        }
        scratch.append(&written).map_err(RedactError::Scratch)?;
        // From here on only what can be read back counts.
        there.clear();
        there.resize(bytes, 0x5A);
        scratch.read_exact_at(&mut there, offset + at).map_err(RedactError::Scratch)?;
        if let Some(other) = written.iter().zip(&there).position(|(w, t)| w != t) {
            return Err(RedactError::Unproven { frame: ((at + other as u64) / frame_bytes) as u32 + 1 });
        }
        at += bytes as u64;
    }
    Ok(Value::Span { origin: Origin::Scratch, offset, length })
}

fn unproven(redacting: Redacting<'_>) -> RedactError {
    redacting.clearance().err().unwrap_or(RedactError::Inconsistent)
}

#[cfg(test)]
mod tests;
