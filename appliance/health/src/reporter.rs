//! Deposits the health report: every interval, and soon after the verdict changed.
//!
//! Only the newest report is of use. So the one before is withdrawn when the uplink has not taken it, and while the uplink is
//! down no more than one stands in the outbox. A store that failed is opened anew for the next report, which looks at what is
//! really there and syncs through fresh handles; the LEDs go on meanwhile.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use gift_spool::{Depositor, ItemId, SpoolError};
use gift_status::{Cause, Verdict, VerdictWord};
use gift_wire::{HealthReport, ReleaseItem};

use crate::{events, settings::Settings};

/// What a report must differ in to be sent early: not the LEDs, which change with every image.
type Gist = (VerdictWord, Vec<Cause>);

/// Deposits reports.
#[derive(Debug)]
pub(crate) struct Reporter {
    staging: PathBuf,
    outbox: PathBuf,
    interval: Duration,
    soonest: Duration,
    depositor: Option<Depositor>,
    last_try: Option<Instant>,
    last_gist: Option<Gist>,
    last_item: Option<ItemId>,
    failing: bool,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            staging: settings.release_staging.clone(),
            outbox: settings.release_outbox.clone(),
            interval: Duration::from_secs(settings.report.interval_seconds),
            soonest: Duration::from_secs(settings.report.soonest_seconds),
            depositor: None,
            last_try: None,
            last_gist: None,
            last_item: None,
            failing: false,
        }
    }

    /// True when a report with this verdict should go out now.
    pub(crate) fn is_due(&self, verdict: &Verdict, now: Instant) -> bool {
        let Some(since) = self.last_try.map(|at| now.saturating_duration_since(at)) else { return true };
        let told =
            self.last_gist.as_ref().is_some_and(|(word, causes)| (word, causes) == (&verdict.word, &verdict.causes));
        since >= self.interval || (since >= self.soonest && !told)
    }

    /// Deposits a report; true when it is durable.
    pub(crate) fn report(&mut self, report: &HealthReport, now: Instant) -> bool {
        self.last_try = Some(now);
        match self.deposit(report) {
            Ok(id) => {
                self.last_gist = Some((report.verdict.word, report.verdict.causes.clone()));
                let before = self.last_item.replace(id);
                if let (Some(depositor), Some(before)) = (&self.depositor, before) {
                    // The reader replaces it by the newer one in any case.
                    let _ = depositor.withdraw(&before);
                }
                if std::mem::take(&mut self.failing) {
                    events::report_recovered();
                }
                true
            }
            Err(error) => {
                if self.depositor.as_ref().is_some_and(Depositor::is_poisoned) {
                    self.depositor = None;
                }
                if !std::mem::replace(&mut self.failing, true) {
                    events::report_failed(&error);
                }
                false
            }
        }
    }

    fn deposit(&mut self, report: &HealthReport) -> Result<ItemId, SpoolError> {
        let depositor = match self.depositor.take() {
            Some(depositor) => depositor,
            None => Depositor::open(&self.staging, &self.outbox)?,
        };
        let depositor = self.depositor.insert(depositor);
        depositor.post_late()?;
        let json = |e: serde_json::Error| SpoolError::Store(e.into());
        let meta = serde_json::to_vec(&ReleaseItem::Health).map_err(json)?;
        depositor.deposit(&meta, &serde_json::to_vec(report).map_err(json)?)
    }
}
