//! Sending with a real SCU: DCMTK's `storescu`, several associations at once, each file's answer noted.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The file.
    pub file: PathBuf,
    /// True when the SCP answered 0000H.
    pub acknowledged: bool,
}

/// Sends `files` over `associations` parallel associations; `command` gives `storescu`, placed on the scanner's side.
///
/// # Errors
/// `storescu` cannot be started.
pub fn storescu(
    command: impl Fn() -> Command,
    (calling, called): (&str, &str),
    port: u16,
    files: &[PathBuf],
    associations: usize,
) -> Result<Vec<Sent>> {
    let share = files.len().div_ceil(associations.max(1)).max(1);
    let children = files
        .chunks(share)
        .map(|share| {
            let child = command()
                .env("TCP_NODELAY", "1")
                .args([
                    "-v",
                    "--no-halt",
                    "--required",
                    "--propose-jpeg8",
                    "--timeout",
                    "10",
                    "--acse-timeout",
                    "30",
                    "--dimse-timeout",
                    "120",
                ])
                .args(["--aetitle", calling, "--call", called, "127.0.0.1", &port.to_string()])
                .args(share)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .context("cannot start storescu")?;
            Ok((share, child))
        })
        .collect::<Result<Vec<_>>>()?;
    // Each child's output is collected by a thread of its own, so that none blocks on a full pipe.
    let waiting: Vec<_> =
        children.into_iter().map(|(share, child)| (share, std::thread::spawn(|| child.wait_with_output()))).collect();
    let mut sent = Vec::new();
    for (share, thread) in waiting {
        let output = thread.join().map_err(|_| anyhow::anyhow!("a waiting thread panicked"))??;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let acknowledged = acknowledged(&said);
        sent.extend(
            share.iter().map(|file| Sent { file: file.clone(), acknowledged: acknowledged.contains(&file.as_path()) }),
        );
    }
    Ok(sent)
}

/// The files that `storescu -v` says were answered with success.
fn acknowledged(said: &str) -> Vec<&Path> {
    let mut current = None;
    let mut acknowledged = Vec::new();
    for line in said.lines() {
        if let Some((_, file)) = line.split_once("Sending file: ") {
            current = Some(Path::new(file.trim()));
        } else if line.contains("Received Store Response (Success)") {
            acknowledged.extend(current.take());
        }
    }
    acknowledged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_counts() {
        let said = "I: Sending file: /a/1.dcm\nI: Received Store Response (Success)\nI: Sending file: /a/2.dcm\n\
                    I: Received Store Response (Refused: OutOfResources)\nI: Sending file: /a/3.dcm\n";
        assert_eq!(acknowledged(said), [Path::new("/a/1.dcm")]);
    }
}
