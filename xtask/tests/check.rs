//! Plants one violation of each kind in a copy of the workspace and shows that `cargo xtask check` names it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A copy of what git knows (tracked or new), without `target/`.
fn copy_of_workspace() -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    assert!(listed.status.success());
    for name in listed.stdout.split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let name = std::str::from_utf8(name).unwrap();
        let (from, to) = (root().join(name), copy.path().join(name));
        if from.is_file() {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
    copy
}

fn check(workspace: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["check", "--root"]).arg(workspace).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn edit(workspace: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let path = workspace.join(file);
    let before = fs::read_to_string(&path).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after, "the plant in {file} changed nothing");
    fs::write(path, after).unwrap();
}

fn depend(workspace: &Path, manifest: &str, line: &str) {
    edit(workspace, manifest, |text| text.replace("\n[dependencies]\n", &format!("\n[dependencies]\n{line}\n")));
}

type Plant = fn(&Path);

#[test]
fn the_workspace_keeps_its_rules_and_every_planted_violation_is_named() {
    let (ok, said) = check(&root());
    assert!(ok, "{said}");

    let plants: &[(&str, Plant)] = &[
        ("gift-deid links tokio", |w| depend(w, "appliance/deid/Cargo.toml", "tokio.workspace = true")),
        ("direction: gift-uplink must not depend on gift-deidentify", |w| {
            depend(w, "appliance/uplink/Cargo.toml", "gift-deidentify.workspace = true");
        }),
        ("gift-uplink links dicom-core", |w| depend(w, "appliance/uplink/Cargo.toml", "dicom-core.workspace = true")),
        ("gift-receiver links reqwest", |w| depend(w, "appliance/receiver/Cargo.toml", "reqwest.workspace = true")),
        ("gift-health links rusqlite", |w| depend(w, "appliance/health/Cargo.toml", "rusqlite.workspace = true")),
        ("direction: gift-hub must not depend on gift-spool", |w| {
            depend(w, "hub/Cargo.toml", "gift-spool.workspace = true");
        }),
        ("does not take its version from the workspace table", |w| {
            depend(w, "appliance/wire/Cargo.toml", "bytes = \"1\"");
        }),
        ("does not take the workspace's lints", |w| {
            edit(w, "appliance/wire/Cargo.toml", |t| t.replace("[lints]\nworkspace = true\n", ""));
        }),
        ("row 1: there is no test", |w| {
            edit(w, "appliance/deidentify/src/engine/tests.rs", |t| {
                t.replace("fn planted_values_are_in_no_output(", "fn x(")
            });
        }),
        ("says std::fs", |w| {
            edit(w, "appliance/dimse/src/lib.rs", |t| {
                t + "\n/// Planted.\npub fn planted() -> bool { std::fs::exists(\"x\").is_ok() }\n"
            });
        }),
        ("says std::net::Tcp", |w| {
            edit(w, "appliance/deid/src/main.rs", |t| t + "\nuse std::net::TcpStream as _;\n");
        }),
        ("does not open with //!", |w| edit(w, "appliance/spool/src/lib.rs", |t| format!("use std::io as _;\n{t}"))),
        ("main.rs has", |w| edit(w, "appliance/deid/src/main.rs", |t| t + &"// more\n".repeat(61))),
        ("gift-deid.service does not say RestrictAddressFamilies=AF_UNIX", |w| {
            edit(w, "appliance/dist/usr/lib/systemd/system/gift-deid.service", |t| {
                t.replace("RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=AF_UNIX AF_INET")
            });
        }),
        ("gift-uplink.service says", |w| {
            edit(w, "appliance/dist/usr/lib/systemd/system/gift-uplink.service", |t| {
                t + "\nSupplementaryGroups=gift-intake\n"
            });
        }),
    ];
    let mut missed = Vec::new();
    for (named, plant) in plants {
        let workspace = copy_of_workspace();
        plant(workspace.path());
        let (ok, said) = check(workspace.path());
        if ok || !said.contains(named) {
            missed.push(format!("planted {named:?}; check said ok={ok}: {said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
