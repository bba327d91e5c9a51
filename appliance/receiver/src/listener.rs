//! The accept loop: takes connections, publishes the status record, feeds the watchdog, and ends in an orderly way.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use gift_service::{StatusFile, Supervisor};
use gift_status::{RejectReason, RunState};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    association,
    error::Fatal,
    events::Event,
    intake::{Intake, Phase},
};

/// Status record, watchdog and late posts.
const TICK: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of descriptors or memory), so that others can give theirs back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections the kernel holds for us while we are busy.
const BACKLOG: u32 = 1024;
/// A dead peer is noticed after idle + interval × probes = 90 s, whatever the idle timeout.
const KEEPALIVE_IDLE_SECONDS: u32 = 45;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 15;
const KEEPALIVE_PROBES: u32 = 3;
/// Longest wait for any one call to the disk before the watchdog is left to bark: the last fdatasync of a large object may
/// have to write all that the kernel lets become dirty (20 % of memory), on a slow disk some 20 s.
const DISK_PATIENCE: Duration = Duration::from_secs(60);
/// After a failed store: time for the answers that are still due.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// After A-ABORT has been sent to what is left.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// The socket the service manager passed, else one bound to `listen`; true for the former.
///
/// # Errors
/// What was passed is no listening TCP socket, or `listen` cannot be bound.
pub(crate) fn socket(listen: SocketAddr) -> std::io::Result<(TcpListener, bool)> {
    if let Some(fd) = systemd::daemon::listen_fds()?.iter().next() {
        let passed = systemd::daemon::tcp_listener(fd)?;
        passed.set_nonblocking(true)?;
        return Ok((TcpListener::from_std(passed)?, true));
    }
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    Ok((socket.listen(BACKLOG)?, false))
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// [`Fatal::Store`] when the store has failed: the process must start anew.
pub(crate) async fn run(
    listener: TcpListener,
    activated: bool,
    intake: Arc<Intake>,
    mut supervisor: Supervisor,
) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut desk = Desk::new(Arc::clone(&intake));
    let mut connections = JoinSet::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    supervisor.ready();
    intake.ledger.record(Event::Listening { activated, port: listener.local_addr()?.port() });
    desk.publish(RunState::Ready);
    let failed = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => welcome(stream, peer, &intake, &mut connections),
                Err(error) => {
                    desk.accept_failed(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = tick.tick() => {
                desk.publish(RunState::Ready);
                desk.watch(&mut supervisor);
                intake.post_late();
            }
            () = intake.failure.notified() => break true,
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
        }
    };
    drop(listener);
    supervisor.stopping();
    if failed {
        desk.publish(RunState::Degraded);
        intake.phase.send_replace(Phase::Finishing);
        let _ = timeout(LAST_WORDS, drain(&mut connections)).await;
        return Err(Fatal::Store.into());
    }
    intake.ledger.record(Event::Stopping { associations: intake.admission.associations() });
    intake.phase.send_replace(Phase::Finishing);
    let deadline = tokio::time::Instant::now() + intake.settings.timeouts.shutdown();
    loop {
        tokio::select! {
            () = drain(&mut connections) => break,
            () = tokio::time::sleep_until(deadline) => {
                intake.phase.send_replace(Phase::Aborting);
                let _ = timeout(ABORT_GRACE, drain(&mut connections)).await;
                break;
            }
            () = intake.failure.notified() => return Err(Fatal::Store.into()),
            _ = tick.tick() => desk.publish(RunState::Stopping),
        }
    }
    desk.publish(RunState::Stopping);
    Ok(())
}

async fn drain(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

fn welcome(stream: TcpStream, peer: SocketAddr, intake: &Arc<Intake>, connections: &mut JoinSet<()>) {
    let Some(half_open) = intake.admission.arrive(peer.ip(), Instant::now()) else {
        intake.ledger.record(Event::NotAssociated { reason: RejectReason::NotAllowed });
        return;
    };
    // A socket that refuses an option still works; its peer's death is then noticed by the timers alone.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECONDS);
    let _ = setsockopt(&stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECONDS);
    let _ = setsockopt(&stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES);
    connections.spawn(association::serve(stream, peer.ip(), half_open, Arc::clone(intake)));
}

/// What is told about the process, once a tick.
struct Desk {
    intake: Arc<Intake>,
    status: StatusFile,
    publish_failed: bool,
    accept_failed: Option<Instant>,
    pulse: u64,
    moved: Instant,
}

impl Desk {
    fn new(intake: Arc<Intake>) -> Self {
        let status = StatusFile::new(&intake.settings.status_directory);
        Self { intake, status, publish_failed: false, accept_failed: None, pulse: 0, moved: Instant::now() }
    }

    fn publish(&mut self, state: RunState) {
        let body = self.intake.ledger.snapshot(self.intake.admission.associations(), !self.intake.has_room());
        let outcome = self.status.publish(state, body);
        if let (Err(error), false) = (&outcome, self.publish_failed) {
            self.intake.ledger.record(Event::PublishFailed { errno: error.raw_os_error().unwrap_or(0) });
        }
        self.publish_failed = outcome.is_err();
    }

    /// Beats the watchdog while the pipeline moves or is idle: a disk that lets every call hang is a reason to be restarted.
    /// What scanners send does not count, else a flood would hide it.
    fn watch(&mut self, supervisor: &mut Supervisor) {
        let pulse = self.intake.ledger.pulse();
        if pulse != self.pulse || self.intake.at_disk() == 0 {
            (self.pulse, self.moved) = (pulse, Instant::now());
        }
        if self.moved.elapsed() < DISK_PATIENCE {
            supervisor.progress();
        }
    }

    /// One line a tick at most: a flood must not become a flood of log lines.
    fn accept_failed(&mut self, error: &std::io::Error) {
        if self.accept_failed.is_none_or(|at| at.elapsed() >= TICK) {
            self.accept_failed = Some(Instant::now());
            self.intake.ledger.record(Event::AcceptFailed { errno: error.raw_os_error().unwrap_or(0) });
        }
    }
}
