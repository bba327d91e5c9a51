//! A box side for tests: the directories, a writer of the outbox, and the real binary.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gift_service::read_status;
use gift_spool::Depositor;
use gift_status::{Process, StatusRecord, UplinkStatus};
use gift_wire::{Certificate, Manifest, ObjectId, ReleaseItem, Sha256Hex, WIRE_VERSION};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sha2::{Digest as _, Sha256};

use super::hub::{NAME, TOKEN, TestHub};

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Rig {
    home: tempfile::TempDir,
    depositor: Depositor,
    child: Option<Child>,
    posted: u32,
}

impl Rig {
    /// A box for `hub`; `extra` is added to its settings (top level first, then tables).
    pub(crate) fn new(hub: &TestHub, extra: &str) -> Self {
        Self::with_lines(hub, &format!("hub-address = \"{}\"\n{extra}", hub.address.ip()))
    }

    pub(crate) fn with_lines(hub: &TestHub, extra: &str) -> Self {
        Self::at_port(hub, hub.address.port(), extra)
    }

    /// A box that finds `hub` at `port`.
    pub(crate) fn at_port(hub: &TestHub, port: u16, extra: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for room in ["staging", "outbox", "status"] {
            fs::create_dir(home.path().join(room)).unwrap();
        }
        let path = |name: &str| home.path().join(name).display().to_string();
        fs::write(home.path().join("token"), format!("{TOKEN}\n")).unwrap();
        fs::write(home.path().join("roots.pem"), &hub.roots_pem).unwrap();
        let mut text = String::new();
        for (setting, room) in [
            ("house", "uplink"),
            ("outbox", "outbox"),
            ("status-dir", "status"),
            ("hub-roots", "roots.pem"),
            ("enrolment-token-file", "token"),
        ] {
            writeln!(text, "{setting} = {:?}", path(room)).unwrap();
        }
        let uid = nix::unistd::getuid();
        writeln!(text, "writers = [{uid}]\nhub-url = \"https://{NAME}:{port}\"\n{extra}").unwrap();
        if !extra.contains("[retry]") {
            writeln!(text, "[retry]\nfirst-ms = 20\nlongest-ms = 400").unwrap();
        }
        fs::write(home.path().join("uplink.toml"), text).unwrap();
        let depositor = Depositor::open(&home.path().join("staging"), &home.path().join("outbox")).unwrap();
        Self { home, depositor, child: None, posted: 0 }
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none());
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_gift-uplink"))
            .arg("--config")
            .arg(self.path("uplink.toml"))
            // Proxies of the environment must not be used.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("https_proxy", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env("GIFT_LOG", "debug")
            .env_remove("JOURNAL_STREAM")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; returns how long it took.
    pub(crate) fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let start = Instant::now();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        start.elapsed()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> UplinkStatus {
        self.record().map(|record| record.body).unwrap_or_default()
    }

    pub(crate) fn record(&self) -> Option<StatusRecord<UplinkStatus>> {
        read_status(Process::Uplink, &self.path("status")).ok()
    }

    pub(crate) fn names(&self, room: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(room)).map(|list| list.flatten().collect()).unwrap_or_else(|_| Vec::new());
        entries.iter().map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Posts an object of `size` bytes; returns its id.
    pub(crate) fn post(&mut self, size: u64) -> String {
        self.posted += 1;
        let seed = self.posted;
        let chunk = |at: u64| -> Vec<u8> {
            let n = 65_536.min(size - at);
            (0..n).map(|i| ((at + i).wrapping_mul(2_654_435_761) >> 11) as u8 ^ seed as u8).collect()
        };
        let mut hash = Sha256::new();
        let chunks = || (0..size).step_by(65_536).map(chunk);
        chunks().for_each(|bytes| hash.update(&bytes));
        let manifest = manifest(seed, &hex::encode(hash.finalize()), size);
        let meta = serde_json::to_vec(&ReleaseItem::Object(Box::new(manifest.clone()))).unwrap();
        let mut staged = self.depositor.stage(&meta).unwrap();
        chunks().for_each(|bytes| staged.write_all(&bytes).unwrap());
        let committed = self.depositor.commit(staged).unwrap();
        self.depositor.post(committed).unwrap();
        manifest.object.to_string()
    }

    /// Posts an item as it is.
    pub(crate) fn post_raw(&self, meta: &[u8], body: &[u8]) {
        self.depositor.deposit(meta, body).unwrap();
    }

    /// Waits until `done` holds.
    pub(crate) async fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(!self.has_ended(), "the process ended while waiting for {what}: {}", self.log());
            assert!(start.elapsed() < PATIENCE, "{what}: {:?}\n{}", self.status(), self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until every object is on the hub and none on the box.
    pub(crate) async fn until_drained(&mut self, hub: &TestHub, objects: usize) {
        self.until("all objects on the hub", |rig| {
            hub.state().stored.len() == objects
                && rig.names("outbox").is_empty()
                && rig.names("uplink/queue").is_empty()
        })
        .await;
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn manifest(seed: u32, sha256: &str, size: u64) -> Manifest {
    Manifest {
        version: WIRE_VERSION,
        object: ObjectId::parse(&format!("{seed:032x}")).unwrap(),
        sha256: Sha256Hex::parse(sha256).unwrap(),
        size,
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
        sop_instance_uid: format!("2.25.{seed}"),
        study_instance_uid: "2.25.2".into(),
        series_instance_uid: "2.25.3".into(),
        transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
        subject: "2c".repeat(16),
        project: "fetal-surgery".into(),
        certificate: Certificate {
            input_digest: Sha256Hex::parse(&"3d".repeat(32)).unwrap(),
            profile: "gift-default-1".into(),
            key_version: 1,
            linkage: None,
            actions: [0; 6],
            template: None,
            frames_proven: 0,
            leak_patterns: 3,
            made_ms: 1,
        },
    }
}
