//! The status record each process publishes. Counters end in `_total`; gauges carry their unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{HoldReason, RejectReason, UploadFailure};

/// Version of [`StatusRecord`]; readers refuse what they do not know.
pub const STATUS_VERSION: u16 = 1;

/// The processes of the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// DICOM SCP on the scanner side.
    Receiver,
    /// The de-identifier.
    Deid,
    /// The uploader on the WAN side.
    Uplink,
    /// Verdict, LEDs, report.
    Health,
    /// The oneshot that writes system updates.
    Updater,
}

impl Process {
    /// The name used for units, status records and log identifiers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Deid => "deid",
            Self::Uplink => "uplink",
            Self::Health => "health",
            Self::Updater => "updater",
        }
    }
}

/// Where a process stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Not yet serving.
    #[default]
    Starting,
    /// Serving.
    Ready,
    /// Serving, but its store failed and is being re-verified.
    Degraded,
    /// Ending on request.
    Stopping,
}

/// One process's record: written whole and atomically, read by `health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord<T> {
    /// [`STATUS_VERSION`].
    pub version: u16,
    /// When this record was made, ms since the Unix epoch.
    pub updated_ms: u64,
    /// When the process started, ms since the Unix epoch.
    pub started_ms: u64,
    /// Where the process stands.
    pub state: RunState,
    /// The process's own counters.
    pub body: T,
}

/// Counters of the receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiverStatus {
    /// Associations accepted.
    pub associations_total: u64,
    /// Associations or operations refused, by reason.
    pub refused_total: BTreeMap<RejectReason, u64>,
    /// Instances answered 0000H (durable).
    pub instances_total: u64,
    /// Bytes of those instances.
    pub bytes_total: u64,
    /// Associations open now.
    pub associations_open: u32,
    /// True while instances are refused because the disk is short.
    pub disk_short: bool,
    /// Per configured scanner (its ordinal; 0 = not configured by name): last instance accepted, ms since the Unix epoch.
    pub last_instance_ms: BTreeMap<u16, u64>,
}

/// Counters of the de-identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeidStatus {
    /// Objects taken from the intake.
    pub taken_total: u64,
    /// Objects released.
    pub released_total: u64,
    /// Objects held, by reason, since the start.
    pub held_total: BTreeMap<HoldReason, u64>,
    /// Objects in quarantine now, by reason.
    pub quarantine_objects: BTreeMap<HoldReason, u64>,
    /// Size of the quarantine, bytes.
    pub quarantine_bytes: u64,
    /// Objects that wait in the intake.
    pub inbox_objects: u64,
    /// Of them, those whose scanner has filled its share of the quarantine.
    pub deferred_objects: u64,
    /// The quarantine is full: nothing is taken from the intake.
    pub quarantine_full: bool,
    /// Items in the intake set aside because their record was damaged.
    pub damaged_total: u64,
    /// Workers that died on an object.
    pub worker_deaths_total: u64,
    /// Released objects in whose pixels the second look (OCR) found none of their identifiers.
    pub second_looks_total: u64,
    /// Released objects that it was to look at and could not: their pixels are of a form or size it does not read, or it failed.
    pub second_looks_missed_total: u64,
    /// Serial of the signed policy bundle in force; 0 for the image's own policy.
    pub policy_serial: u64,
    /// Policy bundles that arrived and were refused.
    pub bundles_refused_total: u64,
}

/// How uplink last found the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HubLink {
    /// Not tried yet.
    #[default]
    Unknown,
    /// The last exchange succeeded.
    Connected,
    /// The last attempt failed.
    Unreachable,
    /// TLS found another certificate than the pinned one: the network path is intercepted.
    Intercepted,
}

/// Where the box's enrolment stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// No certificate yet.
    #[default]
    None,
    /// Certificate valid.
    Enrolled,
    /// Certificate expired or revoked.
    Refused,
}

/// Counters of the uplink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UplinkStatus {
    /// Objects that wait for a receipt.
    pub queue_objects: u64,
    /// Their size, bytes.
    pub queue_bytes: u64,
    /// Age of the oldest, seconds.
    pub queue_oldest_age_seconds: u64,
    /// Objects whose receipt matched.
    pub uploaded_total: u64,
    /// Failed attempts, by reason.
    pub failures_total: BTreeMap<UploadFailure, u64>,
    /// Objects the hub refused for good and that stay on the box.
    pub refused_objects: u64,
    /// How the hub was last found.
    pub hub: HubLink,
    /// Enrolment.
    pub enrolment: EnrolmentState,
    /// Last matching receipt, ms since the Unix epoch; 0 = never.
    pub last_receipt_ms: u64,
    /// End of the device certificate's validity, ms since the Unix epoch; 0 = none.
    pub certificate_not_after_ms: u64,
    /// Objects and outbox items set aside because they were damaged, and ledger rows whose object is gone.
    pub damaged_total: u64,
    /// Objects whose receipt matched and that the hub keeps apart, because its own check against the profile failed.
    pub isolated_total: u64,
    /// When the hub last was content with a canary, ms since the Unix epoch; 0 = never.
    pub canary_ms: u64,
    /// When it last found something wrong with one, ms since the Unix epoch; 0 = never.
    pub canary_failed_ms: u64,
}

/// Where the newest system update stands. What the updater publishes; it is a oneshot, so its record does not age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdaterStatus {
    /// Serial of the newest update that was taken; 0 before the first.
    pub serial: u64,
    /// What became of it.
    pub state: UpdateState,
    /// Why the last one that was refused was, until another is taken.
    pub refusal: Option<UpdateRefusal>,
    /// When the state changed, ms since the Unix epoch.
    pub changed_ms: u64,
}

/// What became of an update that was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateState {
    /// None was taken yet.
    #[default]
    None,
    /// It is being written to the other slot.
    Installing,
    /// It is written; the box starts again into it.
    Installed,
    /// It runs, and must show that it works before it counts.
    Trying,
    /// It runs and works: the boot loader keeps to it.
    Confirmed,
    /// It did not work: the box went back to the image before.
    RolledBack,
    /// It could not be written.
    Failed,
}

/// Why an update was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateRefusal {
    /// Not the form of one.
    Form,
    /// No trusted key signed it.
    Signature,
    /// Its serial is not greater than that of every one before.
    Serial,
    /// Its image is not newer than the one that runs.
    Version,
    /// Its last day has passed.
    Expired,
    /// The archive is not the one that was signed.
    Content,
    /// There is no room for it.
    Room,
}
