//! Native pixels that are redacted as they are read, so that they need not be written twice.
//!
//! A [`Redacting`] is a source of bytes that exist nowhere: whoever reads it gets the input's lines with the mask blank and unused
//! bits clear. Each line is proven where it lies, in the buffer that is handed out, against a copy of what was read; a line that
//! cannot be proven is not handed out. A line outside the mask whose unused bits are clear is not touched at all. The clearance is
//! to be had only when every byte has been handed out in order, hence proven.

use super::{RedactError, finished, lines_of, read};
use crate::{
    PixelClearance, PixelLayout,
    anchor::Anchors,
    decide::Plan,
    fragments,
    native::{self, Native},
};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use gift_deidentify::dataset::{DataSet, Origin, Source, Value};
use std::{cell::RefCell, io};

/// See the module. Spans of the data set with [`Origin::Scratch`] point into it.
pub struct Redacting<'a> {
    plan: &'a Plan,
    native: Native<'a>,
    /// As received.
    value: Value,
    /// As it will be.
    redacted: Value,
    input: &'a dyn Source,
    /// Without padding, bytes.
    length: u64,
    /// Whether the mask has a pixel of that line of a frame.
    masked: Vec<bool>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Everything before this offset was handed out.
    proven: u64,
    /// Frame of the first line that could not be proven.
    unproven: Option<u32>,
    before: Vec<u8>,
    /// The line of which a part was handed out last, redacted and proven, and where it begins.
    line: Vec<u8>,
    line_at: Option<u64>,
    spans: Vec<(u32, u32)>,
}

/// Without the pixels.
impl std::fmt::Debug for Redacting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redacting").field("length", &self.length).finish_non_exhaustive()
    }
}

impl<'a> Redacting<'a> {
    /// Carries `plan`, whose method is native, out on the object it was made for, as [`crate::apply`] does.
    ///
    /// # Errors
    /// See [`RedactError`]; the data set is then unchanged.
    pub fn new(plan: &'a Plan, ds: &mut DataSet, input: &'a dyn Source) -> Result<Self, RedactError> {
        let this = Self::of(plan, ds, input)?;
        let element = ds.get(tags::PIXEL_DATA).ok_or(RedactError::Inconsistent)?;
        let vr = if plan.layout.bits_allocated > 8 || element.vr == VR::OW { VR::OW } else { VR::OB };
        finished(plan, ds, vr, this.redacted.clone());
        Ok(this)
    }

    /// The same without changing the data set.
    pub(super) fn of(plan: &'a Plan, ds: &DataSet, input: &'a dyn Source) -> Result<Self, RedactError> {
        let layout = &plan.layout;
        if PixelLayout::of(ds)? != *layout {
            return Err(RedactError::Inconsistent);
        }
        let value = ds.get(tags::PIXEL_DATA).ok_or(RedactError::Inconsistent)?.value.clone();
        let length = layout.native_length().ok_or(RedactError::Inconsistent)?;
        let stands = fragments::length(&value)?;
        if !native::is_supported(layout) || stands != length && stands != length.next_multiple_of(2) {
            return Err(RedactError::Inconsistent);
        }
        check_anchors(plan, ds, &value, input)?;
        let native = lines_of(plan, layout, ds, input)?;
        let mut spans = Vec::new();
        let masked = (0..native.lines_per_frame()).map(|line| native.is_masked(line, &mut spans)).collect();
        let redacted = Value::Span { origin: Origin::Scratch, offset: 0, length: length.next_multiple_of(2) };
        Ok(Self { plan, native, value, redacted, input, length, masked, state: RefCell::default() })
    }

    /// True when a line could not be proven: reading failed for that.
    pub fn is_unproven(&self) -> bool {
        self.state.borrow().unproven.is_some()
    }

    /// That the pixels are clear, once all of them were read.
    ///
    /// # Errors
    /// Not all of them were read, or not all could be proven.
    pub fn clearance(self) -> Result<PixelClearance, RedactError> {
        let state = self.state.borrow();
        if let Some(frame) = state.unproven {
            return Err(RedactError::Unproven { frame });
        }
        if state.proven < self.len() {
            return Err(RedactError::Unproven { frame: self.frame_of(state.proven) });
        }
        let (basis, regions) = (self.plan.basis.clone(), self.plan.mask.rects().to_vec());
        Ok(PixelClearance::new(basis, self.plan.layout.frames, regions, &self.redacted))
    }

    /// Frame of a byte, from 1.
    fn frame_of(&self, offset: u64) -> u32 {
        (offset / self.native.line_length() as u64 / u64::from(self.native.lines_per_frame())) as u32 + 1
    }

    /// Redacts and proves whole lines, the first of which begins at `at`.
    fn lines(&self, lines: &mut [u8], at: u64, state: &mut State) -> io::Result<()> {
        let length = self.native.line_length();
        read(&self.value, at, lines, self.input).map_err(|error| match error {
            RedactError::Read(error) => error,
            _ => io::ErrorKind::UnexpectedEof.into(),
        })?;
        let first = at / length as u64;
        for (number, line) in (first..).zip(lines.chunks_exact_mut(length)) {
            let of_frame = (number % self.masked.len() as u64) as u32;
            if !self.masked[of_frame as usize] && self.native.is_clean(line) {
                continue;
            }
            state.before.clear();
            state.before.extend_from_slice(line);
            self.native.redact(of_frame, line, &mut state.spans);
            if !self.native.proves(of_frame, &state.before, line, &mut state.spans) {
                state.unproven.get_or_insert(self.frame_of(number * length as u64));
                line.fill(0);
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }

    /// Fills `part` with what stands `within` the line that begins at `at`.
    fn part_of_line(&self, part: &mut [u8], at: u64, within: usize, state: &mut State) -> io::Result<()> {
        if state.line_at != Some(at) {
            let mut line = std::mem::take(&mut state.line);
            line.resize(self.native.line_length(), 0);
            state.line_at = None;
            let done = self.lines(&mut line, at, state);
            state.line = line;
            done?;
            state.line_at = Some(at);
        }
        part.copy_from_slice(&state.line[within..within + part.len()]);
        Ok(())
    }
}

/// Checks the anchors of all frames where they stand: what is read is their lines, not the frames.
fn check_anchors(plan: &Plan, ds: &DataSet, value: &Value, input: &dyn Source) -> Result<(), RedactError> {
    let layout = &plan.layout;
    let anchors = Anchors::of(&plan.anchors, layout, ds, input)?;
    if anchors.is_empty() {
        return Ok(());
    }
    // Whole bytes: layouts of other widths are refused.
    let frame_bytes = PixelLayout { frames: 1, ..*layout }.native_length().ok_or(RedactError::Inconsistent)?;
    for frame in 0..layout.frames {
        let start = u64::from(frame) * frame_bytes;
        anchors.check(frame + 1, &mut |offset, into| read(value, start + offset, into, input))?;
    }
    Ok(())
}

impl Source for Redacting<'_> {
    fn len(&self) -> u64 {
        self.length.next_multiple_of(2)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut state = self.state.borrow_mut();
        let line = self.native.line_length() as u64;
        let mut at = offset;
        let mut rest = buf;
        while at < end.min(self.length) {
            let (begins, left) = (at - at % line, end.min(self.length) - at);
            let whole = if begins == at { left - left % line } else { 0 };
            let take = if whole > 0 { whole } else { (begins + line - at).min(left) } as usize;
            let (now, later) = rest.split_at_mut(take);
            if whole > 0 {
                self.lines(now, at, &mut state)?;
            } else {
                self.part_of_line(now, begins, (at - begins) as usize, &mut state)?;
            }
            (rest, at) = (later, at + take as u64);
        }
        // Padding.
        rest.fill(0);
        if offset <= state.proven {
            state.proven = state.proven.max(end);
        }
        Ok(())
    }
}
