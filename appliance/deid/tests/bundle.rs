//! Signed policy bundles against the real binary: what teaches it, what it refuses, what a restart and a kill leave of it.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Cursor,
    time::Duration,
};

use gift_spool::Depositor;
use gift_status::HoldReason;
use gift_wire::{Bundle, SignedBundle, WIRE_VERSION};
use minisign::KeyPair;
use support::{House, ROUTED, object};

/// The demo's template of the scanner of [`object::voluson`], and what a bundle calls it.
const TEMPLATE: &str = include_str!("../../../config/templates/demo/ge-voluson-e10.toml");
const NAME: &str = "templates/site/ge-voluson-e10";

/// A house that knows no template of that scanner, and the signer it trusts.
struct Taught {
    house: House,
    signer: KeyPair,
    drop: Depositor,
}

impl Taught {
    fn new() -> Self {
        let mut house = House::new();
        fs::remove_file(house.path("policy/templates/demo/ge-voluson-e10.toml")).unwrap();
        for name in ["policy-drop/staging", "policy-drop/inbox"] {
            fs::create_dir_all(house.path(name)).unwrap();
        }
        let signer = KeyPair::generate_unencrypted_keypair().unwrap();
        house.extra = format!(
            "[bundles]\ninbox = \"{}\"\nwriters = [{}]\nkeys = [\"{}\"]\n",
            house.path("policy-drop/inbox").display(),
            nix::unistd::getuid(),
            signer.pk.to_base64()
        );
        let drop = Depositor::open(&house.path("policy-drop/staging"), &house.path("policy-drop/inbox")).unwrap();
        Self { house, signer, drop }
    }

    fn post(&self, bytes: &[u8]) {
        self.drop.deposit(b"{}", bytes).unwrap();
    }

    fn wait_until_taken(&mut self) {
        let inbox = self.house.path("policy-drop/inbox");
        self.house.wait_until("bundles taken", |_| fs::read_dir(&inbox).unwrap().count() == 0);
    }

    /// Serial in force, and bundles refused so far.
    fn wait_for(&mut self, serial: u64, refused: u64) {
        self.house.wait_until("policy", |house| {
            let is = |status: gift_status::DeidStatus| (status.policy_serial, status.bundles_refused_total);
            house.status().is_some_and(|status| is(status.body) == (serial, refused))
        });
    }
}

fn bundle(serial: u64, texts: &[(&str, &str)]) -> Bundle {
    Bundle {
        version: WIRE_VERSION,
        serial,
        created: "2026-01-01".into(),
        expires: "2999-12-31".into(),
        texts: texts.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect(),
        withdrawn: BTreeSet::new(),
    }
}

fn signed(bundle: &Bundle, by: &KeyPair) -> Vec<u8> {
    let bundle = serde_json::to_string(bundle).unwrap();
    let signature = minisign::sign(None, &by.sk, Cursor::new(&bundle), None, None).unwrap().into_string();
    serde_json::to_vec(&SignedBundle { bundle, signature }).unwrap()
}

fn no_template(count: u64) -> BTreeMap<String, u64> {
    [(HoldReason::NoTemplate.as_str().to_owned(), count)].into()
}

#[test]
fn a_signed_bundle_releases_what_was_held_and_a_later_one_withdraws_it() {
    let mut taught = Taught::new();
    taught.house.start();
    taught.house.deposit(ROUTED, &object::voluson(1, 2));
    taught.house.wait_until("held", |house| house.waiting() == 0);
    assert_eq!(taught.house.held(), no_template(1), "{}", taught.house.log());

    taught.post(&signed(&bundle(7, &[(NAME, TEMPLATE)]), &taught.signer));
    taught.house.wait_until("released", |house| house.released().len() == 1);
    taught.wait_for(7, 0);
    let released = taught.house.released().remove(0);
    assert_eq!(released.manifest.certificate.template.as_deref(), Some(object::VOLUSON_TEMPLATE));

    // It is there after a restart, and posting it again is no offence.
    assert!(taught.house.stop().success());
    taught.house.start();
    taught.house.deposit(ROUTED, &object::voluson(2, 1));
    taught.house.wait_until("second released", |house| house.released().len() == 2);
    taught.post(&signed(&bundle(7, &[(NAME, TEMPLATE)]), &taught.signer));
    taught.wait_until_taken();
    taught.wait_for(7, 0);

    // A newer bundle replaces the older one whole, and takes back what the image brings.
    let mut without = bundle(8, &[]);
    without.withdrawn = ["templates/demo/ge-v830".to_owned()].into();
    taught.post(&signed(&without, &taught.signer));
    taught.wait_for(8, 0);
    taught.house.deposit(ROUTED, &object::voluson(3, 1));
    taught.house.wait_until("third held", |house| house.held() == no_template(1));
    taught.house.stop();
    taught.house.assert_no_trace(object::PLANTED);
}

#[test]
fn what_is_unsigned_altered_expired_older_or_broken_is_refused_and_what_is_in_force_stays() {
    let mut taught = Taught::new();
    taught.house.start();
    taught.post(&signed(&bundle(5, &[(NAME, TEMPLATE)]), &taught.signer));
    taught.wait_for(5, 0);

    let good = bundle(6, &[]);
    let by_nobody = signed(&good, &KeyPair::generate_unencrypted_keypair().unwrap());
    let mut altered: SignedBundle = serde_json::from_slice(&signed(&good, &taught.signer)).unwrap();
    altered.bundle = altered.bundle.replace("2999", "2998");
    let expired = Bundle { expires: "2026-01-02".into(), ..good.clone() };
    let other_of_the_same_serial = bundle(5, &[]);
    let broken = bundle(6, &[(NAME, "version = 99")]);
    let no_profile = Bundle { withdrawn: ["profiles/gift-default".to_owned()].into(), ..good.clone() };
    let outside = bundle(6, &[("ps3.15/table_E.1-1_2026c", "")]);
    let mut refused = 0;
    for bytes in [
        by_nobody,
        serde_json::to_vec(&altered).unwrap(),
        signed(&expired, &taught.signer),
        signed(&bundle(4, &[]), &taught.signer),
        signed(&other_of_the_same_serial, &taught.signer),
        signed(&broken, &taught.signer),
        signed(&no_profile, &taught.signer),
        signed(&outside, &taught.signer),
        b"{}".to_vec(),
        vec![b'x'; gift_wire::MAX_BUNDLE_BYTES + 1],
        Vec::new(),
    ] {
        taught.post(&bytes);
        refused += 1;
        taught.wait_for(5, refused);
    }
    // An item that the drop itself finds damaged.
    let name = "0123456789abcdef0123456789abcdef";
    fs::write(taught.house.path("policy-drop/inbox").join(name), b"GIFTitm1 torn").unwrap();
    taught.wait_for(5, refused + 1);
    taught.wait_until_taken();
    taught.house.deposit(ROUTED, &object::voluson(1, 1));
    taught.house.wait_until("released under the old one", |house| house.released().len() == 1);

    // Who changes the kept bundle gets no policy from it, and none without it either: what was withdrawn must not come back.
    assert!(taught.house.stop().success());
    let kept = taught.house.path("deid/policy/bundle.json");
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("2999", "2998")).unwrap();
    taught.house.start();
    taught.house.deposit(ROUTED, &object::ct(1));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((taught.house.waiting(), taught.house.released().len()), (1, 1), "{}", taught.house.log());
    // A good one mends it without a visit.
    taught.post(&signed(&bundle(6, &[(NAME, TEMPLATE)]), &taught.signer));
    taught.house.wait_until("taken again", |house| house.waiting() == 0 && house.released().len() == 2);
}

#[test]
fn killed_while_it_judges_again_nothing_is_lost_and_nothing_is_held_twice() {
    const OBJECTS: u32 = 60;
    let mut taught = Taught::new();
    taught.house.start();
    for number in 0..OBJECTS {
        taught.house.deposit(ROUTED, &object::voluson(number, 1));
    }
    taught.house.wait_until("all held", |house| house.waiting() == 0);
    assert_eq!(taught.house.held(), no_template(u64::from(OBJECTS)), "{}", taught.house.log());

    taught.post(&signed(&bundle(1, &[(NAME, TEMPLATE)]), &taught.signer));
    let mut in_between = 0;
    for kill in 0..8 {
        // Names alone: reading what is there takes longer than deid takes for an object.
        let released = |taught: &Taught| fs::read_dir(taught.house.path("release/outbox")).unwrap().count();
        let before = released(&taught);
        // Some kills right at the start, some in the middle of the replay.
        let patience = Duration::from_secs(3);
        let started = std::time::Instant::now();
        while released(&taught) < before + 2 * (kill % 3) && started.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        let held: u64 = taught.house.held().values().sum();
        in_between += usize::from(held > 0 && held < u64::from(OBJECTS));
        taught.house.kill();
        taught.house.start();
        taught.house.wait_until_ready();
    }
    taught.house.wait_until("all released", |house| house.held().is_empty());
    assert!(taught.house.stop().success());
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for object in taught.house.released() {
        let known = seen.insert(object.manifest.sop_instance_uid.clone(), object.file.clone());
        assert!(known.is_none_or(|file| file == object.file), "a repeat differs");
    }
    println!("8 kills, {in_between} in the middle of the replay");
    assert_eq!(seen.len(), OBJECTS as usize);
    assert!(in_between >= 2, "the kills hit nothing");
    taught.house.assert_no_trace(object::PLANTED);
}
