//! The database's schema, and how a connection is opened. One file, WAL, `synchronous=FULL`; SQLite itself is the bundled one and
//! its version is asserted, because releases before 3.51.3 can corrupt a WAL database.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Doing as _, HubError};

/// First SQLite release without the WAL corruption bug.
const MIN_SQLITE: i32 = 3_051_003;

/// The first version.
const SCHEMA: &str = r"
CREATE TABLE boxes(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
  revoked_ms INTEGER, clone_suspected_ms INTEGER) STRICT;
CREATE TABLE tokens(
  hash BLOB PRIMARY KEY, box_id INTEGER NOT NULL REFERENCES boxes(id), created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL, used_ms INTEGER, used_by BLOB) STRICT;
CREATE TABLE certificates(
  fingerprint BLOB PRIMARY KEY, serial TEXT NOT NULL UNIQUE, box_id INTEGER NOT NULL REFERENCES boxes(id),
  issued_ms INTEGER NOT NULL, not_after_ms INTEGER NOT NULL, revoked_ms INTEGER) STRICT;
CREATE TABLE boots(
  box_id INTEGER NOT NULL REFERENCES boxes(id), boot TEXT NOT NULL, first_sent_ms INTEGER NOT NULL,
  last_sent_ms INTEGER NOT NULL, last_received_ms INTEGER NOT NULL,
  PRIMARY KEY(box_id, boot)) STRICT, WITHOUT ROWID;
CREATE TABLE reports(
  id INTEGER PRIMARY KEY, box_id INTEGER NOT NULL REFERENCES boxes(id), received_ms INTEGER NOT NULL,
  boot TEXT NOT NULL, sequence INTEGER NOT NULL, report TEXT NOT NULL,
  UNIQUE(box_id, boot, sequence)) STRICT;
CREATE INDEX reports_by_box ON reports(box_id, id);
CREATE TABLE latest(
  box_id INTEGER PRIMARY KEY REFERENCES boxes(id), report_id INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL) STRICT;

CREATE TABLE subjects(
  id INTEGER PRIMARY KEY, project TEXT NOT NULL, pseudonym TEXT NOT NULL, prefix TEXT NOT NULL, number INTEGER NOT NULL,
  label TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
  UNIQUE(project, pseudonym), UNIQUE(prefix, number)) STRICT;
CREATE TABLE studies(
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, subject_id INTEGER NOT NULL REFERENCES subjects(id),
  date TEXT NOT NULL, accession TEXT NOT NULL, description TEXT NOT NULL, attributes TEXT NOT NULL,
  created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX studies_by_subject ON studies(subject_id);
CREATE TABLE series(
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, study_id INTEGER NOT NULL REFERENCES studies(id),
  modality TEXT NOT NULL, number TEXT NOT NULL, description TEXT NOT NULL, attributes TEXT NOT NULL) STRICT;
CREATE INDEX series_by_study ON series(study_id);
CREATE TABLE instances(
  id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, series_id INTEGER NOT NULL REFERENCES series(id),
  sop_class TEXT NOT NULL, transfer_syntax TEXT NOT NULL, number TEXT NOT NULL, attributes TEXT NOT NULL,
  sha256 TEXT NOT NULL, size INTEGER NOT NULL, box_id INTEGER NOT NULL REFERENCES boxes(id), object TEXT NOT NULL,
  manifest TEXT NOT NULL, commit_number INTEGER NOT NULL UNIQUE, committed_ms INTEGER NOT NULL) STRICT;
CREATE INDEX instances_by_series ON instances(series_id);
CREATE INDEX instances_by_box ON instances(box_id);
CREATE TABLE isolated(
  id INTEGER PRIMARY KEY, box_id INTEGER NOT NULL REFERENCES boxes(id), sha256 TEXT NOT NULL, size INTEGER NOT NULL,
  object TEXT NOT NULL, violations TEXT NOT NULL, manifest TEXT NOT NULL,
  commit_number INTEGER NOT NULL UNIQUE, committed_ms INTEGER NOT NULL, acknowledged_ms INTEGER,
  UNIQUE(box_id, sha256)) STRICT;
CREATE TABLE commits(last INTEGER NOT NULL) STRICT;
INSERT INTO commits VALUES(0);

CREATE TABLE users(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL CHECK(role IN('admin','researcher')),
  password TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE sessions(
  hash BLOB PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), created_ms INTEGER NOT NULL,
  used_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE audit(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
  target TEXT NOT NULL, previous BLOB NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TABLE audit_head(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
";

/// What version 2 added: signed policy bundles, of which the newest is given to boxes.
const POLICY: &str = r"
CREATE TABLE policy(serial INTEGER PRIMARY KEY, added_ms INTEGER NOT NULL, bundle BLOB NOT NULL) STRICT;
";

/// What version 3 added: signed system updates, with the SHA-256 that names each one's archive.
const UPDATES: &str = r"
CREATE TABLE updates(
  serial INTEGER PRIMARY KEY, added_ms INTEGER NOT NULL, signed BLOB NOT NULL, archive TEXT NOT NULL) STRICT;
";

/// What version 4 added: of each box's canaries the newest that passed, and when the last one failed.
const CANARIES: &str = r"
CREATE TABLE canaries(
  box_id INTEGER PRIMARY KEY REFERENCES boxes(id), sha256 TEXT, commit_number INTEGER, passed_ms INTEGER,
  failed_ms INTEGER) STRICT;
";

/// What version 5 added: signed orders for one box each; when that box first fetched it.
const ORDERS: &str = r"
CREATE TABLE orders(
  box_id INTEGER NOT NULL REFERENCES boxes(id), number INTEGER NOT NULL, kind TEXT NOT NULL, added_ms INTEGER NOT NULL,
  signed BLOB NOT NULL, fetched_ms INTEGER, PRIMARY KEY(box_id, number)) STRICT;
";

/// What each version added to the one before. `user_version` counts the steps that a database has.
const STEPS: [&str; 5] = [SCHEMA, POLICY, UPDATES, CANARIES, ORDERS];

/// Opens the database for writing, making or checking its schema.
///
/// # Errors
/// SQLite's, a SQLite that is too old, or a database of another schema version.
pub(super) fn open_writer(path: &Path) -> Result<Connection, HubError> {
    if rusqlite::version_number() < MIN_SQLITE {
        return Err(HubError::Setup(format!("SQLite {} is older than 3.51.3", rusqlite::version())));
    }
    let mut connection = Connection::open(path).doing("open")?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).doing("busy timeout")?;
    connection.pragma_update(None, "journal_mode", "WAL").doing("WAL")?;
    connection.pragma_update(None, "synchronous", "FULL").doing("synchronous")?;
    connection.pragma_update(None, "foreign_keys", true).doing("foreign keys")?;
    connection.pragma_update(None, "trusted_schema", false).doing("trusted schema")?;
    connection.set_prepared_statement_cache_capacity(64);
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).doing("WAL")?;
    if mode != "wal" {
        return Err(HubError::Setup("the database cannot use a write-ahead log here".to_owned()));
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).doing("begin schema")?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).doing("version")?;
    let Some(missing) = usize::try_from(version).ok().and_then(|version| STEPS.get(version..)) else {
        return Err(HubError::Setup(format!("database schema {version} is not known to this version")));
    };
    for (step, number) in missing.iter().zip(version + 1..) {
        transaction.execute_batch(step).doing("schema")?;
        transaction.pragma_update(None, "user_version", number).doing("version")?;
    }
    transaction.commit().doing("commit schema")?;
    Ok(connection)
}

/// Opens the database for reading only.
///
/// # Errors
/// SQLite's.
pub(super) fn open_reader(path: &Path) -> Result<Connection, HubError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("open reader")?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).doing("busy timeout")?;
    connection.pragma_update(None, "query_only", true).doing("query only")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_an_earlier_version_gets_what_later_ones_added_and_keeps_what_it_has() {
        for version in 1..STEPS.len() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("hub.sqlite");
            let earlier = Connection::open(&path).unwrap();
            earlier.execute_batch(&STEPS[..version].concat()).unwrap();
            earlier.execute("INSERT INTO boxes(name, created_ms) VALUES('ward-1', 1)", []).unwrap();
            earlier.pragma_update(None, "user_version", version).unwrap();
            drop(earlier);
            for _ in 0..2 {
                let opened = open_writer(&path).unwrap();
                let one = |what: &str| opened.query_row(&format!("SELECT {what}"), [], |row| row.get(0));
                assert_eq!(one("count(*) FROM boxes"), Ok(1_i64));
                for added in ["policy", "updates", "canaries", "orders"] {
                    assert_eq!(one(&format!("count(*) FROM {added}")), Ok(0));
                }
                assert_eq!(one("user_version FROM pragma_user_version"), Ok(5));
            }
        }
    }

    #[test]
    fn a_database_of_a_later_version_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hub.sqlite");
        for version in [6, -1] {
            open_writer(&path).map(drop).unwrap();
            let other = Connection::open(&path).unwrap();
            other.pragma_update(None, "user_version", version).unwrap();
            assert!(open_writer(&path).is_err());
            other.pragma_update(None, "user_version", 5).unwrap();
        }
    }
}
