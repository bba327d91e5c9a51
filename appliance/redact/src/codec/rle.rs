//! RLE lossless (PS3.5 Annex G): a header of segment offsets, then one PackBits segment per byte plane, by component, most
//! significant byte first.

use super::CodecError;
use crate::image::PixelLayout;

const HEADER: usize = 64;

/// Segments of a frame, and where the byte of each goes: offset of its first byte, and distance to the next.
fn planes(layout: &PixelLayout) -> impl Iterator<Item = (usize, usize)> {
    // Pixels of one bit are packed into bytes (PS3.5 8.1.1), which are one plane.
    let width = usize::from(layout.bits_allocated.div_ceil(8));
    let samples = usize::from(layout.samples);
    (0..samples * width).map(move |s| (s / width * width + (width - 1 - s % width), samples * width))
}

/// Bytes of a plane.
fn pixels(layout: &PixelLayout) -> usize {
    let pixels = usize::from(layout.rows) * usize::from(layout.columns);
    if layout.bits_allocated == 1 { pixels.div_ceil(8) } else { pixels }
}

pub(super) fn decode(stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<(), CodecError> {
    let header = stream.get(..HEADER).ok_or(CodecError::Malformed("RLE header"))?;
    let word = |i: usize| u32::from_le_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    let count = planes(layout).count();
    if word(0) as usize != count {
        return Err(CodecError::Geometry);
    }
    // Every run of two bytes yields at most 128: a stream too short for the frame is refused before memory is taken.
    let total = pixels(layout) * count;
    if total / 128 > stream.len() {
        return Err(CodecError::Malformed("RLE segment too short"));
    }
    samples.clear();
    samples.resize(total, 0);
    for (s, (first, stride)) in planes(layout).enumerate() {
        let start = word(s + 1) as usize;
        let end = if s + 1 < count { word(s + 2) as usize } else { stream.len() };
        let segment = stream.get(start..end).filter(|_| start >= HEADER).ok_or(CodecError::Malformed("RLE offsets"))?;
        unpack(segment, samples[first..].iter_mut().step_by(stride))?;
    }
    Ok(())
}

fn unpack<'a>(segment: &[u8], mut out: impl ExactSizeIterator<Item = &'a mut u8>) -> Result<(), CodecError> {
    const SHORT: CodecError = CodecError::Malformed("RLE segment too short");
    let mut bytes = segment.iter().copied();
    while out.len() > 0 {
        match bytes.next().ok_or(SHORT)? {
            128 => {}
            n @ 0..=127 => {
                for _ in 0..=n {
                    let byte = bytes.next().ok_or(SHORT)?;
                    match out.next() {
                        Some(slot) => *slot = byte,
                        // Some encoders pad the last run; what is beyond the frame is not kept.
                        None => return Ok(()),
                    }
                }
            }
            n => {
                let byte = bytes.next().ok_or(SHORT)?;
                out.by_ref().take(257 - usize::from(n)).for_each(|slot| *slot = byte);
            }
        }
    }
    Ok(())
}

pub(super) fn encode(samples: &[u8], layout: &PixelLayout, stream: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = stream.len();
    stream.resize(start + HEADER, 0);
    // Rows of packed pixels need not end with a byte.
    let columns = if layout.bits_allocated == 1 { pixels(layout) } else { usize::from(layout.columns) };
    let put = |stream: &mut Vec<u8>, i: usize, value: usize| {
        let value = u32::try_from(value).map_err(|_| CodecError::Unsupported("RLE frame of 4 GiB"))?;
        stream[start + 4 * i..start + 4 * i + 4].copy_from_slice(&value.to_le_bytes());
        Ok::<(), CodecError>(())
    };
    put(stream, 0, planes(layout).count())?;
    let mut line = Vec::with_capacity(columns);
    for (s, (first, stride)) in planes(layout).enumerate() {
        let here = stream.len() - start;
        put(stream, s + 1, here)?;
        // G.3.1: each row of a plane is encoded by itself.
        for row in samples.chunks_exact(columns * stride) {
            line.clear();
            line.extend(row[first..].iter().step_by(stride));
            pack(&line, stream);
        }
        if !(stream.len() - start).is_multiple_of(2) {
            stream.push(0);
        }
    }
    Ok(())
}

/// PackBits of one row: runs of at least three as repeats, the rest as literals.
fn pack(line: &[u8], out: &mut Vec<u8>) {
    let run_at = |i: usize| line[i..].iter().take(128).take_while(|&&b| b == line[i]).count();
    let mut at = 0;
    while at < line.len() {
        let run = run_at(at);
        if run >= 3 || run == line.len() - at && run == 2 {
            out.extend_from_slice(&[(257 - run) as u8, line[at]]);
            at += run;
            continue;
        }
        let mut end = at + 1;
        while end < line.len()
            && end - at < 128
            && !(end + 2 < line.len() && line[end] == line[end + 1] && line[end] == line[end + 2])
        {
            end += 1;
        }
        out.push((end - at - 1) as u8);
        out.extend_from_slice(&line[at..end]);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Photometric, testing::Image};
    use proptest::prelude::*;

    fn layout(photometric: Photometric, columns: u16, allocated: u16) -> PixelLayout {
        PixelLayout::of(&Image::of(photometric, 5, columns, 1, allocated, allocated).data_set()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            columns in 1u16..300,
            allocated in prop::sample::select(vec![8u16, 16, 32]),
            colour: bool,
            runs in prop::collection::vec((any::<u8>(), 1usize..400), 1..60),
        ) {
            let photometric = if colour { Photometric::Rgb } else { Photometric::Monochrome2 };
            let layout = layout(photometric, columns, allocated);
            let length = layout.native_length().unwrap() as usize;
            let samples: Vec<u8> =
                runs.iter().cycle().flat_map(|&(b, n)| std::iter::repeat_n(b, n)).take(length).collect();
            let mut stream = b"before".to_vec();
            encode(&samples, &layout, &mut stream).unwrap();
            prop_assert!(stream.len().is_multiple_of(2));
            let mut decoded = vec![1];
            decode(&stream[6..], &layout, &mut decoded).unwrap();
            prop_assert_eq!(decoded, samples);
        }

        #[test]
        fn damage_is_an_error_or_a_frame(mut hits in prop::collection::vec((any::<u16>(), any::<u8>()), 0..5), cut: u16) {
            let layout = layout(Photometric::Rgb, 40, 16);
            let samples: Vec<u8> = (0..layout.native_length().unwrap()).map(|i| (i / 9) as u8).collect();
            let mut stream = Vec::new();
            encode(&samples, &layout, &mut stream).unwrap();
            for (at, value) in hits.drain(..) {
                let at = usize::from(at) % stream.len();
                stream[at] = value;
            }
            stream.truncate(usize::from(cut) % (stream.len() + 1));
            let mut decoded = Vec::new();
            if decode(&stream, &layout, &mut decoded).is_ok() {
                prop_assert_eq!(decoded.len(), samples.len());
            }
        }
    }

    #[test]
    fn a_small_stream_takes_no_memory_for_a_large_frame() {
        let mut layout = layout(Photometric::Monochrome2, 40, 8);
        (layout.rows, layout.columns) = (65535, 65535);
        let mut stream = vec![0; 200];
        stream[0] = 1;
        stream[4] = 64;
        let mut decoded = Vec::new();
        assert!(decode(&stream, &layout, &mut decoded).is_err());
        assert_eq!(decoded.capacity(), 0);
    }
}
