//! JPEG-LS (ITU-T T.87): decoding lossless and near-lossless streams of any interleaving, encoding lossless ones.
//!
//! A near-lossless stream is encoded again without loss of what was decoded, so that nothing outside the regions changes.
//! Mapping tables, subsampling and restart intervals are refused.

mod bits;
mod decode;
mod encode;
mod model;

pub(crate) use decode::decode;
pub(crate) use encode::encode;

/// What encoding again takes over from a stream: its sample precision, bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) precision: u8,
}

#[cfg(test)]
mod tests;
