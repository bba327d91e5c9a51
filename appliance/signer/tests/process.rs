//! The `gift-signer` binary with a software TPM. What counts as failure: a second key, a key that is of use without its TPM, an
//! answer to anybody but the client, a signer that a client stops.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    process::Command,
    time::Duration,
};

use gift_signer::{ClientError, Failure};
use sha2::{Digest as _, Sha256};
use support::{PATIENCE, Signer, SwTpm, has_swtpm, verifies};

const TEXT: &[u8] = b"what is to be signed";

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn signer() -> Signer {
    Signer::new(Path::new(env!("CARGO_BIN_EXE_gift-signer")))
}

fn failure<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Failure {
    match result {
        Err(ClientError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_key_is_made_once_and_signs_whatever_restarts() {
    if !has_swtpm() {
        return;
    }
    let (mut tpm, mut signer) = (SwTpm::new(), signer());
    signer.start(&tpm.name());
    assert_eq!(fs::read_dir(signer.path("house")).unwrap().count(), 0, "nothing is made before it is asked for");
    let key = signer.client().public_key().unwrap();
    let check = |signer: &Signer| {
        assert_eq!(signer.client().public_key().unwrap(), key);
        let signature = signer.client().sign(digest(TEXT)).unwrap();
        assert!(verifies(&key, TEXT, &signature));
        assert!(!verifies(&key, b"another text", &signature));
    };
    // Numbers of every length: leading zeros, and ones that look negative.
    for _ in 0..100 {
        check(&signer);
    }
    let stored = fs::read(signer.path("house/key")).unwrap();
    assert_eq!(fs::metadata(signer.path("house/key")).unwrap().permissions().mode() & 0o777, 0o600);

    // The signer ends; the TPM stays.
    signer.kill();
    tpm.flush();
    signer.start(&tpm.name());
    check(&signer);
    // All is without power.
    signer.kill();
    tpm.power_cut();
    tpm.power_on();
    signer.start(&tpm.name());
    check(&signer);
    assert_eq!(fs::read(signer.path("house/key")).unwrap(), stored);
    assert_eq!(signer.log().matches("device key made").count(), 1, "{}", signer.log());
    assert_eq!(fs::read_dir(signer.path("house")).unwrap().count(), 1);
}

#[test]
fn a_tpm_that_loses_the_key_gets_it_again() {
    if !has_swtpm() {
        return;
    }
    let (mut tpm, mut signer) = (SwTpm::new(), signer());
    let name = tpm.name();
    signer.start(&name);
    let key = signer.client().public_key().unwrap();
    tpm.power_cut();
    assert_eq!(failure(signer.client().sign(digest(TEXT))), Failure::Tpm);
    tpm.power_on();
    assert_eq!(tpm.name(), name);
    assert!(signer.lives());
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
}

#[test]
fn a_tpm_in_lockout_signs() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    let run = |words: &[&str], succeeds: bool| {
        let (done, told) = tpm.tool(words);
        assert_eq!(done, succeeds, "{words:?}: {told}");
        told
    };
    run(
        &[
            "tpm2_dictionarylockout",
            "--setup-parameters",
            "--max-tries=1",
            "--recovery-time=86400",
            "--lockout-recovery-time=86400",
        ],
        true,
    );
    // A key that the TPM protects against guessing, and a wrong guess.
    run(
        &[
            "tpm2_createprimary",
            "-C",
            "o",
            "-g",
            "sha256",
            "-G",
            "ecc",
            "-p",
            "secret",
            "-c",
            "guarded.ctx",
            "-a",
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt",
        ],
        true,
    );
    tpm.flush();
    run(
        &["tpm2_create", "-C", "guarded.ctx", "-P", "wrong", "-G", "ecc", "-u", "child.pub", "-r", "child.priv"],
        false,
    );
    tpm.flush();
    let told = run(
        &["tpm2_create", "-C", "guarded.ctx", "-P", "secret", "-G", "ecc", "-u", "child.pub", "-r", "child.priv"],
        false,
    );
    assert!(told.contains("0x921"), "TPM_RC_LOCKOUT is expected: {told}");
    tpm.flush();

    signer.start(&tpm.name());
    let key = signer.client().public_key().unwrap();
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
}

#[test]
fn a_damaged_key_is_an_error_for_ever_and_never_a_new_key() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    signer.start(&tpm.name());
    let key = signer.client().public_key().unwrap();
    let path = signer.path("house/key");
    let stored = fs::read(&path).unwrap();
    let mut damages: Vec<Vec<u8>> = vec![Vec::new(), stored[..stored.len() / 2].to_vec(), vec![0; stored.len()]];
    for at in (0..stored.len()).step_by(7) {
        let mut flipped = stored.clone();
        flipped[at] ^= 1;
        damages.push(flipped);
    }
    for damage in &damages {
        signer.kill();
        tpm.flush();
        fs::write(&path, damage).unwrap();
        signer.start(&tpm.name());
        assert_eq!(failure(signer.client().public_key()), Failure::Key);
        assert_eq!(failure(signer.client().sign(digest(TEXT))), Failure::Key);
        assert_eq!(&fs::read(&path).unwrap(), damage, "left for who looks into it");
    }
    // It was the damage; the same process goes on once the file is whole.
    fs::write(&path, &stored).unwrap();
    assert_eq!(signer.client().public_key().unwrap(), key);
    assert_eq!(signer.log().matches("device key made").count(), 1);
}

#[test]
fn the_key_is_of_no_use_without_its_tpm() {
    if !has_swtpm() {
        return;
    }
    let (tpm, thief, mut signer) = (SwTpm::new(), SwTpm::new(), signer());
    signer.start(&tpm.name());
    let key = signer.client().public_key().unwrap();
    signer.kill();
    let stored = fs::read(signer.path("house/key")).unwrap();

    // The same file and the same program, another TPM.
    signer.start(&thief.name());
    assert_eq!(failure(signer.client().public_key()), Failure::Key);
    assert_eq!(failure(signer.client().sign(digest(TEXT))), Failure::Key);
    signer.kill();
    assert_eq!(fs::read(signer.path("house/key")).unwrap(), stored);

    // Nor is it there in the clear: no 32 bytes of the file are the private number of this public key.
    for window in stored.windows(32) {
        let pair = ring::signature::EcdsaKeyPair::from_private_key_and_public_key(
            &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            window,
            key.point(),
            &ring::rand::SystemRandom::new(),
        );
        assert!(pair.is_err());
    }

    // Its own TPM does not give it away either: it is fixed to TPM and parent.
    let (public, private) = parts(&stored);
    let house = |name: &str| signer.path(name).display().to_string();
    fs::write(house("key.pub"), sized(public)).unwrap();
    fs::write(house("key.priv"), sized(private)).unwrap();
    // TPMS_ECC_POINT with zeros, as the tool reads it from a file.
    let zeros = [&[32, 0][..], &[0; 128]].concat();
    fs::write(house("unique"), [&zeros[..], &zeros].concat()).unwrap();
    let (context, policy, unique) = (house("primary.ctx"), house("policy"), house("unique"));
    let run = |words: &[&str], succeeds: bool| {
        let (done, told) = tpm.tool(words);
        assert_eq!(done, succeeds, "{words:?}: {told}");
        told
    };
    tpm.flush();
    run(
        &[
            "tpm2_createprimary",
            "-C",
            "o",
            "-g",
            "sha256",
            "-G",
            "ecc",
            "-u",
            &unique,
            "-c",
            &context,
            "-a",
            "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
        ],
        true,
    );
    tpm.flush();
    run(
        &["tpm2_load", "-C", &context, "-u", &house("key.pub"), "-r", &house("key.priv"), "-c", &house("key.ctx")],
        true,
    );
    tpm.flush();
    run(&["tpm2_startauthsession", "--policy-session", "-S", &house("session")], true);
    run(&["tpm2_policycommandcode", "-S", &house("session"), "-L", &policy, "TPM2_CC_Duplicate"], true);
    let told = run(
        &[
            "tpm2_duplicate",
            "-C",
            "null",
            "-c",
            &house("key.ctx"),
            "-G",
            "null",
            "-p",
            &format!("session:{}", house("session")),
            "-r",
            &house("out.priv"),
            "-s",
            &house("out.seed"),
        ],
        false,
    );
    assert!(told.contains("0x99D"), "TPM_RC_POLICY_FAIL is expected: {told}");
    assert!(!Path::new(&house("out.priv")).exists());
}

/// The two parts of a stored key.
fn parts(stored: &[u8]) -> (&[u8], &[u8]) {
    let rest = stored.strip_prefix(b"GIFTKEY1").unwrap();
    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    (&rest[2..2 + length], &rest[4 + length..])
}

/// As tpm2-tools want it: with its length before it.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

#[test]
fn what_is_no_request_gets_nothing_and_harms_nothing() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    signer.start(&tpm.name());
    let refused = [1, 255, 0, 1, Failure::Request as u8];
    for frame in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[1, 9, 0, 0],
        &[1, 2, 0, 31],
        &[1, 1, 0, 1, 7],
        &[1, 2, 0xff, 0xff],
        &[0; 65_536],
    ] {
        let answer = signer.raw(frame);
        // The kernel drops an answer where bytes of the request were left unread.
        assert!(answer == refused || answer.is_empty(), "{frame:?}: {answer:?}");
    }
    let mut noise = vec![0_u8; 200];
    for _ in 0..200 {
        getrandom::fill(&mut noise).unwrap();
        noise[0] = noise[0] % 2 + 1;
        let answer = signer.raw(&noise);
        assert!(answer.is_empty() || answer == refused, "{answer:?}");
    }
    assert!(signer.lives());
    let key = signer.client().public_key().unwrap();
    // A whole request, cut anywhere: its client is gone, and nothing was signed.
    let mut request = vec![1, 2, 0, 32];
    request.extend(digest(TEXT));
    for cut in 0..request.len() {
        let mut stream = UnixStream::connect(signer.socket()).unwrap();
        stream.write_all(&request[..cut]).unwrap();
    }
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
}

#[test]
fn clients_that_stall_hold_nobody_up_for_long() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    signer.start(&tpm.name());
    let key = signer.client().public_key().unwrap();
    let stalled: Vec<UnixStream> = (0..5).map(|_| UnixStream::connect(signer.socket()).unwrap()).collect();
    for mut stream in &stalled {
        stream.write_all(&[1, 2, 0]).unwrap();
    }
    // One that asks, and does not take the answer.
    let mut deaf = UnixStream::connect(signer.socket()).unwrap();
    deaf.write_all(&[1, 1, 0, 0]).unwrap();
    let began = std::time::Instant::now();
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn another_user_gets_nothing() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    // The client is somebody else, so that we are the other user: root, in CI, whom no mode of a file keeps out.
    let other = nix::unistd::getuid().as_raw() + 1;
    signer.start_for(other, &tpm.name());
    let mut request = vec![1, 2, 0, 32];
    request.extend(digest(TEXT));
    for asked in [&[1, 1, 0, 0][..], &request, &[]] {
        assert_eq!(signer.raw(asked), b"");
    }
    assert!(matches!(signer.client().public_key(), Err(ClientError::Silent(_))));
    assert!(signer.log().contains("another user"), "{}", signer.log());
    assert_eq!(fs::read_dir(signer.path("house")).unwrap().count(), 0, "nor is a key made for them");
}

#[test]
fn without_a_tpm_there_is_an_answer_and_no_key() {
    let mut signer = signer();
    signer.start("device:/dev/no-tpm-here");
    assert_eq!(failure(signer.client().public_key()), Failure::Tpm);
    assert_eq!(failure(signer.client().sign(digest(TEXT))), Failure::Tpm);
    assert!(signer.lives());
    assert_eq!(fs::read_dir(signer.path("house")).unwrap().count(), 0);
}

#[test]
fn a_house_that_cannot_be_written_yields_no_key() {
    if !has_swtpm() {
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    fs::remove_dir(signer.path("house")).unwrap();
    signer.start(&tpm.name());
    assert_eq!(failure(signer.client().public_key()), Failure::Store);
    fs::create_dir(signer.path("house")).unwrap();
    // What an earlier power cut left of a write.
    fs::write(signer.path("house/key.part"), "half").unwrap();
    let key = signer.client().public_key().unwrap();
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
}

#[test]
fn the_service_manager_may_hand_the_socket_over() {
    if !has_swtpm() || Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        println!("skipped: no systemd-socket-activate");
        return;
    }
    let (tpm, mut signer) = (SwTpm::new(), signer());
    let mut command: Vec<std::ffi::OsString> =
        vec!["systemd-socket-activate".into(), "-l".into(), signer.socket().into()];
    command.extend(signer.command(nix::unistd::getuid().as_raw(), &tpm.name()));
    signer.run(&command);
    // It is there a moment before anybody listens at it.
    let began = std::time::Instant::now();
    while UnixStream::connect(signer.socket()).is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens");
        std::thread::sleep(Duration::from_millis(20));
    }
    let key = signer.client().public_key().unwrap();
    assert!(verifies(&key, TEXT, &signer.client().sign(digest(TEXT)).unwrap()));
}
