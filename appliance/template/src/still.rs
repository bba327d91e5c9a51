//! What stands still in a moving picture: the least and the greatest luma of each pixel over the frames, and what follows from them.

use anyhow::{Result, bail};
use gift_redact::Luma;

/// Most frames that are looked at in one object, evenly spread.
const MOST_FRAMES: u32 = 64;
/// A pixel whose luma stays within so many steps of 1 ⁄ 256 stands still: compression and noise move it as far.
const STILL: u16 = 10 * 256;
/// The same where the picture moves: there by chance alone some pixels stay alike.
const STILL_IN_PICTURE: u16 = 4 * 256;
/// The picture is where pixels leave so many steps, because its dark parts move little; or [`STILL`] when noise does everywhere.
const MOVES: u16 = 4 * 256;
/// What stands still is no background when its luma differs from it by so much.
const CONTRAST: u16 = 16 * 256;
/// The same where the picture moves.
const CONTRAST_IN_PICTURE: u16 = 64 * 256;
/// Side of the cells in which movement is counted, px.
const CELL: usize = 8;

/// Least and greatest luma of each pixel.
pub(crate) struct Range {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    least: Vec<u16>,
    greatest: Vec<u16>,
    /// Frames seen.
    pub(crate) frames: u32,
}

impl Range {
    pub(crate) fn new(rows: u16, columns: u16) -> Self {
        let (rows, columns) = (usize::from(rows), usize::from(columns));
        Self { columns, rows, least: vec![u16::MAX; rows * columns], greatest: vec![0; rows * columns], frames: 0 }
    }

    /// Takes the frames of an object in.
    pub(crate) fn add(&mut self, luma: &mut Luma<'_>) -> Result<()> {
        let frames = luma.layout().frames;
        let wanted = frames.min(MOST_FRAMES);
        for n in 0..wanted {
            let number = (u64::from(n) * u64::from(frames) / u64::from(wanted)) as u32 + 1;
            let frame = luma.frame(number)?;
            for (value, (least, greatest)) in frame.iter().zip(self.least.iter_mut().zip(&mut self.greatest)) {
                *least = (*least).min(*value);
                *greatest = (*greatest).max(*value);
            }
            self.frames += 1;
        }
        Ok(())
    }

    /// Luma in the middle of what was seen, 0–255.
    pub(crate) fn middle(&self, x: usize, y: usize) -> u8 {
        let at = y * self.columns + x;
        ((u32::from(self.least[at]) + u32::from(self.greatest[at])) / 512) as u8
    }

    /// Greatest luma seen, 0–255, rounded up.
    pub(crate) fn brightest(&self, x: usize, y: usize) -> u16 {
        self.greatest[y * self.columns + x].div_ceil(256)
    }

    fn span(&self, at: usize) -> u16 {
        self.greatest[at].saturating_sub(self.least[at])
    }

    /// What moves, and what stands still without being background.
    ///
    /// # Errors
    /// Too few frames, or nothing that moves: nothing is known then.
    pub(crate) fn still(&self) -> Result<Still> {
        if self.frames < 3 {
            bail!("{} frames: a cine, or three stills or more of one format, are needed", self.frames);
        }
        let picture = self.picture();
        if picture.cells.iter().filter(|&&c| c).count() * 50 < picture.cells.len() {
            bail!("less than 2 % of the image moves: a cine of a moving picture is needed");
        }
        let background = self.background();
        let stands_out: Vec<bool> = (0..self.least.len())
            .map(|at| {
                let inside = picture.at(at % self.columns, at / self.columns);
                let (still, contrast) =
                    if inside { (STILL_IN_PICTURE, CONTRAST_IN_PICTURE) } else { (STILL, CONTRAST) };
                let middle = self.least[at] / 2 + self.greatest[at] / 2;
                self.span(at) <= still && middle.abs_diff(background) >= contrast
            })
            .collect();
        // A stroke has neighbours; a pixel of the picture that stayed alike by chance has none.
        let overlay = (0..stands_out.len())
            .map(|at| {
                let (x, y) = (at % self.columns, at / self.columns);
                let near = |size: usize, v: usize| v.saturating_sub(1)..(v + 2).min(size);
                let neighbours = near(self.rows, y)
                    .flat_map(|v| near(self.columns, x).map(move |u| (u, v)))
                    .filter(|&(u, v)| stands_out[v * self.columns + u]);
                stands_out[at] && neighbours.count() >= 3
            })
            .collect();
        Ok(Still { columns: self.columns, rows: self.rows, overlay, picture })
    }

    /// The most frequent luma of what stands still.
    fn background(&self) -> u16 {
        let mut counts = [0_u32; 256];
        for at in (0..self.least.len()).filter(|at| self.span(*at) <= STILL) {
            counts[usize::from((self.least[at] / 2 + self.greatest[at] / 2) / 256)] += 1;
        }
        let most = (0..256_usize).max_by_key(|v| (counts[*v], std::cmp::Reverse(*v))).unwrap_or(0);
        most as u16 * 256
    }

    /// Where the picture moves.
    fn picture(&self) -> Cells {
        let fine = self.moving(MOVES);
        let all = fine.cells.iter().filter(|&&c| c).count() * 10 > fine.cells.len() * 9;
        if all { self.moving(STILL) } else { fine }
    }

    /// Cells of which a third leaves `steps`, and those around them.
    fn moving(&self, steps: u16) -> Cells {
        let (across, down) = (self.columns.div_ceil(CELL), self.rows.div_ceil(CELL));
        let mut moving = vec![0_usize; across * down];
        for at in (0..self.least.len()).filter(|at| self.span(*at) > steps) {
            moving[at / self.columns / CELL * across + at % self.columns / CELL] += 1;
        }
        let moves: Vec<bool> = moving.iter().map(|n| *n * 3 >= CELL * CELL).collect();
        let near = |size: usize, v: usize| v.saturating_sub(1)..(v + 2).min(size);
        let neighbours = |x: usize, y: usize| {
            near(down, y)
                .flat_map(|v| near(across, x).map(move |u| (u, v)))
                .filter(|&(u, v)| moves[v * across + u])
                .count()
        };
        // A digit that counts moves, too, but alone.
        let core: Vec<bool> =
            (0..across * down).map(|at| moves[at] && neighbours(at % across, at / across) >= 5).collect();
        let cells = (0..across * down)
            .map(|at| near(down, at / across).any(|v| near(across, at % across).any(|u| core[v * across + u])))
            .collect();
        Cells { across, cells }
    }
}

/// A part of the image in cells.
pub(crate) struct Cells {
    across: usize,
    cells: Vec<bool>,
}

impl Cells {
    pub(crate) fn at(&self, x: usize, y: usize) -> bool {
        self.cells[y / CELL * self.across + x / CELL]
    }
}

/// What stands still.
pub(crate) struct Still {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// By pixel: stands still, and is no background.
    overlay: Vec<bool>,
    /// Where the picture moves.
    pub(crate) picture: Cells,
}

impl Still {
    pub(crate) fn at(&self, x: usize, y: usize) -> bool {
        self.overlay[y * self.columns + x]
    }

    /// Adds what another object of the same format has.
    pub(crate) fn add(&mut self, other: &Self) {
        self.overlay.iter_mut().zip(&other.overlay).for_each(|(a, b)| *a |= b);
        self.picture.cells.iter_mut().zip(&other.picture.cells).for_each(|(a, b)| *a |= b);
    }

    /// Boxes of what belongs together: pixels not more than `gap` apart on a line, or touching.
    pub(crate) fn boxes(&self, gap: usize) -> Vec<Box> {
        let mut found: Vec<Box> = Vec::new();
        // Runs of a line, joined with what of the lines above they touch.
        for y in 0..self.rows {
            let mut x = 0;
            while x < self.columns {
                if !self.at(x, y) {
                    x += 1;
                    continue;
                }
                let (start, mut end, mut pixels) = (x, x + 1, 0);
                while x < self.columns && x < end + gap {
                    if self.at(x, y) {
                        (end, pixels) = (x + 1, pixels + 1);
                    }
                    x += 1;
                }
                x = end;
                let mut run = Box { x0: start, y0: y, x1: end, y1: y + 1, pixels };
                // Dots and accents are apart from their letters: a line of background between.
                found.retain(|b| {
                    let touches = b.x0 <= run.x1 && run.x0 <= b.x1 && b.y1 + 2 >= run.y0;
                    if touches {
                        run = run.with(b);
                    }
                    !touches
                });
                found.push(run);
            }
        }
        join(found, |a, b| a.overlaps(b))
    }
}

/// A rectangle, px; `x1` and `y1` are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Box {
    pub(crate) x0: usize,
    pub(crate) y0: usize,
    pub(crate) x1: usize,
    pub(crate) y1: usize,
    /// Pixels of the overlay in it.
    pub(crate) pixels: usize,
}

impl Box {
    pub(crate) fn with(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            pixels: self.pixels + other.pixels,
        }
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.x0 < other.x1 && other.x0 < self.x1 && self.y0 < other.y1 && other.y0 < self.y1
    }

    pub(crate) fn width(&self) -> usize {
        self.x1 - self.x0
    }

    pub(crate) fn height(&self) -> usize {
        self.y1 - self.y0
    }

    pub(crate) fn area(&self) -> usize {
        self.width() * self.height()
    }
}

/// Joins boxes pairwise while `belong` says so.
pub(crate) fn join(mut boxes: Vec<Box>, belong: impl Fn(&Box, &Box) -> bool) -> Vec<Box> {
    let mut done = Vec::with_capacity(boxes.len());
    while let Some(mut current) = boxes.pop() {
        while let Some(at) = boxes.iter().position(|other| belong(&current, other)) {
            current = current.with(&boxes.swap_remove(at));
        }
        // What it grew over may have been done before.
        if let Some(at) = done.iter().position(|other| belong(&current, other)) {
            boxes.push(current.with(&done.swap_remove(at)));
        } else {
            done.push(current);
        }
    }
    done.sort_by_key(|b| (b.y0, b.x0));
    done
}
