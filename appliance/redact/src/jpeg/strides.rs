//! Passing over blocks with tables of Annex K.3: several symbols for one look-up, where only their codes, the DCs and where a block
//! ends matter.

use std::sync::LazyLock;

use super::{
    JpegError,
    bits::BitReader,
    huffman::{Decoder, Table, standard},
    walk::{add, dc, step},
};

/// Bits of the index of [`Strides::ac`].
const AC_BITS: u32 = 13;
/// Bits of the index of [`Strides::long`]: what is left of a longest code behind the ones that all long codes begin with.
const LONG_BITS: u32 = 7;
/// Bits of the index of [`Strides::dc`]: all codes of the standard's tables.
const DC_BITS: u32 = 11;

/// The tables of a component arranged for passing over its blocks.
pub(super) struct Strides {
    /// By what a window of bits begins with, of as many AC symbols as have their codes in it: in the low byte the bits of codes and
    /// values, in the high one by how many coefficients the position in the block goes on, and [`ENDS`] for an end of block, which is
    /// the last. [`NONE`] where the first code is longer than the window or means nothing.
    ac: [u16; 1 << AC_BITS],
    /// The same of the one symbol with a longer code, by the bits that such codes differ in: those before are ones.
    long: [u16; 1 << LONG_BITS],
    dc: [Start; 1 << DC_BITS],
    /// For DC and AC one symbol at a time.
    decoders: (Decoder, Decoder),
}

/// More than any position in a block that symbols of one window lead to.
const ENDS: u32 = 128;
/// Leads to no position, with an end of block or without.
const NONE: u16 = 0xFF00;

/// How a block begins: bits of the DC's code and value and, where it is there, of an end of block; bits of the code; bits of the value;
/// whether the end of block is there. All zero for none.
#[derive(Clone, Copy, Default)]
struct Start {
    bits: u8,
    code: u8,
    size: u8,
    flat: bool,
}

impl Strides {
    fn new(dc: &Table, ac: &Table) -> Self {
        // Bits and advance of a symbol with its code's length.
        let one = |length: u32, symbol: u8| match (u32::from(symbol >> 4), u32::from(symbol & 15)) {
            (0, 0) => Some((length, ENDS)),
            (1..15, 0) => None,
            (run, size) => Some((length + size, run + 1)),
        };
        let short = by_window(ac, AC_BITS);
        let mut strides = [NONE; 1 << AC_BITS];
        for (window, stride) in strides.iter_mut().enumerate() {
            let (mut bits, mut advance) = (0, 0);
            loop {
                // Zeros stand for what is not in the window: a code that needs them is too long.
                let (length, symbol) = short[window << bits & ((1 << AC_BITS) - 1)];
                let Some((more, further)) = one(length, symbol) else { break };
                if length == 0 || bits + length > AC_BITS {
                    break;
                }
                bits += more;
                advance += further;
                *stride = (advance << 8 | bits) as u16;
                if bits >= AC_BITS || advance >= ENDS {
                    break;
                }
            }
        }
        let mut long = [NONE; 1 << LONG_BITS];
        for (symbol, code, length) in ac.codes().filter(|(_, _, length)| *length > AC_BITS) {
            let (first, count) = (code << (16 - length), 1 << (16 - length));
            if let (0xFF80.., Some((bits, advance))) = (first, one(length, symbol)) {
                let first = first as usize & ((1 << LONG_BITS) - 1);
                long[first..first + count].fill((advance << 8 | bits) as u16);
            }
        }
        let end = ac.codes().find(|(symbol, ..)| *symbol == 0);
        let mut starts = [Start::default(); 1 << DC_BITS];
        for ((window, start), (code, size)) in starts.iter_mut().enumerate().zip(by_window(dc, DC_BITS)) {
            let size = u32::from(size);
            if code == 0 || size > 11 {
                continue;
            }
            let bits = code + size;
            let behind = DC_BITS.saturating_sub(bits);
            let flat = end.filter(|&(_, end, length)| {
                length <= behind && (window & ((1 << behind) - 1)) >> (behind - length) == end as usize
            });
            let bits = bits + flat.map_or(0, |(_, _, length)| length);
            *start = Start { bits: bits as u8, code: code as u8, size: size as u8, flat: flat.is_some() };
        }
        Self { ac: strides, long, dc: starts, decoders: (Decoder::new(dc), Decoder::new(ac)) }
    }

    /// The tables, DC and AC, arranged for decoding.
    pub(super) fn decoders(&self) -> &(Decoder, Decoder) {
        &self.decoders
    }

    /// Passes over a block; true when it has no AC symbols but an end of block.
    #[inline(always)]
    pub(super) fn pass(&self, reader: &mut BitReader<'_>, prediction: &mut i32) -> Result<bool, JpegError> {
        reader.fill();
        let start = self.dc[reader.peek(DC_BITS) as usize];
        if start.flat && start.size == 0 {
            // Most blocks of what is flat, or grey.
            reader.consume_low(u32::from(start.bits));
            return Ok(true);
        }
        if start.code == 0 {
            dc(reader, &self.decoders.0, prediction)?;
            reader.fill();
        } else {
            add(prediction, reader.signed(u32::from(start.code), u32::from(start.size)))?;
            reader.consume_low(u32::from(start.bits));
            if start.flat {
                return Ok(true);
            }
        }
        // A DC of at most 22 bits leaves a stride's.
        self.pass_filled(reader)
    }

    /// The same behind its DC.
    #[inline(never)]
    pub(super) fn pass_ac(&self, reader: &mut BitReader<'_>) -> Result<bool, JpegError> {
        reader.fill();
        self.pass_filled(reader)
    }

    #[inline(always)]
    fn pass_filled(&self, reader: &mut BitReader<'_>) -> Result<bool, JpegError> {
        let mut k = 1;
        // Two strides of at most 28 bits, of codes and the last one's value, for each filling.
        loop {
            let mut stride = self.stride(reader, &mut k);
            if k < 64 {
                reader.fill();
                stride = self.stride(reader, &mut k);
                if k < 64 {
                    continue;
                }
            }
            if stride == u32::from(NONE) {
                reader.fill();
                let next = reader.peek(16);
                let long = if next >= 0xFF80 { self.long[(next & ((1 << LONG_BITS) - 1)) as usize] } else { NONE };
                k = k.wrapping_sub(stride >> 8).wrapping_add(u32::from(long) >> 8);
                stride = u32::from(long);
                reader.consume_low(stride);
                reader.fill();
                if k < 64 {
                    continue;
                }
            }
            if k.wrapping_sub(ENDS) < 64 {
                return Ok(k == ENDS + 1);
            }
            if k == 64 {
                return Ok(false);
            }
            // A code that means nothing, or one of a window's symbols but the last completes the block.
            k -= stride >> 8;
            (*reader, k) = single(&self.decoders.1, *reader, stride & 0xFF, k)?;
            if k >= ENDS {
                return Ok(k == ENDS + 1);
            }
            if k == 64 {
                return Ok(false);
            }
        }
    }

    #[inline(always)]
    fn stride(&self, reader: &mut BitReader<'_>, k: &mut u32) -> u32 {
        let stride = u32::from(self.ac[reader.peek(AC_BITS) as usize]);
        *k = k.wrapping_add(stride >> 8);
        reader.consume_low(stride);
        stride
    }
}

/// Passes over one AC symbol, `back` bits before the reader's; the position in the block behind it, [`ENDS`] more at an end of block.
#[cold]
#[inline(never)]
fn single<'a>(
    ac: &Decoder,
    mut reader: BitReader<'a>,
    back: u32,
    mut k: u32,
) -> Result<(BitReader<'a>, u32), JpegError> {
    reader.seek(reader.at() - back as usize)?;
    let symbol = ac.decode(&mut reader)?;
    match step(symbol, &mut k)? {
        Some(size) => reader.consume_low(size),
        None => k += ENDS,
    }
    reader.fill();
    Ok((reader, k))
}

/// By what a window of `bits` bits begins with: length of the code (0: longer than the window) and its symbol.
fn by_window(table: &Table, bits: u32) -> Vec<(u32, u8)> {
    let mut windows = vec![(0, 0); 1 << bits];
    for (symbol, code, length) in table.codes().filter(|(_, _, length)| *length <= bits) {
        let shift = bits - length;
        let first = (code << shift) as usize;
        windows[first..first + (1 << shift)].fill((length, symbol));
    }
    windows
}

/// The strides of a DC and an AC table, when both are of Annex K.3.
pub(super) fn strides(dc: &Table, ac: &Table) -> Option<&'static Strides> {
    static OF: [LazyLock<Box<Strides>>; 4] = [
        LazyLock::new(|| arrange(0, 2)),
        LazyLock::new(|| arrange(0, 3)),
        LazyLock::new(|| arrange(1, 2)),
        LazyLock::new(|| arrange(1, 3)),
    ];
    match (dc.standard()?, ac.standard()?) {
        (dc @ 0..=1, ac @ 2..=3) => Some(&**OF[2 * dc + ac - 2]),
        _ => None,
    }
}

fn arrange(dc: usize, ac: usize) -> Box<Strides> {
    Box::new(Strides::new(&standard(dc), &standard(ac)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::{bits::Entropy, huffman::Encoder};
    use proptest::prelude::*;

    /// The same, symbol by symbol.
    fn plain(strides: &Strides, reader: &mut BitReader<'_>, prediction: &mut i32) -> Result<bool, JpegError> {
        let (dc_table, ac) = strides.decoders();
        dc(reader, dc_table, prediction)?;
        let mut k = 1;
        while k < 64 {
            reader.refill();
            let before = k;
            match step(ac.decode(reader)?, &mut k)? {
                Some(size) => reader.take(size),
                None => return Ok(before == 1),
            };
        }
        Ok(false)
    }

    fn compare(strides: &Strides, bits: &[bool]) {
        let mut bytes = Vec::new();
        for byte in bits.chunks(8) {
            let byte = byte.iter().enumerate().fold(0, |byte, (n, &bit)| byte | u8::from(bit) << (7 - n));
            bytes.push(byte);
            bytes.extend((byte == 0xFF).then_some(0));
        }
        bytes.extend_from_slice(&[0xFF, 0xD9]);
        let entropy = Entropy::of(&bytes, 0, 1).unwrap();
        let (mut reader, mut other) = (entropy.reader(), entropy.reader());
        let (mut prediction, mut same) = (0, 0);
        while reader.check().is_ok() {
            let passed = strides.pass(&mut reader, &mut prediction);
            let expected = plain(strides, &mut other, &mut same);
            // Behind the end it matters only that it is noticed.
            if other.check().is_err() {
                assert!(passed.is_err() || reader.check().is_err());
                return;
            }
            assert_eq!((passed, prediction), (expected, same));
            if passed.is_err() {
                return;
            }
            assert_eq!(reader.at(), other.at());
        }
    }

    proptest! {
        /// Blocks that end early, with the last coefficient or not at all, with short and long codes; at last bits at random.
        #[test]
        fn passing_over_is_decoding(
            which in (0usize..2, 2usize..4),
            symbols in prop::collection::vec((0u8..=255, any::<u16>(), 0u8..4), 1..400),
            rest in prop::collection::vec(any::<bool>(), 0..400),
        ) {
            let (dc, ac) = (standard(which.0), standard(which.1));
            let (dc_codes, ac_codes) = (Encoder::new(&dc), Encoder::new(&ac));
            let mut bits = Vec::new();
            let mut put = |(code, length): (u32, u32), size: u8, value: u16| {
                bits.extend((0..length).rev().map(|n| code >> n & 1 != 0));
                bits.extend((0..size).map(|n| value >> n & 1 != 0));
            };
            let mut k = 64;
            for (symbol, value, kind) in symbols {
                if k >= 64 {
                    put(dc_codes.code(symbol % 12), symbol % 12, value);
                    k = 1;
                    continue;
                }
                // As the tables have it: small runs and sizes, any, what completes the block, its end.
                let symbol = match kind {
                    0 => symbol & 0x13 | 1,
                    1 => ac.symbols[usize::from(symbol) % ac.symbols.len()],
                    2 if k > 48 => (63 - k) << 4 | 1,
                    _ if symbol < 100 => 0,
                    _ => 0xF0,
                };
                if symbol == 0 {
                    put(ac_codes.code(0), 0, 0);
                    k = 64;
                } else if k + (symbol >> 4) < 64 {
                    put(ac_codes.code(symbol), symbol & 15, value);
                    k += (symbol >> 4) + 1;
                }
            }
            bits.extend(rest);
            compare(strides(&dc, &ac).unwrap(), &bits);
        }
    }
}
