//! The profile engine: one data set in, its de-identified form out.
//!
//! 1. The object is checked: SOP class allowed, Patient ID and instance UIDs present.
//! 2. All questions about it (subject, date shift, every UID, tokens) are put at once ([`asks`]).
//! 3. Each element of each item, per-frame functional groups included, meets the fate that the profile gives it ([`apply`]);
//!    content items go by Table E.3.4-1 ([`content`]), private attributes by Table E.3.10-1 ([`private`]).
//! 4. The root gets its marks: who the subject is now, what was done and by which options ([`marks`]).
//!
//! Only [`deidentify`] makes a [`Profiled`].

mod apply;
mod asks;
mod content;
mod document;
mod dummy;
mod journal;
mod marks;
mod private;

use std::io::Write;

use dicom_core::Tag;

use crate::dataset::{self, CharacterSet, DataSet, Element, OutputMeta, Sources, WriteError};
use crate::identifiers::Identifiers;
use crate::profile::{DocumentPolicy, IssuerPolicy, MissingIdPolicy, Profile, SopClass};
use crate::pseudonym::{Found, Place, PseudonymError, Pseudonymise, find};
use apply::{Apply, Mode};
use asks::{Answers, Patient};
pub use journal::Fated;
use journal::Journal;

pub(crate) const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
pub(crate) const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
pub(crate) const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
pub(crate) const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
pub(crate) const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
pub(crate) const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);
pub(crate) const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
pub(crate) const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);

/// Longest Patient ID or issuer, bytes: 64 characters (PS3.5 §6.2, LO) in any encoding, and some leeway.
const MAX_ID: usize = 512;
/// SOP classes of structured reports, in whose series module Referenced Performed Procedure Step Sequence (0008,1111) is Type 2
/// (PS3.3 C.17.1): X/Z/D is Z there, and X elsewhere.
const STRUCTURED_REPORTS: &str = "1.2.840.10008.5.1.4.1.1.88.";
const PERFORMED_STEP: Tag = Tag(0x0008, 0x1111);
/// Issuer under which studies without Patient ID become subjects; no value of (0010,0021) holds a control character.
const STUDY_ISSUER: &str = "\u{1}study";

/// Why an object cannot be de-identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeidError {
    /// No Patient ID: nothing a pseudonym can be made of.
    #[error("no Patient ID")]
    NoPatientId,
    /// A SOP class that no rule can make safe.
    #[error("SOP class not supported")]
    UnsupportedSopClass,
    /// A SOP class that shows a person recognisably.
    #[error("recognisable visual features")]
    RecognizableFeatures,
    /// SOP class or instance, study or series UID is missing or not one value; the Patient ID is longer than any; or two
    /// different national numbers name the patient.
    #[error("identification missing, ambiguous or too long")]
    Inconsistent,
    /// It names more persons, numbers or dates than its output can be searched for.
    #[error("more identifiers than can be searched for")]
    TooManyIdentifiers,
    /// The questions were not answered.
    #[error("pseudonyms: {0}")]
    Pseudonym(#[from] PseudonymError),
}

/// Attributes per action code of Table E.1-1a.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Replaced by dummies.
    pub d: u32,
    /// Emptied.
    pub z: u32,
    /// Removed (with all they contain).
    pub x: u32,
    /// Kept as they were.
    pub k: u32,
    /// Cleaned: text cut, or date shifted.
    pub c: u32,
    /// UIDs replaced.
    pub u: u32,
}

impl From<Counts> for [u32; 6] {
    /// In the order D Z X K C U.
    fn from(c: Counts) -> Self {
        [c.d, c.z, c.x, c.k, c.c, c.u]
    }
}

/// A de-identified data set and what may be said of it. Every UID in it is the replaced one.
#[derive(Debug)]
pub struct Profiled {
    data_set: DataSet,
    transfer_syntax_uid: String,
    sop_class_uid: String,
    sop_instance_uid: String,
    study_instance_uid: String,
    series_instance_uid: String,
    subject: String,
    profile: String,
    counts: Counts,
}

impl Profiled {
    /// The data set.
    pub fn data_set(&self) -> &DataSet {
        &self.data_set
    }

    /// Transfer syntax in which it is written.
    pub fn transfer_syntax_uid(&self) -> &str {
        &self.transfer_syntax_uid
    }

    /// SOP Class UID.
    pub fn sop_class_uid(&self) -> &str {
        &self.sop_class_uid
    }

    /// SOP Instance UID.
    pub fn sop_instance_uid(&self) -> &str {
        &self.sop_instance_uid
    }

    /// Study Instance UID.
    pub fn study_instance_uid(&self) -> &str {
        &self.study_instance_uid
    }

    /// Series Instance UID.
    pub fn series_instance_uid(&self) -> &str {
        &self.series_instance_uid
    }

    /// Subject pseudonym: 32 hexadecimal digits, also Patient ID and Patient's Name of the data set.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Name of the profile.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Attributes per action.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the Part 10 file; see [`dataset::write`].
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, sources: Sources<'_>, out: &mut dyn Write) -> Result<u64, WriteError> {
        let meta = OutputMeta {
            transfer_syntax_uid: self.transfer_syntax_uid.clone(),
            sop_class_uid: self.sop_class_uid.clone(),
            sop_instance_uid: self.sop_instance_uid.clone(),
        };
        dataset::write(&self.data_set, &meta, sources, out)
    }
}

/// De-identifies `data_set`, which came in `transfer_syntax_uid`, under `profile`. `identifiers` are those collected from the
/// object as received; `who` answers all questions about it in one call. Pixel data pass through as they are: whether they may
/// be released is `gift-redact`'s to say.
///
/// # Errors
/// See [`DeidError`]; the object is to be held.
pub fn deidentify(
    data_set: DataSet,
    transfer_syntax_uid: &str,
    identifiers: &Identifiers,
    profile: &Profile,
    who: &mut dyn Pseudonymise,
) -> Result<Profiled, DeidError> {
    deidentify_linked(data_set, transfer_syntax_uid, identifiers, profile, &[], who)
}

/// As [`deidentify`]; a patient whom a valid national number names in one of `places` has the pseudonym and the date shift that
/// the number has in the linkage domain.
///
/// # Errors
/// As [`deidentify`]; two different valid numbers are [`DeidError::Inconsistent`].
pub fn deidentify_linked(
    data_set: DataSet,
    transfer_syntax_uid: &str,
    identifiers: &Identifiers,
    profile: &Profile,
    places: &[Place],
    who: &mut dyn Pseudonymise,
) -> Result<Profiled, DeidError> {
    Ok(run(data_set, transfer_syntax_uid, identifiers, profile, places, who, Journal::default())?.0)
}

/// As [`deidentify`], and says of each attribute what became of it and why.
///
/// # Errors
/// As [`deidentify`].
pub fn explain(
    data_set: DataSet,
    transfer_syntax_uid: &str,
    identifiers: &Identifiers,
    profile: &Profile,
    who: &mut dyn Pseudonymise,
) -> Result<(Profiled, Vec<Fated>), DeidError> {
    run(data_set, transfer_syntax_uid, identifiers, profile, &[], who, Journal::kept())
}

fn run(
    mut data_set: DataSet,
    transfer_syntax_uid: &str,
    identifiers: &Identifiers,
    profile: &Profile,
    places: &[Place],
    who: &mut dyn Pseudonymise,
    journal: Journal,
) -> Result<(Profiled, Vec<Fated>), DeidError> {
    let one = |tag| match data_set.strings(tag).as_slice() {
        [uid] if !uid.is_empty() => Ok(uid.clone()),
        _ => Err(DeidError::Inconsistent),
    };
    let sop_class_uid = one(SOP_CLASS_UID)?;
    match profile.sop_class(&sop_class_uid) {
        SopClass::Allowed => {}
        SopClass::Refused => return Err(DeidError::UnsupportedSopClass),
        SopClass::Recognizable => return Err(DeidError::RecognizableFeatures),
    }
    if identifiers.too_many() {
        return Err(DeidError::TooManyIdentifiers);
    }
    let is_document = document::is_document(&sop_class_uid);
    if is_document && profile.documents() == DocumentPolicy::Hold {
        return Err(DeidError::UnsupportedSopClass);
    }
    one(SOP_INSTANCE_UID)?;
    one(SERIES_INSTANCE_UID)?;
    let study = one(STUDY_INSTANCE_UID)?;
    let patient = match find(&data_set, places) {
        Found::One(number) => Patient::Linked(number),
        Found::Several => return Err(DeidError::Inconsistent),
        Found::None => of_site(&data_set, profile, study)?,
    };
    let had_performed_step = data_set.contains(PERFORMED_STEP);
    let answers = Answers::ask(&data_set, profile, patient, who)?;
    let mut apply = Apply::new(profile, identifiers, &answers);
    apply.journal = journal;
    apply.level(&mut data_set, CharacterSet::default(), Mode::Root);
    apply.settle_character_set(&mut data_set);
    if had_performed_step && sop_class_uid.starts_with(STRUCTURED_REPORTS) {
        data_set.insert(Element::sequence(PERFORMED_STEP, Vec::new()));
    }
    let (counts, notes) = (apply.counts, apply.journal.into_notes());
    if is_document {
        document::replace(&mut data_set, &sop_class_uid);
    }
    marks::mark(&mut data_set, profile, &answers.subject);
    let uid = |tag| data_set.str(tag).ok_or(DeidError::Inconsistent);
    let profiled = Profiled {
        transfer_syntax_uid: dataset::output_transfer_syntax(&data_set, transfer_syntax_uid),
        sop_class_uid,
        sop_instance_uid: uid(SOP_INSTANCE_UID)?,
        study_instance_uid: uid(STUDY_INSTANCE_UID)?,
        series_instance_uid: uid(SERIES_INSTANCE_UID)?,
        subject: answers.subject,
        profile: profile.name().to_owned(),
        counts,
        data_set,
    };
    Ok((profiled, notes))
}

/// The patient under the site's key: issuer and Patient ID, or the study where there is none and the profile has it so.
fn of_site(ds: &DataSet, profile: &Profile, study: String) -> Result<Patient, DeidError> {
    let issuer = match profile.issuer() {
        IssuerPolicy::AsStated => ds.str(ISSUER_OF_PATIENT_ID).unwrap_or_default(),
        IssuerPolicy::Site => String::new(),
    };
    let (issuer, id) = match (ds.str(PATIENT_ID), profile.missing_id()) {
        (Some(id), _) => (issuer, id),
        (None, MissingIdPolicy::Study) => (STUDY_ISSUER.to_owned(), study),
        (None, MissingIdPolicy::Hold) => return Err(DeidError::NoPatientId),
    };
    if id.len().max(issuer.len()) > MAX_ID {
        return Err(DeidError::Inconsistent);
    }
    Ok(Patient::OfSite { issuer, id })
}

#[cfg(test)]
mod linked_tests;
#[cfg(test)]
mod tests;
