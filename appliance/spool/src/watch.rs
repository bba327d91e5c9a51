//! inotify, as a hint that something arrived. A scan is the truth: a lost or spurious hint costs time, never an item.

use std::{os::fd::AsFd as _, path::Path, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

/// A watch on one directory.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Inotify,
}

impl Watch {
    pub(crate) fn new(directory: &Path) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // Items only ever arrive by rename.
        inotify.add_watch(directory, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR)?;
        Ok(Self { inotify })
    }

    /// Returns at the first hint or when `timeout` has passed. Hints that gathered since the last call count.
    pub(crate) fn wait(&self, timeout: Duration) {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        if matches!(poll(&mut fds, timeout), Ok(1..)) {
            // Drained before the caller's scan, so an arrival after the scan hints anew.
            while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}
