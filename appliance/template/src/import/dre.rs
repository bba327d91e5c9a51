//! Stanford dicom-dre device catalogues: `device(name, action, …)` in Python. The first `allow` or `deny` that is true of an image
//! decides; `scrub` applies besides (github.com/susom/dicom-dre, docs/concepts/device-catalog.md).

use super::{
    Problem,
    python::{self, Spanned, Value},
    rule::{Area, Attribute, How, Parsed, Rule, Test},
};

/// Fields and what they compare; others are no attributes.
const FIELDS: [(&str, &str); 17] = [
    ("manufacturer", "Manufacturer"),
    ("modality", "Modality"),
    ("manufacturer_model_name", "ManufacturerModelName"),
    ("software_versions", "SoftwareVersions"),
    ("image_type", "ImageType"),
    ("image_type_any", "ImageType"),
    ("image_type_exclude", "ImageType"),
    ("burned_in_annotation", "BurnedInAnnotation"),
    ("sop_class_uid", "SOPClassUID"),
    ("secondary_capture_device_manufacturer_model_name", "SecondaryCaptureDeviceManufacturerModelName"),
    ("series_description", "SeriesDescription"),
    ("code_meaning", "CodeMeaning"),
    ("comments_on_radiation_dose", "CommentsOnRadiationDose"),
    ("study_description", "StudyDescription"),
    ("conversion_type", "ConversionType"),
    ("pixel_spacing", "PixelSpacing"),
    ("body_part_examined", "BodyPartExamined"),
];

/// Named arguments.
type Arguments<'a> = Vec<(&'a str, &'a Spanned)>;

/// Reads a catalogue.
pub(super) fn read(text: &str) -> Result<Parsed, Problem> {
    let (mut rules, mut problems): Parsed = Default::default();
    for call in python::calls(text, &["device", "deny_when", "deny_modalities"])? {
        let Value::Call(name, arguments) = &call.value else { continue };
        if name != "device" {
            problems.push(Problem::at(
                call.line,
                format!("{name}: a box holds what no template matches, without being told"),
            ));
            continue;
        }
        match device(call.line, arguments, &mut problems) {
            Ok(found) => rules.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    Ok((rules, problems))
}

/// The rules of one device, one for each variant that blanks something.
fn device(
    line: usize,
    arguments: &[(Option<String>, Spanned)],
    problems: &mut Vec<Problem>,
) -> Result<Vec<Rule>, Problem> {
    let mut positional = arguments.iter().filter(|(name, _)| name.is_none()).map(|(_, v)| v);
    let named: Arguments<'_> = arguments.iter().filter_map(|(name, v)| Some((name.as_deref()?, v))).collect();
    let argument = |name: &str| named.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let _name = positional.next().or_else(|| argument("name"));
    let action = match positional.next().or_else(|| argument("action")).map(|v| &v.value) {
        Some(Value::Text(action)) => action.as_str(),
        _ => return Err(Problem::at(line, "a device without its action")),
    };
    if !matches!(action, "allow" | "scrub") {
        return Err(Problem::at(line, format!("{action}: a box holds what no template matches, without being told")));
    }
    let mut common = Rule { line, also: action == "scrub", ..Rule::default() };
    let mut own: Arguments<'_> = Vec::new();
    let mut variants = None;
    for (name, value) in &named {
        match *name {
            "name" | "action" => {}
            "rows" | "cols" | "scrub" => own.push((name, value)),
            "variants" => variants = Some(*value),
            "preserved_private_tags" => {
                let what = "preserved_private_tags: what becomes of attributes is said by a profile, not by a template";
                problems.push(Problem::at(value.line, what));
            }
            _ => common.tests.extend(test(name, value)?),
        }
    }
    let Some(variants) = variants.filter(|v| !matches!(&v.value, Value::Word(w) if w == "None")) else {
        return Ok(variant(&common, line, &own, problems)?.into_iter().collect());
    };
    let Value::List(variants) = &variants.value else {
        return Err(Problem::at(variants.line, "variants that are no literal list"));
    };
    let mut rules = Vec::new();
    for each in variants {
        match &each.value {
            Value::Call(name, arguments) if name == "variant" => {
                let named: Option<Arguments<'_>> = arguments.iter().map(|(n, v)| Some((n.as_deref()?, v))).collect();
                let named = named.ok_or_else(|| Problem::at(each.line, "a variant with arguments without names"))?;
                match variant(&common, each.line, &named, problems) {
                    Ok(rule) => rules.extend(rule),
                    Err(problem) => problems.push(problem),
                }
            }
            _ => problems.push(Problem::at(each.line, "not a variant(…)")),
        }
    }
    Ok(rules)
}

/// The rule of a variant, when it blanks something.
fn variant(
    common: &Rule,
    line: usize,
    arguments: &Arguments<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Option<Rule>, Problem> {
    let mut rule = Rule { line, ..common.clone() };
    for (name, value) in arguments {
        if matches!(&value.value, Value::Word(word) if word == "None") {
            continue;
        }
        match *name {
            "rows" | "cols" => {
                let Value::Number(number) = value.value else {
                    return Err(Problem::at(value.line, format!("{name}: not a literal number")));
                };
                rule.tests.push(Test {
                    line: value.line,
                    attribute: Attribute::of(if *name == "rows" { "Rows" } else { "Columns" }),
                    how: How::Equals { case: true },
                    values: vec![number.to_string()],
                });
            }
            "scrub" => rule.blank = areas(value)?,
            _ => rule.tests.extend(test(name, value)?),
        }
    }
    if rule.blank.is_empty() {
        let what = "blanks nothing: what is clear without a template is said by never-burnt-in.toml";
        problems.push(Problem::at(line, what));
        return Ok(None);
    }
    Ok(Some(rule))
}

fn areas(value: &Spanned) -> Result<Vec<Area>, Problem> {
    let bad = |line: usize| Problem::at(line, "not a literal list of (x, y, width, height)");
    let Value::List(areas) = &value.value else { return Err(bad(value.line)) };
    areas
        .iter()
        .map(|area| {
            let Value::List(numbers) = &area.value else { return Err(bad(area.line)) };
            let numbers: Option<Vec<i64>> =
                numbers.iter().map(|n| if let Value::Number(n) = n.value { Some(n) } else { None }).collect();
            match numbers.as_deref() {
                Some(&[x, y, width, height]) if x >= 0 && y >= 0 && width > 0 && height > 0 => {
                    Ok(Area { line: area.line, xywh: [x, y, width, height] })
                }
                _ => Err(bad(area.line)),
            }
        })
        .collect()
}

/// The tests that a field makes: patterns of a list are alternatives.
fn test(field: &str, value: &Spanned) -> Result<Option<Test>, Problem> {
    let line = value.line;
    if matches!(&value.value, Value::Word(word) if word == "None") {
        return Ok(None);
    }
    if field == "requires_ultrasound_regions" {
        let attribute = Attribute::of("SequenceOfUltrasoundRegions");
        return match &value.value {
            Value::Word(word) if word == "False" => Ok(None),
            _ => Ok(Some(Test { line, attribute, how: How::Present, values: Vec::new() })),
        };
    }
    let Some((_, keyword)) = FIELDS.iter().find(|(name, _)| *name == field) else {
        return Err(Problem::at(line, format!("{field} is no field of a device")));
    };
    let attribute = Attribute::of(keyword);
    let texts: Option<Vec<&str>> = match &value.value {
        Value::Text(text) => Some(vec![text]),
        Value::List(items) => {
            items.iter().map(|i| if let Value::Text(text) = &i.value { Some(text.as_str()) } else { None }).collect()
        }
        _ => None,
    };
    let texts =
        texts.filter(|t| !t.is_empty()).ok_or_else(|| Problem::at(line, format!("{field}: no literal text")))?;
    let patterns: Vec<(How, String)> = texts.into_iter().map(pattern).collect();
    let how = patterns[0].0.clone();
    if patterns.iter().any(|(other, _)| *other != how) {
        let how = How::Other("patterns of several kinds".to_owned());
        return Ok(Some(Test { line, attribute, how, values: Vec::new() }));
    }
    Ok(Some(Test { line, attribute, how, values: patterns.into_iter().map(|(_, word)| word).collect() }))
}

/// How a pattern compares, and with what word.
fn pattern(text: &str) -> (How, String) {
    let other = |what: &str| (How::Other(what.to_owned()), String::new());
    if let Some(expression) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
        let plain = |c: char| c.is_alphanumeric() || " _-/&,".contains(c);
        // Of regular expressions only the exact value is understood.
        let (case, rest) = match expression.strip_prefix("(?i)") {
            Some(rest) => (false, rest),
            None => (true, expression),
        };
        let word = rest.strip_prefix('^').and_then(|t| t.strip_suffix('$'));
        let word = word.map(|w| w.replace("\\/", "/").replace("\\.", "\u{0}"));
        return match word {
            Some(word) if word.chars().all(|c| plain(c) || c == '\u{0}') => {
                (How::Equals { case }, word.replace('\u{0}', "."))
            }
            _ => other("regular expression"),
        };
    }
    if text == "=" {
        return other("absent or empty");
    }
    match text.strip_prefix('=') {
        Some(word) => (How::Equals { case: false }, word.to_owned()),
        None => match text.strip_prefix('^') {
            Some(word) => (How::StartsWith { case: false }, word.to_owned()),
            None => (How::Contains { case: false }, text.to_owned()),
        },
    }
}
