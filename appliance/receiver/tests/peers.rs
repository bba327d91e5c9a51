//! Real peers: DCMTK, and pynetdicom where a Python has it (`GIFT_PYTHON` names the interpreter).
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, process::Command};

use support::{CALLED, CT, Receiver, have, part10, run};

#[test]
fn dcmtk_echoes() {
    if !have("echoscu") {
        return;
    }
    let receiver = Receiver::start();
    let port = receiver.port.to_string();
    run("echoscu", &["-v", "-aec", CALLED, "127.0.0.1", &port]);
    run("echoscu", &["--repeat", "20", "-ppc", "128", "-pts", "38", "-aec", CALLED, "127.0.0.1", &port]);
    let wrong = Command::new("echoscu").args(["-aec", "WRONG", "127.0.0.1", &port]).output().unwrap();
    assert!(!wrong.status.success());
}

#[test]
fn dcmtk_stores_every_transfer_syntax_as_it_is() {
    if !have("storescu") || !have("dcmsend") {
        return;
    }
    let receiver = Receiver::start();
    let port = receiver.port.to_string();
    let cases = [
        ("-xe", "1.2.840.10008.1.2.1"),
        ("-xb", "1.2.840.10008.1.2.2"),
        ("-xi", "1.2.840.10008.1.2"),
        ("-xs", "1.2.840.10008.1.2.4.70"),
        ("-xy", "1.2.840.10008.1.2.4.50"),
        ("-xx", "1.2.840.10008.1.2.4.51"),
        ("-xv", "1.2.840.10008.1.2.4.90"),
        ("-xw", "1.2.840.10008.1.2.4.91"),
        ("-xt", "1.2.840.10008.1.2.4.80"),
        ("-xr", "1.2.840.10008.1.2.5"),
    ];
    let mut paths = Vec::new();
    for (n, (option, transfer_syntax)) in cases.iter().enumerate() {
        let path = receiver.path(&format!("{n}.dcm"));
        fs::write(&path, part10(transfer_syntax, CT, &format!("1.2.3.{n}"))).unwrap();
        let path = path.display().to_string();
        run("storescu", &["-v", option, "-aec", CALLED, "127.0.0.1", &port, &path]);
        paths.push(path);
    }
    let mut taken = receiver.taken(cases.len());
    taken.sort_by(|(a, _), (b, _)| a.sop_instance_uid.cmp(&b.sop_instance_uid));
    let syntaxes: Vec<_> = taken.iter().map(|(record, _)| record.transfer_syntax_uid.as_str()).collect();
    assert_eq!(syntaxes, cases.map(|(_, transfer_syntax)| transfer_syntax));

    // dcmsend sends all over one association: a context for each encapsulated transfer syntax, one for the uncompressed three,
    // which it converts to the accepted one by itself.
    let mut arguments = vec!["-v", "-aec", CALLED, "127.0.0.1", port.as_str()];
    arguments.extend(paths.iter().map(String::as_str));
    run("dcmsend", &arguments);
    let sent: Vec<_> =
        receiver.taken(2 * cases.len()).into_iter().map(|(record, _)| record.transfer_syntax_uid).collect();
    assert_eq!(sent.len(), 2 * cases.len());
    for (_, encapsulated) in &cases[3..] {
        assert_eq!(sent.iter().filter(|ts| ts == encapsulated).count(), 2, "{encapsulated}");
    }
}

#[test]
fn pynetdicom_echoes_stores_and_is_refused() {
    let python = std::env::var("GIFT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let importable = Command::new(&python).args(["-c", "import pynetdicom"]).output();
    if !importable.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: {python} has no pynetdicom (GIFT_PYTHON names an interpreter that has)");
        return;
    }
    let receiver = Receiver::start();
    let path = receiver.path("ct.dcm");
    fs::write(&path, part10("1.2.840.10008.1.2.1", CT, "1.2.3.4")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/peer.py");
    let port = receiver.port.to_string();
    let text = run(&python, &[script, &port, CALLED, &path.display().to_string()]);
    assert!(text.contains("all as expected"), "{text}");
    let taken = receiver.taken(2);
    assert!(taken.iter().all(|(record, _)| record.sop_class_uid == CT), "{taken:?}");
}
