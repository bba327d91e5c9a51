use std::io::Cursor;

use super::*;
use crate::object::samples::{Sample, encode};

#[derive(Default)]
struct Log(Vec<String>);

impl Visitor for Log {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        self.0.push(match event {
            Event::Element { tag, value: Value::Bytes(b), .. } => format!("{depth} {tag} {}", b.len()),
            Event::Element { tag, value: Value::Long { length, .. }, .. } => format!("{depth} {tag} long {length}"),
            Event::Element { tag, value: Value::Fragments { count }, .. } => format!("{depth} {tag} x{count}"),
            Event::SequenceStart(tag) => format!("{depth} {tag} ["),
            Event::ItemStart => format!("{depth} {{"),
            Event::ItemEnd => format!("{depth} }}"),
            Event::SequenceEnd => format!("{depth} ]"),
        });
    }
}

fn run(bytes: &[u8]) -> Result<Vec<String>, WalkError> {
    let mut log = Log::default();
    let limits = Limits { inline_bytes: 1024, ..Limits::default() };
    walk(BufReader::new(Cursor::new(bytes)), bytes.len() as u64, limits, &mut log).map(|_| log.0)
}

fn with_tail(tail: &[u8]) -> Vec<u8> {
    let mut file = Sample::new().file();
    file.extend(tail);
    file
}

#[test]
fn nested_sequences_fragments_and_long_values_are_told_in_order() {
    let inner = Sample::data_set().element((0x0008, 0x0050), "SH", b"A1");
    let mut file = Sample::new()
        .sequence((0x0040, 0x0275), &[inner.clone().sequence((0x0040, 0xA730), std::slice::from_ref(&inner)), inner])
        .element((0x0042, 0x0011), "OB", &[0; 2000])
        .file();
    let mut pixels = encode(Tag(0x7FE0, 0x0010), "OB", &[]);
    pixels[8..12].copy_from_slice(&UNDEFINED.to_le_bytes());
    for body in [&[][..], &[1, 2], &[3, 4, 5, 6]] {
        pixels.extend([0xFE, 0xFF, 0x00, 0xE0]);
        pixels.extend((body.len() as u32).to_le_bytes());
        pixels.extend(body);
    }
    pixels.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    file.extend(pixels);
    let log = run(&file).unwrap();
    let data_set: Vec<&str> = log.iter().map(String::as_str).skip(3).collect();
    assert_eq!(
        data_set,
        [
            "0 (0040,0275) [",
            "1 {",
            "1 (0008,0050) 2",
            "1 (0040,A730) [",
            "2 {",
            "2 (0008,0050) 2",
            "2 }",
            "1 ]",
            "1 }",
            "1 {",
            "1 (0008,0050) 2",
            "1 }",
            "0 ]",
            "0 (0042,0011) long 2000",
            "0 (7FE0,0010) x2",
        ]
    );
}

#[test]
fn no_length_is_believed() {
    let mut huge = encode(Tag(0x0042, 0x0011), "OB", &[1, 2]);
    huge[8..12].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
    assert_eq!(run(&with_tail(&huge)), Err(WalkError::Length));

    let mut undefined = encode(Tag(0x0042, 0x0011), "UN", &[1, 2]);
    undefined[8..12].copy_from_slice(&UNDEFINED.to_le_bytes());
    assert_eq!(run(&with_tail(&undefined)), Err(WalkError::Length));

    // An item longer than its sequence.
    let mut sequence = encode(Tag(0x0040, 0x0275), "SQ", &[0xFE, 0xFF, 0x00, 0xE0, 4, 0, 0, 0]);
    sequence.extend(encode(Tag(0x0042, 0x0011), "OB", &[]));
    assert_eq!(run(&with_tail(&sequence)), Err(WalkError::Length));

    let whole = Sample::new().sequence((0x0040, 0x0275), &[Sample::data_set(), Sample::data_set()]).file();
    let data_set_at = Sample::new().file().len();
    for cut in data_set_at + 1..whole.len() {
        assert!(run(&whole[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn four_thousand_nested_sequences_stop_at_the_limit() {
    let mut tail = Vec::new();
    for _ in 0..4000 {
        let mut open = encode(Tag(0x0040, 0xA730), "SQ", &[]);
        open[8..12].copy_from_slice(&UNDEFINED.to_le_bytes());
        tail.extend(open);
        tail.extend([0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    assert_eq!(run(&with_tail(&tail)), Err(WalkError::Depth));
}

#[test]
fn a_flood_of_items_stops_at_the_limit() {
    let mut tail = encode(Tag(0x0040, 0xA730), "SQ", &[]);
    tail[8..12].copy_from_slice(&UNDEFINED.to_le_bytes());
    for _ in 0..1_000_001 {
        tail.extend([0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0]);
    }
    assert_eq!(run(&with_tail(&tail)), Err(WalkError::Elements));
}

#[test]
fn order_vr_and_delimiters_are_held() {
    let a = encode(Tag(0x0008, 0x0050), "SH", b"A ");
    let b = encode(Tag(0x0010, 0x0020), "LO", b"A ");
    assert!(run(&with_tail(&[a.clone(), b.clone()].concat())).is_ok());
    assert_eq!(run(&with_tail(&[b, a.clone()].concat())), Err(WalkError::Order));
    assert_eq!(run(&with_tail(&[a.clone(), a.clone()].concat())), Err(WalkError::Order));
    assert_eq!(run(&with_tail(&[0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0])), Err(WalkError::Structure));
    let mut no_vr = a;
    no_vr[4..6].copy_from_slice(b"??");
    assert_eq!(run(&with_tail(&no_vr)), Err(WalkError::Vr));
}

#[test]
fn other_encodings_and_files_are_refused() {
    assert_eq!(run(b"not DICOM"), Err(WalkError::Prefix));
    assert_eq!(run(&[0; 200]), Err(WalkError::Prefix));
    for uid in ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.113619.5.2"] {
        let file = Sample::new().meta((0x0002, 0x0010), "UI", uid.as_bytes()).file();
        assert_eq!(run(&file), Err(WalkError::TransferSyntax), "{uid}");
    }
    let mut short = Sample::new().file();
    short[140] = 200;
    assert_eq!(run(&short), Err(WalkError::FileMeta));
}
