//! Which pixels of an image are to be blanked: rectangles resolved against one image size.
//!
//! Codecs never see rectangles. They ask for the spans of a line, or of a line of cells (MCUs, pixel pairs) with the
//! spans rounded *out* to the cell grid; other shapes can join without a codec changing.

use serde::{Deserialize, Serialize};

/// A rectangle as templates state it, px: `[x, y, width, height]`. A negative `x` counts from the right edge, a negative
/// `y` from the bottom edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[i32; 4]", into = "[i32; 4]")]
pub struct Region {
    /// Left edge, px; from the right edge when negative.
    pub x: i32,
    /// Top edge, px; from the bottom edge when negative.
    pub y: i32,
    /// Width, px.
    pub width: i32,
    /// Height, px.
    pub height: i32,
}

impl From<[i32; 4]> for Region {
    fn from([x, y, width, height]: [i32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<Region> for [i32; 4] {
    fn from(r: Region) -> Self {
        [r.x, r.y, r.width, r.height]
    }
}

/// Why a region is not usable on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// Width or height not positive.
    #[error("region is empty")]
    Empty,
    /// Some pixel of the region is not in the image.
    #[error("region reaches outside the image")]
    Outside,
}

impl Region {
    /// The rectangle on an image of `rows` × `columns` px.
    ///
    /// # Errors
    /// Empty, or not wholly inside the image (clipping would hide a template written for another size).
    pub fn resolve(self, rows: u16, columns: u16) -> Result<Rect, RegionError> {
        if self.width <= 0 || self.height <= 0 {
            return Err(RegionError::Empty);
        }
        let from = |at: i32, extent: i32, size: u16| {
            let start = if at < 0 { i64::from(size) + i64::from(at) } else { i64::from(at) };
            let end = start + i64::from(extent);
            if start < 0 || end > i64::from(size) {
                return Err(RegionError::Outside);
            }
            Ok((start as u32, end as u32))
        };
        let (x0, x1) = from(self.x, self.width, columns)?;
        let (y0, y1) = from(self.y, self.height, rows)?;
        Ok(Rect { x0, y0, x1, y1 })
    }
}

/// A rectangle of an image, px; `x1` and `y1` are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rect {
    /// Left.
    pub x0: u32,
    /// Top.
    pub y0: u32,
    /// Right, exclusive.
    pub x1: u32,
    /// Bottom, exclusive.
    pub y1: u32,
}

/// The pixels to blank in every frame of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    rects: Vec<Rect>,
}

impl Mask {
    /// Blanks the union of `rects`.
    pub fn new(rects: Vec<Rect>) -> Self {
        Self { rects }
    }

    /// The same, `px` larger on every side as far as the image goes: where a lossy codec has smeared what is to be blanked.
    pub(crate) fn grown(&self, px: u32, rows: u16, columns: u16) -> Self {
        let rects = self.rects.iter().map(|r| Rect {
            x0: r.x0.saturating_sub(px),
            y0: r.y0.saturating_sub(px),
            x1: (r.x1 + px).min(u32::from(columns)),
            y1: (r.y1 + px).min(u32::from(rows)),
        });
        Self::new(rects.collect())
    }

    /// True when nothing is to be blanked.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// The rectangles whose union is blanked.
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Spans `[start, end)`, in cells, of line `line` of a grid of `cell_w` × `cell_h` px cells: every cell that holds a
    /// pixel to blank, in ascending order, disjoint. `spans` is cleared first; cells of 1 × 1 are pixels.
    pub fn spans(&self, line: u32, cell_w: u32, cell_h: u32, spans: &mut Vec<(u32, u32)>) {
        spans.clear();
        let top = u64::from(line) * u64::from(cell_h);
        let bottom = top + u64::from(cell_h);
        for r in &self.rects {
            if u64::from(r.y0) < bottom && u64::from(r.y1) > top {
                spans.push((r.x0 / cell_w, r.x1.div_ceil(cell_w)));
            }
        }
        if spans.len() > 1 {
            spans.sort_unstable();
            let mut kept = 0;
            for i in 1..spans.len() {
                if spans[i].0 <= spans[kept].1 {
                    spans[kept].1 = spans[kept].1.max(spans[i].1);
                } else {
                    kept += 1;
                    spans[kept] = spans[i];
                }
            }
            spans.truncate(kept + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_relative_to_right_and_bottom() {
        let r = Region::from([-100, -20, 100, 20]).resolve(480, 640).unwrap();
        assert_eq!(r, Rect { x0: 540, y0: 460, x1: 640, y1: 480 });
        assert_eq!(Region::from([-100, 0, 101, 1]).resolve(480, 640), Err(RegionError::Outside));
        assert_eq!(Region::from([0, 470, 1, 11]).resolve(480, 640), Err(RegionError::Outside));
        assert_eq!(Region::from([0, 0, 0, 5]).resolve(480, 640), Err(RegionError::Empty));
        assert_eq!(Region::from([0, 0, i32::MAX, i32::MAX]).resolve(480, 640), Err(RegionError::Outside));
        assert_eq!(Region::from([i32::MIN, 0, 5, 5]).resolve(480, 640), Err(RegionError::Outside));
    }

    #[test]
    fn spans_merge_and_round_out() {
        let mask = Mask::new(vec![
            Rect { x0: 30, y0: 0, x1: 40, y1: 9 },
            Rect { x0: 5, y0: 8, x1: 17, y1: 10 },
            Rect { x0: 16, y0: 8, x1: 20, y1: 10 },
        ]);
        let mut spans = Vec::new();
        mask.spans(8, 1, 1, &mut spans);
        assert_eq!(spans, [(5, 20), (30, 40)]);
        mask.spans(9, 1, 1, &mut spans);
        assert_eq!(spans, [(5, 20)]);
        mask.spans(0, 16, 8, &mut spans);
        assert_eq!(spans, [(1, 3)]);
        mask.spans(1, 16, 8, &mut spans);
        assert_eq!(spans, [(0, 3)]);
        mask.spans(2, 16, 8, &mut spans);
        assert!(spans.is_empty());
    }
}
