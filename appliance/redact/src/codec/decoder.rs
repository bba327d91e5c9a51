//! Formats that are decoded and stay native, since nothing maintained encodes them again losslessly in every layout.

use super::{CodecError, jpeg_2000, jpeg_xl};
use crate::{
    image::{Photometric, PixelLayout},
    syntax::Syntax,
};

/// A decoder of single frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameDecoder {
    /// JPEG 2000 and HTJ2K (PS3.5 A.4.4, A.4.11).
    Jpeg2000,
    /// JPEG XL (PS3.5 A.4.12).
    JpegXl,
}

impl FrameDecoder {
    /// The decoder of a transfer syntax, and whether that allows no loss.
    pub(crate) fn of(syntax: Syntax) -> Option<(Self, bool)> {
        match syntax {
            Syntax::Jpeg2000Lossless => Some((Self::Jpeg2000, true)),
            Syntax::Jpeg2000 => Some((Self::Jpeg2000, false)),
            Syntax::JpegXlLossless => Some((Self::JpegXl, true)),
            Syntax::JpegXl => Some((Self::JpegXl, false)),
            _ => None,
        }
    }

    /// True when frames of this layout are handled.
    pub(crate) fn is_supported(self, layout: &PixelLayout, lossless: bool) -> bool {
        match self {
            Self::Jpeg2000 => jpeg_2000::is_supported(layout),
            Self::JpegXl => jpeg_xl::is_supported(layout, lossless),
        }
    }

    /// How the stream of a frame begins.
    pub(crate) fn start(self) -> [u8; 2] {
        match self {
            Self::Jpeg2000 => jpeg_2000::START,
            Self::JpegXl => jpeg_xl::START,
        }
    }

    /// By how much regions grow where the syntax allows loss, px.
    pub(crate) fn margin_px(self) -> u32 {
        match self {
            Self::Jpeg2000 => jpeg_2000::MARGIN_PX,
            Self::JpegXl => jpeg_xl::MARGIN_PX,
        }
    }

    /// Photometric interpretation of a decoded frame: what the codec did to the components is undone.
    pub(crate) fn decoded(self, photometric: Photometric) -> Photometric {
        match (self, photometric) {
            (Self::Jpeg2000, Photometric::YbrRct | Photometric::YbrIct) => Photometric::Rgb,
            (Self::JpegXl, Photometric::YbrFull | Photometric::YbrFull422 | Photometric::Xyb) => Photometric::Rgb,
            (_, other) => other,
        }
    }

    /// Decodes a frame into `samples` (little endian, pixel by pixel), which is cleared first. True when the stream is coded as
    /// lossless ones are.
    pub(crate) fn decode(self, stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<bool, CodecError> {
        match self {
            Self::Jpeg2000 => jpeg_2000::decode(stream, layout, samples),
            Self::JpegXl => jpeg_xl::decode(stream, layout, samples),
        }
    }

    /// True when a frame may have lost something, given the syntax and what [`Self::decode`] said of it.
    pub(crate) fn may_have_lost(self, lossless_syntax: bool, coded_lossless: bool) -> bool {
        match self {
            Self::Jpeg2000 => !coded_lossless,
            // The modular mode can quantise too, and no header says so.
            Self::JpegXl => !(lossless_syntax && coded_lossless),
        }
    }

    /// Lossy Image Compression Method (0028,2114), PS3.3 C.7.6.1.1.5.1.
    pub(crate) fn method_term(self) -> &'static str {
        match self {
            Self::Jpeg2000 => "ISO_15444_1",
            Self::JpegXl => "ISO_18181_1",
        }
    }
}
