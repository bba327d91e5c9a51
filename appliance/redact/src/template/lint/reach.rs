//! Templates that more specific ones leave no image: whatever object matches them matches another that wins.
//!
//! Objects are infinitely many, but what tells them apart is not: of each attribute the values that some template states, and one
//! value that none states.

use super::super::{Conditions, TemplateError, conditions::NATIVE, parse::Read};
use crate::{image::Photometric, syntax::Syntax};

/// A value that no template states.
const OTHER: &str = "\u{FFFD}";
/// More kinds of object than this are not gone through; no set comes near.
const MOST_OBJECTS: usize = 1 << 20;

pub(super) fn shadowed(set: &[Read], found: &mut Vec<TemplateError>) {
    for read in set {
        let own = &read.template.conditions;
        let stronger: Vec<&Conditions> = set
            .iter()
            .map(|other| &other.template.conditions)
            .filter(|other| other.specificity() > own.specificity() && other.overlaps(own))
            .collect();
        if !stronger.is_empty()
            && objects(own, &stronger).is_some_and(|mut o| o.all(|o| stronger.iter().any(|c| o.matches(c))))
        {
            found.push(read.error(read.lines.id, "more specific templates leave no image to this one"));
        }
    }
}

/// One kind of object.
#[derive(Debug, Clone)]
struct Object<'a> {
    manufacturer: &'a str,
    model: &'a str,
    software: &'a str,
    sop_class: &'a str,
    syntax: &'a str,
    photometric: Photometric,
    /// Its ultrasound regions are those of the list at this index, or of none.
    regions: Option<usize>,
    lists: &'a [&'a Conditions],
}

impl Object<'_> {
    fn matches(&self, c: &Conditions) -> bool {
        let equal = |stated: &Option<String>, is: &str| stated.as_deref().is_none_or(|s| s == is);
        let one_of = |stated: &Option<Vec<String>>, is: &str| stated.as_ref().is_none_or(|s| s.iter().any(|s| s == is));
        let syntax =
            |stated: &String| stated == self.syntax || stated == NATIVE && Syntax::of(self.syntax) == Syntax::Native;
        let regions = |stated: &Vec<_>| {
            let is = self.regions.and_then(|i| self.lists[i].ultrasound_regions.as_ref());
            is.is_some_and(|is| super::super::conditions::sorted(is) == super::super::conditions::sorted(stated))
        };
        equal(&c.manufacturer, self.manufacturer)
            && equal(&c.model, self.model)
            && one_of(&c.software_versions, self.software)
            && one_of(&c.sop_classes, self.sop_class)
            && one_of(&c.photometric_interpretations, self.photometric.as_str())
            && c.samples.is_none_or(|s| s == self.photometric.samples())
            && c.transfer_syntaxes.as_ref().is_none_or(|s| s.iter().any(syntax))
            && c.ultrasound_regions.as_ref().is_none_or(regions)
    }
}

/// All kinds of object that match `own`, as far as `stronger` can tell them apart; `None` when they are too many.
fn objects<'a>(own: &'a Conditions, stronger: &'a [&'a Conditions]) -> Option<impl Iterator<Item = Object<'a>>> {
    fn values<'a>(own: Vec<&'a str>, others: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        if !own.is_empty() {
            return own;
        }
        let mut all: Vec<&str> = others.chain([OTHER]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
    fn list(stated: &Option<Vec<String>>) -> Vec<&str> {
        stated.iter().flatten().map(String::as_str).collect()
    }
    let each = || stronger.iter().copied();
    let manufacturers =
        values(own.manufacturer.as_deref().into_iter().collect(), each().filter_map(|c| c.manufacturer.as_deref()));
    let models = values(own.model.as_deref().into_iter().collect(), each().filter_map(|c| c.model.as_deref()));
    let software = values(list(&own.software_versions), each().flat_map(|c| list(&c.software_versions)));
    let classes = values(list(&own.sop_classes), each().flat_map(|c| list(&c.sop_classes)));
    let mut syntaxes = values(list(&own.transfer_syntaxes), each().flat_map(|c| list(&c.transfer_syntaxes)));
    if syntaxes.contains(&NATIVE) {
        // The word stands for four.
        syntaxes.retain(|s| *s != NATIVE);
        syntaxes.extend(Syntax::NATIVE_UIDS);
    }
    let photometrics: Vec<Photometric> = Photometric::ALL
        .into_iter()
        .filter(|p| own.samples.is_none_or(|s| s == p.samples()))
        .filter(|p| own.photometric_interpretations.as_ref().is_none_or(|s| s.iter().any(|s| s == p.as_str())))
        .collect();
    // Only those of `stronger` that `own` does not exclude overlap with it, so each list is a possible one.
    let lists = (0..stronger.len()).filter(|i| stronger[*i].ultrasound_regions.is_some()).map(Some);
    let regions: Vec<Option<usize>> =
        if own.ultrasound_regions.is_some() { lists.take(1).collect() } else { lists.chain([None]).collect() };
    let regions = if regions.is_empty() { vec![None] } else { regions };
    let sizes = [manufacturers.len(), models.len(), software.len(), classes.len(), syntaxes.len(), photometrics.len()];
    let count = sizes.iter().chain([&regions.len()]).try_fold(1usize, |n, &size| n.checked_mul(size))?;
    (count <= MOST_OBJECTS).then(move || {
        (0..count).map(move |mut n| {
            let mut pick = |size: usize| {
                let at = n % size;
                n /= size;
                at
            };
            Object {
                manufacturer: manufacturers[pick(manufacturers.len())],
                model: models[pick(models.len())],
                software: software[pick(software.len())],
                sop_class: classes[pick(classes.len())],
                syntax: syntaxes[pick(syntaxes.len())],
                photometric: photometrics[pick(photometrics.len())],
                regions: regions[pick(regions.len())],
                lists: stronger,
            }
        })
    })
}
