//! Edit distance: letters that are wrong, missing or too many.

/// Edit distance of two texts.
pub(super) fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let best = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

/// Where in `text` a part ends that is `pattern` with at most `most` characters wrong, and how many are (Sellers). `None` in the
/// pattern is any character.
pub(super) fn ends_within(pattern: &[Option<u8>], text: &[u8], most: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut column: Vec<usize> = (0..=pattern.len()).collect();
    for (at, byte) in text.iter().enumerate() {
        let mut diagonal = 0;
        for (i, wanted) in pattern.iter().enumerate() {
            let same = wanted.is_none_or(|wanted| wanted == *byte);
            let best = (diagonal + usize::from(!same)).min(column[i] + 1).min(column[i + 1] + 1);
            diagonal = std::mem::replace(&mut column[i + 1], best);
        }
        if let Some(&wrong) = column.last().filter(|wrong| **wrong <= most) {
            found.push((at + 1, wrong));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_missing_and_additional_letters_count_one_each() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "axc", 1),
            ("abc", "ac", 1),
            ("ac", "abc", 1),
            ("abc", "xyz", 3),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_part_of_the_text_is_found_where_it_ends() {
        let ends = |pattern: &str, text: &str, most| {
            let pattern: Vec<_> = pattern.bytes().map(|b| (b != b'?').then_some(b)).collect();
            ends_within(&pattern, text.as_bytes(), most)
        };
        assert_eq!(ends("999", "1299934", 0), [(5, 0)]);
        assert!(ends("14?03?1987", "xx14703119877", 0).contains(&(12, 0)));
        assert!(ends("12345678", "12345679", 0).is_empty());
        assert!(ends("12345678", "0012345679", 1).contains(&(10, 1)));
        assert!(ends("12345678", "1234678", 1).contains(&(7, 1)));
        assert!(ends("12345678", "12355679", 1).is_empty());
    }
}
