//! One pause for all objects when the hub is away, so that a backlog does not hammer it. Pure: time and chance come in.
//!
//! ```text
//!          failed                     pause over
//! Closed ─────────► Paused ─────────────────────► Probing (one attempt at a time)
//!   ▲                  ▲                               │ │
//!   └──── succeeded ───┴─────────── failed ────────────┘ └── succeeded ──► Closed
//! ```
//! The pause is drawn uniformly between `first` and a bound that doubles from `first` up to `longest` (full jitter). A
//! success ends it at once, but not the pause that the hub itself asked for (Retry-After).

use std::time::{Duration, Instant};

use crate::settings::Retry;

/// What may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Closed,
    /// Nothing before then.
    Paused(Instant),
    /// One attempt.
    Probing,
}

/// Which outage an attempt belongs to: several attempts that fail together count as one failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// The breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    retry: Retry,
    failures: u32,
    until: Option<Instant>,
    asked_until: Option<Instant>,
    epoch: u64,
}

impl Breaker {
    /// A closed breaker.
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, failures: 0, until: None, asked_until: None, epoch: 0 }
    }

    /// What may be tried at `now`.
    pub(crate) fn gate(&self, now: Instant) -> Gate {
        match (self.until.max(self.asked_until), self.until) {
            (Some(until), _) if now < until => Gate::Paused(until),
            (_, None) => Gate::Closed,
            (_, Some(_)) => Gate::Probing,
        }
    }

    /// To be kept with an attempt and given back when it fails.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// An attempt of `epoch` failed at `now`; `chance` is uniform in 0..1. `retry_after` is the hub's own wish.
    pub(crate) fn failed(&mut self, now: Instant, epoch: Epoch, retry_after: Option<Duration>, chance: f64) {
        if let Some(wish) = retry_after {
            let wish = wish.min(Duration::from_millis(self.retry.retry_after_longest_ms));
            self.asked_until = self.asked_until.max(Some(now + wish));
        }
        if epoch.0 != self.epoch {
            return;
        }
        self.epoch += 1;
        self.failures = self.failures.saturating_add(1);
        self.until = self.until.max(Some(now + pause(&self.retry, self.failures, chance)));
    }

    /// An attempt succeeded: true when that ended an outage.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.until.take().is_some()
    }
}

/// The pause after `failures` ≥ 1 failures in a row; `chance` is uniform in 0..1.
pub(crate) fn pause(retry: &Retry, failures: u32, chance: f64) -> Duration {
    let first = retry.first_ms;
    let bound = first.saturating_mul(1u64.checked_shl(failures).unwrap_or(u64::MAX)).min(retry.longest_ms).max(first);
    Duration::from_millis(first + ((bound - first) as f64 * chance) as u64)
}

/// A uniform value in 0..1.
pub(crate) fn chance() -> f64 {
    // Without randomness the pause is the middle of its range: still bounded, only not spread.
    getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_its_bound_with_full_jitter() {
        let retry = Retry::default();
        for (failures, bound_ms) in
            [(1, 2_000), (2, 4_000), (8, 256_000), (9, 300_000), (64, 300_000), (u32::MAX, 300_000)]
        {
            assert_eq!(pause(&retry, failures, 0.0), Duration::from_millis(1_000), "{failures}");
            assert_eq!(pause(&retry, failures, 1.0), Duration::from_millis(bound_ms), "{failures}");
        }
    }

    #[test]
    fn attempts_that_fail_together_count_once_and_a_success_resets_at_once() {
        let (mut breaker, now) = (Breaker::new(Retry::default()), Instant::now());
        let epoch = breaker.epoch();
        for _ in 0..4 {
            breaker.failed(now, epoch, None, 1.0);
        }
        assert_eq!(breaker.gate(now), Gate::Paused(now + Duration::from_secs(2)));
        assert_eq!(breaker.gate(now + Duration::from_secs(2)), Gate::Probing);
        let epoch = breaker.epoch();
        breaker.failed(now + Duration::from_secs(2), epoch, None, 1.0);
        assert_eq!(breaker.gate(now), Gate::Paused(now + Duration::from_secs(6)));
        assert!(breaker.succeeded());
        assert_eq!(breaker.gate(now), Gate::Closed);
        assert!(!breaker.succeeded());
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_bound() {
        let (mut breaker, now) = (Breaker::new(Retry::default()), Instant::now());
        let epoch = breaker.epoch();
        breaker.failed(now, epoch, Some(Duration::from_secs(30)), 0.0);
        assert_eq!(breaker.gate(now), Gate::Paused(now + Duration::from_secs(30)));
        assert!(breaker.succeeded(), "an upload that was in flight succeeded");
        assert_eq!(breaker.gate(now), Gate::Paused(now + Duration::from_secs(30)));
        assert_eq!(breaker.gate(now + Duration::from_secs(30)), Gate::Closed);
        let epoch = breaker.epoch();
        breaker.failed(now, epoch, Some(Duration::from_secs(1 << 40)), 0.0);
        assert_eq!(breaker.gate(now), Gate::Paused(now + Duration::from_secs(3_600)));
    }
}
