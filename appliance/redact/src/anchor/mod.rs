//! Anchors: small patches of an image whose content proves that it is laid out as its template expects.
//!
//! Make, model and size do not change when a software update moves the banner by a line. So a template may state what must be
//! where: that a logo or a ruler is in its place, that the background beside the banner is empty, that there is text where text
//! is blanked. Anchors are evaluated on the decoded pixels as received, **of every frame**, before anything is blanked; when one
//! fails, the object is held. Everything is counted in integers; only a mean, a deviation or a share is compared as a fraction.

mod measure;
mod pixels;

pub(crate) use pixels::{Anchors, Pixels, check_luma, of_rgb, scaled};

use crate::mask::{Rect, Region, RegionError};
use serde::Deserialize;

/// Luma is in steps of 1 ⁄ 256 of the scale from 0 (black) to 255 (white).
pub(crate) const STEP: u32 = 256;
/// White.
pub(crate) const WHITE: u32 = 255 * STEP;
/// Most cells of a patch, down and across.
pub(crate) const MAX_PATCH: (usize, usize) = (16, 32);

/// An anchor, as a template states it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Anchor {
    /// The samples of a rectangle, exactly. For sources without loss: native, RLE, JPEG lossless, JPEG-LS lossless, JPEG 2000
    /// lossless and deflated frames.
    Digest {
        /// Where.
        region: Region,
        /// SHA-256, in hexadecimal digits, of the samples: line by line, pixel by pixel, by component; of each sample the bits of
        /// Bits Stored, as one byte up to 8, two up to 16, else four bytes, least significant first. Of YBR_FULL_422 each pixel has
        /// the colour of its pair.
        sha256: String,
    },
    /// Statistics of the luma of a rectangle: bounds, both included, on a scale of 0 (black) to 255 (white) of Bits Stored.
    Statistics {
        /// Where.
        region: Region,
        /// Least and greatest mean.
        mean: Option<[f64; 2]>,
        /// Least and greatest standard deviation.
        deviation: Option<[f64; 2]>,
        /// Share of dark pixels.
        dark: Option<Dark>,
    },
    /// A picture of a rectangle in a few cells.
    Patch {
        /// Where.
        region: Region,
        /// Mean luma of each cell, 0–255, row by row: up to 16 rows of up to 32 cells, which divide the rectangle evenly but for
        /// rounding down to whole pixels.
        rows: Vec<Vec<u8>>,
        /// Greatest mean of the absolute differences.
        max_difference: f64,
    },
}

/// Bounds on the share of pixels darker than a luma.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dark {
    /// A pixel below this luma is dark.
    pub below: u8,
    /// Least and greatest share, 0–1.
    pub share: [f64; 2],
}

/// What is wrong with an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// As for regions.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// Not 64 hexadecimal digits.
    #[error("sha256 is not 64 lower-case hexadecimal digits")]
    Digest,
    /// Statistics without a bound.
    #[error("statistics without mean, deviation or dark hold for every image")]
    Boundless,
    /// Least above greatest, or no number of the scale.
    #[error("bounds are a least and a greatest number: of luma from 0 to 255, of a share from 0 to 1")]
    Bounds,
    /// No grid, or a finer one than the rectangle or [`MAX_PATCH`] allows.
    #[error("a patch has 1 to 16 rows of 1 to 32 cells, all of equal length, each of a pixel at least")]
    Grid,
}

/// An anchor on an image of one size.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) rect: Rect,
    pub(crate) anchor: Anchor,
}

impl Anchor {
    /// Where it looks.
    pub fn region(&self) -> Region {
        match self {
            Self::Digest { region, .. } | Self::Statistics { region, .. } | Self::Patch { region, .. } => *region,
        }
    }

    /// The anchor on an image of `rows` × `columns`.
    pub(crate) fn place(self, rows: u16, columns: u16) -> Result<Placed, AnchorError> {
        let rect = self.region().resolve(rows, columns)?;
        let within = |bounds: &Option<[f64; 2]>, greatest: f64| match bounds {
            Some([from, to]) => 0.0 <= *from && from <= to && *to <= greatest,
            None => true,
        };
        match &self {
            Self::Digest { sha256, .. } => {
                let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if sha256.len() != 64 || !sha256.bytes().all(digit) {
                    return Err(AnchorError::Digest);
                }
            }
            Self::Statistics { mean: None, deviation: None, dark: None, .. } => return Err(AnchorError::Boundless),
            Self::Statistics { mean, deviation, dark, .. } => {
                if !within(mean, 255.0) || !within(deviation, 255.0) || !within(&dark.map(|d| d.share), 1.0) {
                    return Err(AnchorError::Bounds);
                }
            }
            Self::Patch { rows: cells, max_difference, .. } => {
                let across = cells.first().map_or(0, Vec::len);
                let fits = (1..=MAX_PATCH.0).contains(&cells.len())
                    && (1..=MAX_PATCH.1).contains(&across)
                    && cells.iter().all(|row| row.len() == across)
                    && cells.len() <= rect.height() as usize
                    && across <= rect.width() as usize;
                if !fits {
                    return Err(AnchorError::Grid);
                }
                if !within(&Some([0.0, *max_difference]), 255.0) {
                    return Err(AnchorError::Bounds);
                }
            }
        }
        Ok(Placed { rect, anchor: self })
    }
}

#[cfg(test)]
mod tests;
