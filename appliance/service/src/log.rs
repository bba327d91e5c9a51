//! The log: journald when the service manager gave us one, readable text on standard error otherwise.

use gift_status::Process;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts the log. `RUST_LOG` sets the level (default `info`).
pub fn start_log(process: Process) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        if let Ok(journald) = tracing_journald::layer() {
            registry.with(journald.with_syslog_identifier(format!("gift-{}", process.name()))).init();
            return;
        }
    }
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    registry.with(text).init();
}
