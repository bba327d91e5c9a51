//! Reader and writer against well-formed, odd and hostile bytes, built here byte by byte.

use std::io::Write as _;

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::*;

/// Bytes of one explicit little-endian element.
pub(crate) fn ele(group: u16, element: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), element.to_le_bytes()].concat();
    out.extend(vr.as_bytes());
    if ["OB", "OW", "OF", "SQ", "UC", "UN", "UR", "UT"].contains(&vr) {
        out.extend([0, 0]);
        out.extend((value.len() as u32).to_le_bytes());
    } else {
        out.extend((value.len() as u16).to_le_bytes());
    }
    out.extend(value);
    out
}

fn head(group: u16, element: u16, vr: Option<&str>, length: u32) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), element.to_le_bytes()].concat();
    if let Some(vr) = vr {
        out.extend(vr.as_bytes());
        out.extend([0, 0]);
    }
    out.extend(length.to_le_bytes());
    out
}

const UNDEFINED: u32 = u32::MAX;

fn item(length: u32) -> Vec<u8> {
    head(0xFFFE, 0xE000, None, length)
}

fn item_end() -> Vec<u8> {
    head(0xFFFE, 0xE00D, None, 0)
}

fn sequence_end() -> Vec<u8> {
    head(0xFFFE, 0xE0DD, None, 0)
}

fn cat(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

fn read_ele(bytes: &[u8]) -> Result<DataSet, ReadError> {
    read_dataset(&bytes, EXPLICIT_VR_LITTLE_ENDIAN, &Limits::default()).map(|p| p.data_set)
}

fn fault(result: Result<DataSet, ReadError>) -> Fault {
    match result {
        Err(ReadError::Malformed { what, .. }) => what,
        other => panic!("expected a fault, got {other:?}"),
    }
}

const SQ: Tag = Tag(0x0008, 0x1140);

/// A data set with a sequence of each kind of length, nested, a private one and encapsulated pixel data.
fn sample() -> Vec<u8> {
    let uid = ele(0x0008, 0x1155, "UI", b"1.2.3\0");
    let inner =
        cat(&[head(0x0008, 0x1140, Some("SQ"), UNDEFINED), item(UNDEFINED), uid.clone(), item_end(), sequence_end()]);
    cat(&[
        ele(0x0008, 0x0005, "CS", b"ISO_IR 100"),
        ele(0x0008, 0x0016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        head(0x0008, 0x1140, Some("SQ"), 8 + uid.len() as u32),
        item(uid.len() as u32),
        uid,
        head(0x0008, 0x2112, Some("SQ"), UNDEFINED),
        item(inner.len() as u32),
        inner,
        item(UNDEFINED),
        item_end(),
        sequence_end(),
        ele(0x0009, 0x0010, "LO", b"ACME"),
        ele(0x0010, 0x0010, "PN", b"Doe^J\xe9r\xf4me"),
        ele(0x0010, 0x0040, "CS", b"F "),
        ele(0x0028, 0x0010, "US", &[4, 0]),
        head(0x7FE0, 0x0010, Some("OB"), UNDEFINED),
        item(0),
        item(4),
        vec![1, 2, 3, 4],
        sequence_end(),
    ])
}

#[test]
fn all_kinds_of_length_read_and_write_back_the_same_tree() {
    let bytes = sample();
    let parsed = read_dataset(&bytes, "1.2.840.10008.1.2.4.50", &Limits::default()).unwrap();
    let ds = &parsed.data_set;
    assert_eq!(ds.str(Tag(0x0010, 0x0010)).as_deref(), Some("Doe^Jérôme"));
    assert_eq!(ds.at(&[(SQ, 0)]).unwrap().str(Tag(8, 0x1155)).as_deref(), Some("1.2.3"));
    assert_eq!(ds.at(&[(Tag(8, 0x2112), 0), (SQ, 0)]).unwrap().len(), 1);
    assert_eq!(ds.items(Tag(8, 0x2112)).len(), 2);
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(ds, "1.2.840.10008.1.2.4.50"),
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        sop_instance_uid: "2.25.1".into(),
    };
    let mut out = Vec::new();
    let none: &[u8] = &[];
    let n = write(ds, &meta, Sources { input: &parsed.body, scratch: &none }, &mut out).unwrap();
    assert_eq!(n, out.len() as u64);
    assert_eq!(&out[..128], &[0; 128]);
    let (read_meta, again) = read_part10(&out, &Limits::default()).unwrap();
    assert_eq!(&again.data_set, ds);
    assert_eq!(read_meta.transfer_syntax_uid, "1.2.840.10008.1.2.4.50");
    assert_eq!(read_meta.sop_instance_uid, "2.25.1");
}

#[test]
fn truncation_at_every_byte_is_an_error_or_a_shorter_tree_and_never_a_panic() {
    let bytes = sample();
    let whole = read_dataset(&bytes, "1.2.840.10008.1.2.4.50", &Limits::default()).unwrap().data_set;
    for end in 0..bytes.len() {
        let cut = &bytes[..end];
        if let Ok(parsed) = read_dataset(&cut, "1.2.840.10008.1.2.4.50", &Limits::default()) {
            assert!(parsed.data_set.len() <= whole.len());
        }
        let _ = read_part10(&cut, &Limits::default());
    }
}

#[test]
fn un_of_undefined_length_is_an_implicit_sequence() {
    let content = cat(&[head(0x0008, 0x0100, None, 4), b"T-01".to_vec()]);
    let bytes = cat(&[
        head(0x2005, 0x1080, Some("UN"), UNDEFINED),
        item(UNDEFINED),
        content.clone(),
        item_end(),
        sequence_end(),
        ele(0x7FE0, 0x0010, "OW", &[1, 0]),
    ]);
    let ds = read_ele(&bytes).unwrap();
    assert_eq!(ds.at(&[(Tag(0x2005, 0x1080), 0)]).unwrap().str(Tag(8, 0x100)).as_deref(), Some("T-01"));
    assert_eq!(ds.len(), 2);
    // With a length, the dictionary tells what a public UN is; a private one stays bytes.
    let known = cat(&[item(content.len() as u32), content]);
    let ds = read_ele(&cat(&[ele(0x0008, 0x1140, "UN", &known), ele(0x0009, 0x1001, "UN", &known)])).unwrap();
    assert_eq!(ds.items(SQ).len(), 1);
    assert_eq!(ds.get(Tag(9, 0x1001)).unwrap().value, Value::Bytes(known));
    let ds = read_ele(&ele(0x0010, 0x0010, "UN", b"Doe^J ")).unwrap();
    assert_eq!(ds.get(Tag(0x10, 0x10)).unwrap().vr, VR::PN);
}

#[test]
fn elements_without_or_with_unknown_vr_are_read() {
    let bytes = cat(&[
        ele(0x0008, 0x0060, "CS", b"CT"),
        head(0x0010, 0x0010, None, 4),
        b"Doe^".to_vec(),
        [&[0x10, 0, 0x20, 0][..], b"??", &[2, 0], b"7 "].concat(),
        cat(&[head(0x0009, 0x1001, Some("ZZ"), 2), b"x ".to_vec()]),
        cat(&[head(0x0010, 0x0040, Some("ZZ"), 2), b"F ".to_vec()]),
    ]);
    let ds = read_ele(&bytes).unwrap();
    assert_eq!(ds.str(Tag(0x10, 0x10)).as_deref(), Some("Doe^"));
    assert_eq!(ds.get(Tag(0x10, 0x20)).unwrap().value, Value::Bytes(b"7 ".to_vec()));
    // Of a public attribute the dictionary tells, as it will of what is written.
    assert_eq!(ds.get(Tag(0x10, 0x40)).unwrap().vr, VR::CS);
    assert_eq!(ds.get(Tag(0x09, 0x1001)).unwrap().vr, VR::UN);
}

#[test]
fn un_of_a_public_attribute_is_little_endian_in_big_endian_too() {
    let un = |group: u16, element: u16, value: &[u8]| {
        let mut out = [group.to_be_bytes(), element.to_be_bytes()].concat();
        out.extend(b"UN\0\0");
        out.extend((value.len() as u32).to_be_bytes());
        out.extend(value);
        out
    };
    let code = cat(&[head(0x0008, 0x0100, None, 4), b"T-01".to_vec()]);
    let bytes = cat(&[
        un(0x0008, 0x0005, b"ISO_IR 192"),
        un(0x0008, 0x0016, b"1.2.840.10008.5.1.4.1.1.2\0"),
        un(0x0008, 0x1140, &cat(&[item(code.len() as u32), code])),
        un(0x0009, 0x1001, &[1, 2]),
        un(0x0028, 0x0010, &[2, 1]),
    ]);
    let parsed = read_dataset(&bytes, EXPLICIT_VR_BIG_ENDIAN, &Limits::default()).unwrap();
    let ds = &parsed.data_set;
    assert_eq!(ds.get(Tag(8, 5)).unwrap().vr, VR::CS);
    assert_eq!(ds.at(&[(SQ, 0)]).unwrap().str(Tag(8, 0x100)).as_deref(), Some("T-01"));
    assert_eq!((ds.u16(Tag(0x28, 0x10)), ds.get(Tag(9, 0x1001)).unwrap().vr), (Some(0x0102), VR::UN));
    assert_eq!(&written_and_read(&parsed, EXPLICIT_VR_BIG_ENDIAN), ds);
}

#[test]
fn a_sequence_in_the_place_of_a_group_length_is_refused() {
    let bytes = cat(&[head(0x0009, 0x0000, Some("SQ"), UNDEFINED), sequence_end()]);
    assert_eq!(fault(read_ele(&bytes)), Fault::UndefinedLength);
}

/// The tree that comes back when this one is written.
fn written_and_read(parsed: &Parsed<'_>, uid: &str) -> DataSet {
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(&parsed.data_set, uid),
        sop_class_uid: "1.2".into(),
        sop_instance_uid: "2.25.1".into(),
    };
    let none: &[u8] = &[];
    let mut out = Vec::new();
    write(&parsed.data_set, &meta, Sources { input: &parsed.body, scratch: &none }, &mut out).unwrap();
    read_part10(&out, &Limits::default()).unwrap().1.data_set
}

#[test]
fn odd_lengths_group_lengths_disorder_and_trailing_zeros_are_tolerated() {
    let bytes = cat(&[
        ele(0x0008, 0x0000, "UL", &[0xFF, 0xFF, 0, 0]),
        ele(0x0010, 0x4000, "LT", b"odd"),
        ele(0x0008, 0x0060, "CS", b"CT"),
        ele(0x0008, 0x0060, "CS", b"CT"),
        vec![0; 6],
    ]);
    let ds = read_ele(&bytes).unwrap();
    assert_eq!(ds.iter().map(|e| e.tag).collect::<Vec<_>>(), [Tag(8, 0x60), Tag(0x10, 0x4000)]);
}

#[test]
fn delimiters_missing_where_only_one_reading_is_left() {
    let uid = ele(0x0008, 0x1155, "UI", b"1.2\0");
    let no_item_end = cat(&[head(0x0008, 0x1140, Some("SQ"), UNDEFINED), item(UNDEFINED), uid.clone(), sequence_end()]);
    assert_eq!(read_ele(&no_item_end).unwrap().items(SQ).len(), 1);
    let superfluous = cat(&[
        head(0x0008, 0x1140, Some("SQ"), 24 + uid.len() as u32),
        item(8 + uid.len() as u32),
        uid.clone(),
        item_end(),
        sequence_end(),
    ]);
    assert_eq!(read_ele(&superfluous).unwrap().items(SQ).len(), 1);
    let pixels = cat(&[head(0x7FE0, 0x0010, Some("OB"), UNDEFINED), item(0), item(2), vec![1, 2]]);
    assert!(read_ele(&pixels).is_ok());
    let no_sequence_end = cat(&[head(0x0008, 0x1140, Some("SQ"), UNDEFINED), item(UNDEFINED), uid, item_end()]);
    assert_eq!(fault(read_ele(&no_sequence_end)), Fault::MissingDelimiter);
}

#[test]
fn what_has_two_readings_is_refused() {
    let twice = cat(&[ele(0x0010, 0x0010, "PN", b"Doe^"), ele(0x0010, 0x0010, "PN", b"Roe^")]);
    assert_eq!(fault(read_ele(&twice)), Fault::Duplicate);
    let uid = ele(0x0008, 0x1155, "UI", b"1.2\0");
    let long_item = cat(&[head(0x0008, 0x1140, Some("SQ"), 8), item(uid.len() as u32), uid.clone()]);
    assert_eq!(fault(read_ele(&long_item)), Fault::Overlong);
    let past_end = cat(&[head(0x0008, 0x1140, Some("SQ"), 4096), item(uid.len() as u32), uid]);
    assert_eq!(fault(read_ele(&past_end)), Fault::Overlong);
    assert_eq!(fault(read_ele(&sequence_end())), Fault::StrayDelimiter);
    assert_eq!(fault(read_ele(&head(0x0008, 0x0060, Some("UT"), UNDEFINED))), Fault::UndefinedLength);
    assert_eq!(fault(read_ele(&[])), Fault::Empty);
}

#[test]
fn claimed_lengths_reserve_nothing() {
    for length in [0xFFFF_FFF0, 0xFFFF_FFFE, 0x7FFF_FFFF, 100] {
        for vr in ["OW", "UT", "UN", "SQ"] {
            let bytes = cat(&[ele(0x0008, 0x0060, "CS", b"CT"), head(0x7FE0, 0x0010, Some(vr), length), vec![0; 50]]);
            assert_eq!(fault(read_ele(&bytes)), Fault::Overlong);
        }
        let in_item = cat(&[head(0x7FE0, 0x0010, Some("OB"), UNDEFINED), item(length), vec![0; 50]]);
        assert_eq!(fault(read_ele(&in_item)), Fault::Overlong);
    }
}

fn nested(levels: usize) -> Vec<u8> {
    let open = cat(&[head(0x0008, 0x1140, Some("SQ"), UNDEFINED), item(UNDEFINED)]);
    let close = cat(&[item_end(), sequence_end()]);
    cat(&[open.repeat(levels), close.repeat(levels)])
}

#[test]
fn nesting_beyond_the_limit_is_refused_without_recursion() {
    assert!(read_ele(&nested(64)).is_ok());
    for levels in [65, 200, 4_000, 20_000] {
        assert_eq!(read_ele(&nested(levels)), Err(ReadError::Limit(Limit::Depth)));
    }
}

#[test]
fn floods_of_elements_and_items_are_refused() {
    let limits = Limits { elements: 10, ..Limits::default() };
    let items = cat(&[head(0x0008, 0x1140, Some("SQ"), UNDEFINED), item(0).repeat(11), sequence_end()]);
    let elements = cat(&(0..11).map(|n| ele(0x0009, 0x1000 + n, "LO", b"")).collect::<Vec<_>>());
    let inline = Limits { inline_total_bytes: 99, ..Limits::default() };
    for bytes in [items, elements] {
        let result = read_dataset(&bytes, EXPLICIT_VR_LITTLE_ENDIAN, &limits);
        assert_eq!(result.map(|p| p.data_set), Err(ReadError::Limit(Limit::Elements)));
    }
    let text = ele(0x0010, 0x4000, "LT", &[b'a'; 100]);
    let result = read_dataset(&text, EXPLICIT_VR_LITTLE_ENDIAN, &inline);
    assert_eq!(result.map(|p| p.data_set), Err(ReadError::Limit(Limit::Inline)));
}

#[test]
fn big_endian_values_and_spans_come_out_little_endian() {
    let be = |g: u16, e: u16, vr: &str, value: &[u8]| {
        let mut out = [g.to_be_bytes(), e.to_be_bytes()].concat();
        out.extend(vr.as_bytes());
        if vr == "OW" {
            out.extend([0, 0]);
            out.extend((value.len() as u32).to_be_bytes());
        } else {
            out.extend((value.len() as u16).to_be_bytes());
        }
        out.extend(value);
        out
    };
    let pixels: Vec<u8> = (0..50_000_u16).flat_map(u16::to_be_bytes).collect();
    let bytes = cat(&[be(8, 0x60, "CS", b"CT"), be(0x28, 0x10, "US", &[1, 2]), be(0x7FE0, 0x10, "OW", &pixels)]);
    for uid in [EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN] {
        let parsed = read_dataset(&bytes, uid, &Limits::default()).unwrap();
        assert_eq!(parsed.data_set.u16(Tag(0x28, 0x10)), Some(0x0102));
        assert!(matches!(parsed.data_set.get(Tag(0x7FE0, 0x10)).unwrap().value, Value::Span { .. }));
        let meta = OutputMeta {
            transfer_syntax_uid: output_transfer_syntax(&parsed.data_set, uid),
            sop_class_uid: "1.2".into(),
            sop_instance_uid: "2.25.1".into(),
        };
        let mut out = Vec::new();
        let none: &[u8] = &[];
        write(&parsed.data_set, &meta, Sources { input: &parsed.body, scratch: &none }, &mut out).unwrap();
        let expected: Vec<u8> = (0..50_000_u16).flat_map(u16::to_le_bytes).collect();
        assert!(out.ends_with(&expected));
    }
}

#[test]
fn deflated_data_sets_inflate_within_bounds() {
    let deflate = |bytes: &[u8]| {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let uid = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let plain = cat(&[ele(8, 0x60, "CS", b"CT"), ele(0x7FE0, 0x10, "OW", &vec![7; 100_000])]);
    let deflated = deflate(&plain);
    let parsed = read_dataset(&deflated, uid, &Limits::default()).unwrap();
    assert_eq!(parsed.data_set, read_ele(&plain).unwrap());
    assert_eq!(parsed.body.len(), plain.len() as u64);
    let tight = Limits { inflated_bytes: 50_000, ..Limits::default() };
    assert!(matches!(read_dataset(&deflated, uid, &tight), Err(ReadError::Limit(Limit::Inflated))));
    assert!(matches!(
        read_dataset(&vec![0xFF; 100], uid, &Limits::default()),
        Err(ReadError::Malformed { what: Fault::Deflate, .. })
    ));
}

#[test]
fn implicit_values_take_their_vr_from_the_dictionary() {
    let imp = |g: u16, e: u16, value: &[u8]| cat(&[head(g, e, None, value.len() as u32), value.to_vec()]);
    let bytes = cat(&[
        imp(8, 0x60, b"CT"),
        imp(9, 0x10, b"ACME"),
        imp(9, 0x1001, b"x "),
        imp(0x28, 0x103, &[1, 0]),
        imp(0x28, 0x106, &[0xFF, 0xFF]),
        cat(&[head(9, 0x1002, None, UNDEFINED), item(UNDEFINED), item_end(), sequence_end()]),
    ]);
    let ds = read_dataset(&bytes, IMPLICIT_VR_LITTLE_ENDIAN, &Limits::default()).unwrap().data_set;
    let vrs: Vec<VR> = ds.iter().map(|e| e.vr).collect();
    assert_eq!(vrs, [VR::CS, VR::LO, VR::UN, VR::SQ, VR::US, VR::SS]);
    assert_eq!(ds.i32(Tag(0x28, 0x106)), Some(-1));
}

#[test]
fn file_meta_may_be_wrong_or_missing() {
    let data = ele(0x0008, 0x0060, "CS", b"CT");
    let ts = ele(2, 0x10, "UI", b"1.2.840.10008.1.2.1\0");
    let wrong = cat(&[vec![b'M'; 128], b"DICM".to_vec(), ele(2, 0, "UL", &[1, 2, 3, 4]), ts.clone(), data.clone()]);
    let no_preamble = cat(&[ts.clone(), data.clone()]);
    let magic_first = cat(&[b"DICM".to_vec(), ts, data.clone()]);
    let bare_implicit = cat(&[head(8, 0x60, None, 2), b"CT".to_vec()]);
    for bytes in [wrong, no_preamble, magic_first, data, bare_implicit] {
        let (_, parsed) = read_part10(&bytes, &Limits::default()).unwrap();
        assert_eq!(parsed.data_set.str(Tag(8, 0x60)).as_deref(), Some("CT"));
    }
}

#[test]
fn a_value_too_long_for_its_vr_goes_out_as_un_and_comes_back() {
    let long = vec![b'1'; 70_000];
    let ds: DataSet = [Element::new(Tag(0x3006, 0x0050), VR::DS, long.clone())].into_iter().collect();
    let meta = OutputMeta {
        transfer_syntax_uid: EXPLICIT_VR_LITTLE_ENDIAN.into(),
        sop_class_uid: "1.2".into(),
        sop_instance_uid: "2.25.1".into(),
    };
    let none: &[u8] = &[];
    let mut out = Vec::new();
    write(&ds, &meta, Sources { input: &none, scratch: &none }, &mut out).unwrap();
    assert_eq!(read_part10(&out, &Limits::default()).unwrap().1.data_set, ds);
    let native = OutputMeta { transfer_syntax_uid: "1.2.840.10008.1.2.4.50".into(), ..meta };
    let pixels: DataSet = [Element::new(Tag(0x7FE0, 0x10), VR::OW, vec![0, 0])].into_iter().collect();
    let result = write(&pixels, &native, Sources { input: &none, scratch: &none }, &mut out);
    assert_eq!(result, Err(WriteError::PixelData));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever bytes change: no panic, and what is read writes and reads back as itself.
    #[test]
    fn mutated_data_sets_read_or_fail_and_round_trip(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = sample();
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        for uid in [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, "1.2.840.10008.1.2.4.50"] {
            let Ok(parsed) = read_dataset(&bytes, uid, &Limits::default()) else { continue };
            let meta = OutputMeta {
                transfer_syntax_uid: output_transfer_syntax(&parsed.data_set, "1.2.840.10008.1.2.4.50"),
                sop_class_uid: "1.2".into(),
                sop_instance_uid: "2.25.1".into(),
            };
            let mut out = Vec::new();
            let none: &[u8] = &[];
            if write(&parsed.data_set, &meta, Sources { input: &parsed.body, scratch: &none }, &mut out).is_ok() {
                prop_assert!(read_part10(&out, &Limits::default()).is_ok());
            }
        }
    }
}
