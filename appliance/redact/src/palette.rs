//! The darkest entry of a palette (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6), which blanked pixels of PALETTE COLOR take.

use crate::{RedactError, apply::read, fragments::length, image::PixelLayout};
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Source};

/// Pixel value of the entry with the least sum of red, green and blue.
///
/// # Errors
/// [`RedactError::Inconsistent`] for tables that are absent (segmented ones are), too short, or not reachable by a pixel.
pub(crate) fn darkest(ds: &DataSet, layout: &PixelLayout, input: &dyn Source) -> Result<u32, RedactError> {
    let channels = [
        (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA),
        (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA),
    ];
    let mut sums: Vec<u32> = Vec::new();
    let mut first = None;
    for (descriptor, data) in channels {
        let (entries, start, values) = table(ds, descriptor, data, input)?;
        if first.is_some_and(|f| f != (entries, start)) {
            return Err(RedactError::Inconsistent);
        }
        first = Some((entries, start));
        sums.resize(entries, 0);
        sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
    }
    let (_, start) = first.ok_or(RedactError::Inconsistent)?;
    let start = if layout.signed { i64::from(start as i16) } else { i64::from(start) };
    let range = 1i64 << layout.bits_stored;
    let (least, greatest) = if layout.signed { (-range / 2, range / 2 - 1) } else { (0, range - 1) };
    (start..)
        .zip(sums)
        .filter(|(value, _)| (least..=greatest).contains(value))
        .min_by_key(|&(_, sum)| sum)
        .map(|(value, _)| (value & (range - 1)) as u32)
        .ok_or(RedactError::Inconsistent)
}

/// Number of entries, first pixel value mapped, and the entries.
fn table(ds: &DataSet, descriptor: Tag, data: Tag, input: &dyn Source) -> Result<(usize, u16, Vec<u32>), RedactError> {
    const BAD: RedactError = RedactError::Inconsistent;
    let descriptor = ds.get(descriptor).and_then(|e| e.value.bytes()).ok_or(BAD)?;
    let &[n0, n1, f0, f1, b0, b1] = descriptor else { return Err(BAD) };
    let entries = match u16::from_le_bytes([n0, n1]) {
        0 => 1 << 16,
        n => usize::from(n),
    };
    let value = &ds.get(data).ok_or(BAD)?.value;
    // 8 bit entries stand two to a word, or one to a word.
    let bytes = length(value)?;
    let width = match u16::from_le_bytes([b0, b1]) {
        8 if bytes < 2 * entries as u64 => 1,
        8 | 16 => 2,
        _ => return Err(BAD),
    };
    if bytes < (entries * width) as u64 {
        return Err(BAD);
    }
    let mut raw = vec![0; entries * width];
    read(value, 0, &mut raw, input)?;
    let values = raw.chunks_exact(width).map(|v| v.iter().rev().fold(0, |sum, &b| sum << 8 | u32::from(b))).collect();
    Ok((entries, u16::from_le_bytes([f0, f1]), values))
}
