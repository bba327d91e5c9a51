//! What all associations share: settings, books, counters and the drop directory, with the store's failures judged in one
//! place.

use std::{
    io::Write as _,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use gift_dimse::{AeTitle, ObjectHeader, Offer};
use gift_spool::{Committed, Depositor, IntakeRecord, Recovered, SpoolError, Staged};
use tokio::sync::{Notify, watch};

use crate::{
    admission::Admission,
    events::{Event, Ledger},
    settings::Settings,
};

/// Bytes of an object between two looks at the room that is left.
const ROOM_CHECK_BYTES: u64 = 16 * 1024 * 1024;

/// How far the end of the process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Serving,
    /// No new associations; running ones may finish.
    Finishing,
    /// Running ones are aborted.
    Aborting,
}

/// Who sends, as far as the record of an instance says.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) called_ae: AeTitle,
    pub(crate) calling_ae: AeTitle,
    pub(crate) source: IpAddr,
    /// Ordinal; 0 = not a configured scanner.
    pub(crate) scanner: u16,
}

/// Why an instance cannot be taken; either way it is answered A700H.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstored {
    /// No room; the next one may fit.
    Full,
    /// The store failed; the process will restart.
    Failed,
}

/// An instance on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    staged: Staged,
    unchecked_bytes: u64,
}

/// Shared by the listener and every association.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) settings: Settings,
    pub(crate) offer: Arc<Offer>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) ledger: Ledger,
    pub(crate) phase: watch::Sender<Phase>,
    /// Wakes the listener when the store has failed.
    pub(crate) failure: Notify,
    failed: AtomicBool,
    depositor: Depositor,
    /// Calls that wait for the disk.
    at_disk: AtomicUsize,
    associations: AtomicU64,
}

impl Intake {
    pub(crate) fn new(settings: Settings, depositor: Depositor) -> Arc<Self> {
        let Recovered { posted, erased, damaged } = depositor.recovered();
        let ledger = Ledger::default();
        ledger.record(Event::Recovered { posted, erased, damaged });
        Arc::new(Self {
            offer: Arc::new(settings.offer()),
            admission: Admission::new(settings.limits),
            settings,
            ledger,
            phase: watch::Sender::new(Phase::Serving),
            failure: Notify::new(),
            failed: AtomicBool::new(false),
            depositor,
            at_disk: AtomicUsize::new(0),
            associations: AtomicU64::new(0),
        })
    }

    /// A serial number for an association.
    pub(crate) fn next_association(&self) -> u64 {
        self.associations.fetch_add(1, Relaxed) + 1
    }

    /// Whether the disk has room beyond the reserve.
    pub(crate) fn has_room(&self) -> bool {
        self.depositor.room(self.settings.reserve_bytes).is_ok_and(|bytes| bytes > 0)
    }

    /// Calls that wait for the disk now.
    pub(crate) fn at_disk(&self) -> usize {
        self.at_disk.load(Relaxed)
    }

    /// Whether the store has failed.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// Stages an instance. Blocks for as long as creating a file takes.
    pub(crate) fn begin(&self, sender: &Sender, header: &ObjectHeader) -> Result<Incoming, Unstored> {
        if !self.has_room() {
            return Err(Unstored::Full);
        }
        let record = IntakeRecord {
            version: 1,
            called_ae: sender.called_ae.as_str().to_owned(),
            calling_ae: sender.calling_ae.as_str().to_owned(),
            source: sender.source.to_canonical(),
            scanner: sender.scanner,
            sop_class_uid: header.sop_class.as_str().to_owned(),
            sop_instance_uid: header.sop_instance.as_str().to_owned(),
            transfer_syntax_uid: header.transfer_syntax.as_str().to_owned(),
            received_ms: gift_service::now_ms(),
        };
        let meta = serde_json::to_vec(&record).map_err(|_| Unstored::Failed)?;
        let _visit = Visit::begin(self);
        let staged = self.depositor.stage(&meta).map_err(|error| self.judge("stage", error))?;
        Ok(Incoming { staged, unchecked_bytes: 0 })
    }

    /// Writes bytes of the data set. Blocks for as long as the page cache does.
    pub(crate) fn write(&self, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Unstored> {
        incoming.unchecked_bytes += bytes.len() as u64;
        if incoming.unchecked_bytes >= ROOM_CHECK_BYTES {
            incoming.unchecked_bytes = 0;
            if !self.has_room() {
                return Err(Unstored::Full);
            }
        }
        let _visit = Visit::begin(self);
        incoming.staged.write_all(bytes).map_err(|error| self.judge("write", SpoolError::from(error)))
    }

    /// Makes the instance durable: on return it survives power loss. Waits for a blocking thread and the disk.
    pub(crate) async fn commit(self: &Arc<Self>, incoming: Incoming) -> Result<Committed, Unstored> {
        let depositor = self.depositor.clone();
        let visit = Visit::begin(self);
        let outcome = tokio::task::spawn_blocking(move || depositor.commit(incoming.staged)).await;
        drop(visit);
        match outcome {
            Ok(outcome) => outcome.map_err(|error| self.judge("commit", error)),
            // The commit panicked: nothing is known about the store.
            Err(_) => Err(self.fail("commit", 0)),
        }
    }

    /// Shows a committed instance to deid. Blocks for a rename. Whatever happens, the instance stays durable: want of room is
    /// tried again by [`Intake::post_late`], and a failed store posts when it is opened again.
    pub(crate) fn post(&self, committed: Committed) {
        let _visit = Visit::begin(self);
        if let Err(error) = self.depositor.post(committed) {
            self.judge("post", error);
        }
    }

    /// Posts what had no room earlier.
    pub(crate) fn post_late(&self) {
        if let Err(error) = self.depositor.post_late() {
            self.judge("post", error);
        }
    }

    fn judge(&self, step: &'static str, error: SpoolError) -> Unstored {
        match error {
            SpoolError::Full => Unstored::Full,
            SpoolError::Store(error) => self.fail(step, error.raw_os_error().unwrap_or(0)),
            SpoolError::Damaged | SpoolError::Gone => self.fail(step, 0),
        }
    }

    fn fail(&self, step: &'static str, errno: i32) -> Unstored {
        if !self.failed.swap(true, Relaxed) {
            self.ledger.record(Event::StoreFailed { step, errno });
        }
        self.failure.notify_one();
        Unstored::Failed
    }
}

/// A call that waits for the disk; its end is progress for the watchdog.
struct Visit<'a>(&'a Intake);

impl<'a> Visit<'a> {
    fn begin(intake: &'a Intake) -> Self {
        intake.at_disk.fetch_add(1, Relaxed);
        Self(intake)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.at_disk.fetch_sub(1, Relaxed);
        self.0.ledger.beat();
    }
}

impl Incoming {
    /// Bytes of the data set so far.
    pub(crate) fn len(&self) -> u64 {
        self.staged.body_len()
    }
}
