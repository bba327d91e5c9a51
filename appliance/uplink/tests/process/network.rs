//! A hostile network between box and hub: resets at random bytes, a black hole in mid-body, bytes in dribs and drabs.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gift_status::{EnrolmentState, HubLink, UploadFailure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{hub::TestHub, rig::Rig};

/// What the relay does to a connection.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// RST in both directions after so many bytes towards the hub.
    ResetAfter(u64),
    /// Nothing more passes after so many bytes towards the hub; the connection stays.
    SwallowAfter(u64),
    /// Every piece is at most so many bytes long, with a pause after each.
    Slice(usize, Duration),
    /// None.
    Sound,
}

/// A relay to `hub`; `next` decides the harm of each connection. Returns its address and the count of connections.
async fn relay(hub: SocketAddr, mut next: impl FnMut(u64) -> Harm + Send + 'static) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let harm = next(count.fetch_add(1, Ordering::Relaxed));
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(hub).await else { return };
                pass(near, far, harm).await;
            });
        }
    });
    (address, connections)
}

async fn pass(mut near: TcpStream, mut far: TcpStream, harm: Harm) {
    for stream in [&near, &far] {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut passed = 0;
    loop {
        tokio::select! {
            read = near.read(&mut up) => {
                let Ok(n @ 1..) = read else { return };
                passed += n as u64;
                match harm {
                    Harm::ResetAfter(limit) if passed > limit => return,
                    Harm::SwallowAfter(limit) if passed > limit => return std::future::pending().await,
                    Harm::Slice(size, pause) => {
                        for piece in up[..n].chunks(size) {
                            if far.write_all(piece).await.is_err() {
                                return;
                            }
                            tokio::time::sleep(pause).await;
                        }
                    }
                    _ => {
                        if far.write_all(&up[..n]).await.is_err() {
                            return;
                        }
                    }
                }
            }
            read = far.read(&mut down) => {
                let Ok(n @ 1..) = read else { return };
                if near.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A box whose hub is behind `at`.
fn rig_at(hub: &TestHub, at: SocketAddr, extra: &str) -> Rig {
    Rig::at_port(hub, at.port(), &format!("hub-address = \"{}\"\n{extra}", at.ip()))
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_at_random_bytes_lose_nothing() {
    let hub = TestHub::sound().await;
    let (address, connections) = relay(hub.address, |n| match n {
        0..40 => Harm::ResetAfter(u64::from(getrandom::u32().unwrap()) % 600_000),
        _ => Harm::Sound,
    })
    .await;
    let mut rig = rig_at(&hub, address, "");
    let mut posted: Vec<String> = (0..60).map(|_| rig.post(150_000)).collect();
    rig.start();
    rig.until_drained(&hub, 60).await;
    posted.sort();
    assert_eq!(hub.state().stored.keys().cloned().collect::<Vec<_>>(), posted);
    let broken = connections.load(Ordering::Relaxed);
    println!("connections until all was through: {broken}");
    assert!(broken > 5, "the relay must have done harm");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_in_mid_body_is_given_up() {
    let hub = TestHub::sound().await;
    // The first connection enrols; the client may open as many as it has uploads before it knows that one will do.
    let harm = |n| if (1..=4).contains(&n) { Harm::SwallowAfter(200_000) } else { Harm::Sound };
    let (address, _) = relay(hub.address, harm).await;
    let mut rig = rig_at(&hub, address, "[timeouts]\nstall-ms = 2000\nanswer-ms = 2000\nunacknowledged-ms = 2000");
    (0..6).for_each(|_| drop(rig.post(3_000_000)));
    rig.start();
    let start = Instant::now();
    rig.until_drained(&hub, 6).await;
    assert!(
        start.elapsed() < Duration::from_secs(50),
        "the limits of the settings, not those of default: {:?}",
        start.elapsed()
    );
    assert!(rig.status().failures_total[&UploadFailure::Unreachable] >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_dribs_and_drabs_is_only_slow() {
    let hub = TestHub::sound().await;
    let (address, _) = relay(hub.address, |_| Harm::Slice(40, Duration::from_micros(50))).await;
    let mut rig = rig_at(&hub, address, "");
    (0..3).for_each(|_| drop(rig.post(20_000)));
    rig.start();
    rig.until_drained(&hub, 3).await;
    rig.until("the count", |rig| rig.status().uploaded_total == 3).await;
    assert!(rig.status().failures_total.is_empty(), "{:?}", rig.status().failures_total);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_drains_at_speed_and_does_not_starve_what_is_new() {
    const BACKLOG: usize = 1_500;
    let mut hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    hub.down().await;
    (0..BACKLOG).for_each(|_| drop(rig.post(2_000)));
    rig.until("a full queue", |rig| rig.status().queue_objects == BACKLOG as u64).await;
    let start = Instant::now();
    hub.up().await;
    rig.until("the start of the drain", |_| hub.state().stored.len() > 20).await;
    let fresh: Vec<String> = (0..5).map(|_| rig.post(2_000)).collect();
    rig.until("the fresh ones", |_| fresh.iter().all(|object| hub.state().stored.contains_key(object))).await;
    let waiting = BACKLOG + 5 - hub.state().stored.len();
    rig.until_drained(&hub, BACKLOG + 5).await;
    let rate = BACKLOG as f64 / start.elapsed().as_secs_f64();
    println!("backlog drained at {rate:.0} objects/s; {waiting} were waiting when the fresh ones were through");
    assert!(waiting > BACKLOG / 4, "the fresh ones must not wait for the backlog: {waiting}");
    rig.until("the status", |rig| rig.status().hub == HubLink::Connected && rig.status().queue_objects == 0).await;
}
