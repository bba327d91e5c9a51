//! The canary through the whole system: with it the box is ready, without it no longer; nobody sees it, and nobody passes for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{fs, time::Duration};

use common::Fixture;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;
use gift_e2e::{
    raw::RawScu,
    rig::{Rig, Role, Signal},
    web::Web,
};

/// Longest age of the last canary, and how long the first may take, seconds.
const TIMES: [u64; 2] = [8, 12];
const PATIENCE: Duration = Duration::from_secs(90);

fn power(rig: &Rig) -> String {
    fs::read_to_string(rig.root.join("leds/power")).unwrap_or_default()
}

fn held(rig: &Rig, reason: &str) -> u64 {
    rig.status(Role::Deid).and_then(|status| status["body"]["quarantine_objects"][reason].as_u64()).unwrap_or_default()
}

#[test]
fn the_box_is_ready_while_canaries_come_through_and_no_longer() {
    let Fixture { rig, .. } = &Fixture::with(7, 0, |options| options.canary = Some(TIMES));
    let web = Web::new(rig).unwrap();
    let wait = |what: &str, done: &dyn Fn(&Rig) -> bool| {
        rig.wait_until(what, PATIENCE, done)
            .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", power(rig), common::logs(rig)))
    };
    assert!(!power(rig).contains("ready"), "nothing is proven yet: {}", power(rig));
    assert!(rig.send_canary().unwrap());
    wait("ready after the first canary", &|rig| power(rig) == "steady ready\n");
    assert!(web.query("/dicomweb/studies").unwrap().is_empty(), "a researcher sees it");
    assert!(web.page("/").unwrap().contains("passed <time"));
    let scanner = fs::read_to_string(rig.root.join("leds/scanner")).unwrap();
    assert_eq!(scanner, "blip waiting\n", "it is no scanner");

    // A scanner that says it calls the canary's title is not the canary.
    let (class, instance) = (uids::ULTRASOUND_IMAGE_STORAGE, "2.25.5");
    let object = InMemDicomObject::from_element_iter([
        DataElement::new(tags::SOP_CLASS_UID, VR::UI, class),
        DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, instance),
    ]);
    let mut data_set = Vec::new();
    object.write_dataset_with_ts(&mut data_set, &EXPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let answered = rig.on_scanner_side(|| {
        let mut raw = RawScu::open(rig.dicom_address(), "GIFT-CANARY", class, uids::EXPLICIT_VR_LITTLE_ENDIAN)?;
        raw.store(instance, data_set.as_slice(), data_set.len() as u64)
    });
    assert_eq!(answered.unwrap(), 0);
    wait("the impostor to be held", &|rig| held(rig, "unrouted") == 1);

    // Without its template it is held as any image is, and ready lapses.
    let template = rig.root.join("policy/templates/canary.toml");
    let text = fs::read(&template).unwrap();
    fs::remove_file(&template).unwrap();
    assert!(rig.signal(Role::Deid, Signal::SIGHUP));
    wait("the canary to be held", &|rig| {
        let held = held(rig, "no-template") > 0;
        if !held {
            rig.send_canary().unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        held
    });
    wait("ready to lapse", &|rig| power(rig) == "blip unproven\n");
    wait("the fleet page to say so", &|_| web.page("/").unwrap().contains("no canary came through for too long"));

    // With it, what was held goes on, and the box is ready again.
    fs::write(&template, text).unwrap();
    fs::set_permissions(&template, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(rig.signal(Role::Deid, Signal::SIGHUP));
    wait("ready again", &|rig| power(rig) == "steady ready\n");
}
