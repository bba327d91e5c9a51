//! The darkest entry of a palette (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9), which blanked pixels of PALETTE COLOR take, and how light
//! each entry is, for anchors.

use crate::{
    RedactError,
    anchor::{of_rgb, scaled},
    apply::read,
    fragments::length,
    image::PixelLayout,
};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Source, Value};

/// Descriptor, data and segmented data of each colour.
const CHANNELS: [[Tag; 3]; 3] = [
    [
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
    [
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
    [
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
        tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
        tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    ],
];

/// The three tables of a palette, of equal size.
struct Palette {
    /// Pixel value of the first entry.
    first: i64,
    channels: [Table; 3],
}

impl Palette {
    fn of(ds: &DataSet, layout: &PixelLayout, input: &dyn Source) -> Result<Self, RedactError> {
        let [red, green, blue] = CHANNELS.map(|channel| table(ds, channel, input));
        let channels = [red?, green?, blue?];
        let alike = |t: &Table| (t.first, t.values.len()) == (channels[0].first, channels[0].values.len());
        if !channels.iter().all(alike) {
            return Err(RedactError::Inconsistent);
        }
        let first = channels[0].first;
        Ok(Self { first: if layout.signed { i64::from(first as i16) } else { i64::from(first) }, channels })
    }

    /// Red, green and blue of each entry.
    fn entries(&self) -> impl Iterator<Item = [u32; 3]> {
        let [red, green, blue] = &self.channels;
        red.values.iter().zip(&green.values).zip(&blue.values).map(|((r, g), b)| [*r, *g, *b])
    }
}

/// Pixel value of the entry with the least sum of red, green and blue.
///
/// # Errors
/// [`RedactError::Inconsistent`] for tables that are absent, too short, or not reachable by a pixel.
pub(crate) fn darkest(ds: &DataSet, layout: &PixelLayout, input: &dyn Source) -> Result<u32, RedactError> {
    let palette = Palette::of(ds, layout, input)?;
    let range = 1i64 << layout.bits_stored;
    let (least, greatest) = if layout.signed { (-range / 2, range / 2 - 1) } else { (0, range - 1) };
    (palette.first..)
        .zip(palette.entries().map(|[r, g, b]| r + g + b))
        .filter(|(value, _)| (least..=greatest).contains(value))
        .min_by_key(|&(_, sum)| sum)
        .map(|(value, _)| (value & (range - 1)) as u32)
        .ok_or(RedactError::Inconsistent)
}

/// Pixel value of the first entry, and the luma of each, as anchors count it.
///
/// # Errors
/// As [`darkest`].
pub(crate) fn luma(ds: &DataSet, layout: &PixelLayout, input: &dyn Source) -> Result<(i64, Vec<u16>), RedactError> {
    let palette = Palette::of(ds, layout, input)?;
    let bits = [0, 1, 2].map(|c: usize| palette.channels[c].bits);
    let of = |[r, g, b]: [u32; 3]| of_rgb([scaled(r, bits[0]), scaled(g, bits[1]), scaled(b, bits[2])]);
    Ok((palette.first, palette.entries().map(of).collect()))
}

/// One colour's entries.
struct Table {
    first: u16,
    /// Of each entry: 8 or 16.
    bits: u32,
    values: Vec<u32>,
}

fn table(ds: &DataSet, [descriptor, plain, segmented]: [Tag; 3], input: &dyn Source) -> Result<Table, RedactError> {
    const BAD: RedactError = RedactError::Inconsistent;
    let descriptor = ds.get(descriptor).and_then(|e| e.value.bytes()).ok_or(BAD)?;
    let &[n0, n1, f0, f1, b0, b1] = descriptor else { return Err(BAD) };
    let entries = match u16::from_le_bytes([n0, n1]) {
        0 => 1 << 16,
        n => usize::from(n),
    };
    let bits = u16::from_le_bytes([b0, b1]);
    let words = |value: &Value, count: usize, width: usize| -> Result<Vec<u32>, RedactError> {
        let mut raw = vec![0; count * width];
        read(value, 0, &mut raw, input)?;
        Ok(raw.chunks_exact(width).map(|v| v.iter().rev().fold(0, |sum, &b| sum << 8 | u32::from(b))).collect())
    };
    let values = if let Some(element) = ds.get(plain) {
        // 8 bit entries stand two to a word, or one to a word.
        let bytes = length(&element.value)?;
        let width = match bits {
            8 if bytes < 2 * entries as u64 => 1,
            8 | 16 => 2,
            _ => return Err(BAD),
        };
        if bytes < (entries * width) as u64 {
            return Err(BAD);
        }
        words(&element.value, entries, width)?
    } else {
        let value = &ds.get(segmented).ok_or(BAD)?.value;
        let width = match bits {
            8 => 1,
            16 => 2,
            _ => return Err(BAD),
        };
        // Longer than discrete segments of one entry each could need: not a table.
        let bytes = usize::try_from(length(value)?).ok().filter(|&n| n <= entries * 4 * width + 2).ok_or(BAD)?;
        expand(&words(value, bytes / width, width)?, width, entries).ok_or(BAD)?
    };
    // An entry beyond its bits is as good as white.
    let values = values.into_iter().map(|v| v.min((1 << bits) - 1)).collect();
    Ok(Table { first: u16::from_le_bytes([f0, f1]), bits: u32::from(bits), values })
}

/// Expands segments (PS3.3 C.7.9.2) to exactly `entries` values.
fn expand(words: &[u32], width: usize, entries: usize) -> Option<Vec<u32>> {
    let mut out = Vec::new();
    let mut at = 0;
    while out.len() < entries {
        if *words.get(at)? == 2 {
            // Indirect: segments from earlier in the table, at a byte offset of 32 bits.
            let offset_words = 4 / width;
            let count = *words.get(at + 1)?;
            let offset = words.get(at + 2..at + 2 + offset_words)?;
            let offset = offset.iter().rev().fold(0usize, |sum, &w| sum << (8 * width) | w as usize) / width;
            let mut from = offset;
            for _ in 0..count {
                from = segment(words, from, entries, &mut out)?;
            }
            at += 2 + offset_words;
        } else {
            at = segment(words, at, entries, &mut out)?;
        }
    }
    (out.len() == entries).then_some(out)
}

/// Expands the discrete or linear segment at `at`; returns where the next one is.
fn segment(words: &[u32], at: usize, entries: usize, out: &mut Vec<u32>) -> Option<usize> {
    let (code, count) = (*words.get(at)?, *words.get(at + 1)? as usize);
    if count == 0 || out.len() + count > entries {
        return None;
    }
    match code {
        0 => {
            out.extend_from_slice(words.get(at + 2..at + 2 + count)?);
            Some(at + 2 + count)
        }
        1 => {
            let (from, to) = (i64::from(*out.last()?), i64::from(*words.get(at + 2)?));
            out.extend((1..=count as i64).map(|k| (from + (to - from) * k / count as i64) as u32));
            Some(at + 3)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_expand() {
        // Discrete 10, 20; linear to 26 in three; the two again.
        let words = [0, 2, 10, 20, 1, 3, 26, 2, 2, 0, 0];
        assert_eq!(expand(&words, 2, 10).unwrap(), [10, 20, 22, 24, 26, 10, 20, 22, 24, 26]);
        assert_eq!(expand(&[0, 2, 10, 20, 2, 1, 0, 0, 0, 0], 1, 4).unwrap(), [10, 20, 10, 20]);
        for bad in
            [&[][..], &[0, 3, 1, 2], &[1, 2, 5], &[3, 1, 1], &[0, 5, 1, 2, 3, 4, 5], &[2, 1, 0, 0], &[0, 0, 0, 0]]
        {
            assert!(expand(bad, 2, 4).is_none(), "{bad:?}");
        }
    }
}
