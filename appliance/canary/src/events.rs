//! All that the canary logs.

use tracing::{info, warn};

use crate::error::CanaryError;

/// The receiver has it.
pub(crate) fn sent() {
    info!("canary sent");
}

/// It was not taken; the service manager tries again.
pub(crate) fn not_sent(error: &CanaryError) {
    warn!(%error, "canary not sent");
}
