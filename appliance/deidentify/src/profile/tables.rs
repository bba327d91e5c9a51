//! The tables of PS3.15 as data: E.1-1 (attributes), E.3.4-1 (content items) and E.3.10-1 (safe private attributes).

use std::collections::HashMap;

use dicom_core::{Tag, VR};

/// An option of PS3.15 E.3 that has a column in a table, in the order of Table E.1-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableOption {
    /// Retain Safe Private.
    RetainSafePrivate,
    /// Retain UIDs.
    RetainUids,
    /// Retain Device Identity.
    RetainDeviceIdentity,
    /// Retain Institution Identity.
    RetainInstitutionIdentity,
    /// Retain Patient Characteristics.
    RetainPatientCharacteristics,
    /// Retain Longitudinal Temporal Information, full dates.
    RetainLongitudinalFullDates,
    /// Retain Longitudinal Temporal Information, modified dates.
    RetainLongitudinalModifiedDates,
    /// Clean Descriptors.
    CleanDescriptors,
    /// Clean Structured Content.
    CleanStructuredContent,
    /// Clean Graphics.
    CleanGraphics,
}

impl TableOption {
    /// All, in the order of the columns of Table E.1-1.
    pub const ALL: [Self; 10] = [
        Self::RetainSafePrivate,
        Self::RetainUids,
        Self::RetainDeviceIdentity,
        Self::RetainInstitutionIdentity,
        Self::RetainPatientCharacteristics,
        Self::RetainLongitudinalFullDates,
        Self::RetainLongitudinalModifiedDates,
        Self::CleanDescriptors,
        Self::CleanStructuredContent,
        Self::CleanGraphics,
    ];

    /// Header of its column.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::RetainSafePrivate => "Rtn. Safe Priv. Opt.",
            Self::RetainUids => "Rtn. UIDs Opt.",
            Self::RetainDeviceIdentity => "Rtn. Dev. Id. Opt.",
            Self::RetainInstitutionIdentity => "Rtn. Inst. Id. Opt.",
            Self::RetainPatientCharacteristics => "Rtn. Pat. Chars. Opt.",
            Self::RetainLongitudinalFullDates => "Rtn. Long. Full Dates Opt.",
            Self::RetainLongitudinalModifiedDates => "Rtn. Long. Modif. Dates Opt.",
            Self::CleanDescriptors => "Clean Desc. Opt.",
            Self::CleanStructuredContent => "Clean Struct. Cont. Opt.",
            Self::CleanGraphics => "Clean Graph. Opt.",
        }
    }
}

/// Action of the Basic Profile (Table E.1-1a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::upper_case_acronyms, reason = "the standard's codes")]
pub enum Action {
    /// Replace with a dummy value.
    D,
    /// Replace with a zero-length value.
    Z,
    /// Remove.
    X,
    /// Replace UIDs consistently.
    U,
    /// Z unless D is required.
    ZD,
    /// X unless Z is required.
    XZ,
    /// X unless D is required.
    XD,
    /// X unless Z or D is required.
    XZD,
    /// X unless Z, or replacement of contained instance UIDs, is required.
    XZU,
}

impl Action {
    /// As the table writes it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::D => "D",
            Self::Z => "Z",
            Self::X => "X",
            Self::U => "U",
            Self::ZD => "Z/D",
            Self::XZ => "X/Z",
            Self::XD => "X/D",
            Self::XZD => "X/Z/D",
            Self::XZU => "X/Z/U*",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "D" => Self::D,
            "Z" => Self::Z,
            "X" => Self::X,
            "U" => Self::U,
            "Z/D" => Self::ZD,
            "X/Z" => Self::XZ,
            "X/D" => Self::XD,
            "X/Z/D" => Self::XZD,
            "X/Z/U*" => Self::XZU,
            _ => return None,
        })
    }
}

/// What an option does to an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// K: keep.
    Keep,
    /// C: clean.
    Clean,
}

/// One row: the basic action and each option's override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Basic Profile.
    pub basic: Action,
    options: [Option<Override>; TableOption::ALL.len()],
}

impl Row {
    /// What `option` does here.
    pub fn option(&self, option: TableOption) -> Option<Override> {
        self.options[option as usize]
    }
}

/// What identifies a content item's concept: code value and coding scheme designator, and its value type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Concept {
    pub(crate) code: String,
    pub(crate) scheme: String,
    pub(crate) value_type: String,
}

/// The three tables.
#[derive(Debug, Clone)]
pub struct Tables {
    attributes: HashMap<Tag, Row>,
    /// Repeating groups: pattern, mask of the group and of the element, row.
    repeating: Vec<(Tag, Tag, Row)>,
    private: Row,
    pub(crate) content: HashMap<Concept, Row>,
    pub(crate) safe_private: HashMap<(u16, u8, String), VR>,
}

/// What is wrong with a table. The texts are the tables' own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A column is missing.
    #[error("table {table}: no column '{column}'")]
    Column {
        /// Number of the table.
        table: &'static str,
        /// Header that was looked for.
        column: String,
    },
    /// A row that cannot be understood.
    #[error("table {table}, line {line}: {what} '{text}'")]
    Cell {
        /// Number of the table.
        table: &'static str,
        /// Line, from one.
        line: usize,
        /// What was expected.
        what: &'static str,
        /// What stands there.
        text: String,
    },
}

impl Tables {
    /// Reads the tables from CSV with header rows, as in `config/ps3.15/`.
    ///
    /// # Errors
    /// A missing column, or a row that gives no rule: there is no partial table.
    pub fn parse(attributes: &str, safe_private: &str, structured: &str) -> Result<Self, TableError> {
        let mut tables = Self {
            attributes: HashMap::new(),
            repeating: Vec::new(),
            private: Row { basic: Action::X, options: [None; 10] },
            content: HashMap::new(),
            safe_private: HashMap::new(),
        };
        let csv = Csv::new("E.1-1", attributes);
        let (tag, basic, options) = (csv.column("Tag")?, csv.column("Basic Prof.")?, csv.options()?);
        for record in csv.records() {
            let row = csv.row(&record, basic, &options)?;
            tables.attribute(csv.cell(&record, tag), row).ok_or_else(|| csv.fault(&record, "tag", tag))?;
        }
        let csv = Csv::new("E.3.4-1", structured);
        let (code, scheme) = (csv.column("Code Value")?, csv.column("Coding Scheme Designator")?);
        let (value_type, basic, options) = (csv.column("Value Type")?, csv.column("Basic Prof.")?, csv.options()?);
        for record in csv.records() {
            let text = |column| csv.cell(&record, column).to_owned();
            let concept = Concept { code: text(code), scheme: text(scheme), value_type: text(value_type) };
            tables.content.insert(concept, csv.row(&record, basic, &options)?);
        }
        let csv = Csv::new("E.3.10-1", safe_private);
        let (tag, creator, vr) = (csv.column("Data Element")?, csv.column("Private Creator")?, csv.column("VR")?);
        for record in csv.records() {
            let pattern = csv.cell(&record, tag);
            let parsed = pattern.strip_prefix('(').and_then(|p| p.strip_suffix(')')).and_then(|p| {
                let (group, element) = p.split_once(",xx")?;
                Some((u16::from_str_radix(group, 16).ok()?, u8::from_str_radix(element, 16).ok()?))
            });
            let (group, element) = parsed.ok_or_else(|| csv.fault(&record, "tag", tag))?;
            // A row without VR, or with two, gives no rule by which its value could be judged: such attributes go.
            let Ok(vr) = csv.cell(&record, vr).parse::<VR>() else { continue };
            tables.safe_private.insert((group, element, csv.cell(&record, creator).to_owned()), vr);
        }
        Ok(tables)
    }

    fn attribute(&mut self, pattern: &str, row: Row) -> Option<()> {
        if pattern.contains("gggg is odd") {
            self.private = row;
            return Some(());
        }
        let (group, element) = pattern.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
        if group.len() != 4 || element.len() != 4 {
            return None;
        }
        let number = |text: &str, x: &str| u16::from_str_radix(&text.replace('x', x), 16).ok();
        let (tag, mask) = (Tag(number(group, "0")?, number(element, "0")?), Tag(mask_of(group), mask_of(element)));
        if mask == Tag(0xFFFF, 0xFFFF) {
            self.attributes.insert(tag, row);
        } else {
            self.repeating.push((tag, mask, row));
        }
        Some(())
    }

    /// Row of Table E.1-1 for `tag`, private and repeating groups included.
    pub fn row(&self, tag: Tag) -> Option<&Row> {
        if tag.0 % 2 == 1 {
            return Some(&self.private);
        }
        self.attributes.get(&tag).or_else(|| {
            let hit = |(pattern, mask, _): &&(Tag, Tag, Row)| Tag(tag.0 & mask.0, tag.1 & mask.1) == *pattern;
            self.repeating.iter().find(hit).map(|(_, _, row)| row)
        })
    }
}

/// Ones where the pattern has a digit, zeros where it has an x.
fn mask_of(pattern: &str) -> u16 {
    pattern.chars().fold(0, |mask, c| mask << 4 | if c == 'x' { 0 } else { 0xF })
}

/// A CSV text with a header (RFC 4180; no line breaks inside quotes).
struct Csv<'t> {
    table: &'static str,
    header: Vec<String>,
    lines: Vec<(usize, &'t str)>,
}

struct Record {
    line: usize,
    cells: Vec<String>,
}

impl<'t> Csv<'t> {
    fn new(table: &'static str, text: &'t str) -> Self {
        let mut lines = text.lines().enumerate().map(|(n, l)| (n + 1, l)).filter(|(_, l)| !l.trim().is_empty());
        let header = lines.next().map(|(_, l)| split(l)).unwrap_or_default();
        Self { table, header, lines: lines.collect() }
    }

    fn column(&self, name: &str) -> Result<usize, TableError> {
        self.header
            .iter()
            .position(|h| h == name)
            .ok_or_else(|| TableError::Column { table: self.table, column: name.to_owned() })
    }

    /// Columns of the options, in their order; content items have no column for some.
    fn options(&self) -> Result<[Option<usize>; TableOption::ALL.len()], TableError> {
        let columns = TableOption::ALL.map(|o| self.column(o.column()).ok());
        self.column(TableOption::RetainUids.column()).map(|_| columns)
    }

    fn records(&self) -> impl Iterator<Item = Record> {
        self.lines.iter().map(|(line, text)| Record { line: *line, cells: split(text) })
    }

    fn cell<'r>(&self, record: &'r Record, column: usize) -> &'r str {
        record.cells.get(column).map_or("", |c| c.trim())
    }

    fn fault(&self, record: &Record, what: &'static str, column: usize) -> TableError {
        TableError::Cell { table: self.table, line: record.line, what, text: self.cell(record, column).to_owned() }
    }

    fn row(&self, record: &Record, basic: usize, columns: &[Option<usize>; 10]) -> Result<Row, TableError> {
        let action = Action::parse(self.cell(record, basic)).ok_or_else(|| self.fault(record, "action", basic))?;
        let mut options = [None; TableOption::ALL.len()];
        for (slot, column) in options.iter_mut().zip(columns) {
            let Some(column) = *column else { continue };
            *slot = match self.cell(record, column) {
                "" => None,
                "K" => Some(Override::Keep),
                "C" => Some(Override::Clean),
                _ => return Err(self.fault(record, "override", column)),
            };
        }
        Ok(Row { basic: action, options })
    }
}

fn split(line: &str) -> Vec<String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            _ => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ATTRIBUTES: &str = include_str!("../../../../config/ps3.15/table_E.1-1_2026c.csv");
    pub(crate) const SAFE_PRIVATE: &str =
        include_str!("../../../../config/ps3.15/table_E.3.10-1_safe_private_2026c.csv");
    pub(crate) const STRUCTURED: &str =
        include_str!("../../../../config/ps3.15/table_E.3.4-1_structured_content_2026c.csv");

    pub(crate) fn tables() -> Tables {
        Tables::parse(ATTRIBUTES, SAFE_PRIVATE, STRUCTURED).unwrap()
    }

    #[test]
    fn every_row_of_every_table_gives_a_rule() {
        let tables = tables();
        let lines = |text: &str| text.lines().filter(|l| !l.trim().is_empty()).count() - 1;
        assert_eq!(tables.attributes.len() + tables.repeating.len() + 1, lines(ATTRIBUTES), "one rule a row");
        assert_eq!(tables.content.len(), lines(STRUCTURED));
        // Some rows state no VR, or two.
        assert!(tables.safe_private.len() > 460);
        for line in ATTRIBUTES.lines().skip(1) {
            let cells = split(line);
            let Some(tag) = cells[1].strip_prefix('(').and_then(|t| t.split_once(',')) else { panic!("{line}") };
            let hex = |t: &str| u16::from_str_radix(&t[..4].replace('x', "0"), 16);
            let tag = match (hex(tag.0), hex(tag.1)) {
                (Ok(group), Ok(element)) => Tag(group, element),
                _ => Tag(9, 0x1001),
            };
            let row = tables.row(tag).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(Some(row.basic), Action::parse(&cells[4]), "{line}");
            for (n, option) in TableOption::ALL.into_iter().enumerate() {
                let expected = match cells[5 + n].as_str() {
                    "K" => Some(Override::Keep),
                    "C" => Some(Override::Clean),
                    _ => None,
                };
                assert_eq!(row.option(option), expected, "{line}");
            }
        }
    }

    #[test]
    fn repeating_and_private_groups_match_every_member() {
        let tables = tables();
        for tag in
            [Tag(0x5000, 0x3000), Tag(0x50FE, 0x0005), Tag(0x6002, 0x3000), Tag(0x60FE, 0x4000), Tag(0x29, 0x1010)]
        {
            assert_eq!(tables.row(tag).map(|r| r.basic), Some(Action::X), "{tag}");
        }
        assert_eq!(tables.row(Tag(0x6000, 0x0010)), None);
        assert_eq!(tables.row(Tag(0x0028, 0x0010)), None);
    }

    #[test]
    fn a_row_that_gives_no_rule_is_an_error_that_names_its_line() {
        let spoilt = ATTRIBUTES.replacen(",N,Y,Z,", ",N,Y,Q,", 1);
        let error = Tables::parse(&spoilt, SAFE_PRIVATE, STRUCTURED).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("'Q'"), "{error}");
        assert!(Tables::parse("Tag\n", SAFE_PRIVATE, STRUCTURED).is_err());
    }
}
