//! Crash, restart, orderly end, socket activation, a store that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, net::IpAddr, process::Command, time::Duration};

use gift_status::RunState;
use support::{CT, Receiver, Wanted, peer, until};

#[test]
fn killed_in_mid_stream_it_keeps_what_it_acknowledged_and_nothing_else() {
    let mut receiver = Receiver::start();
    let mut scu = receiver.associate();
    let kept = peer::data_set(CT, "1.2.3.1", 50_000);
    assert_eq!(scu.store(1, "1.2.3.1", &kept), 0);
    let cut = peer::store(3, 2, CT, "1.2.3.2", &peer::data_set(CT, "1.2.3.2", 900_000), 16_000);
    scu.send(&cut[..600_000]);
    until("the second is on its way", Duration::from_secs(5), || {
        receiver.staged().iter().any(|name| name.ends_with(".part"))
    });
    receiver.kill();
    assert!(receiver.staged().iter().any(|name| name.ends_with(".part")), "killed while it was being written");
    receiver.restart();
    assert_eq!(receiver.staged(), Vec::<String>::new());
    let taken = receiver.taken(1);
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].0.sop_instance_uid.as_str(), &taken[0].1), ("1.2.3.1", &kept));
    receiver.associate().release();
}

#[test]
fn on_sigterm_the_running_association_finishes_and_no_new_one_begins() {
    let mut receiver =
        Receiver::start_with(&Wanted { tables: "[timeouts]\nshutdown-seconds = 15\n", ..Wanted::default() });
    let (mut running, mut forgotten) = (receiver.associate(), receiver.associate());
    let half_open = receiver.connect_from(support::HERE);
    let bytes = peer::store(3, 1, CT, "1.2.3.1", &peer::data_set(CT, "1.2.3.1", 100_000), 16_000);
    running.send(&bytes[..50_000]);
    let finisher = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        running.send(&bytes[50_000..]);
        let status = running.response();
        running.release();
        status
    });
    let ended = receiver.terminate();
    assert!(ended.success(), "{ended}");
    assert_eq!(finisher.join().unwrap(), (1, 0));
    assert_eq!(forgotten.read_pdu().unwrap()[0], 7, "an association that goes on for ever is aborted in the end");
    drop(half_open);
    assert_eq!(receiver.taken(1).len(), 1);
    assert_eq!(receiver.try_status().unwrap().state, RunState::Stopping);
}

#[test]
fn a_failed_store_is_answered_a700_and_ends_the_process() {
    let mut receiver = Receiver::start();
    let mut scu = receiver.associate();
    assert_eq!(scu.store(1, "1.2.3.1", &peer::data_set(CT, "1.2.3.1", 10)), 0);
    // From here on, creating a file fails with ENOENT: like any error of the store that is no want of room.
    until("the first is posted", Duration::from_secs(5), || receiver.staged().is_empty());
    fs::remove_dir(receiver.path("staging")).unwrap();
    assert_eq!(scu.store(2, "1.2.3.2", &peer::data_set(CT, "1.2.3.2", 900_000)), 0xA700);
    let ended = receiver.wait_exit();
    assert!(!ended.success(), "the service manager must see a failure");
    assert_eq!(receiver.try_status().unwrap().state, RunState::Degraded);
    fs::create_dir(receiver.path("staging")).unwrap();
    receiver.restart();
    assert_eq!(receiver.associate().store(3, "1.2.3.2", &peer::data_set(CT, "1.2.3.2", 900_000)), 0);
    assert_eq!(receiver.taken(2).len(), 2);
}

#[test]
fn settings_are_refused_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("receiver.toml");
    fs::write(&path, "listen = \"0.0.0.0:1\"\nlisten-on = 1\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gift-receiver")).arg("--config").arg(&path).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("receiver.toml:2:1"), "{text}");
}

#[test]
fn a_socket_that_is_passed_is_used() {
    if !support::have("systemd-socket-activate") {
        return;
    }
    // The usual receiver only provides directories and settings here.
    let mut receiver = Receiver::start();
    receiver.kill();
    fs::remove_file(receiver.path("status/status.json")).unwrap();
    // An address that no other test listens at, nor any connection starts from: the port is still free a moment later.
    let address = IpAddr::from([127, 77, 0, 1]);
    let port = std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
    let mut activated = Command::new("systemd-socket-activate")
        .args(["-l", &format!("{address}:{port}"), env!("CARGO_BIN_EXE_gift-receiver"), "--config"])
        .arg(receiver.path("receiver.toml"))
        .stderr(fs::File::create(receiver.path("log")).unwrap())
        .spawn()
        .unwrap();
    until("the socket is there", Duration::from_secs(10), || std::net::TcpStream::connect((address, port)).is_ok());
    (receiver.address, receiver.port) = (address, port);
    receiver.associate().release();
    assert!(receiver.log().contains("activated=true"));
    activated.kill().unwrap();
    activated.wait().unwrap();
}
