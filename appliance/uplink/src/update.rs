//! What is more to a system update than to other parcels (carrier.rs): its archive. It is downloaded into a room of the house, and goes on where it ended: after a lost connection, a restart, a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use gift_spool::{Depositor, SpoolError};
use gift_wire::{SignedUpdate, Update};
use sha2::{Digest as _, Sha256};
use tokio::task;

use crate::{
    carrier::{Carrier, Trouble},
    durable,
    error::UplinkError,
    events,
    hub::Hub,
};

/// Room in the house: the archive that is on its way, by its digest.
pub(crate) const ROOM: &str = "update";
/// So many archives must fit on the disk: ours, the drop's, the updater's copy and the parts of it.
const COPIES: u64 = 4;
/// Downloaded bytes that a power cut may lose.
const SYNC_EVERY: u64 = 8 << 20;
/// Most bytes of archives a day. Whether an update counts is found when all of it is here: a hub that has others up again and again
/// would wear out the disk and fill the hospital's line.
const MOST_BYTES_A_DAY: u64 = 4 << 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What may be downloaded yet today.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Since when, and how much since.
    day: Option<(Instant, u64)>,
}

impl Budget {
    /// Counts `bytes` that came at `now`; false when the day's are used up.
    fn has(&mut self, bytes: u64, now: Instant) -> bool {
        let (_, used) = match &mut self.day {
            Some(day) if now.saturating_duration_since(day.0) < DAY => day,
            day => day.insert((now, 0)),
        };
        *used = used.saturating_add(bytes);
        *used <= MOST_BYTES_A_DAY
    }
}

impl Carrier {
    /// Fetches the archive of the update in `json`, and hands both over.
    ///
    /// # Errors
    /// What ended it.
    pub(crate) async fn bring_update(&mut self, hub: &Hub, tag: String, json: Vec<u8>) -> Result<(), Trouble> {
        // What is no update, or too long for one, is not asked for; neither signature nor serial is looked at here.
        let signed = SignedUpdate::from_json(&json).ok();
        let Some(update) = signed.and_then(|signed| Update::parse(&signed.update).ok()) else { return Ok(()) };
        let room = self.house.join(ROOM);
        let file = tidy(&room, &room.join(update.archive.as_str())).map_err(cannot_keep)?;
        let there = file.metadata().map_err(cannot_keep)?.len();
        let wanted = update.archive_bytes().saturating_mul(COPIES).saturating_sub(there);
        if self.drop.room(0).map_err(cannot_keep)? < wanted {
            events::disk_full();
            return Ok(());
        }
        if !self.budget.has(0, Instant::now()) {
            events::updates_too_large();
            return Ok(());
        }
        let archive = self.download(hub, &update, file).await?;
        let (whole, length) = (archive.clone(), usize::try_from(update.archive_bytes()).unwrap_or(usize::MAX));
        self.hand_over(tag, length, move |drop| deposit(drop, &json, &whole)).await?;
        Ok(durable::remove(&archive).map_err(cannot_keep)?)
    }

    /// The whole archive, of the right digest.
    async fn download(&mut self, hub: &Hub, update: &Update, mut file: File) -> Result<PathBuf, Trouble> {
        let path = self.house.join(ROOM).join(update.archive.as_str());
        let mut there = file.metadata().map_err(cannot_keep)?.len();
        if there > update.archive_bytes() {
            file.set_len(0).map_err(cannot_keep)?;
            there = 0;
        }
        let mut synced = there;
        if there < update.archive_bytes() {
            let mut answer = hub.archive(&update.archive, there).await?;
            while let Some(piece) = hub.next_piece(&mut answer).await? {
                there += piece.len() as u64;
                if there > update.archive_bytes() || !self.budget.has(piece.len() as u64, Instant::now()) {
                    return Err(Trouble::Hub);
                }
                // Pieces are small; a blocking write of one does not hold the others up for long.
                file.write_all(&piece).map_err(cannot_keep)?;
                if there - synced >= SYNC_EVERY {
                    file.sync_data().map_err(cannot_keep)?;
                    synced = there;
                }
            }
        }
        if there < update.archive_bytes() {
            return Err(Trouble::Hub);
        }
        file.sync_all().map_err(cannot_keep)?;
        let (wanted, whole) = (update.archive.clone(), path.clone());
        let digest = task::spawn_blocking(move || digest(&whole)).await;
        // One that cannot be read (a sector of the disk) is as good as a damaged one.
        if !digest.is_ok_and(|digest| digest.is_ok_and(|digest| digest == wanted.as_str())) {
            // What is there is worth nothing: from the beginning, at the next turn.
            durable::remove(&path).map_err(cannot_keep)?;
            events::update_damaged();
            return Err(Trouble::Hub);
        }
        Ok(path)
    }
}

fn cannot_keep(error: io::Error) -> UplinkError {
    UplinkError::store("cannot keep an update")(error)
}

/// Opens the archive at `path` to be written on, and removes what else is in `room`.
fn tidy(room: &std::path::Path, path: &std::path::Path) -> io::Result<File> {
    for entry in fs::read_dir(room)? {
        let other = entry?.path();
        if other != path {
            durable::remove(&other)?;
        }
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn digest(path: &std::path::Path) -> io::Result<String> {
    let (mut file, mut digest, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(digest.finalize())),
            length => digest.update(piece.get(..length).unwrap_or_default()),
        }
    }
}

fn deposit(drop: &Depositor, json: &[u8], archive: &std::path::Path) -> Result<(), SpoolError> {
    let mut staged = drop.stage(json)?;
    io::copy(&mut File::open(archive).map_err(SpoolError::Store)?, &mut staged)?;
    drop.post(drop.commit(staged)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_an_end() {
        let (mut budget, began) = (Budget::default(), Instant::now());
        assert!(budget.has(MOST_BYTES_A_DAY - 1, began));
        assert!(budget.has(1, began + DAY / 2));
        assert!(!budget.has(1, began + DAY / 2));
        assert!(!budget.has(0, began + DAY - Duration::from_secs(1)), "used up for the rest of the day");
        assert!(budget.has(1, began + DAY), "the next day");
    }
}
