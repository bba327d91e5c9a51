//! The writer: one thread, one connection, group commit.
//!
//! Jobs that wait while a commit is on its way to the disk share the next one, so the cost of a durable commit is divided by
//! the number of concurrent uploads. Each job runs in a savepoint of its own: its error undoes it alone. A failed commit
//! fails every job of its batch; what a commit error says about the disk is not guessed at: the process ends and its
//! restart re-verifies.

use std::sync::{
    Mutex, PoisonError,
    mpsc::{Receiver, Sender, TryRecvError, channel},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use crate::error::{Doing as _, HubError};

/// Most jobs in one commit.
const MAX_BATCH: usize = 256;

type Outcome = Box<dyn FnOnce(bool) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Outcome + Send>;

/// The handle on the writer thread. Dropping it ends the thread after what was handed in is committed.
pub struct Writer {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread on an open connection.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(connection: Connection) -> Result<Self, HubError> {
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let serve = std::panic::AssertUnwindSafe(move || serve(connection, &queue));
                if std::panic::catch_unwind(serve).is_err() {
                    crate::events::store_failed(&"the writer panicked");
                    std::process::exit(70); // EX_SOFTWARE
                }
            })
            .doing("start the writer")?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs `job` in the next commit and waits until that is durable.
    ///
    /// # Errors
    /// The job's, or the commit's.
    pub async fn run<T, F>(&self, job: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, HubError> + Send + 'static,
    {
        self.submit(job)?.await.map_err(|_| HubError::Ended("the writer"))?
    }

    /// As [`Writer::run`], blocking.
    ///
    /// # Errors
    /// As for [`Writer::run`].
    pub fn run_blocking<T, F>(&self, job: F) -> Result<T, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, HubError> + Send + 'static,
    {
        self.submit(job)?.blocking_recv().map_err(|_| HubError::Ended("the writer"))?
    }

    fn submit<T, F>(&self, job: F) -> Result<oneshot::Receiver<Result<T, HubError>>, HubError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, HubError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A full disk makes SQLite roll the whole batch back: nothing may then run outside a transaction.
            let result =
                if connection.is_autocommit() { Err(HubError::NotCommitted) } else { savepoint(connection, job) };
            Box::new(move |committed| {
                let result = if committed { result } else { Err(HubError::NotCommitted) };
                // The asker may have gone (its connection was cut): the commit stands all the same.
                let _ = answer.send(result);
            })
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(wait) } else { Err(HubError::Ended("the writer")) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // The last handle may be dropped by a job's own closure on the writer thread.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn serve(mut connection: Connection, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            match queue.try_recv() {
                Ok(job) => batch.push(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let mut outcomes = Vec::with_capacity(batch.len());
        let committed = commit(&mut connection, batch, &mut outcomes);
        for outcome in outcomes {
            outcome(committed.is_ok());
        }
        if let Err(error) = committed {
            if is_fatal(&error) {
                crate::events::store_failed(&error);
                std::process::exit(74); // EX_IOERR: the service manager restarts, and SQLite recovers its log
            }
            crate::events::internal(&error);
        }
    }
}

fn commit(connection: &mut Connection, batch: Vec<Job>, outcomes: &mut Vec<Outcome>) -> Result<(), HubError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin")?;
    for job in batch {
        outcomes.push(job(&transaction));
    }
    transaction.commit().doing("commit")
}

/// Runs `body` in a savepoint: its error undoes what it did and nothing else.
fn savepoint<T>(connection: &Connection, body: impl FnOnce(&Connection) -> Result<T, HubError>) -> Result<T, HubError> {
    connection.prepare_cached("SAVEPOINT job").and_then(|mut s| s.execute([])).doing("savepoint")?;
    let result = body(connection);
    if result.is_err() {
        connection.prepare_cached("ROLLBACK TO job").and_then(|mut s| s.execute([])).doing("roll back")?;
    }
    connection.prepare_cached("RELEASE job").and_then(|mut s| s.execute([])).doing("release")?;
    result
}

fn is_fatal(error: &HubError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    let HubError::Database { source, .. } = error else { return false };
    matches!(source.sqlite_error_code(), Some(SystemIoFailure | DatabaseCorrupt | NotADatabase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_undoes_its_own_job_and_leaves_the_batch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(n INTEGER UNIQUE)").unwrap();
        let writer = Writer::start(connection).unwrap();
        let insert = |n: i64| {
            move |c: &Connection| -> Result<(), HubError> {
                c.execute("INSERT INTO t VALUES(?1)", [n + 100]).doing("first")?;
                c.execute("INSERT INTO t VALUES(?1)", [n]).doing("second")?;
                Ok(())
            }
        };
        // All handed in while the first job still runs, so that they share a batch.
        let (go, wait) = channel::<()>();
        let gate = writer.submit(move |_| wait.recv().map_err(|_| HubError::Ended("gate"))).unwrap();
        let results: Vec<_> = [1, 2, 1, 3].into_iter().map(|n| writer.submit(insert(n)).unwrap()).collect();
        go.send(()).unwrap();
        gate.blocking_recv().unwrap().unwrap();
        let ok: Vec<bool> = results.into_iter().map(|r| r.blocking_recv().unwrap().is_ok()).collect();
        assert_eq!(ok, [true, true, false, true]);
        let count: i64 =
            Connection::open(&path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 6);
    }
}
