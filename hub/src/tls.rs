//! TLS of both listeners: rustls with ring, TLS 1.3 only, ALPN h2 and http/1.1, no tickets, no 0-RTT. Server certificates are
//! looked at daily and replaced without a restart.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};

use crate::{error::HubError, pki::Pki};

/// A listener's certificate, replaceable while it serves.
#[derive(Debug)]
pub struct ServerCertificate {
    listener: &'static str,
    names: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// Loads or makes the certificate.
    ///
    /// # Errors
    /// See [`Pki::server`].
    pub fn load(pki: &Pki, listener: &'static str, names: &[String]) -> Result<Arc<Self>, HubError> {
        let current = RwLock::new(certified(pki, listener, names)?);
        Ok(Arc::new(Self { listener, names: names.to_vec(), current }))
    }

    /// Replaces the certificate when it nears its end.
    ///
    /// # Errors
    /// See [`Pki::server`]; the current one stays.
    pub fn refresh(&self, pki: &Pki) -> Result<(), HubError> {
        let fresh = certified(pki, self.listener, &self.names)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn certified(pki: &Pki, listener: &'static str, names: &[String]) -> Result<Arc<CertifiedKey>, HubError> {
    let (chain, key) = pki.server(listener, names)?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// TLS for boxes: a client certificate of this hub's CA (client authentication EKU, in its validity) or none at all. Whether
/// the database still knows it as good is asked per request.
///
/// # Errors
/// rustls'.
pub fn for_boxes(pki: &Pki, certificate: Arc<ServerCertificate>) -> Result<Arc<ServerConfig>, HubError> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.root()?)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
        .allow_unauthenticated()
        .build()
        .map_err(|error| HubError::Setup(format!("client certificate verifier: {error}")))?;
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    Ok(common(config))
}

/// TLS for people and DICOMweb clients.
///
/// # Errors
/// rustls'.
pub fn for_web(certificate: Arc<ServerCertificate>) -> Result<Arc<ServerConfig>, HubError> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    Ok(common(config))
}

fn common(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // No resumption: every connection shows its certificate anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Arc::new(config)
}
