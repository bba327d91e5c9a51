//! The leak scan against a file in which an identifier was planted, and against the cuts of the stream.
//!
//! A file of many kinds of places, one of which holds an identifier in one of its spellings and encodings. Asserted: the scan
//! reports it; without it, the scan does not; the verdict does not depend on how the bytes were cut as they were written; a file
//! that is not what went by is refused.
#![no_main]

use arbitrary::Arbitrary;
use dicom_core::{Tag, VR};
use gift_deidentify::{
    Identifiers, Kept, ScanError,
    dataset::{DataSet, Element},
};
use gift_fuzz::object::{element, encapsulated, file_head, sequence};
use libfuzzer_sys::fuzz_target;

const KEPT: Kept = Kept { institution: false, device: false, uids: false, dates: false };
const LITTLE: &str = "1.2.840.10008.1.2.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

/// What is planted.
#[derive(Debug, Arbitrary, Clone, Copy)]
enum Identifier {
    Name,
    Number,
    BirthDate,
    Uid,
    Telephone,
}

#[derive(Debug, Arbitrary, Clone, Copy)]
enum Encoding {
    Ascii,
    Upper,
    Lower,
    Utf16Le,
    Utf16Be,
}

/// Where.
#[derive(Debug, Arbitrary, Clone, Copy)]
enum Place {
    Preamble,
    PrivateMeta,
    Text,
    ShortBytes,
    Unknown,
    Private,
    Item,
    Bulk,
    NativePixels,
    FirstFragment,
    LastFragment,
    Comment,
}

#[derive(Debug, Arbitrary)]
struct Input {
    seed: u32,
    identifier: Identifier,
    encoding: Encoding,
    place: Place,
    planted: bool,
    /// What stands before and behind it.
    before: Vec<u8>,
    after: Vec<u8>,
    cuts: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let bulk = matches!(input.place, Place::Bulk | Place::NativePixels | Place::FirstFragment | Place::LastFragment);
    // A short one must end with its word, and a value ends the word whatever tag comes next.
    let short = !bulk && input.seed >> 30 == 3;
    let text = text(input.identifier, input.seed, short);
    // In bulk only long identifiers of one byte a character are looked for.
    let encoding = if bulk && matches!(input.encoding, Encoding::Utf16Le | Encoding::Utf16Be) {
        Encoding::Ascii
    } else {
        input.encoding
    };
    let identifiers = identifiers(input.identifier, &text);
    let bytes = encoded(&text, encoding);
    let roomy = bulk || matches!(input.place, Place::Text | Place::Private | Place::PrivateMeta | Place::Comment);
    let most = if roomy { 2_000 } else { 40 };
    let fill = |bytes: &[u8]| fill(&bytes[..bytes.len().min(most)], bulk);
    let (before, after) = (fill(&input.before), fill(&input.after));
    let planted: &[u8] = if input.planted { &bytes } else { b"" };
    let value = [&before[..], planted, &after[..]].concat();
    let file = file(input.place, &value);

    let whole = identifiers.scan(&file, KEPT);
    match &whole {
        Err(ScanError::Leak { .. }) => assert!(input.planted, "found where nothing was planted"),
        Ok(_) => assert!(!input.planted, "{:?} in {:?} not found", input.identifier, input.place),
        Err(error) => panic!("{error}"),
    }
    let mut scan = identifiers.leak_scan(KEPT);
    let (mut rest, mut cuts) = (&file[..], input.cuts.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().map_or(usize::MAX, |cut| usize::from(*cut)).clamp(1, rest.len());
        scan.written(&rest[..cut]);
        rest = &rest[cut..];
    }
    assert_eq!(scan.finish(&file).is_ok(), whole.is_ok(), "the cut matters");
    let mut short = identifiers.leak_scan(KEPT);
    short.written(&file[1..]);
    assert!(short.finish(&file).is_err(), "not all of it went by");
});

/// An identifier that is nobody's: of at least eight characters, or, where a name or number may be `short`, of as few as count.
fn text(identifier: Identifier, seed: u32, short: bool) -> String {
    let letters = |mut n: u32, length: usize| -> String {
        let mut next = || {
            let letter = b"bdfgkmpqvxz"[n as usize % 11];
            n = n.rotate_right(5).wrapping_mul(0x9E37_79B1).wrapping_add(7);
            char::from(letter)
        };
        (0..length).map(|_| next()).collect()
    };
    let length = 8 + seed as usize % 9;
    match identifier {
        Identifier::Name if short => format!("Q{}", letters(seed, 3 + seed as usize % 3)),
        Identifier::Number if short => format!("7{}", letters(seed, 4)),
        Identifier::Name => format!("Q{}", letters(seed, length)),
        Identifier::Number => format!("7{}{}", letters(seed, length), seed % 100),
        Identifier::BirthDate => format!("{}{:02}{:02}", 1901 + seed % 120, 1 + seed % 12, 1 + seed % 28),
        Identifier::Uid => format!("1.2.826.0.1.3680043.{}.{}", 1 + seed % 1000, seed),
        Identifier::Telephone => format!("0143{:07}", seed % 10_000_000),
    }
}

fn identifiers(identifier: Identifier, text: &str) -> Identifiers {
    let (tag, vr) = match identifier {
        Identifier::Name => (Tag(0x0010, 0x0010), VR::PN),
        Identifier::Number => (Tag(0x0010, 0x0020), VR::LO),
        Identifier::BirthDate => (Tag(0x0010, 0x0030), VR::DA),
        Identifier::Uid => (Tag(0x0020, 0x000D), VR::UI),
        Identifier::Telephone => (Tag(0x0010, 0x2154), VR::SH),
    };
    Identifiers::collect(&[Element::new(tag, vr, text)].into_iter().collect::<DataSet>())
}

fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Ascii => text.as_bytes().to_vec(),
        Encoding::Upper => text.to_uppercase().into_bytes(),
        Encoding::Lower => text.to_lowercase().into_bytes(),
        Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Encoding::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

/// Bytes that continue no word and no number, an even number of them; enough to make a bulk value of it.
fn fill(bytes: &[u8], bulk: bool) -> Vec<u8> {
    let mut fill: Vec<u8> = bytes
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'\\' | 0xFF) || *b < b' ' { b'~' } else { *b })
        .collect();
    fill.resize(fill.len().next_multiple_of(2) + if bulk { 1_200 } else { 0 }, b'~');
    fill
}

fn file(place: Place, value: &[u8]) -> Vec<u8> {
    let class = element(8, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.2");
    let short = &value[..value.len().min(0xFFFE)];
    let encapsulates = matches!(place, Place::FirstFragment | Place::LastFragment | Place::Comment);
    let (preamble, more) = match place {
        Place::Preamble => (value, Vec::new()),
        Place::PrivateMeta => (&[][..], element(2, 0x0102, b"OB", value)),
        _ => (&[][..], Vec::new()),
    };
    let mut out = file_head(preamble, if encapsulates { JPEG } else { LITTLE }, &more);
    out.extend(class);
    let unknown = |value: &[u8]| element(0x0009, 0x1001, b"UN", value);
    match place {
        Place::Preamble | Place::PrivateMeta => {}
        Place::Text => {
            out.extend(element(8, 0x1030, b"LO", short));
            // Its group begins with a T.
            out.extend(element(0x0054, 0x1000, b"CS", b"STATIC"));
        }
        Place::ShortBytes => out.extend(element(8, 0x1031, b"OB", &value[..value.len().min(1_000)])),
        Place::Unknown => out.extend(unknown(&value[..value.len().min(1_000)])),
        Place::Private => {
            out.extend(element(9, 0x0010, b"LO", b"ACME"));
            out.extend(element(9, 0x1002, b"UT", value));
        }
        Place::Item => out.extend(sequence(8, 0x1140, &element(8, 0x1030, b"ST", short))),
        Place::Bulk => out.extend(element(0x0054, 0x1001, b"OW", value)),
        Place::NativePixels => out.extend(element(0x7FE0, 0x0010, b"OW", value)),
        Place::FirstFragment => out.extend(encapsulated(&[value, &[1; 40]])),
        Place::LastFragment => out.extend(encapsulated(&[&[0; 2_000], value])),
        Place::Comment => {
            let length = u16::try_from(short.len().min(0xFF00)).expect("16 bits");
            let head = [&[0xFF, 0xD8, 0xFF, 0xFE][..], &(length + 2).to_be_bytes()].concat();
            let tail = [&[0xFF, 0xDA][..], &[3; 2_000]].concat();
            out.extend(encapsulated(&[&[&head[..], &short[..usize::from(length)], &tail[..]].concat()]));
        }
    }
    out
}
