//! What a profile comes to for one attribute: its column of Table E.1-1, the options' overrides, the combined codes resolved,
//! and the rule for what no table lists.
//!
//! # Combined codes
//!
//! Which of X, Z and D applies depends on the attribute's type in the IOD (Table E.1-1a). Without the IOD's tables: where D is
//! among the codes, a value becomes a dummy (right for Type 1 and Type 2) and no value stays none; X/Z becomes a value of
//! zero length. Sequences go where X is among the codes, because an empty Type 3 sequence is an error, except Acquisition
//! Context Sequence (0040,0555), which is Type 2 wherever it occurs.
//!
//! # Attributes that no table lists
//!
//! Those the standard dictionary knows are kept, their text cleaned like any other: of identifiers of any origin, unless the
//! profile says that it names a product or code. But UIDs are replaced, dates follow the longitudinal options, person names are
//! emptied, text without a limit of length becomes a dummy unless the profile names it, application entities and URLs are
//! removed, and so are bytes unless the profile knows their structure, and what the profile lists beyond the table. What no
//! dictionary knows is removed, and so is a value whose kind (text, number, sequence) is not the dictionary's.

use dicom_core::{Tag, VR};

use super::tables::{Action, Override, TableOption};
use super::{Profile, ProfileOption};
use crate::dataset::{Element, Value, dictionary_vr, is_text};

/// Sequences whose basic action allows Z and that are Type 2.
const TYPE_2_SEQUENCES: [Tag; 1] = [Tag(0x0040, 0x0555)];

/// What happens to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// X.
    Remove,
    /// Z: zero length, or no items.
    Empty,
    /// D: a dummy value; a sequence keeps its shape and gets dummies inside.
    Dummy,
    /// U: UIDs are replaced; a sequence is entered.
    Uid,
    /// K: as it is, apart from this object's own identifiers in text; a sequence is entered.
    Keep,
    /// C of the descriptors: as `Keep`, and generic patterns (dates, numbers, addresses) are cut from text as well.
    Clean,
    /// C of the longitudinal option: dates are shifted.
    Shift,
    /// C of structured content: content items by Table E.3.4-1.
    Content,
}

/// Fate of `element` under `profile`, without regard to where it stands.
pub(crate) fn fate(profile: &Profile, element: &Element) -> Fate {
    let tag = element.tag;
    if tag.0 < 8 || profile.is_removed(tag) || is_curve_or_overlay(tag) || tag.0 % 2 == 1 {
        return Fate::Remove;
    }
    let Some(known) = dictionary_vr(tag, false) else {
        // Newer than the dictionary, but listed: only the actions that look at no value are safe.
        return match profile.tables.row(tag).map(|row| row.basic) {
            Some(Action::Z) => Fate::Empty,
            _ => Fate::Remove,
        };
    };
    if !same_kind(element, known) {
        return Fate::Remove;
    }
    match profile.tables.row(tag) {
        None => unlisted(profile, element, known).0,
        Some(row) => {
            let on = |option: TableOption| selected(profile, option).then(|| row.option(option)).flatten();
            // Modified dates go before any option that would keep them as they are.
            if on(TableOption::RetainLongitudinalModifiedDates) == Some(Override::Clean) {
                return if matches!(known, VR::DA | VR::DT | VR::TM | VR::SH) {
                    Fate::Shift
                } else {
                    basic(row.basic, element)
                };
            }
            if TableOption::ALL.into_iter().any(|o| on(o) == Some(Override::Keep)) {
                return Fate::Keep;
            }
            let cleans = |option| on(option) == Some(Override::Clean);
            if cleans(TableOption::CleanStructuredContent) {
                return Fate::Content;
            }
            let text = cleans(TableOption::CleanDescriptors) || cleans(TableOption::RetainPatientCharacteristics);
            // Narratives about a patient cannot be known to be clean (E.3.5): only listed ones are.
            if text && matches!(known, VR::LT | VR::ST | VR::UT) && !profile.is_kept_narrative(tag) {
                return basic(row.basic, element);
            }
            // Bytes are nothing that could be cleaned (Maker Note, Device Setting Description).
            if text && matches!(known, VR::OB | VR::OW | VR::UN) {
                return basic(row.basic, element);
            }
            if text || cleans(TableOption::CleanGraphics) {
                return Fate::Clean;
            }
            basic(row.basic, element)
        }
    }
}

/// Fate by the Basic Profile alone: for values that no option may keep.
pub(crate) fn basic_fate(profile: &Profile, element: &Element) -> Fate {
    profile.tables.row(element.tag).map_or(Fate::Dummy, |row| basic(row.basic, element))
}

/// Curves (50xx) and overlays (60xx): the whole group, since data without its description is an error (PS3.3 C.9.2).
fn is_curve_or_overlay(tag: Tag) -> bool {
    matches!(tag.0 & 0xFF00, 0x5000 | 0x6000)
}

pub(super) fn selected(profile: &Profile, option: TableOption) -> bool {
    use ProfileOption as P;
    use TableOption as T;
    profile.has(match option {
        T::RetainSafePrivate => P::RetainSafePrivate,
        T::RetainUids => P::RetainUids,
        T::RetainDeviceIdentity => P::RetainDeviceIdentity,
        T::RetainInstitutionIdentity => P::RetainInstitutionIdentity,
        T::RetainPatientCharacteristics => P::RetainPatientCharacteristics,
        T::RetainLongitudinalFullDates => P::RetainLongitudinalFullDates,
        T::RetainLongitudinalModifiedDates => P::RetainLongitudinalModifiedDates,
        T::CleanDescriptors => P::CleanDescriptors,
        T::CleanStructuredContent => P::CleanStructuredContent,
        T::CleanGraphics => P::CleanGraphics,
    })
}

/// True when the value is of the kind the dictionary says: a sequence, text, or bytes and numbers.
fn same_kind(element: &Element, known: VR) -> bool {
    match element.value {
        Value::Sequence(_) => known == VR::SQ,
        Value::Fragments { .. } => matches!(known, VR::OB | VR::OW),
        Value::Bytes(_) | Value::Span { .. } => {
            known != VR::SQ && (element.vr == VR::UN) == (known == VR::UN) && is_text(known) == is_text(element.vr)
        }
    }
}

/// Fate of an attribute that no table lists, and why, in words.
pub(super) fn unlisted(profile: &Profile, element: &Element, known: VR) -> (Fate, &'static str) {
    const DATES: &str = "dates and times go as the longitudinal options say";
    const UIDS: &str = "UIDs of instances are replaced, those of the standard stay";
    const UNLIMITED: &str = "text without a limit stays only where the profile names it";
    match known {
        _ if profile.is_exact(element.tag) => {
            (Fate::Keep, "names a product or code; this object's identifiers are cut")
        }
        VR::LT | VR::ST | VR::UC | VR::UT if profile.is_kept_narrative(element.tag) => {
            (Fate::Clean, "text on the technique, named by the profile")
        }
        VR::LT | VR::ST | VR::UC | VR::UT if element.value.is_empty() => (Fate::Empty, UNLIMITED),
        VR::LT | VR::ST | VR::UC | VR::UT => (Fate::Dummy, UNLIMITED),
        VR::UI if profile.has(ProfileOption::RetainUids) => (Fate::Keep, UIDS),
        VR::UI => (Fate::Uid, UIDS),
        VR::DA | VR::DT | VR::TM if profile.has(ProfileOption::RetainLongitudinalFullDates) => (Fate::Keep, DATES),
        VR::DA | VR::DT | VR::TM if profile.has(ProfileOption::RetainLongitudinalModifiedDates) => (Fate::Shift, DATES),
        VR::DA | VR::DT | VR::TM => (Fate::Dummy, DATES),
        VR::PN => (Fate::Empty, "names of persons are emptied"),
        VR::AE | VR::UR | VR::UN => (Fate::Remove, "application entities, URLs and unknown values are removed"),
        VR::OB if !profile.is_structured(element.tag) => (Fate::Remove, "bytes of no known structure are removed"),
        VR::LO | VR::SH => (Fate::Clean, "short text, without identifiers of any origin"),
        VR::SQ => (Fate::Keep, "its items' attributes go by their own rules"),
        _ => (Fate::Keep, "a number, term or table of the technique"),
    }
}

fn basic(action: Action, element: &Element) -> Fate {
    let empty = element.value.is_empty();
    let sequence = matches!(element.value, Value::Sequence(_));
    match action {
        Action::X => Fate::Remove,
        Action::XZ | Action::XD | Action::XZD if sequence && !TYPE_2_SEQUENCES.contains(&element.tag) => Fate::Remove,
        Action::XD if empty => Fate::Remove,
        Action::Z | Action::XZ => Fate::Empty,
        Action::D | Action::ZD | Action::XZD if empty => Fate::Empty,
        Action::D | Action::ZD | Action::XD | Action::XZD => Fate::Dummy,
        Action::U | Action::XZU => Fate::Uid,
    }
}

#[cfg(test)]
mod tests {
    use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, TagRange};
    use dicom_dictionary_std::StandardDataDictionary;

    use super::super::tests::{default, profile_with};
    use super::*;

    fn text(tag: Tag, vr: VR, value: &str) -> Element {
        Element::new(tag, vr, value)
    }

    fn of(profile: &Profile, tag: Tag, vr: VR, value: &str) -> Fate {
        fate(profile, &text(tag, vr, value))
    }

    #[test]
    fn combined_codes_resolve_by_value_and_kind() {
        let basic = profile_with(&[]);
        assert_eq!(of(&basic, Tag(8, 0x1070), VR::PN, "Doe"), Fate::Dummy, "X/Z/D with a value");
        assert_eq!(of(&basic, Tag(8, 0x1070), VR::PN, ""), Fate::Empty, "X/Z/D without");
        assert_eq!(of(&basic, Tag(8, 0x22), VR::DA, "20200101"), Fate::Empty, "X/Z");
        assert_eq!(of(&basic, Tag(0x18, 0x1030), VR::LO, "Head"), Fate::Dummy, "X/D");
        let sequence = |tag| fate(&basic, &Element::sequence(tag, vec![]));
        assert_eq!(sequence(Tag(8, 0x1110)), Fate::Remove, "X/Z sequence");
        assert_eq!(sequence(Tag(0x40, 0x0555)), Fate::Empty, "Type 2 sequence");
        assert_eq!(sequence(Tag(8, 0x1140)), Fate::Uid, "X/Z/U*");
    }

    #[test]
    fn options_override_in_the_order_that_protects() {
        let default = default();
        assert_eq!(of(&default, Tag(8, 0x20), VR::DA, "20200101"), Fate::Shift);
        assert_eq!(of(&default, Tag(8, 0x1030), VR::LO, "Head"), Fate::Clean);
        assert_eq!(of(&default, Tag(0x10, 0x40), VR::CS, "F"), Fate::Keep);
        assert_eq!(of(&default, Tag(0x10, 0x30), VR::DA, "19700101"), Fate::Empty, "no option keeps a birth date");
        // Date of Last Calibration: device identity would keep it, modified dates would not.
        let both = profile_with(&["retain-device-identity", "retain-longitudinal-modified-dates"]);
        assert_eq!(of(&both, Tag(0x18, 0x1200), VR::DA, "20200101"), Fate::Shift);
        assert_eq!(of(&both, Tag(0x18, 0x1000), VR::LO, "SN1"), Fate::Keep);
    }

    #[test]
    fn what_is_unknown_private_or_of_another_kind_goes() {
        let basic = profile_with(&[]);
        assert_eq!(of(&basic, Tag(0x0028, 0x7FF1), VR::LO, "x"), Fate::Remove, "in no dictionary");
        assert_eq!(of(&basic, Tag(0x0029, 0x1010), VR::LO, "x"), Fate::Remove, "private");
        assert_eq!(of(&basic, Tag(0x6002, 0x0022), VR::LO, "x"), Fate::Remove, "overlay");
        assert_eq!(of(&basic, Tag(0x0028, 0x0010), VR::LO, "Doe"), Fate::Remove, "text in a number");
        assert_eq!(of(&basic, Tag(0x0008, 0x0060), VR::UN, "CT"), Fate::Remove, "UN");
        assert_eq!(fate(&basic, &Element::sequence(Tag(8, 0x60), vec![])), Fate::Remove, "a sequence in text");
        assert_eq!(of(&basic, Tag(0x0008, 0x1140), VR::LO, "Doe"), Fate::Remove, "text in a sequence");
        assert_eq!(
            of(&basic, Tag(0x0010, 0x0033), VR::LO, "Heisei 2"),
            Fate::Remove,
            "beyond the table, by the profile"
        );
        assert_eq!(of(&basic, Tag(0x0040, 0x0400), VR::LT, "nice lady"), Fate::Dummy, "narrative that no table lists");
        assert_eq!(
            of(&basic, Tag(0x0062, 0x0020), VR::UT, "Lesion 1"),
            Fate::Clean,
            "narrative that the profile names"
        );
        assert_eq!(of(&basic, Tag(0x0070, 0x0081), VR::LO, "For review"), Fate::Clean, "text that no table lists");
        assert_eq!(of(&basic, Tag(0x0008, 0x0100), VR::SH, "818981001"), Fate::Keep, "a code");
        assert_eq!(of(&basic, Tag(0x0018, 0x1020), VR::LO, "11.0 20190812"), Fate::Keep, "a version");
        assert_eq!(of(&basic, Tag(0x0074, 0x100C), VR::LO, "Ward 7"), Fate::Remove, "a contact");
        assert_eq!(
            fate(&basic, &Element::new(Tag(0x0016, 0x002B), VR::OB, vec![1, 2])),
            Fate::Remove,
            "a maker's note"
        );
        assert_eq!(
            fate(&basic, &Element::new(Tag(0x0028, 0x2000), VR::OB, vec![1, 2])),
            Fate::Keep,
            "a colour profile"
        );
    }

    /// No attribute of the whole dictionary that names a person, a place in the network, a time or an instance is kept.
    #[test]
    fn of_the_whole_dictionary_nothing_that_identifies_by_its_vr_is_kept() {
        let basic = profile_with(&[]);
        // Groups of the dictionary; more would only be slow.
        let groups =
            (0x08..=0x88).chain([0x100, 0x400]).chain(0x2000..=0x2200).chain(0x3002..=0x3010).chain([0x4008, 0x4010]);
        let mut seen = 0;
        for group in groups.filter(|g| g % 2 == 0 && (*g < 0x2000 || g % 16 == 0 || *g >= 0x3000)) {
            for element in 0..=0xFFFF_u16 {
                let Some(entry) = StandardDataDictionary.by_tag(Tag(group, element)) else { continue };
                if !matches!(entry.tag_range(), TagRange::Single(_)) {
                    continue;
                }
                let Some(vr) = dictionary_vr(Tag(group, element), false) else { continue };
                if matches!(vr, VR::PN | VR::DA | VR::DT | VR::TM | VR::AE | VR::UR | VR::UI) {
                    seen += 1;
                    let kept = of(&basic, Tag(group, element), vr, "1.2.3");
                    assert!(!matches!(kept, Fate::Keep | Fate::Clean | Fate::Shift), "({group:04X},{element:04X})");
                }
            }
        }
        assert!(seen > 300, "{seen}");
    }
}
