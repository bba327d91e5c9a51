//! CPU time and memory of another program, with all that it starts.
//!
//! The kernel sums what a process's children used, once they have been waited for; so each program is run by a process of its own,
//! `xtask measure`, which has no other children and says what it was told.

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// What a program used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Used {
    /// In user mode and in the kernel, the whole process tree, s.
    pub(crate) cpu_s: f64,
    /// Largest resident set of any one process, KiB.
    pub(crate) peak_kib: i64,
}

/// What it used, when it succeeded.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    success: bool,
    used: Used,
}

/// Runs `program` with `arguments` in `directory`, its output discarded, and says what it used.
pub(super) fn measure(directory: &Path, program: &Path, arguments: &[String]) -> Result<Used> {
    let own = std::env::current_exe()?;
    let output = Command::new(own)
        .current_dir(directory)
        .arg("measure")
        .arg("--")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .context("cannot run xtask measure")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{}: {}", program.display(), String::from_utf8_lossy(&output.stderr)))?;
    ensure!(report.success, "{} failed: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    Ok(report.used)
}

/// Leaves this process, and what it starts, one processor: a tool with several threads would otherwise be charged for what two
/// threads of one core, or of one memory bus, take from each other.
fn one_processor() -> Result<()> {
    let allowed = sched_getaffinity(Pid::this())?;
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::count()).rev().find(|n| allowed.is_set(*n).unwrap_or(false)) {
        one.set(last)?;
        sched_setaffinity(Pid::this(), &one)?;
    }
    Ok(())
}

/// `xtask measure`: the process that [`measure`] starts.
pub(crate) fn report(command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no program")?;
    one_processor()?;
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let used = Used {
        cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
        // Linux gives it in KiB.
        peak_kib: usage.max_rss(),
    };
    println!("{}", serde_json::to_string(&Report { success: status.success(), used })?);
    Ok(ExitCode::SUCCESS)
}
