//! A requestor's bytes, built by hand: what an SCU sends, legal or not. Shared by this crate's tests and the receiver's.
#![allow(dead_code, reason = "each test crate uses a part")]

pub(crate) const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub(crate) const US_MULTI_FRAME: &str = "1.2.840.10008.5.1.4.1.1.3.1";
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";
pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";

/// A PDU of this type around `body`.
pub(crate) fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A-ASSOCIATE-RQ; contexts are (id, abstract syntax, transfer syntaxes).
pub(crate) fn associate(called: &str, calling: &str, contexts: &[(u8, &str, &[&str])], max_pdu: u32) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend(format!("{called:<16}{calling:<16}").as_bytes());
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    for (id, abstract_syntax, transfer_syntaxes) in contexts {
        let mut context = vec![*id, 0, 0, 0];
        context.extend(item(0x30, abstract_syntax.as_bytes()));
        transfer_syntaxes.iter().for_each(|ts| context.extend(item(0x40, ts.as_bytes())));
        body.extend(item(0x20, &context));
    }
    let mut user = item(0x51, &max_pdu.to_be_bytes());
    user.extend(item(0x52, b"1.2.3.4"));
    body.extend(item(0x50, &user));
    pdu(1, &body)
}

/// A presentation data value item.
pub(crate) fn pdv(context: u8, command: bool, last: bool, value: &[u8]) -> Vec<u8> {
    let mut bytes = (value.len() as u32 + 2).to_be_bytes().to_vec();
    bytes.extend([context, u8::from(command) | u8::from(last) << 1]);
    bytes.extend(value);
    bytes
}

/// A P-DATA-TF of one value.
pub(crate) fn p_data(context: u8, command: bool, last: bool, value: &[u8]) -> Vec<u8> {
    pdu(4, &pdv(context, command, last, value))
}

fn element(number: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend(number.to_le_bytes());
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(value);
    bytes
}

pub(crate) fn padded(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    value
}

/// A command set of these elements, with its group length.
pub(crate) fn command_set(elements: &[(u16, &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = elements.iter().flat_map(|(number, value)| element(*number, value)).collect();
    let mut set = element(0, &(body.len() as u32).to_le_bytes());
    set.extend(body);
    set
}

/// C-STORE-RQ.
pub(crate) fn store_rq(message_id: u16, class: &str, instance: &str) -> Vec<u8> {
    command_set(&[
        (0x0002, &padded(class)),
        (0x0100, &[1, 0]),
        (0x0110, &message_id.to_le_bytes()),
        (0x0700, &[0, 0]),
        (0x0800, &[0, 0]),
        (0x1000, &padded(instance)),
    ])
}

/// C-ECHO-RQ.
pub(crate) fn echo_rq(message_id: u16) -> Vec<u8> {
    command_set(&[
        (0x0002, &padded(VERIFICATION)),
        (0x0100, &[0x30, 0]),
        (0x0110, &message_id.to_le_bytes()),
        (0x0800, &[1, 1]),
    ])
}

/// The beginning of a data set in explicit VR little endian: SOP Class UID and SOP Instance UID.
pub(crate) fn head(class: &str, instance: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, uid) in [(0x16u16, class), (0x18, instance)] {
        let value = padded(uid);
        bytes.extend([8, 0]);
        bytes.extend(number.to_le_bytes());
        bytes.extend(b"UI");
        bytes.extend((value.len() as u16).to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

/// A whole data set: [`head`] and pixel data of `pixels` bytes.
pub(crate) fn data_set(class: &str, instance: &str, pixels: usize) -> Vec<u8> {
    let mut bytes = head(class, instance);
    bytes.extend(pixel_header(pixels as u32));
    bytes.resize(bytes.len() + pixels, 0);
    bytes
}

/// (7FE0,0010) OB of this length, explicit VR little endian.
pub(crate) fn pixel_header(length: u32) -> Vec<u8> {
    let mut bytes = vec![0xe0, 0x7f, 0x10, 0, b'O', b'B', 0, 0];
    bytes.extend(length.to_le_bytes());
    bytes
}

/// C-STORE of a whole data set in values of at most `step` bytes, a PDU each.
pub(crate) fn store(context: u8, message_id: u16, class: &str, instance: &str, data: &[u8], step: usize) -> Vec<u8> {
    let mut bytes = p_data(context, true, true, &store_rq(message_id, class, instance));
    let mut chunks = data.chunks(step).peekable();
    while let Some(chunk) = chunks.next() {
        bytes.extend(p_data(context, false, chunks.peek().is_none(), chunk));
    }
    bytes
}

pub(crate) fn release_rq() -> Vec<u8> {
    pdu(5, &[0; 4])
}

/// (message ID responded to, status) of a response's command set.
pub(crate) fn response(set: &[u8]) -> Option<(u16, u16)> {
    let (mut rest, mut id, mut status) = (set, None, None);
    while let [0, 0, e0, e1, a, b, c, d, more @ ..] = rest {
        let (value, after) = more.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)?;
        let number = || value.try_into().map(u16::from_le_bytes).ok();
        match u16::from_le_bytes([*e0, *e1]) {
            0x0120 => id = number(),
            0x0900 => status = number(),
            _ => {}
        }
        rest = after;
    }
    Some((id?, status?))
}
