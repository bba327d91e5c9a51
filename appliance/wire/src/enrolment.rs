//! Enrolment: a one-time token and a certificate signing request against a device certificate.

use serde::{Deserialize, Serialize};

/// The box asks for its device certificate.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// [`crate::WIRE_VERSION`].
    pub version: u16,
    /// The one-time token the hub's operator made for this box.
    pub token: String,
    /// PKCS#10 request, PEM. The hub takes only its public key; the name comes from the hub's database.
    pub csr_pem: String,
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrolRequest").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The hub's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// [`crate::WIRE_VERSION`].
    pub version: u16,
    /// The device certificate followed by the hub's intermediate, PEM.
    pub certificate_pem: String,
    /// End of its validity, ms since the Unix epoch.
    pub not_after_ms: u64,
    /// The box's name in the fleet.
    pub box_name: String,
    /// The hub's clock, ms since the Unix epoch.
    pub hub_time_ms: u64,
}
