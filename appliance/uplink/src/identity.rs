//! Who this box is: a P-256 key that never leaves its keeper, and the certificate the hub gave for it.
//!
//! The key stands behind [`DeviceKey`], which only signs: [`SignerKey`] where the settings name a signer (the key is in the
//! TPM), [`FileKey`] where they do not, and on a box that had one before. Relies on `identity/` being enterable by this
//! process's user only.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::PublicKeyData as _;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::{durable, events, signer::SignerKey};

const KEY_NAME: &str = "key.pem";
const CERTIFICATE_NAME: &str = "certificate.pem";
const SPENT_TOKEN_NAME: &str = "spent-token.sha256";

/// What is wrong with key or certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// A file in `identity/` could not be read or written.
    #[error("{doing}: {source}")]
    Store {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The key is no P-256 key, or signing failed.
    #[error("device key: {0}")]
    Key(&'static str),
    /// The signer does not answer, or does not sign; why, it was logged. To be tried again.
    #[error("the signer does not sign")]
    Signer,
    /// The certificate is not one for this key.
    #[error("device certificate: {0}")]
    Certificate(&'static str),
}

impl IdentityError {
    /// True when the cause is a full disk.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Store { source, .. } if durable::is_full(source))
    }
}

/// The device key: says its public half, and signs.
pub(crate) trait DeviceKey: Send + Sync + fmt::Debug {
    /// SubjectPublicKeyInfo, DER.
    fn public_key_info(&self) -> Vec<u8>;

    /// A certificate request (PKCS#10, PEM) signed by this key. The hub takes nothing but the public key from it.
    ///
    /// # Errors
    /// [`IdentityError::Key`], [`IdentityError::Signer`].
    fn request_pem(&self) -> Result<String, IdentityError>;

    /// What TLS signs its handshakes with.
    ///
    /// # Errors
    /// [`IdentityError::Key`].
    fn handshake_signer(&self) -> Result<Arc<dyn rustls::sign::SigningKey>, IdentityError>;
}

/// A device key in a file (0600), for boxes without a TPM signer.
pub(crate) struct FileKey {
    pair: rcgen::KeyPair,
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey")
    }
}

impl FileKey {
    /// Reads the key in `directory`, or makes one on the first start.
    ///
    /// # Errors
    /// Unreadable or unusable key; it is never replaced, because the certificate belongs to it.
    pub(crate) fn open(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(KEY_NAME);
        match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(pem) => {
                let pair = rcgen::KeyPair::from_pem_and_sign_algo(&pem, &rcgen::PKCS_ECDSA_P256_SHA256)
                    .map_err(|_| IdentityError::Key("not a P-256 key"))?;
                Ok(Self { pair })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                    .map_err(|_| IdentityError::Key("cannot be made"))?;
                let pem = Zeroizing::new(pair.serialize_pem());
                durable::replace(directory, KEY_NAME, pem.as_bytes()).map_err(store("cannot store the device key"))?;
                Ok(Self { pair })
            }
            Err(source) => Err(store("cannot read the device key")(source)),
        }
    }
}

impl DeviceKey for FileKey {
    fn public_key_info(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    fn request_pem(&self) -> Result<String, IdentityError> {
        request_pem(&self.pair).map_err(|_| IdentityError::Key("cannot sign a request"))
    }

    fn handshake_signer(&self) -> Result<Arc<dyn rustls::sign::SigningKey>, IdentityError> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pair.serialize_der()));
        rustls::crypto::ring::sign::any_ecdsa_type(&der).map_err(|_| IdentityError::Key("cannot sign a handshake"))
    }
}

/// A certificate request that says nothing but the public key.
///
/// # Errors
/// The key's.
pub(crate) fn request_pem(key: &impl rcgen::SigningKey) -> Result<String, rcgen::Error> {
    rcgen::CertificateParams::new(Vec::new())?.serialize_request(key)?.pem()
}

/// A device certificate that belongs to the device key.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    /// Start of its validity, ms since the Unix epoch.
    pub(crate) not_before_ms: u64,
    /// End of its validity, ms since the Unix epoch.
    pub(crate) not_after_ms: u64,
}

impl Certificate {
    /// Reads a PEM chain, leaf first, and checks that the leaf is for `key`.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`].
    pub(crate) fn parse(pem: &str, key: &dyn DeviceKey) -> Result<Self, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| IdentityError::Certificate("not PEM"))?;
        let leaf = chain.first().ok_or(IdentityError::Certificate("empty"))?;
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| IdentityError::Certificate("not X.509"))?;
        if leaf.public_key().raw != key.public_key_info() {
            return Err(IdentityError::Certificate("for another key"));
        }
        let ms = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000);
        let (not_before_ms, not_after_ms) = (ms(leaf.validity().not_before), ms(leaf.validity().not_after));
        Ok(Self { chain, not_before_ms, not_after_ms })
    }

    /// True once only a third of the validity is left: time to renew.
    pub(crate) fn renewal_due(&self, now_ms: u64) -> bool {
        let third = self.not_after_ms.saturating_sub(self.not_before_ms) / 3;
        now_ms >= self.not_after_ms.saturating_sub(third)
    }

    /// True once the validity is over.
    pub(crate) fn expired(&self, now_ms: u64) -> bool {
        now_ms > self.not_after_ms
    }

    /// What TLS presents.
    ///
    /// # Errors
    /// The key's.
    pub(crate) fn certified(&self, key: &dyn DeviceKey) -> Result<Arc<CertifiedKey>, IdentityError> {
        Ok(Arc::new(CertifiedKey::new(self.chain.clone(), key.handshake_signer()?)))
    }
}

/// `identity/` on disk.
#[derive(Debug)]
pub(crate) struct IdentityStore {
    directory: PathBuf,
}

impl IdentityStore {
    /// Opens `directory`, making it when it is not there.
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn open(directory: &Path) -> Result<Self, IdentityError> {
        durable::make_private_directory(directory).map_err(store("cannot make the identity directory"))?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// The device key, made on the first start: by the signer that listens at `signer`, else in a file. A box with a key in a
    /// file keeps it, because its certificate belongs to that.
    ///
    /// # Errors
    /// See [`FileKey::open`] and [`SignerKey::open`]; no file takes the place of a signer that fails.
    pub(crate) fn key(&self, signer: Option<&Path>) -> Result<Arc<dyn DeviceKey>, IdentityError> {
        let Some(socket) = signer else { return Ok(Arc::new(FileKey::open(&self.directory)?)) };
        match fs::symlink_metadata(self.directory.join(KEY_NAME)) {
            Ok(_) => {
                events::file_key_kept();
                Ok(Arc::new(FileKey::open(&self.directory)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Arc::new(SignerKey::open(socket)?)),
            Err(source) => Err(store("cannot look for the device key")(source)),
        }
    }

    /// The stored certificate; `None` when there is none that belongs to `key`.
    pub(crate) fn certificate(&self, key: &dyn DeviceKey) -> Option<Certificate> {
        let pem = fs::read_to_string(self.directory.join(CERTIFICATE_NAME)).ok()?;
        Certificate::parse(&pem, key).ok()
    }

    /// Stores the certificate the hub gave, and which token was spent on it (none for a renewal).
    ///
    /// # Errors
    /// The file system's.
    pub(crate) fn keep(&self, certificate_pem: &str, token: &str) -> Result<(), IdentityError> {
        let failed = "cannot store the device certificate";
        durable::replace(&self.directory, CERTIFICATE_NAME, certificate_pem.as_bytes()).map_err(store(failed))?;
        if token.is_empty() {
            return Ok(());
        }
        durable::replace(&self.directory, SPENT_TOKEN_NAME, digest(token).as_bytes()).map_err(store(failed))
    }

    /// True when a certificate was already had for `token`.
    pub(crate) fn is_spent(&self, token: &str) -> bool {
        fs::read_to_string(self.directory.join(SPENT_TOKEN_NAME)).is_ok_and(|spent| spent == digest(token))
    }
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

fn store(doing: &'static str) -> impl FnOnce(io::Error) -> IdentityError {
    move |source| IdentityError::Store { doing, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn issue(request_pem: &str) -> String {
        let issuer_key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(rcgen::CertificateParams::new(Vec::new()).unwrap(), issuer_key);
        let request = rcgen::CertificateSigningRequestParams::from_pem(request_pem).unwrap();
        request.signed_by(&issuer).unwrap().pem()
    }

    #[test]
    fn the_key_is_made_once_and_nobody_else_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = IdentityStore::open(&directory.path().join("identity")).unwrap();
        let first = store.key(None).unwrap();
        assert_eq!(first.public_key_info(), store.key(None).unwrap().public_key_info());
        let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("identity"), mode("identity/key.pem")), (0o700, 0o600));
        assert_eq!(format!("{first:?}"), "FileKey");
    }

    #[test]
    fn a_signer_that_is_not_there_is_no_reason_for_a_file_and_a_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = IdentityStore::open(&directory.path().join("identity")).unwrap();
        let nobody = directory.path().join("socket");
        assert!(matches!(store.key(Some(&nobody)), Err(IdentityError::Signer)));
        assert_eq!(fs::read_dir(directory.path().join("identity")).unwrap().count(), 0);

        let before = store.key(None).unwrap().public_key_info();
        assert_eq!(store.key(Some(&nobody)).unwrap().public_key_info(), before);
        fs::write(directory.path().join("identity/key.pem"), "damaged").unwrap();
        assert!(matches!(store.key(Some(&nobody)), Err(IdentityError::Key(_))));
    }

    #[test]
    fn only_a_certificate_for_this_key_counts() {
        let directory = tempfile::tempdir().unwrap();
        let store = IdentityStore::open(directory.path()).unwrap();
        let key = store.key(None).unwrap();
        assert!(store.certificate(key.as_ref()).is_none());

        let foreign_home = tempfile::tempdir().unwrap();
        let foreign = FileKey::open(foreign_home.path()).unwrap();
        store.keep(&issue(&foreign.request_pem().unwrap()), "token").unwrap();
        assert!(store.certificate(key.as_ref()).is_none());

        store.keep(&issue(&key.request_pem().unwrap()), "token").unwrap();
        assert!(store.certificate(key.as_ref()).unwrap().certified(key.as_ref()).is_ok());
        assert!(store.is_spent("token") && !store.is_spent("another"));
    }

    #[test]
    fn renewal_is_due_when_a_third_is_left() {
        let certificate = Certificate { chain: Vec::new(), not_before_ms: 1_000, not_after_ms: 31_000 };
        assert!(!certificate.renewal_due(20_999) && certificate.renewal_due(21_000));
        assert!(!certificate.expired(31_000) && certificate.expired(31_001));
    }
}
