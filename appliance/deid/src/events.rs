//! Everything this process may log: random identifiers, scanner ordinals, closed words, counts, and the settings' own
//! text. No value of a data set, no AE title, no address.

use gift_status::{HoldReason, Process};

use crate::{
    bundle::Refused,
    child::Death,
    error::DeidError,
    policy::PolicyError,
    quarantine::Mended,
    reader::ReadFault,
    sandbox::Landlock,
    settings::{Mode, VideoMode},
};

/// Starts the log.
pub fn start() {
    gift_service::start_log(Process::Deid);
}

/// The process serves.
pub fn started(workers: u8, held: u64) {
    tracing::info!(workers, held, "deid started");
}

/// The process ends on request.
pub fn stopping() {
    tracing::info!("deid stopping: objects being judged are finished");
}

/// The process ends because of an error.
pub fn failed(error: &DeidError) {
    tracing::error!(%error, "deid ends");
}

/// The ledger was damaged; a new one is begun, and the quarantine's rows are made from its files.
pub fn ledger_damaged() {
    tracing::error!("ledger damaged: moved aside, begun anew");
}

/// Files and rows of the quarantine did not agree, and were made to.
pub fn mended(mended: Mended) {
    let Mended { erased, adopted, lost } = mended;
    if mended != Mended::default() {
        tracing::warn!(erased, adopted, lost, "quarantine mended");
    }
}

/// Objects of the last run were still to be posted.
pub fn recovered(posted: u64, erased: u64, damaged: u64) {
    if posted + erased + damaged > 0 {
        tracing::info!(posted, erased, damaged, "release staging recovered");
    }
}

/// An object was released.
pub fn released(item: &str, scanner: u16, redacted: bool) {
    tracing::info!(item, scanner, redacted, "released");
}

/// An object was held.
pub fn held(item: &str, scanner: u16, reason: HoldReason) {
    tracing::info!(item, scanner, %reason, "held");
}

/// An identifier of the object was read in its finished pixels: the template or rule that cleared them is to be looked at.
pub fn text_in_pixels(item: &str, scanner: u16, ground: &str) {
    tracing::error!(
        item,
        scanner,
        ground,
        "ALERT: an identifier is readable in the pixels that this template or rule cleared"
    );
}

/// Whether the second look is taken.
pub fn second_look(mode: Mode) {
    match mode {
        Mode::Off => tracing::info!("second look (OCR) is off"),
        Mode::Redacted => tracing::info!("second look (OCR) at redacted pixels"),
        Mode::All => tracing::info!("second look (OCR) at redacted and at never burnt-in pixels"),
    }
}

/// Whether video is redacted.
pub fn video(mode: VideoMode) {
    match mode {
        VideoMode::Off => tracing::info!("video is held"),
        VideoMode::Redact => tracing::info!("video is redacted"),
    }
}

/// The second look at an object failed.
pub fn look_failed(item: &str, fault: &ReadFault) {
    tracing::warn!(item, %fault, "second look failed");
}

/// A held object was judged again, and is still held.
pub fn still_held(item: &str, scanner: u16, reason: HoldReason) {
    tracing::info!(item, scanner, %reason, "still held");
}

/// A held object does not open any more.
pub fn held_damaged(item: &str) {
    tracing::error!(item, "held object does not open: kept, not judged again");
}

/// An intake item whose record is damaged was set aside, encrypted.
pub fn damaged(item: &str) {
    tracing::warn!(item, "intake item damaged: set aside");
}

/// Held objects were erased for their age.
pub fn expired(objects: u64) {
    tracing::warn!(objects, "held objects erased: older than allowed");
}

/// A worker's sandbox is closed. Said once for each kind.
pub fn sandboxed(landlock: Landlock) {
    match landlock {
        Landlock::Full => tracing::info!("worker sandbox closed: seccomp, landlock"),
        Landlock::Partial => tracing::warn!("worker sandbox closed: seccomp, and what this kernel has of landlock"),
        Landlock::None => tracing::warn!("worker sandbox closed: seccomp only, this kernel has no landlock"),
    }
}

/// A worker died on an object.
pub fn worker_died(item: &str, death: Death) {
    match death {
        Death::Asked(_) | Death::Lied => tracing::error!(item, %death, "worker broke its orders: ended"),
        Death::Crashed { signal: Some(nix::libc::SIGSYS) } => {
            tracing::error!(item, "worker tried a forbidden system call: ended by its sandbox");
        }
        Death::Crashed { signal } => tracing::warn!(item, signal, "worker crashed"),
        _ => tracing::warn!(item, %death, "worker ended"),
    }
}

/// What a worker stated is not what the monitor sees.
pub fn worker_lied(item: &str, what: &'static str) {
    tracing::error!(item, what, "worker's statement does not hold: worker ended, object held");
}

/// The policy was read.
pub fn policy_loaded(profiles: usize, templates: usize) {
    tracing::info!(profiles, templates, "policy read");
}

/// The policy cannot be read: nothing is taken until it can.
pub fn policy_failed(error: &PolicyError) {
    tracing::error!(%error, "policy unusable: nothing is taken");
}

/// A signed bundle is in force.
pub fn bundle_in_force(serial: u64) {
    tracing::info!(serial, "policy bundle in force");
}

/// A bundle was not put in force; what was in force stays.
pub fn bundle_refused(why: &Refused) {
    tracing::warn!(%why, "policy bundle refused");
}

/// The bundle of the last run cannot be used: without it templates that were withdrawn would count again.
pub fn kept_bundle_unusable(why: &Refused) {
    tracing::error!(%why, "the policy bundle in force cannot be used any more: nothing is taken until another arrives");
}

/// So many held objects are judged again.
pub fn replaying(objects: usize) {
    tracing::info!(objects, "policy changed: judging held objects again");
}

/// Nothing is taken from the intake, or it is again.
pub fn pressure(why: Option<Pressure>) {
    match why {
        Some(Pressure::Quarantine) => tracing::warn!("quarantine is full: nothing is taken from the intake"),
        Some(Pressure::Room) => tracing::warn!("disk is short: nothing is taken from the intake"),
        None => tracing::info!("taking from the intake again"),
    }
}

/// Why nothing is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// The quarantine reached a bound.
    Quarantine,
    /// The release side or the house has no room.
    Room,
}

/// A scanner's share of the quarantine is full: its objects that must be held wait in the intake.
pub fn scanner_share_full(scanner: u16) {
    tracing::warn!(scanner, "scanner's share of the quarantine is full");
}

/// An item could not be finished now and is tried again.
pub fn later(item: &str, error: &DeidError) {
    tracing::warn!(item, %error, "tried again later");
}
