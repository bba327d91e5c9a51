//! Content items of structured reports, acquisition contexts and the like (PS3.15 E.3.4, Table E.3.4-1).
//!
//! A row of the table decides by concept name and value type. Without the Clean Structured Content Option the Basic Profile asks
//! for a dummy in place of the whole content; here that is the same tree whose free text, names and identifiers are dummies,
//! so that the report stays valid and its measurements usable. With the option, text that no row names is cleaned and kept.

use dicom_core::{Tag, VR};

use crate::dataset::{CharacterSet, DataSet, Element};
use crate::profile::tables::{Action, Concept, Override, Row, TableOption};
use crate::profile::{Profile, ProfileOption};

use super::apply::{Apply, Mode};
use super::dummy;

const VALUE_TYPE: Tag = Tag(0x0040, 0xA040);
const CONCEPT_NAME_CODE: Tag = Tag(0x0040, 0xA043);
const CODE_VALUE: Tag = Tag(0x0008, 0x0100);
const CODING_SCHEME: Tag = Tag(0x0008, 0x0102);
/// Text Value.
pub(super) const TEXT_VALUE: Tag = Tag(0x0040, 0xA160);

/// What happens to one content item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes, with all items under it.
    Remove,
    /// It stays; its text becomes a dummy.
    Dummy,
    /// It stays; its attributes go by their own rules.
    Keep,
}

/// De-identifies content items. `cleaned`: the Clean Structured Content Option is on.
pub(super) fn items(apply: &mut Apply<'_>, tag: Tag, items: &mut Vec<DataSet>, set: CharacterSet, cleaned: bool) {
    let mut number = 0;
    items.retain_mut(|item| {
        number += 1;
        let own = CharacterSet::of(item, set);
        match item_fate(apply.profile, item, own, cleaned) {
            Fate::Remove => {
                apply.counts.x += 1;
                return false;
            }
            Fate::Dummy if item.contains(TEXT_VALUE) => {
                apply.counts.d += 1;
                item.insert(Element::new(TEXT_VALUE, VR::UT, dummy::TEXT));
            }
            Fate::Dummy | Fate::Keep => {}
        }
        apply.journal.enter(tag, number);
        apply.level(item, set, Mode::Content);
        apply.journal.leave();
        true
    });
}

fn item_fate(profile: &Profile, item: &DataSet, set: CharacterSet, cleaned: bool) -> Fate {
    let first = |ds: &DataSet, tag| ds.get(tag).and_then(|e| e.strings(set).into_iter().next()).unwrap_or_default();
    let value_type = first(item, VALUE_TYPE);
    let is_text = value_type == "TEXT" || value_type.is_empty();
    let row = item.items(CONCEPT_NAME_CODE).first().and_then(|name| {
        let concept = Concept {
            code: first(name, CODE_VALUE),
            scheme: first(name, CODING_SCHEME),
            value_type: value_type.clone(),
        };
        profile.tables.content.get(&concept)
    });
    let Some(row) = row else {
        // No row: with the option cleaned and kept, without it free text has no place.
        return if is_text && !cleaned { Fate::Dummy } else { Fate::Keep };
    };
    match overridden(profile, row) {
        Some(Override::Keep) => Fate::Keep,
        Some(Override::Clean) if cleaned || !is_text => Fate::Keep,
        _ => match row.basic {
            Action::X => Fate::Remove,
            _ => Fate::Dummy,
        },
    }
}

/// The override of the options that are on: keep before clean, but modified dates before both.
fn overridden(profile: &Profile, row: &Row) -> Option<Override> {
    const COLUMNS: [(ProfileOption, TableOption); 7] = [
        (ProfileOption::RetainUids, TableOption::RetainUids),
        (ProfileOption::RetainDeviceIdentity, TableOption::RetainDeviceIdentity),
        (ProfileOption::RetainInstitutionIdentity, TableOption::RetainInstitutionIdentity),
        (ProfileOption::RetainPatientCharacteristics, TableOption::RetainPatientCharacteristics),
        (ProfileOption::RetainLongitudinalFullDates, TableOption::RetainLongitudinalFullDates),
        (ProfileOption::RetainLongitudinalModifiedDates, TableOption::RetainLongitudinalModifiedDates),
        (ProfileOption::CleanDescriptors, TableOption::CleanDescriptors),
    ];
    let on =
        COLUMNS.into_iter().filter(|(option, _)| profile.has(*option)).filter_map(|(_, column)| row.option(column));
    let on: Vec<Override> = on.collect();
    [Override::Keep, Override::Clean].into_iter().find(|o| on.contains(o))
}
