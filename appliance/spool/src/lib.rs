//! The drop directory: how one process hands items to another that it does not trust, across a crash at any instant.
//!
//! # Design constraints
//!
//! - What [`Depositor::commit`] returned is never lost, whatever fails next: the process, the kernel, the power.
//! - A torn item is never taken; an item is visible in exactly one place.
//! - Writer and reader have different uids and do not trust each other's bytes, names or timing.
//! - No part of a data set is ever a name. Nothing here knows what a body means.
//! - Assumed: a POSIX file system whose rename is atomic and whose fsync tells the truth (ext4 `data=ordered` with
//!   barriers, a disk that honours flushes); staging and inbox on one mount. No order between un-synced operations is.
//!
//! # High-level design
//!
//! ```text
//!  writer                                                   reader
//!  stage ──► staging/<id>.part                              scan ─► take (own copy, checked) ─► …result durable… ─► finish
//!  commit ─► fdatasync, rename, fsync ─► staging/<id>          └──────────── damaged ─► set_aside
//!  post ───► rename ───────────────────────────────────────► inbox/<id>
//! ```
//!
//! `staging/` belongs to the writer (2700); `inbox/` to the reader (2730): the writer may drop into it, and neither list
//! nor read it. Commits of parallel threads share one directory fsync ([`GroupCommit`]). The reader copies an item before
//! anything parses it, because a writer that kept its descriptor can still change the original; it opens without following
//! links, wants a regular file with one name, of an expected owner and size, and never maps it.
//!
//! # On-disk format
//!
//! ```text
//!  "GIFTitm1" │ u32 length of meta │ meta │ body │ u64 length of body │ u32 CRC-32C of all before │ "1mtiTFIG"
//! ```
//!
//! Integers are little-endian; meta is at most 64 KiB. The length of the body follows it, so that a body of unknown length
//! can be written in one pass.
//!
//! # Failure
//!
//! Want of room ([`SpoolError::Full`]) refuses one item and passes by itself. A failed write, fsync or rename
//! ([`SpoolError::Store`]) poisons the depositor: after a failed fsync the kernel forgets which pages it lost, so the same
//! handle is never synced again; the process is expected to end, and the next start looks at what is really there.
//!
//! # Recovery
//!
//! [`Depositor::open`] erases `*.part` (never acknowledged), verifies every `staging/<id>` from its bytes and posts it;
//! one that fails goes to `<id>.torn` and is counted. An item may so be posted although its writer never heard of the
//! commit: a repetition, never a loss. [`Collector::finish`] is not synced, so a crash may bring a finished item back: its
//! result is durable, and the work is repeated (pseudonyms are deterministic, the hub is idempotent).
//!
//! `tests.rs` runs all of this on a simulated page cache and crashes after every operation.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod collector;
mod depositor;
mod error;
mod format;
mod fs;
mod group;
mod item;
mod os_fs;
mod shared;
mod staged;
mod watch;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use collector::{Collector, Limits, Survey, Taken, clear_foreign};
pub use depositor::{Committed, Depositor};
pub use error::SpoolError;
pub use format::MAX_META_BYTES;
pub use fs::{Fs, Kind, OsFs, Stat};
pub use group::GroupCommit;
pub use item::{IntakeRecord, ItemId};
pub use os_fs::OsDir;
pub use shared::Recovered;
pub use staged::Staged;
