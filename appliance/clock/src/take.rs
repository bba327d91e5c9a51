//! Takes chains from the drop. Each is erased, whatever becomes of it.

use std::{
    fs, io,
    path::PathBuf,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use gift_spool::{Collector, Limits, SpoolError};
use gift_wire::MAX_CHAIN_BYTES;
use nix::unistd::User;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{chain, events};

/// The drop's own record beside a chain, bytes.
const MARGIN_BYTES: u64 = 64 << 10;
/// What cannot be taken now is looked at again after this.
const WAIT: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 120 });

/// Moves a clock that is behind forward, to what a certificate of the hub proves.
#[derive(Debug, Parser)]
#[command(name = "gift-clock", version)]
pub(crate) struct Options {
    /// The drop that the uplink posts chains into.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/clock/inbox")]
    inbox: PathBuf,
    /// Where its damaged items go.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/clock/set-aside")]
    set_aside: PathBuf,
    /// The account that posts there.
    #[arg(long, value_name = "NAME", default_value = "gift-uplink")]
    writer: String,
    /// PEM file of the roots that the hub's certificate chains to.
    #[arg(long, value_name = "FILE", default_value = "/etc/gift/hub-roots.pem")]
    roots: PathBuf,
}

/// The machine's clock.
#[derive(Clone, Copy)]
pub(crate) struct Clock<'a> {
    /// Reads it.
    pub(crate) now: &'a dyn Fn() -> SystemTime,
    /// Sets it.
    pub(crate) set: &'a dyn Fn(SystemTime) -> io::Result<()>,
}

/// Takes what is in the drop. Where a chain proves a later instant than the clock says, it is set to that. While something is left in the drop,
/// it does not return at once: the unit that starts us would start us again.
///
/// # Errors
/// What keeps it from knowing or setting: roots, the drop, the clock. A chain that proves nothing is no error.
pub(crate) fn take(options: &Options, clock: Clock<'_>) -> Result<()> {
    let done = round(options, clock);
    if fs::read_dir(&options.inbox).is_ok_and(|mut entries| entries.next().is_some()) {
        thread::sleep(WAIT);
    }
    done
}

fn round(options: &Options, clock: Clock<'_>) -> Result<()> {
    let roots = fs::read(&options.roots).context("the hub's roots")?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&roots).collect::<Result<_, _>>().context("the hub's roots")?;
    let writer = User::from_name(&options.writer)?.with_context(|| format!("no account {}", options.writer))?;
    if gift_spool::clear_foreign(&options.inbox).context("the clock's drop")? > 0 {
        events::foreign();
    }
    let limits = Limits { max_item_bytes: MAX_CHAIN_BYTES as u64 + MARGIN_BYTES, ..Limits::default() };
    let drop = Collector::open(&options.inbox, &options.set_aside, &[writer.uid.as_raw()])?.with_limits(limits);
    for id in drop.scan()? {
        let mut pem = Vec::new();
        match drop.take_into(&id, &mut pem) {
            Ok(_) => match chain::proven(&pem, &roots) {
                Ok(instant) => forward(clock, instant)?,
                Err(refusal) => events::refused(refusal),
            },
            Err(SpoolError::Damaged | SpoolError::Gone) => events::damaged(),
            Err(error) => return Err(error.into()),
        }
        drop.finish(&id)?;
    }
    Ok(drop.sync()?)
}

/// Sets the clock to `instant`, if it is behind it now.
fn forward(clock: Clock<'_>, instant: SystemTime) -> Result<()> {
    match instant.duration_since((clock.now)()) {
        Ok(behind) if behind > Duration::ZERO => {
            (clock.set)(instant).context("the clock cannot be set")?;
            events::moved(behind);
        }
        _ => events::not_behind(),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
