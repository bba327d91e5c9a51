//! Other people's software at both ends: DCMTK's `dcmsend` and `echoscu`, pynetdicom, dicomweb-client, and `dciodvfy` as the
//! judge of what comes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Fixture, PATIENCE};
use gift_e2e::{
    generator::{Entry, Expectation},
    outcome,
    rig::Rig,
};

/// The Python with the pinned peers.
fn python() -> PathBuf {
    PathBuf::from(std::env::var_os("GIFT_PYTHON").expect("GIFT_PYTHON is not set; run `cargo xtask test`"))
}

fn peer(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name).display().to_string()
}

#[test]
fn dcmsend_and_pynetdicom_in_dicomweb_client_out_and_no_object_gains_an_error() {
    let fixture = Fixture::new(77, 60);
    let (rig, set) = (&fixture.rig, &fixture.set);
    let routed: Vec<&Entry> = set.key.objects.iter().filter(|e| e.called_ae == rig.called_ae).collect();
    let (first, second) = routed.split_at(routed.len() / 2);

    let mut dcmsend = rig.scanner("dcmsend");
    dcmsend.args(["--aetitle", "SCANNER1", "--call", rig.called_ae, "127.0.0.1", &rig.dicom_port.to_string()]);
    let output = dcmsend.args(set.files(first.iter().copied())).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut store = rig.scanner(python().to_str().unwrap());
    store.arg(peer("store.py")).args([&rig.dicom_port.to_string(), rig.called_ae, "PYNETDICOM"]);
    let output = store.args(set.files(second.iter().copied())).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<(String, Option<u16>)> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answers.iter().all(|(_, status)| *status == Some(0)), "{answers:?}");

    outcome::settle(rig, PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", common::logs(rig)));
    let faults = outcome::faults(rig, &routed, false).unwrap();
    assert!(faults.is_empty(), "{faults:#?}\n{}", common::logs(rig));

    let output = Command::new(python())
        .arg(peer("dicomweb.py"))
        .args([format!("https://{}/dicomweb", rig.web), rig.hub_roots().display().to_string()])
        .args([&rig.login.0, &rig.login.1])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("dicomweb-client: {}", String::from_utf8_lossy(&output.stdout).trim());

    no_new_errors(rig, &fixture, &routed);
}

/// Every object on the hub: `dciodvfy` finds no kind of error in it that it did not find in the original.
fn no_new_errors(rig: &Rig, fixture: &Fixture, entries: &[&Entry]) {
    let web = gift_e2e::web::Web::new(rig).unwrap();
    let expected = outcome::expected_on_hub(rig, entries.iter().copied()).unwrap();
    let mut gained = Vec::new();
    for row in web.query("/dicomweb/instances?limit=1000").unwrap() {
        let uid = |tag| gift_e2e::web::value(&row, tag).unwrap().to_owned();
        let instance = uid("00080018");
        let path = format!("/dicomweb/studies/{}/series/{}/instances/{instance}", uid("0020000D"), uid("0020000E"));
        let (status, body) =
            web.get(&path, "multipart/related; type=\"application/dicom\"; transfer-syntax=*").unwrap();
        assert!(status.is_success(), "{path}: {status}");
        let begin = body.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let end = body.windows(4).rposition(|w| w == b"\r\n--").unwrap();
        let after = fixture.set.directory.join("after.dcm");
        std::fs::write(&after, &body[begin..end]).unwrap();
        let entry = expected[&instance];
        assert_eq!(entry.expect, Expectation::Released);
        let before = errors(&fixture.set.directory.join(&entry.file));
        let new: BTreeSet<String> = errors(&after).difference(&before).cloned().collect();
        if !new.is_empty() {
            gained.push((entry.kind, new));
        }
    }
    assert!(gained.is_empty(), "{gained:#?}");
}

/// The errors `dciodvfy` finds.
fn errors(file: &Path) -> BTreeSet<String> {
    let output = Command::new("dciodvfy").arg(file).stdin(Stdio::null()).output().expect("dciodvfy (dicom3tools)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().filter(|line| line.starts_with("Error")).map(str::to_owned).collect()
}
