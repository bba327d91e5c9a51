//! Crash after every operation, on every surviving mixture: nothing acknowledged is lost, nothing is visible twice, nothing
//! torn is taken. Bars: reliability 1.2 and R1 (≥ 10,000 states, < 60 s).
//!
//! Counts as failure: see [`Violation`]. Does not: an item that was never acknowledged and arrives nevertheless, whole; a
//! finished item that comes back (its work is repeated).

use std::{
    collections::{BTreeSet, HashSet},
    io::Write as _,
    path::Path,
    time::Instant,
};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

use crate::{
    Collector, Depositor, GroupCommit, ItemId, SpoolError, Staged,
    sim::{Lie, SimFs, Survive, UID, World},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Violation {
    /// Acknowledged, not finished, and not in the inbox.
    Lost,
    /// An item or a part of one stands outside the inbox after recovery.
    Elsewhere,
    /// The reader was given other bytes than were deposited.
    TornTaken,
    /// A torn item got past the writer's own house, or into its final name.
    TornVisible,
    /// Recovery itself failed.
    Stuck,
}

fn open(fs: &SimFs) -> Result<Depositor<SimFs>, SpoolError> {
    Depositor::open_in(fs.clone(), Path::new("staging"), Path::new("inbox"), GroupCommit::default())
}

pub(super) fn reader(fs: &SimFs) -> Collector<SimFs> {
    Collector::open_in(fs.clone(), Path::new("inbox"), Path::new("aside"), &[UID]).unwrap()
}

/// Recovers a crashed world as the processes would and looks at the result.
pub(super) fn check(fs: &SimFs) -> BTreeSet<Violation> {
    let mut found = BTreeSet::new();
    let Ok(depositor) = open(fs) else { return [Violation::Stuck].into() };
    if depositor.recovered().damaged > 0 {
        found.insert(Violation::TornVisible);
    }
    if fs.names("staging").iter().any(|n| !n.ends_with(".torn")) {
        found.insert(Violation::Elsewhere);
    }
    let inbox: BTreeSet<_> = reader(fs).scan().unwrap().into_iter().collect();
    if inbox.len() != fs.names("inbox").len() {
        found.insert(Violation::Elsewhere);
    }
    let told = fs.world().clone();
    for id in &inbox {
        let mut body = Vec::new();
        match reader(fs).take_into(id, &mut body) {
            Ok(taken) if told.bodies.get(id) == Some(&body) && taken.meta == id_meta(&body) => {}
            Ok(_) => _ = found.insert(Violation::TornTaken),
            Err(_) => _ = found.insert(Violation::TornVisible),
        }
    }
    if told.acked.iter().any(|id| !told.finished.contains(id) && !inbox.contains(id)) {
        found.insert(Violation::Lost);
    }
    found
}

/// Metadata that depends on the body, so that a mix-up shows.
pub(super) fn id_meta(body: &[u8]) -> Vec<u8> {
    format!("meta of {} bytes", body.len()).into_bytes()
}

#[derive(Debug, Default)]
struct Tally {
    distinct: HashSet<u64>,
    states: u64,
    found: BTreeSet<Violation>,
}

impl Tally {
    /// Crashes at each snapshot, in each way; where `deep`, crashes again at each operation of the recovery.
    fn explore(&mut self, snapshots: &[World], seed: u64, deep: bool) {
        for (at, world) in snapshots.iter().enumerate() {
            let seed = seed.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut ways = vec![Survive::Nothing, Survive::All];
            ways.extend((1..world.pending_len()).map(Survive::Prefix));
            ways.extend((1..=4).map(|n| Survive::Some(seed.wrapping_mul(2 * n + 1))));
            if !deep {
                ways.truncate(2);
                ways.push(Survive::Some(seed));
            }
            for way in ways {
                let crashed = world.crash(way);
                self.states += 1;
                if !self.distinct.insert(crashed.fingerprint()) {
                    continue;
                }
                let fs = SimFs::of(crashed);
                if deep {
                    fs.record();
                }
                self.found.extend(check(&fs));
                let again = fs.snapshots();
                if !again.is_empty() {
                    self.explore(&again, seed, false);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Deposit(usize),
    Batch(Vec<usize>),
    Abandon(usize),
    CommitOnly(usize),
    TakeOldest,
    Settle,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![0_usize..40, 400_usize..1200, 1200_usize..3000];
    prop_oneof![
        3 => len.clone().prop_map(Act::Deposit),
        2 => proptest::collection::vec(len.clone(), 2..4).prop_map(Act::Batch),
        1 => len.clone().prop_map(Act::Abandon),
        1 => len.prop_map(Act::CommitOnly),
        3 => Just(Act::TakeOldest),
        1 => Just(Act::Settle),
        1 => Just(Act::Restart),
    ]
}

fn body(len: usize, salt: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31) ^ salt ^ (i >> 8) as u8).collect()
}

/// Begins an item and tells the world what it will hold.
fn stage(fs: &SimFs, depositor: &Depositor<SimFs>, body: &[u8]) -> Result<Staged<SimFs>, SpoolError> {
    let mut staged = depositor.stage(&id_meta(body))?;
    fs.world().bodies.insert(staged.id().clone(), body.to_vec());
    staged.write_all(body)?;
    Ok(staged)
}

/// Deposits, noting the acknowledgement exactly when the scanner would get it.
pub(super) fn deposit(fs: &SimFs, depositor: &Depositor<SimFs>, len: usize, salt: u8) -> Result<ItemId, SpoolError> {
    let committed = depositor.commit(stage(fs, depositor, &body(len, salt))?)?;
    fs.world().acked.insert(committed.id().clone());
    depositor.post(committed)
}

fn run(fs: &SimFs, acts: &[Act]) -> Result<(), SpoolError> {
    let mut depositor = open(fs)?;
    for (salt, act) in acts.iter().enumerate() {
        let salt = salt as u8;
        match act {
            Act::Deposit(len) => _ = deposit(fs, &depositor, *len, salt)?,
            Act::Batch(lens) => {
                let staged: Result<Vec<_>, _> =
                    lens.iter().map(|&len| stage(fs, &depositor, &body(len, salt))).collect();
                let committed = depositor.commit_batch(staged?)?;
                fs.world().acked.extend(committed.iter().map(|c| c.id().clone()));
                for one in committed {
                    depositor.post(one)?;
                }
            }
            Act::Abandon(len) => drop(stage(fs, &depositor, &body(*len, salt))?),
            Act::CommitOnly(len) => {
                let committed = depositor.commit(stage(fs, &depositor, &body(*len, salt))?)?;
                fs.world().acked.insert(committed.id().clone());
            }
            Act::TakeOldest => {
                let collector = reader(fs);
                if let Some(id) = collector.scan()?.first() {
                    collector.take_into(id, &mut Vec::new())?;
                    fs.world().finished.insert(id.clone());
                    collector.finish(id)?;
                }
            }
            Act::Settle => reader(fs).sync()?,
            Act::Restart => {
                drop(depositor);
                depositor = open(fs)?;
            }
        }
    }
    Ok(())
}

fn explore_workloads(lie: Lie, cases: u32) -> Tally {
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for _ in 0..cases {
        let acts = proptest::collection::vec(act(), 1..10).new_tree(&mut runner).unwrap().current();
        let fs = SimFs::with_lie(lie);
        fs.record();
        run(&fs, &acts).unwrap();
        tally.explore(&fs.snapshots(), u64::from(cases), true);
        if lie == Lie::None {
            assert_eq!(tally.found, BTreeSet::new(), "after {acts:?}");
        }
    }
    tally
}

#[test]
fn a_crash_after_any_operation_loses_nothing_and_tears_nothing() {
    let begin = Instant::now();
    let tally = explore_workloads(Lie::None, 500);
    println!("{} crash states, {} distinct, in {:?}", tally.states, tally.distinct.len(), begin.elapsed());
    assert!(tally.distinct.len() >= 10_000, "{} distinct states", tally.distinct.len());
    assert!(begin.elapsed().as_secs() < 60);
}

#[test]
fn threads_that_share_a_directory_fsync_lose_nothing_either() {
    let fs = SimFs::default();
    let depositor = open(&fs).unwrap();
    fs.record();
    std::thread::scope(|scope| {
        for salt in 0..4 {
            let (fs, depositor) = (&fs, depositor.clone());
            scope.spawn(move || (0..4).for_each(|n| _ = deposit(fs, &depositor, 300 * n, salt).unwrap()));
        }
    });
    let mut tally = Tally::default();
    tally.explore(&fs.snapshots(), 5, true);
    assert_eq!(tally.found, BTreeSet::new());
    assert!(tally.distinct.len() > 100, "{} distinct states", tally.distinct.len());
}

/// A test that cannot fail is a defect: the same checker on a spool that skips a step.
#[test]
fn the_checker_catches_a_missing_directory_fsync() {
    assert!(explore_workloads(Lie::NoDirSync, 8).found.contains(&Violation::Lost));
}

#[test]
fn the_checker_catches_a_missing_fdatasync_and_even_then_nothing_torn_is_taken() {
    let found = explore_workloads(Lie::NoDataSync, 8).found;
    assert!(found.contains(&Violation::Lost) && found.contains(&Violation::TornVisible), "{found:?}");
    assert!(!found.contains(&Violation::TornTaken));
}
