//! What main loop and lanes share: the stores, the keys, the policy, the counters.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use gift_service::now_ms;
use gift_spool::{Collector, Depositor, ItemId, SpoolError};
use gift_status::{DeidStatus, HoldReason};
use hmac::Mac as _;

use crate::{
    aside::Aside,
    error::DeidError,
    events,
    key::{DigestKey, KeyError, SiteKey},
    ledger::{Ledger, VerdictRow},
    linkage::Domain,
    policy::Policy,
    quarantine::{HeldMeta, Quarantine, QuarantineError},
    queue::Queue,
    route::Route,
    sandbox::Landlock,
    settings::Settings,
};

/// All of it.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub settings: Settings,
    /// Site keys by name.
    pub keys: BTreeMap<String, SiteKey>,
    /// Linkage domains by name.
    pub domains: BTreeMap<String, Domain>,
    /// The key of the box's own: for digests of what no route names.
    pub own: SiteKey,
    /// Keys the digest of a fingerprint.
    pub fingerprint_key: DigestKey,
    /// The intake.
    pub collector: Collector,
    /// The release side.
    pub depositor: Depositor,
    /// The ledger.
    pub ledger: Ledger,
    /// The quarantine.
    pub quarantine: Quarantine,
    /// What is to be done.
    pub queue: Queue,
    /// Where damaged items of the intake are for a moment.
    pub set_aside: PathBuf,
    /// What changes while it runs.
    pub state: State,
}

/// What changes while it runs.
#[derive(Debug)]
pub struct State {
    policy: RwLock<Option<Arc<Policy>>>,
    status: Mutex<DeidStatus>,
    stopping: AtomicBool,
    replay: AtomicBool,
    said: Mutex<Vec<Landlock>>,
    started: Instant,
    /// Per lane: last sign of life, ms since `started`.
    alive: Vec<AtomicU64>,
}

impl State {
    /// The state of a process with so many lanes.
    pub fn new(lanes: u8) -> Self {
        Self {
            policy: RwLock::default(),
            status: Mutex::default(),
            stopping: AtomicBool::new(false),
            replay: AtomicBool::new(false),
            said: Mutex::default(),
            started: Instant::now(),
            alive: (0..lanes).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Shared {
    /// The policy in force; without one nothing is judged.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.state.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a policy in force, or none; what is held may have to be judged again.
    pub fn set_policy(&self, policy: Option<Policy>) {
        *self.state.policy.write().unwrap_or_else(PoisonError::into_inner) = policy.map(Arc::new);
        self.replay_again();
    }

    /// The site key called `name`.
    ///
    /// # Errors
    /// [`KeyError::Unknown`]: every key that a route names was loaded at start.
    pub fn key(&self, name: &str) -> Result<&SiteKey, DeidError> {
        self.keys.get(name).ok_or(DeidError::Key(KeyError::Unknown))
    }

    /// The linkage domain of `route`, when it is of one.
    ///
    /// # Errors
    /// [`KeyError::Unknown`]: every domain that a route names was opened at start.
    pub fn domain(&self, route: &Route) -> Result<Option<&Domain>, DeidError> {
        let find = |name| self.domains.get(name).ok_or(DeidError::Key(KeyError::Unknown));
        route.linkage.as_ref().map(find).transpose()
    }

    /// Asks for another look at what is held.
    pub fn replay_again(&self) {
        self.state.replay.store(true, Ordering::Release);
    }

    /// True once after [`Shared::replay_again`].
    pub fn take_replay(&self) -> bool {
        self.state.replay.swap(false, Ordering::AcqRel)
    }

    /// Lanes end after what they do.
    pub fn stop(&self) {
        self.state.stopping.store(true, Ordering::Release);
        self.queue.close();
    }

    /// True when the process ends.
    pub fn stopping(&self) -> bool {
        self.state.stopping.load(Ordering::Acquire)
    }

    /// A lane's sign of life: it made progress, is idle, or waits for its worker within the time allowed.
    pub fn alive(&self, lane: usize) {
        let now = u64::try_from(self.state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(alive) = self.state.alive.get(lane) {
            alive.store(now, Ordering::Release);
        }
    }

    /// True when every lane gave a sign of life within the time set.
    pub fn all_alive(&self) -> bool {
        let now = u64::try_from(self.state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let longest = self.settings.stall_seconds.saturating_mul(1000);
        self.state.alive.iter().all(|alive| now.saturating_sub(alive.load(Ordering::Acquire)) <= longest)
    }

    /// Counts.
    pub fn tally(&self, change: impl FnOnce(&mut DeidStatus)) {
        change(&mut self.status());
    }

    /// The counters.
    pub fn status(&self) -> MutexGuard<'_, DeidStatus> {
        self.state.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when so many bytes fit, at the release side and in the house, without touching the reserve.
    ///
    /// # Errors
    /// The file systems'.
    pub fn has_room_for(&self, bytes: u64) -> Result<bool, DeidError> {
        let reserve = self.settings.reserve_bytes;
        let release = self.depositor.room(reserve).map_err(DeidError::io("room"))?;
        let house = nix::sys::statvfs::statvfs(&self.settings.house).map_err(|e| DeidError::io("room")(e.into()))?;
        let house = house.blocks_available().saturating_mul(house.fragment_size()).saturating_sub(reserve);
        Ok(release.min(house) > bytes)
    }

    /// Says once how far workers' sandboxes close.
    pub fn sandboxed(&self, landlock: Landlock) {
        let mut said = self.state.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.contains(&landlock) {
            said.push(landlock);
            events::sandboxed(landlock);
        }
    }

    /// Keyed digest of a format's fingerprint: equal formats have equal ones, and nobody can guess words from it.
    pub fn fingerprint_digest(&self, fingerprint: &str) -> String {
        let mut mac = self.fingerprint_key.start();
        mac.update(fingerprint.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// Sets a damaged intake item aside, which means: into the quarantine, encrypted like everything identified.
    ///
    /// # Errors
    /// The spool's, or the quarantine's when it has no room.
    pub fn set_aside(&self, id: &ItemId) -> Result<(), DeidError> {
        if self.quarantine.is_full() || !self.quarantine.has_room_for(0) {
            return Err(QuarantineError::Full { of_scanner: true }.into());
        }
        match self.collector.set_aside(id) {
            Ok(()) => {}
            Err(SpoolError::Gone) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.tally(|status| status.damaged_total += 1);
        events::damaged(id.as_str());
        self.encrypt_aside(id)
    }

    /// Encrypts what an earlier run had just set aside.
    ///
    /// # Errors
    /// As [`Shared::set_aside`].
    pub fn encrypt_all_aside(&self) -> Result<(), DeidError> {
        for entry in fs::read_dir(&self.set_aside).map_err(DeidError::io("set-aside"))? {
            let entry = entry.map_err(DeidError::io("set-aside"))?;
            match entry.file_name().to_str().and_then(ItemId::parse) {
                Some(id) => match self.encrypt_aside(&id) {
                    Err(DeidError::Quarantine(QuarantineError::Full { .. } | QuarantineError::NoRoom)) => return Ok(()),
                    other => other?,
                },
                // A part of a copy: its original is still in the intake.
                None => fs::remove_file(entry.path()).map_err(DeidError::io("set-aside"))?,
            }
        }
        Ok(())
    }

    fn encrypt_aside(&self, id: &ItemId) -> Result<(), DeidError> {
        let path = self.set_aside.join(id.as_str());
        // Without one it was no regular file, and only erased.
        let Some(mut file) = Aside::open(&path).map_err(DeidError::io("set-aside"))? else { return Ok(()) };
        let reason = HoldReason::Malformed;
        let meta = HeldMeta {
            record: None,
            reason,
            scanner: 0,
            received_ms: now_ms(),
            input_digest: String::new(),
            fingerprint: None,
            fingerprint_digest: None,
        };
        let verdict = VerdictRow {
            item: id.as_str().to_owned(),
            at_ms: now_ms(),
            scanner: 0,
            reason: Some(reason),
            input_digest: String::new(),
            released: None,
        };
        let policy = self.policy();
        let judged = policy.as_ref().map_or("", |policy| policy.digest(reason));
        self.quarantine.hold(&self.ledger, &verdict, &meta, judged, &mut file)?;
        fs::remove_file(&path).map_err(DeidError::io("set-aside"))?;
        self.tally(|status| *status.held_total.entry(reason).or_default() += 1);
        events::held(id.as_str(), 0, reason);
        Ok(())
    }
}
