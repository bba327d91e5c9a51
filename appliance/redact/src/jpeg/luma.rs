//! The luma of some rectangles of a frame, for anchors: only the MCUs that touch them are transformed back, and a scan of all
//! components is not read past the last of them.
//!
//! The inverse DCT (A.3.3) is of integers, so every machine finds the same luma; it is within a step or two of other decoders.

use super::{
    Colour, Expected, JpegError, Tables, colour,
    parse::{Frame, Parser, Process, ScanComponent, Segment},
    walk::{Scan, Sink, extend, walk},
};
use crate::{
    anchor::{of_rgb, scaled},
    mask::{Mask, Rect},
};

/// Bits behind the point of [`COSINES`].
const FRACTION: u32 = 17;
/// Half the cosine of k · π ⁄ 16, for k from 0; the first is of DC: half the square root of a half.
const COSINES: [i64; 8] = [46_341, 64_277, 60_547, 54_491, 46_341, 36_410, 25_080, 12_785];
/// Natural order of the coefficients that stand in zigzag order (Figure A.6).
pub(super) const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Samples of one component.
struct Plane {
    /// Blocks across, to whole MCUs.
    across: usize,
    samples: Vec<u16>,
}

/// Luma in `rects`, in steps of 1 ⁄ 256 from 0 (black) to 255 (white), each line by line.
///
/// # Errors
/// The stream cannot be decoded, or contradicts `expected`.
pub(crate) fn luma(bytes: &[u8], expected: &Expected, rects: &[Rect]) -> Result<Vec<Vec<u16>>, JpegError> {
    let mut parser = Parser::new(bytes, Process::Sequential)?;
    let mut planes: Vec<Option<Plane>> = vec![None, None, None];
    let mut tone = expected.colour;
    loop {
        match parser.next()? {
            Segment::Scan(scan) => {
                let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
                if (frame.rows, frame.columns) != (expected.rows, expected.columns)
                    || frame.components.len() != usize::from(expected.samples)
                {
                    return Err(JpegError::Geometry);
                }
                tone = colour(&parser, frame, expected)?;
                let (position, ended) = decode(&parser, frame, &scan, tone, rects, &mut planes)?;
                if ended {
                    break;
                }
                parser.position = position;
            }
            Segment::End => break,
            _ => {}
        }
    }
    let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
    rects.iter().map(|rect| gather(frame, tone, *rect, &planes)).collect()
}

/// True for a component that luma is made of.
fn is_needed(index: usize, tone: Colour) -> bool {
    index == 0 || tone == Colour::Rgb
}

fn gather(frame: &Frame, tone: Colour, rect: Rect, planes: &[Option<Plane>]) -> Result<Vec<u16>, JpegError> {
    let bits = u32::from(frame.precision);
    let white = (1u32 << bits) - 1;
    let sample = |index: usize, x: u32, y: u32| {
        let (component, plane) = (frame.components.get(index)?, planes[index].as_ref()?);
        let (x, y) = ((x * component.h / frame.h_max) as usize, (y * component.v / frame.v_max) as usize);
        plane.samples.get(y * plane.across * 8 + x).map(|s| u32::from(*s))
    };
    let mut out = Vec::with_capacity((rect.width() * rect.height()) as usize);
    for y in rect.y0..rect.y1 {
        for x in rect.x0..rect.x1 {
            let of = |index| sample(index, x, y).ok_or(JpegError::Malformed("a component without its scan"));
            out.push(match tone {
                Colour::Monochrome | Colour::Ybr => scaled(of(0)?, bits) as u16,
                Colour::Inverted => scaled(white - of(0)?, bits) as u16,
                Colour::Rgb => of_rgb([scaled(of(0)?, bits), scaled(of(1)?, bits), scaled(of(2)?, bits)]),
            });
        }
    }
    Ok(out)
}

/// Decodes a scan's blocks; returns where it ends, or that nothing more is needed.
fn decode(
    parser: &Parser<'_>,
    frame: &Frame,
    scan: &[ScanComponent],
    tone: Colour,
    rects: &[Rect],
    planes: &mut [Option<Plane>],
) -> Result<(usize, bool), JpegError> {
    let (cell_w, cell_h) = (8 * frame.h_max, 8 * frame.v_max);
    let (across, down) = (u32::from(frame.columns).div_ceil(cell_w), u32::from(frame.rows).div_ceil(cell_h));
    // Everything but the MCUs that touch a rectangle is passed over as what is masked is.
    let touched: Vec<Rect> = rects
        .iter()
        .map(|r| Rect {
            x0: r.x0 / cell_w * cell_w,
            y0: r.y0 / cell_h * cell_h,
            x1: r.x1.div_ceil(cell_w) * cell_w,
            y1: r.y1.div_ceil(cell_h) * cell_h,
        })
        .collect();
    let padded = (u16::try_from(down * cell_h), u16::try_from(across * cell_w));
    let (Ok(rows), Ok(columns)) = padded else { return Err(JpegError::Unsupported("anchors on so large a frame")) };
    let mask = Mask::default().and_outside(&touched, rows, columns);
    let tables = Tables::of(parser, scan)?;
    let channels = tables.channels(frame, scan);
    let mut slots = Vec::with_capacity(scan.len());
    for part in scan {
        let component = frame.components[part.index];
        let quantiser = parser.quantisers[component.quantiser];
        let (wide, high) = ((across * component.h) as usize, (down * component.v) as usize);
        let needed = is_needed(part.index, tone);
        slots.push(Slot {
            plane: Plane { across: wide, samples: vec![0; if needed { wide * high * 64 } else { 0 }] },
            quantiser: quantiser.ok_or(JpegError::Malformed("component without its quantiser"))?,
            h: if scan.len() > 1 { component.h } else { 1 },
            v: if scan.len() > 1 { component.v } else { 1 },
            done: 0,
        });
    }
    let last = touched.iter().map(|r| r.y1 / cell_h).max().unwrap_or(0);
    let whole = scan.len() == frame.components.len();
    let per_cell = if scan.len() > 1 { 1 } else { frame.components[scan[0].index].v };
    let mut back = Back {
        slots,
        precision: u32::from(frame.precision),
        at: (0, 0),
        end: whole.then_some(last * per_cell),
        ended: false,
        block: [0; 64],
        next: 0,
        open: None,
    };
    let walked = Scan {
        bytes: parser.bytes,
        position: parser.position,
        frame,
        components: scan,
        channels: &channels,
        restart_interval: parser.restart_interval,
        mask: &mask,
    };
    let position = walk(walked, &mut back)?;
    back.close();
    for (slot, part) in back.slots.into_iter().zip(scan) {
        planes[part.index] = Some(slot.plane);
    }
    Ok((position, back.ended))
}

/// A component of the scan.
struct Slot {
    plane: Plane,
    quantiser: [u16; 64],
    /// Blocks of an MCU.
    h: u32,
    v: u32,
    /// Blocks of this MCU that are done.
    done: u32,
}

/// Puts coefficients back to samples.
struct Back {
    slots: Vec<Slot>,
    precision: u32,
    at: (u32, u32),
    /// Row of MCUs that ends the walk.
    end: Option<u32>,
    ended: bool,
    /// Dequantised coefficients of the open block, in natural order.
    block: [i32; 64],
    /// Position of the last of them, in zigzag order.
    next: usize,
    open: Option<usize>,
}

impl Back {
    fn put(&mut self, component: usize, position: usize, value: i32) {
        // Damage must not overflow later sums; no real coefficient is near.
        let value =
            (i64::from(value) * i64::from(self.slots[component].quantiser[position])).clamp(-(1 << 20), 1 << 20);
        self.block[ZIGZAG[position]] = value as i32;
    }

    /// Transforms the open block back.
    fn close(&mut self) {
        let Some(component) = self.open.take() else { return };
        let slot = &mut self.slots[component];
        let (column, row) = (slot.done % slot.h, slot.done / slot.h);
        slot.done += 1;
        if !slot.plane.samples.is_empty() {
            let (x, y) = ((self.at.0 * slot.h + column) as usize * 8, (self.at.1 * slot.v + row) as usize * 8);
            let stride = slot.plane.across * 8;
            for (line, values) in inverse(&self.block, self.precision).chunks_exact(8).enumerate() {
                let from = (y + line) * stride + x;
                if let Some(samples) = slot.plane.samples.get_mut(from..from + 8) {
                    samples.copy_from_slice(values);
                }
            }
        }
        self.block = [0; 64];
    }
}

impl Sink for Back {
    fn at(&mut self, x: u32, y: u32) -> bool {
        self.close();
        self.at = (x, y);
        self.slots.iter_mut().for_each(|slot| slot.done = 0);
        self.ended = self.end.is_some_and(|end| y >= end);
        !self.ended
    }

    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        self.close();
        self.open = Some(component);
        self.next = 0;
        self.put(component, 0, dc);
        Ok(())
    }

    fn ac(&mut self, component: usize, symbol: u8, bits: u32) -> Result<(), JpegError> {
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        self.next += run + 1;
        if size > 0 && self.next < 64 {
            self.put(component, self.next, extend(bits, size));
        }
        Ok(())
    }

    fn masked(&mut self, _component: usize, _blank: bool) -> Result<(), JpegError> {
        Ok(())
    }

    fn restart(&mut self, _number: u8) {}
}

/// Half the cosine of (2x + 1) · u · π ⁄ 16, by [`COSINES`].
fn basis(u: usize, x: usize) -> i64 {
    let m = (2 * x + 1) * u % 32;
    let (m, sign) = if m > 16 { (32 - m, 1) } else { (m, 1) };
    let (m, sign) = if m > 8 { (16 - m, -sign) } else { (m, sign) };
    // m is 0 only for DC, and never 8.
    sign * COSINES.get(m).copied().unwrap_or(0)
}

/// Samples of a block (A.3.3, A.3.1).
fn inverse(block: &[i32; 64], precision: u32) -> [u16; 64] {
    let mut rows = [0i64; 64];
    for (y, line) in block.chunks_exact(8).enumerate() {
        for x in 0..8 {
            rows[y * 8 + x] = line.iter().enumerate().map(|(u, &c)| i64::from(c) * basis(u, x)).sum();
        }
    }
    let (middle, greatest) = (1i64 << (precision - 1), (1i64 << precision) - 1);
    std::array::from_fn(|at| {
        let (y, x) = (at / 8, at % 8);
        let sum: i64 = (0..8).map(|v| rows[v * 8 + x] * basis(v, y)).sum();
        let rounded = (sum + (1 << (2 * FRACTION - 1))) >> (2 * FRACTION);
        (rounded + middle).clamp(0, greatest) as u16
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageFormat, codecs::jpeg::JpegEncoder};

    #[test]
    fn the_luma_of_a_rectangle_is_what_another_decoder_finds() {
        let (columns, rows) = (53u16, 45u16);
        let pixel = |i: u32| [(i % 53 * 4) as u8, (i / 53 * 5) as u8, (i.wrapping_mul(2_654_435_761) >> 27) as u8 * 8];
        let pixels: Vec<u8> = (0..u32::from(columns) * u32::from(rows)).flat_map(pixel).collect();
        let rects = [
            Rect { x0: 0, y0: 0, x1: 53, y1: 45 },
            Rect { x0: 17, y0: 30, x1: 20, y1: 31 },
            Rect { x0: 7, y0: 9, x1: 33, y1: 17 },
        ];
        for quality in [40, 90, 100] {
            for grey in [false, true] {
                let mut stream = Vec::new();
                let encoder = JpegEncoder::new_with_quality(&mut stream, quality);
                let (mut encoder, source, kind) = if grey {
                    (encoder, pixels.iter().step_by(3).copied().collect(), ExtendedColorType::L8)
                } else {
                    (encoder, pixels.clone(), ExtendedColorType::Rgb8)
                };
                encoder.encode(&source, u32::from(columns), u32::from(rows), kind).unwrap();
                let decoded = image::load_from_memory_with_format(&stream, ImageFormat::Jpeg).unwrap().to_rgb8();
                let expected = Expected {
                    rows,
                    columns,
                    samples: if grey { 1 } else { 3 },
                    colour: if grey { Colour::Monochrome } else { Colour::Ybr },
                };
                for set in [&rects[..], &rects[1..], &rects[2..]] {
                    for (rect, found) in set.iter().zip(luma(&stream, &expected, set).unwrap()) {
                        let mut found = found.iter();
                        for y in rect.y0..rect.y1 {
                            for x in rect.x0..rect.x1 {
                                let [r, g, b] = decoded.get_pixel(x, y).0.map(|v| u32::from(v) * 256);
                                let other = i32::from(of_rgb([r, g, b]));
                                let saturated = [r, g, b].iter().any(|v| *v == 0 || *v == 255 * 256);
                                let is = i32::from(*found.next().unwrap());
                                assert!(saturated || (is - other).abs() <= 2 * 256, "{x},{y}: {is} {other}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_transform_is_the_standards() {
        for position in 0..64 {
            let mut block = [0; 64];
            block[position] = 700;
            let (u, v) = (position % 8, position / 8);
            let scale = |k: usize| if k == 0 { 0.5f64.sqrt() } else { 1.0 };
            for (at, &found) in inverse(&block, 12).iter().enumerate() {
                let turn = |k: usize, x: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                let exact = scale(u) * scale(v) / 4.0 * 700.0 * turn(u, at % 8) * turn(v, at / 8) + 2048.0;
                assert!((f64::from(found) - exact).abs() <= 0.51, "{position} {at}: {found} {exact}");
            }
        }
    }
}
