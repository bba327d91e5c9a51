//! Native pixel data (PS3.5 §8.1.1, Annex D): blanking lines, clearing unused bits, and the proof of both.
//!
//! The stream is a sequence of lines of equal length, whatever its planar configuration; memory holds a run of lines,
//! never a frame.

use crate::{
    image::{Photometric, PixelLayout},
    mask::Mask,
};

/// How one image's native pixels are written.
#[derive(Debug)]
pub(crate) struct Native<'m> {
    mask: &'m Mask,
    rows: u32,
    /// Planes per frame: 3 for planar colour, else 1.
    planes: u32,
    /// Pixels that one unit of the stream covers: 2 for YBR_FULL_422, else 1.
    unit_px: u32,
    /// Units per line.
    units: usize,
    /// Bytes of a unit.
    unit: usize,
    /// A blank line, by plane.
    blank: Vec<Vec<u8>>,
    clean: Option<Clean>,
}

/// Which bits of a sample are its value.
#[derive(Debug, Clone, Copy)]
struct Clean {
    width: usize,
    value: u32,
    sign: u32,
    above: u32,
}

impl Clean {
    fn of(layout: &PixelLayout) -> Option<Self> {
        let low = |bits: u16| (1u64 << bits) - 1;
        layout.has_unused_bits().then(|| Self {
            width: usize::from(layout.bits_allocated / 8),
            value: (low(layout.bits_stored) << (layout.high_bit + 1 - layout.bits_stored)) as u32,
            sign: if layout.signed { 1 << layout.high_bit } else { 0 },
            above: !low(layout.high_bit + 1) as u32,
        })
    }

    /// The value's bits; above them zeros, or the sign of a signed value.
    #[inline(always)]
    fn sample(self, sample: u32) -> u32 {
        let value = sample & self.value;
        if value & self.sign != 0 { value | self.above } else { value }
    }

    /// True when [`Self::apply`] would change nothing. All samples of a line are looked at, so that vector instructions can.
    fn is_applied(self, bytes: &[u8]) -> bool {
        if self.sign == 0 {
            let unused = !self.value;
            return match self.width {
                1 => bytes.iter().fold(0, |set, b| set | b) & unused as u8 == 0,
                2 => bytes.as_chunks().0.iter().fold(0, |set, b| set | u16::from_le_bytes(*b)) & unused as u16 == 0,
                _ => bytes.as_chunks().0.iter().fold(0, |set, b| set | u32::from_le_bytes(*b)) & unused == 0,
            };
        }
        let changed = |sample: u32| sample ^ self.sample(sample);
        0 == match self.width {
            1 => bytes.iter().fold(0, |set, b| set | u32::from(changed(u32::from(*b)) as u8)),
            2 => bytes
                .as_chunks()
                .0
                .iter()
                .fold(0, |set, b| set | u32::from(changed(u32::from(u16::from_le_bytes(*b))) as u16)),
            _ => bytes.as_chunks().0.iter().fold(0, |set, b| set | changed(u32::from_le_bytes(*b))),
        }
    }

    fn apply(self, bytes: &mut [u8]) {
        match self.width {
            1 => bytes.iter_mut().for_each(|b| *b = self.sample(u32::from(*b)) as u8),
            2 => bytes.chunks_exact_mut(2).for_each(|b| {
                let clean = self.sample(u32::from(u16::from_le_bytes([b[0], b[1]]))) as u16;
                b.copy_from_slice(&clean.to_le_bytes());
            }),
            _ => bytes.chunks_exact_mut(4).for_each(|b| {
                let clean = self.sample(u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                b.copy_from_slice(&clean.to_le_bytes());
            }),
        }
    }
}

/// True when [`Native`] can write images of this layout.
pub(crate) fn is_supported(layout: &PixelLayout) -> bool {
    let subsampled = layout.photometric == Photometric::YbrFull422;
    [8, 16, 32].contains(&layout.bits_allocated)
        && !matches!(
            layout.photometric,
            Photometric::YbrPartial420 | Photometric::YbrRct | Photometric::YbrIct | Photometric::Xyb
        )
        && !(subsampled && (!layout.columns.is_multiple_of(2) || layout.planar))
}

/// Black, by component. The darkest palette entry is the caller's to find.
pub(crate) fn black(layout: &PixelLayout, darkest_entry: u32) -> [u32; 3] {
    let shift = u32::from(layout.high_bit + 1 - layout.bits_stored);
    let range = 1u64 << layout.bits_stored;
    let at = |value: u64| (value << shift) as u32;
    let (least, greatest) = if layout.signed { (range / 2, range / 2 - 1) } else { (0, range - 1) };
    match layout.photometric {
        // For signed samples the bit pattern of the least value is that of the sign alone.
        Photometric::Monochrome1 => [at(greatest); 3],
        Photometric::Monochrome2 => [at(least); 3],
        Photometric::Palette => [at(u64::from(darkest_entry)); 3],
        Photometric::Rgb => [0; 3],
        _ => [0, at(range / 2), at(range / 2)],
    }
}

impl<'m> Native<'m> {
    /// For a layout that [`is_supported`].
    pub(crate) fn new(layout: &PixelLayout, mask: &'m Mask, black: [u32; 3]) -> Self {
        let width = usize::from(layout.bits_allocated / 8);
        let clean = Clean::of(layout);
        let bytes = |value: u32| {
            let value = clean.map_or(value, |c| c.sample(value));
            value.to_le_bytes()[..width].to_vec()
        };
        let [a, b, c] = black.map(bytes);
        let planar = layout.planar && layout.samples == 3;
        let (unit_px, fill) = match (layout.photometric, layout.samples) {
            (Photometric::YbrFull422, _) => (2, vec![[a.clone(), a, b, c].concat()]),
            (_, 1) => (1, vec![a]),
            _ if planar => (1, vec![a, b, c]),
            _ => (1, vec![[a, b, c].concat()]),
        };
        let units = usize::from(layout.columns) / unit_px as usize;
        Self {
            mask,
            rows: u32::from(layout.rows),
            planes: fill.len() as u32,
            unit_px,
            units,
            unit: fill[0].len(),
            blank: fill.iter().map(|unit| unit.repeat(units)).collect(),
            clean,
        }
    }

    /// Bytes per line.
    pub(crate) fn line_length(&self) -> usize {
        self.units * self.unit
    }

    /// Lines per frame.
    pub(crate) fn lines_per_frame(&self) -> u32 {
        self.rows * self.planes
    }

    fn blank_of(&self, line: u32) -> &[u8] {
        &self.blank[(line / self.rows) as usize]
    }

    fn spans(&self, line: u32, spans: &mut Vec<(u32, u32)>) {
        self.mask.spans(line % self.rows, self.unit_px, 1, spans);
    }

    /// True when the mask has a pixel of line `line` of a frame. `spans` is scratch space.
    pub(crate) fn is_masked(&self, line: u32, spans: &mut Vec<(u32, u32)>) -> bool {
        self.spans(line, spans);
        !spans.is_empty()
    }

    /// True when no unused bit of a line is set (or, above a negative value, clear).
    pub(crate) fn is_clean(&self, bytes: &[u8]) -> bool {
        self.clean.is_none_or(|clean| clean.is_applied(bytes))
    }

    /// Redacts line `line` (of its frame) in place. `spans` is scratch space.
    pub(crate) fn redact(&self, line: u32, bytes: &mut [u8], spans: &mut Vec<(u32, u32)>) {
        if let Some(clean) = self.clean {
            clean.apply(bytes);
        }
        self.spans(line, spans);
        let blank = self.blank_of(line);
        for &(start, end) in spans.iter() {
            let inside = start as usize * self.unit..end as usize * self.unit;
            bytes[inside.clone()].copy_from_slice(&blank[inside]);
        }
    }

    /// True when `after` is what line `line` with bytes `before` must have become: every unit in the mask blank, every
    /// other one as before but for unused bits.
    pub(crate) fn proves(&self, line: u32, before: &[u8], after: &[u8], spans: &mut Vec<(u32, u32)>) -> bool {
        if before.len() != self.line_length() || after.len() != before.len() {
            return false;
        }
        self.spans(line, spans);
        let blank = self.blank_of(line);
        let mut from = 0;
        for &(start, end) in spans.iter().chain(&[(self.units as u32, self.units as u32)]) {
            let (start, end) = (start as usize * self.unit, end as usize * self.unit);
            if !self.is_kept(&before[from..start], &after[from..start]) || after[start..end] != blank[start..end] {
                return false;
            }
            from = end;
        }
        true
    }

    fn is_kept(&self, before: &[u8], after: &[u8]) -> bool {
        let Some(clean) = self.clean else { return before == after };
        let value = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        };
        before.chunks_exact(clean.width).zip(after.chunks_exact(clean.width)).all(|(b, a)| {
            let (b, a) = (value(b), value(a));
            // Independent of how it was written: value bits equal, bits below gone, bits above all alike.
            let above = clean.above & (u32::MAX >> (32 - 8 * clean.width));
            let extension = if clean.sign != 0 && b & clean.sign != 0 { above } else { 0 };
            a & clean.value == b & clean.value && a & !clean.value == extension
        })
    }
}
