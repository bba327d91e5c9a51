//! What was decided about each object, in SQLite: one row an intake item, the rows of the quarantine, and an audit of
//! what was erased. No value of a data set is in it: random identifiers, closed words, ordinals, keyed digests.
//!
//! `synchronous=FULL` in WAL mode: a committed row survives power loss. Relies on SQLite ≥ 3.51.3 (earlier versions can
//! corrupt a WAL), which is asserted when it is opened.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use gift_status::HoldReason;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

/// First SQLite without the WAL corruption bug.
const SQLITE_MIN: i32 = 3_051_003;
/// Version of the tables, in `user_version`.
const SCHEMA_VERSION: i32 = 1;
const SCHEMA: &str = "
CREATE TABLE verdict (
    item TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    scanner INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('released', 'held')),
    reason TEXT,
    input_digest TEXT NOT NULL,
    output_sha256 TEXT,
    sop_instance_uid TEXT,
    profile TEXT,
    template TEXT
) STRICT;
CREATE INDEX verdict_age ON verdict (age_ms);
CREATE TABLE held (
    item TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    fingerprint TEXT,
    scanner INTEGER NOT NULL,
    size INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    age_ms INTEGER NOT NULL,
    judged TEXT NOT NULL,
    damaged INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX held_age ON held (age_ms);
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    item TEXT NOT NULL,
    reason TEXT
) STRICT;
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seen_ms INTEGER NOT NULL,
    age_ms INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0, 0);
";

/// Longest step by which the ledger's own age advances at once, ms: a clock that jumps cannot make everything old.
const AGE_STEP_MS: u64 = 24 * 3600 * 1000;

/// Why the ledger cannot be used. The process ends; the next start looks at what is really there.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite's.
    #[error("ledger: {0}")]
    Database(#[source] rusqlite::Error),
    /// Its bytes are not what SQLite wrote.
    #[error("ledger: damaged")]
    Damaged,
    /// A damaged one cannot be moved aside.
    #[error("ledger: damaged, and cannot be moved aside: {0}")]
    Aside(#[source] std::io::Error),
    /// Linked against a version with a known corruption bug.
    #[error("ledger: SQLite {0} is too old")]
    Version(i32),
    /// Written by a later program.
    #[error("ledger: schema {0} is not known")]
    Schema(i32),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged,
            _ => Self::Database(error),
        }
    }
}

/// What was decided about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// The item.
    pub item: String,
    /// When, ms since the Unix epoch.
    pub at_ms: u64,
    /// Its sender's ordinal.
    pub scanner: u16,
    /// `None` when it was released.
    pub reason: Option<HoldReason>,
    /// Keyed digest of the object as received.
    pub input_digest: String,
    /// When released: SHA-256, pseudonymous SOP Instance UID, profile, template.
    pub released: Option<ReleasedRow>,
}

/// What is kept of a released object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedRow {
    /// SHA-256 of the DICOM file.
    pub sha256: String,
    /// Pseudonymous SOP Instance UID.
    pub sop_instance_uid: String,
    /// Profile.
    pub profile: String,
    /// Redaction template, when pixels were redacted.
    pub template: Option<String>,
}

/// A row of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// The item.
    pub item: String,
    /// Why it is held.
    pub reason: HoldReason,
    /// Keyed digest of its format's fingerprint, when it has one.
    pub fingerprint: Option<String>,
    /// Its sender's ordinal.
    pub scanner: u16,
    /// Size on disk, bytes.
    pub size: u64,
    /// When it was received, ms since the Unix epoch.
    pub received_ms: u64,
    /// Digest of the policy it was judged by.
    pub judged: String,
    /// It does not open: it is kept, counted, and never judged again.
    pub damaged: bool,
}

/// What an audit row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Erased because it was older than allowed.
    Expired,
    /// A row without its object: lost on disk.
    Lost,
    /// An object without its row: the row was made anew.
    Adopted,
}

impl Audit {
    const fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Lost => "lost",
            Self::Adopted => "adopted",
        }
    }
}

/// The ledger; shared by the lanes.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
}

impl Ledger {
    /// Opens or makes the ledger at `path`. One that is damaged is moved aside and begun anew: the quarantine's rows are made
    /// from its files, the rest is history. The second value says that this happened.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(path: &Path) -> Result<(Self, bool), LedgerError> {
        let version = rusqlite::version_number();
        if version < SQLITE_MIN {
            return Err(LedgerError::Version(version));
        }
        match connect(path) {
            Ok(connection) => Ok((Self { connection: Mutex::new(connection) }, false)),
            Err(LedgerError::Damaged) => {
                move_aside(path).map_err(LedgerError::Aside)?;
                Ok((Self { connection: Mutex::new(connect(path)?) }, true))
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what was decided, in place of an earlier decision about the same item.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn record(&self, row: &VerdictRow) -> Result<(), LedgerError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        put_verdict(&transaction, row)?;
        Ok(transaction.commit()?)
    }

    /// Records a held object and the decision about it, together.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn hold(&self, verdict: &VerdictRow, held: &HeldRow) -> Result<(), LedgerError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        put_verdict(&transaction, verdict)?;
        put_held(&transaction, held)?;
        Ok(transaction.commit()?)
    }

    /// Adds the row of a held object that has none, and says so in the audit.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn adopt(&self, held: &HeldRow, now_ms: u64) -> Result<(), LedgerError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        put_held(&transaction, held)?;
        put_audit(&transaction, now_ms, Audit::Adopted, &held.item, Some(held.reason))?;
        Ok(transaction.commit()?)
    }

    /// Removes the row of a held object; with `audit`, says why.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn remove_held(&self, item: &str, audit: Option<(Audit, u64)>) -> Result<(), LedgerError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let reason: Option<String> = transaction
            .query_row("DELETE FROM held WHERE item = ?1 RETURNING reason", [item], |row| row.get(0))
            .optional()?;
        if let Some((audit, now_ms)) = audit {
            put_audit(&transaction, now_ms, audit, item, reason.as_deref().and_then(HoldReason::from_word))?;
        }
        Ok(transaction.commit()?)
    }

    /// Every held object, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn held(&self) -> Result<Vec<HeldRow>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT item, reason, fingerprint, scanner, size, received_ms, judged, damaged FROM held ORDER BY age_ms, rowid",
        )?;
        let rows = statement.query_map([], held_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The row of one held object.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn held_item(&self, item: &str) -> Result<Option<HeldRow>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT item, reason, fingerprint, scanner, size, received_ms, judged, damaged FROM held WHERE item = ?1",
        )?;
        Ok(statement.query_row([item], held_row).optional()?)
    }

    /// Advances the ledger's own age by the time that passed since it was last called, at most a day.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn grow_older(&self, now_ms: u64) -> Result<(), LedgerError> {
        self.lock().execute(
            "UPDATE clock SET age_ms = age_ms + CASE WHEN seen_ms = 0 THEN 0 ELSE MIN(MAX(?1 - seen_ms, 0), ?2) END, seen_ms = ?1",
            params![to_i64(now_ms), to_i64(AGE_STEP_MS)],
        )?;
        Ok(())
    }

    /// Held objects older than `max_age_ms`, by the ledger's own age; at most 1,000.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn expired(&self, max_age_ms: u64) -> Result<Vec<String>, LedgerError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT item FROM held WHERE age_ms < (SELECT age_ms FROM clock) - ?1 ORDER BY age_ms LIMIT 1000",
        )?;
        let rows = statement.query_map([to_i64(max_age_ms)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Erases decisions older than `max_age_ms`, and the oldest beyond `max_rows`; never more than 10,000 at once.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn prune(&self, max_age_ms: u64, max_rows: u64) -> Result<(), LedgerError> {
        self.lock().execute(
            "DELETE FROM verdict WHERE rowid IN (
                SELECT rowid FROM verdict WHERE age_ms < (SELECT age_ms FROM clock) - ?1
                UNION ALL
                SELECT rowid FROM (SELECT rowid FROM verdict ORDER BY age_ms, rowid
                    LIMIT MAX(0, (SELECT COUNT(*) FROM verdict) - ?2))
                LIMIT 10000)",
            params![to_i64(max_age_ms), to_i64(max_rows)],
        )?;
        Ok(())
    }

    /// What was decided about `item`: released or held.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn was_released(&self, item: &str) -> Result<bool, LedgerError> {
        let connection = self.lock();
        let outcome: Option<String> =
            connection.query_row("SELECT outcome FROM verdict WHERE item = ?1", [item], |row| row.get(0)).optional()?;
        Ok(outcome.as_deref() == Some("released"))
    }

    /// Audit rows of a kind.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn audited(&self, audit: Audit) -> Result<u64, LedgerError> {
        let count: i64 =
            self.lock().query_row("SELECT COUNT(*) FROM audit WHERE event = ?1", [audit.word()], |row| row.get(0))?;
        Ok(to_u64(count))
    }
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // Cells that overlap or lie out of order are found when met, not trusted.
    connection.pragma_update(None, "cell_size_check", "ON")?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(LedgerError::Damaged);
    }
    let schema: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match schema {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        SCHEMA_VERSION => {}
        other => return Err(LedgerError::Schema(other)),
    }
    Ok(connection)
}

/// Renames the database and what belongs to it; an earlier one that was moved aside makes room.
fn move_aside(path: &Path) -> std::io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let with = |more: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(more);
            name.push(ending);
            std::path::PathBuf::from(name)
        };
        match std::fs::rename(with(""), with(".damaged")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn put_verdict(transaction: &Transaction<'_>, row: &VerdictRow) -> rusqlite::Result<()> {
    let released = row.released.as_ref();
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO verdict VALUES (?1, ?2, (SELECT age_ms FROM clock), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            row.item,
            to_i64(row.at_ms),
            row.scanner,
            if released.is_some() { "released" } else { "held" },
            row.reason.map(HoldReason::as_str),
            row.input_digest,
            released.map(|r| &r.sha256),
            released.map(|r| &r.sop_instance_uid),
            released.map(|r| &r.profile),
            released.and_then(|r| r.template.as_ref()),
        ])?;
    Ok(())
}

/// Adds or updates; an object that is held again keeps its age.
fn put_held(transaction: &Transaction<'_>, row: &HeldRow) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO held (item, reason, fingerprint, scanner, size, received_ms, age_ms, judged, damaged)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT age_ms FROM clock), ?7, ?8)
             ON CONFLICT (item) DO UPDATE SET reason = ?2, fingerprint = ?3, size = ?5, judged = ?7, damaged = ?8",
        )?
        .execute(params![
            row.item,
            row.reason.as_str(),
            row.fingerprint,
            row.scanner,
            to_i64(row.size),
            to_i64(row.received_ms),
            row.judged,
            row.damaged,
        ])?;
    Ok(())
}

fn put_audit(
    transaction: &Transaction<'_>,
    now_ms: u64,
    audit: Audit,
    item: &str,
    reason: Option<HoldReason>,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO audit (at_ms, event, item, reason) VALUES (?1, ?2, ?3, ?4)",
        params![to_i64(now_ms), audit.word(), item, reason.map(HoldReason::as_str)],
    )?;
    Ok(())
}

fn held_row(row: &Row<'_>) -> rusqlite::Result<HeldRow> {
    let reason: String = row.get(1)?;
    Ok(HeldRow {
        item: row.get(0)?,
        // A word of a later program: held is held.
        reason: HoldReason::from_word(&reason).unwrap_or(HoldReason::Malformed),
        fingerprint: row.get(2)?,
        scanner: row.get(3)?,
        size: to_u64(row.get(4)?),
        received_ms: to_u64(row.get(5)?),
        judged: row.get(6)?,
        damaged: row.get(7)?,
    })
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn to_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
