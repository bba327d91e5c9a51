//! pydicom/deid recipes: `%filter NAME` sections of `LABEL`s with conditions and coordinates. Every label that is true of an image
//! applies (pydicom.github.io/deid, "Recipe"; deid/config/utils.py, deid/dicom/filter.py, deid/dicom/pixels/detect.py).

use super::{
    Problem,
    rule::{Area, Attribute, How, Parsed, Rule, Test},
};

/// What a label's line may begin with to be a condition.
const CONDITIONS: [&str; 7] = ["contains", "notcontains", "equals", "notequals", "missing", "present", "empty"];

/// Reads a recipe.
pub(super) fn read(text: &str) -> Result<Parsed, Problem> {
    let (mut rules, mut problems): Parsed = Default::default();
    let mut section = String::new();
    let mut format = false;
    let mut label: Option<Label> = None;
    for (number, line) in (1..).zip(text.lines()) {
        // A comment ends a line; there is no quoting.
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if first.eq_ignore_ascii_case("format") {
            if !rest.trim().eq_ignore_ascii_case("dicom") {
                return Err(Problem::at(number, "not a recipe of FORMAT dicom"));
            }
            format = true;
        } else if !format {
            return Err(Problem::at(number, "a recipe begins with FORMAT dicom"));
        } else if let Some(name) = line.strip_prefix('%') {
            finish(label.take(), &mut rules, &mut problems);
            section = name.split_whitespace().next().unwrap_or_default().to_lowercase();
        } else if section == "filter" && first.eq_ignore_ascii_case("label") {
            finish(label.replace(Label::at(number)), &mut rules, &mut problems);
        } else if let Some(label) = label.as_mut().filter(|_| section == "filter") {
            label.member(number, line, &mut problems);
        } else if section == "filter" {
            problems.push(Problem::at(number, "stands before the first LABEL"));
        } else {
            let what = format!(
                "{first}: what becomes of attributes is said by a profile (config/profiles), not by a template"
            );
            problems.push(Problem::at(number, what));
        }
    }
    finish(label, &mut rules, &mut problems);
    if format { Ok((rules, problems)) } else { Err(Problem::at(1, "a recipe begins with FORMAT dicom")) }
}

/// A label being read.
struct Label {
    rule: Rule,
    /// Some line of it has no meaning here, and was reported.
    broken: bool,
}

fn finish(label: Option<Label>, rules: &mut Vec<Rule>, problems: &mut Vec<Problem>) {
    let Some(Label { rule, broken }) = label else { return };
    let blanks = !rule.blank.is_empty() || rule.blank_all;
    if !blanks && !broken {
        problems.push(Problem::at(rule.line, "a label without coordinates flags or clears images, and blanks nothing"));
    }
    if blanks && !broken {
        rules.push(rule);
    }
}

impl Label {
    fn at(line: usize) -> Self {
        Self { rule: Rule { line, ..Rule::default() }, broken: false }
    }

    fn member(&mut self, line: usize, text: &str, problems: &mut Vec<Problem>) {
        let mut wrong = |what: String| {
            self.broken = true;
            problems.push(Problem::at(line, what));
        };
        let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let word = first.to_lowercase();
        if let Some(kind) = word.strip_suffix("coordinates") {
            return match coordinates(&mut self.rule, line, kind, rest.trim()) {
                Ok(()) => {}
                Err(what) => wrong(what),
            };
        }
        if text.contains("||") {
            return wrong("|| : what it binds differs between versions of deid".to_owned());
        }
        // Several conditions may stand on a line, joined by a +; one in a value is followed by no condition.
        let mut rest = text.strip_prefix('+').unwrap_or(text).trim();
        while !rest.is_empty() {
            let next = rest.match_indices('+').find(|(at, _)| {
                let word = rest[at + 1..].split_whitespace().next().unwrap_or_default().to_lowercase();
                CONDITIONS.contains(&word.as_str())
            });
            let (one, more) = next.map_or((rest, ""), |(at, _)| (&rest[..at], &rest[at + 1..]));
            match condition(line, one.trim()) {
                Ok(test) => self.rule.tests.push(test),
                Err(what) => return wrong(what),
            }
            rest = more.trim();
        }
    }
}

fn condition(line: usize, text: &str) -> Result<Test, String> {
    let mut words = text.splitn(3, char::is_whitespace);
    let (action, field) = (words.next().unwrap_or_default().to_lowercase(), words.next().unwrap_or_default());
    let value = words.next().unwrap_or_default().trim();
    if !CONDITIONS.contains(&action.as_str()) {
        return Err(format!("{action:?} is no condition and no coordinates"));
    }
    if field.is_empty() {
        return Err(format!("{action} of which attribute?"));
    }
    let needs_value = matches!(action.as_str(), "contains" | "notcontains" | "equals" | "notequals");
    if needs_value && value.is_empty() {
        return Err(format!("{action} what?"));
    }
    let attribute = Attribute::of(field);
    // `contains` searches for a regular expression; of these only alternatives are understood.
    let plain = |c: char| c.is_alphanumeric() || " |_-/&,".contains(c);
    let (how, values) = match action.as_str() {
        "equals" => (How::Equals { case: false }, vec![value.to_owned()]),
        "contains" if value.chars().all(plain) => {
            (How::Contains { case: false }, value.split('|').map(|v| v.trim().to_owned()).collect())
        }
        "contains" => (How::Other("regular expression".to_owned()), vec![value.to_owned()]),
        "present" => (How::Present, Vec::new()),
        other => (How::Other(other.to_owned()), Vec::new()),
    };
    Ok(Test { line, attribute, how, values })
}

/// Takes a line of coordinates, in the order of which deid blanks and keeps.
fn coordinates(rule: &mut Rule, line: usize, kind: &str, value: &str) -> Result<(), String> {
    let (keeps, by_size) = match kind {
        "" => (false, false),
        "ctp" => (false, true),
        "keep" => (true, false),
        "ctpkeep" => (true, true),
        other => return Err(format!("{other}coordinates are none of deid's")),
    };
    if keeps && !rule.blank_all {
        return Err(
            "keeps what is not blanked before; only after \"coordinates all\" does a template say so".to_owned()
        );
    }
    if keeps && !rule.blank.is_empty() {
        return Err("keeps part of what is blanked before it; a template blanks its regions in any case".to_owned());
    }
    match value {
        "all" if !keeps && rule.keep.is_empty() && !rule.inside_ultrasound_regions => rule.blank_all = true,
        "all" => return Err("\"all\" after what is kept, or to be kept".to_owned()),
        _ if value.starts_with("from:") => {
            let field = Attribute::of(&value["from:".len()..]);
            if !keeps || field.tag != Some(dicom_dictionary_std::tags::SEQUENCE_OF_ULTRASOUND_REGIONS) {
                return Err(
                    "from: is only understood of what is kept, and of Sequence of Ultrasound Regions".to_owned()
                );
            }
            if !rule.keep.is_empty() {
                return Err("keeps ultrasound regions and rectangles: a template keeps what is in both".to_owned());
            }
            rule.inside_ultrasound_regions = true;
        }
        _ => {
            let numbers: Option<Vec<i64>> = value.split(',').map(|n| n.trim().parse().ok()).collect();
            let Some(&[x, y, c, d]) = numbers.as_deref() else { return Err("not four numbers".to_owned()) };
            let (width, height) = if by_size { (c, d) } else { (c.saturating_sub(x), d.saturating_sub(y)) };
            if x < 0 || y < 0 || width <= 0 || height <= 0 {
                return Err("not a rectangle".to_owned());
            }
            let area = Area { line, xywh: [x, y, width, height] };
            if keeps && rule.inside_ultrasound_regions {
                return Err("keeps ultrasound regions and rectangles: a template keeps what is in both".to_owned());
            }
            if keeps { rule.keep.push(area) } else { rule.blank.push(area) }
        }
    }
    Ok(())
}
