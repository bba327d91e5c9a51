//! Looking for the object's own identifiers among words that a machine read from its pixels (OCR), which it reads wrong.
//!
//! What is told apart in print is folded together first: 0 and O, 1 and I and l, 5 and S, rn and m; in numbers and dates 0, 6 and 8
//! too, as a zero with a stroke looks like either. Then
//!
//! - a part of a name from four letters may have one letter wrong, from eight letters two; shorter parts, and those that are words
//!   of the language or of radiology, count only beside another part of the same name;
//! - a number from eight characters may have one wrong, from ten two, from six it must be right;
//! - a birth date, in the forms people write, may have one character wrong, and a stroke between its parts may be read as a digit.
//!
//! A word of the scanner's own vocabulary is never taken for a name that resembles it. Institutions, devices and UIDs are not
//! looked for, nor names in a script that is not Latin.

mod near;
mod screen;

use std::collections::BTreeSet;

use chrono::{Datelike as _, NaiveDate};

use self::near::{distance, ends_within};
use super::{Identifiers, Kind, LeakKind, is_telling, is_telling_number, person, vocabulary};
use crate::{date::written_forms, text::joined};

/// Shortest part of a name that may have a letter wrong, and that may have two.
const FUZZY_NAME: usize = 4;
const FUZZIER_NAME: usize = 8;
/// From this length a name is looked for inside longer words: the space before it may not have been seen.
const INSIDE_NAME: usize = 7;
/// Shortest number, the shortest that may have a character wrong, and the shortest that may have two.
const NUMBER: usize = 6;
const FUZZY_NUMBER: usize = 8;
const FUZZIER_NUMBER: usize = 10;
/// Words in a row that may be one name.
const RUN: usize = 3;
/// Least confidence in a word that is taken for a short name which it only resembles.
const SURE: u8 = 60;
/// Up to this length a name is short.
const SHORT_NAME: usize = 6;
/// Birth dates up to this year are placeholders (1900-01-01).
const PLACEHOLDER_YEAR: i32 = 1900;

/// A word as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenWord<'a> {
    /// The word, without spaces.
    pub text: &'a str,
    /// How sure the reader is, 0 to 100.
    pub confidence: u8,
}

/// A word's letters and digits.
struct Token {
    /// Folded as a name is.
    name: String,
    /// Folded as a number is.
    number: Vec<u8>,
    confidence: u8,
    /// Of the scanner's vocabulary.
    known: bool,
}

/// A name to be looked for, folded.
struct Name {
    text: Vec<u8>,
    /// Most letters that may be wrong.
    wrong: usize,
}

impl Identifiers {
    /// The first kind of identifier that stands among `words`, which are in the order of reading.
    pub fn seen_in(&self, words: &[SeenWord<'_>]) -> Option<LeakKind> {
        let tokens = tokens(words);
        if self.name_in(&tokens) {
            return Some(LeakKind::Name);
        }
        let mut text = Vec::new();
        let mut borders = BTreeSet::from([0]);
        for token in &tokens {
            text.extend_from_slice(&token.number);
            borders.insert(text.len());
        }
        if let Some(kind) = self.number_in(&text, &borders) {
            return Some(kind);
        }
        let born = self.birth_dates.iter().filter(|date| date.year() > PLACEHOLDER_YEAR);
        born.copied().any(|date| self.date_in(date, &text, &borders)).then_some(LeakKind::BirthDate)
    }

    fn name_in(&self, tokens: &[Token]) -> bool {
        let names = self.names();
        (0..tokens.len()).any(|first| {
            (first + 1..=tokens.len().min(first + RUN)).any(|end| {
                let run = &tokens[first..end];
                if run.iter().all(|token| token.known) {
                    return false;
                }
                let text: String = run.iter().map(|token| token.name.as_str()).collect();
                let sure = run.iter().all(|token| token.confidence >= SURE);
                names.iter().any(|name| name.is(text.as_bytes(), sure))
            })
        })
    }

    /// The names in every spelling that tells.
    fn names(&self) -> Vec<Name> {
        let mut names = BTreeSet::new();
        for parts in &self.persons {
            let folded: Vec<String> = parts.iter().map(|part| joined(part)).collect();
            let tells = |text: &str| is_telling(text) && !screen::is_known(text);
            for spelling in person::spellings(parts).whole {
                let alone =
                    tells(&spelling) && !folded.iter().any(|a| folded.iter().any(|b| spelling == format!("{a}{b}")));
                // Two parts, of which one tells by itself, may be as wrong as that one.
                let with_telling = folded.iter().any(|part| tells(part) && spelling.contains(part.as_str()));
                names.insert((print(&spelling), alone || with_telling));
            }
        }
        for entry in self.entries.iter().filter(|entry| entry.kind == Kind::Number) {
            let text = joined(&entry.text);
            if !text.bytes().any(|b| b.is_ascii_digit()) && is_telling_number(&text) && !screen::is_known(&text) {
                names.insert((print(&text), true));
            }
        }
        let bounded = |(text, telling): (String, bool)| {
            let wrong = match text.len() {
                _ if !telling => 0,
                FUZZIER_NAME.. => 2,
                FUZZY_NAME.. => 1,
                _ => 0,
            };
            Name { text: text.into_bytes(), wrong }
        };
        names.into_iter().filter(|(text, _)| text.len() >= FUZZY_NAME && text.is_ascii()).map(bounded).collect()
    }

    fn number_in(&self, text: &[u8], borders: &BTreeSet<usize>) -> Option<LeakKind> {
        let entries = self.entries.iter().filter(|entry| matches!(entry.kind, Kind::Number | Kind::Contact));
        let mut found = entries.filter(|entry| {
            let number = joined(&entry.text);
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            if digits < 3 || number.len() < NUMBER || !is_telling_number(&number) {
                return false;
            }
            let pattern: Vec<Option<u8>> = number.bytes().map(|b| Some(class(b))).collect();
            let wrong = match pattern.len() {
                FUZZIER_NUMBER.. => 2,
                FUZZY_NUMBER.. => 1,
                _ => 0,
            };
            let mut ends = ends_within(&pattern, text, wrong).into_iter();
            // What is wrong in a character, or short, is a number by itself.
            ends.any(|(end, seen)| match wrong {
                0 => borders.contains(&end) && borders.contains(&(end - pattern.len())),
                _ => seen == 0 || borders.contains(&end),
            })
        });
        found.next().map(|entry| if entry.kind == Kind::Contact { LeakKind::Contact } else { LeakKind::Number })
    }

    fn date_in(&self, born: NaiveDate, text: &[u8], borders: &BTreeSet<usize>) -> bool {
        let long = long_forms(born).into_iter().any(|form| {
            ends_within(&form, text, 1)
                .into_iter()
                .any(|(end, wrong)| wrong == 0 || borders.contains(&end) && !self.other_date_at(born, text, end))
        });
        let short = |form: &Vec<Option<u8>>| {
            let mut ends = ends_within(form, text, 0).into_iter();
            ends.any(|(end, _)| borders.contains(&end) && borders.contains(&(end - form.len())))
        };
        long || short_forms(born).iter().any(short)
    }

    /// True when what ends at `end` is rather another date of the object: the day of the examination stands on every screen.
    fn other_date_at(&self, born: NaiveDate, text: &[u8], end: usize) -> bool {
        let others = self.dates.iter().filter(|date| **date != born);
        others
            .flat_map(|date| long_forms(*date))
            .any(|form| ends_within(&form, text, 1).into_iter().any(|(other, _)| other.abs_diff(end) <= 1))
    }
}

impl Name {
    /// True when `text`, folded, is this name.
    fn is(&self, text: &[u8], sure: bool) -> bool {
        let length = self.text.len();
        let wrong = if length <= SHORT_NAME && !sure { 0 } else { self.wrong };
        if text.len().abs_diff(length) <= wrong && distance(&self.text, text) <= wrong {
            return true;
        }
        let pattern = || self.text.iter().map(|b| Some(*b)).collect::<Vec<_>>();
        wrong > 0
            && length >= INSIDE_NAME
            && text.len() > length
            && !ends_within(&pattern(), text, wrong - 1).is_empty()
    }
}

/// The words cut where something else than a letter or digit stands, folded.
fn tokens(words: &[SeenWord<'_>]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for word in words {
        // Signs that stand for letters and digits.
        let text: String = word.text.chars().map(sign).collect();
        let known = screen::is_known(&joined(word.text));
        for part in text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
            let folded = joined(part);
            tokens.push(Token {
                name: print(&folded),
                number: folded.bytes().map(class).collect(),
                confidence: word.confidence,
                known: known || screen::is_known(&folded) || vocabulary::is_common(&folded),
            });
        }
    }
    tokens
}

fn sign(c: char) -> char {
    match c {
        '|' | '!' => '1',
        '@' => '0',
        '$' => '5',
        '&' => '8',
        other => other,
    }
}

/// A name as it looks in print.
fn print(folded: &str) -> String {
    let letter = |c: char| match c {
        '0' => 'o',
        '1' | 'l' => 'i',
        '5' => 's',
        '8' => 'b',
        '2' => 'z',
        other => other,
    };
    folded.chars().map(letter).collect::<String>().replace("rn", "m").replace("vv", "w")
}

/// A character of a number as it looks in print: a zero with a stroke is read as 6 or 8.
fn class(byte: u8) -> u8 {
    match byte {
        b'o' | b'q' | b'd' | b'6' | b'g' | b'8' | b'b' => b'0',
        b'i' | b'l' => b'1',
        b'z' => b'2',
        b's' => b'5',
        other => other,
    }
}

/// The forms of a date with four digits of year: without what stands between its parts, and with anything there, as a stroke is
/// often read as a digit. `None` is any character.
fn long_forms(date: NaiveDate) -> BTreeSet<Vec<Option<u8>>> {
    let mut forms = BTreeSet::new();
    for written in written_forms(date).iter().filter(|form| form.is_ascii()) {
        let parts: Vec<String> =
            written.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).map(joined).collect();
        let folded = |part: &String| part.bytes().map(|b| Some(class(b))).collect::<Vec<_>>();
        let length: usize = parts.iter().map(String::len).sum();
        if length < FUZZY_NUMBER {
            continue;
        }
        let [a, b, c] = parts.as_slice() else {
            forms.insert(parts.iter().flat_map(folded).collect());
            continue;
        };
        for between in [[false, false], [true, false], [false, true], [true, true]] {
            let any = between.map(|any| if any { vec![None] } else { Vec::new() });
            forms.insert([folded(a), any[0].clone(), folded(b), any[1].clone(), folded(c)].concat());
        }
    }
    forms
}

/// The forms of a date with two digits of year.
fn short_forms(date: NaiveDate) -> BTreeSet<Vec<Option<u8>>> {
    let forms = ["%d%m%y", "%m%d%y", "%y%m%d", "%d%b%y", "%-d%b%y"].map(|form| date.format(form).to_string());
    forms.iter().map(|form| joined(form).bytes().map(|b| Some(class(b))).collect()).collect()
}

#[cfg(test)]
mod tests;
