//! What an operator may set. Defaults stand in the sample `config/samples/health.toml`, which a test parses and compares.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{error::HealthError, patterns::Patterns};

/// Settings of the process, as read from its TOML file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the receiver publishes `status.json`.
    pub(crate) receiver_status: PathBuf,
    /// Where deid does.
    pub(crate) deid_status: PathBuf,
    /// Where the uplink does.
    pub(crate) uplink_status: PathBuf,
    /// Where the updater does.
    #[serde(default = "updater_status")]
    pub(crate) updater_status: PathBuf,
    /// Where this process does.
    pub(crate) status_directory: PathBuf,
    /// A directory on the disk that holds the queues.
    pub(crate) state_disk: PathBuf,
    /// The receiver's reserve, bytes.
    pub(crate) reserve_bytes: u64,
    /// Own staging of the release drop.
    pub(crate) release_staging: PathBuf,
    /// The uplink's drop directory.
    pub(crate) release_outbox: PathBuf,
    /// How often to judge.
    #[serde(default = "one_second")]
    pub(crate) judge_interval_ms: u64,
    /// A process that said nothing yet is starting for so long, then it is down.
    #[serde(default = "two_minutes")]
    pub(crate) start_within_seconds: u64,
    /// The kernel's class of watchdogs, where one is to be; without it, nothing is said of them.
    #[serde(default)]
    pub(crate) watchdog_class: Option<PathBuf>,
    /// What systemd-networkd says of the scanner's side (its `state`); without it, nothing is said of that side.
    #[serde(default)]
    pub(crate) scanner_network: Option<PathBuf>,
    /// When to report.
    #[serde(default)]
    pub(crate) report: Report,
    /// What is asked of the canary; without it, nothing is.
    #[serde(default)]
    pub(crate) canary: Option<Canary>,
    /// The LEDs.
    pub(crate) leds: Leds,
}

/// When to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Report {
    /// At least this often.
    pub(crate) interval_seconds: u64,
    /// After a change of the verdict, no sooner than this after the report before.
    pub(crate) soonest_seconds: u64,
}

impl Default for Report {
    fn default() -> Self {
        // The hub calls a box offline after three missed reports; five seconds keep a flapping verdict from flooding it.
        Self { interval_seconds: 60, soonest_seconds: 5 }
    }
}

/// What is asked of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Canary {
    /// The hub must have been content with one within this time.
    pub(crate) longest_age_seconds: u64,
    /// After the start, the first one may take so long.
    #[serde(default = "a_quarter_of_an_hour")]
    pub(crate) first_within_seconds: u64,
}

/// The LEDs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Leds {
    /// What stands in the directory.
    pub(crate) kind: LedKind,
    /// Directory of the LEDs.
    pub(crate) directory: PathBuf,
    /// File with the patterns (`config/leds.toml`).
    pub(crate) patterns: PathBuf,
    /// Name of the power LED.
    #[serde(default = "power")]
    pub(crate) power: String,
    /// Name of the scanner LED.
    #[serde(default = "scanner")]
    pub(crate) scanner: String,
    /// Name of the uplink LED.
    #[serde(default = "uplink")]
    pub(crate) uplink: String,
    /// Name of the attention LED.
    #[serde(default = "attention")]
    pub(crate) attention: String,
}

/// How an LED is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LedKind {
    /// The kernel's LED class by its trigger `pattern`.
    Sysfs,
    /// One plain file per LED, with the pattern's word.
    Plain,
}

fn one_second() -> u64 {
    1000
}
/// A box that is not up by then is not starting any more.
const LONGEST_START_SECONDS: u64 = 900;

fn two_minutes() -> u64 {
    120
}
fn a_quarter_of_an_hour() -> u64 {
    900
}
fn updater_status() -> PathBuf {
    "/run/gift/status/updater".into()
}
fn power() -> String {
    "*power".into()
}
fn scanner() -> String {
    "*scanner".into()
}
fn uplink() -> String {
    "*uplink".into()
}
fn attention() -> String {
    "*attention".into()
}

impl Settings {
    /// Reads and checks the settings file.
    ///
    /// # Errors
    /// What is wrong with it, with file and line where there is one.
    pub(crate) fn load(path: &Path) -> Result<Self, HealthError> {
        let settings: Self = gift_service::load(path)?;
        settings.check()?;
        Patterns::load(&settings.leds.patterns)?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), HealthError> {
        // A verdict older than a stale record would be no verdict.
        if !(50..=gift_status::STALE_AFTER_MS / 3).contains(&self.judge_interval_ms) {
            return Err(HealthError::Range("judge-interval-ms"));
        }
        // What never begins must not be *starting* for ever.
        if self.start_within_seconds > LONGEST_START_SECONDS {
            return Err(HealthError::Range("start-within-seconds"));
        }
        if self.report.soonest_seconds == 0 || self.report.interval_seconds < self.report.soonest_seconds {
            return Err(HealthError::Range("report"));
        }
        if self.canary.is_some_and(|canary| canary.longest_age_seconds == 0 || canary.first_within_seconds == 0) {
            return Err(HealthError::Range("canary"));
        }
        for name in [&self.leds.power, &self.leds.scanner, &self.leds.uplink, &self.leds.attention] {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_');
            let end = name.strip_prefix('*').unwrap_or(name);
            if end.is_empty() || !end.chars().all(plain) {
                return Err(HealthError::LedName(name.clone()));
            }
        }
        Ok(())
    }

    /// How often to judge.
    pub(crate) fn judge_interval(&self) -> Duration {
        Duration::from_millis(self.judge_interval_ms)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SAMPLE: &str = include_str!("../../../config/samples/health.toml");

    pub(crate) fn parse(text: &str) -> Result<Settings, HealthError> {
        let settings: Settings = gift_service::parse(Path::new("health.toml"), text)?;
        settings.check()?;
        Ok(settings)
    }

    /// The sample with every commented default switched on.
    fn spelled_out() -> String {
        // The canary's table has no default: without it, none is asked for.
        let mut in_canary = false;
        let lines = SAMPLE.lines().map(|line| {
            if line.contains('[') {
                in_canary = line == "# [canary]";
            }
            if in_canary {
                return line;
            }
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let setting = bare.starts_with('[') || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            if setting { bare } else { line }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_parses_and_its_comments_show_the_defaults() {
        let (plain, spelled) = (parse(SAMPLE).unwrap(), parse(&spelled_out()).unwrap());
        assert!(spelled_out().contains("\njudge-interval-ms = 1000"));
        assert_eq!(format!("{plain:?}"), format!("{spelled:?}"));
        assert_eq!(plain.report, Report { interval_seconds: 60, soonest_seconds: 5 });
    }

    #[test]
    fn a_canary_is_asked_for_where_its_table_stands() {
        assert_eq!(parse(SAMPLE).unwrap().canary, None);
        let on = ["# [canary]", "# longest-age-seconds = 93600"];
        let text = on.iter().fold(SAMPLE.to_owned(), |text, line| {
            assert!(text.contains(line), "{line}");
            text.replacen(line, line.trim_start_matches("# "), 1)
        });
        let canary = Canary { longest_age_seconds: 93_600, first_within_seconds: 900 };
        assert_eq!(parse(&text).unwrap().canary, Some(canary));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (old, new) in [
            ("# judge-interval-ms = 1000", "judge-interval-ms = 9000 #"),
            ("# start-within-seconds = 120", "start-within-seconds = 901 #"),
            ("# [report]", "[report]\nsoonest-seconds = 0\n#"),
            ("# [report]", "[report]\nevery-seconds = 1\n#"),
            ("# power = \"*power\"", "power = \"../power\""),
            ("# power = \"*power\"", "power = \"*\""),
            ("# power = \"*power\"", "power = \"*/power\""),
            ("kind = \"sysfs\"", "kind = \"gpio\""),
            ("# [canary]", "[canary]\nfirst-within-seconds = 5 #"),
            ("# [canary]", "[canary]\nlongest-age-seconds = 0 #"),
        ] {
            assert!(SAMPLE.contains(old), "{old}");
            assert!(parse(&SAMPLE.replacen(old, new, 1)).is_err(), "{new}");
        }
    }
}
