//! A TPM (swtpm, the software TPM of libtpms) and a running signer, for tests; those of the uplink use it, too.
#![allow(dead_code, reason = "each test crate uses a part")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gift_signer::{Client, PublicKeyInfo};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there is a software TPM; where peers are required there must be one.
#[allow(clippy::print_stdout, reason = "says that tests are skipped")]
pub(crate) fn has_swtpm() -> bool {
    let there = Command::new("swtpm").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    assert!(there || std::env::var_os("GIFT_PEERS_REQUIRED").is_none(), "no swtpm: apt-get install swtpm tpm2-tools");
    if !there {
        println!("skipped: no swtpm");
    }
    there
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A TPM of its own; its state lives in a directory, as a real one's does in its flash.
pub(crate) struct SwTpm {
    state: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl SwTpm {
    /// From the factory, powered on.
    pub(crate) fn new() -> Self {
        let mut tpm = Self { state: tempfile::tempdir().unwrap(), port: 0, child: None };
        tpm.power_on();
        tpm
    }

    /// As tpm2-tss names it.
    pub(crate) fn name(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    pub(crate) fn power_on(&mut self) {
        assert!(self.child.is_none());
        // The same ports as before, so that who knows it finds it again.
        let mut port = if self.port == 0 { two_ports() } else { self.port };
        until("a TPM that listens", || {
            self.port = port;
            port = two_ports();
            let mut child = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
                .arg(format!("dir={}", self.state.path().display()))
                .arg("--server")
                .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port))
                .arg("--ctrl")
                .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port + 1))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let began = Instant::now();
            loop {
                // Another process may have taken a port meanwhile: then swtpm ends, and is started elsewhere.
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
                // Not the command port: it serves one connection, and that is for who needs it.
                if TcpStream::connect(("127.0.0.1", self.port + 1)).is_ok() {
                    self.child = Some(child);
                    return true;
                }
                assert!(began.elapsed() < PATIENCE);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }

    /// Takes the power away; what is in its transient memory is gone.
    pub(crate) fn power_cut(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Runs a program of tpm2-tools on it; nobody else may be connected. What it printed, and whether it succeeded.
    pub(crate) fn tool(&self, words: &[&str]) -> (bool, String) {
        let done = Command::new(words[0])
            .args(&words[1..])
            .env("TPM2TOOLS_TCTI", self.name())
            .current_dir(self.state.path())
            .output()
            .unwrap();
        // No resource manager here: what a tool left in the TPM would be in the way.
        let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.success(), told)
    }

    /// Takes every object out of the TPM.
    pub(crate) fn flush(&self) {
        let (done, told) = self.tool(&["tpm2_flushcontext", "-t"]);
        assert!(done, "{told}");
    }
}

impl Drop for SwTpm {
    fn drop(&mut self) {
        self.power_cut();
    }
}

fn two_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// A signer: its house, its socket, the real binary.
pub(crate) struct Signer {
    home: tempfile::TempDir,
    program: PathBuf,
    child: Option<Child>,
}

impl Signer {
    pub(crate) fn new(program: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("house")).unwrap();
        // Another user is to get as far as the socket.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { home, program: program.to_owned(), child: None }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("socket")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The program and its arguments, with a log.
    pub(crate) fn command(&self, client: u32, tpm: &str) -> Vec<std::ffi::OsString> {
        let client = client.to_string();
        let words = ["--house".into(), self.path("house").into(), "--client".into(), client.into()];
        let mut command: Vec<std::ffi::OsString> = vec![self.program.clone().into()];
        command.extend(words);
        command.extend(["--tpm".into(), tpm.into()]);
        command
    }

    /// Runs `command`, its words to the log.
    pub(crate) fn run(&mut self, command: &[std::ffi::OsString]) {
        assert!(self.child.is_none());
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .env("TSS2_LOG", "all+none")
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Starts the signer with this TPM, for who runs the test, and waits until it listens.
    pub(crate) fn start(&mut self, tpm: &str) {
        self.start_for(nix::unistd::getuid().as_raw(), tpm);
    }

    /// The same for another user.
    pub(crate) fn start_for(&mut self, client: u32, tpm: &str) {
        let mut command = self.command(client, tpm);
        command.extend(["--socket".into(), self.socket().into()]);
        let starts = |signer: &Self| signer.log().matches("signer started").count();
        let before = starts(self);
        self.run(&command);
        // Its socket is there a moment before it listens.
        until("the signer", || starts(self) > before);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.socket(), PATIENCE)
    }

    /// Sends bytes as they are; what came until the signer closed.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = std::os::unix::net::UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// True when `signature` is the key's, of `text`.
pub(crate) fn verifies(key: &PublicKeyInfo, text: &[u8], signature: &[u8]) -> bool {
    ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, key.point())
        .verify(text, signature)
        .is_ok()
}
