//! Progressive JPEG (ITU-T T.81 Annex G, Huffman coded) of images in which nothing is to be blanked: scans pass as they are, and
//! what may hide beside them does not.
//!
//! The transfer syntaxes are retired (PS3.5 Annex A), but archives hold such images. Blanking them is not supported: a coefficient
//! is spread over scans.

use super::{
    Expected, JpegError,
    parse::{Parser, Process, Segment},
};

/// Appends frame header, tables and scans of one monochrome frame to `out`: no comment, no application segment, nothing behind EOI.
///
/// # Errors
/// The stream is not a progressive one, or not of the expected size; `out` then holds rubbish behind what it held.
pub(crate) fn strip(bytes: &[u8], expected: &Expected, out: &mut Vec<u8>) -> Result<(), JpegError> {
    const DHT: u8 = 0xC4;
    let mut parser = Parser::new(bytes, Process::Progressive)?;
    out.extend_from_slice(&[0xFF, 0xD8]);
    loop {
        let from = parser.position;
        let segment = parser.next()?;
        let read = &bytes[from..parser.position];
        let fill = read.iter().take_while(|b| **b == 0xFF).count().saturating_sub(1);
        match segment {
            Segment::Keep(..) => out.extend_from_slice(&read[fill..]),
            Segment::Dropped if read.get(fill + 1) == Some(&DHT) => out.extend_from_slice(&read[fill..]),
            Segment::Dropped | Segment::Adobe(_) => {}
            Segment::Scan(_) => {
                let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
                if (frame.rows, frame.columns) != (expected.rows, expected.columns)
                    || (frame.components.len(), expected.samples) != (1, 1)
                {
                    return Err(JpegError::Geometry);
                }
                let scan = entropy_coded(&bytes[parser.position..])?;
                out.extend_from_slice(&read[fill..]);
                out.extend_from_slice(scan);
                parser.position += scan.len();
            }
            Segment::End => {
                out.extend_from_slice(&[0xFF, 0xD9]);
                return Ok(());
            }
        }
    }
}

/// The entropy-coded segments of a scan with the restart markers between them (B.1.1.5).
fn entropy_coded(bytes: &[u8]) -> Result<&[u8], JpegError> {
    let ends = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7);
    bytes.windows(2).position(ends).map(|end| &bytes[..end]).ok_or(JpegError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::Colour;

    const EXPECTED: Expected = Expected { rows: 8, columns: 8, samples: 1, colour: Colour::Monochrome };

    fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFF, marker];
        bytes.extend((payload.len() as u16 + 2).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn stream(extra: &[u8], behind: &[u8]) -> Vec<u8> {
        let mut dqt = vec![0; 65];
        dqt[1..].fill(1);
        let mut dht = vec![0; 18];
        dht[1] = 1;
        let mut bytes = vec![0xFF, 0xD8];
        bytes.extend(extra);
        bytes.extend(segment(0xDB, &dqt));
        bytes.extend(segment(0xC2, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]));
        bytes.extend(segment(0xC4, &dht));
        for parameters in [[0, 0, 1], [0, 0, 0x10], [1, 63, 0]] {
            bytes.extend(segment(0xDA, &[&[1, 1, 0], &parameters[..]].concat()));
            bytes.extend([0x12, 0xFF, 0x00, 0xFF, 0xD0, 0x34]);
        }
        bytes.extend([0xFF, 0xD9]);
        bytes.extend(behind);
        bytes
    }

    #[test]
    fn what_hides_beside_the_scans_is_gone_and_the_scans_stay() {
        let clean = stream(&[], &[]);
        let mut hidden = segment(0xFE, b"Doe^Jane");
        hidden.extend(segment(0xE1, b"Exif Doe^Jane"));
        hidden.extend([0xFF, 0xFF, 0xFF]);
        for bytes in
            [stream(&[], b"Doe^Jane"), stream(&hidden[..hidden.len() - 3], &[]), stream(&hidden, b"x"), clean.clone()]
        {
            let mut out = Vec::new();
            strip(&bytes, &EXPECTED, &mut out).unwrap();
            assert_eq!(out, clean);
        }
    }

    #[test]
    fn another_process_size_or_an_early_end_is_refused() {
        let good = stream(&[], &[]);
        let all = |bytes: &[u8], expected| strip(bytes, &expected, &mut Vec::new());
        for end in 0..good.len() {
            assert!(all(&good[..end], EXPECTED).is_err(), "{end}");
        }
        assert_eq!(all(&good, Expected { rows: 16, ..EXPECTED }), Err(JpegError::Geometry));
        let mut sequential = good.clone();
        let at = good.windows(2).position(|w| w == [0xFF, 0xC2]).unwrap();
        sequential[at + 1] = 0xC0;
        assert!(matches!(all(&sequential, EXPECTED), Err(JpegError::Unsupported(_))));
        // Both DC and AC in one scan.
        let mut mixed = good.clone();
        let at = good.windows(6).position(|w| w == [1, 1, 0, 0, 0, 1]).unwrap();
        mixed[at + 4] = 63;
        assert!(all(&mixed, EXPECTED).is_err());
    }
}
