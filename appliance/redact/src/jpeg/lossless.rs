//! JPEG lossless (ITU-T T.81 Annex H; processes 14 and 14 SV1): decoding with any predictor, encoding with predictor 1.
//!
//! The new stream keeps sample precision and Adobe's segment and takes nothing else over: tables are fitted to the new
//! samples, comments, application segments and bytes behind EOI are gone.

use super::{
    JpegError,
    bits::{BitWriter, Entropy},
    huffman::{Decoder, Encoder, Table},
    parse::{Parser, Process, ScanComponent, Segment},
    sink::category,
    walk::extend,
    write_segment,
};
use crate::codec::Shape;

/// What a stream has beside its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Sample precision, bits.
    pub(crate) precision: u8,
    adobe: Option<u8>,
}

#[cfg(test)]
impl Header {
    pub(crate) fn new(precision: u8) -> Self {
        Self { precision, adobe: None }
    }
}

/// Decodes a frame into `out` (cleared first): samples pixel by pixel, as the stream holds them.
pub(crate) fn decode(bytes: &[u8], shape: Shape, out: &mut Vec<u16>) -> Result<Header, JpegError> {
    // A sample takes a bit at least: a stream too short for the frame is refused before memory is taken.
    if shape.count() / 8 > bytes.len() {
        return Err(JpegError::Truncated);
    }
    out.clear();
    out.resize(shape.count(), 0);
    let mut parser = Parser::new(bytes, Process::Lossless)?;
    loop {
        match parser.next()? {
            Segment::Scan(scan) => decode_scan(&mut parser, &scan, shape, out)?,
            Segment::End => {
                let precision = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?.precision;
                return Ok(Header { precision, adobe: parser.adobe });
            }
            _ => {}
        }
    }
}

fn decode_scan(
    parser: &mut Parser<'_>,
    scan: &[ScanComponent],
    shape: Shape,
    out: &mut [u16],
) -> Result<(), JpegError> {
    let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
    if (frame.rows, frame.columns) != (shape.rows, shape.columns)
        || frame.components.len() != usize::from(shape.samples)
    {
        return Err(JpegError::Geometry);
    }
    if frame.components.iter().any(|c| (c.h, c.v) != (1, 1)) {
        return Err(JpegError::Unsupported("subsampled lossless frame"));
    }
    let [predictor, _, low] = parser.scan_parameters;
    let shift = u32::from(low & 15);
    let precision = u32::from(frame.precision);
    if !(1..=7).contains(&predictor) || low >> 4 != 0 || shift >= precision {
        return Err(JpegError::Malformed("SOS"));
    }
    let columns = usize::from(shape.columns);
    let interval = parser.restart_interval as usize;
    if !interval.is_multiple_of(columns) {
        return Err(JpegError::Unsupported("restart interval that is not whole lines"));
    }
    let arrange = |s: &ScanComponent| {
        parser.dc[s.dc].as_ref().map(Decoder::new).ok_or(JpegError::Malformed("scan without its Huffman table"))
    };
    let tables: Vec<Decoder> = scan.iter().map(arrange).collect::<Result<_, _>>()?;
    let (stride, origin) = (usize::from(shape.samples), 1i32 << (precision - shift - 1));
    let most = if interval > 0 { (usize::from(shape.rows) * columns).div_ceil(interval) } else { 1 };
    let entropy = Entropy::of(parser.bytes, parser.position, most)?;
    let mut reader = entropy.reader();
    let mut first_line = true;
    for (y, line) in (0..usize::from(shape.rows)).zip(1..) {
        for x in 0..columns {
            for (table, component) in tables.iter().zip(scan) {
                let at = (y * columns + x) * stride + component.index;
                let seen = |back: usize| i32::from(out[at - back * stride] >> shift);
                let prediction = match (first_line, x) {
                    (true, 0) => origin,
                    (true, _) => seen(1),
                    (false, 0) => seen(columns),
                    _ => predict(predictor, seen(1), seen(columns), seen(columns + 1)),
                };
                reader.refill();
                let difference = match table.decode(&mut reader)? {
                    16 => 32768,
                    size @ 0..=15 => extend(reader.take(u32::from(size)), u32::from(size)),
                    _ => return Err(JpegError::Malformed("difference category")),
                };
                let sample = (prediction + difference) & 0xFFFF;
                if sample >> (precision - shift) != 0 {
                    return Err(JpegError::Malformed("sample beyond its precision"));
                }
                out[at] = (sample as u16) << shift;
            }
        }
        reader.check()?;
        first_line = false;
        if interval > 0 && line < usize::from(shape.rows) && (line * columns).is_multiple_of(interval) {
            reader.restart(((line * columns / interval - 1) % 8) as u8)?;
            first_line = true;
        }
    }
    parser.position = reader.end()?;
    Ok(())
}

/// Table H.1.
#[inline(always)]
fn predict(predictor: u8, a: i32, b: i32, c: i32) -> i32 {
    match predictor {
        1 => a,
        2 => b,
        3 => c,
        4 => a + b - c,
        5 => a + ((b - c) >> 1),
        6 => b + ((a - c) >> 1),
        _ => (a + b) >> 1,
    }
}

/// Encodes a frame, appending to `out`. Samples must be within the header's precision.
pub(crate) fn encode(samples: &[u16], shape: Shape, header: Header, out: &mut Vec<u8>) -> Result<(), JpegError> {
    let (columns, stride) = (usize::from(shape.columns), usize::from(shape.samples));
    if samples.len() != shape.count() || samples.iter().any(|&s| u32::from(s) >> header.precision != 0) {
        return Err(JpegError::Malformed("sample beyond its precision"));
    }
    // Predictor 1: the sample to the left; the one above in the first column; mid-range at the very first.
    let symbol = |at: usize| {
        let (pixel, sample) = (at / stride, i32::from(samples[at]));
        let prediction = match (pixel / columns, pixel % columns) {
            (0, 0) => 1 << (header.precision - 1),
            (_, 0) => i32::from(samples[at - columns * stride]),
            _ => i32::from(samples[at - stride]),
        };
        match sample - prediction {
            -32768 | 32768 => Ok((16, 0)),
            // Differences are modulo 2^16 (H.1.2.1).
            d => category(i32::from(d as i16)),
        }
    };
    let mut counts = vec![[0u32; 256]; stride];
    for at in 0..samples.len() {
        counts[at % stride][usize::from(symbol(at)?.0)] += 1;
    }
    let tables: Vec<Table> = counts.iter().map(Table::optimal).collect();
    out.extend_from_slice(&[0xFF, 0xD8]);
    if let Some(transform) = header.adobe {
        write_segment(out, 0xEE, &super::adobe(transform));
    }
    for (i, table) in tables.iter().enumerate() {
        write_segment(out, 0xC4, &[&[i as u8], &table.counts[..], &table.symbols].concat());
    }
    let [r1, r0] = shape.rows.to_be_bytes();
    let [c1, c0] = shape.columns.to_be_bytes();
    let mut frame = vec![header.precision, r1, r0, c1, c0, stride as u8];
    let mut scan = vec![stride as u8];
    for i in 0..stride as u8 {
        frame.extend_from_slice(&[i + 1, 0x11, 0]);
        scan.extend_from_slice(&[i + 1, i << 4]);
    }
    scan.extend_from_slice(&[1, 0, 0]);
    write_segment(out, 0xC3, &frame);
    write_segment(out, 0xDA, &scan);
    let encoders: Vec<Encoder> = tables.iter().map(Encoder::new).collect();
    let mut writer = BitWriter::new(out);
    for at in 0..samples.len() {
        let (size, bits) = symbol(at)?;
        let (code, length) = encoders[at % stride].code(size);
        writer.put(code, length);
        writer.put(bits, u32::from(size & 15));
    }
    writer.align();
    out.extend_from_slice(&[0xFF, 0xD9]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            columns in 1u16..60, rows in 1u16..20, colour: bool, precision in 2u8..=16, smooth: bool, seed: u32, adobe: bool,
        ) {
            let shape = Shape { rows, columns, samples: if colour { 3 } else { 1 } };
            let mut state = seed;
            let mut level = 0u32;
            let samples: Vec<u16> = (0..shape.count())
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    level = if smooth { level + (state >> 30) } else { state >> 8 };
                    (level & ((1 << precision) - 1)) as u16
                })
                .collect();
            let header = Header { precision, adobe: adobe.then_some(0) };
            let mut stream = Vec::new();
            encode(&samples, shape, header, &mut stream).unwrap();
            let mut decoded = Vec::new();
            prop_assert_eq!(decode(&stream, shape, &mut decoded).unwrap(), header);
            prop_assert_eq!(&decoded, &samples);
            for cut in 0..stream.len() {
                prop_assert!(decode(&stream[..cut], shape, &mut decoded).is_err());
            }
        }

        #[test]
        fn damage_is_an_error_or_a_frame(hits in prop::collection::vec((any::<u16>(), any::<u8>()), 1..5)) {
            let shape = Shape { rows: 9, columns: 17, samples: 3 };
            let samples: Vec<u16> = (0..shape.count() as u16).map(|i| i * 37 % 4096).collect();
            let mut stream = Vec::new();
            encode(&samples, shape, Header { precision: 12, adobe: None }, &mut stream).unwrap();
            for (at, value) in hits {
                let at = usize::from(at) % stream.len();
                stream[at] = value;
            }
            let mut decoded = Vec::new();
            if decode(&stream, shape, &mut decoded).is_ok() {
                prop_assert_eq!(decoded.len(), samples.len());
            }
        }
    }

    #[test]
    fn extreme_differences_survive() {
        let shape = Shape { rows: 1, columns: 6, samples: 1 };
        let samples = [0, 65535, 32767, 65535, 0, 32768];
        let (mut stream, mut decoded) = (Vec::new(), Vec::new());
        encode(&samples, shape, Header { precision: 16, adobe: None }, &mut stream).unwrap();
        decode(&stream, shape, &mut decoded).unwrap();
        assert_eq!(decoded, samples);
    }
}
