//! The head of a data set: does it begin like one, and does it name the SOP class and instance of its command?
//!
//! Looks at the elements up to (0008,0018) as they stream past and at nothing after them; allocates nothing. It is no parser
//! of the rest and proves nothing about it: that is deid's work, in a process where a crash costs one object.

use crate::{Uid, uid::MAX_UID_BYTES};

const SOP_CLASS_UID: (u16, u16) = (0x0008, 0x0016);
const SOP_INSTANCE_UID: (u16, u16) = (0x0008, 0x0018);
/// Identifying Group: a storage data set begins here, since (0008,0016) is Type 1 and lower groups are not for data sets.
const FIRST_GROUP: u16 = 0x0008;
const UNDEFINED_LENGTH: u32 = 0xFFFF_FFFF;

/// What the head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadVerdict {
    /// More bytes are needed.
    Undecided,
    /// Nothing speaks against it. Also given where this look cannot tell: deflated and unknown transfer syntaxes, an
    /// undefined length or an element without VR before (0008,0018).
    Agrees,
    /// It names another SOP class or SOP instance than the command.
    Mismatch,
    /// It is no data set: does not begin with group 0008, ends early, or lacks SOP Class UID or SOP Instance UID.
    NotADataSet,
}

#[derive(Debug, Clone, Copy)]
struct Encoding {
    explicit: bool,
    big_endian: bool,
}

impl Encoding {
    /// `None`: not to be looked into (deflated as a whole, or not the standard's).
    fn of(transfer_syntax: &str) -> Option<Self> {
        match transfer_syntax {
            "1.2.840.10008.1.2" => Some(Self { explicit: false, big_endian: false }),
            "1.2.840.10008.1.2.2" => Some(Self { explicit: true, big_endian: true }),
            // Deflated Explicit VR LE; JPIP (HTJ2K) Referenced Deflate.
            "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205" => None,
            other => other.starts_with("1.2.840.10008.1.2.").then_some(Self { explicit: true, big_endian: false }),
        }
    }

    fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

#[derive(Debug)]
enum Place {
    Header,
    /// Inside the value of SOP Class UID or SOP Instance UID.
    Value {
        instance: bool,
        left: u32,
    },
    Skip {
        left: u32,
    },
}

/// The look at one data set.
#[derive(Debug)]
pub struct Head {
    encoding: Option<Encoding>,
    class: Uid,
    instance: Uid,
    class_seen: bool,
    place: Place,
    previous: Option<(u16, u16)>,
    kept: [u8; MAX_UID_BYTES],
    kept_len: usize,
    verdict: HeadVerdict,
}

impl Head {
    /// A data set in `transfer_syntax` that should be `instance` of `class`.
    pub fn new(transfer_syntax: &str, class: Uid, instance: Uid) -> Self {
        let encoding = Encoding::of(transfer_syntax);
        let verdict = if encoding.is_some() { HeadVerdict::Undecided } else { HeadVerdict::Agrees };
        Self {
            encoding,
            class,
            instance,
            class_seen: false,
            place: Place::Header,
            previous: None,
            kept: [0; MAX_UID_BYTES],
            kept_len: 0,
            verdict,
        }
    }

    /// Looks at the next bytes. Once decided, the verdict stays.
    pub fn feed(&mut self, mut bytes: &[u8]) -> HeadVerdict {
        while self.verdict == HeadVerdict::Undecided && !bytes.is_empty() {
            match self.place {
                Place::Header => self.header(&mut bytes),
                Place::Skip { left } => {
                    let left = left - self.drop_front(&mut bytes, left);
                    self.place = if left == 0 { Place::Header } else { Place::Skip { left } };
                }
                Place::Value { instance, left } => {
                    let taken = self.keep(&mut bytes, left);
                    self.place = Place::Value { instance, left: left - taken };
                    if left == taken {
                        self.value(instance);
                    }
                }
            }
        }
        self.verdict
    }

    /// The data set has ended: a verdict that is still open turns into [`HeadVerdict::NotADataSet`].
    pub fn finish(&mut self) -> HeadVerdict {
        if self.verdict == HeadVerdict::Undecided {
            self.verdict = HeadVerdict::NotADataSet;
        }
        self.verdict
    }

    fn header(&mut self, bytes: &mut &[u8]) {
        let Some(encoding) = self.encoding else { return };
        if !self.fill(bytes, 8) {
            return;
        }
        let [a, b, c, d, e, f, g, h, ..] = self.kept;
        let tag = (encoding.u16([a, b]), encoding.u16([c, d]));
        if self.previous.is_none() && tag.0 != FIRST_GROUP {
            self.verdict = HeadVerdict::NotADataSet;
            return;
        }
        let length = if !encoding.explicit {
            encoding.u32([e, f, g, h])
        } else {
            match Vr::of([e, f]) {
                Vr::Short => u32::from(encoding.u16([g, h])),
                Vr::Long => {
                    if !self.fill(bytes, 12) {
                        return;
                    }
                    let [_, _, _, _, _, _, _, _, i, j, k, l, ..] = self.kept;
                    encoding.u32([i, j, k, l])
                }
                Vr::None => {
                    self.verdict = HeadVerdict::Agrees;
                    return;
                }
            }
        };
        self.kept_len = 0;
        self.element(tag, length);
    }

    fn element(&mut self, tag: (u16, u16), length: u32) {
        if length == UNDEFINED_LENGTH || self.previous.is_some_and(|previous| previous >= tag) {
            self.verdict = HeadVerdict::Agrees;
            return;
        }
        self.previous = Some(tag);
        if tag == SOP_CLASS_UID || tag == SOP_INSTANCE_UID {
            if length > MAX_UID_BYTES as u32 {
                self.verdict = HeadVerdict::Mismatch;
            } else if length == 0 || (tag == SOP_INSTANCE_UID && !self.class_seen) {
                self.verdict = HeadVerdict::NotADataSet;
            } else {
                self.place = Place::Value { instance: tag == SOP_INSTANCE_UID, left: length };
            }
        } else if tag > SOP_INSTANCE_UID {
            self.verdict = HeadVerdict::NotADataSet;
        } else {
            self.place = if length == 0 { Place::Header } else { Place::Skip { left: length } };
        }
    }

    fn value(&mut self, instance: bool) {
        let value = crate::uid::trim(self.kept.get(..self.kept_len).unwrap_or_default());
        let expected = if instance { &self.instance } else { &self.class };
        if value != expected.as_str().as_bytes() {
            self.verdict = HeadVerdict::Mismatch;
        } else if instance {
            self.verdict = HeadVerdict::Agrees;
        }
        self.class_seen |= !instance;
        self.kept_len = 0;
        self.place = Place::Header;
    }

    fn fill(&mut self, bytes: &mut &[u8], want: usize) -> bool {
        let missing = want.saturating_sub(self.kept_len) as u32;
        self.keep(bytes, missing);
        self.kept_len >= want
    }

    /// Moves up to `count` bytes from `bytes` to `kept`; how many. The callers' counts fit `kept`.
    fn keep(&mut self, bytes: &mut &[u8], count: u32) -> u32 {
        let at = (count as usize).min(bytes.len()).min(self.kept.len() - self.kept_len);
        let (head, tail) = bytes.split_at(at);
        if let Some(room) = self.kept.get_mut(self.kept_len..self.kept_len + at) {
            room.copy_from_slice(head);
        }
        self.kept_len += at;
        *bytes = tail;
        at as u32
    }

    fn drop_front(&self, bytes: &mut &[u8], count: u32) -> u32 {
        let at = usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len());
        *bytes = bytes.get(at..).unwrap_or_default();
        at as u32
    }
}

/// How a VR's length is written in explicit VR (PS3.5 Tables 7.1-1 and 7.1-2).
enum Vr {
    /// 16 bits.
    Short,
    /// Two reserved bytes, then 32 bits.
    Long,
    /// Not a VR.
    None,
}

impl Vr {
    fn of(bytes: [u8; 2]) -> Self {
        match &bytes {
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                Self::Long
            }
            b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FL" | b"FD" | b"IS" | b"LO" | b"LT" | b"PN"
            | b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US" => Self::Short,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const IMPLICIT: &str = "1.2.840.10008.1.2";
    const BIG: &str = "1.2.840.10008.1.2.2";

    fn uid(text: &str) -> Uid {
        Uid::parse(text.as_bytes()).unwrap()
    }

    /// Elements in the encoding of `ts`: (element of group 0008, VR, value).
    fn encode(ts: &str, elements: &[(u16, &[u8; 2], &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, vr, value) in elements {
            let (group, number, length) = (8u16, *number, value.len() as u32);
            let long = matches!(Vr::of(**vr), Vr::Long);
            if ts == BIG {
                bytes.extend(group.to_be_bytes().into_iter().chain(number.to_be_bytes()).chain(**vr));
                bytes.extend((length as u16).to_be_bytes());
            } else {
                bytes.extend(group.to_le_bytes().into_iter().chain(number.to_le_bytes()));
                match (ts == IMPLICIT, long) {
                    (true, _) => bytes.extend(length.to_le_bytes()),
                    (false, true) => bytes.extend(vr.iter().copied().chain([0, 0]).chain(length.to_le_bytes())),
                    (false, false) => bytes.extend(vr.iter().copied().chain((length as u16).to_le_bytes())),
                }
            }
            bytes.extend_from_slice(value);
        }
        bytes
    }

    fn look(ts: &str, bytes: &[u8], step: usize) -> HeadVerdict {
        let mut head = Head::new(ts, uid("1.2.3"), uid("1.2.3.4"));
        for chunk in bytes.chunks(step) {
            head.feed(chunk);
        }
        head.finish()
    }

    #[test]
    fn agreement_is_found_in_every_encoding_and_at_any_split() {
        for ts in [EXPLICIT, IMPLICIT, BIG, "1.2.840.10008.1.2.4.50"] {
            let mut elements: Vec<(u16, &[u8; 2], &[u8])> =
                vec![(0x05, b"CS", b"ISO_IR 100"), (0x16, b"UI", b"1.2.3\0"), (0x18, b"UI", b"1.2.3.4\0")];
            if ts != BIG {
                elements.insert(1, (0x06, b"SQ", b"\xfe\xff\x00\xe0\0\0\0\0"));
            }
            let bytes = encode(ts, &elements);
            for step in [1, 3, 7, 1000] {
                assert_eq!(look(ts, &bytes, step), HeadVerdict::Agrees, "{ts} by {step}");
            }
        }
    }

    #[test]
    fn another_class_or_instance_is_a_mismatch() {
        for (class, instance) in [("1.2.9", "1.2.3.4"), ("1.2.3", "1.2.3.5"), ("1.2.3", "1.2.3.44"), ("1.2", "1.2.3.4")]
        {
            let bytes = encode(EXPLICIT, &[(0x16, b"UI", class.as_bytes()), (0x18, b"UI", instance.as_bytes())]);
            assert_eq!(look(EXPLICIT, &bytes, 5), HeadVerdict::Mismatch, "{class} {instance}");
        }
        let long = encode(EXPLICIT, &[(0x16, b"UI", "1".repeat(66).as_bytes())]);
        assert_eq!(look(EXPLICIT, &long, 9), HeadVerdict::Mismatch);
    }

    #[test]
    fn what_is_no_data_set_is_told_from_what_cannot_be_told() {
        let mut part10 = vec![0; 128];
        part10.extend(b"DICM");
        let headless = encode(EXPLICIT, &[(0x16, b"UI", b"1.2.3\0"), (0x60, b"CS", b"CT")]);
        let cut = &encode(EXPLICIT, &[(0x16, b"UI", b"1.2.3\0"), (0x18, b"UI", b"1.2.3.4\0")])[..20];
        for bad in [&b""[..], &part10, b"this is a text, and no data set at all", &headless, cut] {
            assert_eq!(look(EXPLICIT, bad, 11), HeadVerdict::NotADataSet, "{bad:?}");
        }
        assert_eq!(look("1.2.840.10008.1.2.1.99", b"\x4b\x04", 1), HeadVerdict::Agrees);
        assert_eq!(look("1.2.840.113619.5.2", b"anything", 1), HeadVerdict::Agrees);
        let undefined = [8, 0, 6, 0, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(look(EXPLICIT, &undefined, 4), HeadVerdict::Agrees);
    }
}
