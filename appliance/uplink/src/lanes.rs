//! Who goes next. Pure: no IO, time comes in.
//!
//! Two lanes, small and large, each in order of arrival. Large objects never take the last place, so small ones always
//! pass; every fourth pick takes the newest instead of the oldest, so that today's studies are not starved by a backlog.
//! (Newest *study* first would need the study in [`Entry`]; the picking below is the only place that would change.)
//!
//! An object that failed while others went through gets a *strike* and waits by itself. One that failed while the hub was
//! away did nothing wrong: it only goes behind those not tried since.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use crate::key::Key;

/// One pick in so many takes the newest object.
const FRESH_SHARE: u64 = 4;

/// What the lanes know of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which.
    pub(crate) key: Key,
    /// Body length, bytes.
    pub(crate) size: u64,
    /// When it was posted, ms since the Unix epoch.
    pub(crate) posted_ms: u64,
    /// Failures that were its own.
    pub(crate) strikes: u32,
    /// The hub refused it before: it does not count as waiting for a receipt.
    pub(crate) refused: bool,
}

impl Entry {
    /// An object that was not tried yet.
    pub(crate) fn new(key: Key, size: u64, posted_ms: u64) -> Self {
        Self { key, size, posted_ms, strikes: 0, refused: false }
    }
}

/// Order in a lane: rounds of probing first, then arrival.
type Place = (u32, u64);

/// The queue in memory.
#[derive(Debug)]
pub(crate) struct Lanes {
    small_below: u64,
    places: usize,
    small: BTreeMap<Place, Entry>,
    large: BTreeMap<Place, Entry>,
    waiting: BTreeMap<(Instant, u64), (Place, Entry)>,
    away: HashMap<Key, (Place, Entry)>,
    large_away: usize,
    next_arrival: u64,
    picks: u64,
    objects: u64,
    bytes: u64,
    refused: u64,
}

impl Lanes {
    /// Empty lanes for `places` uploads at a time; objects of fewer than `small_below` bytes are small.
    pub(crate) fn new(places: usize, small_below: u64) -> Self {
        Self {
            small_below,
            places,
            small: BTreeMap::new(),
            large: BTreeMap::new(),
            waiting: BTreeMap::new(),
            away: HashMap::new(),
            large_away: 0,
            next_arrival: 0,
            picks: 0,
            objects: 0,
            bytes: 0,
            refused: 0,
        }
    }

    /// An object arrived.
    pub(crate) fn arrive(&mut self, entry: Entry) {
        let place = (0, self.arrival());
        self.count_in(&entry);
        self.lane(&entry).insert(place, entry);
    }

    /// An object arrived that the hub refused before; it is offered again at `until`.
    pub(crate) fn arrive_refused(&mut self, entry: Entry, until: Instant) {
        let (entry, arrival) = (Entry { refused: true, ..entry }, self.arrival());
        self.count_in(&entry);
        self.waiting.insert((until, arrival), ((0, arrival), entry));
    }

    /// The next object to upload, when a place is free. It is away until one of the three below is called for it.
    pub(crate) fn pick(&mut self, now: Instant) -> Option<Entry> {
        while let Some(first) = self.waiting.first_entry().filter(|first| first.key().0 <= now) {
            let (place, entry) = first.remove();
            self.lane(&entry).insert(place, entry);
        }
        if self.away.len() >= self.places {
            return None;
        }
        let large_may = self.large_away < self.places.saturating_sub(1).max(1);
        let newest = (self.picks + 1).is_multiple_of(FRESH_SHARE);
        let end = |lane: &BTreeMap<Place, Entry>| {
            if newest { lane.last_key_value() } else { lane.first_key_value() }.map(|(place, _)| *place)
        };
        let (small, large) = (end(&self.small), end(&self.large).filter(|_| large_may));
        let take_small = match (small, large) {
            (None, None) => return None,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(small), Some(large)) => (small < large) != newest,
        };
        let (place, entry) = if take_small {
            small.and_then(|place| self.small.remove_entry(&place))?
        } else {
            self.large_away += 1;
            large.and_then(|place| self.large.remove_entry(&place))?
        };
        self.picks += 1;
        self.away.insert(entry.key, (place, entry));
        Some(entry)
    }

    /// The object is settled: it leaves the lanes.
    pub(crate) fn settled(&mut self, key: Key) {
        if let Some((_, entry)) = self.take_back(key) {
            self.count_out(&entry);
        }
    }

    /// The hub was away: the object goes behind those not tried since.
    pub(crate) fn put_back(&mut self, key: Key) {
        if let Some(((round, arrival), entry)) = self.take_back(key) {
            self.lane(&entry).insert((round.saturating_add(1), arrival), entry);
        }
    }

    /// The object failed on its own: a strike, and it waits until `until`.
    pub(crate) fn strike(&mut self, key: Key, until: Instant) {
        if let Some(((_, arrival), mut entry)) = self.take_back(key) {
            entry.strikes = entry.strikes.saturating_add(1);
            self.waiting.insert((until, arrival), ((0, arrival), entry));
        }
    }

    /// The hub refused the object: it is offered again at `until`.
    pub(crate) fn refuse(&mut self, key: Key, until: Instant) {
        if let Some((place, mut entry)) = self.take_back(key) {
            self.count_out(&entry);
            entry.refused = true;
            self.count_in(&entry);
            self.waiting.insert((until, place.1), (place, entry));
        }
    }

    /// The hub is back: everybody is where the order of arrival puts him, and first strikes, which may have been the
    /// outage's beginning, are due at once.
    pub(crate) fn outage_over(&mut self) {
        let forgiven: Vec<_> =
            self.waiting.iter().filter(|(_, (_, entry))| entry.strikes == 1).map(|(at, _)| *at).collect();
        let mut back: Vec<(Place, Entry)> = forgiven.iter().filter_map(|at| self.waiting.remove(at)).collect();
        back.extend(self.small.split_off(&(1, 0)));
        back.extend(self.large.split_off(&(1, 0)));
        for ((_, arrival), entry) in back {
            self.lane(&entry).insert((0, arrival), entry);
        }
    }

    /// Strikes of an object that is away.
    pub(crate) fn strikes(&self, key: Key) -> u32 {
        self.away.get(&key).map_or(0, |(_, entry)| entry.strikes)
    }

    /// When the next waiting object becomes due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Objects that wait for a receipt, those away included.
    pub(crate) fn objects(&self) -> u64 {
        self.objects
    }

    /// Their size, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Objects the hub refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// When the oldest that waits for a receipt was posted, ms since the Unix epoch.
    pub(crate) fn oldest_posted_ms(&self) -> Option<u64> {
        let lanes = self.small.values().chain(self.large.values());
        let others = self.waiting.values().chain(self.away.values()).map(|(_, entry)| entry);
        lanes.chain(others).filter(|entry| !entry.refused).map(|entry| entry.posted_ms).min()
    }

    fn count_in(&mut self, entry: &Entry) {
        if entry.refused {
            self.refused += 1;
        } else {
            self.objects += 1;
            self.bytes += entry.size;
        }
    }

    fn count_out(&mut self, entry: &Entry) {
        if entry.refused {
            self.refused -= 1;
        } else {
            self.objects -= 1;
            self.bytes -= entry.size;
        }
    }

    fn lane(&mut self, entry: &Entry) -> &mut BTreeMap<Place, Entry> {
        if entry.size < self.small_below { &mut self.small } else { &mut self.large }
    }

    fn take_back(&mut self, key: Key) -> Option<(Place, Entry)> {
        let (place, entry) = self.away.remove(&key)?;
        if entry.size >= self.small_below {
            self.large_away -= 1;
        }
        Some((place, entry))
    }

    fn arrival(&mut self) -> u64 {
        self.next_arrival += 1;
        self.next_arrival
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(n: u128, size: u64) -> Entry {
        Entry::new(Key::from_number(n), size, n as u64)
    }

    fn lanes(places: usize, entries: &[(u128, u64)]) -> Lanes {
        let mut lanes = Lanes::new(places, 100);
        for &(n, size) in entries {
            lanes.arrive(entry(n, size));
        }
        lanes
    }

    fn picks(lanes: &mut Lanes, now: Instant) -> Vec<Key> {
        std::iter::from_fn(|| lanes.pick(now)).map(|entry| entry.key).collect()
    }

    fn lanes_pick(lanes: &mut Lanes, now: Instant) -> Key {
        lanes.pick(now).unwrap().key
    }

    #[test]
    fn large_objects_never_take_the_last_place() {
        let now = Instant::now();
        let mut lanes = lanes(3, &[(1, 500), (2, 500), (3, 500)]);
        assert_eq!(picks(&mut lanes, now).len(), 2);
        lanes.arrive(entry(4, 5));
        assert_eq!(lanes.pick(now).unwrap().key, Key::from_number(4));
        let mut single = self::lanes(1, &[(1, 500)]);
        assert!(single.pick(now).is_some(), "one place must serve large objects too");
    }

    #[test]
    fn every_fourth_pick_is_the_newest_and_the_rest_are_in_order() {
        let now = Instant::now();
        let mut lanes = lanes(8, &(1..=8).map(|n| (n, 5)).collect::<Vec<_>>());
        let order: Vec<Key> = picks(&mut lanes, now);
        let expected: Vec<Key> = [1, 2, 3, 8, 4, 5, 6, 7].map(Key::from_number).to_vec();
        assert_eq!(order, expected);
    }

    #[test]
    fn an_object_that_met_an_outage_goes_behind_those_not_tried_since() {
        let now = Instant::now();
        let mut lanes = lanes(1, &[(1, 5), (2, 5)]);
        let first = lanes.pick(now).unwrap().key;
        lanes.put_back(first);
        let second = lanes.pick(now).unwrap().key;
        assert_ne!(first, second);
        lanes.put_back(second);
        lanes.outage_over();
        assert_eq!(lanes.pick(now).unwrap().key, first, "after the outage, arrival counts again");
        lanes.settled(first);
        assert_eq!((lanes.objects(), lanes.bytes(), lanes.oldest_posted_ms()), (1, 5, Some(2)));
    }

    #[test]
    fn a_strike_waits_by_itself_and_only_the_first_is_forgiven() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut lanes = lanes(1, &[(1, 5)]);
        let key = lanes.pick(now).unwrap().key;
        lanes.strike(key, later);
        assert_eq!((lanes.pick(now), lanes.next_due(), lanes.objects()), (None, Some(later), 1));
        lanes.outage_over();
        assert_eq!(lanes.pick(now).unwrap().strikes, 1);
        lanes.strike(key, later);
        lanes.outage_over();
        assert_eq!(lanes.pick(now), None);
        assert_eq!(lanes.pick(later).unwrap().strikes, 2);
    }

    #[test]
    fn a_refused_object_is_offered_again_and_does_not_count_as_waiting() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut lanes = lanes(2, &[(1, 5), (2, 5)]);
        let key = lanes_pick(&mut lanes, now);
        lanes.refuse(key, later);
        assert_eq!((lanes.objects(), lanes.bytes(), lanes.refused(), lanes.oldest_posted_ms()), (1, 5, 1, Some(2)));
        assert_eq!(picks(&mut lanes, now).len(), 1);
        lanes.outage_over();
        assert_eq!(lanes.pick(now), None, "a refusal does not end with an outage");
        assert_eq!(lanes_pick(&mut lanes, later), key);
        lanes.settled(key);
        assert_eq!((lanes.objects(), lanes.refused()), (1, 0));
    }
}
