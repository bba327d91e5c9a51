//! A whole system on one machine: hub, receiver, deid, uplink and health, supervised, on loopback.
//!
//! As root every process gets an account and a network namespace of its own, with the same directories, owners and modes
//! as on the box, so the diode is enforced by the kernel. Otherwise everything runs as the caller ([`Isolation::None`]).

pub mod layout;
mod namespace;
mod process;
mod settings;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use layout::Account;
use namespace::Namespace;
pub use nix::sys::signal::Signal;
use process::{Recipe, Supervised};

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// DICOM SCP.
    Receiver,
    /// The de-identifier.
    Deid,
    /// The uploader.
    Uplink,
    /// Verdict, LEDs, report.
    Health,
    /// The hub.
    Hub,
}

impl Role {
    /// All, in the order they are started.
    pub const ALL: [Self; 5] = [Self::Hub, Self::Receiver, Self::Deid, Self::Uplink, Self::Health];
    /// The box's processes.
    pub const BOX: [Self; 4] = [Self::Receiver, Self::Deid, Self::Uplink, Self::Health];

    /// Name, as in the binary's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Deid => "deid",
            Self::Uplink => "uplink",
            Self::Health => "health",
            Self::Hub => "hub",
        }
    }

    const fn account(self) -> Account {
        match self {
            Self::Receiver => layout::RECEIVER,
            Self::Deid => layout::DEID,
            Self::Uplink => layout::UPLINK,
            Self::Health => layout::HEALTH,
            Self::Hub => layout::HUB,
        }
    }
}

/// How far the processes are kept apart.
#[derive(Debug)]
pub enum Isolation {
    /// An account and a network namespace each.
    Full {
        /// The scanner's side: receiver and the simulated scanner.
        scan: Namespace,
        /// The WAN: uplink, and the hub's listening socket.
        wan: Namespace,
        /// No network at all: deid and health.
        void: Namespace,
    },
    /// Everything as the caller, for the reason given.
    None(String),
}

/// What a rig is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its state goes.
    pub root: PathBuf,
    /// Where the binaries are.
    pub binaries: PathBuf,
    /// Port of the hub's web side; 0 takes a free one.
    pub web_port: u16,
    /// Bytes the receiver keeps free.
    pub reserve_bytes: u64,
    /// minisign public key of who may sign policy bundles; without one the box takes none.
    pub policy_key: Option<String>,
    /// Ask for canaries: longest age of the last one, and how long the first may take, seconds.
    pub canary: Option<[u64; 2]>,
    /// Use accounts and namespaces when root.
    pub isolate: bool,
    /// Set from outside to end every wait early.
    pub interrupted: Arc<AtomicBool>,
}

impl Options {
    /// Options with the binaries that `GIFT_BIN_DIR` names.
    ///
    /// # Errors
    /// The variable is not set.
    pub fn new(root: &Path) -> Result<Self> {
        let binaries = std::env::var_os("GIFT_BIN_DIR").context("GIFT_BIN_DIR is not set; run `cargo xtask test`")?;
        Ok(Self {
            root: root.to_owned(),
            binaries: binaries.into(),
            web_port: 0,
            reserve_bytes: 64 << 20,
            policy_key: None,
            canary: None,
            isolate: true,
            interrupted: Arc::default(),
        })
    }
}

/// The running system.
#[derive(Debug)]
pub struct Rig {
    /// Its state.
    pub root: PathBuf,
    /// The called AE title the receiver answers to.
    pub called_ae: &'static str,
    /// Port of the receiver, on the scanner side's loopback.
    pub dicom_port: u16,
    /// The hub's web address.
    pub web: SocketAddr,
    /// The researcher's name and password.
    pub login: (String, String),
    /// How far processes are kept apart.
    pub isolation: Isolation,
    dicom_socket: TcpListener,
    web_socket: TcpListener,
    box_socket: TcpListener,
    interrupted: Arc<AtomicBool>,
    running: BTreeMap<Role, Supervised>,
}

impl Rig {
    /// Lays the directories out, writes settings, starts the hub, enrols a box, starts its processes.
    ///
    /// # Errors
    /// Whatever kept it from standing.
    pub fn start(options: &Options) -> Result<Self> {
        let root = options.root.clone();
        fs::create_dir_all(&root)?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        let isolation = isolation(options.isolate);
        let full = matches!(isolation, Isolation::Full { .. });
        layout::make(&root, full)?;
        for role in Role::ALL {
            layout::install(&root, &options.binaries.join(format!("gift-{}", role.name())))?;
        }
        if options.canary.is_some() {
            layout::install(&root, &options.binaries.join("gift-canary"))?;
        }
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let web_socket = TcpListener::bind(loopback(options.web_port)).context("the hub's web port")?;
        let (dicom_socket, box_socket) = match &isolation {
            Isolation::Full { scan, wan, .. } => (scan.listen(loopback(0))?, wan.listen(loopback(0))?),
            Isolation::None(_) => (TcpListener::bind(loopback(0))?, TcpListener::bind(loopback(0))?),
        };
        let mut rig = Self {
            called_ae: settings::CALLED_AE,
            dicom_port: dicom_socket.local_addr()?.port(),
            web: web_socket.local_addr()?,
            login: ("researcher".to_owned(), settings::password()?),
            root,
            isolation,
            dicom_socket,
            web_socket,
            box_socket,
            interrupted: Arc::clone(&options.interrupted),
            running: BTreeMap::new(),
        };
        settings::write(&rig, options)?;
        rig.enrol()?;
        for role in Role::ALL {
            rig.start_role(role)?;
        }
        Ok(rig)
    }

    /// Initialises the hub, makes the researcher's login and a token for the box, and the box's site key.
    fn enrol(&self) -> Result<()> {
        let config = self.settings(Role::Hub);
        let config = config.to_str().context("path is not UTF-8")?;
        let (name, password) = &self.login;
        self.admin(Role::Hub, &["--config", config, "init"], "")?;
        self.admin(Role::Hub, &["--config", config, "add-user", name, "--role", "admin"], password)?;
        let token = self.admin(Role::Hub, &["--config", config, "add-box", "demo-box"], "")?;
        settings::write_enrolment(self, token.trim())
    }

    /// Puts a signed policy bundle up at the hub.
    ///
    /// # Errors
    /// The hub does not take it.
    pub fn add_policy(&self, bundle: &[u8]) -> Result<()> {
        let path = self.root.join("settings/bundle.json");
        fs::write(&path, bundle)?;
        let (config, path) = (self.settings(Role::Hub), path.display().to_string());
        let config = config.to_str().context("path is not UTF-8")?;
        self.admin(Role::Hub, &["--config", config, "add-policy", &path], "").map(drop)
    }

    /// Runs a role's binary once, as its account, with `input`; returns its standard output.
    fn admin(&self, role: Role, arguments: &[&str], input: &str) -> Result<String> {
        use std::io::Write as _;
        let mut words = self.prefix(role);
        words.push(self.binary(role).display().to_string());
        words.extend(arguments.iter().map(|&a| a.to_owned()));
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", words.join(" ")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that needs no input may have ended.
            match writeln!(stdin, "{input}") {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
                _ => {}
            }
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("gift-{} {}: {}", role.name(), arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The commands in front of a role's binary that put it into its namespace and account.
    fn prefix(&self, role: Role) -> Vec<String> {
        let Isolation::Full { scan, wan, void } = &self.isolation else { return Vec::new() };
        let namespace = match role {
            Role::Receiver => Some(scan),
            Role::Uplink => Some(wan),
            Role::Deid | Role::Health => Some(void),
            Role::Hub => None,
        };
        let mut words = Vec::new();
        if let Some(namespace) = namespace {
            words.extend(["nsenter".to_owned(), format!("--net={}", namespace.path().display())]);
        }
        words.extend(as_account(role.account()));
        words
    }

    fn binary(&self, role: Role) -> PathBuf {
        self.root.join("bin").join(format!("gift-{}", role.name()))
    }

    /// The settings file of a role.
    pub fn settings(&self, role: Role) -> PathBuf {
        self.root.join("settings").join(format!("{}.toml", role.name()))
    }

    /// The hub's root certificates, PEM.
    pub fn hub_roots(&self) -> PathBuf {
        self.root.join("credentials/hub-roots.pem")
    }

    /// The site key deid holds: what the test's oracle computes pseudonyms with.
    pub fn site_key(&self) -> PathBuf {
        self.root.join("credentials/deid/site-key")
    }

    /// The log of a role.
    pub fn log(&self, role: Role) -> PathBuf {
        self.root.join("log").join(format!("{}.log", role.name()))
    }

    /// Starts a role that does not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_role(&mut self, role: Role) -> Result<()> {
        let mut arguments = self.prefix(role);
        arguments.push(self.binary(role).display().to_string());
        arguments.extend(["--config".to_owned(), self.settings(role).display().to_string()]);
        let sockets = match role {
            Role::Receiver => vec![("dicom".to_owned(), self.dicom_socket.try_clone()?)],
            Role::Hub => {
                vec![("box".to_owned(), self.box_socket.try_clone()?), ("web".to_owned(), self.web_socket.try_clone()?)]
            }
            _ => Vec::new(),
        };
        let mut environment = vec![
            ("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("GIFT_LOG".to_owned(), std::env::var("GIFT_LOG").unwrap_or_else(|_| "info".to_owned())),
        ];
        if role == Role::Deid {
            environment
                .push(("CREDENTIALS_DIRECTORY".to_owned(), self.root.join("credentials/deid").display().to_string()));
        }
        let recipe = Recipe { arguments, environment, sockets, log: self.log(role) };
        self.running.insert(role, Supervised::start(recipe)?);
        Ok(())
    }

    /// Ends a role on request.
    pub fn stop_role(&mut self, role: Role) -> Option<std::process::ExitStatus> {
        self.running.remove(&role).and_then(|mut process| process.stop(Duration::from_secs(20)))
    }

    /// Sends a signal to a role's process; false when it does not run.
    pub fn signal(&self, role: Role, signal: Signal) -> bool {
        self.running.get(&role).is_some_and(|process| process.signal(signal))
    }

    /// Process id of a role, while it runs.
    pub fn pid(&self, role: Role) -> Option<i32> {
        self.running.get(&role).and_then(Supervised::pid)
    }

    /// How often a role was started.
    pub fn starts(&self, role: Role) -> u64 {
        self.running.get(&role).map_or(0, Supervised::starts)
    }

    /// A command on the scanner's side.
    pub fn scanner(&self, program: &str) -> Command {
        match &self.isolation {
            Isolation::Full { scan, .. } => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", scan.path().display())).arg(program);
                command
            }
            Isolation::None(_) => Command::new(program),
        }
    }

    /// Runs `work` on the scanner's side, in a thread of its own that enters its network namespace.
    ///
    /// # Errors
    /// What `work` returns, or that it panicked.
    pub fn on_scanner_side<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = match &self.isolation {
            Isolation::Full { scan, .. } => Some(scan.path()),
            Isolation::None(_) => None,
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                if let Some(path) = path {
                    namespace::enter(&path)?;
                }
                work()
            });
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked on the scanner's side")))
        })
    }

    /// Sends one canary; true when the receiver took it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn send_canary(&self) -> Result<bool> {
        let program = self.root.join("bin/gift-canary");
        let mut command = self.scanner(program.to_str().context("path is not UTF-8")?);
        let status = command.arg("--config").arg(self.root.join("settings/canary.toml")).status();
        Ok(status.context("cannot start gift-canary")?.success())
    }

    /// The receiver, as an address on the scanner's side.
    pub fn dicom_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.dicom_port))
    }

    /// Peak resident memory of a role's process and its children, bytes (`VmHWM`).
    pub fn peak_memory(&self, role: Role) -> u64 {
        let Some(pid) = self.pid(role) else { return 0 };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = children.split_whitespace().filter_map(|c| c.parse().ok()).chain([pid]);
        all.map(peak_of).max().unwrap_or(0)
    }

    /// A command with a role's account, groups and namespace: what a full compromise of that process could run.
    pub fn as_role(&self, role: Role, program: &str) -> Command {
        let mut words = self.prefix(role);
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// The box's status record of a role, as JSON.
    pub fn status(&self, role: Role) -> Option<serde_json::Value> {
        let path = self.root.join("status").join(role.name()).join("status.json");
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// The hub's listening socket for boxes, as an address inside the WAN namespace.
    pub fn box_address(&self) -> Result<SocketAddr> {
        Ok(self.box_socket.local_addr()?)
    }

    /// Waits until `done` says so.
    ///
    /// # Errors
    /// `what` did not happen within `patience`.
    pub fn wait_until(&self, what: &str, patience: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<Duration> {
        let started = Instant::now();
        while !done(self) {
            if self.interrupted.load(Ordering::Relaxed) {
                bail!("{what}: interrupted");
            }
            if started.elapsed() > patience {
                bail!("{what}: not within {patience:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(started.elapsed())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for role in [Role::Receiver, Role::Deid, Role::Uplink, Role::Health, Role::Hub] {
            self.stop_role(role);
        }
    }
}

fn peak_of(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().map_or(0, |kib| kib * 1024)
}

/// `setpriv` words for an account: its groups and nothing else, no capability, no way to gain one.
fn as_account(account: Account) -> Vec<String> {
    let mut words = vec![
        "setpriv".to_owned(),
        format!("--reuid={}", account.uid),
        format!("--regid={}", account.gid),
        "--no-new-privs".to_owned(),
        "--inh-caps=-all".to_owned(),
        "--bounding-set=-all".to_owned(),
    ];
    if account.groups.is_empty() {
        words.push("--clear-groups".to_owned());
    } else {
        let groups: Vec<String> = account.groups.iter().map(u32::to_string).collect();
        words.push(format!("--groups={}", groups.join(",")));
    }
    words
}

fn isolation(wanted: bool) -> Isolation {
    if !wanted {
        return Isolation::None("not asked for".to_owned());
    }
    if !nix::unistd::geteuid().is_root() {
        return Isolation::None("not root".to_owned());
    }
    let make = || -> Result<Isolation> {
        static RIGS: AtomicU32 = AtomicU32::new(0);
        let number = RIGS.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| format!("gift-{}-{number}-{side}", std::process::id());
        Ok(Isolation::Full {
            scan: Namespace::new(&name("scan"))?,
            wan: Namespace::new(&name("wan"))?,
            void: Namespace::new(&name("void"))?,
        })
    };
    make().unwrap_or_else(|error| Isolation::None(format!("{error:#}")))
}
