//! The hub's memory: a SQLite database behind one writer thread that commits in groups, a few readers, and the archive of
//! objects and those of system updates beside it. Relies on the data directory being the hub's own (mode 0700).

pub mod archive;
pub mod audit;
pub mod canary;
pub mod fleet;
pub mod objects;
pub mod order;
pub mod policy;
pub mod query;
mod schema;
pub mod subjects;
pub mod update;
pub mod users;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

pub use self::writer::Writer;
use self::{archive::Archive, audit::AuditKey, update::UpdateArchives};
use crate::error::{Doing as _, HubError};

/// Readers at a time; more only queue for the same disk.
const READERS: usize = 8;

/// Now, ms since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    database: std::path::PathBuf,
    readers: Mutex<Vec<Connection>>,
    permits: Semaphore,
    archive: Archive,
    updates: UpdateArchives,
    audit: AuditKey,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("database", &self.inner.database).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens (or makes) the store under `directory`, the settings' data directory.
    ///
    /// # Errors
    /// The file system's or SQLite's.
    pub fn open(directory: &Path) -> Result<Self, HubError> {
        make_private_directory(directory)?;
        let archive = Archive::open(directory)?;
        let updates = UpdateArchives::open(directory)?;
        let audit = AuditKey::load_or_create(&directory.join("audit.key"))?;
        let database = directory.join("hub.sqlite");
        let writer = Writer::start(schema::open_writer(&database)?)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                database,
                readers: Mutex::new(Vec::new()),
                permits: Semaphore::new(READERS),
                archive,
                updates,
                audit,
            }),
        })
    }

    /// The archive of objects.
    pub fn archive(&self) -> &Archive {
        &self.inner.archive
    }

    /// The archives of system updates.
    pub fn updates(&self) -> &UpdateArchives {
        &self.inner.updates
    }

    /// The key of the audit trail.
    pub fn audit_key(&self) -> &AuditKey {
        &self.inner.audit
    }

    /// Runs `job` in the next group commit; resolves when that commit is durable. The job's own error undoes that job alone.
    ///
    /// # Errors
    /// The job's, or the commit's.
    pub async fn write<T, F>(&self, job: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &AuditKey) -> Result<T, HubError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.writer.run(move |connection| job(connection, &inner.audit)).await
    }

    /// As [`Store::write`], from a thread that may block (administration commands).
    ///
    /// # Errors
    /// As for [`Store::write`].
    pub fn write_blocking<T, F>(&self, job: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &AuditKey) -> Result<T, HubError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.inner.writer.run_blocking(move |connection| job(connection, &inner.audit))
    }

    /// Runs `job` on a read-only connection, off the async threads.
    ///
    /// # Errors
    /// The job's, or SQLite's when a connection cannot be opened.
    pub async fn read<T, F>(&self, job: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, HubError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let _permit = self.inner.permits.acquire().await.map_err(|_| HubError::Ended("the store"))?;
        let task = tokio::task::spawn_blocking(move || {
            let pooled = inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => schema::open_reader(&inner.database)?,
            };
            let result = job(&connection);
            inner.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        });
        task.await.map_err(|_| HubError::Ended("a reader"))?
    }
}

/// Makes `path` with mode 0700, or narrows an existing one to it.
fn make_private_directory(path: &Path) -> Result<(), HubError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).doing("make data directory")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).doing("narrow data directory")
}
