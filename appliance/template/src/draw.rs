//! A grey picture with coloured rectangles and their coordinates on it.

use gift_redact::Rect;
use image::{GrayImage, Rgb, RgbImage};

/// What is blanked.
pub(crate) const RED: Rgb<u8> = Rgb([255, 0, 0]);
/// What is kept.
pub(crate) const GREEN: Rgb<u8> = Rgb([0, 255, 0]);
/// Anchors.
pub(crate) const BLUE: Rgb<u8> = Rgb([64, 128, 255]);
/// Behind letters.
const BLACK: Rgb<u8> = Rgb([0, 0, 0]);
/// Side of a letter, px.
const LETTER: u32 = 8;

/// The luma of a frame (0–65280) as a picture; `stretched` from the least to the greatest, for images of more than 8 bits.
pub(crate) fn picture(luma: &[u16], rows: u16, columns: u16, stretched: bool) -> Option<RgbImage> {
    let (least, greatest) = match stretched {
        true => (luma.iter().min().copied()?, luma.iter().max().copied()?),
        false => (0, 65_280),
    };
    let range = u32::from(greatest - least).max(1);
    let grey = luma.iter().map(|&v| ((u32::from(v - least) * 255 + range / 2) / range) as u8).collect();
    let grey = GrayImage::from_raw(u32::from(columns), u32::from(rows), grey)?;
    Some(image::DynamicImage::ImageLuma8(grey).into_rgb8())
}

/// Draws the outermost pixels of `rect`.
pub(crate) fn outline(image: &mut RgbImage, rect: Rect, colour: Rgb<u8>) {
    let Rect { x0, y0, x1, y1 } = rect;
    for x in x0..x1 {
        for y in [y0, y1 - 1] {
            image.put_pixel(x, y, colour);
        }
    }
    for y in y0..y1 {
        for x in [x0, x1 - 1] {
            image.put_pixel(x, y, colour);
        }
    }
}

/// Draws the pixels of the area `inside` that have one outside of it beside them.
pub(crate) fn border(image: &mut RgbImage, inside: impl Fn(u32, u32) -> bool, colour: Rgb<u8>) {
    let (width, height) = image.dimensions();
    for y in 0..height {
        for x in 0..width {
            let beside = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            if inside(x, y) && beside.into_iter().any(|(u, v)| u < width && v < height && !inside(u, v)) {
                image.put_pixel(x, y, colour);
            }
        }
    }
}

/// Writes x, y, width and height of `rect` inside it where there is room, else below or above it.
pub(crate) fn label(image: &mut RgbImage, rect: Rect, colour: Rgb<u8>) {
    let text = format!("{},{} {}x{}", rect.x0, rect.y0, rect.width(), rect.height());
    let (width, height) = image.dimensions();
    let length = text.len() as u32 * LETTER + 2;
    let (x, y) = if rect.width() > length + 4 && rect.height() > LETTER + 6 {
        // To the right: text begins at the left.
        (rect.x1 - length - 2, rect.y0 + 2)
    } else if rect.y1 + LETTER + 3 <= height {
        (rect.x0, rect.y1 + 1)
    } else {
        (rect.x0, rect.y0.saturating_sub(LETTER + 3))
    };
    let x = x.min(width.saturating_sub(length));
    let mut dot = |x: u32, y: u32, colour| {
        if x < width && y < height {
            image.put_pixel(x, y, colour);
        }
    };
    for v in 0..LETTER + 2 {
        (0..length).for_each(|u| dot(x + u, y + v, BLACK));
    }
    for (at, letter) in (0..).zip(text.chars()) {
        let glyph = font8x8::UnicodeFonts::get(&font8x8::BASIC_FONTS, letter).unwrap_or_default();
        for (v, bits) in (0..).zip(glyph) {
            for u in (0..8).filter(|u| bits >> u & 1 == 1) {
                dot(x + 1 + at * LETTER + u, y + 1 + v, colour);
            }
        }
    }
}
