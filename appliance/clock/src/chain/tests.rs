//! Chains of a real CA: root, issuing CA, server; and what a stranger, or the hub itself, could hand over besides.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration as Span, OffsetDateTime};

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

/// A hub's CAs: root since ten days ago for ten years, issuing CA since nine days ago for 700 days.
pub(crate) struct Hub {
    root: Ca,
    issuing: Ca,
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn ca(name: &str, from: Span, until: Span) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (now() + from, now() + until);
    params
}

impl Hub {
    pub(crate) fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(ca("root", Span::days(-10), Span::days(3650)), key()).unwrap();
        let issuing = ca("issuing", Span::days(-9), Span::days(700));
        let issuing = CertifiedIssuer::signed_by(issuing, key(), &root).unwrap();
        Self { root, issuing }
    }

    pub(crate) fn root_pem(&self) -> String {
        self.root.pem()
    }

    fn roots(&self) -> Vec<CertificateDer<'static>> {
        vec![self.root.der().clone()]
    }

    fn leaf(&self, from: Span, usage: impl Into<Option<ExtendedKeyUsagePurpose>>) -> Certificate {
        let mut params = CertificateParams::new(vec!["hub.example.org".to_owned()]).unwrap();
        params.extended_key_usages.extend(usage.into());
        (params.not_before, params.not_after) = (now() + from, now() + from + Span::days(90));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuing).unwrap()
    }

    /// The chain of a server certificate that is valid from then on.
    pub(crate) fn chain(&self, from: Span) -> String {
        self.leaf(from, ExtendedKeyUsagePurpose::ServerAuth).pem() + &self.issuing.pem()
    }
}

#[test]
fn a_chain_proves_the_instant_from_which_its_first_certificate_is_valid() {
    let hub = Hub::new();
    for from in [Span::hours(-1), Span::days(-8), Span::hours(30), Span::days(600)] {
        let proven = proven(hub.chain(from).as_bytes(), &hub.roots()).unwrap();
        let expected = SystemTime::from(now() + from);
        let apart = expected.duration_since(proven).or_else(|_| proven.duration_since(expected)).unwrap();
        assert!(apart < Duration::from_secs(5), "{from}: {apart:?} apart");
    }
    // What uplink writes: one line of base64 each.
    let chain = hub.chain(Span::days(1));
    let der = CertificateDer::pem_slice_iter(chain.as_bytes());
    let lines: String = der.map(|der| pem(&der.unwrap())).collect();
    assert_eq!(proven(lines.as_bytes(), &hub.roots()), proven(chain.as_bytes(), &hub.roots()));
}

#[test]
fn what_the_hub_did_not_sign_or_could_not_have_used_then_proves_nothing() {
    let (hub, stranger) = (Hub::new(), Hub::new());
    let chain = hub.chain(Span::days(1));
    let of = |text: String| proven(text.as_bytes(), &hub.roots());
    assert_eq!(of(stranger.chain(Span::days(1))), Err(Refusal::Trust));
    // The stranger's certificate with the hub's own CA beside it, and without any.
    let strange = stranger.leaf(Span::days(1), ExtendedKeyUsagePurpose::ServerAuth).pem();
    assert_eq!(of(strange.clone() + &hub.issuing.pem()), Err(Refusal::Trust));
    assert_eq!(of(strange), Err(Refusal::Trust));
    assert_eq!(of(hub.leaf(Span::days(1), ExtendedKeyUsagePurpose::ServerAuth).pem()), Err(Refusal::Trust));
    // A box's own certificate is no server's.
    let device = hub.leaf(Span::days(1), ExtendedKeyUsagePurpose::ClientAuth).pem();
    assert_eq!(of(device + &hub.issuing.pem()), Err(Refusal::Trust));
    assert_eq!(of(hub.leaf(Span::days(1), None).pem() + &hub.issuing.pem()), Err(Refusal::Trust));
    // Whoever has the root's key makes issuers that live as long as they like: not longer than the root.
    let later = ca("later", Span::days(3700), Span::days(9000));
    let later = CertifiedIssuer::signed_by(later, KeyPair::generate().unwrap(), &hub.root).unwrap();
    let late = Hub { root: Hub::new().root, issuing: later };
    assert_eq!(of(late.chain(Span::days(3800))), Err(Refusal::Trust));
    // Later than its issuer lives, and earlier than its issuer came to be.
    assert_eq!(of(hub.chain(Span::days(701))), Err(Refusal::Trust));
    assert_eq!(of(hub.chain(Span::days(-20))), Err(Refusal::Trust));
    // Signed by the hub's root itself, or a root alone: the issuing CA is not a server.
    assert_eq!(of(hub.issuing.pem()), Err(Refusal::Trust));
    // One bit of the signed part is another.
    let mut der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap().to_vec();
    let at = der.windows(4).position(|window| window == b"hub.").unwrap();
    der[at] ^= 1;
    let changed = pem(&der) + &hub.issuing.pem();
    assert_eq!(of(changed), Err(Refusal::Trust));
    assert_eq!(proven(chain.as_bytes(), &[]), Err(Refusal::Trust));
}

#[test]
fn what_is_no_chain_is_refused() {
    let hub = Hub::new();
    let of = |bytes: &[u8]| proven(bytes, &hub.roots());
    assert_eq!(of(b""), Err(Refusal::Form));
    assert_eq!(of(b"certainly not"), Err(Refusal::Form));
    assert_eq!(of(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), Err(Refusal::Form));
    assert_eq!(of(pem(b"0000").as_bytes()), Err(Refusal::Form));
    assert_eq!(of(hub.chain(Span::days(1)).repeat(5).as_bytes()), Err(Refusal::Form));
    let long = hub.chain(Span::days(1)) + &"x".repeat(MAX_CHAIN_BYTES);
    assert_eq!(of(long.as_bytes()), Err(Refusal::Form));
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}
