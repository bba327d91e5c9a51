//! The way to the hub: interception, old TLS, captive portals, proxies, a middlebox that strips ALPN.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gift_status::{EnrolmentState, HubLink, UploadFailure};
use hyper::Version;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use super::{
    authority::Authority,
    hub::{Fault, NAME, TestHub, TlsSetup},
    rig::Rig,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_root_is_called_interception_and_nothing_is_sent() {
    let mut hub = TestHub::sound().await;
    hub.roots_pem = Authority::new("hub root").pem();
    let mut rig = Rig::new(&hub, "");
    rig.post(100);
    rig.start();
    rig.until("the link", |rig| rig.status().hub == HubLink::Intercepted).await;
    rig.until("some attempts", |rig| rig.status().failures_total.get(&UploadFailure::Tls) >= Some(&3)).await;
    assert!(hub.state().paths.is_empty(), "no request, no token may have left");
    assert_eq!(rig.names("uplink/queue").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn interception_after_enrolment_sends_nothing_and_ends_by_itself() {
    let mut hub = TestHub::sound().await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
    hub.down().await;
    let mut other = TestHub::sound().await;
    other.down().await;
    other.address = hub.address;
    other.up().await;
    rig.post(100);
    rig.until("the link", |rig| rig.status().hub == HubLink::Intercepted).await;
    assert!(other.state().paths.is_empty());
    other.down().await;
    hub.up().await;
    rig.until_drained(&hub, 1).await;
    rig.until("the link", |rig| rig.status().hub == HubLink::Connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_only_speaks_tls_1_2_is_refused() {
    let hub = TestHub::new(TlsSetup { old: true, ..TlsSetup::sound() }, time::Duration::days(1)).await;
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("some attempts", |rig| rig.status().failures_total.get(&UploadFailure::Tls) >= Some(&2)).await;
    assert!(hub.state().paths.is_empty());
    assert_eq!(rig.status().enrolment, EnrolmentState::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let hub = TestHub::sound().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{NAME}:{}/box/v1/studies", elsewhere.local_addr().unwrap().port());
    let mut rig = Rig::new(&hub, "");
    hub.fault(Fault::Status(302, vec![("location", target.clone())]));
    hub.fault(Fault::Status(307, vec![("location", target)]));
    rig.post(100);
    rig.start();
    rig.until_drained(&hub, 1).await;
    assert_eq!(hub.state().asked.len(), 3);
    assert!(tokio::time::timeout(Duration::from_millis(100), elsewhere.accept()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_alpn_http_1_1_serves() {
    let hub = TestHub::new(TlsSetup { alpn: Vec::new(), ..TlsSetup::sound() }, time::Duration::days(30)).await;
    let mut rig = Rig::new(&hub, "");
    (0..10).for_each(|_| drop(rig.post(200_000)));
    rig.start();
    rig.until_drained(&hub, 10).await;
    assert!(hub.state().versions.iter().all(|version| *version == Version::HTTP_11));
}

/// A proxy that knows CONNECT only; answers 407 while `closed`. Notes what was asked.
async fn proxy(hub: SocketAddr, closed: Arc<Mutex<bool>>, asked: Arc<Mutex<Vec<String>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (closed, asked) = (closed.clone(), asked.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut first = String::new();
                stream.read_line(&mut first).await.unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap() > 2 {
                    line.clear();
                }
                asked.lock().await.push(first.trim().to_owned());
                if *closed.lock().await {
                    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                    let _ = stream.read(&mut [0]).await;
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut hub = TcpStream::connect(hub).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut hub).await;
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_proxy_is_used_and_its_refusal_is_waited_out() {
    let hub = TestHub::sound().await;
    let (closed, asked) = (Arc::new(Mutex::new(true)), Arc::default());
    let port = proxy(hub.address, closed.clone(), Arc::clone(&asked)).await;
    let mut rig = Rig::with_lines(&hub, &format!("proxy = \"127.0.0.1:{port}\""));
    rig.post(300_000);
    rig.start();
    rig.until("attempts", |rig| rig.status().failures_total.get(&UploadFailure::Unreachable) >= Some(&2)).await;
    assert!(hub.state().paths.is_empty());
    *closed.lock().await = false;
    rig.until_drained(&hub, 1).await;
    let connect = format!("CONNECT {NAME}:{} HTTP/1.1", hub.address.port());
    assert!(asked.lock().await.iter().all(|line| *line == connect));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captive_portal_in_plain_http_is_no_hub() {
    let mut hub = TestHub::sound().await;
    hub.down().await;
    let portal = TcpListener::bind(hub.address).await.unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = portal.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n").await;
        }
    });
    let mut rig = Rig::new(&hub, "");
    rig.start();
    rig.until("attempts", |rig| rig.status().failures_total.get(&UploadFailure::Tls) >= Some(&2)).await;
    assert_eq!(rig.status().hub, HubLink::Unreachable);
    serving.abort();
    let _ = serving.await;
    hub.up().await;
    rig.until("enrolment", |rig| rig.status().enrolment == EnrolmentState::Enrolled).await;
}
