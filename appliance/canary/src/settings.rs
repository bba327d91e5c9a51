//! What an operator may set: the sample `config/samples/canary.toml`, which a test parses and compares with the defaults.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Deserialize;

use crate::error::CanaryError;

/// Settings of the program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The receiver, on the loopback of the scanner side: the route demands that source.
    pub(crate) receiver: SocketAddr,
    /// Longest wait for one answer.
    #[serde(default = "half_a_minute")]
    pub(crate) timeout_seconds: u64,
}

fn half_a_minute() -> u64 {
    30
}

impl Settings {
    /// Reads and checks the settings file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn load(path: &Path) -> Result<Self, CanaryError> {
        let settings: Self = gift_service::load(path)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), CanaryError> {
        if !self.receiver.ip().is_loopback() {
            return Err(CanaryError::Range("receiver"));
        }
        if !(1..=600).contains(&self.timeout_seconds) {
            return Err(CanaryError::Range("timeout-seconds"));
        }
        Ok(())
    }

    /// Longest wait for one answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../config/samples/canary.toml");

    fn parse(text: &str) -> Result<Settings, CanaryError> {
        let settings: Settings = gift_service::parse(Path::new("canary.toml"), text)?;
        settings.check()?;
        Ok(settings)
    }

    #[test]
    fn the_sample_parses_its_comments_show_the_defaults_and_no_other_machine_is_called() {
        let spelled = SAMPLE.replace("# timeout-seconds", "timeout-seconds");
        assert_ne!(spelled, SAMPLE);
        assert_eq!(parse(SAMPLE).unwrap(), parse(&spelled).unwrap());
        assert!(parse(&SAMPLE.replace("127.0.0.1", "192.0.2.1")).is_err());
        assert!(parse(&spelled.replace("= 30", "= 0")).is_err());
    }
}
