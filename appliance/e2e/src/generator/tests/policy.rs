//! The key against the shipped policy, without any process: what `config/` makes of each object is what [`Kind::expectation`]
//! says, and what is released is clean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
};

use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, from_reader};
use gift_deid::{
    eyes::Closed,
    judge::{Files, Judge, Outcome},
    policy::PolicyTexts,
    protocol::Job,
    settings::ReadLimits,
};
use gift_deidentify::pseudonym::{KeyedPseudonymiser, PseudonymKey};

use super::super::*;
use crate::search::Search;

/// What one object became: the outcome, the subject if released, and the output.
fn judged(judge: &Judge, object: &Generated) -> (Expectation, Option<String>, Vec<u8>) {
    // The group length of the meta information says where the data set begins, as the receiver gets it.
    let meta = u32::from_le_bytes(object.bytes[140..144].try_into().unwrap());
    let data_set = &object.bytes[144 + meta as usize..];
    let [input, output, scratch] = [(); 3].map(|()| tempfile::tempfile().unwrap());
    input.write_all_at(data_set, 0).unwrap();
    let job = Job {
        input_bytes: data_set.len() as u64,
        transfer_syntax_uid: object.transfer_syntax.into(),
        sop_class_uid: object.sop_class.into(),
        sop_instance_uid: object.sop_instance.clone(),
        profile: "gift-default-1".into(),
        places: Vec::new(),
        look: false,
    };
    let mut line = KeyedPseudonymiser::new(PseudonymKey::new(&[7; 32], 1));
    let files = Files { input: &input, output: &output, scratch: &scratch };
    match judge.judge(&job, files, (&mut line, &mut Closed, None)).unwrap() {
        Outcome::Held(reason, _) => (Expectation::Held(reason), None, Vec::new()),
        Outcome::TextFound(ground, _) => panic!("{:?}: text found in what {ground} cleared", object.kind),
        Outcome::Released(sealed) => {
            let facts = sealed.value();
            let bytes = all(&output, facts.output_bytes);
            (Expectation::Released, Some(facts.subject.clone()), bytes)
        }
    }
}

fn all(file: &File, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn the_shipped_policy_does_what_the_key_says_and_what_it_releases_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let judge = Judge::new(&PolicyTexts::load(&root, ReadLimits::default()).unwrap()).unwrap();
    let mut subjects = BTreeMap::new();
    let mut planted = BTreeSet::new();
    let mut outputs = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    for object in Generator::new(90).generate(90).filter(|object| object.kind != Kind::Unrouted) {
        let (became, subject, output) = judged(&judge, &object);
        assert_eq!(became, object.expect, "{:?}", object.kind);
        if let Some(subject) = subject {
            assert_eq!(*subjects.entry(object.patient).or_insert_with(|| subject.clone()), subject);
            pixels_are_clean(&object, &output);
            std::fs::write(directory.path().join(format!("{}.dcm", outputs.len())), &output).unwrap();
            outputs.push(object.kind);
        }
        planted.extend(object.planted);
    }
    let distinct: BTreeSet<_> = subjects.values().collect();
    assert_eq!(distinct.len(), subjects.len(), "two patients became one subject");
    let search = Search::new(&planted);
    assert_eq!(search.hits_in(directory.path()).unwrap(), [], "kinds: {outputs:?}");
}

/// Every identifying text is gone from every frame, and native pixels outside the banner are untouched.
fn pixels_are_clean(object: &Generated, output: &[u8]) {
    let [before, after] = [object.bytes.as_slice(), output].map(|bytes| from_reader(bytes).unwrap());
    let Some(columns) = after.get(tags::COLUMNS).map(|columns| columns.to_int::<usize>().unwrap()) else { return };
    let (before, after) = (frames(&before, object.transfer_syntax), frames(&after, object.transfer_syntax));
    assert_eq!(before.len(), after.len());
    if object.burnt.is_empty() {
        assert!(before == after, "{:?}", object.kind);
        return;
    }
    let banner = scanner::SCANNERS.iter().find(|s| s.calling_ae == object.calling_ae).unwrap().banner;
    let within = |at: usize, [x, y, w, h]: scanner::Rect| {
        let (column, row) = (at / 3 % columns, at / 3 / columns);
        (usize::from(x)..usize::from(x + w)).contains(&column) && (usize::from(y)..usize::from(y + h)).contains(&row)
    };
    for (before, after) in before.iter().zip(&after) {
        for burnt in &object.burnt {
            let of_text = |frame: &[u8]| {
                let samples = (0..frame.len()).filter(|&at| within(at, burnt.rect)).map(|at| frame[at]);
                samples.collect::<BTreeSet<_>>()
            };
            assert!(of_text(before).len() > 1, "{:?}: nothing was there to begin with", object.kind);
            assert_eq!(of_text(after).len() == 1, burnt.identifying, "{:?} {:?}", object.kind, burnt.rect);
        }
        if object.transfer_syntax == uids::EXPLICIT_VR_LITTLE_ENDIAN {
            let changed = (0..before.len()).filter(|&at| before[at] != after[at]);
            assert!(changed.into_iter().all(|at| banner.iter().any(|&region| within(at, region))), "{:?}", object.kind);
        }
    }
}

/// The frames, decoded; native ones as they stand.
fn frames(object: &DefaultDicomObject, transfer_syntax: &str) -> Vec<Vec<u8>> {
    let value = object.element(tags::PIXEL_DATA).unwrap().value();
    if transfer_syntax == uids::JPEG_BASELINE8_BIT {
        let decode = |frame: &Vec<u8>| image::load_from_memory(frame).unwrap().into_rgb8().into_raw();
        return value.fragments().unwrap().iter().map(decode).collect();
    }
    let bytes = value.to_bytes().unwrap();
    let count = object.get(tags::NUMBER_OF_FRAMES).map_or(1, |count| count.to_int::<usize>().unwrap());
    bytes.chunks_exact(bytes.len() / count).map(<[u8]>::to_vec).collect()
}
