//! PDU framing (PS3.8 §9.3): the header is read first, its length is checked against the cap of its type, and only then is
//! anything kept. P-DATA-TF bodies are never kept: presentation data values leave as slices of the input.

/// Largest A-ASSOCIATE-RQ, bytes: 128 presentation contexts with 25 transfer syntaxes each fit.
pub const ASSOCIATE_CAP_BYTES: u32 = 128 * 1024;

/// Smallest maximum PDU length an acceptor may announce, bytes.
pub const MIN_PDU_BYTES: u32 = 4096;

/// Length of the variable field of A-RELEASE-RQ/RP and A-ABORT (PS3.8 Tables 9-24 to 9-26), bytes.
const SHORT_PDU_BYTES: u32 = 4;

const PDU_HEADER_BYTES: usize = 6;
const PDV_HEADER_BYTES: usize = 6;

/// Types of PDU (PS3.8 Table 9-11 ff.).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PduType {
    AssociateRq,
    AssociateAc,
    AssociateRj,
    PData,
    ReleaseRq,
    ReleaseRp,
    Abort,
}

impl PduType {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::AssociateRq,
            2 => Self::AssociateAc,
            3 => Self::AssociateRj,
            4 => Self::PData,
            5 => Self::ReleaseRq,
            6 => Self::ReleaseRp,
            7 => Self::Abort,
            _ => return None,
        })
    }
}

/// A piece of the incoming stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A PDU of this type begins; its length is within the cap. Nothing of its body has been kept.
    Header(PduType),
    /// A whole PDU other than P-DATA-TF, header included.
    Whole(PduType, Vec<u8>),
    /// Bytes of a presentation data value (PS3.8 Annex E), at least one unless the value is empty.
    Fragment {
        context: u8,
        command: bool,
        /// The value ends with these bytes.
        end: bool,
        /// The value is the last of its command set or data set; significant with `end`.
        last: bool,
        bytes: &'a [u8],
    },
}

/// Why the stream cannot be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// No such PDU type.
    Unrecognized,
    /// Longer than its cap.
    TooLong,
    /// Lengths inside the PDU contradict each other, or a fixed length is wrong.
    Malformed,
}

#[derive(Debug, Clone, Copy)]
struct Pdv {
    context: u8,
    command: bool,
    last: bool,
    left: u32,
}

#[derive(Debug)]
enum Place {
    Header,
    Body { kind: PduType, left: u32 },
    PdvHeader { pdu_left: u32 },
    Pdv { pdu_left: u32, pdv: Pdv },
}

/// The framer. Keeps at most one PDU other than P-DATA-TF.
#[derive(Debug)]
pub(crate) struct Framer {
    max_pdu_bytes: u32,
    place: Place,
    kept: Vec<u8>,
    completed: u64,
}

impl Framer {
    pub(crate) fn new(max_pdu_bytes: u32) -> Self {
        Self { max_pdu_bytes, place: Place::Header, kept: Vec::new(), completed: 0 }
    }

    /// PDUs that have arrived whole.
    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    /// Bytes of memory kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// The next piece of `input`, which is advanced; `None` when more input is needed.
    pub(crate) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, FrameError> {
        loop {
            match self.place {
                Place::Header => {
                    if !self.gather(input, PDU_HEADER_BYTES) {
                        return Ok(None);
                    }
                    let (kind, length) = self.header()?;
                    if kind == PduType::PData {
                        self.kept.clear();
                        self.place = Place::PdvHeader { pdu_left: length };
                    } else {
                        self.place = Place::Body { kind, left: length };
                    }
                    return Ok(Some(Piece::Header(kind)));
                }
                Place::Body { kind, left } => {
                    let take = split(input, left);
                    // Grows with what arrives, not with what the header promises.
                    self.kept.extend_from_slice(take);
                    let left = left - take.len() as u32;
                    if left > 0 {
                        self.place = Place::Body { kind, left };
                        return Ok(None);
                    }
                    self.place = Place::Header;
                    self.completed += 1;
                    return Ok(Some(Piece::Whole(kind, std::mem::take(&mut self.kept))));
                }
                Place::PdvHeader { pdu_left } => {
                    if !self.gather(input, PDV_HEADER_BYTES) {
                        return Ok(None);
                    }
                    let pdv = self.pdv_header(pdu_left)?;
                    self.kept.clear();
                    let pdu_left = pdu_left - PDV_HEADER_BYTES as u32;
                    self.place = Place::Pdv { pdu_left, pdv };
                    if pdv.left == 0 {
                        return Ok(Some(self.fragment(pdu_left, pdv, &[])));
                    }
                }
                Place::Pdv { pdu_left, pdv } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let bytes = split(input, pdv.left);
                    return Ok(Some(self.fragment(pdu_left, pdv, bytes)));
                }
            }
        }
    }

    fn fragment<'a>(&mut self, pdu_left: u32, mut pdv: Pdv, bytes: &'a [u8]) -> Piece<'a> {
        let count = bytes.len() as u32;
        let pdu_left = pdu_left - count;
        pdv.left -= count;
        let end = pdv.left == 0;
        self.place = match (end, pdu_left) {
            (true, 0) => {
                self.completed += 1;
                Place::Header
            }
            (true, _) => Place::PdvHeader { pdu_left },
            (false, _) => Place::Pdv { pdu_left, pdv },
        };
        Piece::Fragment { context: pdv.context, command: pdv.command, end, last: pdv.last, bytes }
    }

    /// Fills `kept` up to `want` bytes; true when they are there.
    fn gather(&mut self, input: &mut &[u8], want: usize) -> bool {
        let missing = want.saturating_sub(self.kept.len());
        let take = split(input, missing as u32);
        self.kept.extend_from_slice(take);
        self.kept.len() == want
    }

    fn header(&self) -> Result<(PduType, u32), FrameError> {
        let &[kind, _, a, b, c, d] = self.kept.as_slice() else { return Err(FrameError::Malformed) };
        let length = u32::from_be_bytes([a, b, c, d]);
        let kind = PduType::of(kind).ok_or(FrameError::Unrecognized)?;
        match kind {
            PduType::AssociateRq | PduType::AssociateAc if length > ASSOCIATE_CAP_BYTES => Err(FrameError::TooLong),
            PduType::PData if length > self.max_pdu_bytes => Err(FrameError::TooLong),
            PduType::PData if length < PDV_HEADER_BYTES as u32 => Err(FrameError::Malformed),
            PduType::AssociateRj | PduType::ReleaseRq | PduType::ReleaseRp | PduType::Abort
                if length != SHORT_PDU_BYTES =>
            {
                Err(if length > SHORT_PDU_BYTES { FrameError::TooLong } else { FrameError::Malformed })
            }
            _ => Ok((kind, length)),
        }
    }

    fn pdv_header(&self, pdu_left: u32) -> Result<Pdv, FrameError> {
        let &[a, b, c, d, context, control] = self.kept.as_slice() else { return Err(FrameError::Malformed) };
        // Item length counts the context ID and the message control header, not itself.
        let item = u32::from_be_bytes([a, b, c, d]);
        if item < 2 || pdu_left < 4 || item > pdu_left - 4 {
            return Err(FrameError::Malformed);
        }
        let after = pdu_left - 4 - item;
        if after != 0 && after < PDV_HEADER_BYTES as u32 {
            return Err(FrameError::Malformed);
        }
        Ok(Pdv { context, command: control & 1 != 0, last: control & 2 != 0, left: item - 2 })
    }
}

/// Takes up to `count` bytes off the front of `input`.
fn split<'a>(input: &mut &'a [u8], count: u32) -> &'a [u8] {
    let at = usize::try_from(count).unwrap_or(usize::MAX).min(input.len());
    let (head, tail) = input.split_at(at);
    *input = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gibibyte_header_is_refused_before_its_body() {
        for kind in 1..=7u8 {
            let mut framer = Framer::new(128 * 1024);
            let mut input = &[kind, 0, 0x40, 0, 0, 0][..];
            assert_eq!(framer.next(&mut input), Err(FrameError::TooLong), "type {kind}");
            assert!(framer.kept_bytes() <= 64);
        }
        assert_eq!(Framer::new(4096).next(&mut &[9, 0, 0, 0, 0, 4][..]), Err(FrameError::Unrecognized));
    }

    #[test]
    fn several_values_in_a_pdu_and_an_empty_one() {
        let pdu = [4, 0, 0, 0, 0, 14, 0, 0, 0, 4, 1, 3, 7, 8, 0, 0, 0, 2, 3, 0];
        let mut framer = Framer::new(4096);
        let mut input = &pdu[..];
        assert_eq!(framer.next(&mut input).unwrap(), Some(Piece::Header(PduType::PData)));
        let first = Piece::Fragment { context: 1, command: true, end: true, last: true, bytes: &[7, 8] };
        assert_eq!(framer.next(&mut input).unwrap(), Some(first));
        let second = Piece::Fragment { context: 3, command: false, end: true, last: false, bytes: &[] };
        assert_eq!(framer.next(&mut input).unwrap(), Some(second));
        assert_eq!((framer.next(&mut input).unwrap(), framer.completed()), (None, 1));
    }

    #[test]
    fn values_that_overrun_their_pdu_are_malformed() {
        for pdv in [[0, 0, 0, 1, 1, 3], [0, 0, 0, 5, 1, 3], [0, 0, 0, 3, 1, 3], [0xff, 0xff, 0xff, 0xff, 1, 3]] {
            let mut input = vec![4, 0, 0, 0, 0, 8];
            input.extend(pdv);
            input.extend([0, 0]);
            let (mut framer, mut rest) = (Framer::new(4096), input.as_slice());
            assert_eq!(framer.next(&mut rest), Ok(Some(Piece::Header(PduType::PData))));
            assert_eq!(framer.next(&mut rest), Err(FrameError::Malformed), "{pdv:?}");
        }
    }
}
