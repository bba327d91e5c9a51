//! The uplink's own directory and what stands where in it. Only this process's user may enter.
//!
//! ```text
//! queue/<id>           objects that wait for a receipt (queue_file.rs); <id>.part = not taken yet
//! health/newest.json   the newest health report not yet sent
//! identity/            device key and certificate
//! set-aside/           damaged objects, for diagnosis
//! update/<sha256>      the archive of a system update on its way; update.tag = as below
//! policy.tag           entity tag of the policy bundle handed over last; order.tag = of the order
//! ledger.sqlite        one row per object
//! ```

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{durable, error::UplinkError, key::Key};

/// Ending of a file that is being written.
const PART: &str = "part";

/// Paths in the house.
#[derive(Debug, Clone)]
pub(crate) struct House {
    root: PathBuf,
}

impl House {
    /// Opens the house, making its rooms when they are not there, and removes what was being written at the last end.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(root: &Path) -> Result<Self, UplinkError> {
        let house = Self { root: root.to_owned() };
        for room in [house.root.clone(), house.queue(), house.health(), house.set_aside()] {
            durable::make_private_directory(&room).map_err(UplinkError::store("cannot make the house"))?;
        }
        for room in [house.queue(), house.health()] {
            for entry in fs::read_dir(&room).map_err(UplinkError::store("cannot list the house"))? {
                let path = entry.map_err(UplinkError::store("cannot list the house"))?.path();
                if path.extension() == Some(OsStr::new(PART)) {
                    durable::remove(&path).map_err(UplinkError::store("cannot remove a part"))?;
                }
            }
        }
        durable::sync_directory(&house.root).map_err(UplinkError::store("cannot sync the house"))?;
        Ok(house)
    }

    /// `queue/`.
    pub(crate) fn queue(&self) -> PathBuf {
        self.root.join("queue")
    }

    /// `health/`.
    pub(crate) fn health(&self) -> PathBuf {
        self.root.join("health")
    }

    /// `identity/`.
    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("identity")
    }

    /// `set-aside/`.
    pub(crate) fn set_aside(&self) -> PathBuf {
        self.root.join("set-aside")
    }

    /// `ledger.sqlite`.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger.sqlite")
    }

    /// The queue file of an object.
    pub(crate) fn queued(&self, key: Key) -> PathBuf {
        self.queue().join(key.to_string())
    }

    /// The file an object is taken into.
    pub(crate) fn part(&self, key: Key) -> PathBuf {
        self.queue().join(format!("{key}.{PART}"))
    }

    /// Opens a queued object for reading; `None` when its file is not there.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open_queued(&self, key: Key) -> io::Result<Option<File>> {
        match File::open(self.queued(key)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves a damaged queue file to `set-aside/`.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn put_aside(&self, key: Key) -> io::Result<()> {
        match fs::rename(self.queued(key), self.set_aside().join(key.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => durable::sync_directory(&self.queue()),
        }
    }

    /// Keys of every file in `queue/`; a name that is no key is not ours and is left alone.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn queue_keys(&self) -> io::Result<Vec<Key>> {
        let mut keys = Vec::new();
        for entry in fs::read_dir(self.queue())? {
            keys.extend(entry?.file_name().to_str().and_then(Key::parse));
        }
        Ok(keys)
    }
}
