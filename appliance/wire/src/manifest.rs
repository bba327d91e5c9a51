//! The manifest that goes up with an object and the receipt that comes back.

use std::fmt;

use gift_status::HoldReason;
use serde::{Deserialize, Serialize};

use crate::WIRE_VERSION;

macro_rules! lower_hex {
    ($(#[$meta:meta])* $name:ident, $len:literal) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        impl $name {
            /// Takes the text when it is lower-case hexadecimal of the right length.
            pub fn parse(text: &str) -> Option<Self> {
                let ok = text.len() == $len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                ok.then(|| Self(text.to_owned()))
            }
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl TryFrom<String> for $name {
            type Error = ManifestError;
            fn try_from(text: String) -> Result<Self, ManifestError> { Self::parse(&text).ok_or(ManifestError::NotHex) }
        }
        impl From<$name> for String { fn from(value: $name) -> Self { value.0 } }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
    };
}

lower_hex!(/** Identifier of one object on one box: 128 random bits, 32 hexadecimal digits. */ ObjectId, 32);
lower_hex!(/** A SHA-256 digest, 64 hexadecimal digits. */ Sha256Hex, 64);

/// What is wrong with a manifest or receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not lower-case hexadecimal of the right length.
    #[error("not lower-case hexadecimal of the expected length")]
    NotHex,
    /// A version this program does not know.
    #[error("wire version not known")]
    Version,
    /// A UID that is not one (PS3.5 §9.1).
    #[error("not a UID (PS3.5 §9.1)")]
    Uid,
    /// A subject pseudonym that is not 32 hexadecimal digits.
    #[error("not a subject pseudonym")]
    Subject,
    /// A project, profile or template name outside `[a-z0-9._-]{1,64}`.
    #[error("name outside [a-z0-9._-]{{1,64}}")]
    Name,
    /// Larger than the wire allows, or empty.
    #[error("size not allowed")]
    Size,
}

/// That the subject is one of a linkage domain, whose sites give a person the same pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linkage {
    /// Name of the domain.
    pub domain: String,
    /// Version of the linkage key.
    pub key_version: u32,
}

/// How the object was made safe: one row of deid's ledger, free of PHI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Keyed digest (HMAC-SHA-256 under the site's key) of the object as received.
    pub input_digest: Sha256Hex,
    /// Name and version of the profile.
    pub profile: String,
    /// Version of the site key: of UIDs and tokens, and of the subject when it is not linked.
    pub key_version: u32,
    /// Set when subject and dates are under a linkage key. Hubs that do not know it read past it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linkage: Option<Linkage>,
    /// Attributes per action code, in the order D Z X K C U.
    pub actions: [u32; 6],
    /// Name of the redaction template, when pixels were redacted.
    pub template: Option<String>,
    /// Frames whose regions were proven blank by decoding again.
    pub frames_proven: u32,
    /// Patterns the leak scan looked for (it found none, else the object were not here).
    pub leak_patterns: u32,
    /// When, ms since the Unix epoch.
    pub made_ms: u64,
}

/// What the box states of an object it uploads. Every UID and name in it is the de-identified one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// The object's identifier on the box.
    pub object: ObjectId,
    /// SHA-256 of the DICOM file's bytes.
    pub sha256: Sha256Hex,
    /// Length of the DICOM file, bytes.
    pub size: u64,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// SOP Instance UID (pseudonymous).
    pub sop_instance_uid: String,
    /// Study Instance UID (pseudonymous).
    pub study_instance_uid: String,
    /// Series Instance UID (pseudonymous).
    pub series_instance_uid: String,
    /// Transfer Syntax UID.
    pub transfer_syntax_uid: String,
    /// Subject pseudonym: 128-bit HMAC, 32 hexadecimal digits.
    pub subject: String,
    /// The project its route names.
    pub project: String,
    /// How it was made safe.
    pub certificate: Certificate,
}

impl Manifest {
    /// Checks everything that can be checked without the object.
    ///
    /// # Errors
    /// The first violation found.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != WIRE_VERSION {
            return Err(ManifestError::Version);
        }
        if self.size == 0 || self.size > crate::MAX_OBJECT_BYTES {
            return Err(ManifestError::Size);
        }
        let uids = [
            &self.sop_class_uid,
            &self.sop_instance_uid,
            &self.study_instance_uid,
            &self.series_instance_uid,
            &self.transfer_syntax_uid,
        ];
        if !uids.into_iter().all(|uid| is_uid(uid)) {
            return Err(ManifestError::Uid);
        }
        if ObjectId::parse(&self.subject).is_none() {
            return Err(ManifestError::Subject);
        }
        let domain = self.certificate.linkage.as_ref().map(|linkage| &linkage.domain);
        let names = [Some(&self.project), Some(&self.certificate.profile), self.certificate.template.as_ref(), domain];
        if !names.into_iter().flatten().all(|name| is_name(name)) {
            return Err(ManifestError::Name);
        }
        Ok(())
    }
}

/// What the hub answers once object and database row are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// The object's identifier, as the manifest gave it.
    pub object: ObjectId,
    /// SHA-256 that the hub computed over the bytes it stored.
    pub sha256: Sha256Hex,
    /// Length the hub stored, bytes.
    pub size: u64,
    /// The hub's commit number.
    pub commit: u64,
    /// When it was committed, ms since the Unix epoch, by the hub's clock.
    pub committed_ms: u64,
    /// The same SOP instance with the same bytes was already stored: nothing was added.
    pub duplicate: bool,
    /// Set when the hub's own check against the profile failed: stored apart, not served.
    pub isolated: Option<HoldReason>,
}

impl Receipt {
    /// True when this receipt is for exactly what `manifest` states.
    pub fn matches(&self, manifest: &Manifest) -> bool {
        self.version == WIRE_VERSION
            && self.object == manifest.object
            && self.sha256 == manifest.sha256
            && self.size == manifest.size
    }
}

/// The record metadata of an item in `release/outbox/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ReleaseItem {
    /// A de-identified object; the body is the DICOM file.
    Object(Box<Manifest>),
    /// A health report; the body is the JSON of [`crate::HealthReport`].
    Health,
}

/// True for a valid UID (PS3.5 §9.1): at most 64 characters, components of digits without leading zero.
fn is_uid(text: &str) -> bool {
    let component =
        |c: &str| !c.is_empty() && c.bytes().all(|b| b.is_ascii_digit()) && (c.len() == 1 || !c.starts_with('0'));
    text.len() <= 64 && !text.is_empty() && text.split('.').all(component)
}

/// True for a configured name: `[a-z0-9._-]{1,64}`.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            version: WIRE_VERSION,
            object: ObjectId::parse(&"0a".repeat(16)).unwrap(),
            sha256: Sha256Hex::parse(&"1b".repeat(32)).unwrap(),
            size: 10,
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
            sop_instance_uid: "2.25.1".into(),
            study_instance_uid: "2.25.2".into(),
            series_instance_uid: "2.25.3".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            subject: "2c".repeat(16),
            project: "fetal-surgery".into(),
            certificate: Certificate {
                input_digest: Sha256Hex::parse(&"3d".repeat(32)).unwrap(),
                profile: "gift-default-1".into(),
                key_version: 1,
                linkage: None,
                actions: [0; 6],
                template: None,
                frames_proven: 0,
                leak_patterns: 3,
                made_ms: 1,
            },
        }
    }

    #[test]
    fn a_free_text_value_fits_nowhere_in_a_manifest() {
        assert_eq!(manifest().check(), Ok(()));
        let name = "Doe^Jane".to_owned();
        let spoilt: [fn(&mut Manifest, String); 6] = [
            |m, s| m.certificate.linkage = Some(Linkage { domain: s, key_version: 1 }),
            |m, s| m.project = s,
            |m, s| m.certificate.profile = s,
            |m, s| m.certificate.template = Some(s),
            |m, s| m.subject = s,
            |m, s| m.study_instance_uid = s,
        ];
        for spoil in spoilt {
            let mut m = manifest();
            spoil(&mut m, name.clone());
            assert!(m.check().is_err());
        }
        assert!(serde_json::from_str::<ObjectId>("\"Doe\"").is_err());
    }

    #[test]
    fn what_is_not_linked_reads_as_before_and_what_is_linked_says_so() {
        let json = |m: &Manifest| serde_json::to_string(m).unwrap();
        let plain = manifest();
        assert!(!json(&plain).contains("linkage"), "an older hub sees what it always saw");
        assert_eq!(serde_json::from_str::<Manifest>(&json(&plain)).unwrap(), plain);
        let mut linked = manifest();
        linked.certificate.linkage = Some(Linkage { domain: "uk-fetal".into(), key_version: 2 });
        assert_eq!(linked.check(), Ok(()));
        assert_eq!(serde_json::from_str::<Manifest>(&json(&linked)).unwrap(), linked);
    }

    #[test]
    fn a_receipt_for_other_bytes_does_not_match() {
        let m = manifest();
        let receipt = Receipt {
            version: WIRE_VERSION,
            object: m.object.clone(),
            sha256: m.sha256.clone(),
            size: m.size,
            commit: 7,
            committed_ms: 0,
            duplicate: false,
            isolated: None,
        };
        assert!(receipt.matches(&m));
        assert!(!Receipt { size: 11, ..receipt.clone() }.matches(&m));
        assert!(!Receipt { sha256: Sha256Hex::parse(&"00".repeat(32)).unwrap(), ..receipt.clone() }.matches(&m));
        assert!(!Receipt { object: ObjectId::parse(&"00".repeat(16)).unwrap(), ..receipt }.matches(&m));
    }

    #[test]
    fn uids_follow_ps3_5_9_1() {
        for good in ["1.2", "2.25.0", "0.1"] {
            assert!(is_uid(good), "{good}");
        }
        for bad in ["", "1..2", "1.02", "1.2.", "a", &"1".repeat(65)] {
            assert!(!is_uid(bad), "{bad}");
        }
    }
}
