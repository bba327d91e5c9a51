//! The reader's side: scan, take, finish, set aside.

use std::{
    collections::BinaryHeap,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::errno::Errno;

use crate::{
    error::{SpoolError, errno},
    format,
    fs::{Fs, Kind, OsFs, Stat},
    item::ItemId,
    watch::Watch,
};

/// Limits a collector keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest item taken, bytes; a larger one counts as damaged.
    pub max_item_bytes: u64,
    /// Most identifiers that one scan returns: a backlog costs time, not memory.
    pub max_per_scan: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_item_bytes: u64::MAX, max_per_scan: 1024 }
    }
}

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

/// What stands in the inbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The oldest items, oldest first, at most [`Limits::max_per_scan`].
    pub oldest: Vec<ItemId>,
    /// All items, also beyond those.
    pub waiting: u64,
    /// Entries that are no item by name or are directories: ignored, never opened.
    pub foreign: u64,
}

/// Reader's side.
#[derive(Debug)]
pub struct Collector<F: Fs = OsFs> {
    fs: F,
    inbox: F::Dir,
    aside: F::Dir,
    writers: Vec<u32>,
    limits: Limits,
    watch: Option<Watch>,
    set_aside_total: AtomicU64,
}

impl Collector {
    /// Opens the inbox this process owns; items must belong to one of `writers` (uids). Damaged items go to `set_aside`,
    /// a directory of the reader's own, on this or another mount.
    ///
    /// # Errors
    /// [`SpoolError::Store`] when a directory cannot be used.
    pub fn open(inbox: &Path, set_aside: &Path, writers: &[u32]) -> Result<Self, SpoolError> {
        // The watch begins before the first scan, so no arrival falls between the two. Without one (all watches in use),
        // `wait` only sleeps.
        let watch = Watch::new(inbox).ok();
        Ok(Self { watch, ..Self::open_in(OsFs, inbox, set_aside, writers)? })
    }
}

impl<F: Fs> Collector<F> {
    /// As [`Collector::open`], on a given file system and without a watch.
    ///
    /// # Errors
    /// As [`Collector::open`].
    pub fn open_in(fs: F, inbox: &Path, set_aside: &Path, writers: &[u32]) -> Result<Self, SpoolError> {
        Ok(Self {
            inbox: fs.own_dir(inbox).map_err(SpoolError::Store)?,
            aside: fs.own_dir(set_aside).map_err(SpoolError::Store)?,
            fs,
            writers: writers.to_vec(),
            limits: Limits::default(),
            watch: None,
            set_aside_total: AtomicU64::new(0),
        })
    }

    /// The same collector with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Items that stand in the inbox, oldest first, at most [`Limits::max_per_scan`]; an item stays listed until it is
    /// finished or set aside.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn scan(&self) -> Result<Vec<ItemId>, SpoolError> {
        Ok(self.survey()?.oldest)
    }

    /// As [`Collector::scan`], with counts. Costs one `stat` an entry.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn survey(&self) -> Result<Survey, SpoolError> {
        let mut oldest = BinaryHeap::with_capacity(self.limits.max_per_scan.saturating_add(1).min(4096));
        let (mut waiting, mut foreign) = (0, 0);
        let look = &mut |name: &std::ffi::OsStr| {
            let Some(id) = name.to_str().and_then(ItemId::parse) else {
                foreign += 1;
                return;
            };
            match self.fs.stat_at(&self.inbox, id.as_str()) {
                Ok(Stat { kind: Kind::Directory, .. }) => foreign += 1,
                Ok(stat) => {
                    waiting += 1;
                    oldest.push((stat.changed_ns, id));
                    if oldest.len() > self.limits.max_per_scan {
                        oldest.pop();
                    }
                }
                // Gone between listing and looking, or not to be looked at: the next scan decides.
                Err(_) => {}
            }
        };
        self.fs.list(&self.inbox, look).map_err(SpoolError::Store)?;
        Ok(Survey { oldest: oldest.into_sorted_vec().into_iter().map(|(_, id)| id).collect(), waiting, foreign })
    }

    /// Length of an item, bytes, its record included: what taking it costs. A writer that lies (a sparse file) is believed.
    ///
    /// # Errors
    /// As [`Collector::take`], before a byte is read.
    pub fn size(&self, id: &ItemId) -> Result<u64, SpoolError> {
        self.open_item(id).map(|(_, stat)| stat.len)
    }

    /// Copies the body of an item into `into` (the reader's own file, at its present position), checking owner, kind,
    /// size, length and checksum on the way. After an error `into` holds an unusable part of a body.
    ///
    /// # Errors
    /// [`SpoolError::Gone`]; [`SpoolError::Damaged`]: call [`Collector::set_aside`]; [`SpoolError::Full`] or
    /// [`SpoolError::Store`] when `into` could not be written.
    pub fn take(&self, id: &ItemId, into: &mut File) -> Result<Taken, SpoolError> {
        self.take_into(id, into)
    }

    /// As [`Collector::take`], into any writer.
    ///
    /// # Errors
    /// As [`Collector::take`].
    pub fn take_into(&self, id: &ItemId, into: &mut dyn io::Write) -> Result<Taken, SpoolError> {
        let (file, stat) = self.open_item(id)?;
        let (meta, body_len) =
            format::read_item(|buffer| self.fs.read(&file, buffer), stat.len, |piece| into.write_all(piece))?;
        Ok(Taken { id: id.clone(), meta, body_len, posted_ms: stat.changed_ns / 1_000_000 })
    }

    /// Erases the original, once its result is durable on the next side.
    ///
    /// Not synced: should a crash undo it, the item comes back and its work is repeated, which the contract allows (4).
    /// Call [`Collector::sync`] where the erasure itself must last. An item that is already gone is no error.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn finish(&self, id: &ItemId) -> Result<(), SpoolError> {
        match self.fs.unlink(&self.inbox, id.as_str()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(SpoolError::Store(e)),
            _ => Ok(()),
        }
    }

    /// Makes the erasures so far durable: after it, no finished item comes back.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.fs.sync_dir(&self.inbox).map_err(SpoolError::Store)
    }

    /// Moves a damaged item aside, for counting and diagnosis. What is not a regular file of an expected writer (a link, a
    /// FIFO) is not kept when that would mean reading it: it is only erased.
    ///
    /// # Errors
    /// [`SpoolError::Gone`], [`SpoolError::Full`], [`SpoolError::Store`].
    pub fn set_aside(&self, id: &ItemId) -> Result<(), SpoolError> {
        match self.fs.rename(&self.inbox, id.as_str(), &self.aside, id.as_str()) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(SpoolError::Gone),
            Err(e) if errno(&e) == Some(Errno::EXDEV) => self.copy_aside(id)?,
            Err(e) => return Err(e.into()),
        }
        self.set_aside_total.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Items set aside since the start.
    pub fn set_aside_total(&self) -> u64 {
        self.set_aside_total.load(Ordering::Relaxed)
    }

    /// Blocks until something may have arrived (inotify hint) or `timeout` passes.
    pub fn wait(&self, timeout: Duration) {
        match &self.watch {
            Some(watch) => watch.wait(timeout),
            None => std::thread::sleep(timeout),
        }
    }

    /// Opens an item and checks what it is before a byte is read.
    fn open_item(&self, id: &ItemId) -> Result<(F::File, Stat), SpoolError> {
        let file = self.fs.open(&self.inbox, id.as_str()).map_err(|e| match errno(&e) {
            Some(Errno::ENOENT) => SpoolError::Gone,
            // A link, a socket, an unreadable mode: not what a writer of ours posts.
            Some(Errno::ELOOP | Errno::ENXIO | Errno::ENODEV | Errno::EACCES | Errno::EPERM | Errno::EIO) => {
                SpoolError::Damaged
            }
            _ => SpoolError::Store(e),
        })?;
        let stat = self.fs.stat(&file).map_err(SpoolError::Store)?;
        let expected = stat.kind == Kind::Regular
            && stat.links == 1
            && stat.len <= self.limits.max_item_bytes
            && self.writers.contains(&stat.uid);
        if expected { Ok((file, stat)) } else { Err(SpoolError::Damaged) }
    }

    /// Between mounts: copy, make the copy durable, erase the original.
    fn copy_aside(&self, id: &ItemId) -> Result<(), SpoolError> {
        if let Ok((file, stat)) = self.open_item(id) {
            let part = format!("{id}.part");
            // Left by a crash in here: the original is still in the inbox.
            let _ = self.fs.unlink(&self.aside, &part);
            let copy = self.fs.create(&self.aside, &part)?;
            let mut to = Sink { fs: &self.fs, file: &copy };
            let mut buffer = vec![0_u8; 128 * 1024];
            let mut left = stat.len;
            while left > 0 {
                let most = usize::try_from(left).map_or(buffer.len(), |n| n.min(buffer.len()));
                // An unreadable sector ends the copy: what could be read is kept.
                let Ok(n @ 1..) = self.fs.read(&file, &mut buffer[..most]) else { break };
                to.write_all(&buffer[..n])?;
                left -= n as u64;
            }
            self.fs.sync_data(&copy)?;
            self.fs.rename(&self.aside, &part, &self.aside, id.as_str())?;
            self.fs.sync_dir(&self.aside)?;
        }
        self.finish(id)
    }
}

/// A file of `F` as a writer.
struct Sink<'a, F: Fs> {
    fs: &'a F,
    file: &'a F::File,
}

impl<F: Fs> io::Write for Sink<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fs.write(self.file, bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes what is no item from a drop, as far as that can be done; says how many entries stay. For a collector that is started by the
/// drop's not being empty: what it does not take would have it started for ever.
///
/// # Errors
/// The drop cannot be read.
pub fn clear_foreign(inbox: &Path) -> io::Result<usize> {
    let mut stay = 0;
    for entry in std::fs::read_dir(inbox)? {
        let entry = entry?;
        let item = entry.file_name().to_str().and_then(ItemId::parse).is_some();
        let directory = entry.file_type()?.is_dir();
        if !item || directory {
            let removed =
                if directory { std::fs::remove_dir(entry.path()) } else { std::fs::remove_file(entry.path()) };
            stay += usize::from(removed.is_err());
        }
    }
    Ok(stay)
}
