//! A JPEG frame as arrays of coefficients, with its own plain encoder and decoder order: what the transcoder is held
//! against.

use super::super::{
    bits::{BitWriter, Entropy},
    huffman::{Decoder, Encoder, Table},
    parse::{Parser, Process, Segment},
    walk::extend,
    write_segment,
};
use crate::mask::Rect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    Standard,
    Fitted,
}

/// Coefficients by component, row of blocks, column of blocks; in zigzag order.
pub(super) type Coefficients = Vec<Vec<Vec<[i32; 64]>>>;

#[derive(Clone)]
pub(super) struct Model {
    pub(super) columns: u16,
    pub(super) rows: u16,
    pub(super) components: Vec<(u32, u32)>,
    scans: Vec<Vec<usize>>,
    restart: u16,
    pub(super) precision: u8,
    tables: TableKind,
    pub(super) steps: [u8; 3],
    pub(super) coefficients: Coefficients,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { columns, rows, components, scans, restart, precision, tables, steps, .. } = self;
        write!(f, "{columns}x{rows} {components:?} {scans:?} restart {restart} {precision} bit {tables:?} {steps:?}")
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as u32) % n
    }
    fn block(&mut self, precision: u8, step: u8) -> [i32; 64] {
        let mut block = [0; 64];
        let half = (1i32 << (precision + 2)) / i32::from(step);
        block[0] = self.below(2 * half as u32) as i32 - half;
        for _ in 0..self.below(12) {
            let (k, size) = (1 + self.below(63) as usize, self.below(11));
            block[k] = self.below(1 << size) as i32 - (1 << size) / 2;
        }
        block
    }
}

/// Class, chroma table?, symbol, bits, number of bits.
type Symbol = (u8, bool, u8, u32, u32);

const DC: u8 = 0;
const AC: u8 = 1;

impl Model {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn random(
        columns: u16,
        rows: u16,
        factors: &[(u32, u32)],
        split: usize,
        restart: u16,
        precision: u8,
        tables: TableKind,
        seed: u64,
    ) -> Self {
        let scans = match (factors.len(), split) {
            (1, _) => vec![vec![0]],
            (_, 0) => vec![vec![0, 1, 2]],
            (_, 1) => vec![vec![0], vec![1], vec![2]],
            _ => vec![vec![1], vec![0, 2]],
        };
        // A.1.1: with a single component the factors are only decoration.
        let components = if factors.len() == 1 { vec![(1, 1)] } else { factors.to_vec() };
        let tables = if precision == 12 { TableKind::Fitted } else { tables };
        let mut random = Random(seed);
        let steps = [1 + random.below(40) as u8, 1 + random.below(40) as u8, 1 + random.below(255) as u8];
        let mut model =
            Self { columns, rows, components, scans, restart, precision, tables, steps, coefficients: Vec::new() };
        let (across, down) = model.mcus();
        model.coefficients = (0..factors.len())
            .map(|c| {
                let (h, v) = model.components[c];
                let mut line = || (0..across * h).map(|_| random.block(precision, steps[c])).collect();
                (0..down * v).map(|_| line()).collect()
            })
            .collect();
        // Blocks that only pad an MCU are not coded in a scan of one component.
        for scan in model.scans.clone().iter().filter(|s| s.len() == 1) {
            let coded = model.order(scan);
            let all = &mut model.coefficients[scan[0]];
            for (y, line) in all.iter_mut().enumerate() {
                for (x, block) in line.iter_mut().enumerate() {
                    if !coded.contains(&(scan[0], y, x)) {
                        *block = [0; 64];
                    }
                }
            }
        }
        model
    }

    fn maxima(&self) -> (u32, u32) {
        let h = self.components.iter().map(|c| c.0).max().unwrap();
        (h, self.components.iter().map(|c| c.1).max().unwrap())
    }

    fn mcus(&self) -> (u32, u32) {
        let (h, v) = self.maxima();
        (u32::from(self.columns).div_ceil(8 * h), u32::from(self.rows).div_ceil(8 * v))
    }

    /// Blocks of a scan in coded order; for restarts, [`Self::mcu_size`] of them are one MCU.
    fn order(&self, scan: &[usize]) -> Vec<(usize, usize, usize)> {
        let (h_max, v_max) = self.maxima();
        let mut order = Vec::new();
        if let [c] = *scan {
            let (h, v) = self.components[c];
            let across = (u32::from(self.columns) * h).div_ceil(h_max).div_ceil(8);
            let down = (u32::from(self.rows) * v).div_ceil(v_max).div_ceil(8);
            for y in 0..down {
                order.extend((0..across).map(|x| (c, y as usize, x as usize)));
            }
        } else {
            let (across, down) = self.mcus();
            for my in 0..down {
                for mx in 0..across {
                    for &c in scan {
                        let (h, v) = self.components[c];
                        for y in 0..v {
                            order.extend((0..h).map(|x| (c, (my * v + y) as usize, (mx * h + x) as usize)));
                        }
                    }
                }
            }
        }
        order
    }

    fn mcu_size(&self, scan: &[usize]) -> usize {
        match scan {
            [_] => 1,
            many => many.iter().map(|&c| (self.components[c].0 * self.components[c].1) as usize).sum(),
        }
    }

    fn inside(&self, rects: &[Rect], c: usize, y: usize, x: usize) -> bool {
        let ((h_max, v_max), (h, v)) = (self.maxima(), self.components[c]);
        let (mx, my) = (x as u32 / h, y as u32 / v);
        let (x0, y0) = (mx * 8 * h_max, my * 8 * v_max);
        rects.iter().any(|r| r.x0 < x0 + 8 * h_max && r.x1 > x0 && r.y0 < y0 + 8 * v_max && r.y1 > y0)
    }

    /// Black in every coded block inside; how many.
    pub(super) fn blank(&mut self, rects: &[Rect]) -> u64 {
        let mut count = 0;
        for scan in self.scans.clone() {
            for (c, y, x) in self.order(&scan) {
                if self.inside(rects, c, y, x) {
                    let step = i32::from(self.steps[c]);
                    let mut block = [0; 64];
                    if c == 0 {
                        block[0] = -((1 << (self.precision + 2)) + step - 1).div_euclid(step);
                    }
                    self.coefficients[c][y][x] = block;
                    count += 1;
                }
            }
        }
        count
    }

    /// The same outside, something else inside.
    pub(super) fn scrambled_inside(&self, rects: &[Rect], seed: u64) -> Self {
        let mut other = self.clone();
        let mut random = Random(seed);
        for scan in &self.scans {
            for (c, y, x) in self.order(scan) {
                if self.inside(rects, c, y, x) {
                    other.coefficients[c][y][x] = random.block(self.precision, self.steps[c]);
                }
            }
        }
        other
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0xFF, 0xD8];
        for (i, &step) in self.steps.iter().enumerate() {
            let mut payload = vec![i as u8];
            payload.push(step);
            payload.extend((1..64).map(|k| k as u8));
            write_segment(&mut out, 0xDB, &payload);
        }
        let mut frame = vec![self.precision];
        frame.extend_from_slice(&self.rows.to_be_bytes());
        frame.extend_from_slice(&self.columns.to_be_bytes());
        frame.push(self.components.len() as u8);
        for (i, (h, v)) in self.components.iter().enumerate() {
            frame.extend_from_slice(&[i as u8 + 1, (h << 4 | v) as u8, i as u8]);
        }
        write_segment(&mut out, if self.precision == 8 { 0xC0 } else { 0xC1 }, &frame);
        if self.restart > 0 {
            write_segment(&mut out, 0xDD, &self.restart.to_be_bytes());
        }
        for scan in &self.scans {
            let symbols = self.symbols(scan);
            let fit = |class: u8, chroma: bool| {
                let mut counts = [0u32; 256];
                symbols
                    .iter()
                    .flatten()
                    .filter(|s| s.0 == class && s.1 == chroma)
                    .for_each(|s| counts[usize::from(s.2)] += 1);
                match self.tables {
                    TableKind::Standard => standard(class, chroma),
                    TableKind::Fitted => Table::optimal(&counts),
                }
            };
            let selectors: Vec<bool> = scan.iter().map(|&c| c > 0).collect();
            let mut encoders: [[Option<Encoder>; 2]; 2] = Default::default();
            for class in [DC, AC] {
                for chroma in [false, true].into_iter().filter(|c| selectors.contains(c)) {
                    let table = fit(class, chroma);
                    let mut payload = vec![class << 4 | u8::from(chroma)];
                    payload.extend_from_slice(&table.counts);
                    payload.extend_from_slice(&table.symbols);
                    write_segment(&mut out, 0xC4, &payload);
                    encoders[usize::from(class)][usize::from(chroma)] = Some(Encoder::new(&table));
                }
            }
            let mut header = vec![scan.len() as u8];
            for &c in scan {
                header.extend_from_slice(&[c as u8 + 1, if c > 0 { 0x11 } else { 0 }]);
            }
            header.extend_from_slice(&[0, 63, 0]);
            write_segment(&mut out, 0xDA, &header);
            let mut writer = BitWriter::new(&mut out);
            for (i, block) in symbols.iter().enumerate() {
                if let Some(number) = self.restart_before(scan, i) {
                    writer.restart(number);
                }
                for &(class, chroma, symbol, bits, size) in block {
                    let (code, length) =
                        encoders[usize::from(class)][usize::from(chroma)].as_ref().unwrap().code(symbol);
                    assert_ne!(length, 0);
                    writer.put(code, length);
                    writer.put(bits, size);
                }
            }
            writer.align();
        }
        out.extend_from_slice(&[0xFF, 0xD9]);
        out
    }

    /// The number of the restart marker before block `i` of a scan, if one stands there.
    fn restart_before(&self, scan: &[usize], i: usize) -> Option<u8> {
        let size = self.mcu_size(scan);
        let interval = usize::from(self.restart);
        let restarts = interval > 0 && i > 0 && i.is_multiple_of(size * interval);
        restarts.then(|| ((i / (size * interval) - 1) % 8) as u8)
    }

    /// By block.
    fn symbols(&self, scan: &[usize]) -> Vec<Vec<Symbol>> {
        let magnitude = |v: i32| {
            let size = 32 - v.unsigned_abs().leading_zeros();
            (size, if v < 0 { (v - 1) as u32 & ((1 << size) - 1) } else { v as u32 })
        };
        let mut predictions = [0; 3];
        let mut all = Vec::new();
        for (i, (c, y, x)) in self.order(scan).into_iter().enumerate() {
            if self.restart_before(scan, i).is_some() {
                predictions = [0; 3];
            }
            let block = &self.coefficients[c][y][x];
            let chroma = c > 0;
            let (size, bits) = magnitude(block[0] - predictions[c]);
            predictions[c] = block[0];
            let mut symbols = vec![(DC, chroma, size as u8, bits, size)];
            let mut run = 0;
            for &v in &block[1..] {
                if v == 0 {
                    run += 1;
                    continue;
                }
                while run > 15 {
                    symbols.push((AC, chroma, 0xF0, 0, 0));
                    run -= 16;
                }
                let (size, bits) = magnitude(v);
                symbols.push((AC, chroma, (run << 4) as u8 | size as u8, bits, size));
                run = 0;
            }
            if run > 0 {
                symbols.push((AC, chroma, 0, 0, 0));
            }
            all.push(symbols);
        }
        all
    }

    /// The coefficients of a stream of this model's shape.
    pub(super) fn decode(&self, bytes: &[u8]) -> Coefficients {
        let mut parser = Parser::new(bytes, Process::Sequential).unwrap();
        let mut found: Coefficients =
            self.coefficients.iter().map(|c| c.iter().map(|line| vec![[0; 64]; line.len()]).collect()).collect();
        loop {
            match parser.next().unwrap() {
                Segment::End => return found,
                Segment::Scan(scan) => {
                    let components: Vec<usize> = scan.iter().map(|s| s.index).collect();
                    let arranged: Vec<(Decoder, Decoder)> = scan
                        .iter()
                        .map(|s| {
                            let table = |t: &Option<Table>| Decoder::new(t.as_ref().unwrap());
                            (table(&parser.dc[s.dc]), table(&parser.ac[s.ac]))
                        })
                        .collect();
                    let entropy = Entropy::of(bytes, parser.position, usize::MAX).unwrap();
                    let mut reader = entropy.reader();
                    let mut predictions = [0; 3];
                    for (i, (c, y, x)) in self.order(&components).into_iter().enumerate() {
                        if let Some(number) = self.restart_before(&components, i) {
                            reader.restart(number).unwrap();
                            predictions = [0; 3];
                        }
                        let (dc, ac) = &arranged[components.iter().position(|&other| other == c).unwrap()];
                        let block = &mut found[c][y][x];
                        reader.refill();
                        let size = u32::from(dc.decode(&mut reader).unwrap());
                        predictions[c] += extend(reader.take(size), size);
                        block[0] = predictions[c];
                        let mut k = 1;
                        while k < 64 {
                            reader.refill();
                            let symbol = ac.decode(&mut reader).unwrap();
                            if symbol == 0 {
                                break;
                            }
                            k += usize::from(symbol >> 4);
                            let size = u32::from(symbol & 15);
                            block[k] = extend(reader.take(size), size);
                            k += 1;
                        }
                        reader.check().unwrap();
                    }
                    parser.position = reader.end().unwrap();
                }
                _ => {}
            }
        }
    }
}

fn standard(class: u8, chroma: bool) -> Table {
    let table = super::super::huffman::standard(usize::from(class) * 2 + usize::from(chroma));
    assert!(table.standard().is_some());
    table
}
