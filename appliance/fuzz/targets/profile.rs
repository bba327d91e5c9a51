//! The profile engine and the leak scan behind it, as a worker runs them.
//!
//! Any data set, made an object by the attributes that it lacks, under each profile of [`gift_fuzz::policy::PROFILES`]. Asserted:
//! nothing panics; twice the same; what is written is read again as the same tree; where the scan calls the output leak free, no
//! word of the patient's name and neither Patient ID nor birth date stands in it, looked for byte by byte without any of the
//! product's search. (A value that the scan does not count as an identifier, such as a common word, is told by a file that holds
//! nothing else.)
#![no_main]

use std::collections::BTreeSet;

use dicom_core::{Tag, VR};
use gift_deidentify::{
    Identifiers, Kept, Profiled, ScanError,
    dataset::{
        Body, DataSet, EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Limits, Parsed,
        Sources, read_dataset, read_part10,
    },
    deidentify,
    profile::Profile,
};
use gift_fuzz::{
    byte, holds,
    policy::{LIMITS, PROFILES, Who},
    tree::{self, NONE},
};
use libfuzzer_sys::fuzz_target;

const SYNTAXES: [&str; 4] =
    [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, "1.2.840.10008.1.2.4.50"];
const CLASSES: [&str; 8] = [
    "1.2.840.10008.5.1.4.1.1.2",     // CT
    "1.2.840.10008.5.1.4.1.1.3.1",   // ultrasound multi-frame
    "1.2.840.10008.5.1.4.1.1.4.1",   // enhanced MR
    "1.2.840.10008.5.1.4.1.1.88.33", // comprehensive SR
    "1.2.840.10008.5.1.4.1.1.11.1",  // presentation state
    "1.2.840.10008.5.1.4.1.1.104.1", // encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.481.3", // RT structure set
    "1.2.840.10008.5.1.4.1.1.9.1.1", // ECG
];
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const BIRTH_DATE: Tag = Tag(0x0010, 0x0030);
/// What an object must have besides its SOP class, and what it gets where it lacks it.
const NEEDED: [(Tag, VR, &str); 6] = [
    (Tag(0x0008, 0x0018), VR::UI, "1.2.826.0.1.3680043.10.1"),
    (PATIENT_NAME, VR::PN, "Monplidra^Zoraqv"),
    (PATIENT_ID, VR::LO, "RQ78083X"),
    (BIRTH_DATE, VR::DA, "19571109"),
    (Tag(0x0020, 0x000D), VR::UI, "1.2.826.0.1.3680043.10.2"),
    (Tag(0x0020, 0x000E), VR::UI, "1.2.826.0.1.3680043.10.3"),
];

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let (how, which) = (byte(&mut data), byte(&mut data));
    let uid = SYNTAXES[usize::from(how & 3)];
    let profile = &PROFILES[usize::from(how >> 2) % PROFILES.len()];
    let Ok(Parsed { mut data_set, body }) = read_dataset(&data, uid, &LIMITS) else { return };
    if data_set.str(tree::SOP_CLASS_UID).is_none() || which & 0x80 != 0 {
        data_set.put_str(tree::SOP_CLASS_UID, VR::UI, CLASSES[usize::from(which & 7)]);
    }
    for (tag, vr, value) in NEEDED {
        if data_set.strings(tag).len() != 1 || data_set.str(tag).is_none() {
            data_set.put_str(tag, vr, value);
        }
    }
    let Some((first, output)) = run(&data_set, uid, profile, &body) else {
        assert!(run(&data_set, uid, profile, &body).is_none(), "refused once, not twice");
        return;
    };
    let (second, twice) = run(&data_set, uid, profile, &body).expect("not refused once, refused twice");
    assert!(output == twice, "written twice, it differs");
    assert_eq!(first.counts(), second.counts());

    let identifiers = Identifiers::collect(&data_set);
    match identifiers.scan(&output, Kept::by(profile)) {
        Ok(_) => {}
        Err(ScanError::Leak { .. }) => return,
        Err(ScanError::Unreadable(_)) if tree::is_unwritable(first.data_set()) => return,
        Err(error) => panic!("{error}"),
    }
    let (_, again) = read_part10(&output, &Limits::default()).expect("what was scanned cannot be read");
    tree::assert_same(first.data_set(), &body, &again.data_set, &again.body);
    assert_gone(&data_set, &identifiers, profile, &output);
});

/// The object de-identified and its file; `None` when it is refused.
fn run(ds: &DataSet, uid: &str, profile: &Profile, body: &Body<'_>) -> Option<(Profiled, Vec<u8>)> {
    let identifiers = Identifiers::collect(ds);
    let profiled = deidentify(ds.clone(), uid, &identifiers, profile, &mut Who::default()).ok()?;
    let mut out = Vec::new();
    profiled.write(Sources { input: body, scratch: &NONE }, &mut out).ok()?;
    Some((profiled, out))
}

/// Asserts that what names the patient is not in the output.
fn assert_gone(original: &DataSet, identifiers: &Identifiers, profile: &Profile, output: &[u8]) {
    let kept = Kept::by(profile);
    let counts = |text: &str| matches!(identifiers.scan(&tree::file_of_text(text), kept), Err(ScanError::Leak { .. }));
    let distinct = |text: &str| text.bytes().collect::<BTreeSet<_>>().len() >= 6;
    let names = original.strings(PATIENT_NAME);
    let words = names.iter().flat_map(|name| name.split(['^', '=', ' ', ',']));
    // From seven letters a name is looked for inside words too, from six characters a number; in bulk from eight bytes.
    for word in words.filter(|w| w.len() >= 8 && w.bytes().all(|b| b.is_ascii_alphabetic()) && distinct(w)) {
        assert!(!holds(output, word) || !counts(word), "part of the name is in the output");
    }
    for id in original.strings(PATIENT_ID) {
        let mixed = id.bytes().any(|b| b.is_ascii_digit()) && id.bytes().any(|b| b.is_ascii_alphabetic());
        let plain = id.len() >= 8 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(!(plain && mixed && distinct(&id) && holds(output, &id) && counts(&id)), "Patient ID is in the output");
    }
    for date in original.strings(BIRTH_DATE) {
        let is_date = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        let continues = |b: &u8| b.is_ascii_digit() || *b == b'.';
        let stands = |at: usize| at == 0 || !continues(&output[at - 1]);
        let found = output.windows(8).enumerate().any(|(at, w)| w == date.as_bytes() && stands(at));
        assert!(!(is_date && found && counts(&date)), "birth date is in the output");
    }
}
