//! National identifiers by which a linkage domain recognises one person at two hospitals. A number is taken only when it is
//! strictly well formed: a wrong link would put two persons' images under one subject.
//!
//! [`NationalNumber`] can be made in one way, and deserialises the same way: whoever has one has a valid one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// NHS number of England, Wales and the Isle of Man (and, by the same rule, Northern Ireland's): ten digits, the last by
    /// modulus 11.
    Nhs,
    /// Belgian national register number (and the BIS number of those who are not in the register): eleven digits, the last
    /// two by modulus 97.
    Belgium,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 2] = [Self::Nhs, Self::Belgium];

    /// The name in settings and derivations; pinned, because pseudonyms depend on it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nhs => "nhs",
            Self::Belgium => "belgium",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Nhs => 10,
            Self::Belgium => 11,
        }
    }
}

/// A valid national number, normalised: its digits alone. Its `Debug` does not show them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct NationalNumber {
    scheme: Scheme,
    digits: String,
}

/// As it travels from worker to monitor.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    scheme: Scheme,
    digits: String,
}

/// Not a valid national number. Says nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid national number")]
pub struct NotNational;

impl NationalNumber {
    /// Takes `text` when it is a valid number of `scheme`, perhaps grouped by single spaces, hyphens or full stops.
    pub fn parse(scheme: Scheme, text: &str) -> Option<Self> {
        let digits = normalised(text, scheme.digits())?;
        let valid = match scheme {
            Scheme::Nhs => is_nhs(&digits),
            Scheme::Belgium => is_belgian(&digits),
        };
        valid.then(|| Self { scheme, digits: digits.iter().map(|digit| char::from(b'0' + digit)).collect() })
    }

    /// Whose numbering.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The digits.
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

impl fmt::Debug for NationalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NationalNumber({})", self.scheme.as_str())
    }
}

impl TryFrom<Written> for NationalNumber {
    type Error = NotNational;
    fn try_from(written: Written) -> Result<Self, NotNational> {
        // Only what is normalised already: two spellings of one number would be two patients to the monitor.
        Self::parse(written.scheme, &written.digits).filter(|number| number.digits == written.digits).ok_or(NotNational)
    }
}

impl From<NationalNumber> for Written {
    fn from(number: NationalNumber) -> Self {
        Self { scheme: number.scheme, digits: number.digits }
    }
}

/// Exactly `count` ASCII digits, with at most one separator between any two and none at the ends.
fn normalised(text: &str, count: usize) -> Option<Vec<u8>> {
    let mut digits = Vec::with_capacity(count);
    let mut after_digit = false;
    for byte in text.trim_matches(' ').bytes() {
        match byte {
            b'0'..=b'9' if digits.len() < count => digits.push(byte - b'0'),
            b' ' | b'-' | b'.' if after_digit && digits.len() < count => {}
            _ => return None,
        }
        after_digit = byte.is_ascii_digit();
    }
    (digits.len() == count).then_some(digits)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit))
}

fn all_equal(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
}

/// Lowest number of England, Wales and Northern Ireland: below are Scotland's CHI numbers (which begin with a date), and local
/// numbers padded with zeros.
const NHS_LOWEST: u64 = 3_200_000_000;
/// Set apart for tests, never issued; 999 stands for many "patients" at every hospital.
const NHS_TEST: u64 = 9_990_000_000;

/// Modulus 11: digits weighted 10 to 2, the check digit is 11 minus the remainder, 11 is written 0, and 10 is never issued.
fn is_nhs(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let sum: u64 = body.iter().zip((2..=10).rev()).map(|(digit, weight)| u64::from(*digit) * weight).sum();
    let in_range = (NHS_LOWEST..NHS_TEST).contains(&number(digits));
    (11 - sum % 11) % 11 == u64::from(*check) && in_range && !all_equal(digits)
}

/// The tens of the year of birth below which it is one of this century. A person born before 1930 is not linked. Deciding by
/// the number itself, and by its first digit, is what makes every change of one digit show: were both centuries tried, some
/// numbers with a mistyped year (1909 for 2003) would pass.
const TENS_OF_THIS_CENTURY: u8 = 3;

/// Modulus 97 of the first nine digits, from 2000 on with a 2 before them; the first six are a date of birth, in which month or
/// day may be unknown (00), and the month of a BIS number is 20 or 40 more.
fn is_belgian(digits: &[u8]) -> bool {
    let (body, check) = digits.split_at(9);
    let century = if body[0] < TENS_OF_THIS_CENTURY { 2_000_000_000 } else { 0 };
    let (month, day) = (number(&body[2..4]), number(&body[4..6]));
    let is_date = matches!(month, 0..=12 | 20..=32 | 40..=52) && day <= 31;
    // Counter 000 and 999 are never given out (001 to 998).
    let is_counter = (1..=998).contains(&number(&body[6..9]));
    97 - (century + number(body)) % 97 == number(check) && is_date && is_counter && !all_equal(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nhs(text: &str) -> bool {
        NationalNumber::parse(Scheme::Nhs, text).is_some()
    }

    fn belgian(text: &str) -> bool {
        NationalNumber::parse(Scheme::Belgium, text).is_some()
    }

    #[test]
    fn published_examples_are_valid_however_they_are_grouped() {
        for text in ["9434765919", "943 476 5919", "943-476-5919", " 9434765919 ", "4010232137", "9876543210"] {
            assert!(nhs(text), "{text}");
        }
        for text in ["85073003328", "85.07.30-033.28", "85.07.30-033 28", "17073003384"] {
            assert!(belgian(text), "{text}");
        }
        assert_eq!(NationalNumber::parse(Scheme::Nhs, "943 476 5919").unwrap().digits(), "9434765919");
    }

    #[test]
    fn what_is_not_strictly_a_number_never_links() {
        // Wrong check digit; all equal (which pass modulus 11); test range; CHI; padded local number; not ten digits; letters.
        for text in [
            "9434765918",
            "1111111111",
            "5555555555",
            "0000000000",
            "9990000018",
            "0101014562",
            "0000123455",
            "943476591",
            "94347659190",
            "A434765919",
            "943  4765919",
            "9434765919-",
            "-9434765919",
            "943/476/5919",
            "943\u{661}765919",
            "",
        ] {
            assert!(!nhs(text), "{text}");
        }
        // Wrong check; 2000s rule for a number of the 1900s and the other way round; month 13; day 32; counter 000.
        let checked = |body: u64, century: u64| format!("{body:09}{:02}", 97 - (century + body) % 97);
        assert!(belgian(&checked(850_730_033, 0)) && belgian(&checked(170_730_033, 2_000_000_000)));
        assert!(
            belgian(&checked(852_730_033, 0)) && belgian(&checked(854_730_033, 0)) && belgian(&checked(850_000_033, 0))
        );
        for text in [
            "85073003329".to_owned(),
            checked(850_730_033, 2_000_000_000),
            checked(170_730_033, 0),
            checked(851_330_033, 0),
            checked(850_732_033, 0),
            checked(850_730_000, 0),
            checked(850_730_999, 0),
            "00000000000".to_owned(),
            "22222222222".to_owned(),
        ] {
            assert!(!belgian(&text), "{text}");
        }
    }

    #[test]
    fn the_channel_takes_only_valid_and_normalised_numbers_and_debug_shows_none() {
        let read = |json: &str| serde_json::from_str::<NationalNumber>(json);
        let number = read(r#"{"scheme":"nhs","digits":"9434765919"}"#).unwrap();
        assert_eq!(format!("{number:?}"), "NationalNumber(nhs)");
        assert_eq!(read(&serde_json::to_string(&number).unwrap()).unwrap(), number);
        for bad in ["9434765918", "943 476 5919", "9990000018"] {
            let error = read(&format!(r#"{{"scheme":"nhs","digits":"{bad}"}}"#)).unwrap_err().to_string();
            assert!(!error.contains(bad), "{error}");
        }
    }

    /// A valid number of a scheme.
    fn valid(scheme: Scheme) -> impl Strategy<Value = String> {
        let body = 0..1_000_000_000u64;
        let century = |body: u64| if body < 300_000_000 { 2_000_000_000 } else { 0 };
        body.prop_map(move |body| match scheme {
            Scheme::Nhs => (0..10).map(|check| format!("{body:09}{check}")).find(|text| nhs(text)).unwrap_or_default(),
            Scheme::Belgium => format!("{body:09}{:02}", 97 - (century(body) + body) % 97),
        })
        .prop_filter("in range", move |text| NationalNumber::parse(scheme, text).is_some())
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 1_000_000, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn every_change_of_one_digit_and_every_swap_of_neighbours_is_refused(nhs in valid(Scheme::Nhs), be in valid(Scheme::Belgium)) {
            for (scheme, text) in [(Scheme::Nhs, nhs), (Scheme::Belgium, be)] {
                let taken = |bytes: &[u8]| NationalNumber::parse(scheme, std::str::from_utf8(bytes).unwrap()).is_some();
                let bytes = text.as_bytes();
                for at in 0..bytes.len() {
                    for digit in (b'0'..=b'9').filter(|digit| *digit != bytes[at]) {
                        let mut changed = bytes.to_vec();
                        changed[at] = digit;
                        prop_assert!(!taken(&changed), "{text}: digit {at}");
                    }
                }
                // Modulus 11 finds every swap; modulus 97 too, unless it moves the century.
                for at in (0..bytes.len() - 1).filter(|at| bytes[*at] != bytes[at + 1] && (scheme == Scheme::Nhs || *at > 0)) {
                    let mut swapped = bytes.to_vec();
                    swapped.swap(at, at + 1);
                    prop_assert!(!taken(&swapped), "{text}: swap at {at}");
                }
            }
        }

        #[test]
        fn nothing_panics_and_only_digits_and_separators_pass(text in ".{0,20}") {
            for scheme in Scheme::ALL {
                if NationalNumber::parse(scheme, &text).is_some() {
                    prop_assert!(text.bytes().all(|b| b.is_ascii_digit() || b" -.".contains(&b)));
                }
            }
        }
    }
}
