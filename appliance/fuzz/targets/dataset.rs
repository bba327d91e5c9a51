//! Reading, the limits on it (there is no pre-scan of its own: every length is checked as it is read) and writing.
//!
//! Any bytes, as a bare data set under each family of transfer syntaxes or as a file, under the limits that ship or very tight
//! ones. Asserted: nothing panics; the limits hold for what is read; where long values stay in the source, it is the same tree;
//! what is read, written and read again is the same tree, and written once more the same bytes.
#![no_main]

use std::io::Write as _;

use gift_deidentify::dataset::{
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, DataSet, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, Element,
    IMPLICIT_VR_LITTLE_ENDIAN, Limits, Parsed, Value, WriteError, read_dataset, read_part10,
};
use gift_fuzz::{byte, policy::LIMITS, tree};
use libfuzzer_sys::{Corpus, fuzz_target};

const SYNTAXES: [&str; 8] = [
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.95", // JPIP Referenced Deflate
    "1.2.840.10008.1.2.5",
    "1.2.3.4", // private
];
const TIGHT: Limits =
    Limits { depth: 3, elements: 40, inline_bytes: 16, inline_total_bytes: 512, inflated_bytes: 2_048 };

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut data = data;
    let how = byte(&mut data);
    let uid = SYNTAXES[usize::from(how & 7)];
    let (as_file, as_is, tight) = (how & 0x08 != 0, how & 0x10 != 0, how & 0x20 != 0);
    let limits = if tight { TIGHT } else { *LIMITS };
    // A fuzzer does not learn to deflate.
    let deflated = (uid == SYNTAXES[3] || uid == SYNTAXES[5]) && !as_file && !as_is;
    let bytes = if deflated { deflate(data) } else { data.to_vec() };
    let read = if as_file {
        read_part10(&bytes, &limits).map(|(meta, parsed)| (meta.transfer_syntax_uid, parsed))
    } else {
        read_dataset(&bytes, uid, &limits).map(|parsed| (uid.to_owned(), parsed))
    };
    let Ok((uid, parsed)) = read else { return Corpus::Keep };
    assert_within(&parsed.data_set, &limits);
    round_trip(&uid, parsed);
    Corpus::Keep
});

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflater.write_all(bytes).expect("memory");
    deflater.finish().expect("memory")
}

fn assert_within(ds: &DataSet, limits: &Limits) {
    fn depth(ds: &DataSet) -> usize {
        let deepest = |e: &Element| e.items().iter().map(|item| 1 + depth(item)).max();
        ds.iter().filter_map(deepest).max().unwrap_or(0)
    }
    assert!(depth(ds) <= usize::from(limits.depth), "nested deeper than allowed");
    let (mut count, mut inline) = (0, 0);
    for element in ds.walk() {
        count += 1 + element.items().len();
        match &element.value {
            Value::Bytes(bytes) => inline += bytes.len(),
            Value::Fragments { offsets, fragments } => {
                count += fragments.len();
                inline += offsets.len() + fragments.iter().filter_map(Value::bytes).map(<[u8]>::len).sum::<usize>();
            }
            Value::Span { .. } | Value::Sequence(_) => {}
        }
    }
    assert!(count as u64 <= u64::from(limits.elements), "more elements than allowed");
    assert!(inline as u64 <= limits.inline_total_bytes, "more in memory than allowed");
}

fn round_trip(uid: &str, parsed: Parsed<'_>) {
    let Parsed { mut data_set, body } = parsed;
    // Every object has a SOP class; of a data set that begins with another group the byte order might be guessed wrong.
    data_set.put_str(tree::SOP_CLASS_UID, dicom_core::VR::UI, tree::CT);
    let file = match tree::written(&data_set, uid, &body) {
        Ok(file) => file,
        // Groups and pixel data that cannot be written are refused, not written otherwise.
        Err(WriteError::Group | WriteError::PixelData | WriteError::Uid | WriteError::TooLong) => return,
        Err(error) => panic!("what was read cannot be written: {error}"),
    };
    if tree::is_unwritable(&data_set) {
        return;
    }
    let (_, again) = read_part10(&file, &Limits::default()).expect("what was written cannot be read");
    tree::assert_same(&data_set, &body, &again.data_set, &again.body);
    let spans = Limits { inline_bytes: 0, ..Limits::default() };
    let (_, spanned) = read_part10(&file, &spans).expect("what was written cannot be read");
    tree::assert_same(&again.data_set, &again.body, &spanned.data_set, &spanned.body);
    // An overlong value may have come back in a VR that fits it, so it is from here on that the bytes are the same.
    let once = tree::written(&again.data_set, uid, &again.body).expect("written once, written twice");
    let twice = tree::written(&spanned.data_set, uid, &spanned.body).expect("written once, written twice");
    assert!(once == twice, "in memory and left where it was, it is written differently");
}
