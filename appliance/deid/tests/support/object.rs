//! Objects as the receiver stores them: bare data sets in Explicit VR Little Endian, well-formed and hostile.

/// Explicit VR Little Endian.
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const US_CINE: &str = "1.2.840.10008.5.1.4.1.1.3.1";
const US: &str = "1.2.840.10008.5.1.4.1.1.6.1";

/// What must not be found anywhere afterwards.
pub const PLANTED: &[&str] =
    &["Quillfeather", "9434765919", "ACC778123", "WARD7SCANNER", "Harbottle", "1.2.826.0.1.99"];

/// One object.
#[derive(Debug, Clone)]
pub struct Object {
    pub sop_class: &'static str,
    pub sop_instance: String,
    pub transfer_syntax: &'static str,
    pub scanner: u16,
    pub bytes: Vec<u8>,
}

/// One element in Explicit VR Little Endian.
pub fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if matches!(vr, "UI" | "OB") { 0 } else { b' ' });
    }
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW" | "SQ" | "UN" | "UT") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

/// What an image is made of.
struct Layout {
    rows: u16,
    columns: u16,
    frames: u32,
    photometric: &'static str,
    bits: u16,
}

impl Layout {
    fn samples(&self) -> u16 {
        if self.photometric == "RGB" { 3 } else { 1 }
    }
    fn bytes(&self) -> usize {
        usize::from(self.rows)
            * usize::from(self.columns)
            * usize::from(self.samples() * self.bits / 8)
            * self.frames as usize
    }
}

fn image(class: &'static str, number: u32, modality: &str, maker: [&str; 2], layout: &Layout) -> Object {
    let sop_instance = format!("1.2.826.0.1.99.3.{number}");
    let text = |group, tag, vr, value: &str| element(group, tag, vr, value.as_bytes());
    let us = |tag, value: u16| element(0x28, tag, "US", &value.to_le_bytes());
    let pixels: Vec<u8> = (0..layout.bytes()).map(|i| if i % 2 == 0 { i as u8 } else { 3 }).collect();
    let bytes = [
        text(8, 0x0008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        text(8, 0x0016, "UI", class),
        text(8, 0x0018, "UI", &sop_instance),
        text(8, 0x0020, "DA", "20240311"),
        text(8, 0x0050, "SH", "ACC778123"),
        text(8, 0x0060, "CS", modality),
        text(8, 0x0070, "LO", maker[0]),
        text(8, 0x0090, "PN", "Harbottle^Ada^^Dr"),
        text(8, 0x1090, "LO", maker[1]),
        text(0x10, 0x0010, "PN", "Quillfeather^Jane"),
        text(0x10, 0x0020, "LO", "9434765919"),
        text(0x10, 0x0030, "DA", "19910203"),
        text(0x10, 0x0040, "CS", "F"),
        text(0x20, 0x000D, "UI", "1.2.826.0.1.99.1"),
        text(0x20, 0x000E, "UI", "1.2.826.0.1.99.2"),
        text(0x20, 0x0013, "IS", &number.to_string()),
        us(0x0002, layout.samples()),
        text(0x28, 0x0004, "CS", layout.photometric),
        if layout.samples() == 3 { us(0x0006, 0) } else { Vec::new() },
        if layout.frames > 1 { text(0x28, 0x0008, "IS", &layout.frames.to_string()) } else { Vec::new() },
        us(0x0010, layout.rows),
        us(0x0011, layout.columns),
        us(0x0100, layout.bits),
        us(0x0101, layout.bits),
        us(0x0102, layout.bits - 1),
        us(0x0103, 0),
        element(0x7FE0, 0x0010, "OW", &pixels),
    ]
    .concat();
    Object { sop_class: class, sop_instance, transfer_syntax: EXPLICIT, scanner: 1, bytes }
}

/// A CT slice, never burnt in.
pub fn ct(number: u32) -> Object {
    large_ct(number, 16)
}

/// A CT slice of so many rows and columns.
pub fn large_ct(number: u32, side: u16) -> Object {
    let layout = Layout { rows: side, columns: side, frames: 1, photometric: "MONOCHROME2", bits: 16 };
    image(CT, number, "CT", ["SIEMENS", "SOMATOM Force"], &layout)
}

/// Template of [`voluson`] in `config/templates/demo/`.
pub const VOLUSON_TEMPLATE: &str = "demo-ge-voluson-e10-960x720-rgb";

/// An ultrasound cine of the model that has a template: RGB, 720 rows of 960 columns.
pub fn voluson(number: u32, frames: u32) -> Object {
    let layout = Layout { rows: 720, columns: 960, frames, photometric: "RGB", bits: 8 };
    image(US_CINE, number, "US", ["GE Healthcare", "Voluson E10"], &layout)
}

/// An ultrasound image of a scanner nobody has a template for.
pub fn unknown_ultrasound(number: u32) -> Object {
    let layout = Layout { rows: 64, columns: 64, frames: 1, photometric: "MONOCHROME2", bits: 16 };
    image(US, number, "US", ["Quillfeather Instruments", "Harbottle 3000"], &layout)
}

fn hostile(number: u32, bytes: Vec<u8>) -> Object {
    let sop_instance = format!("1.2.826.0.1.99.4.{number}");
    Object { sop_class: CT, sop_instance, transfer_syntax: EXPLICIT, scanner: 2, bytes }
}

/// Bytes that are no data set.
pub fn garbage() -> Object {
    hostile(1, b"Quillfeather^Jane 9434765919 ".repeat(100))
}

/// 4,000 nested sequences, 144 KB: overflows the stack of a recursive reader.
pub fn nested() -> Object {
    let mut bytes = element(8, 0x0016, "UI", CT.as_bytes());
    for _ in 0..4000 {
        bytes.extend([0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend([0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    for _ in 0..4000 {
        bytes.extend([0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
    }
    hostile(2, bytes)
}

/// A value of explicit length FFFFFFF0: costs a trusting reader 4.2 GB.
pub fn overlong() -> Object {
    let mut bytes = ct(99).bytes;
    bytes.truncate(bytes.len() - 512 - 4);
    bytes.extend([0xF0, 0xFF, 0xFF, 0xFF]);
    bytes.extend(b"Quillfeather");
    hostile(3, bytes)
}

/// A CT slice whose data set is another one than the command announced.
pub fn misannounced(number: u32) -> Object {
    Object { sop_instance: "1.2.826.0.1.99.5.1".into(), ..ct(number) }
}

/// A CT slice with so many referenced instances, an item and an element each: what costs a reader most memory a byte.
pub fn crowded(number: u32, references: usize) -> Object {
    let base = ct(number);
    let reference = element(8, 0x1155, "UI", b"1.2.3");
    let item = [vec![0xFE, 0xFF, 0, 0xE0], (reference.len() as u32).to_le_bytes().to_vec(), reference].concat();
    let at = base.bytes.windows(4).position(|window| window == [0x10, 0, 0x10, 0]).unwrap();
    let (before, after) = base.bytes.split_at(at);
    let sequence = element(8, 0x1140, "SQ", &item.repeat(references));
    Object { bytes: [before, &sequence, after].concat(), ..base }
}

/// Nothing at all.
pub fn empty() -> Object {
    hostile(4, Vec::new())
}
