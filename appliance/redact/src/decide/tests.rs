//! Decisions: what clears, what is redacted, what is held; the scanner's claims never count.

mod ultrasound;

use super::*;
use crate::testing::{Image, text, us};
use dicom_core::{Tag, VR};
use gift_deidentify::dataset::{Element, Origin};

const NATIVE_LE: &str = "1.2.840.10008.1.2.1";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

fn shipped_list() -> NeverBurntIn {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/never-burnt-in.toml");
    NeverBurntIn::parse("never-burnt-in.toml", &std::fs::read_to_string(path).unwrap()).unwrap()
}

fn templates(verified: bool) -> Templates {
    let verified = if verified { "[template.verified]\nby = \"t\"\non = \"2026-01-01\"\nevidence = \"e\"" } else { "" };
    let text = format!(
        "version = 1\n[[template]]\nid = \"acme\"\nsource = \"t\"\nregions = [[0, 0, 10, 5]]\n[template.match]\n\
         manufacturer = \"Acme\"\nmodel = \"Scan 1\"\nrows = 20\ncolumns = 30\n\
         sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\"]\nphotometric-interpretations = [\"RGB\", \"YBR_FULL_422\"]\n\
         transfer-syntaxes = [\"native\", \"{JPEG}\", \"1.2.840.10008.1.2.4.90\"]\n{verified}"
    );
    Templates::parse([("t.toml", text)]).unwrap()
}

fn run(ds: &DataSet, syntax: &str, verified: bool) -> Decision {
    decide(ds, syntax, &templates(verified), &shipped_list())
}

fn held(decision: &Decision) -> &'static str {
    match decision {
        Decision::Hold(hold) => hold.as_str(),
        Decision::Redact(_) => "redact",
        Decision::Clear(_) => "clear",
    }
}

fn ct() -> Image {
    let mut image = Image::of(Photometric::Monochrome2, 20, 30, 1, 16, 16);
    (image.sop_class, image.modality, image.image_type) =
        ("1.2.840.10008.5.1.4.1.1.2", "CT", "ORIGINAL\\PRIMARY\\AXIAL");
    image
}

#[test]
fn ultrasound_needs_a_verified_template() {
    let ds = Image::rgb(20, 30).data_set();
    let Decision::Redact(plan) = run(&ds, NATIVE_LE, true) else { panic!() };
    assert_eq!((plan.template(), plan.method()), (Some("acme"), Method::Native));
    assert_eq!(plan.regions(), [Rect { x0: 0, y0: 0, x1: 10, y1: 5 }]);
    let Decision::Hold(Hold::UnverifiedTemplate { template }) = run(&ds, NATIVE_LE, false) else { panic!() };
    assert_eq!(template, "acme");
    assert_eq!(held(&run(&Image::rgb(21, 30).data_set(), NATIVE_LE, true)), "no-template");
}

#[test]
fn what_the_scanner_claims_changes_nothing() {
    let mut ds = Image::rgb(21, 30).data_set();
    ds.insert(text(tags::BURNED_IN_ANNOTATION, "NO"));
    ds.insert(text(tags::PATIENT_IDENTITY_REMOVED, "YES"));
    ds.insert(text(tags::RECOGNIZABLE_VISUAL_FEATURES, "NO"));
    assert_eq!(held(&run(&ds, NATIVE_LE, true)), "no-template");
}

#[test]
fn never_burnt_in_by_modality_class_and_image_type_only() {
    let Decision::Clear(clearance) = run(&ct().data_set(), NATIVE_LE, true) else { panic!() };
    assert_eq!(clearance.never_burnt_in_rule(), Some("ct-original-primary"));
    assert_eq!((clearance.frames(), clearance.template(), clearance.regions().len()), (1, None, 0));
    for image_type in [
        "DERIVED\\SECONDARY\\SCREEN SAVE",
        "DERIVED\\SECONDARY\\AXIAL",
        "DERIVED\\PRIMARY\\OTHER",
        "DERIVED\\PRIMARY\\MPR",
        "DERIVED\\PRIMARY",
        "DERIVED\\PRIMARY\\AXIAL\\ANNOTATED",
        "ORIGINAL\\SECONDARY\\AXIAL",
        "ORIGINAL",
        "ORIGINAL\\PRIMARY\\OTHER",
        "ORIGINAL\\PRIMARY\\AXIAL\\Screen Save",
        "ORIGINAL\\PRIMARY\\AXIAL\\DOSE_INFO",
        "",
    ] {
        let ds = Image { image_type, ..ct() }.data_set();
        assert_eq!(held(&run(&ds, NATIVE_LE, true)), "no-template", "{image_type}");
    }
    for (image_type, rule) in
        [("ORIGINAL\\PRIMARY", "ct-original-primary"), ("DERIVED\\PRIMARY\\AXIAL", "ct-derived-primary")]
    {
        let Decision::Clear(clearance) = run(&Image { image_type, ..ct() }.data_set(), NATIVE_LE, true) else {
            panic!()
        };
        assert_eq!(clearance.never_burnt_in_rule(), Some(rule));
    }
    for (modality, sop_class) in [("MR", "1.2.840.10008.5.1.4.1.1.4"), ("CR", "1.2.840.10008.5.1.4.1.1.1")] {
        let original = Image { modality, sop_class, image_type: "ORIGINAL\\PRIMARY", ..ct() };
        assert_eq!(held(&run(&original.data_set(), NATIVE_LE, true)), "clear");
        let derived = Image { image_type: "DERIVED\\PRIMARY", ..original };
        assert_eq!(held(&run(&derived.data_set(), NATIVE_LE, true)), "no-template");
    }
    for modality in ["US", "OT", ""] {
        assert_eq!(held(&run(&Image { modality, ..ct() }.data_set(), NATIVE_LE, true)), "no-template");
    }
    let capture = Image { sop_class: "1.2.840.10008.5.1.4.1.1.7", ..ct() };
    assert_eq!(held(&run(&capture.data_set(), NATIVE_LE, true)), "no-template");
    let mut ds = ct().data_set();
    ds.insert(text(tags::BURNED_IN_ANNOTATION, "YES"));
    assert_eq!(held(&run(&ds, NATIVE_LE, true)), "no-template");
    let mut ds = ct().data_set();
    ds.insert(text(tags::CONVERSION_TYPE, "WSD"));
    assert_eq!(held(&run(&ds, NATIVE_LE, true)), "no-template");
    let mut colour = Image::rgb(20, 30);
    (colour.sop_class, colour.modality, colour.image_type) =
        ("1.2.840.10008.5.1.4.1.1.2", "CT", "ORIGINAL\\PRIMARY\\AXIAL");
    assert_eq!(held(&run(&colour.data_set(), NATIVE_LE, true)), "no-template");
}

#[test]
fn unused_bits_and_jpeg_segments_are_stripped_even_where_nothing_is_burnt_in() {
    let image = Image { stored: 12, high: 11, ..ct() };
    let Decision::Redact(plan) = run(&image.data_set(), NATIVE_LE, true) else { panic!() };
    assert_eq!((plan.template(), plan.regions().len(), plan.method()), (None, 0, Method::Native));
    let mut ds = Image { ..ct() }.data_set();
    ds.insert(Element {
        tag: tags::PIXEL_DATA,
        vr: VR::OB,
        value: Value::Fragments { offsets: vec![], fragments: vec![Value::Bytes(vec![0xFF, 0xD8])] },
    });
    let Decision::Redact(plan) = run(&ds, "1.2.840.10008.1.2.4.51", true) else { panic!() };
    assert_eq!((plan.method(), plan.regions().len()), (Method::Jpeg, 0));
    for syntax in ["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.106", "1.2.3"] {
        assert_eq!(held(&run(&ds, syntax, true)), "unsupported-transfer-syntax");
    }
}

#[test]
fn objects_without_pixels() {
    let mut sr = DataSet::new();
    sr.insert(text(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.88.33"));
    assert_eq!(held(&run(&sr, NATIVE_LE, true)), "clear");
    // What is in an encapsulated PDF is for the profile to judge.
    let mut pdf = DataSet::new();
    pdf.insert(text(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.104.1"));
    assert_eq!(held(&run(&pdf, NATIVE_LE, true)), "clear");
    // A voice, raw data, an ultrasound image that has lost its pixels.
    for class in ["1.2.840.10008.5.1.4.1.1.9.4.1", "1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.6.1"] {
        let mut ds = DataSet::new();
        ds.insert(text(tags::SOP_CLASS_UID, class));
        assert_eq!(held(&run(&ds, NATIVE_LE, true)), "unsupported-sop-class");
    }
    let mut with_pixels = Image::rgb(20, 30).data_set();
    with_pixels.insert(text(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.88.33"));
    assert_eq!(held(&run(&with_pixels, NATIVE_LE, true)), "inconsistent");
    let nested = Element::sequence(tags::REFERENCED_IMAGE_SEQUENCE, vec![Image::rgb(1, 2).data_set()]);
    sr.insert(nested);
    assert_eq!(held(&run(&sr, NATIVE_LE, true)), "inconsistent");
    assert_eq!(held(&run(&DataSet::new(), NATIVE_LE, true)), "inconsistent");
    let mut float = DataSet::new();
    float.insert(text(tags::SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.30"));
    float.insert(Element::new(Tag(0x7FE0, 8), VR::OF, vec![0; 4]));
    assert_eq!(held(&run(&float, NATIVE_LE, true)), "unsupported-sop-class");
}

#[test]
fn pixel_data_that_do_not_fit_the_attributes_are_inconsistent() {
    for image in [Image::rgb(20, 30), ct()] {
        let full = image.pixels.len() as u64;
        for length in [0, 1, full - 2, full + 2, 2 * full] {
            let mut ds = image.data_set();
            let value = Value::Span { origin: Origin::Input, offset: 0, length };
            ds.insert(Element { tag: tags::PIXEL_DATA, vr: VR::OW, value });
            assert_eq!(held(&run(&ds, NATIVE_LE, true)), "inconsistent", "{length}");
        }
    }
    let mut more = Image::rgb(20, 30).data_set();
    more.insert(text(tags::NUMBER_OF_FRAMES, "2"));
    assert_eq!(held(&run(&more, NATIVE_LE, true)), "inconsistent");
    // 65535 x 65535 x 2^31 frames of 64 bit overflow nothing.
    let mut huge = ct().data_set();
    for (tag, value) in
        [(tags::ROWS, 65535), (tags::COLUMNS, 65535), (tags::BITS_ALLOCATED, 64), (tags::BITS_STORED, 64)]
    {
        huge.insert(us(tag, &[value]));
    }
    huge.insert(us(tags::HIGH_BIT, &[63]));
    huge.insert(text(tags::NUMBER_OF_FRAMES, "4294967295"));
    assert_eq!(held(&run(&huge, NATIVE_LE, true)), "inconsistent");
    // Encapsulated by its value, native by its transfer syntax, and the other way round.
    let mut ds = Image::rgb(20, 30).data_set();
    assert_eq!(held(&run(&ds, JPEG, true)), "inconsistent");
    ds.insert(Element {
        tag: tags::PIXEL_DATA,
        vr: VR::OB,
        value: Value::Fragments { offsets: vec![], fragments: vec![Value::Bytes(vec![0xFF, 0xD8])] },
    });
    assert_eq!(held(&run(&ds, NATIVE_LE, true)), "inconsistent");
    assert_eq!(held(&run(&ds, JPEG, true)), "redact");
    assert_eq!(held(&run(&ds, "1.2.840.10008.1.2.4.90", true)), "redact");
    assert_eq!(held(&run(&ds, "1.2.840.10008.1.2.4.92", true)), "unsupported-transfer-syntax");
}
