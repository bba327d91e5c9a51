//! The factory's manifest of a box: written when its provisioning is signed, kept beside the other boxes' offline, and what an order to
//! erase that box is made from. No secret is in it.

use gift_wire::Sha256Hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::wrap::{WrapError, public_identity};

/// Version of the form.
const VERSION: u16 = 1;

/// Which box got what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u16,
    /// As on its label.
    pub serial: String,
    /// Public key of the identity that the box made at its first boot (`age1…`).
    pub identity: String,
    /// Number of the provisioning.
    pub provisioning: u64,
    /// Day on which it was signed, `YYYY-MM-DD` (UTC).
    pub created: String,
    /// SHA-256 of what was written into the box's partition.
    pub sha256: Sha256Hex,
}

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the form of one.
    #[error("not a factory manifest of version {VERSION}")]
    Form,
    /// The identity.
    #[error(transparent)]
    Identity(#[from] WrapError),
}

impl Manifest {
    /// The manifest of a box that gets the provisioning `signed`.
    ///
    /// # Errors
    /// [`ManifestError::Identity`].
    pub fn new(
        serial: String,
        identity: &str,
        number: u64,
        created: String,
        signed: &[u8],
    ) -> Result<Self, ManifestError> {
        let sha256 = Sha256Hex::parse(&hex::encode(Sha256::digest(signed))).ok_or(ManifestError::Form)?;
        Ok(Self {
            version: VERSION,
            serial,
            identity: public_identity(identity)?,
            provisioning: number,
            created,
            sha256,
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_str(text).map_err(|_| ManifestError::Form)?;
        if manifest.version != VERSION {
            return Err(ManifestError::Form);
        }
        public_identity(&manifest.identity)?;
        Ok(manifest)
    }

    /// As it is written.
    ///
    /// # Errors
    /// [`ManifestError::Form`]: never, with text of this type.
    pub fn to_json(&self) -> Result<String, ManifestError> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(|_| ManifestError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_nothing_else_is() {
        let (_, identity) = crate::wrap::box_identity();
        let manifest = Manifest::new("GE-0001".into(), &identity, 3, "2026-11-29".into(), b"signed").unwrap();
        let text = manifest.to_json().unwrap();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        assert_eq!(manifest.sha256.as_str(), hex::encode(Sha256::digest(b"signed")));
        assert!(matches!(Manifest::parse(&text.replace("\"version\": 1", "\"version\": 2")), Err(ManifestError::Form)));
        assert!(matches!(Manifest::parse(&text.replace("serial", "Serial")), Err(ManifestError::Form)));
        // A character that was lost: the checksum of the identity finds it.
        let changed = text.replace(&identity, &identity.replace('q', "p"));
        assert!(changed == text || matches!(Manifest::parse(&changed), Err(ManifestError::Identity(_))));
        assert!(matches!(
            Manifest::new("GE-0001".into(), "age1", 3, "2026-11-29".into(), b""),
            Err(ManifestError::Identity(_))
        ));
    }
}
