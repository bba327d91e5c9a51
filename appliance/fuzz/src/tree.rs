//! Data sets written, read again and compared, as this crate understands PS3.5 and not as the product's writer does.

use dicom_core::{Tag, VR};
use gift_deidentify::dataset::{
    DataSet, EXPLICIT_VR_LITTLE_ENDIAN, Element, OutputMeta, Source, Sources, Value, WriteError, dictionary_vr,
    is_text, output_transfer_syntax, write,
};

/// SOP Class UID (0008,0016).
pub const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
/// CT Image Storage.
pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// Longest value of a VR with a 16-bit length, bytes; longer ones are written as UN (PS3.5 §6.2.2 note 2).
const MAX_SHORT: u64 = 0xFFFE;

/// Nothing.
pub const NONE: &[u8] = &[];

/// Writes `ds`, which came in `uid`, under file meta information of no meaning.
///
/// # Errors
/// The writer's.
pub fn written(ds: &DataSet, uid: &str, input: &dyn Source) -> Result<Vec<u8>, WriteError> {
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(ds, uid),
        sop_class_uid: CT.into(),
        sop_instance_uid: "2.25.1".into(),
    };
    let mut out = Vec::new();
    let length = write(ds, &meta, Sources { input, scratch: &NONE }, &mut out)?;
    assert_eq!(length, out.len() as u64, "the writer miscounts");
    Ok(out)
}

/// The bytes of a value that is no sequence, wherever they are.
pub fn content(value: &Value, input: &dyn Source) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Span { offset, length, .. } => {
            let mut bytes = vec![0; *length as usize];
            input.read_exact_at(&mut bytes, *offset).expect("a span of its own source");
            bytes
        }
        Value::Sequence(_) | Value::Fragments { .. } => panic!("no bytes"),
    }
}

/// The same, made even as PS3.5 §6.2 has it.
fn padded(element: &Element, input: &dyn Source) -> Vec<u8> {
    let mut bytes = content(&element.value, input);
    if bytes.len() % 2 == 1 {
        bytes.push(if is_text(element.vr) && element.vr != VR::UI { b' ' } else { 0 });
    }
    bytes
}

fn even(value: &Value, input: &dyn Source) -> Vec<u8> {
    let mut bytes = content(value, input);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

/// True for a value that is too long for its VR: it is written as UN, and what a reader makes of that is its own affair.
fn is_overlong(element: &Element) -> bool {
    use VR::*;
    let length = match &element.value {
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::Span { length, .. } => *length,
        Value::Sequence(_) | Value::Fragments { .. } => return false,
    };
    !matches!(element.vr, OB | OD | OF | OL | OV | OW | SV | UC | UN | UR | UT | UV) && length > MAX_SHORT
}

/// True when the tree holds an overlong value that the dictionary calls a sequence: it cannot be written so that it is read again.
pub fn is_unwritable(ds: &DataSet) -> bool {
    ds.walk().any(|e| is_overlong(e) && dictionary_vr(e.tag, false) == Some(VR::SQ))
}

/// Asserts that `second`, read from what was written of `first`, is the same tree.
pub fn assert_same(first: &DataSet, input: &dyn Source, second: &DataSet, output: &dyn Source) {
    assert_eq!(
        first.iter().map(|e| e.tag).collect::<Vec<_>>(),
        second.iter().map(|e| e.tag).collect::<Vec<_>>(),
        "other attributes"
    );
    for (a, b) in first.iter().zip(second) {
        match (&a.value, &b.value) {
            (Value::Sequence(items), Value::Sequence(again)) => {
                assert_eq!((b.vr, items.len()), (VR::SQ, again.len()), "{} has other items", a.tag);
                items.iter().zip(again).for_each(|(x, y)| assert_same(x, input, y, output));
            }
            (Value::Fragments { offsets, fragments }, Value::Fragments { offsets: table, fragments: again }) => {
                assert_eq!(
                    (b.vr, fragments.len(), offsets.len().next_multiple_of(2)),
                    (VR::OB, again.len(), table.len()),
                    "{} has other fragments",
                    a.tag
                );
                assert!(table.starts_with(offsets));
                let same = |(x, y): (&Value, &Value)| even(x, input) == content(y, output);
                assert!(fragments.iter().zip(again).all(same), "{} has other fragments", a.tag);
            }
            (Value::Bytes(_) | Value::Span { .. }, Value::Bytes(_) | Value::Span { .. }) => {
                assert_eq!(padded(a, input), content(&b.value, output), "{} {} has another value", a.tag, a.vr);
                assert!(a.vr == b.vr || is_overlong(a), "{} was {}, is {}", a.tag, a.vr, b.vr);
            }
            _ => panic!("{} is another kind of value", a.tag),
        }
    }
}

/// A file of one text: what a scan makes of it tells whether the text counts as an identifier.
pub fn file_of_text(text: &str) -> Vec<u8> {
    let ds: DataSet = [Element::new(SOP_CLASS_UID, VR::UI, CT), Element::new(Tag(0x0008, 0x1030), VR::LO, text)]
        .into_iter()
        .collect();
    written(&ds, EXPLICIT_VR_LITTLE_ENDIAN, &NONE).expect("a file of one text")
}
