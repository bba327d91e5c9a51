//! Signed system updates: put up by a command, given to enrolled boxes only, and only forward; archives whole and in parts; what must be
//! refused; what a crash leaves. The real binary and real clients.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use common::{Device, Hub, PASSWORD, Setup, cookie, get, log_in};
use gift_wire::{ImageVersion, Sha256Hex, SignedUpdate, Update, UpdatePart, WIRE_VERSION};
use reqwest::{RequestBuilder, Response, StatusCode};
use sha2::{Digest as _, Sha256};

fn sha256(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex::parse(&hex::encode(Sha256::digest(bytes))).unwrap()
}

/// Bytes that differ everywhere and with `seed`.
fn archive(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 11) as u8 ^ seed).collect()
}

/// An update whose parts are `archive` cut at a third and at a half.
fn update(serial: u64, archive: &[u8]) -> Update {
    let part =
        |bytes: &[u8]| UpdatePart { length: bytes.len() as u64, size: bytes.len() as u64 + 512, sha256: sha256(bytes) };
    let (third, half) = (archive.len() / 3, archive.len() / 2);
    Update {
        version: WIRE_VERSION,
        serial,
        image: ImageVersion::parse(&format!("0.{serial}.0")).unwrap(),
        created: "2026-11-28".into(),
        expires: "2027-05-28".into(),
        root_hash: sha256(b"root"),
        root: part(&archive[..third]),
        verity: part(&archive[third..half]),
        codecs: None,
        kernel: part(&archive[half..]),
        archive: sha256(archive),
    }
}

fn signed(update: &Update) -> Vec<u8> {
    let update = serde_json::to_string(update).unwrap();
    serde_json::to_vec(&SignedUpdate { update, signature: "any".into() }).unwrap()
}

/// `gift-hub add-update`: success and standard output.
fn add(hub: &Hub, signed: &[u8], archive: &[u8]) -> (bool, String) {
    std::fs::write(hub.directory.path().join("update.json"), signed).unwrap();
    std::fs::write(hub.directory.path().join("update.archive"), archive).unwrap();
    hub.admin(&["add-update", "update.json", "update.archive"], "")
}

/// Puts an update up that is right.
fn put(hub: &Hub, serial: u64, archive: &[u8]) {
    assert_eq!(add(hub, &signed(&update(serial, archive)), archive), (true, format!("serial {serial}\n")));
}

fn newest(device: &Device) -> RequestBuilder {
    device.client.get(format!("{}/box/v1/update", device.boxes))
}

fn named(device: &Device, name: &str) -> RequestBuilder {
    device.client.get(format!("{}/box/v1/update/{name}", device.boxes))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Names in the directory of archives.
fn there(hub: &Hub) -> BTreeSet<String> {
    let entries = std::fs::read_dir(hub.data("updates")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn names(archives: &[&[u8]]) -> BTreeSet<String> {
    archives.iter().map(|archive| sha256(archive).to_string()).collect()
}

/// Sockets that the hub holds.
fn sockets(hub: &Hub) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).unwrap();
    let targets = entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[tokio::test]
async fn the_newest_update_is_given_to_enrolled_boxes_only_and_two_archives_are_kept() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    assert_eq!(send(newest(&device)).await.status(), StatusCode::NOT_FOUND);
    let archives: Vec<_> = (0..3).map(|seed| archive(seed, 10_000)).collect();
    put(&hub, 7, &archives[0]);
    let answer = send(newest(&device)).await;
    let tag = header(&answer, "etag").to_owned();
    assert_eq!(header(&answer, "content-type"), "application/json");
    assert_eq!(answer.bytes().await.unwrap(), signed(&update(7, &archives[0])));
    let known = |tag: &str| send(newest(&device).header("if-none-match", tag));
    let answer = known(&tag).await;
    assert_eq!((answer.status(), header(&answer, "etag")), (StatusCode::NOT_MODIFIED, &*tag));
    put(&hub, 8, &archives[1]);
    assert_eq!(known(&tag).await.status(), StatusCode::OK);
    assert_eq!(there(&hub), names(&[&archives[0], &archives[1]]));
    put(&hub, 10, &archives[2]);
    assert_eq!(there(&hub), names(&[&archives[1], &archives[2]]));
    for (archive, status) in archives.iter().zip([StatusCode::NOT_FOUND, StatusCode::OK, StatusCode::OK]) {
        assert_eq!(send(named(&device, sha256(archive).as_str())).await.status(), status);
    }

    let bare = Device { client: hub.client(), boxes: hub.boxes.clone() };
    let name = sha256(&archives[2]).to_string();
    assert_eq!(send(newest(&bare)).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(named(&bare, &name)).await.status(), StatusCode::UNAUTHORIZED);
    assert!(hub.admin(&["revoke-box", "ward-1"], "").0);
    assert_eq!(send(newest(&device)).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(send(named(&device, &name)).await.status(), StatusCode::FORBIDDEN);
    let trail: u64 = hub
        .database()
        .query_row("SELECT count(*) FROM audit WHERE action = 'update-added'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(trail, 3);
    assert!(hub.admin(&["verify-audit"], "").1.starts_with("whole: "));
}

#[tokio::test]
async fn an_archive_is_given_whole_or_from_where_a_download_ended() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let bytes = archive(1, 3_000_001);
    put(&hub, 7, &bytes);
    let name = sha256(&bytes).to_string();
    let tag = format!("\"{name}\"");

    let whole = send(named(&device, &name)).await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(
        (header(&whole, "etag"), header(&whole, "accept-ranges"), header(&whole, "content-length")),
        (&*tag, "bytes", "3000001")
    );
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    assert_eq!(send(named(&device, &name).header("if-none-match", &tag)).await.status(), StatusCode::NOT_MODIFIED);
    let head = device.client.head(format!("{}/box/v1/update/{name}", device.boxes)).header("range", "bytes=5-");
    let head = send(head).await;
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "3000001"));

    let ask = |range: &str| send(named(&device, &name).header("range", range));
    for (range, given) in [
        ("bytes=0-", 0..3_000_001),
        ("bytes=1234567-", 1_234_567..3_000_001),
        ("bytes=262143-262145", 262_143..262_146),
        ("bytes=2999999-9999999", 2_999_999..3_000_001),
        ("bytes=-3", 2_999_998..3_000_001),
    ] {
        let part = ask(range).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let expected = format!("bytes {}-{}/3000001", given.start, given.end - 1);
        assert_eq!((header(&part, "content-range"), header(&part, "etag")), (&*expected, &*tag));
        assert_eq!(header(&part, "content-length"), given.len().to_string());
        assert_eq!(part.bytes().await.unwrap(), bytes[given], "{range}");
    }

    // A download that breaks off, and goes on.
    let mut first = send(named(&device, &name)).await;
    let mut got = Vec::new();
    while got.len() < 500_000 {
        got.extend(first.chunk().await.unwrap().unwrap());
    }
    drop(first);
    let rest = named(&device, &name).header("range", format!("bytes={}-", got.len())).header("if-range", &tag);
    let rest = send(rest).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    got.extend(rest.bytes().await.unwrap());
    assert_eq!(got, bytes);

    let behind = ask("bytes=3000001-").await;
    assert_eq!(
        (behind.status(), header(&behind, "content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */3000001")
    );
    for passed_over in ["bytes=0-1,5-6", "bytes=x-", "lines=0-1", "bytes=9-1"] {
        let whole = ask(passed_over).await;
        assert_eq!((whole.status(), header(&whole, "content-length")), (StatusCode::OK, "3000001"), "{passed_over}");
    }
    let other = named(&device, &name).header("range", "bytes=5-").header("if-range", "\"of something else\"");
    assert_eq!(send(other).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_what_a_row_names_is_served() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let bytes = archive(1, 5_000);
    put(&hub, 7, &bytes);
    let name = sha256(&bytes).to_string();
    let stray = "5".repeat(64);
    std::fs::write(hub.data("updates").join(&stray), b"no row names this").unwrap();
    for unknown in [
        &*stray,
        &"0".repeat(64),
        &name.to_ascii_uppercase(),
        &name[..63],
        &format!("{name}0"),
        &format!("{name}/"),
        &format!("{name}.part"),
        "",
        "%2e%2e%2fhub.sqlite",
        "..%2Faudit.key",
        "%2Fetc%2Fpasswd",
        &format!("..%2fupdates%2f{name}"),
        &format!("{name}%00"),
    ] {
        let answer = send(named(&device, unknown)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{unknown}");
        assert_eq!(header(&answer, "content-type"), "application/problem+json", "{unknown}");
    }
    // The row is there, its file is not.
    std::fs::remove_file(hub.data("updates").join(&name)).unwrap();
    assert_eq!(send(named(&device, &name)).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_what_was_signed_is_refused_and_leaves_nothing() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let (old, bytes) = (archive(1, 3_000_000), archive(2, 3_000_000));
    put(&hub, 7, &old);
    let right = update(8, &bytes);
    let with = |change: fn(&mut Update)| {
        let mut update = right.clone();
        change(&mut update);
        signed(&update)
    };
    let altered = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (what, json, archive) in [
        ("the first part altered", signed(&right), altered(0)),
        ("the last part altered", signed(&right), altered(2_999_999)),
        ("too short", signed(&right), bytes[..2_999_999].to_vec()),
        ("empty", signed(&right), Vec::new()),
        ("too long", signed(&right), [&*bytes, &[0]].concat()),
        ("another whole", with(|u| u.archive = sha256(b"")), bytes.clone()),
        ("another part", with(|u| u.verity.sha256 = sha256(b"")), bytes.clone()),
        ("parts cut elsewhere", with(|u| (u.root.length, u.verity.length) = (1_000_001, 499_999)), bytes.clone()),
        ("an equal serial", signed(&update(7, &bytes)), bytes.clone()),
        ("an older serial", signed(&update(6, &bytes)), bytes.clone()),
        ("no serial", signed(&update(0, &bytes)), bytes.clone()),
        ("another version", with(|u| u.version = 99), bytes.clone()),
        ("not JSON", b"%PDF-1.7".to_vec(), bytes.clone()),
        ("no update", b"{}".to_vec(), bytes.clone()),
        ("nothing", Vec::new(), bytes.clone()),
        ("no update inside", br#"{"update":"{}","signature":"any"}"#.to_vec(), bytes.clone()),
        ("too much text", [&*signed(&right), &[b' '; 40_000]].concat(), bytes.clone()),
    ] {
        assert_eq!(add(&hub, &json, &archive), (false, String::new()), "{what}");
        assert_eq!((there(&hub), hub.count("updates")), (names(&[&old]), 1), "{what}");
    }
    assert!(!hub.admin(&["add-update", "update.json", "none"], "").0);
    assert_eq!(send(newest(&device)).await.bytes().await.unwrap(), signed(&update(7, &old)));
    put(&hub, 8, &bytes);
}

#[tokio::test]
async fn what_a_crash_left_is_cleared_by_the_next_update_and_served_to_nobody() {
    let hub = Hub::start(&Setup::default());
    let device = hub.enrol("ward-1").await;
    let archives: Vec<_> = (0..3).map(|seed| archive(seed, 10_000)).collect();
    put(&hub, 7, &archives[0]);
    // Ended while it copied; and between the file and the row.
    std::fs::write(hub.data("updates").join(format!("{}.part", "a".repeat(32))), b"half").unwrap();
    let placed = |archive: &[u8]| std::fs::write(hub.data("updates").join(sha256(archive).as_str()), archive).unwrap();
    placed(&archives[1]);
    placed(&archives[2]);
    assert_eq!(send(named(&device, sha256(&archives[1]).as_str())).await.status(), StatusCode::NOT_FOUND);
    put(&hub, 8, &archives[1]);
    assert_eq!(there(&hub), names(&[&archives[0], &archives[1]]));
    let given = send(named(&device, sha256(&archives[1]).as_str())).await;
    assert_eq!(given.bytes().await.unwrap(), archives[1]);

    // The same archive signed again: one file, named by two rows, and kept while one of them is.
    put(&hub, 9, &archives[1]);
    assert_eq!(there(&hub), names(&[&archives[1]]));
    put(&hub, 10, &archives[2]);
    assert_eq!(there(&hub), names(&[&archives[1], &archives[2]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_at_the_same_time_take_nothing_from_each_other() {
    let hub = Hub::start(&Setup::default());
    std::thread::scope(|scope| {
        let commands: Vec<_> = (1..=6_u8)
            .map(|serial| {
                let bytes = archive(serial, 2_000_000);
                let paths = [format!("{serial}.json"), format!("{serial}.archive")];
                std::fs::write(hub.directory.path().join(&paths[0]), signed(&update(serial.into(), &bytes))).unwrap();
                std::fs::write(hub.directory.path().join(&paths[1]), &bytes).unwrap();
                let hub = &hub;
                scope.spawn(move || hub.admin(&["add-update", &paths[0], &paths[1]], "").0)
            })
            .collect();
        // Those that come after a greater serial are refused.
        let added = commands.into_iter().map(|command| command.join().unwrap());
        assert!(added.filter(|added| *added).count() >= 1);
    });
    let rows: BTreeSet<String> = {
        let database = hub.database();
        let mut statement = database.prepare("SELECT archive FROM updates").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(there(&hub), rows);
    for name in there(&hub) {
        assert_eq!(sha256(&std::fs::read(hub.data("updates").join(&name)).unwrap()).as_str(), name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_box_is_waited_for_and_one_that_takes_nothing_is_cut() {
    let hub = Hub::start(&Setup { ingest: "idle-seconds = 8", ..Setup::default() });
    let device = hub.enrol("ward-1").await;
    let bytes = archive(1, 20_000_000);
    put(&hub, 7, &bytes);
    let name = sha256(&bytes).to_string();

    // Slower than the longest silence in all, never silent for long.
    let mut slow = send(named(&device, &name)).await;
    let (mut got, mut paused) = (Vec::new(), 0);
    while let Some(chunk) = slow.chunk().await.unwrap() {
        got.extend(chunk);
        if got.len() / 4_000_000 > paused {
            paused += 1;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
    assert!(got == bytes && paused == 5);

    let mut stalled = send(named(&device, &name)).await;
    let mut got = stalled.chunk().await.unwrap().unwrap().to_vec();
    let before = sockets(&hub);
    let deadline = Instant::now() + Duration::from_secs(60);
    while sockets(&hub) + 1 != before {
        assert!(Instant::now() < deadline, "the connection is cut, not only the body broken off");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let broken = loop {
        match stalled.chunk().await {
            Ok(Some(chunk)) => got.extend(chunk),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && got.len() < bytes.len(), "{}", got.len());
    let rest = send(named(&device, &name).header("range", format!("bytes={}-", got.len()))).await;
    got.extend(rest.bytes().await.unwrap());
    assert_eq!(sha256(&got).as_str(), name);
}

#[tokio::test]
async fn reports_with_and_without_an_update_are_taken_and_shown() {
    let hub = Hub::start(&Setup::default());
    hub.add_user("ada", "researcher");
    let device = hub.enrol("ward-1").await;
    put(&hub, 8, &archive(1, 5_000));
    let report = |sequence: u64, update: serde_json::Value| {
        let mut report = serde_json::json!({
            "version": 1, "boot": "a".repeat(32), "sequence": sequence, "sent_ms": 1_000 * sequence,
            "software": "0.7.0",
            "verdict": {
                "word": "ok", "causes": ["update-running"],
                "leds": { "power": "updating", "scanner": "idle", "uplink": "connected", "attention": "none" },
            },
            "disk": { "free_bytes": 2, "total_bytes": 3, "reserve_bytes": 1 },
            "receiver": null, "deid": null, "uplink": null,
        });
        if !update.is_null() {
            report["update"] = update;
        }
        device.client.post(format!("{}/box/v1/health", device.boxes)).json(&report)
    };
    let ada = cookie(&log_in(&hub, &hub.client(), "ada", PASSWORD).await);
    let page = || async { get(&hub, "/", &ada).await.text().await.unwrap() };

    assert_eq!(send(report(1, serde_json::Value::Null)).await.status(), StatusCode::NO_CONTENT);
    assert!(page().await.contains("update 8 is offered"));
    let installing = serde_json::json!({ "serial": 7, "state": "installing", "refusal": "expired", "changed_ms": 5 });
    assert_eq!(send(report(2, installing)).await.status(), StatusCode::NO_CONTENT);
    let text = page().await;
    for words in [
        "a system update is being installed",
        "update 7: being installed",
        "refused: its last day has passed",
        "1970-01-01 00:00:00 UTC",
        "update 8 is offered",
        "0.7.0",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let confirmed = serde_json::json!({ "serial": 8, "state": "confirmed", "refusal": null, "changed_ms": 6 });
    assert_eq!(send(report(3, confirmed)).await.status(), StatusCode::NO_CONTENT);
    let text = page().await;
    assert!(text.contains("update 8: confirmed") && !text.contains("is offered"), "{text}");
    let free_text = serde_json::json!({ "serial": 8, "state": "<b>mine</b>", "refusal": null, "changed_ms": 6 });
    assert_eq!(send(report(4, free_text)).await.status(), StatusCode::BAD_REQUEST);
}
