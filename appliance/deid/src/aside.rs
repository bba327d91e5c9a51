//! What a damaged intake item is once it lies in set-aside: whoever wrote the intake chose its kind, so nothing but a regular
//! file is opened, no link is followed, and a sector that cannot be read ends it instead of this process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::libc;

/// A set-aside item, as far as it can be read.
#[derive(Debug)]
pub struct Aside(File);

impl Aside {
    /// Opens the item at `path`; `None` when nothing is there, or what was there is no regular file and has been erased.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            // A link, a FIFO, a socket: reading it could read another file, or wait for ever.
            Ok(metadata) if metadata.is_dir() => return fs::remove_dir_all(path).map(|()| None),
            Ok(_) => return fs::remove_file(path).map(|()| None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        // The directory is this process's own: the name cannot have changed since.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        OpenOptions::new().read(true).custom_flags(flags).open(path).map(|file| Some(Self(file)))
    }
}

impl Read for Aside {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        until_unreadable(self.0.read(buffer))
    }
}

/// Bytes that the medium cannot give any more are the end of the item.
fn until_unreadable(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EBADMSG | libc::EUCLEAN)) => Ok(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_read_and_anything_else_goes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("credential"), b"key").unwrap();
        std::os::unix::fs::symlink(at("credential"), at("link")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        fs::create_dir(at("directory")).unwrap();
        fs::write(at("directory").join("inside"), b"x").unwrap();
        fs::write(at("item"), b"torn").unwrap();
        for name in ["link", "fifo", "directory", "missing"] {
            assert!(Aside::open(&at(name)).unwrap().is_none(), "{name}");
            assert!(fs::symlink_metadata(at(name)).is_err(), "{name} is gone");
        }
        assert_eq!(fs::read(at("credential")).unwrap(), b"key", "the target stays");
        let mut read = Vec::new();
        Aside::open(&at("item")).unwrap().unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"torn");
    }

    #[test]
    fn an_unreadable_sector_ends_the_item_and_not_the_process() {
        let failed = |errno| until_unreadable(Err(io::Error::from_raw_os_error(errno)));
        assert_eq!(failed(libc::EIO).unwrap(), 0);
        assert!(failed(libc::EBADF).is_err());
    }
}
