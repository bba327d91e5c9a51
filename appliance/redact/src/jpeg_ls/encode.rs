//! Encoding without loss (T.87 Annex A), default parameters, components interleaved by line.

use super::{
    Header,
    bits::BitWriter,
    model::{Around, J, Parameters, Presets, State},
};
use crate::codec::{CodecError, Shape};

/// Encodes a frame, appending to `out`. Samples must be within the header's precision.
pub(crate) fn encode(samples: &[u16], shape: Shape, header: Header, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if samples.len() != shape.count() || samples.iter().any(|&s| u32::from(s) >> header.precision != 0) {
        return Err(CodecError::Malformed("sample beyond its precision"));
    }
    let components = shape.samples as u8;
    let [r1, r0] = shape.rows.to_be_bytes();
    let [c1, c0] = shape.columns.to_be_bytes();
    out.extend_from_slice(&[
        0xFF,
        0xD8,
        0xFF,
        0xF7,
        0,
        8 + 3 * components,
        header.precision,
        r1,
        r0,
        c1,
        c0,
        components,
    ]);
    (1..=components).for_each(|id| out.extend_from_slice(&[id, 0x11, 0]));
    out.extend_from_slice(&[0xFF, 0xDA, 0, 6 + 2 * components, components]);
    (1..=components).for_each(|id| out.extend_from_slice(&[id, 0]));
    out.extend_from_slice(&[0, u8::from(components > 1), 0]);

    let parameters = Parameters::new(header.precision, 0, Presets::default())?;
    let (columns, stride) = (usize::from(shape.columns), usize::from(shape.samples));
    let mut encoder = Lines { state: State::new(parameters), writer: BitWriter::new(out), run_index: [0; 3] };
    let mut lines = vec![(vec![0i32; columns + 2], vec![0i32; columns + 2]); stride];
    for pixels in samples.chunks_exact(columns * stride) {
        for (c, (above, line)) in lines.iter_mut().enumerate() {
            std::mem::swap(above, line);
            above[columns + 1] = above[columns];
            line[0] = above[1];
            line[1..].iter_mut().zip(pixels[c..].iter().step_by(stride)).for_each(|(l, &p)| *l = i32::from(p));
            encoder.line(c, above, &line[..columns + 1]);
        }
    }
    encoder.writer.finish();
    out.extend_from_slice(&[0xFF, 0xD9]);
    Ok(())
}

struct Lines<'a> {
    state: State,
    writer: BitWriter<'a>,
    run_index: [usize; 3],
}

impl Lines<'_> {
    fn code(&mut self, mapped: u32, k: u32, limit: u32) {
        let qbpp = self.state.parameters.qbpp;
        let escape = limit - qbpp - 1;
        let zeros = mapped >> k;
        if zeros < escape {
            self.zeros(zeros);
            self.writer.put(mapped & ((1 << k) - 1), k);
        } else {
            self.zeros(escape);
            self.writer.put(mapped - 1, qbpp);
        }
    }

    /// `n` zeros and a one.
    fn zeros(&mut self, n: u32) {
        let (whole, rest) = (n / 31, n % 31);
        (0..whole).for_each(|_| self.writer.put(0, 31));
        self.writer.put(1, rest + 1);
    }

    fn line(&mut self, component: usize, above: &[i32], line: &[i32]) {
        let mut x = 1;
        while x < line.len() {
            let near = Around { a: line[x - 1], b: above[x], c: above[x - 1], d: above[x + 1] };
            let context = self.state.context(near);
            if context.0 != 0 {
                let regular = self.state.regular(context, near);
                let error = self.state.parameters.reduce(regular.sign * (line[x] - regular.prediction));
                self.code(regular.map(error), regular.k, self.state.parameters.limit);
                self.state.update(regular, error);
                x += 1;
                continue;
            }
            let run_index = &mut self.run_index[component];
            let mut length = line[x..].iter().take_while(|&&v| v == near.a).count();
            x += length;
            while length >= 1 << J[*run_index] {
                self.writer.put(1, 1);
                length -= 1 << J[*run_index];
                *run_index = (*run_index + 1).min(31);
            }
            if x == line.len() {
                if length > 0 {
                    self.writer.put(1, 1);
                }
                return;
            }
            let index = *run_index;
            self.writer.put(length as u32, J[index] + 1);
            *run_index = index.saturating_sub(1);
            let interruption = self.state.interruption(near.a, above[x], false);
            let error = self.state.parameters.reduce(interruption.sign * (line[x] - interruption.prediction));
            let mapped = interruption.map(error);
            self.code(mapped, interruption.k, self.state.parameters.limit - J[index] - 1);
            self.state.update_interruption(interruption, error, mapped);
            x += 1;
        }
    }
}
