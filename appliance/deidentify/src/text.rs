//! Text as words: folding of case and accents, so that `Müller` in a name finds `MULLER` in a description.

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

/// Folds one character: lower case, accents of Latin letters off, `ß` to `ss`.
pub(crate) fn fold_char(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    for lower in c.to_lowercase() {
        match base(lower) {
            Some(plain) => out.push_str(plain),
            None => out.push(lower),
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
        // Combining accents belong to the letter before them and fold away.
        if open && ('\u{300}'..='\u{36F}').contains(&c) {
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
}
