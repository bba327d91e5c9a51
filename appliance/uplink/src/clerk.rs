//! The clerk: the one thread that writes the ledger, and erases queue files when the ledger allows it.
//!
//! Everything that waits is written in one transaction (group commit). Order for an acknowledged object: ledger row
//! committed → file unlinked → directory synced → answer. A crash in between repeats the work: the hub's store is
//! idempotent. When the ledger or the directory fails, the thread ends with the error and with it the process.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    durable,
    error::UplinkError,
    house::House,
    key::Key,
    ledger::{Ledger, Settlement},
    pulse::Pulse,
};

/// Settlements written in one transaction at most.
const GROUP: usize = 256;
/// The clerk shows that it lives at least this often.
const IDLE: Duration = Duration::from_secs(1);
/// Finished rows are pruned after this many settlements.
const PRUNE_EVERY: usize = 1_000;

/// What did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// The disk is full: try again later.
    Full,
    /// The clerk is gone: the process is ending.
    Gone,
}

enum Command {
    Known(Vec<Key>, oneshot::Sender<Vec<bool>>),
    Accept(Vec<(Key, u64, u64)>, oneshot::Sender<Result<(), Unwritten>>),
    Settle(Key, Settlement, oneshot::Sender<Result<(), Unwritten>>),
}

/// How the others reach the clerk.
#[derive(Debug, Clone)]
pub(crate) struct Clerk {
    commands: mpsc::Sender<Command>,
}

impl Clerk {
    /// Starts the clerk over `ledger`. It ends when every `Clerk` is dropped.
    pub(crate) fn start(
        ledger: Ledger,
        house: House,
        receipts_kept: u64,
        pulse: Arc<Pulse>,
    ) -> (Self, thread::JoinHandle<Result<(), UplinkError>>) {
        let (commands, inbox) = mpsc::channel();
        let desk = Desk { ledger, house, receipts_kept, since_prune: 0 };
        (Self { commands }, thread::spawn(move || desk.run(&inbox, &pulse)))
    }

    /// True for each key that need not be taken again ([`Ledger::known`]). Blocking.
    ///
    /// # Errors
    /// [`Unwritten::Gone`].
    pub(crate) fn known(&self, keys: Vec<Key>) -> Result<Vec<bool>, Unwritten> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Known(keys, reply)).map_err(|_| Unwritten::Gone)?;
        answer.blocking_recv().map_err(|_| Unwritten::Gone)
    }

    /// Adds queued rows `(key, size, posted_ms)`, all or none; their files are durable already. Blocking.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub(crate) fn accept(&self, rows: Vec<(Key, u64, u64)>) -> Result<(), Unwritten> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Accept(rows, reply)).map_err(|_| Unwritten::Gone)?;
        answer.blocking_recv().map_err(|_| Unwritten::Gone)?
    }

    /// Writes how an object left the queue; when that is against a receipt, its file is gone on return.
    ///
    /// # Errors
    /// See [`Unwritten`].
    pub(crate) async fn settle(&self, key: Key, settlement: Settlement) -> Result<(), Unwritten> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Settle(key, settlement, reply)).map_err(|_| Unwritten::Gone)?;
        answer.await.map_err(|_| Unwritten::Gone)?
    }
}

struct Desk {
    ledger: Ledger,
    house: House,
    receipts_kept: u64,
    since_prune: usize,
}

type Settling = (Key, Settlement, oneshot::Sender<Result<(), Unwritten>>);

impl Desk {
    fn run(mut self, inbox: &mpsc::Receiver<Command>, pulse: &Pulse) -> Result<(), UplinkError> {
        loop {
            pulse.beat();
            let mut next = match inbox.recv_timeout(IDLE) {
                Ok(command) => Some(command),
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut settling: Vec<Settling> = Vec::new();
            while let Some(command) = next {
                match command {
                    // A sender that no longer waits has ended; there is nobody to tell.
                    Command::Known(keys, reply) => {
                        let _ = reply.send(self.ledger.known(&keys)?);
                    }
                    Command::Accept(rows, reply) => {
                        let written = self.ledger.accept(&rows);
                        let _ = reply.send(unless_fatal(written.map_err(UplinkError::from))?);
                    }
                    Command::Settle(key, settlement, reply) => settling.push((key, settlement, reply)),
                }
                next = if settling.len() < GROUP { inbox.try_recv().ok() } else { None };
            }
            if !settling.is_empty() {
                self.settle(settling)?;
            }
        }
    }

    fn settle(&mut self, settling: Vec<Settling>) -> Result<(), UplinkError> {
        let (rows, replies): (Vec<_>, Vec<_>) =
            settling.into_iter().map(|(key, settlement, reply)| ((key, settlement), reply)).unzip();
        let outcome = unless_fatal(self.write(&rows))?;
        for reply in replies {
            let _ = reply.send(outcome);
        }
        self.since_prune += rows.len();
        if self.since_prune >= PRUNE_EVERY {
            self.since_prune = 0;
            unless_fatal(self.ledger.prune(self.receipts_kept).map_err(UplinkError::from))?.ok();
        }
        Ok(())
    }

    fn write(&mut self, rows: &[(Key, Settlement)]) -> Result<(), UplinkError> {
        self.ledger.settle(gift_service::now_ms(), rows)?;
        let mut erased = false;
        for (key, settlement) in rows {
            match settlement {
                Settlement::Acknowledged { .. } => {
                    durable::remove(&self.house.queued(*key))
                        .map_err(UplinkError::store("cannot erase an acknowledged object"))?;
                    erased = true;
                }
                Settlement::SetAside => {
                    self.house.put_aside(*key).map_err(UplinkError::store("cannot set a damaged object aside"))?;
                }
                Settlement::Refused { .. } | Settlement::Missing => {}
            }
        }
        if erased {
            durable::sync_directory(&self.house.queue()).map_err(UplinkError::store("cannot sync the queue"))?;
        }
        Ok(())
    }
}

/// A full disk is told to who asked; every other failure ends the clerk.
fn unless_fatal<T>(result: Result<T, UplinkError>) -> Result<Result<T, Unwritten>, UplinkError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is_full() => Ok(Err(Unwritten::Full)),
        Err(error) => Err(error),
    }
}
