use std::io::Write as _;

use super::*;
use crate::object::samples::{SUBJECT, Sample, manifest, released};

fn checker() -> Checker {
    let settings =
        crate::settings::parse(Path::new("hub.toml"), include_str!("../../../config/samples/hub.toml")).unwrap();
    Checker::new(&settings).unwrap()
}

fn check_bytes(bytes: &[u8]) -> Result<Passed, Vec<Violation>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    checker().check(file.path(), &manifest(1, bytes)).unwrap()
}

fn words(sample: Sample) -> String {
    in_words(&check_bytes(&sample.sorted().file()).unwrap_err())
}

#[test]
fn a_released_object_passes_and_is_indexed() {
    let passed = check_bytes(&released(1).file()).unwrap();
    assert_eq!((passed.index.modality.as_str(), passed.index.study_date.as_str()), ("CT", "20240102"));
    assert!(passed.index.instance.contains("\"00280010\":{\"vr\":\"US\",\"Value\":[8]}"));
}

#[test]
fn each_rule_is_held() {
    let r = || released(1);
    let item = |tag, vr, value: &[u8]| Sample::data_set().element(tag, vr, value);
    let cases: Vec<(Sample, &str)> = vec![
        (r().element((0x0012, 0x0062), "CS", b"NO"), "identity-removed"),
        (r().without((0x0012, 0x0062)), "identity-removed"),
        (r().without((0x0012, 0x0063)), "method"),
        (r().element((0x0010, 0x1000), "LO", b"4857773456"), "forbidden (0010,1000)"),
        (r().element((0x0010, 0x2154), "SH", b"x"), "forbidden (0010,2154)"),
        (r().element((0x0009, 0x0010), "LO", b"ACME"), "private (0009,0010)"),
        (r().element((0x6000, 0x3000), "OW", &[0; 8]), "graphics (6000,3000)"),
        (r().element((0x5002, 0x0005), "US", &[0, 0]), "graphics (5002,0005)"),
        (r().element((0x0020, 0x0052), "UI", b"1.2.826.0.1.3"), "uid (0020,0052)"),
        (r().element((0x0008, 0x0018), "UI", b"1.2.826.0.1.3"), "uid (0008,0018); manifest (0008,0018)"),
        (r().element((0x0020, 0x000E), "UI", b"2.25.77"), "manifest (0020,000E)"),
        (r().element((0x0010, 0x0020), "LO", b"HOSP-1"), "subject (0010,0020)"),
        (r().element((0x0010, 0x0020), "LO", b""), "subject (0010,0020)"),
        (r().element((0x0010, 0x0010), "PN", b"Doe^Jane"), "subject (0010,0010)"),
        (r().element((0x0010, 0x0010), "PN", &SUBJECT.as_bytes()[..16]), "subject (0010,0010)"),
        (r().element((0x0010, 0x0030), "DA", b"19800101"), "value (0010,0030)"),
        (r().element((0x0008, 0x0050), "SH", b"ACC1"), "value (0008,0050)"),
        (r().element((0x0008, 0x1070), "PN", b"Doe^Jane"), "value (0008,1070)"),
        (r().element((0x0018, 0x1000), "LO", b"SN 4711"), "value (0018,1000)"),
        (r().element((0x0018, 0x9999), "LO", b"x"), "unknown (0018,9999)"),
        (r().element((0x0008, 0x010C), "UI", b"1.2.826.0.1"), "uid (0008,010C)"),
        (r().sequence((0x0040, 0xA088), &[item((0x0008, 0x0100), "SH", b"1")]), "value (0040,A088)"),
        (r().sequence((0x0040, 0xA730), &[item((0x0040, 0xA123), "PN", b"Doe^Jane")]), "value (0040,A123)"),
        (r().meta((0x0002, 0x0016), "AE", b"SCANNER"), "file-meta (0002,0016)"),
        (r().meta((0x0002, 0x0003), "UI", b"1.2.3"), "manifest (0002,0003)"),
        (r().sequence((0x0040, 0x0275), &[item((0x0009, 0x0010), "LO", b"A")]), "private (0009,0010)"),
        (r().sequence((0x0008, 0x1140), &[item((0x0008, 0x1155), "UI", b"1.2.3")]), "uid (0008,1155)"),
        (r().sequence((0x0040, 0x0440), &[item((0x0010, 0x1000), "LO", b"x")]), "forbidden (0010,1000)"),
    ];
    for (sample, expected) in cases {
        let got = words(sample);
        assert!(got.contains(expected), "{got} does not hold {expected}");
    }
    // What the table removes and an IOD wants (Type 2) is there without a value, and no violation.
    assert!(check_bytes(&r().element((0x0010, 0x1000), "LO", b"").sorted().file()).is_ok());
}

#[test]
fn a_poisoned_preamble_an_unknown_profile_and_foreign_bytes_are_violations() {
    let mut bytes = released(1).file();
    bytes[..2].copy_from_slice(b"MZ");
    assert_eq!(check_bytes(&bytes).unwrap_err(), [Violation::of(Rule::Preamble)]);

    assert_eq!(in_words(&check_bytes(b"%PDF-1.7").unwrap_err()), "form: not DICOM");

    let bytes = released(1).file();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut other = manifest(1, &bytes);
    other.certificate.profile = "home-made".to_owned();
    assert_eq!(checker().check(file.path(), &other).unwrap().unwrap_err(), [Violation::of(Rule::Profile)]);
}

#[test]
fn no_value_of_the_object_stands_in_the_words() {
    let name = "Doe^Jane";
    let sample = released(1)
        .element((0x0010, 0x0010), "PN", name.as_bytes())
        .element((0x0010, 0x1000), "LO", name.as_bytes())
        .meta((0x0002, 0x0016), "AE", name.as_bytes());
    assert!(!words(sample).contains("Doe"));
}

#[test]
fn what_the_profile_keeps_may_stay() {
    let sample = released(1)
        .element((0x0010, 0x0040), "CS", b"F")
        .element((0x0008, 0x103E), "LO", b"AXIAL")
        .element((0x0020, 0x0052), "UI", b"1.2.840.10008.1.4.1.1")
        .element((0x0008, 0x0050), "SH", b"  ")
        .element((0x0008, 0x1010), "SH", b"0123456789abcdef")
        .element((0x0008, 0x1070), "PN", b"REMOVED")
        .element((0x0008, 0x010C), "UI", b"2.16.840.1.113883.6.96")
        .sequence((0x0040, 0xA088), &[])
        .sequence(
            (0x0040, 0xA730),
            &[Sample::data_set().element((0x0040, 0xA123), "PN", b"REMOVED").element(
                (0x0040, 0xA160),
                "UT",
                b"REMOVED",
            )],
        )
        .sorted();
    assert!(check_bytes(&sample.file()).is_ok());
}

#[test]
fn safe_private_attributes_pass_only_under_their_option_and_creator() {
    let text = include_str!("../../../config/samples/hub.toml").replacen(
        "\"clean-pixel-data\",",
        "\"clean-pixel-data\", \"retain-safe-private\",",
        1,
    );
    let checker = Checker::new(&crate::settings::parse(Path::new("hub.toml"), &text).unwrap()).unwrap();
    let with_creator = |creator: &[u8]| {
        let bytes = released(1)
            .element((0x7053, 0x0010), "LO", creator)
            .element((0x7053, 0x1009), "DS", b"1.5")
            .sorted()
            .file();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        checker.check(file.path(), &manifest(1, &bytes)).unwrap()
    };
    assert!(with_creator(b"Philips PET Private Group").is_ok());
    assert_eq!(in_words(&with_creator(b"Another").unwrap_err()), "private (7053,1009)");
}
