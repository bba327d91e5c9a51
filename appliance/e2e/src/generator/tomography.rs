//! CT and MR slices with 16 bits allocated, nothing burnt in, and identifiers in private elements and nested sequences.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::{
    Made, canvas,
    clinic::Session,
    draft::{
        Draft,
        Piece::{Plant, Say},
    },
    key::{Burnt, Class},
    kind::Kind,
    modules::{self, Common, code, common, image_pixel},
    people::spaced,
    rng::Rng,
    scanner, stray,
};

/// Makes a CT slice.
pub(super) fn ct(session: &Session, rng: &mut Rng) -> Made {
    let kind = Kind::Ct;
    let of = Common {
        session,
        sop_class: kind.sop_class(),
        modality: "CT",
        study: "CT abdomen",
        series: rng.pick(&["AXIAL 5.0 STD", "AXIAL 1.25 STD"]),
        with_patient_id: true,
    };
    let mut draft = common(&of, rng);
    draft.put(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL");
    draft.put(tags::KVP, VR::DS, "120");
    draft.put(tags::X_RAY_TUBE_CURRENT, VR::IS, &rng.between(120, 420).to_string());
    draft.put(tags::EXPOSURE_TIME, VR::IS, "500");
    draft.put(tags::CONVOLUTION_KERNEL, VR::SH, "STANDARD");
    draft.put(tags::SLICE_THICKNESS, VR::DS, "5");
    draft.put(tags::RESCALE_INTERCEPT, VR::DS, "-1024");
    draft.put(tags::RESCALE_SLOPE, VR::DS, "1");
    draft.put(tags::RESCALE_TYPE, VR::LO, "HU");
    draft.put(tags::GANTRY_DETECTOR_TILT, VR::DS, "0");
    plane(&mut draft, session, 12);
    private_ge(&mut draft, session, rng);
    let burnt = pixels(&mut draft, session, session.series.side, rng);
    Made { draft, transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN, burnt }
}

/// Makes an MR slice; the Siemens one in implicit VR.
pub(super) fn mr(kind: Kind, session: &Session, rng: &mut Rng) -> Made {
    let of = Common {
        session,
        sop_class: kind.sop_class(),
        modality: "MR",
        study: rng.pick(&["Fetal MRI", "MRI placenta"]),
        series: rng.pick(&["HASTE ax", "TRUFI sag", "T2 TSE cor"]),
        with_patient_id: kind != Kind::WithoutPatientId,
    };
    let mut draft = common(&of, rng);
    let siemens = *session.series.scanner == scanner::AERA;
    draft.put(
        tags::IMAGE_TYPE,
        VR::CS,
        if siemens { "ORIGINAL\\PRIMARY\\M\\ND" } else { "ORIGINAL\\PRIMARY\\M_SE\\M\\SE" },
    );
    draft.put(tags::SCANNING_SEQUENCE, VR::CS, "SE");
    draft.put(tags::SEQUENCE_VARIANT, VR::CS, "SK\\SP");
    draft.put(tags::SCAN_OPTIONS, VR::CS, "PFP");
    draft.put(tags::MR_ACQUISITION_TYPE, VR::CS, "2D");
    draft.put(tags::SEQUENCE_NAME, VR::SH, "*h2d1_164");
    draft.put(tags::REPETITION_TIME, VR::DS, "1400");
    draft.put(tags::ECHO_TIME, VR::DS, "92");
    draft.put(tags::ECHO_TRAIN_LENGTH, VR::IS, "164");
    draft.put(tags::MAGNETIC_FIELD_STRENGTH, VR::DS, "1.5");
    draft.put(tags::FLIP_ANGLE, VR::DS, "150");
    draft.put(tags::SLICE_THICKNESS, VR::DS, "4");
    draft.put(tags::SPACING_BETWEEN_SLICES, VR::DS, "4.4");
    plane(&mut draft, session, 12);
    if siemens {
        private_siemens(&mut draft, session, of.with_patient_id);
    } else {
        private_philips(&mut draft, session);
    }
    let burnt = pixels(&mut draft, session, session.series.side.min(320), rng);
    let transfer_syntax = if siemens { uids::IMPLICIT_VR_LITTLE_ENDIAN } else { uids::EXPLICIT_VR_LITTLE_ENDIAN };
    Made { draft, transfer_syntax, burnt }
}

/// Puts the slice's pixels, with what text there is to be in them.
fn pixels(draft: &mut Draft, session: &Session, side: u16, rng: &mut Rng) -> Vec<Burnt> {
    let mut words = canvas::slice(side, session.instance, rng);
    let marks = stray::marks(session, (side, side), false, rng);
    marks.iter().for_each(|mark| canvas::mark_slice(&mut words, side, mark));
    draft.words(words);
    marks.iter().map(stray::Mark::burnt).collect()
}

/// Frame of reference, image plane, pixels and references, which CT and MR share.
fn plane(draft: &mut Draft, session: &Session, bits_stored: u16) {
    let series = &session.series;
    let side = if *series.scanner == scanner::REVOLUTION_CT { series.side } else { series.side.min(320) };
    let (date, time) = modules::when(session);
    draft.put(tags::ACQUISITION_DATE, VR::DA, &date);
    draft.put(tags::ACQUISITION_TIME, VR::TM, &time);
    draft.put(tags::ACQUISITION_NUMBER, VR::IS, "1");
    draft.plant(tags::FRAME_OF_REFERENCE_UID, VR::UI, Class::Uid, &series.frame_of_reference);
    draft.empty(tags::POSITION_REFERENCE_INDICATOR, VR::LO);
    draft.put(tags::PATIENT_POSITION, VR::CS, "HFS");
    let at = -120.0 + 5.0 * f64::from(session.instance);
    draft.put(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-180\\-180\\{at:.1}"));
    draft.put(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
    draft.put(tags::SLICE_LOCATION, VR::DS, &format!("{at:.1}"));
    let spacing = 360.0 / f64::from(side);
    draft.put(tags::PIXEL_SPACING, VR::DS, &format!("{spacing:.4}\\{spacing:.4}"));
    draft.put(tags::WINDOW_CENTER, VR::DS, "40");
    draft.put(tags::WINDOW_WIDTH, VR::DS, "400");
    image_pixel(draft, (side, side), 1, "MONOCHROME2", [16, bits_stored]);
    let sop_class =
        if *series.scanner == scanner::REVOLUTION_CT { uids::CT_IMAGE_STORAGE } else { uids::MR_IMAGE_STORAGE };
    if !session.earlier.is_empty() {
        draft.sequence(tags::REFERENCED_IMAGE_SEQUENCE, session.earlier.len(), |i, item| {
            item.put(tags::REFERENCED_SOP_CLASS_UID, VR::UI, sop_class);
            item.plant(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, Class::Uid, &session.earlier[i]);
            item.sequence(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, 1, |_, purpose| {
                code(purpose, "121311", "DCM", "Localizer");
            });
        });
    }
}

fn private_ge(draft: &mut Draft, session: &Session, rng: &mut Rng) {
    let visit = &session.series.visit;
    let patient = &visit.patient;
    let (station, born) = (session.series.scanner.station, patient.birth_written(rng.bits()));
    draft.private(0x0009, "GEMS_IDEN_01", 0x01, VR::LO, &[Say("GE_GENESIS_FF")]);
    draft.private(0x0009, "GEMS_IDEN_01", 0x02, VR::SH, &[Plant(Class::Device, station)]);
    draft.private(0x0009, "GEMS_IDEN_01", 0xE3, VR::UI, &[Plant(Class::Uid, &visit.study_uid)]);
    draft.private(0x0043, "GEMS_PARM_01", 0x10, VR::LO, &[Plant(Class::Name, &patient.name.pn())]);
    draft.private(
        0x0043,
        "GEMS_PARM_01",
        0x29,
        VR::OB,
        &[
            Say("\0\x01HIST "),
            Plant(Class::PatientId, &patient.id),
            Say(" "),
            Plant(Class::BirthDate, &born),
            Say("\0"),
        ],
    );
    draft.private_sequence(0x0043, "GEMS_PARM_01", 0x70, |item| {
        item.plant(tags::PATIENT_NAME, VR::PN, Class::Name, &patient.name.pn());
        item.private(0x0043, "GEMS_PARM_01", 0x71, VR::LT, &[Plant(Class::Staff, &visit.performing.spoken())]);
    });
}

fn private_siemens(draft: &mut Draft, session: &Session, with_patient_id: bool) {
    let visit = &session.series.visit;
    let name = visit.patient.name.filed();
    draft.private(0x0029, "SIEMENS CSA HEADER", 0x08, VR::CS, &[Say("IMAGE NUM 4")]);
    let mut header = vec![Say("SV10\x04\x03\x02\x01tPatientName = \""), Plant(Class::Name, &name), Say("\"")];
    let number = spaced(&visit.patient.id);
    if with_patient_id {
        header.extend([Say(" tPatientID = \""), Plant(Class::PatientId, &number), Say("\"")]);
    }
    draft.private(0x0029, "SIEMENS CSA HEADER", 0x20, VR::OB, &header);
}

fn private_philips(draft: &mut Draft, session: &Session) {
    let visit = &session.series.visit;
    draft.private_sequence(0x2005, "Philips MR Imaging DD 005", 0x02, |item| {
        item.plant(tags::ACCESSION_NUMBER, VR::SH, Class::Order, &visit.accession);
        item.plant(tags::OPERATORS_NAME, VR::PN, Class::Staff, &visit.operator.pn());
        item.private(
            0x2005,
            "Philips MR Imaging DD 005",
            0x31,
            VR::LO,
            &[Plant(Class::Name, &visit.patient.name.spoken())],
        );
    });
}
