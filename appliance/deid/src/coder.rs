//! The monitor's side of video: starts `gift-video` on a worker's pipes and files, bounded in time, and tells how it ended.
//!
//! Streams and frames pass between worker and coder by pipes and files without names, which the monitor hands over and does not read.
//! Each pipe is used once: at its end the worker sees that its coder has ended, however that was. So a worker judges one object with
//! video, and is then replaced.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use gift_redact::video::{Coding, Film, Scan, Standard};
use nix::{
    fcntl::OFlag,
    sys::memfd::{MFdFlags, memfd_create},
    unistd::pipe2,
};

use crate::{protocol::Coder as Asked, settings::Video, work::FilmFiles};

/// How often it is looked whether a coder has ended.
const LOOK: Duration = Duration::from_millis(2);
/// What a coder is tried on, px.
const TRY_SIDE: u16 = 64;

/// Why there is no coder.
#[derive(Debug, thiserror::Error)]
pub enum CodeFault {
    /// A program is not there.
    #[error("{0}: not there")]
    Missing(PathBuf),
    /// It cannot be started, or its stream not be handed over.
    #[error("coder of video cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It failed, or took too long.
    #[error("coder of video failed")]
    Failed,
}

/// The ends of pipes that a worker has; see [`Film`].
#[derive(Debug)]
pub struct WorkerEnds {
    /// Frames as received.
    pub received: File,
    /// The same once more.
    pub again: File,
    /// Frames of what was written.
    pub written: File,
    /// Frames to be encoded.
    pub frames: File,
}

/// The other ends; each is handed over once.
#[derive(Debug)]
struct CoderEnds {
    received: Option<File>,
    again: Option<File>,
    written: Option<File>,
    frames: Option<File>,
}

/// The coders of one worker.
#[derive(Debug)]
pub struct Coders {
    video: Video,
    /// Longest stream that is encoded, bytes.
    most_bytes: u64,
    files: FilmFiles,
    ends: CoderEnds,
    running: Vec<Started>,
    /// All that were started could be, and those that ended succeeded.
    good: bool,
    /// The worker asked for one.
    pub used: bool,
}

/// A started coder; it ends with this.
#[derive(Debug)]
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Coders {
    /// Those that the settings ask for, with the worker's ends of their pipes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(video: &Video, most_bytes: u64, files: &FilmFiles) -> io::Result<Option<(Self, WorkerEnds)>> {
        if !video.is_on() {
            return Ok(None);
        }
        let pipe = || pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (File::from(read), File::from(write)));
        let [(received, to_received), (again, to_again), (written, to_written), (of_frames, frames)] =
            [pipe()?, pipe()?, pipe()?, pipe()?];
        let ends = CoderEnds {
            received: Some(to_received),
            again: Some(to_again),
            written: Some(to_written),
            frames: Some(of_frames),
        };
        let (video, files) = (video.clone(), files.try_clone()?);
        let coders = Self { video, most_bytes, files, ends, running: Vec::new(), good: true, used: false };
        Ok(Some((coders, WorkerEnds { received, again, written, frames })))
    }

    /// Starts what the worker asks for. `None` when it asks for what no object needs: it is not to be trusted any more.
    pub fn start(&mut self, asked: &Asked) -> Option<()> {
        self.used = true;
        let files = &self.files;
        let started = match asked {
            Asked::Decode(film, coding) => {
                let (end, stream) = match film {
                    Film::Received => (&mut self.ends.received, &files.stream_read),
                    Film::ReceivedAgain => (&mut self.ends.again, &files.stream_read),
                    Film::Written => (&mut self.ends.written, &files.scratch_read),
                };
                let end = end.take()?;
                stream.try_clone().and_then(|stream| decode(&self.video, *coding, stream, Stdio::from(end)))
            }
            Asked::Encode(coding, scan) => {
                let end = self.ends.frames.take()?;
                // Emptied after each object; where it is written next is where the last coder left it.
                let stream = files.encoded.try_clone().and_then(|mut stream| stream.rewind().map(|()| stream));
                stream.and_then(|stream| encode(&self.video, (*coding, *scan, self.most_bytes), end, stream))
            }
            Asked::Finish => return None,
        };
        // Where none could be started its pipe is closed, and the worker sees an end.
        match started {
            Ok(started) => self.running.push(started),
            Err(_) => self.good = false,
        }
        Some(())
    }

    /// Waits until all that were started have ended; true when all of them succeeded. By `deadline` they are ended.
    pub fn finish(&mut self, deadline: Option<Instant>, alive: &mut dyn FnMut()) -> bool {
        let mut good = self.good;
        for started in self.running.drain(..) {
            good &= wait(started, deadline, alive).is_some_and(|status| status.success());
        }
        good
    }

    /// Ends all of them.
    pub fn kill(&mut self) {
        self.running.clear();
    }

    /// The time that an object has once it turns out to be video.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.video.timeout_seconds)
    }
}

/// How it ended, by `deadline`.
fn wait(mut started: Started, deadline: Option<Instant>, alive: &mut dyn FnMut()) -> Option<ExitStatus> {
    let mut told = Instant::now();
    loop {
        match started.0.try_wait() {
            Ok(None) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return None,
            Ok(None) => std::thread::sleep(LOOK),
            Ok(status) => return status,
            Err(_) => return None,
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            alive();
        }
    }
}

/// That it works: everything is there, and a short film of each codec is encoded and decoded by `deadline`.
///
/// # Errors
/// [`CodeFault`]; the process must not serve.
pub fn try_out(video: &Video, deadline: Instant) -> Result<(), CodeFault> {
    if !video.is_on() {
        return Ok(());
    }
    if let Some(missing) = [&video.coder, &video.program].into_iter().find(|path| !path.exists()) {
        return Err(CodeFault::Missing(missing.clone()));
    }
    let memory = |name: &str| memfd_create(name, MFdFlags::MFD_CLOEXEC).map(File::from).map_err(io::Error::from);
    let ended =
        |started| wait(started, Some(deadline), &mut || ()).filter(ExitStatus::success).ok_or(CodeFault::Failed);
    for standard in [Standard::Mpeg2Main, Standard::Avc41, Standard::HevcMain, Standard::HevcMain10] {
        let coding = Coding { standard, rows: TRY_SIDE, columns: TRY_SIDE };
        let (mut frames, encoded) = (memory("gift-frames")?, memory("gift-stream")?);
        let (term, width) = if standard.bits() > 8 { ("420p10", 2) } else { ("420jpeg", 1) };
        frames.write_all(format!("YUV4MPEG2 W{TRY_SIDE} H{TRY_SIDE} F25:1 Ip A1:1 C{term}\nFRAME\n").as_bytes())?;
        let frame = usize::from(TRY_SIDE) * usize::from(TRY_SIDE) * 3 / 2 * width;
        frames.write_all(&vec![0; frame])?;
        frames.rewind()?;
        let most_bytes = 1 << 20;
        ended(encode(video, (coding, Scan::Progressive, most_bytes), frames, encoded.try_clone()?)?)?;
        ended(decode(video, coding, encoded, Stdio::null())?)?;
    }
    Ok(())
}

/// The names that `gift-video` has for them.
fn words(standard: Standard) -> (&'static str, &'static str) {
    match standard {
        Standard::Mpeg2Main => ("mpeg2-main", "mpeg2"),
        Standard::Mpeg2High => ("mpeg2-high", "mpeg2"),
        Standard::Avc41 => ("avc-41", "avc"),
        Standard::Avc42 => ("avc-42", "avc"),
        Standard::HevcMain => ("hevc-main", "hevc"),
        Standard::HevcMain10 => ("hevc-main10", "hevc"),
    }
}

fn decode(video: &Video, coding: Coding, stream: File, frames: Stdio) -> io::Result<Started> {
    let mut command = Command::new(&video.coder);
    command.arg("decode").arg(&video.program).arg(words(coding.standard).1);
    spawn(command, video, coding, Stdio::from(stream), frames)
}

fn encode(
    video: &Video,
    (coding, scan, most_bytes): (Coding, Scan, u64),
    frames: File,
    stream: File,
) -> io::Result<Started> {
    let scan = match scan {
        Scan::Progressive => "progressive",
        Scan::TopFirst => "top-first",
        Scan::BottomFirst => "bottom-first",
    };
    let mut command = Command::new(&video.coder);
    command.arg("encode").arg(&video.program).args([words(coding.standard).0, scan]);
    command.args([video.crf.to_string(), most_bytes.to_string()]);
    spawn(command, video, coding, Stdio::from(frames), Stdio::from(stream))
}

fn spawn(mut command: Command, video: &Video, coding: Coding, from: Stdio, to: Stdio) -> io::Result<Started> {
    let started = command
        .args([coding.columns.to_string(), coding.rows.to_string()])
        .args([video.memory_bytes.to_string(), video.timeout_seconds.to_string()])
        .env_clear()
        .current_dir(Path::new("/"))
        .stdin(from)
        .stdout(to)
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Started(started))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::VideoMode;

    fn files() -> FilmFiles {
        let directory = tempfile::tempdir().unwrap();
        crate::work::WorkFiles::new(directory.path()).unwrap().film
    }

    #[test]
    fn what_is_not_there_is_named_and_what_is_off_is_not_asked_for() {
        let soon = Instant::now() + Duration::from_secs(60);
        let video = Video { mode: VideoMode::Redact, coder: "/nowhere/gift-video".into(), ..Video::default() };
        assert_eq!(try_out(&video, soon).unwrap_err().to_string(), "/nowhere/gift-video: not there");
        assert!(Coders::of(&Video::default(), 1, &files()).unwrap().is_none());
        try_out(&Video::default(), soon).unwrap();
        let video = Video { coder: "/bin/false".into(), program: "/bin/false".into(), ..video };
        assert!(matches!(try_out(&video, soon), Err(CodeFault::Failed)));
        // One that does not end by itself is ended: time is up for all of them together.
        let endless = Video { coder: "/usr/bin/yes".into(), ..video };
        let began = Instant::now();
        assert!(matches!(try_out(&endless, began), Err(CodeFault::Failed)));
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn each_pipe_is_handed_over_once() {
        let video = Video { mode: VideoMode::Redact, coder: "/bin/true".into(), ..Video::default() };
        let (mut coders, _ends) = Coders::of(&video, 1, &files()).unwrap().unwrap();
        let coding = Coding { standard: Standard::Avc41, rows: 64, columns: 64 };
        for asked in [Asked::Decode(Film::Received, coding), Asked::Encode(coding, Scan::Progressive)] {
            assert!(coders.start(&asked).is_some());
            assert!(coders.start(&asked).is_none());
        }
        assert!(coders.finish(None, &mut || ()));
        // One that cannot be started is a failure, not a death.
        coders.video.coder = "/nowhere/gift-video".into();
        assert!(coders.start(&Asked::Decode(Film::Written, coding)).is_some());
        assert!(!coders.finish(None, &mut || ()));
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let video = Video { mode: VideoMode::Redact, coder: "/bin/sleep".into(), ..Video::default() };
        let mut command = Command::new(&video.coder);
        command.arg("60");
        let started = Started(command.spawn().unwrap());
        let begun = Instant::now();
        assert!(wait(started, Some(begun + Duration::from_millis(50)), &mut || ()).is_none());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
