//! The object: an ultrasound image whose attributes identify a patient that does not exist.

use chrono::{DateTime, Utc};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::EXPLICIT_VR_LITTLE_ENDIAN;

use crate::{definition::Definition, error::CanaryError, picture};

/// Random digits of one UID.
const DIGITS: usize = 28;
/// Random bytes that [`make`] takes: for three UIDs.
pub(crate) const RANDOM_BYTES: usize = 3 * DIGITS;

/// What is sent.
#[derive(Debug)]
pub(crate) struct Object {
    /// SOP Instance UID.
    pub(crate) sop_instance: String,
    /// The data set, Explicit VR Little Endian.
    pub(crate) bytes: Vec<u8>,
}

impl Object {
    /// SOP Class UID.
    pub(crate) const SOP_CLASS: &'static str = uids::ULTRASOUND_IMAGE_STORAGE;
    /// Transfer Syntax UID.
    pub(crate) const TRANSFER_SYNTAX: &'static str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
}

/// Makes one; its UIDs are of `random`, its dates are `now`.
///
/// # Errors
/// [`CanaryError::Encode`].
pub(crate) fn make(
    definition: &Definition,
    random: &[u8; RANDOM_BYTES],
    now: DateTime<Utc>,
) -> Result<Object, CanaryError> {
    let mut uids = random.chunks_exact(DIGITS).map(|bytes| {
        let digits = bytes.iter().map(|byte| char::from(b'0' + byte % 10));
        definition.uid_prefix.chars().chain(digits).collect::<String>()
    });
    let mut uid = || uids.next().unwrap_or_default();
    let (sop_instance, study, series) = (uid(), uid(), uid());
    let (date, time) = (now.format("%Y%m%d").to_string(), now.format("%H%M%S").to_string());
    let picture = &definition.picture;

    let mut object = InMemDicomObject::new_empty();
    let mut put = |tag: Tag, vr: VR, value: PrimitiveValue| object.put(DataElement::new(tag, vr, value));
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, Object::SOP_CLASS),
        (tags::SOP_INSTANCE_UID, VR::UI, &sop_instance),
        (tags::STUDY_INSTANCE_UID, VR::UI, &study),
        (tags::SERIES_INSTANCE_UID, VR::UI, &series),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY"),
        (tags::MODALITY, VR::CS, "US"),
        (tags::STUDY_DATE, VR::DA, &date),
        (tags::CONTENT_DATE, VR::DA, &date),
        (tags::STUDY_TIME, VR::TM, &time),
        (tags::CONTENT_TIME, VR::TM, &time),
        (tags::MANUFACTURER, VR::LO, &picture.manufacturer),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, &picture.model),
        (tags::PATIENT_SEX, VR::CS, "F"),
        (tags::STUDY_ID, VR::SH, ""),
        (tags::SERIES_NUMBER, VR::IS, "1"),
        (tags::INSTANCE_NUMBER, VR::IS, "1"),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"),
        // What scanners say too, and what nobody may believe.
        (tags::BURNED_IN_ANNOTATION, VR::CS, "NO"),
    ] {
        put(tag, vr, if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(value) });
    }
    for planted in &definition.planted {
        if planted.tag.group() % 2 == 1 {
            put(Tag(planted.tag.group(), 0x0010), VR::LO, PrimitiveValue::from(definition.calling_ae.as_str()));
        }
        put(planted.tag, planted.vr, PrimitiveValue::from(planted.value.as_str()));
    }
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 3),
        (tags::PLANAR_CONFIGURATION, 0),
        (tags::ROWS, picture.rows),
        (tags::COLUMNS, picture.columns),
        (tags::BITS_ALLOCATED, 8),
        (tags::BITS_STORED, 8),
        (tags::HIGH_BIT, 7),
        (tags::PIXEL_REPRESENTATION, 0_u16),
    ] {
        put(tag, VR::US, PrimitiveValue::from(value));
    }
    put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(picture::draw(picture)));

    let mut bytes = Vec::new();
    let syntax = EXPLICIT_VR_LITTLE_ENDIAN.erased();
    object.write_dataset_with_ts(&mut bytes, &syntax).map_err(|_| CanaryError::Encode)?;
    Ok(Object { sop_instance, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(random: u8) -> (Definition, Object) {
        let definition = Definition::built_in().unwrap();
        let object = make(&definition, &[random; RANDOM_BYTES], DateTime::UNIX_EPOCH).unwrap();
        (definition, object)
    }

    #[test]
    fn what_is_sent_reads_back_with_everything_that_was_planted() {
        let (definition, object) = made(7);
        let syntax = EXPLICIT_VR_LITTLE_ENDIAN.erased();
        let read = InMemDicomObject::read_dataset_with_ts(object.bytes.as_slice(), &syntax).unwrap();
        for planted in &definition.planted {
            let element = read.element(planted.tag).unwrap();
            assert_eq!((element.vr(), element.to_str().unwrap().as_ref()), (planted.vr, planted.value.as_str()));
        }
        let uid = |tag: Tag| read.element(tag).unwrap().to_str().unwrap().into_owned();
        assert_eq!(uid(tags::SOP_INSTANCE_UID), object.sop_instance);
        for tag in [tags::SOP_INSTANCE_UID, tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID] {
            assert!(uid(tag).starts_with(&definition.uid_prefix) && uid(tag).len() <= 44);
        }
        let picture = &definition.picture;
        let pixels = read.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
        assert_eq!(pixels, picture::draw(picture));
        assert_eq!(pixels.len(), usize::from(picture.columns) * usize::from(picture.rows) * 3);
        assert_ne!(made(8).1.sop_instance, object.sop_instance, "another one each time");
    }
}
