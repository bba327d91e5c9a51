//! The log: journald when the service manager gave us one, readable text on standard error otherwise.
//!
//! Only our own crates speak. A library's events may carry what it parses (an AE title, a name), so they are off whatever
//! the level; the level of ours is `GIFT_LOG` (`error`, `warn`, `info`, `debug`, `trace`; default `info`).

use gift_status::Process;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts the log of one of the four processes.
pub fn start_log(process: Process) {
    start_log_of(process.name());
}

/// Starts the log of the program `gift-<name>`.
pub fn start_log_of(name: &str) {
    let registry = tracing_subscriber::registry().with(ours(std::env::var("GIFT_LOG").ok().as_deref()));
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journald) = tracing_journald::layer()
    {
        registry.with(journald.with_syslog_identifier(format!("gift-{name}"))).init();
        return;
    }
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    registry.with(text).init();
}

/// Our crates (`gift_…`) at `level`, everything else off.
fn ours(level: Option<&str>) -> Targets {
    let level = level.and_then(|text| text.parse().ok()).unwrap_or(LevelFilter::INFO);
    Targets::new().with_default(LevelFilter::OFF).with_target("gift", level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_never_speak_and_ours_do() {
        let filter = ours(Some("trace"));
        assert!(filter.would_enable("gift_receiver::events", &Level::TRACE));
        for library in ["dicom_ul::pdu", "hyper", "rustls::client", "rusqlite"] {
            assert!(!filter.would_enable(library, &Level::ERROR), "{library}");
        }
        assert!(ours(Some("nonsense")).would_enable("gift_deid", &Level::INFO));
    }
}
