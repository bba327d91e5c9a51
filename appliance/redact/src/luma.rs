//! How light each pixel of an object's frames is, as anchors count it, in every format that redaction decodes. For tools that show
//! an image or suggest a template for it; nothing that is released is made of it.

use crate::{
    PixelLayout, RedactError,
    anchor::Pixels,
    apply::{
        encapsulated::{Frames, expected},
        read,
    },
    codec::{FrameCodec, FrameDecoder},
    fragments,
    image::Photometric,
    jpeg,
    syntax::{BIG_ENDIAN, Syntax},
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Source, Value};

/// The frames of one object.
pub struct Luma<'a> {
    layout: PixelLayout,
    value: &'a Value,
    input: &'a dyn Source,
    coded: Coded<'a>,
    stream: Vec<u8>,
    samples: Vec<u8>,
}

/// How the frames are coded.
enum Coded<'a> {
    Native(Pixels),
    Jpeg(Frames<'a>),
    Lossless(FrameCodec, Frames<'a>, Pixels),
    Decoded(FrameDecoder, Frames<'a>, Pixels),
}

/// Without pixels.
impl std::fmt::Debug for Luma<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Luma({} frames of {} x {})", self.layout.frames, self.layout.columns, self.layout.rows)
    }
}

impl<'a> Luma<'a> {
    /// Of the object `ds` in `transfer_syntax_uid`, whose spans point into `input`.
    ///
    /// # Errors
    /// [`RedactError::Inconsistent`] for an object without pixels, of a format that is not decoded (progressive JPEG, video), or
    /// whose attributes contradict each other; what reading it gives.
    pub fn of(ds: &'a DataSet, transfer_syntax_uid: &str, input: &'a dyn Source) -> Result<Self, RedactError> {
        let layout = PixelLayout::of(ds)?;
        if layout.photometric == Photometric::YbrPartial420 {
            return Err(RedactError::Inconsistent); // Video is decoded elsewhere.
        }
        let value = &ds.get(tags::PIXEL_DATA).ok_or(RedactError::Inconsistent)?.value;
        // A decoded frame is pixel by pixel.
        let decoded = PixelLayout { planar: false, ..layout };
        let frames = |start| Frames::of(&layout, ds, value, start, input);
        let coded = match Syntax::of(transfer_syntax_uid) {
            Syntax::Native if transfer_syntax_uid == BIG_ENDIAN && layout.bits_allocated > 16 => {
                return Err(RedactError::Inconsistent);
            }
            Syntax::Native => Coded::Native(Pixels::of(&layout, ds, input)?),
            Syntax::JpegBaseline | Syntax::JpegExtended if layout.photometric != Photometric::Palette => {
                Coded::Jpeg(frames(Some([0xFF, 0xD8]))?)
            }
            syntax
                if let Some((decoder, _)) =
                    FrameDecoder::of(syntax).filter(|(decoder, lossless)| decoder.is_supported(&layout, *lossless)) =>
            {
                let decoded = PixelLayout { photometric: decoder.decoded(layout.photometric), ..decoded };
                Coded::Decoded(decoder, frames(Some(decoder.start()))?, Pixels::of(&decoded, ds, input)?)
            }
            other => {
                let codec = FrameCodec::of(other).filter(|c| c.is_supported(&layout));
                let codec = codec.ok_or(RedactError::Inconsistent)?;
                Coded::Lossless(codec, frames(codec.start())?, Pixels::of(&decoded, ds, input)?)
            }
        };
        Ok(Self { layout, value, input, coded, stream: Vec::new(), samples: Vec::new() })
    }

    /// The image.
    pub fn layout(&self) -> &PixelLayout {
        &self.layout
    }

    /// Luma of the pixels of frame `number` (from 1), line by line, from 0 (black) to 255 (white) in steps of 1 ⁄ 256.
    ///
    /// # Errors
    /// There is no such frame, or it cannot be read or decoded.
    pub fn frame(&mut self, number: u32) -> Result<Vec<u16>, RedactError> {
        if !(1..=self.layout.frames).contains(&number) {
            return Err(RedactError::Inconsistent);
        }
        let index = number as usize - 1;
        let (stream, samples) = (&mut self.stream, &mut self.samples);
        let pixels = match &self.coded {
            Coded::Native(pixels) => {
                let length = PixelLayout { frames: 1, ..self.layout }.native_length();
                let length = length.and_then(|l| usize::try_from(l).ok()).ok_or(RedactError::Inconsistent)?;
                let from = (length as u64).checked_mul(index as u64).ok_or(RedactError::Inconsistent)?;
                // What is not there is not made room for.
                if fragments::length(self.value)? < from.saturating_add(length as u64) {
                    return Err(RedactError::Inconsistent);
                }
                samples.resize(length, 0);
                read(self.value, from, samples, self.input)?;
                pixels
            }
            Coded::Jpeg(frames) => {
                frames.read(index, stream)?;
                let found = jpeg::luma(stream, &expected(&self.layout), &[self.layout.rect()]);
                let found = found.map_err(|error| RedactError::Jpeg { frame: number, error })?;
                return found.into_iter().next().ok_or(RedactError::Inconsistent);
            }
            Coded::Lossless(codec, frames, pixels) => {
                frames.read(index, stream)?;
                let decoded = codec.decode(stream, &self.layout, samples);
                decoded.map_err(|error| RedactError::Codec { frame: number, error })?;
                pixels
            }
            Coded::Decoded(decoder, frames, pixels) => {
                frames.read(index, stream)?;
                let decoded = decoder.decode(stream, &self.layout, samples);
                decoded.map_err(|error| RedactError::Codec { frame: number, error })?;
                pixels
            }
        };
        pixels.frame_luma(samples)
    }
}

#[cfg(test)]
mod tests;
