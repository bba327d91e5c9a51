//! The writer's side: stage, commit, post.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    error::{SpoolError, again, is_full},
    format,
    fs::{Fs, Kind, OsFs},
    group::{Group, GroupCommit, Outcome},
    item::ItemId,
};

/// Name of an item that is still being written.
fn part(id: &ItemId) -> String {
    format!("{id}.part")
}

/// What a staged item that fails its checksum is renamed to: kept in the writer's own house, for diagnosis.
fn torn(id: &ItemId) -> String {
    format!("{id}.torn")
}

/// What [`Depositor::open`] found in staging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Whole items, now posted (or kept for [`Depositor::post_late`] when the inbox had no room).
    pub posted: u64,
    /// Items whose writing was cut short: erased. None of them was ever acknowledged.
    pub erased: u64,
    /// Items whose record fails its checksum: set aside as `<id>.torn`.
    pub damaged: u64,
}

/// Writer's side. Clones share one staging directory and one group commit.
#[derive(Debug)]
pub struct Depositor<F: Fs = OsFs> {
    shared: Arc<Shared<F>>,
    recovered: Recovered,
}

impl<F: Fs> Clone for Depositor<F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), recovered: self.recovered }
    }
}

#[derive(Debug)]
struct Shared<F: Fs> {
    fs: F,
    staging: F::Dir,
    inbox: F::Dir,
    group: Group,
    /// The first failure of the store; from then on nothing is accepted.
    poison: Mutex<Option<io::Error>>,
    /// Committed items that could not be posted for want of room.
    late: Mutex<Vec<ItemId>>,
}

impl<F: Fs> Shared<F> {
    /// The error everybody gets once the store failed.
    fn check(&self) -> Result<(), SpoolError> {
        let poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        poison.as_ref().map_or(Ok(()), |e| Err(SpoolError::Store(again(e))))
    }

    /// Sorts an error of an operation that may be repeated: want of room passes, anything else poisons.
    fn fail(&self, error: io::Error) -> SpoolError {
        if is_full(&error) { SpoolError::Full } else { self.poison_with(error) }
    }

    fn poison_with(&self, error: io::Error) -> SpoolError {
        let mut poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        SpoolError::Store(again(poison.get_or_insert(error)))
    }

    /// Renames a batch of synced items to their final names and makes that durable with one directory fsync.
    fn publish(&self, batch: &[ItemId]) -> Vec<Outcome> {
        let rename = |id: &ItemId| -> Outcome {
            self.check()?;
            let renamed = self.fs.rename(&self.staging, &part(id), &self.staging, id.as_str());
            renamed.map_err(|e| self.fail(e))
        };
        let mut outcomes: Vec<Outcome> = batch.iter().map(rename).collect();
        if outcomes.iter().any(Result::is_ok)
            && let Err(error) = self.fs.sync_dir(&self.staging)
        {
            // Whether the renames are on disk is unknown: nobody is told so, and the restart looks again.
            self.poison_with(error);
            for outcome in &mut outcomes {
                *outcome = self.check();
            }
        }
        outcomes
    }

    fn post(&self, id: &ItemId) -> Result<(), SpoolError> {
        self.check()?;
        self.fs.rename(&self.staging, id.as_str(), &self.inbox, id.as_str()).map_err(|e| self.fail(e))
    }

    /// Posts, or keeps for later when the inbox has no room: the item is durable either way.
    fn post_or_keep(&self, id: &ItemId) -> Result<(), SpoolError> {
        let posted = self.post(id);
        if matches!(posted, Err(SpoolError::Full)) {
            self.late.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        }
        posted
    }

    /// Settles what an earlier run left: posts whole items, erases partial ones, sets torn ones aside.
    fn recover(&self) -> Result<Recovered, SpoolError> {
        let (mut parts, mut staged, mut recovered) = (Vec::new(), Vec::new(), Recovered::default());
        let sort = &mut |name: &std::ffi::OsStr| {
            let Some(name) = name.to_str() else { return };
            if let Some(id) = name.strip_suffix(".part").and_then(ItemId::parse) {
                parts.push(id);
            } else if let Some(id) = ItemId::parse(name) {
                staged.push(id);
            }
        };
        self.fs.list(&self.staging, sort).map_err(SpoolError::Store)?;
        for id in parts {
            self.fs.unlink(&self.staging, &part(&id)).map_err(SpoolError::Store)?;
            recovered.erased += 1;
        }
        for id in staged {
            match self.verify(&id) {
                Ok(()) => match self.post_or_keep(&id) {
                    Ok(()) | Err(SpoolError::Full) => recovered.posted += 1,
                    Err(error) => return Err(error),
                },
                Err(SpoolError::Damaged) => {
                    let aside = self.fs.rename(&self.staging, id.as_str(), &self.staging, &torn(&id));
                    aside.map_err(SpoolError::Store)?;
                    recovered.damaged += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(recovered)
    }

    fn verify(&self, id: &ItemId) -> Result<(), SpoolError> {
        let file = self.fs.open(&self.staging, id.as_str()).map_err(SpoolError::Store)?;
        let stat = self.fs.stat(&file).map_err(SpoolError::Store)?;
        if stat.kind != Kind::Regular {
            return Err(SpoolError::Damaged);
        }
        format::read_item(|into| self.fs.read(&file, into), stat.len, |_| Ok(())).map(drop)
    }
}

impl Depositor {
    /// Opens `staging` (own) and `inbox` (the reader's); posts whatever is still staged, removes `*.part`.
    ///
    /// # Errors
    /// [`SpoolError::Store`] when a directory cannot be used or another process holds `staging`.
    pub fn open(staging: &Path, inbox: &Path) -> Result<Self, SpoolError> {
        Self::open_with(staging, inbox, GroupCommit::default())
    }

    /// As [`Depositor::open`], with bounds of the group commit.
    ///
    /// # Errors
    /// As [`Depositor::open`].
    pub fn open_with(staging: &Path, inbox: &Path, bounds: GroupCommit) -> Result<Self, SpoolError> {
        Self::open_in(OsFs, staging, inbox, bounds)
    }
}

impl<F: Fs> Depositor<F> {
    /// As [`Depositor::open_with`], on a given file system.
    ///
    /// # Errors
    /// As [`Depositor::open`].
    pub fn open_in(fs: F, staging: &Path, inbox: &Path, bounds: GroupCommit) -> Result<Self, SpoolError> {
        let (own, drop) = (fs.own_dir(staging).map_err(SpoolError::Store)?, fs.drop_dir(inbox));
        fs.lock(&own).map_err(SpoolError::Store)?;
        let shared = Shared {
            fs,
            staging: own,
            inbox: drop.map_err(SpoolError::Store)?,
            group: Group::new(bounds),
            poison: Mutex::default(),
            late: Mutex::default(),
        };
        let recovered = shared.recover()?;
        Ok(Self { shared: Arc::new(shared), recovered })
    }

    /// What [`Depositor::open`] found.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Begins an item whose record metadata is `meta` (opaque bytes, ≤ 64 KiB).
    ///
    /// # Errors
    /// [`SpoolError::Full`], or [`SpoolError::Store`] (of kind `InvalidInput` when `meta` is too long).
    pub fn stage(&self, meta: &[u8]) -> Result<Staged<F>, SpoolError> {
        self.shared.check()?;
        let too_long = || SpoolError::Store(io::ErrorKind::InvalidInput.into());
        let buffer = format::header(meta).ok_or_else(too_long)?;
        let id = ItemId::random().map_err(SpoolError::Store)?;
        let file = self.shared.fs.create(&self.shared.staging, &part(&id)).map_err(|e| self.shared.fail(e))?;
        let crc = crc32c::crc32c(&buffer);
        let shared = Arc::clone(&self.shared);
        Ok(Staged { shared, id, file, buffer, crc, body_len: 0, spoilt: None, erase: true })
    }

    /// Commits (group commit across threads): on return the item survives power loss. Blocking.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: this item was refused and erased, others go on. [`SpoolError::Store`]: the depositor is
    /// poisoned and the process should end; whether the item is on disk is unknown, so it must not be acknowledged.
    pub fn commit(&self, mut staged: Staged<F>) -> Result<Committed, SpoolError> {
        staged.seal()?;
        let id = staged.id.clone();
        self.shared.group.commit(id.clone(), |batch| self.shared.publish(batch))?;
        staged.erase = false;
        Ok(Committed { id })
    }

    /// Makes a committed item visible to the reader.
    ///
    /// # Errors
    /// [`SpoolError::Full`] when the inbox cannot grow: the item stays durable and [`Depositor::post_late`] posts it.
    /// [`SpoolError::Store`]: it stays durable and the next [`Depositor::open`] posts it.
    pub fn post(&self, committed: Committed) -> Result<ItemId, SpoolError> {
        self.shared.post_or_keep(&committed.id)?;
        Ok(committed.id)
    }

    /// Stages, commits and posts an item whose body is at hand.
    ///
    /// # Errors
    /// As [`Depositor::stage`], [`Depositor::commit`] and [`Depositor::post`].
    pub fn deposit(&self, meta: &[u8], body: &[u8]) -> Result<ItemId, SpoolError> {
        let mut staged = self.stage(meta)?;
        io::Write::write_all(&mut staged, body)?;
        self.post(self.commit(staged)?)
    }

    /// Tries again to post what had no room; returns how many still wait. Cheap when none does.
    ///
    /// # Errors
    /// [`SpoolError::Store`].
    pub fn post_late(&self) -> Result<usize, SpoolError> {
        let late = std::mem::take(&mut *self.shared.late.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = 0;
        for id in late {
            match self.shared.post_or_keep(&id) {
                Ok(()) => {}
                Err(SpoolError::Full) => left += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    /// Takes a posted item back that a newer one makes useless; false when the reader has finished it already. A reader
    /// that is copying it meanwhile completes its copy.
    ///
    /// # Errors
    /// [`SpoolError::Store`]; the depositor stays usable.
    pub fn withdraw(&self, id: &ItemId) -> Result<bool, SpoolError> {
        match self.shared.fs.unlink(&self.shared.inbox, id.as_str()) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(SpoolError::Store(e)),
        }
    }

    /// Bytes that can be accepted before the reserve is touched (statvfs).
    ///
    /// # Errors
    /// The file system's.
    pub fn room(&self, reserve_bytes: u64) -> io::Result<u64> {
        let free = self.shared.fs.free_bytes(&self.shared.staging)?;
        Ok(free.saturating_sub(reserve_bytes).saturating_sub(format::OVERHEAD_BYTES))
    }

    /// True once the store failed: every further call fails, and the process is expected to end and start anew.
    pub fn is_poisoned(&self) -> bool {
        self.shared.check().is_err()
    }

    /// Commits several items as one batch, in this thread.
    #[cfg(test)]
    pub(crate) fn commit_batch(&self, mut batch: Vec<Staged<F>>) -> Result<Vec<Committed>, SpoolError> {
        for staged in &mut batch {
            staged.seal()?;
        }
        let ids: Vec<_> = batch.iter().map(|s| s.id.clone()).collect();
        for (staged, outcome) in batch.iter_mut().zip(self.shared.publish(&ids)) {
            outcome?;
            staged.erase = false;
        }
        Ok(ids.into_iter().map(|id| Committed { id }).collect())
    }
}

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 128 * 1024;

/// An item being written; its body goes in through [`io::Write`]. Erased on drop unless it was committed.
#[derive(Debug)]
pub struct Staged<F: Fs = OsFs> {
    shared: Arc<Shared<F>>,
    id: ItemId,
    file: F::File,
    buffer: Vec<u8>,
    crc: u32,
    body_len: u64,
    /// The first failed write: what is in the file is then unknown, so the item can only be dropped.
    spoilt: Option<io::Error>,
    erase: bool,
}

impl<F: Fs> Staged<F> {
    /// Bytes of the body written so far.
    pub fn body_len(&self) -> u64 {
        self.body_len
    }

    /// The identifier it will be posted under.
    pub fn id(&self) -> &ItemId {
        &self.id
    }

    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(error) = &self.spoilt {
            return Err(again(error));
        }
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.drain()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write_out(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_out(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_out(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let error = match self.shared.fs.write(&self.file, bytes) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    bytes = &bytes[n..];
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            if !is_full(&error) {
                self.shared.poison_with(again(&error));
            }
            self.spoilt = Some(again(&error));
            return Err(error);
        }
        Ok(())
    }

    /// Trailer, then the bytes to disk.
    fn seal(&mut self) -> Result<(), SpoolError> {
        self.shared.check()?;
        let end = format::trailer(self.body_len, self.crc);
        self.take_in(&end).and_then(|()| self.drain())?;
        match self.shared.fs.sync_data(&self.file) {
            Ok(()) => Ok(()),
            // Delayed allocation or a quota can refuse this late. The handle is dropped, not synced again.
            Err(error) => Err(self.shared.fail(error)),
        }
    }
}

impl<F: Fs> io::Write for Staged<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take_in(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.body_len += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// Does nothing: the bytes go out with the buffer, and to disk with [`Depositor::commit`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Fs> Drop for Staged<F> {
    fn drop(&mut self) {
        if self.erase {
            // What cannot be erased now is erased by the next start.
            let _ = self.shared.fs.unlink(&self.shared.staging, &part(&self.id));
        }
    }
}

/// An item that is durable in the writer's own house and not yet posted. Dropped, it is posted by the next start.
#[derive(Debug)]
#[must_use = "post it: until then the reader does not see it"]
pub struct Committed {
    id: ItemId,
}

impl Committed {
    /// Its identifier.
    pub fn id(&self) -> &ItemId {
        &self.id
    }
}
