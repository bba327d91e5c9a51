//! Taking: from `release/outbox` into the uplink's own queue.
//!
//! Several items at a time: copy and check each (`<id>.part`, fdatasync), rename all, sync the directory once, write all
//! rows in one transaction, and only then finish the originals. A crash anywhere repeats work and loses nothing: a part is
//! removed, a renamed file without a row is found by its own manifest, an original with a row is only finished.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use gift_spool::{Collector, ItemId, Limits, SpoolError, Taken};
use gift_wire::{MAX_OBJECT_BYTES, ReleaseItem};
use tokio::sync::mpsc;

use crate::{
    board::Board,
    clerk::{Clerk, Unwritten},
    durable,
    error::UplinkError,
    events,
    house::House,
    key::Key,
    lanes::Entry,
    pulse::Pulse,
    queue_file::{self, QueueFault, Sealed},
    report_slot::{MAX_REPORT_BYTES, ReportSlot},
    settings::Settings,
};

/// Items taken between two directory syncs.
const BATCH: usize = 32;
/// How long the outbox is watched before it is scanned anyway; also how soon a stop is noticed.
const IDLE: Duration = Duration::from_millis(500);
/// How long to wait for room.
const FULL_PAUSE: Duration = Duration::from_secs(5);
/// What a record adds to its body at most, bytes.
const RECORD_OVERHEAD_BYTES: u64 = 128 * 1024;

/// What was taken, told to the courier.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// An object is in the queue.
    Object(Entry),
    /// A health report is in its slot.
    Report,
}

/// The taking side. Arrivals are a few bytes each and bounded by the disk, hence the unbounded channel.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) collector: Collector,
    pub(crate) house: House,
    pub(crate) clerk: Clerk,
    pub(crate) reports: Arc<ReportSlot>,
    pub(crate) board: Arc<Board>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) arrivals: mpsc::UnboundedSender<Arrival>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// Opens the outbox of the settings.
///
/// # Errors
/// Unknown writers, unusable directories.
pub(crate) fn collector(settings: &Settings) -> Result<Collector, UplinkError> {
    let aside = settings.set_aside_dir();
    durable::make_private_directory(&aside).map_err(UplinkError::store("cannot make the set-aside directory"))?;
    let limits = Limits { max_item_bytes: MAX_OBJECT_BYTES + RECORD_OVERHEAD_BYTES, ..Limits::default() };
    Ok(Collector::open(&settings.outbox, &aside, &settings.writer_uids()?)?.with_limits(limits))
}

/// What became of one item.
enum Item {
    /// Copied, checked and synced as a part.
    Object(Box<Sealed>),
    /// A health report, in its slot.
    Report,
    /// Not what it should be.
    Damaged,
    /// No longer there.
    Gone,
}

impl Outbox {
    /// Takes until told to stop, on a thread of its own.
    pub(crate) fn start(self) -> thread::JoinHandle<Result<(), UplinkError>> {
        thread::spawn(move || self.run())
    }

    fn run(&self) -> Result<(), UplinkError> {
        let mut told_full = false;
        while !self.stopping() {
            self.pulse.beat();
            let items = self.collector.scan()?;
            let mut progress = false;
            for batch in items.chunks(BATCH) {
                if self.stopping() {
                    break;
                }
                match self.take_batch(batch) {
                    Ok(any) => {
                        progress |= any;
                        told_full = false;
                    }
                    Err(error) if error.is_full() => {
                        if !std::mem::replace(&mut told_full, true) {
                            events::disk_full();
                        }
                        progress = false;
                        self.pause(FULL_PAUSE);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !progress {
                self.collector.wait(IDLE);
            }
        }
        Ok(())
    }

    /// Takes a batch; true when an item left the outbox. On an error no original of its objects is finished.
    fn take_batch(&self, batch: &[ItemId]) -> Result<bool, UplinkError> {
        let keyed: Vec<(Key, &ItemId)> =
            batch.iter().filter_map(|id| Key::parse(id.as_str()).map(|key| (key, id))).collect();
        let known = self.clerk.known(keyed.iter().map(|(key, _)| *key).collect()).map_err(|_| ledger_gone())?;
        let mut progress = false;
        let mut taken: Vec<(Key, &ItemId, Box<Sealed>)> = Vec::new();
        let outcome = keyed.into_iter().zip(known).try_for_each(|((key, id), known)| {
            self.pulse.beat();
            if known {
                // Taken by an earlier run that ended before it could finish the original.
                self.collector.finish(id)?;
                progress = true;
                return Ok(());
            }
            match self.take(key, id)? {
                Item::Object(sealed) => taken.push((key, id, sealed)),
                Item::Report => {
                    self.collector.finish(id)?;
                    progress = true;
                    let _ = self.arrivals.send(Arrival::Report);
                }
                Item::Damaged => progress |= self.set_aside(id)?,
                Item::Gone => {}
            }
            Ok(())
        });
        match outcome.and_then(|()| self.queue(&taken)) {
            Ok(queued) => Ok(progress | queued),
            Err(error) => {
                // Without room, the space is given back. After any other error the process ends, and the next start looks at
                // what is really there: a row may have been written although its commit was not confirmed.
                for (key, ..) in taken.iter().filter(|_| error.is_full()) {
                    let _ = fs::remove_file(self.house.part(*key));
                    let _ = fs::remove_file(self.house.queued(*key));
                }
                Err(error)
            }
        }
    }

    /// Makes the parts queue files, writes their rows, finishes the originals.
    fn queue(&self, taken: &[(Key, &ItemId, Box<Sealed>)]) -> Result<bool, UplinkError> {
        if taken.is_empty() {
            return Ok(false);
        }
        for (key, ..) in taken {
            fs::rename(self.house.part(*key), self.house.queued(*key)).map_err(UplinkError::store("cannot queue"))?;
        }
        durable::sync_directory(&self.house.queue()).map_err(UplinkError::store("cannot sync the queue"))?;
        let rows = taken.iter().map(|(key, _, sealed)| (*key, sealed.manifest.size, sealed.posted_ms)).collect();
        match self.clerk.accept(rows) {
            Ok(()) => {}
            Err(Unwritten::Full) => return Err(UplinkError::Outbox(SpoolError::Full)),
            Err(Unwritten::Gone) => return Err(ledger_gone()),
        }
        for (key, id, sealed) in taken {
            // From here on the object is ours: an original that cannot be erased is tried again by the next scan.
            let entry = Entry::new(*key, sealed.manifest.size, sealed.posted_ms);
            let _ = self.arrivals.send(Arrival::Object(entry));
            if self.collector.finish(id).is_err() {
                events::original_stays(id.as_str());
            }
        }
        Ok(true)
    }

    /// Copies one item into a part of our own and checks it.
    fn take(&self, key: Key, id: &ItemId) -> Result<Item, UplinkError> {
        let path = self.house.part(key);
        let create = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
        let mut file = create.map_err(UplinkError::store("cannot make a part"))?;
        let item = match self.collector.take(id, &mut file) {
            Ok(taken) => self.check(&mut file, &taken),
            Err(SpoolError::Damaged) => Ok(Item::Damaged),
            Err(SpoolError::Gone) => Ok(Item::Gone),
            Err(error) => Err(error.into()),
        };
        if !matches!(item, Ok(Item::Object(..))) {
            let _ = fs::remove_file(&path);
        }
        item
    }

    fn check(&self, file: &mut File, taken: &Taken) -> Result<Item, UplinkError> {
        let failed = UplinkError::store("cannot write a part");
        match serde_json::from_slice(&taken.meta) {
            Ok(ReleaseItem::Object(manifest)) if manifest.check().is_ok() && manifest.size == taken.body_len => {
                match queue_file::check_body(file, &manifest) {
                    Ok(()) => {}
                    Err(QueueFault::Damaged) => return Ok(Item::Damaged),
                    Err(QueueFault::Read(source)) => return Err(failed(source)),
                }
                let sealed = Sealed { manifest: *manifest, posted_ms: taken.posted_ms };
                let written = queue_file::seal(file, taken.body_len, &sealed).and_then(|()| file.sync_data());
                written.map_err(failed)?;
                Ok(Item::Object(Box::new(sealed)))
            }
            Ok(ReleaseItem::Health) if taken.body_len <= MAX_REPORT_BYTES => {
                let mut report = Vec::new();
                let read = file.rewind().and_then(|()| io::Read::read_to_end(file, &mut report));
                let put = read.and_then(|_| self.reports.put(&report)).map_err(failed)?;
                Ok(if put { Item::Report } else { Item::Damaged })
            }
            Ok(_) | Err(_) => Ok(Item::Damaged),
        }
    }

    fn set_aside(&self, id: &ItemId) -> Result<bool, UplinkError> {
        match self.collector.set_aside(id) {
            Ok(()) => {
                events::damaged_item(id.as_str());
                self.board.damaged(1);
                Ok(true)
            }
            Err(SpoolError::Gone) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps in short steps, so that a stop is noticed and the pulse stays.
    fn pause(&self, long: Duration) {
        let end = std::time::Instant::now() + long;
        while !self.stopping() && std::time::Instant::now() < end {
            self.pulse.beat();
            thread::sleep(IDLE);
        }
    }
}

/// The clerk's own error tells why.
fn ledger_gone() -> UplinkError {
    UplinkError::Ended("the ledger")
}
