//! The fate of each attribute of one object, noted while it is met: for `gift-examine explain`. Off in the ordinary run.

use dicom_core::{Tag, VR};

use super::Counts;
use crate::dataset::{Element, Value};
use crate::profile::{Profile, ground};

/// What became of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fated {
    /// The sequences it stands in, and the number of the item in each, from 1.
    pub path: Vec<(Tag, usize)>,
    /// The attribute.
    pub tag: Tag,
    /// VR as received.
    pub vr: VR,
    /// Action code of Table E.1-1a that was carried out: D, Z, X, K, C or U.
    pub action: char,
    /// On what ground.
    pub ground: String,
}

/// The notes of one object.
#[derive(Debug, Default)]
pub(super) struct Journal {
    on: bool,
    path: Vec<(Tag, usize)>,
    notes: Vec<Fated>,
}

/// What is remembered of an element until its fate is met.
pub(super) struct Note {
    at: usize,
    counts: Counts,
    sequence: bool,
}

impl Journal {
    /// A journal that is kept.
    pub(super) fn kept() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// Before `element` meets its fate.
    pub(super) fn before(&mut self, profile: &Profile, element: &Element, counts: Counts) -> Option<Note> {
        if !self.on {
            return None;
        }
        let at = self.notes.len();
        let ground = ground(profile, element);
        self.notes.push(Fated { path: self.path.clone(), tag: element.tag, vr: element.vr, action: 'K', ground });
        Some(Note { at, counts, sequence: matches!(element.value, Value::Sequence(_)) })
    }

    /// After: whether it stays, and how much was counted meanwhile.
    pub(super) fn after(&mut self, note: Option<Note>, stays: bool, counts: Counts) {
        let Some(note) = note else { return };
        let (then, now): ([u32; 6], [u32; 6]) = (note.counts.into(), counts.into());
        let first = "DZXKCU".chars().zip(then.iter().zip(now)).find(|(_, (then, now))| **then != *now);
        self.notes[note.at].action = match first {
            _ if !stays => 'X',
            // What its items met was counted too; a sequence itself is kept, or filled with dummies.
            Some((code, _)) if !note.sequence || code == 'D' && then[3] == now[3] => code,
            Some(('Z', _)) if note.sequence => 'Z',
            _ => 'K',
        };
    }

    /// Into item `number` of the sequence `tag`, and out again.
    pub(super) fn enter(&mut self, tag: Tag, number: usize) {
        if self.on {
            self.path.push((tag, number));
        }
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// The notes.
    pub(super) fn into_notes(self) -> Vec<Fated> {
        self.notes
    }
}
