//! Dates of VR DA and DT (PS3.5 §6.2): parsing, shifting, and the forms in which people write them.

use chrono::{Datelike, Days, NaiveDate};

/// A date of a DA value: `YYYYMMDD`, or the older `YYYY.MM.DD`.
pub(crate) fn parse_da(text: &str) -> Option<NaiveDate> {
    let text = text.trim_matches([' ', '\0']);
    let digits: String = match text.len() {
        8 => text.to_owned(),
        10 if text.as_bytes()[4] == b'.' && text.as_bytes()[7] == b'.' => text.replace('.', ""),
        _ => return None,
    };
    parse_compact(&digits)
}

fn parse_compact(digits: &str) -> Option<NaiveDate> {
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    NaiveDate::from_ymd_opt(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?)
}

fn shift(date: NaiveDate, days: i32) -> Option<NaiveDate> {
    let by = Days::new(u64::from(days.unsigned_abs()));
    if days < 0 { date.checked_sub_days(by) } else { date.checked_add_days(by) }
}

fn compact(date: NaiveDate) -> Option<String> {
    (1..=9999).contains(&date.year()).then(|| date.format("%Y%m%d").to_string())
}

/// A DA value shifted by `days`; `None` when it is no date.
pub(crate) fn shift_da(text: &str, days: i32) -> Option<String> {
    compact(shift(parse_da(text)?, days)?)
}

/// A DT value shifted by `days`: its date moves, time and offset from UTC stay. One without day or month is taken as the first
/// and keeps its precision.
pub(crate) fn shift_dt(text: &str, days: i32) -> Option<String> {
    let text = text.trim_matches([' ', '\0']);
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (date, rest) = text.split_at(digits.min(8));
    if !is_dt_rest(rest, digits >= 8) {
        return None;
    }
    let filled = match date.len() {
        4 => format!("{date}0101"),
        6 => format!("{date}01"),
        8 => date.to_owned(),
        _ => return None,
    };
    let shifted = compact(shift(parse_compact(&filled)?, days)?)?;
    Some(format!("{}{rest}", &shifted[..date.len()]))
}

/// Time, fraction and offset of a DT value.
fn is_dt_rest(rest: &str, time_may_follow: bool) -> bool {
    let (time, offset) = match rest.find(['+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    (time.is_empty() || time_may_follow && is_tm(time)) && (offset.is_empty() || is_offset(offset))
}

/// True for a TM value (PS3.5 §6.2): digits, a fraction, or the older form with colons.
pub(crate) fn is_tm(text: &str) -> bool {
    let text = text.trim_matches([' ', '\0']);
    text.len() <= 16
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b':'))
        && text.bytes().take_while(u8::is_ascii_digit).count() >= 2
}

/// True for an offset from UTC, `&ZZXX`.
pub(crate) fn is_offset(text: &str) -> bool {
    let text = text.trim_matches([' ', '\0']);
    text.len() == 5 && text.starts_with(['+', '-']) && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Digits `YYYYMMDD` at the start of a DA or DT value.
pub(crate) fn day_of(text: &str) -> Option<NaiveDate> {
    let text = text.trim_matches([' ', '\0']);
    parse_da(text).or_else(|| parse_compact(text.get(..8)?))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The months in German, Dutch, French, Spanish, Italian and Portuguese, folded, where they differ from English.
const FOREIGN_MONTHS: [&[&str]; 12] = [
    &["januar", "januari", "janvier", "enero", "gennaio", "janeiro"],
    &["februar", "februari", "fevrier", "febrero", "febbraio", "fevereiro"],
    &["marz", "maerz", "maart", "mars", "marzo", "marco"],
    &["avril", "abril", "aprile"],
    &["mai", "mei", "mayo", "maggio", "maio"],
    &["juni", "juin", "junio", "giugno", "junho"],
    &["juli", "juillet", "julio", "luglio", "julho"],
    &["augustus", "aout", "agosto"],
    &["septembre", "septiembre", "settembre", "setembro"],
    &["oktober", "octobre", "octubre", "ottobre", "outubro", "okt"],
    &["novembre", "noviembre", "novembro"],
    &["dezember", "decembre", "diciembre", "dicembre", "dezembro", "dez"],
];

/// The number of the month that `word` (folded) names, whole or in three letters.
pub(crate) fn month_of(word: &str) -> Option<u32> {
    let hit = |(n, name): (usize, &&'static str)| {
        word == *name
            || word.len() == 3 && name.starts_with(word)
            || word == "sept" && *name == "september"
            || FOREIGN_MONTHS[n].contains(&word)
    };
    let found = MONTHS.iter().enumerate().position(hit);
    found.map(|n| n as u32 + 1)
}

/// The common written forms of a date, for a search in bytes.
pub(crate) fn written_forms(date: NaiveDate) -> Vec<String> {
    // Not by `format`, which reads its pattern each time: every object has dates.
    let (year, month, day) =
        (format!("{:04}", date.year()), format!("{:02}", date.month()), format!("{:02}", date.day()));
    let (y, m, d) = (year.as_str(), month.as_str(), day.as_str());
    let (short_m, short_d) = (m.trim_start_matches('0'), d.trim_start_matches('0'));
    let mut forms = Vec::with_capacity(32);
    for separator in ["", "-", "/", ".", " "] {
        for order in [[y, m, d], [d, m, y], [m, d, y]] {
            forms.push(order.join(separator));
        }
        if separator != " " {
            for order in [[y, short_m, short_d], [short_d, short_m, y], [short_m, short_d, y]] {
                forms.push(order.join(separator));
            }
        }
    }
    for names in [["年", "月", "日"], ["년 ", "월 ", "일"]] {
        forms.push(format!("{}{}{}{}{}{}", date.year(), names[0], date.month(), names[1], date.day(), names[2]));
    }
    let name = MONTHS[date.month0() as usize];
    let capital = [&name[..1].to_ascii_uppercase(), &name[1..]].concat();
    for month in [&capital[..3], &capital] {
        for separator in ["-", " ", ""] {
            forms.push([d, month, y].join(separator));
            forms.push([short_d, month, y].join(separator));
        }
        forms.push([month, " ", short_d, ", ", y].concat());
        forms.push([month, " ", short_d, " ", y].concat());
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_shift_across_months_years_and_leap_days() {
        assert_eq!(shift_da("20240228", 2).as_deref(), Some("20240301"));
        assert_eq!(shift_da("2024.01.01 ", -1).as_deref(), Some("20231231"));
        assert_eq!(shift_da("20230230", 1), None);
        assert_eq!(shift_da("Doe^Jane", 1), None);
        assert_eq!(shift_da("éé éé é", 1), None);
    }

    #[test]
    fn date_times_keep_time_offset_and_precision() {
        assert_eq!(shift_dt("20240228235959.123456+0100", 2).as_deref(), Some("20240301235959.123456+0100"));
        assert_eq!(shift_dt("20240228", -365).as_deref(), Some("20230228"));
        assert_eq!(shift_dt("202402", 31).as_deref(), Some("202403"));
        assert_eq!(shift_dt("2024-0500", -1).as_deref(), Some("2023-0500"));
        for bad in ["2024022823Jane", "Jane", "", "20240228+01", "20241301"] {
            assert_eq!(shift_dt(bad, 1), None, "{bad}");
        }
    }

    #[test]
    fn written_forms_hold_what_people_write() {
        let forms = written_forms(NaiveDate::from_ymd_opt(1957, 11, 9).unwrap());
        for form in [
            "19571109",
            "1957-11-09",
            "09/11/1957",
            "11/09/1957",
            "09.11.1957",
            "9 Nov 1957",
            "09-Nov-1957",
            "November 9, 1957",
            "9.11.1957",
            "1957/11/9",
            "1957年11月9日",
            "1957년 11월 9일",
        ] {
            assert!(forms.iter().any(|f| f == form), "{form}");
        }
        assert_eq!((month_of("sep"), month_of("sept"), month_of("mayon")), (Some(9), Some(9), None));
        assert_eq!((month_of("marz"), month_of("aout"), month_of("novembre")), (Some(3), Some(8), Some(11)));
    }
}
