//! gift-canary: sends one synthetic patient to the receiver, and ends. What becomes of it the hub says (`hub/src/check/canary.rs`), and
//! the uplink keeps; `gift-health` asks for it before it says *ready*.
//!
//! *May touch*: the receiver's port, over the loopback of the scanner's network namespace; its settings.
//! *May not touch*: any other address, any image, any key, any file of another process; it writes none.
//! *A compromise yields*: what any scanner can do: objects for the receiver, under a project that the hub serves to nobody.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod definition;
mod error;
mod events;
mod object;
mod picture;
mod send;
mod settings;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;

/// Sends a synthetic patient through the box.
#[derive(Debug, Parser)]
#[command(name = "gift-canary", version)]
struct Arguments {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "/etc/gift/canary.toml")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::start_log_of("canary");
    gift_service::harden().context("the process cannot be hardened")?;
    let settings = settings::Settings::load(&arguments.config)?;
    let definition = definition::Definition::built_in()?;
    let mut random = [0_u8; object::RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|_| error::CanaryError::Random)?;
    let object = object::make(&definition, &random, chrono::Utc::now()).context("the canary cannot be made")?;
    send::send(&settings, &definition, &object).inspect_err(events::not_sent)?;
    events::sent();
    Ok(())
}
