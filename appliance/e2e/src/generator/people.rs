//! The people of the simulated hospital: patients and staff, all invented.
//!
//! Names are of the kinds that trip software: hyphens, apostrophes, particles, two letters, several scripts. NHS-like numbers
//! have a valid check digit and lie in 999, which is never issued; telephone numbers lie in Ofcom's ranges for drama.

use chrono::{Datelike as _, NaiveDate};

use super::{repertoire::Repertoire, rng::Rng};

/// A name, with what is needed to write it in every form.
#[derive(Debug, Clone)]
pub(super) struct PersonName {
    pub(super) family: String,
    pub(super) given: String,
    middle: String,
    prefix: &'static str,
    /// Ideographic and phonetic component groups (PS3.5 6.2.1.2), family and given name each.
    other_groups: Option<[(&'static str, &'static str); 2]>,
    /// In capital ASCII letters, as a scanner's banner shows it.
    drawn: String,
}

/// A patient.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    /// Ordinal in the set, from 0.
    pub(super) ordinal: usize,
    pub(super) name: PersonName,
    pub(super) repertoire: Repertoire,
    /// What stands in Patient ID.
    pub(super) id: String,
    /// Issuer of Patient ID, where there is one.
    pub(super) issuer: Option<&'static str>,
    /// A second number: the NHS-like one when `id` is the hospital's, and the other way round.
    pub(super) other_id: String,
    pub(super) birth_date: NaiveDate,
    pub(super) phone: String,
    pub(super) address: String,
    pub(super) mothers_birth_name: String,
}

const ASCII_FAMILIES: &[&str] = &[
    "Okafor-Lindqvist",
    "O'Shaughnessy",
    "Featherstonehaugh",
    "Van der Merwe",
    "Al-Hashimi",
    "Castellanos",
    "Papworth-Jones",
    "D'Arcy-Whitlock",
    "Ramanathan",
    "Abernathy",
    "Kowalewska",
    "McAllister-Reid",
    "Achterberg",
    "Dunwoody",
    "Oyelaran",
    "Vijayakumar",
    "Thistlewood",
    "Montgomerie",
    "Fitzwilliam",
    "Hollingsworth",
];
const SHORT_FAMILIES: &[&str] = &["Li", "Ng", "Wu", "Oh", "Xu"];
const ASCII_GIVEN: &[&str] = &[
    "Adaeze",
    "Niamh",
    "Clementine",
    "Annelise",
    "Zaynab",
    "Rosalind",
    "Guinevere",
    "Philippa",
    "Marguerite",
    "Tamsin",
    "Ottoline",
    "Seraphina",
    "Mei Ling",
    "Jo-Anne",
    "Bo",
    "Ai",
];
const MIDDLE: &[&str] = &["", "", "Ruth", "Imani", "E.", "Mary Jane"];

/// Family name, given name, and how a banner shows them.
const LATIN_1: &[(&str, &str, &str)] = &[
    ("Müller-Lüdenscheidt", "Käthe", "MUELLER-LUEDENSCHEIDT KAETHE"),
    ("Guðmundsdóttir", "Björk", "GUDMUNDSDOTTIR BJORK"),
    ("Núñez Ibáñez", "Concepción", "NUNEZ IBANEZ CONCEPCION"),
    ("D'Ångström", "Åsa", "D'ANGSTROM ASA"),
    ("Lefèvre-Château", "Héloïse", "LEFEVRE-CHATEAU HELOISE"),
];
const UNICODE: &[(&str, &str, &str)] = &[
    ("Wałęsa-Kowalczyk", "Żaneta", "WALESA-KOWALCZYK ZANETA"),
    ("Παπαδοπούλου", "Ελένη", "PAPADOPOULOU ELENI"),
    ("Черниговская", "Светлана", "CHERNIGOVSKAYA SVETLANA"),
    ("Đặng-Nguyễn", "Thị Hương", "DANG-NGUYEN THI HUONG"),
    ("欧阳", "小燕", "OUYANG XIAOYAN"),
];
/// Romanised, ideographic and phonetic: family and given name each.
const JAPANESE: &[[(&str, &str); 3]] = &[
    [("Yamada", "Hanako"), ("山田", "花子"), ("やまだ", "はなこ")],
    [("Takahashi", "Misa"), ("高橋", "美沙"), ("たかはし", "みさ")],
    [("Watanabe", "Sakura"), ("渡辺", "桜"), ("わたなべ", "さくら")],
    [("Nakajima", "Yuko"), ("中島", "裕子"), ("なかじま", "ゆうこ")],
];
const STAFF_FAMILIES: &[&str] = &[
    "Ravenscroft-Hale",
    "O'Donoghue",
    "Bhattacharya",
    "Winterbottom",
    "Szymborska",
    "De Villiers",
    "Carrington",
    "Mbeki-Stone",
    "Lockhart",
    "Quintrell",
];
const STAFF_GIVEN: &[&str] = &["Imogen", "Declan", "Anjali", "Rupert", "Wislawa", "Pieter", "Beatrix", "Thabo"];
const STREETS: &[&str] = &["Larkspur Crescent", "Tanner's Hythe", "Old Brewhouse Yard", "Quarrybank Terrace"];

impl PersonName {
    fn ascii(family: &str, given: &str, middle: &str, prefix: &'static str) -> Self {
        Self {
            family: family.into(),
            given: given.into(),
            middle: middle.into(),
            prefix,
            other_groups: None,
            drawn: format!("{family} {given}").to_uppercase(),
        }
    }

    fn drawn_as((family, given, drawn): (&str, &str, &str)) -> Self {
        Self { drawn: drawn.into(), ..Self::ascii(family, given, "", "") }
    }

    /// A member of staff.
    pub(super) fn staff(rng: &mut Rng) -> Self {
        let prefix = rng.pick(&["Dr", "Ms", "Prof", ""]);
        Self::ascii(rng.pick(STAFF_FAMILIES), rng.pick(STAFF_GIVEN), "", prefix)
    }

    /// True when what a banner shows can be read out of the name itself: its letters are those of Latin-1 and Latin Extended-A.
    pub(super) fn is_latin(&self) -> bool {
        self.spoken().chars().all(|c| c.is_ascii() || ('\u{C0}'..'\u{180}').contains(&c))
    }

    /// As a value of VR PN.
    pub(super) fn pn(&self) -> String {
        let mut components = vec![self.family.as_str(), &self.given, &self.middle, self.prefix];
        while components.last().is_some_and(|c| c.is_empty()) {
            components.pop();
        }
        let mut value = components.join("^");
        for (family, given) in self.other_groups.iter().flatten() {
            value += &format!("={family}^{given}");
        }
        value
    }

    /// As people write it: given name first.
    pub(super) fn spoken(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    /// As clerks write it: family name first.
    pub(super) fn filed(&self) -> String {
        format!("{}, {}", self.family, self.given)
    }

    /// The family name in capital letters.
    pub(super) fn shouted(&self) -> String {
        self.family.to_uppercase()
    }

    /// Family and given name in capital ASCII letters, for a banner.
    pub(super) fn drawn(&self) -> &str {
        &self.drawn
    }

    /// The ideographic family and given name, if there is one.
    pub(super) fn ideographic(&self) -> Option<String> {
        self.other_groups.map(|[(family, given), _]| format!("{family}{given}"))
    }
}

impl Patient {
    /// The patient with this ordinal. The kinds of names take turns, so that a small set has them all.
    pub(super) fn new(ordinal: usize, rng: &mut Rng) -> Self {
        let (repertoire, name) = match ordinal % 8 {
            1 => (Repertoire::Latin1, PersonName::drawn_as(rng.pick(LATIN_1))),
            3 => (Repertoire::Utf8, PersonName::drawn_as(rng.pick(UNICODE))),
            5 => {
                let [(family, given), ideographic, phonetic] = rng.pick(JAPANESE);
                let name = PersonName::ascii(family, given, "", "");
                (Repertoire::Japanese, PersonName { other_groups: Some([ideographic, phonetic]), ..name })
            }
            6 => (Repertoire::Ascii, PersonName::ascii(rng.pick(SHORT_FAMILIES), rng.pick(ASCII_GIVEN), "", "")),
            _ => {
                let (family, given, middle) = (rng.pick(ASCII_FAMILIES), rng.pick(ASCII_GIVEN), rng.pick(MIDDLE));
                (Repertoire::Ascii, PersonName::ascii(family, given, middle, ""))
            }
        };
        let national = nhs_like_number(rng);
        let hospital = format!("RQX{}{}", rng.between(1000, 9999), rng.between(1000, 9999));
        let (id, issuer, other_id) =
            if rng.chance(60) { (national, None, hospital) } else { (hospital, Some("ST BRIGIDS PAS"), national) };
        let days = rng.between(0, 25 * 365);
        let first = NaiveDate::from_ymd_opt(1979, 1, 1).unwrap_or_default();
        Self {
            ordinal,
            name,
            repertoire,
            id,
            issuer,
            other_id,
            birth_date: first + chrono::Days::new(days),
            phone: format!("020 7946 0{:03}", rng.between(0, 999)),
            address: format!("{} {}, London NW99 {}ZZ", rng.between(2, 199), rng.pick(STREETS), rng.between(1, 9)),
            mothers_birth_name: rng.pick(ASCII_FAMILIES).into(),
        }
    }

    /// The date of birth as a value of VR DA.
    pub(super) fn birth_da(&self) -> String {
        self.birth_date.format("%Y%m%d").to_string()
    }

    /// The date of birth in one of the ways people write it; `way` counts through them.
    pub(super) fn birth_written(&self, way: u64) -> String {
        let d = self.birth_date;
        match way % 7 {
            0 => d.format("%d/%m/%Y").to_string(),
            1 => d.format("%d.%m.%Y").to_string(),
            2 => d.format("%Y-%m-%d").to_string(),
            3 => d.format("%-d %B %Y").to_string(),
            4 => d.format("%d-%b-%Y").to_string().to_uppercase(),
            5 => d.format("%-d %b %Y").to_string(),
            _ => d.format("%m/%d/%Y").to_string(),
        }
    }

    /// Age on `date` in whole years, as a value of VR AS.
    pub(super) fn age_on(&self, date: NaiveDate) -> String {
        let had_birthday = (date.month(), date.day()) >= (self.birth_date.month(), self.birth_date.day());
        format!("{:03}Y", date.year() - self.birth_date.year() - i32::from(!had_birthday))
    }
}

/// Ten digits in 999 with the check digit of an NHS number (modulo 11).
fn nhs_like_number(rng: &mut Rng) -> String {
    loop {
        let nine = format!("999{:06}", rng.between(0, 999_999));
        if let Some(check) = nhs_check_digit(&nine) {
            return format!("{nine}{check}");
        }
    }
}

/// The check digit for nine digits; `None` where it would be 10.
fn nhs_check_digit(nine: &str) -> Option<u32> {
    let sum: u32 = nine.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match (11 - sum % 11) % 11 {
        10 => None,
        digit => Some(digit),
    }
}

/// An NHS-like number in the written form 3 3 4; anything else stays as it is.
pub(super) fn spaced(id: &str) -> String {
    if id.len() == 10 && id.bytes().all(|b| b.is_ascii_digit()) {
        format!("{} {} {}", &id[..3], &id[3..6], &id[6..])
    } else {
        id.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_digit_is_that_of_the_nhs() {
        // The example of the NHS Data Dictionary.
        assert_eq!(nhs_check_digit("943476591"), Some(9));
    }

    #[test]
    fn eight_patients_cover_all_repertoires_and_short_names() {
        let mut rng = Rng::new(1);
        let patients: Vec<_> = (0..8).map(|i| Patient::new(i, &mut rng)).collect();
        for repertoire in [Repertoire::Ascii, Repertoire::Latin1, Repertoire::Utf8, Repertoire::Japanese] {
            assert!(patients.iter().any(|p| p.repertoire == repertoire));
        }
        assert!(patients.iter().any(|p| p.name.family.len() == 2));
    }

    #[test]
    fn a_name_has_no_trailing_delimiters() {
        let name = PersonName::ascii("Li", "Ai", "", "");
        assert_eq!((name.pn().as_str(), name.spoken().as_str(), name.filed().as_str()), ("Li^Ai", "Ai Li", "Li, Ai"));
        assert_eq!(PersonName::ascii("Li", "Ai", "", "Dr").pn(), "Li^Ai^^Dr");
    }

    #[test]
    fn names_and_what_is_made_of_them_fit_their_vr() {
        let mut rng = Rng::new(2);
        for ordinal in 0..400 {
            let Patient { name, repertoire, address, .. } = Patient::new(ordinal, &mut rng);
            // dciodvfy counts bytes, escape sequences included, for PN as for LO.
            assert!(repertoire.encode(&name.pn()).len() <= 64, "{}", name.pn());
            let longest_lo = repertoire.encode(&format!("CT abdomen, {}", name.filed())).len();
            assert!(longest_lo <= 64 && address.len() <= 64, "{}", name.filed());
        }
    }
}
