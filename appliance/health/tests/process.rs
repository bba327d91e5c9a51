//! The process as the service manager sees it: starts, shows, ends cleanly on SIGTERM; refuses settings with file and line.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SAMPLE: &str = include_str!("../../../config/samples/health.toml");
const PATTERNS: &str = include_str!("../../../config/leds.toml");

/// The program, and in `root` its settings: those of the sample, with LEDs that are plain files.
fn of_the_sample(root: &Path) -> Command {
    let at = root.display().to_string();
    let text = SAMPLE
        .replace("/run/gift", &at)
        .replace("/var/lib/gift", &at)
        .replace("/sys/class", &at)
        .replace("/usr/share/gift/policy", &at)
        .replace("\"sysfs\"\n", "\"plain\"\n");
    fs::write(root.join("health.toml"), text).unwrap();
    fs::write(root.join("leds.toml"), PATTERNS).unwrap();
    Command::new(env!("CARGO_BIN_EXE_gift-health"))
}

fn start(root: &Path, words: &[&str]) -> Child {
    of_the_sample(root).arg("--config").arg(root.join("health.toml")).args(words).spawn().unwrap()
}

/// What an LED shows, once it shows something.
fn shown(led: &Path) -> String {
    let begin = Instant::now();
    while !led.exists() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::read_to_string(led).unwrap()
}

fn ends_dark(mut child: Child, power: &Path) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(power).unwrap(), "off unattended\n");
}

#[test]
fn it_shows_a_verdict_and_ends_on_sigterm_with_dark_leds() {
    let root = tempfile::tempdir().unwrap();
    for name in ["status/health", "release/staging-health", "release/outbox", "leds"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    let child = start(root.path(), &[]);
    let power = root.path().join("leds/power");
    assert_eq!(shown(&power), "slow starting\n", "no process has reported yet");
    ends_dark(child, &power);
    assert_eq!(fs::read_dir(root.path().join("release/outbox")).unwrap().count(), 1);
}

/// There is no state, so none of the directories that it judges by.
#[test]
fn a_closed_state_is_shown_by_the_leds_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("leds")).unwrap();
    let child = start(root.path(), &["--state-closed"]);
    let led = |name: &str| root.path().join("leds").join(name);
    assert_eq!(shown(&led("attention")), "fast call\n");
    assert_eq!((shown(&led("power")), shown(&led("scanner"))), ("fast fault\n".into(), "off down\n".into()));
    ends_dark(child, &led("power"));
}

/// A provisioning with a typo was signed and shipped: the box works by the image's settings, its lights call, and the hub is told why.
#[test]
fn refused_settings_are_stood_in_for_and_said() {
    let root = tempfile::tempdir().unwrap();
    for name in ["status/health", "release/staging-health", "release/outbox", "leds"] {
        fs::create_dir_all(root.path().join(name)).unwrap();
    }
    let typo = root.path().join("typo.toml");
    fs::write(&typo, format!("watch-dog = 1\n{SAMPLE}")).unwrap();
    let child = of_the_sample(root.path())
        .arg("--config")
        .arg(&typo)
        .arg("--fallback")
        .arg(root.path().join("health.toml"))
        .spawn()
        .unwrap();
    let led = |name: &str| root.path().join("leds").join(name);
    assert_eq!((shown(&led("attention")), shown(&led("power"))), ("fast call\n".into(), "slow starting\n".into()));
    ends_dark(child, &led("power"));
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
