//! gift-signer: keeps the device key in the TPM and signs digests with it for the uplink, one request at a time.
//!
//! *May touch*: the TPM (`/dev/tpmrm0`; besides it only systemd opens it, for the state and for credentials), its house (the
//! key, wrapped by the TPM), the one listening socket it is handed.
//! *May not touch*: any network, any image, any other key, any other house.
//! *A compromise yields*: signatures of the device key for as long as it lasts, and the TPM's use (not its keys).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ecdsa;
mod error;
mod events;
mod keeper;
mod listener;
mod store;
mod tpm;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tss_esapi::tcti_ldr::TctiNameConf;

/// Signs for the uplink with a key that stays in the TPM.
#[derive(Debug, Parser)]
#[command(name = "gift-signer", version)]
struct Arguments {
    /// Its own directory.
    #[arg(long, value_name = "DIR")]
    house: PathBuf,
    /// Who may ask: a user's name or number.
    #[arg(long, value_name = "USER")]
    client: String,
    /// The TPM, as tpm2-tss names it.
    #[arg(long, default_value = "device:/dev/tpmrm0")]
    tpm: TctiNameConf,
    /// Where to listen when no socket is handed over.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::harden().context("cannot harden the process")?;
    events::start();
    let client = listener::uid(&arguments.client)?;
    let listening = listener::socket(arguments.socket.as_deref()).context("no socket to listen on")?;
    let keeper = keeper::Keeper::new(store::Store::new(&arguments.house), arguments.tpm);
    listener::serve(&listening, client, keeper, gift_service::Supervisor::new()).context("cannot serve")?;
    Ok(())
}
