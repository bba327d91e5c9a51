//! The hub's own check of every arriving object against the profile its manifest names: a second pair of eyes on what a box
//! released, built from the rows of PS3.15 2026c Table E.1-1 and sharing no code with the box. What violates a rule is
//! isolated: stored apart, not served. A check that passes proves that the attributes that must go are gone, that those that must
//! be replaced hold nothing or a dummy, that UIDs are pseudonymous, and that the object is the one its manifest states; it cannot
//! see whether text that may stay was cleaned well, nor what the pixels show.

mod canary;
mod object;
mod table;
mod values;

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use dicom_core::Tag;
use gift_wire::{CANARY_PROJECT, Manifest};
use serde::Deserialize;

pub use self::object::Passed;
use self::{
    canary::Canary,
    table::{ProfileRules, Table},
};
use crate::{
    error::HubError,
    object::walk::{Limits, WalkError},
    settings::Settings,
};

/// A tag in settings: eight hexadecimal digits, `ggggeeee`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TagText(pub Tag);

impl TryFrom<String> for TagText {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for TagText {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |range| text.get(range).and_then(|t| u16::from_str_radix(t, 16).ok());
        match (text.len(), part(0..4), part(4..8)) {
            (8, Some(group), Some(element)) => Ok(Self(Tag(group, element))),
            _ => Err("a tag is eight hexadecimal digits: ggggeeee"),
        }
    }
}

/// Which rule an object breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It cannot be walked: not DICOM, not Explicit VR Little Endian, beyond a limit.
    Form(&'static str),
    /// The preamble is not all zero.
    Preamble,
    /// The file meta information names a source, sender or receiver, or holds private information.
    FileMeta,
    /// Patient Identity Removed (0012,0062) is not YES.
    IdentityRemoved,
    /// Neither De-identification Method (0012,0063) nor its code sequence (0012,0064) is there.
    Method,
    /// An attribute that the profile removes is there.
    Forbidden,
    /// A private attribute.
    Private,
    /// A curve or overlay attribute (groups 50xx and 60xx).
    Graphics,
    /// A UID that is not a pseudonymous one (2.25) and not one of the standard's own.
    Uid,
    /// An attribute that must be empty or hold a dummy has a value.
    Value,
    /// An attribute that is in no dictionary has a value.
    Unknown,
    /// Patient ID or Patient's Name is not made of the manifest's pseudonym.
    Subject,
    /// A UID differs from what the manifest says.
    Manifest,
    /// The manifest names a profile that the hub does not know.
    Profile,
    /// The study already belongs to another subject, or the series to another study.
    Hierarchy,
    /// The SOP Instance UID is already stored with other bytes.
    Conflict,
    /// A canary in which something that was planted is still there.
    CanaryPlanted,
    /// A canary on which what was printed is not black.
    CanaryPrint,
    /// Not the picture of a canary, or one that was changed.
    CanaryPicture,
}

impl Rule {
    /// The rule's word in reports and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form(what) => what,
            Self::Preamble => "preamble",
            Self::FileMeta => "file-meta",
            Self::IdentityRemoved => "identity-removed",
            Self::Method => "method",
            Self::Forbidden => "forbidden",
            Self::Private => "private",
            Self::Graphics => "graphics",
            Self::Uid => "uid",
            Self::Value => "value",
            Self::Unknown => "unknown",
            Self::Subject => "subject",
            Self::Manifest => "manifest",
            Self::Profile => "profile",
            Self::Hierarchy => "hierarchy",
            Self::Conflict => "conflict",
            Self::CanaryPlanted => "canary-planted",
            Self::CanaryPrint => "canary-print",
            Self::CanaryPicture => "canary-picture",
        }
    }
}

/// A broken rule and where. Never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The attribute, when it is one attribute's.
    pub tag: Option<Tag>,
}

impl Violation {
    /// A violation of the object as a whole.
    pub const fn of(rule: Rule) -> Self {
        Self { rule, tag: None }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule.as_str())?;
        self.tag.map_or(Ok(()), |tag| write!(f, " ({:04X},{:04X})", tag.group(), tag.element()))
    }
}

/// Puts violations into one line.
pub fn in_words(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ")
}

/// The profiles the hub knows, ready to check with.
#[derive(Debug)]
pub struct Checker {
    profiles: BTreeMap<String, ProfileRules>,
    dummies: Vec<String>,
    canary: Canary,
}

impl Checker {
    /// Reads the table and works out each profile's rules.
    ///
    /// # Errors
    /// A table that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, HubError> {
        let table = match &settings.check.table {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| HubError::Io { doing: "read the table of PS3.15", source })?;
                Table::parse(&text)?
            }
            None => Table::parse(include_str!("../../../config/ps3.15/table_E.1-1_2026c.csv"))?,
        };
        let profiles = settings.profiles.iter().map(|p| (p.name.clone(), table.rules(p))).collect();
        Ok(Self { profiles, dummies: settings.check.dummies.clone(), canary: Canary::built_in()? })
    }

    /// Checks the object at `path`. Blocks: call it where that is allowed.
    ///
    /// # Errors
    /// The outer one when the file could not be read; the inner one lists what is wrong with the object (the first few).
    pub fn check(&self, path: &Path, manifest: &Manifest) -> Result<Result<Passed, Vec<Violation>>, HubError> {
        let Some(rules) = self.profiles.get(&manifest.certificate.profile) else {
            return Ok(Err(vec![Violation::of(Rule::Profile)]));
        };
        let mut checked = object::check(path, Limits::default(), rules, &self.dummies, manifest);
        if manifest.project == CANARY_PROJECT
            && let Ok(result) = &mut checked
        {
            match self.canary.check(path) {
                Ok(further) if further.is_empty() => {}
                Ok(further) => match result {
                    Ok(_) => *result = Err(further),
                    Err(violations) => violations.extend(further),
                },
                Err(error) => checked = Err(error),
            }
        }
        match checked {
            Err(WalkError::Io(kind)) => Err(HubError::Io { doing: "read an upload", source: kind.into() }),
            Err(error) => Ok(Err(vec![Violation::of(Rule::Form(form(error)))])),
            Ok(result) => Ok(result),
        }
    }
}

const fn form(error: WalkError) -> &'static str {
    match error {
        WalkError::Io(_) => "form: unreadable",
        WalkError::Prefix => "form: not DICOM",
        WalkError::FileMeta => "form: file meta information",
        WalkError::TransferSyntax => "form: transfer syntax",
        WalkError::Length => "form: length",
        WalkError::Vr => "form: VR",
        WalkError::Order => "form: order",
        WalkError::Structure => "form: structure",
        WalkError::Depth => "form: too deep",
        WalkError::Elements => "form: too many elements",
    }
}

#[cfg(test)]
mod tests;
