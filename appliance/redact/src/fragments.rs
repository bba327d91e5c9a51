//! Which fragments make up which frame of encapsulated pixel data (PS3.5 A.4).

use crate::{RedactError, image::PixelLayout};
use gift_deidentify::dataset::{DataSet, Value};
use std::ops::Range;

/// Extended Offset Table (7FE0,0001).
pub(crate) const EXTENDED_OFFSET_TABLE: dicom_core::Tag = dicom_core::Tag(0x7FE0, 0x0001);
/// Extended Offset Table Lengths (7FE0,0002).
pub(crate) const EXTENDED_OFFSET_TABLE_LENGTHS: dicom_core::Tag = dicom_core::Tag(0x7FE0, 0x0002);

/// Length of a value in bytes; a fragment is bytes or a span.
pub(crate) fn length(value: &Value) -> Result<u64, RedactError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes.len() as u64),
        Value::Span { length, .. } => Ok(*length),
        _ => Err(RedactError::Inconsistent),
    }
}

/// Ranges of `fragments`, one per frame, in order. Tables are believed only when they fit fragment boundaries; else a frame
/// begins at each fragment that `starts_frame`.
pub(crate) fn frames(
    ds: &DataSet,
    layout: &PixelLayout,
    offsets: &[u8],
    fragments: &[Value],
    mut starts_frame: impl FnMut(&Value) -> Result<bool, RedactError>,
) -> Result<Vec<Range<usize>>, RedactError> {
    let wanted = layout.frames as usize;
    if fragments.len() < wanted {
        return Err(RedactError::Inconsistent);
    }
    if wanted == 1 {
        return Ok(std::iter::once(0..fragments.len()).collect());
    }
    if fragments.len() == wanted {
        return Ok((0..wanted).map(|i| i..i + 1).collect());
    }
    let basic = offsets.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    let extended = ds.get(EXTENDED_OFFSET_TABLE).and_then(|e| e.value.bytes()).unwrap_or(&[]);
    let extended = extended.chunks_exact(8).map(|b| b.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)));
    for table in [basic.collect::<Vec<_>>(), extended.collect()] {
        if let Some(ranges) = by_table(&table, wanted, fragments)? {
            return Ok(ranges);
        }
    }
    let mut starts = Vec::new();
    for (i, fragment) in fragments.iter().enumerate() {
        if starts_frame(fragment)? {
            starts.push(i);
        }
    }
    if starts.len() != wanted || starts[0] != 0 {
        return Err(RedactError::Inconsistent);
    }
    Ok(ranges(&starts, fragments.len()))
}

fn ranges(starts: &[usize], end: usize) -> Vec<Range<usize>> {
    starts.iter().enumerate().map(|(i, &start)| start..starts.get(i + 1).copied().unwrap_or(end)).collect()
}

fn by_table(table: &[u64], wanted: usize, fragments: &[Value]) -> Result<Option<Vec<Range<usize>>>, RedactError> {
    if table.len() != wanted {
        return Ok(None);
    }
    let mut starts = Vec::with_capacity(wanted);
    let mut at = 0u64;
    for (i, fragment) in fragments.iter().enumerate() {
        if table.get(starts.len()) == Some(&at) {
            starts.push(i);
        }
        at += 8 + length(fragment)?;
    }
    Ok((starts.len() == wanted && starts[0] == 0).then(|| ranges(&starts, fragments.len())))
}
