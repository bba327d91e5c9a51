//! Attacks the engine's sandbox for real. This one program is the driver and, where gift-ocr runs it in Tesseract's place, a
//! compromised engine that does what the picture's pixels tell it. What it reports comes back as a word.
//!
//! Counts as failure: an attack that succeeds.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
        socket::{AddressFamily, SockFlag, SockType, socket, socketpair},
    },
    unistd::{Pid, getppid},
};

const GIFT_OCR: &str = env!("CARGO_BIN_EXE_gift-ocr");
const TESSERACT: &str = "/usr/bin/tesseract";
const TESSDATA: &str = "/usr/share/tesseract-ocr/5/tessdata";
const MEMORY: u64 = 1 << 30;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("stdin") => compromised_engine(),
        // The test runner asks for a list.
        Some("--list") => return ExitCode::SUCCESS,
        _ => driver(),
    }
    ExitCode::SUCCESS
}

fn driver() {
    for (attack, expected) in [
        ("peaceful", "peaceful"),
        ("environment", "OMP_THREAD_LIMIT,TESSDATA_PREFIX"),
        ("descriptors", "0-inherited"),
        ("open /etc/passwd", "refused"),
        ("open /proc/self/maps", "refused"),
        ("open /proc/1/environ", "refused"),
        ("open secret", "refused"),
        ("list /", "refused"),
        ("list /var", "refused"),
        ("write", "refused"),
        ("write picture", "refused"),
        ("execute /bin/true", "refused"),
        ("execute /bin/sh", "refused"),
        ("thread", "refused"),
        ("kill", "refused"),
        ("limits", "refused"),
        ("internet", "refused"),
        ("internet6", "refused"),
        ("unix", "refused"),
        ("netlink", "refused"),
        ("pair", "refused"),
        ("memory", ""),
        ("junk", ""),
        ("words", ""),
    ] {
        let ended = attacked(attack);
        let said = String::from_utf8(ended.stdout).unwrap();
        let word = said.lines().map(|line| line.split_once(' ').unwrap().1).collect::<Vec<_>>().join(" ");
        assert_eq!(word, expected, "{attack}");
        assert_eq!(ended.status.success(), !expected.is_empty() || attack == "junk", "{attack}");
        println!("test {attack} ... ok");
    }
    it_ends_with_the_reader_and_by_itself();
    no_picture_no_engine();
    tesseract_reads_where_it_can_touch_nothing();
}

/// A grey picture whose pixels are `text`, in a file without a name.
fn picture(text: &[u8]) -> File {
    let path = place().join(format!("picture-{:?}", Instant::now()).replace([' ', '{', '}', ':', ','], ""));
    let mut file = File::create(&path).unwrap();
    file.write_all(format!("P5\n{} 1\n255\n", text.len()).as_bytes()).unwrap();
    file.write_all(text).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// gift-ocr on that picture, with this program, or another, as the engine.
fn reader(picture: &File, program: &Path, seconds: u64) -> Command {
    let mut command = Command::new(GIFT_OCR);
    command
        .arg("read")
        .args([program, Path::new(TESSDATA)])
        .args([MEMORY.to_string(), seconds.to_string()])
        .env("GIFT_SECRET", "inherited")
        .stdin(Stdio::from(picture.try_clone().unwrap()));
    command
}

fn attacked(attack: &str) -> Output {
    std::fs::write(place().join("secret"), "Doe^Jane").unwrap();
    let this = std::env::current_exe().unwrap();
    reader(&picture(attack.as_bytes()), &this, 20).stderr(Stdio::null()).output().unwrap()
}

/// What a compromised Tesseract would try.
fn compromised_engine() {
    let mut picture = Vec::new();
    std::io::stdin().read_to_end(&mut picture).unwrap();
    let attack = String::from_utf8(picture.splitn(4, |b| *b == b'\n').nth(3).unwrap().to_vec()).unwrap();
    let (verb, what) = attack.split_once(' ').unwrap_or((&attack, ""));
    let refused = |done: bool| if done { "DONE" } else { "refused" }.to_owned();
    let opened = |family| socket(family, SockType::Stream, SockFlag::empty(), None).is_ok();
    let said = match verb {
        "peaceful" => "peaceful".to_owned(),
        "environment" => {
            let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            names.join(",")
        }
        "descriptors" => {
            // Only an open one can be closed.
            let inherited = (3..64).filter(|n| nix::unistd::close(*n).is_ok()).count();
            format!("{inherited} inherited").replace(' ', "-")
        }
        "open" if what == "secret" => refused(File::open(place().join("secret")).is_ok()),
        "open" => refused(File::open(what).is_ok()),
        "list" => refused(std::fs::read_dir(what).is_ok()),
        "write" if what == "picture" => refused(nix::unistd::write(std::io::stdin(), b"x").is_ok()),
        "write" => refused(File::create(place().join("written")).is_ok()),
        "execute" => {
            // Without a process of its own, which is refused anyhow; it returns only when it fails.
            let _ = Command::new(what).exec();
            refused(Command::new(what).status().is_ok())
        }
        "thread" => refused(std::thread::Builder::new().spawn(|| ()).is_ok()),
        "kill" => refused(kill(getppid(), None).is_ok() || kill(Pid::from_raw(1), None).is_ok()),
        "limits" => {
            let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            assert_eq!((soft, hard), (64, 64));
            refused(setrlimit(Resource::RLIMIT_NOFILE, 32, 32).is_ok())
        }
        "internet" => refused(opened(AddressFamily::Inet)),
        "internet6" => refused(opened(AddressFamily::Inet6)),
        "unix" => refused(opened(AddressFamily::Unix)),
        "netlink" => refused(opened(AddressFamily::Netlink)),
        "pair" => refused(socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty()).is_ok()),
        "memory" => {
            drop(std::hint::black_box(vec![1_u8; 4 << 30]));
            "DONE".to_owned()
        }
        "hang" => loop {
            std::hint::spin_loop();
        },
        "junk" => {
            std::io::stdout().write_all(&[0xFF; 5000]).unwrap();
            return;
        }
        "words" => {
            std::io::stdout().write_all(&b"5\t1\t1\t1\t1\t1\t1\t1\t1\t1\t90\tword\n".repeat(100_000)).unwrap();
            return;
        }
        _ => "what?".to_owned(),
    };
    println!("5\t1\t1\t1\t1\t1\t10\t20\t30\t40\t90\t{said}");
}

/// An engine that hangs is ended by its processor time, and when the reader is killed.
fn it_ends_with_the_reader_and_by_itself() {
    let this = std::env::current_exe().unwrap();
    let started = Instant::now();
    let ended = reader(&picture(b"hang"), &this, 1).stdout(Stdio::null()).status().unwrap();
    assert!(!ended.success() && started.elapsed() < Duration::from_secs(20));
    let mut hanging = reader(&picture(b"hang"), &this, 60).stdout(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", hanging.id());
    let engine = loop {
        if let Ok(Ok(engine)) = std::fs::read_to_string(&children).map(|text| text.trim().parse::<i32>()) {
            break Pid::from_raw(engine);
        }
        assert!(started.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    };
    kill(Pid::from_raw(hanging.id().cast_signed()), Signal::SIGKILL).unwrap();
    hanging.wait().unwrap();
    while kill(engine, None).is_ok() && !is_zombie(engine) {
        assert!(started.elapsed() < Duration::from_secs(30), "the engine outlives its reader");
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("test it ends with the reader and by itself ... ok");
}

fn is_zombie(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// What is no grey picture does not reach the engine.
fn no_picture_no_engine() {
    let path = place().join("no-picture");
    for bytes in [&b"\x89PNG\r\n\x1a\npeaceful"[..], b"P5\n9 1\n255\npeaceful", b""] {
        std::fs::write(&path, bytes).unwrap();
        let this = std::env::current_exe().unwrap();
        let ended = reader(&File::open(&path).unwrap(), &this, 5).output().unwrap();
        assert!(!ended.status.success() && ended.stdout.is_empty());
    }
    println!("test no picture, no engine ... ok");
}

/// The real one, where it is installed: the sandbox leaves it what it needs.
fn tesseract_reads_where_it_can_touch_nothing() {
    if !Path::new(TESSERACT).exists() {
        println!("skipped: no Tesseract on this machine");
        return;
    }
    // An H, 32 pixels high, and nothing beside it: enough to be a word.
    let (columns, rows) = (200, 80);
    let mut pixels = vec![255_u8; columns * rows];
    for letter in 0..3 {
        let left = 40 + 40 * letter;
        for y in 24..56 {
            for x in 0..22 {
                if !(5..17).contains(&x) || (37..42).contains(&y) {
                    pixels[y * columns + left + x] = 0;
                }
            }
        }
    }
    let path = place().join("letters");
    std::fs::write(&path, [format!("P5\n{columns} {rows}\n255\n").into_bytes(), pixels].concat()).unwrap();
    let ended = reader(&File::open(&path).unwrap(), Path::new(TESSERACT), 20).output().unwrap();
    assert!(ended.status.success());
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("HHH"), "{said}");
    println!("test tesseract reads where it can touch nothing ... ok");
}
