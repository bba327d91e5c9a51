//! gift-provision: at boot, lays out what this box was told: settings, networks, keys.
//!
//! *May touch*: the provisioning partition (reads), its house (`/var/lib/gift/provision`: the box's identity, the newest
//! provisioning it has seen), `/run/gift`, the credential store below `/run`.
//! *May not touch*: any network, any image, `intake/`, `deid/`, `release/`, `uplink/`. It ends before those who use them begin.
//! *A compromise yields*: the box's keys; it reads nothing but a signed text and the names of network devices.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod keys;
mod layout;
mod ports;

use std::path::PathBuf;

use clap::Parser;

/// Lays out settings, networks and keys from the box's signed provisioning.
#[derive(Debug, Parser)]
#[command(name = "gift-provision", version)]
pub(crate) struct Arguments {
    /// The partition that holds the signed provisioning.
    #[arg(long, value_name = "FILE", default_value = "/dev/disk/by-partlabel/gift-provision")]
    pub(crate) partition: PathBuf,
    /// Public keys of those who may sign one.
    #[arg(long, value_name = "FILE", default_value = "/usr/share/gift/trust/provisioning.pub")]
    pub(crate) trust: PathBuf,
    /// Settings where a provisioning has none.
    #[arg(long, value_name = "DIR", default_value = "/usr/share/gift/defaults")]
    pub(crate) defaults: PathBuf,
    /// Where identity and newest provisioning are kept.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/provision")]
    pub(crate) house: PathBuf,
    /// Where settings and networks are laid out.
    #[arg(long, value_name = "DIR", default_value = "/run/gift")]
    pub(crate) run: PathBuf,
    /// Where sealed keys are put.
    #[arg(long, value_name = "DIR", default_value = "/run/credstore.encrypted")]
    pub(crate) credentials: PathBuf,
    /// Network devices.
    #[arg(long, value_name = "DIR", default_value = "/sys/class/net")]
    pub(crate) devices: PathBuf,
    /// Only take over the name servers of a lease, from this state of networkd.
    #[arg(long, value_name = "FILE")]
    pub(crate) name_servers: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    gift_service::start_log_of("provision");
    match &arguments.name_servers {
        Some(state) => layout::name_servers(&arguments, state),
        None => layout::lay_out(&arguments),
    }
}
