//! The picture: a pattern in which every pixel has a known value, and print on top of it.

use font8x8::UnicodeFonts as _;

use crate::definition::Picture;

/// Pixels of a side of a glyph's dot; a character is eight dots wide and high.
const DOT: usize = 2;
/// Colour of print.
const WHITE: [u8; 3] = [255, 255, 255];

/// The samples: by line, by pixel, by component.
pub(crate) fn draw(picture: &Picture) -> Vec<u8> {
    let (columns, rows) = (u32::from(picture.columns), u32::from(picture.rows));
    let mut samples: Vec<u8> =
        (0..rows).flat_map(|y| (0..columns).flat_map(move |x| (0..3).map(move |c| sample(picture, x, y, c)))).collect();
    for (region, line) in picture.regions.iter().zip(&picture.print) {
        print(&mut samples, usize::from(picture.columns), *region, line);
    }
    samples
}

fn sample(picture: &Picture, x: u32, y: u32, c: usize) -> u8 {
    ((picture.x_factors[c] * x + picture.y_factors[c] * y + picture.offsets[c]) % 256) as u8
}

/// Draws a line into the middle of a region's height; dots that would stand outside of it are left out.
fn print(samples: &mut [u8], columns: usize, region: [u16; 4], line: &str) {
    let [left, top, width, height] = region.map(usize::from);
    let above = height.saturating_sub(8 * DOT) / 2;
    for (place, character) in line.chars().enumerate() {
        let glyph = font8x8::BASIC_FONTS.get(character).unwrap_or([0x7E; 8]);
        for (row, bits) in glyph.into_iter().enumerate() {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                let (x, y) = ((place * 8 + column) * DOT, above + row * DOT);
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let (x, y) = (x + dx, y + dy);
                    let at = ((top + y) * columns + left + x) * 3;
                    if let (true, Some(pixel)) = (x < width && y < height, samples.get_mut(at..at + 3)) {
                        pixel.copy_from_slice(&WHITE);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;

    #[test]
    fn print_is_in_its_regions_whole_and_the_rest_is_the_pattern() {
        let picture = Definition::built_in().unwrap().picture;
        let (samples, plain) =
            (draw(&picture), draw(&Picture { print: Vec::new(), ..Definition::built_in().unwrap().picture }));
        let mut changed = vec![0; picture.regions.len()];
        for (at, (pixel, before)) in samples.chunks_exact(3).zip(plain.chunks_exact(3)).enumerate() {
            let (x, y) = (at % usize::from(picture.columns), at / usize::from(picture.columns));
            let region = picture.regions.iter().position(|region| {
                let [left, top, width, height] = region.map(usize::from);
                (left..left + width).contains(&x) && (top..top + height).contains(&y)
            });
            let expected = [17 + x + 2 * y, 89 + 3 * x + y, 151 + 5 * x + 7 * y].map(|sum| (sum % 256) as u8);
            assert_eq!(before, expected, "{x}, {y}");
            match region {
                Some(region) => changed[region] += usize::from(pixel == WHITE),
                None => assert_eq!(pixel, before, "{x}, {y}"),
            }
        }
        for ((ink, line), region) in changed.iter().zip(&picture.print).zip(&picture.regions) {
            let dots =
                line.chars().map(|c| font8x8::BASIC_FONTS.get(c).unwrap().map(u8::count_ones).iter().sum::<u32>());
            assert!(*ink >= dots.sum::<u32>() as usize * DOT * DOT, "{line} is cut off");
            assert!(line.chars().count() * 8 * DOT <= usize::from(region[2]));
        }
    }
}
