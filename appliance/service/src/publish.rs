//! The status record on disk: written whole, renamed into place, read by `health`.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use gift_status::{Process, RunState, STATUS_VERSION, StatusRecord};
use serde::{Serialize, de::DeserializeOwned};

/// Largest status record `health` reads, bytes.
const MAX_RECORD_BYTES: u64 = 64 * 1024;

/// Now, ms since the Unix epoch.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Where a process publishes its record: `<directory>/status.json`, in a directory only it may write.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    started_ms: u64,
}

impl StatusFile {
    /// A status file in `directory`, which exists.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join("status.json"), started_ms: now_ms() }
    }

    /// Publishes `body` atomically.
    ///
    /// # Errors
    /// The file system's; a process goes on without (its record then goes stale, which `health` shows).
    pub fn publish<T: Serialize>(&self, state: RunState, body: T) -> io::Result<()> {
        let record =
            StatusRecord { version: STATUS_VERSION, updated_ms: now_ms(), started_ms: self.started_ms, state, body };
        let bytes = serde_json::to_vec(&record)?;
        let temporary = self.path.with_extension("part");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        io::Write::write_all(&mut file, &bytes)?;
        drop(file);
        fs::rename(&temporary, &self.path)
    }
}

/// Why a record could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StatusReadError {
    /// Not there or not readable.
    #[error("status of {}: {source}", .process.name())]
    Read {
        /// Whose.
        process: Process,
        /// Why.
        source: io::Error,
    },
    /// Not a record of this version.
    #[error("status of {} is no record of version {STATUS_VERSION}", .process.name())]
    Form {
        /// Whose.
        process: Process,
    },
}

/// Reads the record in `directory`; a link, a special file or an oversized one is refused.
///
/// # Errors
/// See [`StatusReadError`].
pub fn read_status<T: DeserializeOwned>(
    process: Process,
    directory: &Path,
) -> Result<StatusRecord<T>, StatusReadError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .custom_flags((nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits())
            .open(directory.join("status.json"))?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, MAX_RECORD_BYTES), &mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| StatusReadError::Read { process, source })?;
    let record: StatusRecord<T> = serde_json::from_slice(&bytes).map_err(|_| StatusReadError::Form { process })?;
    if record.version != STATUS_VERSION {
        return Err(StatusReadError::Form { process });
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use gift_status::DeidStatus;

    use super::*;

    #[test]
    fn a_record_round_trips_and_a_link_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let body = DeidStatus { taken_total: 3, ..Default::default() };
        StatusFile::new(directory.path()).publish(RunState::Ready, &body).unwrap();
        let record: StatusRecord<DeidStatus> = read_status(Process::Deid, directory.path()).unwrap();
        assert_eq!((record.state, record.body), (RunState::Ready, body));

        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(directory.path().join("status.json"), other.path().join("status.json")).unwrap();
        assert!(read_status::<DeidStatus>(Process::Deid, other.path()).is_err());
    }
}
