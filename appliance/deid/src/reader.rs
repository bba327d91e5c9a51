//! The monitor's side of the second look: starts `gift-ocr` on a worker's picture, bounded in time and in what it may say.
//!
//! The monitor sees neither pixels nor sense in what comes back: it passes on up to [`TEXT_BYTES`] of UTF-8, which identifies and
//! is never logged.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::settings::{Mode, Ocr};

/// Longest text taken from a reader, bytes.
pub const TEXT_BYTES: usize = 4096;
/// A grey picture without text, to try the reader on: enough of it for Tesseract to look at.
const BLANK: (&[u8], usize) = (b"P5\n64 64\n255\n", 64 * 64);

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// A program or the language data is not there.
    #[error("{0}: not there")]
    Missing(PathBuf),
    /// It cannot be started, or its picture not be handed over.
    #[error("reader of text cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It took too long.
    #[error("reader of text too slow")]
    Timeout,
    /// It failed, or said what it must not.
    #[error("reader of text failed")]
    Failed,
}

/// Starts readers.
#[derive(Debug, Clone)]
pub struct Reader {
    ocr: Ocr,
}

/// A started reader; it ends with this.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Already ended is as good. What it started ends with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Reader {
    /// The reader that the settings ask for.
    pub fn of(ocr: &Ocr) -> Option<Self> {
        (ocr.mode != Mode::Off).then(|| Self { ocr: ocr.clone() })
    }

    /// That it works: everything is there, and a blank picture is read by `deadline` and within the time set.
    ///
    /// # Errors
    /// [`ReadFault`]; the process must not serve.
    pub fn try_out(&self, deadline: Option<Instant>) -> Result<(), ReadFault> {
        let Ocr { reader, program, tessdata, .. } = &self.ocr;
        if let Some(missing) = [reader, program, tessdata].into_iter().find(|path| !path.exists()) {
            return Err(ReadFault::Missing(missing.clone()));
        }
        let (header, pixels) = BLANK;
        let mut blank = File::from(memfd_create("gift-picture", MFdFlags::MFD_CLOEXEC).map_err(io::Error::from)?);
        blank.write_all(header)?;
        blank.write_all(&vec![0; pixels])?;
        self.read(&blank, deadline, &mut || ()).map(drop)
    }

    /// Has `picture` read, by `deadline` and within the time set; `alive` is called about once a second.
    ///
    /// # Errors
    /// [`ReadFault`].
    pub fn read(
        &self,
        picture: &File,
        deadline: Option<Instant>,
        alive: &mut dyn FnMut(),
    ) -> Result<String, ReadFault> {
        let Ocr { reader, program, tessdata, timeout_seconds, memory_bytes, .. } = &self.ocr;
        let latest = Instant::now() + Duration::from_secs(*timeout_seconds);
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let mut started = Started(
            Command::new(reader)
                .arg("read")
                .args([program, tessdata])
                .args([memory_bytes.to_string(), timeout_seconds.to_string()])
                .env_clear()
                .current_dir(Path::new("/"))
                .stdin(Stdio::from(picture.try_clone()?))
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?,
        );
        let mut pipe = started.0.stdout.take().ok_or(ReadFault::Failed)?;
        let mut text = vec![0; TEXT_BYTES + 1];
        let mut length = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ReadFault::Timeout);
            }
            let slice = left.min(Duration::from_secs(1)).max(Duration::from_millis(1));
            let timeout = PollTimeout::try_from(slice).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) | Err(Errno::EINTR) => {
                    alive();
                    continue;
                }
                Ok(_) => {}
                Err(error) => return Err(ReadFault::Start(error.into())),
            }
            match pipe.read(&mut text[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadFault::Start(error)),
            }
            if length > TEXT_BYTES {
                return Err(ReadFault::Failed);
            }
        }
        text.truncate(length);
        // Its pipe is closed; it ends, or is ended.
        let ended = loop {
            match started.0.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= deadline => return Err(ReadFault::Timeout),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if !ended.success() {
            return Err(ReadFault::Failed);
        }
        String::from_utf8(text).map_err(|_| ReadFault::Failed)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a reader that is this shell script comes to within so many seconds.
    fn read(script: &str, timeout_seconds: u64) -> Result<String, ReadFault> {
        let directory = tempfile::tempdir().unwrap();
        let reader = directory.path().join("reader");
        // By another process: a test beside this one that starts a program while this one has the file open for writing would
        // keep it so, and it could not be run (ETXTBSY).
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\"; chmod 755 \"$0\"";
        assert!(Command::new("/bin/sh").args(["-c", write]).arg(&reader).arg(script).status().unwrap().success());
        let picture = directory.path().join("picture");
        fs::write(&picture, "P5").unwrap();
        let ocr = Ocr { mode: Mode::All, reader, timeout_seconds, ..Ocr::default() };
        Reader::of(&ocr).unwrap().read(&File::open(picture).unwrap(), None, &mut || ())
    }

    #[test]
    fn a_reader_has_the_picture_and_no_environment() {
        assert_eq!(read("cat; echo \" $1 $5 $HOME\"", 20).unwrap(), "P5 read 20 \n");
    }

    #[test]
    fn a_slow_failing_talkative_or_babbling_reader_is_a_fault() {
        let started = Instant::now();
        assert!(matches!(read("exec sleep 60", 1), Err(ReadFault::Timeout)));
        // Its pipe closed, it goes on.
        assert!(matches!(read("exec 1>&-; exec sleep 60", 1), Err(ReadFault::Timeout)));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(matches!(read("echo word; exit 1", 20), Err(ReadFault::Failed)));
        assert!(matches!(read("exec yes", 20), Err(ReadFault::Failed)));
        assert!(matches!(read("printf '\\377'", 20), Err(ReadFault::Failed)));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let ocr = Ocr { mode: Mode::All, reader: "/nowhere/gift-ocr".into(), ..Ocr::default() };
        let fault = Reader::of(&ocr).unwrap().try_out(None).unwrap_err();
        assert_eq!(fault.to_string(), "/nowhere/gift-ocr: not there");
        assert!(Reader::of(&Ocr::default()).is_none());
    }
}
