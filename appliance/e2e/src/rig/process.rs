//! A supervised process: started, logged, restarted when it dies, as a service manager with `Restart=always` would.

use std::{
    fs::OpenOptions,
    net::TcpListener,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use command_fds::{CommandFdExt as _, FdMapping};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Delay before a dead process is started again (systemd's default).
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// How to start a process: who, where, with which sockets.
#[derive(Debug)]
pub(super) struct Recipe {
    /// Program and arguments, prefix commands included.
    pub(super) arguments: Vec<String>,
    /// Environment; nothing else is inherited.
    pub(super) environment: Vec<(String, String)>,
    /// Sockets to hand over (`LISTEN_FDS`), with their names.
    pub(super) sockets: Vec<(String, TcpListener)>,
    /// Where standard error goes.
    pub(super) log: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    stopping: bool,
    starts: u64,
    last_exit: Option<ExitStatus>,
}

/// A process that is kept alive until it is stopped.
#[derive(Debug)]
pub(super) struct Supervised {
    state: Arc<Mutex<State>>,
    keeper: Option<JoinHandle<Result<()>>>,
}

impl Supervised {
    /// Starts the process and its keeper.
    ///
    /// # Errors
    /// The first start's; later ones are retried.
    pub(super) fn start(recipe: Recipe) -> Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let mut child = spawn(&recipe)?;
        {
            let mut state = lock(&state);
            state.pid = Some(Pid::from_raw(child.id() as i32));
            state.starts = 1;
        }
        let shared = Arc::clone(&state);
        let keeper = std::thread::spawn(move || {
            loop {
                let status = child.wait()?;
                {
                    let mut state = lock(&shared);
                    state.pid = None;
                    state.last_exit = Some(status);
                }
                std::thread::sleep(RESTART_DELAY);
                let mut state = lock(&shared);
                if state.stopping {
                    return Ok(());
                }
                child = spawn(&recipe)?;
                state.pid = Some(Pid::from_raw(child.id() as i32));
                state.starts += 1;
            }
        });
        Ok(Self { state, keeper: Some(keeper) })
    }

    /// Process id, while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        lock(&self.state).pid.map(Pid::as_raw)
    }

    /// How often it was started.
    pub(super) fn starts(&self) -> u64 {
        lock(&self.state).starts
    }

    /// Sends a signal; false when the process does not run.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let state = lock(&self.state);
        state.pid.is_some_and(|pid| kill(pid, signal).is_ok())
    }

    /// Ends the process (SIGTERM, after `patience` SIGKILL) and its keeper; returns how it ended.
    pub(super) fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        lock(&self.state).stopping = true;
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + patience;
        while self.pid().is_some() {
            if Instant::now() > deadline {
                self.signal(Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        lock(&self.state).last_exit
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            self.stop(Duration::from_secs(5));
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(recipe: &Recipe) -> Result<std::process::Child> {
    let log = OpenOptions::new().create(true).append(true).open(&recipe.log).context("cannot open the log")?;
    // LISTEN_PID must be the final process's own id, which a shell knows and keeps across exec.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"[ -z "$LISTEN_FDS" ] || export LISTEN_PID=$$; exec "$@""#, "sh"]);
    command.args(&recipe.arguments).env_clear().envs(recipe.environment.iter().cloned());
    // A group of its own: Ctrl-C at the terminal is for the rig, which then ends its processes in order.
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    if !recipe.sockets.is_empty() {
        let names: Vec<&str> = recipe.sockets.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        let mut mappings = Vec::new();
        for (number, (_, socket)) in (3..).zip(&recipe.sockets) {
            let parent_fd: OwnedFd = socket.as_fd().try_clone_to_owned()?;
            mappings.push(FdMapping { parent_fd, child_fd: number });
        }
        command.fd_mappings(mappings)?;
    }
    command.spawn().with_context(|| format!("cannot start {}", recipe.arguments.join(" ")))
}
