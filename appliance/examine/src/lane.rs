//! One lane of a folder run: a child process that judges one object after the other, so that a crash of a parser or codec costs one
//! object. Memory and time of the child are bounded as on the box (there is no sandbox beyond that); it speaks JSON lines on its standard input and output.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileExt as _, OpenOptionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use gift_deid::{
    eyes::{Eyes, Look, Sampling},
    judge::{Files, Judge, Outcome},
    key::SiteKey,
    reader::Reader,
    settings::{Ocr, Workers},
};
use gift_spool::ItemId;
use gift_status::HoldReason;
use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::alarm,
};
use serde::{Deserialize, Serialize};

use crate::{
    key::Key,
    options::Name,
    policy::{self, PROFILE},
};

/// This program, whatever happened to its file since.
const PROGRAM: &str = "/proc/self/exe";
/// The hidden verb.
pub(crate) const VERB: &str = "lane";

/// What a lane needs to know; its first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Root of the policy.
    pub(crate) policy: PathBuf,
    /// The caller's templates.
    pub(crate) templates: Option<PathBuf>,
    /// Options of the profile.
    pub(crate) options: Vec<Name>,
    /// Key of the pseudonyms.
    pub(crate) key: Key,
    /// Where inputs are.
    pub(crate) in_dir: PathBuf,
    /// Where released objects go.
    pub(crate) out_dir: PathBuf,
    /// The lane's own directory, on the file system of `out_dir`.
    pub(crate) work: PathBuf,
    /// The second look.
    pub(crate) ocr: Ocr,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It lies in `out_dir`.
    Released,
    /// It is not released.
    Held(HoldReason, Option<String>),
    /// It is not released: an identifier was read in the pixels that this template or rule cleared.
    TextFound(String, Option<String>),
    /// It could not be read or written.
    Failed(String),
}

/// A lane as its owner sees it.
pub(crate) struct Lane {
    start: Start,
    child: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Lane {
    /// A lane; its process starts with the first object.
    pub(crate) fn new(start: Start) -> Self {
        Self { start, child: None }
    }

    /// Judges the object at `input`, a path under `in_dir`.
    ///
    /// # Errors
    /// There is no lane to be had.
    pub(crate) fn judge(&mut self, input: &Path) -> Result<Answer> {
        if self.child.is_none() {
            self.child = Some(spawn(&self.start)?);
        }
        let Some((child, stdin, stdout)) = &mut self.child else { bail!("no lane") };
        let mut answer = String::new();
        let said = say(stdin, &input.as_os_str().as_bytes()).and_then(|()| Ok(stdout.read_line(&mut answer)?));
        if let (Ok(1..), Ok(answer)) = (said, serde_json::from_str(&answer)) {
            return Ok(answer);
        }
        // It is dead, or will be: nothing of the object has left its own directory.
        let _ = child.kill();
        let ended = child.wait()?;
        self.child = None;
        let timeout = ended.signal() == Some(Signal::SIGALRM as i32);
        Ok(Answer::Held(if timeout { HoldReason::WorkerTimeout } else { HoldReason::WorkerCrashed }, None))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some((mut child, stdin, _)) = self.child.take() {
            drop(stdin);
            let _ = child.wait();
        }
    }
}

fn spawn(start: &Start) -> Result<(Child, ChildStdin, BufReader<ChildStdout>)> {
    let mut child = Command::new(PROGRAM)
        .arg(VERB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A panic message can quote what was parsed.
        .stderr(Stdio::null())
        .spawn()
        .context("starting a lane")?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        bail!("a lane without pipes")
    };
    say(&mut stdin, start)?;
    let mut stdout = BufReader::new(stdout);
    let mut ready = String::new();
    stdout.read_line(&mut ready)?;
    match serde_json::from_str(&ready) {
        Ok(Ok(())) => return Ok((child, stdin, stdout)),
        Ok(Err::<(), String>(why)) => bail!(why),
        Err(_) => {}
    }
    child.wait()?;
    bail!("a lane did not become ready")
}

fn say(to: &mut impl Write, what: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    Ok(to.flush()?)
}

/// The child: serves until its owner closes the pipe.
///
/// # Errors
/// The owner's pipe or the policy; the owner is told why.
pub(crate) fn serve() -> Result<()> {
    std::panic::set_hook(Box::new(|_| std::process::exit(101)));
    let bounds = Workers::default();
    setrlimit(Resource::RLIMIT_AS, bounds.memory_bytes, bounds.memory_bytes)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let mut lines = io::stdin().lock().lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let start: Start = serde_json::from_str(&first?)?;
    let ready = || {
        let judge = policy::judge(&start.policy, start.templates.as_deref(), &start.options)?;
        anyhow::Ok((judge, start.key.load()?, Room::new(&start)?))
    };
    let mut stdout = io::stdout().lock();
    let (judge, key, room) = match ready() {
        Ok(ready) => ready,
        Err(why) => return say(&mut stdout, &Err::<(), _>(format!("{why:#}"))),
    };
    say(&mut stdout, &Ok::<_, String>(()))?;
    let mut sight = Sight { room: &room, reader: Reader::of(&start.ocr), sampling: Sampling::new(start.ocr.clone()) };
    for line in lines {
        let input: Vec<u8> = serde_json::from_str(&line?)?;
        alarm::set(u32::try_from(bounds.timeout_seconds)?);
        let answer = room
            .one(&judge, &key, &mut sight, &OsString::from_vec(input))
            .unwrap_or_else(|e| Answer::Failed(format!("{e:#}")));
        alarm::cancel();
        say(&mut stdout, &answer)?;
    }
    Ok(())
}

/// The second look: a reader of the picture in scratch.
struct Sight<'r> {
    room: &'r Room<'r>,
    reader: Option<Reader>,
    sampling: Sampling,
}

impl Eyes for Sight<'_> {
    fn wants(&mut self, redacted: bool, series: &str) -> Option<Look> {
        self.sampling.wants(redacted, series, false)
    }

    fn read(&mut self, picture: &[u8]) -> io::Result<Option<String>> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let scratch = &self.room.scratch;
        scratch.set_len(0)?;
        scratch.write_all_at(picture, 0)?;
        Ok(reader.read(scratch, None, &mut || ()).ok())
    }
}

/// A lane's place: its scratch and where its results are until they are judged.
struct Room<'s> {
    start: &'s Start,
    output: PathBuf,
    scratch: File,
}

impl<'s> Room<'s> {
    fn new(start: &'s Start) -> Result<Self> {
        fs::create_dir_all(&start.work)?;
        let scratch = start.work.join("scratch");
        let _ = fs::remove_file(&scratch);
        Ok(Self { start, output: start.work.join("output"), scratch: open_new(&scratch)? })
    }

    fn one(&self, judge: &Judge, mut key: &SiteKey, eyes: &mut dyn Eyes, input: &OsString) -> Result<Answer> {
        let input = File::open(self.start.in_dir.join(input))?;
        let bytes = input.metadata()?.len();
        let _ = fs::remove_file(&self.output);
        let output = open_new(&self.output)?;
        self.scratch.set_len(0)?;
        let files = Files { input: &input, output: &output, scratch: &self.scratch };
        match judge.judge_part10(bytes, PROFILE, files, (&mut key, eyes, None))? {
            Outcome::TextFound(ground, fingerprint) => Ok(Answer::TextFound(ground, fingerprint)),
            Outcome::Held(reason, fingerprint) => Ok(Answer::Held(reason, fingerprint)),
            Outcome::Released(_) => {
                fs::rename(&self.output, self.start.out_dir.join(format!("{}.dcm", ItemId::random()?)))?;
                Ok(Answer::Released)
            }
        }
    }
}

fn open_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}
