//! What an anchor is compared by: gathered line by line, so that memory does not grow with its rectangle.

use super::{Anchor, Dark, Placed, STEP};
use sha2::{Digest as _, Sha256};

/// What has been seen of one anchor in one frame.
pub(super) struct Measure<'p> {
    placed: &'p Placed,
    pixels: u64,
    sum: u64,
    /// Of squares: at most 2^32 pixels of 2^32.
    squares: u128,
    dark: u64,
    /// By cell of a patch.
    cells: Vec<u64>,
    digest: Option<Sha256>,
    line: u32,
}

impl<'p> Measure<'p> {
    pub(super) fn new(placed: &'p Placed) -> Self {
        let (cells, digest) = match &placed.anchor {
            Anchor::Patch { rows, .. } => (rows.len() * rows[0].len(), None),
            Anchor::Digest { .. } => (0, Some(Sha256::new())),
            Anchor::Statistics { .. } => (0, None),
        };
        Self { placed, pixels: 0, sum: 0, squares: 0, dark: 0, cells: vec![0; cells], digest, line: 0 }
    }

    /// True when [`Self::samples`] is to be called for each line, else [`Self::luma`].
    pub(super) fn wants_samples(&self) -> bool {
        self.digest.is_some()
    }

    /// The next line's samples, as a digest takes them.
    pub(super) fn samples(&mut self, bytes: &[u8]) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
    }

    /// The next line's luma, in steps of 1 ⁄ 256.
    pub(super) fn luma(&mut self, line: &[u16]) {
        match &self.placed.anchor {
            Anchor::Statistics { dark, .. } => {
                let below = dark.map_or(0, |Dark { below, .. }| u32::from(below) * STEP);
                for &luma in line {
                    let luma = u32::from(luma);
                    self.sum += u64::from(luma);
                    self.squares += u128::from(luma * luma);
                    self.dark += u64::from(luma < below);
                }
                self.pixels += line.len() as u64;
            }
            Anchor::Patch { rows, .. } => {
                let across = rows[0].len();
                let row = cell(self.line, self.placed.rect.height(), rows.len());
                let sums = &mut self.cells[row * across..(row + 1) * across];
                for (index, sum) in sums.iter_mut().enumerate() {
                    let width = line.len();
                    let part = &line[index * width / across..(index + 1) * width / across];
                    *sum += part.iter().map(|&luma| u64::from(luma)).sum::<u64>();
                }
            }
            Anchor::Digest { .. } => {}
        }
        self.line += 1;
    }

    /// Whether the anchor holds, when all lines were seen.
    pub(super) fn holds(self) -> bool {
        match &self.placed.anchor {
            Anchor::Digest { sha256, .. } => self.digest.is_some_and(|d| {
                let found = d.finalize();
                found.iter().zip(sha256.as_bytes().chunks_exact(2)).all(|(byte, digits)| {
                    std::str::from_utf8(digits).is_ok_and(|d| u8::from_str_radix(d, 16) == Ok(*byte))
                })
            }),
            Anchor::Statistics { mean, deviation, dark, .. } => {
                let (n, sum) = (u128::from(self.pixels), u128::from(self.sum));
                let step = f64::from(STEP);
                // n² · variance: exact, and one rounding each for the fraction and its root.
                let spread = n * self.squares - sum * sum;
                let is = |bounds: &Option<[f64; 2]>, value: f64| {
                    bounds.is_none_or(|[least, greatest]| (least..=greatest).contains(&value))
                };
                is(mean, self.sum as f64 / self.pixels as f64 / step)
                    && is(deviation, (spread as f64).sqrt() / self.pixels as f64 / step)
                    && is(&dark.map(|d| d.share), self.dark as f64 / self.pixels as f64)
            }
            Anchor::Patch { rows, max_difference, .. } => {
                let (height, width) = (self.placed.rect.height() as usize, self.placed.rect.width() as usize);
                let (down, across) = (rows.len(), rows[0].len());
                let of = |index: usize, size: usize, parts: usize| {
                    ((index + 1) * size / parts - index * size / parts) as f64
                };
                let mut difference = 0.0;
                for (index, (sum, stated)) in self.cells.iter().zip(rows.iter().flatten()).enumerate() {
                    let pixels = of(index / across, height, down) * of(index % across, width, across);
                    difference += (*sum as f64 / pixels / f64::from(STEP) - f64::from(*stated)).abs();
                }
                difference / self.cells.len() as f64 <= *max_difference
            }
        }
    }
}

/// The part out of `parts` of `size` lines that line `line` is in: part i is from i · size ⁄ parts, rounded down.
fn cell(line: u32, size: u32, parts: usize) -> usize {
    (((line as usize + 1) * parts).div_ceil(size as usize)).saturating_sub(1).min(parts - 1)
}
