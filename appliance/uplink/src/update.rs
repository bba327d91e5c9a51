//! Brings signed system updates from the hub to the updater's drop. It carries them: whether one counts is the updater's to say. The
//! archive is downloaded into a room of the house, and goes on where it ended: after a lost connection, a restart, a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use gift_spool::{Depositor, SpoolError};
use gift_wire::{SignedUpdate, Update};
use sha2::{Digest as _, Sha256};
use tokio::{task, time};

use crate::{
    durable,
    enroller::HubInUse,
    error::{AttemptError, UplinkError},
    events,
    hub::Hub,
    settings::{Settings, SignedDrop},
};

/// File in the house: the entity tag of the update that was handed over last.
const TAG: &str = "update.tag";
/// Room in the house: the archive that is on its way, by its digest.
const ROOM: &str = "update";
/// So many archives must fit on the disk: ours, the drop's, the updater's copy and the parts of it.
const COPIES: u64 = 4;
/// Downloaded bytes that a power cut may lose.
const SYNC_EVERY: u64 = 8 << 20;

/// The carrier of updates.
#[derive(Debug)]
pub(crate) struct UpdateCarrier {
    hub: HubInUse,
    drop: Arc<Depositor>,
    house: PathBuf,
    interval: Duration,
}

impl UpdateCarrier {
    /// Opens the drop; `None` where the settings name none.
    ///
    /// # Errors
    /// A directory that cannot be used.
    pub(crate) fn open(settings: &Settings, hub: HubInUse) -> Result<Option<Self>, UplinkError> {
        let Some(SignedDrop { staging, inbox, interval_seconds }) = &settings.updates else { return Ok(None) };
        durable::make_private_directory(&settings.house.join(ROOM))
            .map_err(UplinkError::store("cannot make the room for updates"))?;
        let drop = Arc::new(Depositor::open(staging, inbox)?);
        let interval = Duration::from_secs(*interval_seconds);
        Ok(Some(Self { hub, drop, house: settings.house.clone(), interval }))
    }

    /// Asks the hub again and again.
    ///
    /// # Errors
    /// The drop or the house failed.
    pub(crate) async fn run(mut self) -> Result<(), UplinkError> {
        loop {
            let hub = self.hub.borrow_and_update().clone();
            if let Some(hub) = hub {
                match self.round(&hub).await {
                    Ok(()) => {}
                    Err(Trouble::Store(error)) if error.is_full() => events::disk_full(),
                    Err(Trouble::Store(error)) => return Err(error),
                    // What goes wrong with the hub shows in what uplink is for; the next turn goes on.
                    Err(Trouble::Hub) => {}
                }
            }
            tokio::select! {
                changed = self.hub.changed() => changed.map_err(|_| UplinkError::Ended("the enrolment"))?,
                () = time::sleep(self.interval) => {}
            }
        }
    }

    async fn round(&self, hub: &Hub) -> Result<(), Trouble> {
        let tag = fs::read_to_string(self.house.join(TAG)).ok();
        let Some((tag, json)) = hub.update(tag.as_deref()).await? else { return Ok(()) };
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
        let archive = self.download(hub, &update, file).await?;
        let (drop, house, length) = (self.drop.clone(), self.house.clone(), update.archive_bytes());
        let handed = task::spawn_blocking(move || {
            hand_over(&drop, &json, &archive).and_then(|()| {
                // After the update: a crash in between hands it over twice, and the updater passes over the second.
                durable::replace(&house, TAG, tag.as_bytes()).map_err(SpoolError::Store)?;
                durable::remove(&archive).map_err(SpoolError::Store)
            })
        });
        handed
            .await
            .unwrap_or_else(|_| Err(SpoolError::Store(io::ErrorKind::Other.into())))
            .map_err(UplinkError::from)?;
        events::update_handed_over(length);
        Ok(())
    }

    /// The whole archive, of the right digest.
    async fn download(&self, hub: &Hub, update: &Update, mut file: File) -> Result<PathBuf, Trouble> {
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
                if there > update.archive_bytes() {
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
        let digest = digest.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(cannot_keep)?;
        if digest != wanted.as_str() {
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

/// What ended a round.
#[derive(Debug)]
enum Trouble {
    /// The hub, or the way to it.
    Hub,
    /// The disk.
    Store(UplinkError),
}

impl From<AttemptError> for Trouble {
    fn from(_: AttemptError) -> Self {
        Self::Hub
    }
}

impl From<UplinkError> for Trouble {
    fn from(error: UplinkError) -> Self {
        Self::Store(error)
    }
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

fn hand_over(drop: &Depositor, json: &[u8], archive: &std::path::Path) -> Result<(), SpoolError> {
    drop.post_late()?;
    let mut staged = drop.stage(json)?;
    io::copy(&mut File::open(archive).map_err(SpoolError::Store)?, &mut staged)?;
    drop.post(drop.commit(staged)?)?;
    Ok(())
}
