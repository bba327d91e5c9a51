//! The worker: parsers and codecs behind a sandbox. It has no key, no name of anything, one channel and three files.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, ErrorKind},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
};

use gift_deidentify::pseudonym::{Answer, Ask, PseudonymError, Pseudonymise};
use gift_redact::video::VideoCoder;

use crate::{
    ask::{AskLimits, Budget},
    channel::{ChannelError, Endpoint},
    eyes::{Eyes, Look, Sampling},
    film::{Filming, Studio},
    judge::{Files, Judge, Outcome},
    policy::PolicyTexts,
    protocol::{ASKS_PER_MESSAGE, Order, Report},
    sandbox::{self, Landlock, SandboxError},
    settings::Ocr,
};

/// Why a worker ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The channel's; [`ChannelError::Closed`] is the ordinary end.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The sandbox could not be closed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Something else than what the monitor says.
    #[error("worker was given something else than its orders")]
    Order,
    /// A file's.
    #[error("worker's file: {0}")]
    Io(#[from] std::io::Error),
    /// The policy does not parse, although the monitor parsed it.
    #[error("policy does not parse")]
    Policy,
}

/// How a worker ends when the disk has no room (EX_TEMPFAIL).
pub const NO_ROOM: u8 = 75;

impl WorkerError {
    /// The exit status that says why.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Io(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => NO_ROOM,
            _ => 1,
        }
    }
}

/// A worker behind its closed sandbox.
#[derive(Debug)]
pub struct Prepared {
    /// The channel to the monitor.
    pub channel: Endpoint,
    /// The policy.
    pub policy: PolicyTexts,
    /// The object as received; read-only.
    pub input: File,
    /// Where the result goes.
    pub output: File,
    /// For redaction.
    pub scratch: File,
    /// How far landlock closes the sandbox.
    pub landlock: Landlock,
    /// What may be asked for one object.
    pub asks: AskLimits,
    /// The second look.
    pub ocr: Ocr,
    /// Where video is redacted.
    pub studio: Option<Studio>,
}

/// Takes the first order, closes the sandbox, reads the policy.
///
/// # Errors
/// [`WorkerError`].
pub fn prepare() -> Result<Prepared, WorkerError> {
    // What a panic would print can quote an object; the monitor sees the death itself.
    std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    sandbox::close_inherited()?;
    let mut channel = Endpoint::new(std::io::stdin().as_fd().try_clone_to_owned()?);
    let (order, descriptors) = channel.recv_descriptors::<Order>()?;
    let Order::Start(start) = order else { return Err(WorkerError::Order) };
    let mut files: Vec<File> = descriptors.into_iter().map(File::from).collect();
    let film = files.split_off(files.len().min(4));
    let studio =
        if start.video.is_on() { Some(Studio::of(film, &start.video).ok_or(WorkerError::Order)?) } else { None };
    let [policy, input, output, scratch] = <[File; 4]>::try_from(files).map_err(|_| WorkerError::Order)?;
    let landlock = sandbox::enter_worker(&start.bounds)?;
    let policy = PolicyTexts::read(&policy, start.policy_bytes).map_err(|_| WorkerError::Policy)?;
    Ok(Prepared { channel, policy, input, output, scratch, landlock, asks: start.asks, ocr: start.ocr, studio })
}

/// Serves until the monitor closes the channel.
///
/// # Errors
/// [`WorkerError`]; the process ends either way, and nobody reads why.
pub fn serve() -> Result<(), WorkerError> {
    let Prepared { channel, policy, input, output, scratch, landlock, asks, ocr, mut studio } = prepare()?;
    let channel = RefCell::new(channel);
    let mut sampling = Sampling::new(ocr);
    let judge = Judge::new(&policy).map_err(|_| WorkerError::Policy)?;
    drop(policy);
    channel.borrow().send(&Report::Ready { landlock }, &[], None)?;
    loop {
        let job = match channel.borrow_mut().recv::<Order>(None, || ()) {
            Ok(Order::Judge(job)) => job,
            Ok(_) => return Err(WorkerError::Order),
            Err(ChannelError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let files = Files { input: &input, output: &output, scratch: &scratch };
        let mut line = Line { channel: &channel, budget: Budget::new(asks) };
        let mut sight = Sight { channel: &channel, scratch: &scratch, sampling: &mut sampling, always: job.look };
        let mut filming = studio.as_mut().map(|studio| Filming { channel: &channel, studio });
        let coder = filming.as_mut().map(|filming| filming as &mut dyn VideoCoder);
        let report = match judge.judge(&job, files, (&mut line, &mut sight, coder))? {
            Outcome::Released(sealed) => Report::Released(Box::new(sealed.into_value())),
            Outcome::TextFound(ground, fingerprint) => Report::TextFound { ground, fingerprint },
            Outcome::Held(reason, fingerprint) => Report::Held { reason, fingerprint },
        };
        channel.borrow().send(&report, &[], None)?;
    }
}

/// The second look: the monitor has the picture in scratch read.
struct Sight<'a> {
    channel: &'a RefCell<Endpoint>,
    scratch: &'a File,
    sampling: &'a mut Sampling,
    always: bool,
}

impl Eyes for Sight<'_> {
    fn wants(&mut self, redacted: bool, series: &str) -> Option<Look> {
        self.sampling.wants(redacted, series, self.always)
    }

    fn read(&mut self, picture: &[u8]) -> io::Result<Option<String>> {
        self.scratch.set_len(0)?;
        self.scratch.write_all_at(picture, 0)?;
        self.channel.borrow().send(&Report::Read, &[], None).map_err(io::Error::other)?;
        match self.channel.borrow_mut().recv::<Order>(None, || ()) {
            Ok(Order::Text(text)) => Ok(text),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// The line to the monitor, which holds the key.
struct Line<'a> {
    channel: &'a RefCell<Endpoint>,
    budget: Budget,
}

impl Pseudonymise for Line<'_> {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Answer>, PseudonymError> {
        if !asks.iter().all(|ask| self.budget.admit(ask).is_ok()) {
            return Err(PseudonymError::Refused);
        }
        let mut answers = Vec::with_capacity(asks.len());
        let mut rest = asks;
        let mut most = ASKS_PER_MESSAGE;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(most.min(rest.len()));
            match self.channel.borrow().send(&Report::Ask(batch.to_vec()), &[], None) {
                Ok(()) => {}
                // Long values: fewer at a time.
                Err(ChannelError::Form) if batch.len() > 1 => {
                    most = batch.len() / 2;
                    continue;
                }
                Err(ChannelError::Form) => return Err(PseudonymError::Refused),
                Err(_) => return Err(PseudonymError::Channel),
            }
            match self.channel.borrow_mut().recv::<Order>(None, || ()) {
                Ok(Order::Answers(more)) if more.len() == batch.len() => answers.extend(more),
                _ => return Err(PseudonymError::Channel),
            }
            rest = after;
        }
        Ok(answers)
    }
}
