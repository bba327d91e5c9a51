//! The real binary, fed through a real intake: what is released, what is held and why, and what is left behind when it is
//! killed, starved, misled or told otherwise.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{collections::BTreeMap, fs, io::Write as _, time::Duration};

use gift_status::{HoldReason, RunState};
use nix::sys::signal::{Signal, kill};
use support::{House, ROUTED, object};

fn reasons(expected: &[(HoldReason, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|&(reason, count)| (reason.as_str().to_owned(), count)).collect()
}

#[test]
fn each_object_goes_where_it_belongs_and_leaves_no_trace() {
    let mut house = House::new();
    house.start();
    for number in 0..5 {
        house.deposit(ROUTED, &object::ct(number));
    }
    house.deposit(ROUTED, &object::unknown_ultrasound(100));
    house.deposit("ELSEWHERE", &object::ct(50));
    for hostile in [object::garbage(), object::nested(), object::overlong(), object::empty()] {
        house.deposit(ROUTED, &hostile);
    }
    house.deposit(ROUTED, &object::misannounced(60));
    // An item whose record is damaged: what a torn disk leaves.
    let name = "0123456789abcdef0123456789abcdef";
    fs::write(house.path("intake/inbox").join(name), b"GIFTitm1 Quillfeather^Jane").unwrap();
    house.deposit(ROUTED, &object::ct(5));
    house.wait_until("everything settled", |house| house.waiting() == 0);

    let released = house.released();
    assert_eq!(released.len(), 6, "{}", house.log());
    let expected = reasons(&[
        (HoldReason::NoTemplate, 1),
        (HoldReason::Unrouted, 1),
        (HoldReason::LimitExceeded, 1),
        (HoldReason::Inconsistent, 1),
        (HoldReason::Malformed, 4),
    ]);
    assert_eq!(house.held(), expected, "{}", house.log());
    // One patient, one study, one series; six instances.
    let distinct = |of: fn(&support::Released) -> &String| {
        released.iter().map(of).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|r| &r.manifest.subject), 1);
    assert_eq!(distinct(|r| &r.manifest.study_instance_uid), 1);
    assert_eq!(distinct(|r| &r.manifest.series_instance_uid), 1);
    assert_eq!(distinct(|r| &r.manifest.sop_instance_uid), 6);
    for object in &released {
        assert_eq!(object.manifest.project, "fetal-surgery");
        assert_eq!(object.manifest.certificate.profile, "gift-default-1");
        assert_eq!(&object.file[..132], [&[0; 128], b"DICM".as_slice()].concat());
    }
    house.wait_until("status", |house| {
        house
            .status()
            .is_some_and(|s| s.body.released_total == 6 && s.body.quarantine_objects.values().sum::<u64>() == 8)
    });
    let status = house.status().unwrap();
    assert_eq!((status.state, status.body.damaged_total, status.body.worker_deaths_total), (RunState::Ready, 1, 0));
    assert!(house.stop().success());
    house.assert_no_trace(object::PLANTED);
}

/// Two hospitals of a linkage domain, and a third that has another linkage key: what each makes of the same patient's slice.
#[test]
fn a_patient_of_two_hospitals_is_one_subject_and_her_certificate_says_so() {
    let key = |version: u32, digit: &str| format!("version = {version}\nkey = \"{}\"\n", digit.repeat(64));
    let at = |linkage: &str| {
        let mut house = House::new();
        fs::write(house.path("credentials/linkage-key"), linkage).unwrap();
        house.extra = "[[linkage]]\nname = \"uk-fetal\"\n[[linkage.place]]\nscheme = \"nhs\"\n\
                       attribute = \"patient-id\"\nissuers = [\"\"]\n"
            .into();
        house.routes += "linkage = \"uk-fetal\"\n";
        house.start();
        house.deposit(ROUTED, &object::ct(1));
        house.wait_until("released", |house| house.waiting() == 0);
        assert!(house.stop().success());
        house.assert_no_trace(object::PLANTED);
        house.released().remove(0)
    };
    let (a, b, rotated) = (at(&key(2, "7")), at(&key(2, "7")), at(&key(3, "8")));
    assert_eq!(a.manifest.subject, b.manifest.subject);
    assert_ne!(a.manifest.subject, rotated.manifest.subject);
    assert_ne!(a.manifest.study_instance_uid, b.manifest.study_instance_uid);
    let linkage = |r: &support::Released| r.manifest.certificate.linkage.clone().map(|l| (l.domain, l.key_version));
    assert_eq!(linkage(&a), Some(("uk-fetal".to_owned(), 2)));
    assert_eq!(linkage(&rotated), Some(("uk-fetal".to_owned(), 3)));
    assert_eq!(a.manifest.certificate.key_version, 1, "the site key's own version stays its own");
}

#[test]
fn killed_at_any_instant_nothing_is_lost_and_a_repeat_is_the_same() {
    let mut house = House::new();
    // Half of the instants fall into start-up, half between two steps of the work, however fast this machine is.
    let mut seed: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut random = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let (mut sent, mut busy) = (0, 0);
    for round in 0..20 {
        for _ in 0..20 {
            house.deposit(ROUTED, &object::ct(sent));
            sent += 1;
        }
        house.deposit("ELSEWHERE", &object::ct(1_000 + sent));
        house.start();
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(random(60)));
        } else {
            let left = usize::try_from(random(20)).unwrap() + 1;
            while house.waiting() > left && house.runs() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(random(4_000)));
        }
        busy += usize::from(house.waiting() > 0);
        house.kill();
    }
    house.start();
    house.wait_until_ready();
    house.wait_until("everything settled", |house| house.waiting() == 0);
    assert!(house.stop().success());

    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let released = house.released();
    for object in &released {
        let known = seen.insert(object.manifest.sop_instance_uid.clone(), object.file.clone());
        assert!(known.is_none_or(|file| file == object.file), "a repeat differs");
    }
    println!("20 kills, {busy} with work waiting; {} objects, {} deposits", seen.len(), released.len());
    assert!(busy >= 8, "the kills hit nothing");
    assert_eq!(seen.len(), sent as usize, "{}", house.log());
    assert_eq!(house.held(), reasons(&[(HoldReason::Unrouted, 20)]));
    house.assert_no_trace(object::PLANTED);
}

#[test]
fn a_worker_killed_from_outside_costs_no_object() {
    let mut house = House::new();
    house.start();
    let mut killed = 0;
    for number in 0..200 {
        if number % 20 == 0 {
            // No object is hit in three rounds: for all deid can tell, that would be the object's own fault.
            house.wait_until("the round before settled", |house| house.waiting() == 0);
        }
        house.deposit(ROUTED, &object::ct(number));
        if number % 20 == 10 {
            // One that has nothing to do stays, too.
            house.wait_until("a worker", |house| !house.workers().is_empty());
            for worker in house.workers() {
                killed += usize::from(kill(worker, Signal::SIGKILL).is_ok());
            }
        }
    }
    house.wait_until("everything settled", |house| house.waiting() == 0);
    assert!(killed > 0 && house.runs());
    assert_eq!((house.released().len(), house.held()), (200, BTreeMap::new()), "{}", house.log());
}

#[test]
fn what_was_held_is_released_once_it_is_routed() {
    let mut house = House::new();
    let routes = std::mem::take(&mut house.routes);
    house.start();
    (0..8).for_each(|number| house.deposit(ROUTED, &object::ct(number)));
    house.wait_until("all held", |house| house.waiting() == 0);
    assert_eq!((house.held(), house.released().len()), (reasons(&[(HoldReason::Unrouted, 8)]), 0));
    house.stop();

    house.routes = routes;
    // Killed while they are judged again: nothing is lost.
    for pause in [60, 120, 180] {
        house.start();
        std::thread::sleep(Duration::from_millis(pause));
        house.kill();
    }
    house.start();
    house.wait_until("all released", |house| house.held().is_empty());
    house.stop();
    let uids: std::collections::BTreeSet<String> =
        house.released().into_iter().map(|object| object.manifest.sop_instance_uid).collect();
    assert_eq!(uids.len(), 8);
    assert!(support::files(&house.path("deid/quarantine")).is_empty());
    house.assert_no_trace(object::PLANTED);
}

#[test]
fn a_held_format_is_released_by_itself_once_its_template_arrives() {
    let mut house = House::new();
    let template = house.path("policy/templates/demo/ge-voluson-e10.toml");
    let text = fs::read(&template).unwrap();
    fs::remove_file(&template).unwrap();
    house.start();
    house.deposit(ROUTED, &object::voluson(1, 3));
    house.deposit(ROUTED, &object::garbage());
    house.wait_until("held", |house| house.waiting() == 0);
    assert_eq!(house.held(), reasons(&[(HoldReason::NoTemplate, 1), (HoldReason::Malformed, 1)]), "{}", house.log());

    // Nobody visits the hospital: the file arrives, and that is all.
    fs::write(&template, text).unwrap();
    house.wait_until("released", |house| house.released().len() == 1);
    house.wait_until("row gone", |house| house.held() == reasons(&[(HoldReason::Malformed, 1)]));
    let released = house.released().remove(0);
    assert_eq!(released.manifest.certificate.template.as_deref(), Some(object::VOLUSON_TEMPLATE));
    assert_eq!(released.manifest.certificate.frames_proven, 3);

    let before = object::voluson(1, 3).bytes;
    let frame = 720 * 960 * 3;
    let pixels = |bytes: &[u8]| bytes[bytes.len() - 3 * frame..].to_vec();
    let (before, after) = (pixels(&before), pixels(&released.file));
    let inside = |i: usize| {
        let (x, y) = ((i % frame / 3) % 960, (i % frame / 3) / 960);
        (76..506).contains(&x) && (3..31).contains(&y) || (76..506).contains(&x) && (36..62).contains(&y)
    };
    assert!((0..after.len()).all(|i| if inside(i) { after[i] == 0 } else { after[i] == before[i] }));
    house.stop();
    house.assert_no_trace(object::PLANTED);
}

#[test]
fn without_a_policy_that_parses_nothing_leaves_and_nothing_is_lost() {
    let mut house = House::new();
    house.start();
    house.deposit(ROUTED, &object::ct(1));
    house.wait_until("first released", |house| house.waiting() == 0);
    let path = house.path("policy/templates/zz-broken.toml");
    fs::write(&path, "version = 99\n").unwrap();
    house.wait_until("degraded", |house| house.status().is_some_and(|status| status.state == RunState::Degraded));
    house.deposit(ROUTED, &object::ct(2));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((house.waiting(), house.released().len()), (1, 1), "{}", house.log());
    fs::remove_file(&path).unwrap();
    house.signal(Signal::SIGHUP);
    house.wait_until("second released", |house| house.released().len() == 2);

    // At start it is an error: the service manager says so, and nothing is taken.
    house.stop();
    fs::write(&path, "version = 99\n").unwrap();
    house.deposit(ROUTED, &object::ct(3));
    house.start();
    assert!(!house.wait_for_end().success());
    assert_eq!((house.waiting(), house.released().len()), (1, 2));
}

#[test]
fn a_full_quarantine_takes_nothing_more_and_loses_nothing() {
    let mut house = House::new();
    house.extra = "[quarantine]\nmax-objects = 4\nmax-objects-per-scanner = 3\n".into();
    house.start();
    (0..5).for_each(|number| house.deposit("ELSEWHERE", &object::ct(number)));
    let says = |house: &House| house.status().map(|record| (record.body.deferred_objects, record.body.quarantine_full));
    house.wait_until("scanner's share full", |house| house.waiting() == 2 && says(house) == Some((2, false)));
    // Another scanner, and objects that are safe, still go through.
    house.deposit(ROUTED, &object::ct(10));
    house.wait_until("released", |house| house.waiting() == 2);
    assert_eq!(house.released().len(), 1);
    house.deposit(ROUTED, &object::garbage());
    house.wait_until("full", |house| house.log().contains("quarantine is full: nothing"));
    house.wait_until("full, and says so", |house| says(house).is_some_and(|(_, full)| full));
    house.deposit(ROUTED, &object::ct(11));
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!((house.waiting(), house.released().len()), (3, 1), "{}", house.log());

    house.stop();
    house.extra = String::new();
    house.start();
    house.wait_until("all settled", |house| house.waiting() == 0 && says(house) == Some((0, false)));
    assert_eq!(house.held(), reasons(&[(HoldReason::Unrouted, 5), (HoldReason::Malformed, 1)]));
    assert_eq!(house.released().len(), 2);
}

#[test]
fn no_object_costs_much_memory_however_large_or_crowded() {
    let mut house = House::new();
    house.start();
    let ct = object::ct(1);
    // A CT whose pixel data contradict its rows: held, but copied, hashed, read and encrypted in full.
    let head = &ct.bytes[..ct.bytes.len() - 512 - 4];
    let length: u32 = 400 << 20;
    let mut large = object::Object { bytes: [head, &length.to_le_bytes()].concat(), ..ct.clone() };
    large.bytes.resize(large.bytes.len() + length as usize, 7);
    let peak = peak_during(&mut house, &large);
    println!("400 MiB of pixels: {} MiB resident at most", peak / 1024);
    assert!(peak < 64 * 1024, "{peak} KiB");
    assert_eq!(house.held(), reasons(&[(HoldReason::Inconsistent, 1)]), "{}", house.log());

    // Just within the limit of elements, and just beyond.
    let peak = peak_during(&mut house, &object::crowded(2, 299_000));
    println!("598,000 items and elements: {} MiB resident at most", peak / 1024);
    assert!(peak < 250_000, "{peak} KiB");
    assert_eq!(house.released().len(), 1, "{}", house.log());
    peak_during(&mut house, &object::crowded(3, 301_000));
    assert_eq!(house.held(), reasons(&[(HoldReason::Inconsistent, 1), (HoldReason::LimitExceeded, 1)]));
}

/// The largest resident size of any of the processes while `object` is worked on, KiB.
fn peak_during(house: &mut House, object: &object::Object) -> u64 {
    house.deposit(ROUTED, object);
    let mut peak = 0;
    house.wait_until("settled", |house| {
        let all = house.workers().into_iter().chain([house.pid()]);
        peak = all.filter_map(|pid| peak_kib(pid.as_raw())).max().unwrap_or(0).max(peak);
        house.waiting() == 0
    });
    peak
}

fn peak_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())
}

#[test]
fn it_ends_soon_when_asked_and_refuses_what_cannot_work() {
    let mut house = House::new();
    house.start();
    house.wait_until_ready();
    let asked = std::time::Instant::now();
    assert!(house.stop().success());
    assert!(asked.elapsed() < Duration::from_secs(3));
    assert_eq!(house.status().unwrap().state, RunState::Stopping);

    house.extra = "colour = 1\n".into();
    house.start();
    assert!(!house.wait_for_end().success());
    assert!(house.log().contains("deid.toml:"), "file and line: {}", house.log());
    house.extra = String::new();
    let key = house.path("credentials/site-key");
    fs::remove_file(&key).unwrap();
    let mut file = fs::File::create(&key).unwrap();
    writeln!(file, "version = 1\nkey = \"abc\"").unwrap();
    house.start();
    assert!(!house.wait_for_end().success());
}

#[test]
fn what_a_compromised_receiver_posts_neither_fills_the_disk_nor_stops_the_rest() {
    let mut house = House::new();
    let inbox = house.path("intake/inbox");
    let secret = house.path("not-an-item");
    fs::write(&secret, b"another file").unwrap();
    // A sparse file costs nothing to post, and more than the disk to copy.
    let sparse = fs::File::create_new(inbox.join("1".repeat(32))).unwrap();
    (&sparse).write_all(b"GIFTitm1\0\0\0\0").unwrap();
    sparse.set_len(1 << 43).unwrap();
    std::os::unix::fs::symlink(&secret, inbox.join("2".repeat(32))).unwrap();
    nix::unistd::mkfifo(&inbox.join("3".repeat(32)), nix::sys::stat::Mode::S_IRWXU).unwrap();
    house.start();
    house.deposit(ROUTED, &object::ct(1));
    house.wait_until("all but the sparse one settled", |house| house.waiting() == 1 && house.released().len() == 1);
    house.wait_until("the sparse one waits", |house| house.log().contains("tried again later"));
    assert!(inbox.join("1".repeat(32)).exists());
    assert_eq!(house.held(), BTreeMap::new(), "{}", house.log());
    assert_eq!(fs::read(&secret).unwrap(), b"another file");
    assert!(house.stop().success());
}
