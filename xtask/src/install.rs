//! What a fresh Debian machine lacks: Debian packages, a Python environment with the peers, `cargo deny` and
//! `cargo fuzz`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::run::{cargo, output, run};

/// Debian packages that building and running need.
const BUILD_PACKAGES: &[&str] =
    &["gcc", "libc6-dev", "pkg-config", "libsystemd-dev", "iproute2", "util-linux", "dcmtk"];
/// Debian packages that only the tests need: peers and validators.
const TEST_PACKAGES: &[&str] = &["dicom3tools", "python3-venv", "systemd", "nftables", "cryptsetup-bin"];
/// Debian packages that the signer is built with.
const TPM_PACKAGES: &[&str] = &["libtss2-dev"];
/// Debian packages that the signer is tested with: a TPM in software, and tools that attack it.
const TPM_TEST_PACKAGES: &[&str] = &["swtpm", "tpm2-tools"];
/// Debian packages that the second look reads with.
const OCR_PACKAGES: &[&str] = &["tesseract-ocr", "tesseract-ocr-eng"];
/// Debian packages that video is coded with.
const VIDEO_PACKAGES: &[&str] = &["ffmpeg"];
/// Debian packages that only the benchmarks need: gdcmanon, and what makes its certificate.
const BENCH_PACKAGES: &[&str] = &["libgdcm-tools", "openssl", "python3-venv"];
/// Debian packages that only the image needs: everything else of it is installed into a Debian 13 of its own.
const IMAGE_PACKAGES: &[&str] = &["debootstrap", "openssl", "binutils"];
/// Debian packages that only the bench around the whole machine needs.
const HW_TEST_PACKAGES: &[&str] = &[
    "nmap",
    "tcpdump",
    "mtools",
    "cryptsetup-bin",
    "curl",
    "faketime",
    "fdisk",
    "iputils-ping",
    "zstd",
    "python3-venv",
];
/// Debian packages that only fuzzing needs: libFuzzer is C++.
const FUZZ_PACKAGES: &[&str] = &["g++"];
/// Version of cargo-deny the tests run.
const CARGO_DENY_VERSION: &str = "0.20.2";
/// Version of cargo-fuzz that builds the fuzz targets.
const CARGO_FUZZ_VERSION: &str = "0.13.2";

/// Installs what building and the demo need.
pub(crate) fn packages() -> Result<()> {
    apt(BUILD_PACKAGES)
}

/// Installs what the tests need besides.
pub(crate) fn test_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(TEST_PACKAGES);
    all.extend(TPM_PACKAGES);
    all.extend(TPM_TEST_PACKAGES);
    all.extend(OCR_PACKAGES);
    all.extend(VIDEO_PACKAGES);
    apt(&all)
}

/// Installs what the second look needs besides.
pub(crate) fn ocr_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(OCR_PACKAGES);
    apt(&all)
}

/// Installs what the benchmarks need besides.
pub(crate) fn bench_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(BENCH_PACKAGES);
    apt(&all)
}

/// Installs what fuzzing needs besides.
pub(crate) fn fuzz_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(FUZZ_PACKAGES);
    apt(&all)
}

/// Installs what building the image needs besides.
pub(crate) fn image_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(TPM_PACKAGES);
    all.extend(IMAGE_PACKAGES);
    apt(&all)
}

/// Installs what the bench around the whole machine needs besides.
pub(crate) fn hw_test_packages() -> Result<()> {
    let mut all = BUILD_PACKAGES.to_vec();
    all.extend(TPM_PACKAGES);
    all.extend(IMAGE_PACKAGES);
    all.extend(HW_TEST_PACKAGES);
    all.extend(VIDEO_PACKAGES);
    apt(&all)
}

/// What prints a page as a PDF.
pub(crate) fn card_packages() -> Result<()> {
    apt(&["chromium", "fonts-dejavu-core"])
}

fn apt(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing Debian packages: {}", missing.join(" "));
    let root = output(Command::new("id").arg("-u"))?.trim() == "0";
    let apt_get = |arguments: &[&str]| {
        let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
        if !root {
            command.arg("apt-get");
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).stdout(Stdio::null());
        run(&mut command)
    };
    apt_get(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt_get(&arguments)
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|o| o.status.success() && o.stdout.starts_with(b"install ok installed"))
}

/// A Python environment under `target/` with the tests' pinned PyPI peers; returns its interpreter.
pub(crate) fn python(root: &Path) -> Result<PathBuf> {
    environment(root, "appliance/e2e/peers/requirements.txt", "peers-venv")
}

/// The same with those of the benchmarks.
pub(crate) fn bench_python(root: &Path) -> Result<PathBuf> {
    environment(root, "appliance/e2e/peers/requirements-bench.txt", "bench-venv")
}

/// The same with those of the bench around the whole machine.
pub(crate) fn hw_test_python(root: &Path) -> Result<PathBuf> {
    environment(root, "hw-tests/requirements.txt", "hw-venv")
}

fn environment(root: &Path, requirements: &str, name: &str) -> Result<PathBuf> {
    let requirements = root.join(requirements);
    let wanted = std::fs::read_to_string(&requirements)?;
    let venv = root.join("target").join(name);
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&requirements))?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

/// `cargo deny`, installed under `target/` when the machine has none.
pub(crate) fn cargo_deny(root: &Path) -> Result<PathBuf> {
    tool(root, "cargo-deny", CARGO_DENY_VERSION)
}

/// `cargo fuzz`, the same way.
pub(crate) fn cargo_fuzz(root: &Path) -> Result<PathBuf> {
    tool(root, "cargo-fuzz", CARGO_FUZZ_VERSION)
}

fn tool(root: &Path, name: &str, version: &str) -> Result<PathBuf> {
    let tools = root.join("target/tools");
    let program = tools.join("bin").join(name);
    for candidate in [PathBuf::from(name), program.clone()] {
        if Command::new(&candidate).arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Ok(candidate);
        }
    }
    println!("installing {name} {version} into target/tools (once, some minutes)");
    run(cargo(root).args(["install", "--quiet", "--locked", name, "--version", version, "--root"]).arg(&tools))?;
    if !program.exists() {
        bail!("{name} did not install");
    }
    Ok(program)
}
