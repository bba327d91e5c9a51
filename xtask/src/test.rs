//! The verbs a README reader types: `test` and `demo`, and the long campaigns.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::Result;

use crate::{
    build, check, fuzz, image, install,
    run::{cargo, run},
};

/// `cargo xtask test`.
pub(crate) fn test(root: &Path, gates_only: bool) -> Result<()> {
    install::test_packages()?;
    let started = Instant::now();
    gates(root)?;
    if gates_only {
        return Ok(());
    }
    let python = install::python(root)?;
    let binaries = build::binaries(root)?;
    // The uplink's tests run it.
    run(cargo(root).args(["build", "--quiet", "-p", "gift-signer", "--bins"]))?;
    // As they are run below: another choice of packages has other features, and is built anew.
    run(cargo(root).args(["test", "--quiet", "--workspace", "--exclude", "gift-e2e", "--no-run"]))?;
    run(cargo(root).args(["test", "--quiet", "-p", "gift-e2e", "--no-run"]))?;
    println!("built and checked in {:.0} s; now the tests", started.elapsed().as_secs_f32());
    let started = Instant::now();
    // The end-to-end tests start whole systems, so they run one at a time, after everything else.
    run(with_peers(cargo(root).args(["test", "--workspace", "--exclude", "gift-e2e"]), &binaries, &python))?;
    run(with_peers(
        cargo(root).args(["test", "-p", "gift-e2e", "--", "--test-threads=1", "--nocapture"]),
        &binaries,
        &python,
    ))?;
    fuzz::slice(root)?;
    println!("all tests passed in {:.0} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// `cargo xtask campaign`: the same tests at full size.
pub(crate) fn campaign(root: &Path, which: &str) -> Result<()> {
    install::test_packages()?;
    let python = install::python(root)?;
    let binaries = build::binaries(root)?;
    let mut command = cargo(root);
    command.args(["test", "-p", "gift-e2e", "--test", "kill", "--test", "attacks", "--test", "ocr", "--"]);
    if which != "all" {
        command.arg(which);
    }
    command.args(["--ignored", "--test-threads=1", "--nocapture"]);
    run(with_peers(&mut command, &binaries, &python))
}

fn with_peers<'a>(command: &'a mut Command, binaries: &Path, python: &Path) -> &'a mut Command {
    command.env("GIFT_BIN_DIR", binaries).env("GIFT_PYTHON", python).env("GIFT_PEERS_REQUIRED", "1")
}

/// The gates that need no running system.
fn gates(root: &Path) -> Result<()> {
    run(cargo(root).args(["fmt", "--all", "--check"]))?;
    run(cargo(root).args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    image::check_programs(root)?;
    fuzz::gates(root)?;
    let deny = install::cargo_deny(root)?;
    for manifest in ["Cargo.toml", "appliance/fuzz/Cargo.toml"] {
        run(Command::new(&deny)
            .current_dir(root)
            .args(["--manifest-path", manifest, "--config", "deny.toml", "--offline", "check"])
            .args(["licenses", "bans", "sources"]))?;
    }
    advisories(root, &deny)?;
    run(Command::new("/bin/bash").arg(root.join("appliance/dist/check.sh")))?;
    check::check(root)
}

/// Known vulnerabilities, where a copy of the advisory database is present.
fn advisories(root: &Path, deny: &Path) -> Result<()> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cargo")));
    if home.is_some_and(|h| h.join("advisory-dbs").is_dir()) {
        return run(Command::new(deny).current_dir(root).args(["check", "--disable-fetch", "advisories"]));
    }
    println!("skipped: cargo deny check advisories (no copy of the RustSec database on this machine)");
    Ok(())
}

/// `cargo xtask deidentify`, `explain` and `templates`: the examiner's command, with the repository's policy. Paths are the caller's.
pub(crate) fn examine(root: &Path, verb: &str, arguments: &[String]) -> Result<()> {
    let mut packages = vec!["gift-examine"];
    if arguments.iter().any(|argument| argument == "--ocr") {
        install::ocr_packages()?;
        packages.push("gift-ocr");
    } else {
        install::packages()?;
    }
    for package in packages {
        run(cargo(root).args(["build", "--quiet", "--release", "-p", package]))?;
    }
    let program = build::target(root).join("release/gift-examine");
    run(Command::new(program).arg("--policy").arg(root.join("config")).arg(verb).args(arguments))
}

/// `cargo xtask template`: the tool for templates, with the repository's policy. Paths are the caller's.
pub(crate) fn template(root: &Path, arguments: &[String]) -> Result<()> {
    install::packages()?;
    run(cargo(root).args(["build", "--quiet", "--release", "-p", "gift-template"]))?;
    let program = build::target(root).join("release/gift-template");
    run(Command::new(program).arg("--policy").arg(root.join("config")).args(arguments))
}

/// `cargo xtask demo`.
pub(crate) fn demo(root: &Path, arguments: &[String]) -> Result<()> {
    install::packages()?;
    println!("building hub and box (the first time takes some minutes)");
    let binaries = build::binaries(root)?;
    run(Command::new(binaries.join("gift-demo")).env("GIFT_BIN_DIR", &binaries).args(arguments))
}
