//! The monitor's main loop: offers what stands in the intake to the lanes, watches policy, room and quarantine, publishes
//! the status record, beats the watchdog, and ends on request. It reads no byte of an object; lanes do, and only to copy,
//! hash and encrypt.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use gift_service::{StatusFile, Supervisor, now_ms};
use gift_status::RunState;
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use crate::{
    bundle::{Bundles, Refused, Signed},
    error::{DeidError, Response},
    events::{self, Pressure},
    lane::Lane,
    policy::{self, Policy, PolicyError, Signature},
    queue::Pause,
    settings::Settings,
    shared::Shared,
    start::{self, Opened},
};

/// Longest wait for an arrival before signals and time are looked at.
const WAIT: Duration = Duration::from_millis(200);
/// How often status is published and room looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often ages are looked at.
const AGE_TICK: Duration = Duration::from_secs(60);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Signals the monitor answers to. Blocked in every thread, read from one descriptor.
///
/// # Errors
/// The kernel's.
pub fn signals() -> Result<SignalFd, DeidError> {
    let wrap = |error: nix::Error| DeidError::io("signals")(error.into());
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block().map_err(wrap)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(wrap)
}

/// Serves until SIGTERM or SIGINT; workers run `program`.
///
/// # Errors
/// What the process cannot go on with.
pub fn serve(settings: Settings, program: &Path, signals: &SignalFd) -> Result<(), DeidError> {
    let status = StatusFile::new(&settings.status_directory);
    let supervisor = Supervisor::new();
    let Opened { shared, bundles, in_force } = start::open(settings)?;
    let shared = Arc::new(shared);
    let seen = policy::signature(&shared.settings.policy);
    let lanes = lanes(&shared, program)?;
    let (pressure, pause) = (None, Pause::Nothing);
    let mut monitor = Monitor { shared, lanes, status, supervisor, seen, bundles, in_force, pressure, pause };
    events::started(monitor.shared.settings.workers.count, monitor.shared.quarantine.count().objects);
    monitor.supervisor.ready();
    let ended = monitor.run(signals);
    monitor.end(ended)
}

fn lanes(shared: &Arc<Shared>, program: &Path) -> Result<Vec<JoinHandle<Result<(), DeidError>>>, DeidError> {
    let work = shared.settings.house.join("work");
    let lane = |number: u8| {
        let lane = Lane::new(Arc::clone(shared), usize::from(number), PathBuf::from(program), &work)?;
        let thread = std::thread::Builder::new().name(format!("lane-{number}"));
        thread.spawn(move || lane.run()).map_err(DeidError::io("lane"))
    };
    (0..shared.settings.workers.count).map(lane).collect()
}

struct Monitor {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<Result<(), DeidError>>>,
    status: StatusFile,
    supervisor: Supervisor,
    /// The policy's files as they were when it was last read.
    seen: Signature,
    /// Where policy bundles arrive.
    bundles: Option<Bundles>,
    /// The one in force.
    in_force: Option<Signed>,
    pressure: Option<Pressure>,
    pause: Pause,
}

impl Monitor {
    fn run(&mut self, signals: &SignalFd) -> Result<(), DeidError> {
        let policy_tick = Duration::from_secs(self.shared.settings.policy_check_seconds);
        let (mut tick, mut age, mut policy) = (Every::new(TICK), Every::new(AGE_TICK), Every::new(policy_tick));
        loop {
            while let Ok(Some(signal)) = signals.read_signal() {
                match Signal::try_from(signal.ssi_signo.cast_signed()) {
                    Ok(Signal::SIGHUP) => self.read_policy(),
                    _ => return Ok(()),
                }
            }
            if self.lanes.iter().any(JoinHandle::is_finished) {
                return Err(DeidError::Lane);
            }
            if policy.due() {
                if policy::signature(&self.shared.settings.policy) != self.seen {
                    self.read_policy();
                }
                self.take_bundles()?;
            }
            if age.due() {
                self.age()?;
            }
            if tick.due() {
                self.feel_pressure()?;
                self.feed(true)?;
                self.publish(RunState::Ready);
            } else if self.shared.queue.waiting() == 0 {
                self.feed(false)?;
            }
            if self.shared.all_alive() {
                self.supervisor.progress();
            }
            self.shared.collector.wait(WAIT);
        }
    }

    /// Offers what stands in the intake, and what is held and may now be judged otherwise.
    fn feed(&self, count: bool) -> Result<(), DeidError> {
        let shared = &self.shared;
        let survey = shared.collector.survey()?;
        if count {
            shared.queue.undefer(|scanner| shared.quarantine.has_room_for(scanner));
            shared.tally(|status| status.inbox_objects = survey.waiting);
        }
        shared.queue.offer(&survey.oldest, Instant::now());
        if self.pause != Pause::All && shared.take_replay() {
            let Some(policy) = shared.policy() else { return Ok(()) };
            let held = shared.ledger.held()?;
            let changed = held.iter().filter(|row| !row.damaged && row.judged != policy.digest(row.reason));
            let offered = shared.queue.offer_replay(changed.filter_map(|row| gift_spool::ItemId::parse(&row.item)));
            if offered > 0 {
                events::replaying(offered);
            }
        }
        Ok(())
    }

    /// Reads the policy again. One that does not parse is none: nothing is judged until it does.
    fn read_policy(&mut self) {
        let settings = &self.shared.settings;
        // Before it is read: a change in between shows as another one.
        self.seen = policy::signature(&settings.policy);
        match self.load(self.in_force.as_ref()) {
            Ok(policy) => {
                events::policy_loaded(policy.names.profiles.len(), policy.names.templates.len());
                self.shared.set_policy(Some(policy));
            }
            Err(error) => {
                events::policy_failed(&error);
                self.shared.set_policy(None);
            }
        }
        self.settle_pause();
    }

    fn load(&self, signed: Option<&Signed>) -> Result<Policy, PolicyError> {
        let settings = &self.shared.settings;
        let bundle = signed.map(|signed| &signed.bundle);
        Policy::load(&settings.policy, settings.limits, &settings.routes, &settings.linkages, bundle)?
            .looked_at(&settings.ocr, &settings.video)
    }

    /// Puts the newest of the bundles that arrived in force. One that is refused changes nothing.
    fn take_bundles(&mut self) -> Result<(), DeidError> {
        let Some(bundles) = self.bundles.take() else { return Ok(()) };
        let taken = bundles.arrived().map_err(DeidError::from).and_then(|arrived| {
            arrived.iter().try_for_each(|id| {
                let Some(read) = bundles.take(id)? else { return Ok(()) };
                match read.and_then(|signed| self.policy_with(signed)) {
                    Ok(None) => {}
                    Ok(Some((signed, policy))) => {
                        // Durable before it counts: a kill in between repeats this, and the next start agrees with this run.
                        bundles.keep(&signed).map_err(DeidError::io("policy shelf"))?;
                        self.put_in_force(signed, policy);
                    }
                    Err(refused) => {
                        events::bundle_refused(&refused);
                        self.shared.tally(|status| status.bundles_refused_total += 1);
                    }
                }
                Ok(bundles.finish(id)?)
            })
        });
        self.bundles = Some(bundles);
        match taken {
            Err(error) if error.response() == Response::Later => Ok(()),
            taken => taken,
        }
    }

    /// The policy that `signed` gives; `None` when it is the one in force.
    fn policy_with(&self, signed: Signed) -> Result<Option<(Signed, Policy)>, Refused> {
        let in_force = self.in_force.as_ref().map(|there| &there.bundle);
        if !signed.may_follow(in_force, now_ms())? {
            return Ok(None);
        }
        let policy = self.load(Some(&signed))?;
        Ok(Some((signed, policy)))
    }

    fn put_in_force(&mut self, signed: Signed, policy: Policy) {
        let serial = signed.bundle.serial;
        events::bundle_in_force(serial);
        events::policy_loaded(policy.names.profiles.len(), policy.names.templates.len());
        self.shared.set_policy(Some(policy));
        self.shared.tally(|status| status.policy_serial = serial);
        self.in_force = Some(signed);
        self.settle_pause();
    }

    /// Room at the release side and in the house, and in the quarantine.
    fn feel_pressure(&mut self) -> Result<(), DeidError> {
        let shared = &self.shared;
        // What could not be posted for want of room in the outbox.
        shared.depositor.post_late()?;
        let pressure = if !shared.has_room_for(0)? {
            Some(Pressure::Room)
        } else if shared.quarantine.is_full() {
            Some(Pressure::Quarantine)
        } else {
            None
        };
        if pressure != self.pressure {
            events::pressure(pressure);
            self.pressure = pressure;
        }
        self.settle_pause();
        Ok(())
    }

    fn settle_pause(&mut self) {
        let pause = match self.pressure {
            _ if self.shared.policy().is_none() => Pause::All,
            Some(Pressure::Room) => Pause::All,
            Some(Pressure::Quarantine) => Pause::Intake,
            None => Pause::Nothing,
        };
        if pause != self.pause {
            self.pause = pause;
            self.shared.queue.pause(pause);
            // What waited to be judged again was forgotten with the rest.
            self.shared.replay_again();
        }
    }

    /// What is too old.
    fn age(&self) -> Result<(), DeidError> {
        let shared = &self.shared;
        let now = now_ms();
        shared.ledger.grow_older(now)?;
        let expired = shared.quarantine.expire(&shared.ledger, now)?;
        if expired > 0 {
            events::expired(expired);
        }
        let bounds = &shared.settings.ledger;
        Ok(shared.ledger.prune(u64::from(bounds.max_age_days) * DAY_MS, bounds.max_rows)?)
    }

    fn publish(&self, state: RunState) {
        let stock = self.shared.quarantine.count();
        let mut status = self.shared.status().clone();
        status.quarantine_objects = stock.by_reason;
        status.quarantine_bytes = stock.bytes;
        status.quarantine_full = self.pressure == Some(Pressure::Quarantine);
        status.deferred_objects = self.shared.queue.deferred().values().sum();
        let state = match state {
            RunState::Ready if self.pause == Pause::All => RunState::Degraded,
            other => other,
        };
        // A record that cannot be written goes stale, which health shows.
        let _ = self.status.publish(state, status);
    }

    /// Ends: lanes finish what they do within the time set. What they do not finish stays in the intake, and workers die
    /// with this process.
    fn end(mut self, ended: Result<(), DeidError>) -> Result<(), DeidError> {
        self.supervisor.stopping();
        if ended.is_ok() {
            events::stopping();
        }
        self.shared.stop();
        self.publish(RunState::Stopping);
        let deadline = Instant::now() + Duration::from_secs(self.shared.settings.stop_grace_seconds);
        while Instant::now() < deadline && !self.lanes.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut outcome = ended;
        for lane in std::mem::take(&mut self.lanes).into_iter().filter(JoinHandle::is_finished) {
            let error = match lane.join() {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error,
                Err(_) => DeidError::Lane,
            };
            // The lane's own error says more than that a lane ended.
            if matches!(outcome, Ok(()) | Err(DeidError::Lane)) {
                outcome = Err(error);
            }
        }
        self.publish(RunState::Stopping);
        outcome
    }
}

/// Something that is due every so often, and at once.
struct Every {
    period: Duration,
    last: Option<Instant>,
}

impl Every {
    fn new(period: Duration) -> Self {
        Self { period, last: None }
    }

    fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.period);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
