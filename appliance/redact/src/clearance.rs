//! The proof that an object's pixels may be released. Only this crate can make one.

use crate::mask::Rect;
use gift_deidentify::dataset::Value;

/// On what ground.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Basis {
    WithoutPixels,
    NeverBurntIn(String),
    Template(String),
}

impl Basis {
    pub(crate) fn template(&self) -> Option<&str> {
        match self {
            Self::Template(id) => Some(id),
            _ => None,
        }
    }
}

/// Proof that the pixels of one object are safe: made by [`crate::decide`] for objects that are safe as they stand and by
/// [`crate::apply`] after it has read back what it wrote. Not to be cloned: it goes into one [`crate::Deidentified`].
#[derive(PartialEq, Eq)]
#[must_use]
pub struct PixelClearance {
    basis: Basis,
    frames: u32,
    regions: Vec<Rect>,
    /// The value of Pixel Data that was cleared; `None` for objects without.
    cleared: Option<Value>,
}

/// Without the pixels.
impl std::fmt::Debug for PixelClearance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { basis, frames, regions, cleared: _ } = self;
        f.debug_struct("PixelClearance")
            .field("basis", basis)
            .field("frames", frames)
            .field("regions", regions)
            .finish()
    }
}

impl PixelClearance {
    pub(crate) fn new(basis: Basis, frames: u32, regions: Vec<Rect>, cleared: &Value) -> Self {
        Self { basis, frames, regions, cleared: Some(cleared.clone()) }
    }

    pub(crate) fn without_pixels() -> Self {
        Self { basis: Basis::WithoutPixels, frames: 0, regions: Vec::new(), cleared: None }
    }

    pub(crate) fn cleared(&self) -> Option<&Value> {
        self.cleared.as_ref()
    }

    /// The template that named the regions.
    pub fn template(&self) -> Option<&str> {
        self.basis.template()
    }

    /// The rule of the allow-list under which the image needed no region.
    pub fn never_burnt_in_rule(&self) -> Option<&str> {
        match &self.basis {
            Basis::NeverBurntIn(rule) => Some(rule),
            _ => None,
        }
    }

    /// Frames that are safe; with regions, each was proven after writing.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// The rectangles that are blank in every frame (a codec may have blanked more, out to its grid).
    pub fn regions(&self) -> &[Rect] {
        &self.regions
    }
}
