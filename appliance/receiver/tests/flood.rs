//! Many connections that never become associations, and slow ones.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use support::{CT, HERE, Receiver, THERE, Wanted, peer, until};

fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

#[test]
fn two_thousand_half_open_connections_stop_nobody() {
    raise_descriptor_limit();
    let receiver = Receiver::start();
    let mut flood = Vec::new();
    let mut slowest = Duration::ZERO;
    for n in 0..2000u32 {
        let mut stream = receiver.connect_from(HERE);
        if n % 2 == 0 {
            stream.write_all(&[1, 0, 0, 0, 1, 0]).unwrap();
        }
        flood.push(stream);
        if n % 250 == 249 {
            // From another address, and from the flooder's own.
            for from in [THERE, HERE] {
                let begun = Instant::now();
                let mut scu = receiver.associate_from(from);
                let instance = format!("1.2.3.{n}");
                assert_eq!(scu.store(1, &instance, &peer::data_set(CT, &instance, 10_000)), 0);
                scu.release();
                slowest = slowest.max(begun.elapsed());
            }
        }
    }
    println!("slowest association with one instance during the flood: {slowest:?}");
    assert_eq!(receiver.taken(16).len(), 16);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(receiver.peak_rss_kib() < 64 * 1024, "{} KiB", receiver.peak_rss_kib());
}

#[test]
fn silent_and_dripping_connections_are_closed_when_artim_runs_out() {
    let receiver = Receiver::start_with(&Wanted { tables: "[timeouts]\nartim-seconds = 2\n", ..Wanted::default() });
    let (mut silent, mut dripping) = (receiver.connect_from(HERE), receiver.connect_from(HERE));
    let begun = Instant::now();
    let request = peer::associate("GIFTCLOUD", "DRIP", support::CONTEXTS, 0);
    for byte in &request {
        if dripping.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "a drip must not hold the connection");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn an_association_that_stalls_is_aborted_and_its_instance_erased() {
    let tables = "[timeouts]\ntransfer-seconds = 8\nidle-seconds = 8\n";
    let receiver = Receiver::start_with(&Wanted { tables, ..Wanted::default() });
    let mut scu = receiver.associate();
    let data = peer::data_set(CT, "1.2.3.4", 300_000);
    let bytes = peer::store(3, 1, CT, "1.2.3.4", &data, 16_000);
    scu.send(&bytes[..200_000]);
    until("the instance is staged", Duration::from_secs(5), || receiver.staged().len() == 1);
    assert_eq!(scu.read_pdu().unwrap()[0], 7, "A-ABORT");
    until("the instance is erased", Duration::from_secs(5), || receiver.staged().is_empty());
    let mut idle = receiver.associate();
    assert_eq!(idle.read_pdu().unwrap()[0], 7, "A-ABORT");
}

#[test]
fn running_out_of_descriptors_passes() {
    let receiver = Receiver::start_with(&Wanted {
        tables: "[limits]\nmax-half-open = 4000\nhalf-open-per-address = 4000\n",
        ..Wanted::default()
    });
    raise_descriptor_limit();
    // Leaves the receiver room for its own descriptors and a few connections.
    let limit = nix::libc::rlimit { rlim_cur: 40, rlim_max: 40 };
    let text = format!("--pid={}", receiver.pid());
    let nofile = format!("--nofile={}:{}", limit.rlim_cur, limit.rlim_max);
    if !support::have("prlimit") {
        return;
    }
    support::run("prlimit", &[&text, &nofile]);
    let flood: Vec<_> = (0..100).map(|_| receiver.connect_from(HERE)).collect();
    until("accept fails", Duration::from_secs(10), || receiver.log().contains("accept failed"));
    drop(flood);
    let mut scu = receiver.associate();
    assert_eq!(scu.store(1, "1.2.3.4", &peer::data_set(CT, "1.2.3.4", 10)), 0);
    scu.release();
}
