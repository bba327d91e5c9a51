//! The second look, in a worker: a picture of the print in the pixels that are about to be released goes to a reader of text, and
//! what it reads is held against the object's own identifiers. It can hold an object; it never clears one.
//!
//! Relies on `gift-redact` for the picture, on `gift-deidentify` for the likeness of words, and on whoever implements [`Eyes`].

use std::{collections::HashMap, io};

use dicom_core::Tag;
use gift_deidentify::{
    Identifiers, SeenWord,
    dataset::{Limits, ReadError, Source, read_part10},
};
use gift_redact::{Picture, PixelClearance, Unseen};
use serde::{Deserialize, Serialize};

use crate::settings::{Mode, Ocr, OnFailure};

const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
/// Series that are counted at the same time; when there are more, counting starts over.
const MOST_SERIES: usize = 1_024;

/// What the second look came to, where it does not hold the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Looked {
    /// None was to be taken.
    NotAsked,
    /// No identifier was read.
    Clean,
    /// The pixels are of a form or size that is not looked at, or the reader failed and that does not matter here.
    Missed,
}

/// Why the second look holds an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An identifier, in pixels that this template or rule cleared.
    Identifier(String),
    /// The reader failed.
    Failed,
}

/// How an object is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Most pixels of a frame.
    pub most_pixels: u64,
    /// What becomes of it when the reader fails.
    pub on_failure: OnFailure,
}

/// The way to a reader of text.
pub trait Eyes {
    /// How an object of the series, whose pixels were redacted or else are never burnt in, is to be looked at; `None`: not at all.
    fn wants(&mut self, redacted: bool, series: &str) -> Option<Look>;

    /// The words of a grey picture (PGM): a line for each, its confidence, a space, its text. `None`: the reader failed.
    ///
    /// # Errors
    /// There is no way to it any more: the worker ends, and the object is not judged.
    fn read(&mut self, picture: &[u8]) -> io::Result<Option<String>>;
}

/// No second look.
#[derive(Debug, Clone, Copy)]
pub struct Closed;

impl Eyes for Closed {
    fn wants(&mut self, _redacted: bool, _series: &str) -> Option<Look> {
        None
    }
    fn read(&mut self, _picture: &[u8]) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// Which objects are looked at: of each series the first, and then one in so many.
#[derive(Debug)]
pub struct Sampling {
    ocr: Ocr,
    seen: HashMap<String, u32>,
}

impl Sampling {
    /// By these settings.
    pub fn new(ocr: Ocr) -> Self {
        Self { ocr, seen: HashMap::new() }
    }

    /// As [`Eyes::wants`]; `always`: whichever it is of its series.
    pub fn wants(&mut self, redacted: bool, series: &str, always: bool) -> Option<Look> {
        let Ocr { mode, every, max_megapixels, on_failure, .. } = self.ocr;
        let asked = match mode {
            Mode::Off => false,
            Mode::Redacted => redacted || always,
            Mode::All => true,
        };
        if !asked {
            return None;
        }
        if self.seen.len() >= MOST_SERIES && !self.seen.contains_key(series) {
            self.seen.clear();
        }
        let before = self.seen.entry(series.to_owned()).or_default();
        let due = before.is_multiple_of(every.max(1));
        *before = before.wrapping_add(1);
        (due || always).then_some(Look { most_pixels: u64::from(max_megapixels) * 1_000_000, on_failure })
    }
}

/// Looks at the finished object `released`, whose pixels `clearance` is about, for `identifiers` of the object as received.
///
/// # Errors
/// Outer: the file, or the way to the reader. Inner: why the object is to be held.
pub fn second_look(
    released: &dyn Source,
    limits: &Limits,
    identifiers: &Identifiers,
    clearance: &PixelClearance,
    eyes: &mut dyn Eyes,
) -> io::Result<Result<Looked, Seen>> {
    let ground = match (clearance.template(), clearance.never_burnt_in_rule()) {
        (Some(ground), _) | (None, Some(ground)) => ground,
        // No pixels.
        (None, None) => return Ok(Ok(Looked::NotAsked)),
    };
    let (meta, parsed) = match read_part10(released, limits) {
        Ok(read) => read,
        Err(ReadError::Io(kind)) => return Err(kind.into()),
        // The leak scan has read it.
        Err(_) => return Ok(Err(Seen::Failed)),
    };
    let series = parsed.data_set.str(SERIES_INSTANCE_UID).unwrap_or_default();
    let Some(look) = eyes.wants(clearance.template().is_some(), &series) else { return Ok(Ok(Looked::NotAsked)) };
    let picture = match Picture::of_print(&parsed.data_set, &meta.transfer_syntax_uid, &parsed.body, look.most_pixels) {
        Ok(Some(picture)) => picture.to_pgm(),
        Ok(None) => return Ok(Ok(Looked::Clean)),
        Err(Unseen::Read(error)) => return Err(error),
        Err(Unseen::Unsupported | Unseen::TooLarge) => return Ok(Ok(Looked::Missed)),
    };
    drop(parsed);
    let text = match eyes.read(&picture)? {
        Some(text) => Some(text),
        None => eyes.read(&picture)?,
    };
    Ok(match text {
        Some(text) if identifiers.seen_in(&words(&text)).is_some() => Err(Seen::Identifier(ground.to_owned())),
        Some(_) => Ok(Looked::Clean),
        None if look.on_failure == OnFailure::Release => Ok(Looked::Missed),
        None => Err(Seen::Failed),
    })
}

/// The words of [`Eyes::read`].
fn words(text: &str) -> Vec<SeenWord<'_>> {
    let word = |line: &'_ str| -> Option<(u8, usize)> {
        let (confidence, text) = line.split_once(' ')?;
        Some((confidence.parse().ok()?, line.len() - text.len()))
    };
    text.lines()
        .filter_map(|line| word(line).map(|(confidence, at)| SeenWord { text: &line[at..], confidence }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(mode: Mode, every: u32) -> Sampling {
        Sampling::new(Ocr { mode, every, ..Ocr::default() })
    }

    #[test]
    fn the_first_of_each_series_and_one_in_so_many_are_looked_at() {
        let mut sampling = sampling(Mode::Redacted, 3);
        let looked: Vec<bool> = (0..7).map(|_| sampling.wants(true, "1.2", false).is_some()).collect();
        assert_eq!(looked, [true, false, false, true, false, false, true]);
        assert!(sampling.wants(true, "1.3", false).is_some());
        assert!(sampling.wants(true, "1.3", false).is_none());
        assert!(sampling.wants(true, "1.3", true).is_some(), "what was held for a look is always looked at");
        for series in 0..3 * MOST_SERIES {
            assert!(sampling.wants(true, &series.to_string(), false).is_some());
        }
        assert!(sampling.seen.len() <= MOST_SERIES);
    }

    #[test]
    fn the_mode_says_which_ground_is_looked_at() {
        for (mode, redacted, never_burnt_in) in
            [(Mode::Off, false, false), (Mode::Redacted, true, false), (Mode::All, true, true)]
        {
            let mut sampling = sampling(mode, 1);
            let asked = [true, false].map(|ground| sampling.wants(ground, "1.2", false).is_some());
            assert_eq!(asked, [redacted, never_burnt_in], "{mode:?}");
        }
        assert!(sampling(Mode::Redacted, 1).wants(false, "1.2", true).is_some());
    }

    #[test]
    fn words_come_with_their_confidence_and_junk_does_not_come() {
        let read = words("93 JANE\n7 QUILL|FEATHER\nx y\n300 z\n\n41\n");
        let told: Vec<_> = read.iter().map(|word| (word.confidence, word.text)).collect();
        assert_eq!(told, [(93, "JANE"), (7, "QUILL|FEATHER")]);
    }
}
