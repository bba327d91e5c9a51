//! Retain Safe Private Option (PS3.15 E.3.10): private attributes that Table E.3.10-1 names by creator and element.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::{Tag, VR};

use crate::dataset::{CharacterSet, DataSet, Element, Value, is_private_creator, is_text};
use crate::profile::rule::Fate;
use crate::profile::{Profile, ProfileOption};

/// The private attributes of this data set or item that may stay, with the VR the table gives them, and their creators.
pub(super) fn safe_attributes(ds: &DataSet, profile: &Profile) -> BTreeMap<Tag, VR> {
    let mut safe = BTreeMap::new();
    if !profile.has(ProfileOption::RetainSafePrivate) {
        return safe;
    }
    // PS3.5 §7.8.1: (gggg,00bb) names the creator of (gggg,bb00-bbFF).
    let creators: BTreeMap<(u16, u8), String> = ds
        .iter()
        .filter(|e| is_private_creator(e.tag))
        .filter_map(|e| {
            let name = e.strings(CharacterSet::default()).into_iter().next()?;
            Some(((e.tag.0, u8::try_from(e.tag.1).ok()?), name))
        })
        .collect();
    let mut used = BTreeSet::new();
    for element in ds.iter().filter(|e| e.tag.0 % 2 == 1 && e.tag.1 > 0xFF) {
        let [block, number] = element.tag.1.to_be_bytes();
        let creator = creators.get(&(element.tag.0, block));
        let vr = creator.and_then(|c| profile.tables.safe_private.get(&(element.tag.0, number, c.clone())));
        if let Some(vr) = vr {
            safe.insert(element.tag, *vr);
            used.insert(Tag(element.tag.0, u16::from(block)));
        }
    }
    safe.extend(used.into_iter().map(|creator| (creator, VR::LO)));
    safe
}

/// Fate of a safe attribute by the VR the table gives it; `None` when its value is of another kind.
pub(super) fn fate(element: &mut Element, vr: VR) -> Option<Fate> {
    let sequence = matches!(element.value, Value::Sequence(_));
    if sequence != (vr == VR::SQ) || element.vr != VR::UN && is_text(element.vr) != is_text(vr) {
        return None;
    }
    element.vr = vr;
    match vr {
        VR::UI => Some(Fate::Uid),
        VR::DA | VR::DT | VR::TM | VR::PN | VR::AE | VR::UR => None,
        _ => Some(Fate::Clean),
    }
}
