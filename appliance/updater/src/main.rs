//! gift-updater: takes signed system updates from the uplink's drop, writes them to the slot that does not run, starts the box
//! again, and says there whether the new image works.
//!
//! *May touch*: the update drop (takes), its house (`/var/lib/gift/updater`), the disk's other slot and the boot partition (through
//! systemd-sysupdate), the other processes' status records (reads), its own; it may ask the service manager to restart the box.
//! *May not touch*: any network, any image, any key of the box.
//! *A compromise yields*: the box. It believes nothing but what a key of the verified image signed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod check;
mod events;
mod house;
mod install;
mod record;
mod take;

use std::time::Duration;

use arguments::{Arguments, Verb};
use clap::Parser as _;

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
