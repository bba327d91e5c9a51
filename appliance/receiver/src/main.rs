//! gift-receiver: the DICOM SCP of the scanner side. C-ECHO and C-STORE in, durable items in `intake/` out.
//!
//! May touch: the listening socket it is given (scanner namespace), `intake/staging` (its own), `intake/inbox` (drop only),
//! its status record.
//! May not touch: any other network, keys, `deid/`, `release/`, `uplink/`; it links no TLS client, HTTP, or pixel codec and
//! does not parse data sets beyond their first elements.
//! A compromise yields: what scanners send from now on, and what deid has not yet taken.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod association;
mod error;
mod events;
mod intake;
mod listener;
mod settings;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use gift_spool::Depositor;
use gift_status::Process;

/// Threads that commit; each waits for the disk, and parallel ones share its flushes.
const BLOCKING_THREADS: usize = 96;
/// Nothing here recurses.
const THREAD_STACK_BYTES: usize = 256 * 1024;

/// DICOM SCP of the GIFT-Cloud edge box (C-ECHO, C-STORE).
#[derive(Debug, Parser)]
#[command(name = "gift-receiver", version)]
struct Arguments {
    /// Settings (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::harden().context("hardening the process")?;
    gift_service::start_log(Process::Receiver);
    let settings: settings::Settings = gift_service::load(&arguments.config)?;
    settings.check().with_context(|| arguments.config.display().to_string())?;
    let supervisor = gift_service::Supervisor::new();
    let depositor = Depositor::open(&settings.intake_staging, &settings.intake_inbox).context("opening the intake")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_stack_size(THREAD_STACK_BYTES)
        .build()?;
    let outcome = runtime.block_on(async {
        let (socket, activated) = listener::socket(settings.listen).context("opening the listening socket")?;
        listener::run(socket, activated, intake::Intake::new(settings, depositor), supervisor).await
    });
    // A disk that hangs must not keep the process from being started anew.
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}
