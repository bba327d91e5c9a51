//! Redaction templates: which regions of which scanner's images are blanked.
//!
//! A template states what it holds for (make, model, software versions, SOP class, size, photometric interpretation,
//! transfer syntax, ultrasound regions); everything stated must match exactly. The most specific match wins, a tie is held. A
//! template that nobody has verified never releases. Matching is a pure function of the object. Anchors are not conditions: an
//! image on which one fails is held, not left to another template.

mod conditions;
mod lint;
mod parse;

pub use conditions::Conditions;
pub use parse::TemplateError;

use crate::{
    anchor::Placed,
    image::{Facts, Inconsistent, PixelLayout},
    mask::{Mask, Rect, Region},
    shape::Shape,
};
use serde::Deserialize;
use std::sync::{Arc, OnceLock};

/// All templates in force.
#[derive(Debug, Clone, Default)]
pub struct Templates {
    templates: Vec<Template>,
}

/// One template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    id: String,
    conditions: Conditions,
    regions: Vec<Region>,
    keep: Vec<Shape>,
    inside_ultrasound_regions: bool,
    anchors: Arc<[Placed]>,
    source: String,
    verified: Option<Verified>,
    /// Made when it is first asked for: most templates of a set never match.
    mask: OnceLock<Mask>,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Match<'t> {
    /// No template matches.
    None,
    /// This one.
    One(&'t Template),
    /// Several, equally specific.
    Tie,
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

    /// The shapes outside of which everything is blanked, as written; none: only the regions are.
    pub fn keep(&self) -> &[Shape] {
        &self.keep
    }

    /// Everything outside of the object's own ultrasound regions (0018,6011) is blanked besides.
    pub fn keeps_inside_ultrasound_regions(&self) -> bool {
        self.inside_ultrasound_regions
    }

    /// How many anchors every frame must have.
    pub fn anchors(&self) -> usize {
        self.anchors.len()
    }

    pub(crate) fn placed(&self) -> &Arc<[Placed]> {
        &self.anchors
    }

    /// The pixels to blank in every image that matches. The regions were checked when the template was read, on the same size.
    pub(crate) fn mask(&self) -> &Mask {
        self.mask.get_or_init(|| {
            let Conditions { rows, columns, .. } = self.conditions;
            let whole = Rect { x0: 0, y0: 0, x1: u32::from(columns), y1: u32::from(rows) };
            let regions = self.regions.iter().map(|r| r.resolve(rows, columns).unwrap_or(whole)).collect();
            Shape::mask(regions, &self.keep, rows, columns)
        })
    }

    /// The pixels to blank in the image whose facts these are.
    ///
    /// # Errors
    /// The template asks for ultrasound regions, and the object has none, malformed ones, or some that reach outside the image.
    pub(crate) fn mask_for(&self, facts: &Facts<'_>) -> Result<Mask, Inconsistent> {
        if !self.inside_ultrasound_regions {
            return Ok(self.mask().clone());
        }
        let Conditions { rows, columns, .. } = self.conditions;
        let regions = facts.ultrasound_regions.as_ref().map_err(|e| *e)?;
        let inside = regions.iter().map(|r| r.inside(rows, columns)).collect::<Result<Vec<_>, _>>()?;
        if inside.is_empty() { Err(Inconsistent) } else { Ok(self.mask().and_outside(&inside, rows, columns)) }
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
