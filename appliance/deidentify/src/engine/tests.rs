//! Whole objects through the engine: what must go is gone at every depth, what must stay stays, and pseudonyms agree.

use std::collections::BTreeSet;

use dicom_core::{Tag, VR};
use proptest::prelude::*;

use super::*;
use crate::dataset::{EXPLICIT_VR_LITTLE_ENDIAN, Value};
use crate::identifiers::Kept;
use crate::profile::tables::tests::tables;
use crate::profile::tests::{BASIC, profile_with};
use crate::pseudonym::{Answer, Ask, KeyedPseudonymiser, PseudonymKey};

mod bounds;
mod clean;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const SR: &str = "1.2.840.10008.5.1.4.1.1.88.33";

fn text(group: u16, element: u16, vr: VR, value: &str) -> Element {
    Element::new(Tag(group, element), vr, value)
}

fn set(elements: impl IntoIterator<Item = Element>) -> DataSet {
    elements.into_iter().collect()
}

/// The least an object needs, and then `more`.
fn object(more: impl IntoIterator<Item = Element>) -> DataSet {
    let mut ds = set([
        text(0x08, 0x16, VR::UI, CT),
        text(0x08, 0x18, VR::UI, "1.2.826.0.1.99.3.1"),
        text(0x08, 0x60, VR::CS, "CT"),
        text(0x10, 0x10, VR::PN, "Monplidra^Zora"),
        text(0x10, 0x20, VR::LO, "RQ780833"),
        text(0x10, 0x30, VR::DA, "19571109"),
        text(0x20, 0x0D, VR::UI, "1.2.826.0.1.99.1"),
        text(0x20, 0x0E, VR::UI, "1.2.826.0.1.99.2"),
    ]);
    more.into_iter().for_each(|e| drop(ds.insert(e)));
    ds
}

fn who(secret: u8) -> KeyedPseudonymiser {
    KeyedPseudonymiser::new(PseudonymKey::new(&[secret; 32], 1))
}

fn shipped() -> Profile {
    crate::profile::tests::default()
}

fn run(ds: DataSet, profile: &Profile) -> Result<Profiled, DeidError> {
    let identifiers = Identifiers::collect(&ds);
    deidentify(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, profile, &mut who(1))
}

fn done(ds: DataSet, profile: &Profile) -> DataSet {
    run(ds, profile).unwrap().data_set().clone()
}

fn bytes_of(profiled: &Profiled) -> Vec<u8> {
    let none: &[u8] = &[];
    let mut out = Vec::new();
    profiled.write(Sources { input: &none, scratch: &none }, &mut out).unwrap();
    out
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    let lower = haystack.to_ascii_lowercase();
    memchr::memmem::find(&lower, needle.to_ascii_lowercase().as_bytes()).is_some()
}

#[test]
fn the_pseudonym_takes_the_place_of_the_patient_and_the_marks_are_set() {
    let profiled = run(object([]), &shipped()).unwrap();
    let ds = profiled.data_set();
    assert_eq!(profiled.subject().len(), 32);
    for tag in [PATIENT_ID, PATIENT_NAME] {
        assert_eq!(ds.str(tag).as_deref(), Some(profiled.subject()));
    }
    assert_eq!(ds.str(Tag(0x12, 0x62)).as_deref(), Some("YES"));
    assert_eq!(ds.str(Tag(0x28, 0x303)).as_deref(), Some("MODIFIED"));
    let codes: Vec<String> = ds.items(Tag(0x12, 0x64)).iter().filter_map(|i| i.str(Tag(8, 0x100))).collect();
    assert_eq!(codes, ["113100", "113101", "113105", "113107", "113108"]);
    assert!(ds.get(Tag(0x10, 0x30)).unwrap().value.is_empty());
    assert!(ds.get(Tag(0x08, 0x50)).unwrap().value.is_empty(), "Type 2 attributes are there");
    assert_eq!(profiled.profile(), "gift-default-1");
}

#[test]
fn what_cannot_be_made_safe_is_an_error() {
    let profile = shipped();
    let error = |more: Element| run(object([more]), &profile).map(drop);
    assert_eq!(error(text(0x10, 0x20, VR::LO, "  ")), Err(DeidError::NoPatientId));
    assert_eq!(error(text(0x08, 0x16, VR::UI, "1.2.840.10008.5.1.4.1.1.66")), Err(DeidError::UnsupportedSopClass));
    assert_eq!(error(text(0x08, 0x16, VR::UI, "1.2.840.10008.5.1.4.1.1.104.1")), Err(DeidError::UnsupportedSopClass));
    assert_eq!(error(text(0x08, 0x16, VR::UI, "1.3.12.2.1107.5.9.1")), Err(DeidError::UnsupportedSopClass));
    assert_eq!(error(text(0x08, 0x16, VR::UI, "1.2.840.10008.5.1.4.1.1.77.1.4")), Err(DeidError::RecognizableFeatures));
    assert_eq!(error(text(0x20, 0x0D, VR::UI, "")), Err(DeidError::Inconsistent));
    assert_eq!(error(text(0x10, 0x20, VR::LO, &"1".repeat(1_000))), Err(DeidError::Inconsistent));
    assert_eq!(error(text(0x20, 0x0D, VR::UI, &"1".repeat(1_000))), Err(DeidError::Inconsistent));
    assert_eq!(error(text(0x20, 0x0D, VR::UI, "1.2\\1.3")), Err(DeidError::Inconsistent));
}

#[test]
fn studies_without_patient_id_can_be_subjects_of_their_own() {
    let profile =
        Profile::from_toml(&BASIC.replace("missing = \"hold\"", "missing = \"study\""), &tables(), &|_| None).unwrap();
    let subject = |study: &str| {
        let ds = object([text(0x10, 0x20, VR::LO, ""), text(0x20, 0x0D, VR::UI, study)]);
        run(ds, &profile).unwrap().subject().to_owned()
    };
    assert_eq!(subject("1.2.3"), subject("1.2.3"));
    assert_ne!(subject("1.2.3"), subject("1.2.4"));
}

#[test]
fn all_questions_are_put_at_once_and_a_short_answer_is_refused() {
    struct Counting(KeyedPseudonymiser, u32, bool);
    impl Pseudonymise for Counting {
        fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
            self.1 += 1;
            let mut answers = self.0.answer(asks)?;
            if self.2 {
                answers.pop();
            }
            Ok(answers)
        }
    }
    let ds = || object([Element::sequence(Tag(8, 0x1140), vec![set([text(8, 0x1155, VR::UI, "1.2.826.0.9")])])]);
    let ids = Identifiers::collect(&ds());
    for (short, expected) in [(false, true), (true, false)] {
        let mut counting = Counting(who(1), 0, short);
        let result = deidentify(ds(), EXPLICIT_VR_LITTLE_ENDIAN, &ids, &shipped(), &mut counting);
        assert_eq!((counting.1, result.is_ok()), (1, expected));
    }
}

#[test]
fn uids_stay_consistent_between_objects_references_and_sequences() {
    let profile = shipped();
    let image = done(object([text(0x20, 0x52, VR::UI, "1.2.826.0.1.99.4")]), &profile);
    let reference = set([
        text(8, 0x1150, VR::UI, CT),
        text(8, 0x1155, VR::UI, "1.2.826.0.1.99.3.1"),
        text(0x20, 0x52, VR::UI, "1.2.826.0.1.99.4"),
    ]);
    let other = object([
        text(8, 0x18, VR::UI, "1.2.826.0.1.99.3.2"),
        Element::sequence(Tag(8, 0x1140), vec![reference.clone()]),
        Element::sequence(Tag(8, 0x2112), vec![set([Element::sequence(Tag(8, 0x1140), vec![reference])])]),
    ]);
    let other = done(other, &profile);
    assert_ne!(image.str(SOP_INSTANCE_UID), other.str(SOP_INSTANCE_UID));
    assert_eq!(image.str(STUDY_INSTANCE_UID), other.str(STUDY_INSTANCE_UID));
    for path in [vec![(Tag(8, 0x1140), 0)], vec![(Tag(8, 0x2112), 0), (Tag(8, 0x1140), 0)]] {
        let item = other.at(&path).unwrap();
        assert_eq!(item.str(Tag(8, 0x1155)), image.str(SOP_INSTANCE_UID));
        assert_eq!(item.str(Tag(0x20, 0x52)), image.str(Tag(0x20, 0x52)));
        assert_eq!(item.str(Tag(8, 0x1150)).as_deref(), Some(CT), "SOP classes are not instances");
    }
}

#[test]
fn dates_move_by_one_shift_and_keep_intervals_times_and_offsets() {
    let profile = shipped();
    let first = done(object([text(8, 0x20, VR::DA, "20240226"), text(8, 0x30, VR::TM, "101112.5")]), &profile);
    let second = object([
        text(8, 0x20, VR::DA, "20240305"),
        text(8, 0x2A, VR::DT, "20240305235959.1+0100"),
        text(8, 0x201, VR::SH, "+0100"),
    ]);
    let second = done(second, &profile);
    let day = |ds: &DataSet, tag| crate::date::day_of(&ds.str(tag).unwrap()).unwrap();
    assert_eq!(day(&second, Tag(8, 0x20)) - day(&first, Tag(8, 0x20)), chrono::TimeDelta::days(8));
    assert_eq!(day(&second, Tag(8, 0x2A)), day(&second, Tag(8, 0x20)));
    assert!(second.str(Tag(8, 0x2A)).unwrap().ends_with("235959.1+0100"));
    assert_eq!(first.str(Tag(8, 0x30)).as_deref(), Some("101112.5"));
    assert_ne!(first.str(Tag(8, 0x20)).as_deref(), Some("20240226"));
    assert_eq!(second.str(Tag(8, 0x201)).as_deref(), Some("+0100"));
    // What is no date, and the birth date under another name, falls to the Basic Profile.
    let odd = done(object([text(8, 0x20, VR::DA, "Zora"), text(8, 0x22, VR::DA, "19571109")]), &profile);
    assert!(odd.get(Tag(8, 0x20)).unwrap().value.is_empty() && odd.get(Tag(8, 0x22)).unwrap().value.is_empty());
    let full = profile_with(&["retain-longitudinal-full-dates"]);
    let kept = done(object([text(8, 0x20, VR::DA, "20240226"), text(8, 0x22, VR::DA, "19571109")]), &full);
    assert_eq!(kept.str(Tag(8, 0x20)).as_deref(), Some("20240226"));
    assert!(kept.get(Tag(8, 0x22)).unwrap().value.is_empty());
}

#[test]
fn descriptions_are_kept_when_clean_and_cut_when_not() {
    let profile = shipped();
    let of = |description: &str| done(object([text(8, 0x1030, VR::LO, description)]), &profile).str(Tag(8, 0x1030));
    assert_eq!(of("Obstetric 20 weeks").as_deref(), Some("Obstetric 20 weeks"));
    assert_eq!(of("CT Abdomen MONPLIDRA, Zora").as_deref(), Some("CT Abdomen"));
    assert_eq!(of("Monplidra"), None, "nothing left: removed");
    let narrative = object([text(0x10, 0x4000, VR::LT, "Lives next to the pub"), text(8, 0x2111, VR::ST, "resampled")]);
    let narrative = done(narrative, &profile);
    assert!(!narrative.contains(Tag(0x10, 0x4000)));
    assert_eq!(narrative.str(Tag(8, 0x2111)).as_deref(), Some("resampled"));
    let basic = done(object([text(8, 0x1030, VR::LO, "Head")]), &profile_with(&[]));
    assert!(!basic.contains(Tag(8, 0x1030)));
}

#[test]
fn text_beyond_ascii_becomes_utf8_and_a_character_set_that_is_text_goes() {
    let profile = shipped();
    let mut greek = object([text(8, 5, VR::CS, "ISO_IR 126")]);
    greek.insert(Element::new(Tag(8, 0x1030), VR::LO, vec![0xCA, 0xE5, 0xF6, 0xE1, 0xEB, 0xDE]));
    let greek = done(greek, &profile);
    assert_eq!(greek.str(Tag(8, 0x1030)).as_deref(), Some("Κεφαλή"));
    assert_eq!(greek.str(SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
    let nested = object([Element::sequence(
        Tag(8, 0x1032),
        vec![set([text(8, 5, VR::CS, "ISO_IR 100"), Element::new(Tag(8, 0x104), VR::LO, vec![b'a', 0xE9])])],
    )]);
    let nested = done(nested, &profile);
    let item = nested.at(&[(Tag(8, 0x1032), 0)]).unwrap();
    assert!(!item.contains(SPECIFIC_CHARACTER_SET));
    assert_eq!(item.get(Tag(8, 0x104)).unwrap().value, Value::Bytes("aé".into()));
    assert_eq!(nested.str(SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
    assert!(!done(object([text(8, 5, VR::CS, "ZORA")]), &profile).contains(SPECIFIC_CHARACTER_SET));
    assert_eq!(
        done(object([text(8, 5, VR::CS, "ISO_IR 100")]), &profile).str(SPECIFIC_CHARACTER_SET).as_deref(),
        Some("ISO_IR 100")
    );
}

#[test]
fn free_text_in_the_place_of_a_number_a_code_or_an_age_goes() {
    let profile = shipped();
    let ds = done(
        object([
            text(0x10, 0x1010, VR::AS, "Zora"),
            text(0x18, 0x50, VR::DS, "3 mm Zora"),
            text(0x20, 0x13, VR::IS, "7"),
            text(0x18, 0x15, VR::CS, "HEAD ZORA"),
            text(0x08, 0x08, VR::CS, "DERIVED\\PRIMARY"),
        ]),
        &profile,
    );
    assert!(ds.get(Tag(0x10, 0x1010)).unwrap().value.is_empty() && ds.get(Tag(0x18, 0x50)).unwrap().value.is_empty());
    assert_eq!(ds.int(Tag(0x20, 0x13)), Some(7));
    assert_eq!(ds.str(Tag(0x18, 0x15)).as_deref(), Some("HEAD"));
}

fn content_item(value_type: &str, code: &str, value: Element) -> DataSet {
    let name = set([text(8, 0x100, VR::SH, code), text(8, 0x102, VR::SH, "DCM"), text(8, 0x104, VR::LO, "Concept")]);
    set([text(0x40, 0xA040, VR::CS, value_type), Element::sequence(Tag(0x40, 0xA043), vec![name]), value])
}

fn report() -> DataSet {
    let items = vec![
        content_item("TEXT", "111999", text(0x40, 0xA160, VR::UT, "Finding in Zora")),
        content_item("TEXT", "121106", text(0x40, 0xA160, VR::UT, "Comment of the neighbour")),
        content_item("PNAME", "121008", text(0x40, 0xA123, VR::PN, "Grumble^V")),
        content_item("NUM", "121033", text(0x40, 0xA30A, VR::DS, "54")),
        content_item("NUM", "11727-5", text(0x40, 0xA30A, VR::DS, "350")),
        content_item("UIDREF", "121018", text(0x40, 0xA124, VR::UI, "1.2.826.0.1.99.1")),
        content_item("DATE", "121031", text(0x40, 0xA121, VR::DA, "19571109")),
    ];
    object([text(8, 0x16, VR::UI, SR), Element::sequence(Tag(0x40, 0xA730), items)])
}

#[test]
fn content_items_go_by_their_table() {
    let texts = |ds: &DataSet| -> Vec<String> {
        let items = ds.items(Tag(0x40, 0xA730)).iter();
        items.filter_map(|i| [0xA160, 0xA123, 0xA30A].iter().find_map(|e| i.str(Tag(0x40, *e)))).collect()
    };
    let mut with_step = report();
    with_step.insert(Element::sequence(PERFORMED_STEP, vec![set([text(8, 0x1155, VR::UI, "1.2.826.0.7")])]));
    assert_eq!(
        done(with_step, &profile_with(&[])).get(PERFORMED_STEP),
        Some(&Element::sequence(PERFORMED_STEP, vec![]))
    );
    // Without Clean Structured Content: free text is a dummy, what the table removes goes, measurements stay.
    let basic = run(report(), &profile_with(&[])).unwrap();
    assert_eq!(texts(basic.data_set()), ["REMOVED", "REMOVED", "350"]);
    // With it: text no row names is cleaned and kept, Comment stays only with Clean Descriptors.
    let cleaned = run(report(), &profile_with(&["clean-structured-content"])).unwrap();
    assert_eq!(texts(cleaned.data_set()), ["Finding in", "REMOVED", "350"]);
    let both = run(report(), &profile_with(&["clean-structured-content", "clean-descriptors"])).unwrap();
    assert_eq!(texts(both.data_set()), ["Finding in", "Comment of the neighbour", "REMOVED", "350"]);
    let age = run(report(), &profile_with(&["retain-patient-characteristics"])).unwrap();
    assert_eq!(texts(age.data_set()), ["REMOVED", "REMOVED", "54", "350"]);
    for profiled in [basic, cleaned, both, age] {
        let bytes = bytes_of(&profiled);
        for secret in ["Zora", "Grumble", "19571109", "1.2.826.0.1.99.1"] {
            assert!(!holds(&bytes, secret), "{secret}");
        }
    }
}

#[test]
fn dummy_sequences_keep_their_shape_and_none_of_their_words() {
    let code =
        set([text(8, 0x100, VR::SH, "G77"), text(8, 0x102, VR::SH, "LOCAL"), text(8, 0x104, VR::LO, "Grumble, V")]);
    let observer = set([
        text(0x40, 0xA027, VR::LO, "Drawynthwaite"),
        text(0x40, 0xA075, VR::PN, "Grumble^V"),
        Element::sequence(Tag(0x40, 0x1101), vec![code]),
    ]);
    let ds = object([text(8, 0x16, VR::UI, SR), Element::sequence(Tag(0x40, 0xA073), vec![observer])]);
    let profiled = run(ds, &profile_with(&[])).unwrap();
    let item = profiled.data_set().at(&[(Tag(0x40, 0xA073), 0)]).unwrap();
    assert_eq!(item.str(Tag(0x40, 0xA075)).as_deref(), Some("REMOVED"));
    assert_eq!(item.at(&[(Tag(0x40, 0x1101), 0)]).unwrap().str(Tag(8, 0x102)).as_deref(), Some("99GIFT"));
    let bytes = bytes_of(&profiled);
    assert!(!["Grumble", "G77", "Drawyn", "LOCAL"].iter().any(|s| holds(&bytes, s)));
}

#[test]
fn safe_private_attributes_stay_by_creator_only() {
    let private = || {
        object([
            text(0x0019, 0x10, VR::LO, "GEMS_ACQU_01"),
            text(0x0019, 0x11, VR::LO, "UNKNOWN"),
            Element::new(Tag(0x0019, 0x1023), VR::UN, b"1.25".to_vec()),
            text(0x0019, 0x109E, VR::LO, "Zora fast"),
            text(0x0019, 0x1123, VR::DS, "1.25"),
            text(0x0019, 0x10FF, VR::LO, "x"),
        ])
    };
    let safe = done(private(), &profile_with(&["retain-safe-private", "clean-descriptors"]));
    let left: Vec<Tag> = safe.iter().map(|e| e.tag).filter(|t| t.0 == 0x19).collect();
    assert_eq!(left, [Tag(0x19, 0x10), Tag(0x19, 0x1023), Tag(0x19, 0x109E)]);
    assert_eq!(safe.get(Tag(0x19, 0x1023)).unwrap().vr, VR::DS);
    assert_eq!(safe.str(Tag(0x19, 0x109E)).as_deref(), Some("fast"));
    assert!(!done(private(), &shipped()).iter().any(|e| e.tag.0 % 2 == 1));
}

#[test]
fn documents_are_replaced_where_the_profile_says_so() {
    let profile = Profile::from_toml(
        &BASIC.replace("= \"hold\"\n", "= \"replace\"\n").replace("missing = \"replace\"", "missing = \"hold\""),
        &tables(),
        &|_| None,
    )
    .unwrap();
    let ds = object([
        text(8, 0x16, VR::UI, "1.2.840.10008.5.1.4.1.1.104.1"),
        Element::new(Tag(0x42, 0x11), VR::OB, b"%PDF-1.7 Monplidra".to_vec()),
        Element::new(Tag(0x42, 0x15), VR::UL, 18_u32.to_le_bytes()),
    ]);
    let ds = done(ds, &profile);
    let document = ds.get(Tag(0x42, 0x11)).unwrap().value.bytes().unwrap();
    assert!(document.starts_with(b"%PDF") && !holds(document, "Monplidra"));
    assert_eq!(ds.int(Tag(0x42, 0x15)), Some(document.len() as i64));
}

/// Attributes that Table E.1-1 lists with text VRs and that no option of the shipped profile keeps, for planting.
fn plantable() -> Vec<(Tag, VR)> {
    let profile = shipped();
    let lines = crate::profile::tables::tests::ATTRIBUTES.lines().skip(1);
    let tags = lines.filter_map(|l| l.split_once("\"(")?.1.split_once(")\"")?.0.parse::<Tag>().ok());
    let mut found: Vec<(Tag, VR)> = tags
        .filter_map(|tag| Some((tag, crate::dataset::dictionary_vr(tag, false)?)))
        .filter(|(tag, vr)| {
            tag.0 >= 8 && tag.0 % 2 == 0 && matches!(vr, VR::LO | VR::SH | VR::PN | VR::ST | VR::LT | VR::UT | VR::UC)
        })
        .filter(|(tag, vr)| {
            let fate = crate::profile::rule::fate(&profile, &text(tag.0, tag.1, *vr, "x"));
            use crate::profile::rule::Fate::*;
            matches!(fate, Remove | Empty | Dummy)
        })
        .collect();
    found.sort_unstable_by_key(|(tag, _)| *tag);
    found
}

/// Sequences that are entered, not removed: where values can hide.
const ENTERED: [Tag; 6] =
    [Tag(8, 0x1140), Tag(8, 0x1032), Tag(0x40, 0x0275), Tag(0x5200, 0x9229), Tag(0x5200, 0x9230), Tag(0x40, 0xA073)];

fn plant(ds: DataSet, path: &[usize]) -> DataSet {
    path.iter().fold(ds, |inner, n| set([Element::sequence(ENTERED[n % ENTERED.len()], vec![inner])]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No value of an identifying attribute is in the output's bytes, at whatever depth it stood, for any key.
    #[test]
    fn planted_values_are_in_no_output(
        picks in prop::collection::vec((any::<prop::sample::Index>(), "[b-df-hj-np-tv-z]{5}[0-9]{3}[b-df-hj-np-tv-z]{4}"), 1..12),
        path in prop::collection::vec(0_usize..6, 0..5),
        secret in any::<u8>(),
        basic in any::<bool>(),
    ) {
        let candidates = plantable();
        prop_assert!(candidates.len() > 150);
        let planted = set(picks.iter().map(|(pick, value)| {
            let (tag, vr) = candidates[pick.index(candidates.len())];
            Element::new(tag, vr, value.as_str())
        }));
        let mut ds = object([]);
        plant(planted, &path).into_iter().for_each(|e| drop(ds.insert(e)));
        let identifiers = Identifiers::collect(&ds);
        let profile = if basic { profile_with(&[]) } else { shipped() };
        let profiled = match deidentify(ds.clone(), EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, &mut who(secret)) {
            Ok(profiled) => profiled,
            Err(e) => { prop_assert_eq!(e, DeidError::NoPatientId); return Ok(()); }
        };
        let bytes = bytes_of(&profiled);
        for (_, value) in &picks {
            prop_assert!(!holds(&bytes, value), "{}", value);
        }
        for own in ["Monplidra", "Zora", "RQ780833", "19571109", "1.2.826.0.1.99"] {
            prop_assert!(!holds(&bytes, own), "{}", own);
        }
        let scan = identifiers.scan(&bytes, Kept::by(&profile));
        prop_assert!(scan.is_ok(), "{scan:?}");
        // Determinism.
        let again = deidentify(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, &mut who(secret)).unwrap();
        prop_assert_eq!(bytes_of(&again), bytes);
    }

    /// Hostile bytes through the whole way: no panic, and what comes out is readable.
    #[test]
    fn mutated_objects_are_released_readable_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let profiled = run(report(), &profile_with(&["clean-structured-content"])).unwrap();
        let mut bytes = bytes_of(&profiled);
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let limits = dataset::Limits::default();
        let Ok((meta, parsed)) = dataset::read_part10(&bytes, &limits) else { return Ok(()) };
        let identifiers = Identifiers::collect(&parsed.data_set);
        let syntax = meta.transfer_syntax_uid;
        let Ok(done) = deidentify(parsed.data_set, &syntax, &identifiers, &shipped(), &mut who(1)) else { return Ok(()) };
        let none: &[u8] = &[];
        let mut out = Vec::new();
        if done.write(Sources { input: &parsed.body, scratch: &none }, &mut out).is_ok() {
            prop_assert!(dataset::read_part10(&out, &limits).is_ok());
            prop_assert!(!matches!(identifiers.scan(&out, Kept::by(&shipped())), Err(crate::ScanError::Unreadable(_))));
        }
    }

    /// Two dates of one subject keep their distance, two subjects do not share a shift or a UID mapping.
    #[test]
    fn intervals_stay(a in 0_u64..20_000, b in 0_u64..20_000) {
        let date = |n: u64| {
            let day = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Days::new(n);
            day.format("%Y%m%d").to_string()
        };
        let profile = shipped();
        let shifted = |n: u64| {
            let ds = done(object([text(8, 0x20, VR::DA, &date(n)), text(0x10, 0x30, VR::DA, "")]), &profile);
            crate::date::parse_da(&ds.str(Tag(8, 0x20)).unwrap()).unwrap()
        };
        prop_assert_eq!((shifted(a) - shifted(b)).num_days(), a as i64 - b as i64);
    }
}

#[test]
fn every_level_is_counted_once_and_unmapped_uids_never_stay() {
    let counts =
        run(object([text(8, 0x20, VR::DA, "20240226"), text(8, 0x81, VR::ST, "x")]), &shipped()).unwrap().counts();
    assert_eq!((counts.x, counts.c, counts.u), (1, 1, 3));
    let uids: BTreeSet<String> = done(object([]), &shipped())
        .walk()
        .filter(|e| e.vr == VR::UI)
        .flat_map(|e| e.strings(CharacterSet::default()))
        .collect();
    assert!(uids.iter().all(|u| u.starts_with("2.25.") || u == CT), "{uids:?}");
}

#[test]
fn a_name_is_a_name_whatever_vr_it_is_given() {
    let profile = shipped();
    for vr in [VR::PN, VR::LO, VR::SH, VR::UT, VR::ST, VR::UN, VR::OB] {
        let described = [
            text(0x10, 0x10, vr, "Skarsgardh^Yrsa"),
            text(0x10, 0x30, if vr == VR::PN { VR::DA } else { vr }, "19810304"),
            text(8, 0x1030, VR::LO, "Skarsgardh fetal brain"),
            text(8, 0x103E, VR::LO, "brain dob19810304x"),
        ];
        let ds = object(described);
        let identifiers = Identifiers::collect(&ds);
        match deidentify(ds, EXPLICIT_VR_LITTLE_ENDIAN, &identifiers, &profile, &mut who(1)) {
            Err(_) => {}
            Ok(profiled) => {
                let bytes = bytes_of(&profiled);
                let clean = !holds(&bytes, "Skarsgardh") && !holds(&bytes, "19810304");
                assert!(clean || identifiers.scan(&bytes, Kept::by(&profile)).is_err(), "{vr:?}");
            }
        }
    }
}
