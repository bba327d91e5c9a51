//! The grey values of one sequential JPEG frame, for eyes only: nothing that is released is made of them.
//!
//! Luma alone is decoded (of RGB all three), with a plain inverse transform (ITU-T T.81 A.3.3) in floating point: a reader of text
//! does not see the last bit.

use super::{
    JpegError, Tables,
    parse::{Frame, Parser, Process, ScanComponent, Segment},
    walk::{Scan, Sink, extend, walk},
};
use crate::mask::Mask;

/// Where coefficient `k` of the zigzag sequence stands in a block (figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];
/// Shares of red, green and blue in grey, of 256.
const SHARES: [u32; 3] = [77, 150, 29];

/// Decodes a frame of `rows` × `columns` to one grey value a pixel, scaled to 8 bit. `rgb`: all components count.
///
/// # Errors
/// The stream is no sequential JPEG of this size, or a feature is not handled.
pub(crate) fn decode(bytes: &[u8], (rows, columns): (u16, u16), rgb: bool) -> Result<Vec<u16>, JpegError> {
    let mut parser = Parser::new(bytes, Process::Sequential)?;
    let wanted = if rgb { 3 } else { 1 };
    let mut planes: Vec<Plane> = Vec::new();
    loop {
        let scan = match parser.next()? {
            Segment::End => break,
            Segment::Scan(scan) => scan,
            _ => continue,
        };
        let frame = parser.frame.as_ref().ok_or(JpegError::Malformed("no frame"))?;
        if (frame.rows, frame.columns) != (rows, columns) || frame.components.len() < wanted {
            return Err(JpegError::Geometry);
        }
        if planes.is_empty() {
            planes = (0..wanted).map(|index| Plane::of(frame, index)).collect::<Result<_, _>>()?;
        }
        let tables = Tables::of(&parser, &scan)?;
        let channels = tables.channels(frame, &scan);
        let quantisers: Vec<[u16; 64]> = scan
            .iter()
            .map(|s| parser.quantisers[frame.components[s.index].quantiser])
            .collect::<Option<_>>()
            .ok_or(JpegError::Malformed("component without its quantiser"))?;
        let mut grey = Grey::new(frame, &scan, quantisers, &mut planes);
        let walked = Scan {
            bytes,
            position: parser.position,
            frame,
            components: &scan,
            channels: &channels,
            restart_interval: parser.restart_interval,
            mask: &Mask::default(),
        };
        let end = walk(walked, &mut grey)?;
        grey.flush();
        parser.position = end;
    }
    let (rows, columns) = (usize::from(rows), usize::from(columns));
    let mut out = Vec::with_capacity(rows * columns);
    for y in 0..rows {
        match planes.as_slice() {
            [y_only] => out.extend(y_only.line(y, columns).iter().map(|v| u16::from(*v))),
            [r, g, b] => {
                let lines = r.line(y, columns).iter().zip(g.line(y, columns)).zip(b.line(y, columns));
                let mix = |((r, g), b): ((&u8, &u8), &u8)| {
                    let sum: u32 = [r, g, b].iter().zip(SHARES).map(|(v, share)| u32::from(**v) * share).sum();
                    (sum >> 8) as u16
                };
                out.extend(lines.map(mix));
            }
            _ => return Err(JpegError::Malformed("no scan")),
        }
    }
    Ok(out)
}

/// The decoded samples of one component, padded to whole MCUs.
struct Plane {
    width: usize,
    samples: Vec<u8>,
}

impl Plane {
    /// For a component at full resolution; luma always is.
    fn of(frame: &Frame, index: usize) -> Result<Self, JpegError> {
        let component = frame.components[index];
        if (component.h, component.v) != (frame.h_max, frame.v_max) {
            return Err(JpegError::Unsupported("luma or RGB below full resolution"));
        }
        let padded = |length: u16, most: u32| u32::from(length).next_multiple_of(8 * most) as usize;
        let width = padded(frame.columns, frame.h_max);
        Ok(Self { width, samples: vec![0; width * padded(frame.rows, frame.v_max)] })
    }

    fn line(&self, y: usize, columns: usize) -> &[u8] {
        &self.samples[y * self.width..y * self.width + columns]
    }
}

/// The block that is being read, and where the blocks go.
struct Grey<'a> {
    planes: &'a mut [Plane],
    quantisers: Vec<[u16; 64]>,
    /// Of the scan's components: index in the frame, blocks across and down in an MCU, blocks or MCUs across the image.
    places: Vec<(usize, usize, usize, usize)>,
    /// Blocks of each component begun so far.
    begun: Vec<usize>,
    basis: [[f32; 8]; 8],
    /// Value of a sample of mid-scale, and the shift that brings samples to 8 bit.
    middle: f32,
    shift: f32,
    component: usize,
    open: bool,
    flat: bool,
    k: usize,
    block: [f32; 64],
}

impl<'a> Grey<'a> {
    fn new(frame: &Frame, scan: &[ScanComponent], quantisers: Vec<[u16; 64]>, planes: &'a mut [Plane]) -> Self {
        let columns = u32::from(frame.columns);
        let place = |s: &ScanComponent| {
            let c = frame.components[s.index];
            match scan {
                [_] => (s.index, 1, 1, (columns * c.h).div_ceil(frame.h_max).div_ceil(8) as usize),
                _ => (s.index, c.h as usize, c.v as usize, columns.div_ceil(8 * frame.h_max) as usize),
            }
        };
        let mut basis = [[0.0; 8]; 8];
        for (u, row) in basis.iter_mut().enumerate() {
            let scale = if u == 0 { std::f32::consts::FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
            for (x, value) in row.iter_mut().enumerate() {
                *value = scale * ((2 * x + 1) as f32 * u as f32 * std::f32::consts::PI / 16.0).cos();
            }
        }
        Self {
            planes,
            quantisers,
            places: scan.iter().map(place).collect(),
            begun: vec![0; scan.len()],
            basis,
            middle: f32::from(1u16 << (frame.precision - 1)),
            shift: 1.0 / f32::from(1u16 << (frame.precision - 8)),
            component: 0,
            open: false,
            flat: true,
            k: 1,
            block: [0.0; 64],
        }
    }

    /// Writes the block that was read into its plane.
    fn flush(&mut self) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let number = self.begun[self.component] - 1;
        let (index, h, v, across) = self.places[self.component];
        let (cell, within) = (number / (h * v), number % (h * v));
        let (x, y) = (8 * (cell % across * h + within % h), 8 * (cell / across * v + within / h));
        let (middle, shift) = (self.middle, self.shift);
        let Some(plane) = self.planes.get_mut(index) else { return };
        let sample = |value: f32| ((value + middle) * shift).round().clamp(0.0, 255.0) as u8;
        let mut columns = [[0.0f32; 8]; 8];
        if !self.flat {
            for (v, row) in self.block.as_chunks::<8>().0.iter().enumerate() {
                for (x, to) in columns[v].iter_mut().enumerate() {
                    *to = row.iter().zip(&self.basis).map(|(value, wave)| value * wave[x]).sum();
                }
            }
        }
        for dy in 0..8 {
            let at = (y + dy) * plane.width + x;
            let Some(line) = plane.samples.get_mut(at..at + 8) else { return };
            for (dx, to) in line.iter_mut().enumerate() {
                *to = sample(if self.flat {
                    self.block[0] / 8.0
                } else {
                    (0..8).map(|v| columns[v][dx] * self.basis[v][dy]).sum()
                });
            }
        }
    }
}

impl Sink for Grey<'_> {
    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        self.flush();
        self.component = component;
        self.begun[component] += 1;
        self.open = self.places[component].0 < self.planes.len();
        self.block = [0.0; 64];
        self.block[0] = dc as f32 * f32::from(self.quantisers[component][0]);
        (self.k, self.flat) = (1, true);
        Ok(())
    }
    fn ac(&mut self, component: usize, symbol: u8, bits: u32) -> Result<(), JpegError> {
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run != 15 {
            return Ok(());
        }
        self.k += run;
        let (Some(&at), Some(&step)) = (ZIGZAG.get(self.k), self.quantisers[component].get(self.k)) else {
            return Err(JpegError::Malformed("AC position"));
        };
        self.k += 1;
        if size > 0 {
            self.block[usize::from(at)] = extend(bits, size) as f32 * f32::from(step);
            self.flat = false;
        }
        Ok(())
    }
    fn masked(&mut self, component: usize, dc: i32, _flat: bool) -> Result<(), JpegError> {
        self.dc(component, dc)
    }
    fn restart(&mut self, _number: u8) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with edges, as text has.
    fn picture(rows: u32, columns: u32) -> image::GrayImage {
        image::GrayImage::from_fn(columns, rows, |x, y| image::Luma([if (x / 3 + y / 5) % 2 == 0 { 230 } else { 20 }]))
    }

    fn most_different(ours: &[u16], theirs: &[u8]) -> u16 {
        ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(u16::from(*b))).max().unwrap()
    }

    #[test]
    fn it_sees_what_another_decoder_sees() {
        for (rows, columns) in [(64, 64), (61, 83)] {
            let grey = picture(rows, columns);
            let mut stream = Vec::new();
            image::codecs::jpeg::JpegEncoder::new_with_quality(&mut stream, 85).encode_image(&grey).unwrap();
            let theirs = image::load_from_memory(&stream).unwrap().to_luma8();
            let ours = decode(&stream, (rows as u16, columns as u16), false).unwrap();
            assert_eq!(ours.len(), theirs.as_raw().len());
            assert!(most_different(&ours, theirs.as_raw()) <= 2);
        }
    }

    #[test]
    fn luma_of_a_colour_image_stands_where_it_did() {
        let colour = image::RgbImage::from_fn(83, 61, |x, y| {
            image::Rgb([if x / 7 % 2 == 0 { 250 } else { 10 }, if y / 6 % 2 == 0 { 240 } else { 30 }, 90])
        });
        let mut stream = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut stream, 95).encode_image(&colour).unwrap();
        let theirs = image::load_from_memory(&stream).unwrap().to_rgb8();
        let luma: Vec<u8> = theirs
            .pixels()
            .map(|p| {
                (p.0.map(f32::from).iter().zip([0.299, 0.587, 0.114]).map(|(v, s)| v * s).sum::<f32>()).round() as u8
            })
            .collect();
        let ours = decode(&stream, (61, 83), false).unwrap();
        let off = ours.iter().zip(&luma).filter(|(a, b)| a.abs_diff(u16::from(**b)) > 12).count();
        assert!(off < luma.len() / 50, "{off}");
    }

    #[test]
    fn another_size_and_damage_are_errors() {
        let mut stream = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut stream).encode_image(&picture(32, 32)).unwrap();
        assert_eq!(decode(&stream, (32, 33), false), Err(JpegError::Geometry));
        assert_eq!(decode(&stream, (32, 32), true), Err(JpegError::Geometry));
        stream.truncate(stream.len() / 2);
        assert!(decode(&stream, (32, 32), false).is_err());
    }
}
