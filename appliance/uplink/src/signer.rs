//! The device key in the TPM: the signer process has it, and signs what TLS and a certificate request need signed.
//!
//! rcgen and rustls ask for a signature and wait for it, so the thread waits, at most [`PATIENCE`] twice. Relies on running
//! on a thread of tokio's runtime with several, which is told; elsewhere the caller alone waits.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use gift_signer::{Client, ClientError, PublicKeyInfo};
use rustls::{SignatureAlgorithm, SignatureScheme, sign};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{
    events,
    identity::{self, DeviceKey, IdentityError},
};

/// How long the signer may take, also to be started, to derive and to make keys in a slow TPM.
const PATIENCE: Duration = Duration::from_secs(5);

/// The device key that the signer has.
#[derive(Clone)]
pub(crate) struct SignerKey {
    client: Client,
    public: PublicKeyInfo,
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignerKey")
    }
}

impl SignerKey {
    /// Asks the signer at `socket` for its public key, which it makes on the first request.
    ///
    /// # Errors
    /// [`IdentityError::Signer`]: to be tried again, never to be replaced by another key.
    pub(crate) fn open(socket: &Path) -> Result<Self, IdentityError> {
        let client = Client::new(socket.to_owned(), PATIENCE);
        let public = told(blocking(|| client.public_key()))?;
        Ok(Self { client, public })
    }

    /// The signature of a text's SHA-256 digest.
    fn signature(&self, text: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let digest = Sha256::digest(text).into();
        told(blocking(|| self.client.sign(digest)))
    }
}

impl DeviceKey for SignerKey {
    fn public_key_info(&self) -> Vec<u8> {
        self.public.der().to_vec()
    }

    fn request_pem(&self) -> Result<String, IdentityError> {
        identity::request_pem(self).map_err(|error| match error {
            rcgen::Error::RemoteKeyError => IdentityError::Signer,
            _ => IdentityError::Key("cannot sign a request"),
        })
    }

    fn handshake_signer(&self) -> Result<Arc<dyn sign::SigningKey>, IdentityError> {
        Ok(Arc::new(self.clone()))
    }
}

impl rcgen::PublicKeyData for SignerKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SignerKey {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(text).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl sign::SigningKey for SignerKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn sign::Signer>> {
        let offered = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        offered.then(|| Box::new(self.clone()) as Box<dyn sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.public.der()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl sign::Signer for SignerKey {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.signature(text).map_err(|_| rustls::Error::General("the signer does not sign".into()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// Waits, without holding up what else this thread of the runtime has to do.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn told<T>(result: Result<T, ClientError>) -> Result<T, IdentityError> {
    result.map_err(|error| {
        events::signer_failed(&error);
        IdentityError::Signer
    })
}
