//! Reading templates from TOML, and the linter: what a bundle must not contain.

use super::{Conditions, Template, Templates, Verified};
use crate::{image::Photometric, mask::Region};
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
    conditions: Conditions,
    regions: Vec<Spanned<Region>>,
    verified: Option<Verified>,
}

impl Templates {
    /// Reads and lints template files, each a name (for errors) and its text.
    ///
    /// # Errors
    /// The first thing wrong: not the expected TOML; a region that is empty or reaches outside the image; an id or a match
    /// that stands twice; a verified template that leaves a condition open or does not say by whom, when and why.
    pub fn parse<N: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, TemplateError> {
        let mut all: Vec<Template> = Vec::new();
        for (name, text) in files {
            let (name, text) = (name.as_ref(), text.as_ref());
            let file: File = toml::from_str(text).map_err(|e| TemplateError::toml(name, text, &e))?;
            if file.version != 1 {
                return Err(TemplateError::at(name, 1, "version is not 1"));
            }
            if file.templates.is_empty() {
                return Err(TemplateError::at(name, 1, "no template"));
            }
            for entry in file.templates {
                let error =
                    |at: std::ops::Range<usize>, what: String| TemplateError::at(name, line_of(text, at.start), what);
                let id_span = entry.id.span();
                let size = (entry.conditions.rows, entry.conditions.columns);
                if entry.regions.is_empty() {
                    return Err(error(id_span, "no region".into()));
                }
                for region in &entry.regions {
                    region.get_ref().resolve(size.0, size.1).map_err(|e| error(region.span(), e.to_string()))?;
                }
                let template = Template {
                    id: entry.id.into_inner(),
                    conditions: entry.conditions,
                    regions: entry.regions.into_iter().map(Spanned::into_inner).collect(),
                    source: entry.source,
                    verified: entry.verified,
                };
                lint(&template).map_err(|what| error(id_span.clone(), what.into()))?;
                for other in &all {
                    if other.id == template.id {
                        return Err(error(id_span, "this id stands twice".into()));
                    }
                    let tie = other.conditions.specificity() == template.conditions.specificity()
                        && other.conditions.overlaps(&template.conditions);
                    if tie {
                        return Err(error(id_span, format!("matches the same images as {}", other.id)));
                    }
                }
                all.push(template);
            }
        }
        Ok(Self { templates: all })
    }
}

fn lint(template: &Template) -> Result<(), &'static str> {
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
