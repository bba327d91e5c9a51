//! The spellings of a person's name: what of it tells by itself, what only with its neighbour, and how else it is written.

use std::collections::BTreeSet;

use super::{is_dense, is_telling};
use crate::text::{is_kana, joined};

/// From this length a name is looked for inside words too.
const INSIDE_NAME: usize = 7;
/// From this length a reading in kana is, which makes up the words of ordinary text as well.
const INSIDE_KANA: usize = 3;
/// From this length a name counts with the initial of another part (`jhall`, `Hall, J`).
const WITH_INITIAL: usize = 4;
/// Most parts of a name whose initials are tried, and that are joined to one word.
const MAX_PARTS: usize = 6;
/// How letters with an umlaut or stroke are written without.
const EXPANDED: [(char, &str); 6] = [('ä', "ae"), ('ö', "oe"), ('ü', "ue"), ('ø', "oe"), ('å', "aa"), ('æ', "ae")];

/// The spellings of one name, folded.
#[derive(Default)]
pub(super) struct Spellings {
    /// Match whole words, or runs of whole words joined.
    pub(super) whole: BTreeSet<String>,
    /// Match inside words too.
    pub(super) inside: BTreeSet<String>,
    /// Count only where something tells that a name is meant.
    pub(super) weak: BTreeSet<String>,
}

/// The spellings of the name that consists of `parts`, in order.
pub(super) fn spellings(parts: &[String]) -> Spellings {
    let mut found = Spellings::default();
    let folded: Vec<String> = parts.iter().map(|p| joined(p)).filter(|p| !p.is_empty()).collect();
    for part in &folded {
        if is_telling(part) {
            found.telling(part.clone());
        } else if part.chars().count() > 1 {
            found.weak.insert(part.clone());
        }
    }
    for other in parts.iter().flat_map(|part| otherwise(part)).filter(|other| is_telling(other)) {
        found.telling(other);
    }
    // Two parts side by side, in either order, are evidence even when neither is alone.
    for (n, a) in folded.iter().enumerate() {
        for b in folded.iter().skip(n + 1) {
            found.pair(a, b);
            found.pair(b, a);
            if folded.len() <= MAX_PARTS {
                found.with_initial(a, b);
                found.with_initial(b, a);
            }
        }
    }
    // `van der Berg` is also one word.
    for first in 0..folded.len() {
        for last in first + 3..=folded.len().min(first + MAX_PARTS) {
            found.whole.insert(folded[first..last].concat());
        }
    }
    found
}

impl Spellings {
    fn telling(&mut self, part: String) {
        let length = part.chars().count();
        let long = if is_kana(&part) { length >= INSIDE_KANA } else { length >= INSIDE_NAME || is_dense(&part) };
        if long && !part.bytes().all(|b| b.is_ascii_digit()) {
            self.inside.insert(part.clone());
        }
        self.whole.insert(part);
    }

    fn pair(&mut self, a: &str, b: &str) {
        if a.len() + b.len() <= 2 {
            return;
        }
        let pair = format!("{a}{b}");
        // Chinese and Korean names stand in text without spaces; each part may be one character.
        if pair.chars().all(is_east_asian) && !is_kana(&pair) {
            self.inside.insert(pair.clone());
        }
        self.whole.insert(pair);
    }

    fn with_initial(&mut self, name: &str, other: &str) {
        let initial = other.chars().next().filter(|c| c.is_alphabetic() && !is_east_asian(*c));
        if let (true, Some(initial)) = (name.chars().count() >= WITH_INITIAL, initial) {
            self.whole.extend([format!("{initial}{name}"), format!("{name}{initial}")]);
        }
    }
}

/// Han, kana and hangul.
fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11FF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// The other spellings of a part: `Müller` as `mueller`, `Mueller` as `muller`.
fn otherwise(part: &str) -> Vec<String> {
    let lower = part.to_lowercase();
    let mut found = Vec::new();
    let expanded = EXPANDED.iter().fold(lower.clone(), |text, (letter, two)| text.replace(*letter, two));
    if expanded != lower {
        found.push(joined(&expanded));
    }
    let plain = joined(&lower);
    let contracted =
        [("ae", "a"), ("oe", "o"), ("ue", "u")].iter().fold(plain.clone(), |text, (two, one)| text.replace(two, one));
    if contracted != plain {
        found.push(contracted);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Spellings {
        spellings(&name.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_has_many_spellings() {
        let name = of("Müller Jo");
        for spelling in ["muller", "mueller", "mullerjo", "jomuller", "jmuller", "mullerj"] {
            assert!(name.whole.contains(spelling), "{spelling}");
        }
        assert!(name.weak.contains("jo") && !name.whole.contains("jo"));
        assert!(of("van der Berg").whole.contains("vanderberg"));
        assert!(of("Michaelis").inside.contains("michaelis"));
    }

    #[test]
    fn short_parts_tell_together_only() {
        let name = of("王 明");
        assert!(name.inside.contains("王明") && !name.inside.contains("王"));
        let kana = of("あい りん");
        assert!(kana.inside.is_empty() && kana.whole.contains("あい"));
        assert!(of("J D").whole.is_empty(), "two initials are nothing");
    }
}
