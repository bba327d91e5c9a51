//! Readiness and watchdog (sd_notify), by the `systemd` crate. All of it does nothing when no service manager listens.

use std::time::{Duration, Instant};

use systemd::daemon;

/// The process's side of its service manager.
///
/// The watchdog beats only when [`Supervisor::progress`] is called, so call it where the pipeline made progress or found
/// itself idle, never from a timer of its own.
#[derive(Debug)]
pub struct Supervisor {
    interval: Option<Duration>,
    last_beat: Option<Instant>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// Asks the environment whether a watchdog is wanted.
    pub fn new() -> Self {
        let interval = daemon::watchdog_enabled().ok().filter(|&us| us > 0).map(|us| Duration::from_micros(us) / 3);
        Self { interval, last_beat: None }
    }

    /// Tells the service manager that the process serves.
    pub fn ready(&self) {
        notify("READY", "1");
    }

    /// Tells the service manager that the process ends on request.
    pub fn stopping(&self) {
        notify("STOPPING", "1");
    }

    /// The pipeline made progress or is idle: beats when a beat is due.
    pub fn progress(&mut self) {
        let Some(interval) = self.interval else { return };
        if self.last_beat.is_none_or(|at| at.elapsed() >= interval) {
            notify("WATCHDOG", "1");
            self.last_beat = Some(Instant::now());
        }
    }
}

fn notify(key: &str, value: &str) {
    // A failed notification has no better receiver than the service manager itself, which will see the silence.
    let _ = daemon::notify([(key, value)].iter());
}
