//! Attacks the worker's sandbox and the monitor's distrust for real. This one program is the driver, the monitor and, when
//! executed as `worker`, a compromised worker that does what the object's bytes tell it. Each attack must cost exactly one
//! object: the worker dies or is ended in the expected way, and the next object is judged.
//!
//! Counts as failure: an attack that succeeds, one that ends the driver, a death of another kind than expected.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::infinite_iter)]

mod support;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::fs::FileExt as _,
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use gift_deid::{
    ask::{AskLimits, AskRefused, Desk},
    channel::Endpoint,
    child::{Child, Death, Judgement, Recipe},
    eyes::Looked,
    lane::Lane,
    policy::PolicyTexts,
    protocol::{Coder, Facts, Job, Order, Report},
    sandbox::{self, Bounds},
    settings::{Mode, Ocr, Settings, Video, VideoMode},
    start,
    work::{At, WorkFiles},
    worker::{self, Prepared},
};
use gift_deidentify::pseudonym::{Answer, Ask, PseudonymError, Pseudonymise};
use gift_redact::video::{Coding, Film, Standard};
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
        // There is no reader of text unless the settings ask for one.
        ("read", Expect::Death(Death::Lied)),
        // Nor is there a coder of video.
        ("code", Expect::Death(Death::Lied)),
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
    a_picture_is_read_and_once_more();
    each_film_is_decoded_once();
    what_a_worker_states_is_checked();
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
        self.worker_with(&Ocr::default(), &Video::default())
    }

    fn worker_with(&self, ocr: &Ocr, video: &Video) -> Child {
        let (asks, ocr, video) = (AskLimits::default(), ocr.clone(), video.clone());
        let recipe = Recipe { program: "/proc/self/exe".into(), bounds: BOUNDS, asks, ocr, video };
        Child::start(&recipe, &self.files, &self.policy, self.policy_bytes).unwrap()
    }

    fn judge(&self, child: &mut Child, object: &str, limit: Duration) -> Result<Judgement, Death> {
        self.files.clear().unwrap();
        At::start(&self.files.input).write_all(object.as_bytes()).unwrap();
        let job = Job {
            input_bytes: object.len() as u64,
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            sop_class_uid: "1.2".into(),
            sop_instance_uid: "1.2.3".into(),
            profile: "p".into(),
            places: Vec::new(),
            look: false,
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

/// With a reader of text that reads nothing: a worker may ask it twice for an object.
fn a_picture_is_read_and_once_more() {
    let bench = Bench::new();
    let ocr = Ocr { mode: Mode::All, reader: "/bin/true".into(), ..Ocr::default() };
    let mut child = bench.worker_with(&ocr, &Video::default());
    for _ in 0..2 {
        let judged = bench.judge(&mut child, "read twice", LIMIT);
        assert!(matches!(judged, Ok(Judgement::Hold(HoldReason::NoTemplate, None))), "{judged:?}");
    }
    assert_eq!(bench.judge(&mut child, "read three times", LIMIT).unwrap_err(), Death::Lied);
    println!("test a picture is read and once more ... ok");
}

/// With a coder that does nothing: a worker may have each film decoded once, and is then used up.
fn each_film_is_decoded_once() {
    let bench = Bench::new();
    let video = Video { mode: VideoMode::Redact, coder: "/bin/true".into(), ..Video::default() };
    let mut child = bench.worker_with(&Ocr::default(), &video);
    let judged = bench.judge(&mut child, "film", LIMIT);
    assert!(matches!(judged, Ok(Judgement::Hold(HoldReason::NoTemplate, None))) && child.is_used_up(), "{judged:?}");
    assert_eq!(bench.judge(&mut child, "film", LIMIT).unwrap_err(), Death::Lied);
    let mut child = bench.worker_with(&Ocr::default(), &video);
    bench.judge(&mut child, "peaceful", LIMIT).unwrap();
    assert!(!child.is_used_up());
    println!("test each film is decoded once ... ok");
}

/// A real lane with real stores and key, and a worker that lies about what it wrote.
fn what_a_worker_states_is_checked() {
    let mut house = support::House::new();
    let key = house.path("credentials/site-key");
    house.extra = format!("[[key]]\nname = \"site-key\"\nfile = \"{}\"\n", key.display());
    let settings = Settings::load(&house.write_settings()).unwrap();
    let shared = Arc::new(start::open(settings).unwrap().shared);
    let lane = Lane::new(Arc::clone(&shared), 0, "/proc/self/exe".into(), &house.path("deid/work")).unwrap();
    let thread = std::thread::spawn(move || lane.run());
    for lie in LIES.iter().chain(&["state the truth"]) {
        let object = support::object::Object { bytes: lie.as_bytes().to_vec(), ..support::object::ct(1) };
        house.deposit(support::ROUTED, &object);
        while house.waiting() > 0 {
            shared.queue.offer(&shared.collector.scan().unwrap(), Instant::now());
            std::thread::sleep(Duration::from_millis(5));
        }
        let (held, released) = (house.held().remove("worker-crashed").unwrap_or(0), house.released().len());
        let lies = LIES.len() as u64;
        assert_eq!((held, released), if *lie == "state the truth" { (lies, 1) } else { (held, 0) }, "{lie}");
        println!("test {lie} ... ok");
    }
    shared.stop();
    thread.join().unwrap().unwrap();
    assert_eq!(shared.status().worker_deaths_total, LIES.len() as u64);
}

const LIES: &[&str] = &[
    "state another uid",
    "state another subject",
    "state another class",
    "state another syntax",
    "state another length",
    "state another template",
    "state another ground",
    "state a name as uid",
    "write an executable preamble",
    "write no file",
];

/// What a worker would report of `what`, true but for one thing; the output is written accordingly.
fn statement(what: &str, line: &mut Endpoint, output: &File) -> Option<Facts> {
    let uid = |n: u8| Ask::Uid(format!("1.2.{n}"));
    let asks = vec![Ask::Subject { issuer: String::new(), id: "1".into() }, uid(1), uid(2), uid(3)];
    line.send(&Report::Ask(asks), &[], None).unwrap();
    let Ok(Order::Answers(answers)) = line.recv::<Order>(None, || ()) else { return None };
    let [Answer::Subject(subject), Answer::Uid(study), Answer::Uid(series), Answer::Uid(instance)] = answers.as_slice()
    else {
        return None;
    };
    let mut facts = Facts {
        output_bytes: 200,
        sop_class_uid: support::object::ct(1).sop_class.into(),
        sop_instance_uid: instance.clone(),
        study_instance_uid: study.clone(),
        series_instance_uid: series.clone(),
        transfer_syntax_uid: support::object::EXPLICIT.into(),
        subject: subject.clone(),
        actions: [0; 6],
        template: None,
        frames_proven: 0,
        leak_patterns: 0,
        looked: Looked::NotAsked,
    };
    let mut bytes = [vec![0; 128], b"DICM".to_vec(), vec![9; 68]].concat();
    match what {
        "state the truth" => {}
        "state another uid" => facts.series_instance_uid = "2.25.77".into(),
        "state another subject" => facts.subject = "0f".repeat(16),
        "state another class" => facts.sop_class_uid = "1.2.840.10008.5.1.4.1.1.7".into(),
        "state another syntax" => facts.transfer_syntax_uid = "1.2.840.10008.1.2.2".into(),
        "state another length" => facts.output_bytes = 199,
        "state another template" => facts.template = Some("quillfeather".into()),
        "state a name as uid" => facts.study_instance_uid = "Quillfeather^Jane".into(),
        "write an executable preamble" => bytes[..2].copy_from_slice(b"MZ"),
        "write no file" => bytes.clear(),
        _ => return None,
    }
    output.write_all_at(&bytes, 0).unwrap();
    Some(facts)
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
    let Prepared {
        mut channel,
        input,
        output,
        scratch: _scratch,
        landlock,
        policy: _,
        asks: _,
        ocr: _,
        studio: _studio,
    } = worker::prepare().unwrap();
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
                (0..).for_each(|_| channel.send(&Report::Ask(vec![Ask::Uid("1".into())]), &[], None).unwrap());
            }
            "junk" => channel.send(&"what?", &[], None).unwrap(),
            "code" => channel.send(&Report::Code(Coder::Finish), &[], None).unwrap(),
            "film" => {
                let coding = Coding { standard: Standard::Avc41, rows: 64, columns: 64 };
                channel.send(&Report::Code(Coder::Decode(Film::Received, coding)), &[], None).unwrap();
            }
            "ready-again" => channel.send(&Report::Ready { landlock }, &[], None).unwrap(),
            "read" => read(&mut channel, 1),
            "read twice" => read(&mut channel, 2),
            "read three times" => read(&mut channel, 3),
            "close" => return,
            "peaceful" => {}
            what => {
                if what == "state another ground" {
                    let ground = "quillfeather".to_owned();
                    channel.send(&Report::TextFound { ground, fingerprint: None }, &[], None).unwrap();
                    continue;
                }
                let facts = statement(what, &mut channel, &output).unwrap();
                channel.send(&Report::Released(Box::new(facts)), &[], None).unwrap();
                continue;
            }
        }
        let report = Report::Held { reason: HoldReason::NoTemplate, fingerprint: None };
        channel.send(&report, &[], None).unwrap();
    }
}

/// Asks for a picture's text so many times.
fn read(channel: &mut Endpoint, times: usize) {
    for _ in 0..times {
        channel.send(&Report::Read, &[], None).unwrap();
        let Ok(Order::Text(Some(text))) = channel.recv::<Order>(None, || ()) else { panic!() };
        assert_eq!(text, "");
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
