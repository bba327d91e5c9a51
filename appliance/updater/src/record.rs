//! What the updater remembers: one small text on the state partition, replaced whole.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use gift_status::{UpdateRefusal, UpdateState, UpdaterStatus};
use gift_wire::ImageVersion;
use serde::{Deserialize, Serialize};

/// The newest update that was taken, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// Its serial; 0 before the first. Only grows: no update of this or a smaller one is taken again.
    pub(crate) serial: u64,
    /// Its image.
    pub(crate) image: Option<ImageVersion>,
    /// What became of it.
    pub(crate) state: UpdateState,
    /// Why the last one that was refused was, until another is taken.
    pub(crate) refusal: Option<UpdateRefusal>,
    /// When the state changed, ms since the Unix epoch.
    pub(crate) changed_ms: u64,
    /// The update that was begun to be written last, and how often that was begun.
    pub(crate) begun: u64,
    /// See `begun`.
    pub(crate) attempts: u32,
}

impl Record {
    /// Reads it; a box without one never took an update. One that says what this image does not know (a later image wrote it, and was
    /// given up) is set aside: what is older than the image that runs is refused all the same.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(record),
                Err(_) => {
                    crate::events::record_set_aside();
                    fs::rename(path, path.with_extension("unknown"))?;
                    Ok(Self::default())
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces it so that a power cut leaves the old one or the new one.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let part = path.with_extension("part");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    }

    /// What of it the others see.
    pub(crate) fn status(&self) -> UpdaterStatus {
        UpdaterStatus { serial: self.serial, state: self.state, refusal: self.refusal, changed_ms: self.changed_ms }
    }

    /// What became of the update, at the boot of the image `running`; `on_trial` when the boot loader counts this boot's tries.
    pub(crate) fn settled(&self, running: Option<&ImageVersion>, on_trial: bool) -> UpdateState {
        let runs = running.is_some() && running == self.image.as_ref();
        match self.state {
            // Also when the power went between the last byte and the note that it is written.
            UpdateState::Installing | UpdateState::Installed | UpdateState::Trying if runs => {
                if on_trial {
                    UpdateState::Trying
                } else {
                    UpdateState::Confirmed
                }
            }
            // It was written, and the boot loader gave it up.
            UpdateState::Installed | UpdateState::Trying => UpdateState::RolledBack,
            // Another image was written to the disk by hand.
            UpdateState::Confirmed if !runs => UpdateState::RolledBack,
            // The power went while it was written: `take` finds it in the drop and begins again.
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_an_update_follows_from_what_runs() {
        use UpdateState as S;
        let version = |text: &str| ImageVersion::parse(text).unwrap();
        let (old, new) = (version("1.0"), version("1.1"));
        let settled = |state, running: Option<&ImageVersion>, on_trial| {
            Record { serial: 3, image: Some(new.clone()), state, ..Record::default() }.settled(running, on_trial)
        };
        for state in [S::Installing, S::Installed, S::Trying] {
            assert_eq!(settled(state, Some(&new), true), S::Trying);
            assert_eq!(settled(state, Some(&new), false), S::Confirmed);
        }
        for state in [S::Installed, S::Trying] {
            assert_eq!(settled(state, Some(&old), false), S::RolledBack);
            assert_eq!(settled(state, None, false), S::RolledBack);
        }
        assert_eq!(settled(S::Confirmed, Some(&new), false), S::Confirmed);
        assert_eq!(settled(S::Confirmed, Some(&old), false), S::RolledBack);
        for state in [S::None, S::Installing, S::RolledBack, S::Failed] {
            assert_eq!(settled(state, Some(&old), false), state);
        }
        assert_eq!(Record::default().settled(None, false), S::None);
    }

    #[test]
    fn a_record_is_read_as_it_was_saved_and_one_of_a_later_image_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        assert_eq!(Record::load(&path).unwrap(), Record::default());
        let record = Record { serial: 9, image: ImageVersion::parse("2.0"), ..Record::default() };
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap(), record);
        fs::write(&path, "{\"state\":\"paused\"}").unwrap();
        assert_eq!(Record::load(&path).unwrap(), Record::default());
        assert!(directory.path().join("record.unknown").exists());
    }
}
