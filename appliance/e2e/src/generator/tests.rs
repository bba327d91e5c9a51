//! What makes the simulator trustworthy: it is deterministic, its key tells the truth, and its objects are valid.

mod policy;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use dicom_dictionary_std::tags;
use dicom_object::{DefaultDicomObject, from_reader};

use super::*;

/// One of each kind and then some, made once for all tests.
fn set() -> Vec<Generated> {
    Generator::new(7).generate(48).collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

fn read(object: &Generated) -> DefaultDicomObject {
    from_reader(object.bytes.as_slice()).unwrap()
}

#[test]
fn a_seed_names_a_set() {
    let digest = |seed| {
        let mix = Mix::usual(20).weight(Kind::V830Still, 0);
        Generator::new(seed).generate(mix).map(|object| object.bytes).collect::<Vec<_>>()
    };
    assert!(digest(1) == digest(1));
    assert!(digest(1) != digest(2));
}

#[test]
fn every_planted_identifier_stands_in_its_object() {
    for object in set() {
        for planted in &object.planted {
            assert!(contains(&object.bytes, &planted.raw), "{:?} {:?} {}", object.kind, planted.class, planted.value);
        }
    }
}

#[test]
fn every_object_has_identifiers_of_the_main_classes() {
    for object in set() {
        let has = |class| object.planted.iter().any(|planted| planted.class == class);
        for class in [Class::Name, Class::BirthDate, Class::Order, Class::Staff, Class::Uid, Class::Institution] {
            assert!(has(class), "{:?} {class:?}", object.kind);
        }
        assert_eq!(has(Class::PatientId), object.kind != Kind::WithoutPatientId, "{:?}", object.kind);
    }
}

#[test]
fn one_patient_has_one_id_and_every_uid_is_fresh() {
    let mut ids = BTreeMap::new();
    let mut uids = std::collections::BTreeSet::new();
    for object in set() {
        let data_set = read(&object);
        assert!(uids.insert(object.sop_instance.clone()));
        assert!(object.sop_instance.len() <= 64);
        assert_eq!(data_set.element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap(), object.sop_instance);
        if object.kind == Kind::WithoutPatientId {
            continue;
        }
        let id = data_set.element(tags::PATIENT_ID).unwrap().to_str().unwrap().into_owned();
        assert_eq!(*ids.entry(object.patient).or_insert_with(|| id.clone()), id);
    }
    let distinct: std::collections::BTreeSet<_> = ids.values().collect();
    assert_eq!(distinct.len(), ids.len(), "two patients share an id");
}

#[test]
fn burnt_text_lies_within_the_banner_and_is_readable() {
    for object in set().into_iter().filter(|object| !object.burnt.is_empty()) {
        let scanner = scanner::SCANNERS.iter().find(|scanner| scanner.calling_ae == object.calling_ae).unwrap();
        let within = |[x, y, w, h]: scanner::Rect, [rx, ry, rw, rh]: scanner::Rect| {
            x >= rx && y >= ry && x + w <= rx + rw && y + h <= ry + rh
        };
        for burnt in &object.burnt {
            let covered = scanner.banner.iter().any(|&region| within(burnt.rect, region));
            let wanted = burnt.identifying && !scanner.banner.is_empty();
            assert!(scanner.banner.is_empty() || covered == wanted, "{:?} {:?}", object.kind, burnt.rect);
        }
        let patient = object.burnt.iter().find(|burnt| burnt.identifying).unwrap();
        assert!(!patient.text.trim().is_empty());
        if object.transfer_syntax != dicom_dictionary_std::uids::EXPLICIT_VR_LITTLE_ENDIAN {
            continue;
        }
        // Letters and background in the same rectangle: blanking it must change something.
        let data_set = read(&object);
        let columns = data_set.element(tags::COLUMNS).unwrap().to_int::<usize>().unwrap();
        let pixels = data_set.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap();
        let [x, y, w, h] = patient.rect.map(usize::from);
        let values: std::collections::BTreeSet<_> =
            (y..y + h).flat_map(|row| &pixels[(row * columns + x) * 3..][..w * 3]).collect();
        assert!(values.len() >= 2);
    }
}

#[test]
fn jpeg_frames_are_4_2_2_and_one_fragment_each() {
    let object = Generator::new(3).one(Kind::EpiqCine);
    let data_set = read(&object);
    let frames = data_set.element(tags::NUMBER_OF_FRAMES).unwrap().to_int::<usize>().unwrap();
    let value = data_set.element(tags::PIXEL_DATA).unwrap().value();
    let (fragments, offsets) = (value.fragments().unwrap(), value.offset_table().unwrap());
    assert!(frames >= 2 && fragments.len() == frames && offsets.len() == frames);
    for frame in fragments {
        assert_eq!(frame.len() % 2, 0);
        // SOF0: 8 bits, 600 × 800, three components, the first sampled 2×1, the others 1×1.
        let at = memchr::memmem::find(frame, b"\xFF\xC0\0\x11\x08\x02\x58\x03\x20\x03").unwrap() + 10;
        assert_eq!([frame[at + 1], frame[at + 4], frame[at + 7]], [0x21, 0x11, 0x11]);
        assert_eq!(image::load_from_memory(frame).unwrap().width(), 800);
    }
}

#[test]
fn text_goes_in_the_declared_character_set() {
    let mut seen = std::collections::BTreeSet::new();
    let mut generator = Generator::new(11);
    for object in generator.generate(Mix::only(Kind::BasicTextReport, 40)) {
        let data_set = read(&object);
        let terms = data_set.get(tags::SPECIFIC_CHARACTER_SET).map(|e| e.to_multi_str().unwrap().join("\\"));
        seen.insert(terms.clone());
        if terms.as_deref() == Some("\\ISO 2022 IR 87") {
            assert!(contains(&object.bytes, b"=\x1b$B"));
        }
    }
    let terms: Vec<_> = seen.iter().map(|term| term.as_deref().unwrap_or("")).collect();
    assert_eq!(terms, ["", "ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87"]);
}

#[test]
fn a_written_set_comes_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let mix = Mix::usual(14).weight(Kind::V830Still, 0);
    let key = Generator::new(2).write_set(directory.path(), mix).unwrap();
    assert_eq!(Key::read(directory.path()).unwrap(), key);
    assert_eq!(key.released().count() + key.held().count(), 14);
    for entry in &key.objects {
        let bytes = fs::read(directory.path().join(&entry.file)).unwrap();
        assert!(contains(&bytes, entry.sop_instance.as_bytes()));
        assert!(!entry.planted.is_empty());
        assert!(entry.planted.iter().all(|&i| i < key.planted.len()));
    }
    let mut once = key.planted.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), key.planted.len());
}

/// Runs a peer on every object of a set; gives what it said, or `None` where it is not installed.
fn peer(program: &str, arguments: &[&str], check: impl Fn(&Generated, std::process::Output)) {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("skipped: {program} is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (i, object) in set().into_iter().enumerate() {
        let path = directory.path().join(format!("{i}.dcm"));
        fs::write(&path, &object.bytes).unwrap();
        let run = |path: &Path| Command::new(program).args(arguments).arg(path).stdin(Stdio::null()).output().unwrap();
        check(&object, run(&path));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn dciodvfy_finds_no_error() {
    let found = std::cell::RefCell::new(std::collections::BTreeSet::new());
    peer("dciodvfy", &[], |object, output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        let errors = said.lines().filter(|line| line.starts_with("Error"));
        found.borrow_mut().extend(errors.map(|line| format!("{:?}: {line}", object.kind)));
    });
    let found = found.into_inner();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn dcmtk_reads_every_object() {
    peer("dcmftest", &[], |object, output| assert!(output.status.success(), "{:?}", object.kind));
    peer("dcmdump", &["--quiet"], |object, output| {
        assert!(output.status.success(), "{:?}", object.kind);
        assert!(contains(&output.stdout, object.sop_instance.as_bytes()));
    });
}
