//! One frame: three planes, those of chroma with half the columns and rows; samples of one byte, or of two, least significant first.

use crate::{
    anchor::WHITE,
    image::PixelLayout,
    mask::{Mask, Rect},
};

/// A blanked pixel is black; in a decoded frame each sample may be off by so many steps of 8 bit.
pub(super) const TOLERANCE: u32 = 4;
/// The rest of each plane has at least this ratio of signal to noise, dB of its peak.
pub(super) const FLOOR_DB: f64 = 30.0;
/// Regions grow by so much before they are rounded out: what the received stream has smeared, and what a filter between blocks smears.
pub(super) const MARGIN_PX: u32 = 8;
/// The grid they are rounded out to, px: no codec as used here transforms a larger block.
pub(super) const GRID_PX: u32 = 16;
/// Black, and no colour (Rec. 601; PS3.3 C.7.6.3.1.2), in 8 bit.
const BLACK: (u32, u32) = (16, 128);
/// White.
const LIGHTEST: u32 = 235;

type Spans = Vec<(u32, u32)>;

/// A plane.
struct Plane {
    /// Where it begins, bytes.
    at: usize,
    columns: usize,
    fill: u32,
    /// By row: what is blanked.
    blank: Vec<Spans>,
    /// By row: what must be blank afterwards.
    proven: Vec<Spans>,
}

/// The frames of an image, and what is done with them.
pub(super) struct Frames {
    planes: [Plane; 3],
    /// Bytes of a sample.
    width: usize,
    /// Bits of a sample.
    bits: u32,
    bytes: usize,
}

impl Frames {
    /// Of an image of which `mask` is to be blank.
    pub(super) fn of(layout: &PixelLayout, mask: &Mask) -> Self {
        let (rows, columns) = (layout.rows, layout.columns);
        let blank = if mask.is_empty() {
            Mask::default()
        } else {
            mask.grown(MARGIN_PX, rows, columns).aligned(GRID_PX, rows, columns)
        };
        let width = if layout.bits_stored > 8 { 2 } else { 1 };
        let bits = u32::from(layout.bits_stored);
        let by_row = |mask: &Mask, cell: u32| -> Vec<Spans> {
            let mut spans = Vec::new();
            let row = |y| {
                mask.spans(y, cell, cell, &mut spans);
                spans.clone()
            };
            (0..u32::from(rows) / cell).map(row).collect()
        };
        let pixels = usize::from(rows) * usize::from(columns);
        let plane = |at: usize, cell: u16, fill: u32| Plane {
            at: at * width,
            columns: usize::from(columns / cell),
            fill: fill << (bits - 8),
            blank: by_row(&blank, cell.into()),
            proven: by_row(mask, cell.into()),
        };
        let planes = [plane(0, 1, BLACK.0), plane(pixels, 2, BLACK.1), plane(pixels + pixels / 4, 2, BLACK.1)];
        Self { planes, width, bits, bytes: (pixels + pixels / 2) * width }
    }

    /// Length of a frame, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Blanks.
    pub(super) fn blank(&self, frame: &mut [u8]) {
        for plane in &self.planes {
            let fill = &plane.fill.to_le_bytes()[..self.width];
            for (y, spans) in plane.blank.iter().enumerate() {
                let row = &mut frame[plane.at + y * plane.columns * self.width..][..plane.columns * self.width];
                for &(from, to) in spans {
                    let inside = &mut row[from as usize * self.width..to as usize * self.width];
                    inside.chunks_exact_mut(self.width).for_each(|sample| sample.copy_from_slice(fill));
                }
            }
        }
    }

    /// True when `after` is what a frame with samples `before` must have become: black within [`TOLERANCE`] wherever the mask is,
    /// and within [`FLOOR_DB`] the same outside of what was blanked.
    pub(super) fn proves(&self, before: &[u8], after: &[u8]) -> bool {
        before.len() == self.bytes
            && after.len() == self.bytes
            && self.planes.iter().all(|plane| self.proves_plane(plane, before, after))
    }

    fn proves_plane(&self, plane: &Plane, before: &[u8], after: &[u8]) -> bool {
        let tolerance = TOLERANCE << (self.bits - 8);
        let (mut error, mut samples) = (0_u64, 0_u64);
        for (y, (blank, proven)) in plane.blank.iter().zip(&plane.proven).enumerate() {
            let row = |frame: &'_ [u8]| {
                let at = plane.at + y * plane.columns * self.width;
                at..at + (plane.columns * self.width).min(frame.len())
            };
            let (before, after) = (&before[row(before)], &after[row(after)]);
            for &(from, to) in proven {
                let mut inside = after[from as usize * self.width..to as usize * self.width].chunks_exact(self.width);
                if inside.any(|sample| value(sample).abs_diff(plane.fill) > tolerance) {
                    return false;
                }
            }
            let mut from = 0;
            let end = plane.columns as u32;
            for &(start, next) in blank.iter().chain(&[(end, end)]) {
                let outside = from as usize * self.width..start as usize * self.width;
                let pairs =
                    before[outside.clone()].chunks_exact(self.width).zip(after[outside].chunks_exact(self.width));
                error += pairs.map(|(b, a)| u64::from(value(b).abs_diff(value(a))).pow(2)).sum::<u64>();
                samples += u64::from(start - from);
                from = next;
            }
        }
        let peak = f64::from((1_u32 << self.bits) - 1);
        // Mean square error at the floor.
        let most = peak * peak / 10_f64.powf(FLOOR_DB / 10.0);
        error as f64 <= most * samples as f64
    }

    /// Luma of a rectangle, line by line, on the scale of anchors: from 0 (black) to 255 (white) in steps of 1 ⁄ 256.
    pub(super) fn luma(&self, frame: &[u8], rect: Rect) -> Vec<u16> {
        let plane = &self.planes[0];
        let (black, lightest) = (BLACK.0 << (self.bits - 8), LIGHTEST << (self.bits - 8));
        let scale =
            |sample: &[u8]| ((value(sample).clamp(black, lightest) - black) * WHITE / (lightest - black)) as u16;
        let line = |y: u32| {
            let at = (y as usize * plane.columns + rect.x0 as usize) * self.width;
            frame[at..at + rect.width() as usize * self.width].chunks_exact(self.width)
        };
        (rect.y0..rect.y1).flat_map(line).map(scale).collect()
    }
}

fn value(sample: &[u8]) -> u32 {
    match sample {
        [low] => u32::from(*low),
        [low, high, ..] => u32::from(u16::from_le_bytes([*low, *high])),
        [] => 0,
    }
}
