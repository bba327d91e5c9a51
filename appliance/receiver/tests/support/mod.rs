//! A receiver of its own for each test: the real binary, a directory on disk, a free port; and a raw-socket SCU.
#![allow(dead_code, reason = "each test crate uses a part")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what was skipped, and the log of what failed")]

#[path = "../../../dimse/tests/peer/mod.rs"]
pub(crate) mod peer;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use gift_spool::{Collector, IntakeRecord};
use gift_status::{Process, ReceiverStatus, RunState, StatusRecord};

pub(crate) use peer::{CT, EXPLICIT, IMPLICIT, VERIFICATION};

/// Called AE title of every test's receiver.
pub(crate) const CALLED: &str = "GIFTCLOUD";
/// Contexts that a raw SCU proposes.
pub(crate) const CONTEXTS: &[(u8, &str, &[&str])] =
    &[(1, VERIFICATION, &[IMPLICIT]), (3, CT, &[EXPLICIT]), (5, peer::US_MULTI_FRAME, &[EXPLICIT])];
/// Loopback addresses: the sender most tests use, and another.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
pub(crate) const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A running receiver; killed on drop.
pub(crate) struct Receiver {
    directory: tempfile::TempDir,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    child: Child,
}

/// Keys of the settings a test may want to be other than usual.
pub(crate) struct Wanted<'a> {
    pub(crate) reserve_bytes: u64,
    /// More top-level keys.
    pub(crate) top: &'a str,
    /// More tables.
    pub(crate) tables: &'a str,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        // Room for all tests of one address; the caps have tests of their own.
        Self { reserve_bytes: 1, top: "", tables: "[limits]\nper-unknown-address = 32\nrejections-before-ban = 0\n" }
    }
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::start_with(&Wanted::default())
    }

    pub(crate) fn start_with(wanted: &Wanted<'_>) -> Self {
        // On disk, not in a tmpfs: what is measured and synced should be real.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["staging", "inbox", "status", "aside"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let path = |name: &str| directory.path().join(name).display().to_string();
        let settings = format!(
            "listen = \"{HERE}:0\"\nintake-staging = {:?}\nintake-inbox = {:?}\nstatus-directory = {:?}\n\
             reserve-bytes = {}\ncalled-ae-titles = [{CALLED:?}]\n{}\n{}\n",
            path("staging"),
            path("inbox"),
            path("status"),
            wanted.reserve_bytes,
            wanted.top,
            wanted.tables
        );
        fs::write(directory.path().join("receiver.toml"), settings).unwrap();
        let child = spawn(directory.path());
        let mut receiver = Self { directory, address: HERE, port: 0, child };
        receiver.wait_ready();
        receiver
    }

    /// Starts the process again, after it has ended.
    pub(crate) fn restart(&mut self) {
        fs::remove_file(self.path("status/status.json")).ok();
        self.child = spawn(self.directory.path());
        self.wait_ready();
    }

    fn wait_ready(&mut self) {
        until("the receiver serves", Duration::from_secs(20), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the receiver ended: {status}\n{}", self.log());
            }
            self.try_status().is_some_and(|status| status.state == RunState::Ready)
        });
        self.port = self.log_port();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The port that the kernel chose at the latest start.
    fn log_port(&self) -> u16 {
        let log = self.log();
        let (_, rest) = log.rsplit_once("port=").expect("a line that names the port");
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn try_status(&self) -> Option<StatusRecord<ReceiverStatus>> {
        gift_service::read_status(Process::Receiver, &self.path("status")).ok()
    }

    pub(crate) fn status(&self) -> ReceiverStatus {
        self.try_status().unwrap().body
    }

    /// SIGKILL, and no chance to tidy up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.wait_exit()
    }

    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the receiver ends", Duration::from_secs(60), || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Peak resident memory, KiB.
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// What deid would take: records and bodies, after as many as `count` have been posted.
    pub(crate) fn taken(&self, count: usize) -> Vec<(IntakeRecord, Vec<u8>)> {
        let uid = nix::unistd::Uid::effective().as_raw();
        let collector = Collector::open(&self.path("inbox"), &self.path("aside"), &[uid]).unwrap();
        until("the items are posted", Duration::from_secs(10), || collector.scan().unwrap().len() >= count);
        let items = collector.scan().unwrap().into_iter().map(|id| {
            let mut body = tempfile::tempfile_in(self.directory.path()).unwrap();
            let taken = collector.take(&id, &mut body).unwrap();
            let mut bytes = Vec::new();
            std::io::Seek::rewind(&mut body).unwrap();
            body.read_to_end(&mut bytes).unwrap();
            (serde_json::from_slice(&taken.meta).unwrap(), bytes)
        });
        items.collect()
    }

    /// Names in staging.
    pub(crate) fn staged(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("staging")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A connection from this loopback address.
    pub(crate) fn connect_from(&self, from: IpAddr) -> TcpStream {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            socket.connect(SocketAddr::from((self.address, self.port))).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// A raw SCU with an association.
    pub(crate) fn associate(&self) -> Scu {
        self.associate_from(HERE)
    }

    pub(crate) fn associate_from(&self, from: IpAddr) -> Scu {
        let mut scu = Scu { stream: self.connect_from(from) };
        scu.send(&peer::associate(CALLED, "RAW_SCU", CONTEXTS, 16_384));
        let answer = scu.read_pdu().expect("an answer to A-ASSOCIATE-RQ");
        assert_eq!(answer[0], 2, "A-ASSOCIATE-AC expected: {answer:?}\n{}", self.log());
        scu
    }

    /// The answer to an association request of these titles.
    pub(crate) fn answer_to(&self, called: &str, calling: &str) -> Option<Vec<u8>> {
        let mut scu = Scu { stream: self.connect_from(HERE) };
        scu.send(&peer::associate(called, calling, CONTEXTS, 16_384));
        scu.read_pdu()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the receiver's log\n{}", self.log());
        }
    }
}

fn spawn(directory: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gift-receiver"));
    command.arg("--config").arg(directory.join("receiver.toml")).stderr(log);
    command.env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET").env("GIFT_LOG", "debug").spawn().unwrap()
}

/// A requestor by hand.
pub(crate) struct Scu {
    pub(crate) stream: TcpStream,
}

impl Scu {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next PDU; `None` when the connection is closed.
    pub(crate) fn read_pdu(&mut self) -> Option<Vec<u8>> {
        let mut pdu = vec![0; 6];
        self.stream.read_exact(&mut pdu).ok()?;
        let length = u32::from_be_bytes([pdu[2], pdu[3], pdu[4], pdu[5]]) as usize;
        pdu.resize(6 + length, 0);
        self.stream.read_exact(&mut pdu[6..]).ok()?;
        Some(pdu)
    }

    /// (message ID, status) of the next response.
    pub(crate) fn response(&mut self) -> (u16, u16) {
        let pdu = self.read_pdu().expect("a response");
        assert_eq!(pdu[0], 4, "P-DATA-TF expected: {pdu:?}");
        peer::response(&pdu[12..]).unwrap()
    }

    pub(crate) fn store(&mut self, message_id: u16, instance: &str, data: &[u8]) -> u16 {
        self.send(&peer::store(3, message_id, CT, instance, data, 16_000));
        let (id, status) = self.response();
        assert_eq!(id, message_id);
        status
    }

    pub(crate) fn echo(&mut self, message_id: u16) -> u16 {
        self.send(&peer::p_data(1, true, true, &peer::echo_rq(message_id)));
        self.response().1
    }

    pub(crate) fn release(mut self) {
        self.send(&peer::release_rq());
        assert_eq!(self.read_pdu().expect("A-RELEASE-RP")[0], 6);
    }
}

/// Waits for something to become true, for a minute at least: a machine may be slow.
pub(crate) fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let (begun, patience) = (Instant::now(), patience.max(Duration::from_secs(60)));
    while !condition() {
        assert!(begun.elapsed() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether this program can be run; says so when not.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED: {program} is not installed");
    }
    found
}

/// Runs a peer and expects it to succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
    text
}

/// A Part 10 file of a small CT slice: `pixels` uncompressed, or one made-up fragment for an encapsulated transfer syntax.
pub(crate) fn part10(transfer_syntax: &str, class: &str, instance: &str) -> Vec<u8> {
    let mut meta = Vec::new();
    let mut put = |element: u16, vr: &[u8; 2], value: &[u8]| {
        meta.extend([2, 0]);
        meta.extend(element.to_le_bytes());
        meta.extend(vr);
        if vr == b"OB" {
            meta.extend([0, 0]);
            meta.extend((value.len() as u32).to_le_bytes());
        } else {
            meta.extend((value.len() as u16).to_le_bytes());
        }
        meta.extend(value);
    };
    put(1, b"OB", &[0, 1]);
    put(2, b"UI", &peer::padded(class));
    put(3, b"UI", &peer::padded(instance));
    put(0x10, b"UI", &peer::padded(transfer_syntax));
    put(0x12, b"UI", &peer::padded("1.2.3.4"));
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM\x02\0\0\0UL\x04\0");
    bytes.extend((meta.len() as u32).to_le_bytes());
    bytes.extend(meta);

    let big = transfer_syntax == "1.2.840.10008.1.2.2";
    let implicit = transfer_syntax == IMPLICIT;
    let encapsulated = transfer_syntax.starts_with("1.2.840.10008.1.2.4.") || transfer_syntax.ends_with("1.2.5");
    let u16s = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let u32s = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut put = |tag: (u16, u16), vr: &[u8; 2], value: &[u8], undefined: bool| {
        bytes.extend(u16s(tag.0));
        bytes.extend(u16s(tag.1));
        let length = if undefined { u32::MAX } else { value.len() as u32 };
        if implicit {
            bytes.extend(u32s(length));
        } else if matches!(vr, b"OB" | b"OW") {
            bytes.extend(vr);
            bytes.extend([0, 0]);
            bytes.extend(u32s(length));
        } else {
            bytes.extend(vr);
            bytes.extend(u16s(length as u16));
        }
        bytes.extend(value);
    };
    put((8, 0x16), b"UI", &peer::padded(class), false);
    put((8, 0x18), b"UI", &peer::padded(instance), false);
    put((8, 0x60), b"CS", b"CT", false);
    put((0x10, 0x10), b"PN", b"Doe^Jane", false);
    put((0x20, 0x0d), b"UI", &peer::padded("1.2.3.4.5"), false);
    put((0x20, 0x0e), b"UI", &peer::padded("1.2.3.4.5.6"), false);
    put((0x28, 2), b"US", &u16s(1), false);
    put((0x28, 4), b"CS", b"MONOCHROME2 ", false);
    put((0x28, 0x10), b"US", &u16s(64), false);
    put((0x28, 0x11), b"US", &u16s(64), false);
    for (element, value) in [(0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0)] {
        put((0x28, element), b"US", &u16s(value), false);
    }
    if encapsulated {
        let fragments = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\x04\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0";
        put((0x7fe0, 0x10), b"OB", fragments, true);
    } else {
        put((0x7fe0, 0x10), if implicit { b"OW" } else { b"OB" }, &[7; 64 * 64], false);
    }
    bytes
}
