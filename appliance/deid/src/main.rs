//! gift-deid: takes what the receiver deposited, de-identifies or holds it, and releases what is safe.
//!
//! May touch: `intake/inbox/` (takes and erases), `deid/`, its staging in `release/`, its status directory, its
//! credentials. Sockets: AF_UNIX only (service manager, journal, its own workers).
//! May not touch: any network, whatever starts it (its own filter refuses); uplink's, receiver's and hub's state.
//! A compromise of a worker yields one object and what the hub accepts; it has no key, no file system, no socket. A
//! compromise of the monitor yields the box's images and the site key, with the hub as the only exit.

use std::{path::Path, process::ExitCode};

use gift_deid::{error::DeidError, events, key, monitor, sandbox, settings::Settings, worker};

/// This program, whatever happened to its file since: workers are always of the same version.
const PROGRAM: &str = "/proc/self/exe";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["worker"] => Ok(worker::serve().map_or_else(|error| error.exit_status().into(), |()| ExitCode::SUCCESS)),
        ["make-key", path] => {
            key::make(Path::new(path))?;
            Ok(ExitCode::SUCCESS)
        }
        ["--config", path] => {
            gift_service::harden()?;
            events::start();
            Ok(serve(Path::new(path)).map_or_else(
                |error| {
                    events::failed(&error);
                    ExitCode::FAILURE
                },
                |()| ExitCode::SUCCESS,
            ))
        }
        _ => anyhow::bail!("usage: gift-deid --config FILE | make-key FILE"),
    }
}

fn serve(config: &Path) -> Result<(), DeidError> {
    let settings = Settings::load(config)?;
    // Before any thread: both hold for all of them.
    let signals = monitor::signals()?;
    sandbox::confine_monitor()?;
    monitor::serve(settings, Path::new(PROGRAM), &signals)
}
