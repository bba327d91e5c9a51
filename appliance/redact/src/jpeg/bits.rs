//! Bits of an entropy-coded segment (ITU-T T.81 F.1.2.3, B.1.1.5): reading with byte unstuffing, writing with stuffing.

use super::JpegError;

/// The entropy-coded bytes of a scan without byte stuffing, one segment for each restart interval.
#[derive(Debug)]
pub(super) struct Entropy {
    plain: Vec<u8>,
    /// Start of each in `plain`, its length, and the number of the restart marker before it (of the first: 0).
    segments: Vec<(usize, usize, u8)>,
    end: usize,
}

impl Entropy {
    /// Zero bytes behind each segment, so that eight, and the eight behind them, can be taken from wherever a bit is.
    const BEHIND: usize = 16;

    /// What stands from `position` of `bytes` up to a marker other than a restart marker; at most `most` segments, so that memory does
    /// not grow with markers that stand for nothing.
    pub(super) fn of(bytes: &[u8], position: usize, most: usize) -> Result<Self, JpegError> {
        let mut this = Self { plain: Vec::with_capacity(bytes.len() + Self::BEHIND), segments: Vec::new(), end: 0 };
        let (mut at, mut number) = (position, 0);
        loop {
            let start = this.plain.len();
            let marker = loop {
                let rest = bytes.get(at..).unwrap_or(&[]);
                let ff = memchr::memchr(0xFF, rest).ok_or(JpegError::Truncated)?;
                this.plain.extend_from_slice(&rest[..ff]);
                at += ff;
                // More than one FF before a marker is fill (B.1.1.2).
                let fill = rest[ff..].iter().take_while(|&&byte| byte == 0xFF).count();
                match rest.get(ff + fill) {
                    None => return Err(JpegError::Truncated),
                    Some(0) if fill > 1 => return Err(JpegError::Malformed("fill before a stuffed byte")),
                    Some(0) => this.plain.push(0xFF),
                    Some(&marker) => {
                        at += fill - 1;
                        break marker;
                    }
                }
                at += 2;
            };
            this.segments.push((start, this.plain.len() - start, number));
            this.plain.extend_from_slice(&[0; Self::BEHIND]);
            match marker {
                0xD0..=0xD7 if this.segments.len() >= most => return Err(JpegError::Malformed("restart marker")),
                0xD0..=0xD7 => (at, number) = (at + 2, marker - 0xD0),
                _ => {
                    this.end = at;
                    return Ok(this);
                }
            }
        }
    }

    /// Position of the `FF` of the marker behind it all.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Reads from the beginning.
    pub(super) fn reader(&self) -> BitReader<'_> {
        self.segment(0)
    }

    fn segment(&self, number: usize) -> BitReader<'_> {
        let (start, length, _) = self.segments[number];
        let bytes = &self.plain[start..start + length + Self::BEHIND];
        BitReader { of: self, number, bytes, position: 0, window: 0, count: 0 }
    }
}

/// Reads bits of a segment, most significant first, and zeros behind it, which [`Self::check`] finds. A loop over symbols works on a
/// copy of its own, which stays in registers because nothing that is not inlined has its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    of: &'a Entropy,
    number: usize,
    bytes: &'a [u8],
    position: usize,
    /// Unread bits, left aligned; below `count` bits what stands there in the stream, or zeros.
    window: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Makes at least 32 bits available: a longest code (16) and a longest value (16).
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count < 32 {
            self.fill();
        }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        let chunk = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<8>());
        let next = chunk.map_or(0, |chunk| u64::from_be_bytes(*chunk));
        // What is more than whole bytes is there already when it comes again.
        self.window |= next >> self.count;
        self.position = self.position.wrapping_add((63u32.wrapping_sub(self.count) / 8) as usize);
        self.count |= 56;
    }

    /// Bits that were consumed.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.position * 8 - self.count as usize
    }

    /// Goes to bit `at`.
    ///
    /// # Errors
    /// The segment has fewer.
    pub(super) fn seek(&mut self, at: usize) -> Result<(), JpegError> {
        (self.position, self.window, self.count) = (at / 8, 0, 0);
        self.fill();
        self.consume((at % 8) as u32);
        self.check()
    }

    /// The segment's bytes, and some zeros.
    #[inline(always)]
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
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

    /// Consumes as many bits as the low byte of `n` says, fewer than 64, which must be available.
    #[inline(always)]
    pub(super) fn consume_low(&mut self, n: u32) {
        // The shift looks at no higher bits: what is left is there at once.
        self.window = self.window.wrapping_shl(n);
        self.count = self.count.wrapping_sub(n & 0xFF);
    }

    /// The value of `size` (0…16) bits (F.2.2.1, EXTEND) behind the next `skip` (0…16), not consumed.
    #[inline(always)]
    pub(super) fn signed(&self, skip: u32, size: u32) -> i32 {
        let behind = self.window.wrapping_shl(skip);
        let value = (behind >> 1).wrapping_shr(63 - size) as i32;
        let below = if behind >> 63 == 0 { 1i32.wrapping_shl(size).wrapping_sub(1) } else { 0 };
        value.wrapping_sub(below)
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
        if self.at() > (self.bytes.len() - Entropy::BEHIND) * 8 { Err(JpegError::Truncated) } else { Ok(()) }
    }

    /// Goes on with the next segment, before which the restart marker `expected` must stand.
    pub(super) fn restart(&mut self, expected: u8) -> Result<(), JpegError> {
        match self.of.segments.get(self.number + 1) {
            Some(&(_, _, number)) if number == expected => *self = self.of.segment(self.number + 1),
            _ => return Err(JpegError::Malformed("restart marker")),
        }
        Ok(())
    }

    /// Drops what is left of the segment (padding, excess), which must be the last; the position of the marker behind it.
    pub(super) fn end(&self) -> Result<usize, JpegError> {
        if self.number + 1 < self.of.segments.len() {
            return Err(JpegError::Malformed("restart marker"));
        }
        Ok(self.of.end())
    }
}

/// Words that are copied together.
const GROUP: usize = 8;

/// Bits of a segment's bytes, taken 64 at a time, left aligned.
pub(super) struct Words<'a> {
    /// Bits that are left.
    left: usize,
    /// The eight bytes at the first of them, and by how much it is shifted in these.
    this: u64,
    shift: u32,
    /// What stands behind those bytes.
    behind: &'a [u8],
}

impl<'a> Words<'a> {
    /// Bits `from..to` of `bytes`, behind which [`Entropy::BEHIND`] more stand.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], from: usize, to: usize) -> Self {
        let behind = bytes.get(from / 8..).unwrap_or(&[]);
        let mut this = Self { left: to - from, this: 0, shift: (from % 8) as u32, behind };
        this.next();
        this
    }

    /// What the eight bytes behind add to the word, which is then theirs.
    #[inline(always)]
    fn next(&mut self) -> u64 {
        let Some((bytes, behind)) = self.behind.split_first_chunk() else { return 0 };
        self.behind = behind;
        let this = std::mem::replace(&mut self.this, u64::from_be_bytes(*bytes));
        joined(this, self.this, self.shift)
    }

    /// The next [`GROUP`] words, when so many are left.
    #[inline(always)]
    pub(super) fn group(&mut self) -> Option<[u64; GROUP]> {
        self.left = self.left.checked_sub(64 * GROUP)?;
        let (bytes, behind) = self.behind.split_first_chunk::<{ 8 * GROUP }>()?;
        self.behind = behind;
        let (mut this, shift) = (self.this, self.shift);
        let words = bytes.as_chunks().0.iter().map(|bytes| {
            let next = u64::from_be_bytes(*bytes);
            joined(std::mem::replace(&mut this, next), next, shift)
        });
        let mut group = [0; GROUP];
        group.iter_mut().zip(words).for_each(|(word, next)| *word = next);
        self.this = this;
        Some(group)
    }

    /// The next word, with how many bits it is of; fewer than 64 only at the end, and then the others are zero.
    #[inline(always)]
    pub(super) fn word(&mut self) -> Option<(u64, u32)> {
        let bits = self.left.min(64);
        self.left -= bits;
        let unused = 64 - bits as u32;
        (bits > 0).then(|| (self.next() >> unused << unused, bits as u32))
    }
}

/// 64 bits that begin `shift` (0…7) bits into `this`, and go on in `next`.
#[inline(always)]
fn joined(this: u64, next: u64, shift: u32) -> u64 {
    this << (shift & 7) | next >> 1 >> (63 - (shift & 7))
}

/// Not zero when some byte is FF.
#[inline(always)]
fn has_ff(word: u64) -> u64 {
    (!word).wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080
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
            if has_ff(u64::from(word) << 32) != 0 {
                self.stuff(&word.to_be_bytes());
            } else {
                self.bytes.extend_from_slice(&word.to_be_bytes());
            }
        }
    }

    /// Appends the high `n` (0…64) bits of `bits`; the others must be zero.
    #[inline(always)]
    pub(super) fn put_left(&mut self, bits: u64, n: u32) {
        self.put((bits >> (64 - n.clamp(1, 32))) as u32, n.min(32));
        if n > 32 {
            self.put(bits as u32 >> (64 - n), n - 32);
        }
    }

    /// How many bits there are to the next whole byte.
    pub(super) fn to_byte(&self) -> usize {
        ((8 - self.count % 8) % 8) as usize
    }

    /// Appends 64 bits each, to whole bytes.
    #[inline(always)]
    pub(super) fn put_group(&mut self, group: &[u64; GROUP]) {
        self.write_out();
        let mut bytes = [0; 8 * GROUP];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(group) {
            *bytes = word.to_be_bytes();
        }
        if group.iter().fold(0, |found, &word| found | has_ff(word)) != 0 {
            self.stuff(&bytes);
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Writes whole bytes out.
    #[inline(always)]
    fn write_out(&mut self) {
        while self.count >= 8 {
            self.count -= 8;
            self.stuff(&[(self.window >> self.count) as u8]);
        }
    }

    #[cold]
    #[inline(never)]
    fn stuff(&mut self, mut bytes: &[u8]) {
        while let Some(ff) = memchr::memchr(0xFF, bytes) {
            self.bytes.extend_from_slice(&bytes[..=ff]);
            self.bytes.push(0);
            bytes = &bytes[ff + 1..];
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Pads with ones to a byte (F.1.2.3) and writes everything out.
    pub(super) fn align(&mut self) {
        let pad = (8 - self.count % 8) % 8;
        self.window = self.window << pad | ((1 << pad) - 1);
        self.count += pad;
        self.write_out();
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
        let entropy = Entropy::of(&bytes, 1, 1).unwrap();
        let mut reader = entropy.reader();
        for &(value, n) in &fields {
            reader.refill();
            assert_eq!(reader.take(n), value);
            reader.check().unwrap();
        }
        assert_eq!(reader.end().unwrap(), bytes.len() - 2);
        let mut copied = Vec::new();
        let mut writer = BitWriter::new(&mut copied);
        for cut in [0, 3, 700, reader.at()].windows(2) {
            let whole = (cut[0] + writer.to_byte()).min(cut[1]);
            let (bits, n) = Words::new(reader.bytes(), cut[0], whole).word().unwrap_or_default();
            writer.put_left(bits, n);
            let mut words = Words::new(reader.bytes(), whole, cut[1]);
            while let Some(group) = words.group() {
                writer.put_group(&group);
            }
            while let Some((bits, n)) = words.word() {
                writer.put_left(bits, n);
            }
        }
        writer.align();
        assert_eq!(copied, bytes[1..bytes.len() - 2]);
        for _ in 0..8 {
            reader.refill();
            reader.take(16);
        }
        assert!(reader.check().is_err());
    }

    #[test]
    fn markers_that_stand_for_no_interval_take_no_memory() {
        let bytes = [&[0xFF, 0xD0].repeat(1000)[..], &[0xFF, 0xD9]].concat();
        assert!(Entropy::of(&bytes, 0, 1000).is_err());
        assert_eq!(Entropy::of(&bytes, 0, 1001).unwrap().end(), 2000);
    }
}
