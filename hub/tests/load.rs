//! Size and strain: throughput of concurrent uploads (printed), memory that does not grow with the object, connections that do
//! nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod common;

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Device, Hub, PASSWORD, Setup, samples};
use reqwest::StatusCode;

/// Bound of the issue for every process under attack, and ours for large objects, kB.
const MAX_RSS_KB: u64 = 256 * 1024;

fn peak_rss_kb(hub: &Hub) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_seconds(hub: &Hub) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", hub.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_uploads_share_their_commits() {
    const OBJECTS: u32 = 400;
    const CONCURRENT: u32 = 16;
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let pixels = vec![7; 524_288];
    let objects: Arc<Vec<_>> = Arc::new(
        (1..=OBJECTS)
            .map(|n| {
                let bytes = samples::released(n).element((0x7FE0, 0x0010), "OW", &pixels).sorted().file();
                (samples::manifest(n, &bytes), bytes)
            })
            .collect(),
    );
    let (start, cpu) = (Instant::now(), cpu_seconds(&hub));
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..CONCURRENT {
        let (client, boxes, objects) = (device.client.clone(), device.boxes.clone(), Arc::clone(&objects));
        lanes.spawn(async move {
            let device = Device { client, boxes };
            for (manifest, bytes) in objects.iter().skip(lane as usize).step_by(CONCURRENT as usize) {
                assert!(device.store(manifest, bytes).await.isolated.is_none());
            }
        });
    }
    lanes.join_all().await;
    let seconds = start.elapsed().as_secs_f64();
    let bytes: usize = objects.iter().map(|(_, bytes)| bytes.len()).sum();
    println!(
        "{OBJECTS} objects of 525 kB, {CONCURRENT} at a time: {:.0} objects/s, {:.0} MB/s, {:.2} CPU s/GB of the hub, peak {} MB",
        f64::from(OBJECTS) / seconds,
        bytes as f64 / seconds / 1e6,
        (cpu_seconds(&hub) - cpu) / (bytes as f64 / 1e9),
        peak_rss_kb(&hub) / 1024
    );
    assert_eq!(hub.count("instances"), u64::from(OBJECTS));
    assert!(peak_rss_kb(&hub) < MAX_RSS_KB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_object() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "researcher");
    let device = hub.enrol("ward-1").await;
    let before = peak_rss_kb(&hub);
    let bytes = samples::released(1).element((0x7FE0, 0x0010), "OW", &vec![3; 500_000_000]).sorted().file();
    let manifest = samples::manifest(1, &bytes);
    let receipt = device.store(&manifest, &bytes).await;
    assert!(receipt.isolated.is_none());
    let mut response = hub
        .client()
        .get(format!("{}/dicomweb/studies/2.25.1000001", hub.web))
        .basic_auth("ada", Some(PASSWORD))
        .send()
        .await
        .unwrap();
    let mut got = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        got += chunk.len();
    }
    assert!(got > bytes.len());
    let after = peak_rss_kb(&hub);
    println!("500 MB object in and out: peak {} MB, before {} MB", after / 1024, before / 1024);
    assert!(after < MAX_RSS_KB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_broken_connections_keep_nobody_out() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let token = hub.token("ward-2");
    let port: u16 = hub.boxes.rsplit(':').next().unwrap().parse().unwrap();
    // From another address: 600 connections that never speak, and some that speak nonsense.
    let mut silent = Vec::new();
    for n in 0..600 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap().into_std().unwrap();
        if n % 3 == 0 {
            let mut stream = &stream;
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        silent.push(stream);
    }
    let start = Instant::now();
    let bytes = samples::released(1).file();
    device.store(&samples::manifest(1, &bytes), &bytes).await;
    let again = hub.enrol_with("ward-2", &token).await;
    let other = samples::released(2).file();
    again.store(&samples::manifest(2, &other), &other).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // What is beyond one address' share is closed at once.
    let mut closed = 0;
    for stream in &mut silent {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        // A timeout means that the connection is still held; its end, a reset or an alert that it is not.
        let held = stream.read(&mut [0; 64]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        closed += usize::from(!held);
    }
    assert!(closed >= 400, "{closed}");
    assert!(peak_rss_kb(&hub) < MAX_RSS_KB);

    let long = device.client.get(format!("{}/box/v1/health", hub.boxes)).header("x", "y".repeat(100_000)).send().await;
    assert!(long.is_err() || long.unwrap().status().is_client_error());
    let large = device.client.post(format!("{}/box/v1/health", hub.boxes)).body(vec![b'1'; 1 << 20]).send().await;
    assert!(large.is_err() || large.unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE);
    device.store(&samples::manifest(1, &bytes), &bytes).await;
}
