//! Text as words: folding of case and accents, so that `Müller` in a name finds `MULLER` in a description.

mod scripts;

pub(crate) use scripts::is_kana;

/// One word: a run of letters and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Folded characters.
    pub(crate) folded: String,
    /// Byte range in the text.
    pub(crate) start: usize,
    /// End of the range.
    pub(crate) end: usize,
}

/// Folds one character: lower case, accents of Latin letters off, `ß` to `ss`; digits of any script to ASCII; and what people
/// write one way in a name and another in a text, see [`scripts`].
pub(crate) fn fold_char(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    for lower in c.to_lowercase() {
        if let Some(plain) = base(lower) {
            out.push_str(plain);
        } else if let Some(folded) = scripts::fold(lower) {
            out.extend(folded);
        } else {
            out.push(lower);
        }
    }
}

/// Folds a text; see [`fold_char`]. Everything but letters and digits is dropped.
pub(crate) fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().filter(|c| c.is_alphanumeric()).for_each(|c| fold_char(c, &mut out));
    out
}

/// The words of a text, in order.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    for (at, c) in text.char_indices() {
        // Combining accents, points and voicing marks belong to the letter before them and fold away.
        let combining = matches!(c, '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{64B}'..='\u{65F}' | '\u{3099}' | '\u{309A}');
        if open && combining {
            if let Some(word) = words.last_mut() {
                word.end = at + c.len_utf8();
            }
            continue;
        }
        if !c.is_alphanumeric() {
            open = false;
            continue;
        }
        if !open {
            words.push(Word { folded: String::new(), start: at, end: at });
            open = true;
        }
        if let Some(word) = words.last_mut() {
            fold_char(c, &mut word.folded);
            word.end = at + c.len_utf8();
        }
    }
    words
}

/// Words cut once more where letters and digits meet: `smith01` is `smith` and `01`.
pub(crate) fn pieces(text: &str, words: &[Word]) -> Vec<Word> {
    let mut pieces: Vec<Word> = Vec::new();
    for word in words {
        let mut last = None;
        for (at, c) in text[word.start..word.end].char_indices() {
            let mut folded = String::new();
            fold_char(c, &mut folded);
            let digit = folded.chars().next().map(|c| c.is_ascii_digit());
            if digit.is_some() && digit != last {
                let start = word.start + at;
                pieces.push(Word { folded: String::new(), start, end: start });
                last = digit;
            }
            if let Some(piece) = pieces.last_mut().filter(|_| last.is_some()) {
                piece.folded.push_str(&folded);
                piece.end = word.start + at + c.len_utf8();
            }
        }
    }
    pieces
}

/// The letter under the accent, for the letters of ISO 8859-1, -2, -3, -4, -9 and -15.
fn base(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' | 'ŋ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        '\u{300}'..='\u{36F}' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fold_and_keep_their_place() {
        let text = "MÜLLER^Jérôme: Groß-2x";
        let found = words(text);
        assert_eq!(found.iter().map(|w| w.folded.as_str()).collect::<Vec<_>>(), ["muller", "jerome", "gross", "2x"]);
        assert_eq!(&text[found[1].start..found[1].end], "Jérôme");
        assert_eq!(joined("12-34/X"), "1234x");
        assert_eq!(words("Jo\u{308}rg a")[0].folded, "jorg");
        assert_eq!(words("山田 太郎").len(), 2);
    }

    #[test]
    fn pieces_end_where_letters_and_digits_meet() {
        let text = "dob09.11.57 Müller01x 2023年8月";
        let found = pieces(text, &words(text));
        let folded: Vec<&str> = found.iter().map(|p| p.folded.as_str()).collect();
        assert_eq!(folded, ["dob", "09", "11", "57", "muller", "01", "x", "2023", "年", "8", "月"]);
        assert_eq!(&text[found[4].start..found[4].end], "Müller");
        assert!(pieces("", &[]).is_empty());
    }
}
