//! What the process says about itself: the parts write here, the status record is read from here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gift_status::{EnrolmentState, HubLink, UplinkStatus, UploadFailure};

use crate::{error::AttemptError, events, ledger::Receipts};

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    status: UplinkStatus,
    oldest_posted_ms: Option<u64>,
    certificate_refused: bool,
}

impl Board {
    /// The status at `now_ms`.
    pub(crate) fn status(&self, now_ms: u64) -> UplinkStatus {
        let inner = self.lock();
        let mut status = inner.status.clone();
        status.queue_oldest_age_seconds = inner.oldest_posted_ms.map_or(0, |at| now_ms.saturating_sub(at) / 1_000);
        let not_after_ms = status.certificate_not_after_ms;
        status.enrolment = match not_after_ms {
            0 => EnrolmentState::None,
            _ if inner.certificate_refused || now_ms > not_after_ms => EnrolmentState::Refused,
            _ => EnrolmentState::Enrolled,
        };
        status
    }

    /// The queue as the lanes see it.
    pub(crate) fn queue(&self, objects: u64, bytes: u64, oldest_posted_ms: Option<u64>, refused: u64) {
        let mut inner = self.lock();
        inner.status.queue_objects = objects;
        inner.status.queue_bytes = bytes;
        inner.status.refused_objects = refused;
        inner.oldest_posted_ms = oldest_posted_ms;
    }

    /// So many items or objects were found damaged.
    pub(crate) fn damaged(&self, count: u64) {
        self.lock().status.damaged_total += count;
    }

    /// The hub answered as it should; true when a certificate it had refused is accepted again.
    pub(crate) fn reached(&self) {
        let mut inner = self.lock();
        inner.certificate_refused = false;
        set_link(&mut inner, HubLink::Connected);
    }

    /// A receipt matched at `now_ms`; `isolated` when the hub was not content with the object.
    pub(crate) fn acknowledged(&self, now_ms: u64, isolated: bool, canary: bool) {
        let mut inner = self.lock();
        inner.status.uploaded_total += 1;
        inner.status.isolated_total += u64::from(isolated);
        inner.status.last_receipt_ms = now_ms;
        match (canary, isolated) {
            (true, false) => inner.status.canary_ms = now_ms,
            (true, true) => inner.status.canary_failed_ms = now_ms,
            (false, _) => {}
        }
    }

    /// When receipts matched before this start.
    pub(crate) fn receipts(&self, before: Receipts) {
        let mut inner = self.lock();
        inner.status.last_receipt_ms = before.last_ms;
        inner.status.canary_ms = before.canary_ms;
        inner.status.canary_failed_ms = before.canary_failed_ms;
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, error: &AttemptError) {
        let mut inner = self.lock();
        count(&mut inner, error.failure());
        match error {
            AttemptError::Tls { intercepted: true } => set_link(&mut inner, HubLink::Intercepted),
            AttemptError::Refused { .. } => set_link(&mut inner, HubLink::Connected),
            AttemptError::Unreachable
            | AttemptError::Busy { .. }
            | AttemptError::ReceiptMismatch
            | AttemptError::Tls { .. } => set_link(&mut inner, HubLink::Unreachable),
            AttemptError::OwnCertificate => {
                // Before enrolment there is no certificate to refuse: the hub refused the token.
                if inner.status.certificate_not_after_ms != 0 && !inner.certificate_refused {
                    inner.certificate_refused = true;
                    events::certificate_refused();
                }
                set_link(&mut inner, HubLink::Unreachable);
            }
        }
    }

    /// True while the hub refuses our certificate.
    pub(crate) fn certificate_refused(&self) -> bool {
        self.lock().certificate_refused
    }

    /// A certificate valid until `not_after_ms` is in use.
    pub(crate) fn certificate(&self, not_after_ms: u64) {
        let mut inner = self.lock();
        inner.status.certificate_not_after_ms = not_after_ms;
        inner.certificate_refused = false;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(inner: &mut Inner, failure: UploadFailure) {
    *inner.status.failures_total.entry(failure).or_default() += 1;
}

fn set_link(inner: &mut Inner, link: HubLink) {
    if inner.status.hub != link {
        inner.status.hub = link;
        events::hub_link(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_or_expired_certificate_shows_until_it_is_accepted_or_replaced() {
        let board = Board::default();
        assert_eq!(board.status(5).enrolment, EnrolmentState::None);
        board.failed(&AttemptError::OwnCertificate);
        assert_eq!(board.status(5).enrolment, EnrolmentState::None);
        board.certificate(10);
        assert_eq!(board.status(5).enrolment, EnrolmentState::Enrolled);
        assert_eq!(board.status(11).enrolment, EnrolmentState::Refused);
        board.failed(&AttemptError::OwnCertificate);
        assert_eq!(board.status(5).enrolment, EnrolmentState::Refused);
        board.reached();
        assert_eq!((board.status(5).enrolment, board.status(5).hub), (EnrolmentState::Enrolled, HubLink::Connected));
    }

    #[test]
    fn the_age_of_the_oldest_grows_with_time() {
        let board = Board::default();
        board.queue(2, 10, Some(1_000), 1);
        let status = board.status(61_000);
        assert_eq!((status.queue_objects, status.queue_oldest_age_seconds, status.refused_objects), (2, 60, 1));
    }
}
