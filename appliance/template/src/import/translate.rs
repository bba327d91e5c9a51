//! A rule as the conditions of templates.

use std::collections::{BTreeMap, BTreeSet};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use gift_redact::{Conditions, Photometric, Syntax};

use super::{
    Format, Options, Problem,
    rule::{Area, How, Rule, Test},
};
use crate::{draft::Draft, policy::Policy};

/// SOP classes of objects of modality US that are no screen captures.
const ULTRASOUND: [&str; 4] = [
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
];
/// Most templates of one rule.
const MOST: usize = 256;

/// What a rule became.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) drafts: Vec<Part>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<Problem>,
}

/// A template without its name.
pub(super) struct Part {
    line: usize,
    conditions: Conditions,
    regions: Vec<[i32; 4]>,
    keep: Vec<[i32; 4]>,
    inside_ultrasound_regions: bool,
}

impl Part {
    /// With id and source.
    pub(super) fn named(self, format: Format, file: &str, number: usize, whole: bool) -> Draft {
        let Conditions { rows, columns, .. } = self.conditions;
        let part = if whole { "" } else { ", in part: conditions that no template can state are left out" };
        Draft {
            id: format!("{}-line-{}-{number}-{columns}x{rows}", format.word(), self.line),
            source: format!("imported from {} {file}, line {}{part}", format.title(), self.line),
            notes: Vec::new(),
            conditions: self.conditions,
            regions: self.regions,
            keep: self.keep,
            inside_ultrasound_regions: self.inside_ultrasound_regions,
            anchors: Vec::new(),
        }
    }
}

/// Translates one rule.
pub(super) fn rule(rule: &Rule, policy: &Policy, options: &Options) -> Translated {
    let mut out = Translated::default();
    // Tests by attribute; those that a template cannot state are problems.
    let mut by_tag: BTreeMap<Tag, Vec<&Test>> = BTreeMap::new();
    for test in &rule.tests {
        match test.attribute.tag {
            // No list knows the versions that begin so, or have such a word.
            Some(tags::SOFTWARE_VERSIONS) if !matches!(test.how, How::Equals { .. }) => {
                let what = "SoftwareVersions: a template names each version; which are meant cannot be told";
                out.problems.push(Problem::at(test.line, what));
            }
            Some(tag) if is_condition(tag) && !matches!(test.how, How::Present | How::Other(_)) => {
                by_tag.entry(tag).or_default().push(test);
            }
            // Who keeps the inside of the ultrasound regions only, holds what has none.
            Some(tags::SEQUENCE_OF_ULTRASOUND_REGIONS)
                if test.how == How::Present && rule.inside_ultrasound_regions => {}
            _ => out.problems.push(Problem::at(test.line, unstated(test))),
        }
    }
    let mut choose = |tag: Tag, more: &mut dyn Iterator<Item = &str>| -> Option<Option<Vec<String>>> {
        let Some(tests) = by_tag.get(&tag) else { return Some(None) };
        let values = chosen(tests, more);
        let first = tests[0];
        let name = &first.attribute.name;
        if values.is_empty() {
            out.problems.push(Problem::at(first.line, format!("no known value of {name} is meant")));
            return None;
        }
        for test in tests.iter().filter(|t| !t.how.is_exact()) {
            let what = format!("{name}: known values that are meant: {}; a box holds others", values.len());
            out.notes.push(Problem::at(test.line, what));
        }
        Some(Some(values))
    };
    let classes = &mut policy.sop_classes.iter().map(String::as_str);
    let syntaxes = &mut Syntax::REDACTED.iter().copied();
    let (Some(manufacturers), Some(models), Some(versions), Some(sop), Some(photometric), Some(syntax)) = (
        choose(tags::MANUFACTURER, &mut policy.vocabulary.manufacturers()),
        choose(tags::MANUFACTURER_MODEL_NAME, &mut policy.vocabulary.models()),
        choose(tags::SOFTWARE_VERSIONS, &mut std::iter::empty()),
        choose(tags::SOP_CLASS_UID, classes),
        choose(tags::PHOTOMETRIC_INTERPRETATION, &mut Photometric::ALL.iter().map(|p| p.as_str())),
        choose(tags::TRANSFER_SYNTAX_UID, syntaxes),
    ) else {
        return out;
    };
    let sop = modality(by_tag.get(&tags::MODALITY), sop, &mut out);
    let mut number = |tag: Tag| match by_tag.get(&tag) {
        None => Ok(None),
        Some(tests) => {
            let of = |text: &String| text.parse::<u16>().ok();
            let numbers: BTreeSet<u16> = chosen(tests, &mut std::iter::empty()).iter().filter_map(of).collect();
            if numbers.is_empty() {
                let what = format!("{}: not one number", tests[0].attribute.name);
                out.problems.push(Problem::at(tests[0].line, what));
                return Err(());
            }
            Ok(Some(numbers.into_iter().collect::<Vec<_>>()))
        }
    };
    let (Ok(rows), Ok(columns), Ok(samples)) =
        (number(tags::ROWS), number(tags::COLUMNS), number(tags::SAMPLES_PER_PIXEL))
    else {
        return out;
    };
    if manufacturers.is_none() && models.is_none() {
        out.problems.push(Problem::at(rule.line, "states neither Manufacturer nor Model; a template must"));
        return out;
    }
    let sizes = sizes(rule, rows.as_deref(), columns.as_deref(), options, &mut out.problems);
    let open = |values: Option<Vec<String>>| values.map_or(vec![None], |v| v.into_iter().map(Some).collect());
    let samples = samples.map_or(vec![None], |s| s.into_iter().map(Some).collect());
    let (manufacturers, models) = (open(manufacturers), open(models));
    if sizes.len() * manufacturers.len() * models.len() * samples.len() > MOST {
        out.problems.push(Problem::at(rule.line, format!("would be more than {MOST} templates")));
        return out;
    }
    for (columns, rows) in sizes {
        let Some((regions, keep)) = geometry(rule, columns, rows, &mut out) else { continue };
        for manufacturer in &manufacturers {
            for model in &models {
                out.drafts.extend(samples.iter().map(|&samples| Part {
                    line: rule.line,
                    conditions: Conditions {
                        manufacturer: manufacturer.clone(),
                        model: model.clone(),
                        software_versions: versions.clone(),
                        sop_classes: sop.clone(),
                        rows,
                        columns,
                        samples,
                        photometric_interpretations: photometric.clone(),
                        transfer_syntaxes: syntax.clone(),
                        ultrasound_regions: None,
                    },
                    regions: regions.clone(),
                    keep: keep.clone(),
                    inside_ultrasound_regions: rule.inside_ultrasound_regions,
                }));
            }
        }
    }
    out
}

/// True for attributes that conditions speak of.
fn is_condition(tag: Tag) -> bool {
    [
        tags::MANUFACTURER,
        tags::MANUFACTURER_MODEL_NAME,
        tags::SOFTWARE_VERSIONS,
        tags::SOP_CLASS_UID,
        tags::MODALITY,
        tags::PHOTOMETRIC_INTERPRETATION,
        tags::TRANSFER_SYNTAX_UID,
        tags::ROWS,
        tags::COLUMNS,
        tags::SAMPLES_PER_PIXEL,
    ]
    .contains(&tag)
}

fn unstated(test: &Test) -> String {
    let name = &test.attribute.name;
    match (&test.how, test.attribute.tag) {
        (How::Other(how), Some(tag)) if is_condition(tag) => format!("{name}: no template can state \"{how}\""),
        (_, None) => format!("{name} is no attribute of the standard"),
        _ => format!("{name} is no condition of a template"),
    }
}

/// The values, among the words of `tests` and `more`, for which all tests hold.
fn chosen(tests: &[&Test], more: &mut dyn Iterator<Item = &str>) -> Vec<String> {
    let words = tests.iter().flat_map(|t| &t.values).map(|w| w.trim().to_owned());
    let all: BTreeSet<String> = words.chain(more.map(str::to_owned)).filter(|w| !w.is_empty()).collect();
    all.into_iter().filter(|value| tests.iter().all(|t| t.how.holds(value, &t.values))).collect()
}

/// Modality is no condition, but US is what the ultrasound classes have.
fn modality(tests: Option<&Vec<&Test>>, classes: Option<Vec<String>>, out: &mut Translated) -> Option<Vec<String>> {
    let Some(tests) = tests else { return classes };
    let line = tests[0].line;
    if !tests.iter().all(|t| t.how.holds("US", &t.values)) {
        out.problems
            .push(Problem::at(line, "Modality is no condition of a template; only US can be said by SOP classes"));
        return classes;
    }
    let ultrasound = |uid: &String| ULTRASOUND.contains(&uid.as_str());
    match classes {
        Some(stated) if stated.iter().all(ultrasound) => Some(stated),
        Some(stated) if stated.iter().any(ultrasound) => {
            out.notes.push(Problem::at(line, "Modality US: only the ultrasound classes among those stated"));
            Some(stated.into_iter().filter(ultrasound).collect())
        }
        Some(stated) => {
            out.problems.push(Problem::at(line, "Modality US with SOP classes that are none of ultrasound"));
            Some(stated)
        }
        None => {
            out.notes
                .push(Problem::at(line, "Modality US: stands for the ultrasound classes; a box holds screen captures"));
            Some(ULTRASOUND.map(str::to_owned).to_vec())
        }
    }
}

/// The sizes (columns, rows) that the rule is for.
fn sizes(
    rule: &Rule,
    rows: Option<&[u16]>,
    columns: Option<&[u16]>,
    options: &Options,
    problems: &mut Vec<Problem>,
) -> Vec<(u16, u16)> {
    if let (Some(rows), Some(columns)) = (rows, columns) {
        return columns.iter().flat_map(|c| rows.iter().map(move |r| (*c, *r))).collect();
    }
    let fits = |stated: Option<&[u16]>, size: u16| stated.is_none_or(|s| s.contains(&size));
    let given: Vec<_> = options.sizes.iter().copied().filter(|&(c, r)| fits(columns, c) && fits(rows, r)).collect();
    if given.is_empty() {
        let open = match (rows, columns) {
            (Some(_), None) => "leaves Columns open",
            (None, Some(_)) => "leaves Rows open",
            _ => "leaves Rows and Columns open",
        };
        let what = format!("{open}; a template is for one size: give --size COLUMNSxROWS to say for which");
        problems.push(Problem::at(rule.line, what));
    }
    given
}

/// Regions and kept rectangles on an image of that size, clipped to it as peers do.
#[allow(clippy::type_complexity, reason = "two lists of rectangles")]
fn geometry(rule: &Rule, columns: u16, rows: u16, out: &mut Translated) -> Option<(Vec<[i32; 4]>, Vec<[i32; 4]>)> {
    let mut clip = |areas: &[Area]| {
        let mut found: Vec<[i32; 4]> = Vec::new();
        for area in areas {
            match clipped(area.xywh, columns, rows) {
                Some(rect) if rect[2..].iter().zip(&area.xywh[2..]).any(|(is, was)| i64::from(*is) != *was) => {
                    out.notes.push(Problem::at(area.line, format!("clipped to the image of {columns}x{rows}")));
                    found.push(rect);
                }
                Some(rect) => found.push(rect),
                None => out.notes.push(Problem::at(area.line, format!("outside of an image of {columns}x{rows}"))),
            }
        }
        without_inner(found)
    };
    let (regions, keep) = (clip(&rule.blank), clip(&rule.keep));
    if rule.inside_ultrasound_regions && regions.is_empty() {
        // Regions that span the whole image are common, and would keep the banner.
        let what = "keeps whatever the object's own ultrasound regions say; a template has regions of its own besides";
        out.problems.push(Problem::at(rule.line, what));
        return None;
    }
    if rule.blank_all && keep.is_empty() && !rule.inside_ultrasound_regions {
        out.problems.push(Problem::at(rule.line, "blanks the whole image; a box holds what no template matches"));
        return None;
    }
    if regions.is_empty() && keep.is_empty() {
        let what = format!("blanks nothing of an image of {columns}x{rows}; a template must");
        out.problems.push(Problem::at(rule.line, what));
        return None;
    }
    Some((regions, keep))
}

fn clipped([x, y, width, height]: [i64; 4], columns: u16, rows: u16) -> Option<[i32; 4]> {
    let side = |at: i64, extent: i64, size: u16| {
        let size = i64::from(size);
        let start = if at < 0 { size.saturating_add(at) } else { at };
        let (from, to) = (start.clamp(0, size), start.saturating_add(extent).clamp(0, size));
        (from < to).then_some((from as i32, (to - from) as i32))
    };
    let ((x, width), (y, height)) = (side(x, width, columns)?, side(y, height, rows)?);
    Some([x, y, width, height])
}

/// Without rectangles that stand wholly in another.
pub(super) fn without_inner(mut rects: Vec<[i32; 4]>) -> Vec<[i32; 4]> {
    let inside = |[x, y, w, h]: [i32; 4], [u, v, width, height]: [i32; 4]| {
        u <= x && v <= y && x + w <= u + width && y + h <= v + height
    };
    rects.sort_unstable_by_key(|[x, y, w, h]| (std::cmp::Reverse(i64::from(*w) * i64::from(*h)), *y, *x));
    let mut kept: Vec<[i32; 4]> = Vec::new();
    for rect in rects {
        if !kept.iter().any(|outer| inside(rect, *outer)) {
            kept.push(rect);
        }
    }
    kept.sort_unstable_by_key(|[x, y, ..]| (*y, *x));
    kept
}
