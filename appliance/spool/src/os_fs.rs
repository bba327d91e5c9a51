//! The real file system. Every operation goes through a directory handle, so a path is resolved once, at start.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{self, AtFlags, OFlag},
    sys::{
        stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat},
        statvfs::fstatvfs,
    },
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::fs::{Fs, Kind, Stat};

/// Owner writes, the drop's group reads, nobody else (design: the drop directory, 2).
const ITEM_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFs;

/// A directory handle of [`OsFs`].
#[derive(Debug)]
pub struct OsDir {
    handle: File,
    path: PathBuf,
}

impl OsDir {
    fn open(path: &Path, how: OFlag) -> io::Result<Self> {
        let flags = how | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self { handle: fcntl::open(path, flags, Mode::empty())?.into(), path: path.to_owned() })
    }
}

impl Fs for OsFs {
    type File = File;
    type Dir = OsDir;

    fn own_dir(&self, path: &Path) -> io::Result<OsDir> {
        OsDir::open(path, OFlag::O_RDONLY)
    }

    fn drop_dir(&self, path: &Path) -> io::Result<OsDir> {
        // O_PATH: the writer may search and write the reader's directory, not read it.
        OsDir::open(path, OFlag::O_PATH)
    }

    fn lock(&self, dir: &OsDir) -> io::Result<()> {
        dir.handle.try_lock().map_err(io::Error::from)
    }

    fn list(&self, dir: &OsDir, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        for entry in fs::read_dir(&dir.path)? {
            each(&entry?.file_name());
        }
        Ok(())
    }

    fn create(&self, dir: &OsDir, name: &str) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(fcntl::openat(&dir.handle, name, flags, ITEM_MODE)?);
        // A narrower umask than 0027 would hide the item from its reader.
        if file.metadata()?.mode() & 0o777 != ITEM_MODE.bits() {
            fchmod(&file, ITEM_MODE)?;
        }
        Ok(file)
    }

    fn open(&self, dir: &OsDir, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(fcntl::openat(&dir.handle, name, flags, Mode::empty())?.into())
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn read(&self, mut file: &File, into: &mut [u8]) -> io::Result<usize> {
        file.read(into)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        // Not std's sync_data: it retries on EINTR, and a failed fsync is never retried on the same handle.
        Ok(nix::unistd::fdatasync(file)?)
    }

    fn stat(&self, file: &File) -> io::Result<Stat> {
        Ok(convert(&fstat(file)?))
    }

    fn stat_at(&self, dir: &OsDir, name: &str) -> io::Result<Stat> {
        Ok(convert(&fstatat(&dir.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
    }

    fn rename(&self, from: &OsDir, old: &str, to: &OsDir, new: &str) -> io::Result<()> {
        Ok(fcntl::renameat(&from.handle, old, &to.handle, new)?)
    }

    fn unlink(&self, dir: &OsDir, name: &str) -> io::Result<()> {
        Ok(unlinkat(&dir.handle, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn sync_dir(&self, dir: &OsDir) -> io::Result<()> {
        Ok(nix::unistd::fsync(&dir.handle)?)
    }

    fn free_bytes(&self, dir: &OsDir) -> io::Result<u64> {
        let vfs = fstatvfs(&dir.handle)?;
        // Some file systems count no inodes: then `files` is 0.
        if vfs.files() > 0 && vfs.files_available() == 0 {
            return Ok(0);
        }
        vfs.blocks_available().checked_mul(vfs.fragment_size()).ok_or_else(|| Errno::EOVERFLOW.into())
    }
}

fn convert(stat: &FileStat) -> Stat {
    let format = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let seconds = u64::try_from(stat.st_ctime).unwrap_or(0);
    let nanos = u64::try_from(stat.st_ctime_nsec).unwrap_or(0);
    Stat {
        kind: match format {
            SFlag::S_IFREG => Kind::Regular,
            SFlag::S_IFDIR => Kind::Directory,
            _ => Kind::Other,
        },
        links: stat.st_nlink,
        uid: stat.st_uid,
        len: u64::try_from(stat.st_size).unwrap_or(0),
        changed_ns: seconds.saturating_mul(1_000_000_000).saturating_add(nanos),
    }
}
