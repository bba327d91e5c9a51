//! One object in a worker: read, decide on the pixels, redact, de-identify, write, scan, seal. Anything that is not
//! positively known to be safe is held.
//!
//! Relies on `gift-deidentify` and `gift-redact`, which alone can make a [`Deidentified`]; without one there is nothing to
//! report as released.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
};

use gift_deidentify::{
    dataset::{self, DataSet, Limits, Parsed, ReadError, read_dataset},
    profile::{Profile, Tables},
    pseudonym::{Answer, Ask, PseudonymError, Pseudonymise},
};
use gift_redact::{Decision, Fingerprint, NeverBurntIn, Templates, Token, Vocabulary, decide};
use gift_status::HoldReason;

use crate::{
    files::{FileScratch, FileSource},
    policy::PolicyTexts,
    protocol::{Facts, Job},
    settings::ReadLimits,
};

/// Names of the texts in `templates/` that are no templates.
const NEVER_BURNT_IN: &str = "never-burnt-in";
const VOCABULARY: &str = "vocabulary";

/// What profiles and templates call themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Profiles, with version.
    pub profiles: BTreeSet<String>,
    /// Templates.
    pub templates: BTreeSet<String>,
}

/// The policy, parsed.
#[derive(Debug)]
pub struct Judge {
    profiles: BTreeMap<String, Profile>,
    templates: Templates,
    never_burnt_in: NeverBurntIn,
    vocabulary: Vocabulary,
    limits: Limits,
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
    ///
    /// # Errors
    /// [`JudgeError`]: the first text that does not parse, or is missing. There is no partial policy.
    pub fn new(texts: &PolicyTexts) -> Result<Self, JudgeError> {
        let says = |error: &dyn std::fmt::Display| JudgeError(error.to_string());
        let table = |prefix: &str| {
            let mut found = texts.tables.iter().filter(|(name, _)| name.starts_with(prefix));
            match (found.next(), found.next()) {
                (Some((_, text)), None) => Ok(text),
                _ => Err(JudgeError(format!("ps3.15: there must be one {prefix}*.csv"))),
            }
        };
        let (attributes, safe, content) = (table("table_E.1-1_")?, table("table_E.3.10-1_")?, table("table_E.3.4-1_")?);
        let tables = Tables::parse(attributes, safe, content).map_err(|e| says(&e))?;
        let mut profiles = BTreeMap::new();
        for (file, text) in &texts.profiles {
            let profile = Profile::from_toml(text, &tables).map_err(|e| JudgeError(format!("profiles/{file}: {e}")))?;
            if profiles.insert(profile.name().to_owned(), profile).is_some() {
                return Err(JudgeError(format!("profiles/{file}: a profile of that name is there already")));
            }
        }
        let list = |name: &str| {
            texts.templates.get(name).ok_or_else(|| JudgeError(format!("templates/{name}.toml is missing")))
        };
        let real = texts.templates.iter().filter(|(name, _)| ![NEVER_BURNT_IN, VOCABULARY].contains(&name.as_str()));
        let templates = Templates::parse(real).map_err(|e| says(&e))?;
        let never_burnt_in = NeverBurntIn::parse(NEVER_BURNT_IN, list(NEVER_BURNT_IN)?).map_err(|e| says(&e))?;
        let vocabulary = Vocabulary::parse(VOCABULARY, list(VOCABULARY)?, &templates).map_err(|e| says(&e))?;
        Ok(Self { profiles, templates, never_burnt_in, vocabulary, limits: limits(texts.limits) })
    }

    /// What profiles and templates call themselves.
    pub fn names(&self) -> Names {
        Names {
            profiles: self.profiles.keys().cloned().collect(),
            templates: self.templates.iter().map(|template| template.id().to_owned()).collect(),
        }
    }

    /// Judges the object in `files.input`; `line` answers questions for pseudonyms.
    ///
    /// # Errors
    /// A file failed, or the monitor did not answer: the worker ends, and the object is not judged.
    pub fn judge(&self, job: &Job, files: Files<'_>, line: &mut dyn Pseudonymise) -> io::Result<Outcome> {
        let input = FileSource::new(files.input, job.input_bytes);
        let syntax = job.transfer_syntax_uid.as_str();
        let Parsed { data_set, body } = match read_dataset(&input, syntax, &self.limits) {
            Ok(parsed) => parsed,
            Err(ReadError::Malformed { .. }) => return Ok(Outcome::Held(HoldReason::Malformed, None)),
            Err(ReadError::Limit(_)) => return Ok(Outcome::Held(HoldReason::LimitExceeded, None)),
            Err(ReadError::Io(kind)) => return Err(kind.into()),
        };
        let _ = (body, files.output, files.scratch, FileScratch::new, dataset::write);
        let reason = match decide(&data_set, syntax, &self.templates, &self.never_burnt_in) {
            Decision::Hold(hold) => HoldReason::from_word(hold.as_str()).unwrap_or(HoldReason::Inconsistent),
            _ => HoldReason::RedactionUnproven,
        };
        let fingerprint = self.fingerprint(&data_set, syntax, line)?;
        Ok(Outcome::Held(reason, Some(fingerprint)))
    }

    /// The format's fingerprint, as JSON.
    fn fingerprint(&self, data_set: &DataSet, syntax: &str, line: &mut dyn Pseudonymise) -> io::Result<String> {
        let digest = |kind: &'static str, value: &str| {
            let ask = Ask::Text { domain: format!("fingerprint {kind}"), value: bounded(value).to_owned() };
            match line.answer(&[ask]).map_err(unanswered)?.as_slice() {
                [Answer::Text(digits)] => Token::from_hex(digits).ok_or_else(|| io::ErrorKind::InvalidData.into()),
                _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
            }
        };
        let fingerprint = Fingerprint::of(data_set, syntax, &self.vocabulary, |_| false, digest)?;
        Ok(serde_json::to_string(&fingerprint)?)
    }
}

/// Longest value a fingerprint digests, bytes: no make, model or version is longer (PS3.5 §6.2, LO), and a hostile one must
/// not use up what may be asked.
const FINGERPRINT_VALUE_BYTES: usize = 256;

fn bounded(value: &str) -> &str {
    value.get(..value.floor_char_boundary(FINGERPRINT_VALUE_BYTES)).unwrap_or_default()
}

fn unanswered(error: PseudonymError) -> io::Error {
    io::Error::other(error)
}

fn limits(set: ReadLimits) -> Limits {
    let ReadLimits { depth, elements, inline_bytes, inline_total_bytes, inflated_bytes } = set;
    Limits { depth, elements, inline_bytes, inline_total_bytes, inflated_bytes }
}
