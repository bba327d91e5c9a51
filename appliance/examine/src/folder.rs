//! De-identifying a folder: every object under IN_DIR is released to OUT_DIR or listed as held.
//!
//! Each thread has a judge's three files and takes the next path. A result is written into a directory that only this user can
//! read and is moved to its place once it is judged; whatever ends the run, nothing unjudged lies in OUT_DIR itself. A panic in a
//! parser costs one object.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{IsTerminal as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use gift_deid::{
    judge::{Files, Judge, Outcome},
    key::SiteKey,
};
use gift_spool::ItemId;
use gift_status::HoldReason;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use walkdir::WalkDir;

use crate::policy::PROFILE;

/// The list of what was held.
const HELD: &str = "held.json";
/// Where results are written before they are judged.
const WORK: &str = ".work";

/// One object that was not released.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Held {
    /// Its path under IN_DIR.
    input: String,
    /// Why, in the word that quarantine and fleet page use.
    reason: &'static str,
    /// The format, for whoever makes templates; without a patient's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// De-identifies every object under `in_dir` into `out_dir`.
///
/// # Errors
/// `out_dir` cannot be made or holds something, or a file system failed: the objects that could not be read or written are
/// named, all others are done.
pub(crate) fn deidentify(judge: &Judge, key: &SiteKey, in_dir: &Path, out_dir: &Path) -> Result<()> {
    let inputs = inputs(in_dir)?;
    fs::create_dir_all(out_dir).with_context(|| out_dir.display().to_string())?;
    ensure!(fs::read_dir(out_dir)?.next().is_none(), "{}: not empty", out_dir.display());
    ensure!(
        !out_dir.canonicalize()?.starts_with(in_dir.canonicalize()?),
        "{}: lies inside {}",
        out_dir.display(),
        in_dir.display()
    );
    let work = out_dir.join(WORK);
    fs::DirBuilder::new().mode(0o700).create(&work)?;
    // What a panic would print can quote an object.
    std::panic::set_hook(Box::new(|_| ()));
    let run = Run { judge, key, in_dir, out_dir, progress: progress(inputs.len()), done: Mutex::default() };
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..threads)
            .map(|number| {
                let (run, next, inputs, work) = (&run, &next, &inputs, &work);
                scope.spawn(move || run.lane(&work.join(number.to_string()), inputs, next))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let _ = std::panic::take_hook();
    run.progress.finish_and_clear();
    fs::remove_dir_all(&work)?;
    outcomes.into_iter().collect::<Result<()>>()?;
    run.done.into_inner().unwrap_or_else(PoisonError::into_inner).report(out_dir, inputs.len())
}

/// Every file under `in_dir`, by its path there.
fn inputs(in_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(in_dir).follow_links(true).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            found.push(entry.path().strip_prefix(in_dir)?.to_owned());
        }
    }
    Ok(found)
}

fn progress(objects: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(objects as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} objects, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// What the threads share.
struct Run<'a> {
    judge: &'a Judge,
    key: &'a SiteKey,
    in_dir: &'a Path,
    out_dir: &'a Path,
    progress: ProgressBar,
    done: Mutex<Done>,
}

/// What became of the objects so far.
#[derive(Default)]
struct Done {
    released: usize,
    held: Vec<Held>,
    failed: Vec<String>,
}

impl Run<'_> {
    /// One thread: judges what is next until nothing is left.
    fn lane(&self, work: &Path, inputs: &[PathBuf], next: &AtomicUsize) -> Result<()> {
        fs::create_dir(work)?;
        let (scratch, output) = (work.join("scratch"), work.join("output"));
        let scratch = open_new(&scratch)?;
        while let Some(input) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = self.one(input, &output, &scratch);
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(None) => done.released += 1,
                Ok(Some((reason, fingerprint))) => {
                    let input = input.to_string_lossy().into_owned();
                    done.held.push(Held { input, reason: reason.as_str(), fingerprint });
                }
                Err(error) => done.failed.push(format!("{}: {error:#}", input.display())),
            }
            self.progress.inc(1);
        }
        Ok(())
    }

    /// Judges one object; why it is held, when it is.
    fn one(&self, input: &Path, output: &Path, scratch: &File) -> Result<Option<(HoldReason, Option<String>)>> {
        let input = File::open(self.in_dir.join(input))?;
        let bytes = input.metadata()?.len();
        let _ = fs::remove_file(output);
        let result = open_new(output)?;
        scratch.set_len(0)?;
        let files = Files { input: &input, output: &result, scratch };
        let judged =
            catch_unwind(AssertUnwindSafe(|| self.judge.judge_part10(bytes, PROFILE, files, &mut { self.key })));
        match judged {
            Err(_) => Ok(Some((HoldReason::WorkerCrashed, None))),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(Outcome::Held(reason, fingerprint))) => Ok(Some((reason, fingerprint))),
            Ok(Ok(Outcome::Released(_))) => {
                fs::rename(output, self.out_dir.join(format!("{}.dcm", ItemId::random()?)))?;
                Ok(None)
            }
        }
    }
}

fn open_new(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

impl Done {
    /// Writes the list of what was held and says how the run ended.
    fn report(mut self, out_dir: &Path, objects: usize) -> Result<()> {
        self.held.sort_unstable();
        let mut list = File::create(out_dir.join(HELD))?;
        serde_json::to_writer_pretty(&mut list, &self.held)?;
        writeln!(list)?;
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        self.held.iter().for_each(|held| *reasons.entry(held.reason).or_default() += 1);
        println!("{objects} files: {} released, {} held", self.released, self.held.len());
        reasons.iter().for_each(|(reason, count)| println!("  {count:6} {reason}"));
        if !self.failed.is_empty() {
            bail!("{} could not be read or written:\n{}", self.failed.len(), self.failed.join("\n"));
        }
        ensure!(self.released + self.held.len() == objects, "the count does not add up");
        Ok(())
    }
}
