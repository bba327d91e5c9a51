//! What box and hub say to each other. Versioned, no IO: types, their JSON, and the checks both sides apply.
//!
//! The wire is HTTP/2 over TLS 1.3 with a client certificate. An object travels as STOW-RS (PS3.18 §10.5): a
//! `multipart/related; type="application/dicom"` body with one part, whose [`Manifest`] rides in the [`MANIFEST_HEADER`]
//! part header as base64url JSON. The hub answers with the standard's response and the [`Receipt`] in [`RECEIPT_HEADER`].
//! The box forgets an object only against a receipt that [`Receipt::matches`] its manifest.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bundle;
mod enrolment;
mod manifest;
mod order;
mod report;
mod update;

pub use bundle::{Bundle, BundleError, MAX_BUNDLE_BYTES, SignedBundle};
pub use enrolment::{EnrolRequest, EnrolResponse};
pub use gift_status as status;
pub use manifest::{Certificate, Linkage, Manifest, ManifestError, ObjectId, Receipt, ReleaseItem, Sha256Hex};
pub use order::{MAX_ORDER_JSON_BYTES, ORDER_CONTEXT, Order, OrderError, OrderKind, SignedOrder};
pub use report::HealthReport;
pub use update::{
    ImageVersion, MAX_ARCHIVE_BYTES, MAX_UPDATE_JSON_BYTES, SignedUpdate, UPDATE_CONTEXT, Update, UpdateError,
    UpdatePart,
};

/// Version of every type here; a peer refuses a version it does not know.
pub const WIRE_VERSION: u16 = 1;

/// Project of the canary: a synthetic patient that a box sends through itself each day. A hub checks what comes under this name against
/// what was planted, and neither keeps nor serves it.
pub const CANARY_PROJECT: &str = "canary";

/// Path of the enrolment request (server-authenticated TLS, no client certificate yet).
pub const ENROL_PATH: &str = "/box/v1/enrol";
/// Path of the STOW-RS service for boxes.
pub const STOW_PATH: &str = "/box/v1/studies";
/// Path of the health report.
pub const HEALTH_PATH: &str = "/box/v1/health";

/// Path of the newest signed policy bundle; its entity tag changes with every bundle.
pub const POLICY_PATH: &str = "/box/v1/policy";

/// Path of the newest signed update; its entity tag changes with every update. Its archive is asked for by this path, `/` and the SHA-256 that
/// the update names; `Range` (RFC 9110 §14.2) goes on where a download ended.
pub const UPDATE_PATH: &str = "/box/v1/update";

/// Path of the newest signed order for the box that asks; its entity tag changes with every order.
pub const ORDER_PATH: &str = "/box/v1/order";

/// Part header that carries the [`Manifest`] (base64url of its JSON, no padding).
pub const MANIFEST_HEADER: &str = "gift-manifest";
/// Response header that carries the [`Receipt`] (its JSON).
pub const RECEIPT_HEADER: &str = "gift-receipt";

/// Largest object the hub takes in one request, bytes.
pub const MAX_OBJECT_BYTES: u64 = 4 << 30;
/// Longest certificate chain that the uplink hands over to gift-clock, bytes of PEM.
pub const MAX_CHAIN_BYTES: usize = 64 << 10;
