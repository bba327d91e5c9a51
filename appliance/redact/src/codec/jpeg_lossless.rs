//! JPEG lossless frames as native samples: width and sign of the attributes, precision of the stream.

use super::CodecError;
use crate::{
    image::PixelLayout,
    jpeg::lossless::{self, Header, Shape},
};

fn shape(layout: &PixelLayout) -> Shape {
    Shape { rows: layout.rows, columns: layout.columns, samples: layout.samples }
}

pub(super) fn decode(stream: &[u8], layout: &PixelLayout, samples: &mut Vec<u8>) -> Result<Header, CodecError> {
    let mut values = Vec::new();
    let header = lossless::decode(stream, shape(layout), &mut values)?;
    let precision = u16::from(header.precision);
    if precision > layout.bits_allocated || precision < layout.high_bit + 1 {
        return Err(CodecError::Geometry);
    }
    if layout.signed && precision < layout.bits_allocated {
        // The stream holds two's complement of its own precision.
        let shift = 16 - precision;
        values.iter_mut().for_each(|v| *v = (((*v << shift) as i16) >> shift) as u16);
    }
    samples.clear();
    match layout.bits_allocated {
        8 => samples.extend(values.iter().map(|&v| v as u8)),
        _ => samples.extend(values.iter().flat_map(|v| v.to_le_bytes())),
    }
    Ok(header)
}

pub(super) fn encode(
    samples: &[u8],
    layout: &PixelLayout,
    header: Header,
    stream: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mask = u16::MAX >> (16 - u16::from(header.precision));
    let values: Vec<u16> = match layout.bits_allocated {
        8 => samples.iter().map(|&b| u16::from(b) & mask).collect(),
        _ => samples.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]) & mask).collect(),
    };
    Ok(lossless::encode(&values, shape(layout), header, stream)?)
}
