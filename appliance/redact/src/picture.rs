//! One grey picture of an object's pixels, for a reader of text (OCR). Nothing that is released is made of it.
//!
//! Of several frames it is the temporal median of a few, evenly spread: what is burnt in stands still, what moves goes. Memory is
//! bounded by the number of samples of those frames together, whatever the object's size.

use crate::{
    PixelLayout, RedactError,
    apply::{
        encapsulated::{Frames, expected},
        read,
    },
    codec::FrameCodec,
    image::Photometric,
    jpeg::{self, Colour},
    palette,
    syntax::{BIG_ENDIAN, Syntax},
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Source, Value};
use std::io;

/// Most frames that the median is of.
const MOST_FRAMES: u64 = 9;
/// Most samples of those frames together.
const MOST_SAMPLES: u64 = 16 << 20;
/// Images of fewer rows are made twice their size: their text is small.
const FEW_ROWS: usize = 600;
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

/// A grey picture, light text on dark or dark on light as it was.
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
    /// The picture of the object `ds` in `transfer_syntax_uid`, whose spans point into `input`; at most `most_pixels` a frame.
    ///
    /// # Errors
    /// [`Unseen`].
    pub fn of(ds: &DataSet, transfer_syntax_uid: &str, input: &dyn Source, most_pixels: u64) -> Result<Self, Unseen> {
        let layout = PixelLayout::of(ds).map_err(|_| Unseen::Unsupported)?;
        let pixels = u64::from(layout.rows) * u64::from(layout.columns);
        if pixels > most_pixels {
            return Err(Unseen::TooLarge);
        }
        let value = &ds.get(tags::PIXEL_DATA).ok_or(Unseen::Unsupported)?.value;
        let wanted = (MOST_SAMPLES / pixels).clamp(1, MOST_FRAMES).min(u64::from(layout.frames));
        let mut film = Film::of(ds, transfer_syntax_uid, &layout, value, input)?;
        let frames: Vec<Vec<u16>> = (0..wanted)
            // The middle of each of as many equal parts.
            .map(|n| film.frame(((2 * n + 1) * u64::from(layout.frames) / (2 * wanted)) as usize))
            .collect::<Result<_, _>>()?;
        let mut grey = windowed(&median(frames));
        if layout.photometric == Photometric::Monochrome1 {
            grey.iter_mut().for_each(|v| *v = !*v);
        }
        let (rows, columns) = (usize::from(layout.rows), usize::from(layout.columns));
        let picture = Self { columns, rows, grey };
        Ok(if rows < FEW_ROWS { picture.doubled() } else { picture.softened() })
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

    /// Twice the size, with values in between.
    fn doubled(&self) -> Self {
        let (columns, rows) = (2 * self.columns, 2 * self.rows);
        let mut grey = Vec::with_capacity(columns * rows);
        // Three parts of the nearer pixel, one of the farther.
        let near = |at: usize, last: usize| {
            (at / 2, if at.is_multiple_of(2) { (at / 2).saturating_sub(1) } else { (at / 2 + 1).min(last) })
        };
        for y in 0..rows {
            let (y0, y1) = near(y, self.rows - 1);
            for x in 0..columns {
                let (x0, x1) = near(x, self.columns - 1);
                let at = |x: usize, y: usize| u32::from(self.grey[y * self.columns + x]);
                let sum = 9 * at(x0, y0) + 3 * at(x1, y0) + 3 * at(x0, y1) + at(x1, y1);
                grey.push((sum / 16) as u8);
            }
        }
        Self { columns, rows, grey }
    }

    /// Each pixel with a share of its neighbours: speckle and the steps of bitmap fonts go.
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

/// Single frames as grey values, the sign taken away by an offset.
struct Film<'a> {
    layout: PixelLayout,
    value: &'a Value,
    input: &'a dyn Source,
    /// Of encapsulated pixels.
    frames: Option<(Coded, Frames<'a>)>,
    /// First pixel value mapped, and the entries' lightness.
    palette: Option<(i64, Vec<u32>)>,
    bytes: Vec<u8>,
    stream: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Coded {
    Jpeg { rgb: bool },
    Frame(FrameCodec),
}

impl<'a> Film<'a> {
    fn of(
        ds: &DataSet,
        transfer_syntax_uid: &str,
        layout: &PixelLayout,
        value: &'a Value,
        input: &'a dyn Source,
    ) -> Result<Self, Unseen> {
        let syntax = Syntax::of(transfer_syntax_uid);
        let mut layout = *layout;
        if ![8, 16, 32].contains(&layout.bits_allocated) || transfer_syntax_uid == BIG_ENDIAN {
            return Err(Unseen::Unsupported);
        }
        let coded = match syntax {
            Syntax::Native => None,
            Syntax::JpegBaseline | Syntax::JpegExtended => {
                Some((Coded::Jpeg { rgb: expected(&layout).colour == Colour::Rgb }, Some([0xFF, 0xD8])))
            }
            other => {
                let codec = FrameCodec::of(other).filter(|c| c.is_supported(&layout)).ok_or(Unseen::Unsupported)?;
                // A decoded frame is pixel by pixel.
                layout.planar = false;
                Some((Coded::Frame(codec), codec.start()))
            }
        };
        let frames = match coded {
            Some((coded, start)) => Some((coded, Frames::of(&layout, ds, value, start, input)?)),
            None => None,
        };
        let palette = match layout.photometric {
            Photometric::Palette => Some(palette::sums(ds, &layout, input)?),
            Photometric::YbrRct | Photometric::YbrIct => return Err(Unseen::Unsupported),
            _ => None,
        };
        Ok(Self { layout, value, input, frames, palette, bytes: Vec::new(), stream: Vec::new() })
    }

    /// The grey values of frame `index`, from 0.
    fn frame(&mut self, index: usize) -> Result<Vec<u16>, Unseen> {
        let layout = self.layout;
        match &self.frames {
            None => {
                let length = PixelLayout { frames: 1, ..layout }.native_length().ok_or(Unseen::Unsupported)?;
                self.bytes.resize(usize::try_from(length).map_err(|_| Unseen::TooLarge)?, 0);
                read(self.value, length * index as u64, &mut self.bytes, self.input)?;
            }
            Some((coded, frames)) => {
                frames.read(index, &mut self.stream)?;
                match coded {
                    Coded::Jpeg { rgb } => {
                        return jpeg::grey::decode(&self.stream, (layout.rows, layout.columns), *rgb)
                            .map_err(|_| Unseen::Unsupported);
                    }
                    Coded::Frame(codec) => {
                        codec.decode(&self.stream, &layout, &mut self.bytes).map_err(|_| Unseen::Unsupported)?;
                    }
                }
            }
        }
        let grey = self.grey();
        let pixels = usize::from(layout.rows) * usize::from(layout.columns);
        if grey.len() == pixels { Ok(grey) } else { Err(Unseen::Unsupported) }
    }

    /// The samples of one frame as grey values of at most 16 bit.
    fn grey(&self) -> Vec<u16> {
        let layout = &self.layout;
        let width = usize::from(layout.bits_allocated / 8);
        let low = layout.high_bit + 1 - layout.bits_stored;
        let mask = u32::MAX >> (32 - u32::from(layout.bits_stored));
        let sign = if layout.signed { 1 << (layout.bits_stored - 1) } else { 0 };
        let above = layout.bits_stored.saturating_sub(16);
        let value = |sample: &[u8]| {
            let raw = sample.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            (raw >> low & mask) ^ sign
        };
        let short = |value: u32| (value >> above) as u16;
        let mix =
            |[r, g, b]: [u32; 3]| short(((u64::from(r) * 77 + u64::from(g) * 150 + u64::from(b) * 29) >> 8) as u32);
        let samples = |bytes: &[u8]| bytes.chunks_exact(width).map(value).collect::<Vec<u32>>();
        match layout.photometric {
            Photometric::Palette => {
                let Some((start, sums)) = &self.palette else { return Vec::new() };
                let most = sums.iter().max().copied().unwrap_or(0).max(1);
                let entry = |sample: u32| {
                    // With the sign that `value` turned into an offset.
                    let number = i64::from(sample) - i64::from(sign) - start;
                    let number = usize::try_from(number).unwrap_or(0).min(sums.len().saturating_sub(1));
                    (u64::from(sums.get(number).copied().unwrap_or(0)) * 255 / u64::from(most)) as u16
                };
                self.bytes.chunks_exact(width).map(|sample| entry(value(sample))).collect()
            }
            // Two luma samples, then two of colour (PS3.3 C.7.6.3.1.2).
            Photometric::YbrFull422 => self
                .bytes
                .chunks_exact(4 * width)
                .flat_map(|unit| [0, 1].map(|n| short(value(&unit[n * width..(n + 1) * width]))))
                .collect(),
            _ if layout.samples == 1 => self.bytes.chunks_exact(width).map(|sample| short(value(sample))).collect(),
            photometric if layout.planar => {
                let plane = self.bytes.len() / 3;
                let planes: Vec<Vec<u32>> = self.bytes.chunks_exact(plane.max(1)).take(3).map(samples).collect();
                let [a, b, c] = planes.as_slice() else { return Vec::new() };
                match photometric {
                    Photometric::Rgb => a.iter().zip(b).zip(c).map(|((a, b), c)| mix([*a, *b, *c])).collect(),
                    _ => a.iter().map(|y| short(*y)).collect(),
                }
            }
            photometric => self
                .bytes
                .chunks_exact(3 * width)
                .map(|pixel| match photometric {
                    Photometric::Rgb => mix([0, 1, 2].map(|n| value(&pixel[n * width..(n + 1) * width]))),
                    _ => short(value(&pixel[..width])),
                })
                .collect(),
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
