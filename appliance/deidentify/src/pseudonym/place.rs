//! Where in an object a national number may stand. A number counts only in a place that the settings name, under an issuer
//! that they name: ten digits elsewhere are somebody's local number.

use dicom_core::Tag;
use serde::{Deserialize, Serialize};

use super::{NationalNumber, Scheme};
use crate::dataset::{DataSet, Element};

const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const ISSUER_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0021);
const TYPE_OF_PATIENT_ID: Tag = Tag(0x0010, 0x0022);
const ISSUER_QUALIFIERS: Tag = Tag(0x0010, 0x0024);
const OTHER_PATIENT_IDS: Tag = Tag(0x0010, 0x1002);
/// Universal Entity ID, in Issuer of Patient ID Qualifiers Sequence: an OID where the issuer itself is a local name.
const UNIVERSAL_ENTITY_ID: Tag = Tag(0x0040, 0x0032);

/// An attribute that may hold a national number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribute {
    /// Patient ID (0010,0020).
    PatientId,
    /// Patient ID of an item of Other Patient IDs Sequence (0010,1002).
    OtherPatientIds,
}

/// A place, and when what stands there is a national number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Place {
    /// Whose numbers stand there.
    pub scheme: Scheme,
    /// The attribute.
    pub attribute: Attribute,
    /// Issuers that count: Issuer of Patient ID (0010,0021), or the Universal Entity ID of its qualifiers. An empty one stands
    /// for an ID without issuer.
    pub issuers: Vec<String>,
    /// Types of Patient ID (0010,0022) that count; without any, all do.
    #[serde(default)]
    pub types: Vec<String>,
}

/// What the places of an object hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No valid number.
    None,
    /// One.
    One(NationalNumber),
    /// Different numbers of one scheme: two persons, or two records of one.
    Several,
}

/// The valid national number of `ds`: of the scheme that comes first in `places`.
pub(crate) fn find(ds: &DataSet, places: &[Place]) -> Found {
    let mut found: Option<NationalNumber> = None;
    for place in places {
        for number in place.numbers(ds) {
            match &found {
                Some(first) if first.scheme() == number.scheme() && *first != number => return Found::Several,
                Some(_) => {}
                None => found = Some(number),
            }
        }
    }
    found.map_or(Found::None, Found::One)
}

impl Place {
    fn numbers(&self, ds: &DataSet) -> Vec<NationalNumber> {
        match self.attribute {
            Attribute::PatientId => self.number(ds).into_iter().collect(),
            Attribute::OtherPatientIds => {
                items(ds, OTHER_PATIENT_IDS).iter().filter_map(|item| self.number(item)).collect()
            }
        }
    }

    fn number(&self, level: &DataSet) -> Option<NationalNumber> {
        let ids = level.strings(PATIENT_ID);
        let [id] = ids.as_slice() else { return None };
        let number = NationalNumber::parse(self.scheme, id)?;
        let issuer = level.str(ISSUER_OF_PATIENT_ID).unwrap_or_default();
        let entities = items(level, ISSUER_QUALIFIERS).iter().filter_map(|item| item.str(UNIVERSAL_ENTITY_ID));
        let of_issuer = entities.chain([issuer]).any(|issuer| self.issuers.contains(&issuer));
        let of_type = self.types.is_empty() || level.str(TYPE_OF_PATIENT_ID).is_some_and(|t| self.types.contains(&t));
        (of_issuer && of_type).then_some(number)
    }
}

fn items(ds: &DataSet, tag: Tag) -> &[DataSet] {
    ds.get(tag).map_or(&[], Element::items)
}
