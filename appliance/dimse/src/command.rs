//! Command sets (PS3.7 §6.3.1 and Annex E): group 0000, implicit VR little endian, whatever the negotiated transfer syntax.

use crate::{Status, Uid, uid::MAX_UID_BYTES};

/// Command Data Set Type: no data set follows (PS3.7 E.1).
const NO_DATA_SET: u16 = 0x0101;

/// Bit 15 of the Command Field marks a response.
pub(crate) const RESPONSE: u16 = 0x8000;
pub(crate) const C_STORE_RQ: u16 = 0x0001;
pub(crate) const C_ECHO_RQ: u16 = 0x0030;
pub(crate) const C_CANCEL_RQ: u16 = 0x0FFF;

mod element {
    pub(super) const GROUP_LENGTH: u16 = 0x0000;
    pub(super) const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
    pub(super) const COMMAND_FIELD: u16 = 0x0100;
    pub(super) const MESSAGE_ID: u16 = 0x0110;
    pub(super) const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
    pub(super) const COMMAND_DATA_SET_TYPE: u16 = 0x0800;
    pub(super) const STATUS: u16 = 0x0900;
    pub(super) const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;
}

/// A UID argument of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UidArgument {
    Absent,
    /// Present, and no UID by its characters or length.
    Illegal,
    Uid(Uid),
}

impl UidArgument {
    pub(crate) fn uid(&self) -> Option<&Uid> {
        match self {
            Self::Uid(uid) => Some(uid),
            Self::Absent | Self::Illegal => None,
        }
    }
}

/// A request, as far as this SCP needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) field: u16,
    /// Absent in C-CANCEL-RQ and in responses.
    pub(crate) message_id: Option<u16>,
    pub(crate) has_data_set: bool,
    pub(crate) sop_class: UidArgument,
    pub(crate) sop_instance: UidArgument,
}

/// Not a command set; there is no message ID that an answer could name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Command {
    /// Decodes a whole command set. Elements this SCP has no use for are skipped; a repeated one is malformed.
    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut field, mut message_id, mut data_set_type) = (None, None, None);
        let (mut sop_class, mut sop_instance) = (UidArgument::Absent, UidArgument::Absent);
        let mut previous = None;
        while !bytes.is_empty() {
            let (number, value, rest) = split_element(bytes)?;
            bytes = rest;
            // Ascending, as in any data set (PS3.5 §7.1): so none can repeat.
            if previous.is_some_and(|previous| previous >= number) {
                return Err(Malformed);
            }
            previous = Some(number);
            match number {
                element::COMMAND_FIELD => field = Some(us(value)?),
                element::MESSAGE_ID => message_id = Some(us(value)?),
                element::COMMAND_DATA_SET_TYPE => data_set_type = Some(us(value)?),
                element::AFFECTED_SOP_CLASS_UID => sop_class = ui(value),
                element::AFFECTED_SOP_INSTANCE_UID => sop_instance = ui(value),
                _ => {}
            }
        }
        let field = field.ok_or(Malformed)?;
        let has_data_set = data_set_type.ok_or(Malformed)? != NO_DATA_SET;
        if message_id.is_none() && field != C_CANCEL_RQ && field & RESPONSE == 0 {
            return Err(Malformed);
        }
        Ok(Self { field, message_id, has_data_set, sop_class, sop_instance })
    }
}

/// One element of group 0000: its number, its value and what follows.
fn split_element(bytes: &[u8]) -> Result<(u16, &[u8], &[u8]), Malformed> {
    let (header, rest) = bytes.split_at_checked(8).ok_or(Malformed)?;
    let &[g0, g1, e0, e1, l0, l1, l2, l3] = header else { return Err(Malformed) };
    if [g0, g1] != [0, 0] {
        return Err(Malformed);
    }
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).map_err(|_| Malformed)?;
    let (value, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
    Ok((u16::from_le_bytes([e0, e1]), value, rest))
}

fn us(value: &[u8]) -> Result<u16, Malformed> {
    value.try_into().map(u16::from_le_bytes).map_err(|_| Malformed)
}

fn ui(value: &[u8]) -> UidArgument {
    if crate::uid::trim(value).is_empty() {
        return UidArgument::Absent;
    }
    Uid::parse(value).map_or(UidArgument::Illegal, UidArgument::Uid)
}

/// What a response repeats of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Presentation context of the request.
    pub(crate) context: u8,
    /// Command Field of the request.
    pub(crate) field: u16,
    pub(crate) message_id: u16,
    pub(crate) sop_class: Option<Uid>,
    pub(crate) sop_instance: Option<Uid>,
}

impl Reply {
    /// The response's command set.
    pub(crate) fn encode(&self, status: Status) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + 2 * (8 + MAX_UID_BYTES));
        if let Some(uid) = &self.sop_class {
            push_ui(&mut body, element::AFFECTED_SOP_CLASS_UID, uid);
        }
        push_us(&mut body, element::COMMAND_FIELD, self.field | RESPONSE);
        push_us(&mut body, element::MESSAGE_ID_BEING_RESPONDED_TO, self.message_id);
        push_us(&mut body, element::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
        push_us(&mut body, element::STATUS, status.code());
        if let Some(uid) = &self.sop_instance {
            push_ui(&mut body, element::AFFECTED_SOP_INSTANCE_UID, uid);
        }
        let mut set = Vec::with_capacity(12 + body.len());
        push_element(&mut set, element::GROUP_LENGTH, &(body.len() as u32).to_le_bytes());
        set.extend_from_slice(&body);
        set
    }
}

fn push_element(into: &mut Vec<u8>, number: u16, value: &[u8]) {
    into.extend_from_slice(&[0, 0]);
    into.extend_from_slice(&number.to_le_bytes());
    into.extend_from_slice(&(value.len() as u32).to_le_bytes());
    into.extend_from_slice(value);
}

fn push_us(into: &mut Vec<u8>, number: u16, value: u16) {
    push_element(into, number, &value.to_le_bytes());
}

fn push_ui(into: &mut Vec<u8>, number: u16, uid: &Uid) {
    let mut value = uid.as_str().as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    push_element(into, number, &value);
}

/// P-DATA-TF PDUs that carry `command_set` on `context`, none longer than the peer's maximum (0 = no maximum), as one run of
/// bytes: sent in one write, so that Nagle's algorithm and delayed acknowledgement never meet.
///
/// `None` when the peer's maximum leaves no room for a single byte.
pub(crate) fn p_data(context: u8, command_set: &[u8], peer_max_pdu_bytes: u32) -> Option<Vec<u8>> {
    let room = match peer_max_pdu_bytes {
        0 => command_set.len(),
        max => usize::try_from(max).unwrap_or(usize::MAX).checked_sub(6).filter(|room| *room > 0)?,
    };
    let mut bytes = Vec::with_capacity(command_set.len() + 12);
    let mut chunks = command_set.chunks(room.max(1)).peekable();
    while let Some(chunk) = chunks.next() {
        let last = if chunks.peek().is_none() { 2 } else { 0 };
        bytes.extend_from_slice(&[4, 0]);
        bytes.extend_from_slice(&(chunk.len() as u32 + 6).to_be_bytes());
        bytes.extend_from_slice(&(chunk.len() as u32 + 2).to_be_bytes());
        bytes.extend_from_slice(&[context, 1 | last]);
        bytes.extend_from_slice(chunk);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_rq(elements: &[(u16, &[u8])]) -> Vec<u8> {
        let mut set = Vec::new();
        for (number, value) in elements {
            push_element(&mut set, *number, value);
        }
        set
    }

    #[test]
    fn a_store_request_is_read_and_foreign_elements_are_skipped() {
        let set = store_rq(&[
            (0x0000, &[0; 4]),
            (0x0002, b"1.2.840.10008.5.1.4.1.1.2\0"),
            (0x0100, &[1, 0]),
            (0x0110, &[7, 0]),
            (0x0700, &[0, 0]),
            (0x0800, &[0, 0]),
            (0x1000, b"1.2.3.4\0"),
            (0x1030, b"MOVER "),
            (0x1031, &[1, 0]),
        ]);
        let command = Command::decode(&set).unwrap();
        assert_eq!((command.field, command.message_id, command.has_data_set), (C_STORE_RQ, Some(7), true));
        assert_eq!(command.sop_instance.uid().unwrap().as_str(), "1.2.3.4");
    }

    #[test]
    fn what_is_no_command_set_is_malformed() {
        let good: &[(u16, &[u8])] = &[(0x0100, &[0x30, 0]), (0x0110, &[1, 0]), (0x0800, &[1, 1])];
        assert!(Command::decode(&store_rq(good)).is_ok());
        let no_id = store_rq(&[(0x0100, &[0x30, 0]), (0x0800, &[1, 1])]);
        let no_type = store_rq(&[(0x0100, &[0x30, 0]), (0x0110, &[1, 0])]);
        let twice = store_rq(&[(0x0100, &[0x30, 0]), (0x0100, &[1, 0]), (0x0110, &[1, 0]), (0x0800, &[1, 1])]);
        let wide = store_rq(&[(0x0100, &[0x30, 0, 0, 0]), (0x0110, &[1, 0]), (0x0800, &[1, 1])]);
        let mut huge = store_rq(good);
        huge.extend([0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff]);
        let mut other_group = store_rq(good);
        other_group.extend([8, 0, 5, 0, 0, 0, 0, 0]);
        for bad in [vec![], vec![0; 7], no_id, no_type, twice, wide, huge, other_group] {
            assert_eq!(Command::decode(&bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_response_fits_the_peers_maximum_and_is_whole() {
        let uid = Uid::parse(b"1.2.3");
        let reply = Reply { context: 5, field: C_STORE_RQ, message_id: 3, sop_class: uid.clone(), sop_instance: uid };
        let set = reply.encode(Status::Success);
        for max in [0, 7, 16, 100, 4096, u32::MAX] {
            let bytes = p_data(5, &set, max).unwrap();
            let (mut rest, mut joined, mut lasts) = (bytes.as_slice(), Vec::new(), 0);
            while let [4, 0, a, b, c, d, more @ ..] = rest {
                let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                assert!(max == 0 || length <= max as usize);
                assert_eq!((more[4], more[5] & 1), (5, 1));
                lasts += usize::from(more[5] & 2 != 0);
                joined.extend_from_slice(&more[6..length]);
                rest = &more[length..];
            }
            assert_eq!((rest, joined.as_slice(), lasts), (&[][..], set.as_slice(), 1));
        }
        assert_eq!(p_data(5, &set, 6), None);
        let length = u32::from_le_bytes([set[8], set[9], set[10], set[11]]) as usize;
        assert_eq!(length, set.len() - 12, "Command Group Length");
    }
}
