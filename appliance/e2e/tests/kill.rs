//! `kill -9` at random instants during a running send, spread over every process.
//!
//! A failure is: an acknowledged object that is neither on the hub nor held, an object stored twice, a process that does not
//! serve again within 5 s. No failure is: an association that ends (the scanner sends again), an object held twice because
//! its scanner sent it again after the answer got lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use common::{Fixture, PATIENCE};
use gift_e2e::{
    generator::Entry,
    outcome,
    rig::{Rig, Role, Signal},
    web::Web,
};

/// The bar: a killed service is back within this time.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Longest pause between two kills.
const LONGEST_PAUSE_MS: u64 = 500;

/// Who is killed: a role's process, or one of deid's workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Process(Role),
    Worker,
}

const VICTIMS: [Victim; 6] = [
    Victim::Process(Role::Receiver),
    Victim::Process(Role::Deid),
    Victim::Process(Role::Uplink),
    Victim::Process(Role::Hub),
    Victim::Worker,
    Victim::Process(Role::Health),
];

#[test]
fn forty_kills() {
    campaign(40, 300, 9);
}

#[test]
#[ignore = "cargo xtask campaign kill"]
fn two_hundred_kills() {
    campaign(200, 1_500, 10);
}

fn campaign(kills: usize, objects: usize, seed: u64) {
    let fixture = Fixture::new(seed, objects);
    let (rig, set) = (&fixture.rig, &fixture.set);
    let entries: Vec<&Entry> = set.key.objects.iter().collect();
    let finished = AtomicBool::new(false);
    let mut histogram: BTreeMap<Victim, [usize; 2]> = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    let acknowledged = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_until(&fixture, &entries, &finished));
        for number in 0..kills {
            let victim = VICTIMS[number % VICTIMS.len()];
            std::thread::sleep(Duration::from_millis(random(LONGEST_PAUSE_MS)));
            let busy = wait_for_work(rig, victim);
            let back = kill(rig, victim)
                .unwrap_or_else(|error| panic!("kill {number} of {victim:?}: {error:#}\n{}", common::logs(rig)));
            slowest = slowest.max(back);
            histogram.entry(victim).or_default()[usize::from(busy)] += 1;
        }
        finished.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    outcome::settle(rig, PATIENCE).unwrap_or_else(|error| panic!("{error:#}\n{}", common::logs(rig)));
    println!("kills by victim [queue empty, queue not empty]: {histogram:?}; slowest return {slowest:?}");
    println!("{} of {} objects acknowledged during the kills", acknowledged.during, entries.len());
    assert!(acknowledged.missing.is_empty(), "never acknowledged: {:?}", acknowledged.missing);
    let faults = outcome::faults(rig, &entries, true).unwrap();
    assert!(faults.is_empty(), "{faults:#?}\n{}", common::logs(rig));
    let with_work: usize = histogram.values().map(|counts| counts[1]).sum();
    assert!(with_work * 100 >= kills * 15, "only {with_work} of {kills} kills met a queue that was not empty");
    assert!(slowest <= BACK_WITHIN, "slowest return {slowest:?}");
}

struct Acknowledged {
    during: usize,
    missing: Vec<String>,
}

/// Sends what is not yet acknowledged, in bursts, as a scanner does that tries again; goes on after the last kill until
/// everything is acknowledged.
fn send_until(fixture: &Fixture, entries: &[&Entry], finished: &AtomicBool) -> Acknowledged {
    let mut waiting: Vec<&Entry> = entries.to_vec();
    let mut during = 0;
    let deadline = Instant::now() + Duration::from_secs(1_200);
    // The set must last as long as the kills do: it is sent in small bursts.
    while !waiting.is_empty() && Instant::now() < deadline {
        let burst: Vec<&Entry> =
            waiting.iter().take(if finished.load(Ordering::Relaxed) { 64 } else { 8 }).copied().collect();
        let sent = fixture.set.send_some(&fixture.rig, &burst, 4).unwrap_or_default();
        let done: Vec<&str> = sent
            .iter()
            .filter(|s| s.acknowledged)
            .filter_map(|s| s.file.file_name().and_then(|name| name.to_str()))
            .collect();
        waiting.retain(|entry| !done.contains(&entry.file.as_str()));
        if !finished.load(Ordering::Relaxed) {
            during += done.len();
        }
        // What failed goes to the back, so that every burst is another one.
        let failed = (burst.len() - done.len()).min(waiting.len());
        waiting.rotate_left(failed);
    }
    Acknowledged { during, missing: waiting.iter().map(|entry| entry.file.clone()).collect() }
}

/// Waits a moment for the victim to have work; true when it has.
fn wait_for_work(rig: &Rig, victim: Victim) -> bool {
    let places: &[&str] = match victim {
        Victim::Process(Role::Receiver) => &["intake/staging"],
        Victim::Process(Role::Deid) | Victim::Worker => &["intake/inbox"],
        Victim::Process(Role::Uplink | Role::Hub) => &["release/outbox", "uplink/queue"],
        Victim::Process(Role::Health) => return false,
    };
    let has_work = || {
        places
            .iter()
            .any(|place| std::fs::read_dir(rig.root.join(place)).is_ok_and(|mut entries| entries.next().is_some()))
    };
    let deadline = Instant::now() + Duration::from_millis(400);
    while Instant::now() < deadline {
        if has_work() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Kills the victim and waits until it serves again; how long that took.
fn kill(rig: &Rig, victim: Victim) -> Result<Duration> {
    let started = Instant::now();
    match victim {
        Victim::Worker => {
            let deid = rig.pid(Role::Deid).context("deid does not run")?;
            let children = std::fs::read_to_string(format!("/proc/{deid}/task/{deid}/children")).unwrap_or_default();
            let mut workers: Vec<i32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            // Threads other than the first have children of their own.
            for task in std::fs::read_dir(format!("/proc/{deid}/task")).into_iter().flatten().flatten() {
                let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
                workers.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
            }
            let pick = random(workers.len().max(1) as u64) as usize;
            if let Some(&worker) = workers.get(pick) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL);
            }
            Ok(Duration::ZERO)
        }
        Victim::Process(role) => {
            let starts = rig.starts(role);
            anyhow::ensure!(rig.signal(role, Signal::SIGKILL), "{role:?} does not run");
            rig.wait_until("its return", Duration::from_secs(20), |rig| {
                rig.starts(role) > starts && serves(rig, role, started)
            })?;
            Ok(started.elapsed())
        }
    }
}

/// True when the role does its job again.
fn serves(rig: &Rig, role: Role, since: Instant) -> bool {
    match role {
        Role::Receiver => rig
            .scanner("echoscu")
            .args([
                "-to",
                "2",
                "--aetitle",
                "SCANNER1",
                "--call",
                rig.called_ae,
                "127.0.0.1",
                &rig.dicom_port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        Role::Hub => {
            Web::new(rig).and_then(|web| web.get("/healthz", "*/*")).is_ok_and(|(status, _)| status.is_success())
        }
        Role::Deid | Role::Uplink | Role::Health => {
            let now = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or(0);
            let killed = now.saturating_sub(u64::try_from(since.elapsed().as_millis()).unwrap_or(0));
            rig.status(role).is_some_and(|record| {
                record["state"] == "ready" && record["started_ms"].as_u64().is_some_and(|started| started >= killed)
            })
        }
    }
}

/// A random number below `bound`.
fn random(bound: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % bound
}
