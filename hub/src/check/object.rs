//! The rules applied to one object, on a single walk that also builds its index.

use std::path::Path;

use dicom_core::Tag;
use gift_wire::Manifest;

use super::{
    Rule, Violation,
    table::ProfileRules,
    values::{Values, is_pseudonymous},
};
use crate::object::{
    index::{Index, Indexer},
    text::ascii,
    walk::{Event, Limits, Value, Visitor, WalkError, walk_file},
};

/// Most violations that are listed; one is enough to isolate.
pub(super) const MAX_VIOLATIONS: usize = 16;

/// An object that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its index.
    pub index: Index,
}

/// Walks the object at `path` and applies `rules`.
pub(super) fn check(
    path: &Path,
    limits: Limits,
    rules: &ProfileRules,
    dummies: &[String],
    manifest: &Manifest,
) -> Result<Result<Passed, Vec<Violation>>, WalkError> {
    let mut inspection = Inspection {
        rules,
        manifest,
        indexer: Indexer::default(),
        values: Values::new(dummies, &manifest.subject),
        found: Vec::new(),
        seen: Seen::default(),
    };
    let header = walk_file(path, limits, &mut inspection)?;
    if !header.preamble_is_zero {
        inspection.report(Rule::Preamble, None);
    }
    if header.transfer_syntax != manifest.transfer_syntax_uid {
        inspection.report(Rule::Manifest, Some(Tag(0x0002, 0x0010)));
    }
    inspection.report_missing();
    let Inspection { indexer, found, .. } = inspection;
    Ok(if found.is_empty() { Ok(Passed { index: indexer.finish() }) } else { Err(found) })
}

/// Attributes that must be there, and were seen in good order.
#[derive(Debug, Default)]
struct Seen {
    identity_removed: bool,
    method: bool,
    patient_id: bool,
    uids: [bool; 4],
}

struct Inspection<'a> {
    rules: &'a ProfileRules,
    manifest: &'a Manifest,
    indexer: Indexer,
    values: Values<'a>,
    found: Vec<Violation>,
    seen: Seen,
}

impl Inspection<'_> {
    fn report(&mut self, rule: Rule, tag: Option<Tag>) {
        let violation = Violation { rule, tag };
        if self.found.len() < MAX_VIOLATIONS && !self.found.contains(&violation) {
            self.found.push(violation);
        }
    }

    fn report_missing(&mut self) {
        if !self.seen.identity_removed {
            self.report(Rule::IdentityRemoved, None);
        }
        if !self.seen.method {
            self.report(Rule::Method, None);
        }
        if !self.seen.patient_id {
            self.report(Rule::Subject, Some(Tag(0x0010, 0x0020)));
        }
        let tags = [(0x0008, 0x0016), (0x0008, 0x0018), (0x0020, 0x000D), (0x0020, 0x000E)];
        for ((group, element), seen) in tags.into_iter().zip(self.seen.uids) {
            if !seen {
                self.report(Rule::Manifest, Some(Tag(group, element)));
            }
        }
    }

    fn file_meta(&mut self, tag: Tag, bytes: &[u8]) {
        match tag.element() {
            // Group length, version, SOP class, transfer syntax, implementation.
            0x0000 | 0x0001 | 0x0010 | 0x0012 | 0x0013 => {}
            0x0002 if ascii(bytes) == self.manifest.sop_class_uid => {}
            0x0003 if ascii(bytes) == self.manifest.sop_instance_uid => {}
            0x0002 | 0x0003 => self.report(Rule::Manifest, Some(tag)),
            // AE titles, presentation addresses, private information, anything a later edition may add.
            _ => self.report(Rule::FileMeta, Some(tag)),
        }
    }

    /// Attributes of the outermost level that must say what the manifest says.
    fn outermost(&mut self, tag: Tag, bytes: &[u8]) {
        let (text, manifest) = (ascii(bytes), self.manifest);
        let uid = |wanted: &str| text == wanted;
        match (tag.group(), tag.element()) {
            (0x0008, 0x0016) => self.seen.uids[0] = uid(&manifest.sop_class_uid),
            (0x0008, 0x0018) => self.seen.uids[1] = uid(&manifest.sop_instance_uid) && is_pseudonymous(&text),
            (0x0020, 0x000D) => self.seen.uids[2] = uid(&manifest.study_instance_uid) && is_pseudonymous(&text),
            (0x0020, 0x000E) => self.seen.uids[3] = uid(&manifest.series_instance_uid) && is_pseudonymous(&text),
            (0x0012, 0x0062) => self.seen.identity_removed = text == "YES",
            (0x0012, 0x0063) => self.seen.method |= !text.is_empty(),
            (0x0010, 0x0020) => self.seen.patient_id = text == manifest.subject,
            // Patient's Name is Z: empty, or the pseudonym again.
            (0x0010, 0x0010) if !text.is_empty() && text != manifest.subject => self.report(Rule::Subject, Some(tag)),
            _ => {}
        }
    }
}

impl Visitor for Inspection<'_> {
    fn visit(&mut self, depth: usize, event: Event<'_>) {
        self.indexer.visit(depth, event);
        if let Event::Element { tag, value, .. } = event
            && tag.group() == 2
        {
            return match value {
                Value::Bytes(bytes) => self.file_meta(tag, bytes),
                _ => self.report(Rule::FileMeta, Some(tag)),
            };
        }
        if let Some(violation) = self.values.visit(self.rules, depth, event) {
            self.report(violation.rule, violation.tag);
        }
        match event {
            Event::Element { tag, value: Value::Bytes(bytes), .. } if depth == 0 => self.outermost(tag, bytes),
            Event::SequenceStart(tag) => self.seen.method |= depth == 0 && tag == Tag(0x0012, 0x0064),
            _ => {}
        }
    }
}
