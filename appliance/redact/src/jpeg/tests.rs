//! The transcoder against a model that holds every coefficient in an array, against real encoders and decoders, and
//! against damage.

use super::*;
use crate::mask::Rect;
use proptest::prelude::*;

mod model;

use model::{Model, TableKind};

fn expected(model: &Model) -> Expected {
    let samples = model.components.len() as u16;
    let colour = if samples == 1 { Colour::Monochrome } else { Colour::Ybr };
    Expected { rows: model.rows, columns: model.columns, samples, colour }
}

fn models() -> impl Strategy<Value = Model> {
    let factors = prop::sample::select(vec![
        vec![(1, 1)],
        vec![(2, 2)],
        vec![(1, 1), (1, 1), (1, 1)],
        vec![(2, 1), (1, 1), (1, 1)],
        vec![(2, 2), (1, 1), (1, 1)],
        vec![(1, 2), (1, 1), (1, 1)],
        vec![(4, 1), (1, 1), (1, 1)],
        vec![(4, 1), (2, 1), (1, 2)],
        vec![(1, 1), (2, 2), (1, 2)],
    ]);
    let tables = prop::sample::select(vec![TableKind::Standard, TableKind::Fitted]);
    let precision = prop::sample::select(vec![8u8, 8, 12]);
    (1u16..90, 1u16..70, factors, 0usize..3, 0u16..7, precision, tables, any::<u64>()).prop_map(
        |(columns, rows, factors, split, restart, precision, tables, seed)| {
            Model::random(columns, rows, &factors, split, restart, precision, tables, seed)
        },
    )
}

fn rects(model: &Model) -> impl Strategy<Value = Vec<Rect>> + use<> {
    let (columns, rows) = (u32::from(model.columns), u32::from(model.rows));
    let one = (0..columns, 0..rows).prop_flat_map(move |(x0, y0)| {
        (x0 + 1..=columns, y0 + 1..=rows).prop_map(move |(x1, y1)| Rect { x0, y0, x1, y1 })
    });
    prop::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any sampling, scans by component, restarts, 8 and 12 bit: the luma is that of the coefficients, by the formula of A.3.3.
    #[test]
    fn luma_is_that_of_the_coefficients((model, rects) in models().prop_flat_map(|m| {
        let rects = rects(&m);
        (Just(m), rects)
    })) {
        let (h_max, v_max) = model.components.iter().fold((1, 1), |m, c| (m.0.max(c.0), m.1.max(c.1)));
        let (h, v) = model.components[0];
        let middle = f64::from(1u32 << (model.precision - 1));
        let found = luma(&model.encode(), &expected(&model), &rects).unwrap();
        for (rect, found) in rects.iter().zip(found) {
            prop_assert_eq!(found.len() as u32, rect.width() * rect.height());
            // A few points of each: the formula is slow.
            for at in (0..found.len()).step_by(found.len() / 5 + 1) {
                let (x, y) = (rect.x0 + at as u32 % rect.width(), rect.y0 + at as u32 / rect.width());
                let (x, y) = (x * h / h_max, y * v / v_max);
                let block = &model.coefficients[0][(y / 8) as usize][(x / 8) as usize];
                let turn = |k: usize, at: u32| {
                    let scale = if k == 0 { 0.5f64.sqrt() } else { 1.0 };
                    scale / 2.0 * ((2 * (at % 8) + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos()
                };
                let sum: f64 = block
                    .iter()
                    .enumerate()
                    .map(|(k, &c)| {
                        // The model's quantisers: of DC its step, of AC the position.
                        let (quantiser, place) = (if k == 0 { usize::from(model.steps[0]) } else { k }, luma::ZIGZAG[k]);
                        f64::from(c) * quantiser as f64 * turn(place % 8, x) * turn(place / 8, y)
                    })
                    .sum();
                let exact = ((sum + middle).clamp(0.0, 2.0 * middle - 1.0)) * 65280.0 / (2.0 * middle - 1.0);
                let slack = 65280.0 / (2.0 * middle - 1.0) * 0.6 + 1.0;
                prop_assert!((f64::from(found[at]) - exact).abs() <= slack, "{} {}: {} {}", x, y, found[at], exact);
            }
        }
    }

    #[test]
    fn blank_inside_identical_outside((model, rects, seed) in models().prop_flat_map(|m| {
        let rects = rects(&m);
        (Just(m), rects, any::<u64>())
    })) {
        let mask = Mask::new(rects.clone());
        let expected = expected(&model);
        let original = model.encode();
        let mut out = Vec::new();
        let receipt = redact(&original, &expected, &mask, &mut out).unwrap();
        prove(&out, &expected, &mask, &receipt).unwrap();
        let mut blanked = model.clone();
        let count = blanked.blank(&rects);
        prop_assert_eq!(receipt.masked_blocks, count);
        prop_assert_eq!(&model.decode(&out), &blanked.coefficients);

        // Anything else inside the mask must give the same bytes.
        let other = model.scrambled_inside(&rects, seed);
        let mut again = Vec::new();
        redact(&other.encode(), &expected, &mask, &mut again).unwrap();
        prop_assert_eq!(&out, &again);

        // The proof fails for the original, unless there was nothing to blank.
        if blanked.coefficients != model.coefficients {
            prop_assert!(prove(&original, &expected, &mask, &receipt).is_err());
        }
    }

    #[test]
    fn damage_is_an_error_or_a_proven_result(model in models(), hits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut bytes = model.encode();
        for (at, value) in hits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        let mask = Mask::new(vec![Rect { x0: 0, y0: 0, x1: u32::from(model.columns), y1: 1 }]);
        let mut out = Vec::new();
        if let Ok(receipt) = redact(&bytes, &expected(&model), &mask, &mut out) {
            prove(&out, &expected(&model), &mask, &receipt).unwrap();
        }
    }
}

#[test]
fn truncation_anywhere_is_an_error() {
    let model = Model::random(40, 40, &[(2, 1), (1, 1), (1, 1)], 0, 2, 8, TableKind::Fitted, 5);
    let bytes = model.encode();
    let mask = Mask::new(vec![Rect { x0: 3, y0: 3, x1: 20, y1: 9 }]);
    for end in 0..bytes.len() {
        assert!(redact(&bytes[..end], &expected(&model), &mask, &mut Vec::new()).is_err(), "cut at {end}");
    }
}

#[test]
fn comments_applications_and_tail_are_dropped() {
    let model = Model::random(30, 20, &[(1, 1), (1, 1), (1, 1)], 0, 0, 8, TableKind::Standard, 6);
    let plain = model.encode();
    let mut bytes = plain[..2].to_vec();
    write_segment(&mut bytes, 0xE1, b"Exif\0\0DOE^JOHN");
    write_segment(&mut bytes, 0xFE, b"DOE^JOHN");
    write_segment(&mut bytes, 0xEE, b"Adobe\0\x65DOE\0\x01^JOHN");
    write_segment(&mut bytes, 0xEE, b"Other DOE^JOHN");
    bytes.extend_from_slice(&plain[2..]);
    bytes.extend_from_slice(b"\0DOE^JOHN\xFF\xD9");
    let (mask, expected) = (Mask::default(), expected(&model));
    let mut out = Vec::new();
    let receipt = redact(&bytes, &expected, &mask, &mut out).unwrap();
    assert_eq!(receipt.masked_blocks, 0);
    prove(&out, &expected, &mask, &receipt).unwrap();
    assert!(!out.windows(3).any(|w| w == b"DOE"));
    assert_eq!(&out[2..18], b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x01");
    assert_eq!(model.decode(&out), model.coefficients);
    // Each of them behind the work would have been found.
    for extra in [&b"\xFF\xFE\0\x04hi"[..], b"\xFF\xE1\0\x04hi"] {
        let mut bad = out[..2].to_vec();
        bad.extend_from_slice(extra);
        bad.extend_from_slice(&out[2..]);
        assert!(matches!(prove(&bad, &expected, &mask, &receipt), Err(JpegError::Unproven(_))));
    }
    let mut long = out.clone();
    long.push(0);
    assert!(matches!(prove(&long, &expected, &mask, &receipt), Err(JpegError::Unproven(_))));
}

#[test]
fn attributes_that_contradict_the_frame_are_refused() {
    let model = Model::random(30, 20, &[(1, 1)], 0, 0, 8, TableKind::Standard, 6);
    let right = expected(&model);
    let bytes = model.encode();
    for wrong in [Expected { rows: 21, ..right }, Expected { columns: 29, ..right }, Expected { samples: 3, ..right }] {
        assert_eq!(redact(&bytes, &wrong, &Mask::default(), &mut Vec::new()), Err(JpegError::Geometry));
    }
}

#[test]
fn other_processes_are_refused() {
    let bytes = Model::random(30, 20, &[(1, 1)], 0, 0, 8, TableKind::Standard, 6).encode();
    let sof = bytes.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    for marker in (0xC2..=0xCF).filter(|&m| m != 0xC4) {
        let mut other = bytes.clone();
        other[sof + 1] = marker;
        let expected = Expected { rows: 20, columns: 30, samples: 1, colour: Colour::Monochrome };
        let result = redact(&other, &expected, &Mask::default(), &mut Vec::new());
        assert!(matches!(result, Err(JpegError::Unsupported(_))), "{marker:02x}");
    }
}

/// A picture with enough going on in it.
fn picture(columns: u32, rows: u32) -> image::RgbImage {
    image::RgbImage::from_fn(columns, rows, |x, y| {
        let wave = ((x * x + 3 * y * y) / 40 % 256) as u8;
        image::Rgb([wave, (x * 255 / columns) as u8, if (x / 5 + y / 7) % 2 == 0 { 230 } else { wave / 2 }])
    })
}

fn decode(bytes: &[u8]) -> image::DynamicImage {
    image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap()
}

#[test]
fn an_independent_decoder_sees_black_inside_and_no_change_outside() {
    use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};
    let (columns, rows) = (133, 75);
    let colour = picture(columns, rows);
    let grey = image::DynamicImage::ImageRgb8(colour.clone()).to_luma8();
    let rect = Rect { x0: 21, y0: 3, x1: 90, y1: 18 };
    let mask = Mask::new(vec![rect]);
    for quality in [10, 50, 75, 90, 100] {
        for grey_too in [false, true] {
            let mut bytes = Vec::new();
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            let samples = if grey_too {
                encoder.encode(&grey, columns, rows, ExtendedColorType::L8).unwrap();
                1
            } else {
                encoder.encode(&colour, columns, rows, ExtendedColorType::Rgb8).unwrap();
                3
            };
            let colour = if grey_too { Colour::Monochrome } else { Colour::Ybr };
            let expected = Expected { rows: rows as u16, columns: columns as u16, samples, colour };
            let mut out = Vec::new();
            let receipt = redact(&bytes, &expected, &mask, &mut out).unwrap();
            prove(&out, &expected, &mask, &receipt).unwrap();
            let (before, after) = (decode(&bytes).to_rgb8(), decode(&out).to_rgb8());
            for (x, y, pixel) in after.enumerate_pixels() {
                // This encoder does not subsample: the grid is 8 × 8.
                if (16..96).contains(&x) && y < 24 {
                    assert_eq!(pixel.0, [0, 0, 0], "at {x},{y} quality {quality}");
                } else {
                    assert_eq!(pixel, before.get_pixel(x, y), "at {x},{y} quality {quality}");
                }
            }
            if grey_too {
                let white = Expected { colour: Colour::Inverted, ..expected };
                let mut out = Vec::new();
                redact(&bytes, &white, &mask, &mut out).unwrap();
                assert_eq!(decode(&out).to_luma8().get_pixel(30, 10).0, [255]);
            }
        }
    }
}
