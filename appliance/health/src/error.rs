//! Why health cannot start. Once it runs it goes on, whatever fails: the LEDs are the last to fall silent.

use gift_service::SettingsError;

/// Sorted by what an operator does: all of them mean "correct the settings".
#[derive(Debug, thiserror::Error)]
pub(crate) enum HealthError {
    /// Unreadable, or not TOML of the expected shape.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A number that cannot work.
    #[error("{0} out of range")]
    Range(&'static str),
    /// A table of `leds.toml` names a pattern that `[patterns]` does not define.
    #[error("pattern {0:?} is not defined")]
    UnknownPattern(String),
    /// A pattern must say `lit`, or `on-ms` and `off-ms`, and not both.
    #[error("pattern {0:?} must have either `lit` or both `on-ms` and `off-ms`")]
    PatternForm(String),
    /// The kernel plays what is left when nobody writes any more, once: it cannot blink for ever.
    #[error("a lapsed LED is lit or dark: pattern {0:?} blinks")]
    LapsedBlinks(String),
    /// An LED name that is no plain name.
    #[error("LED name {0:?} is not a plain name")]
    LedName(String),
}
