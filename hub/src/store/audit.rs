//! The audit trail: append-only rows, each bound to its predecessor by HMAC-SHA-256 under a key that is not in the database, with
//! the head kept beside them. Altering, inserting, reordering or removing a row (the last one too) makes [`verify`] fail, also
//! for someone who can write the database but not read the key.

use std::{
    fmt,
    fs::File,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::now_ms;
use crate::error::{Doing as _, HubError};

const KEY_BYTES: usize = 32;

/// What happened; a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A person logged in, or a DICOMweb client's credential was verified.
    LoginOk,
    /// A login failed.
    LoginFailed,
    /// A person logged out.
    Logout,
    /// A page or query showed subjects, studies, series or instances.
    View,
    /// Objects left the hub.
    Download,
    /// A box was named and a one-time token made for it.
    BoxAdded,
    /// A box got its first, or a further, certificate.
    Enrol,
    /// A box was revoked.
    BoxRevoked,
    /// An operator has looked at what a box's state complained of.
    Acknowledge,
    /// Two boots reported at the same time under one identity.
    CloneSuspected,
    /// An arriving object was isolated.
    Isolate,
    /// A user was added.
    UserAdded,
    /// A user's password was set again.
    PasswordSet,
    /// A signed policy bundle was put up for the boxes.
    PolicyAdded,
    /// A signed system update was put up for the boxes.
    UpdateAdded,
    /// A box's canary arrived as it should.
    CanaryPassed,
    /// A box's canary was isolated.
    CanaryFailed,
    /// A signed order to erase a box was put up for it.
    OrderAdded,
    /// That box fetched it.
    OrderFetched,
}

impl Action {
    /// The word kept in the trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginOk => "login-ok",
            Self::LoginFailed => "login-failed",
            Self::Logout => "logout",
            Self::View => "view",
            Self::Download => "download",
            Self::BoxAdded => "box-added",
            Self::Enrol => "enrol",
            Self::BoxRevoked => "box-revoked",
            Self::Acknowledge => "acknowledge",
            Self::CloneSuspected => "clone-suspected",
            Self::Isolate => "isolate",
            Self::UserAdded => "user-added",
            Self::PasswordSet => "password-set",
            Self::PolicyAdded => "policy-added",
            Self::UpdateAdded => "update-added",
            Self::CanaryPassed => "canary-passed",
            Self::CanaryFailed => "canary-failed",
            Self::OrderAdded => "order-added",
            Self::OrderFetched => "order-fetched",
        }
    }
}

/// The trail's key. No `Clone`, silent `Debug`.
pub struct AuditKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

impl AuditKey {
    /// Reads the key file, or makes it (mode 0600).
    ///
    /// # Errors
    /// The file system's, or a file of another length.
    pub fn load_or_create(path: &Path) -> Result<Self, HubError> {
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        match File::open(path) {
            Ok(mut file) => file.read_exact(key.as_mut()).doing("read audit key")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                getrandom::fill(key.as_mut()).map_err(|_| HubError::Ended("the random source"))?;
                let mut file =
                    File::options().write(true).create_new(true).mode(0o600).open(path).doing("make audit key")?;
                file.write_all(key.as_ref()).and_then(|()| file.sync_all()).doing("write audit key")?;
            }
            Err(source) => return Err(HubError::Io { doing: "open audit key", source }),
        }
        Ok(Self(key))
    }

    fn mac(&self, row: &Row) -> [u8; 32] {
        // Unwrap safety: HMAC takes a key of any length.
        #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("any key length");
        mac.update(&row.previous);
        mac.update(&row.seq.to_be_bytes());
        mac.update(&row.at_ms.to_be_bytes());
        for text in [&row.actor, &row.action, &row.target] {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// One row of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number, from 1, without gaps.
    pub seq: i64,
    /// When, ms since the Unix epoch.
    pub at_ms: i64,
    /// Who: `user:NAME`, `box:NAME`, `command` or `unknown`.
    pub actor: String,
    /// [`Action::as_str`].
    pub action: String,
    /// On what: a fleet name, a user name, a UID of a de-identified object, an address.
    pub target: String,
    previous: Vec<u8>,
    mac: Vec<u8>,
}

/// Appends a row. Call it in the same [`super::Store::write`] as what it records.
///
/// # Errors
/// SQLite's.
pub fn append(
    connection: &Connection,
    key: &AuditKey,
    actor: &str,
    action: Action,
    target: &str,
) -> Result<(), HubError> {
    let head: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT seq, mac FROM audit_head")
        .and_then(|mut s| s.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .doing("read audit head")?;
    let (last, previous) = head.unwrap_or((0, Vec::new()));
    let mut row = Row {
        seq: last + 1,
        at_ms: now_ms(),
        actor: actor.to_owned(),
        action: action.as_str().to_owned(),
        target: target.to_owned(),
        previous,
        mac: Vec::new(),
    };
    row.mac = key.mac(&row).to_vec();
    connection
        .prepare_cached("INSERT INTO audit VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .and_then(|mut s| {
            s.execute((row.seq, row.at_ms, &row.actor, &row.action, &row.target, &row.previous, &row.mac))
        })
        .doing("append to audit")?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO audit_head VALUES(1, ?1, ?2)")
        .and_then(|mut s| s.execute((row.seq, &row.mac)))
        .doing("move audit head")?;
    Ok(())
}

/// What [`verify`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The trail is whole: this many rows.
    Whole(i64),
    /// The row with this number is not what was written, or is missing.
    BrokenAt(i64),
}

/// Reads the whole trail and checks every binding.
///
/// # Errors
/// SQLite's.
pub fn verify(connection: &Connection, key: &AuditKey) -> Result<Verified, HubError> {
    let mut statement = connection
        .prepare("SELECT seq, at_ms, actor, action, target, previous, mac FROM audit ORDER BY seq")
        .doing("read audit")?;
    let mut rows = statement.query([]).doing("read audit")?;
    let (mut last, mut previous) = (0, Vec::new());
    while let Some(row) = rows.next().doing("read audit")? {
        let row = read_row(row).doing("read audit")?;
        if row.seq != last + 1 || row.previous != previous || row.mac != key.mac(&row) {
            return Ok(Verified::BrokenAt(last + 1));
        }
        (last, previous) = (row.seq, row.mac);
    }
    let head: Option<(i64, Vec<u8>)> = connection
        .query_row("SELECT seq, mac FROM audit_head", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .doing("read audit head")?;
    let whole = head.unwrap_or((0, Vec::new())) == (last, previous);
    Ok(if whole { Verified::Whole(last) } else { Verified::BrokenAt(last + 1) })
}

/// The newest rows before `before` (0 = the newest of all), newest first.
///
/// # Errors
/// SQLite's.
pub fn newest(connection: &Connection, before: i64, limit: u32) -> Result<Vec<Row>, HubError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT seq, at_ms, actor, action, target, previous, mac FROM audit \
             WHERE ?1 = 0 OR seq < ?1 ORDER BY seq DESC LIMIT ?2",
        )
        .doing("list audit")?;
    let rows = statement.query_map((before, limit), read_row).doing("list audit")?;
    rows.collect::<Result<_, _>>().doing("list audit")
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: row.get(0)?,
        at_ms: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        target: row.get(4)?,
        previous: row.get(5)?,
        mac: row.get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn trail() -> (tempfile::TempDir, Connection, AuditKey) {
        let directory = tempfile::tempdir().unwrap();
        let connection = schema::open_writer(&directory.path().join("t.sqlite")).unwrap();
        let key = AuditKey::load_or_create(&directory.path().join("audit.key")).unwrap();
        for n in 0..8 {
            append(&connection, &key, "user:ada", Action::View, &format!("1.2.{n}")).unwrap();
        }
        assert_eq!(verify(&connection, &key).unwrap(), Verified::Whole(8));
        (directory, connection, key)
    }

    #[test]
    fn rows_can_be_neither_changed_nor_removed_through_sql() {
        let (_directory, connection, _) = trail();
        assert!(connection.execute("UPDATE audit SET actor = 'x' WHERE seq = 3", []).is_err());
        assert!(connection.execute("DELETE FROM audit WHERE seq = 8", []).is_err());
    }

    #[test]
    fn any_altered_missing_or_swapped_row_is_found_even_without_the_triggers() {
        let spoils: &[(&str, i64)] = &[
            ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 1", 1),
            ("UPDATE audit SET actor = 'user:eve' WHERE seq = 3", 3),
            ("UPDATE audit SET action = 'logout' WHERE seq = 8", 8),
            ("UPDATE audit SET target = target || ' ' WHERE seq = 5", 5),
            ("UPDATE audit SET actor = 'user:adav', action = 'iew' WHERE seq = 4", 4),
            ("DELETE FROM audit WHERE seq = 4", 4),
            ("DELETE FROM audit WHERE seq = 8", 8),
            ("DELETE FROM audit WHERE seq > 0", 1),
            ("INSERT INTO audit SELECT 9, at_ms, actor, action, target, mac, mac FROM audit WHERE seq = 8", 9),
            ("UPDATE audit SET mac = zeroblob(32) WHERE seq = 6", 6),
            ("UPDATE audit_head SET seq = 7, mac = (SELECT mac FROM audit WHERE seq = 7)", 9),
        ];
        for (spoil, at) in spoils {
            let (_directory, connection, key) = trail();
            connection.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete").unwrap();
            connection.execute(spoil, []).unwrap();
            assert_eq!(verify(&connection, &key).unwrap(), Verified::BrokenAt(*at), "{spoil}");
        }
    }

    #[test]
    fn a_chain_made_under_another_key_is_found() {
        let (directory, connection, _) = trail();
        let other = AuditKey::load_or_create(&directory.path().join("other.key")).unwrap();
        assert_eq!(verify(&connection, &other).unwrap(), Verified::BrokenAt(1));
    }
}
