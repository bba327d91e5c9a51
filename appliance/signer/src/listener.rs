//! The socket: one connection at a time, of one user, with one request, and no longer than its patience.

use std::{
    fs,
    io::{
        self,
        ErrorKind::{ConnectionAborted, Interrupted, WouldBlock},
    },
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use gift_service::Supervisor;
use gift_signer::{Answer, Failure, Patient, ReadError, Request};
use listenfd::ListenFd;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};

use crate::{events, keeper::Keeper};

/// How long a client may take to send its request, and to take its answer. Uplink sends both at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the socket may be silent until the watchdog is told that all is well, ms.
const IDLE_MS: u16 = 2_000;

/// The socket the service manager passed, else one bound to `path`.
///
/// # Errors
/// Neither, or what was passed is no listening UNIX socket.
pub(crate) fn socket(path: Option<&Path>) -> anyhow::Result<UnixListener> {
    if let Some(passed) = ListenFd::from_env().take_unix_listener(0)? {
        return Ok(passed);
    }
    let path = path.context("none was passed and --socket names none")?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(UnixListener::bind(path)?),
    }
}

/// The uid that `user` (a name or a number) has.
///
/// # Errors
/// No such user.
pub(crate) fn uid(user: &str) -> anyhow::Result<u32> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let found = nix::unistd::User::from_name(user).context("cannot look the client up")?;
    Ok(found.with_context(|| format!("no such user: {user}"))?.uid.as_raw())
}

/// Serves for as long as the process lives.
///
/// # Errors
/// The socket's.
pub(crate) fn serve(
    listener: &UnixListener,
    client: u32,
    mut keeper: Keeper,
    mut supervisor: Supervisor,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    events::started();
    supervisor.ready();
    loop {
        supervisor.progress();
        match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::from(IDLE_MS)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        match listener.accept() {
            Ok((stream, _)) => attend(&stream, client, &mut keeper),
            // Who connected may be gone again.
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted) => {}
            Err(error) => return Err(error),
        }
    }
}

fn attend(stream: &UnixStream, client: u32, keeper: &mut Keeper) {
    match getsockopt(stream, PeerCredentials).map(|peer| peer.uid()) {
        Ok(uid) if uid == client => {}
        Ok(uid) => return events::stranger(uid),
        Err(_) => return events::no_request(),
    }
    let answer = match Request::read(&mut Patient::new(stream, PATIENCE)) {
        Ok(request) => keeper.answer(request),
        Err(ReadError::Form) => {
            events::no_request();
            Answer::Failed(Failure::Request)
        }
        Err(ReadError::Io(_)) => return events::no_request(),
    };
    if answer.write(&mut Patient::new(stream, PATIENCE)).is_err() {
        events::not_taken();
    }
}
