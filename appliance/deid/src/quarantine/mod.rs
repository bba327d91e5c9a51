//! The quarantine: held objects, encrypted on the box, until a change of policy makes them safe to judge again.
//!
//! # Design constraints
//!
//! - What is held is never lost and never readable without deid's credential, also where the disk is not encrypted.
//! - An object is in exactly one place: its intake item is erased only after file and row are durable, its file only
//!   after its result is durable on the release side.
//! - The files are the truth, the rows an index: [`Quarantine::open`] makes them agree, both ways.
//!
//! # Order
//!
//! hold: `<id>.part`, fdatasync, rename to `<id>.held`, fsync of the directory, then the row. Release: unlink, fsync, then
//! the row. A crash in between leaves a file without row (adopted at start) or a row without file (dropped at start: of an
//! object that was released, or audited as lost).

pub mod sealed;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use gift_spool::{IntakeRecord, ItemId};
use gift_status::HoldReason;
use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Audit, HeldRow, Ledger, LedgerError, VerdictRow},
    settings::Quarantine as Settings,
};
use sealed::{SealError, WrapKey};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Why the quarantine could not do it.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// A bound of the settings is reached: the object stays where it is.
    #[error("quarantine is full")]
    Full {
        /// The bound is this scanner's own, not that of the whole.
        of_scanner: bool,
    },
    /// The disk has no room: the object stays where it is.
    #[error("no room for the quarantine")]
    NoRoom,
    /// The object does not open.
    #[error("held object does not open")]
    Damaged,
    /// The store failed: the process ends.
    #[error("quarantine: {0}")]
    Store(#[source] io::Error),
    /// The ledger failed: the process ends.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nothing can be sealed here.
    #[error("quarantine cannot seal")]
    Seal,
}

impl From<io::Error> for QuarantineError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Store(error),
        }
    }
}

impl From<SealError> for QuarantineError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Io(error) => error.into(),
            SealError::Damaged => Self::Damaged,
            SealError::Seal => Self::Seal,
        }
    }
}

/// What is sealed together with a held object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMeta {
    /// What the receiver said of it; absent when that could not be read.
    pub record: Option<IntakeRecord>,
    /// Why it was held when it was sealed.
    pub reason: HoldReason,
    /// Its sender's ordinal.
    pub scanner: u16,
    /// When it was received, ms since the Unix epoch.
    pub received_ms: u64,
    /// Keyed digest of the object.
    pub input_digest: String,
    /// Its format's fingerprint (JSON), as the worker that judged it said.
    pub fingerprint: Option<String>,
    /// Keyed digest of that.
    pub fingerprint_digest: Option<String>,
}

/// How much is held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Objects by reason.
    pub by_reason: BTreeMap<HoldReason, u64>,
    /// Objects by scanner.
    pub by_scanner: BTreeMap<u16, u64>,
    /// Objects in all.
    pub objects: u64,
    /// Size in all, bytes.
    pub bytes: u64,
    /// Objects that do not open.
    pub damaged: u64,
}

impl Stock {
    fn add(&mut self, row: &HeldRow) {
        *self.by_reason.entry(row.reason).or_default() += 1;
        *self.by_scanner.entry(row.scanner).or_default() += 1;
        self.objects += 1;
        self.bytes += row.size;
        self.damaged += u64::from(row.damaged);
    }

    fn remove(&mut self, row: &HeldRow) {
        let less = |count: &mut u64| *count = count.saturating_sub(1);
        self.by_reason.entry(row.reason).and_modify(less);
        self.by_scanner.entry(row.scanner).and_modify(less);
        self.by_reason.retain(|_, count| *count > 0);
        self.by_scanner.retain(|_, count| *count > 0);
        self.objects = self.objects.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(row.size);
        self.damaged = self.damaged.saturating_sub(u64::from(row.damaged));
    }
}

/// What [`Quarantine::open`] had to mend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mended {
    /// Unfinished files erased.
    pub erased: u64,
    /// Files whose row was missing.
    pub adopted: u64,
    /// Rows whose object was gone although it had not been released.
    pub lost: u64,
}

/// The quarantine; shared by the lanes.
#[derive(Debug)]
pub struct Quarantine {
    directory: PathBuf,
    handle: File,
    wrap: WrapKey,
    bounds: Settings,
    stock: Mutex<Stock>,
}

impl Quarantine {
    /// Opens the quarantine in `directory`, which exists, and makes files and rows agree.
    ///
    /// # Errors
    /// [`QuarantineError::Store`] and [`QuarantineError::Ledger`].
    pub fn open(
        directory: &Path,
        wrap: WrapKey,
        bounds: Settings,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<(Self, Mended), QuarantineError> {
        let quarantine = Self {
            directory: directory.to_owned(),
            handle: File::open(directory)?,
            wrap,
            bounds,
            stock: Mutex::default(),
        };
        let mended = quarantine.reconcile(ledger, now_ms)?;
        let mut stock = Stock::default();
        ledger.held()?.iter().for_each(|row| stock.add(row));
        *quarantine.stock() = stock;
        Ok((quarantine, mended))
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, item: &str) -> PathBuf {
        self.directory.join(format!("{item}.held"))
    }

    /// How much is held now.
    pub fn count(&self) -> Stock {
        self.stock().clone()
    }

    /// True while nothing more may be held, of any scanner.
    pub fn is_full(&self) -> bool {
        let stock = self.stock();
        stock.objects >= self.bounds.max_objects || stock.bytes >= self.bounds.max_bytes
    }

    /// True while another object of `scanner` may be held.
    pub fn has_room_for(&self, scanner: u16) -> bool {
        let stock = self.stock();
        stock.by_scanner.get(&scanner).is_none_or(|&objects| objects < self.bounds.max_objects_per_scanner)
    }

    /// Holds `object` for the item and reason of `verdict`: on return file and rows are durable.
    ///
    /// # Errors
    /// [`QuarantineError`]; the object then stays where it is.
    pub fn hold(
        &self,
        ledger: &Ledger,
        verdict: &VerdictRow,
        meta: &HeldMeta,
        judged: &str,
        object: &mut dyn Read,
    ) -> Result<(), QuarantineError> {
        let mut row = row_of(&verdict.item, meta, 0, judged);
        let known = ledger.held_item(&row.item)?;
        // A repeat after a crash: the file may stand already, and is replaced by the same.
        if let Some(known) = &known {
            self.stock().remove(known);
        }
        let held = self.admit(&row).and_then(|()| {
            let size = self.write(&row.item, meta, object)?;
            let sized = HeldRow { size, ..row.clone() };
            ledger.hold(verdict, &sized)?;
            Ok(sized)
        });
        let mut stock = self.stock();
        match held {
            Ok(sized) => {
                stock.remove(&row);
                stock.add(&sized);
                Ok(())
            }
            Err(error) => {
                if !matches!(error, QuarantineError::Full { .. }) {
                    stock.remove(&row);
                }
                if let Some(known) = known {
                    row = known;
                    stock.add(&row);
                }
                Err(error)
            }
        }
    }

    /// Counts `row` if there is a place for it: before it is written, so that two lanes cannot both take the last one.
    fn admit(&self, row: &HeldRow) -> Result<(), QuarantineError> {
        let mut stock = self.stock();
        let of_scanner = stock.by_scanner.get(&row.scanner).copied().unwrap_or_default();
        if stock.objects >= self.bounds.max_objects || stock.bytes >= self.bounds.max_bytes {
            Err(QuarantineError::Full { of_scanner: false })
        } else if of_scanner >= self.bounds.max_objects_per_scanner {
            Err(QuarantineError::Full { of_scanner: true })
        } else {
            stock.add(row);
            Ok(())
        }
    }

    fn write(&self, item: &str, meta: &HeldMeta, object: &mut dyn Read) -> Result<u64, QuarantineError> {
        let part = self.directory.join(format!("{item}.part"));
        let written = (|| {
            let meta = serde_json::to_vec(meta).map_err(|_| QuarantineError::Seal)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            sealed::seal(&self.wrap, item, &meta, object, &mut file)?;
            file.sync_data()?;
            let size = file.metadata()?.len();
            fs::rename(&part, self.path(item))?;
            self.handle.sync_all()?;
            Ok(size)
        })();
        if matches!(written, Err(QuarantineError::NoRoom)) {
            // A part may stay behind; the next start erases it.
            let _ = fs::remove_file(&part);
        }
        written
    }

    /// Opens a held object: writes its bytes to `object`, returns what was sealed with it.
    ///
    /// # Errors
    /// [`QuarantineError::Damaged`] when it does not open; `object` then holds an unusable part.
    pub fn open_held(&self, item: &str, object: &mut dyn io::Write) -> Result<HeldMeta, QuarantineError> {
        let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(self.path(item))?;
        let meta = sealed::open(&self.wrap, item, &mut io::BufReader::with_capacity(128 << 10, file), object)?;
        serde_json::from_slice(&meta).map_err(|_| QuarantineError::Damaged)
    }

    /// Records that a held object was judged again and is still held.
    ///
    /// # Errors
    /// [`QuarantineError::Ledger`].
    pub fn keep(&self, ledger: &Ledger, verdict: &VerdictRow, row: &HeldRow) -> Result<(), QuarantineError> {
        let known = ledger.held_item(&row.item)?;
        ledger.hold(verdict, row)?;
        let mut stock = self.stock();
        if let Some(known) = &known {
            stock.remove(known);
        }
        stock.add(row);
        Ok(())
    }

    /// Erases a held object: its result is durable elsewhere, or (with `audit`) its time is over.
    ///
    /// # Errors
    /// [`QuarantineError::Store`] and [`QuarantineError::Ledger`].
    pub fn erase(&self, ledger: &Ledger, item: &str, audit: Option<(Audit, u64)>) -> Result<(), QuarantineError> {
        let row = ledger.held_item(item)?;
        match fs::remove_file(self.path(item)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(QuarantineError::Store(error)),
            _ => self.handle.sync_all().map_err(QuarantineError::Store)?,
        }
        ledger.remove_held(item, audit)?;
        if let Some(row) = row {
            self.stock().remove(&row);
        }
        Ok(())
    }

    /// Erases what is older than allowed; returns how many.
    ///
    /// # Errors
    /// [`QuarantineError::Store`] and [`QuarantineError::Ledger`].
    pub fn expire(&self, ledger: &Ledger, now_ms: u64) -> Result<u64, QuarantineError> {
        let old = ledger.expired(u64::from(self.bounds.max_age_days) * DAY_MS)?;
        for item in &old {
            self.erase(ledger, item, Some((Audit::Expired, now_ms)))?;
        }
        Ok(old.len() as u64)
    }

    fn reconcile(&self, ledger: &Ledger, now_ms: u64) -> Result<Mended, QuarantineError> {
        let mut mended = Mended::default();
        let mut rows: BTreeMap<String, HeldRow> =
            ledger.held()?.into_iter().map(|row| (row.item.clone(), row)).collect();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(item) = name.strip_suffix(".held").and_then(ItemId::parse) else {
                if name.ends_with(".part") {
                    fs::remove_file(&path)?;
                    mended.erased += 1;
                }
                continue;
            };
            if rows.remove(item.as_str()).is_none() {
                self.adopt(ledger, item.as_str(), &path, now_ms)?;
                mended.adopted += 1;
            }
        }
        for item in rows.keys() {
            let released = ledger.was_released(item)?;
            ledger.remove_held(item, (!released).then_some((Audit::Lost, now_ms)))?;
            mended.lost += u64::from(!released);
        }
        Ok(mended)
    }

    /// Makes the row of a file that has none. It is judged again, because no policy is known to have held it.
    fn adopt(&self, ledger: &Ledger, item: &str, path: &Path, now_ms: u64) -> Result<(), QuarantineError> {
        let size = fs::metadata(path)?.len();
        let row = match self.open_held(item, &mut io::sink()) {
            Ok(meta) => row_of(item, &meta, size, ""),
            Err(QuarantineError::Damaged) => HeldRow {
                item: item.to_owned(),
                reason: HoldReason::Malformed,
                fingerprint: None,
                scanner: 0,
                size,
                received_ms: 0,
                judged: String::new(),
                damaged: true,
            },
            Err(error) => return Err(error),
        };
        Ok(ledger.adopt(&row, now_ms)?)
    }
}

fn row_of(item: &str, meta: &HeldMeta, size: u64, judged: &str) -> HeldRow {
    HeldRow {
        item: item.to_owned(),
        reason: meta.reason,
        fingerprint: meta.fingerprint_digest.clone(),
        scanner: meta.scanner,
        size,
        received_ms: meta.received_ms,
        judged: judged.to_owned(),
        damaged: false,
    }
}

#[cfg(test)]
mod tests;
