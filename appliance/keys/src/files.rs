//! Files of this tool: read within a bound and wiped, written once, for the owner only.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// Largest file read: keys, shares and wrapped keys are far smaller.
pub const MAX_BYTES: usize = 64 << 10;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Reads the text file at `path`.
///
/// # Errors
/// [`FileError`]; text that is not UTF-8 too.
pub fn read(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let fail = |source| FileError { path: path.to_owned(), source };
    bounded(&mut File::open(path).map_err(fail)?).map_err(fail)
}

/// Reads what `from` gives, at most [`MAX_BYTES`].
///
/// # Errors
/// The reader's; more than that is [`io::ErrorKind::FileTooLarge`].
pub fn bounded(from: &mut dyn io::Read) -> io::Result<Zeroizing<String>> {
    // Room for all of it at once: a growing buffer would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
    from.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// Writes `text` to `path`, which must not exist, readable by its owner only.
///
/// # Errors
/// [`FileError`].
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), FileError> {
    let fail = |source| FileError { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(fail)?;
    file.write_all(text.as_ref()).and_then(|()| file.sync_all()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_private_never_replaced_and_read_within_a_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("share");
        write(&path, "text").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(write(&path, "other").is_err());
        assert_eq!(read(&path).unwrap().as_str(), "text");
        let large = directory.path().join("large");
        write(&large, "x".repeat(MAX_BYTES + 1)).unwrap();
        assert!(read(&large).is_err());
    }
}
