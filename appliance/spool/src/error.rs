//! Errors of the drop directory, sorted by what the caller does.

use std::io;

use nix::errno::Errno;

/// Errors, sorted by what the caller does.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The store failed (write, fsync, rename): refuse the instance, restart the process, never retry the fsync.
    #[error("spool store failed: {0}")]
    Store(#[source] io::Error),
    /// No room (disk, quota, inodes, open files): refuse the instance, go on.
    #[error("no room in the spool")]
    Full,
    /// The item's record is damaged, torn or not what it should be: set it aside.
    #[error("damaged spool item")]
    Damaged,
    /// The item is gone (taken by an earlier run).
    #[error("no such spool item")]
    Gone,
}

impl From<io::Error> for SpoolError {
    /// Sorts an error of a write-side operation (also the `io::Error` that `Staged`'s `write` returned).
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Store(error) }
    }
}

/// True when the operation failed for want of a resource that comes back without a restart.
pub(crate) fn is_full(error: &io::Error) -> bool {
    let full = [Errno::ENOSPC, Errno::EDQUOT, Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM];
    errno(error).is_some_and(|e| full.contains(&e))
}

/// The system's error number, when there is one.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// The same error once more, for all who wait for one outcome.
pub(crate) fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
