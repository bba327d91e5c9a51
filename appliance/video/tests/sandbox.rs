//! Attacks the sandbox for real. This one program is the driver and, where gift-video runs it in ffmpeg's place, a compromised
//! coder that does what the stream's bytes tell it. What it reports comes back on its standard output.
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
        resource::{Resource, setrlimit},
        signal::kill,
        socket::{AddressFamily, SockFlag, SockType, socket, socketpair},
    },
    unistd::{Pid, getppid},
};

const GIFT_VIDEO: &str = env!("CARGO_BIN_EXE_gift-video");
const FFMPEG: &str = "/usr/bin/ffmpeg";
const MEMORY: u64 = 1 << 30;
/// How a bare H.264 stream begins.
const HEAD: &[u8] = b"\0\0\0\x01\x67";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("-nostdin") => compromised_coder(),
        // The test runner asks for a list.
        Some("--list") => return ExitCode::SUCCESS,
        _ => driver(),
    }
    ExitCode::SUCCESS
}

fn driver() {
    for (attack, expected) in [
        ("peaceful", "peaceful"),
        ("environment", ""),
        ("descriptors", "0-inherited"),
        ("thread", "DONE"),
        ("open /etc/passwd", "refused"),
        ("open /proc/self/maps", "refused"),
        ("open /proc/1/environ", "refused"),
        ("open /proc/self/fd/0", "refused"),
        ("open secret", "refused"),
        ("list /", "refused"),
        ("list /var", "refused"),
        ("write", "refused"),
        ("write stream", "refused"),
        ("execute /bin/true", "refused"),
        ("execute /bin/sh", "refused"),
        ("fork", "refused"),
        ("kill", "refused"),
        ("limits", "refused"),
        ("internet", "refused"),
        ("internet6", "refused"),
        ("unix", "refused"),
        ("netlink", "refused"),
        ("pair", "refused"),
    ] {
        let ended = attacked(attack);
        assert_eq!(String::from_utf8(ended.stdout).unwrap(), expected, "{attack}");
        assert!(ended.status.success(), "{attack}: {}", ended.status);
        println!("test {attack} ... ok");
    }
    for attack in ["memory", "hang"] {
        let started = Instant::now();
        assert!(!attacked(attack).status.success() && started.elapsed() < Duration::from_secs(20), "{attack}");
        println!("test {attack} ... ok");
    }
    no_container_no_program();
    an_encoder_writes_no_more_than_it_may();
    ffmpeg_codes_where_it_can_touch_nothing();
}

fn place() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// A file without a name.
fn nameless(bytes: &[u8]) -> File {
    let path = place().join(format!("stream-{:?}", Instant::now()).replace([' ', '{', '}', ':', ','], ""));
    std::fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// gift-video on that stream, with this program, or another, as ffmpeg.
fn decoder(stream: &[u8], program: &Path, codec: &str, seconds: u64) -> Command {
    let mut command = Command::new(GIFT_VIDEO);
    command
        .arg("decode")
        .arg(program)
        .args([codec, "64", "48", &MEMORY.to_string(), &seconds.to_string()])
        .env("GIFT_SECRET", "inherited")
        .stdin(Stdio::from(nameless(stream)))
        .stderr(Stdio::null());
    command
}

fn attacked(attack: &str) -> Output {
    std::fs::write(place().join("secret"), "Doe^Jane").unwrap();
    let this = std::env::current_exe().unwrap();
    decoder(&[HEAD, attack.as_bytes()].concat(), &this, "avc", 2).output().unwrap()
}

/// What a compromised ffmpeg would try.
fn compromised_coder() {
    let mut stream = Vec::new();
    std::io::stdin().read_to_end(&mut stream).unwrap();
    let Some(attack) = stream.strip_prefix(HEAD) else {
        // As an encoder: all the room there is, and more.
        let written = (0..100).map_while(|_| std::io::stdout().write_all(&[7; 1000]).ok()).count();
        std::process::exit(written.try_into().unwrap());
    };
    let attack = String::from_utf8(attack.to_vec()).unwrap();
    let (verb, what) = attack.split_once(' ').unwrap_or((&attack, ""));
    let refused = |done: bool| if done { "DONE" } else { "refused" }.to_owned();
    let opened = |family| socket(family, SockType::Stream, SockFlag::empty(), None).is_ok();
    let said = match verb {
        "peaceful" => "peaceful".to_owned(),
        "environment" => std::env::vars().map(|(name, _)| name).collect::<Vec<_>>().join(","),
        "descriptors" => {
            // Only an open one can be closed.
            let inherited = (3..64).filter(|n| nix::unistd::close(*n).is_ok()).count();
            format!("{inherited}-inherited")
        }
        "open" if what == "secret" => refused(File::open(place().join("secret")).is_ok()),
        "open" => refused(File::open(what).is_ok()),
        "list" => refused(std::fs::read_dir(what).is_ok()),
        "write" if what == "stream" => refused(nix::unistd::write(std::io::stdin(), b"x").is_ok()),
        "write" => refused(File::create(place().join("written")).is_ok()),
        "execute" => {
            // Without a process of its own, which is refused anyhow; it returns only when it fails.
            let _ = Command::new(what).exec();
            refused(Command::new(what).status().is_ok())
        }
        "thread" => refused(std::thread::Builder::new().spawn(|| ()).is_ok_and(|thread| thread.join().is_ok())),
        "fork" => refused(Command::new("/proc/self/exe").spawn().is_ok()),
        "kill" => refused(kill(getppid(), None).is_ok() || kill(Pid::from_raw(1), None).is_ok()),
        "limits" => refused(setrlimit(Resource::RLIMIT_NOFILE, 32, 32).is_ok()),
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
        _ => "what?".to_owned(),
    };
    print!("{said}");
}

/// What is no container of video, a playlist among it, does not reach the program.
fn no_container_no_program() {
    let this = std::env::current_exe().unwrap();
    for stream in [&b"#EXTM3U\npeaceful"[..], b"ffconcat version 1.0\nfile secret\n", b"\x1A\x45\xDF\xA3peaceful", b""]
    {
        let ended = decoder(stream, &this, "avc", 2).output().unwrap();
        assert!(!ended.status.success() && ended.stdout.is_empty());
    }
    println!("test no container, no program ... ok");
}

fn encoder(program: &Path, frames: File, stream: &Path, standard: &str, bytes: u64) -> Command {
    let mut command = Command::new(GIFT_VIDEO);
    command
        .arg("encode")
        .arg(program)
        .args([standard, "progressive", "18", &bytes.to_string(), "64", "48", &MEMORY.to_string(), "20"])
        .stdin(Stdio::from(frames))
        .stdout(Stdio::from(File::create(stream).unwrap()))
        .stderr(Stdio::null());
    command
}

fn an_encoder_writes_no_more_than_it_may() {
    let (this, stream) = (std::env::current_exe().unwrap(), place().join("bounded"));
    let ended = encoder(&this, nameless(b"frames"), &stream, "avc-41", 4500).status().unwrap();
    assert!(!ended.success());
    assert!(std::fs::metadata(&stream).unwrap().len() <= 4500);
    println!("test an encoder writes no more than it may ... ok");
}

/// The real one, where it is installed: the sandbox leaves it what it needs, for each codec.
fn ffmpeg_codes_where_it_can_touch_nothing() {
    if !Path::new(FFMPEG).exists() {
        println!("skipped: no ffmpeg on this machine");
        return;
    }
    for (standard, codec, chroma, width) in [
        ("mpeg2-main", "mpeg2", "420mpeg2", 1),
        ("mpeg2-high", "mpeg2", "420mpeg2", 1),
        ("avc-41", "avc", "420mpeg2", 1),
        ("avc-42", "avc", "420mpeg2", 1),
        ("hevc-main", "hevc", "420mpeg2", 1),
        ("hevc-main10", "hevc", "420p10", 2),
    ] {
        let mut frames = format!("YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C{chroma} XCOLORRANGE=LIMITED\n").into_bytes();
        for _ in 0..3 {
            frames.extend_from_slice(b"FRAME\n");
            frames.extend_from_slice(&vec![if width == 1 { 100 } else { 1 }; 64 * 48 * 3 / 2 * width]);
        }
        let path = place().join(standard);
        let started = Instant::now();
        let ended = encoder(Path::new(FFMPEG), nameless(&frames), &path, standard, 1 << 20).status().unwrap();
        assert!(ended.success(), "{standard}: {ended}");
        let stream = std::fs::read(&path).unwrap();
        assert!(stream.len() > 188 && stream.len().is_multiple_of(188), "{standard}");
        for says in [&b"x264"[..], b"x265", b"Lavc", b"Lavf"] {
            assert!(!stream.windows(says.len()).any(|bytes| bytes == says), "{standard} {}", says.escape_ascii());
        }
        let ended = decoder(&stream, Path::new(FFMPEG), codec, 20).output().unwrap();
        assert!(ended.status.success(), "{standard}: {}", ended.status);
        let length = 3 * (6 + 64 * 48 * 3 / 2 * width);
        assert!(ended.stdout.len() > length && ended.stdout.len() < length + 200, "{standard}: {}", ended.stdout.len());
        println!("test ffmpeg codes {standard} where it can touch nothing ... ok ({:?})", started.elapsed());
        // Another size than stated is a fault.
        let ended = Command::new(GIFT_VIDEO)
            .args(["decode", FFMPEG, codec, "64", "50", &MEMORY.to_string(), "20"])
            .stdin(Stdio::from(nameless(&stream)))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(!ended.status.success() && ended.stdout.is_empty(), "{standard}");
    }
}
