//! Which pixels of an image are to be blanked: rectangles and the outside of kept shapes, resolved against one image size.
//!
//! Codecs never see shapes. They ask for the spans of a line, or of a line of cells (MCUs, pixel pairs) with the
//! spans rounded *out* to the cell grid.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

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

impl Rect {
    /// Columns.
    pub fn width(&self) -> u32 {
        self.x1 - self.x0
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.y1 - self.y0
    }
}

/// The pixels to blank in every frame of an image: a few rectangles, or spans line by line, made once for all frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    rects: Vec<Rect>,
    /// In place of `rects`, when other shapes than rectangles are blanked.
    lines: Option<Arc<Lines>>,
}

/// Spans of an image, line by line.
#[derive(Debug, PartialEq, Eq)]
struct Lines {
    /// `[start, end)`, px, ascending and disjoint on each line.
    spans: Vec<Span>,
    /// Where the spans of each line end.
    ends: Vec<usize>,
    /// The same pixels as disjoint rectangles.
    rects: Vec<Rect>,
}

/// A run of pixels or cells of a line: `[start, end)`.
pub(crate) type Span = (u32, u32);

impl Mask {
    /// Blanks the union of `rects`.
    pub fn new(rects: Vec<Rect>) -> Self {
        Self { rects, lines: None }
    }

    /// Blanks the spans that `line` puts into an empty list for each of `rows` lines, in any order.
    pub(crate) fn by_lines(rows: u16, mut line: impl FnMut(u32, &mut Vec<Span>)) -> Self {
        let (mut all, mut ends, mut spans) = (Vec::new(), Vec::with_capacity(usize::from(rows)), Vec::new());
        let mut rects: Vec<Rect> = Vec::new();
        // The rectangles that reach down to the line before.
        let mut open: Vec<Rect> = Vec::new();
        for y in 0..u32::from(rows) {
            spans.clear();
            line(y, &mut spans);
            merge(&mut spans);
            all.extend_from_slice(&spans);
            ends.push(all.len());
            let same = open.len() == spans.len() && open.iter().zip(&spans).all(|(r, s)| (r.x0, r.x1) == *s);
            if !same {
                rects.append(&mut open);
                open.extend(spans.iter().map(|&(x0, x1)| Rect { x0, y0: y, x1, y1: y }));
            }
            open.iter_mut().for_each(|r| r.y1 = y + 1);
        }
        rects.append(&mut open);
        Self { rects: Vec::new(), lines: Some(Arc::new(Lines { spans: all, ends, rects })) }
    }

    /// The same, and everything outside of the union of `kept` besides.
    pub(crate) fn and_outside(&self, kept: &[Rect], rows: u16, columns: u16) -> Self {
        let mut inside = Vec::new();
        Self::by_lines(rows, |y, spans| {
            self.spans(y, 1, 1, spans);
            inside.clear();
            inside.extend(kept.iter().filter(|r| (r.y0..r.y1).contains(&y)).map(|r| (r.x0, r.x1)));
            outside(&mut inside, u32::from(columns), spans);
        })
    }

    /// The same, `px` larger on every side as far as the image goes: where a lossy codec has smeared what is to be blanked.
    pub(crate) fn grown(&self, px: u32, rows: u16, columns: u16) -> Self {
        let wider = |x0: u32, x1: u32| (x0.saturating_sub(px), (x1 + px).min(u32::from(columns)));
        if self.lines.is_some() {
            let mut line = Vec::new();
            return Self::by_lines(rows, |y, spans| {
                for near in y.saturating_sub(px)..=(y + px).min(u32::from(rows) - 1) {
                    self.spans(near, 1, 1, &mut line);
                    spans.extend(line.iter().map(|&(x0, x1)| wider(x0, x1)));
                }
            });
        }
        let rects = self.rects.iter().map(|r| {
            let (x0, x1) = wider(r.x0, r.x1);
            Rect { x0, y0: r.y0.saturating_sub(px), x1, y1: (r.y1 + px).min(u32::from(rows)) }
        });
        Self::new(rects.collect())
    }

    /// The same, rounded out to a grid of `cell` px as far as the image goes: what a codec transforms together.
    pub(crate) fn aligned(&self, cell: u32, rows: u16, columns: u16) -> Self {
        let mut cells = Vec::new();
        Self::by_lines(rows, |y, spans| {
            self.spans(y / cell, cell, cell, &mut cells);
            spans.extend(cells.iter().map(|&(from, to)| (from * cell, (to * cell).min(u32::from(columns)))));
        })
    }

    /// True when nothing is to be blanked.
    pub fn is_empty(&self) -> bool {
        self.rects().is_empty()
    }

    /// The rectangles whose union is blanked: as the template states them, or, where it states other shapes too, as many as it
    /// takes to cover exactly the blanked pixels.
    pub fn rects(&self) -> &[Rect] {
        self.lines.as_ref().map_or(&self.rects, |lines| &lines.rects)
    }

    /// True when other shapes than rectangles are blanked.
    pub fn is_by_lines(&self) -> bool {
        self.lines.is_some()
    }

    /// How many pixels of an image of so many rows are blanked.
    pub fn area(&self, rows: u16) -> u64 {
        let mut spans = Vec::new();
        let line = |y| {
            self.spans(y, 1, 1, &mut spans);
            spans.iter().map(|&(start, end)| u64::from(end - start)).sum::<u64>()
        };
        (0..u32::from(rows)).map(line).sum()
    }

    /// Spans `[start, end)`, in cells, of line `line` of a grid of `cell_w` × `cell_h` px cells: every cell that holds a
    /// pixel to blank, in ascending order, disjoint. `spans` is cleared first; cells of 1 × 1 are pixels.
    pub fn spans(&self, line: u32, cell_w: u32, cell_h: u32, spans: &mut Vec<(u32, u32)>) {
        spans.clear();
        let top = u64::from(line) * u64::from(cell_h);
        let bottom = top + u64::from(cell_h);
        if let Some(lines) = &self.lines {
            let end = |before: u64| {
                let index = usize::try_from(before).map_or(lines.ends.len(), |b| b.min(lines.ends.len()));
                index.checked_sub(1).map_or(0, |i| lines.ends[i])
            };
            let these = &lines.spans[end(top)..end(bottom)];
            if (cell_w, cell_h) == (1, 1) {
                return spans.extend_from_slice(these);
            }
            spans.extend(these.iter().map(|&(start, end)| (start / cell_w, end.div_ceil(cell_w))));
        } else {
            for r in &self.rects {
                if u64::from(r.y0) < bottom && u64::from(r.y1) > top {
                    spans.push((r.x0 / cell_w, r.x1.div_ceil(cell_w)));
                }
            }
        }
        merge(spans);
    }
}

/// Sorts spans and joins those that touch.
fn merge(spans: &mut Vec<Span>) {
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

/// Adds to `blank` what of a line of `columns` px is in none of the spans `kept`, which are sorted for it.
pub(crate) fn outside(kept: &mut Vec<Span>, columns: u32, blank: &mut Vec<Span>) {
    merge(kept);
    let mut from = 0;
    for &(start, end) in kept.iter().chain(&[(columns, columns)]) {
        if from < start {
            blank.push((from, start));
        }
        from = end;
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

    #[test]
    fn a_mask_by_lines_is_its_rectangles() {
        let rects = vec![
            Rect { x0: 30, y0: 0, x1: 40, y1: 9 },
            Rect { x0: 5, y0: 8, x1: 17, y1: 10 },
            Rect { x0: 16, y0: 8, x1: 20, y1: 10 },
        ];
        let plain = Mask::new(rects);
        let by_lines = Mask::by_lines(20, |y, spans| plain.spans(y, 1, 1, spans));
        let again = Mask::new(by_lines.rects().to_vec());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (mask, other) in
            [(&plain, &by_lines), (&plain, &again), (&plain.grown(3, 20, 50), &by_lines.grown(3, 20, 50))]
        {
            for (w, h) in [(1, 1), (2, 1), (8, 8), (16, 8), (16, 16)] {
                for line in 0..21 {
                    mask.spans(line, w, h, &mut a);
                    other.spans(line, w, h, &mut b);
                    assert_eq!(a, b, "{line} of {w} x {h}");
                }
            }
            assert_eq!(mask.area(20), other.area(20));
        }
        let kept = [Rect { x0: 10, y0: 5, x1: 35, y1: 20 }];
        let rest = plain.and_outside(&kept, 20, 50);
        assert_eq!(rest.area(20), 20 * 50 - 15 * 25 + 5 * 4 + 10 * 2, "{:?}", rest.rects());
        assert!(!Mask::default().and_outside(&kept, 20, 50).is_empty());
        assert!(Mask::default().and_outside(&[Rect { x0: 0, y0: 0, x1: 50, y1: 20 }], 20, 50).is_empty());
    }
}
