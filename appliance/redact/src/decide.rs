//! What happens to an object's pixels: clear as it is, redact by a plan, or hold. A pure function of the object.

use crate::{
    NeverBurntIn, PixelClearance, Templates,
    anchor::Placed,
    clearance::Basis,
    codec::{FrameCodec, FrameDecoder},
    image::{Facts, Inconsistent, Photometric, PixelData, PixelLayout, pixel_data},
    mask::{Mask, Rect},
    native,
    syntax::{BIG_ENDIAN, Syntax},
    template::Match,
    video::Standard,
};
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Value};
use std::sync::Arc;

/// The decision.
#[derive(Debug)]
pub enum Decision {
    /// The pixels are safe as they stand.
    Clear(PixelClearance),
    /// They are safe once [`crate::apply`] has carried the plan out.
    Redact(Plan),
    /// Not to be released.
    Hold(Hold),
}

/// Why an object is held. [`Hold::as_str`] gives the word that quarantine and reports use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// May be burnt in, and no template matches.
    NoTemplate,
    /// The template that matches has not been verified.
    UnverifiedTemplate {
        /// Its id.
        template: String,
    },
    /// Several equally specific templates match.
    AmbiguousTemplate,
    /// The template that matches asks for ultrasound regions (0018,6011) inside the image, and the object has none such; or nothing
    /// would be blanked.
    TemplateMismatch,
    /// Needs work on its pixels that is not possible in this transfer syntax.
    UnsupportedTransferSyntax,
    /// A SOP class that no rule makes safe.
    UnsupportedSopClass,
    /// Attributes contradict each other or the pixel data.
    Inconsistent,
}

impl Hold {
    /// The word of `gift_status::HoldReason`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoTemplate => "no-template",
            Self::UnverifiedTemplate { .. } => "unverified-template",
            Self::AmbiguousTemplate => "ambiguous-template",
            Self::TemplateMismatch => "template-mismatch",
            Self::UnsupportedTransferSyntax => "unsupported-transfer-syntax",
            Self::UnsupportedSopClass => "unsupported-sop-class",
            Self::Inconsistent => "inconsistent",
        }
    }
}

impl From<Inconsistent> for Hold {
    fn from(_: Inconsistent) -> Self {
        Self::Inconsistent
    }
}

/// What is to be done with an object's pixels.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) basis: Basis,
    pub(crate) layout: PixelLayout,
    pub(crate) mask: Mask,
    pub(crate) anchors: Arc<[Placed]>,
    pub(crate) method: Method,
}

/// The codec that carries a plan out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Native pixels, line by line.
    Native,
    /// JPEG in the DCT domain.
    Jpeg,
    /// Progressive JPEG in which nothing is blanked: only what may hide beside the scans goes.
    StripProgressiveJpeg,
    /// A lossless codec: decode each frame, encode it again.
    Frames(FrameCodec),
    /// Decode each frame; the result is native.
    Decoded {
        /// By what.
        decoder: FrameDecoder,
        /// The transfer syntax allows no loss.
        lossless: bool,
    },
    /// Video: decode the stream, blank each frame, encode another stream; by [`crate::video::apply`].
    Video(Standard),
}

impl Plan {
    /// The template, when one is behind it; a plan without one only strips what may hide beside the pixels.
    pub fn template(&self) -> Option<&str> {
        self.basis.template()
    }

    /// The rectangles to blank: the template's own, or as many as cover exactly what is outside of the shapes it keeps.
    pub fn regions(&self) -> &[Rect] {
        self.mask.rects()
    }

    /// The pixels to blank.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// How many anchors every frame must have.
    pub fn anchors(&self) -> usize {
        self.anchors.len()
    }

    /// The codec.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The image.
    pub fn layout(&self) -> &PixelLayout {
        &self.layout
    }
}

/// Decides about one object. `transfer_syntax_uid` is the one it arrived in; the scanner's claims that nothing is burnt in
/// or that identity was removed are not looked at.
pub fn decide(
    ds: &DataSet,
    transfer_syntax_uid: &str,
    templates: &Templates,
    never_burnt_in: &NeverBurntIn,
) -> Decision {
    consider(ds, transfer_syntax_uid, templates, never_burnt_in).unwrap_or_else(Decision::Hold)
}

fn consider(
    ds: &DataSet,
    transfer_syntax_uid: &str,
    templates: &Templates,
    never_burnt_in: &NeverBurntIn,
) -> Result<Decision, Hold> {
    let facts = Facts::of(ds, transfer_syntax_uid)?;
    match pixel_data(ds)? {
        PixelData::None if never_burnt_in.is_without_pixels(facts.sop_class) => {
            return Ok(Decision::Clear(PixelClearance::without_pixels()));
        }
        PixelData::None | PixelData::Float => return Err(Hold::UnsupportedSopClass),
        // A class that has no pixels by the standard, with pixels: no rule and no template can be meant for it.
        PixelData::Present if never_burnt_in.is_without_pixels(facts.sop_class) => return Err(Hold::Inconsistent),
        PixelData::Present => {}
    }
    if facts.syntax == Syntax::Other {
        return Err(Hold::UnsupportedTransferSyntax); // Stereo video among others, whose layouts are not looked at.
    }
    let layout = PixelLayout::of(ds)?;
    // Video is all of one form (PS3.5 8.2.5 to 8.2.11), which nothing else has.
    if (layout.photometric == Photometric::YbrPartial420) != matches!(facts.syntax, Syntax::Video(_)) {
        return Err(Hold::Inconsistent);
    }
    let (basis, mask, anchors) = match templates.find(&facts, &layout) {
        Match::Tie => return Err(Hold::AmbiguousTemplate),
        Match::One(template) if template.verified().is_none() => {
            return Err(Hold::UnverifiedTemplate { template: template.id().to_owned() });
        }
        Match::One(template) => {
            let mask = template.mask_for(&facts).map_err(|Inconsistent| Hold::TemplateMismatch)?;
            if mask.is_empty() {
                return Err(Hold::TemplateMismatch);
            }
            (Basis::Template(template.id().to_owned()), mask, Arc::clone(template.placed()))
        }
        Match::None => match never_burnt_in.rule(&facts, layout.photometric) {
            Some(rule) => (Basis::NeverBurntIn(rule.to_owned()), Mask::default(), Arc::default()),
            None => return Err(Hold::NoTemplate),
        },
    };
    let value = &ds.get(tags::PIXEL_DATA).ok_or(Hold::Inconsistent)?.value;
    // Whether cells of more than 16 bit are swapped as words or as a whole is not agreed on among writers.
    if transfer_syntax_uid == BIG_ENDIAN && layout.bits_allocated > 16 {
        return Err(Hold::UnsupportedTransferSyntax);
    }
    let plan = |mask, method| {
        Ok(Decision::Redact(Plan { basis: basis.clone(), layout, mask, anchors: Arc::clone(&anchors), method }))
    };
    match (facts.syntax, value) {
        (Syntax::Native, Value::Bytes(_) | Value::Span { .. }) => {
            if native_is_clear(value, &layout, &mask)? {
                return Ok(Decision::Clear(PixelClearance::new(basis.clone(), layout.frames, Vec::new(), value)));
            }
            plan(mask, Method::Native)
        }
        (Syntax::JpegBaseline | Syntax::JpegExtended, Value::Fragments { fragments, .. }) => {
            if fragments.is_empty() || matches!(layout.photometric, Photometric::Palette | Photometric::Xyb) {
                return Err(Hold::Inconsistent);
            }
            plan(mask, Method::Jpeg)
        }
        // Where something is to be blanked or looked for it is held.
        (Syntax::JpegProgressive, Value::Fragments { fragments, .. }) if mask.is_empty() && anchors.is_empty() => {
            if fragments.is_empty() || layout.samples != 1 || layout.photometric == Photometric::Palette {
                return Err(Hold::Inconsistent);
            }
            plan(mask, Method::StripProgressiveJpeg)
        }
        (Syntax::Video(standard), Value::Fragments { fragments, .. }) => {
            if fragments.is_empty() || !standard.is_supported(&layout) {
                return Err(Hold::Inconsistent);
            }
            plan(mask, Method::Video(standard))
        }
        (Syntax::Native | Syntax::JpegBaseline | Syntax::JpegExtended | Syntax::Video(_), _) => Err(Hold::Inconsistent),
        (syntax, Value::Fragments { fragments, .. }) if let Some((decoder, lossless)) = FrameDecoder::of(syntax) => {
            if fragments.is_empty() || !decoder.is_supported(&layout, lossless) {
                return Err(Hold::Inconsistent);
            }
            let mask = if lossless { mask } else { mask.grown(decoder.margin_px(), layout.rows, layout.columns) };
            plan(mask, Method::Decoded { decoder, lossless })
        }
        (syntax, Value::Fragments { fragments, .. }) => {
            let codec = FrameCodec::of(syntax).ok_or(Hold::UnsupportedTransferSyntax)?;
            let packed = layout.bits_allocated == 1;
            if fragments.is_empty() || !codec.is_supported(&layout) || packed && !mask.is_empty() {
                return Err(Hold::Inconsistent);
            }
            plan(mask, Method::Frames(codec))
        }
        _ => Err(Hold::Inconsistent),
    }
}

/// True when native pixels may stand as they are; an error when they do not fit the attributes, or cannot be worked on.
fn native_is_clear(value: &Value, layout: &PixelLayout, mask: &Mask) -> Result<bool, Hold> {
    let length = layout.native_length().ok_or(Hold::Inconsistent)?;
    let stands = match value {
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::Span { length, .. } => *length,
        _ => return Err(Hold::Inconsistent),
    };
    if stands != length && stands != length.next_multiple_of(2) {
        return Err(Hold::Inconsistent);
    }
    if mask.is_empty() && !layout.has_unused_bits() {
        return Ok(true);
    }
    if native::is_supported(layout) { Ok(false) } else { Err(Hold::Inconsistent) }
}

#[cfg(test)]
mod tests;
