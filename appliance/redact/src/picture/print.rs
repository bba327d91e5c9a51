//! Lines of print in a grey picture, found by their even colour and drawn again as a reader of text likes them best: black on white,
//! all of one height, one below the other.
//!
//! A scanner draws its text in one grey, whatever is behind it; speckle and anatomy have all greys. So the pixels of one narrow band
//! of grey after the other are taken, and of those that touch each other the ones that have a letter's size and even edges are put
//! together to lines. It is found light on dark and dark on light, on any background that is not of its own grey.

use std::collections::BTreeSet;

use super::Picture;
use crate::mask::Rect;

/// Bands of grey: their width and the step from one to the next. Text without loss needs a narrow one, JPEG's a wide one.
const BANDS: [(u8, usize); 2] = [(20, 14), (60, 30)];
/// Bands for text whose edges are blurred into its background.
const OPEN_BANDS: [(u8, u8); 4] = [(128, 255), (200, 255), (225, 255), (0, 100)];
/// Least and greatest height of a letter, pixels.
const LETTER: (u32, u32) = (7, 96);
/// Fewest letters of a line.
const LETTERS: usize = 4;
/// Most pixels at an edge, of 10 in a letter: above and to the left, counted both ways.
const EDGES: u32 = 11;
/// Most parts of a letter's size that are looked at in one band: more are noise.
const MOST_LETTERS: usize = 20_000;
/// Most lines.
const MOST_LINES: usize = 24;
/// Height of a line when it is drawn, pixels; its width is in proportion, times [`NARROWER`]: bitmap fonts are broad.
const HEIGHT: f32 = 28.0;
const NARROWER: f32 = 0.7;
/// White around lines and between them, pixels.
const MARGIN: usize = 20;
/// Samples of a drawn pixel, down and across.
const SAMPLES: usize = 4;

/// Pixels of a row that are next to each other.
struct Run {
    y: u32,
    x0: u32,
    x1: u32,
    part: usize,
}

/// Runs that touch each other.
struct Part {
    rect: Rect,
    area: u32,
    /// Pixels with none of the part to the left, and those with none above.
    edges: u32,
}

/// What is in one band of grey.
struct Band {
    /// From top to bottom.
    runs: Vec<Run>,
    /// In the order of their upper edges.
    parts: Vec<Part>,
}

/// A line of print.
struct Line {
    rect: Rect,
    /// True where there is ink.
    ink: Vec<bool>,
    /// Greater for a line that is rather print.
    likely: f32,
}

/// A picture of the lines of print in `picture`; `None` when there are none.
pub(super) fn lines(picture: &Picture) -> Option<Picture> {
    let even = BANDS.iter().flat_map(|&(width, step)| (0..=250).step_by(step).map(move |low| (low, width)));
    let even = even.map(|(low, width): (u8, u8)| (low, low.saturating_add(width)));
    let mut found: Vec<Line> = Vec::new();
    for (low, high) in even.chain(OPEN_BANDS) {
        Band::of(picture, low, high).lines(&mut found);
    }
    found.sort_by(|a, b| b.likely.total_cmp(&a.likely));
    let mut kept: Vec<Line> = Vec::new();
    for line in found {
        // The same is found in several bands.
        let is_known = kept.iter().any(|other| 2 * common(line.rect, other.rect) >= area(line.rect));
        if !is_known && kept.len() < MOST_LINES {
            kept.push(line);
        }
    }
    kept.sort_by_key(|line| (line.rect.y0, line.rect.x0));
    let drawn: Vec<Picture> = kept.iter().map(Line::drawn).collect();
    let columns = drawn.iter().map(|line| line.columns).max()? + 2 * MARGIN;
    let rows = drawn.iter().map(|line| line.rows + MARGIN).sum::<usize>() + MARGIN;
    let mut grey = vec![255; columns * rows];
    let mut y = MARGIN;
    for line in drawn {
        for (row, pixels) in line.grey.chunks_exact(line.columns).enumerate() {
            let at = (y + row) * columns + MARGIN;
            grey[at..at + line.columns].copy_from_slice(pixels);
        }
        y += line.rows + MARGIN;
    }
    Some(Picture { columns, rows, grey })
}

fn area(rect: Rect) -> u64 {
    u64::from(rect.width()) * u64::from(rect.height())
}

/// Pixels that both have.
fn common(a: Rect, b: Rect) -> u64 {
    let along = |a0: u32, a1: u32, b0: u32, b1: u32| u64::from(a1.min(b1).saturating_sub(a0.max(b0)));
    along(a.x0, a.x1, b.x0, b.x1) * along(a.y0, a.y1, b.y0, b.y1)
}

fn around(a: Rect, b: Rect) -> Rect {
    Rect { x0: a.x0.min(b.x0), y0: a.y0.min(b.y0), x1: a.x1.max(b.x1), y1: a.y1.max(b.y1) }
}

impl Band {
    /// The pixels from `low` to `high`.
    fn of(picture: &Picture, low: u8, high: u8) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        // Of each run: one that it touches, itself for the first of a part; and its pixels with none above.
        let (mut first, mut open): (Vec<usize>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut above = 0;
        for (y, line) in (0..).zip(picture.grey.chunks_exact(picture.columns)) {
            let start = runs.len();
            let mut x = 0;
            for even in line.chunk_by(|a, b| (low..=high).contains(a) == (low..=high).contains(b)) {
                let (x0, x1) = (x, x + even.len() as u32);
                x = x1;
                if !(low..=high).contains(&even[0]) {
                    continue;
                }
                let number = runs.len();
                first.push(number);
                let mut without = x1 - x0;
                while above < start && runs[above].x1 < x0 {
                    above += 1;
                }
                // Corners touch as well.
                for (other, run) in (above..start).zip(&runs[above..start]).take_while(|(_, run)| run.x0 <= x1) {
                    without -= run.x1.min(x1).saturating_sub(run.x0.max(x0));
                    let (a, b) = (root(&mut first, other), root(&mut first, number));
                    first[a.max(b)] = a.min(b);
                }
                open.push(without);
                runs.push(Run { y, x0, x1, part: 0 });
            }
            above = start;
        }
        let mut parts: Vec<Part> = Vec::new();
        for number in 0..runs.len() {
            let root = root(&mut first, number);
            let Run { y, x0, x1, .. } = runs[number];
            let rect = Rect { x0, y0: y, x1, y1: y + 1 };
            if root == number {
                runs[number].part = parts.len();
                parts.push(Part { rect, area: 0, edges: 0 });
            }
            let part = runs[root].part;
            runs[number].part = part;
            let part = &mut parts[part];
            part.rect = around(part.rect, rect);
            part.area += x1 - x0;
            part.edges += 1 + open[number];
        }
        Self { runs, parts }
    }

    /// Adds the lines to `found`.
    fn lines(&self, found: &mut Vec<Line>) {
        let mut letters: Vec<Rect> = self.parts.iter().filter(|part| part.is_letter()).map(|part| part.rect).collect();
        if letters.len() > MOST_LETTERS {
            return;
        }
        letters.sort_by_key(|rect| rect.x0);
        // Lines that may go on: what is around them, the last letter, and how many there are.
        let mut growing: Vec<(Rect, Rect, usize)> = Vec::new();
        for letter in letters {
            growing.retain(|line| {
                let goes_on = line.1.x1 + reach(line.1.height()) >= letter.x0;
                if !goes_on {
                    found.extend(self.line(*line));
                }
                goes_on
            });
            let fitting = growing.iter_mut().filter(|line| follows(line.1, letter));
            match fitting.min_by_key(|line| line.1.x1.abs_diff(letter.x0)) {
                Some(line) => *line = (around(line.0, letter), letter, line.2 + 1),
                None => growing.push((letter, letter, 1)),
            }
        }
        found.extend(growing.into_iter().filter_map(|line| self.line(line)));
    }

    /// The line with everything that stands in it, points and strokes too.
    fn line(&self, (rect, _, letters): (Rect, Rect, usize)) -> Option<Line> {
        if letters < LETTERS {
            return None;
        }
        let height = rect.height();
        let (beside, above) = (height, height / 4);
        let is_in = |part: &Part| {
            part.rect.x0 + beside >= rect.x0
                && part.rect.x1 <= rect.x1 + beside
                && part.rect.y1 <= rect.y1 + above
                && part.area >= (height * height / 64).max(2)
        };
        let [from, to] =
            [rect.y0.saturating_sub(above), rect.y1].map(|y| self.parts.partition_point(|p| p.rect.y0 < y));
        let parts: BTreeSet<usize> = (from..to).filter(|&n| is_in(&self.parts[n])).collect();
        let of = |count: fn(&Part) -> u32| parts.iter().map(|&n| count(&self.parts[n])).sum::<u32>();
        let (ink, edges) = (of(|part| part.area), of(|part| part.edges));
        if 10 * edges > EDGES * ink {
            return None;
        }
        let rect = parts.iter().map(|&n| self.parts[n].rect).reduce(around)?;
        let width = rect.width() as usize;
        let mut line = vec![false; width * rect.height() as usize];
        let from = self.runs.partition_point(|run| run.y < rect.y0);
        for run in self.runs[from..].iter().take_while(|run| run.y < rect.y1).filter(|run| parts.contains(&run.part)) {
            let at = (run.y - rect.y0) as usize * width;
            line[at + (run.x0 - rect.x0) as usize..at + (run.x1 - rect.x0) as usize].fill(true);
        }
        let likely = letters as f32 * (1.3 - edges as f32 / ink as f32);
        Some(Line { rect, ink: line, likely })
    }
}

/// The first run of the part that run `at` is of.
fn root(first: &mut [usize], mut at: usize) -> usize {
    while first[at] != at {
        first[at] = first[first[at]];
        at = first[at];
    }
    at
}

/// How far behind a letter of that height the next one may be: a comma and a space may be in between.
fn reach(height: u32) -> u32 {
    // The next one may be twice as high.
    2 * 3 * height
}

/// True when `next` may be the letter after `last`.
fn follows(last: Rect, next: Rect) -> bool {
    let (less, more) = (last.height().min(next.height()), last.height().max(next.height()));
    let overlap = last.y1.min(next.y1).saturating_sub(last.y0.max(next.y0));
    10 * overlap >= 7 * less
        && 2 * less >= more
        && 5 * last.y1.abs_diff(next.y1) <= 2 * more
        && next.x0 <= last.x1 + 3 * more
        && last.x1 <= next.x0 + more / 2
}

impl Part {
    /// Of a letter's size and form, and not frayed as noise is.
    fn is_letter(&self) -> bool {
        let (width, height) = (self.rect.width(), self.rect.height());
        (LETTER.0..=LETTER.1).contains(&height)
            && width <= 2 * height
            && 8 * width >= height
            && 6 * self.area >= width * height
            && 10 * self.edges <= EDGES * self.area
    }
}

impl Line {
    /// Black on white, at the height wanted.
    fn drawn(&self) -> Picture {
        let (width, height) = (self.rect.width(), self.rect.height());
        let scale = HEIGHT / height as f32;
        let (across, down) = (1.0 / (scale * NARROWER), 1.0 / scale);
        let (columns, rows) = ((width as f32 / across) as usize + 4, HEIGHT as usize + 4);
        // The samples of a pixel are spread over one pixel of the line, or more when it becomes smaller.
        let at = |drawn: usize, sample: usize, step: f32| {
            let middle = (drawn as f32 - 1.5) * step;
            middle + ((sample as f32 + 0.5) / SAMPLES as f32 - 0.5) * step.max(1.0)
        };
        let is_ink = |x: f32, y: f32| {
            x >= 0.0
                && y >= 0.0
                && x < width as f32
                && y < height as f32
                && self.ink[y as usize * width as usize + x as usize]
        };
        let mut grey = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let samples = (0..SAMPLES * SAMPLES)
                    .filter(|n| is_ink(at(column, n % SAMPLES, across), at(row, n / SAMPLES, down)));
                grey.push(255 - (255 * samples.count() / (SAMPLES * SAMPLES)) as u8);
            }
        }
        Picture { columns, rows, grey }.softened()
    }
}
