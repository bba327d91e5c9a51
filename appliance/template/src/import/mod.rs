//! Redaction rules of other projects, translated to templates that nobody has verified.
//!
//! What a template can say exactly is translated. A word that a peer looks for *in* make or model stands for the values of the
//! vocabulary that have it, and for itself: the box then holds what the peer would have found under yet another name. Everything
//! else is reported by line, with the reason, and nothing is written of its rule unless the caller takes it in part: then without
//! the conditions that could not be said, so that it matches, and holds, more than the peer's.

mod ctp;
mod deid;
mod dre;
mod gcfilter;
mod python;
mod resolve;
mod rule;
mod translate;

use std::collections::BTreeMap;

use crate::{draft::Draft, policy::Policy};

/// A peer's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// GIFT-Cloud, `.gcfilter` (JSON).
    Gcfilter,
    /// RSNA CTP, DicomPixelAnonymizer script; Stanford's scrubber script is one, too.
    Ctp,
    /// pydicom/deid recipe.
    Deid,
    /// Stanford dicom-dre device catalogue (Python).
    Dre,
}

/// What is wrong with a line, or is to be known about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

impl Problem {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

impl std::error::Error for Problem {}

/// How to translate.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Sizes (columns, rows) that rules hold for which leave the size open.
    pub sizes: Vec<(u16, u16)>,
    /// Also what can only be said in part.
    pub partial: bool,
}

/// The result.
#[derive(Debug, Default)]
pub struct Imported {
    /// The templates; together they are a set that a box loads.
    pub drafts: Vec<Draft>,
    /// What did not map.
    pub problems: Vec<Problem>,
    /// What maps, but not to the letter.
    pub notes: Vec<Problem>,
}

/// Translates the file called `name`, the text of which is `text`.
///
/// # Errors
/// It is none of the format: the first thing wrong.
pub fn import(format: Format, name: &str, text: &str, policy: &Policy, options: &Options) -> Result<Imported, Problem> {
    let (rules, mut problems) = match format {
        Format::Gcfilter => gcfilter::read(text)?,
        Format::Ctp => ctp::read(text)?,
        Format::Deid => deid::read(text)?,
        Format::Dre => dre::read(text)?,
    };
    if rules.is_empty() && problems.is_empty() {
        return Err(Problem::at(1, format!("no rule of {} in it", format.title())));
    }
    let mut notes = Vec::new();
    let mut set = resolve::Set::new(format);
    // A line may be several rules, and each of them several templates.
    let mut numbers = BTreeMap::new();
    for rule in &rules {
        let translated = translate::rule(rule, policy, options);
        notes.extend(translated.notes);
        let whole = translated.problems.is_empty();
        problems.extend(translated.problems);
        for part in translated.drafts {
            if whole || options.partial {
                let number = numbers.entry(rule.line).and_modify(|n| *n += 1).or_insert(1);
                set.add(rule, part.named(format, name, *number, whole), &mut problems, &mut notes);
            } else {
                set.left_out(rule, part.named(format, name, 0, false));
            }
        }
    }
    let drafts = set.into_drafts(&mut problems);
    for list in [&mut problems, &mut notes] {
        list.sort();
        list.dedup();
    }
    Ok(Imported { drafts, problems, notes })
}

impl Format {
    fn word(self) -> &'static str {
        match self {
            Self::Gcfilter => "gcfilter",
            Self::Ctp => "ctp",
            Self::Deid => "deid",
            Self::Dre => "dre",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gcfilter => "a GIFT-Cloud filter",
            Self::Ctp => "a CTP pixel script",
            Self::Deid => "a deid recipe",
            Self::Dre => "a dicom-dre catalogue",
        }
    }

    /// All rules that match an object apply, not the first one only.
    fn all_apply(self) -> bool {
        self == Self::Deid
    }
}
