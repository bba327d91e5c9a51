//! The command line: one verb for each unit that runs this program.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::take;

/// Takes, tries and confirms system updates.
#[derive(Debug, Parser)]
#[command(name = "gift-updater", version)]
pub(crate) struct Arguments {
    /// Its house.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/updater")]
    pub(crate) house: PathBuf,
    /// Where the processes publish their status records.
    #[arg(long, value_name = "DIR", default_value = "/run/gift/status")]
    pub(crate) status: PathBuf,
    /// What holds for this boot only.
    #[arg(long, value_name = "DIR", default_value = "/run/gift/updater")]
    pub(crate) run: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
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
