//! A picture of what is printed in an object's pixels, for a reader of text (OCR). Nothing that is released is made of it.
//!
//! Of several frames the temporal median of a few is looked at, evenly spread: what is burnt in stands still, what moves goes. Memory
//! is bounded by the number of samples of those frames together, whatever the object's size.

mod print;

use crate::{
    PixelLayout, RedactError,
    anchor::Pixels,
    apply::{
        encapsulated::{Frames, expected},
        read,
    },
    codec::FrameCodec,
    jpeg,
    syntax::{BIG_ENDIAN, Syntax},
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Source, Value};
use std::io;

/// Most frames that the median is of.
const MOST_FRAMES: u64 = 9;
/// Most samples of those frames together.
const MOST_SAMPLES: u64 = 16 << 20;
/// Of all pixels, this part at either end of the range is taken for black or white, in a thousand.
const CLIPPED: usize = 1;

/// Why there is no picture. None of it is a reason to release or to hold.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// No pixels, or of a form that is not decoded here.
    #[error("pixels of a form that is not looked at")]
    Unsupported,
    /// More pixels than allowed.
    #[error("more pixels than are looked at")]
    TooLarge,
    /// The object could not be read.
    #[error("the object could not be read")]
    Read(#[source] io::Error),
}

impl From<RedactError> for Unseen {
    fn from(error: RedactError) -> Self {
        match error {
            RedactError::Read(error) => Self::Read(error),
            _ => Self::Unsupported,
        }
    }
}

/// A grey picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    columns: usize,
    rows: usize,
    grey: Vec<u8>,
}

/// Without the pixels.
impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} x {})", self.columns, self.rows)
    }
}

impl Picture {
    /// The lines of print, black on white, in the object `ds` in `transfer_syntax_uid`, whose spans point into `input`; at most
    /// `most_pixels` a frame. `None`: nothing looks like print.
    ///
    /// # Errors
    /// [`Unseen`].
    pub fn of_print(
        ds: &DataSet,
        transfer_syntax_uid: &str,
        input: &dyn Source,
        most_pixels: u64,
    ) -> Result<Option<Self>, Unseen> {
        Ok(print::lines(&Self::of(ds, transfer_syntax_uid, input, most_pixels)?))
    }

    /// The pixels.
    fn of(ds: &DataSet, transfer_syntax_uid: &str, input: &dyn Source, most_pixels: u64) -> Result<Self, Unseen> {
        let layout = PixelLayout::of(ds).map_err(|_| Unseen::Unsupported)?;
        let pixels = u64::from(layout.rows) * u64::from(layout.columns);
        if pixels > most_pixels {
            return Err(Unseen::TooLarge);
        }
        let wanted = (MOST_SAMPLES / pixels).clamp(1, MOST_FRAMES).min(u64::from(layout.frames));
        let mut film = Film::of(ds, transfer_syntax_uid, layout, input)?;
        let frames: Vec<Vec<u16>> = (0..wanted)
            // The middle of each of as many equal parts.
            .map(|n| film.frame(((2 * n + 1) * u64::from(layout.frames) / (2 * wanted)) as usize))
            .collect::<Result<_, _>>()?;
        let grey = windowed(&median(frames));
        let (rows, columns) = (usize::from(layout.rows), usize::from(layout.columns));
        Ok(Self { columns, rows, grey })
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.columns, self.rows)
    }

    /// As a portable graymap (PGM, binary).
    pub fn to_pgm(&self) -> Vec<u8> {
        let mut pgm = format!("P5\n{} {}\n255\n", self.columns, self.rows).into_bytes();
        pgm.extend_from_slice(&self.grey);
        pgm
    }

    /// Each pixel with a share of its neighbours: the steps of bitmap fonts go.
    fn softened(&self) -> Self {
        let mut grey = self.grey.clone();
        for y in 1..self.rows.saturating_sub(1) {
            for x in 1..self.columns.saturating_sub(1) {
                let line = |y: usize| {
                    let at = y * self.columns + x;
                    let [a, b, c] = [at - 1, at, at + 1].map(|at| u32::from(self.grey[at]));
                    a + 2 * b + c
                };
                grey[y * self.columns + x] = ((line(y - 1) + 2 * line(y) + line(y + 1)) / 16) as u8;
            }
        }
        Self { grey, ..*self }
    }
}

/// Single frames, as their luma.
struct Film<'a> {
    layout: PixelLayout,
    value: &'a Value,
    input: &'a dyn Source,
    coded: Coded<'a>,
    bytes: Vec<u8>,
    stream: Vec<u8>,
}

enum Coded<'a> {
    Native(Pixels),
    Jpeg(Frames<'a>),
    Frame(FrameCodec, Frames<'a>, Pixels),
}

impl<'a> Film<'a> {
    fn of(
        ds: &'a DataSet,
        transfer_syntax_uid: &str,
        mut layout: PixelLayout,
        input: &'a dyn Source,
    ) -> Result<Self, Unseen> {
        let value = &ds.get(tags::PIXEL_DATA).ok_or(Unseen::Unsupported)?.value;
        // Video is decoded elsewhere.
        if transfer_syntax_uid == BIG_ENDIAN || layout.photometric == crate::Photometric::YbrPartial420 {
            return Err(Unseen::Unsupported);
        }
        let coded = match Syntax::of(transfer_syntax_uid) {
            Syntax::Native => Coded::Native(Pixels::of(&layout, ds, input)?),
            Syntax::JpegBaseline | Syntax::JpegExtended => {
                Coded::Jpeg(Frames::of(&layout, ds, value, Some([0xFF, 0xD8]), input)?)
            }
            other => {
                let codec = FrameCodec::of(other).filter(|c| c.is_supported(&layout)).ok_or(Unseen::Unsupported)?;
                let frames = Frames::of(&layout, ds, value, codec.start(), input)?;
                // A decoded frame is pixel by pixel.
                layout.planar = false;
                Coded::Frame(codec, frames, Pixels::of(&layout, ds, input)?)
            }
        };
        Ok(Self { layout, value, input, coded, bytes: Vec::new(), stream: Vec::new() })
    }

    /// The luma of frame `index`, from 0.
    fn frame(&mut self, index: usize) -> Result<Vec<u16>, Unseen> {
        let Self { layout, value, input, coded, bytes, stream } = self;
        match coded {
            Coded::Native(pixels) => {
                let length = PixelLayout { frames: 1, ..*layout }.native_length().ok_or(Unseen::Unsupported)?;
                bytes.resize(usize::try_from(length).map_err(|_| Unseen::TooLarge)?, 0);
                read(value, length * index as u64, bytes, *input)?;
                Ok(pixels.frame_luma(bytes)?)
            }
            Coded::Jpeg(frames) => {
                frames.read(index, stream)?;
                let whole = jpeg::luma(stream, &expected(layout), &[layout.rect()]).map_err(|_| Unseen::Unsupported)?;
                whole.into_iter().next().ok_or(Unseen::Unsupported)
            }
            Coded::Frame(codec, frames, pixels) => {
                frames.read(index, stream)?;
                codec.decode(stream, layout, bytes).map_err(|_| Unseen::Unsupported)?;
                Ok(pixels.frame_luma(bytes)?)
            }
        }
    }
}

/// The median of each pixel.
fn median(mut frames: Vec<Vec<u16>>) -> Vec<u16> {
    let Some(mut out) = frames.pop() else { return Vec::new() };
    if frames.is_empty() {
        return out;
    }
    let mut column = Vec::with_capacity(frames.len() + 1);
    for (at, value) in out.iter_mut().enumerate() {
        column.clear();
        column.push(*value);
        column.extend(frames.iter().map(|frame| frame[at]));
        let middle = column.len() / 2;
        *value = *column.select_nth_unstable(middle).1;
    }
    out
}

/// To 8 bit: from the least to the greatest value, a few outliers aside.
fn windowed(values: &[u16]) -> Vec<u8> {
    let mut counts = vec![0usize; 1 << 16];
    values.iter().for_each(|v| counts[usize::from(*v)] += 1);
    let spare = values.len() * CLIPPED / 1000;
    let least = end(counts.iter().enumerate(), spare).unwrap_or(0);
    let greatest = end(counts.iter().enumerate().rev(), spare).unwrap_or(0).max(least + 1);
    let scale = |v: &u16| ((u32::from(*v).clamp(least, greatest) - least) * 255 / (greatest - least)) as u8;
    values.iter().map(scale).collect()
}

/// The first value beyond the `spare` outermost ones.
fn end<'a>(mut counts: impl Iterator<Item = (usize, &'a usize)>, spare: usize) -> Option<u32> {
    let mut seen = 0;
    counts.find_map(|(value, count)| {
        seen += count;
        (seen > spare).then_some(value as u32)
    })
}

#[cfg(test)]
mod tests;
