//! Codecs that decode a frame to samples and encode it again, losslessly both ways. A new one is a module here and a line
//! in [`FrameCodec::of`].
//!
//! A decoded frame is native pixel data: little endian, Planar Configuration 0.

mod rle;

use crate::{
    image::{Photometric, PixelLayout},
    syntax::Syntax,
};

/// Why a frame could not be decoded or encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The stream ends early, or breaks its standard.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// The stream contradicts the attributes.
    #[error("frame contradicts the attributes")]
    Geometry,
    /// A feature that is not handled.
    #[error("unsupported frame: {0}")]
    Unsupported(&'static str),
}

/// A lossless codec of single frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameCodec {
    /// RLE lossless (PS3.5 Annex G).
    Rle,
}

impl FrameCodec {
    /// The codec of a transfer syntax.
    pub(crate) fn of(syntax: Syntax) -> Option<Self> {
        match syntax {
            Syntax::Rle => Some(Self::Rle),
            _ => None,
        }
    }

    /// True when it can carry images of this layout.
    pub(crate) fn is_supported(self, layout: &PixelLayout) -> bool {
        [8, 16, 32].contains(&layout.bits_allocated)
            && !matches!(layout.photometric, Photometric::YbrFull422 | Photometric::YbrRct | Photometric::YbrIct)
    }

    /// Decodes a frame into `samples`, which is cleared first.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub(crate) fn decode(self, stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Rle => rle::decode(stream, layout, samples),
        }
    }

    /// Encodes a frame, appending to `stream`.
    ///
    /// # Errors
    /// See [`CodecError`].
    pub(crate) fn encode(self, samples: &[u8], layout: &PixelLayout, stream: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Rle => rle::encode(samples, layout, stream),
        }
    }
}
