//! Searching pixels: few long patterns in many bytes.
//!
//! A match of at least seven bytes covers one whole aligned word of four. The words that patterns can put there (four for each
//! pattern, one for each way it may lie on the words) are few, so one look-up a word in a bitmap that fits the first-level
//! cache decides almost always. ASCII letters match in either case: bit 5 is set in words and patterns alike before the look-up,
//! and the exact comparison follows.

use std::collections::HashMap;

use super::Pattern;

/// Shortest pattern of which every match covers an aligned word.
pub(super) const MIN_PATTERN: usize = 7;
/// Bits of the bitmap's index.
const INDEX_BITS: u32 = 16;
const CASE: u32 = 0x2020_2020;

/// The patterns, by the words they cover.
pub(super) struct Bulk<'p> {
    bitmap: Vec<u64>,
    /// Word: pattern and offset of the word in it.
    words: HashMap<u32, Vec<(&'p Pattern, usize)>>,
}

fn index(word: u32) -> usize {
    (word.wrapping_mul(0x9E37_79B1) >> (32 - INDEX_BITS)) as usize
}

impl<'p> Bulk<'p> {
    pub(super) fn new(patterns: impl Iterator<Item = &'p Pattern>) -> Self {
        let mut words: HashMap<u32, Vec<(&Pattern, usize)>> = HashMap::new();
        let mut bitmap = vec![0; 1 << (INDEX_BITS - 6)];
        for pattern in patterns.filter(|p| p.bytes.len() >= MIN_PATTERN) {
            for (offset, bytes) in pattern.bytes.windows(4).take(4).enumerate() {
                let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) | CASE;
                words.entry(word).or_default().push((pattern, offset));
                let at = index(word);
                bitmap[at / 64] |= 1 << (at % 64);
            }
        }
        Self { bitmap, words }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The matches in `bytes` by start, and their patterns.
    pub(super) fn find<'s>(&'s self, bytes: &'s [u8]) -> impl Iterator<Item = (usize, &'p Pattern)> + 's {
        let hits = bytes.chunks_exact(4).enumerate().filter_map(|(n, chunk)| {
            let word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]) | CASE;
            let at = index(word);
            if self.bitmap[at / 64] >> (at % 64) & 1 == 0 {
                return None;
            }
            self.words.get(&word).map(|candidates| (n * 4, candidates))
        });
        hits.flat_map(move |(at, candidates)| {
            candidates.iter().filter_map(move |(pattern, offset)| {
                let start = at.checked_sub(*offset)?;
                let found = bytes.get(start..start + pattern.bytes.len())?;
                found.eq_ignore_ascii_case(&pattern.bytes).then_some((start, *pattern))
            })
        })
    }
}
