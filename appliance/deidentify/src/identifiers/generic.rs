//! What identifies whosever it is: long numbers, telephone numbers, e-mail addresses, postcodes and written dates.

use std::ops::Range;

use crate::date::month_of;
use crate::text::Word;

/// Digits in a row, spaces and hyphens between them allowed, that are a telephone or patient number.
const MANY_DIGITS: usize = 10;
/// Digits of one word that are a number of someone.
const LONG_NUMBER: usize = 7;
/// Years in which a written date is believed.
const YEARS: Range<u32> = 1900..2100;
/// Words that may stand between the parts of a date.
const BETWEEN: [&str; 4] = ["of", "de", "del", "di"];
/// Year, month and day as words of Chinese or Japanese, and of Korean.
const YEAR_MONTH_DAY: [[&str; 3]; 2] = [["年", "月", "日"], ["년", "월", "일"]];

/// True for a number of four digits that is more likely a year.
pub(super) fn is_year(number: &str) -> bool {
    number.len() == 4 && number.parse().is_ok_and(|n| YEARS.contains(&n))
}

/// Adds the ranges of `text` that identify whosever they are. `pieces` are its `words`, cut where letters and digits meet.
pub(super) fn generic(text: &str, words: &[Word], pieces: &[Word], keep_dates: bool, cuts: &mut Vec<Range<usize>>) {
    numbers(text, pieces, cuts);
    for (n, word) in words.iter().enumerate() {
        let gap = |a: usize, b: usize| words.get(b).map(|next| &text[words[a].end..next.start]);
        // E-mail: the words around an @ without a space.
        if gap(n, n + 1) == Some("@") {
            let tight = |r: &str| !r.is_empty() && r.bytes().all(|b| matches!(b, b'.' | b'-' | b'_' | b'+'));
            let first = (0..n).rev().take_while(|p| gap(*p, p + 1).is_some_and(tight)).last().unwrap_or(n);
            let last = (n + 1..words.len()).take_while(|p| *p == n + 1 || gap(p - 1, *p).is_some_and(tight)).last();
            cuts.push(words[first].start..words[last.unwrap_or(n + 1)].end);
        }
        if let (Some(next), Some(" ")) = (words.get(n + 1), gap(n, n + 1))
            && is_postcode(&text[word.start..word.end], &text[next.start..next.end])
        {
            cuts.push(word.start..next.end);
        }
        if !keep_dates && is_glued_date(&word.folded) {
            cuts.push(word.start..word.end);
        }
    }
    if !keep_dates {
        dates(text, words, pieces, cuts);
    }
}

fn is_digits(word: &Word) -> bool {
    word.folded.bytes().all(|b| b.is_ascii_digit())
}

/// Long numbers, and telephone and national numbers: digits in groups. Letters may stand right beside them (`tel01435421909`).
fn numbers(text: &str, pieces: &[Word], cuts: &mut Vec<Range<usize>>) {
    for (n, piece) in pieces.iter().enumerate().filter(|(_, piece)| is_digits(piece)) {
        if piece.folded.len() >= LONG_NUMBER {
            cuts.push(piece.start..piece.end);
        }
        if n > 0 && is_digits(&pieces[n - 1]) {
            continue;
        }
        let gap = |p: usize| &text[pieces[p - 1].end..pieces[p].start];
        let close = |g: &str| g.bytes().all(|b| matches!(b, b' ' | b'-' | b'(' | b')' | b'/'));
        let grouped = |p: &usize| is_digits(&pieces[*p]) && (*p == n || close(gap(*p)));
        let run: Vec<usize> = (n..pieces.len()).take_while(grouped).collect();
        let digits: usize = run.iter().map(|p| pieces[*p].folded.len()).sum();
        if let (true, Some(last)) = (digits >= MANY_DIGITS, run.last()) {
            cuts.push(piece.start..pieces[*last].end);
        }
    }
}

/// Dates of three words, and those of Chinese, Japanese and Korean, which are one.
fn dates(text: &str, words: &[Word], pieces: &[Word], cuts: &mut Vec<Range<usize>>) {
    let parts: Vec<&Word> = words.iter().filter(|word| !BETWEEN.contains(&word.folded.as_str())).collect();
    for [a, b, c] in parts.array_windows() {
        let joint = |a: &Word, b: &Word| {
            let gap = text[a.end..b.start].trim_matches(' ');
            matches!(gap, "" | "-" | "/" | "." | ",") || BETWEEN.contains(&gap.to_lowercase().as_str())
        };
        if joint(a, b) && joint(b, c) && is_written_date(&a.folded, &b.folded, &c.folded) {
            cuts.push(a.start..c.end);
        }
    }
    for window in pieces.windows(6) {
        let named = YEAR_MONTH_DAY.iter().any(|names| (0..3).all(|n| window[2 * n + 1].folded == names[n]));
        if named && (0..3).all(|n| is_digits(&window[2 * n])) {
            cuts.push(window[0].start..window[5].end);
        }
    }
}

/// True for a British postcode, as it is written: `LS9 7TF`. The area T does not exist, which spares `T1 2SE` and the like; the
/// second word has no C, I, M or O, which spares `3MM` and `4CH`.
fn is_postcode(outward: &str, inward: &str) -> bool {
    let (o, i) = (outward.as_bytes(), inward.as_bytes());
    let letters = o.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let district = &o[letters..];
    let outward_fits = (1..=2).contains(&letters)
        && outward.as_bytes()[..letters] != *b"T"
        && (1..=2).contains(&district.len())
        && district[0].is_ascii_digit()
        && district.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let unit = |b: &u8| b.is_ascii_uppercase() && !b"CIMO".contains(b);
    outward_fits
        && i.len() == 3
        && i[0].is_ascii_digit()
        && i[1..].iter().all(unit)
        && !matches!(&i[1..], b"ST" | b"ND" | b"RD" | b"TH")
}

/// True for three words that together are a date, in any of the usual orders.
fn is_written_date(a: &str, b: &str, c: &str) -> bool {
    let number =
        |t: &str| (t.len() <= 4 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u32>().ok()).flatten();
    let year = |t: &str| t.len() == 4 && number(t).is_some_and(|n| YEARS.contains(&n));
    let day = |t: &str| {
        let digits = t.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        digits.len() <= 2 && number(digits).is_some_and(|n| (1..=31).contains(&n))
    };
    let month = |t: &str| month_of(t).is_some() || t.len() <= 2 && number(t).is_some_and(|n| (1..=12).contains(&n));
    let named = month_of(a).or(month_of(b)).is_some();
    // Two-digit years only where nothing else is likely: with the month's name, or all three of two digits.
    let short = |t: &str| t.len() == 2 && number(t).is_some() && (named || a.len() == 2 && b.len() == 2);
    let end = year(c) || short(c);
    (year(a) && month(b) && day(c)) || (end && (day(a) && month(b) || month(a) && day(b)))
}

/// True for `12aug2023`, `20230812`.
fn is_glued_date(word: &str) -> bool {
    let day_digits = word.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&day_digits) && word.len() > day_digits + 4 && word.is_ascii() {
        let (month, year) = word[day_digits..].split_at(word.len() - day_digits - 4);
        return month_of(month).is_some() && year.parse().is_ok_and(|y| YEARS.contains(&y));
    }
    false
}
