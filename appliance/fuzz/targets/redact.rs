//! Decision and redaction of images in every supported encoding, with a template that matches.
//!
//! The first bytes say what the attributes state (size, depth, photometric interpretation, transfer syntax, region), the rest is
//! pixel data: native, or fragments of RLE, JPEG, JPEG lossless, JPEG-LS, JPEG 2000, HTJ2K (through OpenJPEG), JPEG XL (jxl-oxide)
//! or deflated frames.
//! Asserted: nothing panics; a failed redaction leaves the data set as it was; what was cleared can be redacted again, so it
//! decodes; native results, those of JPEG 2000 and XL among them, and RLE ones, by a decoder of this target's own, are of one colour
//! inside the region, and as before outside; native pixels come out the same by way of scratch and as they are read.
#![no_main]

use dicom_core::{Tag, VR};
use gift_deidentify::dataset::{DataSet, Element, Origin, Source, Value};
use gift_fuzz::{byte, bytes, policy::NEVER_BURNT_IN};
use gift_redact::{Decision, Method, Photometric, PixelLayout, Plan, Redacting, Templates, apply, decide};
use libfuzzer_sys::fuzz_target;

const SYNTAXES: [&str; 18] = [
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.100", // video: not supported
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.111",
    "1.2.840.10008.1.2.4.112",
];
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// Most pixels of a frame: a fuzzer's time goes into streams, not into fills.
const MAX_PIXELS: usize = 1 << 14;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let image = Image::take(&mut data);
    if image.rows * image.columns > MAX_PIXELS {
        return;
    }
    let Some((ds, templates)) = image.object(data) else { return };
    let uid = image.syntax;
    let Decision::Redact(plan) = decide(&ds, uid, &templates, &NEVER_BURNT_IN) else { return };
    assert_eq!(plan.template(), Some("t"));
    let (mut redacted, mut scratch) = (ds.clone(), b"earlier".to_vec());
    let Ok(clearance) = apply(&plan, &mut redacted, &data, &mut scratch) else {
        assert!(ds == redacted, "a failed redaction left its traces");
        return;
    };
    assert_eq!(clearance.frames(), plan.layout().frames);
    let value = &redacted.get(PIXEL_DATA).expect("pixels").value;
    match plan.method() {
        Method::Native => {
            let pixels = native(value, &scratch);
            assert_native(&plan, &native(&ds.get(PIXEL_DATA).expect("pixels").value, data), &pixels, plan.layout());
            as_read(&plan, &ds, data, &pixels);
        }
        Method::Decoded { .. } => {
            let layout = PixelLayout::of(&redacted).expect("our own attributes");
            assert_native(&plan, &[], &native(value, &scratch), &layout);
        }
        Method::Frames(gift_redact::FrameCodec::Rle) => {
            let Value::Fragments { fragments, .. } = value else { panic!("RLE without fragments") };
            for fragment in fragments {
                assert_rle(&plan, &native(fragment, &scratch));
            }
            again(&redacted, uid, &templates, &scratch);
        }
        Method::StripProgressiveJpeg => panic!("progressive JPEG under a template is held"),
        Method::Video(_) => panic!("video without a coder is held"),
        Method::Jpeg | Method::Frames(_) => again(&redacted, uid, &templates, &scratch),
    }
});

/// What was written must be readable by what reads: the scratch becomes an input.
fn again(redacted: &DataSet, uid: &str, templates: &Templates, scratch: &[u8]) {
    let mut ds = redacted.clone();
    let Some(Value::Fragments { fragments, .. }) = ds.get_mut(PIXEL_DATA) else { panic!("no fragments") };
    for fragment in fragments {
        if let Value::Span { origin, .. } = fragment {
            *origin = Origin::Input;
        }
    }
    let Decision::Redact(plan) = decide(&ds, uid, templates, &NEVER_BURNT_IN) else { panic!("redacted, and held") };
    if let Err(error) = apply(&plan, &mut ds, &scratch, &mut Vec::new()) {
        panic!("what was written cannot be read: {error:?}");
    }
}

/// The same plan carried out while the pixels are read, in pieces of odd sizes.
fn as_read(plan: &Plan, ds: &DataSet, input: &[u8], expected: &[u8]) {
    let mut ds = ds.clone();
    let redacting = Redacting::new(plan, &mut ds, &input).expect("apply did it");
    let mut pixels = vec![0; expected.len()];
    let mut at = 0;
    for (n, piece) in pixels.chunks_mut(61).enumerate() {
        let (first, second) = piece.split_at_mut(piece.len().min(n % 61));
        redacting.read_exact_at(first, at).expect("apply did it");
        redacting.read_exact_at(second, at + first.len() as u64).expect("apply did it");
        at += piece.len() as u64;
    }
    assert!(pixels == expected, "by way of scratch and as it is read, it is not the same");
    assert!(redacting.clearance().is_ok(), "read to the end, not cleared");
}

/// What the first bytes say.
#[derive(Debug)]
struct Image {
    syntax: &'static str,
    photometric: Photometric,
    rows: usize,
    columns: usize,
    frames: usize,
    allocated: u16,
    stored: u16,
    high: u16,
    signed: bool,
    planar: bool,
    spans: bool,
    region: [usize; 4],
    /// Lengths of all fragments but the last.
    cuts: Vec<usize>,
}

impl Image {
    fn take(data: &mut &[u8]) -> Self {
        let syntax = SYNTAXES[usize::from(byte(data)) % SYNTAXES.len()];
        let photometric = Photometric::ALL[usize::from(byte(data)) % Photometric::ALL.len()];
        let (rows, columns) = (usize::from(byte(data)).max(1), usize::from(byte(data)).max(1));
        let flags = byte(data);
        let depth = byte(data);
        let allocated = [8, 16, 32, 1][usize::from(depth >> 6)];
        let stored = (u16::from(depth & 0x1F) + 1).min(allocated);
        let high = if flags & 1 == 0 { stored - 1 } else { allocated - 1 };
        let side = |at: u8, of: usize| usize::from(at) % of;
        let (x, y) = (side(byte(data), columns), side(byte(data), rows));
        let (width, height) = (1 + side(byte(data), columns - x), 1 + side(byte(data), rows - y));
        let frames = 1 + usize::from(flags >> 6);
        let count = usize::from(byte(data) % 5);
        let cuts = (0..count).map(|_| usize::from(byte(data)) << 8 | usize::from(byte(data))).collect();
        let (signed, planar, spans) = (flags & 2 != 0, flags & 4 != 0, flags & 8 != 0);
        let region = [x, y, width, height];
        Self {
            syntax,
            photometric,
            rows,
            columns,
            frames,
            allocated,
            stored,
            high,
            signed,
            planar,
            spans,
            region,
            cuts,
        }
    }

    /// The object, whose pixel data are `data`, and a template for it.
    fn object(&self, data: &[u8]) -> Option<(DataSet, Templates)> {
        let us = |element, value: usize| Element::new(Tag(0x0028, element), VR::US, (value as u16).to_le_bytes());
        let text = |tag, value: &str| Element::new(tag, VR::LO, value);
        let mut ds: DataSet = [
            text(Tag(0x0008, 0x0016), "1.2.840.10008.5.1.4.1.1.6.1"),
            text(Tag(0x0008, 0x0060), "US"),
            text(Tag(0x0008, 0x0070), "Acme"),
            text(Tag(0x0008, 0x1090), "Scan 1"),
            text(Tag(0x0028, 0x0004), self.photometric.as_str()),
            text(Tag(0x0028, 0x0008), &self.frames.to_string()),
            us(0x0002, usize::from(self.photometric.samples())),
            us(0x0006, usize::from(self.planar)),
            us(0x0010, self.rows),
            us(0x0011, self.columns),
            us(0x0100, usize::from(self.allocated)),
            us(0x0101, usize::from(self.stored)),
            us(0x0102, usize::from(self.high)),
            us(0x0103, usize::from(self.signed)),
        ]
        .into_iter()
        .collect();
        let layout = PixelLayout::of(&ds).ok()?;
        if self.photometric == Photometric::Palette {
            for element in [0x1101, 0x1102, 0x1103] {
                ds.insert(Element::new(Tag(0x0028, element), VR::US, [4, 0, 0, 0, 16, 0]));
                ds.insert(Element::new(Tag(0x0028, element + 0x100), VR::OW, [9, 9, 1, 0, 2, 0, 3, 0]));
            }
        }
        let is_native = matches!(self.syntax, "1.2.840.10008.1.2.1" | "1.2.840.10008.1.2.2");
        let span = |offset: usize, length: usize| match self.spans {
            true => Value::Span { origin: Origin::Input, offset: offset as u64, length: length as u64 },
            false => Value::Bytes(data[offset..offset + length].to_vec()),
        };
        let value = if is_native {
            let length = usize::try_from(layout.native_length()?).ok()?.next_multiple_of(2);
            if length <= data.len() {
                span(0, length)
            } else {
                Value::Bytes(data.iter().chain(&[0xA5; 1]).copied().cycle().take(length).collect())
            }
        } else {
            let (mut fragments, mut rest) = (Vec::new(), data);
            for cut in &self.cuts {
                let offset = data.len() - rest.len();
                fragments.push(span(offset, bytes(&mut rest, *cut).len()));
            }
            fragments.push(span(data.len() - rest.len(), rest.len()));
            Value::Fragments { offsets: Vec::new(), fragments }
        };
        ds.insert(Element { tag: PIXEL_DATA, vr: VR::OW, value });
        let [x, y, width, height] = self.region;
        let template = format!(
            "version = 1\n[[template]]\nid = \"t\"\nsource = \"fuzz\"\nregions = [[{x}, {y}, {width}, {height}]]\n\
             [template.match]\nmanufacturer = \"Acme\"\nmodel = \"Scan 1\"\nrows = {}\ncolumns = {}\n\
             sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nphotometric-interpretations = [\"{}\"]\n\
             transfer-syntaxes = [\"{}\"]\n\
             [template.verified]\nby = \"fuzz\"\non = \"2026-11-28\"\nevidence = \"fuzz\"\n",
            self.rows,
            self.columns,
            self.photometric.as_str(),
            if is_native { "native" } else { self.syntax },
        );
        Some((ds, Templates::parse([("t", template)]).ok()?))
    }
}

/// The bytes of a value that is no sequence.
fn native(value: &Value, source: &[u8]) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Span { offset, length, .. } => source[*offset as usize..(*offset + *length) as usize].to_vec(),
        Value::Sequence(_) | Value::Fragments { .. } => panic!("no bytes"),
    }
}

/// Asserts that every pixel of the mask has the colour of the first, and that the others are what they were (where `before` is
/// known and no bit of a sample is unused).
fn assert_native(plan: &Plan, before: &[u8], after: &[u8], layout: &PixelLayout) {
    let width = usize::from(layout.bits_allocated / 8);
    let (rows, columns) = (usize::from(layout.rows), usize::from(layout.columns));
    let subsampled = layout.photometric == Photometric::YbrFull422;
    let samples = usize::from(layout.samples);
    let keeps = !layout.has_unused_bits() && before.len() == after.len();
    let inside = |x: usize, y: usize| {
        plan.regions().iter().any(|r| (r.x0..r.x1).contains(&(x as u32)) && (r.y0..r.y1).contains(&(y as u32)))
    };
    let mut colour: [Option<&[u8]>; 3] = [None; 3];
    for frame in 0..layout.frames as usize {
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for (c, colour) in colour.iter_mut().enumerate().take(samples) {
                let at = match (subsampled, layout.planar && samples == 3) {
                    // Y Y Cb Cr for each pair of pixels.
                    (true, _) => ((frame * rows + y) * columns + x / 2 * 2) * 2 + if c == 0 { x % 2 } else { c + 1 },
                    (false, true) => ((frame * samples + c) * rows + y) * columns + x,
                    (false, false) => ((frame * rows + y) * columns + x) * samples + c,
                } * width;
                let sample = &after[at..at + width];
                let pair = x ^ 1;
                if inside(x, y) {
                    assert_eq!(*colour.get_or_insert(sample), sample, "{c} at {x}, {y} is not blank");
                } else if keeps && !(subsampled && inside(pair, y)) {
                    assert_eq!(sample, &before[at..at + width], "{c} at {x}, {y} has changed");
                }
            }
        }
    }
    let darkest: &[u8] = if layout.photometric == Photometric::Monochrome1 { &[0xFF] } else { &[0] };
    if layout.bits_stored == 8 && layout.bits_allocated == 8 && !layout.signed && samples == 1 {
        assert!(layout.photometric == Photometric::Palette || colour[0] == Some(darkest), "blank, but not black");
    }
}

/// Asserts that an RLE frame (PS3.5 annex G) is of one colour in the mask.
fn assert_rle(plan: &Plan, frame: &[u8]) {
    let layout = plan.layout();
    let word = |n: usize| u32::from_le_bytes(frame[4 * n..4 * n + 4].try_into().expect("four bytes")) as usize;
    let (rows, columns) = (usize::from(layout.rows), usize::from(layout.columns));
    for segment in 1..=word(0) {
        let end = if segment == word(0) { frame.len() } else { word(segment + 1) };
        let plane = unpack(&frame[word(segment)..end], rows * columns);
        for r in plan.regions() {
            let pixel = |x: u32, y: u32| plane[y as usize * columns + x as usize];
            let first = pixel(r.x0, r.y0);
            let blank = (r.y0..r.y1).all(|y| (r.x0..r.x1).all(|x| pixel(x, y) == first));
            assert!(blank, "segment {segment} is not blank");
        }
    }
}

/// PackBits.
fn unpack(mut packed: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        match byte(&mut packed) as i8 {
            -128 => {}
            n if n < 0 => {
                let value = byte(&mut packed);
                out.extend(std::iter::repeat_n(value, (1 - isize::from(n)) as usize));
            }
            n => out.extend(bytes(&mut packed, n as usize + 1)),
        }
    }
    out
}
