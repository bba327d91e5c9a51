//! Bits of an entropy-coded segment (ITU-T T.81 F.1.2.3, B.1.1.5): reading with byte unstuffing, writing with stuffing.

use super::JpegError;

/// Reads bits, most significant first, up to the next marker. A loop over symbols works on a copy of its own, which stays in
/// registers because nothing that is not inlined has its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Unread bits, left aligned; below them zeros.
    window: u64,
    /// Unread bits in `window`, including `invented`.
    count: u32,
    /// Zero bits appended past the end; reading one is an error that [`Self::check`] finds.
    invented: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from `position` of `bytes`.
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position, window: 0, count: 0, invented: 0 }
    }

    /// Makes at least 32 bits available: a longest code (16) and a longest value (16).
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count < 32 {
            self.fill();
        }
    }

    /// Makes at least 57 bits available.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if let Some(chunk) = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<8>()) {
            let next = u64::from_be_bytes(*chunk);
            if !has_ff(next) {
                let take = (64 - self.count) / 8;
                let kept = if take == 8 { next } else { next & !(u64::MAX >> (take * 8)) };
                self.window |= kept.checked_shr(self.count).unwrap_or(0);
                self.count += take * 8;
                self.position += take as usize;
                return;
            }
        }
        *self = self.refilled_slowly();
    }

    #[cold]
    #[inline(never)]
    fn refilled_slowly(mut self) -> Self {
        while self.count <= 56 {
            let byte = match (self.bytes.get(self.position), self.bytes.get(self.position + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.position += 2;
                    0xFF
                }
                (Some(0xFF), _) | (None, _) => {
                    self.invented += 64 - self.count;
                    self.count = 64;
                    return self;
                }
                (Some(&byte), _) => {
                    self.position += 1;
                    byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// Unread bits that are to be had without a refill.
    #[inline(always)]
    pub(super) fn available(&self) -> u32 {
        self.count
    }

    /// The next `n` (1…32) bits, not consumed.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.window >> (64 - n)) as u32
    }

    /// Consumes `n` bits; `n` must be available.
    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        self.window <<= n;
        self.count -= n;
    }

    /// Consumes and returns `n` (0…16) bits.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let bits = self.peek(n);
        self.consume(n);
        bits
    }

    /// Fails when bits past the end of the segment were consumed.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<(), JpegError> {
        if self.count < self.invented { Err(JpegError::Truncated) } else { Ok(()) }
    }

    /// Drops what is left of the segment (padding, excess) and returns the position of the `FF` of the next marker.
    pub(super) fn end(&self) -> Result<usize, JpegError> {
        let mut at = self.position;
        loop {
            let ff = at + memchr(self.bytes.get(at..).unwrap_or(&[])).ok_or(JpegError::Truncated)?;
            match self.bytes.get(ff + 1) {
                None => return Err(JpegError::Truncated),
                Some(0) => at = ff + 2,
                Some(0xFF) => at = ff + 1,
                Some(_) => return Ok(ff),
            }
        }
    }

    /// Consumes the restart marker that must come next and starts the next interval.
    pub(super) fn restart(&mut self, expected: u8) -> Result<(), JpegError> {
        let at = self.end()?;
        if self.bytes[at + 1] != 0xD0 + expected {
            return Err(JpegError::Malformed("restart marker"));
        }
        *self = Self::new(self.bytes, at + 2);
        Ok(())
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&b| b == 0xFF)
}

#[inline(always)]
fn has_ff(word: u64) -> bool {
    let v = !word;
    v.wrapping_sub(0x0101_0101_0101_0101) & !v & 0x8080_8080_8080_8080 != 0
}

/// Writes bits, most significant first, behind what `bytes` holds already.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    window: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, window: 0, count: 0 }
    }

    /// Appends the low `n` (0…32) bits of `bits`; the others must be zero.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, n: u32) {
        self.window = self.window << n | u64::from(bits);
        self.count += n;
        if self.count >= 32 {
            self.count -= 32;
            let word = (self.window >> self.count) as u32;
            if has_ff(u64::from(word) << 32) {
                self.stuff(word);
            } else {
                self.bytes.extend_from_slice(&word.to_be_bytes());
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn stuff(&mut self, word: u32) {
        for byte in word.to_be_bytes() {
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
        }
    }

    /// Pads with ones to a byte (F.1.2.3) and writes everything out.
    pub(super) fn align(&mut self) {
        let pad = (8 - self.count % 8) % 8;
        let mut window = self.window << pad | ((1 << pad) - 1);
        let mut count = self.count + pad;
        window <<= 64 - count.max(1);
        while count > 0 {
            let byte = (window >> 56) as u8;
            self.bytes.push(byte);
            if byte == 0xFF {
                self.bytes.push(0);
            }
            window <<= 8;
            count -= 8;
        }
        self.window = 0;
        self.count = 0;
    }

    /// Aligns, then writes restart marker `number` (0…7).
    pub(super) fn restart(&mut self, number: u8) {
        self.align();
        self.bytes.extend_from_slice(&[0xFF, 0xD0 + number]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = vec![7];
        let mut state = 1u32;
        let mut fields = Vec::new();
        for _ in 0..5000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = (state >> 20) % 17;
            let all_ones = state & 0x100 != 0;
            let value = if all_ones { u32::MAX } else { state } & ((1u32 << n) - 1);
            fields.push((value, n));
        }
        let mut writer = BitWriter::new(&mut bytes);
        for &(value, n) in &fields {
            writer.put(value, n);
        }
        writer.align();
        bytes.extend_from_slice(&[0xFF, 0xD9]);
        let mut reader = BitReader::new(&bytes, 1);
        for &(value, n) in &fields {
            reader.refill();
            assert_eq!(reader.take(n), value);
            reader.check().unwrap();
        }
        assert_eq!(reader.end().unwrap(), bytes.len() - 2);
        for _ in 0..8 {
            reader.refill();
            reader.take(16);
        }
        assert!(reader.check().is_err());
    }
}
