//! Burnt-in text in the pixels of DICOM objects: when redaction is needed, what to blank, blanking it in every supported
//! format, and the proof that it is gone (PS3.15 E.3.1, Clean Pixel Data Option).
//!
//! [`decide`] says of an object whether its pixels are clear, to be redacted by a [`Plan`], or held; [`apply`] carries a
//! plan out and reads back what it wrote. Both end in a [`PixelClearance`], which only this crate can make, and without
//! which there is no [`Deidentified`] object. What is not positively known to be safe is held. Policy (templates, the
//! never-burnt-in list, the vocabulary of makes and models) is data; matching it is pure: no IO but through the traits that
//! are handed in, no clock, no log. Errors and fingerprints hold no attribute value outside closed lists.

mod allowlist;
mod anchor;
mod apply;
mod clearance;
mod codec;
mod decide;
mod deidentified;
mod fingerprint;
mod fragments;
mod image;
pub mod jpeg;
mod jpeg_ls;
mod luma;
mod mask;
mod native;
mod palette;
mod picture;
mod shape;
mod syntax;
mod template;
#[cfg(test)]
mod testing;
mod ultrasound;
pub mod video;

pub use allowlist::NeverBurntIn;
pub use anchor::{Anchor, AnchorError, Dark};
pub use apply::{RedactError, Redacting, Scratch, apply};
pub use clearance::PixelClearance;
pub use codec::{CodecError, FrameCodec, FrameDecoder};
pub use decide::{Decision, Hold, Method, Plan, decide};
pub use deidentified::{Deidentified, SealError};
pub use fingerprint::{Fingerprint, MAX_REGIONS, Term, Token, Vocabulary};
pub use image::{Inconsistent, Photometric, PixelLayout};
pub use luma::Luma;
pub use mask::{Mask, Rect, Region, RegionError};
pub use picture::{Picture, Unseen};
pub use shape::{Fan, Shape, ShapeError};
pub use syntax::Syntax;
pub use template::{Conditions, Match, Template, TemplateError, Templates, Verified};
pub use ultrasound::UltrasoundRegion;
