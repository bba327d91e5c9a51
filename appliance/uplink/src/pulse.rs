//! Signs of life of the process's parts: the watchdog is fed only while each of them moves or is idle. A hub that is away is
//! idle waiting, not a hang.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A part that showed nothing for this long hangs. Copying the largest object (4 GiB) to a slow disk stays below it.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// One part's sign of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    start: Instant,
    last_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// The part made progress, or found itself idle.
    pub(crate) fn beat(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// False when the last beat is too long ago.
    pub(crate) fn is_alive(&self) -> bool {
        self.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed)) < HANGS_AFTER.as_millis() as u64
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
