//! A real drop; the clock is a cell.

use std::cell::Cell;

use gift_spool::Depositor;
use time::Duration as Span;

use super::*;
use crate::chain::tests::Hub;

struct Bench {
    directory: tempfile::TempDir,
    hub: Hub,
    drop: Depositor,
    /// What the clock says.
    clock: Cell<SystemTime>,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["staging", "inbox", "aside"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let hub = Hub::new();
        fs::write(directory.path().join("roots"), hub.root_pem()).unwrap();
        let path = |name: &str| directory.path().join(name);
        let drop = Depositor::open(&path("staging"), &path("inbox")).unwrap();
        Self { directory, hub, drop, clock: Cell::new(SystemTime::now()) }
    }

    fn post(&self, chain: &str) {
        self.drop.deposit(b"{}", chain.as_bytes()).unwrap();
    }

    /// One round by a clock that is right; by how many seconds it was moved.
    fn take(&self) -> Result<Option<u64>> {
        let path = |name: &str| self.directory.path().join(name);
        let options = Options {
            inbox: path("inbox"),
            set_aside: path("aside"),
            writer: User::from_uid(nix::unistd::geteuid())?.unwrap().name,
            roots: path("roots"),
        };
        let now = SystemTime::now();
        self.clock.set(now);
        let set = |to| {
            assert!(to > self.clock.get(), "never back");
            self.clock.set(to);
            Ok(())
        };
        take(&options, Clock { now: &|| self.clock.get(), set: &set })?;
        let moved = self.clock.get().duration_since(now).unwrap().as_secs();
        Ok((moved > 0).then_some(moved))
    }

    fn waiting(&self) -> usize {
        fs::read_dir(self.directory.path().join("inbox")).unwrap().count()
    }
}

#[test]
fn the_clock_moves_forward_to_the_latest_instant_that_is_proven_and_never_back() {
    let bench = Bench::new();
    assert_eq!(bench.take().unwrap(), None);
    bench.post(&bench.hub.chain(Span::days(-2)));
    assert_eq!(bench.take().unwrap(), None);
    let day = 86_400;
    for days in [3, 5, 4] {
        bench.post(&bench.hub.chain(Span::days(days)));
    }
    bench.post(&Hub::new().chain(Span::days(9)));
    bench.post("no chain");
    let moved = bench.take().unwrap().unwrap();
    assert!((5 * day - 10..=5 * day).contains(&moved), "{moved}");
    assert_eq!(bench.waiting(), 0, "each is erased, whatever became of it");
}

#[test]
fn without_roots_nothing_is_proven_and_nothing_taken() {
    let bench = Bench::new();
    bench.post(&bench.hub.chain(Span::days(3)));
    fs::write(bench.directory.path().join("roots"), "").unwrap();
    assert_eq!(bench.take().unwrap(), None);
    fs::remove_file(bench.directory.path().join("roots")).unwrap();
    bench.post(&bench.hub.chain(Span::days(3)));
    assert!(bench.take().is_err());
    assert_eq!(bench.waiting(), 1);
}

#[test]
fn what_others_left_in_the_drop_keeps_no_chain_from_being_taken() {
    let bench = Bench::new();
    fs::write(bench.directory.path().join("inbox/what"), "else").unwrap();
    bench.post(&bench.hub.chain(Span::days(1)));
    assert!(bench.take().unwrap().is_some());
    assert_eq!(bench.waiting(), 0);
}
