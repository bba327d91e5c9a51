//! gift-health: one verdict from every process's status; LEDs, and a report to the hub.
//!
//! *May touch*: reads the three other processes' status records and the size of the state disk; writes the LEDs, its own
//! status directory and, through its own staging, `release/outbox`.
//! *May not touch*: `intake/`, `deid/`, `uplink/`, any key, any network. It links no TLS, no HTTP, no codec, no DICOM parser.
//! *A compromise yields*: LEDs and counters. It could lie about the box; it holds nothing to give away.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alarm;
mod boot;
mod error;
mod events;
mod judge;
mod leds;
mod patterns;
mod reporter;
mod settings;
mod signals;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

/// Judges the box from what its processes say, sets the LEDs and reports to the hub.
#[derive(Debug, Parser)]
#[command(name = "gift-health", version)]
struct Arguments {
    /// Settings (TOML), see config/samples/health.toml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Settings that stand in for those when they cannot be used; the verdict says so.
    #[arg(long, value_name = "FILE")]
    fallback: Option<PathBuf>,
    /// Judge nothing: the state did not open, and the LEDs are to say so.
    #[arg(long)]
    state_closed: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::harden().context("cannot harden the process")?;
    events::start();
    let (settings, refused) = match (settings::Settings::load(&arguments.config), &arguments.fallback) {
        (Err(error), Some(fallback)) => {
            events::settings_refused(&error);
            (settings::Settings::load(fallback)?, true)
        }
        (loaded, _) => (loaded?, false),
    };
    let stop = signals::Stop::new().context("cannot receive signals")?;
    if arguments.state_closed {
        alarm::run(&settings.leds, &stop)?;
    } else {
        judge::run(settings, refused, &stop)?;
    }
    Ok(())
}
