//! Attacks the worker's sandbox and the monitor's distrust for real. This one program is the driver, the monitor and, when
//! executed as `worker`, a compromised worker that does what the object's bytes tell it. Each attack must cost exactly one
//! object: the worker dies or is ended in the expected way, and the next object is judged.
//!
//! Counts as failure: an attack that succeeds, one that ends the driver, a death of another kind than expected.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use gift_deid::{
    ask::{AskLimits, AskRefused, Desk},
    child::{Child, Death, Judgement, Recipe},
    policy::PolicyTexts,
    protocol::{Job, Order, Report},
    sandbox::{self, Bounds},
    work::{At, WorkFiles},
    worker::{self, Prepared},
};
use gift_deidentify::pseudonym::{Answer, Ask, PseudonymError, Pseudonymise};
use gift_status::HoldReason;
use nix::{libc, sys::socket};

const BOUNDS: Bounds = Bounds { memory_bytes: 1 << 30, file_bytes: 1 << 20 };
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => compromised_worker(),
        Some("confined") => confined_monitor(),
        // The test runner asks for a list.
        Some("--list") => return ExitCode::SUCCESS,
        _ => driver(),
    }
    ExitCode::SUCCESS
}

/// What an attack must end in.
enum Expect {
    /// The kernel ends it with this signal.
    Signal(i32),
    /// It ends by itself.
    Exit,
    Death(Death),
    /// It fails harmlessly, and the worker goes on.
    Refused,
}

fn driver() {
    let sigsys = || Expect::Signal(libc::SIGSYS);
    let attacks = [
        ("open", sigsys()),
        ("stat", sigsys()),
        ("unlink", sigsys()),
        ("internet-socket", sigsys()),
        ("unix-socket", sigsys()),
        ("execute", sigsys()),
        ("thread", sigsys()),
        ("parent", sigsys()),
        ("kill", sigsys()),
        ("mount", sigsys()),
        ("chroot", sigsys()),
        ("namespace", sigsys()),
        ("memory", Expect::Signal(libc::SIGABRT)),
        ("stack", Expect::Signal(libc::SIGABRT)),
        ("disk", Expect::Signal(libc::SIGXFSZ)),
        ("panic", Expect::Exit),
        ("input", Expect::Refused),
        ("hang", Expect::Death(Death::Timeout)),
        ("enumerate", Expect::Death(Death::Asked(AskRefused::OtherPatient))),
        ("many-questions", Expect::Death(Death::Asked(AskRefused::TooMuch))),
        // Both sides wait for room; the deadline ends it.
        ("never-read", Expect::Death(Death::Timeout)),
        ("junk", Expect::Death(Death::Lied)),
        ("ready-again", Expect::Death(Death::Lied)),
        ("close", Expect::Exit),
    ];
    let only: Option<String> = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    for (attack, expected) in
        attacks.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str())))
    {
        let started = Instant::now();
        assault(attack, expected);
        println!("test {attack} ... ok ({} ms)", started.elapsed().as_millis());
    }
    killed_from_outside_is_told_apart();
    let status = Command::new("/proc/self/exe").arg("confined").status().unwrap();
    assert!(status.success(), "confined monitor: {status}");
    println!("test confined monitor ... ok");
}

struct Bench {
    _directory: tempfile::TempDir,
    files: WorkFiles,
    policy: File,
    policy_bytes: u64,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = WorkFiles::new(directory.path()).unwrap();
        let text = serde_json::to_vec(&PolicyTexts::default()).unwrap();
        let path = directory.path().join("policy");
        std::fs::write(&path, &text).unwrap();
        Self { _directory: directory, files, policy: File::open(path).unwrap(), policy_bytes: text.len() as u64 }
    }

    fn worker(&self) -> Child {
        let recipe = Recipe { program: "/proc/self/exe".into(), bounds: BOUNDS };
        Child::start(&recipe, &self.files, &self.policy, self.policy_bytes).unwrap()
    }

    fn judge(&self, child: &mut Child, object: &str, limit: Duration) -> Result<Judgement, Death> {
        self.files.clear().unwrap();
        At::start(&self.files.input).write_all(object.as_bytes()).unwrap();
        let job = Job {
            input_bytes: object.len() as u64,
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            profile: "p".into(),
        };
        child.judge(job, &mut Desk::new(&mut Echo, AskLimits::default()), limit, || ())
    }
}

fn assault(attack: &str, expected: &Expect) {
    let bench = Bench::new();
    let mut child = bench.worker();
    let limit = if matches!(expected, Expect::Death(Death::Timeout)) { Duration::from_millis(300) } else { LIMIT };
    let outcome = bench.judge(&mut child, attack, limit);
    let mut kept = String::new();
    At::start(&bench.files.input).read_to_string(&mut kept).unwrap();
    assert_eq!(kept, attack, "what will be held is what was received");
    match (expected, &outcome) {
        (Expect::Signal(signal), Err(Death::Crashed { signal: Some(died) })) if died == signal => {}
        (Expect::Exit, Err(Death::Crashed { signal: None })) => {}
        (Expect::Death(expected), Err(death)) if death == expected => {}
        (Expect::Refused, Ok(Judgement::Hold(HoldReason::NoTemplate, None))) => return,
        _ => panic!("{attack}: {outcome:?}"),
    }
    // It cost one object: the next one is judged by a new worker on the same files.
    drop(child);
    let next = bench.judge(&mut bench.worker(), "peaceful", LIMIT);
    assert!(matches!(next, Ok(Judgement::Hold(HoldReason::NoTemplate, None))), "after {attack}: {next:?}");
}

fn killed_from_outside_is_told_apart() {
    let bench = Bench::new();
    let mut child = bench.worker();
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    });
    assert_eq!(bench.judge(&mut child, "hang", LIMIT).unwrap_err(), Death::Killed);
    killer.join().unwrap();
    println!("test killed from outside ... ok (landlock: {:?})", child.landlock);
}

/// Answers plainly; stands for the key.
struct Echo;

impl Pseudonymise for Echo {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        Ok(asks.iter().map(|_| Answer::DateShift(1)).collect())
    }
}

/// Everything here runs behind the real sandbox, after [`worker::prepare`].
fn compromised_worker() {
    assert_eq!(std::env::vars_os().count(), 0, "a worker has no environment");
    sandbox::close_inherited().unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert_eq!(open, 4, "standard descriptors and this listing, nothing inherited");
    let Prepared { mut channel, input, output, scratch: _scratch, landlock, policy: _ } = worker::prepare().unwrap();
    channel.send(&Report::Ready { landlock }, &[], None).unwrap();
    while let Ok(order) = channel.recv::<Order>(None, || ()) {
        let Order::Judge(job) = order else { return };
        let mut object = vec![0; usize::try_from(job.input_bytes).unwrap()];
        input.read_exact_at(&mut object, 0).unwrap();
        let subject = |id: u32| Ask::Subject { issuer: String::new(), id: id.to_string() };
        match String::from_utf8(object).unwrap().as_str() {
            "open" => drop(File::open("/etc/passwd")),
            "stat" => drop(std::fs::metadata("/etc/passwd")),
            "unlink" => drop(std::fs::remove_file("/nowhere")),
            "internet-socket" => drop(plain_socket(socket::AddressFamily::Inet)),
            "unix-socket" => drop(plain_socket(socket::AddressFamily::Unix)),
            "execute" => drop(Command::new("/bin/true").status()),
            "thread" => drop(std::thread::Builder::new().spawn(|| ())),
            "parent" => drop(nix::unistd::getppid()),
            "kill" => drop(nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None)),
            "mount" => drop(nix::mount::umount("/nowhere")),
            "chroot" => drop(nix::unistd::chroot("/")),
            "namespace" => drop(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)),
            "memory" => drop(std::hint::black_box(vec![1_u8; 4 << 30])),
            "stack" => drop(std::hint::black_box(deep(&[0; 1000]))),
            "disk" => loop {
                (&output).write_all(&[0; 4096]).unwrap();
            },
            "panic" => panic!("Doe^Jane"),
            "input" => {
                assert!(input.write_at(b"x", 0).is_err() && input.set_len(0).is_err());
            }
            "hang" => loop {
                std::hint::spin_loop();
            },
            "enumerate" => (0..1000).for_each(|id| channel.send(&Report::Ask(vec![subject(id)]), &[], None).unwrap()),
            "many-questions" => (0..).for_each(|_| {
                channel.send(&Report::Ask(vec![Ask::Uid("1".into()); 100]), &[], None).unwrap();
                channel.recv::<Order>(None, || ()).unwrap();
            }),
            "never-read" => {
                (0..).for_each(|_| channel.send(&Report::Ask(vec![Ask::Uid("1".into()); 100]), &[], None).unwrap());
            }
            "junk" => channel.send(&"what?", &[], None).unwrap(),
            "ready-again" => channel.send(&Report::Ready { landlock }, &[], None).unwrap(),
            "close" => return,
            "peaceful" => {}
            other => panic!("{other}"),
        }
        let report = Report::Held { reason: HoldReason::NoTemplate, fingerprint: None };
        channel.send(&report, &[], None).unwrap();
    }
}

fn plain_socket(family: socket::AddressFamily) -> nix::Result<std::os::fd::OwnedFd> {
    socket::socket(family, socket::SockType::Stream, socket::SockFlag::empty(), None)
}

#[allow(unconditional_recursion, reason = "the attack")]
/// Recursion without end, as a parser of nested sequences might do.
fn deep(frame: &[u8; 1000]) -> u64 {
    let copy = std::hint::black_box(*frame);
    u64::from(copy[3]) + deep(&copy)
}

/// The monitor's own filter: no socket but AF_UNIX, also in what it starts; workers can still be started.
fn confined_monitor() {
    sandbox::confine_monitor().unwrap();
    for family in [
        socket::AddressFamily::Inet,
        socket::AddressFamily::Inet6,
        socket::AddressFamily::Netlink,
        socket::AddressFamily::Packet,
    ] {
        assert_eq!(plain_socket(family).unwrap_err(), nix::Error::EPERM, "{family:?}");
    }
    plain_socket(socket::AddressFamily::Unix).unwrap();
    assert_eq!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).unwrap_err(), nix::Error::EPERM);
    let bench = Bench::new();
    let judged = bench.judge(&mut bench.worker(), "peaceful", LIMIT);
    assert!(matches!(judged, Ok(Judgement::Hold(..))), "{judged:?}");
}
