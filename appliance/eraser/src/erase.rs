//! The erasing itself, in an order that lets a power cut come at any moment: first the mark, durably; then random bytes over everything that
//! opens the state, which is worth nothing afterwards. `finish` does the second part (again) at the next boot, before anything could open
//! the state by a header that was left; it leaves the mark, until systemd-repart puts a new state in the place of the old one.

use std::io;

use gift_wire::OrderKind;

use crate::{
    disk::{Disk, Filling, overwrite},
    events, luks,
    mark::{MARK_BYTES, Mark},
};

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EraseError {
    /// What lies there is not the state.
    #[error("the partition holds no LUKS2, and nothing of it was touched")]
    NotOurs,
    /// The disk's.
    #[error("the partition: {0}")]
    Disk(#[from] io::Error),
}

/// The mark of the partition, if its erasing has begun.
///
/// # Errors
/// The disk's.
pub(crate) fn mark_of(disk: &impl Disk) -> io::Result<Option<Mark>> {
    let mut sector = [0; MARK_BYTES];
    if disk.size()? < MARK_BYTES as u64 {
        return Ok(None);
    }
    disk.read(&mut sector, 0)?;
    Ok(Mark::parse(&sector))
}

/// Erases the state on `disk`. Once the mark is durable this succeeds: what could not be done now is done at the next boot, which must
/// follow at once, because the key is in memory until then.
///
/// # Errors
/// [`EraseError`]; the state is then as it was, or (an error of the disk) marked.
pub(crate) fn begin(disk: &impl Disk, kind: OrderKind) -> Result<(), EraseError> {
    let mark = match mark_of(disk)? {
        // A decommissioning is not made less by a reset that comes later.
        Some(there) if there.kind == OrderKind::Decommission => there,
        Some(there) => Mark { kind, ..there },
        None => Mark { kind, end: luks::end_of_keys(disk)?.ok_or(EraseError::NotOurs)? },
    };
    events::begins(mark.kind);
    disk.write(&mark.sector(), 0)?;
    disk.sync()?;
    match keys(disk, mark) {
        Ok(()) => events::begun(mark.kind),
        Err(error) => events::left_to_boot(&error),
    }
    Ok(())
}

/// Ends the erasing that was begun on `disk`; what it was, `None` where there was none. `provisioning` gives the provisioning's partition.
///
/// # Errors
/// The disk's: the state must not be opened then.
pub(crate) fn finish<P: Disk>(
    disk: &impl Disk,
    provisioning: impl FnOnce() -> io::Result<P>,
) -> io::Result<Option<OrderKind>> {
    let Some(mark) = mark_of(disk)? else { return Ok(None) };
    keys(disk, mark)?;
    if mark.kind == OrderKind::Decommission {
        // Keys in it are wrapped to an identity that is gone. Random bytes first: nothing of the text is left on the medium.
        let partition = provisioning()?;
        let size = partition.size()?;
        overwrite(&partition, 0, size, Filling::Random)?;
        overwrite(&partition, 0, size, Filling::Zeros)?;
    }
    Ok(Some(mark.kind))
}

/// Random bytes over headers and key slots, but for the mark.
fn keys(disk: &impl Disk, mark: Mark) -> io::Result<()> {
    let end = mark.end.max(luks::LEAST).min(disk.size()?);
    overwrite(disk, MARK_BYTES as u64, end, Filling::Random)
}

#[cfg(test)]
mod tests;
