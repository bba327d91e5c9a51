//! Plans for video carried out with a coder that is none: its streams are frames as they stand. What a real one may do is done to them.

use super::*;
use crate::{
    Decision, NeverBurntIn, Templates, apply as apply_other, decide,
    testing::{Image, text, us},
};
use std::collections::VecDeque;

const AVC: &str = "1.2.840.10008.1.2.4.102";
const FRAMES: u32 = 3;
const ROWS: usize = 64;
const COLUMNS: usize = 96;
/// The template's region: left, top, right, bottom.
const REGION: [usize; 4] = [20, 10, 50, 22];
const LENGTH: usize = ROWS * COLUMNS * 3 / 2;
const LINE: &str = "YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n";

/// Something that is done to a written stream's frames before they are read again.
type Done = fn(&mut Vec<Vec<u8>>);

struct Coder {
    stream: Vec<u8>,
    encoded: Vec<u8>,
    films: [VecDeque<u8>; 3],
    bounds: Bounds,
    done: Done,
    good: bool,
}

impl Coder {
    fn new(done: Done) -> Self {
        let bounds = Bounds { most_pixels: 1 << 20, most_frames: 10 };
        Self { stream: Vec::new(), encoded: Vec::new(), films: Default::default(), bounds, done, good: true }
    }
}

fn frames_of(film: &[u8]) -> Vec<Vec<u8>> {
    film[LINE.len()..].chunks(FRAME.len() + LENGTH).map(|frame| frame[FRAME.len()..].to_vec()).collect()
}

const FRAME: &[u8] = b"FRAME\n";

fn film(frames: &[Vec<u8>]) -> Vec<u8> {
    let frames = frames.iter().flat_map(|frame| [FRAME, frame]);
    [LINE.as_bytes()].into_iter().chain(frames).flatten().copied().collect()
}

impl VideoCoder for Coder {
    fn bounds(&self) -> Bounds {
        self.bounds
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.extend_from_slice(bytes);
        Ok(())
    }
    fn decode(&mut self, film: Film, _coding: Coding) -> io::Result<()> {
        self.films[film as usize] = match film {
            Film::Received | Film::ReceivedAgain => self.stream.clone().into(),
            Film::Written => self.encoded.clone().into(),
        };
        Ok(())
    }
    fn read(&mut self, film: Film, into: &mut [u8]) -> io::Result<usize> {
        // In pieces, as pipes give.
        let most = into.len().min(1000);
        io::Read::read(&mut self.films[film as usize], &mut into[..most])
    }
    fn encode(&mut self, _coding: Coding, _scan: Scan) -> io::Result<()> {
        Ok(())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.encoded.extend_from_slice(bytes);
        Ok(true)
    }
    fn finish(&mut self) -> io::Result<bool> {
        if self.films[Film::Written as usize].is_empty() && self.encoded.len() > LINE.len() {
            let mut frames = frames_of(&self.encoded);
            (self.done)(&mut frames);
            self.encoded = self::film(&frames);
            self.done = |_| ();
        }
        Ok(self.good)
    }
    fn encoded_bytes(&mut self) -> io::Result<u64> {
        Ok(self.encoded.len() as u64)
    }
    fn read_encoded(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(&self.encoded[at as usize..][..into.len()]);
        Ok(())
    }
}

/// Frames that differ everywhere, with `text` in the region.
fn scene(text: u8) -> Vec<u8> {
    let frame = |number: usize| {
        let mut frame: Vec<u8> = (0..LENGTH).map(|i| 40 + ((i * 7 + number * 13) % 180) as u8).collect();
        for y in REGION[1]..REGION[3] {
            frame[y * COLUMNS + REGION[0]..y * COLUMNS + REGION[2]].fill(text);
        }
        frame
    };
    film(&(0..FRAMES as usize).map(frame).collect::<Vec<_>>())
}

fn object(stream: Vec<u8>) -> DataSet {
    let image = Image::of(crate::Photometric::Rgb, ROWS as u16, COLUMNS as u16, FRAMES, 8, 8);
    let mut ds = image.data_set();
    ds.insert(text(tags::PHOTOMETRIC_INTERPRETATION, "YBR_PARTIAL_420"));
    let value = Value::Fragments { offsets: Vec::new(), fragments: vec![Value::Bytes(stream)] };
    ds.insert(gift_deidentify::dataset::Element { tag: tags::PIXEL_DATA, vr: VR::OB, value });
    ds
}

fn plan_of(ds: &DataSet, anchors: &str) -> Plan {
    let template = format!(
        "version = 1\n[[template]]\nid = \"t\"\nsource = \"s\"\nregions = [[20, 10, 30, 12]]\n[template.match]\n\
         manufacturer = \"Acme\"\nmodel = \"Scan 1\"\nsop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nrows = 64\ncolumns = 96\n\
         photometric-interpretations = [\"YBR_PARTIAL_420\"]\ntransfer-syntaxes = [\"{AVC}\"]\n{anchors}\
         [template.verified]\nby = \"t\"\non = \"2026-11-28\"\nevidence = \"t\"\n"
    );
    let templates = Templates::parse([("t", template.as_str())]).unwrap();
    match decide(ds, AVC, &templates, &NeverBurntIn::default()) {
        Decision::Redact(plan) => plan,
        other => panic!("{other:?}"),
    }
}

/// What comes of it: the written stream, or the reason to hold.
fn redacted(ds: &mut DataSet, anchors: &str, coder: &mut Coder) -> Result<Vec<u8>, &'static str> {
    let (plan, mut scratch) = (plan_of(ds, anchors), Vec::new());
    let before = ds.clone();
    match apply(&plan, ds, &Vec::new(), &mut scratch, coder) {
        Ok(clearance) => {
            assert_eq!((clearance.frames(), clearance.template(), clearance.regions().len()), (FRAMES, Some("t"), 1));
            Ok(scratch)
        }
        Err(error) => {
            assert_eq!(*ds, before);
            Err(error.hold().unwrap())
        }
    }
}

#[test]
fn every_frame_is_black_in_the_region_and_on_its_grid_and_the_same_elsewhere() {
    let mut ds = object(scene(230));
    let frames = frames_of(&redacted(&mut ds, "", &mut Coder::new(|_| ())).unwrap());
    for (before, after) in frames_of(&scene(230)).iter().zip(&frames) {
        for y in 0..ROWS {
            for x in 0..COLUMNS {
                // 8 px larger than the region, and out to a grid of 16.
                let blank = x < 64 && y < 32;
                let at = y * COLUMNS + x;
                assert_eq!(after[at], if blank { 16 } else { before[at] }, "{x} {y}");
                let at = ROWS * COLUMNS + y / 2 * COLUMNS / 2 + x / 2;
                assert_eq!(after[at], if blank { 128 } else { before[at] }, "{x} {y}");
            }
        }
    }
    assert_eq!(frames.len(), FRAMES as usize);
    assert_eq!(ds.str(tags::BURNED_IN_ANNOTATION).as_deref(), Some("NO"));
    assert_eq!(ds.str(tags::LOSSY_IMAGE_COMPRESSION_METHOD).as_deref(), Some("ISO_14496_10"));
    let Value::Fragments { offsets, fragments } = &ds.get(tags::PIXEL_DATA).unwrap().value else { panic!() };
    assert_eq!((offsets.len(), fragments.len()), (0, 1));
}

#[test]
fn what_differs_in_the_region_only_comes_out_the_same_and_loss_is_said_once_more() {
    let stream = |text| {
        let mut ds = object(scene(text));
        for (tag, value) in [
            (tags::LOSSY_IMAGE_COMPRESSION, "01"),
            (tags::LOSSY_IMAGE_COMPRESSION_RATIO, "30"),
            (tags::LOSSY_IMAGE_COMPRESSION_METHOD, "ISO_10918_1"),
        ] {
            ds.insert(self::text(tag, value));
        }
        let stream = redacted(&mut ds, "", &mut Coder::new(|_| ())).unwrap();
        assert_eq!(ds.strings(tags::LOSSY_IMAGE_COMPRESSION_METHOD), ["ISO_10918_1", "ISO_14496_10"]);
        assert_eq!(ds.strings(tags::LOSSY_IMAGE_COMPRESSION_RATIO), ["30", "1.00"]);
        stream
    };
    assert_eq!(stream(230), stream(61));
}

#[test]
fn a_coder_is_believed_nothing() {
    let inside = |x: usize, y: usize| (y * COLUMNS + x, (ROWS + y / 4) * COLUMNS + y / 2 % 2 * COLUMNS / 2 + x / 2);
    assert_eq!(inside(0, 0).1, ROWS * COLUMNS);
    let attempts: [(&str, Done); 8] = [
        ("a frame too few", |frames| drop(frames.pop())),
        ("a frame too many", |frames| frames.push(frames[0].clone())),
        ("text in one corner of one frame", |frames| frames[2][21 * COLUMNS + 49] = 30),
        ("colour in the region", |frames| frames[1][ROWS * COLUMNS + 8 * COLUMNS / 2 + 15] = 150),
        ("noise outside", |frames| {
            frames[0]
                .iter_mut()
                .enumerate()
                .filter(|(i, _)| i / COLUMNS > 40 && i % 2 == 0)
                .for_each(|(_, v)| *v ^= 0x3F);
        }),
        ("other frames", |frames| frames.rotate_left(1)),
        ("the end cut", |frames| frames[2].truncate(100)),
        ("nothing", Vec::clear),
    ];
    for (what, done) in attempts {
        let mut coder = Coder::new(done);
        assert_eq!(redacted(&mut object(scene(230)), "", &mut coder), Err("redaction-unproven"), "{what}");
    }
    // Within the tolerance: 4 steps in the region, and a little everywhere else.
    let slight: Done = |frames| frames.iter_mut().flatten().enumerate().for_each(|(i, v)| *v += (i % 5) as u8);
    assert!(redacted(&mut object(scene(230)), "", &mut Coder::new(slight)).is_ok());
    let failing = Coder { good: false, ..Coder::new(|_| ()) };
    assert_eq!(redacted(&mut object(scene(230)), "", &mut { failing }), Err("decode-failed"));
}

#[test]
fn a_stream_that_is_not_what_the_attributes_say_is_held() {
    let good = scene(230);
    let says = |from: &str, to: &str| {
        let line = LINE.replace(from, to);
        [line.as_bytes(), &good[LINE.len()..]].concat()
    };
    let short = good[..good.len() - FRAME.len() - LENGTH].to_vec();
    let long = [&good[..], FRAME, &[9; LENGTH]].concat();
    for (what, stream, reason) in [
        ("garbage", vec![7; 5000], "decode-failed"),
        ("nothing", vec![], "decode-failed"),
        ("a frame too few", short, "inconsistent"),
        ("a frame too many", long, "inconsistent"),
        ("the end cut", good[..good.len() - 10].to_vec(), "decode-failed"),
        ("another size", says("W96", "W98"), "inconsistent"),
        ("ten bits", says("C420mpeg2", "C420p10"), "inconsistent"),
        ("full range", says("LIMITED", "FULL"), "unsupported-transfer-syntax"),
        ("too fast", says("F25:1", "F99000000:1"), "unsupported-transfer-syntax"),
    ] {
        assert_eq!(redacted(&mut object(stream), "", &mut Coder::new(|_| ())), Err(reason), "{what}");
    }
    for bounds in [Bounds { most_pixels: 6143, most_frames: 10 }, Bounds { most_pixels: 6144, most_frames: 2 }] {
        let mut coder = Coder { bounds, ..Coder::new(|_| ()) };
        assert_eq!(redacted(&mut object(scene(230)), "", &mut coder), Err("limit-exceeded"));
        assert!(coder.stream.is_empty());
    }
}

#[test]
fn anchors_are_looked_for_in_every_frame() {
    // Of samples from 16 to 235: 230 is 249 of 255.
    let anchor = |mean: &str| {
        format!("[[template.anchors]]\nkind = \"statistics\"\nregion = [24, 12, 16, 8]\nmean = [{mean}]\n")
    };
    let go = |stream, mean| redacted(&mut object(stream), &anchor(mean), &mut Coder::new(|_| ()));
    assert!(go(scene(230), "248.0, 250.0").is_ok());
    assert_eq!(go(scene(230), "0.0, 240.0"), Err("template-mismatch"));
    let mut last = scene(230);
    let at = last.len() - LENGTH + 12 * COLUMNS;
    last[at..at + 8 * COLUMNS].fill(100);
    assert_eq!(go(last, "248.0, 250.0"), Err("template-mismatch"));
}

#[test]
fn what_a_rule_clears_is_encoded_again_too() {
    let rules = NeverBurntIn::parse(
        "n",
        "version = 1\nwithout-pixels = []\nforbidden-in-image-type = []\n[[rule]]\nid = \"r\"\nreason = \"t\"\nmodality = \"US\"\n\
         sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nphotometric-interpretations = [\"YBR_PARTIAL_420\"]\n\
         image-type = [\"ORIGINAL\", \"PRIMARY\"]\n",
    );
    let mut ds = object(scene(230));
    let Decision::Redact(plan) = decide(&ds, AVC, &Templates::default(), &rules.unwrap()) else { panic!() };
    assert_eq!((plan.template(), plan.method()), (None, Method::Video(Standard::Avc41)));
    let mut scratch = Vec::new();
    let clearance = apply(&plan, &mut ds, &Vec::new(), &mut scratch, &mut Coder::new(|_| ())).unwrap();
    assert_eq!((clearance.frames(), clearance.never_burnt_in_rule()), (FRAMES, Some("r")));
    assert_eq!(frames_of(&scratch), frames_of(&scene(230)));
    assert!(!ds.contains(tags::BURNED_IN_ANNOTATION));
    let noise: Done = |frames| frames[1].iter_mut().for_each(|v| *v ^= 0x3F);
    let mut ds = object(scene(230));
    let error = apply(&plan, &mut ds, &Vec::new(), &mut Vec::new(), &mut Coder::new(noise)).unwrap_err();
    assert_eq!(error.hold(), Some("redaction-unproven"));
}

#[test]
fn without_a_coder_or_in_another_form_video_is_held() {
    let mut ds = object(scene(230));
    let plan = plan_of(&ds, "");
    let error = apply_other(&plan, &mut ds, &Vec::new(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.hold(), Some("unsupported-transfer-syntax"));
    for (tag, value) in [(tags::ROWS, 63), (tags::BITS_STORED, 7), (tags::PLANAR_CONFIGURATION, 1)] {
        let mut ds = object(scene(230));
        ds.insert(us(tag, &[value]));
        match decide(&ds, AVC, &Templates::default(), &NeverBurntIn::default()) {
            Decision::Hold(hold) => assert!(["inconsistent", "no-template"].contains(&hold.as_str())),
            other => panic!("{other:?}"),
        }
    }
    // The form of video belongs to video alone.
    for syntax in ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"] {
        let held = decide(&object(scene(230)), syntax, &Templates::default(), &NeverBurntIn::default());
        assert!(matches!(held, Decision::Hold(crate::Hold::Inconsistent)), "{held:?}");
    }
}
