//! What of LUKS2 (on-disk format specification 1.1, chapters 2 and 3) the eraser has to know: whether a partition holds one, and where that
//! which opens it ends. Two binary headers, each with its JSON, then the key slots, then the data.

use std::io;

use serde::Deserialize;

use crate::disk::Disk;

/// Magic of the first header.
const FIRST: &[u8; 6] = b"LUKS\xba\xbe";
/// Magic of the second one.
const SECOND: &[u8; 6] = b"SKUL\xba\xbe";
/// Where the second header may begin (2.2): after each size that the first may have, which is also the size of the second.
pub(crate) const SECOND_AT: [u64; 9] =
    [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
/// Length of a binary header, bytes; its JSON follows.
const BINARY: u64 = 4096;
/// At least so much is overwritten: where data begin by default.
pub(crate) const LEAST: u64 = 16 << 20;

/// The JSON area, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    keyslots: std::collections::BTreeMap<String, Keyslot>,
    segments: std::collections::BTreeMap<String, Segment>,
}

#[derive(Debug, Deserialize)]
struct Keyslot {
    area: Area,
}

#[derive(Debug, Deserialize)]
struct Area {
    offset: String,
    size: String,
}

#[derive(Debug, Deserialize)]
struct Segment {
    offset: String,
}

/// Where headers and key slots end at the latest, bytes from the beginning of the partition; `None` when it is no LUKS2.
///
/// # Errors
/// The disk's.
pub(crate) fn end_of_keys(disk: &impl Disk) -> io::Result<Option<u64>> {
    let size = disk.size()?;
    let mut end = None;
    for (at, magic) in std::iter::once((0, FIRST)).chain(SECOND_AT.map(|at| (at, SECOND))) {
        // One of two is enough: what is damaged must be erased, too.
        if let Some(found) = end_by(disk, at, magic, size)? {
            end = end.max(Some(found));
        }
    }
    Ok(end.map(|end| end.max(LEAST).min(size)))
}

/// What the header that begins at `at` says, if there is one.
fn end_by(disk: &impl Disk, at: u64, magic: &[u8; 6], size: u64) -> io::Result<Option<u64>> {
    let mut binary = [0; 512];
    if at + BINARY > size {
        return Ok(None);
    }
    disk.read(&mut binary, at)?;
    let number =
        |at: usize| binary.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    let (length, offset) = (number(8), number(256));
    if !binary.starts_with(magic) || binary.get(6..8) != Some(&[0, 2]) || offset != at {
        return Ok(None);
    }
    let json = length.saturating_sub(BINARY).min(SECOND_AT[8]).min(size - at - BINARY);
    let mut text = vec![0; usize::try_from(json).unwrap_or(0)];
    disk.read(&mut text, at + BINARY)?;
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(serde_json::from_slice(text).ok().map_or(LEAST, |metadata| end_in(&metadata))))
}

fn end_in(metadata: &Metadata) -> u64 {
    let number = |text: &String| text.parse::<u64>().unwrap_or(0);
    let slots =
        metadata.keyslots.values().map(|slot| number(&slot.area.offset).saturating_add(number(&slot.area.size)));
    let data = metadata.segments.values().map(|segment| number(&segment.offset)).min();
    slots.chain(data).max().unwrap_or(0)
}
