//! Reading templates from TOML: what is wrong in a file, or in a set of them, is an error here.

use super::{Conditions, Template, Templates, Verified};
use crate::{anchor::Anchor, image::Photometric, mask::Region, shape::Shape};
use serde::Deserialize;
use toml::Spanned;

/// What is wrong with a template file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct TemplateError {
    /// Name of the file, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

impl TemplateError {
    pub(crate) fn at(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.into(), line, what: what.into() }
    }

    pub(crate) fn toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        Self::at(file, error.span().map_or(1, |s| line_of(text, s.start)), error.message())
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&b| b == b'\n').count() + 1
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    version: u16,
    #[serde(default, rename = "template")]
    templates: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    source: String,
    #[serde(rename = "match")]
    conditions: Spanned<Conditions>,
    #[serde(default)]
    regions: Vec<Spanned<Region>>,
    #[serde(default)]
    keep: Vec<Spanned<Shape>>,
    keep_inside_ultrasound_regions: Option<Spanned<bool>>,
    #[serde(default)]
    anchors: Vec<Spanned<Anchor>>,
    verified: Option<Verified>,
}

/// A template and where its parts stand.
pub(super) struct Read {
    pub(super) template: Template,
    pub(super) file: String,
    pub(super) lines: Lines,
}

/// Line of each part of a template, from 1.
pub(super) struct Lines {
    pub(super) id: usize,
    pub(super) regions: Vec<usize>,
    pub(super) keep: Vec<usize>,
    pub(super) anchors: Vec<usize>,
    /// Of the conditions, by key.
    conditions: Vec<(String, usize)>,
}

impl Lines {
    /// Where the condition of that key stands.
    pub(super) fn condition(&self, key: &str) -> usize {
        self.conditions.iter().find(|(k, _)| k == key).map_or(self.id, |(_, line)| *line)
    }
}

impl Read {
    pub(super) fn error(&self, line: usize, what: impl Into<String>) -> TemplateError {
        TemplateError::at(&self.file, line, what)
    }

    /// Whether it can stand in a set with `other`.
    pub(super) fn beside(&self, other: &Self) -> Result<(), TemplateError> {
        let (this, that) = (&self.template, &other.template);
        if this.id == that.id {
            return Err(self.error(self.lines.id, "this id stands twice"));
        }
        if this.conditions.specificity() == that.conditions.specificity() && this.conditions.overlaps(&that.conditions)
        {
            return Err(self.error(self.lines.id, format!("matches the same images as {}", that.id)));
        }
        Ok(())
    }
}

impl Templates {
    /// Reads template files, each a name (for errors) and its text.
    ///
    /// # Errors
    /// The first thing wrong: not the expected TOML; a region, shape or anchor that is empty or reaches outside the image; an id or
    /// a match that stands twice; a verified template that leaves a condition open or does not say by whom, when and why.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, TemplateError> {
        let mut all: Vec<Read> = Vec::new();
        for (name, text) in files {
            for read in file(name.as_ref(), text.as_ref())? {
                all.iter().try_for_each(|other| read.beside(other))?;
                all.push(read);
            }
        }
        Ok(Self { templates: all.into_iter().map(|read| read.template).collect() })
    }
}

/// Reads one file.
pub(super) fn file(name: &str, text: &str) -> Result<Vec<Read>, TemplateError> {
    let file: File = toml::from_str(text).map_err(|e| TemplateError::toml(name, text, &e))?;
    if file.version != 1 {
        return Err(TemplateError::at(name, 1, "version is not 1"));
    }
    if file.templates.is_empty() {
        return Err(TemplateError::at(name, 1, "no template"));
    }
    file.templates.into_iter().map(|entry| template(entry, name, text)).collect()
}

fn template(entry: Entry, name: &str, text: &str) -> Result<Read, TemplateError> {
    let line = |at: std::ops::Range<usize>| line_of(text, at.start);
    let id_line = line(entry.id.span());
    let error = |line: usize, what: &dyn std::fmt::Display| TemplateError::at(name, line, what.to_string());
    let conditions_span = entry.conditions.span();
    let conditions = entry.conditions.into_inner();
    let (rows, columns) = (conditions.rows, conditions.columns);
    if entry.regions.is_empty() && entry.keep.is_empty() {
        return Err(match &entry.keep_inside_ultrasound_regions {
            Some(at) => {
                error(line(at.span()), &"keep-inside-ultrasound-regions narrows regions or keep, and is no rule alone")
            }
            None => error(id_line, &"no region to blank, and no shape to keep"),
        });
    }
    let lines = Lines {
        id: id_line,
        regions: entry.regions.iter().map(|r| line(r.span())).collect(),
        keep: entry.keep.iter().map(|s| line(s.span())).collect(),
        anchors: entry.anchors.iter().map(|a| line(a.span())).collect(),
        conditions: keys(text, conditions_span.start),
    };
    for (region, line) in entry.regions.iter().zip(&lines.regions) {
        region.get_ref().resolve(rows, columns).map_err(|e| error(*line, &e))?;
    }
    for (shape, line) in entry.keep.iter().zip(&lines.keep) {
        shape.get_ref().check(rows, columns).map_err(|e| error(*line, &e))?;
    }
    let mut anchors = Vec::with_capacity(entry.anchors.len());
    for (anchor, line) in entry.anchors.into_iter().zip(&lines.anchors) {
        let anchor = anchor.into_inner();
        if matches!(anchor, Anchor::Digest { .. }) && !conditions.is_lossless() {
            return Err(error(*line, &"a digest needs transfer-syntaxes that all are lossless"));
        }
        anchors.push(anchor.place(rows, columns).map_err(|e| error(*line, &e))?);
    }
    let template = Template {
        id: entry.id.into_inner(),
        conditions,
        regions: entry.regions.into_iter().map(Spanned::into_inner).collect(),
        keep: entry.keep.into_iter().map(Spanned::into_inner).collect(),
        inside_ultrasound_regions: entry.keep_inside_ultrasound_regions.is_some_and(Spanned::into_inner),
        anchors: anchors.into(),
        source: entry.source,
        verified: entry.verified,
        mask: Default::default(),
    };
    check(&template).map_err(|what| error(id_line, &what))?;
    Ok(Read { template, file: name.to_owned(), lines })
}

/// Lines of the keys of the table that begins at `offset`.
fn keys(text: &str, offset: usize) -> Vec<(String, usize)> {
    let from = line_of(text, offset);
    let table = text.lines().zip(1..).skip(from - 1);
    let own = table.enumerate().take_while(|(i, (line, _))| *i == 0 || !line.trim_start().starts_with('['));
    own.filter_map(|(_, (line, number))| line.split_once('=').map(|(key, _)| (key.trim().to_owned(), number))).collect()
}

fn check(template: &Template) -> Result<(), &'static str> {
    let id = &template.id;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
        return Err("an id is 1 to 64 of a-z, 0-9, '-' and '.'");
    }
    if template.source.trim().is_empty() {
        return Err("no source");
    }
    let c = &template.conditions;
    if c.manufacturer.is_none() && c.model.is_none() {
        return Err("neither manufacturer nor model is stated");
    }
    let lists = [&c.software_versions, &c.sop_classes, &c.photometric_interpretations, &c.transfer_syntaxes];
    let texts = lists.iter().filter_map(|l| l.as_deref()).flatten();
    if lists.iter().any(|l| l.as_ref().is_some_and(Vec::is_empty))
        || texts.chain(&c.manufacturer).chain(&c.model).any(|t| t.is_empty() || t.trim() != t)
    {
        return Err("an empty condition, or one with spaces around it, never matches");
    }
    if [&c.manufacturer, &c.model].into_iter().flatten().any(|t| t.contains('\\')) {
        return Err("a condition with a backslash never matches");
    }
    if c.ultrasound_regions.as_ref().is_some_and(Vec::is_empty) {
        return Err("an empty list of ultrasound regions is no condition");
    }
    for region in c.ultrasound_regions.iter().flatten() {
        if region.inside(c.rows, c.columns).is_err() {
            return Err("ultrasound region is empty or reaches outside the image");
        }
    }
    for term in c.photometric_interpretations.iter().flatten() {
        let known = Photometric::from_term(term).ok_or("unknown photometric interpretation")?;
        if c.samples.is_some_and(|s| s != known.samples()) {
            return Err("samples and photometric interpretation contradict each other");
        }
    }
    if let Some(verified) = &template.verified {
        let open = c.manufacturer.is_none()
            || c.model.is_none()
            || c.sop_classes.is_none()
            || c.photometric_interpretations.is_none()
            || c.transfer_syntaxes.is_none();
        if open {
            return Err(
                "a verified template must state manufacturer, model, SOP classes, photometric interpretations \
                        and transfer syntaxes",
            );
        }
        if [&verified.by, &verified.on, &verified.evidence].iter().any(|t| t.trim().is_empty()) {
            return Err("verified by whom, when, and on what ground?");
        }
    }
    Ok(())
}
