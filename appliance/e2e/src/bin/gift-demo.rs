//! `cargo xtask demo`: the main job on this machine. Hub and box start, a scanner's images go in over DICOM, and the result
//! can be browsed. Everything is real: the same binaries, DCMTK's `storescu` as the scanner, TLS 1.3 to the hub.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use clap::Parser;
use gift_e2e::{
    generator::{Expectation, Generator},
    outcome::{self, Set},
    rig::{Isolation, Options, Rig, Role},
    web::{Web, value},
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// The main job on this machine: hub and box, a scanner's images in, browsable result and health page out.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo --")]
struct Arguments {
    /// Exit when everything sent is on the hub or held; non-zero when it is not.
    #[arg(long)]
    once: bool,
    /// How many objects the scanner sends.
    #[arg(long, default_value_t = 120)]
    count: usize,
    /// Seed of the generated objects.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Port of the hub's web pages on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    web_port: u16,
    /// Run everything as the caller, without accounts and namespaces of their own.
    #[arg(long)]
    no_isolation: bool,
    /// Keep the state in this directory (must not exist yet) instead of a temporary one.
    #[arg(long)]
    state: Option<PathBuf>,
}

fn main() -> ExitCode {
    let interrupted = Arc::new(AtomicBool::new(false));
    if let Err(error) = watch_signals(Arc::clone(&interrupted)) {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    match demo(&Arguments::parse(), &interrupted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ctrl-C and SIGTERM set the flag; the demo then ends its processes in order.
fn watch_signals(interrupted: Arc<AtomicBool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminate = {
        let _inside = runtime.enter();
        signal(SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        interrupted.store(true, Ordering::Relaxed);
    });
    Ok(())
}

fn demo(arguments: &Arguments, interrupted: &Arc<AtomicBool>) -> Result<bool> {
    let temporary = tempfile::Builder::new().prefix("gift-demo-").tempdir()?;
    let root = arguments.state.clone().unwrap_or_else(|| temporary.path().join("state"));
    anyhow::ensure!(!root.exists(), "{} exists already", root.display());
    std::fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;

    println!("1. A scanner makes {} images (seed {})", arguments.count, arguments.seed);
    let directory = temporary.path().join("scanner");
    let key = Generator::new(arguments.seed).write_set(&directory, arguments.count)?;
    let set = Set { directory, key };

    println!("2. Hub and box start");
    let mut options = Options::new(&root)?;
    options.web_port = arguments.web_port;
    options.isolate = !arguments.no_isolation;
    options.interrupted = Arc::clone(interrupted);
    let rig = Rig::start(&options)?;
    match &rig.isolation {
        Isolation::Full { .. } => {
            println!("   each process has an account and a network namespace of its own: the diode is real")
        }
        Isolation::None(why) => {
            println!("   all processes run as the caller ({why}): the diode is NOT enforced in this run")
        }
    }
    rig.wait_until("the box to enrol", Duration::from_secs(60), |rig| {
        rig.status(Role::Uplink).is_some_and(|s| s["body"]["enrolment"] == "enrolled")
    })?;
    println!("   the box is enrolled; AE title {} on port {}", rig.called_ae, rig.dicom_port);

    println!("3. The scanner sends (DCMTK storescu, 4 associations)");
    let done = AtomicBool::new(false);
    let (sent, settled) = std::thread::scope(|scope| -> Result<_> {
        let progress = scope.spawn(|| show_progress(&rig, &set, &done));
        let sent = set.send(&rig, 4);
        let settled = outcome::settle(&rig, Duration::from_secs(300));
        done.store(true, Ordering::Relaxed);
        progress.join().map_err(|_| anyhow::anyhow!("the progress display panicked"))??;
        Ok((sent?, settled))
    })?;
    if let Err(error) = settled {
        eprintln!("{error:#}");
    }

    let entries: Vec<_> = set.key.objects.iter().collect();
    let unacknowledged = sent.iter().filter(|sent| !sent.acknowledged).count();
    let mut faults = outcome::faults(&rig, &entries, false)?;
    if unacknowledged > 0 {
        faults.push(format!("{unacknowledged} objects were not acknowledged"));
    }
    report(&rig, &set)?;
    for fault in &faults {
        eprintln!("WRONG: {fault}");
    }
    if faults.is_empty() {
        println!("   every object is where the generator's key says it must be");
    }
    if !arguments.once {
        println!("\n   The hub: https://{}/   user {}   password {}", rig.web, rig.login.0, rig.login.1);
        println!("   DICOMweb: https://{}/dicomweb   CA certificate: {}", rig.web, rig.hub_roots().display());
        println!("   Scanner side: {}:{} (AE title {})", rig.dicom_address().ip(), rig.dicom_port, rig.called_ae);
        println!("   Logs: {}", rig.root.join("log").display());
        println!("   Ctrl-C ends it.");
        while !interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("\nending");
    }
    Ok(faults.is_empty())
}

/// What arrived, what is held and why.
fn report(rig: &Rig, set: &Set) -> Result<()> {
    println!("4. What became of them");
    let mut kinds: BTreeMap<String, (usize, Expectation)> = BTreeMap::new();
    for entry in &set.key.objects {
        let kind = serde_json::to_value(entry.kind)?;
        kinds.entry(kind.as_str().unwrap_or_default().to_owned()).or_insert((0, entry.expect)).0 += 1;
    }
    for (kind, (count, expect)) in kinds {
        let expect = match expect {
            Expectation::Released => "released".to_owned(),
            Expectation::Held(reason) => format!("held: {reason}"),
        };
        println!("   sent {count:4} × {kind:24} to be {expect}");
    }
    let web = Web::new(rig)?;
    let instances = web.instances()?.len();
    let studies = web.query("/dicomweb/studies?limit=1000")?;
    let mut subjects: BTreeMap<&str, usize> = BTreeMap::new();
    for study in &studies {
        *subjects.entry(value(study, "00100020").unwrap_or("?")).or_default() += 1;
    }
    println!("   on the hub: {instances} instances in {} studies of {} subjects", studies.len(), subjects.len());
    for (subject, studies) in subjects.iter().take(5) {
        println!("      {subject}: {studies} studies");
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, reason) in outcome::quarantine(rig)? {
        *reasons.entry(reason.as_str()).or_default() += 1;
    }
    println!("   held on the box, encrypted:");
    for (reason, count) in reasons {
        println!("      {count:4} × {reason}");
    }
    if let Some(record) = rig.status(Role::Health) {
        println!("   health: {}", record["state"].as_str().unwrap_or("?"));
    }
    for led in ["power", "scanner", "uplink", "attention"] {
        let text = std::fs::read_to_string(rig.root.join("leds").join(led)).unwrap_or_default();
        println!("   LED {led:10} {}", text.trim());
    }
    Ok(())
}

fn show_progress(rig: &Rig, set: &Set, done: &AtomicBool) -> Result<()> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("   {prefix:12} {wide_bar} {pos:>5}/{len} {msg}")?;
    let bar = |prefix: &'static str, length: usize| {
        bars.add(ProgressBar::new(length as u64).with_style(style.clone()).with_prefix(prefix))
    };
    let total = set.key.objects.len();
    let released = set.key.released().count();
    let (received, judged, uploaded) = (bar("received", total), bar("judged", total), bar("on the hub", released));
    let number = |role: Role, field: &str| rig.status(role).and_then(|r| r["body"][field].as_u64()).unwrap_or(0);
    while !done.load(Ordering::Relaxed) {
        received.set_position(number(Role::Receiver, "instances_total"));
        let held = rig.status(Role::Deid).map_or(0, |r| {
            r["body"]["held_total"].as_object().map_or(0, |m| m.values().filter_map(serde_json::Value::as_u64).sum())
        });
        judged.set_position(number(Role::Deid, "released_total") + held);
        judged.set_message(format!("{held} held"));
        uploaded.set_position(number(Role::Uplink, "uploaded_total"));
        std::thread::sleep(Duration::from_millis(100));
    }
    for bar in [received, judged, uploaded] {
        bar.abandon();
    }
    Ok(())
}
