//! A gift-deid of its own in a temporary directory, objects to feed it, and a look at everything it leaves behind.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod object;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use gift_spool::{Collector, Depositor, IntakeRecord};
use gift_status::{DeidStatus, Process, StatusRecord};
use gift_wire::{Manifest, ReleaseItem};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sha2::{Digest as _, Sha256};

/// The called AE title that has a route.
pub const ROUTED: &str = "GIFTBOX";
const PATIENCE: Duration = Duration::from_secs(240);

/// Directories, settings, and the process while it runs.
pub struct House {
    directory: tempfile::TempDir,
    pub depositor: Depositor,
    process: Option<Child>,
    pub extra: String,
    pub routes: String,
    /// Length of the log when it was started last.
    starts: usize,
}

/// An object in the outbox.
#[derive(Debug, Clone)]
pub struct Released {
    pub manifest: Manifest,
    pub file: Vec<u8>,
}

impl House {
    /// A house whose policy is the repository's.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in
            ["intake/staging", "intake/inbox", "release/staging", "release/outbox", "status", "aside", "credentials"]
        {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"), &root.join("policy"));
        let key = root.join("credentials/site-key");
        let made = Command::new(env!("CARGO_BIN_EXE_gift-deid")).arg("make-key").arg(&key).status().unwrap();
        assert!(made.success());
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o400);
        let depositor = Depositor::open(&root.join("intake/staging"), &root.join("intake/inbox")).unwrap();
        let routes =
            format!("[[route]]\ncalled-ae = \"{ROUTED}\"\nproject = \"fetal-surgery\"\nprofile = \"gift-default-1\"\n");
        Self { directory, depositor, process: None, extra: String::new(), routes, starts: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write_settings(&self) -> PathBuf {
        let root = self.directory.path().display();
        let uid = nix::unistd::getuid();
        let text = format!(
            "intake-inbox = \"{root}/intake/inbox\"\nintake-writers = [{uid}]\nhouse = \"{root}/deid\"\n\
             release-staging = \"{root}/release/staging\"\nrelease-outbox = \"{root}/release/outbox\"\n\
             status-directory = \"{root}/status\"\npolicy = \"{root}/policy\"\npolicy-check-seconds = 1\n\
             reserve-bytes = 1048576\n{}\n{}",
            self.extra, self.routes
        );
        let path = self.path("deid.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts the process; its log is added to `log`.
    pub fn start(&mut self) {
        assert!(self.process.is_none());
        self.starts = self.log().len();
        let settings = self.write_settings();
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_gift-deid"))
            .arg("--config")
            .arg(settings)
            .env_clear()
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Waits until the process that was started last serves.
    pub fn wait_until_ready(&mut self) {
        let starts = self.starts;
        self.wait_until("ready", |house| house.log()[starts..].contains("deid started"));
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.as_ref().unwrap().id().cast_signed())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        // A worker that was just being started may outlive it by moments, with its lock, until it has become a program.
        if let Ok(staging) = fs::File::open(self.path("release/staging")) {
            staging.lock().unwrap();
            staging.unlock().unwrap();
        }
    }

    /// SIGTERM; returns how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_for_end()
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.process.take().unwrap().wait().unwrap()
    }

    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Process ids of the workers.
    pub fn workers(&self) -> Vec<Pid> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
            .flat_map(|text| text.split_whitespace().map(|id| Pid::from_raw(id.parse().unwrap())).collect::<Vec<_>>())
            .collect()
    }

    /// Deposits an object as the receiver would.
    pub fn deposit(&self, called: &str, object: &object::Object) {
        self.deposit_id(called, object);
    }

    /// As [`House::deposit`]; returns the item's name.
    pub fn deposit_id(&self, called: &str, object: &object::Object) -> String {
        let record = IntakeRecord {
            version: 1,
            called_ae: called.into(),
            calling_ae: "WARD7SCANNER".into(),
            source: "192.0.2.7".parse().unwrap(),
            scanner: object.scanner,
            sop_class_uid: object.sop_class.into(),
            sop_instance_uid: object.sop_instance.clone(),
            transfer_syntax_uid: object.transfer_syntax.into(),
            received_ms: 1_700_000_000_000,
        };
        let mut staged = self.depositor.stage(&serde_json::to_vec(&record).unwrap()).unwrap();
        staged.write_all(&object.bytes).unwrap();
        self.depositor.post(self.depositor.commit(staged).unwrap()).unwrap().to_string()
    }

    pub fn waiting(&self) -> usize {
        fs::read_dir(self.path("intake/inbox")).unwrap().count()
    }

    pub fn wait_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < PATIENCE, "{what}: not in time\n{}", self.log());
            assert!(self.process.is_none() || self.runs(), "{what}: the process ended\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn status(&self) -> Option<StatusRecord<DeidStatus>> {
        gift_service::read_status(Process::Deid, &self.path("status")).ok()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Held objects by reason, from the ledger's own rows.
    pub fn held(&self) -> BTreeMap<String, u64> {
        let ledger = rusqlite::Connection::open(self.path("deid/ledger.sqlite")).unwrap();
        let mut rows = ledger.prepare("SELECT reason, COUNT(*) FROM held GROUP BY reason").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// Everything in the outbox; it stays there.
    pub fn released(&self) -> Vec<Released> {
        let uid = nix::unistd::getuid().as_raw();
        let collector = Collector::open(&self.path("release/outbox"), &self.path("aside"), &[uid]).unwrap();
        let take = |id: &gift_spool::ItemId| {
            let mut file = Vec::new();
            let taken = collector.take_into(id, &mut file).unwrap();
            let ReleaseItem::Object(manifest) = serde_json::from_slice(&taken.meta).unwrap() else { panic!() };
            manifest.check().unwrap();
            assert_eq!(hex::encode(Sha256::digest(&file)), manifest.sha256.as_str());
            assert_eq!(file.len() as u64, manifest.size);
            Released { manifest: *manifest, file }
        };
        collector.scan().unwrap().iter().map(take).collect()
    }

    /// Asserts that none of `planted` stands in anything outside the intake, as it is or as UTF-16.
    pub fn assert_no_trace(&self, planted: &[&str]) {
        for name in ["deid", "release", "status", "log"] {
            for path in files(&self.path(name)) {
                let bytes = fs::read(&path).unwrap();
                for text in planted {
                    let found = bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
                    assert!(!found, "{text} in {}", path.display());
                }
            }
        }
        assert_eq!(files(&self.path("deid/work")), Vec::<PathBuf>::new());
        assert_eq!(files(&self.path("deid/set-aside")), Vec::<PathBuf>::new());
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Every file below `root` (or `root` itself).
pub fn files(root: &Path) -> Vec<PathBuf> {
    if !root.is_dir() {
        return if root.exists() { vec![root.to_owned()] } else { Vec::new() };
    }
    fs::read_dir(root).unwrap().flat_map(|entry| files(&entry.unwrap().path())).collect()
}

pub fn copy_tree(from: &Path, to: &Path) {
    for path in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
}
