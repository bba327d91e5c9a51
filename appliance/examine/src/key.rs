//! The key of a run's pseudonyms.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context as _, Result, ensure};
use gift_deid::key::{Credential, KEY_BYTES, SiteKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Largest key file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Version stated for a key that states none.
const VERSION: u32 = 1;

/// Reads the key at `path`, or makes one that is forgotten with the process.
///
/// # Errors
/// No readable file of at least 32 bytes; no randomness.
pub(crate) fn load_or_make(path: Option<&Path>) -> Result<SiteKey> {
    let Some(path) = path else {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(secret.as_mut_slice()).context("no randomness")?;
        eprintln!("no --key: a key was made for this run; another run gives other pseudonyms");
        return Ok(SiteKey::new(&Credential::new(VERSION, *secret)));
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

#[cfg(test)]
mod tests {
    use gift_deidentify::pseudonym::{Ask, Pseudonymise as _};

    use super::*;

    #[test]
    fn a_key_file_of_the_box_other_bytes_and_short_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let uid = |path: &Path| {
            let key = load_or_make(Some(path)).unwrap();
            (&key).answer(&[Ask::Uid("1.2.3".to_owned())]).unwrap()
        };
        gift_deid::key::make(&path("box")).unwrap();
        std::fs::write(path("raw"), [7; 32]).unwrap();
        std::fs::write(path("short"), [7; 31]).unwrap();
        assert_eq!(uid(&path("raw")), uid(&path("raw")));
        assert_ne!(uid(&path("raw")), uid(&path("box")));
        let error = load_or_make(Some(&path("short"))).unwrap_err().to_string();
        assert!(error.contains("32 bytes"), "{error}");
    }
}
