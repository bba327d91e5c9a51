//! The signed document.

use std::collections::BTreeMap;

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

use crate::{
    network::{Network, NetworkError},
    way_out::{WayOut, WayOutError, way_out},
};

/// Largest [`SignedProvisioning`] as JSON, bytes: what the partition has room for.
pub const MAX_PROVISIONING_BYTES: usize = 4 << 20;

/// Version of the document.
const VERSION: u16 = 1;

/// What a provisioning may hold, by name: settings of the four processes and of the button, the network, what the uplink needs to know its hub, and
/// keys wrapped to the box with the identifiers they must have.
pub const NAMES: &[&str] = &[
    "network.toml",
    "receiver.toml",
    "deid.toml",
    "uplink.toml",
    "health.toml",
    "button.toml",
    "hub-roots.pem",
    "enrolment-token",
    "site-key.age",
    "site-key.id",
    "linkage-key.age",
    "linkage-key.id",
];

/// Without these there is no box.
const NEEDED: &[&str] = &["network.toml", "receiver.toml", "deid.toml", "uplink.toml", "hub-roots.pem"];

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioning {
    /// Version of the document: 1.
    pub version: u16,
    /// The box's serial, as on its label and on the fleet page.
    pub serial: String,
    /// Grows with every provisioning of one box; from 1.
    pub number: u64,
    /// Day of making, `YYYY-MM-DD` (UTC).
    pub created: String,
    /// Texts by name ([`NAMES`]).
    pub texts: BTreeMap<String, String>,
}

/// A provisioning and its signature, as it lies in the partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProvisioning {
    /// The JSON of a [`Provisioning`], byte for byte as it was signed.
    pub provisioning: String,
    /// A minisign signature of it (four lines of text).
    pub signature: String,
}

/// Why a provisioning is refused. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing is there.
    #[error("the partition is empty: this box was never provisioned")]
    Empty,
    /// Longer than it may be.
    #[error("longer than {MAX_PROVISIONING_BYTES} bytes")]
    TooLong,
    /// Not the JSON of one.
    #[error("not a provisioning")]
    Form,
    /// No trusted key signed it.
    #[error("not signed by a key that this image trusts")]
    Signature,
    /// A version that is not known here.
    #[error("a provisioning of an unknown version")]
    Version,
    /// Serial or number.
    #[error("a serial is 1 to 32 of A-Z 0-9 and '-'; numbers begin at 1")]
    Serial,
    /// A name that is not in [`NAMES`], or one that is needed is missing.
    #[error("{0}: {1}")]
    Name(String, &'static str),
    /// `network.toml`.
    #[error("network.toml: {0}")]
    Network(#[from] NetworkError),
    /// `uplink.toml`, as far as the packet filter is made from it.
    #[error("uplink.toml: {0}")]
    WayOut(#[from] WayOutError),
    /// A key that no public key is.
    #[error("a trusted key is not a minisign public key")]
    Trust,
}

/// The public keys whose provisionings count.
#[derive(Debug, Clone)]
pub struct Trust(Vec<PublicKey>);

impl Trust {
    /// Reads public keys in base64, one a line; lines that begin with `#`, and minisign's own comments, say nothing.
    ///
    /// # Errors
    /// [`DocumentError::Trust`] for a line that is none, and when there is no key at all.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.starts_with("untrusted comment:"))
            .map(|line| PublicKey::from_base64(line).map_err(|_| DocumentError::Trust))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(DocumentError::Trust) } else { Ok(Self(keys)) }
    }

    /// Whether one of them made `signature` (minisign, four lines of text) for `document`.
    #[must_use]
    pub fn signed(&self, document: &[u8], signature: &str) -> bool {
        // Not the signatures of minisign's first version, which are of the document itself and not of its digest.
        let Ok(signature) = Signature::decode(signature) else { return false };
        self.0.iter().any(|key| key.verify(document, &signature, false).is_ok())
    }
}

impl Provisioning {
    /// Reads and checks what was signed.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let provisioning: Self = serde_json::from_str(text).map_err(|_| DocumentError::Form)?;
        provisioning.check()?;
        Ok(provisioning)
    }

    /// What a signer checks before it signs, and a box before it believes.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn check(&self) -> Result<(), DocumentError> {
        if self.version != VERSION {
            return Err(DocumentError::Version);
        }
        let serial = self.serial.as_bytes();
        let allowed = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'-';
        if serial.is_empty() || serial.len() > 32 || !serial.iter().all(allowed) || self.number == 0 {
            return Err(DocumentError::Serial);
        }
        if let Some(name) = self.texts.keys().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(DocumentError::Name(name.clone(), "not a name that a provisioning may hold"));
        }
        let missing = NEEDED.iter().find(|name| !self.texts.contains_key(**name));
        if let Some(name) = missing {
            return Err(DocumentError::Name((*name).to_owned(), "missing"));
        }
        for key in ["site-key", "linkage-key"] {
            let has = |ending: &str| self.texts.contains_key(&format!("{key}.{ending}"));
            if has("age") != has("id") {
                return Err(DocumentError::Name(
                    key.to_owned(),
                    "the wrapped key (.age) and its identifier (.id) go together",
                ));
            }
        }
        self.network()?;
        self.way_out()?;
        Ok(())
    }

    /// Its network.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn network(&self) -> Result<Network, NetworkError> {
        Network::parse(self.texts.get("network.toml").map_or("", String::as_str))
    }

    /// Where its uplink may go out to.
    ///
    /// # Errors
    /// [`WayOutError`].
    pub fn way_out(&self) -> Result<WayOut, WayOutError> {
        way_out(self.texts.get("uplink.toml").map_or("", String::as_str))
    }

    /// A document of this version.
    #[must_use]
    pub fn new(serial: String, number: u64, created: String, texts: BTreeMap<String, String>) -> Self {
        Self { version: VERSION, serial, number, created, texts }
    }
}

/// The provisioning in `bytes` (a partition's content, filled up with NUL), if a key of `trust` signed it.
///
/// # Errors
/// [`DocumentError`].
pub fn verified_provisioning(bytes: &[u8], trust: &Trust) -> Result<Provisioning, DocumentError> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = &bytes[..end];
    if text.is_empty() {
        return Err(DocumentError::Empty);
    }
    if text.len() > MAX_PROVISIONING_BYTES {
        return Err(DocumentError::TooLong);
    }
    let signed: SignedProvisioning = serde_json::from_slice(text).map_err(|_| DocumentError::Form)?;
    if !trust.signed(signed.provisioning.as_bytes(), &signed.signature) {
        return Err(DocumentError::Signature);
    }
    Provisioning::parse(&signed.provisioning)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    fn texts() -> BTreeMap<String, String> {
        let network = "[scanner]\nport = \"0000:00:03.0\"\naddress = \"192.0.2.1/24\"\n[wan]\nport = \"0000:00:04.0\"\ndhcp = true\n";
        let text = |name: &str| match name {
            "network.toml" => network,
            "uplink.toml" => "hub-url = \"https://hub.example.org\"",
            _ => "x",
        };
        NEEDED.iter().map(|name| ((*name).to_owned(), text(name).to_owned())).collect()
    }

    fn signed(pair: &KeyPair, provisioning: &Provisioning) -> Vec<u8> {
        let text = serde_json::to_string(provisioning).unwrap();
        let signature = minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(&text), None, None).unwrap().into_string();
        let mut bytes = serde_json::to_vec(&SignedProvisioning { provisioning: text, signature }).unwrap();
        bytes.resize(bytes.len() + 4096, 0);
        bytes
    }

    fn pair() -> (KeyPair, Trust) {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let trust = Trust::parse(&format!("# ours\n{}\n", pair.pk.to_base64())).unwrap();
        (pair, trust)
    }

    #[test]
    fn what_a_trusted_key_signed_is_read_and_nothing_else() {
        let (ours, trust) = pair();
        let (others, _) = pair();
        let document = Provisioning::new("GE-0001".into(), 3, "2026-11-28".into(), texts());
        let bytes = signed(&ours, &document);
        assert_eq!(verified_provisioning(&bytes, &trust).unwrap(), document);
        assert_eq!(verified_provisioning(&signed(&others, &document), &trust), Err(DocumentError::Signature));
        assert_eq!(verified_provisioning(&[0; 512], &trust), Err(DocumentError::Empty));
        let altered = String::from_utf8(bytes).unwrap().replace("192.0.2.1", "192.0.2.9");
        assert_eq!(verified_provisioning(altered.as_bytes(), &trust), Err(DocumentError::Signature));
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let (ours, trust) = pair();
        let bytes = signed(&ours, &Provisioning::new("GE-0001".into(), 3, "2026-11-28".into(), texts()));
        let end = bytes.iter().position(|b| *b == 0).unwrap();
        let whole = verified_provisioning(&bytes, &trust).unwrap();
        for at in 0..end {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            // minisign's own untrusted comment is the one part that no signature covers; what was signed stays what it was.
            assert!(
                verified_provisioning(&flipped, &trust).is_ok_and(|p| p == whole)
                    || verified_provisioning(&flipped, &trust).is_err()
            );
        }
    }

    #[test]
    fn what_does_not_hold_together_is_named() {
        let fails = |change: &dyn Fn(&mut Provisioning)| {
            let mut document = Provisioning::new("GE-0001".into(), 1, "2026-11-28".into(), texts());
            change(&mut document);
            document.check().unwrap_err().to_string()
        };
        assert!(fails(&|d| d.serial = "../x".into()).contains("serial"));
        assert!(fails(&|d| d.number = 0).contains("numbers begin at 1"));
        assert!(fails(&|d| d.version = 2).contains("version"));
        assert!(fails(&|d| drop(d.texts.insert("passwd".into(), String::new()))).contains("passwd"));
        assert!(fails(&|d| drop(d.texts.remove("hub-roots.pem"))).contains("hub-roots.pem: missing"));
        assert!(fails(&|d| drop(d.texts.insert("site-key.age".into(), String::new()))).contains("go together"));
        assert!(
            fails(&|d| drop(d.texts.insert("network.toml".into(), "[scanner]".into()))).starts_with("network.toml: ")
        );
        assert!(
            fails(&|d| drop(d.texts.insert("uplink.toml".into(), "proxy = 1".into()))).starts_with("uplink.toml: ")
        );
    }

    #[test]
    fn a_trust_without_a_key_is_none() {
        assert_eq!(Trust::parse("# nobody\n").unwrap_err(), DocumentError::Trust);
        assert_eq!(Trust::parse("RWnonsense\n").unwrap_err(), DocumentError::Trust);
    }
}
