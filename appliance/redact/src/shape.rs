//! Shapes of which a template keeps the inside: rectangles, polygons and fans.
//!
//! A pixel at column x and row y is the square from (x, y) to (x + 1, y + 1); the image's upper left corner is (0, 0), x grows to the
//! right and y down. **A pixel is kept only when it lies wholly inside one shape.** Rectangles and polygons have corners at whole
//! pixels and are rasterised in integers. A fan is judged by the corners of the pixel in double precision, by addition,
//! multiplication and square roots alone (IEEE 754 defines each to the last bit), so all machines keep the same pixels.

use crate::mask::{Mask, Rect, Region, Span, outside};
use serde::Deserialize;

/// A shape, px.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As a region to blank is stated: `[x, y, width, height]`.
    Rectangle(Region),
    /// Corners `[x, y]`, at least three; where the outline crosses itself, inside is what an odd number of its sides surrounds.
    Polygon(Vec<[u16; 2]>),
    /// A sector of a ring: what a curved, phased or radial array shows.
    Fan(Fan),
}

/// See [`Shape::Fan`].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fan {
    /// Where the two edges would meet, px; may be outside the image.
    pub apex: [f64; 2],
    /// Distance of the near and of the far arc from the apex, px.
    pub radii: [f64; 2],
    /// Left and right edge, degrees from straight down, positive to the right: `[-35, 35]`. From -360 to 360, at most 360 apart.
    pub angles: [f64; 2],
}

/// What is wrong with a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// As for regions.
    #[error(transparent)]
    Rectangle(#[from] crate::RegionError),
    /// Fewer than three corners.
    #[error("a polygon has three corners or more")]
    Corners,
    /// A corner that is not in the image.
    #[error("polygon reaches outside the image")]
    Outside,
    /// Radii or angles that enclose nothing.
    #[error(
        "a fan has a near radius of 0 or more, a larger far one, and angles from left to right, at most 360 degrees apart"
    )]
    Fan,
}

impl Shape {
    /// # Errors
    /// The shape is none, or not on an image of `rows` × `columns`. A fan may reach outside.
    pub fn check(&self, rows: u16, columns: u16) -> Result<(), ShapeError> {
        match self {
            Self::Rectangle(region) => region.resolve(rows, columns).map(drop).map_err(ShapeError::from),
            Self::Polygon(corners) if corners.len() < 3 => Err(ShapeError::Corners),
            Self::Polygon(corners) if corners.iter().any(|&[x, y]| x > columns || y > rows) => Err(ShapeError::Outside),
            Self::Polygon(_) => Ok(()),
            Self::Fan(Fan { apex, radii: [near, far], angles: [left, right] }) => {
                let numbers = apex.iter().chain([far]).all(|v| v.is_finite() && v.abs() <= 1e6);
                let angles = *left >= -360.0 && *right <= 360.0 && left < right && right - left <= 360.0;
                if numbers && *near >= 0.0 && near < far && angles { Ok(()) } else { Err(ShapeError::Fan) }
            }
        }
    }

    /// Adds the spans of pixels of line `y` that lie wholly inside.
    fn spans(&self, y: u32, rows: u16, columns: u16, spans: &mut Vec<Span>) {
        match self {
            Self::Rectangle(region) => match region.resolve(rows, columns) {
                Ok(Rect { x0, y0, x1, y1 }) if (y0..y1).contains(&y) => spans.push((x0, x1)),
                _ => {}
            },
            Self::Polygon(corners) => polygon(corners, i64::from(y), spans),
            Self::Fan(fan) => Sector::of(fan).spans(y, columns, spans),
        }
    }

    /// The mask that blanks `regions` and, unless `kept` is empty, everything outside of the union of `kept`.
    pub(crate) fn mask(regions: Vec<Rect>, kept: &[Self], rows: u16, columns: u16) -> Mask {
        let plain = Mask::new(regions);
        if kept.is_empty() {
            return plain;
        }
        let mut inside = Vec::new();
        Mask::by_lines(rows, |y, spans| {
            plain.spans(y, 1, 1, spans);
            inside.clear();
            kept.iter().for_each(|shape| shape.spans(y, rows, columns, &mut inside));
            outside(&mut inside, u32::from(columns), spans);
        })
    }
}

/// A side of a polygon where it passes line `y` from top to bottom: twice the middle's x as a fraction, and the pixels it touches.
struct Side {
    numerator: i64,
    denominator: i64,
    touches: Span,
}

/// Corners are whole, so a side that enters a line of pixels passes all of it. A pixel that no side touches lies on one side of
/// all of them: wholly inside or wholly outside, as the middle of the line tells.
fn polygon(corners: &[[u16; 2]], y: i64, spans: &mut Vec<Span>) {
    let ends = corners.iter().zip(corners.iter().cycle().skip(1));
    let mut sides: Vec<Side> = ends
        .filter_map(|(a, b)| {
            let (a, b) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            let [x0, y0, x1, y1] = [a[0], a[1], b[0], b[1]].map(i64::from);
            let (dx, dy) = (x1 - x0, y1 - y0);
            if y < y0 || y >= y1 {
                return None;
            }
            // x at the upper and at the lower edge of the line, times dy.
            let (upper, lower) = (x0 * dy + dx * (y - y0), x0 * dy + dx * (y + 1 - y0));
            let first = upper.min(lower).div_euclid(dy);
            let behind = (upper.max(lower) + dy - 1).div_euclid(dy);
            Some(Side { numerator: upper + lower, denominator: dy, touches: (first as u32, behind as u32) })
        })
        .collect();
    sides.sort_by(|a, b| (a.numerator * b.denominator).cmp(&(b.numerator * a.denominator)));
    for pair in sides.chunks_exact(2) {
        let mut from = pair[0].touches.1;
        let to = pair[1].touches.0;
        // Where an outline crosses itself, other sides too touch pixels between the two.
        let mut others: Vec<Span> = sides.iter().map(|s| s.touches).filter(|t| t.1 > from && t.0 < to).collect();
        others.sort_unstable();
        for (start, end) in others {
            if from < start {
                spans.push((from, start));
            }
            from = from.max(end);
        }
        if from < to {
            spans.push((from, to));
        }
    }
}

/// A fan with its edges as directions: (sine, cosine) of the angle, which is (right, down).
struct Sector {
    apex: [f64; 2],
    radii: [f64; 2],
    left: (f64, f64),
    right: (f64, f64),
    opening: f64,
}

impl Sector {
    fn of(fan: &Fan) -> Self {
        let [left, right] = fan.angles;
        let (apex, radii) = (fan.apex, fan.radii);
        Self { apex, radii, left: direction(left), right: direction(right), opening: right - left }
    }

    fn spans(&self, y: u32, columns: u16, spans: &mut Vec<Span>) {
        let mut start = None;
        for x in 0..u32::from(columns) {
            match (self.holds(x, y), start) {
                (true, None) => start = Some(x),
                (false, Some(from)) => {
                    spans.push((from, x));
                    start = None;
                }
                _ => {}
            }
        }
        spans.extend(start.map(|from| (from, u32::from(columns))));
    }

    fn holds(&self, x: u32, y: u32) -> bool {
        let (x0, y0) = (f64::from(x) - self.apex[0], f64::from(y) - self.apex[1]);
        let (x1, y1) = (x0 + 1.0, y0 + 1.0);
        let square = |v: f64| v * v;
        // The farthest point of a pixel is a corner; the nearest may be on an edge, or the apex itself.
        let farthest = square(x0.abs().max(x1.abs())) + square(y0.abs().max(y1.abs()));
        let nearest = square(x0.max(-x1).max(0.0)) + square(y0.max(-y1).max(0.0));
        if farthest > square(self.radii[1]) || nearest < square(self.radii[0]) {
            return false;
        }
        let corners = [(x0, y0), (x1, y0), (x0, y1), (x1, y1)];
        let right_of_left = || corners.iter().all(|&(dx, dy)| dx * self.left.1 - dy * self.left.0 >= 0.0);
        let left_of_right = || corners.iter().all(|&(dx, dy)| dy * self.right.0 - dx * self.right.1 >= 0.0);
        match self.opening {
            o if o >= 360.0 => true,
            // Two half-planes: both, or, when the fan is more than a half-disc, either.
            o if o > 180.0 => right_of_left() || left_of_right(),
            _ => right_of_left() && left_of_right(),
        }
    }
}

/// Sine and cosine of an angle in degrees: by their power series, as the last bits of a system's own functions differ. Exact for
/// multiples of 90 degrees.
fn direction(degrees: f64) -> (f64, f64) {
    let quarter = (degrees / 90.0).round();
    let rest = (degrees - quarter * 90.0) * (std::f64::consts::PI / 180.0);
    // |rest| is π/4 at most: the term after x^19 is below 2^-60.
    let (mut sine, mut cosine, mut term) = (0.0, 0.0, 1.0);
    for n in 0..20u32 {
        match n % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        term = term * rest / f64::from(n + 1);
    }
    match (quarter as i64).rem_euclid(4) {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

#[cfg(test)]
mod tests;
