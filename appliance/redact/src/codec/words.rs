//! Decoded values as native samples and back: width and sign of the attributes, precision of the stream.

use super::CodecError;
use crate::image::PixelLayout;

pub(super) fn to_samples(
    mut values: Vec<u16>,
    precision: u8,
    layout: &PixelLayout,
    samples: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let precision = u16::from(precision);
    if precision > layout.bits_allocated || precision < layout.high_bit + 1 {
        return Err(CodecError::Geometry);
    }
    if layout.signed && precision < 16 {
        // The stream holds two's complement of its own precision.
        let shift = 16 - precision;
        values.iter_mut().for_each(|v| *v = (((*v << shift) as i16) >> shift) as u16);
    }
    samples.clear();
    match layout.bits_allocated {
        8 => samples.extend(values.iter().map(|&v| v as u8)),
        _ => samples.extend(values.iter().flat_map(|v| v.to_le_bytes())),
    }
    Ok(())
}

pub(super) fn from_samples(samples: &[u8], precision: u8, layout: &PixelLayout) -> Vec<u16> {
    let mask = u16::MAX >> (16 - u16::from(precision));
    match layout.bits_allocated {
        8 => samples.iter().map(|&b| u16::from(b) & mask).collect(),
        _ => samples.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]) & mask).collect(),
    }
}
