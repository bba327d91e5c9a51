//! The ledger: one row per object the uplink has charge of, in SQLite (WAL, `synchronous=FULL`: a commit survives power
//! loss). The objects themselves are queue files; whatever the ledger loses can be rebuilt from those.

use std::path::{Path, PathBuf};

use gift_wire::Receipt;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use crate::{error::UplinkError, key::Key};

/// SQLite before this has a WAL corruption bug.
const OLDEST_SQLITE: i32 = 3_051_003;
/// `PRAGMA user_version` of the schema below.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
    CREATE TABLE object (
        key TEXT PRIMARY KEY,
        state INTEGER NOT NULL,         -- 0 queued, 1 acknowledged, 2 refused by the hub, 3 set aside, 4 file missing
        size INTEGER NOT NULL,          -- bytes
        posted_ms INTEGER NOT NULL,
        settled_ms INTEGER,             -- when it left state 0
        http_status INTEGER,            -- of a refusal
        hub_commit INTEGER,             -- of a receipt
        hub_committed_ms INTEGER,
        isolated TEXT                   -- reason word, when the hub keeps it apart
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX object_by_state ON object (state, settled_ms);
    CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// Names of facts: times of receipts, ms since the Unix epoch.
const LAST_RECEIPT: &str = "last_receipt_ms";
const CANARY_PASSED: &str = "canary_ms";
const CANARY_FAILED: &str = "canary_failed_ms";

/// When receipts matched, ms since the Unix epoch; 0 = never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Receipts {
    /// The last one, of whatever object.
    pub(crate) last_ms: u64,
    /// The last one for a canary that the hub was content with.
    pub(crate) canary_ms: u64,
    /// The last one for a canary that it was not content with.
    pub(crate) canary_failed_ms: u64,
}

/// Where an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for a receipt.
    Queued = 0,
    /// A receipt matched; the file may go.
    Acknowledged = 1,
    /// The hub refused it; offered again later.
    Refused = 2,
    /// Damaged on this disk and set aside.
    SetAside = 3,
    /// Its file is gone without a receipt.
    Missing = 4,
}

impl State {
    fn from_number(n: i64) -> Option<Self> {
        [Self::Queued, Self::Acknowledged, Self::Refused, Self::SetAside, Self::Missing]
            .into_iter()
            .find(|&state| state as i64 == n)
    }
}

/// One row, as far as the process needs it at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Which object.
    pub(crate) key: Key,
    /// Where it stands.
    pub(crate) state: State,
    /// Body length, bytes.
    pub(crate) size: u64,
    /// When it was posted to the outbox, ms since the Unix epoch.
    pub(crate) posted_ms: u64,
    /// When it was refused, ms since the Unix epoch; 0 when queued.
    pub(crate) settled_ms: u64,
}

/// How an object leaves the queue.
#[derive(Debug, Clone)]
pub(crate) enum Settlement {
    /// Against a matching receipt.
    Acknowledged {
        /// What the hub answered.
        receipt: Box<Receipt>,
        /// The object is a canary.
        canary: bool,
    },
    /// Refused by the hub for good.
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// Damaged on this disk.
    SetAside,
    /// Its file is gone.
    Missing,
}

/// The open ledger.
#[derive(Debug)]
pub(crate) struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// Opens `path`. A ledger that SQLite finds damaged is moved aside and a new one made: the second value is then true.
    ///
    /// # Errors
    /// [`UplinkError::OldSqlite`], or SQLite's own.
    pub(crate) fn open(path: &Path) -> Result<(Self, bool), UplinkError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(UplinkError::OldSqlite);
        }
        match Self::open_sound(path) {
            Ok(Some(ledger)) => return Ok((ledger, false)),
            Ok(None) => {}
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error.into()),
        }
        for suffix in ["", "-wal", "-shm"] {
            let mut from = path.as_os_str().to_owned();
            from.push(suffix);
            let mut to = path.as_os_str().to_owned();
            to.push(format!(".damaged{suffix}"));
            match std::fs::rename(&from, PathBuf::from(to)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(UplinkError::store("cannot move a damaged ledger aside")(error));
                }
                _ => {}
            }
        }
        let ledger = Self::open_sound(path)?.ok_or(UplinkError::Ended("a new ledger's self-check"))?;
        Ok((ledger, true))
    }

    /// The ledger at `path`, made when it is not there; `None` when its own check finds it damaged.
    fn open_sound(path: &Path) -> rusqlite::Result<Option<Self>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(None);
        }
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?,
            SCHEMA_VERSION => {}
            // From a newer release: its queue files still tell everything.
            _ => return Ok(None),
        }
        Ok(Some(Self { connection }))
    }

    /// True for each key whose object this process has, or has brought to the hub, in the same order. One that was set aside
    /// or went missing does not count: when its original still stands, taking that again mends it.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn known(&self, keys: &[Key]) -> rusqlite::Result<Vec<bool>> {
        let mut query =
            self.connection.prepare_cached("SELECT 1 FROM object WHERE key = ?1 AND state NOT IN (3, 4)")?;
        keys.iter().map(|key| query.exists([key.to_string()])).collect()
    }

    /// Adds queued rows `(key, size, posted_ms)`, all or none. On return they survive power loss.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn accept(&mut self, rows: &[(Key, u64, u64)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO object (key, state, size, posted_ms) VALUES (?1, 0, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET state = 0, settled_ms = NULL WHERE state IN (3, 4)",
            )?;
            for (key, size, posted_ms) in rows {
                insert.execute(params![key.to_string(), signed(*size), signed(*posted_ms)])?;
            }
        }
        transaction.commit()
    }

    /// Writes how objects left the queue, all or none. On return it survives power loss.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn settle(&mut self, now_ms: u64, settlements: &[(Key, Settlement)]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut update = transaction.prepare_cached(
                "UPDATE object SET state = ?2, settled_ms = ?3, http_status = ?4, hub_commit = ?5, hub_committed_ms = ?6,
                 isolated = ?7 WHERE key = ?1",
            )?;
            let mut fact = transaction.prepare_cached("INSERT OR REPLACE INTO fact VALUES (?1, ?2)")?;
            for (key, settlement) in settlements {
                let (state, status, receipt) = match settlement {
                    Settlement::Acknowledged { receipt, .. } => (State::Acknowledged, None, Some(receipt)),
                    Settlement::Refused { status } => (State::Refused, Some(*status), None),
                    Settlement::SetAside => (State::SetAside, None, None),
                    Settlement::Missing => (State::Missing, None, None),
                };
                update.execute(params![
                    key.to_string(),
                    state as i64,
                    signed(now_ms),
                    status,
                    receipt.map(|r| signed(r.commit)),
                    receipt.map(|r| signed(r.committed_ms)),
                    receipt.and_then(|r| r.isolated).map(|reason| reason.as_str()),
                ])?;
                if receipt.is_some() {
                    fact.execute(params![LAST_RECEIPT, signed(now_ms)])?;
                }
                if let Settlement::Acknowledged { receipt, canary: true } = settlement {
                    let name = if receipt.isolated.is_none() { CANARY_PASSED } else { CANARY_FAILED };
                    fact.execute(params![name, signed(now_ms)])?;
                }
            }
        }
        transaction.commit()
    }

    /// Forgets the oldest finished rows beyond `keep`; returns how many.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn prune(&mut self, keep: u64) -> rusqlite::Result<usize> {
        self.connection.execute(
            "DELETE FROM object WHERE key IN
             (SELECT key FROM object WHERE state = 1 ORDER BY settled_ms DESC LIMIT -1 OFFSET ?1)",
            [signed(keep)],
        )
    }

    /// Every row that is not finished, oldest first, and the keys of those that are.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn rows(&self) -> rusqlite::Result<Vec<Row>> {
        let mut query = self.connection.prepare(
            "SELECT key, state, size, posted_ms, coalesce(settled_ms, 0) FROM object ORDER BY posted_ms, key",
        )?;
        let rows = query.query_map([], |row| {
            let key: String = row.get(0)?;
            let state: i64 = row.get(1)?;
            Ok((key, state, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?))
        })?;
        let mut out = Vec::new();
        for row in rows {
            let (key, state, size, posted_ms, settled_ms) = row?;
            if let (Some(key), Some(state)) = (Key::parse(&key), State::from_number(state)) {
                out.push(Row {
                    key,
                    state,
                    size: size.unsigned_abs(),
                    posted_ms: posted_ms.unsigned_abs(),
                    settled_ms: settled_ms.unsigned_abs(),
                });
            }
        }
        Ok(out)
    }

    /// When the last receipts matched.
    ///
    /// # Errors
    /// SQLite's.
    pub(crate) fn receipts(&self) -> rusqlite::Result<Receipts> {
        let fact = |name: &str| {
            let mut query = self.connection.prepare_cached("SELECT value FROM fact WHERE name = ?1")?;
            let value: Option<i64> = query.query_row([name], |row| row.get(0)).optional()?;
            Ok::<_, rusqlite::Error>(value.map_or(0, i64::unsigned_abs))
        };
        Ok(Receipts {
            last_ms: fact(LAST_RECEIPT)?,
            canary_ms: fact(CANARY_PASSED)?,
            canary_failed_ms: fact(CANARY_FAILED)?,
        })
    }
}

/// SQLite integers are signed; sizes, times and commit numbers stay far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use gift_status::HoldReason;

    use super::*;
    use crate::queue_file::tests::manifest_for;

    fn receipt(isolated: Option<HoldReason>) -> Box<Receipt> {
        let manifest = manifest_for(b"x");
        Box::new(Receipt {
            version: 1,
            object: manifest.object,
            sha256: manifest.sha256,
            size: 1,
            commit: 9,
            committed_ms: 8,
            duplicate: false,
            isolated,
        })
    }

    fn acknowledged(isolated: Option<HoldReason>, canary: bool) -> Settlement {
        Settlement::Acknowledged { receipt: receipt(isolated), canary }
    }

    #[test]
    fn what_the_hub_said_of_canaries_survives_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let keys: Vec<Key> = (1..=3).map(Key::from_number).collect();
        let (mut ledger, _) = Ledger::open(&path).unwrap();
        ledger.accept(&[(keys[0], 10, 100), (keys[1], 10, 100), (keys[2], 10, 100)]).unwrap();
        ledger.settle(500, &[(keys[0], acknowledged(None, true))]).unwrap();
        ledger.settle(600, &[(keys[1], acknowledged(Some(HoldReason::RefusedByHub), true))]).unwrap();
        // Other objects, and canaries that no receipt matched, say nothing.
        ledger.settle(700, &[(keys[2], acknowledged(None, false))]).unwrap();
        drop(ledger);
        let (ledger, _) = Ledger::open(&path).unwrap();
        let expected = Receipts { last_ms: 700, canary_ms: 500, canary_failed_ms: 600 };
        assert_eq!(ledger.receipts().unwrap(), expected);
    }

    #[test]
    fn rows_survive_reopening_and_finished_ones_are_pruned_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let keys: Vec<Key> = (1..=4).map(Key::from_number).collect();
        {
            let (mut ledger, rebuilt) = Ledger::open(&path).unwrap();
            assert!(!rebuilt);
            let rows: Vec<_> = keys.iter().map(|&key| (key, 10, 100)).collect();
            ledger.accept(&rows).unwrap();
            ledger.settle(500, &[(keys[0], acknowledged(None, false))]).unwrap();
            let isolated = acknowledged(Some(HoldReason::LeakFound), false);
            ledger.settle(600, &[(keys[1], isolated), (keys[2], Settlement::Refused { status: 413 })]).unwrap();
        }
        let (mut ledger, _) = Ledger::open(&path).unwrap();
        assert_eq!(ledger.receipts().unwrap().last_ms, 600);
        assert_eq!(ledger.prune(1).unwrap(), 1);
        let states: Vec<_> = ledger.rows().unwrap().iter().map(|row| (row.key, row.state)).collect();
        let expected = [(keys[1], State::Acknowledged), (keys[2], State::Refused), (keys[3], State::Queued)];
        assert_eq!(states, expected);
        assert_eq!(ledger.known(&keys).unwrap(), [false, true, true, true]);
        let words: Option<String> = ledger
            .connection
            .query_row("SELECT isolated FROM object WHERE key = ?1", [keys[1].to_string()], |row| row.get(0))
            .unwrap();
        assert_eq!(words.as_deref(), Some("leak-found"));
    }

    #[test]
    fn accepting_again_does_not_undo_a_receipt() {
        let directory = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
        let key = Key::from_number(7);
        ledger.accept(&[(key, 10, 100)]).unwrap();
        ledger.settle(500, &[(key, acknowledged(None, false))]).unwrap();
        ledger.accept(&[(key, 10, 100)]).unwrap();
        assert_eq!(ledger.rows().unwrap()[0].state, State::Acknowledged);
    }

    #[test]
    fn an_object_that_was_lost_here_is_taken_again_when_its_original_still_stands() {
        let directory = tempfile::tempdir().unwrap();
        let (mut ledger, _) = Ledger::open(&directory.path().join("ledger.sqlite")).unwrap();
        let keys = [Key::from_number(1), Key::from_number(2), Key::from_number(3)];
        ledger.accept(&keys.map(|key| (key, 10, 100))).unwrap();
        let lost = [(keys[0], Settlement::SetAside), (keys[1], Settlement::Missing)];
        ledger.settle(5, &lost).unwrap();
        assert_eq!(ledger.known(&keys).unwrap(), [false, false, true]);
        ledger.accept(&keys.map(|key| (key, 10, 100))).unwrap();
        assert!(ledger.rows().unwrap().iter().all(|row| row.state == State::Queued && row.settled_ms == 0));
    }

    #[test]
    fn a_damaged_ledger_is_moved_aside_and_a_new_one_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        std::fs::write(&path, [0x55u8; 8192]).unwrap();
        let (ledger, rebuilt) = Ledger::open(&path).unwrap();
        assert!(rebuilt && ledger.rows().unwrap().is_empty());
        assert!(directory.path().join("ledger.sqlite.damaged").exists());
    }
}
