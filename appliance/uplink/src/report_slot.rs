//! The newest health report not yet sent. An older one is of no use to anybody, so there is room for one only.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use gift_wire::HealthReport;

use crate::durable;

const NAME: &str = "newest.json";
/// A report is counters and closed words; more than this is none, bytes.
pub(crate) const MAX_REPORT_BYTES: u64 = 256 * 1024;

/// The slot. The number counts the reports put in, so that sending an old one does not remove a newer one.
#[derive(Debug)]
pub(crate) struct ReportSlot {
    directory: PathBuf,
    puts: Mutex<u64>,
}

impl ReportSlot {
    /// A slot in `directory`, which exists.
    pub(crate) fn open(directory: PathBuf) -> Self {
        Self { directory, puts: Mutex::new(0) }
    }

    /// Puts a report in place of the one there; false when `bytes` is no health report.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<bool> {
        if serde_json::from_slice::<HealthReport>(bytes).is_err() {
            return Ok(false);
        }
        let mut puts = self.lock();
        durable::replace(&self.directory, NAME, bytes)?;
        *puts += 1;
        Ok(true)
    }

    /// The report that waits, and its number.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn peek(&self) -> io::Result<Option<(Vec<u8>, u64)>> {
        let puts = self.lock();
        match fs::read(self.directory.join(NAME)) {
            Ok(bytes) => Ok(Some((bytes, *puts))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The report of that number is done with; a newer one stays.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn done(&self, number: u64) -> io::Result<()> {
        let puts = self.lock();
        if *puts == number { durable::remove(&self.directory.join(NAME)) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.puts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use gift_status::{DiskState, Inputs, verdict};

    use super::*;

    pub(crate) fn report(sequence: u64) -> Vec<u8> {
        let disk = DiskState { free_bytes: 9, total_bytes: 9, reserve_bytes: 1 };
        let verdict = verdict(&Inputs { now_ms: 1, disk, ..Inputs::default() });
        let report = HealthReport {
            version: gift_wire::WIRE_VERSION,
            boot: "0a".repeat(16),
            sequence,
            sent_ms: 1,
            software: "0.1.0".into(),
            verdict,
            disk,
            receiver: None,
            deid: None,
            uplink: None,
            update: None,
        };
        serde_json::to_vec(&report).unwrap()
    }

    #[test]
    fn the_newest_report_waits_and_sending_an_old_one_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let slot = ReportSlot::open(directory.path().to_owned());
        assert!(slot.peek().unwrap().is_none());
        assert!(slot.put(&report(1)).unwrap());
        let (_, old) = slot.peek().unwrap().unwrap();
        assert!(slot.put(&report(2)).unwrap());
        slot.done(old).unwrap();
        let (bytes, new) = slot.peek().unwrap().unwrap();
        assert_eq!(bytes, report(2));
        slot.done(new).unwrap();
        assert!(slot.peek().unwrap().is_none());
    }

    #[test]
    fn what_is_no_report_does_not_get_in() {
        let directory = tempfile::tempdir().unwrap();
        let slot = ReportSlot::open(directory.path().to_owned());
        assert!(!slot.put(b"{\"patient\":\"Doe\"}").unwrap());
        assert!(slot.peek().unwrap().is_none());
    }
}
