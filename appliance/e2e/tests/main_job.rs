//! The main job at size, through real peers: 500 mixed objects over 8 associations, then a search for every identifier that
//! was planted in them in everything that is not the box's left half; and the same with the hub away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::time::Duration;

use common::{Fixture, PATIENCE};
use gift_e2e::{generator::Class, outcome, rig::Role, search::Search};

/// The bar of the issue: 500 mixed objects, 8 parallel associations.
const OBJECTS: usize = 500;

#[test]
fn exactly_what_the_key_says_is_released_and_no_identifier_is_found_anywhere_else() {
    let mut fixture = Fixture::new(500, OBJECTS);
    let sent = fixture.set.send(&fixture.rig, 8).unwrap();
    assert!(sent.iter().all(|s| s.acknowledged), "{:?}", sent.iter().filter(|s| !s.acknowledged).collect::<Vec<_>>());
    let settled = outcome::settle(&fixture.rig, PATIENCE).unwrap();
    println!("settled {settled:?} after the last answer");
    let entries: Vec<_> = fixture.set.key.objects.iter().collect();
    assert_eq!(outcome::faults(&fixture.rig, &entries, false).unwrap(), [""; 0]);
    // The grouping: one subject for each patient with something released.
    let subjects = common::subjects_on_hub(&fixture.rig);
    assert_eq!(subjects, fixture.set.key.released_patients().len());

    common::wait_for_report(&fixture.rig);
    // Stopped first, so that everything buffered is on disk.
    for role in Role::ALL {
        fixture.rig.stop_role(role);
    }
    let classes = [Class::Name, Class::PatientId, Class::BirthDate, Class::Order, Class::Contact, Class::Uid];
    let planted: Vec<_> = fixture.set.key.planted_of(&classes).collect();
    let search = Search::new(planted.iter().copied());
    // The search can find: everything is found in what the scanner sent.
    // (Values shorter than six characters occur by chance everywhere, so they are looked for only inside longer ones.)
    let missing = search.not_found_in(&fixture.set.directory).unwrap();
    let missed: Vec<_> = missing.iter().filter(|&&i| planted[i].value.chars().count() >= 6).collect();
    assert!(
        missed.is_empty(),
        "the search misses {} of {} planted values in the originals",
        missed.len(),
        planted.len()
    );
    for place in ["hub", "log", "status", "leds", "release", "uplink", "deid", "intake"] {
        let hits = search.hits_in(&fixture.rig.root.join(place)).unwrap();
        assert!(hits.is_empty(), "{place}: {hits:?}");
    }
    println!("{} planted values searched for", planted.len());
}

#[test]
fn with_the_hub_away_scanners_notice_nothing_and_everything_arrives_later() {
    let mut fixture = Fixture::new(41, 80);
    fixture.rig.stop_role(Role::Hub);
    let sent = fixture.set.send(&fixture.rig, 4).unwrap();
    assert!(sent.iter().all(|s| s.acknowledged));
    fixture
        .rig
        .wait_until("the LED to say that there is no hub", Duration::from_secs(30), |rig| {
            std::fs::read_to_string(rig.root.join("leds/uplink")).is_ok_and(|led| led.contains("offline"))
        })
        .unwrap();
    fixture.rig.start_role(Role::Hub).unwrap();
    outcome::settle(&fixture.rig, PATIENCE).unwrap();
    let entries: Vec<_> = fixture.set.key.objects.iter().collect();
    assert_eq!(outcome::faults(&fixture.rig, &entries, false).unwrap(), [""; 0]);
}
