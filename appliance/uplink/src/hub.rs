//! The hub as a client sees it: enrol, report, store. TLS 1.3 only, against the pinned roots only, no redirects, no
//! proxy but the configured one; HTTP/2, or HTTP/1.1 where a middlebox strips ALPN.

pub(crate) mod early;

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gift_wire::{
    ENROL_PATH, EnrolRequest, EnrolResponse, HEALTH_PATH, Manifest, RECEIPT_HEADER, Receipt, STOW_PATH, Sha256Hex,
    UPDATE_PATH, WIRE_VERSION,
};
use http::{HeaderValue, StatusCode, header};
use reqwest::{Client, Response};
use rustls::{
    ClientConfig, RootCertStore,
    client::{ResolvesClientCert, WebPkiServerVerifier},
    sign::CertifiedKey,
    version::TLS13,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, time};

use self::early::{Early, Telling};

use crate::{
    body::{Advance, ObjectBody},
    carrier::Parcel,
    error::{AttemptError, UplinkError},
    failure,
    settings::{Settings, Timeouts},
};

/// More than this of an answer is not read, bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The rest of an answer is drained for this long, so that the connection can be used again.
const DRAIN: Duration = Duration::from_secs(2);
/// A dead peer is found by HTTP/2 pings at this interval.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How often a request looks whether its body still moves.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// One way to the hub, with or without a device certificate.
#[derive(Debug)]
pub(crate) struct Hub {
    client: Client,
    enrol_url: String,
    health_url: String,
    store_url: String,
    base_url: String,
    timeouts: Timeouts,
}

/// Presents one certificate whatever issuers the server hints at: a wrong one is then refused by name, not left out.
#[derive(Debug)]
struct Present(Arc<CertifiedKey>);

impl ResolvesClientCert for Present {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The roots the hub's certificate must chain to.
///
/// # Errors
/// An unreadable file, or one without a usable certificate.
pub(crate) fn pinned_roots(settings: &Settings) -> Result<RootCertStore, UplinkError> {
    let pem = fs::read(&settings.hub_roots).map_err(UplinkError::store("cannot read the hub's roots"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let form = |_| std::io::Error::from(std::io::ErrorKind::InvalidData);
        let certificate = certificate.map_err(form).map_err(UplinkError::store("cannot read the hub's roots"))?;
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        let empty = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        return Err(UplinkError::store("the file of the hub's roots holds none")(empty));
    }
    Ok(roots)
}

impl Hub {
    /// A way to the hub that presents `identity`, or nothing before enrolment.
    ///
    /// # Errors
    /// Unusable roots or client configuration.
    pub(crate) fn new(
        settings: &Settings,
        identity: Option<Arc<CertifiedKey>>,
        early: Early,
    ) -> Result<Self, UplinkError> {
        let timeouts = settings.timeouts;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(pinned_roots(settings)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        // Without revocation lists the one thing it could miss is roots, and there are some.
        let verifier = verifier.map_err(|error| rustls::Error::General(error.to_string()))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            // Nothing is judged otherwise: it tells of certificates that are not valid yet.
            .with_custom_certificate_verifier(Arc::new(Telling { verifier, early }));
        let mut tls = match identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Present(identity))),
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Each connection proves both sides anew; connections are long-lived, so this costs little.
        tls.resumption = rustls::client::Resumption::disabled();

        let ms = Duration::from_millis;
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("gift-uplink/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(ms(timeouts.connect_ms))
            .tcp_nodelay(true)
            .tcp_user_timeout(ms(timeouts.unacknowledged_ms))
            .pool_idle_timeout(ms(timeouts.idle_ms))
            .http2_keep_alive_interval(PING_INTERVAL)
            // As long as unacknowledged bytes may take: a ping queues behind a full socket buffer on a slow line.
            .http2_keep_alive_timeout(ms(timeouts.unacknowledged_ms));
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::https(format!("http://{proxy}")).map_err(UplinkError::Client)?;
            client = client.proxy(proxy);
        }
        if let (Some(address), Some((name, port))) = (settings.hub_address, settings.hub_name_and_port()) {
            client = client.resolve(name, SocketAddr::new(address, port));
        }
        Ok(Self {
            client: client.build().map_err(UplinkError::Client)?,
            enrol_url: settings.hub_path(ENROL_PATH),
            health_url: settings.hub_path(HEALTH_PATH),
            store_url: settings.hub_path(STOW_PATH),
            base_url: settings.hub_path(""),
            timeouts,
        })
    }

    /// Asks for a device certificate.
    ///
    /// # Errors
    /// See [`AttemptError`]; an answer that is none counts as [`AttemptError::Busy`].
    pub(crate) async fn enrol(&self, request: &EnrolRequest) -> Result<EnrolResponse, AttemptError> {
        let answer = self.post_json(&self.enrol_url, serde_json::to_vec(request).unwrap_or_default()).await?;
        let status = answer.status();
        let body = self.within_answer_time(read_limited(answer, MAX_ANSWER_BYTES)).await??;
        let response: Option<EnrolResponse> = serde_json::from_slice(&body).ok();
        let known = response.filter(|response| response.version == WIRE_VERSION);
        known.ok_or(AttemptError::Busy { status: status.as_u16(), retry_after: None })
    }

    /// Sends a health report (JSON).
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub(crate) async fn report(&self, report: Vec<u8>) -> Result<(), AttemptError> {
        let answer = self.post_json(&self.health_url, report).await?;
        drain(answer).await;
        Ok(())
    }

    /// An update's archive, from its byte `from` on (RFC 9110 §14.2).
    ///
    /// # Errors
    /// See [`AttemptError`]; an answer that begins elsewhere counts as [`AttemptError::Busy`].
    pub(crate) async fn archive(&self, digest: &Sha256Hex, from: u64) -> Result<Response, AttemptError> {
        let mut request = self.client.get(format!("{}{UPDATE_PATH}/{digest}", self.base_url));
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let answer = self.within_answer_time(request.send()).await?.map_err(|error| failure::of_error(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(failure::of_status(status, answer.headers()));
        }
        let range = answer.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let begins_there = match status {
            StatusCode::OK => from == 0,
            StatusCode::PARTIAL_CONTENT => range.is_some_and(|range| range.starts_with(&format!("bytes {from}-"))),
            _ => false,
        };
        if begins_there { Ok(answer) } else { Err(AttemptError::Busy { status: status.as_u16(), retry_after: None }) }
    }

    /// The next piece of an answer; `None` at its end.
    ///
    /// # Errors
    /// See [`AttemptError`]; nothing came for too long.
    pub(crate) async fn next_piece(&self, answer: &mut Response) -> Result<Option<Bytes>, AttemptError> {
        let stall = Duration::from_millis(self.timeouts.stall_ms);
        let piece = time::timeout(stall, answer.chunk()).await.map_err(|_| AttemptError::Unreachable)?;
        piece.map_err(|error| failure::of_error(&error))
    }

    /// The newest parcel of a kind with its entity tag, unless it is the one of `tag`, or there is none.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub(crate) async fn newest(
        &self,
        parcel: &Parcel,
        tag: Option<&str>,
    ) -> Result<Option<(String, Vec<u8>)>, AttemptError> {
        let mut request = self.client.get(format!("{}{}", self.base_url, parcel.path));
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let answer = self.within_answer_time(request.send()).await?.map_err(|error| failure::of_error(&error))?;
        let status = answer.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::NOT_MODIFIED) {
            drain(answer).await;
            return Ok(None);
        }
        if !status.is_success() {
            return Err(failure::of_status(status, answer.headers()));
        }
        // It is written to a file of ours and sent back: only what an entity tag may be, and not long.
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.len() <= 128);
        let tag = tag.ok_or(AttemptError::Busy { status: status.as_u16(), retry_after: None })?.to_owned();
        // As many bytes as a slow line may take a while for: what stalls is given up by the connection's own timers.
        let bytes = read_limited(answer, parcel.most).await?;
        // The tag is that of these bytes (both sides make it so): kept with others, it would keep what is newest from being asked for.
        if tag != format!("\"{}\"", hex::encode(Sha256::digest(&bytes))) {
            return Err(AttemptError::Busy { status: status.as_u16(), retry_after: None });
        }
        Ok(Some((tag, bytes)))
    }

    /// Sends one object; `file` stands at its start. The receipt matches the manifest.
    ///
    /// # Errors
    /// See [`AttemptError`].
    pub(crate) async fn store(&self, manifest: &Manifest, file: File) -> Result<Receipt, AttemptError> {
        // 128 random bits do not occur in the body.
        let boundary = getrandom::u64().and_then(|a| Ok(format!("gift-{a:016x}{:016x}", getrandom::u64()?)));
        let boundary = boundary.map_err(|_| AttemptError::Unreachable)?;
        let (body, advance) = ObjectBody::new(manifest, file, &boundary).map_err(|_| AttemptError::Unreachable)?;
        let request = self
            .client
            .post(&self.store_url)
            .header(header::CONTENT_TYPE, ObjectBody::content_type(&boundary))
            .header(header::ACCEPT, "application/dicom+json")
            .body(reqwest::Body::wrap(body));
        let answer = tokio::select! {
            answer = request.send() => answer.map_err(|error| failure::of_error(&error))?,
            () = self.stalled(&advance) => return Err(AttemptError::Unreachable),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        drain(answer).await;
        if !status.is_success() {
            return Err(failure::of_status(status, &headers));
        }
        let receipt: Option<Receipt> =
            headers.get(RECEIPT_HEADER).and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        receipt.filter(|receipt| receipt.matches(manifest)).ok_or(AttemptError::ReceiptMismatch)
    }

    async fn post_json(&self, url: &str, body: Vec<u8>) -> Result<Response, AttemptError> {
        let json = HeaderValue::from_static("application/json");
        let sent = self.client.post(url).header(header::CONTENT_TYPE, json).body(body).send();
        let answer = self.within_answer_time(sent).await?.map_err(|error| failure::of_error(&error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(failure::of_status(answer.status(), answer.headers()))
    }

    async fn within_answer_time<T>(&self, work: impl Future<Output = T>) -> Result<T, AttemptError> {
        let limit = Duration::from_millis(self.timeouts.connect_ms + self.timeouts.answer_ms);
        time::timeout(limit, work).await.map_err(|_| AttemptError::Unreachable)
    }

    /// Ends when the body has not moved, or its answer has not come, for too long.
    async fn stalled(&self, advance: &Advance) {
        loop {
            time::sleep(WATCH_INTERVAL).await;
            let limit = if advance.is_whole() { self.timeouts.answer_ms } else { self.timeouts.stall_ms };
            if advance.still_ms() > limit {
                return;
            }
        }
    }
}

async fn read_limited(mut answer: Response, most: usize) -> Result<Vec<u8>, AttemptError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failure::of_error(&error))? {
        if body.len() + chunk.len() > most {
            return Err(AttemptError::Busy { status: answer.status().as_u16(), retry_after: None });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads what is left of an answer, within bounds; what it says does not matter.
async fn drain(answer: Response) {
    let _ = time::timeout(DRAIN, read_limited(answer, MAX_ANSWER_BYTES)).await;
}
