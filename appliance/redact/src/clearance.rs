//! The proof that an object's pixels may be released. Only this crate can make one.

use crate::mask::Rect;

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
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct PixelClearance {
    basis: Basis,
    frames: u32,
    regions: Vec<Rect>,
}

impl PixelClearance {
    pub(crate) fn new(basis: Basis, frames: u32, regions: Vec<Rect>) -> Self {
        Self { basis, frames, regions }
    }

    pub(crate) fn without_pixels() -> Self {
        Self::new(Basis::WithoutPixels, 0, Vec::new())
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
