//! Everything the signer may log: closed words, numbers of the system, and the TPM library's response codes.

use gift_signer::Failure;

use crate::error::SignerError;

/// Starts the log.
pub(crate) fn start() {
    gift_service::start_log_of("signer");
}

/// The process serves.
pub(crate) fn started() {
    tracing::info!("signer started");
}

/// The device key was made.
pub(crate) fn key_made() {
    tracing::info!("device key made in the TPM");
}

/// The stored key is in the TPM.
pub(crate) fn key_loaded() {
    tracing::info!("device key loaded into the TPM");
}

/// The key was in the TPM and cannot be used any more; it is loaded anew.
pub(crate) fn key_lost(error: &SignerError) {
    tracing::warn!(%error, "the TPM lost the device key: loading it again");
}

/// A request was answered by a failure.
pub(crate) fn failed(failure: Failure, error: &SignerError) {
    tracing::error!(%failure, %error, "request failed");
}

/// Somebody else than the client connected.
pub(crate) fn stranger(uid: u32) {
    tracing::warn!(uid, "a connection of another user: closed");
}

/// A connection was given up: its request did not come whole, or was none.
pub(crate) fn no_request() {
    tracing::warn!("a connection without a request: closed");
}

/// The answer could not be given.
pub(crate) fn not_taken() {
    tracing::warn!("an answer was not taken");
}
