//! The attack that broke real projects (bars-security §2.4): given all output, all code and what the hub stores, but not the
//! keys, try every NHS number and see whose pseudonym it makes.
//!
//! A hundred patients go through the real binary, half by a route of their site alone, half by one of a linkage domain. The
//! hub's database holds what came up with each object, so file and manifest together are all that it can know.
//!
//! All 909 million valid numbers take about a day of one core, so the default run tries each valid number of one slice (`BODIES`: 100,000 numbers
//! without their check digit), which surely holds the hundred. The whole range: `cargo test -p gift-deid --release --test
//! enumeration -- --ignored --nocapture`, or a part of it by `GIFT_ENUMERATION=first..end`.
//!
//! It counts as failure when one patient is recovered, and also when the same attack finds less than all hundred where it must:
//! in pseudonyms made without a key, and in this very output once it is given the keys.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "enumeration/attacker.rs"]
mod attacker;
mod support;

use std::{collections::BTreeSet, ops::Range, process::Command, time::Instant};

use attacker::{Attacker, Targets};
use gift_deid::key::Credential;
use gift_deidentify::pseudonym::{
    Answer, Ask, KeyedPseudonymiser, LinkageKey, NationalNumber, PseudonymKey, Pseudonymise as _, Scheme,
};
use sha1::Sha1;
use sha2::Digest as _;
use support::{House, ROUTED, object};

const PATIENTS: usize = 100;
/// The slice: no number of it is issued.
const BODIES: Range<u64> = 943_400_000..943_500_000;
const LINKED: &str = "GIFTLINK";

/// The valid number with these nine digits before its check digit, when there is one.
fn with_check(body: u64) -> Option<u64> {
    let sum: u64 = (2..=10).map(|weight| body / 10_u64.pow(weight - 2) % 10 * u64::from(weight)).sum();
    let check = (11 - sum % 11) % 11;
    (check < 10).then_some(body * 10 + check)
}

/// A hundred valid numbers, spread over the slice.
fn patients() -> BTreeSet<u64> {
    let step = (BODIES.end - BODIES.start) / PATIENTS as u64;
    BODIES.step_by(usize::try_from(step).unwrap()).filter_map(|from| (from + 37..).find_map(with_check)).collect()
}

fn national(number: u64) -> NationalNumber {
    NationalNumber::parse(Scheme::Nhs, &format!("{number:010}")).unwrap()
}

/// What the box lets out of a hundred patients, and its two secrets.
fn output(patients: &BTreeSet<u64>) -> (Targets, [[u8; 32]; 2]) {
    let mut house = House::new();
    let linkage_key = house.path("credentials/linkage-key");
    assert!(
        Command::new(env!("CARGO_BIN_EXE_gift-deid")).arg("make-key").arg(&linkage_key).status().unwrap().success()
    );
    house.extra = "[[linkage]]\nname = \"uk-fetal\"\n[[linkage.place]]\nscheme = \"nhs\"\nattribute = \"patient-id\"\n\
                   issuers = [\"\"]\n"
        .into();
    house.routes += &house.routes.replace(ROUTED, LINKED);
    house.routes += "linkage = \"uk-fetal\"\n";
    house.start();
    for (number, patient) in (0..).zip(patients) {
        let mut object = object::ct(number);
        let at = object.bytes.windows(10).position(|window| window == b"9434765919").unwrap();
        object.bytes[at..at + 10].copy_from_slice(format!("{patient:010}").as_bytes());
        house.deposit(if number % 2 == 0 { ROUTED } else { LINKED }, &object);
    }
    house.wait_until("everything settled", |house| house.waiting() == 0);
    let released = house.released();
    assert_eq!(released.len(), PATIENTS, "{}", house.log());
    let linked = released.iter().filter(|r| r.manifest.certificate.linkage.is_some()).count();
    assert_eq!(linked, PATIENTS / 2);

    let mut targets = Targets::default();
    for object in &released {
        targets.gather(&serde_json::to_vec(&object.manifest).unwrap());
        targets.gather(&object.file);
    }
    let secret = |name: &str| *Credential::load(&house.path(name)).unwrap().expose_secret();
    (targets, [secret("credentials/site-key"), secret("credentials/linkage-key")])
}

fn candidates(bodies: Range<u64>) -> impl Iterator<Item = u64> {
    bodies.filter_map(with_check)
}

#[test]
fn trying_every_number_of_a_slice_recovers_none_of_a_hundred_patients() {
    let patients = patients();
    assert_eq!((patients.len(), candidates(BODIES).count()), (PATIENTS, 90_909));
    let (targets, secrets) = output(&patients);
    let started = Instant::now();
    let attacker = Attacker::without_the_key();
    let recovered = attacker.recovered(&targets, candidates(BODIES));
    println!(
        "90,909 numbers, {} digests each, {} values of the output: {} recovered in {:.1} s",
        attacker.digests_each(),
        targets.len(),
        recovered.len(),
        started.elapsed().as_secs_f32()
    );
    assert!(recovered.is_empty(), "{} patients recovered", recovered.len());
    // The control: the same attack on the same output, given the keys, finds every one, and nobody else.
    assert_eq!(Attacker::with(&secrets).recovered(&targets, candidates(BODIES)), patients);
}

/// What it must find: pseudonyms of schemes without a secret, each made for all hundred.
#[test]
fn the_same_attack_recovers_every_patient_of_a_scheme_without_a_secret() {
    let patients = patients();
    let digits = |number: &u64| format!("{number:010}");
    let answers = |asks: Vec<Ask>, secret: [u8; 32]| {
        let keys = (PseudonymKey::new(&secret, 1), LinkageKey::new(&secret, 1));
        let mut text = String::new();
        for answer in KeyedPseudonymiser::linked(keys.0, keys.1).answer(&asks).unwrap() {
            let (Answer::Subject(value) | Answer::Text(value) | Answer::Uid(value)) = answer else { panic!() };
            text += &format!("{value}\n");
        }
        text
    };
    let uuid_5 = |number: &u64| {
        let name = [&0x6ba7b812_9dad_11d1_80b4_00c04fd430c8_u128.to_be_bytes(), digits(number).as_bytes()].concat();
        let mut bits: [u8; 16] = *Sha1::digest(&name).first_chunk().unwrap();
        bits[6] = bits[6] & 0x0F | 0x50;
        bits[8] = bits[8] & 0x3F | 0x80;
        format!("2.25.{}\n", u128::from_be_bytes(bits))
    };
    let of_site = |n: &u64| Ask::Subject { issuer: "NHS".into(), id: digits(n) };
    let schemes = [
        (
            "SHA-1 cut to ten digits",
            patients.iter().map(|n| hex::encode(Sha1::digest(digits(n)))[..10].to_owned() + " ").collect(),
        ),
        ("UUID version 5 in a UID", patients.iter().map(uuid_5).collect()),
        ("this product, with an all-zero key", answers(patients.iter().map(of_site).collect(), [0; 32])),
        (
            "this product's linkage, with an all-zero key",
            answers(patients.iter().map(|n| Ask::LinkedSubject(national(*n))).collect(), [0; 32]),
        ),
    ];
    let attacker = Attacker::without_the_key();
    for (scheme, output) in schemes {
        let output: String = output;
        let mut targets = Targets::default();
        targets.gather(output.as_bytes());
        // A tenth of the slice is enough to see that it works, and that it finds those and no others.
        let tenth = BODIES.start..BODIES.start + (BODIES.end - BODIES.start) / 10;
        let planted: BTreeSet<u64> = patients.iter().copied().filter(|n| tenth.contains(&(n / 10))).collect();
        assert!(planted.len() >= 9);
        assert_eq!(attacker.recovered(&targets, candidates(tenth)), planted, "{scheme}");
        let all: BTreeSet<u64> = attacker.recovered(&targets, patients.iter().copied());
        assert_eq!(all, patients, "{scheme}");
    }
}

#[test]
#[ignore = "a day of one core: all 909 million valid NHS numbers"]
fn trying_all_valid_numbers_recovers_none_of_a_hundred_patients() {
    let bodies: Range<u64> = std::env::var("GIFT_ENUMERATION").ok().map_or(0..1_000_000_000_u64, |text| {
        let (first, end) = text.split_once("..").unwrap();
        first.parse().unwrap()..end.parse().unwrap()
    });
    let (targets, _) = output(&patients());
    let attacker = Attacker::without_the_key();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let share = (bodies.end - bodies.start).div_ceil(threads).max(1);
    let recovered: usize = std::thread::scope(|scope| {
        let work = |n: u64| {
            let part = bodies.start + n * share..(bodies.start + (n + 1) * share).min(bodies.end);
            let (attacker, targets) = (&attacker, &targets);
            scope.spawn(move || {
                let mut recovered = 0;
                for from in part.clone().step_by(1_000_000) {
                    let million = from..(from + 1_000_000).min(part.end);
                    recovered += attacker.recovered(targets, candidates(million.clone())).len();
                    println!("{million:?}: {recovered} recovered");
                }
                recovered
            })
        };
        (0..threads).map(work).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(recovered, 0);
}
