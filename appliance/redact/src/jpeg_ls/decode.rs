//! Decoding (T.87 Annex A, C, F).

use super::{
    Header,
    bits::BitReader,
    model::{Around, J, Parameters, Presets, State},
};
use crate::codec::{CodecError, Shape};

const TRUNCATED: CodecError = CodecError::Malformed("stream ends early");

/// Decodes a frame into `out` (cleared first), pixel by pixel.
pub(crate) fn decode(bytes: &[u8], shape: Shape, out: &mut Vec<u16>) -> Result<Header, CodecError> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return Err(CodecError::Malformed("no SOI"));
    }
    // A run code of one bit stands for at most 2^15 samples.
    if shape.count() >> 18 > bytes.len() {
        return Err(TRUNCATED);
    }
    out.clear();
    out.resize(shape.count(), 0);
    let (mut at, mut presets) = (2, Presets::default());
    let mut frame: Option<(u8, Vec<u8>)> = None;
    let mut seen = [false; 3];
    loop {
        let (&[ff, mut marker], _) = bytes.get(at..).and_then(|b| b.split_first_chunk::<2>()).ok_or(TRUNCATED)?;
        if ff != 0xFF {
            return Err(CodecError::Malformed("no marker where one must be"));
        }
        at += 2;
        while marker == 0xFF {
            marker = *bytes.get(at).ok_or(TRUNCATED)?;
            at += 1;
        }
        if marker == 0xD9 {
            let (precision, ids) = frame.ok_or(CodecError::Malformed("no frame"))?;
            let complete = seen.iter().filter(|&&s| s).count() == ids.len();
            return if complete {
                Ok(Header { precision })
            } else {
                Err(CodecError::Malformed("a component has no scan"))
            };
        }
        let (length, rest) = bytes.get(at..).and_then(|b| b.split_first_chunk::<2>()).ok_or(TRUNCATED)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let payload = length.checked_sub(2).and_then(|n| rest.get(..n)).ok_or(TRUNCATED)?;
        at += length;
        match marker {
            0xF7 if frame.is_none() => frame = Some(frame_header(payload, shape)?),
            0xF8 => lse(payload, &mut presets)?,
            0xDA => {
                let (precision, ids) = frame.as_ref().ok_or(CodecError::Malformed("no frame"))?;
                at = scan(bytes, at, payload, *precision, ids, presets, shape, &mut seen, out)?;
            }
            0xE0..=0xEF | 0xFE => {}
            0xDD if payload.iter().all(|&b| b == 0) => {}
            _ => return Err(CodecError::Unsupported("JPEG-LS marker")),
        }
    }
}

fn frame_header(payload: &[u8], shape: Shape) -> Result<(u8, Vec<u8>), CodecError> {
    const BAD: CodecError = CodecError::Malformed("SOF");
    let (&[precision, r1, r0, c1, c0, count], rest) = payload.split_first_chunk::<6>().ok_or(BAD)?;
    if !(2..=16).contains(&precision) || rest.len() != 3 * usize::from(count) {
        return Err(BAD);
    }
    let size = (u16::from_be_bytes([r1, r0]), u16::from_be_bytes([c1, c0]));
    if size != (shape.rows, shape.columns) || u16::from(count) != shape.samples {
        return Err(CodecError::Geometry);
    }
    if rest.chunks_exact(3).any(|c| c[1] != 0x11) {
        return Err(CodecError::Unsupported("subsampled JPEG-LS frame"));
    }
    Ok((precision, rest.chunks_exact(3).map(|c| c[0]).collect()))
}

fn lse(payload: &[u8], presets: &mut Presets) -> Result<(), CodecError> {
    match payload {
        [1, values @ ..] if values.len() == 10 => {
            let value = |i: usize| i32::from(u16::from_be_bytes([values[2 * i], values[2 * i + 1]]));
            *presets = Presets { max: value(0), thresholds: [value(1), value(2), value(3)], reset: value(4) };
            Ok(())
        }
        _ => Err(CodecError::Unsupported("JPEG-LS mapping table or extension")),
    }
}

#[allow(clippy::too_many_arguments)]
fn scan(
    bytes: &[u8],
    at: usize,
    payload: &[u8],
    precision: u8,
    ids: &[u8],
    presets: Presets,
    shape: Shape,
    seen: &mut [bool; 3],
    out: &mut [u16],
) -> Result<usize, CodecError> {
    const BAD: CodecError = CodecError::Malformed("SOS");
    let (&count, rest) = payload.split_first().ok_or(BAD)?;
    let count = usize::from(count);
    if count == 0 || rest.len() != 2 * count + 3 {
        return Err(BAD);
    }
    let [near, interleave, transform] = [rest[2 * count], rest[2 * count + 1], rest[2 * count + 2]];
    let mut components = Vec::with_capacity(3);
    for pair in rest[..2 * count].chunks_exact(2) {
        let index = ids.iter().position(|&id| id == pair[0]).ok_or(BAD)?;
        if std::mem::replace(&mut seen[index], true) {
            return Err(BAD);
        }
        if pair[1] != 0 {
            return Err(CodecError::Unsupported("JPEG-LS mapping table or extension"));
        }
        components.push(index);
    }
    if transform != 0 {
        return Err(CodecError::Unsupported("JPEG-LS point transform"));
    }
    let parameters = Parameters::new(precision, i32::from(near), presets)?;
    let mut decoder = Lines {
        state: State::new(parameters),
        reader: BitReader::new(bytes, at),
        run_index: [0; 3],
        columns: usize::from(shape.columns),
    };
    let width = usize::from(shape.columns) + 2;
    let mut lines = vec![(vec![0i32; width], vec![0i32; width]); count];
    for y in 0..usize::from(shape.rows) {
        for (above, line) in &mut lines {
            std::mem::swap(above, line);
            above[width - 1] = above[width - 2];
            line[0] = above[1];
        }
        match (interleave, &mut lines[..]) {
            (_, [(above, line)]) => decoder.line(0, above, line)?,
            (1, many) => {
                for (c, (above, line)) in many.iter_mut().enumerate() {
                    decoder.line(c, above, line)?;
                }
            }
            (2, [first, second, third]) => {
                decoder.pixels([&first.0, &second.0, &third.0], [&mut first.1, &mut second.1, &mut third.1])?
            }
            _ => return Err(BAD),
        }
        decoder.reader.check()?;
        let stride = usize::from(shape.samples);
        for ((_, line), &component) in lines.iter().zip(&components) {
            let from = y * usize::from(shape.columns) * stride + component;
            out[from..].iter_mut().step_by(stride).zip(&line[1..width - 1]).for_each(|(o, &v)| *o = v as u16);
        }
    }
    decoder.reader.end()
}

struct Lines<'a> {
    state: State,
    reader: BitReader<'a>,
    run_index: [usize; 3],
    columns: usize,
}

fn around(above: &[i32], line: &[i32], x: usize) -> Around {
    Around { a: line[x - 1], b: above[x], c: above[x - 1], d: above[x + 1] }
}

impl Lines<'_> {
    /// A Golomb code of order `k`, limited (A.5.3).
    #[inline(always)]
    fn code(&mut self, k: u32, limit: u32) -> Result<u32, CodecError> {
        let qbpp = self.state.parameters.qbpp;
        let escape = limit - qbpp - 1;
        let zeros = self.reader.zeros(escape)?;
        let mapped = if zeros < escape {
            if k > 24 {
                return Err(CodecError::Malformed("JPEG-LS code"));
            }
            zeros << k | self.reader.take(k)
        } else {
            self.reader.take(qbpp) + 1
        };
        // No error's code is larger; what is would overflow the sums of a context.
        if mapped > 2 * self.state.parameters.range as u32 {
            Err(CodecError::Malformed("JPEG-LS code"))
        } else {
            Ok(mapped)
        }
    }

    #[inline(always)]
    fn regular(&mut self, context: (usize, i32), around: Around) -> Result<i32, CodecError> {
        let regular = self.state.regular(context, around);
        let mapped = self.code(regular.k, self.state.parameters.limit)?;
        let error = regular.unmap(mapped);
        self.state.update(regular, error);
        Ok(self.state.parameters.reconstruct(regular.prediction, regular.sign * error))
    }

    fn interruption(&mut self, a: i32, b: i32, colour: bool, run_index: usize) -> Result<i32, CodecError> {
        let interruption = self.state.interruption(a, b, colour);
        let mapped = self.code(interruption.k, self.state.parameters.limit - J[run_index] - 1)?;
        let error = interruption.unmap(mapped);
        self.state.update_interruption(interruption, error, mapped);
        Ok(self.state.parameters.reconstruct(interruption.prediction, interruption.sign * error))
    }

    /// Length of the run at `x` (1…columns) and whether a sample ends it before the line does (A.7.1).
    fn run(&mut self, x: usize, run_index: &mut usize) -> Result<(usize, bool), CodecError> {
        let left = self.columns + 1 - x;
        let mut length = 0;
        loop {
            if self.reader.take(1) == 1 {
                let whole = 1 << J[*run_index];
                length += whole;
                if length <= left {
                    *run_index = (*run_index + 1).min(31);
                }
                if length >= left {
                    return Ok((left, false));
                }
            } else {
                length += self.reader.take(J[*run_index]) as usize;
                return if length < left { Ok((length, true)) } else { Err(CodecError::Malformed("JPEG-LS run")) };
            }
        }
    }

    fn line(&mut self, component: usize, above: &[i32], line: &mut [i32]) -> Result<(), CodecError> {
        let mut x = 1;
        while x <= self.columns {
            let near = around(above, line, x);
            let context = self.state.context(near);
            if context.0 != 0 {
                line[x] = self.regular(context, near)?;
                x += 1;
                continue;
            }
            let mut run_index = self.run_index[component];
            let (length, ended) = self.run(x, &mut run_index)?;
            line[x..x + length].fill(near.a);
            x += length;
            if ended {
                line[x] = self.interruption(near.a, above[x], false, run_index)?;
                run_index = run_index.saturating_sub(1);
                x += 1;
            }
            self.run_index[component] = run_index;
        }
        Ok(())
    }

    /// A line of three components, interleaved by pixel.
    fn pixels(&mut self, above: [&[i32]; 3], line: [&mut [i32]; 3]) -> Result<(), CodecError> {
        let mut x = 1;
        while x <= self.columns {
            let near: [Around; 3] = std::array::from_fn(|c| around(above[c], line[c], x));
            let contexts = near.map(|n| self.state.context(n));
            if contexts.iter().any(|c| c.0 != 0) {
                for c in 0..3 {
                    line[c][x] = self.regular(contexts[c], near[c])?;
                }
                x += 1;
                continue;
            }
            let mut run_index = self.run_index[0];
            let (length, ended) = self.run(x, &mut run_index)?;
            for c in 0..3 {
                line[c][x..x + length].fill(near[c].a);
            }
            x += length;
            if ended {
                for c in 0..3 {
                    line[c][x] = self.interruption(near[c].a, above[c][x], true, run_index)?;
                }
                run_index = run_index.saturating_sub(1);
                x += 1;
            }
            self.run_index[0] = run_index;
        }
        Ok(())
    }
}
