//! Signed system updates and their archives. The hub carries them and looks at their form and serial only: whom to believe is the
//! boxes' matter.
//!
//! An archive is a file `updates/<64 hex>`, named by its SHA-256. It is durable there *before* the database names it; a crash in between
//! leaves a file that no row names, which is never served and which the next update removes.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use gift_wire::{Sha256Hex, SignedUpdate, Update, UpdateError, UpdatePart};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::{
    Store,
    archive::{Incoming, make_directory, sync_directory},
    audit::{self, Action, AuditKey},
    now_ms,
};
use crate::error::{Doing as _, HubError};

/// Updates kept, with their archives: a box that is downloading the one before may end that.
const KEPT: u32 = 2;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The archives' directory.
#[derive(Debug)]
pub struct UpdateArchives {
    directory: PathBuf,
}

impl UpdateArchives {
    /// Opens (or makes) the directory under `root`.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(root: &Path) -> Result<Self, HubError> {
        let directory = root.join("updates");
        make_directory(&directory).doing("make updates")?;
        sync_directory(root)?;
        Ok(Self { directory })
    }

    /// The file of an archive.
    pub fn path(&self, sha256: &Sha256Hex) -> PathBuf {
        self.directory.join(sha256.as_str())
    }

    /// Waits until no other command adds an update, and keeps others waiting until it is dropped: they remove what no row names.
    fn lock(&self) -> Result<File, HubError> {
        let directory = File::open(&self.directory).doing("open updates")?;
        directory.lock().doing("lock updates")?;
        Ok(directory)
    }

    /// Copies an archive into its place, durably, when it is the one that `update` names.
    fn take(&self, update: &Update, archive: &Path) -> Result<(), HubError> {
        let mut archive = File::open(archive).doing("open the archive")?;
        let mut copy = Incoming::begin(&self.directory)?;
        for (name, part) in update.parts() {
            if copy_part(&mut archive, &mut copy, part)? != part.sha256.as_str() {
                return Err(HubError::Setup(format!("the archive's {name} is not the one that was signed")));
            }
        }
        if archive.read(&mut [0]).doing("read the archive")? > 0 {
            return Err(HubError::Setup("the archive is longer than what was signed".to_owned()));
        }
        let copy = copy.finish()?;
        if copy.sha256 != update.archive {
            return Err(HubError::Setup("the archive is not the one that was signed".to_owned()));
        }
        copy.place(&self.path(&update.archive))
    }

    /// Removes every file that is not `named`: archives of forgotten updates, and what a crash left.
    fn sweep(&self, named: &[String]) -> Result<(), HubError> {
        for entry in fs::read_dir(&self.directory).doing("scan updates")? {
            let entry = entry.doing("scan updates")?;
            if !named.iter().any(|name| entry.file_name() == name.as_str()) {
                fs::remove_file(entry.path()).doing("clear updates")?;
            }
        }
        sync_directory(&self.directory)
    }
}

/// Copies one part; its SHA-256.
fn copy_part(from: &mut File, to: &mut Incoming, part: &UpdatePart) -> Result<String, HubError> {
    let (mut hash, mut left, mut chunk) = (Sha256::new(), part.length, vec![0; CHUNK_BYTES]);
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let bytes = &mut chunk[..take];
        match from.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(HubError::Setup("the archive is shorter than what was signed".to_owned()));
            }
            read => read.doing("read the archive")?,
        }
        hash.update(&*bytes);
        to.write(bytes)?;
        left -= take as u64;
    }
    Ok(hex::encode(hash.finalize()))
}

/// Puts an update up with its archive; returns its serial. For a command, beside a running server.
///
/// # Errors
/// Bytes that are no update, an archive that is not the one it names, a serial that is not greater than all before, the file system's or
/// SQLite's.
pub fn add(store: &Store, signed: Vec<u8>, archive: &Path) -> Result<u64, HubError> {
    let refused = |error: UpdateError| HubError::Setup(error.to_string());
    let update = Update::parse(&SignedUpdate::from_json(&signed).map_err(refused)?.update).map_err(refused)?;
    let (archives, serial) = (store.updates(), update.serial);
    let _alone = archives.lock()?;
    let named = store.write_blocking(move |c, _| {
        refuse_older(c, serial)?;
        kept(c)
    })?;
    archives.sweep(&named)?;
    archives.take(&update, archive)?;
    let named = store.write_blocking(move |c, key| insert(c, key, &update, &signed))?;
    // The update is up: what could not be removed now goes with the next one.
    if let Err(error) = archives.sweep(&named) {
        crate::events::internal(&error);
    }
    Ok(serial)
}

/// Adds the row and forgets old ones; the archives that are named now.
fn insert(connection: &Connection, key: &AuditKey, update: &Update, signed: &[u8]) -> Result<Vec<String>, HubError> {
    refuse_older(connection, update.serial)?;
    connection
        .execute(
            "INSERT INTO updates(serial, added_ms, signed, archive) VALUES(?1, ?2, ?3, ?4)",
            (update.serial, now_ms(), signed, update.archive.as_str()),
        )
        .doing("add update")?;
    connection
        .execute(
            "DELETE FROM updates WHERE serial NOT IN (SELECT serial FROM updates ORDER BY serial DESC LIMIT ?1)",
            [KEPT],
        )
        .doing("forget old updates")?;
    audit::append(connection, key, "command", Action::UpdateAdded, &update.serial.to_string())?;
    kept(connection)
}

fn refuse_older(connection: &Connection, serial: u64) -> Result<(), HubError> {
    if newest_serial(connection)?.is_some_and(|there| there >= serial) {
        return Err(HubError::Setup("an update of this serial, or a newer one, is there already".to_owned()));
    }
    Ok(())
}

/// The archives of all kept updates.
fn kept(connection: &Connection) -> Result<Vec<String>, HubError> {
    let mut statement = connection.prepare("SELECT archive FROM updates").doing("list updates")?;
    let rows = statement.query_map([], |row| row.get(0)).doing("list updates")?;
    rows.collect::<Result<_, _>>().doing("list updates")
}

/// The newest signed update.
///
/// # Errors
/// SQLite's.
pub fn newest(connection: &Connection) -> Result<Option<Vec<u8>>, HubError> {
    connection
        .query_row("SELECT signed FROM updates ORDER BY serial DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .doing("find update")
}

/// The newest update's serial.
///
/// # Errors
/// SQLite's.
pub fn newest_serial(connection: &Connection) -> Result<Option<u64>, HubError> {
    connection.query_row("SELECT max(serial) FROM updates", [], |row| row.get(0)).doing("find update")
}

/// True for the archive of a kept update.
///
/// # Errors
/// SQLite's.
pub fn is_kept(connection: &Connection, archive: &Sha256Hex) -> Result<bool, HubError> {
    connection
        .query_row("SELECT EXISTS(SELECT 1 FROM updates WHERE archive = ?1)", [archive.as_str()], |row| row.get(0))
        .doing("find archive")
}
