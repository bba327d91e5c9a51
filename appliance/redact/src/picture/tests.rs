//! Which print is found in the pixels, in every format that is looked at, and what is not taken for print.

use super::*;
use crate::{Photometric, testing::Image};

const NATIVE: &str = "1.2.840.10008.1.2.1";

/// Black, with a bar of `bright` samples from row 100 to 120.
fn barred(photometric: Photometric, allocated: u16, stored: u16, frames: u32) -> Image {
    let mut image = Image::of(photometric, 600, 40, frames, allocated, stored);
    image.pixels.fill(0);
    image
}

fn picture(image: &Image) -> Picture {
    Picture::of(&image.data_set(), NATIVE, &Vec::new(), 1 << 20).unwrap()
}

fn at(picture: &Picture, x: usize, y: usize) -> u8 {
    picture.grey[y * picture.columns + x]
}

/// Sets the bytes of rows 100 to 120 of a frame by `byte`, which gets the offset in the frame.
fn bar(image: &mut Image, frame: usize, byte: impl Fn(usize) -> u8) {
    let length = image.pixels.len() / image.frames as usize;
    let line = length / 600;
    for at in 100 * line..120 * line {
        image.pixels[frame * length + at] = byte(at);
    }
}

#[test]
fn every_layout_shows_the_bar_light_on_dark() {
    for (photometric, allocated, stored, signed) in [
        (Photometric::Monochrome2, 8, 8, false),
        (Photometric::Monochrome2, 16, 12, false),
        (Photometric::Monochrome2, 16, 16, true),
        (Photometric::Monochrome2, 32, 32, false),
        (Photometric::Rgb, 8, 8, false),
        (Photometric::YbrFull, 8, 8, false),
        (Photometric::YbrFull422, 8, 8, false),
    ] {
        let mut image = barred(photometric, allocated, stored, 1);
        image.signed = signed;
        // Little endian: the high byte of each sample, below a sign.
        let width = usize::from(allocated / 8);
        bar(&mut image, 0, |at| if at % width == width - 1 { if stored == 12 { 0x0F } else { 0x7F } } else { 0 });
        let seen = picture(&image);
        assert_eq!(seen.size(), (40, 600), "{photometric:?} {allocated}");
        assert!(at(&seen, 20, 110) > 250 && at(&seen, 20, 50) < 5, "{photometric:?} {allocated} {stored}");
    }
}

#[test]
fn monochrome1_is_turned_round() {
    let mut image = barred(Photometric::Monochrome1, 8, 8, 1);
    bar(&mut image, 0, |_| 200);
    assert!(at(&picture(&image), 20, 110) < 5 && at(&picture(&image), 20, 50) > 250);
}

#[test]
fn planes_are_put_together() {
    let mut image = barred(Photometric::Rgb, 8, 8, 1);
    image.planar = true;
    // Rows 100 to 120 of the second plane: green.
    let plane = 600 * 40;
    image.pixels[plane + 100 * 40..plane + 120 * 40].fill(255);
    let seen = picture(&image);
    assert!(at(&seen, 20, 110) > 250 && at(&seen, 20, 50) < 5);
}

#[test]
fn what_stands_still_stays_and_what_moves_goes() {
    let mut image = barred(Photometric::Monochrome2, 8, 8, 27);
    let length = image.pixels.len() / 27;
    for frame in 0..27 {
        bar(&mut image, frame, |_| 255);
        // A bright line that is elsewhere in each frame.
        let row = 300 + 5 * frame;
        image.pixels[frame * length + row * 40..frame * length + (row + 1) * 40].fill(255);
    }
    let seen = picture(&image);
    assert!(at(&seen, 20, 110) > 250);
    assert!((300..440).all(|y| at(&seen, 20, y) < 5));
}

#[test]
fn large_ones_and_packed_ones_are_not_looked_at() {
    let image = Image::of(Photometric::Monochrome2, 50, 40, 1, 8, 8);
    assert_eq!(picture(&image).size(), (40, 50));
    assert!(picture(&image).to_pgm().starts_with(b"P5\n40 50\n255\n"));
    assert!(matches!(Picture::of(&image.data_set(), NATIVE, &Vec::new(), 1999), Err(Unseen::TooLarge)));
    let packed = Image::of(Photometric::Monochrome2, 48, 40, 1, 1, 1);
    assert!(matches!(Picture::of(&packed.data_set(), NATIVE, &Vec::new(), 1 << 20), Err(Unseen::Unsupported)));
}

#[test]
fn a_few_outliers_do_not_dim_the_rest() {
    let mut image = barred(Photometric::Monochrome2, 16, 16, 1);
    bar(&mut image, 0, |at| if at % 2 == 1 { 4 } else { 0 });
    // One pixel of 65535 among values up to 1024.
    image.pixels[..2].fill(255);
    assert!(at(&picture(&image), 20, 110) > 250);
}

/// Speckle of all greys up to `most`.
fn speckle(columns: usize, rows: usize, most: u64) -> Picture {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % (most + 1)) as u8
    };
    Picture { columns, rows, grey: (0..columns * rows).map(|_| next()).collect() }
}

/// Draws `letters` letters E of 10 by 14 pixels, two of them broad strokes, from (20, `y`).
fn print(picture: &mut Picture, y: usize, letters: usize, grey: u8) {
    for letter in 0..letters {
        for (dy, dx) in (0..14).flat_map(|dy| (0..10).map(move |dx| (dy, dx))) {
            if dx < 2 || dy < 2 || (6..8).contains(&dy) || dy >= 12 {
                picture.grey[(y + dy) * picture.columns + 20 + 16 * letter + dx] = grey;
            }
        }
    }
}

#[test]
fn print_is_found_light_and_dark_on_any_background_and_drawn_black_on_white() {
    for (most, grey) in [(0, 255), (0, 90), (200, 255), (120, 150), (255, 255)] {
        for turned in [false, true] {
            let mut picture = speckle(300, 100, most);
            print(&mut picture, 40, 12, grey);
            if turned {
                picture.grey.iter_mut().for_each(|value| *value = !*value);
            }
            let found = print::lines(&picture).unwrap();
            let ink = found.grey.iter().filter(|value| **value < 128).count();
            assert!(found.rows >= 60 && found.columns >= 12 * 16, "{most} {grey} {turned}: {found:?}");
            assert!((1500..9000).contains(&ink), "{most} {grey} {turned}: {ink}");
            assert!(found.grey[..found.columns * 10].iter().all(|value| *value == 255));
        }
    }
}

#[test]
fn lines_stand_one_below_the_other_and_a_few_letters_are_none() {
    let mut picture = speckle(300, 200, 0);
    assert!(print::lines(&picture).is_none());
    print(&mut picture, 20, 3, 255);
    assert!(print::lines(&picture).is_none());
    print(&mut picture, 60, 8, 255);
    let one = print::lines(&picture).unwrap().rows;
    print(&mut picture, 120, 8, 128);
    assert!(print::lines(&picture).unwrap().rows > one + 28);
}

#[test]
fn noise_is_seldom_taken_for_print() {
    for most in [255, 100] {
        let found = print::lines(&speckle(600, 400, most));
        assert!(found.as_ref().is_none_or(|picture| picture.rows < 200), "{most}: {found:?}");
    }
}
