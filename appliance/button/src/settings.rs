//! `button.toml`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use gift_service::SettingsError;
use serde::Deserialize;

use crate::hold::Times;

/// Settings of the button's watch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Key code of the button (Linux input-event-codes.h).
    #[serde(default = "key_restart")]
    pub(crate) key: u16,
    /// How long it must be held before letting go resets the box, seconds.
    #[serde(default = "ten")]
    pub(crate) reset_seconds: u64,
    /// How long it must be held before letting go decommissions the box, seconds; 0: the button cannot do that.
    #[serde(default = "thirty")]
    pub(crate) decommission_seconds: u64,
    /// One that was held for longer than that was stuck, seconds: letting go does nothing. Absent, that is twice the longer time above.
    #[serde(default)]
    pub(crate) longest_seconds: Option<u64>,
    /// Where input devices are.
    #[serde(default = "dev_input")]
    pub(crate) devices: PathBuf,
    /// The file that asks.
    #[serde(default = "request")]
    pub(crate) request: PathBuf,
}

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsFault {
    /// Unreadable, or not TOML of this shape.
    #[error(transparent)]
    Form(#[from] SettingsError),
    /// A touch would be enough, or the two times are too near to each other for a hand.
    #[error(
        "reset-seconds must be at least 5, decommission-seconds 0 or at least 10 more than that, longest-seconds at least 10 more than both"
    )]
    Times,
}

/// Shortest time that a hand does not hold by accident, seconds.
const SHORTEST: u64 = 5;
/// So much later than the reset the decommissioning comes at least, and the end after that, seconds.
const APART: u64 = 10;

fn key_restart() -> u16 {
    408
}
fn ten() -> u64 {
    10
}
fn thirty() -> u64 {
    30
}
fn dev_input() -> PathBuf {
    "/dev/input".into()
}
fn request() -> PathBuf {
    "/run/gift/button/request".into()
}

impl Settings {
    /// Reads and checks them.
    ///
    /// # Errors
    /// [`SettingsFault`].
    pub(crate) fn load(path: &Path) -> Result<Self, SettingsFault> {
        let settings: Self = gift_service::load(path)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsFault> {
        let apart =
            self.decommission_seconds == 0 || self.decommission_seconds >= self.reset_seconds.saturating_add(APART);
        let ends = self.longest_seconds() >= self.last().saturating_add(APART);
        if self.reset_seconds < SHORTEST || !apart || !ends { Err(SettingsFault::Times) } else { Ok(()) }
    }

    fn last(&self) -> u64 {
        self.reset_seconds.max(self.decommission_seconds)
    }

    fn longest_seconds(&self) -> u64 {
        self.longest_seconds.unwrap_or_else(|| self.last().saturating_mul(2).max(self.last().saturating_add(APART)))
    }

    /// How long the button must be held.
    pub(crate) fn times(&self) -> Times {
        let decommission = (self.decommission_seconds > 0).then(|| Duration::from_secs(self.decommission_seconds));
        let longest = Duration::from_secs(self.longest_seconds());
        Times { reset: Duration::from_secs(self.reset_seconds), decommission, longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../config/samples/button.toml");

    fn parse(text: &str) -> Result<Settings, SettingsFault> {
        let settings: Settings = gift_service::parse(Path::new("button.toml"), text)?;
        settings.check()?;
        Ok(settings)
    }

    #[test]
    fn the_sample_parses_and_its_comments_tell_the_defaults() {
        let plain = parse(SAMPLE).unwrap();
        let on: String = SAMPLE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert!(on.contains("\nkey = 408\n"));
        let told = parse(&on).unwrap();
        assert_eq!(told.times(), plain.times());
        assert_eq!(Settings { longest_seconds: None, ..told }, plain);
        assert_eq!(plain.times().decommission, Some(Duration::from_secs(30)));
        assert_eq!(plain.times().longest, Duration::from_secs(60));
        assert_eq!(parse("decommission-seconds = 300").unwrap().times().longest, Duration::from_secs(600));
    }

    #[test]
    fn what_a_touch_would_trigger_is_refused() {
        for text in [
            "reset-seconds = 0",
            "reset-seconds = 4",
            "reset-seconds = 25",
            "decommission-seconds = 19",
            "decommission-seconds = 1",
            "longest-seconds = 39",
        ] {
            assert!(matches!(parse(text), Err(SettingsFault::Times)), "{text}");
        }
        assert!(matches!(parse("keys = 1"), Err(SettingsFault::Form(_))));
        assert_eq!(parse("decommission-seconds = 0").unwrap().times().decommission, None);
    }
}
