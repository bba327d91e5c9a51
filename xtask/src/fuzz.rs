//! `cargo xtask fuzz`: coverage-guided fuzzing of the diode's pure crates (`appliance/fuzz`), and its slice of the default tests.
//!
//! Built by cargo-fuzz on the stable toolchain: coverage needs no option that is not stable, so not even `RUSTC_BOOTSTRAP`, which
//! would make crates choose nightly code. Without AddressSanitizer, which needs it: our crates forbid unsafe code, the one C library (OpenJPEG) is built by a compiler whose instrumentation does
//! not mix with rustc's, and shadow memory would make the bound on memory meaningless. OpenJPEG's own branches are thus not
//! counted as coverage.
//!
//! What is kept where: `appliance/fuzz/corpus/` has the minimised corpus and `regressions/` what once broke, both in git and never
//! written by a run; new inputs go to `fuzz-corpus/`, findings to `fuzz-artifacts/`, logs to `fuzz-logs/`, all in cargo's target
//! directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, install,
    run::{cargo, run},
};

/// The targets and the longest input of each, bytes: long enough for what the target looks at, short enough to be quick.
const TARGETS: [(&str, u32); 6] = [
    ("dataset", 160 << 10),
    ("profile", 64 << 10),
    ("leak_scan", 8 << 10),
    ("redact", 64 << 10),
    ("pdu", 256 << 10),
    ("wire", 8 << 10),
];
/// The bar: an input that takes longer is a hang, seconds.
const HANG_SECONDS: u32 = 5;
/// The bar: memory of a target, MB.
const MEMORY_MB: u32 = 512;
/// Longest input that is kept in git, bytes.
const KEPT_LEN: u32 = 4 << 10;
/// What all fuzzing may take in the default tests, without building.
const SLICE: Duration = Duration::from_secs(115);
/// Targets at once.
const JOBS: usize = 2;
/// Seconds that a target needs besides its time: to start, and to say what it did.
const MARGIN: Duration = Duration::from_secs(2);

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which targets; all when none is named.
    targets: Vec<String>,
    /// How long each of them runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Then make `appliance/fuzz/corpus/` of the fewest inputs that take every branch that was taken.
    #[arg(long)]
    minimise: bool,
    /// Instead, what `cargo xtask test` does: replay everything that is kept, then two minutes for all targets together.
    #[arg(long, conflicts_with_all = ["targets", "seconds", "minimise"])]
    slice: bool,
}

/// One target and its directories.
struct Target {
    name: &'static str,
    max_len: u32,
    program: PathBuf,
    corpus: PathBuf,
    regressions: PathBuf,
    found: PathBuf,
    artifacts: PathBuf,
    log: PathBuf,
}

/// What a run came to.
struct Outcome {
    name: &'static str,
    passed: bool,
    runs: String,
    edges: String,
    corpus: String,
    memory: String,
    seconds: f32,
    artifacts: PathBuf,
    log: PathBuf,
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(root: &Path, options: &Options) -> Result<()> {
    if options.slice {
        return slice(root);
    }
    let targets = built(root, &options.targets, "fuzz-corpus")?;
    report(&at_once(&targets, |target| target.fuzz(options.seconds))?)?;
    if options.minimise {
        targets.iter().try_for_each(Target::minimise)?;
    }
    Ok(())
}

/// The slice of the default tests: every kept input again, then all targets guided by coverage for the time that is left.
pub(crate) fn slice(root: &Path) -> Result<()> {
    let targets = built(root, &[], "fuzz-slice")?;
    let started = Instant::now();
    for target in &targets {
        // What a slice finds it finds anew each time, so that its time does not grow.
        empty(&target.found)?;
    }
    report(&at_once(&targets, Target::replay)?)?;
    let rounds = targets.len().div_ceil(JOBS) as u32;
    let each = (SLICE.saturating_sub(started.elapsed()) / rounds).saturating_sub(MARGIN);
    report(&at_once(&targets, |target| target.fuzz(each.as_secs().max(1)))?)?;
    println!("all fuzzing took {:.0} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// Builds all targets; those that are `wanted`, or all.
fn built(root: &Path, wanted: &[String], found: &str) -> Result<Vec<Target>> {
    if let Some(unknown) = wanted.iter().find(|name| !TARGETS.iter().any(|(known, _)| known == name)) {
        bail!("no fuzz target {unknown}; there are {}", TARGETS.map(|(name, _)| name).join(", "));
    }
    install::fuzz_packages()?;
    let cargo_fuzz = install::cargo_fuzz(root)?;
    let target = build::target(root);
    run(Command::new(cargo_fuzz)
        .current_dir(root)
        .args(["build", "--fuzz-dir", "appliance/fuzz", "--sanitizer", "none", "--target-dir"])
        .arg(target.join("fuzz")))?;
    let kept = root.join("appliance/fuzz");
    let of = |(name, max_len)| Target {
        name,
        max_len,
        program: target.join("fuzz").join(TRIPLE).join("release").join(name),
        corpus: kept.join("corpus").join(name),
        regressions: kept.join("regressions").join(name),
        found: target.join(found).join(name),
        artifacts: target.join("fuzz-artifacts").join(name),
        log: target.join("fuzz-logs").join(name),
    };
    Ok(TARGETS.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)).map(of).collect())
}

/// What cargo-fuzz builds for.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Does `work` for all targets, [`JOBS`] at once.
fn at_once(targets: &[Target], work: impl Fn(&Target) -> Result<Outcome> + Sync) -> Result<Vec<Outcome>> {
    let left = Mutex::new(targets.iter());
    let next = || left.lock().ok()?.next();
    let outcomes: Vec<Result<Vec<Outcome>>> = std::thread::scope(|scope| {
        let lane = || std::iter::from_fn(next).map(&work).collect();
        let lanes: Vec<_> = (0..JOBS).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| bail!("a lane panicked"))).collect()
    });
    Ok(outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    println!("{:<10} {:>11} {:>7} {:>14} {:>8} {:>7}  result", "target", "runs", "edges", "corpus", "RSS MB", "s");
    for o in outcomes {
        let result = if o.passed { "passed" } else { "FAILED" };
        println!(
            "{:<10} {:>11} {:>7} {:>14} {:>8} {:>7.1}  {result}",
            o.name, o.runs, o.edges, o.corpus, o.memory, o.seconds
        );
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|o| !o.passed).collect();
    for o in &failed {
        println!("{}: what broke it is in {}, how in {}", o.name, o.artifacts.display(), o.log.display());
    }
    if failed.is_empty() { Ok(()) } else { bail!("fuzzing found something") }
}

impl Target {
    /// Every kept input once.
    fn replay(&self) -> Result<Outcome> {
        self.run("-runs=0".to_owned())
    }

    /// Guided by coverage for so long, beginning with every input that is known.
    fn fuzz(&self, seconds: u64) -> Result<Outcome> {
        self.run(format!("-max_total_time={seconds}"))
    }

    fn run(&self, until: String) -> Result<Outcome> {
        for directory in [&self.found, &self.artifacts] {
            fs::create_dir_all(directory)?;
        }
        let mut command = self.command(self.max_len)?;
        // libFuzzer writes into the first directory only.
        command.arg(until).arg("-print_final_stats=1").arg("-reload=0").arg(&self.found).args(self.kept());
        let started = Instant::now();
        let status = command.status().with_context(|| format!("cannot run {}", self.program.display()))?;
        let seconds = started.elapsed().as_secs_f32();
        let text = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        let stat = |key: &str| {
            let line = text.lines().rev().find_map(|line| line.strip_prefix(key));
            line.map_or_else(|| "?".to_owned(), |value| value.trim().to_owned())
        };
        // `#123 NEW cov: 45 ft: 67 corp: 8/90Kb …`; a replay says `INITED`, and of an empty corpus nothing.
        let progress = text.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
        let word = |key: &str| {
            let mut words = progress.split_whitespace().skip_while(|word| *word != key);
            words.nth(1).unwrap_or("?").to_owned()
        };
        Ok(Outcome {
            name: self.name,
            passed: status.success(),
            runs: stat("stat::number_of_executed_units:"),
            edges: word("cov:"),
            corpus: word("corp:"),
            memory: stat("stat::peak_rss_mb:"),
            seconds,
            artifacts: self.artifacts.clone(),
            log: self.log.clone(),
        })
    }

    /// Replaces the kept corpus by the fewest of all known inputs that take every branch that was taken.
    fn minimise(&self) -> Result<()> {
        let fewest = self.found.with_extension("fewest");
        empty(&fewest)?;
        let mut command = self.command(self.max_len.min(KEPT_LEN))?;
        command.args(["-set_cover_merge=1", "-use_counters=0"]).arg(&fewest).args(self.kept()).arg(&self.found);
        let status = command.status().with_context(|| format!("cannot run {}", self.program.display()))?;
        if !status.success() {
            bail!("{}: not minimised, see {}", self.name, self.log.display());
        }
        empty(&self.corpus)?;
        for entry in fs::read_dir(&fewest)? {
            let entry = entry?;
            fs::copy(entry.path(), self.corpus.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// The target under the bars, its output in its log.
    fn command(&self, max_len: u32) -> Result<Command> {
        if let Some(directory) = self.log.parent() {
            fs::create_dir_all(directory)?;
        }
        let log = fs::File::create(&self.log)?;
        let mut command = Command::new(&self.program);
        command
            .arg(format!("-timeout={HANG_SECONDS}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg(format!("-max_len={max_len}"))
            .arg(format!("-artifact_prefix={}/", self.artifacts.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    /// The directories of kept inputs that there are.
    fn kept(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.corpus, &self.regressions].into_iter().filter(|directory| directory.is_dir())
    }
}

/// An empty directory.
fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

/// The gates of the fuzz crate, which is a workspace of its own: format and lints.
pub(crate) fn gates(root: &Path) -> Result<()> {
    let manifest = ["--manifest-path", "appliance/fuzz/Cargo.toml"];
    run(cargo(root).arg("fmt").args(manifest).arg("--check"))?;
    run(cargo(root)
        .args(["clippy", "--quiet", "--locked"])
        .args(manifest)
        .arg("--target-dir")
        .arg(build::target(root).join("fuzz-lint"))
        .args(["--all-targets", "--", "-D", "warnings"]))
}
