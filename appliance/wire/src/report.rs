//! The health report: the verdict and the counters behind it. No free text.

use gift_status::{DeidStatus, DiskState, ReceiverStatus, UpdaterStatus, UplinkStatus, Verdict};
use serde::{Deserialize, Serialize};

/// One report of one box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// [`crate::WIRE_VERSION`].
    pub version: u16,
    /// Changes with every boot: 32 hexadecimal digits.
    pub boot: String,
    /// Counts up from 1 within a boot, so that gaps show.
    pub sequence: u64,
    /// When, ms since the Unix epoch, by the box's clock.
    pub sent_ms: u64,
    /// Version of the box's software: of its image, where it runs from one.
    pub software: String,
    /// The one verdict; the LEDs show the same.
    pub verdict: Verdict,
    /// The state disk.
    pub disk: DiskState,
    /// The receiver's counters, when it reports.
    pub receiver: Option<ReceiverStatus>,
    /// The de-identifier's counters.
    pub deid: Option<DeidStatus>,
    /// The uplink's counters.
    pub uplink: Option<UplinkStatus>,
    /// What became of the last system update. Hubs that do not know it read past it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdaterStatus>,
}
