//! What a depositor and its staged items share: the two directories, the poison, publishing a batch, and recovery.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use nix::errno::Errno;

use crate::{
    error::{SpoolError, again, errno, is_full},
    format,
    fs::{Fs, Kind},
    group::{Group, Outcome},
    item::ItemId,
};

/// Name of an item that is still being written.
pub(crate) fn part(id: &ItemId) -> String {
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

/// The store of one depositor and its clones.
#[derive(Debug)]
pub(crate) struct Shared<F: Fs> {
    pub(crate) fs: F,
    pub(crate) staging: F::Dir,
    pub(crate) inbox: F::Dir,
    pub(crate) group: Group,
    /// The first failure of the store; from then on nothing is accepted.
    pub(crate) poison: Mutex<Option<io::Error>>,
    /// Committed items that could not be posted for want of room.
    pub(crate) late: Mutex<Vec<ItemId>>,
}

impl<F: Fs> Shared<F> {
    /// The error everybody gets once the store failed.
    pub(crate) fn check(&self) -> Result<(), SpoolError> {
        let poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        poison.as_ref().map_or(Ok(()), |e| Err(SpoolError::Store(again(e))))
    }

    /// Sorts an error of an operation that may be repeated: want of room passes, anything else poisons.
    pub(crate) fn fail(&self, error: io::Error) -> SpoolError {
        if is_full(&error) { SpoolError::Full } else { self.poison_with(error) }
    }

    pub(crate) fn poison_with(&self, error: io::Error) -> SpoolError {
        let mut poison = self.poison.lock().unwrap_or_else(PoisonError::into_inner);
        SpoolError::Store(again(poison.get_or_insert(error)))
    }

    /// Renames a batch of synced items to their final names and makes that durable with one directory fsync.
    pub(crate) fn publish(&self, batch: &[ItemId]) -> Vec<Outcome> {
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
    pub(crate) fn post_or_keep(&self, id: &ItemId) -> Result<(), SpoolError> {
        let posted = self.post(id);
        if matches!(posted, Err(SpoolError::Full)) {
            self.late.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        }
        posted
    }

    /// Settles what an earlier run left: posts whole items, erases partial ones, sets torn ones aside.
    pub(crate) fn recover(&self) -> Result<Recovered, SpoolError> {
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
        // An inode that cannot be read is damage like any other; what cannot even be renamed ends the start.
        let unreadable = |e: io::Error| if errno(&e) == Some(Errno::EIO) { SpoolError::Damaged } else { e.into() };
        let file = self.fs.open(&self.staging, id.as_str()).map_err(unreadable)?;
        let stat = self.fs.stat(&file).map_err(SpoolError::Store)?;
        if stat.kind != Kind::Regular {
            return Err(SpoolError::Damaged);
        }
        format::read_item(|into| self.fs.read(&file, into), stat.len, |_| Ok(())).map(drop)
    }
}
