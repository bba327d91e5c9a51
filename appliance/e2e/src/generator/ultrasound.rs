//! Ultrasound images, single and multi-frame, with the patient's particulars burnt into the banner.

use dicom_core::{PrimitiveValue, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};

use super::{
    Made,
    canvas::{CELL, Canvas, FAINT, WHITE, YELLOW},
    clinic::Session,
    draft::{
        Draft,
        Piece::{Plant, Say},
    },
    key::{Burnt, Class},
    kind::Kind,
    modules::{self, Common, common, image_pixel},
    people::spaced,
    rng::Rng,
    stray,
};

/// Quality of the JPEG frames.
const JPEG_QUALITY: u8 = 80;

/// Makes one.
pub(super) fn make(kind: Kind, session: &Session, rng: &mut Rng) -> Made {
    let multi_frame = matches!(kind, Kind::VolusonCine | Kind::EpiqCine);
    let jpeg = kind == Kind::EpiqCine;
    let mut draft = common(
        &Common {
            session,
            sop_class: kind.sop_class(),
            modality: "US",
            study: rng.pick(&["Fetal anomaly scan", "Growth scan", "Fetal echo", "MCA Doppler"]),
            series: rng.pick(&["2nd trimester", "Four chamber", "Spine", "Cord insertion"]),
            with_patient_id: true,
        },
        rng,
    );
    attributes(&mut draft, session, rng);
    let size = session.size();
    let frames = match (multi_frame, session.fixed.frames) {
        (false, _) => 1,
        (true, Some(frames)) => frames as usize,
        (true, None) => rng.between(2, 3) as usize,
    };
    if multi_frame {
        cine(&mut draft, frames);
    }
    let marks = stray::marks(session, size, true, rng);
    let mut burnt = Vec::new();
    let mut drawn = Vec::with_capacity(frames);
    for frame in 0..frames {
        let mut canvas = Canvas::new(size);
        canvas.fan(rng, 3 * frame as i32);
        burnt = banner(&mut canvas, session);
        for mark in &marks {
            canvas.mark(mark);
            burnt.push(mark.burnt());
        }
        drawn.push(canvas);
    }
    if jpeg {
        image_pixel(&mut draft, size, 3, "YBR_FULL_422", [8, 8]);
        let raw = drawn.iter().map(|canvas| canvas.rgb().len()).sum::<usize>();
        let encoded: Vec<_> = drawn.iter().map(|canvas| jpeg_422(canvas.rgb(), size)).collect();
        let ratio = raw as f64 / encoded.iter().map(Vec::len).sum::<usize>() as f64;
        draft.put(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
        draft.put(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, &format!("{ratio:.2}"));
        draft.put(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_10918_1");
        draft.fragments(encoded);
    } else {
        image_pixel(&mut draft, size, 3, "RGB", [8, 8]);
        draft.put(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
        draft.bytes(tags::PIXEL_DATA, VR::OB, drawn.into_iter().flat_map(Canvas::into_rgb).collect());
    }
    let transfer_syntax = if jpeg { uids::JPEG_BASELINE8_BIT } else { uids::EXPLICIT_VR_LITTLE_ENDIAN };
    Made { draft, transfer_syntax, burnt }
}

fn attributes(draft: &mut Draft, session: &Session, rng: &mut Rng) {
    let visit = &session.series.visit;
    draft.put(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\OB\\0001");
    let (date, time) = modules::when(session);
    draft.put(tags::ACQUISITION_DATE, VR::DA, &date);
    draft.put(tags::ACQUISITION_TIME, VR::TM, &time);
    draft.empty(tags::PATIENT_ORIENTATION, VR::CS);
    // The scanner's own claim, which is a lie.
    draft.put(tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
    draft.put(tags::TRANSDUCER_DATA, VR::LO, "C2-9-D\\3D\\0");
    if rng.chance(40) {
        let name = &visit.patient.name;
        let born = visit.patient.birth_written(rng.bits());
        let pieces = [Say("pt "), Plant(Class::Name, &name.filed()), Say(" dob "), Plant(Class::BirthDate, &born)];
        draft.prose(tags::IMAGE_COMMENTS, VR::LT, &pieces);
    }
    let (rows, columns) = session.size();
    draft.sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, 1, |_, region| {
        let corners = [
            (tags::REGION_LOCATION_MIN_X0, 0),
            (tags::REGION_LOCATION_MIN_Y0, 66),
            (tags::REGION_LOCATION_MAX_X1, u32::from(columns) - 1),
            (tags::REGION_LOCATION_MAX_Y1, u32::from(rows) - 1),
            (tags::REGION_FLAGS, 0),
        ];
        for (tag, value) in corners {
            region.primitive(tag, VR::UL, PrimitiveValue::from(value));
        }
        region.us(tags::REGION_SPATIAL_FORMAT, 1);
        region.us(tags::REGION_DATA_TYPE, 1);
        region.us(tags::PHYSICAL_UNITS_X_DIRECTION, 3);
        region.us(tags::PHYSICAL_UNITS_Y_DIRECTION, 3);
        region.primitive(tags::PHYSICAL_DELTA_X, VR::FD, PrimitiveValue::from(0.021_f64));
        region.primitive(tags::PHYSICAL_DELTA_Y, VR::FD, PrimitiveValue::from(0.021_f64));
    });
    let manufacturer = session.series.scanner.manufacturer;
    if manufacturer.starts_with("GE") {
        draft.private_sequence(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", 0x01, |item| {
            let name = visit.patient.name.filed();
            item.private(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", 0x02, VR::LO, &[Plant(Class::Name, &name)]);
            let number = &visit.patient.id;
            item.private(0x7FE1, "GEMS_Ultrasound_MovieGroup_001", 0x52, VR::LO, &[Plant(Class::PatientId, number)]);
        });
    } else {
        let born = visit.patient.birth_da();
        draft.private(
            0x200D,
            "Philips US Imaging DD 033",
            0x05,
            VR::LO,
            &[Plant(Class::Name, &visit.patient.name.pn())],
        );
        draft.private(0x200D, "Philips US Imaging DD 033", 0x06, VR::LO, &[Plant(Class::BirthDate, &born)]);
    }
}

fn cine(draft: &mut Draft, frames: usize) {
    draft.put(tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string());
    draft.primitive(tags::FRAME_INCREMENT_POINTER, VR::AT, dicom_value!(Tags, [tags::FRAME_TIME]));
    draft.put(tags::FRAME_TIME, VR::DS, "33.33");
    draft.put(tags::CINE_RATE, VR::IS, "30");
    draft.put(tags::RECOMMENDED_DISPLAY_FRAME_RATE, VR::IS, "30");
    draft.put(tags::START_TRIM, VR::IS, "1");
    draft.put(tags::STOP_TRIM, VR::IS, &frames.to_string());
}

/// Draws the banner and harmless annotations elsewhere, and says where which text stands.
fn banner(canvas: &mut Canvas, session: &Session) -> Vec<Burnt> {
    let (scanner, visit) = (session.series.scanner, &session.series.visit);
    let patient = &visit.patient;
    let lines = [
        format!("{} {}", spaced(&patient.id), patient.name.drawn()),
        format!("{} {} {}", patient.birth_date.format("%d/%m/%Y"), visit.date.format("%d.%m.%y"), visit.site.name),
    ];
    let mut burnt = Vec::new();
    let mut write = |canvas: &mut Canvas, [x, y, width]: [u16; 3], text: &str, colour| {
        let fits: String = text.chars().take(usize::from(width / CELL)).collect();
        let rect = canvas.text((x, y), &fits, colour);
        burnt.push(Burnt { rect, text: fits, identifying: colour != FAINT });
    };
    let colours = [WHITE, YELLOW];
    match *scanner.banner {
        // One band with both lines.
        [[x, y, width, _]] => {
            for (i, line) in lines.iter().enumerate() {
                let top = y + 6 + 22 * i as u16;
                write(canvas, [x + 8, top, width - 8], line, colours[i]);
            }
        }
        // One line in each rectangle.
        ref regions => {
            for ((&[x, y, width, height], line), colour) in regions.iter().zip(&lines).zip(colours) {
                write(canvas, [x + 4, y + (height - CELL) / 2, width - 4], line, colour);
            }
        }
    }
    let (rows, columns) = session.size();
    write(canvas, [columns - 168, 84, 168], "MI 0.9", FAINT);
    write(canvas, [columns - 168, 106, 168], "TIs 0.2", FAINT);
    write(canvas, [12, rows - 28, 168], "13.2cm/1.1", FAINT);
    burnt
}

/// One frame as JPEG baseline with chroma subsampled 4:2:2 (PS3.5 8.2.1).
fn jpeg_422(rgb: &[u8], (rows, columns): (u16, u16)) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut encoded, JPEG_QUALITY);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_1);
    // Unwrap safety: fails when the samples do not fit the size, which the canvas guarantees, or when writing fails.
    encoder.encode(rgb, columns, rows, jpeg_encoder::ColorType::Rgb).expect("a canvas of its own size");
    encoded
}
