//! From the verdict's words to patterns of light: `config/leds.toml`.
//!
//! Every word must be mapped (serde asks for all of them) and every mapping must name a defined pattern; a verdict word that
//! is added in `gift-status` does not compile here until it is mapped.

use std::{collections::BTreeMap, path::Path};

use gift_status::{AttentionLed, Leds, PowerLed, ScannerLed, UplinkLed};
use serde::Deserialize;

use crate::error::HealthError;

/// How an LED is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Light {
    /// Dark.
    Off,
    /// Lit.
    On,
    /// Blinking.
    Blink {
        /// Lit for, ms.
        on_ms: u32,
        /// Dark for, ms.
        off_ms: u32,
    },
}

/// What one LED shows: the pattern, its name and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// How it is lit.
    pub(crate) light: Light,
    /// The pattern's name.
    pub(crate) pattern: String,
    /// The verdict's word.
    pub(crate) word: &'static str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Fragment {
    patterns: BTreeMap<String, PatternFragment>,
    lapsed: LapsedFragment,
    power: Power,
    scanner: Scanner,
    uplink: Uplink,
    attention: Attention,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PatternFragment {
    lit: Option<bool>,
    on_ms: Option<u32>,
    off_ms: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct LapsedFragment {
    after_ms: u32,
    power: String,
    scanner: String,
    uplink: String,
    attention: String,
}

/// What the LEDs fall back to when nobody refreshes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lapsed {
    /// After so long, ms.
    pub(crate) after_ms: u32,
    /// Whether power, scanner, uplink, attention are lit then.
    pub(crate) lit: [bool; 4],
}

/// A table of `leds.toml` for one LED: a field for each word, and the word that a value of the enum stands for.
macro_rules! table {
    ($table:ident, $led:ident { $($variant:ident $field:ident => $word:literal,)+ }) => {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct $table { $($field: String,)+ }
        impl $table {
            fn of(&self, led: $led) -> (&'static str, &str) {
                match led { $($led::$variant => ($word, &self.$field),)+ }
            }
            fn names(&self) -> Vec<&String> { vec![$(&self.$field,)+] }
        }
    };
}

table!(Power, PowerLed { Starting starting => "starting", Ready ready => "ready", Updating updating => "updating",
    Unproven unproven => "unproven", Fault fault => "fault", });
table!(Scanner, ScannerLed {
    Waiting waiting => "waiting", Idle idle => "idle", Receiving receiving => "receiving",
    Refusing refusing => "refusing", Unplugged unplugged => "unplugged", Down down => "down",
});
table!(Uplink, UplinkLed {
    Connected connected => "connected", Uploading uploading => "uploading", Offline offline => "offline",
    Intercepted intercepted => "intercepted", NotEnrolled not_enrolled => "not-enrolled", Down down => "down",
});
table!(Attention, AttentionLed { None none => "none", Look look => "look", Call call => "call", });

/// The checked mapping.
#[derive(Debug)]
pub(crate) struct Patterns {
    lights: BTreeMap<String, Light>,
    lapsed: Lapsed,
    tables: Fragment,
}

/// Shortest phase of a blink, ms: the kernel takes one page of phases, and the eye no shorter ones.
const SHORTEST_MS: u32 = 50;
/// When LEDs may lapse, ms: not between two judgements, and within the 10 s in which a dead process has to show.
const LAPSE_MS: std::ops::RangeInclusive<u32> = 3_000..=9_000;

impl Patterns {
    /// Reads and checks `leds.toml`.
    ///
    /// # Errors
    /// Unreadable, incomplete, or naming a pattern that is not defined.
    pub(crate) fn load(path: &Path) -> Result<Self, HealthError> {
        Self::check(gift_service::load(path)?)
    }

    fn check(tables: Fragment) -> Result<Self, HealthError> {
        let mut lights = BTreeMap::new();
        for (name, pattern) in &tables.patterns {
            let light = match (pattern.lit, pattern.on_ms, pattern.off_ms) {
                (Some(false), None, None) => Light::Off,
                (Some(true), None, None) => Light::On,
                (None, Some(on_ms @ SHORTEST_MS..), Some(off_ms @ SHORTEST_MS..)) => Light::Blink { on_ms, off_ms },
                _ => return Err(HealthError::PatternForm(name.clone())),
            };
            lights.insert(name.clone(), light);
        }
        let Fragment { power, scanner, uplink, attention, .. } = &tables;
        for name in [power.names(), scanner.names(), uplink.names(), attention.names()].concat() {
            if !lights.contains_key(name) {
                return Err(HealthError::UnknownPattern(name.clone()));
            }
        }
        let LapsedFragment { after_ms, power, scanner, uplink, attention } = &tables.lapsed;
        if !LAPSE_MS.contains(after_ms) {
            return Err(HealthError::Range("after-ms of lapsed LEDs"));
        }
        let mut lit = [false; 4];
        for (lit, name) in lit.iter_mut().zip([power, scanner, uplink, attention]) {
            *lit = match lights.get(name) {
                Some(Light::Off) => false,
                Some(Light::On) => true,
                Some(Light::Blink { .. }) => return Err(HealthError::LapsedBlinks(name.clone())),
                None => return Err(HealthError::UnknownPattern(name.clone())),
            };
        }
        Ok(Self { lights, lapsed: Lapsed { after_ms: *after_ms, lit }, tables })
    }

    /// What the LEDs fall back to when nobody refreshes them.
    pub(crate) fn lapsed(&self) -> Lapsed {
        self.lapsed
    }

    /// What the four LEDs show: power, scanner, uplink, attention.
    pub(crate) fn shown(&self, leds: Leds) -> [Shown; 4] {
        let Fragment { power, scanner, uplink, attention, .. } = &self.tables;
        [power.of(leds.power), scanner.of(leds.scanner), uplink.of(leds.uplink), attention.of(leds.attention)].map(
            |(word, pattern)| {
                // `check` saw every name; dark is what an LED shows that nobody drives.
                let light = self.lights.get(pattern).copied().unwrap_or(Light::Off);
                Shown { light, pattern: pattern.to_owned(), word }
            },
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SHIPPED: &str = include_str!("../../../config/leds.toml");

    pub(crate) fn parse(text: &str) -> Result<Patterns, HealthError> {
        Patterns::check(gift_service::parse(Path::new("leds.toml"), text)?)
    }

    #[test]
    fn the_shipped_patterns_are_complete_and_differ_where_the_meaning_does() {
        let patterns = parse(SHIPPED).unwrap();
        let tables = &patterns.tables;
        for names in [tables.power.names(), tables.scanner.names(), tables.uplink.names(), tables.attention.names()] {
            let lights: Vec<_> = names.iter().map(|n| patterns.lights[*n]).collect();
            for (at, light) in lights.iter().enumerate() {
                assert!(!lights[..at].contains(light), "two meanings of one LED look the same: {names:?}");
            }
        }
    }

    #[test]
    fn a_missing_word_an_unknown_pattern_and_a_malformed_one_are_refused() {
        for (old, new) in [
            ("fault = \"fast\"\n", ""),
            ("fault = \"fast\"", "fault = \"furious\""),
            ("fault = \"fast\"", "fault = \"fast\"\nparty = \"fast\""),
            ("{ lit = false }", "{ lit = false, on-ms = 5 }"),
            ("{ on-ms = 125, off-ms = 125 }", "{ on-ms = 125, off-ms = 0 }"),
            ("after-ms = 8000", "after-ms = 10_000"),
            ("attention = \"steady\"", "attention = \"fast\""),
        ] {
            assert!(SHIPPED.contains(old), "{old}");
            assert!(parse(&SHIPPED.replacen(old, new, 1)).is_err(), "{new}");
        }
    }
}
