//! One object in a worker: read, decide on the pixels, redact, de-identify, write, scan, seal. Anything that is not
//! positively known to be safe is held.
//!
//! Relies on `gift-deidentify` and `gift-redact`, which alone can make a [`Deidentified`]; without one there is nothing to
//! report as released.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write as _},
};

use dicom_core::Tag;
use gift_deidentify::{
    DeidError, Fated, Identifiers, Kept, LeakScan, ScanError,
    dataset::{DataSet, Limits, Parsed, ReadError, Source, Sources, WriteError, read_dataset, read_part10},
    deidentify_linked, explain,
    profile::{Profile, ProfileOption, Tables},
    pseudonym::{Answer, Ask, Place, PseudonymError, Pseudonymise},
};
use gift_redact::{
    Decision, Deidentified, Fingerprint, Method, NeverBurntIn, PixelClearance, Plan, RedactError, Redacting, Syntax,
    Templates, Token, Vocabulary, apply, decide,
    video::{self, Standard, VideoCoder},
};
use gift_status::HoldReason;

use crate::{
    eyes::{self, Eyes, Seen},
    files::{FileScratch, FileSource},
    policy::PolicyTexts,
    protocol::{Facts, Job},
    settings::ReadLimits,
    work::At,
};

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
/// Bytes gathered before the output is written.
const WRITE_BYTES: usize = 128 * 1024;

/// Names of the texts in `templates/` that are no templates.
const NEVER_BURNT_IN: &str = "never-burnt-in";
const VOCABULARY: &str = "vocabulary";

/// What profiles and templates call themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Profiles, with version.
    pub profiles: BTreeSet<String>,
    /// Those of the profiles that keep UIDs (PS3.15 E.3.9).
    pub uids_kept: BTreeSet<String>,
    /// Templates.
    pub templates: BTreeSet<String>,
    /// Rules by which pixels are never burnt in.
    pub rules: BTreeSet<String>,
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
    /// The output is safe, and there is proof of it.
    Released(Box<Deidentified<Facts>>),
    /// It must be held: an identifier was read in the pixels that this template or rule cleared; and the fingerprint.
    TextFound(String, Option<String>),
    /// It must be held.
    Held(HoldReason, Option<String>),
}

/// What helps to judge an object: who answers questions for pseudonyms, who takes the second look, and the way to a coder of video
/// (without one, video is held).
pub type Help<'a, 'o> =
    (&'a mut (dyn Pseudonymise + 'o), &'a mut (dyn Eyes + 'o), Option<&'a mut (dyn VideoCoder + 'o)>);

/// What [`Judge::explain`] tells.
#[derive(Debug)]
pub struct Explained {
    /// What becomes of the pixels.
    pub pixels: String,
    /// What becomes of the attributes, in the order of the object.
    pub fates: Vec<Fated>,
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
            let profile = Profile::from_toml(text, &tables, &|name| texts.profiles.get(name).map(String::as_str))
                .map_err(|e| JudgeError(format!("profiles/{file}: {e}")))?;
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
            uids_kept: self
                .profiles
                .iter()
                .filter(|(_, profile)| profile.has(ProfileOption::RetainUids))
                .map(|(name, _)| name.clone())
                .collect(),
            templates: self.templates.iter().map(|template| template.id().to_owned()).collect(),
            rules: self.never_burnt_in.rules().map(str::to_owned).collect(),
        }
    }

    /// Judges the object in `files.input`, with the help of [`Help`].
    ///
    /// # Errors
    /// A file failed, or the monitor did not answer: the worker ends, and the object is not judged.
    pub fn judge(&self, job: &Job, files: Files<'_>, help: Help<'_, '_>) -> io::Result<Outcome> {
        let (line, eyes, coder) = help;
        let input = FileSource::new(files.input, job.input_bytes);
        let syntax = job.transfer_syntax_uid.as_str();
        let parsed = match read_dataset(&input, syntax, &self.limits) {
            Ok(parsed) => parsed,
            Err(error) => return unread(error),
        };
        // The receiver took it by what the command said; another data set than announced is nobody's object.
        if parsed.data_set.strings(SOP_CLASS_UID) != [job.sop_class_uid.as_str()]
            || parsed.data_set.strings(SOP_INSTANCE_UID) != [job.sop_instance_uid.as_str()]
        {
            return Ok(Outcome::Held(HoldReason::Inconsistent, None));
        }
        let outcome =
            self.judge_parsed(parsed, syntax, (&job.profile, &job.places), files, (&mut *line, eyes, coder))?;
        match outcome {
            // Of the object as received, which is gone: read once more.
            Outcome::TextFound(ground, None) => match read_dataset(&input, syntax, &self.limits) {
                Ok(parsed) => {
                    let identifiers = Identifiers::collect(&parsed.data_set);
                    Ok(Outcome::TextFound(ground, self.fingerprint(&parsed.data_set, syntax, &identifiers, line)?))
                }
                Err(error) => unread(error),
            },
            other => Ok(other),
        }
    }

    /// Judges an object with file meta information (PS3.10) in `files.input`, `bytes` long, under `profile`: what nobody announced.
    ///
    /// # Errors
    /// As [`Judge::judge`].
    pub fn judge_part10(&self, bytes: u64, profile: &str, files: Files<'_>, help: Help<'_, '_>) -> io::Result<Outcome> {
        let input = FileSource::new(files.input, bytes);
        match read_part10(&input, &self.limits) {
            Ok((meta, parsed)) => self.judge_parsed(parsed, &meta.transfer_syntax_uid, (profile, &[]), files, help),
            Err(error) => unread(error),
        }
    }

    /// What would become of each attribute of the object with file meta information in `object`, and of its pixels, and why. Writes
    /// nothing.
    ///
    /// # Errors
    /// Why the object would be held, in words.
    pub fn explain(
        &self,
        object: &dyn Source,
        profile: &str,
        line: &mut dyn Pseudonymise,
    ) -> Result<Explained, Box<dyn std::error::Error>> {
        let profile = self.profiles.get(profile).ok_or("no such profile")?;
        let (meta, parsed) = read_part10(object, &self.limits)?;
        let syntax = meta.transfer_syntax_uid;
        let identifiers = Identifiers::collect(&parsed.data_set);
        let pixels = match decide(&parsed.data_set, &syntax, &self.templates, &self.never_burnt_in) {
            Decision::Clear(clearance) => match clearance.never_burnt_in_rule() {
                Some(rule) => format!("clear as they are, by the rule {rule}"),
                None => "there are none".to_owned(),
            },
            Decision::Redact(plan) => match plan.template() {
                Some(template) => blanked(&plan, template),
                None => "nothing to blank; what hides beside them is stripped".to_owned(),
            },
            Decision::Hold(hold) => format!("the object is held: {}", hold.as_str()),
        };
        let (_, fates) = explain(parsed.data_set, &syntax, &identifiers, profile, line)?;
        Ok(Explained { pixels, fates })
    }

    /// The profile of this name.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    fn judge_parsed(
        &self,
        parsed: Parsed<'_>,
        syntax: &str,
        (profile, places): (&str, &[Place]),
        files: Files<'_>,
        (line, eyes, coder): Help<'_, '_>,
    ) -> io::Result<Outcome> {
        let Some(profile) = self.profiles.get(profile) else { return Err(io::ErrorKind::NotFound.into()) };
        let hold = |reason| Ok(Outcome::Held(reason, None));
        let Parsed { mut data_set, body } = parsed;
        // Of the object as received: redaction and profile change it.
        let identifiers = Identifiers::collect(&data_set);
        let mut scratch = FileScratch::new(files.scratch);
        let is_video = matches!(Syntax::of(syntax), Syntax::Video(_));
        // Of the object as written.
        let syntax_written = if is_video { Standard::written(syntax) } else { syntax };
        let plan;
        let redacted = match decide(&data_set, syntax, &self.templates, &self.never_burnt_in) {
            _ if is_video && coder.is_none() => Err(HoldReason::UnsupportedTransferSyntax),
            Decision::Clear(clearance) => Ok(Pixels::Cleared(clearance)),
            Decision::Hold(hold) => Err(word(Some(hold.as_str()))),
            Decision::Redact(made) => {
                plan = made;
                // Native pixels are redacted, and proven, as they are written; anything else is first written to scratch.
                let redacted = match (plan.method(), coder) {
                    (Method::Video(_), Some(coder)) => {
                        video::apply(&plan, &mut data_set, &body, &mut scratch, coder).map(Pixels::Cleared)
                    }
                    (Method::Native, _) => {
                        Redacting::new(&plan, &mut data_set, &body).map(|redacting| Pixels::Native(Box::new(redacting)))
                    }
                    _ => apply(&plan, &mut data_set, &body, &mut scratch).map(Pixels::Cleared),
                };
                match redacted {
                    Ok(pixels) => Ok(pixels),
                    Err(RedactError::Read(error) | RedactError::Scratch(error) | RedactError::Coder(error)) => {
                        return Err(error);
                    }
                    Err(error) => Err(word(error.hold())),
                }
            }
        };
        let pixels = match redacted {
            Ok(pixels) => pixels,
            Err(reason) => {
                let fingerprint = self.fingerprint(&data_set, syntax, &identifiers, line)?;
                return Ok(Outcome::Held(reason, fingerprint));
            }
        };
        let profiled = match deidentify_linked(data_set, syntax_written, &identifiers, profile, places, line) {
            Ok(profiled) => profiled,
            Err(DeidError::NoPatientId) => return hold(HoldReason::NoPatientId),
            Err(DeidError::UnsupportedSopClass) => return hold(HoldReason::UnsupportedSopClass),
            Err(DeidError::RecognizableFeatures) => return hold(HoldReason::RecognizableFeatures),
            Err(DeidError::Inconsistent) => return hold(HoldReason::Inconsistent),
            Err(DeidError::TooManyIdentifiers | DeidError::Pseudonym(PseudonymError::Refused)) => {
                return hold(HoldReason::LimitExceeded);
            }
            Err(DeidError::Pseudonym(error @ PseudonymError::Channel)) => return Err(unanswered(error)),
        };
        let mut scan = identifiers.leak_scan(Kept::by(profile));
        let scratch: &dyn Source = match &pixels {
            Pixels::Native(redacting) => redacting.as_ref(),
            _ => &scratch,
        };
        let sources = Sources { input: &body, scratch };
        let watched = Watched { file: At::start(files.output), scan: &mut scan };
        let mut writer = BufWriter::with_capacity(WRITE_BYTES, watched);
        let written = profiled.write(sources, &mut writer).and_then(|written| {
            writer.flush()?;
            Ok(written)
        });
        drop(writer);
        let clearance = match pixels {
            Pixels::Cleared(clearance) => clearance,
            // What could not be proven was not handed out, so writing stopped there.
            Pixels::Native(redacting) if written.is_ok() || redacting.is_unproven() => match redacting.clearance() {
                Ok(clearance) => clearance,
                Err(error) => return hold(word(error.hold())),
            },
            Pixels::Native(_) => return unwritten(written.err()),
        };
        let output_bytes = match written {
            Ok(written) => written,
            Err(error) => return unwritten(Some(error)),
        };
        let leak_free = match scan.finish(&FileSource::new(files.output, output_bytes)) {
            Ok(leak_free) => leak_free,
            Err(ScanError::Io(kind)) => return Err(kind.into()),
            Err(ScanError::Leak { .. }) => return hold(HoldReason::LeakFound),
            // What our own reader cannot read again was not written as it should.
            Err(ScanError::Unreadable(_) | ScanError::Incomplete) => return hold(HoldReason::Inconsistent),
        };
        // On the bytes that will be released, and before they are: what is found holds them, what is not clears nothing.
        let released = FileSource::new(files.output, output_bytes);
        let looked = match eyes::second_look(&released, &self.limits, &identifiers, &clearance, eyes)? {
            Ok(looked) => looked,
            Err(Seen::Identifier(ground)) => return Ok(Outcome::TextFound(ground, None)),
            Err(Seen::Failed) => return hold(HoldReason::SecondLookFailed),
        };
        let facts = Facts {
            output_bytes,
            sop_class_uid: profiled.sop_class_uid().to_owned(),
            sop_instance_uid: profiled.sop_instance_uid().to_owned(),
            study_instance_uid: profiled.study_instance_uid().to_owned(),
            series_instance_uid: profiled.series_instance_uid().to_owned(),
            transfer_syntax_uid: profiled.transfer_syntax_uid().to_owned(),
            subject: profiled.subject().to_owned(),
            actions: profiled.counts().into(),
            template: clearance.template().map(str::to_owned),
            frames_proven: clearance.frames(),
            leak_patterns: leak_free.patterns(),
            looked,
        };
        match Deidentified::seal(facts, &profiled, clearance, leak_free) {
            Ok(sealed) => Ok(Outcome::Released(Box::new(sealed))),
            // Something that shows pixels stands where redaction did not look.
            Err(_) => hold(HoldReason::RedactionUnproven),
        }
    }

    /// The format's fingerprint, as JSON.
    fn fingerprint(
        &self,
        data_set: &DataSet,
        syntax: &str,
        identifiers: &Identifiers,
        line: &mut dyn Pseudonymise,
    ) -> io::Result<Option<String>> {
        let digest = |kind: &'static str, value: &str| {
            let ask = Ask::Text { domain: format!("fingerprint {kind}"), value: bounded(value).to_owned() };
            match line.answer(&[ask])?.as_slice() {
                [Answer::Text(digits)] => Token::from_hex(digits).ok_or(PseudonymError::Channel),
                _ => Err(PseudonymError::Channel),
            }
        };
        // A term that a vocabulary or a template knows may still be this patient's name.
        let suspect = |value: &str| identifiers.name_a_person_in(value);
        match Fingerprint::of(data_set, syntax, &self.vocabulary, suspect, digest) {
            Ok(fingerprint) => Ok(Some(serde_json::to_string(&fingerprint)?)),
            Err(PseudonymError::Refused) => Ok(None),
            Err(error @ PseudonymError::Channel) => Err(unanswered(error)),
        }
    }
}

/// What became of an object's pixels before it is written.
enum Pixels<'a> {
    /// They are clear as they are, or stand in scratch.
    Cleared(PixelClearance),
    /// They are redacted as they are read.
    Native(Box<Redacting<'a>>),
}

/// The output, and the leak scan that looks at each byte which the file has taken. Nothing comes between.
struct Watched<'a> {
    file: At<'a>,
    scan: &'a mut LeakScan,
}

impl io::Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.scan.written(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What a fault of writing means for the object.
fn unwritten(error: Option<WriteError>) -> io::Result<Outcome> {
    match error {
        Some(WriteError::Io(kind)) => Err(kind.into()),
        _ => Ok(Outcome::Held(HoldReason::Inconsistent, None)),
    }
}

/// What a fault of reading means for the object.
fn unread(error: ReadError) -> io::Result<Outcome> {
    match error {
        ReadError::Malformed { .. } => Ok(Outcome::Held(HoldReason::Malformed, None)),
        ReadError::Limit(_) => Ok(Outcome::Held(HoldReason::LimitExceeded, None)),
        ReadError::Io(kind) => Err(kind.into()),
    }
}

/// Longest value a fingerprint digests, bytes: no make, model or version is longer (PS3.5 §6.2, LO), and a hostile one must
/// not use up what may be asked.
const FINGERPRINT_VALUE_BYTES: usize = 256;

fn bounded(value: &str) -> &str {
    value.get(..value.floor_char_boundary(FINGERPRINT_VALUE_BYTES)).unwrap_or_default()
}

/// What a plan blanks, and on what condition, in words.
fn blanked(plan: &Plan, template: &str) -> String {
    let (rows, columns) = (plan.layout().rows, plan.layout().columns);
    let what = if plan.mask().is_by_lines() {
        let percent = plan.mask().area(rows) as f64 * 100.0 / (f64::from(rows) * f64::from(columns));
        format!("{percent:.1} % of each frame blanked")
    } else {
        format!("{} regions blanked", plan.regions().len())
    };
    let anchors = match plan.anchors() {
        0 => String::new(),
        n => format!(", if each frame has its {n} anchors"),
    };
    format!("{what}, by the template {template}{anchors}")
}

/// The reason that a pure crate's word stands for; a word of a later version is still a reason to hold.
fn word(word: Option<&str>) -> HoldReason {
    word.and_then(HoldReason::from_word).unwrap_or(HoldReason::Inconsistent)
}

fn unanswered(error: PseudonymError) -> io::Error {
    io::Error::other(error)
}

fn limits(set: ReadLimits) -> Limits {
    let ReadLimits { depth, elements, inline_bytes, inline_total_bytes, inflated_bytes } = set;
    Limits { depth, elements, inline_bytes, inline_total_bytes, inflated_bytes }
}
