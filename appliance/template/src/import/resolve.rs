//! Which of a peer's rules wins, said by templates: there the most specific one does, whatever the order.

use gift_redact::{Conditions, Templates};

use super::{Format, Problem, rule::Rule, translate::without_inner};
use crate::draft::{Draft, text};

/// Templates that hold together.
pub(super) struct Set {
    format: Format,
    entries: Vec<Entry>,
    /// What the peer has besides: line and conditions, as far as they can be said.
    left_out: Vec<(usize, Conditions)>,
}

struct Entry {
    line: usize,
    also: bool,
    draft: Draft,
}

impl Set {
    pub(super) fn new(format: Format) -> Self {
        Self { format, entries: Vec::new(), left_out: Vec::new() }
    }

    /// A rule that is not written.
    pub(super) fn left_out(&mut self, rule: &Rule, draft: Draft) {
        self.left_out.push((rule.line, draft.conditions));
    }

    /// Adds the next one, in the order of the peer's file.
    pub(super) fn add(&mut self, rule: &Rule, draft: Draft, problems: &mut Vec<Problem>, notes: &mut Vec<Problem>) {
        let mut draft = draft;
        let mut replaced = Vec::new();
        let mut widened = Vec::new();
        for (line, _) in self.left_out.iter().filter(|(_, c)| c.overlaps(&draft.conditions)) {
            let what = format!("line {line}, which did not map, comes first for some of its images");
            notes.push(Problem::at(rule.line, what));
        }
        for (at, other) in self.entries.iter().enumerate() {
            let (theirs, ours) = (&other.draft.conditions, &draft.conditions);
            if !theirs.overlaps(ours) {
                continue;
            }
            let (covers, covered) = (covers(theirs, ours), covers(ours, theirs));
            if self.format.all_apply() || other.also {
                let plain = draft.keep.is_empty() && other.draft.keep.is_empty();
                if !plain || !covers && !covered {
                    problems.push(together(rule, other));
                    return;
                }
                if covered && !covers {
                    widened.push(at);
                } else {
                    draft.regions.extend(&other.draft.regions);
                    if covered {
                        replaced.push(at);
                    }
                }
            } else if covers {
                let what = format!("some of its images match line {} first", other.line);
                notes.push(Problem::at(rule.line, what));
                return;
            } else if theirs.specificity() <= ours.specificity() {
                problems.push(together(rule, other));
                return;
            }
        }
        for at in widened {
            let regions = &mut self.entries[at].draft.regions;
            regions.extend(&draft.regions);
            *regions = without_inner(std::mem::take(regions));
        }
        draft.regions = without_inner(draft.regions);
        replaced.into_iter().rev().for_each(|at| drop(self.entries.remove(at)));
        self.entries.push(Entry { line: rule.line, also: rule.also, draft });
    }

    /// All of them; what a box would not load besides the others is a problem.
    pub(super) fn into_drafts(self, problems: &mut Vec<Problem>) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = Vec::new();
        for Entry { line, draft, .. } in self.entries {
            let alone = Templates::parse([("imported", text(std::slice::from_ref(&draft)))]).map(drop);
            let id = draft.id.clone();
            let clash = drafts.iter().any(|d| {
                d.id == id
                    || d.conditions.specificity() == draft.conditions.specificity()
                        && d.conditions.overlaps(&draft.conditions)
            });
            match alone {
                Err(error) => problems.push(Problem::at(line, format!("no template: {}", error.what))),
                Ok(()) if clash => problems.push(Problem::at(line, "another rule matches the same images")),
                Ok(()) => drafts.push(draft),
            }
        }
        drafts
    }
}

fn together(rule: &Rule, other: &Entry) -> Problem {
    let what =
        format!("matches some of the images of line {}, and templates cannot say what becomes of these", other.line);
    Problem::at(rule.line, what)
}

/// True when every object that meets `inner` meets `outer`, as far as what they state tells.
fn covers(outer: &Conditions, inner: &Conditions) -> bool {
    fn equal<T: PartialEq>(outer: &Option<T>, inner: &Option<T>) -> bool {
        outer.is_none() || outer == inner
    }
    let list = |outer: &Option<Vec<String>>, inner: &Option<Vec<String>>| match (outer, inner) {
        (None, _) => true,
        (Some(outer), Some(inner)) => inner.iter().all(|v| outer.contains(v)),
        (Some(_), None) => false,
    };
    (outer.rows, outer.columns) == (inner.rows, inner.columns)
        && equal(&outer.manufacturer, &inner.manufacturer)
        && equal(&outer.model, &inner.model)
        && equal(&outer.samples, &inner.samples)
        && list(&outer.software_versions, &inner.software_versions)
        && list(&outer.sop_classes, &inner.sop_classes)
        && list(&outer.photometric_interpretations, &inner.photometric_interpretations)
        && list(&outer.transfer_syntaxes, &inner.transfer_syntaxes)
}
