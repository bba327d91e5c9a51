//! The process as the service manager sees it: starts, shows, ends cleanly on SIGTERM; refuses settings with file and line.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SAMPLE: &str = include_str!("../../../config/samples/health.toml");
const PATTERNS: &str = include_str!("../../../config/leds.toml");

#[test]
fn it_shows_a_verdict_and_ends_on_sigterm_with_dark_leds() {
    let root = tempfile::tempdir().unwrap();
    for name in ["status/health", "release/staging-health", "release/outbox", "leds"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    let at = root.path().display().to_string();
    let text = SAMPLE
        .replace("/run/gift", &at)
        .replace("/var/lib/gift", &at)
        .replace("/sys/class", &at)
        .replace("/usr/share/gift/policy", &at)
        .replace("\"sysfs\"\n", "\"plain\"\n");
    fs::write(root.path().join("health.toml"), text).unwrap();
    fs::write(root.path().join("leds.toml"), PATTERNS).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gift-health"))
        .arg("--config")
        .arg(root.path().join("health.toml"))
        .spawn()
        .unwrap();

    let power = root.path().join("leds/power");
    let begin = Instant::now();
    while !power.exists() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_to_string(&power).unwrap(), "fast fault\n", "no process reports");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&power).unwrap(), "off unattended\n");
    assert_eq!(fs::read_dir(root.path().join("release/outbox")).unwrap().count(), 1);
}

#[test]
fn an_unknown_key_is_refused_with_file_and_line() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("health.toml");
    fs::write(&file, format!("watch-dog = 1\n{SAMPLE}")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gift-health"))
        .arg("--config")
        .arg(&file)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(text.contains("health.toml:1:1: unknown field"), "{text}");
}
