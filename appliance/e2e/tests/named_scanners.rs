//! Scanners that are named after the patient: the name stands in Manufacturer, in small letters in Manufacturer's Model Name, and
//! inside Software Versions, in the object's character set; and there are templates of that make and model, so that the name is in
//! the vocabulary too. Nothing of it may reach the right half, a log, a status, a report, a fingerprint or the hub.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use common::{Fixture, PATIENCE};
use dicom_dictionary_std::tags;
use gift_e2e::{
    generator::{Class, Fixed, Generator, Kind},
    outcome::{self, Set},
    rig::{Rig, Role, Signal},
    search::Search,
};

/// Enough for patients of every repertoire.
const OBJECTS: usize = 120;

/// Templates for the make and model of every ultrasound image of the set: those of Volusons match, those of unknown scanners are of another size.
fn templates(set: &Set) -> String {
    let mut known = BTreeSet::new();
    for entry in &set.key.objects {
        let rows = match entry.kind {
            Kind::VolusonStill | Kind::VolusonCine => 720,
            Kind::UnknownUltrasound => 100,
            _ => continue,
        };
        let object = dicom_object::open_file(set.directory.join(&entry.file)).unwrap();
        let text = |tag| object.element(tag).unwrap().to_str().unwrap().trim().to_owned();
        known.insert((text(tags::MANUFACTURER), text(tags::MANUFACTURER_MODEL_NAME), rows));
    }
    let mut file = "version = 1\n".to_owned();
    for (number, (make, model, rows)) in known.iter().enumerate() {
        write!(
            file,
            "[[template]]\nid = \"named-{number}\"\nsource = \"test\"\nregions = [[76, 3, 430, 28], [76, 36, 430, 26]]\n\
             [template.match]\nmanufacturer = {make:?}\nmodel = {model:?}\nrows = {rows}\ncolumns = 960\n\
             sop-classes = [\"1.2.840.10008.5.1.4.1.1.6.1\", \"1.2.840.10008.5.1.4.1.1.3.1\"]\n\
             photometric-interpretations = [\"RGB\"]\ntransfer-syntaxes = [\"native\"]\n\
             [template.verified]\nby = \"test\"\non = \"2026-11-28\"\nevidence = \"test\"\n"
        )
        .unwrap();
    }
    println!("{} makes and models that templates name", known.len());
    file
}

fn policies_read(rig: &Rig) -> usize {
    std::fs::read_to_string(rig.log(Role::Deid)).unwrap_or_default().matches("policy read").count()
}

/// The examiner's command on the same objects: what it lists of formats must not name anybody either.
fn examined(set: &Set, templates: &Path, out: &Path) {
    let binaries = std::env::var_os("GIFT_BIN_DIR").expect("GIFT_BIN_DIR is not set; run `cargo xtask test`");
    let mut examine = Command::new(Path::new(&binaries).join("gift-examine"));
    examine.arg("--policy").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"));
    examine.arg("deidentify").arg(&set.directory).arg(out).arg("--templates").arg(templates);
    let output = examine.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_patients_name_as_make_model_or_version_leaves_the_left_half_nowhere() {
    let mut fixture = Fixture::new(1, 1);
    let directory = tempfile::Builder::new().prefix("gift-named-").tempdir().unwrap();
    let objects = directory.path().join("scanner");
    let fixed = Fixed { named_after_patient: true, ..Fixed::default() };
    let key = Generator::with(314, fixed).write_set(&objects, OBJECTS).unwrap();
    let set = Set { directory: objects, key };

    let before = policies_read(&fixture.rig);
    let path = fixture.rig.root.join("policy/templates/demo/named.toml");
    std::fs::write(&path, templates(&set)).unwrap();
    assert!(fixture.rig.signal(Role::Deid, Signal::SIGHUP));
    fixture.rig.wait_until("the templates to be read", PATIENCE, |rig| policies_read(rig) > before).unwrap();

    let sent = set.send(&fixture.rig, 4).unwrap();
    assert!(sent.iter().all(|s| s.acknowledged));
    outcome::settle(&fixture.rig, PATIENCE).unwrap();
    common::wait_for_report(&fixture.rig);
    let on_hub: BTreeSet<String> =
        gift_e2e::web::Web::new(&fixture.rig).unwrap().instances().unwrap().into_iter().collect();
    // The templates that bear the names do match.
    let volusons = set.key.objects.iter().filter(|e| matches!(e.kind, Kind::VolusonStill | Kind::VolusonCine));
    let volusons: BTreeSet<String> = outcome::expected_on_hub(&fixture.rig, volusons).unwrap().into_keys().collect();
    assert!(!volusons.is_empty() && volusons.is_subset(&on_hub));
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for (_, reason) in outcome::quarantine(&fixture.rig).unwrap() {
        *held.entry(format!("{reason:?}")).or_default() += 1;
    }
    println!("{} objects on the hub; held: {held:?}", on_hub.len());
    for role in Role::ALL {
        fixture.rig.stop_role(role);
    }

    let planted: Vec<_> = set.key.planted_of(&[Class::Name, Class::PatientId]).collect();
    assert!(planted.iter().any(|p| !p.raw.is_ascii()) && planted.iter().any(|p| p.raw.contains(&0x1B)));
    let search = Search::new(planted.iter().copied());
    assert_eq!(search.not_found_in(&set.directory).unwrap(), [0; 0], "the search misses what was planted");
    // Sealed, so opened for the search.
    let fingerprints = outcome::fingerprints(&fixture.rig).unwrap();
    assert!(!fingerprints.is_empty());
    let places = directory.path().join("opened");
    std::fs::create_dir(&places).unwrap();
    std::fs::write(places.join("fingerprints"), fingerprints.join("\n")).unwrap();
    examined(&set, &path, &places.join("examined"));
    let root = |place: &str| fixture.rig.root.join(place);
    let right = ["hub", "log", "status", "leds", "release", "uplink", "deid", "intake"].map(root);
    for place in right.iter().chain([&places]) {
        let hits = search.hits_in(place).unwrap();
        assert!(hits.is_empty(), "{}: {hits:?}", place.display());
    }
    println!("{} planted values searched for, {} fingerprints", search.len(), fingerprints.len());
}
