//! The command line: one verb for each unit that runs this program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{order, request};

/// Erases this box when it is ordered to.
#[derive(Debug, Parser)]
#[command(name = "gift-eraser", version)]
pub(crate) struct Arguments {
    /// Where the disk's partitions are found.
    #[command(flatten)]
    pub(crate) devices: Devices,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the disk's partitions are found.
#[derive(Debug, Args)]
pub(crate) struct Devices {
    /// What the kernel says of block devices.
    #[arg(long, value_name = "DIR", default_value = "/sys/class/block")]
    pub(crate) blocks: PathBuf,
    /// Their nodes.
    #[arg(long, value_name = "DIR", default_value = "/dev")]
    pub(crate) nodes: PathBuf,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Take an order from the drop, if there is one, and ask for what it says.
    Order(order::Options),
    /// Erase the state, as somebody asked for. The box must start again at once.
    Erase(request::EraseOptions),
    /// At boot, before the state is opened: end what a restart or a power cut left.
    Finish(request::FinishOptions),
}
