//! What a template does to an image: a picture with its rectangles, and which template matches, or why none does.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use gift_redact::{Decision, Luma, Mask, Match, Template, Templates, Term, apply, decide};
use image::RgbImage;

use crate::{
    draft,
    draw::{self, BLUE, GREEN, RED},
    object::{Object, Stored},
    policy::Policy,
    terms::fingerprint,
};

/// Templates that are named when none matches.
const NEAREST: usize = 5;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The object.
    pub file: PathBuf,
    /// Template files; none: all of the policy.
    pub templates: Vec<PathBuf>,
    /// Frame, from 1.
    pub frame: u32,
    /// Without coordinates in the picture.
    pub plain: bool,
}

/// The picture, and lines to print.
#[derive(Debug)]
pub struct Shown {
    /// The frame with the rectangles.
    pub picture: RgbImage,
    /// What was found.
    pub lines: Vec<String>,
}

/// Shows an object.
///
/// # Errors
/// It cannot be read or decoded; a template file is none.
pub fn show(wanted: &Wanted, policy: &Policy) -> Result<Shown> {
    let stored = Stored::open(&wanted.file)?;
    let object = stored.object()?;
    let templates = policy.templates(&wanted.templates)?;
    let mut luma = Luma::of(&object.data_set, &object.transfer_syntax, &object.body)
        .context("pixels that are not decoded here (none, progressive JPEG, video, or at odds with the attributes)")?;
    let layout = *luma.layout();
    if !(1..=layout.frames).contains(&wanted.frame) {
        bail!("there are frames 1 to {}", layout.frames);
    }
    let frame = luma.frame(wanted.frame)?;
    let picture = draw::picture(&frame, layout.rows, layout.columns, layout.bits_stored > 8);
    let mut picture = picture.context("no picture")?;
    let mut lines = about(&object, policy)?;
    let drawn = match templates.matching(&object.data_set, &object.transfer_syntax)? {
        Match::One(template) => {
            let state = if template.verified().is_some() { "verified" } else { "not verified: a box holds the object" };
            lines.push(format!("template {} matches; {state}", template.id()));
            Some(template)
        }
        Match::Tie => {
            lines.push("several templates match equally well: a box holds the object".to_owned());
            None
        }
        Match::None => {
            lines.extend(nearest(&object, &templates)?);
            // The one template of the caller is drawn where it fits at all.
            let one = templates.iter().next().filter(|_| templates.len() == 1 && !wanted.templates.is_empty());
            one.filter(|t| (t.conditions().rows, t.conditions().columns) == (layout.rows, layout.columns))
        }
    };
    if let Some(template) = drawn {
        match template.blanks(&object.data_set, &object.transfer_syntax) {
            Ok(mask) => lines.extend(draw_template(&mut picture, template, &mask, wanted.plain)),
            Err(_) => {
                lines.push("it asks for ultrasound regions that the object has not: a box holds the object".into())
            }
        }
    }
    lines.push(outcome(&object, &templates, policy));
    lines.extend(anchors(wanted, &object, drawn)?);
    Ok(Shown { picture, lines })
}

fn about(object: &Object<'_>, policy: &Policy) -> Result<Vec<String>> {
    let found = fingerprint(object, policy)?;
    let says = |term: &Term| match term {
        Term::Known(value) => value.clone(),
        Term::Absent => "none".to_owned(),
        Term::Digest(_) => "(not in the vocabulary)".to_owned(),
    };
    Ok(vec![
        format!("manufacturer {}, model {}", says(&found.manufacturer), says(&found.model)),
        format!(
            "SOP class {}, transfer syntax {}, {}, {}x{}",
            says(&found.sop_class),
            says(&found.transfer_syntax),
            says(&found.photometric),
            found.columns.unwrap_or(0),
            found.rows.unwrap_or(0)
        ),
    ])
}

/// Why no template matches: those that the fewest conditions keep away.
fn nearest(object: &Object<'_>, templates: &Templates) -> Result<Vec<String>> {
    let mut all = Vec::with_capacity(templates.len());
    for template in templates.iter() {
        all.push((template.unmet(&object.data_set, &object.transfer_syntax)?, template.id()));
    }
    all.sort_by_key(|(unmet, id)| (unmet.len(), *id));
    let mut lines = vec![format!("none of {} templates matches; the nearest:", all.len())];
    lines.extend(all.iter().take(NEAREST).map(|(unmet, id)| format!("  {id}: {} differ", unmet.join(", "))));
    Ok(lines)
}

fn draw_template(picture: &mut RgbImage, template: &Template, mask: &Mask, plain: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let c = template.conditions();
    let stated: Vec<_> = template.regions().iter().filter_map(|r| r.resolve(c.rows, c.columns).ok()).collect();
    let mut labels = Vec::new();
    if !template.keep().is_empty() || template.keeps_inside_ultrasound_regions() {
        let columns = picture.width() as usize;
        let mut blank = vec![false; columns * picture.height() as usize];
        for rect in mask.rects() {
            for y in rect.y0..rect.y1 {
                blank[y as usize * columns..][rect.x0 as usize..rect.x1 as usize].fill(true);
            }
        }
        let is_blank = |x: u32, y: u32| blank[y as usize * columns + x as usize];
        draw::border(picture, is_blank, RED);
        draw::border(picture, |x, y| !is_blank(x, y), GREEN);
        let kept = blank.iter().filter(|b| !**b).count();
        lines.push(format!("kept: {kept} of {} pixels (green)", blank.len()));
    }
    for rect in stated {
        draw::outline(picture, rect, RED);
        lines.push(format!("blanked: {},{} {}x{} (red)", rect.x0, rect.y0, rect.width(), rect.height()));
        labels.push((rect, RED));
    }
    for rect in template.anchor_rects() {
        draw::outline(picture, rect, BLUE);
        lines.push(format!("anchor: {},{} {}x{} (blue)", rect.x0, rect.y0, rect.width(), rect.height()));
        labels.push((rect, BLUE));
    }
    if !plain {
        labels.into_iter().for_each(|(rect, colour)| draw::label(picture, rect, colour));
    }
    lines
}

fn outcome(object: &Object<'_>, templates: &Templates, policy: &Policy) -> String {
    match decide(&object.data_set, &object.transfer_syntax, templates, &policy.never_burnt_in) {
        Decision::Clear(_) => "a box leaves the pixels as they are".to_owned(),
        Decision::Redact(plan) => match plan.template() {
            Some(template) => format!("a box redacts by {template}, if every frame has its {} anchors", plan.anchors()),
            None => "a box blanks nothing, and strips what hides beside the pixels".to_owned(),
        },
        Decision::Hold(hold) => format!("a box holds the object: {}", hold.as_str()),
    }
}

/// Whether the drawn template's anchors hold on every frame, verified or not; nothing without anchors.
fn anchors(wanted: &Wanted, object: &Object<'_>, drawn: Option<&Template>) -> Result<Vec<String>> {
    let Some(template) = drawn.filter(|t| t.anchors() > 0) else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for path in &wanted.templates {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        texts.push((path.display().to_string(), draft::as_verified(&text)?));
    }
    // One that leaves conditions open cannot be verified, and is not tried.
    let Ok(tried) = Templates::parse(texts) else { return Ok(Vec::new()) };
    let Decision::Redact(plan) = decide(&object.data_set, &object.transfer_syntax, &tried, &Default::default()) else {
        return Ok(Vec::new());
    };
    if plan.template() != Some(template.id()) {
        return Ok(Vec::new());
    }
    Ok(vec![match apply(&plan, &mut object.data_set.clone(), &object.body, &mut Vec::new()) {
        Ok(_) => "every anchor holds on every frame".to_owned(),
        Err(error) => error.to_string(),
    }])
}
