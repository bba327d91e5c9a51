//! Who was started again and again of late: a process that dies and is ready again within seconds looks alive at each look.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use gift_status::StatusRecord;

/// So many starts within this time, the first one not counted, are too many.
const TOO_MANY: usize = 3;
const WITHIN: Duration = Duration::from_secs(120);

/// The starts of one process.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// When the process that was seen last began, ms since the Unix epoch.
    began_ms: Option<u64>,
    /// When others were seen to have begun since.
    seen: VecDeque<Instant>,
}

impl Restarts {
    /// Looks at the process's record; whether it was started too often.
    pub(super) fn too_many<T>(&mut self, record: Option<&StatusRecord<T>>, now: Instant) -> bool {
        if let Some(record) = record {
            let before = self.began_ms.replace(record.started_ms);
            if before.is_some_and(|before| before != record.started_ms) {
                self.seen.push_back(now);
            }
        }
        while self.seen.len() > TOO_MANY || self.seen.front().is_some_and(|seen| now - *seen > WITHIN) {
            self.seen.pop_front();
        }
        self.seen.len() >= TOO_MANY
    }
}

#[cfg(test)]
mod tests {
    use gift_status::RunState;

    use super::*;

    #[test]
    fn three_starts_within_two_minutes_are_too_many_until_they_are_over() {
        let (mut restarts, begin) = (Restarts::default(), Instant::now());
        let mut looked = |started_ms: Option<u64>, seconds: u64| {
            let record =
                |started_ms| StatusRecord { version: 1, updated_ms: 0, started_ms, state: RunState::Ready, body: () };
            restarts.too_many(started_ms.map(record).as_ref(), begin + Duration::from_secs(seconds))
        };
        // The first one, and an update's or a person's.
        assert!(!looked(None, 0) && !looked(Some(1), 1) && !looked(Some(1), 2) && !looked(Some(2), 3));
        assert!(!looked(Some(3), 100));
        assert!(looked(Some(4), 123) && looked(Some(4), 123) && looked(None, 123));
        assert!(!looked(Some(4), 124), "the first of them is over");
        // Slowly, for ever.
        assert!((0..50).all(|n| !looked(Some(10 + n), 300 + 61 * n)));
    }
}
