//! What can go wrong in the monitor, sorted by what it does: wait and try again, or end and start anew.

use gift_spool::SpoolError;

use crate::{
    child::StartError, coder::CodeFault, key::KeyError, ledger::LedgerError, policy::PolicyError,
    quarantine::QuarantineError, reader::ReadFault, sandbox::SandboxError, settings::SettingsFault,
};

/// Any error of the monitor.
#[derive(Debug, thiserror::Error)]
pub enum DeidError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsFault),
    /// A credential.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The monitor's own confinement.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A drop directory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The quarantine.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// A worker.
    #[error(transparent)]
    Worker(#[from] StartError),
    /// The second look is asked for and cannot be taken.
    #[error("[ocr] mode asks for a second look, which cannot be taken: {0}")]
    Reader(#[from] ReadFault),
    /// Video is to be redacted and cannot be.
    #[error("[video] mode asks for redaction, which cannot be done: {0}")]
    Coder(#[from] CodeFault),
    /// A file or directory of the process's own.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A lane ended that should not.
    #[error("a lane ended by itself")]
    Lane,
}

/// What the monitor does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// The item stays in the intake; it is tried again after a while.
    Later,
    /// The item stays in the intake until the quarantine has room for its scanner.
    WhenQuarantineHasRoom,
    /// The store can no longer be trusted: the process ends, and the next start looks at what is really there.
    Stop,
}

impl DeidError {
    /// An error of one of the process's own files.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// What to do about it.
    pub fn response(&self) -> Response {
        let no_room = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        };
        match self {
            Self::Spool(SpoolError::Full) | Self::Quarantine(QuarantineError::NoRoom) | Self::Worker(_) => {
                Response::Later
            }
            Self::Io { source, .. } if no_room(source) => Response::Later,
            Self::Quarantine(QuarantineError::Full { .. }) => Response::WhenQuarantineHasRoom,
            _ => Response::Stop,
        }
    }
}
