//! Codecs that decode a frame to samples and encode it again, losslessly both ways. A new one is a module here and a line
//! in [`FrameCodec::of`]. Formats that are only decoded, because what is written is native, are in [`FrameDecoder`].
//!
//! A decoded frame is native pixel data: little endian, Planar Configuration 0.

mod decoder;
mod deflated;
mod jpeg_2000;
mod jpeg_xl;
mod rle;
mod words;

pub use decoder::FrameDecoder;

use crate::{
    image::{Photometric, PixelLayout},
    jpeg::{JpegError, lossless},
    jpeg_ls,
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

impl From<JpegError> for CodecError {
    fn from(error: JpegError) -> Self {
        match error {
            JpegError::Malformed(what) | JpegError::Unproven(what) => Self::Malformed(what),
            JpegError::Truncated => Self::Malformed("stream ends early"),
            JpegError::NoCode => Self::Malformed("no code for a symbol"),
            JpegError::Unsupported(what) => Self::Unsupported(what),
            JpegError::Geometry => Self::Geometry,
        }
    }
}

/// A lossless codec of single frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameCodec {
    /// RLE lossless (PS3.5 Annex G).
    Rle,
    /// JPEG lossless (PS3.5 A.4.1).
    JpegLossless,
    /// JPEG-LS (PS3.5 A.4.3).
    JpegLs,
    /// Deflated frames (PS3.5 A.4.13).
    Deflated,
}

/// Size of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    /// Samples per pixel.
    pub(crate) samples: u16,
}

impl Shape {
    fn of(layout: &PixelLayout) -> Self {
        Self { rows: layout.rows, columns: layout.columns, samples: layout.samples }
    }

    /// Samples of a frame.
    pub(crate) fn count(self) -> usize {
        usize::from(self.rows) * usize::from(self.columns) * usize::from(self.samples)
    }
}

/// What encoding a frame again takes over from its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Header {
    Rle,
    JpegLossless(lossless::Header),
    JpegLs(jpeg_ls::Header),
    Deflated,
}

impl FrameCodec {
    /// The codec of a transfer syntax.
    pub(crate) fn of(syntax: Syntax) -> Option<Self> {
        match syntax {
            Syntax::Rle => Some(Self::Rle),
            Syntax::JpegLossless => Some(Self::JpegLossless),
            Syntax::JpegLs => Some(Self::JpegLs),
            Syntax::Deflated => Some(Self::Deflated),
            _ => None,
        }
    }

    /// True when it can carry images of this layout.
    pub(crate) fn is_supported(self, layout: &PixelLayout) -> bool {
        let widths: &[u16] = match self {
            Self::Rle | Self::Deflated => &[1, 8, 16, 32],
            Self::JpegLossless | Self::JpegLs => &[8, 16],
        };
        widths.contains(&layout.bits_allocated)
            && !matches!(
                layout.photometric,
                Photometric::YbrFull422
                    | Photometric::YbrPartial420
                    | Photometric::YbrRct
                    | Photometric::YbrIct
                    | Photometric::Xyb
            )
    }

    /// How the stream of a frame begins, when that tells it from the middle of one.
    pub(crate) fn start(self) -> Option<[u8; 2]> {
        match self {
            Self::Rle | Self::Deflated => None,
            Self::JpegLossless | Self::JpegLs => Some([0xFF, 0xD8]),
        }
    }

    /// Decodes a frame into `samples`, which is cleared first.
    pub(crate) fn decode(
        self,
        stream: &[u8],
        layout: &PixelLayout,
        samples: &mut Vec<u8>,
    ) -> Result<Header, CodecError> {
        match self {
            Self::Rle => rle::decode(stream, layout, samples).map(|()| Header::Rle),
            Self::Deflated => deflated::decode(stream, layout, samples).map(|()| Header::Deflated),
            Self::JpegLossless => {
                let mut values = Vec::new();
                let header = lossless::decode(stream, Shape::of(layout), &mut values)?;
                words::to_samples(values, header.precision, layout, samples)?;
                Ok(Header::JpegLossless(header))
            }
            Self::JpegLs => {
                let mut values = Vec::new();
                let header = jpeg_ls::decode(stream, Shape::of(layout), &mut values)?;
                words::to_samples(values, header.precision, layout, samples)?;
                Ok(Header::JpegLs(header))
            }
        }
    }

    /// Encodes a frame, appending to `stream`.
    pub(crate) fn encode(
        samples: &[u8],
        layout: &PixelLayout,
        header: Header,
        stream: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        match header {
            Header::Rle => rle::encode(samples, layout, stream),
            Header::Deflated => deflated::encode(samples, stream),
            Header::JpegLossless(header) => {
                let values = words::from_samples(samples, header.precision, layout);
                Ok(lossless::encode(&values, Shape::of(layout), header, stream)?)
            }
            Header::JpegLs(header) => {
                let values = words::from_samples(samples, header.precision, layout);
                jpeg_ls::encode(&values, Shape::of(layout), header, stream)
            }
        }
    }
}
