//! Group commit: many threads commit, one directory fsync serves them all.
//!
//! Each caller makes its own bytes durable (these fdatasyncs run in parallel, and the journal merges them); then the first
//! to arrive leads: it renames the whole batch and syncs the directory once, while the next batch gathers behind it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{ItemId, error::SpoolError};

/// Bounds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommit {
    /// Most items in one batch, ≥ 1.
    pub max_items: usize,
    /// How long a leader waits for company. Zero: a batch is what gathered during the previous one.
    pub linger: Duration,
}

impl Default for GroupCommit {
    /// 16 items, no waiting: a lone association pays nothing, parallel ones still share.
    fn default() -> Self {
        Self { max_items: 16, linger: Duration::ZERO }
    }
}

/// What became of one item of a batch; an `io::Error` cannot be shared, so each waiter gets its own.
pub(crate) type Outcome = Result<(), SpoolError>;

/// The queue in front of the directory.
#[derive(Debug)]
pub(crate) struct Group {
    bounds: GroupCommit,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next_ticket: u64,
    waiting: Vec<(u64, ItemId)>,
    leading: bool,
    outcomes: BTreeMap<u64, Outcome>,
}

impl Group {
    pub(crate) fn new(bounds: GroupCommit) -> Self {
        let bounds = GroupCommit { max_items: bounds.max_items.max(1), ..bounds };
        Self { bounds, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Queues `id` and returns its outcome, after this thread or another has published the batch it was in.
    ///
    /// `publish` gets the items of a batch and returns an outcome for each; only one thread is inside it at a time.
    pub(crate) fn commit(&self, id: ItemId, publish: impl Fn(&[ItemId]) -> Vec<Outcome>) -> Outcome {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push((ticket, id));
        self.changed.notify_all();
        loop {
            if let Some(outcome) = state.outcomes.remove(&ticket) {
                return outcome;
            }
            if state.leading {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.leading = true;
            if !self.bounds.linger.is_zero() {
                let alone = |s: &mut State| s.waiting.len() < self.bounds.max_items;
                let waited = self.changed.wait_timeout_while(state, self.bounds.linger, alone);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let most = self.bounds.max_items.min(state.waiting.len());
            let (tickets, ids): (Vec<_>, Vec<_>) = state.waiting.drain(..most).unzip();
            drop(state);
            // Should `publish` panic, the items it held are answered as failed and another thread may lead.
            let mut guard = Leading { group: self, tickets, outcomes: Vec::new() };
            guard.outcomes = publish(&ids);
            drop(guard);
            state = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the outcomes out and gives up the lead, also on panic.
struct Leading<'a> {
    group: &'a Group,
    tickets: Vec<u64>,
    outcomes: Vec<Outcome>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        let mut outcomes = self.outcomes.drain(..);
        for &ticket in &self.tickets {
            let failed = || Err(SpoolError::Store(io::ErrorKind::Other.into()));
            state.outcomes.insert(ticket, outcomes.next().unwrap_or_else(failed));
        }
        state.leading = false;
        self.group.changed.notify_all();
    }
}
