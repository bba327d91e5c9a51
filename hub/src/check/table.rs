//! PS3.15 Table E.1-1 as rules: for each attribute, what its presence after de-identification means under a profile.

use std::collections::{HashMap, HashSet};

use dicom_core::Tag;

use crate::{
    error::HubError,
    settings::{Profile, ProfileOption},
};

/// Columns of the table, as its heading names them, with the option that each stands for.
const OPTION_COLUMNS: [(&str, ProfileOption); 10] = [
    ("Rtn. Safe Priv. Opt.", ProfileOption::RtnSafePriv),
    ("Rtn. UIDs Opt.", ProfileOption::RtnUids),
    ("Rtn. Dev. Id. Opt.", ProfileOption::RtnDevId),
    ("Rtn. Inst. Id. Opt.", ProfileOption::RtnInstId),
    ("Rtn. Pat. Chars. Opt.", ProfileOption::RtnPatChars),
    ("Rtn. Long. Full Dates Opt.", ProfileOption::RtnLongFullDates),
    ("Rtn. Long. Modif. Dates Opt.", ProfileOption::RtnLongModifDates),
    ("Clean Desc. Opt.", ProfileOption::CleanDesc),
    ("Clean Struct. Cont. Opt.", ProfileOption::CleanStructCont),
    ("Clean Graph. Opt.", ProfileOption::CleanGraph),
];

/// Fewest rows a plausible table has; 2026c has 656.
const MIN_ROWS: usize = 400;

/// What is asked of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Must not be there, or without value: what the table removes may be Type 2 in the object's IOD (X).
    Absent,
    /// Its values must be pseudonymous UIDs (U).
    Uid,
    /// Must have no value and no item (Z, X/Z).
    Empty,
    /// Must hold a dummy, or nothing (D, and the codes that allow it).
    Dummy,
    /// An option of the profile keeps or cleans it (K, C), or the table asks nothing of it.
    Free,
}

#[derive(Debug)]
struct Row {
    tag: Tag,
    basic: String,
    kept_by: Vec<ProfileOption>,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
}

/// A profile's rules.
#[derive(Debug)]
pub(super) struct ProfileRules {
    demands: HashMap<Tag, Demand>,
    /// Curves and overlays may stay, cleaned.
    pub(super) graphics_may_stay: bool,
    /// UIDs need not be pseudonymous.
    pub(super) uids_may_stay: bool,
    /// Private attributes that may stay; none without the option.
    pub(super) safe_private: Option<SafePrivate>,
}

/// Table E.3.10-1: private attributes that are safe, by group, element within the block, and creator.
#[derive(Debug)]
pub(super) struct SafePrivate(HashSet<(u16, u8, String)>);

impl SafePrivate {
    /// The table the hub was built with.
    fn shipped() -> Self {
        let text = include_str!("../../../config/ps3.15/table_E.3.10-1_safe_private_2026c.csv");
        let row = |line: &str| {
            let fields = fields(line);
            // `(7053,xx09)`
            let (group, element) = fields.first()?.strip_prefix('(')?.strip_suffix(')')?.split_once(",xx")?;
            let number = |text| u16::from_str_radix(text, 16).ok();
            Some((number(group)?, u8::try_from(number(element)?).ok()?, fields.get(1)?.trim().to_owned()))
        };
        Self(text.lines().skip(1).filter_map(row).collect())
    }

    /// True when `creator`'s block holds this attribute as a safe one.
    pub(super) fn allows(&self, tag: Tag, creator: &str) -> bool {
        self.0.contains(&(tag.group(), tag.element().to_be_bytes()[1], creator.to_owned()))
    }
}

impl Table {
    /// Parses the CSV. The rows for groups 50xx, 60xx and odd groups are rules of their own ([`super::Rule::Graphics`],
    /// [`super::Rule::Private`]) and are passed over here.
    pub(super) fn parse(text: &str) -> Result<Self, HubError> {
        let refuse = |why: &str| HubError::Setup(format!("table of PS3.15: {why}"));
        let mut lines = text.lines().map(fields);
        let heading = lines.next().ok_or_else(|| refuse("empty"))?;
        let column = |name: &str| heading.iter().position(|h| h == name).ok_or_else(|| refuse("a column is missing"));
        let (tag_column, basic_column) = (column("Tag")?, column("Basic Prof.")?);
        let option = |(name, option): &(&str, ProfileOption)| column(name).map(|column| (column, *option));
        let options = OPTION_COLUMNS.iter().map(option).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        for fields in lines.filter(|fields| fields.len() > 1) {
            let cell = |column: usize| fields.get(column).map_or("", |cell| cell.trim());
            let Some(tag) = tag(cell(tag_column)) else { continue };
            let kept_by = options.iter().filter(|(c, _)| matches!(cell(*c), "K" | "C")).map(|(_, o)| *o).collect();
            rows.push(Row { tag, basic: cell(basic_column).to_owned(), kept_by });
        }
        if rows.len() < MIN_ROWS {
            return Err(refuse("too few rows"));
        }
        Ok(Self { rows })
    }

    /// The rules of `profile`: the Basic Profile, less what its options keep or clean, less its stated exceptions.
    pub(super) fn rules(&self, profile: &Profile) -> ProfileRules {
        let kept = |row: &Row| {
            row.kept_by.iter().any(|option| profile.options.contains(option))
                || profile.may_keep.iter().any(|keep| keep.0 == row.tag)
        };
        let demand = |row: &Row| match row.basic.as_str() {
            _ if kept(row) => Demand::Free,
            "X" => Demand::Absent,
            "U" => Demand::Uid,
            "Z" | "X/Z" => Demand::Empty,
            "D" | "Z/D" | "X/D" | "X/Z/D" => Demand::Dummy,
            // X/Z/U*: a sequence that may stay, its UIDs replaced.
            _ => Demand::Free,
        };
        let has = |option| profile.options.contains(&option);
        ProfileRules {
            demands: self.rows.iter().map(|row| (row.tag, demand(row))).collect(),
            graphics_may_stay: has(ProfileOption::CleanGraph),
            uids_may_stay: has(ProfileOption::RtnUids),
            safe_private: has(ProfileOption::RtnSafePriv).then(SafePrivate::shipped),
        }
    }
}

impl ProfileRules {
    /// What is asked of `tag`, if anything.
    pub(super) fn demand(&self, tag: Tag) -> Option<Demand> {
        self.demands.get(&tag).copied()
    }
}

/// `(gggg,eeee)`; none for the table's group patterns.
fn tag(text: &str) -> Option<Tag> {
    let (group, element) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some(Tag(u16::from_str_radix(group, 16).ok()?, u16::from_str_radix(element, 16).ok()?))
}

/// The fields of one line of CSV (RFC 4180; no line breaks within fields).
fn fields(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                push(&mut out, '"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => push(&mut out, c),
        }
    }
    out
}

fn push(fields: &mut [String], c: char) {
    if let Some(field) = fields.last_mut() {
        field.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(options: &[ProfileOption]) -> Profile {
        Profile { name: "p".to_owned(), options: options.to_vec(), may_keep: Vec::new() }
    }

    #[test]
    fn options_free_exactly_the_rows_that_they_mark() {
        let table = Table::parse(include_str!("../../../config/ps3.15/table_E.1-1_2026c.csv")).unwrap();
        assert_eq!(table.rows.len(), 652, "656 rows, four of them patterns");
        let basic = table.rules(&profile(&[]));
        assert_eq!(basic.demands.values().filter(|d| **d == Demand::Absent).count(), 412);
        assert_eq!(basic.demands.values().filter(|d| **d == Demand::Uid).count(), 55);

        let comments = Tag(0x0018, 0x4000); // Acquisition Comments: X, C with Clean Descriptors
        let other_ids = Tag(0x0010, 0x1000); // Other Patient IDs: X whatever the options
        let study_uid = Tag(0x0020, 0x000D); // U, K with Retain UIDs
        assert_eq!(basic.demand(comments), Some(Demand::Absent));
        let cleaned = table.rules(&profile(&[ProfileOption::CleanDesc]));
        assert_eq!(cleaned.demand(comments), Some(Demand::Free));
        let all: Vec<_> = OPTION_COLUMNS.iter().map(|(_, option)| *option).collect();
        let all = table.rules(&profile(&all));
        assert_eq!(all.demand(other_ids), Some(Demand::Absent));
        assert_eq!(all.demand(study_uid), Some(Demand::Free));
        assert_eq!(basic.demand(Tag(0x0010, 0x0030)), Some(Demand::Empty), "Patient's Birth Date");
        assert_eq!(basic.demand(Tag(0x0008, 0x1070)), Some(Demand::Dummy), "Operators' Name");
        assert_eq!(basic.demand(Tag(0x0028, 0x0010)), None, "Rows");
        let safe = all.safe_private.unwrap();
        assert!(safe.allows(Tag(0x7053, 0x1009), "Philips PET Private Group"));
        assert!(!safe.allows(Tag(0x7053, 0x1008), "Philips PET Private Group"));
        assert!(!safe.allows(Tag(0x7053, 0x1009), "Other"));
        assert!(basic.safe_private.is_none());
        assert!(all.graphics_may_stay && !cleaned.graphics_may_stay);
        assert_eq!(cleaned.demand(study_uid), Some(Demand::Uid));
    }

    #[test]
    fn a_table_without_its_columns_is_refused() {
        assert!(Table::parse("Tag,Basic Prof.\n").is_err());
        assert!(Table::parse("").is_err());
    }
}
