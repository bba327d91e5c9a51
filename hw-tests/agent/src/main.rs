//! Hands and eyes inside a box that has no shell, for the test bench only. `cargo xtask image --bench` puts it into an image of
//! its own kind (with `systemctl`); `cargo xtask image` never does, and `executables.root` names it nowhere.
//!
//! `gift-bench serve DEVICE` answers on a serial line: one JSON request a line, one JSON answer a line.
//! `gift-bench probe UNIT` runs in the sandbox of a unit (its unit file with another `ExecStart=`) and tries what is forbidden.

mod probe;
mod serve;

use anyhow::{Result, bail};

/// System V key of what `serve` plants for the probe to find.
pub(crate) const PLANTED_KEY: i64 = 0x6769_6674;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", device] => serve::serve(device),
        ["probe", unit] => probe::probe(unit),
        _ => bail!("gift-bench serve DEVICE | probe UNIT"),
    }
}
