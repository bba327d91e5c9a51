//! The writer's side: stage, commit, post.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    error::SpoolError,
    format,
    fs::{Fs, OsFs},
    group::{Group, GroupCommit},
    item::ItemId,
    shared::{Recovered, Shared},
    staged::Staged,
};

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
        Staged::begin(&self.shared, meta)?.ok_or_else(|| SpoolError::Store(io::ErrorKind::InvalidInput.into()))
    }

    /// Commits (group commit across threads): on return the item survives power loss. Blocking.
    ///
    /// # Errors
    /// [`SpoolError::Full`]: this item was refused and erased, others go on. [`SpoolError::Store`]: the depositor is
    /// poisoned and the process should end; whether the item is on disk is unknown, so it must not be acknowledged.
    pub fn commit(&self, mut staged: Staged<F>) -> Result<Committed, SpoolError> {
        staged.seal()?;
        let id = staged.id().clone();
        self.shared.group.commit(id.clone(), |batch| self.shared.publish(batch))?;
        staged.keep();
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
        let ids: Vec<_> = batch.iter().map(|s| s.id().clone()).collect();
        for (staged, outcome) in batch.iter_mut().zip(self.shared.publish(&ids)) {
            outcome?;
            staged.keep();
        }
        Ok(ids.into_iter().map(|id| Committed { id }).collect())
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
