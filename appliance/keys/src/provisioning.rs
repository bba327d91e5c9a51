//! A box's provisioning: what a box would refuse is not signed.

use std::{collections::BTreeMap, io::Cursor, path::Path};

use gift_provision::{DocumentError, MAX_PROVISIONING_BYTES, NAMES, Provisioning, SignedProvisioning};
use minisign::{PError, PublicKey, SecretKeyBox};

use crate::files::{self, FileError};

/// Why no provisioning was made.
#[derive(Debug, thiserror::Error)]
pub enum ProvisioningError {
    /// The key file is none.
    #[error("not a policy key: {0}")]
    Key(#[from] PError),
    /// The directory, or a text in it.
    #[error(transparent)]
    File(#[from] FileError),
    /// It does not hold together.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Signs the texts in the directory `texts` for the box `serial`, with the key whose file says `key`; JSON, as it lies in the
/// partition.
///
/// # Errors
/// [`ProvisioningError`].
pub fn make(
    texts: &Path,
    serial: String,
    number: u64,
    created: String,
    key: &str,
) -> Result<Vec<u8>, ProvisioningError> {
    let key = SecretKeyBox::from_string(key)?.into_unencrypted_secret_key()?;
    let entries = std::fs::read_dir(texts).map_err(|source| FileError { path: texts.to_owned(), source })?;
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(|source| FileError { path: texts.to_owned(), source })?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What no box would take is said, not left out.
        if !NAMES.contains(&name.as_str()) {
            return Err(DocumentError::Name(name, "not a name that a provisioning may hold").into());
        }
        let text = files::read(&entry.path())?;
        found.insert(name, text.as_str().to_owned());
    }
    let provisioning = Provisioning::new(serial, number, created, found);
    provisioning.check()?;
    let text = serde_json::to_string(&provisioning).map_err(|_| DocumentError::Form)?;
    let comment = format!("gift provisioning {number} of {}", provisioning.created);
    let public = PublicKey::from_secret_key(&key)?;
    let signature = minisign::sign(Some(&public), &key, Cursor::new(&text), Some(&comment), None)?.into_string();
    let signed =
        serde_json::to_vec(&SignedProvisioning { provisioning: text, signature }).map_err(|_| DocumentError::Form)?;
    if signed.len() > MAX_PROVISIONING_BYTES { Err(DocumentError::TooLong.into()) } else { Ok(signed) }
}
