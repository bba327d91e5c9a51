//! Redaction templates: which regions of which scanner's images are blanked.
//!
//! A template states what it holds for (make, model, software versions, SOP class, size, photometric interpretation,
//! transfer syntax); everything stated must match exactly. The most specific match wins, a tie is held. A template that
//! nobody has verified never releases. Matching is a pure function of the object.

mod parse;

pub use parse::TemplateError;

use crate::{
    image::{Facts, PixelLayout},
    mask::{Mask, Region},
    syntax::Syntax,
};
use serde::Deserialize;

/// Transfer syntaxes that hold pixels without encapsulation, as one word in a template.
const NATIVE: &str = "native";

/// All templates in force.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    templates: Vec<Template>,
}

/// One template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    id: String,
    conditions: Conditions,
    regions: Vec<Region>,
    source: String,
    verified: Option<Verified>,
}

/// What a template states about the images it is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Conditions {
    /// Manufacturer (0008,0070).
    pub manufacturer: Option<String>,
    /// Manufacturer's Model Name (0008,1090).
    pub model: Option<String>,
    /// Software Versions (0018,1020): one of these; several values of the attribute are joined by a backslash.
    pub software_versions: Option<Vec<String>>,
    /// SOP Class UID: one of these.
    pub sop_classes: Option<Vec<String>>,
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
    /// Samples per Pixel.
    pub samples: Option<u16>,
    /// Photometric Interpretation: one of these.
    pub photometric_interpretations: Option<Vec<String>>,
    /// Transfer Syntax UID: one of these; `native` stands for all that do not encapsulate.
    pub transfer_syntaxes: Option<Vec<String>>,
}

/// Who has verified a template, and on what ground.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verified {
    /// Who.
    pub by: String,
    /// When (ISO 8601 date).
    pub on: String,
    /// On what ground.
    pub evidence: String,
}

/// Outcome of matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'t> {
    /// No template matches.
    None,
    /// This one.
    One(&'t Template),
    /// Several, equally specific.
    Tie,
}

impl Conditions {
    fn matches(&self, facts: &Facts<'_>, layout: &PixelLayout) -> bool {
        let equal = |stated: &Option<String>, is: Option<&str>| stated.as_deref().is_none_or(|s| is == Some(s));
        let one_of = |stated: &Option<Vec<String>>, is: Option<&str>| {
            stated.as_ref().is_none_or(|s| is.is_some_and(|is| s.iter().any(|s| s == is)))
        };
        let syntax = |stated: &String| {
            if stated == NATIVE { facts.syntax == Syntax::Native } else { stated == facts.transfer_syntax_uid }
        };
        self.rows == layout.rows
            && self.columns == layout.columns
            && self.samples.is_none_or(|s| s == layout.samples)
            && equal(&self.manufacturer, facts.manufacturer)
            && equal(&self.model, facts.model)
            && one_of(&self.software_versions, facts.software_versions)
            && one_of(&self.sop_classes, Some(facts.sop_class))
            && one_of(&self.photometric_interpretations, Some(layout.photometric.as_str()))
            && self.transfer_syntaxes.as_ref().is_none_or(|s| s.iter().any(syntax))
    }

    /// Number of stated conditions beyond the size.
    fn specificity(&self) -> usize {
        [
            self.manufacturer.is_some(),
            self.model.is_some(),
            self.software_versions.is_some(),
            self.sop_classes.is_some(),
            self.samples.is_some(),
            self.photometric_interpretations.is_some(),
            self.transfer_syntaxes.is_some(),
        ]
        .into_iter()
        .filter(|&stated| stated)
        .count()
    }

    /// True when some object could match both.
    fn overlaps(&self, other: &Self) -> bool {
        fn equal<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            }
        }
        fn share(a: &Option<Vec<String>>, b: &Option<Vec<String>>) -> bool {
            match (a, b) {
                (Some(a), Some(b)) => a.iter().any(|v| b.contains(v)),
                _ => true,
            }
        }
        let expand = |stated: &Option<Vec<String>>| {
            stated.as_ref().map(|s| {
                let native = |uid: &String| Syntax::of(uid) == Syntax::Native;
                s.iter().map(|uid| if native(uid) { NATIVE.to_owned() } else { uid.clone() }).collect::<Vec<_>>()
            })
        };
        (self.rows, self.columns) == (other.rows, other.columns)
            && equal(&self.samples, &other.samples)
            && equal(&self.manufacturer, &other.manufacturer)
            && equal(&self.model, &other.model)
            && share(&self.software_versions, &other.software_versions)
            && share(&self.sop_classes, &other.sop_classes)
            && share(&self.photometric_interpretations, &other.photometric_interpretations)
            && share(&expand(&self.transfer_syntaxes), &expand(&other.transfer_syntaxes))
    }
}

impl Template {
    /// Its id, unique among all.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it states.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Its regions, as written.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Where its geometry comes from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Who has verified it.
    pub fn verified(&self) -> Option<&Verified> {
        self.verified.as_ref()
    }

    /// The pixels to blank. The regions were resolved once when the template was read, on the same size.
    pub(crate) fn mask(&self) -> Option<Mask> {
        let size = (self.conditions.rows, self.conditions.columns);
        self.regions.iter().map(|r| r.resolve(size.0, size.1).ok()).collect::<Option<Vec<_>>>().map(Mask::new)
    }
}

impl Templates {
    /// The templates, in order of reading.
    pub fn iter(&self) -> std::slice::Iter<'_, Template> {
        self.templates.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.templates.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// The most specific template that matches.
    pub(crate) fn find(&self, facts: &Facts<'_>, layout: &PixelLayout) -> Match<'_> {
        let mut best = Match::None;
        let mut specificity = 0;
        for template in self.templates.iter().filter(|t| t.conditions.matches(facts, layout)) {
            let this = template.conditions.specificity();
            best = match best {
                Match::None => Match::One(template),
                _ if this > specificity => Match::One(template),
                _ if this == specificity => Match::Tie,
                other => other,
            };
            specificity = specificity.max(this);
        }
        best
    }
}

#[cfg(test)]
mod tests;
