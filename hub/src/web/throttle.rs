//! Waiting after failed logins: per account name (existing or not, so nothing is given away) and per network, doubling from one
//! second. Kept in memory, bounded.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::settings;

/// Most accounts, and most networks, remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// The memory of failures.
#[derive(Debug)]
pub struct Throttle {
    free: u32,
    max_wait: Duration,
    accounts: Mutex<HashMap<[u8; 32], Failures>>,
    networks: Mutex<HashMap<IpAddr, Failures>>,
}

/// The network that an address is counted under: its first `v4_bits` bits, or the /64 of IPv6.
pub fn network(address: IpAddr, v4_bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(32 - v4_bits).unwrap_or(0)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl Throttle {
    /// With the settings' limits.
    pub fn new(settings: &settings::Throttle) -> Self {
        Self {
            free: settings.free_failures,
            max_wait: Duration::from_secs(settings.max_wait_seconds),
            accounts: Mutex::default(),
            networks: Mutex::default(),
        }
    }

    /// How long this account name and address must still wait; `None` when they may try.
    pub fn wait(&self, account: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let of_account = self.remaining(&self.accounts, &super::secret::hash(account), now);
        // A network is many people: it gets more tries.
        let of_network = self.remaining(&self.networks, &network(address, 24), now);
        of_account.max(of_network)
    }

    /// Notes a failure.
    pub fn failed(&self, account: &str, address: IpAddr, now: Instant) {
        note(&self.accounts, super::secret::hash(account), now);
        note(&self.networks, network(address, 24), now);
    }

    /// Notes a success: the account's failures are forgotten, the network's are not (a guesser may own one account).
    pub fn succeeded(&self, account: &str) {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).remove(&super::secret::hash(account));
    }

    fn remaining<K: Eq + Hash>(&self, map: &Mutex<HashMap<K, Failures>>, key: &K, now: Instant) -> Option<Duration> {
        let failures = *map.lock().unwrap_or_else(PoisonError::into_inner).get(key)?;
        let beyond = failures.count.checked_sub(self.free)?;
        let wait = Duration::from_secs(1_u64.checked_shl(beyond).unwrap_or(u64::MAX)).min(self.max_wait);
        (failures.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

fn note<K: Eq + Hash + Clone>(map: &Mutex<HashMap<K, Failures>>, key: K, now: Instant) {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= REMEMBERED && !map.contains_key(&key) {
        // The one that failed longest ago makes room.
        if let Some(oldest) = map.iter().min_by_key(|(_, f)| f.last).map(|(k, _)| k.clone()) {
            map.remove(&oldest);
        }
    }
    let entry = map.entry(key).or_insert(Failures { count: 0, last: now });
    entry.count = entry.count.saturating_add(1);
    entry.last = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_are_free_then_the_wait_doubles_up_to_its_bound() {
        let throttle = Throttle::new(&settings::Throttle { free_failures: 5, max_wait_seconds: 60, max_failures: 100 });
        let (here, start) = ("192.0.2.7".parse().unwrap(), Instant::now());
        for n in 0..5 {
            assert_eq!(throttle.wait("ada", here, start), None, "{n}");
            throttle.failed("ada", here, start);
        }
        let wait = |now| throttle.wait("ada", here, now).map(|d| d.as_secs());
        assert_eq!(wait(start), Some(1));
        assert_eq!(wait(start + Duration::from_secs(1)), None);
        throttle.failed("ada", here, start);
        assert_eq!(wait(start), Some(2));
        for _ in 0..100 {
            throttle.failed("ada", here, start);
        }
        assert_eq!(wait(start), Some(60));
        let neighbour = "192.0.2.200".parse().unwrap();
        assert!(throttle.wait("bob", neighbour, start).is_some(), "the network waits too");
        assert!(throttle.wait("bob", "198.51.100.1".parse().unwrap(), start).is_none());
        assert!(throttle.wait("ada", "198.51.100.1".parse().unwrap(), start).is_some(), "the account waits everywhere");
        throttle.succeeded("ada");
        assert!(throttle.wait("ada", "198.51.100.1".parse().unwrap(), start).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(&settings::Throttle::default());
        let here = "192.0.2.7".parse().unwrap();
        for n in 0..REMEMBERED + 50 {
            throttle.failed(&n.to_string(), here, Instant::now());
        }
        assert_eq!(throttle.accounts.lock().unwrap().len(), REMEMBERED);
    }

    #[test]
    fn ipv6_is_counted_by_64() {
        let of = |t: &str| network(t.parse().unwrap(), 24);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.99"));
    }
}
