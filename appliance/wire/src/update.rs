//! A system update that was signed offline: what the hub carries to boxes without being able to change it.
//!
//! An update is one archive (its parts one after the other, nothing between them) and a signed [`Update`] that names the archive's bytes. A
//! box takes it when a key that its verified image trusts signed it, its serial is greater than that of every update the box ever took
//! ([`Update::serial`] only grows), its last day has not passed, and its image is newer than the one that runs.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Sha256Hex, WIRE_VERSION, bundle::is_day};

/// Largest [`SignedUpdate`] as JSON, bytes.
pub const MAX_UPDATE_JSON_BYTES: usize = 32 << 10;
/// Largest archive, bytes: one slot's content.
pub const MAX_ARCHIVE_BYTES: u64 = 1 << 30;
/// Largest part when it is written out, bytes.
const MAX_PART_BYTES: u64 = 4 << 30;
/// What update keys sign begins with this, so that a signature for something else is none for an update.
pub const UPDATE_CONTEXT: &str = "gift-edge update 1\n";

/// What is signed (after [`UPDATE_CONTEXT`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// [`WIRE_VERSION`].
    pub version: u16,
    /// Grows with every update of one signer; from 1.
    pub serial: u64,
    /// Version of the image ([`ImageVersion`]).
    pub image: ImageVersion,
    /// Day of making, `YYYY-MM-DD` (UTC).
    pub created: String,
    /// Last day on which a box takes it, `YYYY-MM-DD` (UTC).
    pub expires: String,
    /// Root hash of the verified root (dm-verity): 64 hexadecimal digits. The two partitions' UUIDs are its halves.
    pub root_hash: Sha256Hex,
    /// The squashfs of the root: first in the archive.
    pub root: UpdatePart,
    /// Its verity hashes: second.
    pub verity: UpdatePart,
    /// The extension with codecs, where the image is made with it: third. The root knows its hash.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "part")]
    pub codecs: Option<UpdatePart>,
    /// The signed kernel image (UKI): last.
    pub kernel: UpdatePart,
    /// SHA-256 of the whole archive, which it is asked for by.
    pub archive: Sha256Hex,
}

/// Either there or not: `null` would be a second way to say that it is not.
fn part<'de, D: Deserializer<'de>>(from: D) -> Result<Option<UpdatePart>, D::Error> {
    UpdatePart::deserialize(from).map(Some)
}

/// One part of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdatePart {
    /// Bytes in the archive.
    pub length: u64,
    /// Bytes when it is written: the archive leaves the zeros at a part's end out.
    pub size: u64,
    /// SHA-256 of its bytes in the archive.
    pub sha256: Sha256Hex,
}

/// An update and its signature, as they travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedUpdate {
    /// The JSON of an [`Update`], byte for byte as it was signed.
    pub update: String,
    /// A minisign signature (four lines of text) of [`UPDATE_CONTEXT`] and it.
    pub signature: String,
}

/// Why a text is no update. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// Not the JSON of one.
    #[error("not a signed update")]
    Form,
    /// A version that is not known here.
    #[error("an update of an unknown version")]
    Version,
    /// Serial 0.
    #[error("an update's serial begins at 1")]
    Serial,
    /// A day that is none, or an end before the beginning.
    #[error("the days of an update must be YYYY-MM-DD, and the last one not before the first")]
    Days,
    /// Lengths that no archive has.
    #[error("a part is empty, longer than it is written, or larger than a slot")]
    Lengths,
}

impl Update {
    /// Reads and checks what was signed.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn parse(text: &str) -> Result<Self, UpdateError> {
        let update: Self = serde_json::from_str(text).map_err(|_| UpdateError::Form)?;
        update.check()?;
        Ok(update)
    }

    /// What a signer checks before it signs, and a box before it believes.
    ///
    /// # Errors
    /// [`UpdateError`].
    pub fn check(&self) -> Result<(), UpdateError> {
        if self.version != WIRE_VERSION {
            return Err(UpdateError::Version);
        }
        if self.serial == 0 || i64::try_from(self.serial).is_err() {
            return Err(UpdateError::Serial);
        }
        if !is_day(&self.created) || !is_day(&self.expires) || self.expires < self.created {
            return Err(UpdateError::Days);
        }
        let fits =
            |part: &UpdatePart| (1..=MAX_PART_BYTES).contains(&part.size) && (1..=part.size).contains(&part.length);
        if !self.parts().all(|(_, part)| fits(part)) || self.archive_bytes() > MAX_ARCHIVE_BYTES {
            return Err(UpdateError::Lengths);
        }
        Ok(())
    }

    /// Its parts and what they are called, in the archive's order.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &UpdatePart)> {
        let parts = [
            ("root", Some(&self.root)),
            ("verity", Some(&self.verity)),
            ("codecs", self.codecs.as_ref()),
            ("kernel", Some(&self.kernel)),
        ];
        parts.into_iter().filter_map(|(name, part)| Some((name, part?)))
    }

    /// Length of the archive, bytes.
    #[must_use]
    pub fn archive_bytes(&self) -> u64 {
        self.parts().fold(0, |sum: u64, (_, part)| sum.saturating_add(part.length))
    }
}

impl SignedUpdate {
    /// Reads one as it travels. Says nothing about the signature.
    ///
    /// # Errors
    /// [`UpdateError::Form`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, UpdateError> {
        if bytes.len() > MAX_UPDATE_JSON_BYTES {
            return Err(UpdateError::Form);
        }
        serde_json::from_slice(bytes).map_err(|_| UpdateError::Form)
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        [UPDATE_CONTEXT, &self.update].concat().into_bytes()
    }
}

/// Version of an image: one to four numbers below 100,000 with points between them, without leading zeros. It is part of names in the boot
/// partition; systemd-boot and systemd-sysupdate put such versions in the same order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageVersion(Vec<u32>);

impl ImageVersion {
    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let plain = (1..=5).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            (plain && (part.len() == 1 || !part.starts_with('0'))).then(|| part.parse().ok()).flatten()
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        numbers.filter(|numbers| numbers.len() <= 4).map(Self)
    }
}

impl fmt::Display for ImageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.0.iter().enumerate() {
            write!(f, "{}{number}", if at == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageVersion {
    type Error = UpdateError;

    fn try_from(text: String) -> Result<Self, UpdateError> {
        Self::parse(&text).ok_or(UpdateError::Form)
    }
}

impl From<ImageVersion> for String {
    fn from(version: ImageVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> Update {
        let hex = |digit: &str| Sha256Hex::parse(&digit.repeat(64)).unwrap();
        let part = |length, size| UpdatePart { length, size, sha256: hex("a") };
        Update {
            version: WIRE_VERSION,
            serial: 7,
            image: ImageVersion::parse("0.2.0").unwrap(),
            created: "2026-11-28".into(),
            expires: "2027-05-28".into(),
            root_hash: hex("b"),
            root: part(80 << 20, 512 << 20),
            verity: part(4 << 20, 32 << 20),
            codecs: None,
            kernel: part(30 << 20, 30 << 20),
            archive: hex("c"),
        }
    }

    #[test]
    fn an_update_is_read_as_it_was_written_and_what_breaks_its_rules_is_none() {
        let parse = |update: &Update| Update::parse(&serde_json::to_string(update).unwrap());
        assert_eq!(parse(&update()), Ok(update()));
        assert_eq!(update().archive_bytes(), 114 << 20);
        let with_codecs = Update { codecs: Some(update().kernel), ..update() };
        assert_eq!(parse(&with_codecs), Ok(with_codecs.clone()));
        assert_eq!(with_codecs.archive_bytes(), 144 << 20);
        let null = serde_json::to_string(&update()).unwrap().replacen('{', "{\"codecs\":null,", 1);
        assert_eq!(Update::parse(&null), Err(UpdateError::Form));
        let with = |change: fn(&mut Update)| {
            let mut update = update();
            change(&mut update);
            parse(&update).unwrap_err()
        };
        assert_eq!(with(|u| u.version = 2), UpdateError::Version);
        assert_eq!(with(|u| u.serial = 0), UpdateError::Serial);
        assert_eq!(with(|u| u.serial = u64::MAX), UpdateError::Serial);
        assert_eq!(with(|u| u.expires = "2026-11-27".into()), UpdateError::Days);
        assert_eq!(with(|u| u.root.length = 0), UpdateError::Lengths);
        assert_eq!(with(|u| u.kernel.size -= 1), UpdateError::Lengths);
        assert_eq!(
            with(|u| u.root = UpdatePart { length: 2 << 30, size: 2 << 30, ..u.root.clone() }),
            UpdateError::Lengths
        );
        assert_eq!(with(|u| u.codecs = Some(UpdatePart { length: 0, ..u.kernel.clone() })), UpdateError::Lengths);
        assert_eq!(Update::parse("{}"), Err(UpdateError::Form));
        assert_eq!(SignedUpdate::from_json(b"{\"update\":\"\",\"signature\":\"\",\"more\":1}"), Err(UpdateError::Form));
        assert_eq!(SignedUpdate::from_json(&vec![b' '; MAX_UPDATE_JSON_BYTES + 1]), Err(UpdateError::Form));
    }

    #[test]
    fn versions_of_images_are_in_the_order_of_their_numbers_and_fit_into_a_name() {
        let version = |text: &str| ImageVersion::parse(text).unwrap();
        for (older, newer) in [("0.1.0", "0.1.1"), ("0.9", "0.10"), ("1.2", "1.2.0"), ("9", "10"), ("1.99999.0", "2")] {
            assert!(version(older) < version(newer), "{older} {newer}");
            assert_eq!(version(older).to_string(), older);
        }
        for text in
            ["", ".", "1.", "v1", "../1", "1/2", "1.2 ", "01.2", "1.2-3", "1_2", "1.2.3.4.5", "100000", "+1", "1+2"]
        {
            assert_eq!(ImageVersion::parse(text), None, "{text}");
        }
        let text = serde_json::to_string(&update()).unwrap();
        assert_eq!(Update::parse(&text.replace("\"0.2.0\"", "\"0.2.0+3\"")), Err(UpdateError::Form));
    }
}
