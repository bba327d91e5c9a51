//! Deid's credential: 256 random bits in a file, and the separate keys that HKDF-SHA-256 derives from it.
//!
//! The file is TOML (`version = 1`, `key = "<64 hexadecimal digits>"`). The key is never logged, has no `Clone` and no
//! `Serialize`, a silent `Debug`, and is wiped when dropped. Workers never have it: they are executed anew.

use std::{
    fmt,
    fs::OpenOptions,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use gift_deidentify::pseudonym::{
    Answer, Ask, InputDigest, KeyedPseudonymiser, LinkageKey, PseudonymError, PseudonymKey, Pseudonymise,
};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _};
use serde::Deserialize;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// Length of every key here, bytes.
pub const KEY_BYTES: usize = 32;
/// Largest key file, bytes.
const MAX_FILE_BYTES: u64 = 4096;
/// HKDF salt: separates this program's keys from anything else the credential may ever be used for.
const SALT: &[u8] = b"gift-deid";

/// What a derived key is for: the label that separates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Wraps the object keys of the quarantine.
    QuarantineWrap,
    /// Keyed digest of a format's fingerprint.
    Fingerprint,
    /// Names the key without telling anything of it.
    Identifier,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::QuarantineWrap => b"quarantine wrap v1",
            Self::Fingerprint => b"fingerprint v1",
            Self::Identifier => b"key identifier v1",
        }
    }
}

/// Why a credential could not be had. Never says anything of its contents.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not readable or not writable.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a key file.
    #[error("{path}: not a key file (version = N, key = 64 hexadecimal digits)")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// No path was configured, and the service manager gave no credentials.
    #[error("no key file: set it in the settings, or give the credential by CREDENTIALS_DIRECTORY")]
    Unknown,
    /// The system has no randomness.
    #[error("no randomness")]
    Random,
}

/// A credential.
pub struct Credential {
    /// Version, as in the manifest's certificate.
    pub version: u32,
    secret: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential(version {})", self.version)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct KeyFile {
    version: u32,
    key: String,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Credential {
    /// A credential of known bytes.
    pub fn new(version: u32, secret: [u8; KEY_BYTES]) -> Self {
        Self { version, secret: Zeroizing::new(secret) }
    }

    /// A fresh credential.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn fresh(version: u32) -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(secret.as_mut_slice()).map_err(|_| KeyError::Random)?;
        Ok(Self { version, secret })
    }

    /// The secret itself, for the offline key tool, which shares it out and wraps it. Nothing on a box asks for it.
    pub fn expose_secret(&self) -> &[u8; KEY_BYTES] {
        &self.secret
    }

    /// What the key is called where the key itself must not stand: 16 hexadecimal digits, the same for the same secret.
    pub fn identifier(&self) -> String {
        hex::encode(&self.derive(Purpose::Identifier)[..8])
    }

    /// The key file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(hex::encode(self.secret.as_slice()));
        Zeroizing::new(format!("version = {}\nkey = \"{}\"\n", self.version, digits.as_str()))
    }

    /// Writes the key file to `path`, which must not exist, readable by its owner only.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path).map_err(io)?;
        file.write_all(self.to_text().as_bytes()).and_then(|()| file.sync_all()).map_err(io)
    }

    /// Takes a key file's text.
    pub fn from_text(text: &str) -> Option<Self> {
        // The parser's own error would quote the line.
        let parsed: KeyFile = toml::from_str(text).ok()?;
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(&parsed.key, secret.as_mut_slice()).ok()?;
        (*secret != [0; KEY_BYTES]).then_some(Self { version: parsed.version, secret })
    }

    /// The linkage key of this credential.
    pub fn linkage_key(&self) -> LinkageKey {
        LinkageKey::new(&self.secret, self.version)
    }

    /// Reads the credential at `path`.
    ///
    /// # Errors
    /// [`KeyError::Io`] and [`KeyError::Form`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        // Room for the whole file at once: a growing buffer would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize));
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(io)?;
        Self::from_text(&text).ok_or_else(|| KeyError::Form { path: path.to_owned() })
    }

    /// Where the credential called `name` is: the configured path, or in the service manager's credentials directory.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    pub fn path(configured: Option<&Path>, name: &str) -> Result<PathBuf, KeyError> {
        match configured {
            Some(path) => Ok(path.to_owned()),
            None => std::env::var_os("CREDENTIALS_DIRECTORY")
                .map(|directory| Path::new(&directory).join(name))
                .ok_or(KeyError::Unknown),
        }
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        // Unwrap safety: expand only fails above 255 × 32 bytes.
        #[allow(clippy::expect_used, reason = "constant length")]
        Hkdf::<Sha256>::new(Some(SALT), self.secret.as_slice())
            .expand(purpose.label(), key.as_mut_slice())
            .expect("32 bytes are within HKDF's range");
        key
    }
}

/// Makes keyed digests (HMAC-SHA-256).
pub struct DigestKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}

impl DigestKey {
    /// The credential's key for `purpose`.
    pub fn new(credential: &Credential, purpose: Purpose) -> Self {
        Self(credential.derive(purpose))
    }

    /// A digest to be fed.
    pub fn start(&self) -> Hmac<Sha256> {
        // Unwrap safety: HMAC takes keys of any length.
        #[allow(clippy::expect_used, reason = "any length")]
        Hmac::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length")
    }
}

/// A site key, as lanes use it: it answers questions and makes digests, and nothing else.
#[derive(Debug)]
pub struct SiteKey(Mutex<KeyedPseudonymiser>);

impl SiteKey {
    /// The site key of a credential.
    pub fn new(credential: &Credential) -> Self {
        Self(Mutex::new(KeyedPseudonymiser::new(PseudonymKey::new(&credential.secret, credential.version))))
    }

    fn lock(&self) -> MutexGuard<'_, KeyedPseudonymiser> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Version, as in the manifest's certificate.
    pub fn version(&self) -> u32 {
        self.lock().key().version()
    }

    /// Starts the keyed digest of an object as received.
    pub fn input_digest(&self) -> InputDigest {
        self.lock().key().input_digest()
    }

    /// Answers from this key, and for national numbers from `linkage`.
    ///
    /// # Errors
    /// As [`PseudonymKey::answer`].
    pub fn answer_with(&self, linkage: Option<&LinkageKey>, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        self.lock().key().answer(linkage, asks)
    }
}

impl Pseudonymise for &SiteKey {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        self.lock().answer(asks)
    }
}

/// Writes a fresh credential of version 1 to `path`, which must not exist, readable by its owner only.
///
/// # Errors
/// [`KeyError::Random`] and [`KeyError::Io`].
pub fn make(path: &Path) -> Result<(), KeyError> {
    Credential::fresh(1)?.save(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_made_key_loads_is_private_and_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site-key");
        make(&path).unwrap();
        let first = Credential::load(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
        assert!(make(&path).is_err());
        assert_eq!(*Credential::load(&path).unwrap().secret, *first.secret);
        assert!(!format!("{first:?}").contains(&hex::encode(*first.secret)));

        let other = directory.path().join("other");
        make(&other).unwrap();
        assert_ne!(*Credential::load(&other).unwrap().secret, *first.secret);
    }

    #[test]
    fn keys_of_different_purposes_and_credentials_differ() {
        let all = [Purpose::QuarantineWrap, Purpose::Fingerprint, Purpose::Identifier];
        let keys: std::collections::BTreeSet<[u8; 32]> = [[1; 32], [2; 32]]
            .into_iter()
            .flat_map(|secret| all.map(|purpose| *Credential::new(1, secret).derive(purpose)))
            .collect();
        assert_eq!(keys.len(), 6);
    }

    #[test]
    fn a_bad_key_file_is_refused_without_quoting_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site-key");
        for bad in
            ["", "version = 1\nkey = \"deadbeef\"\n", "version = 1\nkey = deadbeef", "version = 1\nkex = \"deadbeef\""]
        {
            std::fs::write(&path, bad).unwrap();
            let error = Credential::load(&path).unwrap_err().to_string();
            assert!(!error.contains("deadbeef"), "{error}");
        }
        std::fs::write(&path, format!("version = 1\nkey = \"{}\"\n", "0".repeat(64))).unwrap();
        assert!(Credential::load(&path).is_err(), "an all-zero key is no key");
    }
}
