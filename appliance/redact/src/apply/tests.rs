//! Plans carried out: every native layout, JPEG in every fragmentation, and what must fail.

use super::*;
use crate::{
    Decision, NeverBurntIn, Templates,
    clearance::Basis,
    decide, jpeg,
    mask::{Mask, Rect},
    testing::{Image, text, us},
};

const RECTS: [Rect; 2] = [Rect { x0: 3, y0: 1, x1: 8, y1: 4 }, Rect { x0: 7, y0: 3, x1: 12, y1: 6 }];

fn plan(image: &Image, method: Method) -> Plan {
    let layout = PixelLayout::of(&image.data_set()).unwrap();
    Plan {
        basis: Basis::Template("t".into()),
        layout,
        mask: Mask::new(RECTS.to_vec()),
        anchors: Default::default(),
        method,
    }
}

fn inside(x: usize, y: usize) -> bool {
    RECTS.iter().any(|r| (r.x0..r.x1).contains(&(x as u32)) && (r.y0..r.y1).contains(&(y as u32)))
}

/// Redacts, and returns the new pixels.
fn run(image: &Image, ds: &mut DataSet) -> Vec<u8> {
    let mut scratch = b"earlier".to_vec();
    let clearance = apply(&plan(image, Method::Native), ds, &Vec::new(), &mut scratch).unwrap();
    assert_eq!((clearance.frames(), clearance.template()), (image.frames, Some("t")));
    assert_eq!(clearance.regions(), RECTS);
    let Value::Span { origin: Origin::Scratch, offset: 7, length } = ds.get(tags::PIXEL_DATA).unwrap().value else {
        panic!()
    };
    assert_eq!(length, (image.pixels.len() as u64).next_multiple_of(2));
    assert_eq!(scratch.len() as u64, 7 + length);
    scratch.split_off(7)
}

/// Offset of each byte of a sample, by frame, row, column and component.
fn sample(image: &Image, f: usize, y: usize, x: usize, c: usize) -> usize {
    let (rows, columns) = (usize::from(image.rows), usize::from(image.columns));
    let samples = usize::from(image.photometric.samples());
    let index = if image.planar {
        ((f * samples + c) * rows + y) * columns + x
    } else {
        ((f * rows + y) * columns + x) * samples + c
    };
    index * usize::from(image.allocated / 8)
}

fn value(bytes: &[u8], at: usize, width: usize) -> u32 {
    bytes[at..at + width].iter().rev().fold(0, |v, &b| v << 8 | u32::from(b))
}

#[test]
fn native_matrix() {
    use Photometric::{Monochrome1, Monochrome2, Rgb, YbrFull};
    let mut seen = 0;
    for photometric in [Monochrome1, Monochrome2, Rgb, YbrFull] {
        for (allocated, stored, high) in
            [(8, 8, 7), (8, 7, 6), (16, 16, 15), (16, 12, 11), (16, 10, 9), (16, 12, 15), (32, 20, 19), (32, 32, 31)]
        {
            for planar in [false, true] {
                for signed in [false, true] {
                    for (frames, columns) in [(1, 13), (3, 13), (3, 14)] {
                        if photometric.samples() == 3 && signed || photometric.samples() == 1 && planar {
                            continue;
                        }
                        let mut image = Image::of(photometric, 7, columns, frames, allocated, stored);
                        (image.high, image.planar, image.signed) = (high, planar, signed);
                        check(&image);
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 4 * 8 * 2 * 3);
}

fn check(image: &Image) {
    let mut ds = image.data_set();
    let out = run(image, &mut ds);
    let width = usize::from(image.allocated / 8);
    let shift = image.high + 1 - image.stored;
    let value_bits = (((1u64 << image.stored) - 1) << shift) as u32;
    let range = 1u64 << image.stored;
    let black = |c: usize| match (image.photometric, image.signed) {
        (Photometric::Monochrome1, false) => range - 1,
        (Photometric::Monochrome1, true) => range / 2 - 1,
        (Photometric::Monochrome2, true) => range / 2,
        (Photometric::YbrFull, _) if c > 0 => range / 2,
        _ => 0,
    };
    for f in 0..image.frames as usize {
        for y in 0..usize::from(image.rows) {
            for x in 0..usize::from(image.columns) {
                for c in 0..usize::from(image.photometric.samples()) {
                    let at = sample(image, f, y, x, c);
                    let (before, after) = (value(&image.pixels, at, width), value(&out, at, width));
                    let kept = after & value_bits;
                    if inside(x, y) {
                        assert_eq!(u64::from(kept >> shift), black(c), "{image:?} {f} {y} {x} {c}");
                    } else {
                        assert_eq!(kept, before & value_bits);
                    }
                    let negative = image.signed && kept >> image.high & 1 == 1;
                    let above = if negative { !((1u64 << (image.high + 1)) - 1) as u32 } else { 0 };
                    assert_eq!(after & !value_bits, above & (u32::MAX >> (32 - image.allocated)), "{image:?}");
                }
            }
        }
    }
}

#[test]
fn subsampled_native_rounds_out_to_pairs() {
    let image = Image::of(Photometric::YbrFull422, 7, 14, 2, 8, 8);
    let out = run(&image, &mut image.data_set());
    for (i, (before, after)) in image.pixels.chunks(4).zip(out.chunks(4)).enumerate() {
        let (x, y) = (i % 7 * 2, i / 7 % 7);
        let expected = if inside(x, y) || inside(x + 1, y) { &[0, 0, 128, 128][..] } else { before };
        assert_eq!(after, expected, "pair {i}");
    }
}

#[test]
fn palette_pixels_take_the_darkest_entry() {
    let mut image = Image::of(Photometric::Palette, 7, 13, 2, 8, 8);
    image.pixels.iter_mut().for_each(|p| *p = *p % 4 + 10);
    for (bits, entries) in [(16, 5u16), (8, 5)] {
        let mut ds = image.data_set();
        let table = |values: [u8; 5]| match bits {
            16 => values.iter().flat_map(|&v| [0, v]).collect::<Vec<u8>>(),
            _ => values.iter().copied().chain([0]).collect(),
        };
        for (descriptor, data, values) in [
            (
                tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [0, 9, 9, 1, 9],
            ),
            (
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [255, 9, 9, 2, 9],
            ),
            (
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
                tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
                [0, 9, 9, 1, 9],
            ),
        ] {
            ds.insert(us(descriptor, &[entries, 10, bits]));
            ds.insert(Element::new(data, VR::OW, table(values)));
        }
        let out = run(&image, &mut ds.clone());
        assert_eq!(out[13 + 3], 13);
        assert_eq!(out[0], image.pixels[0]);
        // Without its tables there is no black.
        ds.remove(tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA);
        let result = apply(&plan(&image, Method::Native), &mut ds, &Vec::new(), &mut Vec::new());
        assert!(matches!(result, Err(RedactError::Inconsistent)));
    }
}

#[test]
fn icons_and_offset_tables_go_and_the_flag_is_set() {
    let image = Image::rgb(7, 13);
    let mut ds = image.data_set();
    ds.insert(Element::sequence(tags::ICON_IMAGE_SEQUENCE, vec![Image::rgb(2, 2).data_set()]));
    ds.insert(Element::new(fragments::EXTENDED_OFFSET_TABLE, VR::OV, vec![0; 8]));
    ds.insert(Element::new(fragments::EXTENDED_OFFSET_TABLE_LENGTHS, VR::OV, vec![0; 8]));
    ds.insert(text(tags::BURNED_IN_ANNOTATION, "YES"));
    run(&image, &mut ds);
    for gone in [tags::ICON_IMAGE_SEQUENCE, fragments::EXTENDED_OFFSET_TABLE, fragments::EXTENDED_OFFSET_TABLE_LENGTHS]
    {
        assert!(!ds.contains(gone));
    }
    assert_eq!(ds.get(tags::BURNED_IN_ANNOTATION).unwrap().value, Value::Bytes(b"NO".to_vec()));
}

#[test]
fn pixels_are_read_where_they_stand_in_the_input() {
    // Frames larger than one run, at an odd offset.
    let image = Image::of(Photometric::Rgb, 300, 500, 2, 8, 8);
    let mut ds = image.data_set();
    let mut input = vec![9; 5];
    input.extend_from_slice(&image.pixels);
    let length = image.pixels.len() as u64;
    let span = |length| Value::Span { origin: Origin::Input, offset: 5, length };
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value: span(length) });
    let out = run_with(&image, &mut ds, &input);
    for (i, (before, after)) in image.pixels.chunks(3).zip(out.chunks(3)).enumerate() {
        let expected = if inside(i % 500, i / 500 % 300) { &[0; 3] } else { before };
        assert_eq!(after, expected);
    }
    // A span that reaches past the input is a failed read.
    input.pop();
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value: span(length) });
    let result = apply(&plan(&image, Method::Native), &mut ds, &input, &mut Vec::new());
    assert!(matches!(&result, Err(e @ RedactError::Read(_)) if e.hold().is_none()));
}

fn run_with(image: &Image, ds: &mut DataSet, input: &[u8]) -> Vec<u8> {
    let mut scratch = Vec::new();
    assert_eq!(apply(&plan(image, Method::Native), ds, &input, &mut scratch).unwrap().frames(), image.frames);
    scratch
}

/// Scratch that changes what is written: what a failing disk, or a wrong offset, would do.
struct Corrupting(Vec<u8>, usize);

impl Source for Corrupting {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

impl Scratch for Corrupting {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let start = self.0.len();
        self.0.extend_from_slice(bytes);
        if (start..self.0.len()).contains(&self.1) {
            self.0[self.1] ^= 0x10;
        }
        Ok(())
    }
}

#[test]
fn any_changed_byte_in_native_pixels_fails_the_proof() {
    for photometric in [Photometric::Rgb, Photometric::Monochrome2, Photometric::YbrFull422] {
        let mut image = Image::of(photometric, 7, 14, 2, 8, 8);
        if photometric == Photometric::Monochrome2 {
            (image.stored, image.high) = (6, 5);
        }
        for at in 0..image.pixels.len() {
            let mut ds = image.data_set();
            let before = ds.clone();
            let result = apply(&plan(&image, Method::Native), &mut ds, &Vec::new(), &mut Corrupting(Vec::new(), at));
            let frame = (at / (image.pixels.len() / 2)) as u32 + 1;
            assert!(matches!(result, Err(RedactError::Unproven { frame: f }) if f == frame), "byte {at}");
            assert_eq!(ds, before, "a failed redaction leaves the data set alone");
        }
    }
}

/// What is handed out does not depend on how it is read, and there is no clearance before all of it was.
#[test]
fn redacted_lines_are_the_same_however_they_are_read() {
    for (allocated, stored, columns, frames) in [(8, 8, 13, 3), (16, 12, 14, 2)] {
        let image = Image::of(Photometric::Monochrome2, 7, columns, frames, allocated, stored);
        let plan = plan(&image, Method::Native);
        let whole = run(&image, &mut image.data_set());
        for size in [1, 2, 3, 12, 13, 14, 15, 29, 100, whole.len()] {
            let mut ds = image.data_set();
            let none = Vec::new();
            let redacting = Redacting::new(&plan, &mut ds, &none).unwrap();
            assert_eq!(redacting.len(), whole.len() as u64);
            let mut read = vec![0xEE; whole.len()];
            for (n, piece) in read.chunks_mut(size).enumerate() {
                redacting.read_exact_at(piece, (n * size) as u64).unwrap();
            }
            assert_eq!(read, whole, "{size} at a time");
            assert!(redacting.read_exact_at(&mut [0], whole.len() as u64).is_err());
            let cleared = redacting.clearance().unwrap();
            assert_eq!(cleared.cleared(), ds.get(tags::PIXEL_DATA).map(|e| &e.value));
        }
        let mut ds = image.data_set();
        let none = Vec::new();
        let redacting = Redacting::new(&plan, &mut ds, &none).unwrap();
        let mut end = vec![0; 5];
        redacting.read_exact_at(&mut end, whole.len() as u64 - 5).unwrap();
        assert!(matches!(redacting.clearance(), Err(RedactError::Unproven { frame: 1 })), "only the end was read");
    }
}

#[test]
fn an_unused_bit_that_is_set_is_seen_in_every_sample() {
    for (allocated, stored, high, signed) in
        [(8, 7, 6, false), (16, 12, 11, false), (16, 12, 13, false), (16, 12, 11, true), (32, 20, 19, true)]
    {
        let mut image = Image::of(Photometric::Monochrome2, 7, 13, 1, allocated, stored);
        (image.high, image.signed) = (high, signed);
        let layout = PixelLayout::of(&image.data_set()).unwrap();
        let (mask, width) = (Mask::default(), usize::from(allocated / 8));
        let native = Native::new(&layout, &mask, [0; 3]);
        let mut line = image.pixels[..native.line_length()].to_vec();
        native.redact(0, &mut line, &mut Vec::new());
        assert!(native.is_clean(&line));
        for bit in 0..line.len() * 8 {
            let mut other = line.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let mut redacted = other.clone();
            native.redact(0, &mut redacted, &mut Vec::new());
            assert_eq!(
                native.is_clean(&other),
                redacted == other,
                "bit {} of sample {}",
                bit % (8 * width),
                bit / 8 / width
            );
        }
    }
}

mod jpeg_frames {
    use super::*;
    use image::{ExtendedColorType, ImageFormat, codecs::jpeg::JpegEncoder};

    const COLUMNS: u16 = 40;
    const ROWS: u16 = 30;

    fn frame(seed: u32) -> Vec<u8> {
        let pixels: Vec<u8> = (0..u32::from(ROWS) * u32::from(COLUMNS) * 3)
            .map(|i| ((i / 7).wrapping_mul(seed + 3) % 251) as u8)
            .collect();
        let mut out = Vec::new();
        JpegEncoder::new_with_quality(&mut out, 90)
            .encode(&pixels, u32::from(COLUMNS), u32::from(ROWS), ExtendedColorType::Rgb8)
            .unwrap();
        if out.len() % 2 != 0 {
            out.push(0);
        }
        out
    }

    fn image(frames: u32) -> Image {
        Image::of(Photometric::YbrFull422, ROWS, COLUMNS, frames, 8, 8)
    }

    fn with_fragments(image: &Image, fragments: Vec<Vec<u8>>, offsets: Vec<u8>) -> DataSet {
        let mut ds = image.data_set();
        let fragments = fragments.into_iter().map(Value::Bytes).collect();
        ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value: Value::Fragments { offsets, fragments } });
        ds
    }

    fn check(ds: &mut DataSet, image: &Image, originals: &[Vec<u8>]) {
        let mut scratch = Vec::new();
        let clearance = apply(&plan(image, Method::Jpeg), ds, &Vec::new(), &mut scratch).unwrap();
        assert_eq!(clearance.frames(), image.frames);
        let Value::Fragments { offsets, fragments } = &ds.get(tags::PIXEL_DATA).unwrap().value else { panic!() };
        assert_eq!(fragments.len(), originals.len());
        assert_eq!(offsets.len(), 4 * originals.len());
        let mut next = 0;
        for ((fragment, offset), original) in fragments.iter().zip(offsets.chunks(4)).zip(originals) {
            let Value::Span { origin: Origin::Scratch, offset: at, length } = *fragment else { panic!() };
            assert_eq!(value(offset, 0, 4), next);
            next += 8 + length as u32;
            let (at, length) = (at as usize, length as usize);
            assert!(length.is_multiple_of(2));
            let decode =
                |bytes: &[u8]| image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap().to_rgb8();
            let (before, after) = (decode(original), decode(&scratch[at..at + length]));
            for (x, y, pixel) in after.enumerate_pixels() {
                // RECTS touch two blocks of 8 × 8.
                let black = x < 16 && y < 8;
                let expected = if black { &image::Rgb([0, 0, 0]) } else { before.get_pixel(x, y) };
                assert_eq!(pixel, expected, "{x},{y}");
            }
        }
    }

    fn table(lengths: &[usize]) -> Vec<u8> {
        let starts = lengths.iter().scan(0u32, |at, &n| {
            let this = *at;
            *at += 8 + n as u32;
            Some(this)
        });
        starts.flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn any_layout_of_fragments() {
        let frames: Vec<Vec<u8>> = (0..3).map(frame).collect();
        let lengths: Vec<usize> = frames.iter().map(Vec::len).collect();
        let single = image(1);
        check(&mut with_fragments(&single, vec![frames[0].clone()], vec![]), &single, &frames[..1]);
        let pieces: Vec<Vec<u8>> = frames[0].chunks(100).map(<[u8]>::to_vec).collect();
        check(&mut with_fragments(&single, pieces, vec![0; 4]), &single, &frames[..1]);

        let cine = image(3);
        for offsets in [vec![], table(&lengths), vec![0; 12]] {
            check(&mut with_fragments(&cine, frames.clone(), offsets), &cine, &frames);
        }
        // Two fragments for the second frame: by table, by extended table, by SOI.
        let (a, b) = frames[1].split_at(200);
        let split = vec![frames[0].clone(), a.to_vec(), b.to_vec(), frames[2].clone()];
        let offsets = [0, lengths[0] + 8, lengths[0] + 8 + lengths[1] + 16].map(|o| o as u32);
        let basic: Vec<u8> = offsets.iter().flat_map(|o| o.to_le_bytes()).collect();
        check(&mut with_fragments(&cine, split.clone(), basic), &cine, &frames);
        check(&mut with_fragments(&cine, split.clone(), vec![]), &cine, &frames);
        check(&mut with_fragments(&cine, split.clone(), vec![0xEE; 12]), &cine, &frames);
        let mut ds = with_fragments(&cine, split, vec![]);
        let extended: Vec<u8> = offsets.iter().flat_map(|&o| u64::from(o).to_le_bytes()).collect();
        ds.insert(Element::new(fragments::EXTENDED_OFFSET_TABLE, VR::OV, extended));
        check(&mut ds, &cine, &frames);
        assert!(!ds.contains(fragments::EXTENDED_OFFSET_TABLE));
    }

    #[test]
    fn what_cannot_be_told_apart_or_does_not_fit_fails() {
        let frames: Vec<Vec<u8>> = (0..3).map(frame).collect();
        let fails = |image: &Image, fragments: Vec<Vec<u8>>| {
            let mut ds = with_fragments(image, fragments, vec![]);
            let result = apply(&plan(image, Method::Jpeg), &mut ds, &Vec::new(), &mut Vec::new());
            result.unwrap_err().hold().unwrap()
        };
        assert_eq!(fails(&image(4), frames.clone()), "inconsistent");
        assert_eq!(fails(&image(2), frames.clone()), "inconsistent");
        assert_eq!(fails(&image(1), vec![frames[0][..frames[0].len() - 40].to_vec()]), "decode-failed");
        assert_eq!(fails(&image(1), vec![vec![]]), "decode-failed");
        let mut other_size = image(1);
        other_size.rows += 1;
        assert_eq!(fails(&other_size, vec![frames[0].clone()]), "inconsistent");
    }

    #[test]
    fn a_changed_byte_fails_the_proof() {
        let (image, frame) = (image(1), frame(0));
        let redact = |scratch: &mut dyn Scratch| {
            let mut ds = with_fragments(&image, vec![frame.clone()], vec![]);
            apply(&plan(&image, Method::Jpeg), &mut ds, &Vec::new(), scratch).map(drop)
        };
        let mut scratch = Vec::new();
        redact(&mut scratch).unwrap();
        let segment = |marker| scratch.windows(2).position(|w| w == [0xFF, marker]).unwrap();
        let benign =
            |range: std::ops::Range<usize>| range.filter(|&at| redact(&mut Corrupting(Vec::new(), at)).is_ok()).count();
        // Quantisers and frame header (component ids aside, which the scan header would have to follow).
        assert_eq!(benign(segment(0xDB)..segment(0xC4)), 0);
        // Entropy-coded bytes to EOI: only the padding of the last byte is free.
        let end = scratch.windows(2).rposition(|w| w == [0xFF, 0xD9]).unwrap() + 2;
        assert!(benign(segment(0xDA) + 14..end) <= 1);
    }
}

mod jpeg_2000;
mod jpeg_xl;
mod lossless_frames;

#[test]
fn plan_and_object_must_belong_together() {
    let image = Image::rgb(7, 13);
    let mut other = Image::rgb(7, 14).data_set();
    let result = apply(&plan(&image, Method::Native), &mut other, &Vec::new(), &mut Vec::new());
    assert!(matches!(result, Err(RedactError::Inconsistent)));
}

#[test]
fn a_plan_without_regions_clears_unused_bits_and_claims_nothing() {
    let mut image = Image::of(Photometric::Monochrome2, 7, 13, 2, 16, 12);
    (image.sop_class, image.modality, image.image_type) =
        ("1.2.840.10008.5.1.4.1.1.2", "CT", "ORIGINAL\\PRIMARY\\AXIAL");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/never-burnt-in.toml");
    let list = NeverBurntIn::parse("n", &std::fs::read_to_string(path).unwrap()).unwrap();
    let mut ds = image.data_set();
    let Decision::Redact(plan) = decide(&ds, "1.2.840.10008.1.2", &Templates::default(), &list) else { panic!() };
    let mut scratch = Vec::new();
    let clearance = apply(&plan, &mut ds, &Vec::new(), &mut scratch).unwrap();
    assert_eq!((clearance.template(), clearance.regions().len()), (None, 0));
    assert!(!ds.contains(tags::BURNED_IN_ANNOTATION));
    for (before, after) in image.pixels.chunks(2).zip(scratch.chunks(2)) {
        assert_eq!(after, [before[0], before[1] & 0x0F]);
    }
}
