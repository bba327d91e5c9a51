//! gift-updater: takes signed system updates from the uplink's drop, writes them to the slot that does not run, starts the box
//! again, and says there whether the new image works.
//!
//! *May touch*: the update drop (takes), its house (`/var/lib/gift/updater`), the disk's other slot and the boot partition (through
//! systemd-sysupdate), the other processes' status records (reads), its own; it may ask the service manager to restart the box.
//! *May not touch*: any network, any image, any key of the box.
//! *A compromise yields*: the box. It believes nothing but what a key of the verified image signed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod events;
mod house;
mod install;
mod record;
mod take;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

/// Takes, tries and confirms system updates.
#[derive(Debug, Parser)]
#[command(name = "gift-updater", version)]
struct Arguments {
    /// Its house.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/updater")]
    house: PathBuf,
    /// Where the processes publish their status records.
    #[arg(long, value_name = "DIR", default_value = "/run/gift/status")]
    status: PathBuf,
    /// What holds for this boot only.
    #[arg(long, value_name = "DIR", default_value = "/run/gift/updater")]
    run: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// At boot: what became of the update that was written last.
    Settle,
    /// Take an update from the drop, if there is one, write it, and start the box again.
    Take(take::Options),
    /// On trial: wait until every process has worked for a while; fails when they do not.
    Check {
        /// For how long all of them must have worked without a break, seconds.
        #[arg(long, value_name = "SECONDS")]
        steady: u64,
        /// How long that may take, seconds.
        #[arg(long, value_name = "SECONDS")]
        limit: u64,
    },
    /// The boot loader keeps to the image that runs.
    Confirm,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::start_log_of("updater");
    let house = || house::House::open(&arguments.house, &arguments.status, &arguments.run);
    match arguments.verb {
        Verb::Settle => house()?.settle(),
        Verb::Take(options) => take::take(&house()?, &options),
        Verb::Check { steady, limit } => {
            check::check(&arguments.status, Duration::from_secs(steady), Duration::from_secs(limit))
        }
        Verb::Confirm => house()?.confirm(),
    }
}
