//! The loop: read every status, judge, show, report.

mod restarts;

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use gift_service::{StatusFile, Supervisor, now_ms, read_status};
use gift_status::{
    CanaryRule, DeidStatus, DiskState, Inputs, Process, ReceiverStatus, RunState, StatusRecord, Unstable,
    UpdaterStatus, UplinkStatus, Verdict,
};
use gift_wire::{HealthReport, WIRE_VERSION};
use nix::{fcntl::OFlag, sys::statvfs::statvfs};

use crate::{
    boot,
    error::HealthError,
    events::{self, HealthStatus},
    leds::LedPanel,
    reporter::Reporter,
    settings::Settings,
    signals::Stop,
};
use restarts::Restarts;

/// Most scanners, oldest age and finest time of a last instance that a report names.
const SCANNERS: usize = 32;
const OLDEST_MS: u64 = 30 * 24 * 3600 * 1000;
const MINUTE_MS: u64 = 60 * 1000;

/// No more is read of what systemd-networkd says, bytes.
const LONGEST_STATE: u64 = 64 * 1024;

/// What of the receiver's status leaves the box. The receiver reads identifiable data and writes this map, which would hold
/// any 60 kilobytes a minute: the report keeps what a person needs of it.
fn coarse(mut status: ReceiverStatus, now_ms: u64) -> ReceiverStatus {
    let plausible = |ms: u64| ms <= now_ms && now_ms - ms <= OLDEST_MS;
    let known = std::mem::take(&mut status.last_instance_ms).into_iter().filter(|(_, ms)| plausible(*ms));
    status.last_instance_ms = known.map(|(scanner, ms)| (scanner, ms - ms % MINUTE_MS)).take(SCANNERS).collect();
    status
}

/// Judges until asked to stop. `settings_refused`: those of the image stand in for the box's own.
///
/// # Errors
/// Only at the start, when the settings cannot work.
pub(crate) fn run(settings: Settings, settings_refused: bool, stop: &Stop) -> Result<(), HealthError> {
    let interval = settings.judge_interval();
    let mut supervisor = Supervisor::new();
    let mut judge = Judge::new(settings)?;
    judge.settings_refused = settings_refused;
    judge.tick(now_ms(), Instant::now());
    supervisor.ready();
    loop {
        supervisor.progress();
        if stop.wait(interval) {
            supervisor.stopping();
            judge.stop();
            return Ok(());
        }
        judge.tick(now_ms(), Instant::now());
    }
}

/// What one look at the box found.
#[derive(Debug)]
struct Findings {
    receiver: Option<StatusRecord<ReceiverStatus>>,
    deid: Option<StatusRecord<DeidStatus>>,
    uplink: Option<StatusRecord<UplinkStatus>>,
    updater: Option<StatusRecord<UpdaterStatus>>,
    disk: DiskState,
    verdict: Verdict,
}

/// Whether there is nothing in a directory, or no directory.
fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

/// Whether systemd-networkd says, in its `state`, that an address is configured on a link that is up (networkctl(1), *routable*). It is
/// another account's file: it may be anything, also a pipe.
fn is_routable(state: &Path) -> bool {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits();
    let mut text = String::new();
    File::options()
        .read(true)
        .custom_flags(flags)
        .open(state)
        .and_then(|file| file.take(LONGEST_STATE).read_to_string(&mut text))
        .is_ok_and(|_| text.lines().any(|line| line == "OPER_STATE=routable"))
}

/// The judge and what it remembers.
#[derive(Debug)]
pub(crate) struct Judge {
    settings: Settings,
    software: String,
    leds: LedPanel,
    reporter: Reporter,
    status_file: StatusFile,
    status: HealthStatus,
    last: Option<Verdict>,
    /// The first round.
    since: Option<Instant>,
    /// The receiver's, deid's and the uplink's.
    restarts: [Restarts; 3],
    settings_refused: bool,
    disk_failing: bool,
    status_failing: bool,
}

impl Judge {
    pub(crate) fn new(settings: Settings) -> Result<Self, HealthError> {
        // The sequence goes on where an earlier run of this boot left it.
        let record = read_status::<HealthStatus>(Process::Health, &settings.status_directory).ok();
        let before = record.map(|record| record.body).unwrap_or_default();
        // Without a random source there is no boot to name; the hub then sees the all-zero one.
        let boot = boot::identifier(Some(&before.boot)).unwrap_or_else(|_| "0".repeat(32));
        let sequence = if boot == before.boot { before.sequence } else { 0 };
        events::started(&boot, sequence);
        Ok(Self {
            leds: LedPanel::open(&settings.leds)?,
            reporter: Reporter::new(&settings),
            status_file: StatusFile::new(&settings.status_directory),
            status: HealthStatus { boot, sequence, ..HealthStatus::default() },
            settings,
            software: boot::software(),
            last: None,
            since: None,
            restarts: Default::default(),
            settings_refused: false,
            disk_failing: false,
            status_failing: false,
        })
    }

    /// One round. `now_ms` is the wall clock, `now` the monotonic one.
    pub(crate) fn tick(&mut self, now_ms: u64, now: Instant) {
        let watched = now - *self.since.get_or_insert(now);
        let findings = self.look(now_ms, watched, now);
        self.leds.show(findings.verdict.leds);
        let changed = self
            .last
            .as_ref()
            .is_none_or(|last| (last.word, &last.causes) != (findings.verdict.word, &findings.verdict.causes));
        if changed {
            events::verdict(&findings.verdict);
        }
        if self.reporter.is_due(&findings.verdict, now) {
            self.status.sequence += 1;
            let report = self.report(now_ms, &findings);
            if self.reporter.report(&report, now) {
                self.status.reports_total += 1;
            } else {
                self.status.report_failures_total += 1;
            }
        }
        self.status.verdict = Some(findings.verdict.word);
        self.last = Some(findings.verdict);
        self.publish(RunState::Ready);
    }

    /// The end: LEDs that nobody drives must not say "ready".
    pub(crate) fn stop(&mut self) {
        events::stopping();
        self.leds.dark();
        self.publish(RunState::Stopping);
    }

    /// `watched` is how long ago the first look was.
    fn look(&mut self, now_ms: u64, watched: Duration, now: Instant) -> Findings {
        let receiver = read_status(Process::Receiver, &self.settings.receiver_status).ok();
        let deid = read_status(Process::Deid, &self.settings.deid_status).ok();
        let uplink = read_status(Process::Uplink, &self.settings.uplink_status).ok();
        let updater = read_status(Process::Updater, &self.settings.updater_status).ok();
        let disk = self.disk();
        let canary = self.settings.canary.map(|canary| CanaryRule {
            longest_age_ms: canary.longest_age_seconds.saturating_mul(1000),
            first_within_ms: canary.first_within_seconds.saturating_mul(1000),
        });
        let [of_receiver, of_deid, of_uplink] = &mut self.restarts;
        let unstable = Unstable {
            receiver: of_receiver.too_many(receiver.as_ref(), now),
            deid: of_deid.too_many(deid.as_ref(), now),
            uplink: of_uplink.too_many(uplink.as_ref(), now),
        };
        let inputs = Inputs {
            now_ms,
            receiver: receiver.as_ref(),
            deid: deid.as_ref(),
            uplink: uplink.as_ref(),
            updater: updater.as_ref(),
            disk,
            canary,
            watched_ms: u64::try_from(watched.as_millis()).unwrap_or(u64::MAX),
            start_within_ms: self.settings.start_within_seconds.saturating_mul(1000),
            unstable,
            settings_refused: self.settings_refused,
            no_watchdog: self.settings.watchdog_class.as_deref().is_some_and(is_empty),
            no_scanner_network: self.settings.scanner_network.as_deref().is_some_and(|state| !is_routable(state)),
        };
        let verdict = gift_status::verdict(&inputs);
        Findings { receiver, deid, uplink, updater, disk, verdict }
    }

    /// The state disk; one that cannot be asked counts as full.
    fn disk(&mut self) -> DiskState {
        let reserve_bytes = self.settings.reserve_bytes;
        match statvfs(&self.settings.state_disk) {
            Ok(vfs) => {
                self.disk_failing = false;
                let size = |blocks: u64| blocks.saturating_mul(vfs.fragment_size());
                let (free_bytes, total_bytes) = (size(vfs.blocks_available()), size(vfs.blocks()));
                DiskState { free_bytes, total_bytes, reserve_bytes }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.disk_failing, true) {
                    events::disk_unknown(error);
                }
                DiskState { free_bytes: 0, total_bytes: 0, reserve_bytes }
            }
        }
    }

    fn report(&self, now_ms: u64, findings: &Findings) -> HealthReport {
        HealthReport {
            version: WIRE_VERSION,
            boot: self.status.boot.clone(),
            sequence: self.status.sequence,
            sent_ms: now_ms,
            software: self.software.clone(),
            verdict: findings.verdict.clone(),
            disk: findings.disk,
            receiver: findings.receiver.as_ref().map(|record| coarse(record.body.clone(), now_ms)),
            deid: findings.deid.as_ref().map(|record| record.body.clone()),
            uplink: findings.uplink.as_ref().map(|record| record.body.clone()),
            update: findings.updater.as_ref().map(|record| record.body),
        }
    }

    fn publish(&mut self, state: RunState) {
        self.status.led_failures_total = self.leds.failures_total();
        match self.status_file.publish(state, &self.status) {
            Ok(()) => self.status_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.status_failing, true) {
                    events::status_failed(&error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
