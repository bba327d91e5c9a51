//! gift-uplink: takes de-identified objects from `release/outbox` and uploads them to the hub; forgets an object only
//! against the hub's receipt for exactly its bytes. The only process of the box on the WAN.
//!
//! *May touch*: its own house (queue, ledger, device identity), `release/outbox` (takes), its status directory, the signer's
//! socket, and one TCP connection to the hub, directly or through the configured proxy.
//! *May not touch*: anything of the left half: `intake/`, `deid/`, their keys and their network; it links no DICOM parser
//! and no codec, and listens nowhere.
//! *A compromise yields*: de-identified images that wait to be sent anyway, and the device's identity towards the hub (where
//! the signer has the key: for as long as it lasts).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod board;
mod body;
mod breaker;
mod carrier;
mod clerk;
mod courier;
mod enroller;
mod error;
mod events;
mod failure;
mod house;
mod hub;
mod identity;
mod key;
mod lanes;
mod ledger;
mod outbox;
mod process;
mod pulse;
mod queue_file;
mod reconcile;
mod report_slot;
mod settings;
mod signer;
mod update;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use gift_service::durable;

/// Uploads de-identified objects to the hub.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Settings (TOML), see config/samples/uplink.toml.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::harden().context("cannot harden the process")?;
    events::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(process::run(&arguments.config))?;
    Ok(())
}
