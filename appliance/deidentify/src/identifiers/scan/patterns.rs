//! The byte patterns of an object's identifiers, in every encoding.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Datelike as _;
use encoding_rs::{EncoderResult, Encoding};

use super::super::{Identifiers, Kept, Kind, is_dense, is_telling, is_telling_number};
use super::{Edge, LeakKind, MIN_PATTERN, Pattern};
use crate::date::written_forms;
use crate::text::{joined, words};

/// From this length a pattern of letters needs no word boundary.
const FREE_LETTERS: usize = 7;
/// From this length a pattern of letters and digits needs no word boundary.
const FREE_MIXED: usize = 6;
/// Birth dates up to this year are placeholders (1900-01-01).
const PLACEHOLDER_YEAR: i32 = 1900;

impl Identifiers {
    pub(super) fn patterns(&self, kept: Kept) -> Patterns {
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
        for date in self.birth_dates.iter().filter(|d| d.year() > PLACEHOLDER_YEAR) {
            for form in written_forms(*date) {
                out.add(form, Edge::Date, LeakKind::BirthDate);
            }
        }
        if !kept.uids {
            let device = self.device_uids.iter().filter(|_| !kept.device);
            self.uids.iter().chain(device).for_each(|uid| out.add(uid.as_str(), Edge::Number, LeakKind::Uid));
        }
        out.encoded()
    }
}

/// What is to be looked for: texts at first, and of those the patterns in every encoding, their bytes in one place.
#[derive(Default)]
pub(super) struct Patterns {
    texts: Vec<(String, Edge, LeakKind)>,
    bytes: Vec<u8>,
    pub(super) list: Vec<Pattern>,
    /// The characters beyond ASCII that came up.
    beyond: BTreeMap<char, Coded>,
}

/// One character in each of [`ENCODINGS`].
struct Coded {
    /// Bit n is set when encoding n has it.
    able: u32,
    /// Its bytes and how many of them count.
    bytes: [([u8; MOST_BYTES], u8); ENCODINGS.len()],
}

impl Coded {
    fn of(&self, encoding: usize) -> &[u8] {
        let (bytes, length) = &self.bytes[encoding];
        &bytes[..usize::from(*length)]
    }
}

fn coded(c: char) -> Coded {
    let mut coded = Coded { able: 0, bytes: [([0; MOST_BYTES], 0); ENCODINGS.len()] };
    let mut utf8 = [0; 4];
    let text = &*c.encode_utf8(&mut utf8);
    for (n, (encoding, (into, length))) in ENCODINGS.iter().zip(&mut coded.bytes).enumerate() {
        let (result, _, written) = encoding.new_encoder().encode_from_utf8_without_replacement(text, into, true);
        if result == EncoderResult::InputEmpty {
            (coded.able, *length) = (coded.able | 1 << n, written as u8);
        }
    }
    coded
}

impl Patterns {
    /// Adds `text`, to be looked for in every encoding.
    fn add(&mut self, text: impl Into<String>, edge: Edge, kind: LeakKind) {
        self.texts.push((text.into(), edge, kind));
    }

    /// Makes the patterns; what was added twice counts once.
    fn encoded(mut self) -> Self {
        self.texts.sort_unstable();
        self.texts.dedup();
        for (text, edge, kind) in std::mem::take(&mut self.texts) {
            // ASCII letters match in either case; others are given in each.
            if text.is_ascii() {
                self.encode(&text, edge, kind);
            } else {
                let cases: BTreeSet<String> = [text.to_lowercase(), text.to_uppercase(), text].into();
                cases.iter().for_each(|text| self.encode(text, edge, kind));
            }
        }
        self
    }

    fn encode(&mut self, text: &str, edge: Edge, kind: LeakKind) {
        let first = self.list.len();
        self.put(text.as_bytes(), 1, edge, kind, first);
        let mut bytes = Vec::with_capacity(2 * text.len());
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            bytes.clear();
            text.encode_utf16().for_each(|unit| bytes.extend_from_slice(&order(unit)));
            self.put(&bytes, 2, edge, kind, first);
        }
        if text.is_ascii() {
            return;
        }
        let mut able = u32::MAX;
        text.chars()
            .filter(|c| !c.is_ascii())
            .for_each(|c| able &= self.beyond.entry(c).or_insert_with(|| coded(c)).able);
        for encoding in (0..ENCODINGS.len()).filter(|encoding| able >> encoding & 1 == 1) {
            bytes.clear();
            for c in text.chars() {
                match self.beyond.get(&c) {
                    Some(coded) => bytes.extend_from_slice(coded.of(encoding)),
                    None => bytes.push(c as u8),
                }
            }
            self.put(&bytes, 1, edge, kind, first);
        }
        // The one with states; it has the characters of EUC-JP.
        if able >> EUC_JP & 1 == 1 {
            let (encoded, _, unmappable) = encoding_rs::ISO_2022_JP.encode(text);
            if !unmappable {
                self.put(&encoded, 1, edge, kind, first);
            }
        }
    }

    /// Adds a pattern unless it is too short, or one of those from `first` on (the same text in other encodings).
    fn put(&mut self, bytes: &[u8], unit: u8, edge: Edge, kind: LeakKind, first: usize) {
        let twice = self.list[first..].iter().any(|other| other.unit == unit && self.of(other) == bytes);
        if bytes.len() >= MIN_PATTERN && !twice {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            self.list.push(Pattern { start, end: self.bytes.len(), unit, edge, kind });
        }
    }

    /// The bytes of a pattern.
    pub(super) fn of(&self, pattern: &Pattern) -> &[u8] {
        &self.bytes[pattern.start..pattern.end]
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
                        self.add([a, separator, b].concat(), Edge::Word, LeakKind::Name);
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
        self.add(number.as_str(), edge, kind);
        if digits && number.len() == 10 {
            for separator in [" ", "-"] {
                self.add([&number[..3], &number[3..6], &number[6..]].join(separator), edge, kind);
            }
        }
    }

    fn contact(&mut self, text: &str) {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if digits.len() >= 7 {
            self.add(digits, Edge::Number, LeakKind::Contact);
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

/// Room that an encoder wants for one character of at most four bytes.
const MOST_BYTES: usize = 16;
/// Encodings in which text beyond ASCII is looked for, besides UTF-8, UTF-16 and ISO-2022-JP. A text's bytes in them are those of its
/// characters, one after the other, and ASCII stands for itself.
static ENCODINGS: [&Encoding; 16] = [
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
    encoding_rs::EUC_KR,
    encoding_rs::GBK,
    encoding_rs::GB18030,
];
/// Where among them that is.
const EUC_JP: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_characters_in_every_encoding() {
        let texts = [
            "Müller^Zoë",
            "Žižek",
            "Ωμέγα",
            "Сидоров",
            "山田^太郎",
            "김희중",
            "กข",
            "ﾔﾏﾀﾞ",
            "¥‾ß€",
            "שלום",
            "احمد",
            "𠮷田",
            "Łŭğ",
        ];
        let mut seen = [0; ENCODINGS.len()];
        for text in texts {
            for (n, encoding) in ENCODINGS.iter().enumerate() {
                let (whole, _, unmappable) = encoding.encode(text);
                let rows: Vec<_> = text.chars().map(coded).collect();
                let able = rows.iter().all(|row| row.able >> n & 1 == 1);
                assert_eq!(able, !unmappable, "{text} {}", encoding.name());
                if able {
                    seen[n] += 1;
                    assert_eq!(rows.iter().map(|row| row.of(n)).collect::<Vec<_>>().concat(), *whole, "{text}");
                }
            }
            let unmappable = encoding_rs::ISO_2022_JP.encode(text).2;
            assert!(unmappable || text.chars().all(|c| coded(c).able >> EUC_JP & 1 == 1), "{text}");
        }
        assert!(seen.iter().all(|texts| *texts > 0) && ENCODINGS[EUC_JP] == encoding_rs::EUC_JP);
    }
}
