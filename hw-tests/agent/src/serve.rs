//! The serial line.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use nix::{
    fcntl::{FallocateFlags, fallocate},
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the bench may ask.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    /// Run a program to its end.
    Run { words: Vec<String> },
    /// The text of a file, lossily.
    Read { path: String },
    /// Names in a directory.
    List { path: String },
    /// Write a file.
    Write { path: String, text: String },
    /// Take room on a disk: all that `leave` bytes do not need.
    Fill { path: String, leave: u64 },
    /// Remove a file.
    Remove { path: String },
    /// Rename a file.
    Rename { path: String, to: String },
}

/// Answers until the machine is switched off.
pub(crate) fn serve(device: &str) -> Result<()> {
    let line = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY)
        .open(device)
        .context(device.to_owned())?;
    let mut raw = tcgetattr(line.as_fd())?;
    cfmakeraw(&mut raw);
    tcsetattr(line.as_fd(), SetArg::TCSANOW, &raw)?;
    let mut answers = line.try_clone()?;
    // SAFETY: both calls take plain numbers and touch no memory of ours.
    let planted = unsafe {
        let mode = nix::libc::IPC_CREAT | 0o666;
        let key = i32::try_from(super::PLANTED_KEY)?;
        nix::libc::shmget(key, 4096, mode) >= 0 && nix::libc::msgget(key, mode) >= 0
    };
    anyhow::ensure!(planted, "cannot plant shared memory and a message queue");
    for request in BufReader::new(line).lines() {
        let answer = match serde_json::from_str(&request?) {
            Ok(request) => answer(request).unwrap_or_else(|error| json!({ "error": format!("{error:#}") })),
            Err(error) => json!({ "error": error.to_string() }),
        };
        answers.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

fn answer(request: Request) -> Result<Value> {
    Ok(match request {
        Request::Run { words } => {
            let (program, rest) = words.split_first().context("no program")?;
            let done = Command::new(program).args(rest).stdin(Stdio::null()).output()?;
            json!({
                "status": done.status.code(),
                "out": String::from_utf8_lossy(&done.stdout),
                "err": String::from_utf8_lossy(&done.stderr),
            })
        }
        Request::Read { path } => json!({ "text": String::from_utf8_lossy(&fs::read(path)?) }),
        Request::List { path } => {
            let names: std::io::Result<Vec<_>> = fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
                .collect();
            json!({ "names": names? })
        }
        Request::Write { path, text } => {
            fs::write(path, text)?;
            json!({})
        }
        Request::Fill { path, leave } => {
            let file = File::create(&path)?;
            let room = nix::sys::statvfs::fstatvfs(&file)?;
            let free = room.blocks_available() * room.fragment_size();
            let taken = free.saturating_sub(leave);
            if taken > 0 {
                fallocate(&file, FallocateFlags::empty(), 0, i64::try_from(taken)?)?;
            }
            json!({ "taken": taken })
        }
        Request::Remove { path } => {
            fs::remove_file(path)?;
            json!({})
        }
        Request::Rename { path, to } => {
            fs::rename(path, to)?;
            json!({})
        }
    })
}
