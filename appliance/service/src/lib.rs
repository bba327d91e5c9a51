//! What every process of the box does with its service manager: settings with file and line in the error, log to journald or
//! the terminal, readiness and watchdog, hardening of the process itself, the status record that `health` reads, and small
//! durable steps in its own house.
//!
//! Without systemd each of these has a plain fallback, so a process also runs from a terminal.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod durable;
mod harden;
mod log;
mod publish;
mod settings;
mod supervise;

pub use harden::harden;
pub use log::{start_log, start_log_of};
pub use publish::{StatusFile, StatusReadError, now_ms, read_status};
pub use settings::{SettingsError, load, parse};
pub use supervise::Supervisor;
