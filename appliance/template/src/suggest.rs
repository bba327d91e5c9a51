//! A template suggested from a cine: what stands still and is no background is blanked.
//!
//! It errs to blanking. A line of text is blanked to both sides as far as the picture does not move, because the next patient's name
//! is longer; only what is shaped like a ruler or a wedge, or stands in a rectangle that the operator named, is left, and becomes an
//! anchor. What one patient's image does not show (a second name, a field that was empty) no cine tells: look at the result.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use gift_redact::{Anchor, Dark, Decision, Luma, NeverBurntIn, Region, Templates, apply, decide};

use crate::{
    draft::{self, Draft},
    object::{Object, Stored},
    policy::Policy,
    still::{Box, Range, Still, join},
    terms::{format, holds_no_identifier},
};

/// Words of one line are not farther apart, px.
const WORD_GAP: usize = 24;
/// What is blanked around text, px.
const MARGIN: usize = 4;
/// Corners of what is blanked are multiples of this, px.
const GRID: usize = 2;
/// Widest tick of a ruler, px: no character with another beside it is as narrow.
const TICK: usize = 14;
/// Where the picture moves, fewer pixels than this are no letter, but stayed alike by chance.
const LETTER_PIXELS: usize = 6;
/// Lines beside what is blanked that are to be empty.
const STRIP: usize = 6;
/// What is darker is empty.
const EMPTY: u8 = 16;
/// Cells of a patch are at least so large, px.
const PATCH_CELL: usize = 6;
/// Greatest mean difference of a patch's cells.
const PATCH_DIFFERENCE: f64 = 12.0;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The objects.
    pub files: Vec<PathBuf>,
    /// Id of the template; made from make, model and size when not given.
    pub id: Option<String>,
    /// Make, model and versions that the operator has looked at.
    pub known: Vec<String>,
    /// Rectangles of furniture (a logo) that is left, and becomes an anchor: x, y, width, height, px.
    pub keep: Vec<[u16; 4]>,
}

/// A suggestion.
#[derive(Debug)]
pub struct Suggestion {
    /// The template.
    pub draft: Draft,
    /// What its operator is to know.
    pub remarks: Vec<String>,
}

/// Suggests a template for the format of the objects.
///
/// # Errors
/// The objects are of several formats, cannot be decoded, do not move, or hold a make or model that may not be named; the
/// template would not redact them.
pub fn suggest(wanted: &Wanted, policy: &Policy) -> Result<Suggestion> {
    let stored = wanted.files.iter().map(|path| Stored::open(path)).collect::<Result<Vec<_>>>()?;
    let objects = stored.iter().map(Stored::object).collect::<Result<Vec<_>>>()?;
    let named = |at: usize| wanted.files[at].display().to_string();
    let mut formats = Vec::with_capacity(objects.len());
    for (at, object) in objects.iter().enumerate() {
        formats.push(format(object, policy, &wanted.known).with_context(|| named(at))?);
    }
    let Some(first) = formats.first() else { bail!("no object") };
    let mut conditions = first.conditions.clone();
    for (at, other) in formats.iter().enumerate().skip(1) {
        // Single and multi-frame objects of a scanner are two SOP classes of one layout.
        let classes = conditions.sop_classes.get_or_insert_default();
        for class in other.conditions.sop_classes.iter().flatten() {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
        let same = gift_redact::Conditions { sop_classes: None, ..other.conditions.clone() };
        if same != (gift_redact::Conditions { sop_classes: None, ..conditions.clone() }) {
            bail!("{}: of another format than {}", named(at), named(0));
        }
    }
    let mut remarks: Vec<String> = first.left_out.iter().map(|what| format!("not in the template: {what}")).collect();
    let (still, ranges) = watch(&objects, conditions.rows, conditions.columns)?;
    let frames: u32 = ranges.iter().map(|r| r.frames).sum();
    if frames < 8 {
        remarks.push(format!("only {frames} frames: what moves little is taken to stand still"));
    }
    let layout = Layout::of(&still, &wanted.keep);
    if layout.blank.is_empty() {
        bail!("nothing stands still but the background: there is nothing to suggest");
    }
    let anchors = layout.anchors(&ranges);
    for kept in &layout.furniture {
        remarks.push(format!(
            "left as it is, and made an anchor: [{}, {}, {}, {}]; look at it",
            kept.x0,
            kept.y0,
            kept.width(),
            kept.height()
        ));
    }
    let size = format!("{}x{}", conditions.columns, conditions.rows);
    let id = match &wanted.id {
        Some(id) => id.clone(),
        None => id(&[conditions.manufacturer.as_deref(), conditions.model.as_deref(), Some(&size)]),
    };
    let draft = Draft {
        id,
        source: format!("gift-template suggest: what stood still in {frames} frames of {} objects", objects.len()),
        notes: vec![
            "Suggested, not verified: it holds what matches it. Look at it with `gift-template show`, correct it, then say".into(),
            "by whom, when and on what evidence it was verified.".into(),
        ],
        conditions,
        regions: layout.blank.iter().map(|b| [b.x0, b.y0, b.width(), b.height()].map(|v| v as i32)).collect(),
        keep: Vec::new(),
        inside_ultrasound_regions: false,
        anchors,
    };
    let text = draft::text(std::slice::from_ref(&draft));
    for (at, object) in objects.iter().enumerate() {
        holds_no_identifier(&object.data_set, &text).with_context(|| named(at))?;
        try_on(object, &text).with_context(|| named(at))?;
    }
    remarks.extend(draft::lint("suggested", std::slice::from_ref(&draft)).iter().map(|e| format!("lint: {}", e.what)));
    Ok(Suggestion { draft, remarks })
}

/// What stands still in the objects: in each cine on its own, because patients differ; in all stills together.
fn watch(objects: &[Object<'_>], rows: u16, columns: u16) -> Result<(Still, Vec<Range>)> {
    let mut stills = Range::new(rows, columns);
    let mut ranges = Vec::new();
    for object in objects {
        let mut luma = Luma::of(&object.data_set, &object.transfer_syntax, &object.body)?;
        if luma.layout().frames > 2 {
            let mut cine = Range::new(rows, columns);
            cine.add(&mut luma)?;
            ranges.push(cine);
        } else {
            stills.add(&mut luma)?;
        }
    }
    if stills.frames > 0 {
        ranges.push(stills);
    }
    let mut found: Option<Still> = None;
    for range in &ranges {
        let still = range.still()?;
        match &mut found {
            Some(all) => all.add(&still),
            None => found = Some(still),
        }
    }
    Ok((found.context("no object")?, ranges))
}

/// Redacts the object in memory by the template as if it were verified: every anchor must hold, and every frame must prove.
fn try_on(object: &Object<'_>, text: &str) -> Result<()> {
    let templates = Templates::parse([("suggested", draft::as_verified(text)?)])?;
    let mut ds = object.data_set.clone();
    match decide(&ds, &object.transfer_syntax, &templates, &NeverBurntIn::default()) {
        Decision::Redact(plan) => {
            drop(apply(&plan, &mut ds, &object.body, &mut Vec::new())?);
            Ok(())
        }
        Decision::Clear(_) => bail!("the template blanks nothing"),
        Decision::Hold(hold) => bail!("a box would hold it even if the template were verified: {}", hold.as_str()),
    }
}

/// An id of these words.
pub fn id(words: &[Option<&str>]) -> String {
    let joined = words.iter().flatten().copied().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let words = joined.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    let mut id = words.collect::<Vec<_>>().join("-");
    if id.len() > 64 {
        // The end tells more than the beginning: the size stands there.
        id = id[id.len() - 64..].trim_start_matches('-').to_owned();
    }
    id
}

/// What is to become of what stands still.
struct Layout {
    blank: Vec<Box>,
    furniture: Vec<Box>,
    rows: usize,
    columns: usize,
}

impl Layout {
    fn of(still: &Still, named: &[[u16; 4]]) -> Self {
        let mut furniture: Vec<Box> = named
            .iter()
            .map(|r| {
                let [x, y, w, h] = r.map(usize::from);
                let (x1, y1) = ((x + w).min(still.columns), (y + h).min(still.rows));
                Box { x0: x.min(x1), y0: y.min(y1), x1, y1, pixels: 0 }
            })
            .filter(|b| b.area() > 0)
            .collect();
        let in_named = |b: &Box| furniture.iter().any(|f| f.x0 <= b.x0 && f.y0 <= b.y0 && f.x1 >= b.x1 && f.y1 >= b.y1);
        let by_chance =
            |b: &Box| b.pixels < LETTER_PIXELS && (b.y0..b.y1).all(|y| (b.x0..b.x1).all(|x| still.picture.at(x, y)));
        let boxes: Vec<Box> = still.boxes(WORD_GAP).into_iter().filter(|b| !in_named(b) && !by_chance(b)).collect();
        let (rulers, text) = rulers(boxes, still.rows);
        furniture.extend(rulers);
        let blank = text.into_iter().map(|b| widened(b, still)).collect();
        // Two that cover little more as one.
        let blank = join(blank, |a: &Box, b: &Box| 4 * a.with(b).area() <= 5 * (a.area() + b.area()));
        Self { blank, furniture, rows: still.rows, columns: still.columns }
    }

    /// Patches of the furniture, and empty strips above and below what is blanked.
    fn anchors(&self, ranges: &[Range]) -> Vec<Anchor> {
        let mut anchors = Vec::new();
        for b in &self.furniture {
            let cells = |size: usize, most: usize| (size / PATCH_CELL).clamp(1, most);
            let (down, across) = (cells(b.height(), 16), cells(b.width(), 32));
            let rows = (0..down)
                .map(|r| {
                    let ys = b.y0 + r * b.height() / down..b.y0 + (r + 1) * b.height() / down;
                    (0..across)
                        .map(|c| {
                            let xs = b.x0 + c * b.width() / across..b.x0 + (c + 1) * b.width() / across;
                            let all = ranges.iter().flat_map(|range| {
                                ys.clone().flat_map({
                                    let xs = xs.clone();
                                    move |y| xs.clone().map(move |x| u64::from(range.middle(x, y)))
                                })
                            });
                            let (sum, count) = all.fold((0, 0), |(sum, count), v| (sum + v, count + 1));
                            (sum / u64::max(count, 1)) as u8
                        })
                        .collect()
                })
                .collect();
            anchors.push(Anchor::Patch { region: region(b), rows, max_difference: PATCH_DIFFERENCE });
        }
        for b in &self.blank {
            let above = b.y0.checked_sub(STRIP).map(|y0| Box { y0, y1: b.y0, ..*b });
            let below = Some(Box { y0: b.y1, y1: b.y1 + STRIP, ..*b }).filter(|strip| strip.y1 <= self.rows);
            for strip in [above, below].into_iter().flatten() {
                let dark = |range: &Range| {
                    (strip.y0..strip.y1)
                        .all(|y| (strip.x0..strip.x1).all(|x| range.brightest(x, y) < u16::from(EMPTY) - 4))
                };
                if !self.blank.iter().any(|other| other.overlaps(&strip)) && ranges.iter().all(dark) {
                    anchors.push(Anchor::Statistics {
                        region: region(&strip),
                        mean: None,
                        deviation: None,
                        dark: Some(Dark { below: EMPTY, share: [1.0, 1.0] }),
                    });
                }
            }
        }
        debug_assert!(self.blank.iter().all(|b| b.x1 <= self.columns && b.y1 <= self.rows));
        anchors
    }
}

fn region(b: &Box) -> Region {
    Region::from([b.x0, b.y0, b.width(), b.height()].map(|v| v as i32))
}

/// A box of text with its margin: to both sides as far as the picture does not move.
fn widened(b: Box, still: &Still) -> Box {
    let y0 = b.y0.saturating_sub(MARGIN) / GRID * GRID;
    let y1 = (b.y1 + MARGIN).next_multiple_of(GRID).min(still.rows);
    let moves = |x: usize| (y0..y1).any(|y| still.picture.at(x, y));
    let (mut x0, mut x1) = (b.x0, b.x1);
    while x0 > 0 && !moves(x0 - 1) {
        x0 -= 1;
    }
    while x1 < still.columns && !moves(x1) {
        x1 += 1;
    }
    let x0 = x0.min(b.x0.saturating_sub(MARGIN)) / GRID * GRID;
    let x1 = x1.max(b.x1 + MARGIN).next_multiple_of(GRID).min(still.columns);
    Box { x0, y0, x1, y1, ..b }
}

/// Takes what is shaped like a ruler or a wedge out of `boxes`: five or more evenly spaced ticks above each other, too narrow for
/// text, over a quarter of the image; or one tall, narrow, almost solid bar.
fn rulers(boxes: Vec<Box>, rows: usize) -> (Vec<Box>, Vec<Box>) {
    let is_bar = |b: &Box| {
        b.height() * 6 >= rows && b.width() * 4 <= b.height() && b.width() <= 48 && b.pixels * 10 >= b.area() * 8
    };
    let is_tick = |b: &Box| b.width() <= TICK && b.height() <= TICK;
    let (mut found, rest): (Vec<Box>, Vec<Box>) = boxes.into_iter().partition(is_bar);
    let (ticks, mut text): (Vec<Box>, Vec<Box>) = rest.into_iter().partition(is_tick);
    let mut columns: Vec<Vec<Box>> = Vec::new();
    for tick in ticks {
        let fits = |column: &&mut Vec<Box>| column.last().is_some_and(|l| l.x0 < tick.x1 && tick.x0 < l.x1);
        match columns.iter_mut().find(fits) {
            Some(column) => column.push(tick),
            None => columns.push(vec![tick]),
        }
    }
    for column in columns {
        let steps: Vec<usize> = column.windows(2).map(|w| w[1].y0.saturating_sub(w[0].y0)).collect();
        let even = steps.iter().max().zip(steps.iter().min()).is_some_and(|(most, least)| most - least <= 3);
        let whole = column.iter().skip(1).fold(column[0], |all, tick| all.with(tick));
        if column.len() >= 5 && even && whole.height() * 4 >= rows {
            found.push(whole);
        } else {
            text.extend(column);
        }
    }
    (found, text)
}

/// Writes the text of a suggestion to `path`, which must not be there yet.
///
/// # Errors
/// The medium's.
pub fn write_new(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create_new(path).with_context(|| path.display().to_string())?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())
}
