//! Character repertoires of the objects (Specific Character Set, PS3.3 C.12.1.1.2) and text in their bytes.
//!
//! Text is encoded here and not by dicom-object, which knows only the first value of a multi-valued character set.

use serde::{Deserialize, Serialize};

/// Which character set an object is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repertoire {
    /// The default repertoire, ISO IR 6: no Specific Character Set.
    Ascii,
    /// ISO_IR 100, Latin alphabet No. 1.
    Latin1,
    /// ISO_IR 192, UTF-8.
    Utf8,
    /// `\ISO 2022 IR 87`: JIS X 0208 by escape sequences, for Japanese names (PS3.5 annex H).
    Japanese,
}

impl Repertoire {
    /// The value of Specific Character Set (0008,0005), if there must be one.
    pub fn term(self) -> Option<&'static str> {
        match self {
            Self::Ascii => None,
            Self::Latin1 => Some("ISO_IR 100"),
            Self::Utf8 => Some("ISO_IR 192"),
            Self::Japanese => Some("\\ISO 2022 IR 87"),
        }
    }

    /// `text` in this repertoire's bytes. A character it does not have becomes a question mark.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Ascii => text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
            Self::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            // The initial designation must be restored before every delimiter (PS3.5 6.1.2.5.3), and the encoder does
            // that before each ASCII character, delimiters included, and at the end.
            Self::Japanese => encoding_rs::ISO_2022_JP.encode(text).0.into_owned(),
        }
    }

    /// `text` in this repertoire's bytes, or `None` where it has not all the characters.
    pub fn encode_exactly(self, text: &str) -> Option<Vec<u8>> {
        let fits = match self {
            Self::Utf8 => true,
            Self::Ascii => text.is_ascii(),
            Self::Latin1 => text.chars().all(|c| u32::from(c) <= 0xFF),
            Self::Japanese => !encoding_rs::ISO_2022_JP.encode(text).2,
        };
        fits.then(|| self.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_japanese_name_of_ps3_5_annex_h() {
        let bytes = Repertoire::Japanese.encode("Yamada^Tarou=山田^太郎=やまだ^たろう");
        assert_eq!(bytes, b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B");
    }

    #[test]
    fn latin_1_is_one_byte_a_character() {
        assert_eq!(Repertoire::Latin1.encode("Müller"), b"M\xfcller");
        assert_eq!(Repertoire::Latin1.encode("Wałęsa"), b"Wa??sa");
    }
}
