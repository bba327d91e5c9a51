//! Anchors on decoded pixels: which bytes of a frame a rectangle is, and how light each of its pixels is.

use super::{Anchor, Placed, STEP, WHITE, measure::Measure};
use crate::{
    RedactError,
    image::{Photometric, PixelLayout},
    mask::Rect,
    palette,
};
use gift_deidentify::dataset::{DataSet, Source};

/// The anchors of a plan, on frames of one layout.
pub(crate) struct Anchors<'p> {
    placed: &'p [Placed],
    /// Absent without anchors.
    pixels: Option<Pixels>,
}

/// Native pixel data of one layout.
pub(crate) struct Pixels {
    layout: PixelLayout,
    /// Luma by palette entry, and the pixel value of the first.
    palette: Option<(i64, Vec<u16>)>,
}

/// Reads bytes of a frame: offset from its first byte, and where to put them.
type Read<'r> = &'r mut dyn FnMut(u64, &mut [u8]) -> Result<(), RedactError>;

impl<'p> Anchors<'p> {
    /// For frames of native pixel data of `layout` (which, decoded, need not be the object's own).
    pub(crate) fn of(
        placed: &'p [Placed],
        layout: &PixelLayout,
        ds: &DataSet,
        input: &dyn Source,
    ) -> Result<Self, RedactError> {
        let pixels = if placed.is_empty() { None } else { Some(Pixels::of(layout, ds, input)?) };
        Ok(Self { placed, pixels })
    }

    /// True without any.
    pub(crate) fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Checks frame `number` (from 1), the bytes of which `read` gives.
    ///
    /// # Errors
    /// An anchor fails, or reading does.
    pub(crate) fn check(&self, number: u32, read: Read<'_>) -> Result<(), RedactError> {
        let Some(pixels) = &self.pixels else { return Ok(()) };
        let mut line = Line::default();
        for (index, placed) in self.placed.iter().enumerate() {
            let mut measure = Measure::new(placed);
            for y in placed.rect.y0..placed.rect.y1 {
                pixels.read_line(y, placed.rect, read, &mut line)?;
                if measure.wants_samples() {
                    line.bytes.clear();
                    let width = stored_bytes(&pixels.layout);
                    for pixel in &line.pixels {
                        for value in &pixel[..usize::from(pixels.layout.samples)] {
                            line.bytes.extend_from_slice(&value.to_le_bytes()[..width]);
                        }
                    }
                    measure.samples(&line.bytes);
                } else {
                    line.luma.clear();
                    line.luma.extend(line.pixels.iter().map(|pixel| pixels.luma(pixel)));
                    measure.luma(&line.luma);
                }
            }
            failed(measure.holds(), number, index)?;
        }
        Ok(())
    }

    /// Checks a whole frame.
    pub(crate) fn check_frame(&self, number: u32, frame: &[u8]) -> Result<(), RedactError> {
        self.check(number, &mut |offset, into| copy(frame, offset, into))
    }
}

fn copy(frame: &[u8], offset: u64, into: &mut [u8]) -> Result<(), RedactError> {
    let from = usize::try_from(offset).map_err(|_| RedactError::Inconsistent)?;
    into.copy_from_slice(frame.get(from..from + into.len()).ok_or(RedactError::Inconsistent)?);
    Ok(())
}

impl Pixels {
    /// Of that layout (which, decoded, need not be the object's own).
    pub(crate) fn of(layout: &PixelLayout, ds: &DataSet, input: &dyn Source) -> Result<Self, RedactError> {
        if ![8, 16, 32].contains(&layout.bits_allocated) {
            return Err(RedactError::Inconsistent);
        }
        let palette = match layout.photometric {
            Photometric::Palette => Some(palette::luma(ds, layout, input)?),
            _ => None,
        };
        Ok(Self { layout: *layout, palette })
    }

    /// The luma of a whole frame.
    pub(crate) fn frame_luma(&self, frame: &[u8]) -> Result<Vec<u16>, RedactError> {
        let (mut luma, mut line) = (Vec::new(), Line::default());
        let rect = self.layout.rect();
        for y in 0..rect.y1 {
            self.read_line(y, rect, &mut |offset, into| copy(frame, offset, into), &mut line)?;
            luma.extend(line.pixels.iter().map(|pixel| self.luma(pixel)));
        }
        Ok(luma)
    }

    /// Puts the pixels of a rectangle's line `y` into `line.pixels`: the values of Bits Stored, by component.
    fn read_line(&self, y: u32, rect: Rect, read: Read<'_>, line: &mut Line) -> Result<(), RedactError> {
        let layout = &self.layout;
        let (rows, columns) = (u64::from(layout.rows), u64::from(layout.columns));
        let width = usize::from(layout.bits_allocated / 8);
        let shift = u32::from(layout.high_bit + 1 - layout.bits_stored);
        let stored = u32::MAX >> (32 - u32::from(layout.bits_stored.min(32)));
        let value = |bytes: &[u8]| bytes.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b)) >> shift & stored;
        let Line { bytes, pixels, .. } = line;
        pixels.clear();
        let mut bytes_of = |first: u64, samples: usize, bytes: &mut Vec<u8>| {
            bytes.resize(samples * width, 0);
            read(first * width as u64, bytes)
        };
        if layout.photometric == Photometric::YbrFull422 {
            // Pairs of pixels: Y, Y, and the colour of both.
            let (first, behind) = (rect.x0 / 2, rect.x1.div_ceil(2));
            let at = u64::from(y) * columns * 2 + u64::from(first) * 4;
            bytes_of(at, (behind - first) as usize * 4, bytes)?;
            for x in rect.x0..rect.x1 {
                let pair = &bytes[(x / 2 - first) as usize * 4 * width..][..4 * width];
                let sample = |i: usize| value(&pair[i * width..(i + 1) * width]);
                pixels.push([sample((x % 2) as usize), sample(2), sample(3)]);
            }
        } else {
            let samples = usize::from(layout.samples);
            let pixel = u64::from(y) * columns + u64::from(rect.x0);
            let length = rect.width() as usize;
            pixels.resize(length, [0; 3]);
            let planes = if layout.planar && samples == 3 { 3 } else { 1 };
            for plane in 0..planes {
                let (first, each) = if planes == 3 {
                    (plane as u64 * rows * columns + pixel, 1)
                } else {
                    (pixel * samples as u64, samples)
                };
                bytes_of(first, length * each, bytes)?;
                for (pixel, unit) in pixels.iter_mut().zip(bytes.chunks_exact(each * width)) {
                    for (component, sample) in unit.chunks_exact(width).enumerate() {
                        pixel[plane + component] = value(sample);
                    }
                }
            }
        }
        Ok(())
    }

    /// How light a pixel is, in steps of 1 ⁄ 256.
    fn luma(&self, pixel: &[u32; 3]) -> u16 {
        let bits = u32::from(self.layout.bits_stored);
        // Two's complement, counted from its least value.
        let offset = if self.layout.signed { 1u32 << (bits - 1) } else { 0 };
        if let Some((first, entries)) = &self.palette {
            let index = i64::from(pixel[0] ^ offset) - i64::from(offset) - first;
            return entries[index.clamp(0, entries.len() as i64 - 1) as usize];
        }
        let scale = |value: u32| scaled(value ^ offset, bits);
        match self.layout.photometric {
            Photometric::Monochrome1 => (WHITE - scale(pixel[0])) as u16,
            Photometric::Rgb => of_rgb(pixel.map(scale)),
            _ => scale(pixel[0]) as u16,
        }
    }
}

/// Whether a frame decoded elsewhere has the anchor: its luma in the rectangle, line by line. For lossy sources.
pub(crate) fn check_luma(placed: &Placed, luma: &[u16], number: u32, index: usize) -> Result<(), RedactError> {
    let mut measure = Measure::new(placed);
    if !matches!(placed.anchor, Anchor::Digest { .. }) {
        luma.chunks_exact(placed.rect.width() as usize).for_each(|line| measure.luma(line));
    }
    failed(measure.holds(), number, index)
}

fn failed(holds: bool, frame: u32, index: usize) -> Result<(), RedactError> {
    if holds { Ok(()) } else { Err(RedactError::Anchor { frame, anchor: index as u32 + 1 }) }
}

/// A value of so many bits on the scale of luma.
pub(crate) fn scaled(value: u32, bits: u32) -> u32 {
    let greatest = (1u64 << bits) - 1;
    ((u64::from(value) * u64::from(WHITE) + greatest / 2) / greatest) as u32
}

/// Luma of red, green and blue, which are on its scale (Rec. 601, as YBR_FULL; PS3.3 C.7.6.3.1.2).
pub(crate) fn of_rgb([r, g, b]: [u32; 3]) -> u16 {
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u16
}

/// Bytes of a sample in a digest.
fn stored_bytes(layout: &PixelLayout) -> usize {
    match layout.bits_stored {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

/// Room for a line of a rectangle.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    pixels: Vec<[u32; 3]>,
    luma: Vec<u16>,
}

const _: () = assert!(WHITE <= u16::MAX as u32 && STEP == 256);
