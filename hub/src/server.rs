//! Accepting connections: sockets from systemd or bound here, limits before and during TLS, HTTP/1.1 and HTTP/2 with bounded
//! streams and header lists, graceful end.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rustls_pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::{
    error::{Doing as _, HubError},
    events,
    web::allowlist::AllowList,
};

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest wait for a request's headers on HTTP/1.1.
const HEADERS: Duration = Duration::from_secs(15);
/// HTTP/2 liveness probe.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Connections of one address at a time (IPv6: one /64).
const PER_ADDRESS: usize = 128;
/// HTTP/2 streams of one connection at a time.
const STREAMS: u32 = 64;
/// HTTP/2 header list, bytes; a manifest rides in a part header, not here.
const HEADER_LIST_BYTES: u32 = 16 << 10;
/// HTTP/2 flow-control windows, bytes: uploads are large and the hub reads them to disk at once.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// How long open requests may go on once the hub is asked to end.
const DRAIN: Duration = Duration::from_secs(20);

/// Who is at the other end; in every request's extensions.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address, IPv4-mapped IPv6 turned into IPv4.
    pub address: IpAddr,
    /// The port that the peer connected to, as this machine sees it.
    pub local_port: u16,
    /// The client certificate that TLS verified, if one was shown.
    pub certificate: Option<CertificateDer<'static>>,
    /// Cuts the connection when it is told that the peer takes nothing of a body: neither HTTP/1.1 nor a living HTTP/2 connection ends
    /// by itself then.
    pub stalled: Arc<Notify>,
}

/// One listener.
pub struct Listener {
    /// `box` or `web`.
    pub name: &'static str,
    /// The socket.
    pub socket: TcpListener,
    /// TLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who may connect at all; everyone when absent.
    pub allow: Option<AllowList>,
    /// Connections at a time.
    pub max_connections: usize,
    /// What answers.
    pub router: Router,
}

/// The socket that systemd passes under `name`, else one bound to `address`.
///
/// # Errors
/// The system's.
pub fn listen(name: &str, address: SocketAddr) -> Result<TcpListener, HubError> {
    let refused = |error: systemd::Error| HubError::Setup(format!("sockets from systemd: {error}"));
    let passed = systemd::daemon::listen_fds_with_names().map_err(refused)?;
    let fd = passed.iter_named(name).map_err(refused)?.next();
    let socket = match fd {
        Some(fd) => systemd::daemon::tcp_listener(fd).map_err(refused)?,
        None => std::net::TcpListener::bind(address)
            .map_err(|error| HubError::Setup(format!("cannot listen on {address}: {error}")))?,
    };
    socket.set_nonblocking(true).doing("socket")?;
    TcpListener::from_std(socket).doing("socket")
}

/// Serves until `stop` turns true, then lets open requests end.
pub async fn serve(listener: Listener, mut stop: watch::Receiver<bool>) {
    let Listener { name, socket, tls, allow, max_connections, router } = listener;
    let acceptor = TlsAcceptor::from(tls);
    let permits = Arc::new(Semaphore::new(max_connections));
    let addresses = Arc::new(PerAddress::default());
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                events::accept_failed(name, &error);
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        if allow.as_ref().is_some_and(|allow| !allow.contains(address)) {
            events::not_allowed(address);
            continue;
        }
        // Beyond the limits a connection is closed at once: the peer comes back, memory stays bounded.
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        let Some(place) = PerAddress::enter(&addresses, address) else { continue };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _held = (permit, place);
            connection(name, acceptor, stream, address, router, watcher).await;
        });
    }
    drop(socket);
    let _ = timeout(DRAIN, graceful.shutdown()).await;
}

async fn connection(
    name: &'static str,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    address: IpAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let local_port = stream.local_addr().map_or(443, |local| local.port());
    let tls = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return events::handshake_failed(name, address, &error),
        Err(elapsed) => return events::handshake_failed(name, address, &elapsed),
    };
    let certificate =
        tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|der| der.clone().into_owned());
    let stalled = Arc::new(Notify::new());
    let peer = Peer { address, local_port, certificate, stalled: Arc::clone(&stalled) };
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(STREAMS as usize)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let serving = builder.serve_connection(TokioIo::new(tls), service).into_owned();
    tokio::select! {
        // What breaks a connection is the peer's affair; its requests were answered one by one.
        _ = watcher.watch(serving) => {}
        () = stalled.notified() => {}
    }
}

/// Counts connections per address.
#[derive(Default)]
struct PerAddress {
    open: Mutex<HashMap<IpAddr, usize>>,
}

struct Place {
    of: Arc<PerAddress>,
    key: IpAddr,
}

impl PerAddress {
    fn enter(of: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let key = crate::web::throttle::network(address, 32);
        let mut open = of.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_default();
        if *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { of: Arc::clone(of), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}
