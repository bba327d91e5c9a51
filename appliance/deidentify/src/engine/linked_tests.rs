//! Objects of a linkage domain through the engine: which patients are linked, which never, and what stays with the site.

use dicom_core::VR;

use super::*;
use crate::dataset::EXPLICIT_VR_LITTLE_ENDIAN;
use crate::pseudonym::{Attribute, KeyedPseudonymiser, LinkageKey, PseudonymKey, Scheme};

const NHS: &str = "943 476 5919";
const ISSUER: &str = "NHS";
const OID: &str = "2.16.840.1.113883.2.1.4.1";

fn text(group: u16, element: u16, vr: VR, value: &str) -> Element {
    Element::new(Tag(group, element), vr, value)
}

fn object(id: &str, issuer: &str, more: impl IntoIterator<Item = Element>) -> DataSet {
    let own = [
        text(0x08, 0x16, VR::UI, "1.2.840.10008.5.1.4.1.1.2"),
        text(0x08, 0x18, VR::UI, "1.2.826.0.1.99.3.1"),
        text(0x08, 0x20, VR::DA, "20240311"),
        text(0x10, 0x20, VR::LO, id),
        text(0x10, 0x21, VR::LO, issuer),
        text(0x20, 0x0D, VR::UI, "1.2.826.0.1.99.1"),
        text(0x20, 0x0E, VR::UI, "1.2.826.0.1.99.2"),
    ];
    own.into_iter().chain(more).collect()
}

/// An item of Other Patient IDs Sequence.
fn other(id: &str, issuer: &str, kind: &str) -> DataSet {
    [text(0x10, 0x20, VR::LO, id), text(0x10, 0x21, VR::LO, issuer), text(0x10, 0x22, VR::CS, kind)]
        .into_iter()
        .collect()
}

fn others(items: impl Into<Vec<DataSet>>) -> Element {
    Element::sequence(Tag(0x10, 0x1002), items.into())
}

fn places() -> Vec<Place> {
    let place = |scheme, attribute, types: &[&str]| Place {
        scheme,
        attribute,
        issuers: vec![ISSUER.into(), OID.into()],
        types: types.iter().map(|t| (*t).to_owned()).collect(),
    };
    vec![
        place(Scheme::Nhs, Attribute::PatientId, &[]),
        place(Scheme::Nhs, Attribute::OtherPatientIds, &["TEXT"]),
        place(Scheme::Belgium, Attribute::OtherPatientIds, &[]),
    ]
}

/// What became of an object at the site whose key is of `secret`.
fn run(ds: DataSet, secret: u8, places: &[Place]) -> Result<Profiled, DeidError> {
    let identifiers = Identifiers::collect(&ds);
    let profile = crate::profile::tests::default();
    let (site, linkage) = (PseudonymKey::new(&[secret; 32], 1), LinkageKey::new(&[9; 32], 1));
    let mut who = KeyedPseudonymiser::linked(site, linkage);
    deidentify_linked(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, places, &mut who)
}

fn subject(ds: DataSet, secret: u8) -> String {
    run(ds, secret, &places()).unwrap().subject().to_owned()
}

/// True when the object has the same subject at two sites.
fn links(ds: DataSet) -> bool {
    subject(ds.clone(), 1) == subject(ds, 2)
}

#[test]
fn two_hospitals_get_the_same_subject_and_shift_and_different_uids() {
    let at_a = run(object(NHS, ISSUER, []), 1, &places()).unwrap();
    let at_b = run(object("RQ780833", "TRUST", [others([other("9434765919", ISSUER, "TEXT")])]), 2, &places()).unwrap();
    assert_eq!(at_a.subject(), at_b.subject());
    let date = |p: &Profiled| p.data_set().str(Tag(0x08, 0x20)).unwrap();
    assert_eq!(date(&at_a), date(&at_b));
    assert_ne!(date(&at_a), "20240311");
    assert_ne!(at_a.sop_instance_uid(), at_b.sop_instance_uid());
    assert_ne!(at_a.study_instance_uid(), at_b.study_instance_uid());
    // Without places, as before.
    let alone = run(object(NHS, ISSUER, []), 1, &[]).unwrap();
    assert_ne!(alone.subject(), at_a.subject());
    assert_eq!(alone.study_instance_uid(), at_a.study_instance_uid(), "referential integrity within a site");
}

#[test]
fn a_number_links_only_where_and_by_whom_the_settings_say() {
    let qualified = |oid: &str| {
        let item: DataSet = [text(0x40, 0x32, VR::UT, oid)].into_iter().collect();
        Element::sequence(Tag(0x10, 0x24), vec![item])
    };
    assert!(links(object(NHS, ISSUER, [])));
    assert!(links(object(NHS, "LOCAL NAME", [qualified(OID)])));
    assert!(links(object("RQ1", "TRUST", [others([other("X1", "LAB", "TEXT"), other(NHS, ISSUER, "TEXT")])])));
    assert!(links(object("RQ1", "TRUST", [others([other("85073003328", ISSUER, "RFID")])])));
    assert!(links(object("", "", [others([other(NHS, ISSUER, "TEXT")])])), "the number is enough");
    for (why, ds) in [
        ("issuer", object(NHS, "TRUST", [])),
        ("no issuer", object(NHS, "", [])),
        ("other OID", object(NHS, "TRUST", [qualified("1.2.3")])),
        ("type", object("RQ1", "TRUST", [others([other(NHS, ISSUER, "BARCODE")])])),
        ("issuer of item", object("RQ1", ISSUER, [others([other(NHS, "TRUST", "TEXT")])])),
        ("scheme", object("85073003328", ISSUER, [])),
        ("check digit", object("9434765918", ISSUER, [])),
        ("all equal", object("5555555555", ISSUER, [])),
        ("test range", object("9990000018", ISSUER, [])),
        ("two values", object("9434765919\\1", ISSUER, [])),
    ] {
        assert!(!links(ds), "{why}");
    }
}

#[test]
fn two_different_numbers_of_a_scheme_are_held_and_the_same_twice_is_one() {
    let with = |id: &str| object(NHS, ISSUER, [others([other(id, ISSUER, "TEXT")])]);
    assert!(links(with("9434765919")));
    assert!(matches!(run(with("4010232137"), 1, &places()), Err(DeidError::Inconsistent)));
    // Another country's number is no contradiction; the first place counts.
    assert_eq!(subject(with("85073003328"), 1), subject(object(NHS, ISSUER, []), 1));
}
