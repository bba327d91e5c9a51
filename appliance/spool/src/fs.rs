//! The file system as the drop directory sees it: few operations, each one a point where power may fail.
//!
//! The real one is [`OsFs`]; tests put a simulated page cache in its place and crash after every operation.

use std::{ffi::OsStr, fmt::Debug, io, path::Path};

pub use crate::os_fs::OsFs;

/// What the spool asks of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What stands under the name.
    pub kind: Kind,
    /// Hard links.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Length, bytes.
    pub len: u64,
    /// Last change of the inode (a rename counts; the writer cannot set it), ns since the Unix epoch.
    pub changed_ns: u64,
}

/// Kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// Link, FIFO, socket or device.
    Other,
}

/// Operations on one file system. Names are single components; every operation is atomic against the others.
///
/// What survives a crash: written bytes after [`Fs::sync_data`] on that handle; directory operations after
/// [`Fs::sync_dir`] on a directory that they touch. Nothing else is assumed, not even order.
pub trait Fs: Debug + Send + Sync + 'static {
    /// An open file.
    type File: Debug + Send + Sync;
    /// An open directory.
    type Dir: Debug + Send + Sync;

    /// Opens a directory that the process owns: it can be listed and synced.
    ///
    /// # Errors
    /// The system's, as for every operation here.
    fn own_dir(&self, path: &Path) -> io::Result<Self::Dir>;
    /// Opens a directory into which the process may only drop (mode `-wx`).
    ///
    /// # Errors
    /// As above.
    fn drop_dir(&self, path: &Path) -> io::Result<Self::Dir>;
    /// Claims the directory for this process until it ends.
    ///
    /// # Errors
    /// `WouldBlock` when another one holds it.
    fn lock(&self, dir: &Self::Dir) -> io::Result<()>;
    /// Calls `each` with every name in the directory, in no order.
    ///
    /// # Errors
    /// As above.
    fn list(&self, dir: &Self::Dir, each: &mut dyn FnMut(&OsStr)) -> io::Result<()>;
    /// Makes a new file, mode 0640; fails when the name exists.
    ///
    /// # Errors
    /// As above.
    fn create(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File>;
    /// Opens for reading, follows no link and waits for no peer.
    ///
    /// # Errors
    /// `ELOOP` for a link, `ENXIO` for a socket.
    fn open(&self, dir: &Self::Dir, name: &str) -> io::Result<Self::File>;
    /// Appends some of `bytes`; returns how many.
    ///
    /// # Errors
    /// As above.
    fn write(&self, file: &Self::File, bytes: &[u8]) -> io::Result<usize>;
    /// Reads on into `into`; 0 at the end.
    ///
    /// # Errors
    /// As above.
    fn read(&self, file: &Self::File, into: &mut [u8]) -> io::Result<usize>;
    /// Makes the file's bytes durable. Never called twice on one handle.
    ///
    /// # Errors
    /// After one, nothing is known about the bytes.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// What an open file is.
    ///
    /// # Errors
    /// As above.
    fn stat(&self, file: &Self::File) -> io::Result<Stat>;
    /// What stands under a name, without following it.
    ///
    /// # Errors
    /// As above.
    fn stat_at(&self, dir: &Self::Dir, name: &str) -> io::Result<Stat>;
    /// Renames, also between directories of one mount.
    ///
    /// # Errors
    /// `EXDEV` between mounts.
    fn rename(&self, from: &Self::Dir, old: &str, to: &Self::Dir, new: &str) -> io::Result<()>;
    /// Removes a name.
    ///
    /// # Errors
    /// As above.
    fn unlink(&self, dir: &Self::Dir, name: &str) -> io::Result<()>;
    /// Makes the directory's entries durable.
    ///
    /// # Errors
    /// After one, nothing is known about the entries.
    fn sync_dir(&self, dir: &Self::Dir) -> io::Result<()>;
    /// Bytes that an unprivileged process can still write; 0 when no inode is left.
    ///
    /// # Errors
    /// As above.
    fn free_bytes(&self, dir: &Self::Dir) -> io::Result<u64>;
}
