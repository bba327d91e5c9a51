//! Scanned paper: a Secondary Capture full of text, and an encapsulated PDF (PS3.3 A.8.1, A.45.1).

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::{
    Made,
    canvas::{Canvas, WHITE},
    clinic::Session,
    key::{Burnt, Class},
    kind::Kind,
    modules::{self, Common, common, image_pixel},
    people::spaced,
    rng::Rng,
};

/// Makes an image of a referral letter.
pub(super) fn capture(session: &Session, rng: &mut Rng) -> Made {
    let of = Common {
        session,
        sop_class: Kind::SecondaryCapture.sop_class(),
        modality: "OT",
        study: "Referral letter",
        series: "Letter",
        with_patient_id: true,
    };
    let mut draft = common(&of, rng);
    draft.put(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
    draft.put(tags::CONVERSION_TYPE, VR::CS, "SD");
    draft.empty(tags::PATIENT_ORIENTATION, VR::CS);
    let size = session.series.scanner.size;
    let mut canvas = Canvas::new(size);
    let mut burnt = Vec::new();
    for (line, text) in letter(session).iter().enumerate() {
        let rect = canvas.text((24, 30 + 30 * line as u16), text, WHITE);
        let text = text.chars().take(usize::from(rect[2] / rect[3])).collect();
        burnt.push(Burnt { rect, text, identifying: true });
    }
    image_pixel(&mut draft, size, 3, "RGB", [8, 8]);
    draft.bytes(tags::PIXEL_DATA, VR::OB, canvas.into_rgb());
    Made { draft, transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN, burnt }
}

/// Makes the same letter as PDF.
pub(super) fn pdf(session: &Session, rng: &mut Rng) -> Made {
    let patient = &session.series.visit.patient;
    let of = Common {
        session,
        sop_class: Kind::EncapsulatedPdf.sop_class(),
        modality: "DOC",
        study: "Referral letter",
        series: "Letter",
        with_patient_id: true,
    };
    let mut draft = common(&of, rng);
    let (date, time) = modules::when(session);
    draft.put(tags::ACQUISITION_DATE_TIME, VR::DT, &format!("{date}{time}"));
    draft.put(tags::CONVERSION_TYPE, VR::CS, "SD");
    draft.put(tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    draft.plant(tags::DOCUMENT_TITLE, VR::ST, Class::Name, &patient.name.filed());
    draft.empty(tags::CONCEPT_NAME_CODE_SEQUENCE, VR::SQ);
    draft.put(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, VR::LO, "application/pdf");
    for value in [patient.name.drawn(), &spaced(&patient.id)] {
        let class = if value == patient.name.drawn() { Class::Name } else { Class::PatientId };
        draft.note(class, value, value.as_bytes().to_vec());
    }
    draft.bytes(tags::ENCAPSULATED_DOCUMENT, VR::OB, document(&letter(session)));
    Made { draft, transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN, burnt: Vec::new() }
}

/// The lines of the letter, in ASCII.
fn letter(session: &Session) -> [String; 5] {
    let visit = &session.series.visit;
    [
        visit.site.name.into(),
        format!("Re: {}", visit.patient.name.drawn()),
        format!("No. {}", spaced(&visit.patient.id)),
        format!("Born {}", visit.patient.birth_date.format("%d/%m/%Y")),
        format!("Dear {},", visit.referring.spoken()),
    ]
}

/// One page of PDF 1.4, its text uncompressed.
fn document(lines: &[String]) -> Vec<u8> {
    let mut text = String::from("BT /F1 14 Tf 72 740 Td 20 TL\n");
    for line in lines {
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        text += &format!("({escaped}) Tj T*\n");
    }
    text += "ET";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut pdf = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        pdf += &format!("{} 0 obj\n{object}\nendobj\n", i + 1);
    }
    let start = pdf.len();
    pdf += &format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        pdf += &format!("{offset:010} 00000 n \n");
    }
    pdf += &format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    pdf.into_bytes()
}
