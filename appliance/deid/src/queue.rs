//! Which item a lane does next: new ones from the intake, and held ones that are judged again. An item is never in two
//! lanes; what waits for something is not offered until it is time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gift_spool::ItemId;

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task {
    /// An item of the intake.
    Intake(ItemId),
    /// A held object, by its item.
    Replay(ItemId),
}

/// Of so many tasks one is a replay while both kinds wait.
const REPLAY_SHARE: u64 = 4;
/// First and longest wait before an item is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug, Default)]
struct State {
    intake: VecDeque<ItemId>,
    replay: VecDeque<ItemId>,
    /// In a lane or waiting in the queue.
    known: HashMap<ItemId, ()>,
    busy: usize,
    /// Not before then; and how long it waited last.
    later: HashMap<ItemId, (Instant, Duration)>,
    /// Until the quarantine has room for this scanner.
    deferred: HashMap<ItemId, u16>,
    served: u64,
    closed: bool,
    pause: Pause,
}

/// What is not handed out for now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pause {
    /// Everything is handed out.
    #[default]
    Nothing,
    /// Held objects only: the quarantine is full, and judging them again may empty it.
    Intake,
    /// Nothing is handed out.
    All,
}

/// The queue; shared by main loop and lanes.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers items of the intake, oldest first; those already known, waiting or deferred are left out. Forgets waiting
    /// items that are no longer in `standing`.
    pub fn offer(&self, standing: &[ItemId], now: Instant) {
        let mut state = self.lock();
        if state.pause != Pause::Nothing {
            return;
        }
        if state.later.len() + state.deferred.len() > 0 {
            let still: std::collections::HashSet<&ItemId> = standing.iter().collect();
            state.later.retain(|id, _| still.contains(id));
            state.deferred.retain(|id, _| still.contains(id));
        }
        for id in standing {
            let waits = state.later.get(id).is_some_and(|(at, _)| *at > now) || state.deferred.contains_key(id);
            if !waits && !state.known.contains_key(id) {
                state.known.insert(id.clone(), ());
                state.intake.push_back(id.clone());
            }
        }
        self.changed.notify_all();
    }

    /// Offers held objects to be judged again.
    pub fn offer_replay(&self, items: impl IntoIterator<Item = ItemId>) -> usize {
        let mut state = self.lock();
        if state.pause == Pause::All {
            return 0;
        }
        let before = state.replay.len();
        for id in items {
            if !state.known.contains_key(&id) {
                state.known.insert(id.clone(), ());
                state.replay.push_back(id);
            }
        }
        self.changed.notify_all();
        state.replay.len() - before
    }

    /// The next task, waiting up to `patience`; `None` when there is none, or no more will come.
    pub fn next(&self, patience: Duration) -> Option<Task> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if state.intake.is_empty() && state.replay.is_empty() {
            let waited = self.changed.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closed {
            return None;
        }
        let replay_first = state.served % REPLAY_SHARE == REPLAY_SHARE - 1 || state.intake.is_empty();
        let task = if replay_first {
            let replay = state.replay.pop_front().map(Task::Replay);
            replay.or_else(|| state.intake.pop_front().map(Task::Intake))
        } else {
            state.intake.pop_front().map(Task::Intake)
        };
        if task.is_some() {
            state.served += 1;
            state.busy += 1;
        }
        task
    }

    /// The task is done: its item is in its next place.
    pub fn done(&self, id: &ItemId) {
        let mut state = self.lock();
        state.busy = state.busy.saturating_sub(1);
        state.known.remove(id);
        state.later.remove(id);
    }

    /// The item is to be tried again later, each time after twice the wait.
    pub fn later(&self, id: &ItemId, now: Instant) {
        let mut state = self.lock();
        state.busy = state.busy.saturating_sub(1);
        state.known.remove(id);
        let wait = state.later.get(id).map_or(RETRY.0, |(_, last)| (*last * 2).min(RETRY.1));
        state.later.insert(id.clone(), (now + wait, wait));
    }

    /// The item waits until the quarantine has room for `scanner`. True when it is the first of that scanner.
    pub fn defer(&self, id: &ItemId, scanner: u16) -> bool {
        let mut state = self.lock();
        state.busy = state.busy.saturating_sub(1);
        state.known.remove(id);
        let first = !state.deferred.values().any(|&other| other == scanner);
        state.deferred.insert(id.clone(), scanner);
        first
    }

    /// Ends the deferring of scanners for which `has_room` says so.
    pub fn undefer(&self, has_room: impl Fn(u16) -> bool) {
        self.lock().deferred.retain(|_, scanner| !has_room(*scanner));
    }

    /// Items deferred, by scanner.
    pub fn deferred(&self) -> BTreeMap<u16, u64> {
        let mut count = BTreeMap::new();
        self.lock().deferred.values().for_each(|&scanner| *count.entry(scanner).or_default() += 1);
        count
    }

    /// Stops handing out what `pause` says; what of it waits is forgotten, to be offered again afterwards.
    pub fn pause(&self, pause: Pause) {
        let mut state = self.lock();
        state.pause = pause;
        let State { intake, replay, known, .. } = &mut *state;
        if pause != Pause::Nothing {
            intake.drain(..).for_each(|id| _ = known.remove(&id));
        }
        if pause == Pause::All {
            replay.drain(..).for_each(|id| _ = known.remove(&id));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Hands out nothing more, for good.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Tasks that wait.
    pub fn waiting(&self) -> usize {
        let state = self.lock();
        state.intake.len() + state.replay.len()
    }

    /// Tasks in lanes.
    pub fn busy(&self) -> usize {
        self.lock().busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn id(number: u8) -> ItemId {
        ItemId::parse(&format!("{number:032x}")).unwrap()
    }

    #[test]
    fn an_item_is_handed_out_once_until_it_is_done() {
        let queue = Queue::default();
        let now = Instant::now();
        queue.offer(&[id(1), id(2)], now);
        assert_eq!(queue.next(SOON), Some(Task::Intake(id(1))));
        queue.offer(&[id(1), id(2)], now);
        assert_eq!(queue.next(SOON), Some(Task::Intake(id(2))));
        assert_eq!((queue.next(SOON), queue.busy()), (None, 2));
        queue.done(&id(1));
        queue.offer(&[id(1)], now);
        assert_eq!(queue.next(SOON), Some(Task::Intake(id(1))));
    }

    #[test]
    fn what_failed_waits_longer_each_time_and_is_forgotten_when_gone() {
        let queue = Queue::default();
        let start = Instant::now();
        let taken = |at: u64| {
            queue.offer(&[id(1)], start + Duration::from_secs(at));
            queue.next(SOON).is_some()
        };
        assert!(taken(0));
        queue.later(&id(1), start);
        assert!(!taken(0) && taken(1));
        queue.later(&id(1), start + Duration::from_secs(1));
        assert!(!taken(2) && taken(3));
        queue.later(&id(1), start + Duration::from_secs(3));
        queue.offer(&[], start);
        assert!(taken(0));
    }

    #[test]
    fn a_full_scanner_waits_alone() {
        let queue = Queue::default();
        let now = Instant::now();
        queue.offer(&[id(1), id(2), id(3)], now);
        (0..3).for_each(|_| _ = queue.next(SOON).unwrap());
        assert!(queue.defer(&id(1), 7) && !queue.defer(&id(2), 7));
        queue.done(&id(3));
        queue.offer(&[id(1), id(2), id(3)], now);
        assert_eq!((queue.next(SOON), queue.next(SOON)), (Some(Task::Intake(id(3))), None));
        assert_eq!(queue.deferred(), BTreeMap::from([(7, 2)]));
        queue.undefer(|scanner| scanner == 7);
        queue.offer(&[id(1), id(2)], now);
        assert_eq!(queue.next(SOON), Some(Task::Intake(id(1))));
    }

    #[test]
    fn replay_gets_its_share_and_a_pause_loses_nothing() {
        let queue = Queue::default();
        let items: Vec<ItemId> = (0..8).map(id).collect();
        queue.offer(&items, Instant::now());
        assert_eq!(queue.offer_replay([id(100), id(101), id(100)]), 2);
        let replays = |tasks: &[Task]| tasks.iter().filter(|task| matches!(task, Task::Replay(_))).count();
        let tasks: Vec<Task> = (0..4).filter_map(|_| queue.next(SOON)).collect();
        assert_eq!(replays(&tasks), 1);
        queue.pause(Pause::Intake);
        queue.offer(&items, Instant::now());
        assert_eq!((queue.next(SOON), queue.waiting()), (Some(Task::Replay(id(101))), 0));
        queue.pause(Pause::All);
        assert_eq!((queue.offer_replay([id(102)]), queue.next(SOON)), (0, None));
        queue.pause(Pause::Nothing);
        queue.offer(&items, Instant::now());
        assert_eq!(queue.waiting(), 5, "three of the eight are in lanes");
        queue.close();
        assert_eq!(queue.next(SOON), None);
    }
}
