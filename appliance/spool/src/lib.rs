//! The drop directory: how one process hands items to another that it does not trust, across a crash at any instant.
//!
//! SKELETON of the public interface; bodies to come.

use std::{fs::File, io, path::Path};

/// Identifier of an item: 128 random bits as 32 lower-case hexadecimal digits; also its file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(String);

impl ItemId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Record metadata of an item in `intake/inbox/` (JSON): what deid needs besides the data set's own bytes. The body is the
/// data set exactly as received, without preamble or file meta information.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IntakeRecord {
    /// 1.
    pub version: u16,
    /// Called AE title, trimmed.
    pub called_ae: String,
    /// Calling AE title, trimmed.
    pub calling_ae: String,
    /// Peer address.
    pub source: std::net::IpAddr,
    /// Ordinal of the configured scanner; 0 = not configured by name.
    pub scanner: u16,
    /// Affected SOP Class UID of the C-STORE command.
    pub sop_class_uid: String,
    /// Affected SOP Instance UID of the C-STORE command.
    pub sop_instance_uid: String,
    /// Transfer syntax of the presentation context.
    pub transfer_syntax_uid: String,
    /// When, ms since the Unix epoch.
    pub received_ms: u64,
}

/// Writer's side.
#[derive(Debug)]
pub struct Depositor {}

/// An item being written.
#[derive(Debug)]
pub struct Staged {}

/// An item that is durable in the writer's own house and not yet posted.
#[derive(Debug)]
pub struct Committed {}

/// Errors, sorted by what the caller does.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The store failed (write, fsync, rename): refuse the instance, restart the process, never retry the fsync.
    #[error("spool store failed: {0}")]
    Store(#[source] io::Error),
    /// No room.
    #[error("no room in the spool")]
    Full,
    /// The item's record is damaged, torn or not what it should be: set it aside.
    #[error("damaged spool item")]
    Damaged,
    /// The item is gone (taken by an earlier run).
    #[error("no such spool item")]
    Gone,
}

impl Depositor {
    /// Opens `staging` (own) and `inbox` (the reader's); posts whatever is still staged, removes `*.part`.
    pub fn open(_staging: &Path, _inbox: &Path) -> Result<Self, SpoolError> {
        unimplemented!()
    }
    /// Begins an item whose record metadata is `meta` (opaque bytes, ≤ 64 KiB).
    pub fn stage(&self, _meta: &[u8]) -> Result<Staged, SpoolError> {
        unimplemented!()
    }
    /// Commits (group commit across threads): on return the item survives power loss. Blocking.
    pub fn commit(&self, _staged: Staged) -> Result<Committed, SpoolError> {
        unimplemented!()
    }
    /// Makes a committed item visible to the reader.
    pub fn post(&self, _committed: Committed) -> Result<ItemId, SpoolError> {
        unimplemented!()
    }
    /// Bytes that can be accepted before the reserve is touched (statvfs).
    pub fn room(&self, _reserve_bytes: u64) -> io::Result<u64> {
        unimplemented!()
    }
}

impl io::Write for Staged {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        unimplemented!()
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reader's side.
#[derive(Debug)]
pub struct Collector {}

/// What was copied out of an item.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Which.
    pub id: ItemId,
    /// The record metadata.
    pub meta: Vec<u8>,
    /// Length of the body, bytes.
    pub body_len: u64,
    /// When it was posted, ms since the Unix epoch (file time: a hint, not a truth).
    pub posted_ms: u64,
}

impl Collector {
    /// Opens the inbox this process owns; items must belong to one of `writers` (uids). Damaged items go to `set_aside`.
    pub fn open(_inbox: &Path, _set_aside: &Path, _writers: &[u32]) -> Result<Self, SpoolError> {
        unimplemented!()
    }
    /// Items that stand in the inbox, oldest first.
    pub fn scan(&self) -> Result<Vec<ItemId>, SpoolError> {
        unimplemented!()
    }
    /// Copies the body of an item into `into` (the reader's own file), checking length and checksum on the way.
    pub fn take(&self, _id: &ItemId, _into: &mut File) -> Result<Taken, SpoolError> {
        unimplemented!()
    }
    /// Erases the original, once its result is durable on the next side.
    pub fn finish(&self, _id: &ItemId) -> Result<(), SpoolError> {
        unimplemented!()
    }
    /// Moves a damaged item aside, for counting and diagnosis.
    pub fn set_aside(&self, _id: &ItemId) -> Result<(), SpoolError> {
        unimplemented!()
    }
    /// Blocks until something may have arrived (inotify hint) or `timeout` passes.
    pub fn wait(&self, _timeout: std::time::Duration) {
        unimplemented!()
    }
}
