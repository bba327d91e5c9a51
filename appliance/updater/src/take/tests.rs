//! Real signatures, a real drop, and an installer that keeps what it was given.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use gift_spool::Depositor;
use gift_wire::{Sha256Hex, UpdatePart, WIRE_VERSION};
use minisign::KeyPair;
use sha2::{Digest as _, Sha256};

use super::*;

const RUNNING: &str = "1.0.0";
const PARTS: [&[u8]; 3] = [b"root", b"hashes", b"kernel"];

struct Bench {
    directory: tempfile::TempDir,
    pair: KeyPair,
    drop: Depositor,
}

fn sha(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::parse(&hex::encode(Sha256::digest(bytes))).unwrap()
}

fn update(serial: u64) -> Update {
    let part = |at: usize, size| UpdatePart { length: PARTS[at].len() as u64, size, sha256: sha(PARTS[at]) };
    Update {
        version: WIRE_VERSION,
        serial,
        image: ImageVersion::parse("1.1.0").unwrap(),
        created: "2026-01-01".into(),
        expires: "9999-12-31".into(),
        root_hash: Sha256Hex::parse(&format!("{}{}", "0123456789abcdef".repeat(2), "fedcba9876543210".repeat(2)))
            .unwrap(),
        root: part(0, 4096),
        verity: part(1, 512),
        codecs: None,
        kernel: part(2, PARTS[2].len() as u64),
        archive: sha(&PARTS.concat()),
    }
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["house", "status", "status/updater", "staging", "inbox"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        fs::write(directory.path().join("trust"), format!("# test\n{}\n", pair.pk.to_base64())).unwrap();
        let drop = Depositor::open(&directory.path().join("staging"), &directory.path().join("inbox")).unwrap();
        let bench = Self { directory, pair, drop };
        bench.installer("cp -r \"$(dirname \"$0\")/house/source\" \"$(dirname \"$0\")/written-$3\"");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn installer(&self, script: &str) {
        let path = self.path("installer");
        fs::write(&path, format!("#!/bin/sh -e\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn house(&self) -> House {
        let mut house = House::open(&self.path("house"), &self.path("status"), &self.path("status")).unwrap();
        house.running = ImageVersion::parse(RUNNING);
        house
    }

    fn signed_by(&self, pair: &KeyPair, update: &Update) -> Vec<u8> {
        let mut signed = SignedUpdate { update: serde_json::to_string(update).unwrap(), signature: String::new() };
        let bytes = std::io::Cursor::new(signed.signed_bytes());
        signed.signature = minisign::sign(Some(&pair.pk), &pair.sk, bytes, None, None).unwrap().into_string();
        serde_json::to_vec(&signed).unwrap()
    }

    fn post(&self, update: &Update) {
        self.drop.deposit(&self.signed_by(&self.pair, update), &PARTS.concat()).unwrap();
    }

    /// One round, as another process would make it.
    fn take(&self) -> Record {
        let options = Options {
            inbox: self.path("inbox"),
            writer: User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name,
            trust: self.path("trust"),
            installer: self.path("installer"),
            restart: self.path("restart"),
            patience: 0,
        };
        take(&self.house(), &options).unwrap();
        Record::load(&self.path("house/record.json")).unwrap()
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.path("inbox")).unwrap().count()
    }
}

fn names(directory: &Path) -> Vec<(String, u64)> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .collect();
    names.sort();
    names
}

#[test]
fn what_a_trusted_key_signed_is_written_by_its_names_and_the_box_starts_again() {
    let bench = Bench::new();
    assert_eq!(bench.take(), Record::default());
    bench.post(&update(5));
    let record = bench.take();
    assert_eq!((record.serial, record.state, record.refusal), (5, UpdateState::Installed, None));
    let expected = [
        ("gift-edge_1.1.0.efi".to_owned(), 6),
        ("gift-edge_1.1.0_01234567-89ab-cdef-0123-456789abcdef.root.raw".to_owned(), 4096),
        ("gift-edge_1.1.0_fedcba98-7654-3210-fedc-ba9876543210.verity.raw".to_owned(), 512),
    ];
    assert_eq!(names(&bench.path("written-1.1.0")), expected);
    let root = fs::read(bench.path("written-1.1.0").join(&expected[1].0)).unwrap();
    assert!(root.starts_with(PARTS[0]) && root[4..].iter().all(|byte| *byte == 0));
    assert!(bench.path("restart").exists());
    assert_eq!((bench.waiting(), names(&bench.path("house")).len()), (0, 2), "record and set-aside are left");
}

#[test]
fn the_extension_is_written_before_what_makes_the_version_one_that_can_be_booted() {
    let bench = Bench::new();
    let (log, parts) = (bench.path("log"), [b"root".as_slice(), b"hashes", b"codecs", b"kernel"]);
    let codecs = UpdatePart { length: 6, size: 8192, sha256: sha(b"codecs") };
    let with = |serial, image: &str| Update {
        image: ImageVersion::parse(image).unwrap(),
        codecs: Some(codecs.clone()),
        archive: sha(&parts.concat()),
        ..update(serial)
    };
    let post =
        |update: &Update| drop(bench.drop.deposit(&bench.signed_by(&bench.pair, update), &parts.concat()).unwrap());
    let source = "\"$(dirname \"$0\")/house/source\"";
    bench.installer(&format!("echo \"$@\" >>{}; stat -c %s {source}/gift-codecs_$3.raw", log.display()));
    post(&with(5, "1.1.0"));
    assert_eq!(bench.take().state, UpdateState::Installed);
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said, "--verify=no update 1.1.0 --component=codecs\n--verify=no update 1.1.0\n");
    // Where it cannot be written, nothing else is.
    bench.house().remember(Record { state: UpdateState::Confirmed, ..bench.house().record() }).unwrap();
    bench.installer(&format!("echo \"$@\" >>{}; exit 1", log.display()));
    post(&with(6, "1.2.0"));
    assert_eq!(bench.take().state, UpdateState::Failed);
    assert_eq!(fs::read_to_string(&log).unwrap(), said + "--verify=no update 1.2.0 --component=codecs\n");
}

#[test]
fn what_must_not_be_believed_is_refused_with_its_reason_and_erased() {
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap();
    let bench = Bench::new();
    bench.house().remember(Record { serial: 4, ..Record::default() }).unwrap();
    let body = PARTS.concat();
    let post = |meta: &[u8], body: &[u8]| drop(bench.drop.deposit(meta, body).unwrap());
    let with = |change: &dyn Fn(&mut Update)| {
        let mut update = update(5);
        change(&mut update);
        bench.signed_by(&bench.pair, &update)
    };
    let mut altered = with(&|_| {});
    let at = altered.windows(5).position(|w| w == b"1.1.0").unwrap();
    altered[at] = b'2';
    // A signature that this key made for a text without the context (of a provisioning, of a policy bundle).
    let text = serde_json::to_string(&update(5)).unwrap();
    let signature =
        minisign::sign(None, &bench.pair.sk, std::io::Cursor::new(&text), None, None).unwrap().into_string();
    let elsewhere = serde_json::to_vec(&SignedUpdate { update: text, signature }).unwrap();
    let version = |text: &str| ImageVersion::parse(text).unwrap();
    let mut flipped = body.clone();
    flipped[1] ^= 1;
    let cases: [(Vec<u8>, &[u8], UpdateRefusal); 12] = [
        (b"{}".to_vec(), &body, UpdateRefusal::Form),
        (bench.signed_by(&stranger, &update(5)), &body, UpdateRefusal::Signature),
        (altered, &body, UpdateRefusal::Signature),
        (elsewhere, &body, UpdateRefusal::Signature),
        (with(&|u| u.version = 9), &body, UpdateRefusal::Form),
        (with(&|u| u.serial = 3), &body, UpdateRefusal::Serial),
        (with(&|u| u.image = version(RUNNING)), &body, UpdateRefusal::Version),
        (with(&|u| u.image = version("0.9.9")), &body, UpdateRefusal::Version),
        (with(&|u| u.expires = "2026-01-02".into()), &body, UpdateRefusal::Expired),
        (with(&|_| {}), &flipped, UpdateRefusal::Content),
        (with(&|_| {}), &body[1..], UpdateRefusal::Content),
        (with(&|u| u.kernel.sha256 = sha(b"x")), &body, UpdateRefusal::Content),
    ];
    for (at, (meta, body, refusal)) in cases.iter().enumerate() {
        post(meta, body);
        let record = bench.take();
        assert_eq!((record.refusal, record.serial, record.state), (Some(*refusal), 4, UpdateState::None), "case {at}");
        assert_eq!(bench.waiting(), 0, "case {at}");
    }
    assert!(!bench.path("restart").exists());
    // What is good is still taken, and the refusal forgotten.
    bench.post(&update(5));
    assert_eq!(bench.take().refusal, None);
}

#[test]
fn a_power_cut_while_it_is_written_writes_it_again() {
    let bench = Bench::new();
    bench.post(&update(5));
    // The installer dies with the process, as in a power cut: what was remembered is "installing", the item is still there.
    bench.installer("exit 1");
    let before = fs::read_dir(bench.path("inbox")).unwrap().next().unwrap().unwrap().path();
    let item = fs::read(&before).unwrap();
    assert_eq!(bench.take().state, UpdateState::Failed);
    fs::write(&before, &item).unwrap();
    let record = bench.take();
    assert_eq!((record.state, record.refusal), (UpdateState::Failed, None), "what failed is not tried for ever");
    assert_eq!(bench.waiting(), 0);
    let interrupted = Record { refusal: None, state: UpdateState::Installing, ..bench.house().record() };
    bench.house().remember(interrupted).unwrap();
    fs::write(&before, &item).unwrap();
    fs::write(bench.path("house/archive"), "half").unwrap();
    fs::create_dir(bench.path("house/source")).unwrap();
    bench.installer("cp -r \"$(dirname \"$0\")/house/source\" \"$(dirname \"$0\")/written-$3\"");
    assert_eq!(bench.take().state, UpdateState::Installed);
    assert_eq!(names(&bench.path("written-1.1.0")).len(), 3);
    // Where it is not there any more, it is not said for ever to be on its way; and its version is used up.
    bench.house().remember(Record { state: UpdateState::Installing, ..bench.house().record() }).unwrap();
    assert_eq!(bench.take().state, UpdateState::Failed);
    bench.post(&update(6));
    assert_eq!(bench.take().refusal, Some(UpdateRefusal::Version));
}

#[test]
fn one_that_the_machine_dies_of_each_time_is_not_written_for_ever() {
    let bench = Bench::new();
    for died in 1..=MOST_ATTEMPTS {
        bench.post(&update(5));
        assert_eq!((bench.take().state, bench.waiting()), (UpdateState::Installed, 0), "attempt {died}");
        bench.house().remember(Record { state: UpdateState::Installing, ..bench.house().record() }).unwrap();
    }
    bench.post(&update(5));
    assert_eq!((bench.take().state, bench.waiting()), (UpdateState::Failed, 0));
    // Also one that it never comes to write.
    bench.house().remember(Record { begun: 6, attempts: MOST_ATTEMPTS, ..Record::default() }).unwrap();
    bench.post(&update(6));
    let record = bench.take();
    assert_eq!((record.serial, record.state, bench.waiting()), (6, UpdateState::Failed, 0));
    let mut next = update(7);
    next.image = ImageVersion::parse("1.2.0").unwrap();
    bench.post(&next);
    assert_eq!(bench.take().attempts, 1, "the next one begins anew");
}

#[test]
fn what_is_no_item_does_not_stay_in_the_drop() {
    let bench = Bench::new();
    fs::write(bench.path("inbox/x"), "x").unwrap();
    fs::create_dir(bench.path("inbox/0123456789abcdef0123456789abcdef")).unwrap();
    std::os::unix::fs::symlink("/etc", bench.path("inbox/link")).unwrap();
    bench.post(&update(5));
    assert_eq!(bench.take().state, UpdateState::Installed);
    assert_eq!(bench.waiting(), 0);
}

#[test]
fn while_an_image_is_on_trial_the_slot_of_the_one_before_is_left_alone() {
    let bench = Bench::new();
    bench.house().remember(Record { serial: 4, state: UpdateState::Trying, ..Record::default() }).unwrap();
    bench.post(&update(5));
    assert_eq!(bench.take().state, UpdateState::Trying);
    assert_eq!(bench.waiting(), 1);
    bench.house().remember(Record { serial: 4, state: UpdateState::Confirmed, ..Record::default() }).unwrap();
    assert_eq!(bench.take().state, UpdateState::Installed);
}
