//! Tesseract's table of words, cut down to what is told: a line for each word, its confidence (0 to 100), a space, its text; in
//! the order of reading, within bounds.

/// Most words.
const MOST_WORDS: usize = 200;
/// Most bytes in all.
const MOST_BYTES: usize = 4096;
/// Longest word, bytes.
const WORD_BYTES: usize = 64;
/// Level of a word in the table.
const WORD: &str = "5";

/// The words of a table as `tesseract … tsv` writes it. Where there are too many, those it is least sure of are left out.
pub(crate) fn of(table: &str) -> String {
    let mut words: Vec<(usize, u8, &str)> = Vec::new();
    for (number, line) in table.lines().enumerate() {
        // level, page, block, paragraph, line, word, left, top, width, height, confidence, text
        let columns: Vec<&str> = line.split('\t').collect();
        let [WORD, .., confidence, text] = columns.as_slice() else { continue };
        let text = text.get(..text.floor_char_boundary(WORD_BYTES)).unwrap_or_default();
        let plain =
            !text.chars().any(|c| c.is_whitespace() || c.is_control()) && text.chars().any(char::is_alphanumeric);
        if let (true, Ok(confidence)) = (plain, confidence.parse::<f32>()) {
            words.push((number, confidence.clamp(0.0, 100.0) as u8, text));
        }
    }
    words.sort_by_key(|&(number, confidence, _)| (std::cmp::Reverse(confidence), number));
    words.truncate(MOST_WORDS);
    let mut bytes = 0;
    words.retain(|(_, _, text)| {
        let line = text.len() + "100 \n".len();
        let fits = bytes + line <= MOST_BYTES;
        bytes += if fits { line } else { 0 };
        fits
    });
    words.sort_unstable();
    words.iter().map(|(_, confidence, text)| format!("{confidence} {text}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(confidence: &str, text: &str) -> String {
        format!("5\t1\t1\t1\t1\t1\t10\t20\t30\t40\t{confidence}\t{text}\n")
    }

    #[test]
    fn words_alone_are_told_in_their_order() {
        let table = [
            "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n",
            "4\t1\t1\t1\t1\t0\t10\t20\t30\t40\t-1\t\n",
            &row("41.5", "QUILLFEATHER"),
            &row("96.2", "JANE"),
            &row("90", "--"),
            &row("x", "word"),
            "5\t1\n",
        ];
        assert_eq!(of(&table.concat()), "41 QUILLFEATHER\n96 JANE\n");
    }

    #[test]
    fn too_many_and_too_long_ones_are_left_out_those_it_is_least_sure_of_first() {
        let many: String = (0..500).map(|n| row(if n % 2 == 0 { "90" } else { "10" }, &format!("w{n}"))).collect();
        let told = of(&many);
        assert_eq!(told.lines().count(), MOST_WORDS);
        assert!(told.starts_with("90 w0\n90 w2\n") && !told.contains("w1\n"));
        let long: String = (0..200).map(|_| row("90", &"é".repeat(100))).collect();
        assert!((3000..=MOST_BYTES).contains(&of(&long).len()));
    }
}
