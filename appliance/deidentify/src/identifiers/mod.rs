//! What the original object reveals of its patient, staff and place: the identifiers that must not be found again.
//!
//! [`Identifiers::collect`] reads them from the object as received, every level of it. They serve two searches that know
//! nothing of the profile's rules: [`Cleaner`] cuts them from text that is kept, [`Identifiers::scan`] looks for them in the
//! finished bytes, and [`Identifiers::seen_in`] among words that were read from the pixels.
//!
//! # What counts
//!
//! A search that took every value literally would hold everything: a Patient ID of `1`, a patient called Grey, a hospital
//! named after its town. So an identifier counts
//!
//! - as a name part: from four letters (two where a letter is a syllable or word) that are no common word of the language or of
//!   radiology; shorter and common parts count only beside another part of the same name or a title;
//! - as a number: from five digits, or five characters of letters and digits; years and the root 10008 do not count;
//! - as a place: by its whole phrase and the parts between its commas, when it holds a word that is not common;
//! - as a date: the birth date (unless it is a placeholder) everywhere; all dates of the object when text is cleaned.
//!
//! Matching folds case and accents, and ends at word boundaries unless the identifier is long enough to be no accident.

mod clean;
mod collect;
mod generic;
mod person;
mod scan;
mod seen;
mod vocabulary;

pub(crate) use clean::Cleaner;
pub use scan::{LeakFree, LeakKind, LeakScan, ScanError};
pub use seen::SeenWord;

use chrono::NaiveDate;

use crate::profile::{Profile, ProfileOption};

/// What an identifier identifies. (Names and UIDs are held apart.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Number of a patient, visit, order or study.
    Number,
    /// Address of a person.
    Address,
    /// Telephone or e-mail.
    Contact,
    /// Name or address of an institution.
    Institution,
    /// Name or serial number of a device.
    Device,
}

/// One identifying value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// The identifiers of one object. Holds PHI: a silent `Debug`, not to be stored.
#[derive(Clone, Default)]
pub struct Identifiers {
    /// Everything but names, dates and UIDs.
    entries: Vec<Entry>,
    /// Words of each person name, in order.
    persons: Vec<Vec<String>>,
    birth_dates: Vec<NaiveDate>,
    dates: Vec<NaiveDate>,
    uids: Vec<String>,
    /// UIDs of devices, which Retain Device Identity keeps.
    device_uids: Vec<String>,
    /// More was named than can be looked for.
    too_many: bool,
}

impl std::fmt::Debug for Identifiers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identifiers")
    }
}

impl Identifiers {
    /// True when `text` names a person of this object or holds one of their numbers, however it is written. Institutions, devices,
    /// UIDs and other dates than a birth date do not count.
    pub fn name_a_person_in(&self, text: &str) -> bool {
        let kept = Kept { institution: true, device: true, uids: true, dates: true };
        clean::Cleaner::new(self, kept).clean(text, false).is_some()
    }

    /// True when `date` is a birth date of this object. No option keeps it, wherever it stands.
    pub(crate) fn is_birth_date(&self, date: NaiveDate) -> bool {
        self.birth_dates.contains(&date)
    }
}

/// Which identifiers a profile keeps on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Institution names and addresses.
    pub institution: bool,
    /// Station names and serial numbers.
    pub device: bool,
    /// UIDs.
    pub uids: bool,
    /// Dates as they are.
    pub dates: bool,
}

impl Kept {
    /// What `profile` keeps.
    pub fn by(profile: &Profile) -> Self {
        Self {
            institution: profile.has(ProfileOption::RetainInstitutionIdentity),
            device: profile.has(ProfileOption::RetainDeviceIdentity),
            uids: profile.has(ProfileOption::RetainUids),
            dates: profile.has(ProfileOption::RetainLongitudinalFullDates),
        }
    }

    pub(crate) fn keeps(self, kind: Kind) -> bool {
        match kind {
            Kind::Institution => self.institution,
            Kind::Device => self.device,
            Kind::Number | Kind::Address | Kind::Contact => false,
        }
    }
}

/// True when the word, folded, is evidence of a person by itself.
pub(crate) fn is_telling(folded: &str) -> bool {
    let length = folded.chars().count();
    if folded.chars().all(|c| c.is_ascii_digit()) {
        return length >= 5 && folded != "10008";
    }
    (length >= 4 || length >= 2 && is_dense(folded)) && !vocabulary::is_common(folded)
}

/// True for scripts in which two characters are already a name: everything past Arabic.
pub(crate) fn is_dense(text: &str) -> bool {
    text.chars().any(|c| c >= '\u{0590}')
}

/// True for a number that counts by itself.
pub(crate) fn is_telling_number(joined: &str) -> bool {
    let digits = joined.chars().filter(char::is_ascii_digit).count();
    let length = joined.chars().count();
    if digits == 0 {
        is_telling(joined) && length >= 5
    } else {
        length >= 5 && joined != "10008" && !is_uniform(joined)
    }
}

/// True for `00000`, `11111` and the like: placeholders.
fn is_uniform(text: &str) -> bool {
    text.chars().all(|c| text.starts_with(c))
}
