//! What the object says of itself afterwards (PS3.15 E.1.1 step 7, E.3.6; PS3.3 C.7.1.1, C.12.1).

use dicom_core::{Tag, VR};

use crate::dataset::{DataSet, Element, Value};
use crate::profile::{Profile, ProfileOption, method_codes};

use super::{PATIENT_ID, PATIENT_NAME};

const PATIENT_IDENTITY_REMOVED: Tag = Tag(0x0012, 0x0062);
const METHOD: Tag = Tag(0x0012, 0x0063);
const METHOD_CODES: Tag = Tag(0x0012, 0x0064);
const LONGITUDINAL_MODIFIED: Tag = Tag(0x0028, 0x0303);

/// Type 2 attributes of the Patient and General Study modules, which every composite object has: present even when empty.
const TYPE_2: [(Tag, VR); 9] = [
    (Tag(0x0008, 0x0020), VR::DA),
    (Tag(0x0008, 0x0030), VR::TM),
    (Tag(0x0008, 0x0050), VR::SH),
    (Tag(0x0008, 0x0090), VR::PN),
    (Tag(0x0010, 0x0010), VR::PN),
    (Tag(0x0010, 0x0020), VR::LO),
    (Tag(0x0010, 0x0030), VR::DA),
    (Tag(0x0010, 0x0040), VR::CS),
    (Tag(0x0020, 0x0010), VR::SH),
];

/// Patient Species Description and Code Sequence.
const SPECIES: [Tag; 2] = [Tag(0x0010, 0x2201), Tag(0x0010, 0x2202)];
/// Of a patient that is an animal, Type 2C (PS3.3 C.7.1.1): Breed Registration Sequence, Responsible Person and Organization.
const ANIMAL_TYPE_2: [(Tag, VR); 3] =
    [(Tag(0x0010, 0x2294), VR::SQ), (Tag(0x0010, 0x2297), VR::PN), (Tag(0x0010, 0x2299), VR::LO)];

/// Referenced Request Sequence of a report's general module.
const REFERENCED_REQUEST: Tag = Tag(0x0040, 0xA370);

/// Type 2 attributes of an item of Referenced Request Sequence (PS3.3 C.17.2, Table C.17-2).
const REQUEST_TYPE_2: [(Tag, VR); 7] = [
    (Tag(0x0008, 0x0050), VR::SH),
    (Tag(0x0008, 0x1110), VR::SQ),
    (Tag(0x0032, 0x1060), VR::LO),
    (Tag(0x0032, 0x1064), VR::SQ),
    (Tag(0x0040, 0x1001), VR::SH),
    (Tag(0x0040, 0x2016), VR::LO),
    (Tag(0x0040, 0x2017), VR::LO),
];

/// Puts in, empty, what is missing of `attributes`.
fn complete(ds: &mut DataSet, attributes: &[(Tag, VR)]) {
    for (tag, vr) in attributes {
        if !ds.contains(*tag) {
            let empty = if *vr == VR::SQ { Element::sequence(*tag, Vec::new()) } else { Element::new(*tag, *vr, []) };
            ds.insert(empty);
        }
    }
}

/// Puts back, empty, what the rules took out of the requests that a report refers to, where it is Type 2.
fn complete_requests(ds: &mut DataSet) {
    if let Some(Value::Sequence(requests)) = ds.get_mut(REFERENCED_REQUEST) {
        requests.iter_mut().for_each(|request| complete(request, &REQUEST_TYPE_2));
    }
}

/// Puts the subject's pseudonym and the marks of the work into the root.
pub(super) fn mark(ds: &mut DataSet, profile: &Profile, subject: &str) {
    complete(ds, &TYPE_2);
    if SPECIES.iter().any(|tag| ds.contains(*tag)) {
        complete(ds, &ANIMAL_TYPE_2);
    }
    complete_requests(ds);
    ds.put_str(PATIENT_ID, VR::LO, subject);
    ds.put_str(PATIENT_NAME, VR::PN, subject);
    ds.put_str(PATIENT_IDENTITY_REMOVED, VR::CS, "YES");
    ds.put_str(METHOD, VR::LO, &format!("GIFT-Cloud Edge, PS3.15 2026c\\Profile {}", profile.name()));
    let codes = method_codes(profile).into_iter().map(|(value, meaning)| {
        let mut item = DataSet::new();
        item.put_str(Tag(0x0008, 0x0100), VR::SH, value);
        item.put_str(Tag(0x0008, 0x0102), VR::SH, "DCM");
        item.put_str(Tag(0x0008, 0x0104), VR::LO, meaning);
        item
    });
    ds.insert(Element::sequence(METHOD_CODES, codes.collect()));
    let dates = if profile.has(ProfileOption::RetainLongitudinalFullDates) {
        "UNMODIFIED"
    } else if profile.has(ProfileOption::RetainLongitudinalModifiedDates) {
        "MODIFIED"
    } else {
        "REMOVED"
    };
    ds.put_str(LONGITUDINAL_MODIFIED, VR::CS, dates);
}
