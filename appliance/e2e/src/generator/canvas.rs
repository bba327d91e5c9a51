//! Images: an ultrasound-like fan of speckle with readable text, and the slices of a CT or MR phantom.
//!
//! Text is drawn with the public-domain 8×8 bitmap font of the `font8x8` crate, twice its size, so that no font of the
//! machine matters.

use font8x8::UnicodeFonts as _;

use super::{rng::Rng, scanner::Rect, stray::Mark};

/// Pixels of a side of a glyph's dot.
const SCALE: usize = 2;
/// Width and height of a character cell in pixels.
pub(super) const CELL: u16 = 8 * SCALE as u16;

/// White and yellow, the colours of banners.
pub(super) const WHITE: [u8; 3] = [255, 255, 255];
pub(super) const YELLOW: [u8; 3] = [255, 230, 60];
/// The grey-blue of harmless annotations.
pub(super) const FAINT: [u8; 3] = [150, 170, 190];

/// An RGB image, 8 bits a sample, black at first.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    /// A black image.
    pub(super) fn new((rows, columns): (u16, u16)) -> Self {
        let (width, height) = (usize::from(columns), usize::from(rows));
        Self { width, height, rgb: vec![0; width * height * 3] }
    }

    /// The samples, interleaved (Planar Configuration 0).
    pub(super) fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The samples.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Fills a rectangle.
    pub(super) fn fill(&mut self, [x, y, w, h]: Rect, colour: [u8; 3]) {
        let (x, right) = (usize::from(x), (usize::from(x) + usize::from(w)).min(self.width));
        for y in usize::from(y)..(usize::from(y) + usize::from(h)).min(self.height) {
            let row = (y * self.width + x) * 3..(y * self.width + right) * 3;
            for pixel in self.rgb[row].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// Draws one line of text and gives the rectangle it stands in. What does not fit into the width is cut off.
    pub(super) fn text(&mut self, (x, y): (u16, u16), text: &str, colour: [u8; 3]) -> Rect {
        let fit = (self.width.saturating_sub(usize::from(x))) / usize::from(CELL);
        let text: String = text.chars().take(fit).collect();
        dots(&text, (x, y), SCALE as u16, |dot| self.fill(dot, colour));
        [x, y, text.chars().count() as u16 * CELL, CELL]
    }

    /// Draws a line of text that stands outside the banner.
    pub(super) fn mark(&mut self, mark: &Mark) {
        if let Some(colour) = mark.backing {
            self.fill(boxed(mark), colour);
        }
        dots(&mark.text, mark.at, mark.scale, |dot| self.fill(dot, mark.colour));
    }

    /// Draws the fan of a curved probe: speckle, brighter near the probe, with the ring of a fetal head in it. `drift` moves
    /// the ring from frame to frame.
    pub(super) fn fan(&mut self, rng: &mut Rng, drift: i32) {
        let (width, height) = (self.width as i32, self.height as i32);
        let (apex_x, apex_y) = (width / 2, height / 40);
        let (near, far) = (height / 6, height * 15 / 16);
        let (head_x, head_y) = (apex_x - width / 16 + drift, height * 9 / 16);
        let (a, b) = (i64::from(width / 7), i64::from(height / 6));
        let mut noise = vec![0_u8; self.width];
        for y in (apex_y + near / 2)..height {
            rng.fill(&mut noise);
            let dy = y - apex_y;
            let half = (dy * 9 / 10).min(width / 2 - 2);
            let mut smooth = 128_i32;
            for x in (apex_x - half)..(apex_x + half) {
                let dx = x - apex_x;
                let r2 = dx * dx + dy * dy;
                if r2 < near * near || r2 > far * far {
                    continue;
                }
                smooth = (smooth + i32::from(noise[x as usize])) / 2;
                let depth = 150 - 90 * (r2 / 64) / (far * far / 64).max(1);
                let (ex, ey) = (i64::from(x - head_x), i64::from(y - head_y));
                let ring = (ex * ex * 100 / (a * a) + ey * ey * 100 / (b * b)) as i32;
                let tissue = match ring {
                    0..=84 => 35,
                    85..=112 => 210,
                    _ => 100,
                };
                let grey = (smooth * depth / 128 * tissue / 100).clamp(2, 250) as u8;
                let at = (y as usize * self.width + x as usize) * 3;
                self.rgb[at..at + 3].copy_from_slice(&[grey, grey, grey]);
            }
        }
    }
}

/// The box behind a line of text, some pixels larger.
fn boxed(mark: &Mark) -> Rect {
    let [x, y, w, h] = mark.rect();
    [x.saturating_sub(4), y.saturating_sub(4), w + 8, h + 8]
}

/// Gives `fill` every dot of a line of text at `(x, y)`; a dot is `scale` pixels square.
fn dots(text: &str, (x, y): (u16, u16), scale: u16, mut fill: impl FnMut(Rect)) {
    for (left, character) in (x..).step_by(usize::from(8 * scale)).zip(text.chars()) {
        let glyph = font8x8::BASIC_FONTS.get(character).unwrap_or([0x7E; 8]);
        for (row, bits) in (0..).zip(glyph) {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                fill([left + column * scale, y + row * scale, scale, scale]);
            }
        }
    }
}

/// Draws a line of text into a slice of `size` pixels square; white is the greatest value of 12 bits.
pub(super) fn mark_slice(words: &mut [u16], size: u16, mark: &Mark) {
    let value = |colour: [u8; 3]| u16::from(colour[1]) << 4 | 0xF;
    let size = usize::from(size);
    let mut fill = |rect: Rect, value: u16| {
        let [x, y, w, h] = rect.map(usize::from);
        for line in words.chunks_exact_mut(size).skip(y).take(h) {
            line[x.min(size)..(x + w).min(size)].fill(value);
        }
    };
    if let Some(colour) = mark.backing {
        fill(boxed(mark), value(colour));
    }
    dots(&mark.text, mark.at, mark.scale, |dot| fill(dot, value(mark.colour)));
}

/// A slice through a phantom, `size` pixels square: an ellipse with bone, soft tissue and noise. Values are 12 bits.
pub(super) fn slice(size: u16, position: u32, rng: &mut Rng) -> Vec<u16> {
    let n = i32::from(size);
    let (a, b) = (n * 7 / 16, n * 6 / 16 - (position % 8) as i32);
    let mut noise = vec![0_u8; usize::from(size)];
    let mut words = Vec::with_capacity(usize::from(size) * usize::from(size));
    for y in 0..n {
        rng.fill(&mut noise);
        for x in 0..n {
            let (dx, dy) = (x - n / 2, y - n / 2);
            let part = |d: i32, radius: i32| i64::from(d).pow(2) * 100 / i64::from(radius).pow(2).max(1);
            let ring = part(dx, a) + part(dy, b);
            let tissue = match ring {
                0..=20 => 1060,
                21..=84 => 1010,
                85..=100 => 1700,
                _ => 8,
            };
            words.push(tissue + u16::from(noise[x as usize] >> 3));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True where a pixel is not black.
    fn inked(canvas: &Canvas, [x, y, w, h]: Rect) -> usize {
        let mut count = 0;
        for row in y..y + h {
            for column in x..x + w {
                let at = (usize::from(row) * canvas.width + usize::from(column)) * 3;
                count += usize::from(canvas.rgb[at..at + 3] != [0, 0, 0]);
            }
        }
        count
    }

    #[test]
    fn text_stays_within_the_rectangle_it_reports() {
        let mut canvas = Canvas::new((60, 200));
        let rect = canvas.text((10, 20), "NG^AI 9990001112", WHITE);
        assert_eq!(rect, [10, 20, 176, 16], "eleven cells of 16 pixels fit");
        let all = inked(&canvas, [0, 0, 200, 60]);
        assert!(all > 500);
        assert_eq!(inked(&canvas, rect), all);
    }

    #[test]
    fn the_fan_leaves_the_banner_alone() {
        for size in [(720, 960), (852, 1136), (600, 800), (768, 1024)] {
            let mut canvas = Canvas::new(size);
            canvas.fan(&mut Rng::new(5), 12);
            assert_eq!(inked(&canvas, [0, 0, size.1, 65]), 0);
            assert!(inked(&canvas, [0, 65, size.1, size.0 - 65]) > 100_000);
        }
    }
}
