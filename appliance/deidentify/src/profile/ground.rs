//! Why an attribute meets its fate, in words: for whoever must be convinced (`gift-examine explain`), and the profile's own
//! documentation. What no table lists gets its words where it gets its fate, in [`super::rule`].

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, TagRange};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::rule::{Fate, fate, selected, unlisted};
use super::tables::{Override, TableOption};
use super::{Profile, ProfileOption};
use crate::dataset::{Element, dictionary_vr, uses_character_set};

/// The ground on which `element` meets its fate.
pub(crate) fn ground(profile: &Profile, element: &Element) -> String {
    let tag = element.tag;
    if tag.0 % 2 == 1 {
        return match profile.has(ProfileOption::RetainSafePrivate) {
            true => "private; stays only as Table E.3.10-1 says".to_owned(),
            false => "private (Table E.1-1: X)".to_owned(),
        };
    }
    if tag.0 < 8 {
        return "no attribute of a data set".to_owned();
    }
    if profile.is_removed(tag) {
        return "removed by the profile beyond Table E.1-1".to_owned();
    }
    if matches!(tag.0 & 0xFF00, 0x5000 | 0x6000) {
        return "curve or overlay (Table E.1-1: X)".to_owned();
    }
    let Some(row) = profile.tables.row(tag) else {
        return match dictionary_vr(tag, false) {
            None => "in no dictionary".to_owned(),
            Some(vr) => format!("not in Table E.1-1; {}", unlisted(profile, element, vr).1),
        };
    };
    let mut ground = format!("Table E.1-1: {}", row.basic.code());
    for option in TableOption::ALL.into_iter().filter(|option| selected(profile, *option)) {
        if let Some(does) = row.option(option) {
            let code = if does == Override::Keep { 'K' } else { 'C' };
            ground.push_str(&format!("; {code} by {}", option.column()));
        }
    }
    ground
}

/// An attribute of the standard's dictionary that a profile keeps, shifts or cleans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Tag.
    pub tag: Tag,
    /// Keyword of PS3.6.
    pub keyword: String,
    /// VR.
    pub vr: VR,
    /// `K`, `C` or `U`, as Table E.1-1a.
    pub action: char,
    /// On what ground it stays.
    pub ground: String,
    /// What may still be learnt of a person from it.
    pub risk: &'static str,
}

/// Every attribute of the dictionary that `profile` does not remove, empty or replace by a dummy, with its risk: the profile's
/// documentation (PS3.15 E.1.1 asks for a statement of what is retained).
pub fn kept_attributes(profile: &Profile) -> Vec<Kept> {
    let mut kept = Vec::new();
    let (display, therapy) = ((0x2000..=0x2200).step_by(16), 0x3002..=0x3010);
    let groups = (0x0008..=0x0088).chain([0x0100, 0x0400]).chain(display).chain(therapy).chain([0x4008, 0x4010]);
    for group in groups.filter(|group| group % 2 == 0) {
        for number in 1..=0xFFFF_u16 {
            let tag = Tag(group, number);
            let Some(entry) = StandardDataDictionary.by_tag(tag) else { continue };
            let Some(vr) = dictionary_vr(tag, false) else { continue };
            if !matches!(entry.tag_range(), TagRange::Single(_)) {
                continue;
            }
            let element = sample(tag, vr);
            let fate = fate(profile, &element);
            let action = match fate {
                Fate::Keep => 'K',
                Fate::Clean | Fate::Shift | Fate::Content => 'C',
                Fate::Uid => 'U',
                Fate::Remove | Fate::Empty | Fate::Dummy => continue,
            };
            let keyword = entry.alias().to_owned();
            kept.push(Kept { tag, keyword, vr, action, ground: ground(profile, &element), risk: risk(tag, vr, fate) });
        }
    }
    kept
}

fn sample(tag: Tag, vr: VR) -> Element {
    match vr {
        VR::SQ => Element::sequence(tag, Vec::new()),
        VR::DA => Element::new(tag, vr, "20200101"),
        _ => Element::new(tag, vr, "1"),
    }
}

/// The risk that is left, by what kind of value stays.
fn risk(tag: Tag, vr: VR, fate: Fate) -> &'static str {
    match fate {
        Fate::Uid => "none: keyed, without the key no way back",
        Fate::Shift => {
            "low: intervals between a subject's events stay; who knows several of them may recognise the subject"
        }
        Fate::Content => "low: content items go by Table E.3.4-1; free text as other cleaned text",
        _ if vr == VR::SQ => "as its items' attributes",
        _ if tag.0 == 0x0010 => "medium: a quasi-identifier; rare together with others in a small population",
        _ if matches!(vr, VR::DA | VR::DT | VR::TM) => "high: a date as it was",
        _ if vr == VR::PN => "high: a person's name",
        Fate::Clean => {
            "low: typed text; names, numbers and dates that this object's header reveals are cut, and generic patterns; what \
                        no header names may stay"
        }
        _ if matches!(vr, VR::LT | VR::ST | VR::UC | VR::UT) => {
            "low: text on the technique; this object's identifiers are cut"
        }
        _ if uses_character_set(vr) => "low: short text on the technique; this object's identifiers are cut",
        _ if matches!(vr, VR::OB | VR::OW | VR::OL | VR::OV) => {
            "low: pixels are redacted and proven; other tables are scanned for identifiers"
        }
        _ => "very low: a number or defined term of the technique",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{default, profile_with};
    use super::*;

    #[test]
    fn of_the_whole_dictionary_what_is_kept_has_a_ground_and_nothing_kept_is_called_high() {
        for profile in [default(), profile_with(&[])] {
            let kept = kept_attributes(&profile);
            assert!(kept.len() > 2_000, "{}", kept.len());
            for attribute in &kept {
                assert!(!attribute.risk.starts_with("high"), "{attribute:?}");
                assert!(
                    !attribute.ground.contains("removed") && !attribute.ground.contains("in no dictionary"),
                    "{attribute:?}"
                );
            }
        }
    }

    #[test]
    fn grounds_name_row_and_options() {
        let of = |tag, vr| ground(&default(), &sample(tag, vr));
        assert_eq!(of(Tag(0x8, 0x20), VR::DA), "Table E.1-1: Z; C by Rtn. Long. Modif. Dates Opt.");
        assert_eq!(of(Tag(0x28, 0x10), VR::US), "not in Table E.1-1; a number, term or table of the technique");
        assert_eq!(of(Tag(0x400, 0x520), VR::OB), "not in Table E.1-1; bytes of no known structure are removed");
        assert_eq!(of(Tag(0x74, 0x100C), VR::LO), "removed by the profile beyond Table E.1-1");
        assert_eq!(of(Tag(0x9, 0x1010), VR::LO), "private (Table E.1-1: X)");
        assert_eq!(of(Tag(0x28, 0x7FF1), VR::LO), "in no dictionary");
        assert_eq!(of(Tag(0x20, 0x1020), VR::LO), "removed by the profile beyond Table E.1-1");
    }
}
