//! One round: look into the drop, believe what is signed, write it, start again.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chrono::Utc;
use clap::Args;
use gift_provision::Trust;
use gift_service::{now_ms, read_status};
use gift_spool::{Collector, ItemId, Limits, SpoolError};
use gift_status::{Process, ReceiverStatus, StatusRecord, UpdateRefusal, UpdateState};
use gift_wire::{ImageVersion, MAX_ARCHIVE_BYTES, SignedUpdate, Update};
use nix::{sys::statvfs::statvfs, unistd::User};

use crate::{
    events,
    house::House,
    install::{self, InstallError},
    record::Record,
};

/// Beside the archive: its record in the drop, and what is left to the others on the disk.
const MARGIN_BYTES: u64 = 64 << 20;
/// What cannot be taken now is looked at again after this; the unit that starts us would do so at once.
const WAIT: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 120 });
/// A scanner must be silent for this long before the box starts again.
const QUIET: Duration = Duration::from_secs(10);

/// So often the writing of an update is begun: a machine that dies of it each time (a power supply, a disk) would never work again.
const MOST_ATTEMPTS: u32 = 5;

/// Where things are.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The drop that the uplink posts updates into.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/gift/update/inbox")]
    inbox: PathBuf,
    /// The account that posts there.
    #[arg(long, value_name = "NAME", default_value = "gift-uplink")]
    writer: String,
    /// Public keys of those who may sign an update.
    #[arg(long, value_name = "FILE", default_value = "/usr/share/gift/trust/update.pub")]
    trust: PathBuf,
    /// What writes a version to the other slot (systemd-sysupdate(8)).
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/systemd/systemd-sysupdate")]
    installer: PathBuf,
    /// Made when the box is to start again (gift-restart.path waits for it).
    #[arg(long, value_name = "FILE", default_value = "/run/gift/updater/restart")]
    restart: PathBuf,
    /// For how long a scanner that does not let go may put the restart off, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

/// Takes an update, if there is one. While something is left in the drop, it does not return at once: the unit that starts us would start us
/// again.
///
/// # Errors
/// What keeps it from knowing: trust, record, drop. A bad update is no error but a refusal.
pub(crate) fn take(house: &House, options: &Options) -> Result<()> {
    let done = round(house, options);
    if fs::read_dir(&options.inbox).is_ok_and(|mut entries| entries.next().is_some()) {
        thread::sleep(WAIT);
    }
    done
}

fn round(house: &House, options: &Options) -> Result<()> {
    match house.record().state {
        // The other slot holds the image to go back to. (Also where the record says something else: it was written, and the note of that failed.)
        UpdateState::Trying => return Ok(()),
        _ if house.on_trial => return Ok(()),
        UpdateState::Installed => return restart(house, options),
        _ => {}
    }
    let trust = Trust::parse(&fs::read_to_string(&options.trust).context("trusted keys")?)?;
    let writer = User::from_name(&options.writer)?.with_context(|| format!("no account {}", options.writer))?;
    let aside = house.path("set-aside");
    fs::create_dir_all(&aside)?;
    if gift_spool::clear_foreign(&options.inbox).context("update drop")? > 0 {
        events::foreign();
    }
    let limits = Limits { max_item_bytes: MAX_ARCHIVE_BYTES + MARGIN_BYTES, ..Limits::default() };
    let drop = Collector::open(&options.inbox, &aside, &[writer.uid.as_raw()])?.with_limits(limits);
    let mut waits = false;
    // Oldest first; what is not taken is finished, too.
    for id in drop.scan()? {
        let outcome = one(house, options, &trust, &drop, &id);
        // Nothing of it stays, whatever became of it.
        clear(house)?;
        match outcome? {
            Outcome::Wait => {
                waits = true;
                continue;
            }
            Outcome::Done => {}
        }
        drop.finish(&id)?;
        drop.sync()?;
        if house.record().state == UpdateState::Installed {
            return restart(house, options);
        }
    }
    // The power went while one was written, and it is not there any more, or does not count any more.
    if house.record().state == UpdateState::Installing && !waits {
        house.becomes(UpdateState::Failed)?;
    }
    Ok(())
}

/// Removes what an update, also one before a power cut, left in the house.
fn clear(house: &House) -> io::Result<()> {
    let gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(house.path("archive")))?;
    gone(fs::remove_dir_all(house.path("source")))
}

enum Outcome {
    /// The item is dealt with.
    Done,
    /// There is no room now.
    Wait,
}

fn one(house: &House, options: &Options, trust: &Trust, drop: &Collector, id: &ItemId) -> Result<Outcome> {
    let room = || statvfs(&house.path(".")).map(|vfs| vfs.blocks_available().saturating_mul(vfs.fragment_size()));
    clear(house)?;
    // Its own copy, and the parts of it.
    if drop.size(id).is_ok_and(|size| size.saturating_mul(2).saturating_add(MARGIN_BYTES) > room().unwrap_or(0)) {
        // Where there is no room at all, not even that can be noted.
        let _ = house.refuses(UpdateRefusal::Room);
        return Ok(Outcome::Wait);
    }
    let archive = house.path("archive");
    let mut copy = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&archive)?;
    let meta = match drop.take(id, &mut copy) {
        Ok(taken) => taken.meta,
        Err(SpoolError::Damaged | SpoolError::Gone) => {
            events::damaged();
            house.refuses(UpdateRefusal::Content)?;
            return Ok(Outcome::Done);
        }
        Err(error) => return Err(error.into()),
    };
    let update = match believed(&meta, trust, &house.record(), house.running.as_ref(), &today()) {
        Ok(Some(update)) => update,
        Ok(None) => return Ok(Outcome::Done),
        Err(refusal) => {
            house.refuses(refusal)?;
            return Ok(Outcome::Done);
        }
    };
    let before = house.record();
    let attempts = if before.begun == update.serial { before.attempts.saturating_add(1) } else { 1 };
    if attempts > MOST_ATTEMPTS {
        house.remember(Record { serial: update.serial, image: Some(update.image.clone()), ..before })?;
        house.becomes(UpdateState::Failed)?;
        return Ok(Outcome::Done);
    }
    // Before anything of it is written but the copy.
    house.remember(Record { begun: update.serial, attempts, ..before })?;
    let source = house.path("source");
    match install::lay_out(&archive, &update, &source) {
        Ok(()) => {}
        Err(InstallError::Content) => {
            house.refuses(UpdateRefusal::Content)?;
            return Ok(Outcome::Done);
        }
        Err(error) => return Err(error.into()),
    }
    fs::remove_file(&archive)?;
    let record = Record {
        serial: update.serial,
        image: Some(update.image.clone()),
        state: UpdateState::Installing,
        refusal: None,
        changed_ms: now_ms(),
        begun: update.serial,
        attempts,
    };
    house.remember(record)?;
    events::state(update.serial, UpdateState::Installing);
    let written = install::write(&options.installer, &update);
    house.becomes(if written { UpdateState::Installed } else { UpdateState::Failed })?;
    Ok(Outcome::Done)
}

fn today() -> String {
    Utc::now().format("%Y-%m-%d").to_string()
}

/// The update in `meta`, if it counts; `None` for the one that was taken last (a crash had it handed over, or left it, a second time).
fn believed(
    meta: &[u8],
    trust: &Trust,
    record: &Record,
    running: Option<&ImageVersion>,
    today: &str,
) -> Result<Option<Update>, UpdateRefusal> {
    let signed = SignedUpdate::from_json(meta).map_err(|_| UpdateRefusal::Form)?;
    if !trust.signed(&signed.signed_bytes(), &signed.signature) {
        return Err(UpdateRefusal::Signature);
    }
    let update = Update::parse(&signed.update).map_err(|_| UpdateRefusal::Form)?;
    if update.serial < record.serial {
        return Err(UpdateRefusal::Serial);
    }
    // The one that was being written when the power went is written again.
    if update.serial == record.serial && record.state != UpdateState::Installing {
        return Ok(None);
    }
    // Nor the version of one that was given up: parts of it may be in the other slot.
    let before = if update.serial == record.serial { None } else { record.image.as_ref() };
    if running.is_none_or(|running| update.image <= *running) || before.is_some_and(|before| update.image <= *before) {
        return Err(UpdateRefusal::Version);
    }
    if today > update.expires.as_str() {
        return Err(UpdateRefusal::Expired);
    }
    Ok(Some(update))
}

/// Starts the box again, when no scanner is at it or it has been waited for long enough.
fn restart(house: &House, options: &Options) -> Result<()> {
    let (began, patience) = (Instant::now(), Duration::from_secs(options.patience));
    let mut quiet_since = None;
    let quiet = loop {
        match (scanners(house), quiet_since) {
            (0, None) => quiet_since = Some(Instant::now()),
            (0, Some(since)) if Instant::now() - since >= QUIET => break true,
            (0, Some(_)) => {}
            _ => quiet_since = None,
        }
        if began.elapsed() >= patience {
            break false;
        }
        thread::sleep(Duration::from_secs(1));
    };
    events::restarting(quiet);
    fs::write(&options.restart, "").context("cannot ask the service manager for a restart")
}

/// Associations that are open; a receiver that does not say counts as none.
fn scanners(house: &House) -> u32 {
    let record: Option<StatusRecord<ReceiverStatus>> =
        read_status(Process::Receiver, &house.statuses.join(Process::Receiver.name())).ok();
    record.map_or(0, |record| record.body.associations_open)
}

#[cfg(test)]
mod tests;
