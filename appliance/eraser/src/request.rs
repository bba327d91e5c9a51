//! From a request to the partition: who asked for what, and which partition is meant.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use gift_wire::OrderKind;

use crate::{
    arguments::Devices,
    erase, events,
    partition::{PROVISIONING, STATE, labelled},
};

/// Longest request, bytes.
const MAX_BYTES: u64 = 64;

/// Who may ask.
#[derive(Debug, Args)]
pub(crate) struct EraseOptions {
    /// Files whose content is what is asked for.
    #[arg(long = "request", value_name = "FILE",
        default_values = ["/run/gift/eraser/request", "/run/gift/button/request"])]
    requests: Vec<PathBuf>,
}

/// What a boot makes of it.
#[derive(Debug, Args)]
pub(crate) struct FinishOptions {
    /// Environment of systemd-repart: written when the state is to be made anew.
    #[arg(long, value_name = "FILE", default_value = "/run/gift-eraser/repart.env")]
    environment: PathBuf,
}

/// Erases the state, as was asked for.
///
/// # Errors
/// Nobody asked for what can be done, there is not one state, or it cannot be erased.
pub(crate) fn carry_out(devices: &Devices, options: &EraseOptions) -> Result<()> {
    let mut wanted = None;
    for path in &options.requests {
        match asked(path)? {
            // The one that leaves less counts.
            Some(OrderKind::Decommission) => wanted = Some(OrderKind::Decommission),
            Some(OrderKind::FactoryReset) => wanted = wanted.or(Some(OrderKind::FactoryReset)),
            None => {}
        }
    }
    let kind = wanted.context("nobody asked for anything")?;
    match labelled(devices, STATE)?.as_slice() {
        [state] => Ok(erase::begin(&state.open()?, kind)?),
        found => bail!("{} partitions are called {STATE}: which one is not known", found.len()),
    }
}

/// What the file asks for; `None` when it is not there.
fn asked(path: &Path) -> Result<Option<OrderKind>> {
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    OrderKind::parse(&text).map(Some).with_context(|| format!("{}: not a request", path.display()))
}

/// Ends what was begun, and has the state made anew.
///
/// # Errors
/// The disk's, or it is not clear what is meant: the state must not be opened then.
pub(crate) fn finish(devices: &Devices, options: &FinishOptions) -> Result<()> {
    let states = labelled(devices, STATE)?;
    for state in &states {
        let disk = state.open()?;
        let provisioning = || {
            let found = labelled(devices, PROVISIONING)?;
            let mut here = found.iter().filter(|partition| partition.disk == state.disk);
            match (here.next(), here.next()) {
                (Some(partition), None) => partition.open(),
                _ => Err(io::Error::other("not one provisioning partition is on the state's disk")),
            }
        };
        if erase::mark_of(&disk)?.is_some() {
            ensure!(states.len() == 1, "more than one partition is called {STATE}");
        }
        if let Some(kind) = erase::finish(&disk, provisioning)? {
            fs::write(&options.environment, "FACTORY_RESET=--factory-reset=yes\n")?;
            events::finished(kind);
            return Ok(());
        }
    }
    events::nothing_to_finish();
    Ok(())
}

#[cfg(test)]
mod tests;
