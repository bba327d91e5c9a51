//! All questions about one object, put at once, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::{Tag, VR};

use crate::dataset::{CharacterSet, DataSet, Element, Value};
use crate::profile::rule::{Fate, fate};
use crate::profile::{Profile, ProfileOption};
use crate::pseudonym::{Answer, Ask, NationalNumber, PseudonymError, Pseudonymise};

use super::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};

/// Referenced SOP Instance UID.
const REFERENCED_SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x1155);
/// Roots under which UIDs name things of standards (SOP classes, transfer syntaxes, coding schemes, well-known frames of
/// reference), not instances: DICOM and HL7.
const STANDARD_ROOTS: [&str; 2] = ["1.2.840.10008.", "2.16.840.1.113883."];

/// Attributes whose dummy is a keyed token, so that what came from one device or specimen stays together.
const TOKENS: [Tag; 9] = [
    Tag(0x0008, 0x1010), // Station Name
    Tag(0x0018, 0x1000), // Device Serial Number
    Tag(0x0018, 0x700A), // Detector ID
    Tag(0x0018, 0x9367), // X-Ray Source ID
    Tag(0x0018, 0x9371), // X-Ray Detector ID
    Tag(0x0040, 0x0512), // Container Identifier
    Tag(0x0040, 0x0551), // Specimen Identifier
    Tag(0x3008, 0x0105), // Source Serial Number
    Tag(0x0012, 0x0040), // Clinical Trial Subject ID
];
/// Digits of a token; fits VR SH.
const TOKEN_DIGITS: usize = 16;
/// Longest value taken for a UID (64 by PS3.5 §9.1, and some leeway), bytes: no answer is asked for longer ones, which then go.
const MAX_UID: usize = 128;
/// Longest value a token is made of, bytes.
const MAX_TOKEN_VALUE: usize = 256;

/// True when this value of this attribute names an instance and is to be replaced.
pub(super) fn is_instance_uid(tag: Tag, uid: &str) -> bool {
    let always =
        [SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, REFERENCED_SOP_INSTANCE_UID].contains(&tag);
    !uid.is_empty() && (always || !STANDARD_ROOTS.iter().any(|root| uid.starts_with(root)))
}

/// Whose object it is.
pub(super) enum Patient {
    /// A patient of the site.
    OfSite {
        /// Issuer of Patient ID, empty when absent or not to count.
        issuer: String,
        /// Patient ID.
        id: String,
    },
    /// A patient of the linkage domain.
    Linked(NationalNumber),
}

impl Patient {
    /// What is asked about the patient: the subject, then the date shift.
    fn asks(self) -> [Ask; 2] {
        match self {
            Self::OfSite { issuer, id } => {
                [Ask::Subject { issuer: issuer.clone(), id: id.clone() }, Ask::DateShift { issuer, id }]
            }
            Self::Linked(number) => [Ask::LinkedSubject(number.clone()), Ask::LinkedDateShift(number)],
        }
    }
}

/// Answers to everything that was asked.
pub(crate) struct Answers {
    pub(super) subject: String,
    pub(super) shift_days: i32,
    uids: BTreeMap<String, String>,
    tokens: BTreeMap<(Tag, String), String>,
}

impl Answers {
    /// Puts all questions about `ds` in one call.
    pub(super) fn ask(
        ds: &DataSet,
        profile: &Profile,
        patient: Patient,
        who: &mut dyn Pseudonymise,
    ) -> Result<Self, PseudonymError> {
        let mut gather = Gather { profile, uids: BTreeSet::new(), tokens: BTreeSet::new() };
        gather.level(ds, CharacterSet::default());
        let mut asks = Vec::from(patient.asks());
        asks.extend(gather.uids.iter().cloned().map(Ask::Uid));
        let domain = |tag: &Tag| format!("{:04X}{:04X}", tag.0, tag.1);
        asks.extend(gather.tokens.iter().map(|(tag, value)| Ask::Text { domain: domain(tag), value: value.clone() }));
        let mut answers = who.answer(&asks)?.into_iter();
        if answers.len() != asks.len() {
            return Err(PseudonymError::Channel);
        }
        let (Some(Answer::Subject(subject)), Some(Answer::DateShift(shift_days))) = (answers.next(), answers.next())
        else {
            return Err(PseudonymError::Channel);
        };
        let mut uids = BTreeMap::new();
        for old in gather.uids {
            let Some(Answer::Uid(new)) = answers.next() else { return Err(PseudonymError::Channel) };
            uids.insert(old, new);
        }
        let mut tokens = BTreeMap::new();
        for key in gather.tokens {
            let Some(Answer::Text(token)) = answers.next() else { return Err(PseudonymError::Channel) };
            tokens.insert(key, token.get(..TOKEN_DIGITS).unwrap_or(&token).to_owned());
        }
        Ok(Self { subject, shift_days, uids, tokens })
    }

    /// The replacement of a UID; `None` when it was not asked for and so must not stay.
    pub(super) fn uid(&self, old: &str) -> Option<&str> {
        self.uids.get(old).map(String::as_str)
    }

    /// The token for this attribute's value.
    pub(super) fn token(&self, tag: Tag, value: &str) -> Option<&str> {
        self.tokens.get(&(tag, value.to_owned())).map(String::as_str)
    }
}

struct Gather<'p> {
    profile: &'p Profile,
    uids: BTreeSet<String>,
    tokens: BTreeSet<(Tag, String)>,
}

impl Gather<'_> {
    fn level(&mut self, ds: &DataSet, enclosing: CharacterSet) {
        let set = CharacterSet::of(ds, enclosing);
        for element in ds {
            // Safe private attributes may hold UIDs too.
            let private = element.tag.0 % 2 == 1 && self.profile.has(ProfileOption::RetainSafePrivate);
            let gone = || matches!(fate(self.profile, element), Fate::Remove | Fate::Empty);
            match &element.value {
                Value::Sequence(items) if private || !gone() => items.iter().for_each(|item| self.level(item, set)),
                Value::Bytes(_) if element.vr == VR::UI && (private || !gone()) => self.uid(element, set),
                Value::Bytes(_) if TOKENS.contains(&element.tag) => {
                    let values =
                        element.strings(set).into_iter().filter(|v| !v.is_empty() && v.len() <= MAX_TOKEN_VALUE);
                    self.tokens.extend(values.map(|value| (element.tag, value)));
                }
                _ => {}
            }
        }
    }

    fn uid(&mut self, element: &Element, set: CharacterSet) {
        let asked = |uid: &String| is_instance_uid(element.tag, uid) && uid.len() <= MAX_UID;
        self.uids.extend(element.strings(set).into_iter().filter(asked));
    }
}
