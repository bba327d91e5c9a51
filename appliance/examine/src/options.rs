//! The options of PS3.15 E.3 by the short names that command lines and scorers use.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One option. Clean Pixel Data is always on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
pub(crate) enum Name {
    /// Clean Pixel Data (E.3.1): always on.
    CleanPixel,
    /// Clean Descriptors (E.3.5).
    CleanDesc,
    /// Clean Structured Content (E.3.4).
    CleanStruct,
    /// Clean Graphics (E.3.3).
    CleanGraph,
    /// Retain Patient Characteristics (E.3.7).
    RtnPat,
    /// Retain Device Identity (E.3.8).
    RtnDev,
    /// Retain Institution Identity (E.3.11).
    RtnInst,
    /// Retain UIDs (E.3.9).
    RtnUids,
    /// Retain Longitudinal Temporal Information, Full Dates (E.3.6).
    LongFull,
    /// Retain Longitudinal Temporal Information, Modified Dates (E.3.6).
    LongMod,
    /// Retain Safe Private (E.3.10).
    SafePriv,
}

impl Name {
    /// As profiles name it.
    pub(crate) fn in_profile(self) -> &'static str {
        match self {
            Self::CleanPixel => "clean-pixel-data",
            Self::CleanDesc => "clean-descriptors",
            Self::CleanStruct => "clean-structured-content",
            Self::CleanGraph => "clean-graphics",
            Self::RtnPat => "retain-patient-characteristics",
            Self::RtnDev => "retain-device-identity",
            Self::RtnInst => "retain-institution-identity",
            Self::RtnUids => "retain-uids",
            Self::LongFull => "retain-longitudinal-full-dates",
            Self::LongMod => "retain-longitudinal-modified-dates",
            Self::SafePriv => "retain-safe-private",
        }
    }
}
