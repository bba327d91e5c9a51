//! Huffman tables: as specified in DHT (ITU-T T.81 B.2.4.2), for decoding, for encoding, the standard's own (Annex K.3),
//! and optimal ones for given counts (Annex K.2).

use super::{JpegError, bits::BitReader};

/// A table as DHT states it: how many codes of each length, and the symbols in order of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

impl Table {
    /// A table from its counts and symbols.
    ///
    /// # Errors
    /// The number of symbols differs from the counts, or the counts do not fit the code space.
    pub(super) fn new(counts: [u8; 16], symbols: &[u8]) -> Result<Self, JpegError> {
        let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
        let mut room = 1u32;
        for &n in &counts {
            room = (room * 2).checked_sub(u32::from(n)).ok_or(JpegError::Malformed("Huffman table"))?;
            room = room.min(1 << 16);
        }
        if total != symbols.len() || total > 256 {
            return Err(JpegError::Malformed("Huffman table"));
        }
        Ok(Self { counts, symbols: symbols.to_vec() })
    }

    /// Each symbol with its code and the code's length, in order of code.
    pub(super) fn codes(&self) -> impl Iterator<Item = (u8, u32, u32)> + '_ {
        let mut code = 0u32;
        let lengths =
            self.counts.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as u32 + 1, usize::from(n)));
        let mut last = 1;
        self.symbols.iter().zip(lengths).map(move |(&symbol, length)| {
            code <<= length - last;
            last = length;
            let this = code;
            code += 1;
            (symbol, this, length)
        })
    }

    /// Which of the four tables of Annex K.3 it is, in the order given there; they depend on no image.
    pub(super) fn standard(&self) -> Option<usize> {
        STANDARD.iter().position(|(counts, symbols)| self.counts == *counts && self.symbols == *symbols)
    }

    /// The optimal table for symbols that occur `frequency` times (Annex K.2), code lengths limited to 16.
    pub(super) fn optimal(frequency: &[u32; 256]) -> Self {
        // The 257th symbol reserves the code of all ones (K.2).
        let mut weight = [0u64; 257];
        for (w, &f) in weight.iter_mut().zip(frequency) {
            *w = u64::from(f);
        }
        weight[256] = 1;
        let mut group: [u16; 257] = std::array::from_fn(|i| i as u16);
        let mut size = [0u16; 257];
        let lightest = |weight: &[u64; 257], not: Option<usize>| {
            (0..257).filter(|&i| weight[i] > 0 && Some(i) != not).min_by_key(|&i| (weight[i], std::cmp::Reverse(i)))
        };
        while let Some(first) = lightest(&weight, None) {
            let Some(second) = lightest(&weight, Some(first)) else { break };
            weight[first] += weight[second];
            weight[second] = 0;
            let (a, b) = (group[first], group[second]);
            for i in 0..257 {
                if group[i] == a || group[i] == b {
                    group[i] = first as u16;
                    size[i] += 1;
                }
            }
        }
        let mut bits = [0u32; 258];
        for &n in size.iter().filter(|&&n| n > 0) {
            bits[usize::from(n)] += 1;
        }
        // Figure K.3: shorten codes beyond 16 bits, a pair at a time.
        for length in (17..258).rev() {
            while bits[length] > 0 {
                let mut shorter = length - 2;
                while bits[shorter] == 0 {
                    shorter -= 1;
                }
                bits[length] -= 2;
                bits[length - 1] += 1;
                bits[shorter + 1] += 2;
                bits[shorter] -= 1;
            }
        }
        if let Some(longest) = (1..=16).rev().find(|&n| bits[n] > 0) {
            bits[longest] -= 1;
        }
        let mut order: Vec<u8> = (0..=255).filter(|&s| size[usize::from(s)] > 0).collect();
        order.sort_by_key(|&s| (size[usize::from(s)], s));
        Self { counts: std::array::from_fn(|i| bits[i + 1] as u8), symbols: order }
    }
}

const FAST_BITS: u32 = 10;

/// A table arranged for decoding.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    /// By the next [`FAST_BITS`] bits: length × 256 + symbol; 0 where the code is longer.
    fast: Box<[u16; 1 << FAST_BITS]>,
    /// By length: the first code beyond those of this length, left aligned in 16 bits.
    limit: [u32; 17],
    /// By length: what to add to a code of this length to get its index in `symbols`.
    base: [i32; 17],
    symbols: [u8; 256],
}

impl Decoder {
    pub(super) fn new(table: &Table) -> Self {
        let mut this = Self { fast: Box::new([0; 1 << FAST_BITS]), limit: [0; 17], base: [0; 17], symbols: [0; 256] };
        for (index, (symbol, code, length)) in table.codes().enumerate() {
            this.symbols[index] = symbol;
            this.base[length as usize] = index as i32 - code as i32;
            this.limit[length as usize] = (code + 1) << (16 - length);
            if length <= FAST_BITS {
                let shift = FAST_BITS - length;
                let first = (code << shift) as usize;
                this.fast[first..first + (1 << shift)].fill((length as u16) << 8 | u16::from(symbol));
            }
        }
        this
    }

    /// Decodes a symbol; 32 bits must be available, at least 16 stay so.
    #[inline(always)]
    pub(super) fn decode(&self, reader: &mut BitReader<'_>) -> Result<u8, JpegError> {
        let entry = self.fast[reader.peek(FAST_BITS) as usize];
        if entry != 0 {
            reader.consume(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        let (symbol, length) = self.decode_long(reader.peek(16))?;
        reader.consume(length);
        Ok(symbol)
    }

    /// The symbol that 16 bits begin with, when its code is long, and the length of the code.
    #[inline(never)]
    fn decode_long(&self, next: u32) -> Result<(u8, u32), JpegError> {
        for length in FAST_BITS + 1..=16 {
            if next < self.limit[length as usize] {
                let index = (next >> (16 - length)) as i32 + self.base[length as usize];
                let symbol = self.symbols.get(index as usize).ok_or(JpegError::Malformed("Huffman code"))?;
                return Ok((*symbol, length));
            }
        }
        Err(JpegError::Malformed("Huffman code"))
    }
}

/// A table arranged for encoding: by symbol, the code and its length (0: no code).
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    codes: [(u16, u8); 256],
}

impl Encoder {
    pub(super) fn new(table: &Table) -> Self {
        let mut codes = [(0, 0); 256];
        for (symbol, code, length) in table.codes() {
            codes[usize::from(symbol)] = (code as u16, length as u8);
        }
        Self { codes }
    }

    /// Code and length of a symbol.
    #[inline(always)]
    pub(super) fn code(&self, symbol: u8) -> (u32, u32) {
        let (code, length) = self.codes[usize::from(symbol)];
        (u32::from(code), u32::from(length))
    }
}

/// Annex K.3: DC luminance, DC chrominance, AC luminance, AC chrominance.
#[rustfmt::skip]
const STANDARD: [([u8; 16], &[u8]); 4] = [
    ([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    ([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D], &[
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
        0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
        0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
        0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
        0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
        0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
        0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
        0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    ]),
    ([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &[
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
        0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1,
        0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36,
        0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
        0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
        0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
        0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
        0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
        0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    ]),
];

/// One of the four.
pub(super) fn standard(index: usize) -> Table {
    Table { counts: STANDARD[index].0, symbols: STANDARD[index].1.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::bits::{BitWriter, Entropy};

    fn round_trip(table: &Table, symbols: &[u8]) {
        let (encoder, decoder) = (Encoder::new(table), Decoder::new(table));
        let mut bytes = Vec::new();
        let mut writer = BitWriter::new(&mut bytes);
        for &s in symbols {
            let (code, length) = encoder.code(s);
            assert!((1..=16).contains(&length));
            assert_ne!(code, (1 << length) - 1, "the code of all ones is reserved");
            writer.put(code, length);
        }
        writer.align();
        bytes.extend_from_slice(&[0xFF, 0xD9]);
        let entropy = Entropy::of(&bytes, 0, 1).unwrap();
        let mut reader = entropy.reader();
        for &s in symbols {
            reader.refill();
            assert_eq!(decoder.decode(&mut reader).unwrap(), s);
        }
    }

    #[test]
    fn standard_tables_are_complete_and_decode() {
        for (i, (counts, symbols)) in STANDARD.iter().enumerate() {
            let table = Table::new(*counts, symbols).unwrap();
            assert_eq!(table.symbols.len(), if i < 2 { 12 } else { 162 });
            let mut sorted = table.symbols.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), table.symbols.len());
            assert_eq!(table.standard(), Some(i));
            round_trip(&table, &table.symbols);
        }
    }

    #[test]
    fn optimal_tables_hold_to_16_bits() {
        // Fibonacci counts make the deepest tree.
        let mut frequency = [0u32; 256];
        let (mut a, mut b) = (1u32, 1u32);
        for f in frequency.iter_mut().take(40) {
            *f = a;
            (a, b) = (b, a + b);
        }
        let table = Table::optimal(&frequency);
        Table::new(table.counts, &table.symbols).unwrap();
        assert_eq!(table.symbols.len(), 40);
        round_trip(&table, &(0..40).collect::<Vec<_>>());
        let all = Table::optimal(&[3; 256]);
        round_trip(&all, &(0..=255).collect::<Vec<_>>());
        let mut one = [0; 256];
        one[17] = 9;
        round_trip(&Table::optimal(&one), &[17, 17]);
    }

    #[test]
    fn overfull_tables_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(counts, &[1, 2, 3]).is_err());
        counts[0] = 2;
        assert!(Table::new(counts, &[1]).is_err());
        assert!(Table::new(counts, &[1, 2]).is_ok());
    }
}
