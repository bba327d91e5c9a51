//! Bits of a JPEG-LS scan (T.87 A.1, C.2.1): behind a byte FF comes a byte whose top bit is a stuffed zero.

use crate::codec::CodecError;

pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
    window: u64,
    count: u32,
    after_ff: bool,
    invented: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position, window: 0, count: 0, after_ff: false, invented: 0 }
    }

    /// Makes at least 32 bits available; zeros past the end, which [`Self::check`] finds when they were used.
    fn refill(&mut self) {
        while self.count <= 48 {
            let bits = if self.after_ff { 7 } else { 8 };
            let byte = match self.bytes.get(self.position) {
                // A marker's second byte has its top bit set.
                Some(&byte) if !(self.after_ff && byte > 0x7F || self.ends_here(byte)) => {
                    self.position += 1;
                    self.after_ff = byte == 0xFF;
                    byte
                }
                _ => {
                    self.invented += bits;
                    0
                }
            };
            self.window |= u64::from(byte) << (64 - bits - self.count);
            self.count += bits;
        }
    }

    /// True at the FF of a marker.
    fn ends_here(&self, byte: u8) -> bool {
        byte == 0xFF && self.bytes.get(self.position + 1).is_none_or(|&next| next > 0x7F)
    }

    /// Takes `n` (0…32) bits.
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        if self.count < n {
            self.refill();
        }
        let bits = (self.window >> (64 - n)) as u32;
        self.window <<= n;
        self.count -= n;
        bits
    }

    /// Takes zeros up to and including a one; how many zeros, at most `most`.
    pub(super) fn zeros(&mut self, most: u32) -> Result<u32, CodecError> {
        let mut zeros = 0;
        loop {
            if self.count < 32 {
                self.refill();
            }
            let here = self.window.leading_zeros().min(self.count);
            if here < self.count {
                zeros += here;
                self.window = self.window << here << 1;
                self.count -= here + 1;
                break;
            }
            zeros += here;
            self.window = 0;
            self.count = 0;
            if zeros > most {
                break;
            }
        }
        if zeros > most { Err(CodecError::Malformed("JPEG-LS code")) } else { Ok(zeros) }
    }

    /// Fails when bits past the end were used.
    pub(super) fn check(&self) -> Result<(), CodecError> {
        if self.count < self.invented { Err(CodecError::Malformed("stream ends early")) } else { Ok(()) }
    }

    /// Position of the marker behind the scan.
    pub(super) fn end(&self) -> Result<usize, CodecError> {
        let from = self.position.saturating_sub(usize::from(self.after_ff));
        let rest = self.bytes.get(from..).unwrap_or(&[]);
        let at = rest.windows(2).position(|w| w[0] == 0xFF && w[1] > 0x7F && w[1] != 0xFF);
        at.map(|i| from + i).ok_or(CodecError::Malformed("stream ends early"))
    }
}

pub(super) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    window: u64,
    count: u32,
    after_ff: bool,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, window: 0, count: 0, after_ff: false }
    }

    /// Appends the low `n` (0…32) bits.
    pub(super) fn put(&mut self, bits: u32, n: u32) {
        self.window = self.window << n | u64::from(bits);
        self.count += n;
        while self.count >= self.width() {
            self.flush_byte();
        }
    }

    fn width(&self) -> u32 {
        if self.after_ff { 7 } else { 8 }
    }

    fn flush_byte(&mut self) {
        let width = self.width();
        self.count -= width;
        let byte = (self.window >> self.count) as u8 & (0xFF >> (8 - width));
        self.window &= (1 << self.count) - 1;
        self.bytes.push(byte);
        self.after_ff = byte == 0xFF;
    }

    /// Pads with zeros; a last FF is followed by its stuffed byte.
    pub(super) fn finish(mut self) {
        if self.count > 0 {
            let pad = self.width() - self.count;
            self.put(0, pad);
        }
        if self.after_ff {
            self.bytes.push(0);
        }
    }
}
