//! Everything the receiver may log or count. No value of a data set, no AE title, no address: a scanner is its ordinal, an
//! association is its serial number since the start.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use gift_dimse::{Discard, End, Rejection, Status, Timer, Violation};
use gift_status::{ReceiverStatus, RejectReason};
use tracing::{debug, error, info, warn};

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// What an earlier run left in staging was settled.
    Recovered { posted: u64, erased: u64, damaged: u64 },
    /// The process serves.
    Listening { activated: bool, port: u16 },
    /// Ending on request; this many associations are open.
    Stopping { associations: usize },
    /// `accept` failed; it is tried again.
    AcceptFailed { errno: i32 },
    /// An association was accepted.
    Associated { association: u64, scanner: u16 },
    /// An instance was answered 0000H.
    Stored { association: u64, scanner: u16, bytes: u64 },
    /// An operation was refused.
    Refused { association: u64, scanner: u16, reason: RejectReason },
    /// An association that had been accepted has ended.
    Ended { association: u64, scanner: u16, end: End, instances: u64 },
    /// A connection ended without an association.
    NotAssociated { reason: RejectReason },
    /// The store failed: the process will restart.
    StoreFailed { step: &'static str, errno: i32 },
    /// The status record could not be published.
    PublishFailed { errno: i32 },
}

/// The counters behind [`ReceiverStatus`].
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    status: Mutex<ReceiverStatus>,
    /// Moves with every call to the disk that comes back. For the watchdog.
    pulse: AtomicU64,
}

impl Ledger {
    /// Logs and counts.
    pub(crate) fn record(&self, event: Event) {
        match event {
            Event::Recovered { posted, erased, damaged } => info!(posted, erased, damaged, "staging settled"),
            Event::Listening { activated, port } => info!(activated, port, "listening"),
            Event::Stopping { associations } => info!(associations, "stopping"),
            Event::AcceptFailed { errno } => warn!(errno, "accept failed, trying again"),
            Event::Associated { association, scanner } => {
                self.lock().associations_total += 1;
                info!(association, scanner, "association accepted");
            }
            Event::Stored { association, scanner, bytes } => {
                let mut status = self.lock();
                status.instances_total += 1;
                status.bytes_total += bytes;
                status.last_instance_ms.insert(scanner, gift_service::now_ms());
                drop(status);
                debug!(association, scanner, bytes, "instance stored");
            }
            Event::Refused { association, scanner, reason } => {
                self.count(reason);
                warn!(association, scanner, reason = reason.as_str(), "instance refused");
            }
            Event::Ended { association, scanner, end, instances } => {
                if let Some(reason) = reason_of(end) {
                    self.count(reason);
                }
                info!(association, scanner, instances, end = word(end), "association ended");
            }
            Event::NotAssociated { reason } => {
                self.count(reason);
                // A flood must not become a flood of log lines: the counter tells.
                debug!(reason = reason.as_str(), "no association");
            }
            Event::StoreFailed { step, errno } => error!(step, errno, "the intake store failed"),
            Event::PublishFailed { errno } => warn!(errno, "status record not published"),
        }
    }

    /// The pipeline moved.
    pub(crate) fn beat(&self) {
        self.pulse.fetch_add(1, Relaxed);
    }

    /// How often it has moved.
    pub(crate) fn pulse(&self) -> u64 {
        self.pulse.load(Relaxed)
    }

    /// The record to publish.
    pub(crate) fn snapshot(&self, associations_open: usize, disk_short: bool) -> ReceiverStatus {
        let mut status = self.lock().clone();
        status.associations_open = u32::try_from(associations_open).unwrap_or(u32::MAX);
        status.disk_short = disk_short;
        status
    }

    fn count(&self, reason: RejectReason) {
        let mut status = self.lock();
        let counters: &mut BTreeMap<_, _> = &mut status.refused_total;
        *counters.entry(reason).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, ReceiverStatus> {
        // Counters stay usable whatever a panicking task left behind.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counter that an end of an association belongs to; `None` when nothing was wrong on either side.
pub(crate) fn reason_of(end: End) -> Option<RejectReason> {
    match end {
        End::Released | End::Aborted | End::Lost | End::Stopped => None,
        End::Rejected(Rejection::NotAllowed) => Some(RejectReason::NotAllowed),
        End::Rejected(Rejection::Congestion) => Some(RejectReason::Congestion),
        End::Protocol(_) => Some(RejectReason::Protocol),
        End::TimedOut(Timer::Closing) => None,
        End::TimedOut(_) => Some(RejectReason::Timeout),
    }
}

/// The counter that a discarded instance belongs to.
pub(crate) fn reason_of_discard(discard: Discard) -> Option<RejectReason> {
    match discard {
        Discard::Refused(Status::DataSetMismatch) => Some(RejectReason::DataSetMismatch),
        Discard::Refused(_) => Some(RejectReason::NotADataSet),
        Discard::Ended => None,
    }
}

fn word(end: End) -> &'static str {
    match end {
        End::Released => "released",
        End::Aborted => "aborted by peer",
        End::Lost => "connection lost",
        End::Rejected(_) => "rejected",
        End::Protocol(Violation::UnrecognizedPdu) => "violation: PDU type",
        End::Protocol(Violation::UnexpectedPdu) => "violation: PDU out of place",
        End::Protocol(Violation::TooLong) => "violation: too long",
        End::Protocol(Violation::InvalidPdu) => "violation: PDU fields",
        End::Protocol(Violation::UnknownContext) => "violation: presentation context",
        End::Protocol(Violation::MalformedCommand) => "violation: command set",
        End::Protocol(Violation::Unsupported) => "violation: protocol version or application context",
        End::Protocol(Violation::PeerMaximum) => "violation: maximum length",
        End::TimedOut(_) => "timed out",
        End::Stopped => "stopped",
    }
}
