//! Whether the image on trial works. Needs no WAN: a hospital's cable that was pulled says nothing about an image.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use gift_service::{now_ms, read_status};
use gift_status::{Process, RunState, STALE_AFTER_MS, StatusRecord};

use crate::events;

/// Who must work.
const PROCESSES: [Process; 4] = [Process::Receiver, Process::Deid, Process::Uplink, Process::Health];
/// A process that was started this often since the trial began is in a loop: no need to wait for the end.
const STARTS: u32 = 5;
/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// Waits until every process has been ready for `steady` without a break and without having been started again.
///
/// # Errors
/// That did not happen within `limit`.
pub(crate) fn check(statuses: &Path, steady: Duration, limit: Duration) -> Result<()> {
    let began = Instant::now();
    let mut trial = Trial::default();
    while began.elapsed() < limit {
        let seen = PROCESSES.map(|process| started(statuses, process, now_ms()));
        if trial.look(seen, Instant::now()).is_some_and(|worked| worked >= steady) {
            events::works(steady.as_secs());
            return Ok(());
        }
        if trial.anew > STARTS {
            bail!("processes do not stay up");
        }
        thread::sleep(INTERVAL);
    }
    bail!("not every process worked for {} s within {} s", steady.as_secs(), limit.as_secs())
}

/// When a process that is ready now was started; `None` when it is not.
fn started(statuses: &Path, process: Process, now_ms: u64) -> Option<u64> {
    /// Whatever its counters are.
    #[derive(serde::Deserialize)]
    struct Any {}
    let record: StatusRecord<Any> = read_status(process, &statuses.join(process.name())).ok()?;
    // A short disk, or a policy that does not count, is no fault of the image; nor is a clock that was set back a sign of life.
    let works = matches!(record.state, RunState::Ready | RunState::Degraded);
    let ready = works && now_ms.abs_diff(record.updated_ms) <= STALE_AFTER_MS;
    ready.then_some(record.started_ms)
}

/// Since when the same processes have been ready.
#[derive(Debug, Default)]
struct Trial {
    same: Option<([u64; 4], Instant)>,
    /// How often a process was found to have been started again.
    anew: u32,
    /// When each was started that was seen last.
    last: [Option<u64>; 4],
}

impl Trial {
    /// Notes what was seen at `now`; for how long all have been ready.
    fn look(&mut self, seen: [Option<u64>; 4], now: Instant) -> Option<Duration> {
        for (last, seen) in self.last.iter_mut().zip(seen) {
            if let Some(seen) = seen {
                self.anew += u32::from(last.is_some_and(|last| last != seen));
                *last = Some(seen);
            }
        }
        let [Some(a), Some(b), Some(c), Some(d)] = seen else {
            self.same = None;
            return None;
        };
        let seen = [a, b, c, d];
        match self.same {
            Some((before, since)) if before == seen => Some(now - since),
            _ => {
                self.same = Some((seen, now));
                Some(Duration::ZERO)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gift_service::StatusFile;
    use gift_status::{DeidStatus, ReceiverStatus};

    use super::*;

    #[test]
    fn a_process_that_is_started_again_begins_the_trial_anew() {
        let (mut trial, began) = (Trial::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        let worked = |seconds| Some(Duration::from_secs(seconds));
        let all = |deid| [Some(1), Some(deid), Some(3), Some(4)];
        assert_eq!(trial.look(all(2), at(0)), worked(0));
        assert_eq!(trial.look(all(2), at(20)), worked(20));
        assert_eq!(trial.look(all(9), at(21)), worked(0));
        assert_eq!(trial.look([Some(1), None, Some(3), Some(4)], at(22)), None);
        assert_eq!(trial.look(all(9), at(23)), worked(0));
        assert_eq!(trial.look(all(9), at(24)), worked(1));
        assert_eq!(trial.anew, 1);
        trial.look([Some(1), None, Some(3), Some(4)], at(25));
        trial.look([Some(1), Some(10), None, Some(5)], at(26));
        assert_eq!(trial.anew, 3);
    }

    #[test]
    fn only_a_fresh_record_of_a_ready_process_counts() {
        let statuses = tempfile::tempdir().unwrap();
        for process in [Process::Receiver, Process::Deid] {
            std::fs::create_dir(statuses.path().join(process.name())).unwrap();
        }
        let file = |process: Process| StatusFile::new(&statuses.path().join(process.name()));
        file(Process::Receiver).publish(RunState::Ready, ReceiverStatus::default()).unwrap();
        file(Process::Deid).publish(RunState::Starting, DeidStatus::default()).unwrap();
        let seen = |process, later| started(statuses.path(), process, now_ms() + later);
        assert!(seen(Process::Receiver, 0).is_some());
        assert!(seen(Process::Receiver, STALE_AFTER_MS + 1000).is_none());
        assert!(seen(Process::Deid, 0).is_none());
        assert!(seen(Process::Uplink, 0).is_none());
        let limit = Duration::from_millis(10);
        assert!(check(statuses.path(), Duration::ZERO, limit).is_err());
    }
}
