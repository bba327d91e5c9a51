//! MP4 (ISO/IEC 14496-12) in an order in which it can be read without going back: a movie box that stands behind the media is put in
//! front of them, and the offsets in it follow.

use super::stream::Stream;
use crate::RedactError;
use std::{io, ops::Range};

/// Longest movie box that is moved, bytes.
const MOST_MOVIE_BYTES: u64 = 64 << 20;
/// Most boxes at the top.
const MOST_BOXES: usize = 10_000;
/// Where the tables of offsets are.
const CONTAINERS: [&[u8; 4]; 4] = [b"trak", b"mdia", b"minf", b"stbl"];

/// A part of a stream in its new order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of the stream.
    Range(Range<u64>),
    /// These.
    Bytes(Vec<u8>),
}

/// The parts of `stream`: all of it, where it is no MP4, can be read as it stands, or is not understood.
pub(super) fn in_order(stream: &Stream<'_>) -> Result<Vec<Part>, RedactError> {
    let whole = || Ok(vec![Part::Range(0..stream.len())]);
    let Some(found) = find(stream)? else { return whole() };
    let Found { media, movie } = found;
    if movie.start < media || movie.end - movie.start > MOST_MOVIE_BYTES {
        return whole();
    }
    let shift = movie.end - movie.start;
    let mut bytes = vec![0; shift as usize];
    stream.read(movie.start, &mut bytes)?;
    // Of the box itself only what is in it.
    let Some(inside) = bytes.get_mut(8..) else { return whole() };
    if !patch(inside, media..movie.start, shift) {
        return whole();
    }
    let (before, behind) = (Part::Range(media..movie.start), Part::Range(movie.end..stream.len()));
    Ok(vec![Part::Range(0..media), Part::Bytes(bytes), before, behind])
}

struct Found {
    /// Where the media begin.
    media: u64,
    movie: Range<u64>,
}

fn find(stream: &Stream<'_>) -> Result<Option<Found>, RedactError> {
    let (mut at, mut media, mut movie) = (0, None, None);
    for number in 0..MOST_BOXES {
        let mut head = [0; 16];
        let there = (stream.len() - at).min(16) as usize;
        if there < 8 {
            break;
        }
        stream.read(at, &mut head[..there])?;
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => stream.len() - at,
            1 if there == 16 => head[8..].iter().fold(0, |size, byte| size << 8 | u64::from(*byte)),
            size => u64::from(size),
        };
        let end = at.checked_add(size).filter(|end| size >= 8 && *end <= stream.len());
        let (Some(end), name) = (end, &head[4..8]) else { break };
        match name {
            b"ftyp" if number == 0 => {}
            _ if number == 0 => return Ok(None),
            b"moof" => return Ok(None),
            b"mdat" => media = media.or(Some(at)),
            b"moov" => movie = movie.or(Some(at..end)),
            _ => {}
        }
        at = end;
    }
    Ok(media.zip(movie).map(|(media, movie)| Found { media, movie }))
}

/// Adds `shift` to every chunk's offset that lies in `moved`. False when a table is not understood.
fn patch(mut boxes: &mut [u8], moved: Range<u64>, shift: u64) -> bool {
    while boxes.len() >= 8 {
        let size = u32::from_be_bytes([boxes[0], boxes[1], boxes[2], boxes[3]]) as usize;
        if size < 8 || size > boxes.len() {
            return false;
        }
        let (this, rest) = boxes.split_at_mut(size);
        let (head, inside) = this.split_at_mut(8);
        let name = &head[4..];
        let understood = match name {
            b"stco" => table::<4>(inside, &moved, shift),
            b"co64" => table::<8>(inside, &moved, shift),
            name if CONTAINERS.iter().any(|container| *container == name) => patch(inside, moved.clone(), shift),
            _ => true,
        };
        if !understood {
            return false;
        }
        boxes = rest;
    }
    true
}

/// A table (8.7.5): version and flags, number of entries, entries of so many bytes.
fn table<const BYTES: usize>(inside: &mut [u8], moved: &Range<u64>, shift: u64) -> bool {
    let Some(([_, _, _, _, a, b, c, d], entries)) = inside.split_first_chunk_mut::<8>() else { return false };
    let wanted = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if entries.len() / BYTES < wanted {
        return false;
    }
    for entry in entries.chunks_exact_mut(BYTES).take(wanted) {
        let offset = entry.iter().fold(0_u64, |offset, byte| offset << 8 | u64::from(*byte));
        if moved.contains(&offset) {
            let bytes = (offset + shift).to_be_bytes();
            let (over, bytes) = bytes.split_at(8 - BYTES);
            if over.iter().any(|byte| *byte != 0) {
                return false;
            }
            entry.copy_from_slice(bytes);
        }
    }
    true
}

impl Part {
    /// Hands its bytes to `take`, a piece at a time.
    pub(super) fn each(
        &self,
        stream: &Stream<'_>,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), RedactError> {
        match self {
            Self::Bytes(bytes) => take(bytes).map_err(RedactError::Coder),
            Self::Range(range) => {
                let mut piece = vec![0; (1 << 18).min(range.end - range.start) as usize];
                let mut at = range.start;
                while at < range.end {
                    let length = (range.end - at).min(piece.len() as u64);
                    let piece = &mut piece[..length as usize];
                    stream.read(at, piece)?;
                    take(piece).map_err(RedactError::Coder)?;
                    at += length;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gift_deidentify::dataset::Value;

    fn boxed(name: &[u8; 4], inside: &[u8]) -> Vec<u8> {
        [&(inside.len() as u32 + 8).to_be_bytes()[..], name, inside].concat()
    }

    fn ordered(bytes: Vec<u8>) -> Vec<u8> {
        let fragments = [Value::Bytes(bytes)];
        let none = Vec::new();
        let stream = Stream::of(&fragments, &none).unwrap();
        let mut all = Vec::new();
        for part in in_order(&stream).unwrap() {
            part.each(&stream, |bytes| {
                all.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        }
        all
    }

    fn movie(offsets: [u32; 2], long: [u64; 1]) -> Vec<u8> {
        let short: Vec<u8> = [0, 2, offsets[0], offsets[1]].iter().flat_map(|n| n.to_be_bytes()).collect();
        let long = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &long[0].to_be_bytes()].concat();
        let table = [boxed(b"stco", &short), boxed(b"co64", &long)].concat();
        let nested = boxed(b"trak", &boxed(b"mdia", &boxed(b"minf", &boxed(b"stbl", &table))));
        boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), nested].concat())
    }

    #[test]
    fn a_movie_box_behind_the_media_is_put_in_front_and_its_offsets_follow() {
        let (kind, media) = (boxed(b"ftyp", b"isom"), boxed(b"mdat", b"0123456789"));
        let at = kind.len() as u32 + 8;
        let length = movie([0; 2], [0]).len() as u32;
        let before = [kind.clone(), media.clone(), movie([at, at + 5], [at.into()]), boxed(b"free", b"x")].concat();
        let moved = movie([at + length, at + 5 + length], [u64::from(at + length)]);
        assert_eq!(ordered(before), [kind.clone(), moved, media.clone(), boxed(b"free", b"x")].concat());
        let good = [kind.clone(), movie([at; 2], [0]), media.clone()].concat();
        assert_eq!(ordered(good.clone()), good);
        // What is cut short, or no MP4, stays as it is.
        for odd in [good[..good.len() - 3].to_vec(), [media, kind].concat(), b"G".to_vec(), Vec::new()] {
            assert_eq!(ordered(odd.clone()), odd);
        }
    }
}
