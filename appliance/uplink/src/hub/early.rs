//! A certificate of the hub that is not valid yet: it was made later than this machine's clock says, so the clock may be behind. The connection
//! fails, as it must; the chain goes to gift-clock, which judges what it proves.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gift_spool::{Depositor, SpoolError};
use gift_wire::MAX_CHAIN_BYTES;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{sync::watch, task, time};

use crate::{error::UplinkError, events, settings::ClockDrop};

/// A chain is handed over no more often than this: whoever stands between could offer one after the other.
const PAUSE: Duration = Duration::from_secs(60);

/// The chain (PEM) that was not valid yet and came last.
pub(crate) type Early = watch::Sender<Vec<u8>>;

/// rustls' own verifier, which tells of chains that are not valid yet.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    pub(crate) early: Early,
}

impl ServerCertVerifier for Telling {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) = &verified
        {
            let pem = pem([end_entity].into_iter().chain(intermediates));
            if pem.len() <= MAX_CHAIN_BYTES {
                self.early.send_replace(pem);
            }
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Certificates as PEM (RFC 7468 §5), one line of base64 each: the reader takes lines of any length.
fn pem<'a>(chain: impl Iterator<Item = &'a CertificateDer<'a>>) -> Vec<u8> {
    let one = |certificate: &CertificateDer<'_>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certificate))
    };
    chain.map(one).collect::<String>().into_bytes()
}

/// Hands over what [`Telling`] tells.
///
/// # Errors
/// The drop failed.
pub(crate) async fn hand_over(to: ClockDrop, mut told: watch::Receiver<Vec<u8>>) -> Result<(), UplinkError> {
    let drop = Arc::new(Depositor::open(&to.staging, &to.inbox)?);
    loop {
        told.changed().await.map_err(|_| UplinkError::Ended("the verifier"))?;
        let (drop, pem) = (drop.clone(), told.borrow_and_update().clone());
        let handed = task::spawn_blocking(move || drop.post_late().and_then(|_| drop.deposit(b"{}", &pem)));
        match handed.await.unwrap_or_else(|_| Err(SpoolError::Store(std::io::ErrorKind::Other.into()))) {
            Ok(_) => events::early_handed_over(),
            Err(error) => match UplinkError::from(error) {
                error if error.is_full() => events::disk_full(),
                error => return Err(error),
            },
        }
        time::sleep(PAUSE).await;
    }
}
