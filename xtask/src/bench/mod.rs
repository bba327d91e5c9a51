//! `cargo xtask bench deid | redact`: our de-identification and redaction beside other programs, on the same generated objects in
//! one run.
//!
//! What is compared is work for CPU time: user and system time of the whole process tree, starting up and reading its policy
//! included, nothing subtracted. Each runs on one processor. All read the same folder, from the page cache, and write to the same file system. Each tool runs
//! several times and the median counts, because the machine may have other work. Ratios are what a bar is stated in; the absolute
//! figures are this machine's.

mod measure;
mod peers;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

pub(crate) use measure::report;
use measure::{Used, measure};
use peers::Tool;

use crate::{
    build, install,
    run::{cargo, run},
};

/// CT slices of 512 x 512 x 16 bit, as many as make starting up small beside them.
const CT: Load = Load { name: "ct", kind: "ct", count: 400, more: &["--side", "512"] };
/// 13 frames of 720 x 960 RGB: 27 MB; as many as make starting up small beside them.
const RAW_CINE: Load = Load { name: "raw-cine", kind: "raw-cine", count: 24, more: &["--frames", "13"] };
/// 60 frames of 640 x 480, JPEG baseline 4:2:2.
const JPEG_CINE: Load =
    Load { name: "jpeg-cine", kind: "jpeg-cine", count: 20, more: &["--frames", "60", "--size", "480", "640"] };
const JPEG_FRAMES: f64 = 20.0 * 60.0;
/// One object of half a megabyte.
const SMALL: Load = Load { name: "small", kind: "ct", count: 1, more: &["--side", "512"] };
/// One of 500 MB (15,812² pixels of 2 bytes), of which no pixel needs to change.
const LARGE: Load = Load { name: "large", kind: "ct", count: 1, more: &["--side", "15812"] };
/// One cine of 500 MB, which is redacted.
const LARGE_CINE: Load = Load { name: "large-cine", kind: "raw-cine", count: 1, more: &["--frames", "241"] };
/// What "flat" allows, MiB: buffers of the same code take a few.
const FLAT_MIB: f64 = 8.0;

/// Objects of one kind and size.
struct Load {
    name: &'static str,
    /// As `gift-scanner load` calls it.
    kind: &'static str,
    count: usize,
    more: &'static [&'static str],
}

/// What to measure.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum What {
    /// De-identification, beside gdcmanon, dicomanonymizer, dicognito and cp.
    Deid,
    /// Redaction of pixels, beside numpy with Pillow, and cp.
    Redact,
}

/// Where and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Runs of each tool; the median counts.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Where objects and results are written; a folder of this name is made there.
    #[arg(long, default_value = "/dev/shm")]
    directory: PathBuf,
    /// Leave the other de-identifiers out: for trying a change.
    #[arg(long)]
    only_ours: bool,
}

/// One line of a table.
struct Row {
    tool: &'static str,
    used: Used,
}

/// Runs the benchmark.
pub(crate) fn bench(root: &Path, what: What, options: &Options) -> Result<()> {
    install::bench_packages()?;
    let python = install::bench_python(root)?;
    run(cargo(root).args(["build", "--quiet", "--release", "-p", "gift-examine"]))?;
    run(cargo(root).args(["build", "--quiet", "-p", "gift-e2e", "--bin", "gift-scanner"]))?;
    let bench = Bench {
        root,
        work: options.directory.join("gift-bench"),
        release: build::target(root).join("release"),
        scanner: build::target(root).join("debug/gift-scanner"),
        python,
        repeat: options.repeat.max(1),
        only_ours: options.only_ours,
    };
    fs::create_dir_all(bench.work.join("kept"))?;
    let result = match what {
        What::Deid => bench.deid(),
        What::Redact => bench.redact(),
    };
    fs::remove_dir_all(&bench.work)?;
    result
}

struct Bench<'a> {
    root: &'a Path,
    work: PathBuf,
    release: PathBuf,
    scanner: PathBuf,
    python: PathBuf,
    repeat: usize,
    only_ours: bool,
}

impl Bench<'_> {
    fn deid(&self) -> Result<()> {
        let kept = self.work.join("kept");
        let ours = || peers::ours(self.root, &self.release.join("gift-examine"), &kept);
        let mut tools = vec![peers::copy(), ours()?];
        if !self.only_ours {
            tools.extend(peers::deidentifiers(&self.python, &kept)?);
        }
        let mut bars = Bars::default();
        for load in [&CT, &RAW_CINE, &JPEG_CINE] {
            let rows = self.compare(load, &tools)?;
            let ratio = |other| ratio(&rows, other);
            match load.name {
                "ct" => {
                    bars.at_least("CT objects for each CPU second, beside gdcmanon", 1.0, ratio(peers::GDCMANON));
                    bars.at_least("CT objects for each CPU second, beside dicomanonymizer", 8.0, ratio(peers::KITWARE));
                }
                "raw-cine" => bars.at_least("raw cines, beside cp", 0.6, ratio(peers::COPY)),
                _ => {}
            }
        }
        let mut peak = Vec::new();
        for load in [&SMALL, &LARGE, &LARGE_CINE] {
            let rows = self.compare(load, &[ours()?])?;
            peak.push(rows[0].used.peak_kib as f64 / 1024.0);
        }
        bars.at_most("500 MB beside 0.5 MB: MiB more at the peak", FLAT_MIB, Some(peak[1] - peak[0]));
        bars.at_most("500 MB cine, redacted: MiB more at the peak", FLAT_MIB, Some(peak[2] - peak[0]));
        bars.print();
        Ok(())
    }

    fn redact(&self) -> Result<()> {
        run(cargo(self.root).args(["build", "--quiet", "--release", "-p", "gift-redact", "--example", "redact"]))?;
        let program = self.release.join("examples/redact");
        let pillow = peers::pillow(self.root, &self.python);
        let rows = self.compare(&JPEG_CINE, &[peers::copy(), peers::redact(&program, &["0,0,640,49"]), pillow])?;
        let mut bars = Bars::default();
        let ours = rows.iter().find(|row| row.tool == peers::OURS).context("no row of ours")?;
        bars.at_least("JPEG 640 x 480, frames a CPU second", 1_000.0, Some(JPEG_FRAMES / ours.used.cpu_s));
        bars.at_least("JPEG 640 x 480, beside numpy+Pillow", 5.0, ratio(&rows, peers::PILLOW));
        let pillow = peers::pillow(self.root, &self.python);
        let regions = ["76,3,430,28", "76,36,430,26"];
        let rows = self.compare(&RAW_CINE, &[peers::copy(), peers::redact(&program, &regions), pillow])?;
        bars.at_least("raw cine, beside cp", 0.8, ratio(&rows, peers::COPY));
        bars.print();
        Ok(())
    }

    /// Runs every tool on a load and prints the table.
    fn compare(&self, load: &Load, tools: &[Tool]) -> Result<Vec<Row>> {
        let input = self.work.join(load.name);
        let count = load.count.to_string();
        run(std::process::Command::new(&self.scanner)
            .arg("load")
            .arg(&input)
            .args(["--kind", load.kind, "--count", &count])
            .args(load.more))?;
        let bytes = warm(&input)?;
        let output = self.work.join("out");
        let mut runs: Vec<Vec<Used>> = tools.iter().map(|_| Vec::new()).collect();
        // In turns, so that what else the machine does meets all of them.
        for _ in 0..self.repeat {
            for (tool, runs) in tools.iter().zip(&mut runs) {
                let _ = fs::remove_dir_all(&output);
                fs::create_dir(&output)?;
                runs.push(measure(&self.work, &tool.program, &tool.arguments(&input, &output))?);
                let written = objects(&output).with_context(|| format!("{}: {}", tool.name, output.display()))?;
                ensure!(written == load.count, "{}: {written} of {count} objects", tool.name);
            }
        }
        let _ = fs::remove_dir_all(&output);
        fs::remove_dir_all(&input)?;
        let rows: Vec<Row> = tools.iter().zip(runs).map(|(t, runs)| Row { tool: t.name, used: median(runs) }).collect();
        println!(
            "\n{} {} objects, {:.1} MB each, median of {}",
            count,
            load.name,
            bytes / 1e6 / load.count as f64,
            self.repeat
        );
        println!("{:<16}{:>14}{:>12}{:>14}{:>14}", "tool", "objects/CPU s", "MB/CPU s", "peak RSS MiB", "ours is");
        for Row { tool, used } in &rows {
            let ours = ratio(&rows, tool).map_or(String::new(), |ratio| format!("{ratio:.2} x"));
            println!(
                "{tool:<16}{:>14.1}{:>12.0}{:>14.1}{ours:>14}",
                load.count as f64 / used.cpu_s,
                bytes / 1e6 / used.cpu_s,
                used.peak_kib as f64 / 1024.0
            );
        }
        Ok(rows)
    }
}

/// How many times as much ours does in a CPU second as `other`.
fn ratio(rows: &[Row], other: &str) -> Option<f64> {
    let cpu = |name: &str| rows.iter().find(|row| row.tool == name).map(|row| row.used.cpu_s);
    Some(cpu(other)? / cpu(peers::OURS)?)
}

/// By CPU time; the peak is the largest.
fn median(mut runs: Vec<Used>) -> Used {
    runs.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
    let peak_kib = runs.iter().map(|run| run.peak_kib).max().unwrap_or_default();
    Used { peak_kib, ..runs[runs.len() / 2] }
}

/// Reads every file of a folder, so that no tool is the one that waits for the disk; its bytes.
fn warm(directory: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        bytes += std::io::copy(&mut fs::File::open(entry?.path())?, &mut std::io::sink())?;
    }
    Ok(bytes as f64)
}

/// DICOM objects under a folder.
fn objects(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        count += match entry.file_type()?.is_dir() {
            true => objects(&entry.path())?,
            false => usize::from(entry.path().extension().is_none_or(|e| e != "json")),
        };
    }
    Ok(count)
}

/// What is to be reached.
#[derive(Default)]
struct Bars(Vec<String>);

impl Bars {
    fn at_least(&mut self, what: &str, bar: f64, figure: Option<f64>) {
        self.put(what, ">=", bar, figure, |figure| figure >= bar);
    }

    fn at_most(&mut self, what: &str, bar: f64, figure: Option<f64>) {
        self.put(what, "<=", bar, figure, |figure| figure <= bar);
    }

    fn put(&mut self, what: &str, sign: &str, bar: f64, figure: Option<f64>, reached: impl Fn(f64) -> bool) {
        let Some(figure) = figure else { return };
        let verdict = if reached(figure) { "reached" } else { "missed " };
        self.0.push(format!("{verdict}  {figure:>8.2}  (bar {sign} {bar})  {what}"));
    }

    fn print(&self) {
        println!();
        self.0.iter().for_each(|line| println!("{line}"));
    }
}
