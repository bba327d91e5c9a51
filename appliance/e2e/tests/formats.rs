//! Every supported image format, single and multi-frame, in every arrangement of fragments and offset tables, through
//! `gift-examine deidentify` with the caller's templates. `peers/formats.py` makes the objects with other people's encoders and has
//! other people's decoders judge what came out: blank inside the regions in every frame, the same outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs a command; what it said on standard output, which is the test's own when it failed.
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{said}\n{}", String::from_utf8_lossy(&stderr));
    said
}

#[test]
fn every_format_is_blank_inside_the_same_outside_and_read_by_pydicom_and_dcmtk() {
    let of = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; run `cargo xtask test`"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::Builder::new().prefix("gift-formats-").tempdir().unwrap();
    let peer = |verb: &str| {
        let mut command = Command::new(of("GIFT_PYTHON"));
        run(command.arg(here.join("peers/formats.py")).arg(verb).arg(directory.path()))
    };
    print!("{}", peer("make"));
    let mut examine = Command::new(Path::new(&of("GIFT_BIN_DIR")).join("gift-examine"));
    examine.arg("--policy").arg(here.join("../../config")).arg("deidentify");
    examine.args(["in", "out"].map(|name| directory.path().join(name)));
    print!("{}", run(examine.arg("--templates").arg(directory.path().join("templates.json"))));
    print!("{}", peer("check"));
}
