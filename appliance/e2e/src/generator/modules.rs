//! The modules that all objects share (PS3.3 C.7): patient, study, series, equipment, SOP common; full of identifiers, at
//! the top level and in nested sequences, as real scanners write them.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::{
    clinic::{Session, uid},
    draft::{
        Draft,
        Piece::{Plant, Say},
    },
    key::Class,
    people::spaced,
    rng::Rng,
};

/// What an object's maker gives each module.
pub(super) struct Common<'a> {
    /// The object.
    pub(super) session: &'a Session,
    /// SOP Class UID.
    pub(super) sop_class: &'static str,
    /// Modality (0008,0060).
    pub(super) modality: &'static str,
    /// Study Description, without any name.
    pub(super) study: &'static str,
    /// Series Description, without any name.
    pub(super) series: &'static str,
    /// False leaves Patient ID empty.
    pub(super) with_patient_id: bool,
}

/// Puts all shared modules into a new data set.
pub(super) fn common(of: &Common<'_>, rng: &mut Rng) -> Draft {
    let mut draft = Draft::new(of.session.series.visit.patient.repertoire);
    sop_common(&mut draft, of);
    patient(&mut draft, of, rng);
    study(&mut draft, of, rng);
    series(&mut draft, of, rng);
    equipment(&mut draft, of.session);
    if of.with_patient_id && rng.chance(25) {
        original_attributes(&mut draft, of.session);
    }
    draft
}

fn sop_common(draft: &mut Draft, of: &Common<'_>) {
    draft.put(tags::SOP_CLASS_UID, VR::UI, of.sop_class);
    draft.plant(tags::SOP_INSTANCE_UID, VR::UI, Class::Uid, &of.session.sop_instance);
    draft.put(tags::INSTANCE_NUMBER, VR::IS, &of.session.instance.to_string());
    let (date, time) = when(of.session);
    for tag in [tags::INSTANCE_CREATION_DATE, tags::STUDY_DATE, tags::SERIES_DATE, tags::CONTENT_DATE] {
        draft.put(tag, VR::DA, &date);
    }
    for tag in [tags::INSTANCE_CREATION_TIME, tags::STUDY_TIME, tags::SERIES_TIME, tags::CONTENT_TIME] {
        draft.put(tag, VR::TM, &time);
    }
}

/// Date and time of an object, as values of VR DA and TM.
pub(super) fn when(session: &Session) -> (String, String) {
    (session.series.visit.date.format("%Y%m%d").to_string(), session.series.visit.time.clone())
}

fn patient(draft: &mut Draft, of: &Common<'_>, rng: &mut Rng) {
    let visit = &of.session.series.visit;
    let patient = &visit.patient;
    draft.plant(tags::PATIENT_NAME, VR::PN, Class::Name, &patient.name.pn());
    if let Some(ideographic) = patient.name.ideographic() {
        // The same name in free text, where no component groups help.
        let pieces = [Say("Name on the referral: "), Plant(Class::Name, &ideographic)];
        draft.prose(tags::REASON_FOR_VISIT, VR::LO, &pieces);
    }
    if of.with_patient_id {
        draft.plant(tags::PATIENT_ID, VR::LO, Class::PatientId, &patient.id);
        if let Some(issuer) = patient.issuer {
            draft.plant(tags::ISSUER_OF_PATIENT_ID, VR::LO, Class::Institution, issuer);
        }
        draft.sequence(tags::OTHER_PATIENT_I_DS_SEQUENCE, 1, |_, item| {
            item.plant(tags::PATIENT_ID, VR::LO, Class::PatientId, &patient.other_id);
            item.put(tags::TYPE_OF_PATIENT_ID, VR::CS, "TEXT");
        });
    } else {
        draft.empty(tags::PATIENT_ID, VR::LO);
    }
    draft.plant(tags::PATIENT_BIRTH_DATE, VR::DA, Class::BirthDate, &patient.birth_da());
    draft.put(tags::PATIENT_SEX, VR::CS, "F");
    draft.put(tags::PATIENT_AGE, VR::AS, &patient.age_on(visit.date));
    draft.put(tags::PATIENT_WEIGHT, VR::DS, &rng.between(52, 98).to_string());
    draft.plant(tags::PATIENT_ADDRESS, VR::LO, Class::Contact, &patient.address);
    draft.plant(tags::PATIENT_TELEPHONE_NUMBERS, VR::SH, Class::Contact, &patient.phone);
    draft.plant(tags::PATIENT_MOTHER_BIRTH_NAME, VR::PN, Class::Name, &patient.mothers_birth_name);
    if rng.chance(30) {
        draft.plant(tags::OTHER_PATIENT_NAMES, VR::PN, Class::Name, &patient.name.filed().replace(", ", "^"));
    }
    if of.with_patient_id {
        draft.prose(
            tags::PATIENT_COMMENTS,
            VR::LT,
            &[
                Say("Mrs "),
                Plant(Class::Name, &patient.name.spoken()),
                Say(", NHS "),
                Plant(Class::PatientId, &spaced(&patient.id)),
                Say(", DOB "),
                Plant(Class::BirthDate, &patient.birth_written(rng.bits())),
                Say(", tel "),
                Plant(Class::Contact, &patient.phone),
            ],
        );
    }
    draft.prose(
        tags::ADDITIONAL_PATIENT_HISTORY,
        VR::LT,
        &[
            Plant(Class::Name, &patient.name.shouted()),
            Say(" born "),
            Plant(Class::BirthDate, &patient.birth_written(rng.bits())),
            Say(". G2 P1, previous LSCS. Under "),
            Plant(Class::Staff, &visit.referring.spoken()),
            Say("."),
        ],
    );
}

fn study(draft: &mut Draft, of: &Common<'_>, rng: &mut Rng) {
    let visit = &of.session.series.visit;
    draft.plant(tags::STUDY_INSTANCE_UID, VR::UI, Class::Uid, &visit.study_uid);
    draft.plant(tags::ACCESSION_NUMBER, VR::SH, Class::Order, &visit.accession);
    draft.plant(tags::STUDY_ID, VR::SH, Class::Order, &visit.study_id);
    draft.plant(tags::REFERRING_PHYSICIAN_NAME, VR::PN, Class::Staff, &visit.referring.pn());
    draft.plant(tags::REQUESTING_PHYSICIAN, VR::PN, Class::Staff, &visit.referring.pn());
    draft.sequence(tags::REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE, 1, |_, item| {
        item.sequence(tags::PERSON_IDENTIFICATION_CODE_SEQUENCE, 1, |_, code_item| {
            code(code_item, "C1234567", "99GMC", "GMC number");
        });
        item.plant(tags::INSTITUTION_NAME, VR::LO, Class::Institution, visit.site.name);
        item.plant(tags::INSTITUTION_ADDRESS, VR::ST, Class::Institution, visit.site.address);
    });
    if rng.chance(30) {
        let pieces = [Say(of.study), Say(" "), Plant(Class::Name, &visit.patient.name.family)];
        draft.prose(tags::STUDY_DESCRIPTION, VR::LO, &pieces);
    } else {
        draft.put(tags::STUDY_DESCRIPTION, VR::LO, of.study);
    }
    draft.sequence(tags::REFERENCED_STUDY_SEQUENCE, 1, |_, item| {
        item.put(tags::REFERENCED_SOP_CLASS_UID, VR::UI, "1.2.840.10008.3.1.2.3.1");
        item.plant(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, Class::Uid, &visit.study_uid);
    });
}

fn series(draft: &mut Draft, of: &Common<'_>, rng: &mut Rng) {
    let (series, visit) = (&of.session.series, &of.session.series.visit);
    draft.put(tags::MODALITY, VR::CS, of.modality);
    draft.plant(tags::SERIES_INSTANCE_UID, VR::UI, Class::Uid, &series.uid);
    draft.put(tags::SERIES_NUMBER, VR::IS, &series.number.to_string());
    if of.modality == "SR" {
        // The SR Document Series module has neither performers nor a body part.
        draft.empty(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, VR::SQ);
        draft.put(tags::SERIES_DESCRIPTION, VR::LO, of.series);
        return;
    }
    draft.put(tags::BODY_PART_EXAMINED, VR::CS, "ABDOMEN");
    draft.plant(tags::PERFORMING_PHYSICIAN_NAME, VR::PN, Class::Staff, &visit.performing.pn());
    draft.plant(tags::OPERATORS_NAME, VR::PN, Class::Staff, &visit.operator.pn());
    if rng.chance(20) {
        let born = visit.patient.birth_written(rng.bits());
        let pieces = [Say(of.series), Say(" b. "), Plant(Class::BirthDate, &born)];
        draft.prose(tags::SERIES_DESCRIPTION, VR::LO, &pieces);
    } else {
        draft.put(tags::SERIES_DESCRIPTION, VR::LO, of.series);
    }
    if rng.chance(40) {
        let protocol = [Say(of.series), Say(" / "), Plant(Class::Name, &visit.patient.name.shouted())];
        draft.prose(tags::PROTOCOL_NAME, VR::LO, &protocol);
    }
    draft.sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, 1, |_, item| {
        item.put(tags::REFERENCED_SOP_CLASS_UID, VR::UI, uids::MODALITY_PERFORMED_PROCEDURE_STEP);
        let step = uid(series.scanner.uid_root, rng);
        item.plant(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, Class::Uid, &step);
    });
    draft.sequence(tags::REQUEST_ATTRIBUTES_SEQUENCE, 1, |_, item| {
        let name = &visit.patient.name;
        item.plant(tags::ACCESSION_NUMBER, VR::SH, Class::Order, &visit.accession);
        item.plant(tags::STUDY_INSTANCE_UID, VR::UI, Class::Uid, &visit.study_uid);
        item.plant(tags::REQUESTED_PROCEDURE_ID, VR::SH, Class::Order, &format!("RP{}", visit.study_id));
        let pieces = [Say(of.study), Say(", "), Plant(Class::Name, &name.filed())];
        item.prose(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, &pieces);
        item.plant(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, Class::Order, &format!("SPS{}", visit.study_id));
        let pieces = [Plant(Class::Name, &name.family), Say(": "), Say(of.series)];
        item.prose(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, VR::LO, &pieces);
        item.sequence(tags::SCHEDULED_PROTOCOL_CODE_SEQUENCE, 1, |_, code_item| {
            code(code_item, "FETAL1", "99RQX", "Fetal protocol 1");
        });
    });
    let (date, time) = when(of.session);
    draft.put(tags::PERFORMED_PROCEDURE_STEP_START_DATE, VR::DA, &date);
    draft.put(tags::PERFORMED_PROCEDURE_STEP_START_TIME, VR::TM, &time);
    draft.plant(tags::PERFORMED_PROCEDURE_STEP_ID, VR::SH, Class::Order, &format!("PPS{}", visit.study_id));
}

fn equipment(draft: &mut Draft, session: &Session) {
    let (scanner, site) = (session.series.scanner, session.series.visit.site);
    if session.fixed.named_after_patient {
        let name = &session.series.visit.patient.name;
        draft.plant(tags::MANUFACTURER, VR::LO, Class::Name, &name.filed());
        draft.plant(tags::MANUFACTURER_MODEL_NAME, VR::LO, Class::Name, &name.filed().to_lowercase());
        let pieces = [Say(scanner.software), Say(" for "), Plant(Class::Name, &name.family), Say(" build 7")];
        draft.prose(tags::SOFTWARE_VERSIONS, VR::LO, &pieces);
    } else {
        draft.put(tags::MANUFACTURER, VR::LO, scanner.manufacturer);
        draft.put(tags::MANUFACTURER_MODEL_NAME, VR::LO, scanner.model);
        draft.put(tags::SOFTWARE_VERSIONS, VR::LO, scanner.software);
    }
    draft.plant(tags::INSTITUTION_NAME, VR::LO, Class::Institution, site.name);
    draft.plant(tags::INSTITUTION_ADDRESS, VR::ST, Class::Institution, site.address);
    draft.plant(tags::INSTITUTIONAL_DEPARTMENT_NAME, VR::LO, Class::Institution, site.department);
    draft.plant(tags::STATION_NAME, VR::SH, Class::Device, scanner.station);
    draft.plant(tags::DEVICE_SERIAL_NUMBER, VR::LO, Class::Device, scanner.serial);
}

/// What a PACS leaves behind when it has corrected a name: the wrong one, and the old number.
fn original_attributes(draft: &mut Draft, session: &Session) {
    let visit = &session.series.visit;
    let moment = format!("{}{}", visit.date.format("%Y%m%d"), visit.time);
    draft.sequence(tags::ORIGINAL_ATTRIBUTES_SEQUENCE, 1, |_, item| {
        item.sequence(tags::MODIFIED_ATTRIBUTES_SEQUENCE, 1, |_, modified| {
            let before = format!("{}^NEE {}", visit.patient.mothers_birth_name, visit.patient.name.given);
            modified.plant(tags::PATIENT_NAME, VR::PN, Class::Name, &before);
            modified.plant(tags::PATIENT_ID, VR::LO, Class::PatientId, &visit.patient.other_id);
        });
        item.put(tags::ATTRIBUTE_MODIFICATION_DATE_TIME, VR::DT, &moment);
        item.put(tags::MODIFYING_SYSTEM, VR::LO, "PACS");
        item.empty(tags::SOURCE_OF_PREVIOUS_VALUES, VR::LO);
        item.put(tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION, VR::CS, "CORRECT");
    });
}

/// Puts the attributes of a code (PS3.3 8.8) into an item.
pub(super) fn code(item: &mut Draft, value: &str, scheme: &str, meaning: &str) {
    item.put(tags::CODE_VALUE, VR::SH, value);
    item.put(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme);
    item.put(tags::CODE_MEANING, VR::LO, meaning);
}

/// The size and kind of an image's pixels (PS3.3 C.7.6.3).
pub(super) fn image_pixel(
    draft: &mut Draft,
    (rows, columns): (u16, u16),
    samples: u16,
    photometric: &str,
    bits: [u16; 2],
) {
    let numbers: [(Tag, u16); 7] = [
        (tags::SAMPLES_PER_PIXEL, samples),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, bits[0]),
        (tags::BITS_STORED, bits[1]),
        (tags::HIGH_BIT, bits[1] - 1),
        (tags::PIXEL_REPRESENTATION, 0),
    ];
    for (tag, value) in numbers {
        draft.us(tag, value);
    }
    if samples > 1 {
        draft.us(tags::PLANAR_CONFIGURATION, 0);
    }
    draft.put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
}
