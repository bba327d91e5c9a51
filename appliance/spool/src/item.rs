//! What an item is called, and what the receiver says about one.

use std::{fmt, io};

/// Identifier of an item: 128 random bits as 32 lower-case hexadecimal digits; also its file name.
///
/// Random, so that of two writers into one drop neither can name (and replace) the other's items.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(String);

impl ItemId {
    /// Digits of an identifier.
    const DIGITS: usize = 32;

    /// A new identifier from the system's random source.
    ///
    /// # Errors
    /// The random source's.
    pub fn random() -> io::Result<Self> {
        let mut bits = [0_u8; Self::DIGITS / 2];
        getrandom::fill(&mut bits).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self(bits.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// Takes the text when it is an identifier.
    pub fn parse(text: &str) -> Option<Self> {
        let ok = text.len() == Self::DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        ok.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Record metadata of an item in `intake/inbox/` (JSON): what deid needs besides the data set's own bytes. The body is the
/// data set exactly as received, without preamble or file meta information.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IntakeRecord {
    /// 1.
    pub version: u16,
    /// Called AE title, trimmed.
    pub called_ae: String,
    /// Calling AE title, trimmed.
    pub calling_ae: String,
    /// Peer address.
    pub source: std::net::IpAddr,
    /// Ordinal of the configured scanner; 0 = not configured by name.
    pub scanner: u16,
    /// Affected SOP Class UID of the C-STORE command.
    pub sop_class_uid: String,
    /// Affected SOP Instance UID of the C-STORE command.
    pub sop_instance_uid: String,
    /// Transfer syntax of the presentation context.
    pub transfer_syntax_uid: String,
    /// When, ms since the Unix epoch.
    pub received_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_lower_case_digits_are_an_identifier() {
        let id = ItemId::random().unwrap();
        assert_eq!(ItemId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(ItemId::random().unwrap(), id);
        for bad in ["", "..", &"A".repeat(32), &"0".repeat(31), &"0".repeat(33), "0123456789abcdef0123456789abcd/."] {
            assert_eq!(ItemId::parse(bad), None, "{bad}");
        }
    }
}
