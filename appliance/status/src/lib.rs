//! What a process may say about itself, and the one verdict made of it.
//!
//! Closed enums and counters only: there is no free text here, so no value of a data set can travel in a status record
//! (design: "No PHI outside the diode's left half"). Pure: no IO, no clock, no log; time comes in as milliseconds since the
//! Unix epoch. `health` turns the records into [`Verdict`] with [`verdict()`]; LEDs and fleet page show that same verdict.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod reason;
mod record;
mod verdict;

pub use reason::{HoldReason, RejectReason, UploadFailure};
pub use record::{
    DeidStatus, EnrolmentState, HubLink, Process, ReceiverStatus, RunState, STATUS_VERSION, StatusRecord,
    UpdateRefusal, UpdateState, UpdaterStatus, UplinkStatus,
};
pub use verdict::{
    AttentionLed, CANARY_SCANNER, CanaryRule, Cause, DiskState, Inputs, Leds, PowerLed, STALE_AFTER_MS, ScannerLed,
    Unstable, UplinkLed, Verdict, VerdictWord, verdict,
};
