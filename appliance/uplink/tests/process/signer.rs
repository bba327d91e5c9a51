//! With the device key in a TPM: the real signer, a software TPM, and mutual TLS with a key that no file of the box holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use gift_status::EnrolmentState;

use super::{
    hub::TestHub,
    rig::Rig,
    signer_support::{Signer, SwTpm, has_swtpm},
};

/// The signer's program: beside the uplink's, where `cargo xtask test` has built both.
#[allow(clippy::print_stdout, reason = "says that it is skipped")]
fn signer() -> Option<Signer> {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_gift-uplink")).with_file_name("gift-signer");
    let built = std::env::var_os("GIFT_BIN_DIR").map(|directory| Path::new(&directory).join("gift-signer"));
    let found = built.into_iter().chain([beside]).find(|program| program.exists());
    assert!(found.is_some() || std::env::var_os("GIFT_PEERS_REQUIRED").is_none(), "gift-signer is required here");
    if found.is_none() {
        println!("skipped: cargo build -p gift-signer");
    }
    found.filter(|_| has_swtpm()).map(|program| Signer::new(&program))
}

fn rig(hub: &TestHub, signer: &Signer) -> Rig {
    Rig::new(hub, &format!("signer = {:?}", signer.socket()))
}

fn no_key_in_a_file(rig: &Rig) {
    let names = rig.names("uplink/identity");
    assert!(names.iter().all(|name| ["certificate.pem", "spent-token.sha256"].contains(&name.as_str())), "{names:?}");
    for name in names {
        let text = fs::read_to_string(rig.path("uplink/identity").join(name)).unwrap();
        assert!(!text.contains("PRIVATE KEY"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_enrols_and_uploads_with_a_key_that_no_file_holds() {
    let Some(mut signer) = signer() else { return };
    let (hub, tpm) = (TestHub::sound().await, SwTpm::new());
    signer.start(&tpm.name());
    let mut rig = rig(&hub, &signer);
    rig.post(100);
    rig.post(300_000);
    rig.start();
    rig.until_drained(&hub, 2).await;
    no_key_in_a_file(&rig);
    let enrolled = hub.shared.token.lock().unwrap().1.clone().unwrap();
    assert_eq!(enrolled, signer.client().public_key().unwrap().der(), "the certificate is for the TPM's key");
    rig.terminate();

    // Both start anew: the same key, the same certificate.
    signer.kill();
    tpm.flush();
    signer.start(&tpm.name());
    rig.start();
    rig.post(100);
    rig.until_drained(&hub, 3).await;
    assert_eq!(hub.state().enrolments, 1);
    no_key_in_a_file(&rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_signer_a_box_waits_and_makes_no_key_of_its_own() {
    let Some(mut signer) = signer() else { return };
    let (hub, tpm) = (TestHub::sound().await, SwTpm::new());
    let mut rig = rig(&hub, &signer);
    rig.post(100);
    rig.start();
    rig.until("attempts", |rig| rig.log().matches("no signature of the device key").count() >= 4).await;
    rig.until("a place in the queue", |rig| rig.names("uplink/queue").len() == 1 && rig.record().is_some()).await;
    assert_eq!(rig.status().enrolment, EnrolmentState::None);
    assert!(hub.state().paths.is_empty(), "nothing was asked of the hub");
    no_key_in_a_file(&rig);
    signer.start(&tpm.name());
    rig.until_drained(&hub, 1).await;
    no_key_in_a_file(&rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_dies_or_has_a_damaged_key_stops_uploads_until_it_is_mended() {
    let Some(mut signer) = signer() else { return };
    let (mut hub, tpm) = (TestHub::sound().await, SwTpm::new());
    signer.start(&tpm.name());
    let mut rig = rig(&hub, &signer);
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;

    // Its connections end, and each new one needs a signature.
    signer.kill();
    hub.down().await;
    hub.up().await;
    rig.post(100);
    rig.until("a handshake without a signature", |rig| rig.log().contains("no signature of the device key")).await;
    let stored = fs::read(signer.path("house/key")).unwrap();
    fs::write(signer.path("house/key"), &stored[..stored.len() - 1]).unwrap();
    tpm.flush();
    signer.start(&tpm.name());
    rig.until("what the signer says", |rig| rig.log().contains("the stored device key is damaged")).await;
    assert!(hub.state().stored.is_empty());
    assert_eq!(rig.names("uplink/queue").len(), 1, "nothing is forgotten");
    no_key_in_a_file(&rig);

    fs::write(signer.path("house/key"), &stored).unwrap();
    rig.until_drained(&hub, 1).await;
    assert_eq!(hub.state().enrolments, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_with_a_key_in_a_file_keeps_it_and_says_so() {
    let Some(mut signer) = signer() else { return };
    let (hub, tpm) = (TestHub::sound().await, SwTpm::new());
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.post(100);
    rig.until_drained(&hub, 1).await;
    rig.terminate();
    let key = fs::read(rig.path("uplink/identity/key.pem")).unwrap();

    signer.start(&tpm.name());
    let settings = fs::read_to_string(rig.path("uplink.toml")).unwrap();
    fs::write(rig.path("uplink.toml"), format!("signer = {:?}\n{settings}", signer.socket())).unwrap();
    rig.start();
    rig.post(100);
    rig.until_drained(&hub, 2).await;
    assert_eq!((hub.state().enrolments, fs::read(rig.path("uplink/identity/key.pem")).unwrap()), (1, key));
    assert!(rig.log().contains("the signer is not used"));
    assert!(!signer.path("house/key").exists(), "nothing was asked of it");
}
