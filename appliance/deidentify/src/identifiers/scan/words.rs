//! Finding patterns by the words of four bytes that they begin with or cover.
//!
//! A word that some pattern can put at a place is rare, so one look-up a word in a bitmap that fits the first-level cache decides
//! almost always; the exact comparison follows. ASCII letters match in either case: bit 5 is set in words and patterns alike before
//! the look-up.
//!
//! In text every byte may begin a match, so each is looked at ([`Words::find_in_text`]). In bulk only long patterns are looked for:
//! a match of at least seven bytes covers one whole aligned word of four, whichever way it lies, so aligned words are enough
//! ([`Words::find_in_bulk`]). Most pixels are no characters; whole lines of words without one are passed over by their range
//! alone, in a form that the compiler makes vector instructions of (`pulp` has it compiled for several kinds of
//! processor and takes the best at run time).

use super::{Pattern, Patterns};
use pulp::{Arch, NullaryFnOnce};

/// Shortest pattern of which every match covers an aligned word.
pub(super) const MIN_BULK_PATTERN: usize = 7;
/// Bytes at the start of a long pattern that may be left out of its words, to choose better ones.
const MOST_SPARE: usize = 4;
/// Bytes of a word.
const WORD: usize = 4;
/// Bits of the bitmap's index.
const INDEX_BITS: u32 = 16;
/// Fewest bits of it that choose a chain.
const MIN_CHAIN_BITS: u32 = 6;
/// ASCII upper and lower case differ in this bit, here of each byte.
const CASE: u32 = 0x2020_2020;
/// Bytes whose range is looked at together: a line of the cache.
const LINE: usize = 64;

/// A word of a pattern.
#[derive(Clone, Copy)]
struct Entry {
    /// With [`CASE`] set.
    word: u32,
    /// Ordinal of the pattern.
    pattern: u32,
    /// Where the word stands in it.
    offset: u32,
    /// Ordinal of the next entry of the same chain, from 1; 0 at its end.
    next: u32,
}

/// Patterns by some of their words.
pub(super) struct Words {
    bitmap: Vec<u64>,
    /// First entry of each chain, from 1; 0 for none. What is built anew for every object must not be sorted. There are about as many
    /// as entries, so that a hostile object's many identifiers make no long ones.
    chains: Vec<u32>,
    /// By how much an index is shifted to choose one.
    shift: u32,
    entries: Vec<Entry>,
    /// Range of the bytes of the words.
    range: Range,
    /// The same of those that are grey ([`is_grey`]).
    grey: Range,
    arch: Arch,
}

/// True for four bytes of which at least two neighbouring pairs are equal, as any four of grey pixels in RGB are.
#[inline(always)]
fn is_grey(word: u32) -> bool {
    let differ = word ^ (word >> 8);
    // The high bit of each of the lower three bytes: whether that byte is not zero.
    let pairs = ((differ & 0x007F_7F7F).wrapping_add(0x007F_7F7F) | differ) & 0x0080_8080;
    pairs & pairs.wrapping_sub(1) == 0
}

/// Bytes from `least` to `greatest`.
#[derive(Clone, Copy)]
struct Range {
    least: u8,
    greatest: u8,
}

impl Range {
    /// Of no bytes at all.
    const NONE: Self = Self { least: u8::MAX, greatest: 0 };

    /// Up to these bytes too, in either case.
    fn with(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |range, byte| Self {
            least: range.least.min(byte.to_ascii_uppercase()),
            greatest: range.greatest.max(byte.to_ascii_lowercase()),
        })
    }

    /// FFH at every byte of the line that is inside, else 0.
    #[inline(always)]
    fn inside(self, line: &[u8; LINE]) -> [u8; LINE] {
        line.map(|byte| if (self.least <= byte) & (byte <= self.greatest) { u8::MAX } else { 0 })
    }
}

fn index(word: u32) -> usize {
    (word.wrapping_mul(0x9E37_79B1) >> (32 - INDEX_BITS)) as usize
}

fn word_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The line's words.
#[inline(always)]
fn words_of(line: &[u8; LINE]) -> [u32; LINE / WORD] {
    std::array::from_fn(|n| word_of(&line[n * WORD..]))
}

/// The first line that may hold a word of a pattern; compiled for several kinds of processor, of which the best is taken.
struct NextLine<'a> {
    of: &'a Words,
    lines: &'a [[u8; LINE]],
}

impl NullaryFnOnce for NextLine<'_> {
    type Output = Option<usize>;
    #[inline(always)]
    fn call(self) -> Option<usize> {
        // No adaptors: what is not inlined here is not compiled for that processor.
        for (number, line) in self.lines.iter().enumerate() {
            if self.of.may_hold(line) {
                return Some(number);
            }
        }
        None
    }
}

impl Words {
    /// By the first word of each pattern, all of which have at least four bytes.
    pub(super) fn of_text(patterns: &Patterns) -> Self {
        Self::new(patterns, 1, |_| true)
    }

    /// By the four words that a match may cover, of patterns that `wanted` chooses and that are long enough.
    pub(super) fn of_bulk(patterns: &Patterns, wanted: impl Fn(&Pattern) -> bool) -> Self {
        Self::new(patterns, WORD, |pattern| wanted(pattern) && pattern.len() >= MIN_BULK_PATTERN)
    }

    fn new(patterns: &Patterns, ways: usize, wanted: impl Fn(&Pattern) -> bool) -> Self {
        let mut entries: Vec<Entry> = Vec::with_capacity(patterns.list.len() * ways);
        let mut bitmap = vec![0; 1 << (INDEX_BITS - 6)];
        let bits = (entries.capacity() as u64).next_power_of_two().ilog2().clamp(MIN_CHAIN_BITS, INDEX_BITS);
        let (mut chains, shift) = (vec![0; 1 << bits], INDEX_BITS - bits);
        let (mut range, mut grey) = (Range::NONE, Range::NONE);
        for (number, pattern) in (0..).zip(&patterns.list).filter(|(_, pattern)| wanted(pattern)) {
            let bytes = patterns.of(pattern);
            // Of a long pattern, those words that look least like pixels.
            let spare = if ways > 1 { (bytes.len() - MIN_BULK_PATTERN).min(MOST_SPARE) } else { 0 };
            let greys = |from: &usize| bytes[*from..].windows(WORD).take(ways).filter(|w| is_grey(word_of(w))).count();
            let from = (0..=spare).min_by_key(greys).unwrap_or(0);
            for (offset, bytes) in (from as u32..).zip(bytes[from..].windows(WORD).take(ways)) {
                let word = word_of(bytes) | CASE;
                range = range.with(bytes);
                // With the case taken off more is grey, never less.
                if is_grey(word) {
                    grey = grey.with(bytes);
                }
                let at = index(word);
                bitmap[at / 64] |= 1 << (at % 64);
                let first = &mut chains[at >> shift];
                entries.push(Entry { word, pattern: number, offset, next: *first });
                *first = entries.len() as u32;
            }
        }
        Self { bitmap, chains, shift, entries, range, grey, arch: Arch::new() }
    }

    /// True when there is nothing to look for.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What `judge` makes of the first match in `bytes` that it makes something of. It gets the pattern's ordinal and the start.
    pub(super) fn find_in_text<T>(
        &self,
        patterns: &Patterns,
        bytes: &[u8],
        mut judge: impl FnMut(&Pattern, usize) -> Option<T>,
    ) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        bytes
            .windows(WORD)
            .enumerate()
            .find_map(|(at, window)| self.at(patterns, bytes, word_of(window), at, &mut judge))
    }

    /// The same for bulk.
    pub(super) fn find_in_bulk<T>(
        &self,
        patterns: &Patterns,
        bytes: &[u8],
        mut judge: impl FnMut(&Pattern, usize) -> Option<T>,
    ) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut words = |from: usize, to: usize| {
            let words = bytes[from..to].as_chunks::<WORD>().0.iter().enumerate();
            words
                .into_iter()
                .find_map(|(n, word)| self.at(patterns, bytes, u32::from_le_bytes(*word), from + n * WORD, &mut judge))
        };
        let lines = bytes.as_chunks::<LINE>().0;
        let mut from = 0;
        while let Some(further) = self.arch.dispatch(NextLine { of: self, lines: &lines[from..] }) {
            let line = from + further;
            if let Some(found) = words(line * LINE, (line + 1) * LINE) {
                return Some(found);
            }
            from = line + 1;
        }
        words(lines.len() * LINE, bytes.len())
    }

    /// False when no word of the line can be one of a pattern. The second test costs as much again and is rarely reached. All words
    /// are looked at, so that vector instructions can.
    #[inline(always)]
    fn may_hold(&self, line: &[u8; LINE]) -> bool {
        let inside = words_of(&self.range.inside(line));
        if !inside.iter().fold(false, |any, word| any | (*word == u32::MAX)) {
            return false;
        }
        let grey = words_of(&self.grey.inside(line));
        let words = words_of(line);
        (0..LINE / WORD).fold(false, |any, n| {
            let inside = inside[n] == u32::MAX;
            any | (inside & (!is_grey(words[n]) | (grey[n] == u32::MAX)))
        })
    }

    /// What `judge` makes of the matches that have `word` at `at`.
    #[inline(always)]
    fn at<T>(
        &self,
        patterns: &Patterns,
        bytes: &[u8],
        word: u32,
        at: usize,
        judge: &mut impl FnMut(&Pattern, usize) -> Option<T>,
    ) -> Option<T> {
        let word = word | CASE;
        let bit = index(word);
        if self.bitmap[bit / 64] >> (bit % 64) & 1 == 0 {
            return None;
        }
        self.compare(patterns, bytes, self.chains[bit >> self.shift], word, at, judge)
    }

    #[cold]
    fn compare<T>(
        &self,
        patterns: &Patterns,
        bytes: &[u8],
        first: u32,
        word: u32,
        at: usize,
        judge: &mut impl FnMut(&Pattern, usize) -> Option<T>,
    ) -> Option<T> {
        let entry = |ordinal: u32| (ordinal > 0).then(|| &self.entries[ordinal as usize - 1]);
        let mut chain = std::iter::successors(entry(first), |last| entry(last.next)).filter(|entry| entry.word == word);
        chain.find_map(|entry| {
            let pattern = &patterns.list[entry.pattern as usize];
            let start = at.checked_sub(entry.offset as usize)?;
            let found = bytes.get(start..start + pattern.len())?;
            found.eq_ignore_ascii_case(patterns.of(pattern)).then(|| judge(pattern, start))?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_pixels_are_told_from_text() {
        for grey in [*b"aaab", *b"aabb", *b"abbb", *b"aaaa"] {
            assert!(is_grey(u32::from_le_bytes(grey)));
        }
        for other in [*b"aabc", *b"abba", *b"abcc", *b"abab", *b"1.2."] {
            assert!(!is_grey(u32::from_le_bytes(other)));
        }
    }

    #[test]
    fn a_range_is_of_its_bytes_and_no_others() {
        assert_eq!(Range::NONE.inside(&[0x41; LINE]), [0; LINE]);
        for (least, greatest) in [(0x20, 0x7A), (0x2E, 0x39), (0, 0xFF), (0x41, 0xFE), (0x90, 0xF0), (0x1B, 0x7F)] {
            let range = Range::NONE.with(&[least, greatest]);
            for byte in 0..=u8::MAX {
                let inside = if (least..=greatest).contains(&byte) { u8::MAX } else { 0 };
                // A letter counts in either case.
                if inside == u8::MAX || !byte.is_ascii_alphabetic() {
                    assert_eq!(range.inside(&[byte; LINE]), [inside; LINE], "{least}..={greatest}: {byte}");
                }
            }
        }
    }
}
