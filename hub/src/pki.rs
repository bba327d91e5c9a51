//! The hub's certificates: an own root, an issuing CA under it, the listeners' server certificates and the boxes' device
//! certificates. Keys are ECDSA P-256 in files of mode 0600 under `pki/`. After the first start `pki/root.key` is needed only to
//! renew the issuing CA, and belongs offline; `pki/root.pem` is what boxes and clients pin.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKey,
    PublicKeyData as _, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::error::{Doing as _, HubError};

const DAY: Duration = Duration::from_hours(24);
/// Validity of root, issuing CA and server certificates.
const ROOT_DAYS: u32 = 3650;
const ISSUING_DAYS: u32 = 730;
const SERVER_DAYS: u32 = 90;
/// A server certificate with less than this left is replaced at start and by the daily look.
const RENEW_SERVER_BEFORE: Duration = Duration::from_hours(30 * 24);
/// An operator is asked to renew the issuing CA from so long before its end: boxes take the new one with their next certificates.
const RENEW_ISSUING_BEFORE: Duration = Duration::from_hours(180 * 24);
/// Clocks of boxes that are a little slow must not find a fresh certificate in the future.
const BACKDATE: Duration = Duration::from_hours(1);

/// The CA, opened.
pub struct Pki {
    directory: PathBuf,
    root_pem: String,
    issuing_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A device certificate as issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate and the issuing CA's, PEM.
    pub chain_pem: String,
    /// Serial, hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// End of validity, ms since the Unix epoch.
    pub not_after_ms: u64,
}

/// A certificate signing request whose signature was checked: its public key, and nothing else of it.
#[derive(Debug)]
pub struct Request {
    key: PublicKey,
    /// SHA-256 of the public key.
    pub digest: [u8; 32],
}

impl Request {
    /// Reads a PKCS#10 request (RFC 2986) and checks its signature.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn parse(csr_pem: &str) -> Result<Self, CsrError> {
        let key = CertificateSigningRequestParams::from_pem(csr_pem).map_err(|_| CsrError::Form)?.public_key;
        if ![&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519].contains(&key.algorithm()) {
            return Err(CsrError::Key);
        }
        let digest = Sha256::digest(key.der_bytes()).into();
        Ok(Self { key, digest })
    }

    /// True when it asks for a certificate of the key that `certificate` is for.
    pub fn is_for_key_of(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return false };
        certificate.public_key().raw == self.key.subject_public_key_info()
    }
}

/// Why a certificate signing request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not a signed PKCS#10 request.
    #[error("not a certificate signing request")]
    Form,
    /// A key that is not ECDSA P-256, P-384 or Ed25519.
    #[error("key type not accepted")]
    Key,
}

impl Pki {
    /// Opens the CA under `data/pki`, making it on first start.
    ///
    /// # Errors
    /// The file system's, or files that are no CA.
    pub fn open(data: &Path) -> Result<Self, HubError> {
        let directory = data.join("pki");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).doing("make pki directory")?;
        let at = |name: &str| directory.join(name);
        // The issuing certificate is written last: if it is there, everything is.
        if !at("issuing.pem").exists() {
            create(&directory)?;
        }
        let read = |name: &str| std::fs::read_to_string(at(name)).doing("read CA");
        let (root_pem, issuing_pem) = (read("root.pem")?, read("issuing.pem")?);
        let key = KeyPair::from_pem(&read("issuing.key")?).doing("read issuing key")?;
        let issuer = Issuer::from_ca_cert_pem(&issuing_pem, key).doing("read issuing CA")?;
        Ok(Self { directory, root_pem, issuing_pem, issuer })
    }

    /// Signs the issuing CA's certificate anew, for its key, with the root's. A running hub takes it at its next start, a box with its next
    /// device certificate: in time before the old one ends.
    ///
    /// # Errors
    /// The file system's, a key that is not the root's, a root that has ended.
    pub fn renew_issuing(&self, root_key: &Path) -> Result<(), HubError> {
        let key =
            KeyPair::from_pem(&std::fs::read_to_string(root_key).doing("read root key")?).doing("read root key")?;
        let root = self.root()?;
        let (_, root) =
            x509_parser::parse_x509_certificate(&root).map_err(|_| setup("pki/root.pem is no certificate"))?;
        if root.public_key().raw != key.subject_public_key_info() {
            return Err(setup("this key is not that of pki/root.pem"));
        }
        let mut params = ca("GIFT-Cloud hub issuing CA", ISSUING_DAYS, 0)?;
        params.not_after = params.not_after.min(root.validity().not_after.to_datetime());
        if params.not_after <= SystemTime::now() {
            return Err(setup("the root has ended: boxes need a provisioning with another"));
        }
        let issuer = Issuer::from_ca_cert_pem(&self.root_pem, key).doing("read root")?;
        let issuing = params.signed_by(self.issuer.key(), &issuer).doing("sign issuing CA")?;
        write_private(&self.directory.join("issuing.pem"), &issuing.pem())
    }

    /// When the issuing CA ends, s since the Unix epoch; `None` for a file that does not say.
    fn issuing_ends(&self) -> Option<i64> {
        let der = certificates(&self.issuing_pem).ok()?.into_iter().next()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    /// When the issuing CA ends, ms since the Unix epoch, once that is so near that it must be renewed. With it everything ends: no box is
    /// heard of any more.
    pub fn issuing_ends_soon(&self) -> Option<i64> {
        let soon = unix_seconds(SystemTime::now() + RENEW_ISSUING_BEFORE);
        self.issuing_ends().filter(|end| *end < soon).map(|end| end.saturating_mul(1000))
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> String {
        self.root_pem.clone()
    }

    /// The root certificate.
    ///
    /// # Errors
    /// A file that holds none.
    pub fn root(&self) -> Result<CertificateDer<'static>, HubError> {
        certificates(&self.root_pem)?.into_iter().next().ok_or_else(|| setup("pki/root.pem holds no certificate"))
    }

    /// Certificate chain and key for the listener `listener` under `names`: the ones on disk while they fit, else new ones.
    ///
    /// # Errors
    /// The file system's, or names that are none.
    pub fn server(
        &self,
        listener: &'static str,
        names: &[String],
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), HubError> {
        let (certificate, key) =
            (self.directory.join(format!("{listener}.pem")), self.directory.join(format!("{listener}.key")));
        if !self.still_fits(&certificate, names) {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing("make server key")?;
            let mut params = CertificateParams::new(names.to_vec()).doing("server names")?;
            params.distinguished_name.push(DnType::CommonName, format!("gift-hub {listener}"));
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.use_authority_key_identifier_extension = true;
            set_validity(&mut params, SERVER_DAYS);
            params.serial_number = Some(random_serial()?);
            let signed = params.signed_by(&pair, &self.issuer).doing("sign server certificate")?;
            write_private(&key, &pair.serialize_pem())?;
            write_private(&certificate, &format!("{}{}", signed.pem(), self.issuing_pem))?;
            crate::events::server_certificate(listener);
        }
        let chain = certificates(&std::fs::read_to_string(&certificate).doing("read server certificate")?)?;
        let pair =
            KeyPair::from_pem(&std::fs::read_to_string(&key).doing("read server key")?).doing("read server key")?;
        Ok((chain, PrivatePkcs8KeyDer::from(pair.serialize_der()).into()))
    }

    /// Signs a device certificate for `name` over the request's public key.
    ///
    /// # Errors
    /// The signature cannot be made.
    pub fn issue_device(&self, name: &str, request: &Request, days: u32) -> Result<Issued, HubError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let mut not_after = set_validity(&mut params, days);
        // Not longer than its chain: a box knows by its own certificate's end that it needs another.
        if let Some(end) =
            self.issuing_ends().and_then(|end| UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(end).ok()?)))
        {
            not_after = not_after.min(end);
            params.not_after = not_after.into();
        }
        let serial = random_serial()?;
        let serial_text = hex::encode(serial.to_bytes());
        params.serial_number = Some(serial);
        let signed = params.signed_by(&request.key, &self.issuer).doing("sign device certificate")?;
        let not_after_ms = not_after.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() * 1000);
        Ok(Issued {
            chain_pem: format!("{}{}", signed.pem(), self.issuing_pem),
            serial: serial_text,
            fingerprint: fingerprint(signed.der()),
            not_after_ms,
        })
    }

    /// True when the certificate on disk is signed by this CA, names `names` and is good for long enough.
    fn still_fits(&self, path: &Path, names: &[String]) -> bool {
        let Ok(text) = std::fs::read_to_string(path) else { return false };
        if !text.ends_with(&self.issuing_pem) || !path.with_extension("key").exists() {
            return false;
        }
        let Some(der) = certificates(&text).ok().and_then(|chain| chain.into_iter().next()) else { return false };
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else { return false };
        let soon = unix_seconds(SystemTime::now() + RENEW_SERVER_BEFORE);
        let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return false };
        let mut present: Vec<String> = alternative.value.general_names.iter().filter_map(name_text).collect();
        let mut wanted = names.to_vec();
        present.sort();
        wanted.sort();
        present == wanted && certificate.validity().not_after.timestamp() > soon
    }
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

fn ca(name: &str, days: u32, depth: u8) -> Result<CertificateParams, HubError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(random_serial()?);
    set_validity(&mut params, days);
    Ok(params)
}

fn create(directory: &Path) -> Result<(), HubError> {
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).doing("make CA key");
    let (root_key, issuing_key) = (key()?, key()?);
    let root = ca("GIFT-Cloud hub root", ROOT_DAYS, 1)?;
    let root_certificate = root.self_signed(&root_key).doing("sign root")?;
    let root_pem = root_key.serialize_pem();
    let root_issuer = Issuer::new(root, root_key);
    let issuing = ca("GIFT-Cloud hub issuing CA", ISSUING_DAYS, 0)?
        .signed_by(&issuing_key, &root_issuer)
        .doing("sign issuing CA")?;
    write_private(&directory.join("root.key"), &root_pem)?;
    write_private(&directory.join("root.pem"), &root_certificate.pem())?;
    write_private(&directory.join("issuing.key"), &issuing_key.serialize_pem())?;
    write_private(&directory.join("issuing.pem"), &issuing.pem())
}

/// Writes a file of mode 0600, whole or not at all, for whom the file before was: the hub's account must read what root renewed.
fn write_private(path: &Path, text: &str) -> Result<(), HubError> {
    let part = path.with_extension("part");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&part).doing("write pki file")?;
    if let Ok(before) = std::fs::metadata(path) {
        std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid())).doing("write pki file")?;
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).doing("write pki file")?;
    std::fs::rename(&part, path).doing("write pki file")?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|d| d.sync_all()).doing("sync pki directory")
}

fn set_validity(params: &mut CertificateParams, days: u32) -> SystemTime {
    let now = SystemTime::now();
    let end = now + DAY * days;
    params.not_before = (now - BACKDATE).into();
    params.not_after = end.into();
    end
}

fn unix_seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(i64::MAX, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

fn random_serial() -> Result<SerialNumber, HubError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| HubError::Ended("the random source"))?;
    // Positive and of full length (RFC 5280 §4.1.2.2).
    bytes[0] = (bytes[0] & 0x7F) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, HubError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| setup("a file under pki/ is not PEM"))
}

fn name_text(name: &x509_parser::extensions::GeneralName<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn setup(text: &str) -> HubError {
    HubError::Setup(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn csr(key: &KeyPair, name: &str) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn the_ca_outlives_a_restart_and_its_files_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let root = Pki::open(directory.path()).unwrap().root_pem;
        let pki = Pki::open(directory.path()).unwrap();
        assert_eq!(pki.root_pem, root);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let first = pki.server("web", &names).unwrap().0;
        assert_eq!(pki.server("web", &names).unwrap().0, first, "kept while it fits");
        assert_ne!(pki.server("web", &names[..1]).unwrap().0, first, "replaced when the names change");
        for entry in std::fs::read_dir(directory.path().join("pki")).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn a_device_certificate_carries_the_hubs_name_whatever_the_request_says() {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::open(directory.path()).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let issued = pki.issue_device("ward-1", &Request::parse(&csr(&key, "ward-2")).unwrap(), 30).unwrap();
        let der = certificates(&issued.chain_pem).unwrap().remove(0);
        assert_eq!(fingerprint(&der), issued.fingerprint);
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=ward-1");
        assert_eq!(hex::encode(certificate.raw_serial()), issued.serial);
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
    }

    #[test]
    fn the_issuing_ca_is_renewed_by_the_roots_key_alone_and_what_it_signed_stays_good() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join("pki").join(name);
        let pki = Pki::open(directory.path()).unwrap();
        assert_eq!(pki.issuing_ends_soon(), None);
        // One that ends in ten days.
        let root_key = KeyPair::from_pem(&std::fs::read_to_string(at("root.key")).unwrap()).unwrap();
        let root = Issuer::from_ca_cert_pem(&pki.root_pem, root_key).unwrap();
        let ends = ca("GIFT-Cloud hub issuing CA", 10, 0).unwrap().signed_by(pki.issuer.key(), &root).unwrap();
        write_private(&at("issuing.pem"), &ends.pem()).unwrap();
        let old = Pki::open(directory.path()).unwrap();
        let end = old.issuing_ends_soon().unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let request = Request::parse(&csr(&key, "x")).unwrap();
        let issued = old.issue_device("ward-1", &request, 30).unwrap();
        assert_eq!(i64::try_from(issued.not_after_ms).unwrap() / 1000, end / 1000, "no longer than its chain");

        write_private(&at("another.key"), &key.serialize_pem()).unwrap();
        assert!(old.renew_issuing(&at("another.key")).is_err());
        assert_eq!(std::fs::read_to_string(at("issuing.pem")).unwrap(), old.issuing_pem);
        old.renew_issuing(&at("root.key")).unwrap();
        let new = Pki::open(directory.path()).unwrap();
        assert_eq!(new.issuing_ends_soon(), None);
        let issued_after = new.issue_device("ward-1", &request, 30).unwrap();
        assert!(issued_after.not_after_ms > issued.not_after_ms);
        // Both leaves are good under the new certificate, and that one under the root that boxes pin.
        let der = |pem: &str| certificates(pem).unwrap();
        let (root, issuing) = (der(&new.root_pem), der(&new.issuing_pem));
        for (signed, signer) in [
            (&der(&issued.chain_pem)[0], &issuing[0]),
            (&der(&issued_after.chain_pem)[0], &issuing[0]),
            (&issuing[0], &root[0]),
        ] {
            let (_, signed) = x509_parser::parse_x509_certificate(signed).unwrap();
            let (_, signer) = x509_parser::parse_x509_certificate(signer).unwrap();
            assert_eq!(signed.issuer(), signer.subject());
            signed.verify_signature(Some(signer.public_key())).unwrap();
        }
    }

    #[test]
    fn a_request_whose_signature_is_not_its_keys_is_refused() {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = csr(&key, "x");
        let mut der = pem_body(&pem);
        let last = der.len() - 3;
        der[last] ^= 1;
        let spoilt = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &der)
        );
        assert!(Request::parse(&pem).is_ok());
        assert_eq!(Request::parse(&spoilt).unwrap_err(), CsrError::Form);
        assert_eq!(Request::parse("nonsense").unwrap_err(), CsrError::Form);
    }

    fn pem_body(pem: &str) -> Vec<u8> {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
    }
}
