//! The real program with events as the kernel writes them, through named pipes in the place of devices. Its times are the shortest that its
//! settings allow.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};

const KEY: u16 = 408;
const RESET: Duration = Duration::from_secs(5);

struct Bench {
    directory: tempfile::TempDir,
    process: Child,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Bench {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir(path("input")).unwrap();
        let settings = format!(
            "reset-seconds = 5\ndecommission-seconds = 15\ndevices = {:?}\nrequest = {:?}\n",
            path("input"),
            path("request")
        );
        fs::write(path("button.toml"), settings).unwrap();
        let process =
            Command::new(env!("CARGO_BIN_EXE_gift-button")).arg("--config").arg(path("button.toml")).spawn().unwrap();
        Self { directory, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Plugs a device in. Opened for reading, too, so that it does not end while the program does not have it yet.
    fn device(&self, name: &str) -> File {
        let path = self.path("input").join(name);
        mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        thread::sleep(Duration::from_millis(1_500));
        file
    }

    fn asked(&self) -> Option<String> {
        fs::read_to_string(self.path("request")).ok()
    }

    /// Waits for a request.
    fn until_asked(&self, longest: Duration) -> String {
        let began = Instant::now();
        loop {
            match self.asked() {
                Some(asked) => return asked,
                None => assert!(began.elapsed() < longest, "nothing was asked for"),
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// `struct input_event`, and the report that ends it. The stamp says nothing: a kernel's may be wrong.
fn send(device: &mut File, kind: u16, code: u16, value: i32) {
    let mut bytes = Vec::new();
    for (kind, code, value) in [(kind, code, value), (0, 0, 0)] {
        bytes.extend([0; 16]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
    }
    device.write_all(&bytes).unwrap();
}

fn key(device: &mut File, value: i32) {
    send(device, 1, KEY, value);
}

#[test]
fn held_long_enough_and_let_go_it_asks_for_a_reset_and_a_touch_or_another_key_does_not() {
    let bench = Bench::start();
    let (mut button, mut other) = (bench.device("event3"), bench.device("event4"));
    for _ in 0..3 {
        key(&mut button, 1);
        thread::sleep(Duration::from_millis(200));
        key(&mut button, 0);
    }
    // Another key is held, and the button of a device that is stuck repeats.
    send(&mut other, 1, KEY + 1, 1);
    for _ in 0..12 {
        key(&mut other, 2);
        thread::sleep(Duration::from_millis(500));
    }
    send(&mut other, 1, KEY + 1, 0);
    key(&mut other, 0);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.asked(), None);
    key(&mut button, 1);
    let began = Instant::now();
    while began.elapsed() < RESET + Duration::from_secs(4) {
        key(&mut button, 2);
        thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(bench.asked(), None, "not before it is let go");
    key(&mut button, 0);
    assert_eq!(bench.until_asked(Duration::from_secs(20)), "factory-reset");
}

#[test]
fn a_touch_that_is_read_late_is_none_however_long_the_program_stood_still() {
    let bench = Bench::start();
    let mut button = bench.device("event0");
    let signal = |signal| kill(Pid::from_raw(i32::try_from(bench.process.id()).unwrap()), signal).unwrap();
    // Longer than both times: read before it stood still and let go while it did, then all of it meanwhile.
    for pressed_before in [true, false] {
        if pressed_before {
            key(&mut button, 1);
            thread::sleep(Duration::from_millis(600));
        }
        signal(Signal::SIGSTOP);
        if !pressed_before {
            key(&mut button, 1);
        }
        key(&mut button, 0);
        thread::sleep(Duration::from_secs(17));
        signal(Signal::SIGCONT);
        thread::sleep(Duration::from_secs(1));
        assert_eq!(bench.asked(), None, "pressed before: {pressed_before}");
    }
}

#[test]
fn a_device_that_goes_or_loses_events_while_it_is_held_asks_for_nothing() {
    let bench = Bench::start();
    let (mut button, mut losing) = (bench.device("event0"), bench.device("event1"));
    key(&mut button, 1);
    key(&mut losing, 1);
    thread::sleep(Duration::from_millis(300));
    send(&mut losing, 0, 3, 0);
    // Gone, and back under the same name.
    fs::remove_file(bench.path("input/event0")).unwrap();
    drop(button);
    let mut button = bench.device("event0");
    thread::sleep(RESET);
    key(&mut button, 0);
    key(&mut losing, 0);
    thread::sleep(Duration::from_secs(10));
    assert_eq!(bench.asked(), None);
}

#[test]
fn held_on_and_let_go_it_asks_for_the_box_to_be_decommissioned_and_nothing_takes_that_back_and_one_that_is_stuck_asks_for_nothing()
 {
    let bench = Bench::start();
    let (mut button, mut stuck) = (bench.device("event0"), bench.device("event1"));
    // What gpio-keys says when it is opened; it is never let go.
    key(&mut stuck, 1);
    key(&mut button, 1);
    thread::sleep(Duration::from_secs(22));
    assert_eq!(bench.asked(), None, "neither by the one that is stuck, nor before the other is let go");
    key(&mut button, 0);
    assert_eq!(bench.until_asked(Duration::from_secs(20)), "decommission");
    key(&mut button, 1);
    thread::sleep(RESET + Duration::from_secs(1));
    key(&mut button, 0);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(bench.asked().as_deref(), Some("decommission"));
}
