//! dicomweb-client (PyPI), the researcher's usual client, against the real hub. The interpreter comes from `GIFT_PYTHON` or
//! `target/peers-venv`; without one the test says so and passes, unless `GIFT_PEERS_REQUIRED` is set.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::PathBuf;

use common::{Hub, PASSWORD, Setup, samples};

fn python() -> Option<PathBuf> {
    let given = std::env::var_os("GIFT_PYTHON").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers-venv/bin/python");
    let found = given.or_else(|| built.exists().then_some(built));
    assert!(found.is_some() || std::env::var_os("GIFT_PEERS_REQUIRED").is_none(), "no Python with the peers");
    found
}

#[tokio::test]
async fn dicomweb_client_lists_and_fetches_everything() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with dicomweb-client (`cargo xtask peers` makes one)");
        return;
    };
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "researcher");
    let device = hub.enrol("ward-1").await;
    let sent = tempfile::tempdir().unwrap();
    // Three studies of one series each; the third has three instances, one of them with a value that is bulk data.
    for number in 1..=5_u32 {
        let study = number.min(3);
        let pixels = vec![u8::try_from(number).unwrap(); if number == 5 { 131_072 } else { 128 }];
        let side: u16 = if number == 5 { 256 } else { 8 };
        let bytes = samples::released(number)
            .element((0x0008, 0x1030), "LO", "Fötus, 20 weeks".as_bytes())
            .element((0x0020, 0x000D), "UI", format!("2.25.1{study:06}").as_bytes())
            .element((0x0020, 0x000E), "UI", format!("2.25.2{study:06}").as_bytes())
            .element((0x0028, 0x0002), "US", &[1, 0])
            .element((0x0028, 0x0004), "CS", b"MONOCHROME2")
            .element((0x0028, 0x0010), "US", &side.to_le_bytes())
            .element((0x0028, 0x0011), "US", &side.to_le_bytes())
            .element((0x0028, 0x0100), "US", &[16, 0])
            .element((0x7FE0, 0x0010), "OW", &pixels)
            .sorted()
            .file();
        let mut manifest = samples::manifest(number, &bytes);
        manifest.study_instance_uid = format!("2.25.1{study:06}");
        manifest.series_instance_uid = format!("2.25.2{study:06}");
        assert!(device.store(&manifest, &bytes).await.isolated.is_none());
        std::fs::write(sent.path().join(format!("{}.dcm", manifest.sop_instance_uid)), &bytes).unwrap();
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/researcher.py");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .arg(format!("{}/dicomweb", hub.web))
        .arg(hub.data("pki/root.pem"))
        .args(["ada", PASSWORD])
        .arg(sent.path())
        .env("NO_PROXY", "*")
        // requests prefers these to the session's own setting.
        .env_remove("REQUESTS_CA_BUNDLE")
        .env_remove("CURL_CA_BUNDLE")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("5 instances fetched and equal"));
}
