//! Folding beyond Latin: the differences in which a name is written one way in the header and another way in a text.
//!
//! Greek capitals drop the tonos and know no final sigma; Cyrillic writes ё as е; Arabic varies the seat of its hamza, and drops
//! vowel signs; Hebrew has final letters; Japanese readings come in hiragana, katakana and half-width katakana (ISO-IR 13);
//! digits and Latin letters have forms of other widths and scripts.

/// First characters of the decimal digits of scripts that hospitals write: Arabic-Indic, extended Arabic-Indic, Devanagari,
/// Bengali, Thai, full-width.
const ZEROS: [u32; 6] = [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0xFF10];
/// Half-width katakana U+FF66…U+FF9D as hiragana.
const HALF_WIDTH: &str =
    "をあいうえおやゆよつーあいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわん";

/// What a lower-case character that is not ASCII folds to; `None` when it stays. An empty iterator: it goes.
pub(super) fn fold(c: char) -> Option<Option<char>> {
    let code = u32::from(c);
    if let Some(zero) = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)) {
        return Some(char::from_digit(code - zero, 10));
    }
    let plain = match c {
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        'ς' => 'σ',
        'ё' => 'е',
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ى' => 'ي',
        'ة' => 'ه',
        'ך' => 'כ',
        'ם' => 'מ',
        'ן' => 'נ',
        'ף' => 'פ',
        'ץ' => 'צ',
        // Hebrew points, Arabic tatweel and vowel signs, voicing marks of kana that stand alone.
        '\u{591}'..='\u{5C7}'
        | '\u{640}'
        | '\u{64B}'..='\u{652}'
        | '\u{3099}'
        | '\u{309A}'
        | '\u{FF9E}'
        | '\u{FF9F}' => {
            return Some(None);
        }
        '\u{FF41}'..='\u{FF5A}' => return Some(char::from_u32(code - 0xFEE0)),
        '\u{FF66}'..='\u{FF9D}' => return Some(HALF_WIDTH.chars().nth((code - 0xFF66) as usize)),
        '\u{30A1}'..='\u{30F6}' => return Some(char::from_u32(code - 0x60).map(unvoiced)),
        '\u{3041}'..='\u{3096}' => unvoiced(c),
        _ => return None,
    };
    (plain != c).then_some(Some(plain))
}

/// Hiragana without its voicing mark and in its full size, as half-width writing takes it apart.
fn unvoiced(c: char) -> char {
    match c {
        'ぁ' => 'あ',
        'ぃ' => 'い',
        'ぅ' | 'ゔ' => 'う',
        'ぇ' => 'え',
        'ぉ' => 'お',
        'ゕ' | 'が' => 'か',
        'ぎ' => 'き',
        'ぐ' => 'く',
        'ゖ' | 'げ' => 'け',
        'ご' => 'こ',
        'ざ' => 'さ',
        'じ' => 'し',
        'ず' => 'す',
        'ぜ' => 'せ',
        'ぞ' => 'そ',
        'だ' => 'た',
        'ぢ' => 'ち',
        'っ' | 'づ' => 'つ',
        'で' => 'て',
        'ど' => 'と',
        'ば' | 'ぱ' => 'は',
        'び' | 'ぴ' => 'ひ',
        'ぶ' | 'ぷ' => 'ふ',
        'べ' | 'ぺ' => 'へ',
        'ぼ' | 'ぽ' => 'ほ',
        'ゃ' => 'や',
        'ゅ' => 'ゆ',
        'ょ' => 'よ',
        'ゎ' => 'わ',
        other => other,
    }
}

/// True for text of hiragana and katakana alone.
pub(crate) fn is_kana(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '\u{3041}'..='\u{30FF}' | '\u{FF66}'..='\u{FF9F}'))
}

#[cfg(test)]
mod tests {
    use super::super::joined;

    #[test]
    fn what_is_written_in_two_ways_folds_to_one() {
        for (one, other) in [
            ("Παπαδόπουλος", "ΠΑΠΑΔΟΠΟΥΛΟΣ"),
            ("Королёв", "КОРОЛЕВ"),
            ("أحمد", "احمد"),
            ("فاطِمَة", "فاطمه"),
            ("やまだ", "ヤマダ"),
            ("ﾔﾏﾀﾞ", "ヤマダ"),
            ("ｷｮｳｺ", "きょうこ"),
            ("ｼﾞｮﾝ", "じょん"),
            ("Ｓｍｉｔｈ", "smith"),
            ("٠٩١١١٩٥٧", "09111957"),
            ("๑๙๕๗", "1957"),
        ] {
            assert_eq!(joined(one), joined(other), "{one}");
        }
        assert_ne!(joined("やまだ"), joined("やまも"));
    }
}
