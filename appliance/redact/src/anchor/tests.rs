//! Anchors in every format that redaction handles, on every frame; what is measured, against plain arithmetic.

mod perturbed;

use super::*;
use crate::{
    FrameCodec, Mask, Method, Photometric, PixelLayout, Plan, RedactError, apply,
    clearance::Basis,
    codec::Header,
    jpeg, jpeg_ls,
    testing::{Image, us},
};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Element, Value};
use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
use sha2::{Digest as _, Sha256};

const ROWS: u16 = 30;
const COLUMNS: u16 = 40;
const FRAMES: u32 = 3;
/// Where the picture below has its logo.
const RECT: [i32; 4] = [10, 6, 17, 13];

/// Grey of the picture, 0–255: a gradient, and a logo that `moved` px to the right.
fn grey(x: u32, y: u32, moved: u32) -> u8 {
    let (u, v) = (x.wrapping_sub(10 + moved), y.wrapping_sub(6));
    if u < 17 && v < 13 { if (u / 4 + v / 5) % 2 == 0 { 230 } else { 40 } } else { (x + y) as u8 / 2 }
}

/// The picture as native pixel data in `like`'s layout; `moved` by frame.
fn painted(like: &Image, moved: [u32; FRAMES as usize]) -> Image {
    let mut image = like.clone();
    image.frames = FRAMES;
    image.pixels.clear();
    let width = usize::from(image.allocated / 8);
    let range = 1u64 << image.stored;
    let value = |grey: u8| {
        let value = u64::from(grey) * (range - 1) / 255;
        let value = if image.signed { value ^ (range / 2) } else { value };
        value << (image.high + 1 - image.stored)
    };
    let bytes = |v: u64| v.to_le_bytes()[..width].to_vec();
    let middle = (range / 2) << (image.high + 1 - image.stored);
    for moved in moved {
        let of = |x: u32, y: u32| grey(x, y, moved);
        let planes = if image.planar { 3 } else { 1 };
        for plane in 0..planes {
            for y in 0..u32::from(ROWS) {
                for x in 0..u32::from(COLUMNS) {
                    let g = of(x, y);
                    let samples = match image.photometric {
                        Photometric::Monochrome1 => vec![value(255 - g)],
                        Photometric::Palette => vec![u64::from(g / 2 + 3) << (image.high + 1 - image.stored)],
                        Photometric::YbrFull422 if x % 2 == 0 => {
                            vec![value(g), value(of(x + 1, y)), middle, middle]
                        }
                        Photometric::YbrFull422 => vec![],
                        Photometric::YbrFull if image.planar && plane > 0 => vec![middle],
                        Photometric::YbrFull if !image.planar => vec![value(g), middle, middle],
                        Photometric::Rgb if !image.planar => vec![value(g); 3],
                        _ => vec![value(g)],
                    };
                    image.pixels.extend(samples.into_iter().flat_map(bytes));
                }
            }
        }
    }
    image
}

fn anchors(more: &[Anchor]) -> Vec<Placed> {
    let region = Region::from(RECT);
    let mut stated = vec![patch(&cells(0), 3.0)];
    let (mean, deviation) = spread();
    stated.push(Anchor::Statistics {
        region,
        mean: Some([mean - 1.0, mean + 1.0]),
        deviation: Some([deviation - 1.0, deviation + 1.0]),
        dark: Some(Dark { below: 60, share: [0.4, 0.6] }),
    });
    stated.extend_from_slice(more);
    stated.into_iter().map(|a| a.place(ROWS, COLUMNS).unwrap()).collect()
}

fn patch(cells: &[Vec<u8>], max_difference: f64) -> Anchor {
    Anchor::Patch { region: RECT.into(), rows: cells.to_vec(), max_difference }
}

/// Means of the logo in a grid of 5 × 6.
fn cells(moved: u32) -> Vec<Vec<u8>> {
    let [x0, y0, width, height] = RECT.map(|v| v as u32);
    let of = |row: u32, column: u32| {
        let ys = y0 + row * height / 5..y0 + (row + 1) * height / 5;
        let xs = x0 + column * width / 6..x0 + (column + 1) * width / 6;
        let all: Vec<u32> = ys.flat_map(|y| xs.clone().map(move |x| u32::from(grey(x, y, moved)))).collect();
        (all.iter().sum::<u32>() as f64 / all.len() as f64).round() as u8
    };
    (0..5).map(|row| (0..6).map(|column| of(row, column)).collect()).collect()
}

/// Mean and standard deviation of the logo.
fn spread() -> (f64, f64) {
    let [x0, y0, width, height] = RECT.map(|v| v as u32);
    let all: Vec<f64> =
        (y0..y0 + height).flat_map(|y| (x0..x0 + width).map(move |x| f64::from(grey(x, y, 0)))).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    (mean, (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt())
}

fn run(image: &Image, ds: &mut DataSet, method: Method, anchors: &[Placed]) -> Result<(), RedactError> {
    let layout = PixelLayout::of(&image.data_set()).unwrap();
    let mask = Mask::new(vec![Rect { x0: 0, y0: 0, x1: 40, y1: 20 }]);
    let plan = Plan { basis: Basis::Template("t".into()), layout, mask, anchors: anchors.into(), method };
    apply(&plan, ds, &Vec::new(), &mut Vec::new()).map(drop)
}

fn fails_on(result: Result<(), RedactError>) -> Option<(u32, u32)> {
    match result {
        Ok(()) => None,
        Err(error @ RedactError::Anchor { frame, anchor }) => {
            assert_eq!(error.hold(), Some("template-mismatch"));
            Some((frame, anchor))
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// A palette whose entry n + 3 is a grey of 2n.
fn palette(ds: &mut DataSet) {
    for (descriptor, data) in [
        (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
    ] {
        ds.insert(us(descriptor, &[128, 3, 16]));
        let entries = (0..128u16).flat_map(|n| (n * 2 * 257).to_le_bytes()).collect::<Vec<u8>>();
        ds.insert(Element::new(data, VR::OW, entries));
    }
}

fn layouts() -> Vec<Image> {
    use Photometric::*;
    let mut all = Vec::new();
    for photometric in [Monochrome1, Monochrome2, Rgb, YbrFull, YbrFull422, Palette] {
        for (allocated, stored, high, signed) in
            [(8, 8, 7, false), (16, 12, 11, false), (16, 10, 13, false), (16, 16, 15, true), (32, 32, 31, false)]
        {
            for planar in [false, true] {
                if signed && !matches!(photometric, Monochrome1 | Monochrome2)
                    || planar && !matches!(photometric, Rgb | YbrFull)
                {
                    continue;
                }
                let mut image = Image::of(photometric, ROWS, COLUMNS, FRAMES, allocated, stored);
                (image.high, image.signed, image.planar) = (high, signed, planar);
                all.push(image);
            }
        }
    }
    all
}

#[test]
fn native_in_every_layout_and_every_frame() {
    for like in layouts() {
        let data_set = |moved| {
            let image = painted(&like, moved);
            let mut ds = image.data_set();
            palette(&mut ds);
            (image, ds)
        };
        let check = |moved| {
            let (image, mut ds) = data_set(moved);
            fails_on(run(&image, &mut ds, Method::Native, &anchors(&[])))
        };
        assert_eq!(check([0, 0, 0]), None, "{like:?}");
        assert_eq!(check([3, 0, 0]), Some((1, 1)), "{like:?}");
        assert_eq!(check([0, 3, 0]), Some((2, 1)));
        assert_eq!(check([0, 0, 3]), Some((3, 1)));
    }
}

#[test]
fn a_digest_is_of_the_stored_bits_and_sees_one_of_them() {
    for like in layouts() {
        let image = painted(&like, [0; 3]);
        let mut bytes = Vec::new();
        let (width, shift) = (usize::from(image.allocated / 8), image.high + 1 - image.stored);
        let stored = if image.stored <= 8 { 1 } else { width };
        for y in 6..19u32 {
            for x in 10..27u32 {
                for c in 0..u32::from(image.photometric.samples()) {
                    let (rows, columns) = (u32::from(ROWS), u32::from(COLUMNS));
                    let index = match image.photometric {
                        Photometric::YbrFull422 if c == 0 => (y * columns + x) / 2 * 4 + x % 2,
                        Photometric::YbrFull422 => (y * columns + x) / 2 * 4 + 1 + c,
                        _ if image.planar => (c * rows + y) * columns + x,
                        _ => (y * columns + x) * u32::from(image.photometric.samples()) + c,
                    } as usize;
                    let sample = &image.pixels[index * width..(index + 1) * width];
                    let value = sample.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b)) >> shift;
                    bytes.extend_from_slice(&value.to_le_bytes()[..stored]);
                }
            }
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let digest = [Anchor::Digest { region: RECT.into(), sha256 }.place(ROWS, COLUMNS).unwrap()];
        let check = |image: &Image| {
            let mut ds = image.data_set();
            palette(&mut ds);
            fails_on(run(image, &mut ds, Method::Native, &digest))
        };
        assert_eq!(check(&image), None, "{like:?}");
        let mut other = image.clone();
        // The lowest stored bit of a sample in the rectangle, in the last frame.
        let at = (2 * usize::from(ROWS) * usize::from(COLUMNS) + 10 * usize::from(COLUMNS) + 12)
            * (image.pixels.len() / (3 * usize::from(ROWS) * usize::from(COLUMNS)));
        let at = if image.planar { image.pixels.len() / 3 * 2 + (10 * usize::from(COLUMNS) + 12) * width } else { at };
        let (byte, bit) = (at + usize::from(shift / 8), shift % 8);
        other.pixels[byte] ^= 1 << bit;
        assert_eq!(check(&other), Some((3, 1)), "{like:?}");
    }
}

fn encapsulated(image: &Image, frames: Vec<Vec<u8>>) -> DataSet {
    let mut ds = image.data_set();
    let even = |mut f: Vec<u8>| {
        f.resize(f.len().next_multiple_of(2), 0);
        Value::Bytes(f)
    };
    let value = Value::Fragments { offsets: vec![], fragments: frames.into_iter().map(even).collect() };
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value });
    ds
}

#[test]
fn lossless_codecs_on_every_frame() {
    for codec in [FrameCodec::Rle, FrameCodec::JpegLossless, FrameCodec::JpegLs, FrameCodec::Deflated] {
        for like in layouts().into_iter().filter(|i| i.allocated <= 16 && i.high + 1 == i.stored) {
            let layout = PixelLayout { planar: false, ..PixelLayout::of(&like.data_set()).unwrap() };
            if !codec.is_supported(&layout) {
                continue;
            }
            let like = Image { planar: false, ..like };
            let check = |moved| {
                let image = painted(&like, moved);
                let precision = image.stored as u8;
                let header = match codec {
                    FrameCodec::Rle => Header::Rle,
                    FrameCodec::Deflated => Header::Deflated,
                    FrameCodec::JpegLossless => Header::JpegLossless(jpeg::lossless::Header::new(precision)),
                    FrameCodec::JpegLs => Header::JpegLs(jpeg_ls::Header { precision }),
                };
                let encode = |samples: &[u8]| {
                    let mut stream = Vec::new();
                    FrameCodec::encode(samples, &layout, header, &mut stream).unwrap();
                    stream
                };
                let mut ds = encapsulated(&image, image.pixels.chunks(image.pixels.len() / 3).map(encode).collect());
                palette(&mut ds);
                fails_on(run(&image, &mut ds, Method::Frames(codec), &anchors(&[])))
            };
            assert_eq!(check([0, 0, 0]), None, "{codec:?} {like:?}");
            assert_eq!(check([0, 3, 0]), Some((2, 1)), "{codec:?} {like:?}");
        }
    }
}

#[test]
fn jpeg_on_every_frame_in_grey_and_colour() {
    for (photometric, kind) in
        [(Photometric::Monochrome2, ExtendedColorType::L8), (Photometric::YbrFull422, ExtendedColorType::Rgb8)]
    {
        let like = Image::of(photometric, ROWS, COLUMNS, FRAMES, 8, 8);
        let check = |moved: [u32; 3], more: &[Anchor]| {
            let image = painted(&like, moved);
            let encode = |moved: u32| {
                let each = if kind == ExtendedColorType::L8 { 1 } else { 3 };
                let pixels: Vec<u8> = (0..u32::from(ROWS))
                    .flat_map(|y| (0..u32::from(COLUMNS)).flat_map(move |x| vec![grey(x, y, moved); each]))
                    .collect();
                let mut stream = Vec::new();
                JpegEncoder::new_with_quality(&mut stream, 90)
                    .encode(&pixels, u32::from(COLUMNS), u32::from(ROWS), kind)
                    .unwrap();
                stream
            };
            let mut ds = encapsulated(&image, moved.map(encode).to_vec());
            fails_on(run(&image, &mut ds, Method::Jpeg, &anchors(more)))
        };
        assert_eq!(check([0, 0, 0], &[]), None);
        assert_eq!(check([0, 0, 3], &[]), Some((3, 1)));
        // No digest can hold for a lossy source.
        let digest = Anchor::Digest { region: RECT.into(), sha256: "0".repeat(64) };
        assert_eq!(check([0, 0, 0], &[digest]), Some((1, 3)));
    }
}

#[test]
fn bounds_are_included_and_what_is_beyond_them_fails() {
    let like = Image::of(Photometric::Monochrome2, ROWS, COLUMNS, FRAMES, 8, 8);
    let image = painted(&like, [0; 3]);
    let holds = |anchor: Anchor| {
        let placed = [anchor.place(ROWS, COLUMNS).unwrap()];
        fails_on(run(&image, &mut image.data_set(), Method::Native, &placed)).is_none()
    };
    // Two columns of the logo's first, bright square.
    let bright = |mean, deviation, dark| Anchor::Statistics { region: [10, 6, 4, 5].into(), mean, deviation, dark };
    assert!(holds(bright(Some([230.0, 230.0]), Some([0.0, 0.0]), None)));
    assert!(!holds(bright(Some([230.1, 255.0]), None, None)) && !holds(bright(Some([0.0, 229.9]), None, None)));
    assert!(!holds(bright(None, Some([0.1, 255.0]), None)));
    let dark = |below, share| bright(None, None, Some(Dark { below, share }));
    assert!(holds(dark(230, [0.0, 0.0])) && holds(dark(231, [1.0, 1.0])));
    assert!(!holds(dark(230, [0.1, 1.0])) && !holds(dark(231, [0.0, 0.9])));
    let worst = cells(0).concat().iter().map(|&c| f64::from(c)).sum::<f64>() / 30.0;
    let black = vec![vec![0; 6]; 5];
    assert!(holds(patch(&black, worst + 1.0)) && !holds(patch(&black, worst - 1.0)));
    assert!(holds(patch(&cells(0), 0.5)) && !holds(patch(&cells(1), 3.0)));
}

#[test]
fn anchors_that_say_nothing_or_the_impossible_are_refused() {
    let refused = |anchor: Anchor| anchor.place(ROWS, COLUMNS).unwrap_err();
    let region = Region::from(RECT);
    let bounds = |mean| Anchor::Statistics { region, mean, deviation: None, dark: None };
    assert_eq!(refused(bounds(None)), AnchorError::Boundless);
    for wrong in [[5.0, 4.0], [-1.0, 4.0], [0.0, 256.0], [f64::NAN, 1.0], [0.0, f64::NAN]] {
        assert_eq!(refused(bounds(Some(wrong))), AnchorError::Bounds);
    }
    let share =
        Anchor::Statistics { region, mean: None, deviation: None, dark: Some(Dark { below: 9, share: [0.0, 1.1] }) };
    assert_eq!(refused(share), AnchorError::Bounds);
    for wrong in ["", &"0".repeat(63), &"A".repeat(64), &"g".repeat(64)] {
        assert_eq!(refused(Anchor::Digest { region, sha256: (*wrong).to_owned() }), AnchorError::Digest);
    }
    for wrong in [vec![], vec![vec![]], vec![vec![0; 4], vec![0; 5]], vec![vec![0; 18]], vec![vec![0]; 14]] {
        assert_eq!(refused(patch(&wrong, 1.0)), AnchorError::Grid);
    }
    assert_eq!(refused(patch(&[vec![0]], -1.0)), AnchorError::Bounds);
    let outside = Anchor::Digest { region: [30, 0, 11, 1].into(), sha256: "0".repeat(64) };
    assert_eq!(refused(outside), AnchorError::Region(RegionError::Outside));
}
