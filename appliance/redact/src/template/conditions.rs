//! What a template states about the images it is for: matching, how specific that is, and whether two could match one image.

use crate::{
    image::{Facts, PixelLayout},
    syntax::Syntax,
    ultrasound::UltrasoundRegion,
};
use serde::Deserialize;

/// Transfer syntaxes that hold pixels without encapsulation, as one word in a template.
pub(super) const NATIVE: &str = "native";

/// What a template states about the images it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
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
    /// Sequence of Ultrasound Regions (0018,6011): exactly these, in any order.
    pub ultrasound_regions: Option<Vec<UltrasoundRegion>>,
}

impl Conditions {
    pub(super) fn matches(&self, facts: &Facts<'_>, layout: &PixelLayout) -> bool {
        (self.rows, self.columns) == (layout.rows, layout.columns)
            && self.held(facts, layout).iter().all(|(_, holds)| *holds)
    }

    /// The conditions by key, and whether the object meets them; those that are not stated are met.
    pub(super) fn held(&self, facts: &Facts<'_>, layout: &PixelLayout) -> [(&'static str, bool); 10] {
        let equal = |stated: &Option<String>, is: Option<&str>| stated.as_deref().is_none_or(|s| is == Some(s));
        let one_of = |stated: &Option<Vec<String>>, is: Option<&str>| {
            stated.as_ref().is_none_or(|s| is.is_some_and(|is| s.iter().any(|s| s == is)))
        };
        let syntax = |stated: &String| {
            if stated == NATIVE { facts.syntax == Syntax::Native } else { stated == facts.transfer_syntax_uid }
        };
        let regions =
            |stated: &Vec<UltrasoundRegion>| facts.ultrasound_regions.as_ref().is_ok_and(|are| *are == sorted(stated));
        [
            ("rows", self.rows == layout.rows),
            ("columns", self.columns == layout.columns),
            ("samples", self.samples.is_none_or(|s| s == layout.samples)),
            ("manufacturer", equal(&self.manufacturer, facts.manufacturer)),
            ("model", equal(&self.model, facts.model)),
            ("software-versions", one_of(&self.software_versions, facts.software_versions)),
            ("sop-classes", one_of(&self.sop_classes, Some(facts.sop_class))),
            (
                "photometric-interpretations",
                one_of(&self.photometric_interpretations, Some(layout.photometric.as_str())),
            ),
            ("transfer-syntaxes", self.transfer_syntaxes.as_ref().is_none_or(|s| s.iter().any(syntax))),
            ("ultrasound-regions", self.ultrasound_regions.as_ref().is_none_or(regions)),
        ]
    }

    /// Number of stated conditions beyond the size: of the templates that match an object, the one with the most wins.
    pub fn specificity(&self) -> usize {
        [
            self.manufacturer.is_some(),
            self.model.is_some(),
            self.software_versions.is_some(),
            self.sop_classes.is_some(),
            self.samples.is_some(),
            self.photometric_interpretations.is_some(),
            self.transfer_syntaxes.is_some(),
            self.ultrasound_regions.is_some(),
        ]
        .into_iter()
        .filter(|&stated| stated)
        .count()
    }

    /// True when every transfer syntax stated holds the samples without loss.
    pub(super) fn is_lossless(&self) -> bool {
        let lossless = |uid: &String| {
            uid == NATIVE
                || matches!(
                    Syntax::of(uid),
                    Syntax::Native
                        | Syntax::Rle
                        | Syntax::JpegLossless
                        | Syntax::Deflated
                        | Syntax::Jpeg2000Lossless
                        | Syntax::JpegXlLossless
                )
                || uid == Syntax::JPEG_LS_LOSSLESS
        };
        self.transfer_syntaxes.as_ref().is_some_and(|s| s.iter().all(lossless))
    }

    /// True when some object could match both.
    pub fn overlaps(&self, other: &Self) -> bool {
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
            && equal(&self.ultrasound_regions.as_deref().map(sorted), &other.ultrasound_regions.as_deref().map(sorted))
    }
}

pub(super) fn sorted(regions: &[UltrasoundRegion]) -> Vec<UltrasoundRegion> {
    let mut regions = regions.to_vec();
    regions.sort_unstable();
    regions
}
