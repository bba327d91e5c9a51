//! SIGTERM and SIGINT as a descriptor that the loop waits on.

use std::{os::fd::AsFd as _, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

/// The wish to stop.
#[derive(Debug)]
pub(crate) struct Stop {
    signals: SignalFd,
}

impl Stop {
    /// Takes the signals over. Call before any thread starts.
    ///
    /// # Errors
    /// The system call's.
    pub(crate) fn new() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        Ok(Self { signals: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)? })
    }

    /// Waits for `timeout`; true when the process was asked to stop.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, timeout), Ok(1..)) && matches!(self.signals.read_signal(), Ok(Some(_)))
    }
}
