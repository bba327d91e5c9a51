//! The engine's process: closes the sandbox around itself and becomes Tesseract.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::Result;
use gift_confine::Program;

use crate::Orders;

/// The verb under which this program is the engine.
pub(crate) const VERB: &str = "engine";

/// Becomes Tesseract, which reads the picture from standard input and writes its table of words to standard output.
///
/// # Errors
/// The sandbox could not be closed, or the program not be executed; on success it does not return.
pub(crate) fn run(orders: &Orders) -> Result<()> {
    gift_confine::enter_program(&Program {
        path: &orders.program,
        readable: Some(&orders.tessdata),
        memory_bytes: orders.memory_bytes,
        seconds: orders.seconds,
        file_bytes: 0,
        threads: false,
    })?;
    // One block: the picture's lines stand one below the other.
    let error = Command::new(&orders.program)
        .args(["stdin", "stdout", "--psm", "6", "-l", "eng", "tsv"])
        .env_clear()
        .env("OMP_THREAD_LIMIT", "1")
        .env("TESSDATA_PREFIX", &orders.tessdata)
        .exec();
    Err(error.into())
}
