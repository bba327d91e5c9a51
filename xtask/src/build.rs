//! Building each binary by its own `cargo build -p X`, so that features of one never leak into another.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::run::{cargo, run};

/// The packages of hub and box that the tests run, each with one binary of the same name.
pub(crate) const SHIPPED: &[&str] =
    &["gift-receiver", "gift-deid", "gift-ocr", "gift-video", "gift-uplink", "gift-health", "gift-canary", "gift-hub"];

/// Builds every shipped binary, the demo and the examiner's command; returns the directory they are in.
pub(crate) fn binaries(root: &Path) -> Result<PathBuf> {
    for package in SHIPPED.iter().chain(&["gift-e2e", "gift-examine"]) {
        run(cargo(root).args(["build", "--quiet", "-p", package, "--bins"]))?;
    }
    Ok(target(root).join("debug"))
}

/// Where cargo builds to.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
