//! JPEG 2000 and HTJ2K: synthetic codestreams of `testdata/jpeg-2000`.

use super::*;
use dicom_core::Tag;

const LOSSLESS: &str = "1.2.840.10008.1.2.4.90";
const ANY: &str = "1.2.840.10008.1.2.4.91";
const HT_LOSSLESS: &str = "1.2.840.10008.1.2.4.201";
const HT_ANY: &str = "1.2.840.10008.1.2.4.203";
const COLUMNS: usize = 64;
const ROWS: usize = 40;
/// x, y, width, height of the one region.
const REGION: (usize, usize, usize, usize) = (10, 20, 30, 8);

fn stream(name: &str) -> Vec<u8> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/jpeg-2000");
    let mut bytes = std::fs::read(directory.join(name)).unwrap();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn text_of_templates() -> String {
    let (x, y, width, height) = REGION;
    format!(
        "version = 1\n[[template]]\nid = \"t\"\nsource = \"test\"\nregions = [[{x}, {y}, {width}, {height}]]\n\
         [template.match]\nmanufacturer = \"Acme\"\nmodel = \"Scan 1\"\nrows = 40\ncolumns = 64\n\
         sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\n\
         photometric-interpretations = [\"MONOCHROME2\", \"RGB\", \"YBR_RCT\", \"YBR_ICT\"]\n\
         transfer-syntaxes = [\"{LOSSLESS}\", \"{ANY}\", \"{HT_LOSSLESS}\", \"{HT_ANY}\"]\n\
         [template.verified]\nby = \"test\"\non = \"2026-11-28\"\nevidence = \"test\"\n"
    )
}

fn templates() -> Templates {
    Templates::parse([("t", text_of_templates())]).unwrap()
}

fn object(photometric: Photometric, (allocated, stored): (u16, u16), frames: &[Vec<u8>]) -> DataSet {
    let mut image = Image::of(photometric, ROWS as u16, COLUMNS as u16, 1, allocated, stored);
    image.pixels.clear();
    let mut ds = image.data_set();
    ds.insert(text(tags::NUMBER_OF_FRAMES, "2"));
    let fragments = frames.iter().cloned().map(Value::Bytes).collect();
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value: Value::Fragments { offsets: vec![], fragments } });
    ds
}

/// Redacts two frames of the stream; the word under which it is held, or the samples.
fn redacted(ds: &mut DataSet, syntax: &str) -> Result<Vec<u8>, &'static str> {
    let plan = match decide(ds, syntax, &templates(), &NeverBurntIn::default()) {
        Decision::Redact(plan) => plan,
        Decision::Hold(hold) => return Err(hold.as_str()),
        Decision::Clear(_) => panic!("cleared"),
    };
    let mut scratch = Vec::new();
    let clearance = apply(&plan, ds, &Vec::new(), &mut scratch).map_err(|e| e.hold().unwrap())?;
    assert_eq!((clearance.template(), clearance.frames()), (Some("t"), 2));
    Ok(scratch)
}

/// A sample of the pattern before coding: component `c` at x, y.
fn pattern(name: &str, c: usize, x: usize, y: usize) -> i32 {
    (match (name.contains("rgb"), c) {
        (true, 0) => (3 * x) & 0xFF,
        (true, 1) => (5 * y) & 0xFF,
        (true, _) => (x + y) & 0xFF,
        (false, _) if name.contains("12") => (61 * x + 5 * y) & 0xFFF,
        (false, _) => (3 * x + y) & 0xFF,
    }) as i32
}

#[test]
fn a_lossless_frame_is_blank_inside_and_identical_outside_however_it_is_fragmented() {
    use Photometric::{Monochrome2, Rgb, YbrRct};
    for (name, photometric, syntax, bits) in [
        ("gray8.j2k", Monochrome2, LOSSLESS, (8, 8)),
        ("gray8.j2k", Monochrome2, ANY, (8, 8)),
        ("gray12.j2k", Monochrome2, LOSSLESS, (16, 12)),
        ("rgb_mct.j2k", YbrRct, LOSSLESS, (8, 8)),
        ("rgb_mct.j2k", Rgb, LOSSLESS, (8, 8)),
        ("rgb_plain.j2k", Rgb, LOSSLESS, (8, 8)),
        ("ht_gray8.j2c", Monochrome2, HT_LOSSLESS, (8, 8)),
        ("ht_gray12.j2c", Monochrome2, HT_LOSSLESS, (16, 12)),
        ("ht_rgb.j2c", YbrRct, HT_LOSSLESS, (8, 8)),
        ("ht_rgb.j2c", YbrRct, HT_ANY, (8, 8)),
    ] {
        let whole = stream(name);
        let (head, tail) = whole.split_at(100);
        let wrapped = [b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x0cftypjp2 \0\0\0\0jp2c".as_slice(), whole.as_slice()].concat();
        let wrapped = wrapped[..wrapped.len() & !1].to_vec();
        let once = [whole.clone(), whole.clone()];
        let split = [head.to_vec(), tail.to_vec(), head.to_vec(), tail.to_vec()];
        for frames in [once.as_slice(), split.as_slice(), &[wrapped.clone(), wrapped]] {
            let mut ds = object(photometric, bits, frames);
            let samples = redacted(&mut ds, syntax).unwrap_or_else(|why| panic!("{name} {syntax}: {why}"));
            let decoded = if photometric == YbrRct { "RGB" } else { photometric.as_str() };
            assert_eq!(ds.str(tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some(decoded));
            assert!(matches!(ds.get(tags::PIXEL_DATA).unwrap().value, Value::Span { origin: Origin::Scratch, .. }));
            assert!(!ds.contains(tags::LOSSY_IMAGE_COMPRESSION));
            check(
                name,
                &samples,
                photometric.samples().into(),
                bits.0 == 16,
                if syntax == LOSSLESS || syntax == HT_LOSSLESS { 0 } else { 16 },
            );
        }
    }
}

/// Outside the region grown by `margin` exactly the pattern, inside zero, in both frames.
fn check(name: &str, samples: &[u8], components: usize, wide: bool, margin: usize) {
    let (x0, y0, width, height) = REGION;
    let width_of = if wide { 2 } else { 1 };
    assert_eq!(samples.len(), 2 * ROWS * COLUMNS * components * width_of);
    for (n, sample) in samples.chunks_exact(width_of).enumerate() {
        let (c, pixel) = (n % components, n / components % (ROWS * COLUMNS));
        let (x, y) = (pixel % COLUMNS, pixel / COLUMNS);
        let inside = (x0.saturating_sub(margin)..x0 + width + margin).contains(&x)
            && (y0.saturating_sub(margin)..y0 + height + margin).contains(&y);
        let value = sample.iter().rev().fold(0, |v, b| v << 8 | i32::from(*b));
        let expected = if inside { 0 } else { pattern(name, c, x, y) };
        assert_eq!(value, expected, "{name} {c} {x} {y}");
    }
}

#[test]
fn sign_of_stream_and_attribute_may_differ_and_the_bits_stay() {
    for signed in [0, 1] {
        let mut ds = object(Photometric::Monochrome2, (16, 12), &[stream("signed12.j2k"), stream("signed12.j2k")]);
        ds.insert(us(tags::PIXEL_REPRESENTATION, &[signed]));
        let samples = redacted(&mut ds, LOSSLESS).unwrap();
        for (n, sample) in samples.chunks_exact(2).enumerate().take(COLUMNS) {
            let value = (pattern("gray12", 0, n, 0) - 2048) as i16 as u16;
            let kept = if signed == 1 { value } else { value & 0xFFF };
            assert_eq!(u16::from_le_bytes([sample[0], sample[1]]), kept);
        }
    }
}

#[test]
fn a_lossy_frame_loses_a_margin_and_its_loss_is_stated_once() {
    for (name, photometric, syntax) in
        [("rgb_lossy.j2k", Photometric::YbrIct, ANY), ("ht_rgb_lossy.j2c", Photometric::YbrIct, HT_ANY)]
    {
        let mut ds = object(photometric, (8, 8), &[stream(name), stream(name)]);
        let samples = redacted(&mut ds, syntax).unwrap();
        let (x0, y0, width, height) = REGION;
        for y in y0 - 16..(y0 + height + 16).min(ROWS) {
            for x in 0..x0 + width + 16 {
                assert_eq!(samples[(y * COLUMNS + x) * 3..][..3], [0; 3], "{name} {x} {y}");
            }
        }
        assert!(samples[..COLUMNS].iter().any(|b| *b != 0));
        assert_eq!(ds.str(tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
        assert_eq!(ds.str(tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_15444_1"));
        // What is stated already stays as it is.
        let mut ds = object(photometric, (8, 8), &[stream(name), stream(name)]);
        ds.insert(text(tags::LOSSY_IMAGE_COMPRESSION, "01"));
        redacted(&mut ds, syntax).unwrap();
        assert!(!ds.contains(tags::LOSSY_IMAGE_COMPRESSION_METHOD));
        // A lossless syntax cannot hold it.
        let mut ds = object(photometric, (8, 8), &[stream(name), stream(name)]);
        let lossless = if syntax == ANY { LOSSLESS } else { HT_LOSSLESS };
        assert_eq!(redacted(&mut ds, lossless).unwrap_err(), "inconsistent");
    }
}

#[test]
fn a_stream_of_another_geometry_is_refused_before_it_is_decoded() {
    let frames = [stream("gray8.j2k"), stream("gray8.j2k")];
    for (tag, value) in [(tags::BITS_ALLOCATED, 8_u16), (tags::ROWS, 40), (tags::COLUMNS, 64)] {
        let mut frames = frames.clone();
        // SIZ: rows, columns and precision of the second frame are others than the attributes'.
        let siz = 4;
        match tag {
            tags::BITS_ALLOCATED => frames[1][siz + 2 + 36] = 15,
            tags::ROWS => frames[1][siz + 2 + 9] = 41,
            _ => frames[1][siz + 2 + 2] = 1,
        }
        let mut ds = object(Photometric::Monochrome2, (value.min(8), value.min(8)), &frames);
        assert_eq!(redacted(&mut ds, LOSSLESS).unwrap_err(), "inconsistent", "{tag}");
    }
    let mut ds = object(Photometric::Rgb, (8, 8), &frames);
    assert_eq!(redacted(&mut ds, LOSSLESS).unwrap_err(), "inconsistent");
}

#[test]
fn cut_and_corrupted_streams_are_held_or_decoded_and_never_more() {
    let whole = stream("rgb_mct.j2k");
    for at in 0..whole.len() {
        let mut frames = [whole.clone(), whole.clone()];
        frames[1][at] ^= 0x55;
        let mut ds = object(Photometric::YbrRct, (8, 8), &frames);
        let _ = redacted(&mut ds, LOSSLESS);
        let cut = whole[..at & !1].to_vec();
        let mut ds = object(Photometric::YbrRct, (8, 8), &[whole.clone(), cut]);
        if let Ok(samples) = redacted(&mut ds, LOSSLESS) {
            assert_eq!(samples.len(), 2 * ROWS * COLUMNS * 3);
        }
    }
}

#[test]
fn video_and_unknown_syntaxes_are_named_as_such_whatever_their_layout() {
    let mut ds = object(Photometric::Rgb, (8, 8), &[vec![0; 4], vec![0; 4]]);
    ds.insert(text(Tag(0x0028, 0x0004), "YBR_PARTIAL_420"));
    for syntax in ["1.2.840.10008.1.2.4.106", "1.2.840.113619.5.2"] {
        assert_eq!(redacted(&mut ds, syntax).unwrap_err(), "unsupported-transfer-syntax");
    }
}

#[test]
fn anchors_are_looked_for_in_decoded_frames_of_either_wavelet() {
    let (x0, y0) = (40, 4);
    for (name, photometric, syntax, bits, slack) in [
        ("gray8.j2k", Photometric::Monochrome2, LOSSLESS, (8, 8), 1.0),
        ("gray12.j2k", Photometric::Monochrome2, LOSSLESS, (16, 12), 1.0),
        ("rgb_mct.j2k", Photometric::YbrRct, LOSSLESS, (8, 8), 1.0),
        ("ht_gray8.j2c", Photometric::Monochrome2, HT_LOSSLESS, (8, 8), 1.0),
    ] {
        let full = f64::from((1 << bits.1) - 1);
        let luma = |x: usize, y: usize| {
            let of = |c| f64::from(pattern(name, c, x, y)) * 255.0 / full;
            if name.contains("rgb") { 0.299 * of(0) + 0.587 * of(1) + 0.114 * of(2) } else { of(0) }
        };
        let cells =
            (0..4).map(|y| (0..6).map(|x| luma(x0 + x, y0 + y).round().to_string()).collect::<Vec<_>>().join(", "));
        let rows = cells.map(|row| format!("[{row}]")).collect::<Vec<_>>().join(", ");
        let run = |x0: usize| {
            let anchor = format!(
                "[[template.anchors]]\nkind = \"patch\"\nregion = [{x0}, {y0}, 6, 4]\nrows = [{rows}]\nmax-difference = {slack}\n"
            );
            let with_anchor = text_of_templates().replace("[template.match]", &format!("{anchor}[template.match]"));
            let templates = Templates::parse([("t", with_anchor)]).unwrap();
            let mut ds = object(photometric, bits, &[stream(name), stream(name)]);
            let Decision::Redact(plan) = decide(&ds, syntax, &templates, &NeverBurntIn::default()) else { panic!() };
            assert_eq!(plan.anchors(), 1);
            apply(&plan, &mut ds, &Vec::new(), &mut Vec::new()).map(drop)
        };
        run(x0).unwrap();
        let moved = run(x0 + 2).unwrap_err();
        assert!(matches!(moved, RedactError::Anchor { frame: 1, anchor: 1 }), "{name} {moved:?}");
    }
}
