//! The linter: what is no error in a set of templates, but not what somebody meant either.

use super::{
    TemplateError, Templates,
    conditions::NATIVE,
    parse::{self, Read},
};
use crate::{
    Anchor, FrameCodec,
    codec::FrameDecoder,
    image::{Photometric, PixelLayout},
    mask::Rect,
    native,
    shape::Shape,
    syntax::Syntax,
};
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use std::path::Path;

mod reach;

/// A template that blanks less of the image than this, in thousandths, hardly blanks a line of text.
const LEAST_BLANK: u64 = 1;
/// One that blanks more than this leaves no picture.
const MOST_BLANK: u64 = 950;

impl Templates {
    /// Everything questionable in template files, each a name and its text, in the order of reading; empty when there is nothing.
    /// The set is judged as a whole, as a box would load it.
    ///
    /// Beyond what [`Templates::parse`] refuses: regions that blank nothing more than others do, shapes that keep nothing, a share
    /// of the image that is too small or too large, anchors that hold for every image, an id (or the name of a file) that says
    /// something else than the conditions, conditions that cannot hold together, and templates that others leave no image.
    pub fn lint<N: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (N, T)>) -> Vec<TemplateError> {
        let (mut set, mut found): (Vec<Read>, Vec<TemplateError>) = Default::default();
        for (name, text) in files {
            match parse::file(name.as_ref(), text.as_ref()) {
                Ok(reads) => set.extend(reads),
                Err(error) => found.push(error),
            }
        }
        let makes = makes(&set);
        for (index, read) in set.iter().enumerate() {
            found.extend(set[..index].iter().filter_map(|other| read.beside(other).err()));
            geometry(read, &mut found);
            anchors(read, &mut found);
            names(read, &makes, &mut found);
            conditions(read, &mut found);
        }
        reach::shadowed(&set, &mut found);
        found
    }
}

fn geometry(read: &Read, found: &mut Vec<TemplateError>) {
    let (template, lines) = (&read.template, &read.lines);
    let (rows, columns) = (template.conditions.rows, template.conditions.columns);
    let rects: Vec<Option<Rect>> = template.regions.iter().map(|r| r.resolve(rows, columns).ok()).collect();
    for (index, (rect, line)) in rects.iter().zip(&lines.regions).enumerate() {
        let Some(rect) = rect else { continue };
        // Of two equal ones the second is too many.
        let inside = |(other, o): (usize, &Option<Rect>)| {
            other != index && o.is_some_and(|o| contains(&o, rect) && (o != *rect || other < index))
        };
        if let Some(other) = rects.iter().enumerate().position(inside) {
            found.push(read.error(*line, format!("region {} is wholly inside region {}", index + 1, other + 1)));
        } else if !template.keep.is_empty() && is_blank(&template.keep, rect, rows, columns) {
            found.push(read.error(*line, format!("region {} is outside of what is kept, so blank already", index + 1)));
        }
    }
    for (shape, line) in template.keep.iter().zip(&lines.keep) {
        let alone = Shape::mask(Vec::new(), std::slice::from_ref(shape), rows, columns);
        if alone.area(rows) == pixels(rows, columns) {
            found.push(read.error(*line, "this shape holds no whole pixel of the image"));
        }
    }
    let blank = template.mask().area(rows);
    let share = blank * 1000 / pixels(rows, columns).max(1);
    if share < LEAST_BLANK {
        found.push(read.error(lines.id, "less than 0.1 % of the image is blanked"));
    } else if share > MOST_BLANK || share == MOST_BLANK && blank * 1000 > MOST_BLANK * pixels(rows, columns) {
        found.push(read.error(lines.id, "more than 95 % of the image is blanked"));
    }
}

fn pixels(rows: u16, columns: u16) -> u64 {
    u64::from(rows) * u64::from(columns)
}

fn contains(outer: &Rect, inner: &Rect) -> bool {
    outer.x0 <= inner.x0 && outer.y0 <= inner.y0 && outer.x1 >= inner.x1 && outer.y1 >= inner.y1
}

/// True when all of `rect` is outside of the shapes kept.
fn is_blank(keep: &[Shape], rect: &Rect, rows: u16, columns: u16) -> bool {
    let mask = Shape::mask(Vec::new(), keep, rows, columns);
    let mut spans = Vec::new();
    (rect.y0..rect.y1).all(|y| {
        mask.spans(y, 1, 1, &mut spans);
        spans.iter().any(|&(start, end)| start <= rect.x0 && rect.x1 <= end)
    })
}

fn anchors(read: &Read, found: &mut Vec<TemplateError>) {
    for (placed, line) in read.template.anchors.iter().zip(&read.lines.anchors) {
        let says_nothing = match &placed.anchor {
            Anchor::Digest { .. } => false,
            Anchor::Statistics { mean, deviation, dark, .. } => {
                // A deviation is half the scale at most.
                mean.is_none_or(|m| m == [0.0, 255.0])
                    && deviation.is_none_or(|d| d[0] == 0.0 && d[1] >= 127.5)
                    && dark.is_none_or(|d| d.share == [0.0, 1.0])
            }
            Anchor::Patch { rows, max_difference, .. } => {
                let cells = || rows.iter().flatten().map(|&c| f64::from(c));
                // What is all of one luma must differ from the patch by more than is allowed: else any blank area has it.
                let mean = cells().sum::<f64>() / cells().count().max(1) as f64;
                let flat = cells().map(|c| (c - mean).abs()).sum::<f64>() / cells().count().max(1) as f64;
                flat <= *max_difference
            }
        };
        if says_nothing {
            found.push(read.error(*line, "this anchor holds for images without the layout"));
        }
    }
}

/// First words of the manufacturers, as ids have them.
fn makes(set: &[Read]) -> Vec<String> {
    let mut makes: Vec<String> =
        set.iter().filter_map(|r| words(r.template.conditions.manufacturer.as_deref()?).into_iter().next()).collect();
    makes.sort();
    makes.dedup();
    makes
}

/// Words of letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// A size in a word: `960x720`.
fn size(word: &str) -> Option<(u16, u16)> {
    let (columns, rows) = word.split_once('x')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    Some((number(columns)?, number(rows)?)).filter(|(columns, rows)| *columns >= 100 && *rows >= 100)
}

fn names(read: &Read, makes: &[String], found: &mut Vec<TemplateError>) {
    let (template, lines) = (&read.template, &read.lines);
    let c = &template.conditions;
    let stem = Path::new(&read.file).file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    for (what, name) in [("id", template.id.as_str()), ("name of the file", stem)] {
        let mut says = |problem: String| found.push(read.error(lines.id, format!("{what} says {problem}")));
        let name_words = words(name);
        for (columns, rows) in name_words.iter().filter_map(|w| size(w)) {
            if (columns, rows) != (c.columns, c.rows) {
                says(format!("{columns}x{rows}, the conditions {}x{}", c.columns, c.rows));
            }
        }
        // The longest term that the name has counts: YBR_FULL_422 before YBR_FULL.
        let joined = format!("-{}-", name_words.join("-"));
        let term_of = |p: &Photometric| words(p.as_str()).join("-");
        let named = Photometric::ALL
            .iter()
            .filter(|p| joined.contains(&format!("-{}-", term_of(p))))
            .max_by_key(|p| p.as_str().len());
        if let (Some(named), Some(stated)) = (named, &c.photometric_interpretations)
            && !stated.iter().any(|s| s == named.as_str())
        {
            says(format!("{}, the conditions something else", named.as_str()));
        }
        let jpeg = |uid: &String| {
            matches!(Syntax::of(uid), Syntax::JpegBaseline | Syntax::JpegExtended | Syntax::JpegLossless)
        };
        let native = |uid: &String| uid == NATIVE || Syntax::of(uid) == Syntax::Native;
        for (word, stated_by) in [("jpeg", &jpeg as &dyn Fn(&String) -> bool), ("native", &native)] {
            if name_words.iter().any(|w| w == word)
                && c.transfer_syntaxes.as_ref().is_some_and(|s| !s.iter().any(stated_by))
            {
                says(format!("{word}, the transfer syntaxes something else"));
            }
        }
        if let Some(manufacturer) = &c.manufacturer {
            let own: Vec<String> = [words(manufacturer), c.model.as_deref().map(words).unwrap_or_default()].concat();
            // B-K is bk in an id.
            let begins = words(manufacturer).concat();
            let is_own = |word: &String| own.contains(word) || begins.starts_with(word.as_str());
            for make in name_words.iter().filter(|w| makes.contains(w) && !is_own(w)) {
                says(format!("{make}, the manufacturer is {manufacturer}"));
            }
        }
    }
}

fn conditions(read: &Read, found: &mut Vec<TemplateError>) {
    let c = &read.template.conditions;
    let mut says = |key: &str, problem: String| found.push(read.error(read.lines.condition(key), problem));
    for uid in c.sop_classes.iter().flatten() {
        let storage = StandardSopClassDictionary
            .by_uid(uid)
            .is_some_and(|entry| entry.name.contains("Storage") && !entry.name.contains("Commitment"));
        if !storage {
            says("sop-classes", format!("{uid} is no storage SOP class of the standard"));
        }
    }
    for uid in c.transfer_syntaxes.iter().flatten() {
        if uid != NATIVE && Syntax::of(uid) != Syntax::Native && !Syntax::REDACTED.contains(&uid.as_str()) {
            says("transfer-syntaxes", format!("{uid} cannot be redacted: what matches is held"));
        }
    }
    let samples = |p: &Photometric| c.samples.is_none_or(|s| s == p.samples());
    if c.samples.is_some_and(|s| ![1, 3].contains(&s)) {
        says("samples", "an image has 1 or 3 samples per pixel".into());
    }
    let stated =
        |p: &Photometric| c.photometric_interpretations.as_ref().is_none_or(|s| s.iter().any(|s| s == p.as_str()));
    let possible: Vec<Photometric> = Photometric::ALL.into_iter().filter(|p| samples(p) && stated(p)).collect();
    let syntaxes: Vec<&str> =
        c.transfer_syntaxes.as_ref().map_or(Syntax::REDACTED.to_vec(), |s| s.iter().map(String::as_str).collect());
    let goes = |p: Photometric, uid: &str| {
        redactable(p, if uid == NATIVE { Syntax::Native } else { Syntax::of(uid) }, c.columns)
    };
    if c.photometric_interpretations.is_some() {
        for p in possible.iter().filter(|p| !syntaxes.iter().any(|uid| goes(**p, uid))) {
            says("photometric-interpretations", format!("{} goes with none of the transfer syntaxes", p.as_str()));
        }
    }
    if c.transfer_syntaxes.is_some() {
        let redacted =
            |uid: &&&str| **uid == NATIVE || Syntax::of(uid) == Syntax::Native || Syntax::REDACTED.contains(uid);
        for uid in syntaxes.iter().filter(redacted).filter(|uid| !possible.iter().any(|p| goes(*p, uid))) {
            says("transfer-syntaxes", format!("{uid} goes with none of the photometric interpretations"));
        }
    }
}

/// True when images of 8 or 16 bits can be blanked in this transfer syntax.
fn redactable(photometric: Photometric, syntax: Syntax, columns: u16) -> bool {
    let layout = PixelLayout {
        rows: 1,
        columns,
        frames: 1,
        samples: photometric.samples(),
        photometric,
        bits_allocated: 8,
        bits_stored: 8,
        high_bit: 7,
        signed: false,
        planar: false,
    };
    match syntax {
        Syntax::Native => native::is_supported(&layout),
        Syntax::JpegBaseline | Syntax::JpegExtended => {
            !matches!(photometric, Photometric::Palette | Photometric::YbrRct | Photometric::YbrIct | Photometric::Xyb)
        }
        Syntax::Video(_) => photometric == Photometric::YbrPartial420,
        other => match FrameDecoder::of(other) {
            Some((decoder, lossless)) => decoder.is_supported(&layout, lossless),
            None => FrameCodec::of(other).is_some_and(|codec| codec.is_supported(&layout)),
        },
    }
}

#[cfg(test)]
mod tests;
