//! The archive: one file per object, named by the SHA-256 of its bytes, never by a value of its data set.
//!
//! `incoming/` (uploads under way), `archive/<2 hex>/<64 hex>.dcm` (served), `isolated/<2 hex>/<64 hex>.dcm` (kept apart, not
//! served). An object is written to `incoming/`, fdatasync'ed, renamed into place and its directory fsync'ed *before* the
//! database names it; a crash in between leaves a file that no row names, and the box's repeat of the upload replaces it.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use gift_wire::Sha256Hex;
use sha2::{Digest as _, Sha256};

use crate::error::{Doing as _, HubError};

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Served.
    Archive,
    /// Kept apart.
    Isolated,
}

/// The archive's directories.
#[derive(Debug)]
pub struct Archive {
    root: PathBuf,
}

/// An upload under way. Dropping it removes its file.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
}

/// A complete upload: durable in `incoming/`, not yet in place. Dropping it removes its file.
#[derive(Debug)]
pub struct Received {
    path: PathBuf,
    /// SHA-256 of the bytes as they arrived.
    pub sha256: Sha256Hex,
    /// Length, bytes.
    pub size: u64,
}

impl Archive {
    /// Opens (or makes) the directories under `root` and clears what a crash left in `incoming/`.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(root: &Path) -> Result<Self, HubError> {
        let archive = Self { root: root.to_owned() };
        make_directory(&archive.incoming()).doing("make incoming")?;
        for place in [Place::Archive, Place::Isolated] {
            let base = archive.base(place);
            make_directory(&base).doing("make archive")?;
            for byte in 0..=u8::MAX {
                make_directory(&base.join(hex::encode([byte]))).doing("make archive")?;
            }
            sync_directory(&base)?;
        }
        sync_directory(root)?;
        Ok(archive)
    }

    /// Removes uploads that a former process left unfinished. For the server's start only: an administration command must
    /// not take a running server's uploads away.
    ///
    /// # Errors
    /// The file system's.
    pub fn clear_incoming(&self) -> Result<(), HubError> {
        for entry in fs::read_dir(self.incoming()).doing("scan incoming")? {
            fs::remove_file(entry.doing("scan incoming")?.path()).doing("clear incoming")?;
        }
        Ok(())
    }

    /// Starts an upload.
    ///
    /// # Errors
    /// The file system's.
    pub fn begin(&self) -> Result<Incoming, HubError> {
        Incoming::begin(&self.incoming())
    }

    /// Puts a complete upload in its place, durably. An equal file already there is replaced by the same bytes.
    ///
    /// # Errors
    /// The file system's; the object is then not stored.
    pub fn place(&self, received: Received, place: Place) -> Result<(), HubError> {
        let target = self.path(place, &received.sha256);
        received.place(&target)
    }

    /// Gives an object that contradicts what is stored a name among the isolated ones. Its name in the archive stays: the same
    /// bytes may have a row there.
    ///
    /// # Errors
    /// The file system's.
    pub fn isolate(&self, sha256: &Sha256Hex) -> Result<(), HubError> {
        let (from, to) = (self.path(Place::Archive, sha256), self.path(Place::Isolated, sha256));
        // A second name, not another place: the same bytes may just have been stored by a row of their own. A name that no row
        // knows is never served.
        match fs::hard_link(&from, &to) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            linked => linked.doing("isolate object")?,
        }
        sync_directory(to.parent().unwrap_or(&self.root))?;
        sync_directory(from.parent().unwrap_or(&self.root))
    }

    /// The file of a stored object.
    pub fn path(&self, place: Place, sha256: &Sha256Hex) -> PathBuf {
        let name = sha256.as_str();
        self.base(place).join(&name[..2]).join(format!("{name}.dcm"))
    }

    /// Bytes free to the hub on the archive's file system.
    ///
    /// # Errors
    /// The file system's.
    pub fn free_bytes(&self) -> Result<u64, HubError> {
        let state = nix::sys::statvfs::statvfs(&self.root).map_err(std::io::Error::from).doing("statvfs")?;
        Ok(state.blocks_available().saturating_mul(state.fragment_size()))
    }

    fn base(&self, place: Place) -> PathBuf {
        self.root.join(match place {
            Place::Archive => "archive",
            Place::Isolated => "isolated",
        })
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }
}

impl Incoming {
    /// Starts a file of a random name in `directory`.
    pub(super) fn begin(directory: &Path) -> Result<Self, HubError> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|_| HubError::Ended("the random source"))?;
        let path = directory.join(format!("{}.part", hex::encode(random)));
        let file =
            File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).doing("begin upload")?;
        Ok(Self { path, file, hash: Sha256::new(), size: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).doing("write upload")
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the upload: its bytes are durable when this returns.
    ///
    /// # Errors
    /// The file system's; a failed fdatasync is not retried.
    pub fn finish(mut self) -> Result<Received, HubError> {
        self.file.sync_data().doing("sync upload")?;
        let digest = hex::encode(std::mem::take(&mut self.hash).finalize());
        let sha256 = Sha256Hex::parse(&digest).ok_or(HubError::Ended("the digest"))?;
        Ok(Received { path: std::mem::take(&mut self.path), sha256, size: self.size })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

impl Received {
    /// The file, for the check.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, durably.
    pub(super) fn place(self, target: &Path) -> Result<(), HubError> {
        fs::rename(&self.path, target).doing("place object")?;
        target.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes an upload's file unless it was renamed away; a failure leaves it to [`Archive::clear_incoming`].
fn remove(path: &Path) {
    if !path.as_os_str().is_empty() {
        let _ = fs::remove_file(path);
    }
}

/// Makes a directory of mode 0700 unless it is there.
pub(super) fn make_directory(path: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Makes what was named or renamed in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), HubError> {
    File::open(path).and_then(|directory| directory.sync_all()).doing("sync directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolated_object_is_taken_from_nobody_and_an_abandoned_upload_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let archive = Archive::open(root.path()).unwrap();
        let mut upload = archive.begin().unwrap();
        upload.write(b"abc").unwrap();
        let received = upload.finish().unwrap();
        let sha = received.sha256.clone();
        assert_eq!(sha.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        archive.place(received, Place::Archive).unwrap();
        assert_eq!(fs::read(archive.path(Place::Archive, &sha)).unwrap(), b"abc");
        archive.isolate(&sha).unwrap();
        assert!(archive.path(Place::Archive, &sha).exists());
        assert_eq!(fs::read(archive.path(Place::Isolated, &sha)).unwrap(), b"abc");

        archive.begin().unwrap().write(b"half").unwrap();
        assert_eq!(fs::read_dir(root.path().join("incoming")).unwrap().count(), 0);

        std::mem::forget(archive.begin().unwrap());
        archive.clear_incoming().unwrap();
        assert_eq!(fs::read_dir(root.path().join("incoming")).unwrap().count(), 0);
    }
}
