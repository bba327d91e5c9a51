//! Deflated Image Frame Compression (PS3.5 A.4.13): each frame is native pixel data, deflated (RFC 1951).

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use super::CodecError;
use crate::image::PixelLayout;

/// Bytes of a native frame.
fn length(layout: &PixelLayout) -> Result<usize, CodecError> {
    let frame = PixelLayout { frames: 1, ..*layout };
    frame.native_length().and_then(|length| usize::try_from(length).ok()).ok_or(CodecError::Geometry)
}

pub(super) fn decode(stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<(), CodecError> {
    let length = length(layout)?;
    // 1032:1 is the most that deflate can compress: a stream too short for the frame is refused before memory is taken.
    if length / 1032 > stream.len() {
        return Err(CodecError::Malformed("deflated frame too short"));
    }
    samples.clear();
    let mut inflater = DeflateDecoder::new(stream);
    let malformed = |_| CodecError::Malformed("deflated frame");
    // One byte more than there may be.
    inflater.by_ref().take(length as u64 + 1).read_to_end(samples).map_err(malformed)?;
    if samples.len() == length { Ok(()) } else { Err(CodecError::Geometry) }
}

pub(super) fn encode(samples: &[u8], stream: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut deflater = DeflateEncoder::new(stream, Compression::default());
    let failed = |_| CodecError::Unsupported("deflating failed");
    deflater.write_all(samples).map_err(failed)?;
    deflater.finish().map(drop).map_err(failed)
}
