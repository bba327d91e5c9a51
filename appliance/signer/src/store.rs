//! The signer's house: one file, which is written once.
//!
//! ```text
//! key      "GIFTKEY1" | length (2 bytes, big endian) | TPMT_PUBLIC | length (2 bytes, big endian) | private part, encrypted by the TPM
//! ```
//! The TPM itself finds damage in either part when it loads them: the private part carries a MAC over both.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use gift_service::durable;

use crate::error::SignerError;

const NAME: &str = "key";
const MARK: &[u8; 8] = b"GIFTKEY1";
/// Longest file; a P-256 key's has some 250 bytes.
const MAX_BYTES: u64 = 4096;

/// A key as it is stored: of use to the TPM that made it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredKey {
    /// TPMT_PUBLIC.
    pub(crate) public: Vec<u8>,
    /// The buffer of TPM2B_PRIVATE.
    pub(crate) private: Vec<u8>,
}

impl StoredKey {
    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = MARK.to_vec();
        for part in [&self.public, &self.private] {
            bytes.extend(u16::try_from(part.len()).ok()?.to_be_bytes());
            bytes.extend(part);
        }
        Some(bytes)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (public, rest) = part(bytes.strip_prefix(MARK)?)?;
        let (private, rest) = part(rest)?;
        (rest.is_empty() && !public.is_empty() && !private.is_empty())
            .then(|| Self { public: public.to_vec(), private: private.to_vec() })
    }
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The house.
#[derive(Debug)]
pub(crate) struct Store {
    house: PathBuf,
}

impl Store {
    /// The house at `house`, which exists.
    pub(crate) fn new(house: &Path) -> Self {
        Self { house: house.to_owned() }
    }

    /// The stored key; `None` when none was ever stored.
    ///
    /// # Errors
    /// A disk that fails, or a file that is no stored key: never taken for "none".
    pub(crate) fn load(&self) -> Result<Option<StoredKey>, SignerError> {
        match self.read() {
            Ok(bytes) => StoredKey::parse(&bytes).map(Some).ok_or(SignerError::Key("not in its form")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SignerError::Store { doing: "cannot read the key", source }),
        }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits())
            .open(self.house.join(NAME))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Stores the key, all of it or nothing. There must be none.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn keep(&self, key: &StoredKey) -> Result<(), SignerError> {
        let bytes = key.to_bytes().ok_or(SignerError::Sense("a key too long"))?;
        durable::replace(&self.house, NAME, &bytes)
            .map_err(|source| SignerError::Store { doing: "cannot store the key", source })
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_stored_whole_for_its_owner_alone() {
        let house = tempfile::tempdir().unwrap();
        let store = Store::new(house.path());
        assert_eq!(store.load().unwrap(), None);
        let key = StoredKey { public: vec![1; 88], private: vec![2; 126] };
        store.keep(&key).unwrap();
        assert_eq!(store.load().unwrap(), Some(key));
        assert_eq!(fs::metadata(house.path().join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn whatever_is_there_and_is_no_key_is_an_error_and_not_none() {
        let house = tempfile::tempdir().unwrap();
        let (store, path) = (Store::new(house.path()), house.path().join(NAME));
        let whole = StoredKey { public: vec![1; 88], private: vec![2; 126] }.to_bytes().unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(matches!(store.load(), Err(SignerError::Key(_))), "{cut} bytes");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert!(matches!(store.load(), Err(SignerError::Key(_))));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(house.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(store.load(), Err(SignerError::Store { .. })));
    }
}
