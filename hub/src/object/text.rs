//! Text of data sets: character sets (PS3.3 C.12.1.1.2) and padding (PS3.5 §6.2).

use encoding_rs::Encoding;

/// The character repertoire in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    encoding: &'static Encoding,
    /// Escape sequences (ISO 2022) are to be taken out before decoding.
    escapes: bool,
}

impl Default for Charset {
    fn default() -> Self {
        Self { encoding: encoding_rs::UTF_8, escapes: false }
    }
}

impl Charset {
    /// From the value of Specific Character Set (0008,0005). Unknown terms leave the default repertoire, whose bytes beyond
    /// ASCII become U+FFFD.
    pub fn from_value(value: &[u8]) -> Self {
        let text = ascii(value);
        let terms: Vec<&str> = text.split('\\').map(str::trim).collect();
        // With code extensions the later terms name what escape sequences switch to.
        let term = terms.iter().copied().find(|t| !matches!(*t, "" | "ISO 2022 IR 6" | "ISO_IR 6")).unwrap_or_default();
        let number = term.strip_prefix("ISO 2022 IR ").or_else(|| term.strip_prefix("ISO_IR ")).unwrap_or(term);
        let encoding = match number {
            "100" => encoding_rs::WINDOWS_1252,
            "101" => encoding_rs::ISO_8859_2,
            "109" => encoding_rs::ISO_8859_3,
            "110" => encoding_rs::ISO_8859_4,
            "144" => encoding_rs::ISO_8859_5,
            "127" => encoding_rs::ISO_8859_6,
            "126" => encoding_rs::ISO_8859_7,
            "138" => encoding_rs::ISO_8859_8,
            "148" => encoding_rs::WINDOWS_1254,
            "203" => encoding_rs::ISO_8859_15,
            "166" => encoding_rs::WINDOWS_874,
            "13" => encoding_rs::SHIFT_JIS,
            "87" | "159" => encoding_rs::ISO_2022_JP,
            "149" => encoding_rs::EUC_KR,
            "58" | "GBK" => encoding_rs::GBK,
            "GB18030" => encoding_rs::GB18030,
            _ => encoding_rs::UTF_8,
        };
        let escapes = term.starts_with("ISO 2022") && encoding != encoding_rs::ISO_2022_JP;
        Self { encoding, escapes }
    }

    /// The text of a value, decoded, its padding left in place.
    pub fn decode(self, bytes: &[u8]) -> String {
        if self.escapes && bytes.contains(&0x1B) {
            let mut plain = Vec::with_capacity(bytes.len());
            let mut rest = bytes.iter().copied();
            while let Some(byte) = rest.next() {
                if byte == 0x1B {
                    // ESC, intermediate bytes 2/0 to 2/15, one final byte.
                    let _ = rest.by_ref().find(|b| !(0x20..=0x2F).contains(b));
                } else {
                    plain.push(byte);
                }
            }
            return self.encoding.decode_without_bom_handling(&plain).0.into_owned();
        }
        self.encoding.decode_without_bom_handling(bytes).0.into_owned()
    }
}

/// ASCII text without its padding; other bytes become `?`.
pub fn ascii(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|&b| if b.is_ascii() { char::from(b) } else { '?' }).collect();
    text.trim_matches([' ', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_in_their_script() {
        assert_eq!(Charset::from_value(b"ISO_IR 100").decode(b"M\xfcller"), "Müller");
        assert_eq!(Charset::from_value(b"ISO_IR 192").decode("Wang^王".as_bytes()), "Wang^王");
        let korean = Charset::from_value(b"\\ISO 2022 IR 149 ");
        assert_eq!(korean.decode(b"Hong=\x1b$)C\xfb\xf3"), "Hong=洪");
        let japanese = Charset::from_value(b"\\ISO 2022 IR 87");
        assert_eq!(japanese.decode(b"Yamada=\x1b$B;3ED\x1b(B"), "Yamada=山田");
        assert_eq!(Charset::from_value(b"").decode(b"M\xfcller"), "M\u{FFFD}ller");
    }
}
