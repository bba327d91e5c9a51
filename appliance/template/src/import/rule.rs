//! A peer's rule, in no peer's words.

use dicom_core::{
    Tag,
    dictionary::{DataDictionary as _, DataDictionaryEntry as _},
};
use dicom_dictionary_std::StandardDataDictionary;

use super::Problem;

/// Rules and what is not understood of a file.
pub(super) type Parsed = (Vec<Rule>, Vec<Problem>);

/// Images for which all tests hold are blanked here.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// Where it begins.
    pub(super) line: usize,
    pub(super) tests: Vec<Test>,
    pub(super) blank: Vec<Area>,
    /// Everything else is blanked as well.
    pub(super) blank_all: bool,
    /// What is kept of everything.
    pub(super) keep: Vec<Area>,
    /// The object's own ultrasound regions are what is kept.
    pub(super) inside_ultrasound_regions: bool,
    /// It applies besides the rule that matches first.
    pub(super) also: bool,
}

/// A rectangle: x, y, width, height, px; negative x, y count from right, bottom. It may reach outside the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) line: usize,
    pub(super) xywh: [i64; 4],
}

/// The attribute's value is, or has, one of these.
#[derive(Debug, Clone)]
pub(super) struct Test {
    pub(super) line: usize,
    pub(super) attribute: Attribute,
    pub(super) how: How,
    pub(super) values: Vec<String>,
}

/// An attribute, as the peer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    /// When the dictionary has it.
    pub(super) tag: Option<Tag>,
    pub(super) name: String,
}

/// How a value is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// Letter for letter, or without regard to case.
    Equals {
        case: bool,
    },
    Contains {
        case: bool,
    },
    StartsWith {
        case: bool,
    },
    EndsWith {
        case: bool,
    },
    /// The attribute is there.
    Present,
    /// A comparison that no template can state: its name.
    Other(String),
}

impl Attribute {
    /// By keyword, or by tag as `gggg,eeee` or `ggggeeee`.
    pub(super) fn of(name: &str) -> Self {
        let name = name.trim();
        let digits: String = name.chars().filter(|c| !"[](),xX".contains(*c)).collect();
        let digits = if name.starts_with("0x") { &digits[1..] } else { &digits };
        let number = (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok()).flatten();
        let tag = match number {
            Some(number) => Some(Tag((number >> 16) as u16, number as u16)),
            None => StandardDataDictionary.by_name(name).map(|entry| entry.tag()),
        };
        let keyword = tag.and_then(|tag| StandardDataDictionary.by_tag(tag)).map(|entry| entry.alias().to_owned());
        Self { tag, name: keyword.unwrap_or_else(|| name.to_owned()) }
    }
}

impl How {
    /// Whether `value` is one, or has one, of `words`.
    pub(super) fn holds(&self, value: &str, words: &[String]) -> bool {
        let lower = value.to_lowercase();
        let any = |case: bool, is: &dyn Fn(&str, &str) -> bool| {
            words.iter().any(|w| if case { is(value, w) } else { is(&lower, &w.to_lowercase()) })
        };
        match self {
            Self::Equals { case } => any(*case, &|v, w| v == w),
            Self::Contains { case } => any(*case, &|v, w| v.contains(w)),
            Self::StartsWith { case } => any(*case, &|v, w| v.starts_with(w)),
            Self::EndsWith { case } => any(*case, &|v, w| v.ends_with(w)),
            Self::Present | Self::Other(_) => false,
        }
    }

    /// True when no value but the words themselves is meant.
    pub(super) fn is_exact(&self) -> bool {
        *self == Self::Equals { case: true }
    }
}
