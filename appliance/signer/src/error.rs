//! Why there is no signature.

use std::io;

use gift_signer::Failure;

/// What went wrong, sorted by what the client is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignerError {
    /// The house failed.
    #[error("{doing}: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The stored key cannot be used, now or ever: the certificate belongs to it, so no other takes its place.
    #[error("stored key: {0}")]
    Key(&'static str),
    /// The TPM failed.
    #[error("TPM, {doing}: {source}")]
    Tpm {
        /// What was being done.
        doing: &'static str,
        /// What the library says.
        source: tss_esapi::Error,
    },
    /// The TPM's answer makes no sense.
    #[error("TPM: {0}")]
    Sense(&'static str),
}

impl SignerError {
    /// What the client is told.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Store { .. } => Failure::Store,
            Self::Key(_) => Failure::Key,
            Self::Tpm { .. } | Self::Sense(_) => Failure::Tpm,
        }
    }

    /// Says what was being done when the TPM failed.
    pub(crate) fn tpm(doing: &'static str) -> impl FnOnce(tss_esapi::Error) -> Self {
        move |source| Self::Tpm { doing, source }
    }
}
