//! One object in a worker: read, decide on the pixels, redact, de-identify, write, scan, seal. Anything that is not
//! positively known to be safe is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
};

use gift_deidentify::pseudonym::Pseudonymise;
use gift_status::HoldReason;

use crate::{
    policy::PolicyTexts,
    protocol::{Facts, Job},
};

/// What profiles and templates call themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Profiles by file name; what the manifest calls them.
    pub profiles: BTreeMap<String, String>,
    /// Templates.
    pub templates: BTreeSet<String>,
}

/// The policy, parsed.
#[derive(Debug)]
pub struct Judge {
    names: Names,
}

/// What does not parse. The text is the policy's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JudgeError(String);

/// The files of one object.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// As received.
    pub input: &'a File,
    /// The result.
    pub output: &'a File,
    /// For redaction.
    pub scratch: &'a File,
}

/// What became of an object.
#[derive(Debug)]
pub enum Outcome {
    /// The output is safe.
    Released(Facts),
    /// It must be held.
    Held(HoldReason, Option<String>),
}

impl Judge {
    /// Parses the policy.
    pub fn new(texts: &PolicyTexts) -> Result<Self, JudgeError> {
        let _ = texts;
        Ok(Self { names: Names::default() })
    }
    /// Names.
    pub fn names(&self) -> Names {
        self.names.clone()
    }
    /// Judges.
    pub fn judge(&self, _job: &Job, _files: Files<'_>, _line: &mut dyn Pseudonymise) -> io::Result<Outcome> {
        Ok(Outcome::Held(HoldReason::NoTemplate, None))
    }
}
