//! Encapsulated pixel data: frame by frame, one fragment for each new frame, with its offset table.

use super::{RedactError, Scratch, lines_of, read};
use crate::{
    anchor::{Anchors, check_luma},
    codec::{CodecError, FrameCodec, FrameDecoder},
    decide::Plan,
    fragments,
    image::{Photometric, PixelLayout},
    jpeg::{self, Colour, Expected, progressive},
};
use gift_deidentify::dataset::{DataSet, Origin, Source, Value};
use std::ops::Range;

/// The frames of an object.
pub(crate) struct Frames<'a> {
    fragments: &'a [Value],
    ranges: Vec<Range<usize>>,
    input: &'a dyn Source,
}

impl<'a> Frames<'a> {
    /// `start` is how a frame's stream begins, when that can be told.
    pub(crate) fn of(
        layout: &PixelLayout,
        ds: &DataSet,
        value: &'a Value,
        start: Option<[u8; 2]>,
        input: &'a dyn Source,
    ) -> Result<Self, RedactError> {
        let Value::Fragments { offsets, fragments } = value else { return Err(RedactError::Inconsistent) };
        let starts_frame = |fragment: &Value| {
            let Some(start) = start else { return Ok(false) };
            let mut bytes = [0; 2];
            if fragments::length(fragment)? >= 2 {
                read(fragment, 0, &mut bytes, input)?;
            }
            Ok(bytes == start)
        };
        let ranges = fragments::frames(ds, layout, offsets, fragments, starts_frame)?;
        Ok(Self { fragments, ranges, input })
    }

    /// Reads the stream of frame `index` into `stream`, which is cleared first.
    pub(crate) fn read(&self, index: usize, stream: &mut Vec<u8>) -> Result<(), RedactError> {
        stream.clear();
        for fragment in &self.fragments[self.ranges[index].clone()] {
            let (start, length) = (stream.len(), fragments::length(fragment)?);
            stream.resize(start + usize::try_from(length).map_err(|_| RedactError::Inconsistent)?, 0);
            read(fragment, 0, &mut stream[start..], self.input)?;
        }
        Ok(())
    }
}

/// What a JPEG frame's header must say.
pub(crate) fn expected(layout: &PixelLayout) -> Expected {
    Expected {
        rows: layout.rows,
        columns: layout.columns,
        samples: layout.samples,
        colour: match layout.photometric {
            Photometric::Monochrome1 => Colour::Inverted,
            Photometric::Monochrome2 => Colour::Monochrome,
            Photometric::Rgb => Colour::Rgb,
            _ => Colour::Ybr,
        },
    }
}

/// Progressive JPEG without what may hide beside its scans. The proof: of what was written there is nothing left to strip.
pub(super) fn progressive_jpeg(
    plan: &Plan,
    ds: &DataSet,
    value: &Value,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<Value, RedactError> {
    let expected = expected(&plan.layout);
    let frames = Frames::of(&plan.layout, ds, value, Some([0xFF, 0xD8]), input)?;
    let mut written = Written::default();
    let (mut stream, mut stripped, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.layout.frames {
        let failed = |error| RedactError::Jpeg { frame: number, error };
        frames.read(number as usize - 1, &mut stream)?;
        stripped.clear();
        progressive::strip(&stream, &expected, &mut stripped).map_err(failed)?;
        written.push_and_read_back(&mut stripped, scratch)?;
        again.clear();
        progressive::strip(&stripped, &expected, &mut again).map_err(failed)?;
        if again != stripped {
            return Err(RedactError::Unproven { frame: number });
        }
    }
    Ok(written.into_value())
}

/// JPEG in the DCT domain.
pub(super) fn jpeg(
    plan: &Plan,
    ds: &DataSet,
    value: &Value,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<Value, RedactError> {
    let layout = &plan.layout;
    let expected = expected(layout);
    let frames = Frames::of(&plan.layout, ds, value, Some([0xFF, 0xD8]), input)?;
    let mut written = Written::default();
    let (mut stream, mut redacted) = (Vec::new(), Vec::new());
    for number in 1..=layout.frames {
        let failed = |error| RedactError::Jpeg { frame: number, error };
        frames.read(number as usize - 1, &mut stream)?;
        if !plan.anchors.is_empty() {
            let rects: Vec<_> = plan.anchors.iter().map(|p| p.rect).collect();
            let luma = jpeg::luma(&stream, &expected, &rects).map_err(failed)?;
            for (index, (placed, luma)) in plan.anchors.iter().zip(&luma).enumerate() {
                check_luma(placed, luma, number, index)?;
            }
        }
        redacted.clear();
        let receipt = jpeg::redact(&stream, &expected, &plan.mask, &mut redacted).map_err(failed)?;
        written.push_and_read_back(&mut redacted, scratch)?;
        jpeg::prove(&redacted, &expected, &plan.mask, &receipt).map_err(failed)?;
    }
    Ok(written.into_value())
}

/// A lossless codec: decode, blank lines, encode; then decode what was written and hold it against the original.
pub(super) fn frames(
    codec: FrameCodec,
    plan: &Plan,
    ds: &DataSet,
    value: &Value,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<Value, RedactError> {
    // A decoded frame is pixel by pixel, whatever Planar Configuration says of the attribute's own encoding.
    let layout = PixelLayout { planar: false, ..plan.layout };
    // Where nothing is to be blanked or cleaned, the frame as a whole must stay as it was.
    let untouched = plan.mask.is_empty() && !layout.has_unused_bits();
    let native = if untouched { None } else { Some(lines_of(plan, &layout, ds, input)?) };
    let anchors = Anchors::of(&plan.anchors, &layout, ds, input)?;
    let frames = Frames::of(&plan.layout, ds, value, codec.start(), input)?;
    let mut written = Written::default();
    let (mut stream, mut before, mut after, mut spans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 1..=layout.frames {
        let failed = |error| RedactError::Codec { frame: number, error };
        frames.read(number as usize - 1, &mut stream)?;
        let header = codec.decode(&stream, &layout, &mut before).map_err(failed)?;
        anchors.check_frame(number, &before)?;
        after.clone_from(&before);
        if let Some(native) = &native {
            for (line, bytes) in (0..).zip(after.chunks_exact_mut(native.line_length())) {
                native.redact(line, bytes, &mut spans);
            }
        }
        stream.clear();
        FrameCodec::encode(&after, &layout, header, &mut stream).map_err(failed)?;
        written.push_and_read_back(&mut stream, scratch)?;
        after.fill(0x5A);
        codec.decode(&stream, &layout, &mut after).map_err(failed)?;
        let proven = native.as_ref().map_or(before == after, |native| {
            let lines = before.chunks_exact(native.line_length()).zip(after.chunks_exact(native.line_length()));
            (0..).zip(lines).all(|(line, (b, a))| native.proves(line, b, a, &mut spans))
        });
        if !proven || before.len() != after.len() {
            return Err(RedactError::Unproven { frame: number });
        }
    }
    Ok(written.into_value())
}

/// What is only decoded: decode, blank lines, write them natively; then read what was written and hold it against the decoded.
/// Returns with it the ratio of the compression when it lost something.
pub(super) fn decoded(
    (decoder, lossless): (FrameDecoder, bool),
    plan: &Plan,
    ds: &DataSet,
    value: &Value,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
) -> Result<(Value, Option<f64>), RedactError> {
    let layout = PixelLayout { planar: false, photometric: decoder.decoded(plan.layout.photometric), ..plan.layout };
    let native = lines_of(plan, &layout, ds, input)?;
    let anchors = Anchors::of(&plan.anchors, &layout, ds, input)?;
    let frames = Frames::of(&plan.layout, ds, value, Some(decoder.start()), input)?;
    let offset = scratch.len();
    let (mut stream, mut before, mut after, mut spans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut lossy, mut encoded) = (false, 0);
    for number in 1..=layout.frames {
        let failed = |error| RedactError::Codec { frame: number, error };
        frames.read(number as usize - 1, &mut stream)?;
        encoded += stream.len() as u64;
        let coded_lossless = decoder.decode(&stream, &plan.layout, &mut before).map_err(failed)?;
        if lossless && !coded_lossless {
            return Err(failed(CodecError::Geometry));
        }
        lossy |= decoder.may_have_lost(lossless, coded_lossless);
        anchors.check_frame(number, &before)?;
        after.clone_from(&before);
        for (line, bytes) in (0..).zip(after.chunks_exact_mut(native.line_length())) {
            native.redact(line, bytes, &mut spans);
        }
        let at = scratch.len();
        scratch.append(&after).map_err(RedactError::Scratch)?;
        after.fill(0x5A);
        scratch.read_exact_at(&mut after, at).map_err(RedactError::Scratch)?;
        let lines = before.chunks_exact(native.line_length()).zip(after.chunks_exact(native.line_length()));
        if !(0..).zip(lines).all(|(line, (b, a))| native.proves(line, b, a, &mut spans)) {
            return Err(RedactError::Unproven { frame: number });
        }
    }
    let length = scratch.len() - offset;
    if layout.native_length() != Some(length) {
        return Err(RedactError::Inconsistent);
    }
    if !length.is_multiple_of(2) {
        scratch.append(&[0]).map_err(RedactError::Scratch)?;
    }
    let value = Value::Span { origin: Origin::Scratch, offset, length: length.next_multiple_of(2) };
    Ok((value, lossy.then(|| length as f64 / encoded.max(1) as f64)))
}

/// New frames, one fragment each.
#[derive(Default)]
struct Written {
    fragments: Vec<Value>,
    /// Where each frame's item begins, counted from the first one (PS3.5 A.4).
    starts: Vec<u64>,
    next: u64,
}

impl Written {
    /// Appends a frame to scratch, and replaces it by what can be read there.
    fn push_and_read_back(&mut self, frame: &mut [u8], scratch: &mut dyn Scratch) -> Result<(), RedactError> {
        let at = scratch.len();
        scratch.append(frame).map_err(RedactError::Scratch)?;
        if !frame.len().is_multiple_of(2) {
            scratch.append(&[0]).map_err(RedactError::Scratch)?;
        }
        frame.fill(0x5A);
        scratch.read_exact_at(frame, at).map_err(RedactError::Scratch)?;
        let length = (frame.len() as u64).next_multiple_of(2);
        self.fragments.push(Value::Span { origin: Origin::Scratch, offset: at, length });
        self.starts.push(self.next);
        self.next += 8 + length;
        Ok(())
    }

    /// With a basic offset table, empty when an offset does not fit its 32 bits.
    fn into_value(self) -> Value {
        let table: Option<Vec<u32>> = self.starts.iter().map(|&s| u32::try_from(s).ok()).collect();
        let offsets = table.unwrap_or_default().into_iter().flat_map(u32::to_le_bytes).collect();
        Value::Fragments { offsets, fragments: self.fragments }
    }
}
