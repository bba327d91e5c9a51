//! gift-button: watches the recessed button of the box. Held for long enough and let go, it asks for a factory reset; held on and let go, for the box to be
//! decommissioned. Whoever can hold it stands before the machine, and could as well take its disk.
//!
//! *May touch*: input devices (reads), one file below `/run` that asks gift-erase for what the button says.
//! *May not touch*: the disk, the state, any network, any image, any key.
//! *A compromise yields*: an erased box, and what is typed at a keyboard that is plugged into it; nothing of the box asks for any.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod devices;
mod events;
mod hold;
mod settings;
mod watch;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

/// Watches the recessed button.
#[derive(Debug, Parser)]
#[command(name = "gift-button", version)]
struct Arguments {
    /// Settings (TOML), see config/samples/button.toml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::harden().context("cannot harden the process")?;
    gift_service::start_log_of("button");
    watch::run(&settings::Settings::load(&arguments.config)?)
}
