//! The output leak scan: the finished file's bytes against the identifiers of the original, whatever the rules did.
//!
//! The file is read again with the tolerant reader, only to tell text from bulk: values longer than a kilobyte that are no text
//! (pixel data, look-up tables, waveforms) can hold four letters by accident, so there only long identifiers are looked for;
//! everywhere else (headers, text, preamble, JPEG and JPEG 2000 markers before the first scan, the bytes between values) all of
//! them. Each is looked for in UTF-8 and UTF-16 of either byte order, and beyond ASCII in every character set of PS3.3
//! C.12.1.1.2. Memory does not grow with the file.
//!
//! # Two passes, one reading
//!
//! Long identifiers are looked for in *every* byte of the file, as it goes to the file: [`LeakScan::written`] is given exactly the
//! bytes that the last write call took, in order, and knows nothing of what they are. [`LeakScan::finish`] then refuses a file that
//! is longer or shorter than what went by, reads back from it all that is not bulk, and looks there for all identifiers. So every
//! byte is covered whatever writer and rules believe about it, and the pixels of a cine are not read a second time only to be
//! looked at. Matches across the borders of pieces are found by a tail that is kept; at the borders of values, where a match need
//! not respect what stands outside the value, they are looked at again ([`edges`]).

mod edges;
mod patterns;
mod stream;
mod words;

use patterns::Patterns;
use stream::{Piece, Stream};
use words::Words;

use super::{Identifiers, Kept};
use crate::dataset::{Limits, ReadError, Source, read_part10};

/// Values longer than this, other than text, are bulk.
const BULK_BYTES: u32 = 1 << 10;
/// Shortest pattern looked for in bulk, bytes.
const BULK_PATTERN: usize = 8;
/// Shortest pattern of any encoding, bytes.
const MIN_PATTERN: usize = 4;
/// Bytes beside a match that are looked at: two characters of UTF-16.
const NEIGHBOURS: usize = 4;
/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakKind {
    /// Part of a person's name.
    Name,
    /// Number of a patient, visit, order or study.
    Number,
    /// Address, telephone or e-mail.
    Contact,
    /// Institution.
    Institution,
    /// Device.
    Device,
    /// Birth date.
    BirthDate,
    /// UID.
    Uid,
}

impl std::fmt::Display for LeakKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Number => "number",
            Self::Contact => "address or contact",
            Self::Institution => "institution",
            Self::Device => "device",
            Self::BirthDate => "birth date",
            Self::Uid => "UID",
        })
    }
}

/// Why the output is not to be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// An identifier of the original stands in it.
    #[error("identifier of the original found: {kind} at offset {offset}")]
    Leak {
        /// What.
        kind: LeakKind,
        /// Where, bytes; zero when it is only known to be at the edge of some value.
        offset: u64,
    },
    /// The output cannot be read again.
    #[error("output cannot be read again: {0}")]
    Unreadable(ReadError),
    /// The medium failed.
    #[error("reading the output failed: {0}")]
    Io(std::io::ErrorKind),
    /// The file is not what went by (longer or shorter), or the object names more than can be looked for.
    #[error("not all of the output was searched for everything")]
    Incomplete,
}

impl From<std::io::Error> for ScanError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e.kind())
    }
}

/// Proof that one scan found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct LeakFree {
    patterns: u32,
}

impl LeakFree {
    /// Patterns that were looked for.
    pub fn patterns(self) -> u32 {
        self.patterns
    }
}

/// What may stand beside a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    /// Anything.
    Free,
    /// No letter or digit.
    Word,
    /// No digit, nor a point that continues a number.
    Number,
    /// No digit before; anything after (a time may follow a date).
    Date,
}

/// Its bytes stand in [`Patterns`].
#[derive(Debug, Clone, Copy)]
struct Pattern {
    start: usize,
    end: usize,
    /// Bytes per character: neighbours are looked at in steps of it.
    unit: u8,
    edge: Edge,
    kind: LeakKind,
}

impl Pattern {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A scan under way: first everything that is written goes by ([`Self::written`]), then the file is looked at
/// ([`Self::finish`]).
pub struct LeakScan {
    patterns: Patterns,
    everywhere: Words,
    in_bulk: Words,
    stream: Stream,
    found: Option<(u64, LeakKind)>,
    /// Not all identifiers are among the patterns.
    too_many: bool,
}

/// Without the patterns.
impl std::fmt::Debug for LeakScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LeakScan")
    }
}

impl Identifiers {
    /// Searches the finished file for every identifier that the profile does not keep on purpose.
    ///
    /// # Errors
    /// The first hit, or that the file could not be searched: either way it is not to be released.
    pub fn scan(&self, output: &dyn Source, kept: Kept) -> Result<LeakFree, ScanError> {
        let mut scan = self.leak_scan(kept);
        read(output, 0, output.len(), |bytes| {
            scan.written(bytes);
            Ok(())
        })?;
        scan.finish(output)
    }

    /// The same for a file that is yet to be written.
    pub fn leak_scan(&self, kept: Kept) -> LeakScan {
        let patterns = self.patterns(kept);
        let longest = patterns.list.iter().map(Pattern::len).max().unwrap_or(0);
        LeakScan {
            everywhere: Words::of_text(&patterns),
            in_bulk: Words::of_bulk(&patterns, |p| p.len() >= BULK_PATTERN && p.unit == 1),
            stream: Stream::new(longest),
            patterns,
            found: None,
            too_many: self.too_many,
        }
    }
}

impl LeakScan {
    /// Looks at the next bytes of the file, which have just been written; the first are those at its beginning.
    pub fn written(&mut self, bytes: &[u8]) {
        let Self { patterns, in_bulk, stream, found, .. } = self;
        if found.is_none() {
            *found = stream.push(bytes, |piece| piece.first_in_bulk(in_bulk, patterns));
        }
    }

    /// Searches the finished file.
    ///
    /// # Errors
    /// The first hit, or that the file could not be searched: either way it is not to be released.
    pub fn finish(mut self, output: &dyn Source) -> Result<LeakFree, ScanError> {
        let Self { patterns, in_bulk, stream, found, .. } = &mut self;
        let found = found.or_else(|| stream.end(|piece| piece.first_in_bulk(in_bulk, patterns)));
        leak(found)?;
        if self.too_many || self.stream.seen() != output.len() {
            return Err(ScanError::Incomplete);
        }
        let limits = Limits { inline_bytes: BULK_BYTES, ..Limits::default() };
        let (_, parsed) = read_part10(output, &limits).map_err(ScanError::Unreadable)?;
        let mut at = 0;
        for (start, end) in self.bulk(output, &parsed.data_set)? {
            self.text(output, at, start)?;
            self.borders(output, start, end)?;
            at = end;
        }
        self.text(output, at, output.len())?;
        self.values(&parsed.data_set)?;
        Ok(LeakFree { patterns: u32::try_from(self.patterns.list.len()).unwrap_or(u32::MAX) })
    }

    /// Searches `start..end` of the file for all patterns.
    fn text(&self, output: &dyn Source, start: u64, end: u64) -> Result<(), ScanError> {
        let mut stream = self.stream.another(start);
        let find = |piece: Piece<'_>| piece.first_in_text(&self.everywhere, &self.patterns);
        read(output, start, end, |bytes| leak(stream.push(bytes, find)))?;
        leak(stream.end(find))
    }
}

fn leak(found: Option<(u64, LeakKind)>) -> Result<(), ScanError> {
    found.map_or(Ok(()), |(offset, kind)| Err(ScanError::Leak { kind, offset }))
}

/// Reads `start..end` piece by piece.
fn read(
    source: &dyn Source,
    start: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let mut buffer = Vec::new();
    let mut at = start;
    while at < end {
        let length = (end - at).min(CHUNK as u64) as usize;
        buffer.resize(length, 0);
        source.read_exact_at(&mut buffer, at)?;
        take(&buffer)?;
        at += length as u64;
    }
    Ok(())
}

impl Piece<'_> {
    /// The first of all patterns.
    fn first_in_text(&self, words: &Words, patterns: &Patterns) -> Option<(u64, LeakKind)> {
        words.find_in_text(patterns, self.bytes, |pattern, start| self.judge(pattern, start))
    }

    /// The first of the long ones.
    fn first_in_bulk(&self, words: &Words, patterns: &Patterns) -> Option<(u64, LeakKind)> {
        words.find_in_bulk(patterns, self.bytes, |pattern, start| self.judge(pattern, start))
    }

    /// The match, when its neighbours do not rule it out. One whose neighbours are not all in this piece is in another, with
    /// them.
    fn judge(&self, pattern: &Pattern, start: usize) -> Option<(u64, LeakKind)> {
        let end = start + pattern.len();
        let cut = !self.first && start < NEIGHBOURS || !self.last && self.bytes.len() - end < NEIGHBOURS;
        let found = !cut && pattern.stands_at(self.bytes, start, end);
        found.then(|| (self.offset + start as u64, pattern.kind))
    }
}

impl Pattern {
    /// True when what stands beside the match allows it.
    fn stands_at(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        let unit = usize::from(self.unit);
        // The character `n` places before or after; 0 where there is none or it is not ASCII.
        let ascii = |at: Option<usize>| {
            let slice = at.and_then(|at| bytes.get(at..at + unit)).unwrap_or(&[]);
            match slice {
                [b] => *b,
                [b, 0] | [0, b] => *b,
                _ => 0,
            }
        };
        let before = ascii(start.checked_sub(unit));
        let before_that = ascii(start.checked_sub(2 * unit));
        let after = ascii(Some(end));
        let after_that = ascii(Some(end + unit));
        match self.edge {
            Edge::Free => true,
            Edge::Word => !before.is_ascii_alphanumeric() && !after.is_ascii_alphanumeric(),
            Edge::Date => !before.is_ascii_digit() && before != b'.',
            Edge::Number => {
                let continues = |near: u8, far: u8| near.is_ascii_digit() || near == b'.' && far.is_ascii_digit();
                !continues(before, before_that) && !continues(after, after_that)
            }
        }
    }
}

#[cfg(test)]
mod tests;
