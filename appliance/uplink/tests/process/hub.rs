//! A hub for tests: rustls, HTTP/2, mTLS, enrolment by token, STOW-RS ingest with receipts, idempotent by SOP instance.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use gift_wire::{
    ENROL_PATH, EnrolRequest, EnrolResponse, HEALTH_PATH, HealthReport, MANIFEST_HEADER, Manifest, ORDER_PATH,
    POLICY_PATH, RECEIPT_HEADER, Receipt, STOW_PATH, Sha256Hex, UPDATE_PATH, WIRE_VERSION, status::HoldReason,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;

/// Each hub has a loopback address of its own, so that its port is still free when it listens again.
static HUBS: AtomicU8 = AtomicU8::new(1);

pub(crate) const NAME: &str = "hub.test";
pub(crate) const TOKEN: &str = "one-time-token-of-this-test";

/// What goes wrong with one STOW request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// This status, with these headers, before the body is read.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is reset after the first bytes of the body.
    ResetMidBody,
    /// The object is stored, the connection is reset before the answer.
    LoseReceipt,
    /// The receipt names another digest.
    WrongDigest,
    /// 200 without a receipt.
    NoReceipt,
    /// The body is read slowly: a pause of so many ms after every frame.
    Slow(u64),
    /// The body is not read on while the object is among the poisoned ones.
    Hold,
    /// The body is not read and nothing is answered.
    Hang,
    /// Stored apart.
    Isolate,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Faults for the next STOW requests, first come first served.
    pub(crate) faults: VecDeque<Fault>,
    /// Faults for every STOW request of these objects.
    pub(crate) poison: BTreeMap<String, Fault>,
    /// Object id → digest and how often it arrived whole.
    pub(crate) stored: BTreeMap<String, (Sha256Hex, u32)>,
    /// Objects in the order their requests came, whatever became of them.
    pub(crate) asked: Vec<String>,
    /// When each of these came.
    pub(crate) asked_at: Vec<Instant>,
    pub(crate) reports: Vec<HealthReport>,
    /// Paths in the order their requests came.
    pub(crate) paths: Vec<String>,
    pub(crate) versions: Vec<Version>,
    pub(crate) enrolments: u32,
    pub(crate) renewals: u32,
    pub(crate) connections: u32,
    /// Milliseconds each store takes, half of them before the object is stored.
    pub(crate) delay_ms: u64,
    /// 401 for every box request.
    pub(crate) revoked: bool,
    /// The signed update, and its archive.
    pub(crate) update: Option<(Vec<u8>, Vec<u8>)>,
    /// The signed order for the box, and the signed policy bundle.
    pub(crate) order: Option<Vec<u8>>,
    pub(crate) policy: Option<Vec<u8>>,
    /// Bytes of an archive given at most in one answer.
    pub(crate) archive_piece: usize,
    /// Where answers with an archive began.
    pub(crate) archive_from: Vec<usize>,
    /// Peak number of STOW requests at the same time.
    pub(crate) peak: u32,
    pub(crate) now: u32,
}

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) authority: Authority,
    /// Validity of the next certificate.
    pub(crate) valid: Mutex<time::Duration>,
    /// The one-time token, and the key that spent it: the same box may ask again when the answer got lost.
    pub(crate) token: Mutex<(String, Option<Vec<u8>>)>,
}

/// How the hub's TLS is set up.
pub(crate) struct TlsSetup {
    /// Who signed the hub's own certificate.
    pub(crate) server: Authority,
    /// From when on, from now, that certificate is valid; it always was when absent.
    pub(crate) from: Option<time::Duration>,
    /// Only TLS 1.2.
    pub(crate) old: bool,
    /// Device certificates must be from the hub's authority.
    pub(crate) trust_devices: bool,
    /// Application protocols offered; none = ALPN stripped.
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl TlsSetup {
    pub(crate) fn sound() -> Self {
        let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { server: Authority::new("hub root"), from: None, old: false, trust_devices: true, alpn }
    }
}

pub(crate) struct TestHub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    pub(crate) roots_pem: String,
    acceptor: TlsAcceptor,
    cut: Arc<Notify>,
    serving: Option<JoinHandle<()>>,
}

impl TestHub {
    pub(crate) async fn sound() -> Self {
        Self::new(TlsSetup::sound(), time::Duration::days(30)).await
    }

    pub(crate) async fn new(setup: TlsSetup, valid: time::Duration) -> Self {
        let authority = Authority::new("device authority");
        let other = Authority::new("another device authority");
        let trusted = if setup.trust_devices { &authority } else { &other };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted.roots(), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let versions: &[_] = if setup.old { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
        let (chain, key) = setup.server.server_identity(setup.from);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = setup.alpn;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            authority,
            valid: Mutex::new(valid),
            token: Mutex::new((TOKEN.to_owned(), None)),
        });
        let mut hub = Self {
            shared,
            address: (Ipv4Addr::new(127, 1, 0, HUBS.fetch_add(1, Ordering::Relaxed)), 0).into(),
            roots_pem: setup.server.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            cut: Arc::new(Notify::new()),
            serving: None,
        };
        hub.up().await;
        hub
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    /// Listens (again, on the same port).
    pub(crate) async fn up(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.address = listener.local_addr().unwrap();
        let (shared, acceptor, cut) = (self.shared.clone(), self.acceptor.clone(), self.cut.clone());
        self.serving = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.state.lock().unwrap().connections += 1;
                tokio::spawn(connection(stream, acceptor.clone(), shared.clone(), cut.clone()));
            }
        }));
    }

    /// Stops listening and resets every connection.
    pub(crate) async fn down(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
        self.cut.notify_waiters();
    }

    /// Resets every connection, as a firewall does that forgets idle ones.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>, cut: Arc<Notify>) {
    // Dropping the stream then sends RST, not FIN.
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    let all_cut = cut.notified();
    let Ok(tls) = acceptor.accept(stream).await else { return };
    let certified = tls.get_ref().1.peer_certificates().is_some();
    let kill = Arc::new(Notify::new());
    let service = service_fn({
        let (shared, kill) = (shared.clone(), kill.clone());
        move |request| answer(request, shared.clone(), kill.clone(), certified)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // As the real hub: one slow upload does not use up the connection's window.
    builder.http2().initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
    tokio::select! {
        _ = builder.serve_connection(TokioIo::new(tls), service) => {}
        () = kill.notified() => {}
        () = all_cut => {}
    }
}

type Answer = Response<Full<Bytes>>;

fn status(code: u16) -> Answer {
    Response::builder().status(StatusCode::from_u16(code).unwrap()).body(Full::default()).unwrap()
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    kill: Arc<Notify>,
    certified: bool,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    {
        let mut state = shared.state.lock().unwrap();
        state.paths.push(path.clone());
        state.versions.push(request.version());
    }
    if path == ENROL_PATH {
        return Ok(enrol(request, &shared, certified).await);
    }
    if !certified || shared.state.lock().unwrap().revoked {
        return Ok(status(401));
    }
    match path.as_str() {
        HEALTH_PATH => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            shared.state.lock().unwrap().reports.push(serde_json::from_slice(&body).unwrap());
            Ok(status(204))
        }
        STOW_PATH => {
            {
                let mut state = shared.state.lock().unwrap();
                state.now += 1;
                state.peak = state.peak.max(state.now);
            }
            let answer = store(request, &shared, &kill).await;
            shared.state.lock().unwrap().now -= 1;
            Ok(answer)
        }
        _ => Ok(update(&request, &mut shared.state.lock().unwrap())),
    }
}

fn update(request: &Request<Incoming>, state: &mut State) -> Answer {
    let (path, piece) = (request.uri().path(), state.archive_piece);
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let newest = match path {
        UPDATE_PATH => Some(state.update.as_ref().map(|(json, _)| json)),
        ORDER_PATH => Some(state.order.as_ref()),
        POLICY_PATH => Some(state.policy.as_ref()),
        _ => None,
    };
    if let Some(newest) = newest {
        let Some(json) = newest else { return status(404) };
        let tag = format!("\"{}\"", hex::encode(Sha256::digest(json)));
        if header("if-none-match").as_ref() == Some(&tag) {
            return status(304);
        }
        return Response::builder().header("etag", tag).body(json.clone().into()).unwrap();
    }
    let Some((_, archive)) = &state.update else { return status(404) };
    if !path.starts_with(UPDATE_PATH) {
        return status(404);
    }
    let from = header("range")
        .map_or(0, |range| range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap());
    let answer = Response::builder().status(if from == 0 { 200 } else { 206 });
    let range = format!("bytes {from}-{}/{}", archive.len() - 1, archive.len());
    let body = archive[from..archive.len().min(from + piece)].to_vec();
    state.archive_from.push(from);
    answer.header("content-range", range).body(body.into()).unwrap()
}

async fn enrol(request: Request<Incoming>, shared: &Shared, certified: bool) -> Answer {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let request: EnrolRequest = serde_json::from_slice(&body).unwrap();
    let mut token = shared.token.lock().unwrap();
    let key = CertificateSigningRequestParams::from_pem(&request.csr_pem).unwrap().public_key.subject_public_key_info();
    if request.token.is_empty() {
        if !certified {
            return status(403);
        }
        shared.state.lock().unwrap().renewals += 1;
    } else if token.0 != request.token || token.1.get_or_insert_with(|| key.clone()) != &key {
        return status(403);
    }
    shared.state.lock().unwrap().enrolments += u32::from(!request.token.is_empty());
    let (certificate_pem, not_after_ms) = shared.authority.sign(&request.csr_pem, *shared.valid.lock().unwrap());
    let response = EnrolResponse {
        version: WIRE_VERSION,
        certificate_pem,
        not_after_ms,
        box_name: "box-1".into(),
        hub_time_ms: 0,
    };
    Response::new(serde_json::to_vec(&response).unwrap().into())
}

/// Blocks until the connection is gone.
async fn reset(kill: &Notify) -> Answer {
    kill.notify_one();
    std::future::pending().await
}

async fn store(request: Request<Incoming>, shared: &Shared, kill: &Notify) -> Answer {
    let content_type = request.headers()["content-type"].to_str().unwrap().to_owned();
    let boundary = content_type.strip_prefix("multipart/related; type=\"application/dicom\"; boundary=").unwrap();
    let boundary = boundary.to_owned();
    let stated_length: u64 = request.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = request.into_body();
    let mut whole = Stream::default();
    while whole.manifest.is_none() {
        let Some(Ok(frame)) = body.frame().await else { return status(400) };
        whole.feed(&frame.into_data().unwrap(), &boundary);
    }
    let manifest = whole.manifest.clone().unwrap();
    let object = manifest.object.to_string();
    let fault = {
        let mut state = shared.state.lock().unwrap();
        state.asked.push(object.clone());
        state.asked_at.push(Instant::now());
        state.poison.get(&object).cloned().or_else(|| state.faults.pop_front())
    };
    let mut pause = 0;
    match &fault {
        Some(Fault::Status(code, headers)) => {
            let mut answer = status(*code);
            for (name, value) in headers {
                answer.headers_mut().insert(*name, value.parse().unwrap());
            }
            return answer;
        }
        Some(Fault::ResetMidBody) => {
            let _ = body.frame().await;
            return reset(kill).await;
        }
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Slow(ms)) => pause = *ms,
        Some(Fault::Hold) => {
            while shared.state.lock().unwrap().poison.contains_key(&object) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        _ => {}
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return status(400) };
        whole.feed(&frame.into_data().unwrap(), &boundary);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(whole.total, stated_length);
    let (digest, size) = whole.finish(&boundary);
    let delay = shared.state.lock().unwrap().delay_ms;
    tokio::time::sleep(Duration::from_millis(delay / 2)).await;
    if digest != manifest.sha256 || size != manifest.size || manifest.check().is_err() {
        return status(400);
    }
    let duplicate = {
        let mut state = shared.state.lock().unwrap();
        let (known, times) = state.stored.entry(object).or_insert((digest.clone(), 0));
        assert_eq!(*known, digest);
        *times += 1;
        *times > 1
    };
    let mut receipt = Receipt {
        version: WIRE_VERSION,
        object: manifest.object.clone(),
        sha256: digest,
        size,
        commit: 1,
        committed_ms: 1,
        duplicate,
        isolated: None,
    };
    // A box that is killed in this time has its object stored without knowing.
    tokio::time::sleep(Duration::from_millis(delay / 2)).await;
    match fault {
        Some(Fault::LoseReceipt) => return reset(kill).await,
        Some(Fault::NoReceipt) => return status(200),
        Some(Fault::WrongDigest) => receipt.sha256 = Sha256Hex::parse(&"00".repeat(32)).unwrap(),
        Some(Fault::Isolate) => receipt.isolated = Some(HoldReason::LeakFound),
        _ => {}
    }
    let receipt = serde_json::to_string(&receipt).unwrap();
    Response::builder()
        .header(RECEIPT_HEADER, receipt)
        .header("content-type", "application/dicom+json")
        .body(Full::from("{}"))
        .unwrap()
}

/// The multipart body as it streams by: digest of the part's bytes, nothing kept but the ends.
#[derive(Default)]
struct Stream {
    head: BytesMut,
    manifest: Option<Manifest>,
    hash: Sha256,
    hashed: u64,
    /// The last bytes seen, which may be the closing delimiter.
    held: BytesMut,
    total: u64,
}

impl Stream {
    fn feed(&mut self, bytes: &[u8], boundary: &str) {
        self.total += bytes.len() as u64;
        if self.manifest.is_none() {
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else { return };
            let head = std::str::from_utf8(&self.head[..end]).unwrap();
            let mut lines = head.split("\r\n");
            assert_eq!(lines.next().unwrap(), format!("--{boundary}"));
            let stated = lines.find_map(|line| line.strip_prefix(&format!("{MANIFEST_HEADER}: "))).unwrap();
            self.manifest = Some(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(stated).unwrap()).unwrap());
            self.held = self.head.split_off(end + 4);
        } else {
            self.held.extend_from_slice(bytes);
        }
        let tail = format!("\r\n--{boundary}--\r\n").len();
        if self.held.len() > tail {
            let sure = self.held.split_to(self.held.len() - tail);
            self.hash.update(&sure);
            self.hashed += sure.len() as u64;
        }
    }

    fn finish(self, boundary: &str) -> (Sha256Hex, u64) {
        assert_eq!(self.held, format!("\r\n--{boundary}--\r\n").as_bytes());
        (Sha256Hex::parse(&hex::encode(self.hash.finalize())).unwrap(), self.hashed)
    }
}
