//! The monitor's side of one worker: start it, have it judge an object, answer its questions, end it.
//!
//! A worker is this same program, executed anew: fresh memory (no key), an empty environment, its channel as standard input,
//! nothing else open. What it says is checked; what it does beyond its orders ends it.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child as Process, Command, Stdio},
    time::{Duration, Instant},
};

use gift_deidentify::pseudonym::Pseudonymise;
use gift_status::HoldReason;

use crate::{
    ask::{AskLimits, AskRefused, Desk},
    channel::{self, ChannelError, Endpoint},
    coder::{Coders, WorkerEnds},
    protocol::{Coder, Facts, Job, Order, Report, Start},
    reader::{ReadFault, Reader},
    sandbox::{Bounds, Landlock},
    settings::{Ocr, Video},
    work::WorkFiles,
    worker,
};

/// Longest time for a worker to be ready: it only reads the policy.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Pictures that may be read for one object: one, and once more when the reader fails.
const LOOKS: u8 = 2;
/// Longest fingerprint taken from a worker, bytes.
const FINGERPRINT_BYTES: usize = 16 * 1024;

/// How a worker is to be.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The program: `/proc/self/exe`.
    pub program: PathBuf,
    /// Its bounds.
    pub bounds: Bounds,
    /// What it may ask for one object.
    pub asks: AskLimits,
    /// The second look.
    pub ocr: Ocr,
    /// Video.
    pub video: Video,
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system's: no process, no file.
    #[error("worker cannot be started: {0}")]
    Io(#[from] io::Error),
    /// It was started and did not become ready.
    #[error("worker does not become ready: {0}")]
    NotReady(#[from] ChannelError),
}

/// What a worker said of an object, as far as it was checked here.
#[derive(Debug)]
pub enum Judgement {
    /// Safe, it says.
    Release(Box<Facts>),
    /// To be held: an identifier was read in the pixels that this template or rule cleared.
    TextFound(String, Option<String>),
    /// To be held.
    Hold(HoldReason, Option<String>),
}

/// Why a worker said nothing that counts. It is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Death {
    /// It died by SIGKILL, which neither its limits nor its sandbox send: the object is not to blame.
    #[error("killed from outside")]
    Killed,
    /// It died by another signal (its sandbox sends SIGSYS) or ended by itself.
    #[error("crashed")]
    Crashed {
        /// The signal, when one ended it.
        signal: Option<i32>,
    },
    /// It took too long.
    #[error("too slow")]
    Timeout,
    /// It asked for what no object needs.
    #[error("asked too much: {0}")]
    Asked(AskRefused),
    /// It broke the protocol.
    #[error("broke the protocol")]
    Lied,
    /// It says that the disk had no room.
    #[error("no room on the disk")]
    NoRoom,
}

/// One worker.
#[derive(Debug)]
pub struct Child {
    process: Process,
    channel: Endpoint,
    /// Reads the worker's picture.
    reader: Option<(Reader, File)>,
    /// Decode and encode video.
    coders: Option<Coders>,
    /// Why the last second look failed.
    pub look_fault: Option<ReadFault>,
    /// How far landlock closes its sandbox.
    pub landlock: Landlock,
    /// Objects it was given.
    pub judged: u32,
}

impl Child {
    /// Starts a worker on `files`, with `policy` (a file of `policy_bytes`), and waits until its sandbox is closed.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(recipe: &Recipe, files: &WorkFiles, policy: &File, policy_bytes: u64) -> Result<Self, StartError> {
        let (channel, theirs) = channel::pair()?;
        let process = Command::new(&recipe.program)
            .arg("worker")
            .env_clear()
            .current_dir(Path::new("/"))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // A panic message can quote what was parsed.
            .stderr(Stdio::null())
            .spawn()?;
        let landlock = Landlock::None;
        let reader = Reader::of(&recipe.ocr).map(|reader| Ok::<_, io::Error>((reader, files.picture.try_clone()?)));
        let (coders, ends) = Coders::of(&recipe.video, recipe.bounds.file_bytes, &files.film)?.unzip();
        let mut child =
            Self { process, channel, reader: reader.transpose()?, coders, look_fault: None, landlock, judged: 0 };
        let deadline = Some(Instant::now() + START_TIMEOUT);
        let Recipe { bounds, asks, ocr, video, .. } = recipe.clone();
        let order = Order::Start(Start { bounds, policy_bytes, asks, ocr, video });
        let mut descriptors =
            vec![policy.as_fd(), files.input_for_worker.as_fd(), files.output.as_fd(), files.scratch.as_fd()];
        if let Some(WorkerEnds { received, again, written, frames }) = &ends {
            descriptors.extend([files.film.stream.as_fd(), files.film.encoded_read.as_fd()]);
            descriptors.extend([received.as_fd(), again.as_fd(), written.as_fd(), frames.as_fd()]);
        }
        child.channel.send(&order, &descriptors, deadline)?;
        match child.channel.recv(deadline, || ())? {
            Report::Ready { landlock } => child.landlock = landlock,
            _ => return Err(ChannelError::Form.into()),
        }
        Ok(child)
    }

    /// Has the object in its input judged within `limit` (video: within its own); `desk` answers the questions. After an error the
    /// worker is dead.
    ///
    /// # Errors
    /// [`Death`].
    pub fn judge<P: Pseudonymise>(
        &mut self,
        job: Job,
        desk: &mut Desk<'_, P>,
        limit: Duration,
        mut alive: impl FnMut(),
    ) -> Result<Judgement, Death> {
        self.judged += 1;
        let mut deadline = Some(Instant::now() + limit);
        self.look_fault = None;
        if let Err(error) = self.channel.send(&Order::Judge(job), &[], deadline) {
            return Err(self.end(&error));
        }
        let judgement = self.serve(desk, &mut deadline, &mut alive);
        // A coder whose frames nobody wanted waits for ever.
        if let Some(coders) = &mut self.coders {
            coders.kill();
        }
        judgement
    }

    /// Does what the worker asks for until it comes to a judgement.
    fn serve<P: Pseudonymise>(
        &mut self,
        desk: &mut Desk<'_, P>,
        deadline: &mut Option<Instant>,
        mut alive: &mut dyn FnMut(),
    ) -> Result<Judgement, Death> {
        let mut looks = LOOKS;
        loop {
            alive();
            let report = match self.channel.recv(*deadline, &mut alive) {
                Ok(report) => report,
                Err(error) => return Err(self.end(&error)),
            };
            match report {
                Report::Ask(asks) => match desk.answer(&asks) {
                    Ok(answers) => {
                        if let Err(error) = self.channel.send(&Order::Answers(answers), &[], *deadline) {
                            return Err(self.end(&error));
                        }
                    }
                    Err(refused) => {
                        self.kill();
                        return Err(Death::Asked(refused));
                    }
                },
                Report::Read if looks > 0 && self.reader.is_some() => {
                    looks -= 1;
                    let text = self.look(*deadline, &mut alive);
                    if let Err(error) = self.channel.send(&Order::Text(text), &[], *deadline) {
                        return Err(self.end(&error));
                    }
                }
                Report::Code(asked) => self.code(asked, deadline, &mut alive)?,
                Report::TextFound { ground, fingerprint } => {
                    let fingerprint = fingerprint.filter(|text| text.len() <= FINGERPRINT_BYTES);
                    return Ok(Judgement::TextFound(ground, fingerprint));
                }
                Report::Released(facts) => return Ok(Judgement::Release(facts)),
                Report::Held { reason, fingerprint } => {
                    let fingerprint = fingerprint.filter(|text| text.len() <= FINGERPRINT_BYTES);
                    return Ok(Judgement::Hold(reason, fingerprint));
                }
                Report::Ready { .. } | Report::Read => {
                    self.kill();
                    return Err(Death::Lied);
                }
            }
        }
    }

    /// Does what the worker asks for video. It has another deadline from the first of it on.
    fn code(&mut self, asked: Coder, deadline: &mut Option<Instant>, alive: &mut dyn FnMut()) -> Result<(), Death> {
        let Some(coders) = &mut self.coders else {
            self.kill();
            return Err(Death::Lied);
        };
        if asked == Coder::Finish {
            let good = coders.finish(*deadline, alive);
            return self.channel.send(&Order::Coded(good), &[], *deadline).map_err(|error| self.end(&error));
        }
        if !coders.used {
            *deadline = Some(Instant::now() + coders.timeout());
        }
        if coders.start(&asked).is_none() {
            self.kill();
            return Err(Death::Lied);
        }
        Ok(())
    }

    /// True when it judged an object with video: its pipes are used up.
    pub fn is_used_up(&self) -> bool {
        self.coders.as_ref().is_some_and(|coders| coders.used)
    }

    /// Has the picture read.
    fn look(&mut self, deadline: Option<Instant>, alive: &mut dyn FnMut()) -> Option<String> {
        let (reader, picture) = self.reader.as_ref()?;
        match reader.read(picture, deadline, alive) {
            Ok(text) => Some(text),
            Err(fault) => {
                self.look_fault = Some(fault);
                None
            }
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends the worker, and the coders it asked for.
    pub fn kill(&mut self) {
        if let Some(coders) = &mut self.coders {
            coders.kill();
        }
        // Already ended is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Why the channel failed, once the worker is dead.
    fn end(&mut self, error: &ChannelError) -> Death {
        let ended = match error {
            // The channel closes while the process ends: a moment later its status is there.
            ChannelError::Closed => (0..100).find_map(|_| {
                let status = self.process.try_wait().ok().flatten();
                if status.is_none() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                status
            }),
            _ => None,
        };
        self.kill();
        match (error, ended) {
            (ChannelError::Timeout, _) => Death::Timeout,
            (_, Some(status)) if status.signal() == Some(nix::libc::SIGKILL) => Death::Killed,
            (_, Some(status)) if status.code() == Some(i32::from(worker::NO_ROOM)) => Death::NoRoom,
            (_, Some(status)) => Death::Crashed { signal: status.signal() },
            (ChannelError::Closed, None) => Death::Crashed { signal: None },
            _ => Death::Lied,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
