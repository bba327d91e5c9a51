//! The key of a run's pseudonyms.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gift_deid::key::{Credential, KEY_BYTES, SiteKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Largest key file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Version stated for a key that states none.
const VERSION: u32 = 1;

/// Where the key is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Key {
    /// In a file: one of `gift-deid make-key`, or any of at least 32 bytes, whose SHA-256 is the key.
    File(PathBuf),
    /// Made for this run and forgotten with it.
    Made([u8; KEY_BYTES]),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key at `path`, or a new one.
    ///
    /// # Errors
    /// No readable file of at least 32 bytes; no randomness.
    pub(crate) fn at(path: Option<&Path>) -> Result<Self> {
        let key = match path {
            Some(path) => Self::File(path.canonicalize().with_context(|| path.display().to_string())?),
            None => {
                eprintln!("no --key: a key was made for this run; another run gives other pseudonyms");
                Self::random()?
            }
        };
        key.load()?;
        Ok(key)
    }

    /// A new key.
    ///
    /// # Errors
    /// No randomness.
    pub(crate) fn random() -> Result<Self> {
        let mut secret = [0; KEY_BYTES];
        getrandom::fill(&mut secret).context("no randomness")?;
        Ok(Self::Made(secret))
    }

    /// The key itself.
    ///
    /// # Errors
    /// As [`Key::at`].
    pub(crate) fn load(&self) -> Result<SiteKey> {
        let path = match self {
            Self::Made(secret) => return Ok(SiteKey::new(&Credential::new(VERSION, *secret))),
            Self::File(path) => path,
        };
        if let Ok(credential) = Credential::load(path) {
            return Ok(SiteKey::new(&credential));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        let file = File::open(path).with_context(|| path.display().to_string())?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
        ensure!(bytes.len() >= KEY_BYTES, "{}: a key needs at least {KEY_BYTES} bytes", path.display());
        Ok(SiteKey::new(&Credential::new(VERSION, Sha256::digest(bytes.as_slice()).into())))
    }
}

#[cfg(test)]
mod tests {
    use gift_deidentify::pseudonym::{Ask, Pseudonymise as _};

    use super::*;

    #[test]
    fn a_key_file_of_the_box_other_bytes_and_short_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let uid = |path: &Path| {
            let key = Key::at(Some(path)).unwrap().load().unwrap();
            (&key).answer(&[Ask::Uid("1.2.3".to_owned())]).unwrap()
        };
        gift_deid::key::make(&path("box")).unwrap();
        std::fs::write(path("raw"), [7; 32]).unwrap();
        std::fs::write(path("short"), [7; 31]).unwrap();
        assert_eq!(uid(&path("raw")), uid(&path("raw")));
        assert_ne!(uid(&path("raw")), uid(&path("box")));
        let error = Key::at(Some(&path("short"))).unwrap_err().to_string();
        assert!(error.contains("32 bytes"), "{error}");
        assert_ne!(format!("{:?}", Key::Made([7; 32])), format!("{:?}", [7; 32]));
    }
}
