//! The edges of values. What stands beside a match in the file decides whether it counts; at the edge of a value that is a tag, a
//! length or padding, which may look like a letter or a digit (group 0054 begins with a `T`) and belongs to no word.

use super::{LeakScan, Piece, ScanError, leak};
use crate::dataset::{DataSet, Source, Value};

/// Bytes of a fragment that are searched for the end of its codestream's header: at first, and at most.
const FRAGMENT_HEADS: [usize; 2] = [2 << 10, 16 << 10];

impl LeakScan {
    /// Searches the edges of every value in memory for all patterns, as if nothing stood outside.
    pub(super) fn values(&self, ds: &DataSet) -> Result<(), ScanError> {
        for element in ds.walk() {
            match &element.value {
                Value::Bytes(bytes) => self.value(bytes)?,
                Value::Fragments { fragments, .. } => {
                    fragments.iter().filter_map(Value::bytes).try_for_each(|bytes| self.value(bytes))?;
                }
                Value::Span { .. } | Value::Sequence(_) => {}
            }
        }
        Ok(())
    }

    fn value(&self, bytes: &[u8]) -> Result<(), ScanError> {
        let find = |bytes, first, last| {
            let piece = Piece { bytes, offset: 0, first, last };
            leak(piece.first_in_text(&self.everywhere, &self.patterns).map(|(_, kind)| (0, kind)))
        };
        let border = self.stream.keep();
        if bytes.len() <= border {
            return find(bytes, true, true);
        }
        find(&bytes[..border], true, false)?;
        find(&bytes[bytes.len() - border..], false, true)
    }

    /// Ranges of bulk values, ascending and disjoint. What stands in the headers of codestreams is text, and searched here at its
    /// edges.
    pub(super) fn bulk(&self, output: &dyn Source, ds: &DataSet) -> Result<Vec<(u64, u64)>, ScanError> {
        let (mut ranges, mut head) = (Vec::new(), Vec::new());
        let mut put = |value: &Value, head: u64| {
            if let Value::Span { offset, length, .. } = value {
                ranges.push((offset + head.min(*length), offset + length));
            }
        };
        for element in ds.walk() {
            match &element.value {
                Value::Fragments { fragments, .. } => {
                    for fragment in fragments {
                        let length = codestream_head(output, fragment, &mut head)?;
                        segments(&head[..length.min(head.len())]).try_for_each(|segment| self.value(segment))?;
                        put(fragment, length as u64);
                    }
                }
                value => put(value, 0),
            }
        }
        ranges.sort_unstable();
        Ok(ranges)
    }

    /// Searches the borders of a bulk value for long patterns.
    pub(super) fn borders(&self, output: &dyn Source, start: u64, end: u64) -> Result<(), ScanError> {
        if self.in_bulk.is_empty() {
            return Ok(());
        }
        let border = self.stream.keep() as u64;
        let whole = end - start <= border;
        let mut bytes = vec![0; border.min(end - start) as usize];
        output.read_exact_at(&mut bytes, start)?;
        let piece = Piece { bytes: &bytes, offset: start, first: true, last: whole };
        leak(piece.first_in_bulk(&self.in_bulk, &self.patterns))?;
        if whole {
            return Ok(());
        }
        output.read_exact_at(&mut bytes, end - border)?;
        let piece = Piece { bytes: &bytes, offset: end - border, first: false, last: true };
        leak(piece.first_in_bulk(&self.in_bulk, &self.patterns))
    }
}

/// Length of the markers before a codestream's first entropy-coded byte (JPEG SOS, JPEG 2000 SOD): text may stand there. They are
/// then in `bytes`.
fn codestream_head(output: &dyn Source, fragment: &Value, bytes: &mut Vec<u8>) -> Result<usize, ScanError> {
    bytes.clear();
    let Value::Span { offset, length, .. } = fragment else { return Ok(0) };
    for head in FRAGMENT_HEADS {
        bytes.resize(usize::try_from(*length).unwrap_or(usize::MAX).min(head), 0);
        output.read_exact_at(bytes, *offset)?;
        if bytes.first() != Some(&0xFF) {
            return Ok(0);
        }
        if let Some(scan) = bytes.windows(2).position(|w| matches!(w, [0xFF, 0xDA] | [0xFF, 0x93])) {
            return Ok(scan);
        }
    }
    Ok(bytes.len())
}

/// The contents of the marker segments of a codestream's head (T.81 B.1.1.4, 15444-1 A.1), after SOI or SOC.
fn segments(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let [0xFF, _, a, b, after @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*a, *b])).saturating_sub(2).min(after.len());
        let (content, next) = after.split_at(length);
        rest = next;
        Some(content)
    })
}
