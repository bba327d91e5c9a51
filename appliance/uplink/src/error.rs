//! What ends the process, and what an attempt to reach the hub can come to. No text here holds a value of a data set.

use std::{io, time::Duration};

use gift_spool::SpoolError;
use gift_status::UploadFailure;

use crate::{identity::IdentityError, settings::SettingsFault};

/// What ends the process; the service manager starts it again and everything is verified anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UplinkError {
    /// Settings that cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsFault),
    /// The uplink's own store failed.
    #[error("{doing}: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The ledger failed.
    #[error("ledger: {0}")]
    Ledger(#[from] rusqlite::Error),
    /// The linked SQLite has a known WAL corruption bug.
    #[error("SQLite is older than 3.51.3")]
    OldSqlite,
    /// The outbox failed.
    #[error("outbox: {0}")]
    Outbox(#[from] SpoolError),
    /// The device key or certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The HTTP client could not be made.
    #[error("cannot make the hub client: {0}")]
    Client(#[source] reqwest::Error),
    /// TLS could not be configured.
    #[error("cannot configure TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A part of the process ended that should not have.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

impl UplinkError {
    /// Wraps an IO error with what was being done.
    pub(crate) fn store(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Store { doing, source }
    }

    /// True when the cause is a full disk: wait, do not end.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Store { source, .. } => crate::durable::is_full(source),
            Self::Ledger(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Outbox(SpoolError::Full) => true,
            Self::Outbox(SpoolError::Store(source)) => crate::durable::is_full(source),
            _ => false,
        }
    }
}

/// Why an attempt failed, sorted by what happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptError {
    /// No path to the hub, or it broke: try again, pausing for all objects.
    Unreachable,
    /// TLS did not come about.
    Tls {
        /// Somebody else's certificate stood where the hub's should.
        intercepted: bool,
    },
    /// The hub refused our own certificate (expired, revoked, unknown).
    OwnCertificate,
    /// The hub asked to slow down or failed itself.
    Busy {
        /// HTTP status.
        status: u16,
        /// What its Retry-After said.
        retry_after: Option<Duration>,
    },
    /// The hub will not take this object.
    Refused {
        /// HTTP status.
        status: u16,
    },
    /// The receipt is missing or for something else.
    ReceiptMismatch,
}

impl AttemptError {
    /// The word it is counted under.
    pub(crate) fn failure(&self) -> UploadFailure {
        match self {
            Self::Unreachable => UploadFailure::Unreachable,
            Self::Tls { .. } | Self::OwnCertificate => UploadFailure::Tls,
            Self::Busy { .. } => UploadFailure::Busy,
            Self::Refused { .. } => UploadFailure::Refused,
            Self::ReceiptMismatch => UploadFailure::ReceiptMismatch,
        }
    }
}
