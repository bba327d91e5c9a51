//! The mark: what stands in the first sector of a state that is being erased, in the place of its LUKS2 header. Writing it is the one step
//! that decides: before it the state is as it was, after it every boot erases on. It fits into one sector of 512 bytes, which a disk writes
//! whole or not at all.

use gift_wire::OrderKind;

/// Bytes that the mark takes: the smallest sector.
pub(crate) const MARK_BYTES: usize = 512;
/// Its first line.
const TITLE: &str = "gift-edge erasing 1";

/// What is being erased, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Why.
    pub(crate) kind: OrderKind,
    /// Where the headers, key slots and what lies between them end, bytes from the beginning of the partition.
    pub(crate) end: u64,
}

impl Mark {
    /// As it stands on the disk.
    pub(crate) fn sector(self) -> [u8; MARK_BYTES] {
        let mut sector = [0; MARK_BYTES];
        let text = format!("{TITLE}\n{}\n{}\n", self.kind.name(), self.end);
        for (into, byte) in sector.iter_mut().zip(text.bytes()) {
            *into = byte;
        }
        sector
    }

    /// The mark in a first sector, if there is one.
    pub(crate) fn parse(sector: &[u8]) -> Option<Self> {
        let end = sector.iter().position(|byte| *byte == 0)?;
        let (text, rest) = sector.split_at_checked(end)?;
        let mut lines = std::str::from_utf8(text).ok()?.split('\n');
        let title = lines.next()? == TITLE;
        let (kind, end) = (OrderKind::parse(lines.next()?)?, lines.next()?.parse().ok()?);
        let whole = lines.next() == Some("") && lines.next().is_none() && rest.iter().all(|byte| *byte == 0);
        (title && whole).then_some(Self { kind, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        for kind in [OrderKind::FactoryReset, OrderKind::Decommission] {
            let mark = Mark { kind, end: 16 << 20 };
            assert_eq!(Mark::parse(&mark.sector()), Some(mark));
            // Every byte counts, but that of a digit or a word says something else.
            for at in 0..MARK_BYTES {
                let mut flipped = mark.sector();
                flipped[at] ^= 0x80;
                assert_eq!(Mark::parse(&flipped), None, "{at}");
            }
        }
        assert_eq!(Mark::parse(&[0; MARK_BYTES]), None);
        assert_eq!(Mark::parse(b""), None);
    }
}
