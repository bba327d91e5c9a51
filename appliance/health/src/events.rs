//! Everything this process may log or count: closed words, counts and the settings' own text.

use std::path::Path;

use gift_spool::SpoolError;
use gift_status::{Process, Verdict, VerdictWord};
use serde::{Deserialize, Serialize};

use crate::error::HealthError;

/// Counters of this process, published in its status record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HealthStatus {
    /// Identifier of this boot; the sequence goes on within it across a restart of the process.
    pub(crate) boot: String,
    /// Number of the last report.
    pub(crate) sequence: u64,
    /// The verdict's word, once there is one.
    pub(crate) verdict: Option<VerdictWord>,
    /// Reports deposited.
    pub(crate) reports_total: u64,
    /// Reports that could not be deposited.
    pub(crate) report_failures_total: u64,
    /// LED settings that failed.
    pub(crate) led_failures_total: u64,
}

/// Starts the log.
pub(crate) fn start() {
    gift_service::start_log(Process::Health);
}

/// The process serves.
pub(crate) fn started(boot: &str, sequence: u64) {
    tracing::info!(boot, sequence, "health started");
}

/// The settings cannot be used; those of the image stand in.
pub(crate) fn settings_refused(error: &HealthError) {
    tracing::error!(%error, "settings refused: those of the image stand in");
}

/// The state did not open; the LEDs say so.
pub(crate) fn state_closed() {
    tracing::error!("the state is closed: this box cannot work");
}

/// The process ends on request.
pub(crate) fn stopping() {
    tracing::info!("health stopping");
}

/// The verdict is another one than before.
pub(crate) fn verdict(verdict: &Verdict) {
    let (word, causes) = (verdict.word, &verdict.causes);
    match word {
        VerdictWord::Fault => tracing::error!(?word, ?causes, "verdict"),
        VerdictWord::Attention => tracing::warn!(?word, ?causes, "verdict"),
        VerdictWord::Ok | VerdictWord::Starting => tracing::info!(?word, ?causes, "verdict"),
    }
}

/// An LED could not be set (logged once until it works again).
pub(crate) fn led_failed(led: &Path, error: &std::io::Error) {
    tracing::warn!(led = %led.display(), %error, "LED not set");
}

/// A report could not be deposited (logged once until it works again).
pub(crate) fn report_failed(error: &SpoolError) {
    tracing::warn!(%error, "health report not deposited");
}

/// Reports go through again.
pub(crate) fn report_recovered() {
    tracing::info!("health reports deposited again");
}

/// The state disk could not be asked (logged once until it works again); it counts as full.
pub(crate) fn disk_unknown(error: nix::Error) {
    tracing::error!(%error, "state disk cannot be examined");
}

/// The own status record could not be written.
pub(crate) fn status_failed(error: &std::io::Error) {
    tracing::warn!(%error, "status record not written");
}
