//! When nothing goes wrong: objects and reports arrive, memory stays flat, stopping is orderly.

use std::fs;

use gift_status::{DiskState, EnrolmentState, HubLink, Inputs, RunState, verdict};
use gift_wire::{HealthReport, ReleaseItem};
use hyper::Version;

use super::{
    hub::{Fault, TestHub},
    rig::Rig,
};

fn report(sequence: u64) -> Vec<u8> {
    let disk = DiskState { free_bytes: 9, total_bytes: 9, reserve_bytes: 1 };
    let verdict = verdict(&Inputs { now_ms: 1, disk, ..Inputs::default() });
    let report = HealthReport {
        version: gift_wire::WIRE_VERSION,
        boot: "0a".repeat(16),
        sequence,
        sent_ms: 1,
        software: "0.1.0".into(),
        verdict,
        disk,
        receiver: None,
        deid: None,
        uplink: None,
        update: None,
    };
    serde_json::to_vec(&report).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_arrive_and_the_box_forgets_them() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    for size in [1, 100, 65_536, 300_000, 3_000_000] {
        rig.post(size);
    }
    rig.start();
    rig.until_drained(&hub, 5).await;
    rig.until("the status", |rig| {
        let status = rig.status();
        status.uploaded_total == 5 && status.queue_objects == 0 && status.hub == HubLink::Connected
    })
    .await;
    let status = rig.status();
    assert_eq!(status.enrolment, EnrolmentState::Enrolled);
    assert!(status.certificate_not_after_ms > gift_service::now_ms() && status.last_receipt_ms > 0);
    assert_eq!((status.queue_bytes, status.queue_oldest_age_seconds), (0, 0));
    assert!(status.failures_total.is_empty(), "{:?}", status.failures_total);
    let state = hub.state();
    assert!(state.stored.values().all(|(_, times)| *times == 1));
    assert!(state.versions.iter().all(|version| *version == Version::HTTP_2), "{:?}", state.versions);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_run_at_the_same_time_up_to_the_setting() {
    let hub = TestHub::sound().await;
    hub.state().delay_ms = 1_000;
    let mut rig = Rig::new(&hub, "concurrency = 3");
    (0..12).for_each(|_| drop(rig.post(500)));
    rig.start();
    rig.until_drained(&hub, 12).await;
    assert_eq!(hub.state().peak, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_report_is_sent_and_before_the_objects() {
    let mut hub = TestHub::sound().await;
    hub.state().delay_ms = 300;
    let mut rig = Rig::new(&hub, "concurrency = 1");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    hub.down().await;
    (0..10).for_each(|_| drop(rig.post(100)));
    for sequence in 1..=3 {
        rig.post_raw(&serde_json::to_vec(&ReleaseItem::Health).unwrap(), &report(sequence));
        rig.until("an empty outbox", |rig| rig.names("outbox").is_empty()).await;
    }
    // Also over a restart.
    rig.terminate();
    rig.start();
    hub.up().await;
    rig.until_drained(&hub, 10).await;
    rig.until("the report", |rig| rig.names("uplink/health").is_empty()).await;
    let state = hub.state();
    assert_eq!(state.reports.iter().map(|report| report.sequence).collect::<Vec<_>>(), [3]);
    // It is started first; the object started with it may overtake it on the way, the next one may not.
    let mut paths = state.paths.iter().filter(|path| *path != gift_wire::ENROL_PATH);
    let first_report = paths.position(|path| path == gift_wire::HEALTH_PATH).unwrap();
    assert!(first_report <= 1, "{:?}", state.paths);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_whatever_the_size() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    rig.post(200_000_000);
    rig.start();
    rig.until_drained(&hub, 1).await;
    let text = fs::read_to_string(format!("/proc/{}/status", rig.pid())).unwrap();
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak resident memory while uploading 200 MB: {peak_kb} kB");
    assert!(peak_kb < 64 * 1024, "{peak_kb} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_object_passes_a_large_one_that_is_slow() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "concurrency = 2\nsmall-object-bytes = 100000");
    let large = rig.post(4_000_000);
    hub.state().poison.insert(large, Fault::Hold);
    rig.start();
    rig.until("the large one under way", |_| hub.state().now == 1).await;
    rig.post(4_000_000);
    let small = rig.post(10);
    // Stored, and answered: of two that are under way, one has ended.
    rig.until("the small one", |_| hub.state().stored.contains_key(&small) && hub.state().now == 1).await;
    assert_eq!(hub.state().stored.len(), 1, "the slow one is still under way, the other large one waits");
    hub.state().poison.clear();
    rig.until_drained(&hub, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_items_are_set_aside_counted_and_block_nothing() {
    let hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    let wrong_digest = super::rig::manifest(900, &"00".repeat(32), 4);
    let wrong_size = super::rig::manifest(901, &"00".repeat(32), 5);
    let mut wrong_name = super::rig::manifest(902, &"00".repeat(32), 4);
    wrong_name.project = "Doe^Jane".into();
    for manifest in [wrong_digest, wrong_size, wrong_name] {
        rig.post_raw(&serde_json::to_vec(&ReleaseItem::Object(Box::new(manifest))).unwrap(), b"body");
    }
    rig.post_raw(b"no JSON", b"body");
    rig.post_raw(&serde_json::to_vec(&ReleaseItem::Health).unwrap(), b"{\"name\":\"Doe^Jane\"}");
    fs::write(rig.path("outbox").join("0".repeat(32)), b"torn").unwrap();
    rig.post(100);
    rig.start();
    rig.until_drained(&hub, 1).await;
    rig.until("the count", |rig| rig.status().damaged_total == 6).await;
    assert_eq!(rig.names("uplink/set-aside").len(), 6);
    assert!(!rig.log().contains("Doe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bit_rot_in_the_queue_never_reaches_the_hub() {
    let mut hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    hub.down().await;
    for _ in 0..10 {
        rig.post(5_000);
    }
    rig.until("a full queue", |rig| rig.names("uplink/queue").len() == 10 && rig.names("outbox").is_empty()).await;
    let spoilt = rig.names("uplink/queue").pop().unwrap();
    let path = rig.path("uplink/queue").join(&spoilt);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2_500] ^= 1;
    fs::write(&path, bytes).unwrap();
    hub.up().await;
    rig.until_drained(&hub, 9).await;
    rig.until("the count", |rig| rig.status().damaged_total == 1).await;
    assert_eq!(rig.names("uplink/set-aside"), [spoilt]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_uploads_end_and_cuts_off_those_that_do_not() {
    let hub = TestHub::sound().await;
    hub.state().delay_ms = 1_000;
    let mut rig = Rig::new(&hub, "stop-grace-ms = 8000");
    rig.post(100);
    rig.start();
    rig.until("the upload under way", |_| !hub.state().asked.is_empty()).await;
    let took = rig.terminate();
    assert!(took.as_millis() < 7_900, "{took:?}");
    assert!(rig.names("uplink/queue").is_empty(), "the receipt was waited for");
    assert_eq!(rig.record().unwrap().state, RunState::Stopping);

    hub.fault(Fault::Hang);
    let kept = rig.post(100);
    rig.start();
    rig.until("the upload under way", |_| hub.state().asked.contains(&kept)).await;
    let took = rig.terminate();
    assert!((7_900..10_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(rig.names("uplink/queue").len(), 1);
    rig.start();
    rig.until_drained(&hub, 2).await;
}
