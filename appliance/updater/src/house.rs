//! The updater's house, and what runs now.

use std::{
    cell::RefCell,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use gift_service::{StatusFile, now_ms};
use gift_status::{Process, RunState, UpdateRefusal, UpdateState};
use gift_wire::ImageVersion;

use crate::{events, record::Record};

/// Set by systemd-boot while the entry it started has tries to count (systemd's Boot Loader Interface).
const COUNTED: &str = "/sys/firmware/efi/efivars/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Says which image runs (os-release(5), IMAGE_VERSION).
const OS_RELEASE: &str = "/usr/lib/os-release";

/// House, record, and the status that the others see.
#[derive(Debug)]
pub(crate) struct House {
    root: PathBuf,
    /// Where the processes publish their status records.
    pub(crate) statuses: PathBuf,
    record: RefCell<Record>,
    status: StatusFile,
    /// The image that runs.
    pub(crate) running: Option<ImageVersion>,
    /// The boot loader counts this boot's tries, and has not been told yet to keep the image.
    pub(crate) on_trial: bool,
    /// There once it has been told.
    kept: PathBuf,
}

impl House {
    /// Opens it.
    ///
    /// # Errors
    /// A record that cannot be read.
    pub(crate) fn open(root: &Path, statuses: &Path, run: &Path) -> Result<Self> {
        let record = Record::load(&root.join("record.json")).context("the updater's record")?;
        let running = fs::read_to_string(OS_RELEASE).ok().and_then(|text| image_version(&text));
        let kept = run.join("kept");
        let on_trial = Path::new(COUNTED).exists() && !kept.exists();
        let status = StatusFile::new(&statuses.join(Process::Updater.name()));
        Ok(Self {
            root: root.to_owned(),
            statuses: statuses.to_owned(),
            record: RefCell::new(record),
            status,
            running,
            on_trial,
            kept,
        })
    }

    /// A place in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What it remembers.
    pub(crate) fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// Remembers `record`, and tells the others.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn remember(&self, record: Record) -> io::Result<()> {
        record.save(&self.path("record.json"))?;
        self.record.replace(record);
        self.publish();
        Ok(())
    }

    /// Remembers another state of the same update.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn becomes(&self, state: UpdateState) -> io::Result<()> {
        events::state(self.record.borrow().serial, state);
        let changed_ms = now_ms();
        self.remember(Record { state, changed_ms, ..self.record() })
    }

    /// Remembers why an update was not taken.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn refuses(&self, refusal: UpdateRefusal) -> io::Result<()> {
        if self.record.borrow().refusal == Some(refusal) {
            return Ok(());
        }
        events::refused(refusal);
        self.remember(Record { refusal: Some(refusal), ..self.record() })
    }

    /// At boot: what became of the update that was written last.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn settle(&self) -> Result<()> {
        let record = self.record();
        let state = record.settled(self.running.as_ref(), self.on_trial);
        if state == record.state {
            self.publish();
            return Ok(());
        }
        Ok(self.becomes(state)?)
    }

    /// The boot loader keeps to the image that runs.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn confirm(&self) -> Result<()> {
        fs::write(&self.kept, "")?;
        let record = self.record();
        let state = record.settled(self.running.as_ref(), false);
        if state == record.state {
            return Ok(());
        }
        Ok(self.becomes(state)?)
    }

    fn publish(&self) {
        // The box goes on without; health then knows of no update.
        if self.status.publish(RunState::Ready, self.record.borrow().status()).is_err() {
            events::status_failed();
        }
    }
}

/// `IMAGE_VERSION` of an os-release(5).
fn image_version(text: &str) -> Option<ImageVersion> {
    let line = text.lines().find_map(|line| line.strip_prefix("IMAGE_VERSION="))?;
    ImageVersion::parse(line.trim_matches(|quote| quote == '"' || quote == '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_image_is_what_its_os_release_says() {
        let version = |text: &str| image_version(text).map(|version| version.to_string());
        assert_eq!(version("ID=debian\nIMAGE_ID=gift-edge\nIMAGE_VERSION=\"0.2.0\"\n").as_deref(), Some("0.2.0"));
        assert_eq!(version("IMAGE_VERSION=1.4\n").as_deref(), Some("1.4"));
        assert_eq!(version("ID=debian\n"), None);
    }

    #[test]
    fn a_trial_ends_confirmed_and_nothing_else_is_confirmed() {
        let (directory, statuses) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(statuses.path().join("updater")).unwrap();
        let running = ImageVersion::parse("1.1");
        let open = || House {
            running: running.clone(),
            ..House::open(directory.path(), statuses.path(), statuses.path()).unwrap()
        };
        let house = open();
        house.confirm().unwrap();
        assert_eq!(house.record().state, UpdateState::None);
        let image = running.clone();
        house.remember(Record { serial: 2, image, state: UpdateState::Trying, ..Record::default() }).unwrap();
        house.refuses(UpdateRefusal::Serial).unwrap();
        house.confirm().unwrap();
        let record = open().record();
        assert_eq!((record.serial, record.state), (2, UpdateState::Confirmed));
        assert_eq!(record.refusal, Some(UpdateRefusal::Serial));
        let seen: gift_status::StatusRecord<gift_status::UpdaterStatus> =
            gift_service::read_status(Process::Updater, &statuses.path().join("updater")).unwrap();
        assert_eq!(seen.body, record.status());
    }
}
