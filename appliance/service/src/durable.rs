//! Small durable steps in a process's own house: a directory entry that survives power loss, a secret written whole.
//! A failed fsync is never tried again on the same descriptor: it is an error that ends the process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Makes the entries of `directory` durable.
///
/// # Errors
/// The file system's.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory that only this process's user may enter, when it is not there.
///
/// # Errors
/// The file system's.
pub fn make_private_directory(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Replaces `directory/name` by `bytes`, readable by this process's user only: written beside, synced, renamed, directory
/// synced.
///
/// # Errors
/// The file system's; the old content then still stands.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = directory.join(format!("{name}.part"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, directory.join(name))?;
    sync_directory(directory)
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// The file system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// True for errors that say "no room": the caller waits instead of ending.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
