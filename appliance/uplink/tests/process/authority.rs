//! A certificate authority: the hub's, or a stranger's.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa, Issuer,
    KeyPair,
};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::hub::NAME;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A server's certificate and its key.
    pub(super) fn server_identity(
        &self,
        from: Option<time::Duration>,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        if let Some(from) = from {
            params.not_before = time::OffsetDateTime::now_utc() + from;
        }
        let certificate = params.signed_by(&key, issuer(&self.issuer)).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        (vec![certificate.der().clone()], key)
    }

    /// A device's certificate (PEM), and its end in ms.
    pub(super) fn sign(&self, csr_pem: &str, valid: time::Duration) -> (String, u64) {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        let now = time::OffsetDateTime::now_utc();
        request.params.not_before = now - time::Duration::hours(1);
        request.params.not_after = now + valid;
        let not_after_ms = request.params.not_after.unix_timestamp() as u64 * 1_000;
        (request.signed_by(issuer(&self.issuer)).unwrap().pem(), not_after_ms)
    }
}

fn issuer<'a>(issuer: &'a CertifiedIssuer<'static, KeyPair>) -> &'a Issuer<'static, KeyPair> {
    issuer
}
