//! The loop on real directories: status records in, LEDs, reports and the own record out.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use gift_spool::Collector;
use gift_status::{Cause, EnrolmentState, HubLink, VerdictWord};
use gift_wire::ReleaseItem;

use super::*;
use crate::{patterns::tests::SHIPPED, settings::tests as sample};

struct Bench {
    root: tempfile::TempDir,
    /// The receiver's, deid's and the uplink's: each began once.
    files: [StatusFile; 3],
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["receiver", "deid", "uplink", "health", "staging", "outbox", "aside", "leds", "watchdog/watchdog0"]
        {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("leds.toml"), SHIPPED).unwrap();
        fs::write(root.path().join("network"), "# private\nOPER_STATE=routable\nCARRIER_STATE=carrier\n").unwrap();
        let files = ["receiver", "deid", "uplink"].map(|name| StatusFile::new(&root.path().join(name)));
        let bench = Self { root, files };
        bench.publish_all();
        bench
    }

    fn root(&self) -> &Path {
        self.root.path()
    }

    fn judge(&self) -> Judge {
        let root = self.root().display().to_string();
        let text = sample::SAMPLE
            .replace("/run/gift/status", &root)
            .replace("/var/lib/gift/release/staging-health", &format!("{root}/staging"))
            .replace("/var/lib/gift/release/outbox", &format!("{root}/outbox"))
            .replace("\"/var/lib/gift/release\"", &format!("{root:?}"))
            .replace("/sys/class/leds", &format!("{root}/leds"))
            .replace("/sys/class/watchdog", &format!("{root}/watchdog"))
            .replace("/run/gift/netif/scanner/state", &format!("{root}/network"))
            .replace("/usr/share/gift/policy/leds.toml", &format!("{root}/leds.toml"))
            .replace("\"sysfs\"\n", "\"plain\"\n")
            .replace("reserve-bytes = 2_147_483_648", "reserve-bytes = 1");
        Judge::new(sample::parse(&text).unwrap()).unwrap()
    }

    fn publish_all(&self) {
        let (ready, [receiver, deid, uplink]) = (RunState::Ready, &self.files);
        receiver.publish(ready, ReceiverStatus::default()).unwrap();
        deid.publish(ready, DeidStatus::default()).unwrap();
        let body =
            UplinkStatus { hub: HubLink::Connected, enrolment: EnrolmentState::Enrolled, ..UplinkStatus::default() };
        uplink.publish(ready, body).unwrap();
    }

    fn led(&self, name: &str) -> String {
        fs::read_to_string(self.root().join("leds").join(name)).unwrap()
    }

    /// Reports that stand in the outbox; they stay there, as when the uplink is down.
    fn reports(&self) -> Vec<HealthReport> {
        let uid = self.root().metadata().unwrap().uid();
        let reader = Collector::open(&self.root().join("outbox"), &self.root().join("aside"), &[uid]).unwrap();
        let read = |id| {
            let mut body = Vec::new();
            let taken = reader.take_into(&id, &mut body).unwrap();
            assert_eq!(serde_json::from_slice::<ReleaseItem>(&taken.meta).unwrap(), ReleaseItem::Health);
            serde_json::from_slice(&body).unwrap()
        };
        reader.scan().unwrap().into_iter().map(read).collect()
    }
}

#[test]
fn a_scanner_port_without_cable_or_lease_shows_whatever_stands_in_the_place_of_its_state() {
    let bench = Bench::new();
    let (network, mut judge) = (bench.root().join("network"), bench.judge());
    let (begin, up) = (Instant::now(), Duration::from_secs(121));
    judge.tick(now_ms(), begin);
    judge.tick(now_ms(), begin + up);
    assert_eq!(bench.led("scanner"), "blip waiting\n");
    for said in [
        &b"OPER_STATE=no-carrier\nX=OPER_STATE=routable\n"[..],
        b"OPER_STATE=carrier\n",
        b"",
        b"\xff\nOPER_STATE=routable\n",
    ] {
        fs::write(&network, said).unwrap();
        judge.tick(now_ms(), begin + up);
        assert_eq!(bench.led("scanner"), "slow unplugged\n");
        assert_eq!((bench.led("power").as_str(), bench.led("attention").as_str()), ("steady ready\n", "slow look\n"));
        fs::write(&network, "OPER_STATE=routable\n").unwrap();
        judge.tick(now_ms(), begin + up);
        assert_eq!(bench.led("scanner"), "blip waiting\n");
    }
    fs::remove_file(&network).unwrap();
    nix::unistd::mkfifo(&network, nix::sys::stat::Mode::S_IRWXU).unwrap();
    judge.tick(now_ms(), begin + up);
    assert_eq!(bench.led("scanner"), "slow unplugged\n", "a pipe keeps nobody waiting");
    fs::remove_file(&network).unwrap();
    judge.tick(now_ms(), begin + up);
    assert_eq!(bench.led("scanner"), "slow unplugged\n");
}

#[test]
fn a_healthy_box_shows_ready_and_a_dead_process_shows_within_a_round() {
    let bench = Bench::new();
    let mut judge = bench.judge();
    let begin = Instant::now();
    judge.tick(now_ms(), begin);
    assert_eq!((bench.led("power").as_str(), bench.led("attention").as_str()), ("steady ready\n", "off none\n"));
    assert_eq!(bench.led("scanner"), "blip waiting\n");

    fs::remove_file(bench.root().join("deid/status.json")).unwrap();
    // Soon after the start it has not begun yet; then it is down.
    judge.tick(now_ms(), begin + Duration::from_secs(6));
    assert_eq!((bench.led("power").as_str(), bench.led("attention").as_str()), ("slow starting\n", "off none\n"));
    judge.tick(now_ms(), begin + Duration::from_secs(120));
    assert_eq!((bench.led("power").as_str(), bench.led("attention").as_str()), ("fast fault\n", "fast call\n"));
    let report = bench.reports().remove(0);
    assert_eq!((report.verdict.word, report.verdict.causes), (VerdictWord::Fault, vec![Cause::DeidDown]));
    assert_eq!((report.deid, report.sequence), (None, 3));

    // A record that is old, or of another version, is as good as none.
    bench.publish_all();
    judge.tick(now_ms() + gift_status::STALE_AFTER_MS + 1000, begin + Duration::from_secs(126));
    let causes = [Cause::ReceiverDown, Cause::DeidDown, Cause::UplinkDown];
    assert_eq!(judge.last.as_ref().unwrap().causes, causes);

    judge.stop();
    assert_eq!(bench.led("power"), "off unattended\n");
    let own: StatusRecord<HealthStatus> = read_status(Process::Health, &bench.root().join("health")).unwrap();
    assert_eq!((own.state, own.body.reports_total), (RunState::Stopping, 4));
}

#[test]
fn a_crash_loop_refused_settings_and_a_missing_watchdog_are_causes() {
    let bench = Bench::new();
    let mut judge = bench.judge();
    let begin = Instant::now();
    let path = bench.root().join("deid/status.json");
    let causes_after = |judge: &mut Judge, began_ms: u64, seconds: u64| {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        record["started_ms"] = began_ms.into();
        fs::write(&path, record.to_string()).unwrap();
        judge.tick(now_ms(), begin + Duration::from_secs(seconds));
        judge.last.as_ref().unwrap().causes.clone()
    };
    for start in 0..3 {
        assert_eq!(causes_after(&mut judge, start, 7 * start), [], "start {start}");
    }
    assert_eq!(causes_after(&mut judge, 3, 21), [Cause::DeidDown], "ready at each look, and yet");

    fs::remove_dir_all(bench.root().join("watchdog/watchdog0")).unwrap();
    judge.settings_refused = true;
    assert_eq!(causes_after(&mut judge, 3, 300), [Cause::SettingsRefused, Cause::WatchdogMissing]);
}

#[test]
fn reports_are_due_by_interval_and_by_change_but_not_sooner_and_do_not_pile_up() {
    let bench = Bench::new();
    let mut judge = bench.judge();
    let begin = Instant::now();
    let mut sent = Vec::new();
    for second in 0..=130 {
        // From 20 to 29 the verdict flaps every second.
        if (20..30).contains(&second) && second % 2 == 0 {
            fs::remove_file(bench.root().join("uplink/status.json")).unwrap();
        } else {
            bench.publish_all();
        }
        let before = judge.status.sequence;
        judge.tick(now_ms(), begin + Duration::from_secs(second));
        if judge.status.sequence > before {
            sent.push(second);
        }
        assert_eq!(bench.reports().len(), 1, "at {second} s");
    }
    assert_eq!(sent, [0, 20, 25, 85]);
    assert!(fs::read_dir(bench.root().join("staging")).unwrap().next().is_none());
}

#[test]
fn an_image_that_only_changes_the_leds_sends_no_report() {
    let bench = Bench::new();
    let mut judge = bench.judge();
    let begin = Instant::now();
    judge.tick(now_ms(), begin);
    let body = ReceiverStatus { last_instance_ms: [(1, now_ms())].into(), ..ReceiverStatus::default() };
    StatusFile::new(&bench.root().join("receiver")).publish(RunState::Ready, body).unwrap();
    judge.tick(now_ms(), begin + Duration::from_secs(30));
    assert_eq!(bench.led("scanner"), "flicker receiving\n");
    assert_eq!(judge.status.sequence, 1);
}

#[test]
fn the_sequence_goes_on_across_a_restart_within_a_boot() {
    let bench = Bench::new();
    bench.judge().tick(now_ms(), Instant::now());
    let mut again = bench.judge();
    again.tick(now_ms(), Instant::now());
    let reports = bench.reports();
    assert_eq!(reports.iter().map(|r| r.sequence).max(), Some(2));
    assert!(reports.iter().all(|r| r.boot == reports[0].boot && r.boot.len() == 32));
}

#[test]
fn without_a_release_directory_the_leds_go_on_and_reports_resume_when_it_is_back() {
    let bench = Bench::new();
    fs::rename(bench.root().join("outbox"), bench.root().join("gone")).unwrap();
    let mut judge = bench.judge();
    let begin = Instant::now();
    judge.tick(now_ms(), begin);
    assert_eq!(bench.led("power"), "steady ready\n");
    assert_eq!(judge.status.report_failures_total, 1);
    fs::rename(bench.root().join("gone"), bench.root().join("outbox")).unwrap();
    judge.tick(now_ms(), begin + Duration::from_secs(6));
    assert_eq!((judge.status.reports_total, bench.reports().len()), (1, 1));
}

#[test]
fn a_compromised_receiver_cannot_send_text_in_its_times() {
    let now = 1_800_000_000_000;
    let hidden = (0..4_000_u16).map(|n| (n, u64::from_be_bytes(*b"Doe^Jane") ^ u64::from(n)));
    let status = ReceiverStatus { last_instance_ms: hidden.collect(), ..ReceiverStatus::default() };
    assert!(coarse(status, now).last_instance_ms.is_empty(), "no times");
    let status = ReceiverStatus {
        last_instance_ms: (0..4_000).map(|n| (n, now - 61_234)).collect(),
        instances_total: 7,
        ..ReceiverStatus::default()
    };
    let coarse = coarse(status, now);
    assert_eq!((coarse.last_instance_ms.len(), coarse.instances_total), (SCANNERS, 7));
    assert!(coarse.last_instance_ms.values().all(|ms| ms % MINUTE_MS == 0));
}
