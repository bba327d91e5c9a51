//! Objects for the tests of the tool.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part")]

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{
    DataSet, Element, Limits, OutputMeta, Sources, Value, output_transfer_syntax, read_part10, write,
};
use gift_redact::{Decision, Luma, NeverBurntIn, RedactError, Templates, apply, decide};
use gift_template::policy::Policy;
use std::path::{Path, PathBuf};

/// Explicit VR Little Endian.
pub(crate) const NATIVE: &str = "1.2.840.10008.1.2.1";
/// Ultrasound Image Storage.
pub(crate) const ULTRASOUND: &str = "1.2.840.10008.5.1.4.1.1.6.1";

/// The repository's policy.
pub(crate) fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// The same, read.
pub(crate) fn policy() -> Policy {
    Policy::load(&config()).unwrap()
}

fn text(tag: Tag, vr: VR, value: &str) -> Element {
    Element::new(tag, vr, value)
}

/// A grey image of 8 bits.
pub(crate) fn grey(make: &str, model: &str, (columns, rows): (u16, u16), frames: &[Vec<u8>]) -> DataSet {
    let mut ds: DataSet = [
        text(tags::SOP_CLASS_UID, VR::UI, if frames.len() > 1 { "1.2.840.10008.5.1.4.1.1.3.1" } else { ULTRASOUND }),
        text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
        text(tags::MODALITY, VR::CS, "US"),
        text(tags::MANUFACTURER, VR::LO, make),
        text(tags::MANUFACTURER_MODEL_NAME, VR::LO, model),
        text(tags::PATIENT_NAME, VR::PN, "PHANTOM^ONE"),
        text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
        text(tags::NUMBER_OF_FRAMES, VR::IS, &frames.len().to_string()),
    ]
    .into_iter()
    .collect();
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 8),
        (tags::BITS_STORED, 8),
        (tags::HIGH_BIT, 7),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        ds.put_u16(tag, value);
    }
    ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OB, value: Value::Bytes(frames.concat()) });
    ds
}

/// The object as a file's bytes.
pub(crate) fn part10(ds: &DataSet, transfer_syntax: &str, input: &[u8], scratch: &Vec<u8>) -> Vec<u8> {
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(ds, transfer_syntax),
        sop_class_uid: ds.str(tags::SOP_CLASS_UID).unwrap(),
        sop_instance_uid: "2.25.1".to_owned(),
    };
    let mut out = Vec::new();
    write(ds, &meta, Sources { input: &input, scratch }, &mut out).unwrap();
    out
}

/// What a box that has these (verified) templates makes of an object: the redacted object as bytes.
pub(crate) fn redacted(bytes: &[u8], templates: &str) -> Result<Vec<u8>, RedactError> {
    let templates = Templates::parse([("test", templates)]).unwrap();
    let (meta, parsed) = read_part10(&bytes, &Limits::default()).unwrap();
    let mut ds = parsed.data_set;
    let Decision::Redact(plan) = decide(&ds, &meta.transfer_syntax_uid, &templates, &NeverBurntIn::default()) else {
        panic!("not to be redacted")
    };
    let mut scratch = Vec::new();
    drop(apply(&plan, &mut ds, &parsed.body, &mut scratch)?);
    let meta = OutputMeta {
        transfer_syntax_uid: output_transfer_syntax(&ds, &meta.transfer_syntax_uid),
        sop_class_uid: ds.str(tags::SOP_CLASS_UID).unwrap(),
        sop_instance_uid: "2.25.1".to_owned(),
    };
    let mut out = Vec::new();
    write(&ds, &meta, Sources { input: &parsed.body, scratch: &scratch }, &mut out).unwrap();
    Ok(out)
}

/// Luma, 0–255, of a frame of an object.
pub(crate) fn luma(bytes: &[u8], frame: u32) -> Vec<u16> {
    let (meta, parsed) = read_part10(&bytes, &Limits::default()).unwrap();
    let mut luma = Luma::of(&parsed.data_set, &meta.transfer_syntax_uid, &parsed.body).unwrap();
    luma.frame(frame).unwrap().into_iter().map(|v| (v + 128) / 256).collect()
}
