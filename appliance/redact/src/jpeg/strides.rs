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
const AC_BITS: u32 = 12;
/// Bits of the index of [`Strides::dc`]: all codes of the standard's tables.
const DC_BITS: u32 = 11;

/// The tables of a component arranged for passing over its blocks.
pub(super) struct Strides {
    /// By what a window of bits begins with, of as many AC symbols as have their codes in it: in the low byte the bits of codes and
    /// values, in the high one by how many coefficients the position in the block goes on, and [`ENDS`] for an end of block, which is
    /// the last. [`NONE`] where the first code is longer than the window or means nothing.
    ac: [u16; 1 << AC_BITS],
    dc: [Start; 1 << DC_BITS],
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
        let short = by_window(ac, AC_BITS);
        let mut strides = [NONE; 1 << AC_BITS];
        for (window, stride) in strides.iter_mut().enumerate() {
            let (mut bits, mut advance) = (0, 0);
            loop {
                // Zeros stand for what is not in the window: a code that needs them is too long.
                let (length, symbol) = short[window << bits & ((1 << AC_BITS) - 1)];
                let (run, size) = (symbol >> 4, symbol & 15);
                if length == 0 || bits + length > AC_BITS || matches!((run, size), (1..15, 0)) {
                    break;
                }
                bits += length + size;
                advance += if (run, size) == (0, 0) { ENDS } else { run + 1 };
                *stride = (advance << 8 | bits) as u16;
                if bits >= AC_BITS || advance >= ENDS {
                    break;
                }
            }
        }
        let end = ac.codes().find(|(symbol, ..)| *symbol == 0);
        let mut starts = [Start::default(); 1 << DC_BITS];
        for ((window, start), (code, size)) in starts.iter_mut().enumerate().zip(by_window(dc, DC_BITS)) {
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
        Self { ac: strides, dc: starts }
    }

    /// Passes over a block; true when it has no AC symbols but an end of block. The decoders are of the same tables.
    #[inline(always)]
    pub(super) fn pass(
        &self,
        tables: (&Decoder, &Decoder),
        reader: &mut BitReader<'_>,
        prediction: &mut i32,
    ) -> Result<bool, JpegError> {
        reader.fill();
        let start = self.dc[reader.peek(DC_BITS) as usize];
        if start.code == 0 {
            dc(reader, tables.0, prediction)?;
            reader.fill();
        } else {
            add(prediction, reader.signed(u32::from(start.code), u32::from(start.size)))?;
            reader.consume_low(u32::from(start.bits));
            if start.flat {
                return Ok(true);
            }
        }
        // A DC of at most 22 bits leaves a stride's.
        self.pass_filled(tables.1, reader)
    }

    /// The same behind its DC.
    #[inline(never)]
    pub(super) fn pass_ac(&self, ac: &Decoder, reader: &mut BitReader<'_>) -> Result<bool, JpegError> {
        reader.fill();
        self.pass_filled(ac, reader)
    }

    #[inline(always)]
    fn pass_filled(&self, ac: &Decoder, reader: &mut BitReader<'_>) -> Result<bool, JpegError> {
        let mut k = 1;
        // Two strides of at most 27 bits for each filling.
        loop {
            let mut stride = self.stride(reader, &mut k);
            if k < 64 {
                reader.fill();
                stride = self.stride(reader, &mut k);
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
            // A long code, or one of a window's symbols but the last completes the block.
            k -= stride >> 8;
            (*reader, k) = single(ac, *reader, stride & 0xFF, k)?;
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
fn by_window(table: &Table, bits: u32) -> Vec<(u32, u32)> {
    let mut windows = vec![(0, 0); 1 << bits];
    for (symbol, code, length) in table.codes().filter(|(_, _, length)| *length <= bits) {
        let shift = bits - length;
        let first = (code << shift) as usize;
        windows[first..first + (1 << shift)].fill((length, u32::from(symbol)));
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
