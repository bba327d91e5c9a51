//! The output leak scan: the finished file's bytes against the identifiers of the original, whatever the rules did.
//!
//! The file is read again with the tolerant reader, only to tell text from bulk: values longer than a kilobyte that are no text
//! (pixel data, look-up tables, waveforms) can hold four letters by accident, so there only long identifiers are looked for;
//! everywhere else (headers, text, preamble, JPEG and JPEG 2000 markers before the first scan, the bytes between values) all of
//! them. Each is looked for in UTF-8 and UTF-16 of either byte order, and beyond ASCII in every character set of PS3.3
//! C.12.1.1.2. Bytes are streamed; memory does not grow with the file.

mod bulk;

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use encoding_rs::Encoding;

use bulk::Bulk;

use super::{Identifiers, Kept, Kind, is_dense, is_telling, is_telling_number};
use crate::dataset::{Limits, ReadError, Source, Value, read_part10};
use crate::date::written_forms;
use crate::text::{joined, words};

/// Values longer than this, other than text, are bulk.
const BULK_BYTES: u32 = 1 << 10;
/// Shortest pattern looked for in bulk, bytes.
const BULK_PATTERN: usize = 8;
/// Shortest pattern of any encoding, bytes.
const MIN_PATTERN: usize = 4;
/// From this length a pattern of letters needs no word boundary.
const FREE_LETTERS: usize = 7;
/// From this length a pattern of letters and digits needs no word boundary.
const FREE_MIXED: usize = 6;
/// Bytes beside a match that are looked at: two characters of UTF-16.
const NEIGHBOURS: usize = 4;
/// Bytes searched at once.
const CHUNK: u64 = 256 << 10;
/// Bytes of a fragment that are searched for the end of its codestream's header.
const FRAGMENT_HEAD: usize = 16 << 10;
/// Birth dates up to this year are placeholders (1900-01-01).
const PLACEHOLDER_YEAR: i32 = 1900;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        /// Where, bytes.
        offset: u64,
    },
    /// The output cannot be read again.
    #[error("output cannot be read again: {0}")]
    Unreadable(ReadError),
    /// The medium failed.
    #[error("reading the output failed: {0}")]
    Io(std::io::ErrorKind),
    /// The patterns cannot be searched for.
    #[error("patterns cannot be searched for")]
    Patterns,
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

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    bytes: Vec<u8>,
    /// Bytes per character: neighbours are looked at in steps of it.
    unit: u8,
    edge: Edge,
    kind: u8,
}

const KINDS: [LeakKind; 7] = [
    LeakKind::Name,
    LeakKind::Number,
    LeakKind::Contact,
    LeakKind::Institution,
    LeakKind::Device,
    LeakKind::BirthDate,
    LeakKind::Uid,
];

impl Identifiers {
    /// Searches the finished file for every identifier that the profile does not keep on purpose.
    ///
    /// # Errors
    /// The first hit, or that the file could not be searched: either way it is not to be released.
    pub fn scan(&self, output: &dyn Source, kept: Kept) -> Result<LeakFree, ScanError> {
        let patterns = self.patterns(kept);
        let everywhere = Search::text(&patterns)?;
        let in_bulk = Search::bulk(&patterns);
        let margin = patterns.iter().map(|p| p.bytes.len()).max().unwrap_or(0) as u64 + NEIGHBOURS as u64;
        let mut at = 0;
        for bulk in bulk_ranges(output)? {
            everywhere.run(output, at, bulk.0, margin)?;
            in_bulk.run(output, bulk.0, bulk.1, margin)?;
            at = bulk.1;
        }
        everywhere.run(output, at, output.len(), margin)?;
        Ok(LeakFree { patterns: u32::try_from(patterns.len()).unwrap_or(u32::MAX) })
    }

    fn patterns(&self, kept: Kept) -> Vec<Pattern> {
        let mut out = Patterns::default();
        for person in &self.persons {
            out.person(person);
        }
        for entry in self.entries.iter().filter(|e| !kept.keeps(e.kind)) {
            match entry.kind {
                Kind::Number => out.number(&entry.text, LeakKind::Number),
                Kind::Device => out.number(&entry.text, LeakKind::Device),
                Kind::Contact => out.contact(&entry.text),
                Kind::Address => out.place(&entry.text, LeakKind::Contact),
                Kind::Institution => out.place(&entry.text, LeakKind::Institution),
            }
        }
        use chrono::Datelike;
        for date in self.birth_dates.iter().filter(|d| d.year() > PLACEHOLDER_YEAR) {
            for form in written_forms(*date) {
                out.add(&form, Edge::Date, LeakKind::BirthDate);
            }
        }
        if !kept.uids {
            let device = self.device_uids.iter().filter(|_| !kept.device);
            self.uids.iter().chain(device).for_each(|uid| out.add(uid, Edge::Number, LeakKind::Uid));
        }
        out.0.into_iter().collect()
    }
}

#[derive(Default)]
struct Patterns(BTreeSet<Pattern>);

impl Patterns {
    /// Adds `text` in every encoding.
    fn add(&mut self, text: &str, edge: Edge, kind: LeakKind) {
        let kind = KINDS.iter().position(|k| *k == kind).unwrap_or(0) as u8;
        let mut put = |bytes: Vec<u8>, unit: u8| {
            if bytes.len() >= MIN_PATTERN {
                self.0.insert(Pattern { bytes, unit, edge, kind });
            }
        };
        // ASCII letters match in either case; others are given in each.
        let cases: BTreeSet<String> = if text.is_ascii() {
            [text.to_owned()].into()
        } else {
            [text.to_owned(), text.to_lowercase(), text.to_uppercase()].into()
        };
        for text in cases {
            put(text.clone().into_bytes(), 1);
            put(text.encode_utf16().flat_map(u16::to_le_bytes).collect(), 2);
            put(text.encode_utf16().flat_map(u16::to_be_bytes).collect(), 2);
            if !text.is_ascii() {
                for encoding in ENCODINGS {
                    let (bytes, _, lossy) = encoding.encode(&text);
                    if !lossy {
                        put(bytes.into_owned(), 1);
                    }
                }
            }
        }
    }

    fn word(&mut self, word: &str, kind: LeakKind) {
        let length = word.chars().count();
        let free = length >= FREE_LETTERS || is_dense(word);
        let digits = word.bytes().all(|b| b.is_ascii_digit());
        self.add(
            word,
            if digits {
                Edge::Number
            } else if free {
                Edge::Free
            } else {
                Edge::Word
            },
            kind,
        );
    }

    fn person(&mut self, parts: &[String]) {
        for part in parts {
            if is_telling(&joined(part)) {
                self.word(part, LeakKind::Name);
            }
        }
        // Where no part tells by itself, two of them side by side do.
        for (n, a) in parts.iter().enumerate() {
            for b in parts.iter().skip(n + 1).filter(|b| a.chars().count() > 1 && b.chars().count() > 1) {
                for (a, b) in [(a, b), (b, a)] {
                    for separator in ["^", " ", ", ", ",", "_"] {
                        self.add(&format!("{a}{separator}{b}"), Edge::Word, LeakKind::Name);
                    }
                }
            }
        }
    }

    fn number(&mut self, text: &str, kind: LeakKind) {
        let number = joined(text);
        if !is_telling_number(&number) {
            return;
        }
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let edge = match number.len() {
            _ if digits => Edge::Number,
            n if n >= FREE_MIXED => Edge::Free,
            _ => Edge::Word,
        };
        self.add(text, edge, kind);
        self.add(&number, edge, kind);
        if digits && number.len() == 10 {
            for separator in [" ", "-"] {
                self.add(&[&number[..3], &number[3..6], &number[6..]].join(separator), edge, kind);
            }
        }
    }

    fn contact(&mut self, text: &str) {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() >= 7 {
            self.add(&digits, Edge::Number, LeakKind::Contact);
            self.add(text, Edge::Number, LeakKind::Contact);
        } else if text.contains('@') {
            self.add(text, Edge::Word, LeakKind::Contact);
        }
    }

    fn place(&mut self, text: &str, kind: LeakKind) {
        for part in std::iter::once(text).chain(text.split([',', ';', '\r', '\n'])) {
            let part = part.trim();
            if part.chars().count() >= 6 && words(part).iter().any(|w| is_telling(&w.folded)) {
                self.add(part, Edge::Word, kind);
            }
        }
    }
}

/// Encodings in which text beyond ASCII is looked for, besides UTF-8 and UTF-16.
static ENCODINGS: [&Encoding; 17] = [
    encoding_rs::WINDOWS_1252,
    encoding_rs::ISO_8859_2,
    encoding_rs::ISO_8859_3,
    encoding_rs::ISO_8859_4,
    encoding_rs::ISO_8859_5,
    encoding_rs::ISO_8859_6,
    encoding_rs::ISO_8859_7,
    encoding_rs::ISO_8859_8,
    encoding_rs::ISO_8859_15,
    encoding_rs::WINDOWS_1254,
    encoding_rs::WINDOWS_874,
    encoding_rs::SHIFT_JIS,
    encoding_rs::EUC_JP,
    encoding_rs::ISO_2022_JP,
    encoding_rs::EUC_KR,
    encoding_rs::GBK,
    encoding_rs::GB18030,
];

/// A way of searching for some of the patterns.
enum Search<'p> {
    /// All of them, in text.
    Text(Vec<&'p Pattern>, Box<AhoCorasick>),
    /// The long ones, in bulk.
    Bulk(Bulk<'p>),
    /// There are none.
    Nothing,
}

impl<'p> Search<'p> {
    fn text(patterns: &'p [Pattern]) -> Result<Self, ScanError> {
        if patterns.is_empty() {
            return Ok(Self::Nothing);
        }
        // Text is short: what takes longest is to build the automaton, and this kind is built fastest.
        let built = AhoCorasickBuilder::new()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .ascii_case_insensitive(true)
            .build(patterns.iter().map(|p| &p.bytes));
        Ok(Self::Text(patterns.iter().collect(), Box::new(built.map_err(|_| ScanError::Patterns)?)))
    }

    fn bulk(patterns: &'p [Pattern]) -> Self {
        let bulk = Bulk::new(patterns.iter().filter(|p| p.bytes.len() >= BULK_PATTERN && p.unit == 1));
        if bulk.is_empty() { Self::Nothing } else { Self::Bulk(bulk) }
    }

    /// Searches `start..end`, in chunks that overlap by `margin`: the longest pattern and its neighbours.
    fn run(&self, source: &dyn Source, start: u64, end: u64, margin: u64) -> Result<(), ScanError> {
        if matches!(self, Self::Nothing) {
            return Ok(());
        }
        let mut buffer = Vec::new();
        let mut at = start;
        while at < end {
            let from = at.saturating_sub(margin).max(start);
            let to = (at + CHUNK).min(end);
            buffer.resize((to - from) as usize, 0);
            source.read_exact_at(&mut buffer, from)?;
            if let Some((offset, kind)) = self.first(&buffer, to == end) {
                return Err(ScanError::Leak { kind, offset: from + offset as u64 });
            }
            at = to;
        }
        Ok(())
    }

    /// The first match in a chunk that its neighbours do not rule out.
    fn first(&self, chunk: &[u8], last: bool) -> Option<(usize, LeakKind)> {
        let judge = |pattern: &Pattern, start: usize| {
            let end = start + pattern.bytes.len();
            // A match at the very end of a chunk that goes on is seen again, with its neighbours, in the next one.
            let cut = !last && chunk.len() - end < NEIGHBOURS;
            (!cut && pattern.stands_at(chunk, start, end)).then(|| (start, KINDS[usize::from(pattern.kind)]))
        };
        match self {
            Self::Text(patterns, automaton) => automaton
                .find_overlapping_iter(chunk)
                .find_map(|hit| judge(patterns[hit.pattern().as_usize()], hit.start())),
            Self::Bulk(bulk) => bulk.find(chunk).find_map(|(start, pattern)| judge(pattern, start)),
            Self::Nothing => None,
        }
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

/// Ranges of bulk values, ascending and disjoint.
fn bulk_ranges(output: &dyn Source) -> Result<Vec<(u64, u64)>, ScanError> {
    let limits = Limits { inline_bytes: BULK_BYTES, ..Limits::default() };
    let (_, parsed) = read_part10(output, &limits).map_err(ScanError::Unreadable)?;
    let mut ranges = Vec::new();
    let mut put = |value: &Value, head: u64| {
        if let Value::Span { offset, length, .. } = value {
            ranges.push((offset + head.min(*length), offset + length));
        }
    };
    for element in parsed.data_set.walk() {
        match &element.value {
            Value::Fragments { fragments, .. } => {
                for fragment in fragments {
                    put(fragment, codestream_head(output, fragment)?);
                }
            }
            value => put(value, 0),
        }
    }
    ranges.sort_unstable();
    Ok(ranges)
}

/// Length of the markers before a codestream's first entropy-coded byte (JPEG SOS, JPEG 2000 SOD): text may stand there.
fn codestream_head(output: &dyn Source, fragment: &Value) -> Result<u64, ScanError> {
    let Value::Span { offset, length, .. } = fragment else { return Ok(0) };
    let take = usize::try_from(*length).unwrap_or(usize::MAX).min(FRAGMENT_HEAD);
    let mut bytes = vec![0; take];
    output.read_exact_at(&mut bytes, *offset)?;
    if bytes.first() != Some(&0xFF) {
        return Ok(0);
    }
    let scan = bytes.windows(2).position(|w| matches!(w, [0xFF, 0xDA] | [0xFF, 0x93]));
    Ok(scan.unwrap_or(take) as u64)
}

#[cfg(test)]
mod tests;
