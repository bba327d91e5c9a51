//! Elements in explicit VR little endian, byte by byte, so that what is planted does not depend on the product's writer.

/// One element; `vr` must be two capital letters.
pub fn element(group: u16, number: u16, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut out = head(group, number, vr);
    let length = value.len().next_multiple_of(2);
    if is_long(vr) {
        out.extend([0, 0]);
        out.extend(u32::try_from(length).expect("a small value").to_le_bytes());
    } else {
        out.extend(u16::try_from(length).expect("a short value").to_le_bytes());
    }
    out.extend(value);
    out.resize(out.len() + length - value.len(), if matches!(vr, b"UI" | b"OB" | b"OW" | b"UN") { 0 } else { b' ' });
    out
}

/// A sequence of undefined length with one item.
pub fn sequence(group: u16, number: u16, item: &[u8]) -> Vec<u8> {
    let mut out = head(group, number, b"SQ");
    out.extend([0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    out.extend(marker(0xE000, u32::MAX));
    out.extend(item);
    out.extend(marker(0xE00D, 0));
    out.extend(marker(0xE0DD, 0));
    out
}

/// Encapsulated pixel data (PS3.5 A.4) with an empty offset table.
pub fn encapsulated(fragments: &[&[u8]]) -> Vec<u8> {
    let mut out = head(0x7FE0, 0x0010, b"OB");
    out.extend([0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    out.extend(marker(0xE000, 0));
    for fragment in fragments {
        let length = fragment.len().next_multiple_of(2);
        out.extend(marker(0xE000, u32::try_from(length).expect("a small fragment")));
        out.extend(*fragment);
        out.resize(out.len() + length - fragment.len(), 0);
    }
    out.extend(marker(0xE0DD, 0));
    out
}

/// Preamble, prefix and file meta information; `preamble` is cut or filled to its 128 bytes.
pub fn file_head(preamble: &[u8], transfer_syntax_uid: &str, more: &[u8]) -> Vec<u8> {
    let mut out = preamble.to_vec();
    out.resize(128, 0);
    out.extend(b"DICM");
    out.extend(element(2, 0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.2"));
    out.extend(element(2, 0x0003, b"UI", b"2.25.1"));
    out.extend(element(2, 0x0010, b"UI", transfer_syntax_uid.as_bytes()));
    out.extend(more);
    out
}

fn head(group: u16, number: u16, vr: &[u8; 2]) -> Vec<u8> {
    let mut out = [group.to_le_bytes(), number.to_le_bytes()].concat();
    out.extend(vr);
    out
}

fn marker(number: u16, length: u32) -> Vec<u8> {
    let mut out = [0xFFFE_u16.to_le_bytes(), number.to_le_bytes()].concat();
    out.extend(length.to_le_bytes());
    out
}

fn is_long(vr: &[u8; 2]) -> bool {
    matches!(vr, b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV")
}
