//! Structured reports whose content items name the patient: Basic Text SR and Comprehensive SR (PS3.3 A.35).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::{
    Made,
    clinic::Session,
    draft::{
        Draft,
        Piece::{Plant, Say},
    },
    key::Class,
    kind::Kind,
    modules::{self, Common, code, common},
    people::spaced,
    rng::Rng,
};

/// A concept name or value: code value, scheme, meaning.
type Concept = (&'static str, &'static str, &'static str);

/// Makes one.
pub(super) fn make(kind: Kind, session: &Session, rng: &mut Rng) -> Made {
    let of = Common {
        session,
        sop_class: kind.sop_class(),
        modality: "SR",
        study: "Obstetric ultrasound report",
        series: "Report",
        with_patient_id: true,
    };
    let mut draft = common(&of, rng);
    document(&mut draft, session);
    draft.put(tags::VALUE_TYPE, VR::CS, "CONTAINER");
    concept(&mut draft, tags::CONCEPT_NAME_CODE_SEQUENCE, ("125000", "DCM", "OB-GYN Ultrasound Procedure Report"));
    draft.put(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
    content(&mut draft, kind, session, rng);
    Made { draft, transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN, burnt: Vec::new() }
}

/// The SR Document General module (PS3.3 C.17.2).
fn document(draft: &mut Draft, session: &Session) {
    let visit = &session.series.visit;
    let (date, time) = modules::when(session);
    draft.put(tags::COMPLETION_FLAG, VR::CS, "COMPLETE");
    draft.put(tags::VERIFICATION_FLAG, VR::CS, "VERIFIED");
    draft.sequence(tags::VERIFYING_OBSERVER_SEQUENCE, 1, |_, item| {
        item.plant(tags::VERIFYING_OBSERVER_NAME, VR::PN, Class::Staff, &visit.performing.pn());
        item.empty(tags::VERIFYING_OBSERVER_IDENTIFICATION_CODE_SEQUENCE, VR::SQ);
        item.plant(tags::VERIFYING_ORGANIZATION, VR::LO, Class::Institution, visit.site.name);
        item.put(tags::VERIFICATION_DATE_TIME, VR::DT, &format!("{date}{time}"));
    });
    draft.sequence(tags::REFERENCED_REQUEST_SEQUENCE, 1, |_, item| {
        item.plant(tags::STUDY_INSTANCE_UID, VR::UI, Class::Uid, &visit.study_uid);
        item.empty(tags::REFERENCED_STUDY_SEQUENCE, VR::SQ);
        item.plant(tags::ACCESSION_NUMBER, VR::SH, Class::Order, &visit.accession);
        item.plant(tags::REQUESTED_PROCEDURE_ID, VR::SH, Class::Order, &format!("RP{}", visit.study_id));
        item.put(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, "Obstetric ultrasound");
        item.empty(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, VR::SQ);
        item.plant(
            tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
            VR::LO,
            Class::Order,
            &format!("PO{}", visit.accession),
        );
        item.empty(tags::FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST, VR::LO);
    });
    draft.empty(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, VR::SQ);
}

/// Puts the content items below the root.
fn content(draft: &mut Draft, kind: Kind, session: &Session, rng: &mut Rng) {
    let visit = &session.series.visit;
    let patient = &visit.patient;
    let born = patient.birth_written(rng.bits());
    let number = spaced(&patient.id);
    // What Basic Text SR allows comes first; the rest is for Comprehensive SR (PS3.3 A.35.1.3, A.35.3.3).
    let count = if kind == Kind::ComprehensiveReport { 8 } else { 6 };
    let length = format!("{}.{}", rng.between(18, 78), rng.between(0, 9));
    draft.sequence(tags::CONTENT_SEQUENCE, count, |ordinal, item| match ordinal {
        0 => {
            head(item, "HAS OBS CONTEXT", "PNAME", ("121008", "DCM", "Person Observer Name"));
            item.plant(tags::PERSON_NAME, VR::PN, Class::Staff, &visit.operator.pn());
        }
        1 => {
            head(item, "HAS OBS CONTEXT", "PNAME", ("121029", "DCM", "Subject Name"));
            item.plant(tags::PERSON_NAME, VR::PN, Class::Name, &patient.name.pn());
        }
        2 => {
            head(item, "HAS OBS CONTEXT", "DATE", ("121031", "DCM", "Subject Birth Date"));
            item.plant(tags::DATE, VR::DA, Class::BirthDate, &patient.birth_da());
        }
        3 => {
            head(item, "HAS OBS CONTEXT", "UIDREF", ("121018", "DCM", "Procedure Study Instance UID"));
            item.plant(tags::UID, VR::UI, Class::Uid, &visit.study_uid);
        }
        4 => {
            head(item, "CONTAINS", "TEXT", ("121060", "DCM", "History"));
            item.prose(
                tags::TEXT_VALUE,
                VR::UT,
                &[
                    Plant(Class::Name, &patient.name.spoken()),
                    Say(" ("),
                    Plant(Class::PatientId, &number),
                    Say("), born "),
                    Plant(Class::BirthDate, &born),
                    Say(", referred by "),
                    Plant(Class::Staff, &visit.referring.spoken()),
                    Say(" with raised AFP.\r\nSee "),
                    Plant(Class::Order, &visit.accession),
                    Say("."),
                ],
            );
        }
        5 => {
            head(item, "CONTAINS", "CODE", ("121071", "DCM", "Finding"));
            concept(item, tags::CONCEPT_CODE_SEQUENCE, ("17621005", "SCT", "Normal"));
        }
        6 => {
            head(item, "CONTAINS", "NUM", ("11963-6", "LN", "Femur Length"));
            item.sequence(tags::MEASURED_VALUE_SEQUENCE, 1, |_, measured| {
                concept(measured, tags::MEASUREMENT_UNITS_CODE_SEQUENCE, ("mm", "UCUM", "millimeter"));
                measured.put(tags::NUMERIC_VALUE, VR::DS, &length);
            });
        }
        _ => {
            head(item, "CONTAINS", "CONTAINER", ("121070", "DCM", "Findings"));
            item.put(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
            item.sequence(tags::CONTENT_SEQUENCE, 1, |_, below| {
                head(below, "CONTAINS", "TEXT", ("121106", "DCM", "Comment"));
                let pieces = [Say("Discussed with Mrs "), Plant(Class::Name, &patient.name.family), Say(".")];
                below.prose(tags::TEXT_VALUE, VR::UT, &pieces);
            });
        }
    });
}

/// What every content item opens with.
fn head(item: &mut Draft, relationship: &str, value_type: &str, name: Concept) {
    item.put(tags::RELATIONSHIP_TYPE, VR::CS, relationship);
    item.put(tags::VALUE_TYPE, VR::CS, value_type);
    concept(item, tags::CONCEPT_NAME_CODE_SEQUENCE, name);
}

/// Puts a code sequence of one item.
fn concept(item: &mut Draft, tag: Tag, (value, scheme, meaning): Concept) {
    item.sequence(tag, 1, |_, item| code(item, value, scheme, meaning));
}
