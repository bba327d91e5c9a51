//! Who may hold a connection or an association: caps in all and for each address, a reserve for known scanners, and a ban for
//! addresses that keep trying titles.
//!
//! A connection without an association is cheap to open, so it is also cheap to lose: when there are too many, the oldest of
//! the address that holds most of them goes, never the newcomer. A real sender asks for its association within milliseconds
//! and so gets through a flood, even one from its own address. Takes time as an argument; does no IO.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::settings::Limits;

/// Window in which rejections are counted.
const OFFENCE_WINDOW: Duration = Duration::from_secs(60);
/// Most addresses remembered for their rejections; the longest past is forgotten first.
const MAX_OFFENDERS: usize = 4096;

/// The books.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    next: u64,
    /// Oldest first.
    half_open: VecDeque<Waiting>,
    associations: HashMap<IpAddr, Share>,
    total: usize,
    /// Associations of addresses that are not a known scanner's.
    total_unknown: usize,
    offenders: HashMap<IpAddr, Offence>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    address: IpAddr,
    evicted: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    all: usize,
    unknown: usize,
}

#[derive(Debug, Clone, Copy)]
struct Offence {
    since: Instant,
    rejections: u32,
    banned_until: Option<Instant>,
}

/// How well the sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// A `[[scanners]]` entry describes calling AE title and address.
    pub(crate) known_scanner: bool,
    /// A `[[scanners]]` entry names the address.
    pub(crate) known_address: bool,
}

/// A connection without an association yet; its place is given back on drop.
#[derive(Debug)]
pub(crate) struct HalfOpen {
    admission: Arc<Admission>,
    number: u64,
    address: IpAddr,
    evicted: Arc<Notify>,
}

/// An association's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
    standing: Standing,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, books: Mutex::default() })
    }

    /// A connection came in. `None`: its address is banned, close it unheard.
    pub(crate) fn arrive(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<HalfOpen> {
        let address = address.to_canonical();
        let mut books = self.lock();
        if books.offenders.get(&address).and_then(|offence| offence.banned_until).is_some_and(|until| now < until) {
            return None;
        }
        let mine = books.half_open.iter().filter(|waiting| waiting.address == address).count();
        if mine >= self.limits.half_open_per_address {
            books.evict_oldest_of(address);
        } else if books.half_open.len() >= self.limits.max_half_open
            && let Some(greediest) = books.greediest()
        {
            books.evict_oldest_of(greediest);
        }
        let (number, evicted) = (books.next, Arc::new(Notify::new()));
        books.next += 1;
        books.half_open.push_back(Waiting { number, address, evicted: Arc::clone(&evicted) });
        drop(books);
        Some(HalfOpen { admission: Arc::clone(self), number, address, evicted })
    }

    /// Associations open.
    pub(crate) fn associations(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        // Each change is complete before the lock is given back.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn evict_oldest_of(&mut self, address: IpAddr) {
        if let Some(at) = self.half_open.iter().position(|waiting| waiting.address == address)
            && let Some(waiting) = self.half_open.remove(at)
        {
            waiting.evicted.notify_one();
        }
    }

    /// The address with most connections without an association.
    fn greediest(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for waiting in &self.half_open {
            *counts.entry(waiting.address).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(address, _)| address)
    }
}

impl HalfOpen {
    /// Resolves when this connection has to make room for another.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Turns the connection into an association; `None`: there is no place, try later.
    pub(crate) fn associate(&self, standing: Standing) -> Option<Place> {
        let limits = &self.admission.limits;
        let mut books = self.admission.lock();
        let share = books.associations.get(&self.address).copied().unwrap_or_default();
        let open_to_all = limits.max_associations - limits.reserved_for_known.min(limits.max_associations);
        let room = books.total < limits.max_associations
            && (standing.known_address || books.total_unknown < open_to_all)
            && share.all < limits.per_address
            && (standing.known_scanner || share.unknown < limits.per_unknown_address);
        if !room {
            return None;
        }
        books.total += 1;
        books.total_unknown += usize::from(!standing.known_address);
        let share = books.associations.entry(self.address).or_default();
        share.all += 1;
        share.unknown += usize::from(!standing.known_scanner);
        drop(books);
        Some(Place { admission: Arc::clone(&self.admission), address: self.address, standing })
    }

    /// The request was rejected by policy. Known addresses are never banned: a scanner with a wrong title is a visit by the
    /// technician, who should not have to wait.
    pub(crate) fn rejected(&self, known_address: bool, now: Instant) {
        let limits = &self.admission.limits;
        if limits.rejections_before_ban == 0 || known_address {
            return;
        }
        let mut books = self.admission.lock();
        if books.offenders.len() >= MAX_OFFENDERS && !books.offenders.contains_key(&self.address) {
            let oldest = books.offenders.iter().min_by_key(|(_, offence)| offence.since).map(|(address, _)| *address);
            oldest.and_then(|address| books.offenders.remove(&address));
        }
        let fresh = Offence { since: now, rejections: 0, banned_until: None };
        let offence = books.offenders.entry(self.address).or_insert(fresh);
        if now.duration_since(offence.since) > OFFENCE_WINDOW {
            *offence = fresh;
        }
        offence.rejections += 1;
        if offence.rejections >= limits.rejections_before_ban {
            *offence = Offence { banned_until: Some(now + Duration::from_secs(limits.ban_seconds)), ..fresh };
        }
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut books = self.admission.lock();
        if let Some(at) = books.half_open.iter().position(|waiting| waiting.number == self.number) {
            books.half_open.remove(at);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut books = self.admission.lock();
        books.total -= 1;
        books.total_unknown -= usize::from(!self.standing.known_address);
        if let Some(share) = books.associations.get_mut(&self.address) {
            share.all -= 1;
            share.unknown -= usize::from(!self.standing.known_scanner);
            if share.all == 0 {
                books.associations.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Standing = Standing { known_scanner: true, known_address: true };
    const UNKNOWN: Standing = Standing { known_scanner: false, known_address: false };

    fn limits() -> Limits {
        Limits {
            max_associations: 10,
            reserved_for_known: 4,
            per_address: 5,
            per_unknown_address: 2,
            max_half_open: 6,
            half_open_per_address: 3,
            rejections_before_ban: 3,
            ban_seconds: 600,
        }
    }

    fn host(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn evicted(half_open: &HalfOpen) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), half_open.evicted()).await.is_ok() })
    }

    #[test]
    fn a_flood_evicts_its_own_and_never_the_newcomer() {
        let (admission, now) = (Admission::new(limits()), Instant::now());
        let flood: Vec<_> = (0..20).map(|_| admission.arrive(host(1), now).unwrap()).collect();
        assert_eq!(flood.iter().map(evicted).filter(|gone| *gone).count(), 17);
        assert!(!evicted(&flood[19]), "the youngest stays");
        let others: Vec<_> = (2..6).map(|n| admission.arrive(host(n), now).unwrap()).collect();
        assert!(!others.iter().any(evicted), "the address that holds most gives way");
        assert_eq!(admission.lock().half_open.len(), 6);
        drop((flood, others));
        assert_eq!(admission.lock().half_open.len(), 0);
    }

    #[test]
    fn unknown_senders_leave_the_reserve_to_known_ones() {
        let (admission, now) = (Admission::new(limits()), Instant::now());
        let associate = |n, standing| admission.arrive(host(n), now).unwrap().associate(standing);
        let mut places: Vec<_> = (0..30).filter_map(|n| associate(n / 5, UNKNOWN)).collect();
        assert_eq!(places.len(), 6, "2 of each address until 6 = 10 - 4 are taken");
        places.extend((0..5).filter_map(|_| associate(100, KNOWN)));
        assert_eq!((places.len(), admission.associations()), (10, 10));
        assert!(associate(101, KNOWN).is_none());
        places.clear();
        assert_eq!((admission.associations(), admission.lock().associations.len()), (0, 0));
        let many: Vec<_> = (0..9).filter_map(|_| associate(100, KNOWN)).collect();
        assert_eq!(many.len(), 5, "per address, known or not");
    }

    #[test]
    fn trying_titles_is_answered_by_silence_for_a_while() {
        let (admission, now) = (Admission::new(limits()), Instant::now());
        let reject = |n, known, now| admission.arrive(host(n), now).map(|half_open| half_open.rejected(known, now));
        for _ in 0..3 {
            assert!(reject(1, false, now).is_some());
        }
        assert!(admission.arrive(host(1), now).is_none());
        assert!(admission.arrive(host(2), now).is_some(), "others are not affected");
        assert!(admission.arrive(host(1), now + Duration::from_secs(601)).is_some());
        for minute in 0..9 {
            assert!(reject(3, false, now + minute * 2 * OFFENCE_WINDOW).is_some(), "now and then is no attack");
        }
        for _ in 0..9 {
            assert!(reject(4, true, now).is_some(), "a known address is never banned");
        }
    }
}
