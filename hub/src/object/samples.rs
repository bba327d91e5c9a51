//! Objects for unit tests, byte by byte.

use dicom_core::Tag;

/// A data set being put together; explicit VR little endian.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    elements: Vec<(Tag, Vec<u8>)>,
    meta: Vec<(Tag, Vec<u8>)>,
}

/// One element's bytes.
pub fn encode(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(tag.group().to_le_bytes());
    out.extend(tag.element().to_le_bytes());
    out.extend(vr.as_bytes());
    let pad = value.len() % 2;
    let length = u32::try_from(value.len() + pad).unwrap();
    if ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"].contains(&vr) {
        out.extend([0, 0]);
        out.extend(length.to_le_bytes());
    } else {
        out.extend(u16::try_from(length).unwrap().to_le_bytes());
    }
    out.extend(value);
    out.extend(std::iter::repeat_n(if matches!(vr, "UI" | "OB" | "UN") { 0 } else { b' ' }, pad));
    out
}

impl Sample {
    /// A data set that will be a file in Explicit VR Little Endian.
    pub fn new() -> Self {
        Self::data_set()
            .meta((0x0002, 0x0001), "OB", &[0, 1])
            .meta((0x0002, 0x0010), "UI", b"1.2.840.10008.1.2.1")
            .meta((0x0002, 0x0012), "UI", b"2.25.99")
    }

    /// A data set alone: an item.
    pub fn data_set() -> Self {
        Self::default()
    }

    /// Sets an element of the file meta information.
    pub fn meta(mut self, tag: (u16, u16), vr: &str, value: &[u8]) -> Self {
        let tag = Tag(tag.0, tag.1);
        self.meta.retain(|(t, _)| *t != tag);
        self.meta.push((tag, encode(tag, vr, value)));
        self.meta.sort_by_key(|(t, _)| *t);
        self
    }

    /// Sets an element.
    pub fn element(mut self, tag: (u16, u16), vr: &str, value: &[u8]) -> Self {
        let tag = Tag(tag.0, tag.1);
        self.elements.retain(|(t, _)| *t != tag);
        self.elements.push((tag, encode(tag, vr, value)));
        self
    }

    /// Leaves an element out.
    pub fn without(mut self, tag: (u16, u16)) -> Self {
        self.elements.retain(|(t, _)| *t != Tag(tag.0, tag.1));
        self
    }

    /// Sets a sequence: undefined length, items of defined and undefined length in turn.
    pub fn sequence(mut self, tag: (u16, u16), items: &[Self]) -> Self {
        let tag = Tag(tag.0, tag.1);
        let mut out = Vec::new();
        out.extend(tag.group().to_le_bytes());
        out.extend(tag.element().to_le_bytes());
        out.extend(b"SQ\0\0");
        out.extend(u32::MAX.to_le_bytes());
        for (n, item) in items.iter().enumerate() {
            let body = item.clone().sorted().bytes();
            out.extend([0xFE, 0xFF, 0x00, 0xE0]);
            if n % 2 == 0 {
                out.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
                out.extend(body);
            } else {
                out.extend(u32::MAX.to_le_bytes());
                out.extend(body);
                out.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0]);
            }
        }
        out.extend([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        self.elements.retain(|(t, _)| *t != tag);
        self.elements.push((tag, out));
        self
    }

    /// Puts the elements in order.
    pub fn sorted(mut self) -> Self {
        self.elements.sort_by_key(|(tag, _)| *tag);
        self
    }

    /// The data set's bytes, elements as they stand.
    pub fn bytes(&self) -> Vec<u8> {
        self.elements.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    /// The file.
    pub fn file(&self) -> Vec<u8> {
        let meta: Vec<u8> = self.meta.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let mut out = vec![0; 128];
        out.extend(b"DICM");
        out.extend(encode(Tag(2, 0), "UL", &u32::try_from(meta.len()).unwrap().to_le_bytes()));
        out.extend(meta);
        out.extend(self.bytes());
        out
    }
}

/// A small object as a box would release it, for `manifest()` of the same `number`.
pub fn released(number: u32) -> Sample {
    let uid = |kind: u32| format!("2.25.{kind}{number:06}");
    Sample::new()
        .meta((0x0002, 0x0002), "UI", b"1.2.840.10008.5.1.4.1.1.2")
        .meta((0x0002, 0x0003), "UI", uid(3).as_bytes())
        .element((0x0008, 0x0005), "CS", b"ISO_IR 192")
        .element((0x0008, 0x0016), "UI", b"1.2.840.10008.5.1.4.1.1.2")
        .element((0x0008, 0x0018), "UI", uid(3).as_bytes())
        .element((0x0008, 0x0020), "DA", b"20240102")
        .element((0x0008, 0x0050), "SH", b"")
        .element((0x0008, 0x0060), "CS", b"CT")
        .element((0x0010, 0x0010), "PN", SUBJECT.as_bytes())
        .element((0x0010, 0x0020), "LO", SUBJECT.as_bytes())
        .element((0x0012, 0x0062), "CS", b"YES")
        .element((0x0012, 0x0063), "LO", b"test")
        .element((0x0020, 0x000D), "UI", uid(1).as_bytes())
        .element((0x0020, 0x000E), "UI", uid(2).as_bytes())
        .element((0x0020, 0x0013), "IS", number.to_string().as_bytes())
        .element((0x0028, 0x0010), "US", &[8, 0])
        .element((0x0028, 0x0011), "US", &[8, 0])
        .element((0x7FE0, 0x0010), "OW", &[0; 128])
}

/// A canary (`config/canary.toml`) as a box would release it, for `manifest()` of the same `number` with its SOP class. `change` gets its
/// pixels.
pub fn canary(number: u32, change: impl FnOnce(&mut Vec<u8>)) -> Sample {
    let mut pixels = Vec::new();
    for (y, x) in (0..240_usize).flat_map(|y| (0..320_usize).map(move |x| (y, x))) {
        let printed = y < 24 || (y >= 216 && x < 200);
        let drawn = [x + 2 * y + 17, 3 * x + y + 89, 5 * x + 7 * y + 151].map(|sum| (sum % 256) as u8);
        pixels.extend(if printed { [0; 3] } else { drawn });
    }
    change(&mut pixels);
    let us = |value: u16| value.to_le_bytes();
    let mut sample = released(number)
        .meta((0x0002, 0x0002), "UI", CANARY_SOP_CLASS.as_bytes())
        .element((0x0008, 0x0016), "UI", CANARY_SOP_CLASS.as_bytes())
        .element((0x0008, 0x0060), "CS", b"US")
        .element((0x0028, 0x0004), "CS", b"RGB")
        .element((0x7FE0, 0x0010), "OB", &pixels);
    let numbers = [(0x02, 3), (0x06, 0), (0x10, 240), (0x11, 320), (0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0)];
    for (element, value) in numbers {
        sample = sample.element((0x0028, element), "US", &us(value));
    }
    sample.sorted()
}

/// Ultrasound Image Storage.
pub const CANARY_SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.6.1";

/// The manifest of `canary(number)`, for the bytes of `file`.
pub fn canary_manifest(number: u32, file: &[u8]) -> gift_wire::Manifest {
    let sop_class_uid = CANARY_SOP_CLASS.to_owned();
    gift_wire::Manifest { sop_class_uid, project: gift_wire::CANARY_PROJECT.to_owned(), ..manifest(number, file) }
}

/// Subject pseudonym of the samples.
pub const SUBJECT: &str = "0123456789abcdef0123456789abcdef";

/// The manifest of `released(number)`, for the bytes of `file`.
pub fn manifest(number: u32, file: &[u8]) -> gift_wire::Manifest {
    use sha2::Digest as _;
    let uid = |kind: u32| format!("2.25.{kind}{number:06}");
    gift_wire::Manifest {
        version: gift_wire::WIRE_VERSION,
        object: gift_wire::ObjectId::parse(&format!("{number:032x}")).unwrap(),
        sha256: gift_wire::Sha256Hex::parse(&hex::encode(sha2::Sha256::digest(file))).unwrap(),
        size: file.len() as u64,
        sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".to_owned(),
        sop_instance_uid: uid(3),
        study_instance_uid: uid(1),
        series_instance_uid: uid(2),
        transfer_syntax_uid: "1.2.840.10008.1.2.1".to_owned(),
        subject: SUBJECT.to_owned(),
        project: "fetal-surgery".to_owned(),
        certificate: gift_wire::Certificate {
            input_digest: gift_wire::Sha256Hex::parse(&"ab".repeat(32)).unwrap(),
            profile: "gift-default-1".to_owned(),
            key_version: 1,
            linkage: None,
            actions: [0; 6],
            template: None,
            frames_proven: 0,
            leak_patterns: 3,
            made_ms: 1,
        },
    }
}
