//! JPEG XL: synthetic codestreams of `testdata/jpeg-xl`.

use super::*;

const LOSSLESS: &str = "1.2.840.10008.1.2.4.110";
const RECOMPRESSED: &str = "1.2.840.10008.1.2.4.111";
const ANY: &str = "1.2.840.10008.1.2.4.112";
const COLUMNS: usize = 64;
const ROWS: usize = 40;
/// x, y, width, height of the one region: far enough from the right side for the margin.
const REGION: [usize; 4] = [4, 28, 20, 8];
const MARGIN: usize = 16;

fn stream(name: &str) -> Vec<u8> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/jpeg-xl");
    let mut bytes = std::fs::read(directory.join(name).with_extension("jxl")).unwrap();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn templates() -> Templates {
    let photometrics = Photometric::ALL.map(|p| format!("\"{}\"", p.as_str())).join(", ");
    let text = format!(
        "version = 1\n[[template]]\nid = \"t\"\nsource = \"test\"\nregions = [{REGION:?}]\n\
         [template.match]\nmanufacturer = \"Acme\"\nmodel = \"Scan 1\"\nrows = 40\ncolumns = 64\n\
         sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nphotometric-interpretations = [{photometrics}]\n\
         transfer-syntaxes = [\"{LOSSLESS}\", \"{RECOMPRESSED}\", \"{ANY}\"]\n\
         [template.verified]\nby = \"test\"\non = \"2026-11-28\"\nevidence = \"test\"\n"
    );
    Templates::parse([("t", text)]).unwrap()
}

fn object(photometric: Photometric, (allocated, stored): (u16, u16), fragments: &[&[u8]], offsets: &[u32]) -> DataSet {
    let mut image = Image::of(photometric, ROWS as u16, COLUMNS as u16, 1, allocated, stored);
    image.pixels.clear();
    let mut ds = image.data_set();
    ds.insert(text(tags::NUMBER_OF_FRAMES, "2"));
    let fragments = fragments.iter().map(|f| Value::Bytes(f.to_vec())).collect();
    let offsets = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value: Value::Fragments { offsets, fragments } });
    ds
}

/// An object of two equal frames.
fn twice(name: &str, photometric: Photometric, bits: (u16, u16)) -> DataSet {
    let frame = stream(name);
    object(photometric, bits, &[&frame, &frame], &[])
}

/// Redacts it; the word under which it is held, or the samples.
fn redacted(ds: &mut DataSet, syntax: &str) -> Result<Vec<u8>, &'static str> {
    let plan = match decide(ds, syntax, &templates(), &NeverBurntIn::default()) {
        Decision::Redact(plan) => plan,
        Decision::Hold(hold) => return Err(hold.as_str()),
        Decision::Clear(_) => panic!("cleared"),
    };
    let before = ds.clone();
    let mut scratch = Vec::new();
    match apply(&plan, ds, &Vec::new(), &mut scratch) {
        Ok(clearance) => assert_eq!((clearance.template(), clearance.frames()), (Some("t"), 2)),
        Err(error) => {
            assert_eq!(*ds, before, "a failed redaction leaves the data set alone");
            return Err(error.hold().unwrap());
        }
    }
    Ok(scratch)
}

/// A sample before coding: component `c` at x, y.
fn pattern(name: &str, c: usize, x: usize, y: usize) -> i32 {
    (match (name.contains("rgb"), c) {
        (true, 0) => (3 * x) & 0xFF,
        (true, 1) => (5 * y) & 0xFF,
        (true, _) => (x + y) & 0xFF,
        (false, _) if name.contains("16") => (1021 * x + 5 * y) & 0xFFFF,
        (false, _) if name.contains("12") => (61 * x + 5 * y) & 0xFFF,
        (false, _) => (3 * x + y) & 0xFF,
    }) as i32
}

/// Zero inside the region grown by `margin`; the mean and the greatest difference from the pattern outside, in both frames.
fn differences(name: &str, samples: &[u8], components: usize, width_of: usize, margin: usize) -> (f64, i32) {
    let [x0, y0, width, height] = REGION;
    assert_eq!(samples.len(), 2 * ROWS * COLUMNS * components * width_of);
    let (mut sum, mut greatest, mut count) = (0, 0, 0);
    for (n, sample) in samples.chunks_exact(width_of).enumerate() {
        let (c, pixel) = (n % components, n / components % (ROWS * COLUMNS));
        let (x, y) = (pixel % COLUMNS, pixel / COLUMNS);
        let inside = (x0.saturating_sub(margin)..x0 + width + margin).contains(&x)
            && (y0.saturating_sub(margin)..y0 + height + margin).contains(&y);
        let value = sample.iter().rev().fold(0, |v, b| v << 8 | i32::from(*b));
        if inside {
            assert_eq!(value, 0, "{name} {c} {x} {y}");
        } else {
            let difference = (value - pattern(name, c, x, y)).abs();
            (sum, greatest, count) = (sum + difference, greatest.max(difference), count + 1);
        }
    }
    (f64::from(sum) / f64::from(count), greatest)
}

#[test]
fn a_lossless_frame_is_blank_inside_and_identical_outside_however_it_is_fragmented() {
    use Photometric::{Monochrome2, Rgb};
    for (name, photometric, bits) in [
        ("gray8", Monochrome2, (8, 8)),
        ("gray12", Monochrome2, (16, 12)),
        ("gray16", Monochrome2, (16, 16)),
        ("rgb", Rgb, (8, 8)),
        ("rgb_box", Rgb, (8, 8)),
    ] {
        let whole = stream(name);
        let (head, tail) = whole.split_at(40);
        let table = [0, whole.len() as u32 + 16];
        for (fragments, offsets) in [
            (&[&whole[..], &whole][..], &[][..]),
            (&[&whole, &whole], &[0, whole.len() as u32 + 8]),
            (&[head, tail, head, tail], &table),
            // Without a table, a frame is known by how it begins; in boxes it is not.
            (&[head, tail, head, tail], &[]),
        ] {
            let mut ds = object(photometric, bits, fragments, offsets);
            let result = redacted(&mut ds, LOSSLESS);
            if fragments.len() > 2 && offsets.is_empty() && !whole.starts_with(&[0xFF, 0x0A]) {
                assert_eq!(result, Err("inconsistent"));
                continue;
            }
            let samples = result.unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(ds.str(tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some(photometric.as_str()));
            assert!(matches!(ds.get(tags::PIXEL_DATA).unwrap().value, Value::Span { origin: Origin::Scratch, .. }));
            assert!(!ds.contains(tags::LOSSY_IMAGE_COMPRESSION));
            let width = usize::from(bits.0 / 8);
            assert_eq!(differences(name, &samples, photometric.samples().into(), width, 0), (0.0, 0), "{name}");
        }
    }
}

#[test]
fn a_frame_that_may_be_lossy_loses_a_margin_and_its_loss_is_stated_once() {
    use Photometric::{Monochrome2, Rgb, Xyb, YbrFull, YbrFull422};
    for (name, photometric, syntax, mean) in [
        ("rgb_lossy", Xyb, ANY, 3.0),
        ("rgb_lossy", Rgb, ANY, 3.0),
        ("gray8_lossy", Monochrome2, ANY, 3.0),
        ("rgb_jpeg", YbrFull422, RECOMPRESSED, 4.0),
        ("rgb_jpeg_bare", YbrFull422, RECOMPRESSED, 4.0),
        ("rgb_jpeg", YbrFull, RECOMPRESSED, 4.0),
        ("gray_jpeg", Monochrome2, RECOMPRESSED, 200.0),
        // The syntax does not promise that nothing was lost, and the stream cannot show it.
        ("rgb", Rgb, ANY, 0.0),
    ] {
        let mut ds = twice(name, photometric, (8, 8));
        let samples = redacted(&mut ds, syntax).unwrap_or_else(|why| panic!("{name} {syntax}: {why}"));
        let found = differences(name, &samples, photometric.samples().into(), 1, MARGIN);
        assert!(found.0 <= mean, "{name} {found:?}");
        let decoded = if photometric.samples() == 3 { "RGB" } else { photometric.as_str() };
        assert_eq!(ds.str(tags::PHOTOMETRIC_INTERPRETATION).as_deref(), Some(decoded));
        assert_eq!(ds.str(tags::LOSSY_IMAGE_COMPRESSION).as_deref(), Some("01"));
        assert_eq!(ds.str(tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_18181_1"));
        let ratio: f64 = ds.str(tags::LOSSY_IMAGE_COMPRESSION_RATIO).unwrap().parse().unwrap();
        assert!(ratio > 1.0, "{name}");
        // What is stated already stays as it is.
        let mut ds = twice(name, photometric, (8, 8));
        ds.insert(text(tags::LOSSY_IMAGE_COMPRESSION, "01"));
        redacted(&mut ds, syntax).unwrap();
        assert!(!ds.contains(tags::LOSSY_IMAGE_COMPRESSION_METHOD));
        // A lossless syntax cannot hold it.
        if name != "rgb" {
            assert_eq!(redacted(&mut twice(name, photometric, (8, 8)), LOSSLESS), Err("inconsistent"), "{name}");
        }
    }
}

#[test]
fn a_stream_that_is_not_what_the_attributes_say_is_refused() {
    use Photometric::{Monochrome2, Rgb, Xyb, YbrFull422};
    for (name, photometric, bits, syntax, why) in [
        ("gray8", Rgb, (8, 8), LOSSLESS, "inconsistent"),
        ("rgb", Monochrome2, (8, 8), LOSSLESS, "inconsistent"),
        ("gray12", Monochrome2, (8, 8), LOSSLESS, "inconsistent"),
        ("gray8", Monochrome2, (16, 12), LOSSLESS, "inconsistent"),
        // Some writers give the width of the cell for the depth.
        ("gray16", Monochrome2, (16, 12), ANY, "ok"),
        // Colour that the stream does not have.
        ("rgb", YbrFull422, (8, 8), RECOMPRESSED, "inconsistent"),
        ("rgb_jpeg", Xyb, (8, 8), ANY, "inconsistent"),
        ("rgb_alpha", Rgb, (8, 8), LOSSLESS, "unsupported-transfer-syntax"),
        ("animated", Rgb, (8, 8), LOSSLESS, "unsupported-transfer-syntax"),
    ] {
        let result = redacted(&mut twice(name, photometric, bits), syntax);
        assert_eq!(result.map_or_else(|why| why, |_| "ok"), why, "{name} {photometric:?}");
    }
    for (tag, value) in [(tags::ROWS, 41), (tags::COLUMNS, 63)] {
        let (mut ds, frame) = (twice("gray8", Monochrome2, (8, 8)), stream("gray8"));
        ds.insert(us(tag, &[value]));
        let layout = PixelLayout::of(&ds).unwrap();
        let decoded = crate::codec::FrameDecoder::JpegXl.decode(&frame, &layout, &mut Vec::new());
        assert_eq!(decoded, Err(CodecError::Geometry));
    }
    let mut ds = twice("gray8", Monochrome2, (8, 8));
    ds.insert(us(tags::PIXEL_REPRESENTATION, &[1]));
    assert_eq!(redacted(&mut ds, LOSSLESS), Err("inconsistent"), "the format has no signed samples");
}

#[test]
fn cut_and_corrupted_streams_are_held_or_decoded_and_never_more() {
    let mut held = 0;
    for (name, photometric) in [
        ("rgb", Photometric::Rgb),
        ("rgb_box", Photometric::Rgb),
        ("rgb_lossy", Photometric::Xyb),
        ("rgb_jpeg_bare", Photometric::YbrFull422),
    ] {
        let (whole, layout) = (stream(name), PixelLayout::of(&twice(name, photometric, (8, 8))).unwrap());
        let mut check = |stream: &[u8]| {
            let mut samples = Vec::new();
            let result = crate::codec::FrameDecoder::JpegXl.decode(stream, &layout, &mut samples);
            match result {
                Ok(_) => assert_eq!(samples.len(), ROWS * COLUMNS * 3),
                Err(_) => held += 1,
            }
            result
        };
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 0x55;
            let _ = check(&other);
        }
        for at in (0..whole.len() - 1).step_by(7) {
            assert!(matches!(check(&whole[..at]), Err(CodecError::Malformed(_))), "{name} cut at {at}");
        }
    }
    assert!(held > 300, "{held}");
}
