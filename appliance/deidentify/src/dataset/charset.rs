//! Specific Character Set (0008,0005) and the decoding of text (PS3.5 §6.1.2, PS3.3 C.12.1.1.2), code extensions included.
//!
//! `encoding_rs` has the code tables; the ISO/IEC 2022 escapes are taken apart here, because it knows only the Japanese ones.

use std::borrow::Cow;

use dicom_core::Tag;
use encoding_rs::{
    EUC_JP, EUC_KR, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

use super::DataSet;

/// Specific Character Set.
const SPECIFIC_CHARACTER_SET: Tag = Tag(0x0008, 0x0005);
const ESC: u8 = 0x1B;

/// How the text of a data set or item is to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharacterSet {
    initial: Set,
}

/// What bytes with the high bit (or pairs of bytes) stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// Nothing was declared: UTF-8 when it is valid UTF-8, else Latin-1.
    Undeclared,
    /// A code table of `encoding_rs`.
    Table(&'static Encoding),
    /// JIS X 0208 in G0 (pairs of 7-bit bytes).
    Jis0208,
    /// JIS X 0212 in G0.
    Jis0212,
}

impl Default for CharacterSet {
    fn default() -> Self {
        Self { initial: Set::Undeclared }
    }
}

impl CharacterSet {
    /// The character set of `ds`: its own, else that of what encloses it.
    pub fn of(ds: &DataSet, enclosing: Self) -> Self {
        let Some(bytes) = ds.get(SPECIFIC_CHARACTER_SET).and_then(|e| e.value.bytes()) else { return enclosing };
        let first = bytes.split(|b| *b == b'\\').next().unwrap_or_default();
        let term = String::from_utf8_lossy(first).trim_matches([' ', '\0']).to_ascii_uppercase();
        Self { initial: table(&term).map_or(Set::Undeclared, Set::Table) }
    }

    /// True when every value of (0008,0005) is a defined term of PS3.3 C.12.1.1.2, so that the value carries nothing else.
    pub fn is_defined_term(value: &[u8]) -> bool {
        value.split(|b| *b == b'\\').all(|v| {
            let term = String::from_utf8_lossy(v);
            let term = term.trim_matches([' ', '\0']);
            term.is_empty() || TERMS.iter().any(|(t, _)| *t == term)
        })
    }

    /// Decodes one element's value, all its values together. Padding is left on; what cannot be decoded becomes U+FFFD.
    pub fn decode<'a>(self, bytes: &'a [u8]) -> Cow<'a, str> {
        if bytes.iter().all(|b| b.is_ascii() && *b != ESC)
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Cow::Borrowed(text);
        }
        if !bytes.contains(&ESC) {
            return run(self.initial, bytes);
        }
        let mut text = String::with_capacity(bytes.len());
        let mut state = self.initial;
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Some((next, length)) = escape(rest) {
                state = next.unwrap_or(self.initial);
                rest = &rest[length..];
                continue;
            }
            let wide = matches!(state, Set::Jis0208 | Set::Jis0212);
            // A run ends before the next escape; a delimiter resets to the initial state (PS3.5 §6.1.2.5.3), except that
            // the second byte of a 7-bit pair is no delimiter.
            let mut end = usize::from(rest[0] == ESC);
            while end < rest.len() && rest[end] != ESC && (wide || !is_reset(rest[end])) {
                end += if wide && rest[end] > 0x20 && rest.get(end + 1).is_some_and(|b| *b != ESC) { 2 } else { 1 };
            }
            let end = end.min(rest.len());
            text.push_str(&run(state, &rest[..end]));
            rest = &rest[end..];
            if let Some(delimiter) = rest.first().filter(|b| is_reset(**b)) {
                text.push(char::from(*delimiter));
                state = self.initial;
                rest = &rest[1..];
            }
        }
        Cow::Owned(text)
    }
}

fn is_reset(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x0C | b'\t' | b'\\' | b'^' | b'=')
}

fn run(set: Set, bytes: &[u8]) -> Cow<'_, str> {
    let pairs = |prefix: Option<u8>| {
        let mut euc = Vec::with_capacity(bytes.len() * 3 / 2);
        for pair in bytes.chunks(2) {
            if pair.len() == 2 && pair[0] > 0x20 {
                euc.extend(prefix);
                euc.extend(pair.iter().map(|b| b | 0x80));
            } else {
                euc.extend(pair);
            }
        }
        Cow::Owned(EUC_JP.decode_without_bom_handling(&euc).0.into_owned())
    };
    match set {
        Set::Undeclared => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
        },
        Set::Table(encoding) => encoding.decode_without_bom_handling(bytes).0,
        Set::Jis0208 => pairs(None),
        Set::Jis0212 => pairs(Some(0x8F)),
    }
}

/// The escape sequence at the start of `bytes` (PS3.3 Tables C.12-3 and C.12-4): what it selects (`None`: back to the initial
/// set) and its length.
fn escape(bytes: &[u8]) -> Option<(Option<Set>, usize)> {
    const ESCAPES: &[(&[u8], Option<Set>)] = &[
        (b"\x1b$)C", Some(Set::Table(EUC_KR))),
        (b"\x1b$)A", Some(Set::Table(GBK))),
        (b"\x1b$(D", Some(Set::Jis0212)),
        (b"\x1b$B", Some(Set::Jis0208)),
        (b"\x1b$@", Some(Set::Jis0208)),
        (b"\x1b)I", Some(Set::Table(SHIFT_JIS))),
        (b"\x1b(I", Some(Set::Table(SHIFT_JIS))),
        (b"\x1b(J", Some(Set::Table(SHIFT_JIS))),
        (b"\x1b(B", None),
        (b"\x1b-A", Some(Set::Table(WINDOWS_1252))),
        (b"\x1b-B", Some(Set::Table(ISO_8859_2))),
        (b"\x1b-C", Some(Set::Table(ISO_8859_3))),
        (b"\x1b-D", Some(Set::Table(ISO_8859_4))),
        (b"\x1b-L", Some(Set::Table(ISO_8859_5))),
        (b"\x1b-G", Some(Set::Table(ISO_8859_6))),
        (b"\x1b-F", Some(Set::Table(ISO_8859_7))),
        (b"\x1b-H", Some(Set::Table(ISO_8859_8))),
        (b"\x1b-M", Some(Set::Table(WINDOWS_1254))),
        (b"\x1b-T", Some(Set::Table(WINDOWS_874))),
        (b"\x1b-b", Some(Set::Table(ISO_8859_15))),
    ];
    ESCAPES.iter().find(|(sequence, _)| bytes.starts_with(sequence)).map(|(sequence, set)| (*set, sequence.len()))
}

/// Defined terms and the table their bytes above 7F mean. (The ISO/IEC 8859 parts 1, 9 and 11 are subsets of the Windows code
/// pages named here.)
const TERMS: &[(&str, &Encoding)] = &[
    ("ISO_IR 6", WINDOWS_1252),
    ("ISO_IR 13", SHIFT_JIS),
    ("ISO_IR 100", WINDOWS_1252),
    ("ISO_IR 101", ISO_8859_2),
    ("ISO_IR 109", ISO_8859_3),
    ("ISO_IR 110", ISO_8859_4),
    ("ISO_IR 126", ISO_8859_7),
    ("ISO_IR 127", ISO_8859_6),
    ("ISO_IR 138", ISO_8859_8),
    ("ISO_IR 144", ISO_8859_5),
    ("ISO_IR 148", WINDOWS_1254),
    ("ISO_IR 166", WINDOWS_874),
    ("ISO_IR 192", UTF_8),
    ("ISO_IR 203", ISO_8859_15),
    ("GB18030", GB18030),
    ("GBK", GBK),
    ("ISO 2022 IR 6", WINDOWS_1252),
    ("ISO 2022 IR 13", SHIFT_JIS),
    ("ISO 2022 IR 58", GBK),
    ("ISO 2022 IR 87", EUC_JP),
    ("ISO 2022 IR 100", WINDOWS_1252),
    ("ISO 2022 IR 101", ISO_8859_2),
    ("ISO 2022 IR 109", ISO_8859_3),
    ("ISO 2022 IR 110", ISO_8859_4),
    ("ISO 2022 IR 126", ISO_8859_7),
    ("ISO 2022 IR 127", ISO_8859_6),
    ("ISO 2022 IR 138", ISO_8859_8),
    ("ISO 2022 IR 144", ISO_8859_5),
    ("ISO 2022 IR 148", WINDOWS_1254),
    ("ISO 2022 IR 149", EUC_KR),
    ("ISO 2022 IR 159", EUC_JP),
    ("ISO 2022 IR 166", WINDOWS_874),
    ("ISO 2022 IR 203", ISO_8859_15),
];

fn table(term: &str) -> Option<&'static Encoding> {
    // Scanners write `ISO-IR 100`, `ISO_IR100` and the like.
    let fold = |t: &str| t.replace(['_', '-', ' '], "");
    match term {
        "" | "ISO_IR 6" | "ISO 2022 IR 6" => None,
        _ => TERMS.iter().find(|(t, _)| fold(t) == fold(term)).map(|(_, e)| *e),
    }
}

#[cfg(test)]
mod tests {
    use dicom_core::VR;

    use super::*;
    use crate::dataset::Element;

    fn decode(term: &str, bytes: &[u8]) -> String {
        let ds: DataSet = [Element::new(SPECIFIC_CHARACTER_SET, VR::CS, term)].into_iter().collect();
        CharacterSet::of(&ds, CharacterSet::default()).decode(bytes).into_owned()
    }

    /// The examples of PS3.5 annexes H, I, J and K.
    #[test]
    fn the_examples_of_the_standard_decode() {
        let h1 = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(decode("\\ISO 2022 IR 87", h1), "Yamada^Tarou=山田^太郎=やまだ^たろう");
        let h2 =
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J";
        assert_eq!(decode("ISO 2022 IR 13\\ISO 2022 IR 87", h2), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう");
        let i = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        assert_eq!(decode("\\ISO 2022 IR 149", i), "Hong^Gildong=洪^吉洞=홍^길동");
        let gb = b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=";
        assert_eq!(decode("GB18030", gb), "Wang^XiaoDong=王^小东=");
        let gb58 = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
        assert_eq!(decode("\\ISO 2022 IR 58", gb58), "Zhang^XiaoDong=张^小东=");
    }

    #[test]
    fn single_byte_sets_utf8_and_undeclared_bytes_decode() {
        assert_eq!(decode("ISO_IR 100", b"Buc^J\xe9r\xf4me"), "Buc^Jérôme");
        assert_eq!(decode("ISO_IR 144", b"\xbb\xee\xda"), "Люк");
        assert_eq!(decode("ISO_IR 192", "王^小東".as_bytes()), "王^小東");
        assert_eq!(decode("", b"J\xe9r"), "Jér");
        assert_eq!(decode("", "Jér".as_bytes()), "Jér");
        assert_eq!(decode("nonsense", b"J\xe9r"), "Jér");
    }

    #[test]
    fn a_backslash_inside_a_pair_is_no_separator_and_broken_escapes_do_not_panic() {
        // 表 is 3D 49 hence harmless; 十 is 3D 3D, whose second byte is a delimiter outside pairs.
        assert_eq!(decode("\\ISO 2022 IR 87", b"\x1b$B==\x1b(B^a"), "十^a");
        for n in 0..64_u8 {
            let messy = [0x1b, n, 0x1b, b'$', n.wrapping_mul(7), 0x1b];
            let _ = decode("ISO 2022 IR 87", &messy);
        }
    }

    #[test]
    fn only_defined_terms_pass() {
        assert!(CharacterSet::is_defined_term(b"\\ISO 2022 IR 87 "));
        assert!(!CharacterSet::is_defined_term(b"Doe^Jane"));
    }
}
