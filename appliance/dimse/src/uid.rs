//! Unique identifiers (PS3.5 §9.1), as far as their characters go.

/// A UID of 1 to 64 digits and dots. Components with leading zeros are let through: real scanners make them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uid(String);

/// Longest UID, bytes.
pub(crate) const MAX_UID_BYTES: usize = 64;

impl Uid {
    /// The UID in `bytes`, without padding (NUL by the standard, space by habit); `None` if it is not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = trim(bytes);
        let legal = (1..=MAX_UID_BYTES).contains(&text.len()) && text.iter().all(|b| b.is_ascii_digit() || *b == b'.');
        legal.then(|| Self(text.iter().map(|&b| char::from(b)).collect()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// `bytes` without leading and trailing NUL and space.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let padding = |b: &u8| matches!(b, 0 | b' ');
    let start = bytes.iter().position(|b| !padding(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !padding(b)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_and_anything_but_digits_and_dots_is_refused() {
        assert_eq!(Uid::parse(b"1.2.840\0").unwrap().as_str(), "1.2.840");
        assert_eq!(Uid::parse(b"1.2.840 ").unwrap().as_str(), "1.2.840");
        for bad in [&b""[..], b"\0", b"../etc", b"1.2/3", b"1.2\n", b"1\0.2", "1".repeat(65).as_bytes()] {
            assert_eq!(Uid::parse(bad), None, "{bad:?}");
        }
        assert!(Uid::parse("1".repeat(64).as_bytes()).is_some());
    }
}
