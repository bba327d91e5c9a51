//! Video: the stream is decoded, each frame is blanked, the frames are encoded to another stream, and that is decoded again and held
//! against the first. Nothing but samples passes from one stream to the other: no sound, no other track, no metadata, no user data.
//!
//! The coding itself is somebody else's ([`VideoCoder`]), whom nothing is believed: what counts is what the written stream decodes to.
//! Memory holds a few frames, whatever their number.

mod film;
mod frame;
mod mp4;
mod standard;
mod stream;

pub use standard::Standard;

use crate::{
    PixelClearance, PixelLayout, RedactError, Scratch,
    anchor::check_luma,
    apply::finished,
    codec::CodecError,
    decide::{Method, Plan},
};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use film::{Header, Read, Reel};
use frame::Frames;
use gift_deidentify::dataset::{DataSet, Origin, Source, Value};
use serde::{Deserialize, Serialize};
use std::io;
use stream::Stream;

/// Bytes copied at once.
const COPY_BYTES: usize = 256 << 10;
/// Longest fragment, bytes (PS3.5 A.4: its length has 32 bits, and is even).
const MOST_FRAGMENT_BYTES: u64 = 0xFFFF_FFFE;

/// Order of a frame's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scan {
    /// As they stand.
    Progressive,
    /// Interlaced, the top field first.
    TopFirst,
    /// Interlaced, the bottom field first.
    BottomFirst,
}

/// A stream that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Film {
    /// As received, to be blanked.
    Received,
    /// As received, to be held against what was written.
    ReceivedAgain,
    /// What was written, as it stands in scratch.
    Written,
}

/// What is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// How.
    pub standard: Standard,
    /// Rows of a frame.
    pub rows: u16,
    /// Columns of a frame.
    pub columns: u16,
}

/// Bounds of what is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most pixels of a frame.
    pub most_pixels: u64,
    /// Most frames.
    pub most_frames: u32,
}

/// The way to a coder of video, for one object. Frames pass as YUV4MPEG2. An error of any of these means that there is no way any more;
/// a coder that fails is no error: its film ends, or [`Self::write`] and [`Self::finish`] say so.
pub trait VideoCoder {
    /// What is coded at all.
    fn bounds(&self) -> Bounds;

    /// Takes the next bytes of the stream as received.
    ///
    /// # Errors
    /// The medium's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Begins to decode a film.
    ///
    /// # Errors
    /// No way.
    fn decode(&mut self, film: Film, coding: Coding) -> io::Result<()>;

    /// Reads of a film that is being decoded; 0 at its end.
    ///
    /// # Errors
    /// No way.
    fn read(&mut self, film: Film, into: &mut [u8]) -> io::Result<usize>;

    /// Begins to encode.
    ///
    /// # Errors
    /// No way.
    fn encode(&mut self, coding: Coding, scan: Scan) -> io::Result<()>;

    /// Hands the next bytes to be encoded over; false when nobody takes them.
    ///
    /// # Errors
    /// No way.
    fn write(&mut self, bytes: &[u8]) -> io::Result<bool>;

    /// Ends what is being encoded, and waits for all that was begun to end; true when all of it succeeded.
    ///
    /// # Errors
    /// No way.
    fn finish(&mut self) -> io::Result<bool>;

    /// Length of the encoded stream, bytes.
    ///
    /// # Errors
    /// The medium's.
    fn encoded_bytes(&mut self) -> io::Result<u64>;

    /// Reads the encoded stream.
    ///
    /// # Errors
    /// The medium's.
    fn read_encoded(&mut self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// Carries a plan for video ([`Method::Video`]) out, as [`crate::apply`] does others: anchors are looked for in every decoded frame,
/// regions (grown and rounded out to the codec's blocks) are blanked in each, and the new stream is proven by decoding it: as many
/// frames, black within a small tolerance wherever the regions are, alike outside of what was blanked. `scratch` is empty. On success
/// the object's transfer syntax is [`Standard::written`].
///
/// # Errors
/// See [`RedactError`]; nothing of a failed redaction may be released.
pub fn apply(
    plan: &Plan,
    ds: &mut DataSet,
    input: &dyn Source,
    scratch: &mut dyn Scratch,
    coder: &mut dyn VideoCoder,
) -> Result<PixelClearance, RedactError> {
    let Method::Video(standard) = plan.method else { return Err(RedactError::Inconsistent) };
    let layout = plan.layout;
    if PixelLayout::of(ds)? != layout || scratch.len() != 0 {
        return Err(RedactError::Inconsistent);
    }
    let bounds = coder.bounds();
    if u64::from(layout.rows) * u64::from(layout.columns) > bounds.most_pixels || layout.frames > bounds.most_frames {
        return Err(RedactError::TooLarge);
    }
    let element = ds.get(tags::PIXEL_DATA).ok_or(RedactError::Inconsistent)?;
    let Value::Fragments { fragments, .. } = &element.value else { return Err(RedactError::Inconsistent) };
    let stream = Stream::of(fragments, input)?;
    for part in mp4::in_order(&stream)? {
        part.each(&stream, |bytes| coder.append(bytes))?;
    }
    let coding = Coding { standard, rows: layout.rows, columns: layout.columns };
    let frames = Frames::of(&layout, &plan.mask);
    recode(plan, coding, &frames, coder)?;
    let length = copy(scratch, coder)?;
    prove(layout.frames, coding, &frames, coder)?;

    // One fragment, and no table: frames are not apart (PS3.5 A.4).
    let fragment = Value::Span { origin: Origin::Scratch, offset: 0, length };
    let value = Value::Fragments { offsets: Vec::new(), fragments: vec![fragment] };
    let clearance = PixelClearance::new(plan.basis.clone(), layout.frames, plan.mask.rects().to_vec(), &value);
    finished(plan, ds, VR::OB, value);
    lossy_again(ds, standard, frames.bytes() as f64 * f64::from(layout.frames) / length as f64);
    Ok(clearance)
}

fn undecodable(frame: u32) -> RedactError {
    RedactError::Codec { frame, error: CodecError::Malformed("the stream does not decode") }
}

/// Why a film as received has another number of frames than its object says: it is broken where its coder failed.
fn ended(frame: u32, read: &Read, coder: &mut dyn VideoCoder) -> RedactError {
    match coder.finish() {
        Ok(true) if *read == Read::End => RedactError::Inconsistent,
        Ok(_) => undecodable(frame),
        Err(error) => RedactError::Coder(error),
    }
}

/// Decodes, looks for anchors, blanks, encodes.
fn recode(plan: &Plan, coding: Coding, frames: &Frames, coder: &mut dyn VideoCoder) -> Result<(), RedactError> {
    let failed = RedactError::Coder;
    coder.decode(Film::Received, coding).map_err(failed)?;
    let Some((mut reel, header)) = Reel::open(Film::Received, coder)? else { return Err(undecodable(1)) };
    header.check(&plan.layout, coding.standard)?;
    coder.encode(coding, header.scan).map_err(failed)?;
    let mut taken = coder.write(header.line().as_bytes()).map_err(failed)?;
    let mut frame = vec![0; frames.bytes()];
    for number in 1..=plan.layout.frames {
        match reel.next(&mut frame, coder)? {
            Read::Frame => {}
            read => return Err(ended(number, &read, coder)),
        }
        for (index, placed) in plan.anchors.iter().enumerate() {
            check_luma(placed, &frames.luma(&frame, placed.rect), number, index)?;
        }
        frames.blank(&mut frame);
        taken = taken && film::write(&frame, coder)?;
        if !taken {
            return Err(RedactError::Unproven { frame: number });
        }
    }
    if reel.next(&mut frame, coder)? != Read::End {
        return Err(RedactError::Inconsistent);
    }
    if coder.finish().map_err(failed)? { Ok(()) } else { Err(undecodable(plan.layout.frames)) }
}

/// Copies what was encoded to scratch; from here on only what can be read there counts.
fn copy(scratch: &mut dyn Scratch, coder: &mut dyn VideoCoder) -> Result<u64, RedactError> {
    let length = coder.encoded_bytes().map_err(RedactError::Coder)?;
    // A transport stream is even by itself.
    if length == 0 || !length.is_multiple_of(2) {
        return Err(RedactError::Unproven { frame: 1 });
    }
    if length > MOST_FRAGMENT_BYTES {
        return Err(RedactError::TooLarge);
    }
    let mut bytes = vec![0; COPY_BYTES];
    while scratch.len() < length {
        let at = scratch.len();
        let piece = &mut bytes[..(length - at).min(COPY_BYTES as u64) as usize];
        coder.read_encoded(at, piece).map_err(RedactError::Coder)?;
        scratch.append(piece).map_err(RedactError::Scratch)?;
    }
    Ok(length)
}

/// Decodes what stands in scratch, and what was received once more, and holds each frame against its fellow.
fn prove(count: u32, coding: Coding, frames: &Frames, coder: &mut dyn VideoCoder) -> Result<(), RedactError> {
    let unproven = |frame| RedactError::Unproven { frame };
    coder.decode(Film::ReceivedAgain, coding).map_err(RedactError::Coder)?;
    coder.decode(Film::Written, coding).map_err(RedactError::Coder)?;
    let open = |film, coder: &mut dyn VideoCoder| Reel::open(film, coder)?.ok_or(unproven(1));
    let (mut received, before): (Reel, Header) = open(Film::ReceivedAgain, coder)?;
    let (mut written, after): (Reel, Header) = open(Film::Written, coder)?;
    if (before.columns, before.rows, before.chroma == "420p10") != (after.columns, after.rows, after.chroma == "420p10")
    {
        return Err(unproven(1));
    }
    let (mut old, mut new) = (vec![0; frames.bytes()], vec![0; frames.bytes()]);
    for number in 1..=count {
        new.fill(0x5A);
        let read = (received.next(&mut old, coder)?, written.next(&mut new, coder)?);
        if read != (Read::Frame, Read::Frame) || !frames.proves(&old, &new) {
            return Err(unproven(number));
        }
    }
    let read = (received.next(&mut old, coder)?, written.next(&mut new, coder)?);
    if read != (Read::End, Read::End) || !coder.finish().map_err(RedactError::Coder)? {
        return Err(unproven(count));
    }
    Ok(())
}

/// That it was compressed with loss once more (PS3.3 C.7.6.1.1.5): a method and a ratio are appended.
fn lossy_again(ds: &mut DataSet, standard: Standard, ratio: f64) {
    let appended = |ds: &DataSet, tag, value: String| match ds.strings(tag).join("\\") {
        before if !before.is_empty() => format!("{before}\\{value}"),
        _ => value,
    };
    let ratios = appended(ds, tags::LOSSY_IMAGE_COMPRESSION_RATIO, format!("{ratio:.2}"));
    let methods = appended(ds, tags::LOSSY_IMAGE_COMPRESSION_METHOD, standard.method_term().to_owned());
    ds.put_str(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    ds.put_str(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, &ratios);
    ds.put_str(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, &methods);
}

#[cfg(test)]
mod tests;
