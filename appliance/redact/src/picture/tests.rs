use super::*;
use crate::{Photometric, testing::Image};

const NATIVE: &str = "1.2.840.10008.1.2.1";

/// 600 rows, so that nothing is doubled: black, with a bar of `bright` samples from row 100 to 120.
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
fn small_ones_are_doubled_and_large_ones_not_looked_at() {
    let image = Image::of(Photometric::Monochrome2, 50, 40, 1, 8, 8);
    assert_eq!(picture(&image).size(), (80, 100));
    assert!(picture(&image).to_pgm().starts_with(b"P5\n80 100\n255\n"));
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
