//! A real `gift-hub` on loopback, and real clients for it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses a part")]

#[path = "../../src/object/samples.rs"]
pub mod samples;

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gift_wire::{EnrolRequest, EnrolResponse, Manifest, Receipt, WIRE_VERSION};
use reqwest::{Client, Response, StatusCode};
use rustls::{ClientConfig, RootCertStore, client::ResolvesClientCert, crypto::ring, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};

pub const PASSWORD: &str = "long enough to be taken";

/// What a test may change in the settings.
#[derive(Clone)]
pub struct Setup {
    pub allow: &'static str,
    /// Lines of `[ingest]`.
    pub ingest: &'static str,
    pub more: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self { allow: "\"127.0.0.0/8\", \"::1/128\"", ingest: "", more: String::new() }
    }
}

/// A hub in a directory of its own; killed when dropped.
pub struct Hub {
    pub directory: tempfile::TempDir,
    pub boxes: String,
    pub web: String,
    child: Option<Child>,
}

impl Hub {
    pub fn start(setup: &Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "data-directory = \"{}/data\"\n\
             [box-listener]\naddress = \"127.0.0.1:0\"\nnames = [\"localhost\"]\n\
             [web-listener]\naddress = \"127.0.0.1:0\"\nnames = [\"localhost\"]\nallow = [{}]\n\
             [ingest]\ndisk-reserve-mib = 64\n{}\n\
             [passwords]\nmemory-kib = 19456\niterations = 2\n\
             [[profile]]\nname = \"gift-default-1\"\n\
             options = [\"clean-descriptors\", \"retain-longitudinal-modified-dates\", \"retain-patient-characteristics\"]\n\
             [[project]]\nname = \"fetal-surgery\"\nsubject-prefix = \"FETAL\"\n{}",
            directory.path().display(),
            setup.allow,
            setup.ingest,
            setup.more
        );
        std::fs::write(directory.path().join("hub.toml"), text).unwrap();
        let mut hub = Self { directory, boxes: String::new(), web: String::new(), child: None };
        hub.run();
        hub
    }

    /// Starts the process (again) and waits until it serves.
    pub fn run(&mut self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gift-hub"))
            .args(["--config", "hub.toml"])
            .current_dir(self.directory.path())
            .env_remove("JOURNAL_STREAM")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the hub ended: {seen}");
            let word = |name: &str| {
                let rest = line.split(&format!("{name}=")).nth(1)?;
                rest.split_whitespace().next()?.rsplit(':').next().map(str::to_owned)
            };
            if let (true, Some(boxes), Some(web)) = (line.contains("serving"), word("boxes"), word("web")) {
                (self.boxes, self.web) = (format!("https://localhost:{boxes}"), format!("https://localhost:{web}"));
                break;
            }
            seen.push_str(&line);
        }
        let path = self.directory.path().join("log");
        std::thread::spawn(move || {
            let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
            let _ = std::io::copy(&mut log, &mut file);
        });
        self.child = Some(child);
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; the exit status.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        child.wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn data(&self, path: &str) -> PathBuf {
        self.directory.path().join("data").join(path)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// An administration command: success and standard output.
    pub fn admin(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gift-hub"))
            .args(["--config", "hub.toml"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env("RUST_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A command that refuses its arguments ends without reading: what it says counts, not that its pipe broke.
        let written = child.stdin.take().unwrap().write_all(input.as_bytes());
        assert!(!written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe));
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    pub fn add_user(&self, name: &str, role: &str) {
        assert!(self.admin(&["add-user", name, "--role", role], &format!("{PASSWORD}\n")).0);
    }

    pub fn token(&self, name: &str) -> String {
        let (ok, token) = self.admin(&["add-box", name], "");
        assert!(ok);
        token.trim().to_owned()
    }

    /// A client without a device certificate; redirects are not followed.
    pub fn client(&self) -> Client {
        client(&self.data("pki/root.pem"), None)
    }

    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open_with_flags(self.data("hub.sqlite"), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
            .unwrap()
    }

    pub fn count(&self, table: &str) -> u64 {
        self.database().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// Enrols a box and gives its client.
    pub async fn enrol(&self, name: &str) -> Device {
        self.enrol_with(name, &self.token(name)).await
    }

    /// Enrols the box of that token and gives its client.
    pub async fn enrol_with(&self, name: &str, token: &str) -> Device {
        let key = rcgen::KeyPair::generate().unwrap();
        let response = request_enrolment(self, &self.client(), token, &key).await;
        assert_eq!(response.status(), StatusCode::OK);
        let response: EnrolResponse = response.json().await.unwrap();
        assert_eq!(response.box_name, name);
        Device::new(self, &response.certificate_pem, &key)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// A box's side.
pub struct Device {
    pub client: Client,
    pub boxes: String,
}

impl Device {
    pub fn new(hub: &Hub, chain_pem: &str, key: &rcgen::KeyPair) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Self { client: client(&hub.data("pki/root.pem"), Some((chain, key))), boxes: hub.boxes.clone() }
    }

    pub async fn upload(&self, manifest: &Manifest, body: &[u8]) -> reqwest::Result<Response> {
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(manifest).unwrap());
        let mut bytes =
            format!("--b0und\r\nContent-Type: application/dicom\r\ngift-manifest: {header}\r\n\r\n").into_bytes();
        bytes.extend(body);
        bytes.extend(b"\r\n--b0und--\r\n");
        self.client
            .post(format!("{}/box/v1/studies", self.boxes))
            .header("content-type", "multipart/related; type=\"application/dicom\"; boundary=b0und")
            .body(bytes)
            .send()
            .await
    }

    /// Uploads and gives the receipt.
    pub async fn store(&self, manifest: &Manifest, body: &[u8]) -> Receipt {
        let response = self.upload(manifest, body).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        receipt(&response)
    }
}

pub fn receipt(response: &Response) -> Receipt {
    serde_json::from_slice(response.headers()["gift-receipt"].as_bytes()).unwrap()
}

pub async fn request_enrolment(hub: &Hub, client: &Client, token: &str, key: &rcgen::KeyPair) -> Response {
    let csr = rcgen::CertificateParams::default().serialize_request(key).unwrap().pem().unwrap();
    let request = EnrolRequest { version: WIRE_VERSION, token: token.to_owned(), csr_pem: csr };
    client.post(format!("{}/box/v1/enrol", hub.boxes)).json(&request).send().await.unwrap()
}

/// The answer to the login form.
pub async fn log_in(hub: &Hub, client: &Client, name: &str, password: &str) -> Response {
    let form = format!("name={name}&password={}", password.replace(' ', "+"));
    client
        .post(format!("{}/login", hub.web))
        .header("origin", &hub.web)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap()
}

/// The session that it gave.
pub fn cookie(response: &Response) -> String {
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// A page, as the owner of a session.
pub async fn get(hub: &Hub, path: &str, cookie: &str) -> Response {
    hub.client().get(format!("{}{path}", hub.web)).header("cookie", cookie).send().await.unwrap()
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Shows its certificate whatever issuers the server names.
#[derive(Debug)]
struct Present(Arc<CertifiedKey>);

impl ResolvesClientCert for Present {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

pub fn client(root: &Path, identity: Option<Identity>) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut tls = match identity {
        Some((chain, key)) => {
            let certified = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).unwrap());
            builder.with_client_cert_resolver(Arc::new(Present(Arc::new(certified))))
        }
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(600))
        .build()
        .unwrap()
}
