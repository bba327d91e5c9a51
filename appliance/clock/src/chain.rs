//! What a certificate chain proves about the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gift_wire::MAX_CHAIN_BYTES;
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::Validity;

/// Most certificates in a chain.
const MAX_CERTIFICATES: usize = 8;

/// Why a chain proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not the form of one.
    #[error("it is none")]
    Form,
    /// It does not end in a root of the hub's, or is not a server's, or was never valid.
    #[error("it is not the hub's")]
    Trust,
}

/// The instant from which the chain's first certificate is valid: it has come, because that certificate exists. Whoever made it is one of
/// `roots`, or has its word (RFC 5280 §6.1); all of the chain was valid at that instant, the root too. The name in it is not looked at: any server
/// of this CA will do.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn proven(pem: &[u8], roots: &[CertificateDer<'_>]) -> Result<SystemTime, Refusal> {
    if pem.len() > MAX_CHAIN_BYTES {
        return Err(Refusal::Form);
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.ok().filter(|chain| chain.len() <= MAX_CERTIFICATES).ok_or(Refusal::Form)?;
    let (first, others) = chain.split_first().ok_or(Refusal::Form)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(first).map_err(|_| Refusal::Form)?;
    // webpki asks only where it is said what a certificate is for.
    if !matches!(parsed.extended_key_usage(), Ok(Some(usage)) if usage.value.server_auth) {
        return Err(Refusal::Trust);
    }
    let since = parsed.validity().not_before;
    // An anchor says nothing of its own time to webpki.
    let valid = |root: &&CertificateDer<'_>| validity(root).is_some_and(|validity| validity.is_valid_at(since));
    let anchors: Vec<_> = roots.iter().filter(valid).filter_map(|root| anchor_from_trusted_cert(root).ok()).collect();
    let since = u64::try_from(since.timestamp()).map(Duration::from_secs).map_err(|_| Refusal::Form)?;
    EndEntityCert::try_from(first)
        .and_then(|first| {
            let (at, usage) = (UnixTime::since_unix_epoch(since), KeyUsage::server_auth());
            first.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, others, at, usage, None, None).map(drop)
        })
        .map_err(|_| Refusal::Trust)?;
    Ok(UNIX_EPOCH + since)
}

fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    Some(x509_parser::parse_x509_certificate(certificate).ok()?.1.validity().clone())
}

#[cfg(test)]
pub(crate) mod tests;
