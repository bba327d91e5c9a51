//! JPEG redaction in the DCT domain (ITU-T T.81, baseline and extended sequential, Huffman coded; 8 and 12 bit).
//!
//! No pixel is decoded. The stream is read symbol by symbol; every block of every MCU that touches the mask becomes one
//! constant DC and no AC; all other blocks keep their coefficients bit for bit, with DC prediction re-based behind a
//! masked block. Nothing of a masked block reaches the output: not its DC (whose copy would leave a readable mosaic), and
//! not its statistics, because a Huffman table that was fitted to the original is replaced by one fitted to the result.
//! Comments, application segments other than Adobe's, and whatever stands behind EOI are dropped.

mod bits;
mod huffman;
pub(crate) mod lossless;
mod luma;
mod parse;
pub(crate) mod progressive;
mod sink;
mod strides;
mod walk;

pub(crate) use luma::luma;

use crate::mask::Mask;
use huffman::{Decoder, Encoder, Table};
use parse::{Frame, Parser, Process, ScanComponent, Segment};
use sink::{Count, Encode, Prove};
use strides::{Strides, strides};
use walk::{Channel, Scan, walk};

/// Why a stream cannot be redacted, or what was written does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// The stream ends early.
    #[error("JPEG stream ends early")]
    Truncated,
    /// The stream breaks the standard.
    #[error("malformed JPEG stream: {0}")]
    Malformed(&'static str),
    /// A process or feature that is not handled.
    #[error("unsupported JPEG stream: {0}")]
    Unsupported(&'static str),
    /// The frame header contradicts the attributes.
    #[error("JPEG frame header contradicts the attributes")]
    Geometry,
    /// The proof did not hold.
    #[error("JPEG redaction unproven: {0}")]
    Unproven(&'static str),
    /// A value needs a code that its table lacks (internal: leads to a new table).
    #[error("no code for a symbol")]
    NoCode,
}

/// What the attributes say about each frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Rows (0028,0010).
    pub rows: u16,
    /// Columns (0028,0011).
    pub columns: u16,
    /// Samples per Pixel (0028,0002).
    pub samples: u16,
    /// Colour in which the blanked pixels are to be black.
    pub colour: Colour,
}

/// How samples stand for colours, by Photometric Interpretation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// MONOCHROME2: least is black.
    Monochrome,
    /// MONOCHROME1: greatest is black.
    Inverted,
    /// RGB.
    Rgb,
    /// YBR_FULL, YBR_FULL_422.
    Ybr,
}

/// What [`redact`] did, for [`prove`] to hold the result against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Blocks kept.
    pub kept_blocks: u64,
    /// Blocks blanked.
    pub masked_blocks: u64,
    /// Kept blocks have the codes they had, and the tables are the same: they are all of Annex K.3. Else the tables are new.
    same_tables: bool,
    /// Digest of frame header, quantisers and kept coefficients, be it their symbols or their codes and tables.
    digest: u64,
    /// With the same tables: what was kept between masked blocks, in the order of the stream.
    runs: Vec<KeptRun>,
}

/// Blocks that were kept, one after the other. The same bits, read with the same tables, are the same blocks: so the proof need not
/// decode them again, only find the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeptRun {
    bits: usize,
    /// How many blocks begin in it.
    blocks: u64,
    /// DC of each component's last block, where that was kept too.
    dc: [i32; 3],
}

impl Receipt {
    fn new(same_tables: bool) -> Self {
        Self { kept_blocks: 0, masked_blocks: 0, same_tables, digest: 0, runs: Vec::new() }
    }
}

/// Redacts one frame, appending the new stream to `out`.
///
/// # Errors
/// The stream is not one that can be redacted; `out` then holds rubbish behind what it held.
pub fn redact(bytes: &[u8], expected: &Expected, mask: &Mask, out: &mut Vec<u8>) -> Result<Receipt, JpegError> {
    let length = out.len();
    match redact_frame(bytes, expected, mask, out, Receipt::new(true)) {
        Err(JpegError::NoCode) => {
            out.truncate(length);
            redact_frame(bytes, expected, mask, out, Receipt::new(false))
        }
        done => done,
    }
}

fn redact_frame(
    bytes: &[u8],
    expected: &Expected,
    mask: &Mask,
    out: &mut Vec<u8>,
    mut receipt: Receipt,
) -> Result<Receipt, JpegError> {
    let mut parser = Parser::new(bytes, Process::Sequential)?;
    out.extend_from_slice(&[0xFF, 0xD8]);
    loop {
        match parser.next()? {
            Segment::Dropped => {}
            Segment::Adobe(transform) => {
                write_segment(out, 0xEE, &adobe(transform));
            }
            Segment::Keep(marker, payload) => {
                receipt.digest = sink::digest_bytes(receipt.digest, marker, payload);
                write_segment(out, marker, payload);
            }
            Segment::Scan(scan) => redact_scan(&mut parser, expected, mask, &scan, out, &mut receipt)?,
            Segment::End => {
                out.extend_from_slice(&[0xFF, 0xD9]);
                return Ok(receipt);
            }
        }
    }
}

/// Reads what [`redact`] wrote and asserts that every masked block is the constant, every other block is the original's,
/// and nothing else is there.
///
/// # Errors
/// [`JpegError::Unproven`], or the stream cannot be read.
pub fn prove(bytes: &[u8], expected: &Expected, mask: &Mask, receipt: &Receipt) -> Result<(), JpegError> {
    let mut parser = Parser::new(bytes, Process::Sequential)?;
    let mut seen = Receipt::new(receipt.same_tables);
    let mut runs = receipt.runs.iter();
    loop {
        let before = parser.position;
        match parser.next()? {
            Segment::Dropped if bytes.get(before + 1) != Some(&0xC4) => {
                return Err(JpegError::Unproven("a segment that must be dropped"));
            }
            Segment::Dropped | Segment::Adobe(_) => {}
            Segment::Keep(marker, payload) => seen.digest = sink::digest_bytes(seen.digest, marker, payload),
            Segment::Scan(scan) => {
                let tables = Tables::of(&parser, &scan)?;
                let fill = fills(&parser, expected, &scan)?;
                let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
                if seen.same_tables {
                    digest_tables(&parser, &scan, &mut seen);
                }
                let channels = tables.channels(frame, &scan);
                let walked = Scan {
                    bytes,
                    position: parser.position,
                    frame,
                    components: &scan,
                    channels: &channels,
                    restart_interval: parser.restart_interval,
                    mask,
                };
                parser.position = if seen.same_tables {
                    walk(walked, &mut Prove::<false> { fill, receipt: &mut seen, runs: &mut runs })?
                } else {
                    walk(walked, &mut Prove::<true> { fill, receipt: &mut seen, runs: &mut runs })?
                };
            }
            Segment::End if parser.position != bytes.len() => return Err(JpegError::Unproven("bytes behind EOI")),
            Segment::End if seen != *receipt => return Err(JpegError::Unproven("coefficients outside the mask")),
            Segment::End => return Ok(()),
        }
    }
}

/// Adobe's APP14 with nothing in it but the colour transform.
fn adobe(transform: u8) -> [u8; 12] {
    [b'A', b'd', b'o', b'b', b'e', 0, 100, 0, 0, 0, 0, transform]
}

fn write_segment(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    // A payload came out of a segment, or is one of ours of at most 274 bytes.
    let length = (payload.len() + 2) as u16;
    out.extend_from_slice(&[0xFF, marker]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A scan's tables, DC and AC, arranged for decoding; by component of the scan.
struct Tables(Vec<Arranged>);

/// The tables of a component.
enum Arranged {
    /// Of Annex K.3, which are arranged once.
    Standard(&'static Strides),
    Other(Box<(Decoder, Decoder)>),
}

impl Tables {
    fn of(parser: &Parser<'_>, scan: &[ScanComponent]) -> Result<Self, JpegError> {
        let arranged = scan.iter().map(|s| {
            let (Some(dc), Some(ac)) = (&parser.dc[s.dc], &parser.ac[s.ac]) else {
                return Err(JpegError::Malformed("scan without its Huffman table"));
            };
            let other = || Arranged::Other(Box::new((Decoder::new(dc), Decoder::new(ac))));
            Ok(strides(dc, ac).map_or_else(other, Arranged::Standard))
        });
        arranged.collect::<Result<_, _>>().map(Self)
    }

    /// True when they depend on no image.
    fn are_standard(&self) -> bool {
        self.0.iter().all(|arranged| matches!(arranged, Arranged::Standard(_)))
    }

    fn channels(&self, frame: &Frame, scan: &[ScanComponent]) -> Vec<Channel<'_>> {
        let sampling = scan.iter().map(|s| frame.components[s.index]);
        let channels = self.0.iter().zip(sampling).map(|(arranged, c)| {
            let ((dc, ac), strides) = match arranged {
                Arranged::Standard(strides) => (strides.decoders(), Some(*strides)),
                Arranged::Other(decoders) => (&**decoders, None),
            };
            Channel { dc, ac, strides, h: c.h, v: c.v }
        });
        channels.collect()
    }
}

/// The quantised DC that makes a block black, by component of the scan.
fn fills(parser: &Parser<'_>, expected: &Expected, scan: &[ScanComponent]) -> Result<[i32; 3], JpegError> {
    let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
    if (frame.rows, frame.columns) != (expected.rows, expected.columns)
        || frame.components.len() != usize::from(expected.samples)
    {
        return Err(JpegError::Geometry);
    }
    let colour = colour(parser, frame, expected)?;
    let mut fill = [0; 3];
    for (slot, component) in fill.iter_mut().zip(scan) {
        let quantiser = parser.quantisers[frame.components[component.index].quantiser];
        let step = i32::from(quantiser.ok_or(JpegError::Malformed("component without its quantiser"))?[0]);
        // A flat block's samples are DC · step ⁄ 8 above mid-scale; rounded away from mid-scale they clamp to the end.
        let half = 1i32 << (frame.precision + 2);
        let least = -((half + step - 1) / step);
        let greatest = (half - 8 + step - 1) / step;
        *slot = match colour {
            Colour::Monochrome | Colour::Rgb => least,
            Colour::Inverted => greatest,
            Colour::Ybr if component.index == 0 => least,
            Colour::Ybr => 0,
        };
    }
    Ok(fill)
}

/// How the samples of a frame stand for colours.
fn colour(parser: &Parser<'_>, frame: &Frame, expected: &Expected) -> Result<Colour, JpegError> {
    let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
    let subsampled = frame.components.iter().any(|c| (c.h, c.v) != (frame.h_max, frame.v_max));
    // Without JFIF's segment a decoder would judge by Adobe's segment and component ids: they must not disagree with it.
    if parser.jfif && frame.components.len() == 3 && (parser.adobe == Some(0) || ids == *b"RGB") {
        return Err(JpegError::Unsupported("JFIF segment against RGB components"));
    }
    Ok(match (parser.adobe, expected.colour) {
        (_, colour) if frame.components.len() == 1 => colour,
        (Some(0), _) => Colour::Rgb,
        (Some(_), _) => Colour::Ybr,
        _ if parser.jfif || subsampled => Colour::Ybr,
        _ if ids == *b"RGB" => Colour::Rgb,
        (None, colour) => colour,
    })
}

fn redact_scan(
    parser: &mut Parser<'_>,
    expected: &Expected,
    mask: &Mask,
    scan: &[ScanComponent],
    out: &mut Vec<u8>,
    receipt: &mut Receipt,
) -> Result<(), JpegError> {
    let fill = fills(parser, expected, scan)?;
    let tables = Tables::of(parser, scan)?;
    let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
    let channels = tables.channels(frame, scan);
    let walked = Scan {
        bytes: parser.bytes,
        position: parser.position,
        frame,
        components: scan,
        channels: &channels,
        restart_interval: parser.restart_interval,
        mask,
    };
    if receipt.same_tables {
        if !tables.are_standard() {
            return Err(JpegError::NoCode);
        }
        digest_tables(parser, scan, receipt);
        write_tables(out, scan, &parser.dc, &parser.ac);
        write_scan_header(out, frame, scan);
        let (dc, ac) = (encoders(scan, &parser.dc, |s| s.dc)?, encoders(scan, &parser.ac, |s| s.ac)?);
        let mut encode = Encode::<false>::new(out, dc, ac, fill, receipt);
        parser.position = walk(walked, &mut encode)?;
        encode.finish();
        return Ok(());
    }
    let mut count = Count::new(fill, scan);
    walk(walked, &mut count)?;
    let (dc, ac) = count.into_tables();
    write_tables(out, scan, &dc, &ac);
    write_scan_header(out, frame, scan);
    let (dc, ac) = (encoders(scan, &dc, |s| s.dc)?, encoders(scan, &ac, |s| s.ac)?);
    let mut encode = Encode::<true>::new(out, dc, ac, fill, receipt);
    parser.position = walk(walked, &mut encode)?;
    encode.finish();
    Ok(())
}

/// The tables that a scan uses.
fn used<'p>(parser: &'p Parser<'_>, scan: &'p [ScanComponent]) -> impl Iterator<Item = &'p Table> {
    scan.iter().flat_map(|s| [&parser.dc[s.dc], &parser.ac[s.ac]]).flatten()
}

fn digest_tables(parser: &Parser<'_>, scan: &[ScanComponent], receipt: &mut Receipt) {
    receipt.digest = used(parser, scan).fold(receipt.digest, sink::digest_table);
}

/// By component of the scan, the table that `selector` chooses, arranged for encoding.
fn encoders(
    scan: &[ScanComponent],
    tables: &[Option<Table>; 4],
    selector: impl Fn(&ScanComponent) -> usize,
) -> Result<Vec<Encoder>, JpegError> {
    scan.iter().map(|s| tables[selector(s)].as_ref().map(Encoder::new).ok_or(JpegError::NoCode)).collect()
}

fn write_tables(out: &mut Vec<u8>, scan: &[ScanComponent], dc: &[Option<Table>; 4], ac: &[Option<Table>; 4]) {
    for (class, tables) in [(0u8, dc), (0x10, ac)] {
        for (index, table) in tables.iter().enumerate() {
            let used = scan.iter().any(|s| index == if class == 0 { s.dc } else { s.ac });
            if let Some(table) = table.as_ref().filter(|_| used) {
                let mut payload = Vec::with_capacity(17 + table.symbols.len());
                payload.push(class | index as u8);
                payload.extend_from_slice(&table.counts);
                payload.extend_from_slice(&table.symbols);
                write_segment(out, 0xC4, &payload);
            }
        }
    }
}

fn write_scan_header(out: &mut Vec<u8>, frame: &Frame, scan: &[ScanComponent]) {
    let mut payload = vec![scan.len() as u8];
    for s in scan {
        payload.extend_from_slice(&[frame.components[s.index].id, (s.dc << 4 | s.ac) as u8]);
    }
    payload.extend_from_slice(&[0, 63, 0]);
    write_segment(out, 0xDA, &payload);
}

#[cfg(test)]
mod tests;
