//! De-identifying a folder: every object under IN_DIR is released to OUT_DIR or listed as held.
//!
//! A result is written into a directory that only this user can read and is moved to its place once it is judged; whatever ends
//! the run, nothing unjudged lies in OUT_DIR itself.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{IsTerminal as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use gift_status::HoldReason;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use walkdir::WalkDir;

use crate::lane::{Answer, Lane, Start};

/// The list of what was held.
const HELD: &str = "held.json";
/// Where results are written before they are judged.
const WORK: &str = ".work";

/// One object that was not released.
#[derive(Debug, Serialize)]
struct Held {
    /// Its path under IN_DIR.
    input: String,
    /// Why, in the word that quarantine and fleet page use.
    reason: &'static str,
    /// The template or never-burnt-in rule that cleared pixels in which an identifier can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared_by: Option<String>,
    /// The format, for whoever makes templates; without a patient's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<serde_json::Value>,
}

/// De-identifies every object under `start.in_dir` into `start.out_dir`.
///
/// # Errors
/// `out_dir` cannot be made or holds something, or a file system failed: the objects that could not be read or written are
/// named, all others are done.
pub(crate) fn deidentify(mut start: Start) -> Result<()> {
    let inputs = inputs(&start.in_dir)?;
    fs::create_dir_all(&start.out_dir).with_context(|| start.out_dir.display().to_string())?;
    ensure!(fs::read_dir(&start.out_dir)?.next().is_none(), "{}: not empty", start.out_dir.display());
    (start.in_dir, start.out_dir) = (start.in_dir.canonicalize()?, start.out_dir.canonicalize()?);
    ensure!(!start.out_dir.starts_with(&start.in_dir), "{}: lies in IN_DIR", start.out_dir.display());
    let work = start.out_dir.join(WORK);
    fs::DirBuilder::new().mode(0o700).create(&work)?;
    let run =
        Run { inputs: &inputs, next: AtomicUsize::new(0), progress: progress(inputs.len()), done: Mutex::default() };
    let lanes = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let ends: Vec<Result<()>> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|number| {
                let lane = Lane::new(Start { work: work.join(number.to_string()), ..start.clone() });
                let run = &run;
                scope.spawn(move || run.lane(lane))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    run.progress.finish_and_clear();
    fs::remove_dir_all(&work)?;
    ends.into_iter().collect::<Result<()>>()?;
    run.done.into_inner().unwrap_or_else(PoisonError::into_inner).report(&start.out_dir, inputs.len())
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

/// What the lanes share.
struct Run<'a> {
    inputs: &'a [PathBuf],
    next: AtomicUsize,
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
    /// One lane: takes what is next until nothing is left.
    fn lane(&self, mut lane: Lane) -> Result<()> {
        while let Some(input) = self.inputs.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let answer = lane.judge(input)?;
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Answer::Released => done.released += 1,
                Answer::Held(reason, fingerprint) => done.hold(input, reason, None, fingerprint),
                Answer::TextFound(ground, fingerprint) => {
                    done.hold(input, HoldReason::TextInPixels, Some(ground), fingerprint);
                }
                Answer::Failed(why) => done.failed.push(format!("{}: {why}", input.display())),
            }
            self.progress.inc(1);
        }
        Ok(())
    }
}

impl Done {
    fn hold(&mut self, input: &Path, reason: HoldReason, cleared_by: Option<String>, fingerprint: Option<String>) {
        let fingerprint = fingerprint.and_then(|text| serde_json::from_str(&text).ok());
        let input = input.to_string_lossy().into_owned();
        self.held.push(Held { input, reason: reason.as_str(), cleared_by, fingerprint });
    }

    /// Writes the list of what was held and says how the run ended.
    fn report(mut self, out_dir: &Path, objects: usize) -> Result<()> {
        self.held.sort_unstable_by(|a, b| a.input.cmp(&b.input));
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
