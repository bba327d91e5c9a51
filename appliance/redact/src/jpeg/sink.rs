//! What is done with a walked scan: count symbols for fitted tables, encode with other tables or the same, prove.

use super::{
    JpegError, KeptRun, Receipt,
    bits::{BitWriter, Words},
    huffman::{Encoder, Table},
    parse::ScanComponent,
    walk::Sink,
};
use pulp::{Arch, NullaryFnOnce};

/// Magnitude category of a DC difference, and its extra bits (F.1.2.1).
#[inline(always)]
pub(super) fn category(value: i32) -> Result<(u8, u32), JpegError> {
    let size = 32 - value.unsigned_abs().leading_zeros();
    if size > 15 {
        return Err(JpegError::Malformed("DC difference out of range"));
    }
    let bits = if value < 0 { value + ((1 << size) - 1) } else { value };
    Ok((size as u8, bits as u32))
}

#[inline(always)]
fn mix(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Takes a kept segment into the digest.
pub(super) fn digest_bytes(digest: u64, marker: u8, payload: &[u8]) -> u64 {
    payload.iter().fold(mix(digest, 1 << 40 | u64::from(marker)), |d, &b| mix(d, 1 << 41 | u64::from(b)))
}

#[inline(always)]
fn digest_dc(digest: u64, component: usize, dc: i32) -> u64 {
    mix(digest, (component as u64 + 1) << 42 | u64::from(dc as u32))
}

#[inline(always)]
fn digest_ac(digest: u64, symbol: u8, bits: u32) -> u64 {
    mix(digest, 1 << 45 | u64::from(symbol) << 16 | u64::from(bits))
}

/// Takes a run's bits as they stand into the digest, and copies them. Compiled for each kind of processor: it shifts most of the bytes.
struct Digest<'b, 'w, 'o> {
    digest: u64,
    bytes: &'b [u8],
    from: usize,
    run: KeptRun,
    /// Up to the next whole byte of what is, or was, written.
    to_byte: usize,
    copy: Option<&'w mut BitWriter<'o>>,
}

impl NullaryFnOnce for Digest<'_, '_, '_> {
    type Output = u64;

    #[inline(always)]
    fn call(self) -> u64 {
        let Self { digest, bytes, from, run, to_byte, mut copy } = self;
        // Several at once, because each step waits for the one before.
        let mut digests = [mix(digest, 1 << 46 | (to_byte as u64) << 40 | run.bits as u64), 1, 2, 3];
        let (whole, end) = (from + to_byte.min(run.bits), from + run.bits);
        let mut words = Words::new(bytes, from, whole);
        while let Some((word, length)) = words.word() {
            digests[0] = mix(digests[0], word);
            copy.iter_mut().for_each(|writer| writer.put_left(word, length));
        }
        words = Words::new(bytes, whole, end);
        while let Some(group) = words.group() {
            for (n, &word) in group.iter().enumerate() {
                digests[n % 4] = mix(digests[n % 4], word);
            }
            if let Some(writer) = &mut copy {
                writer.put_group(&group);
            }
        }
        while let Some((word, length)) = words.word() {
            digests[0] = mix(digests[0], word);
            copy.iter_mut().for_each(|writer| writer.put_left(word, length));
        }
        digests.into_iter().fold(0, mix)
    }
}

/// Takes the tables into the digest with which codes are to be read.
pub(super) fn digest_table(digest: u64, table: &Table) -> u64 {
    let digest = table.counts.iter().fold(mix(digest, 1 << 47), |d, &n| mix(d, 1 << 48 | u64::from(n)));
    table.symbols.iter().fold(digest, |d, &symbol| mix(d, 1 << 49 | u64::from(symbol)))
}

/// Counts the symbols that the redacted scan will have.
pub(super) struct Count {
    scan: Vec<ScanComponent>,
    dc: Box<[[u32; 256]; 4]>,
    ac: Box<[[u32; 256]; 4]>,
    predictions: [i32; 3],
    fill: [i32; 3],
}

impl Count {
    pub(super) fn new(fill: [i32; 3], scan: &[ScanComponent]) -> Self {
        let zeros = || Box::new([[0; 256]; 4]);
        Self { scan: scan.to_vec(), dc: zeros(), ac: zeros(), predictions: [0; 3], fill }
    }

    /// DC and AC tables by selector, fitted to the counts.
    pub(super) fn into_tables(self) -> ([Option<Table>; 4], [Option<Table>; 4]) {
        let fit = |counts: [[u32; 256]; 4]| counts.map(|c| c.iter().any(|&n| n > 0).then(|| Table::optimal(&c)));
        (fit(*self.dc), fit(*self.ac))
    }
}

impl Sink for Count {
    #[inline(always)]
    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        let (size, _) = category(dc - self.predictions[component])?;
        self.predictions[component] = dc;
        self.dc[self.scan[component].dc][usize::from(size)] += 1;
        Ok(())
    }
    #[inline(always)]
    fn ac(&mut self, component: usize, symbol: u8, _bits: u32) -> Result<(), JpegError> {
        self.ac[self.scan[component].ac][usize::from(symbol)] += 1;
        Ok(())
    }
    fn masked(&mut self, component: usize, _blank: bool) -> Result<(), JpegError> {
        self.dc(component, self.fill[component])?;
        self.ac(component, 0, 0)
    }
    fn restart(&mut self, _number: u8) {
        self.predictions = [0; 3];
    }
}

/// Writes the redacted scan: with new tables (`SYMBOLS`), or with those it had, the codes of kept blocks as they are.
pub(super) struct Encode<'a, const SYMBOLS: bool> {
    writer: BitWriter<'a>,
    dc: Vec<Encoder>,
    ac: Vec<Encoder>,
    predictions: [i32; 3],
    fill: [i32; 3],
    receipt: &'a mut Receipt,
}

impl<'a, const SYMBOLS: bool> Encode<'a, SYMBOLS> {
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        dc: Vec<Encoder>,
        ac: Vec<Encoder>,
        fill: [i32; 3],
        receipt: &'a mut Receipt,
    ) -> Self {
        Self { writer: BitWriter::new(out), dc, ac, predictions: [0; 3], fill, receipt }
    }

    /// Ends the entropy-coded segment.
    pub(super) fn finish(mut self) {
        self.writer.align();
    }

    #[inline(always)]
    fn put_dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        let (size, bits) = category(dc - self.predictions[component])?;
        self.predictions[component] = dc;
        let (code, length) = self.dc[component].code(size);
        if length == 0 {
            return Err(JpegError::NoCode);
        }
        self.writer.put(code << size | bits, length + u32::from(size));
        Ok(())
    }

    #[inline(always)]
    fn put_ac(&mut self, component: usize, symbol: u8, bits: u32) -> Result<(), JpegError> {
        let (code, length) = self.ac[component].code(symbol);
        if length == 0 {
            return Err(JpegError::NoCode);
        }
        let size = u32::from(symbol & 15);
        self.writer.put(code << size | bits, length + size);
        Ok(())
    }
}

impl<const SYMBOLS: bool> Sink for Encode<'_, SYMBOLS> {
    const SYMBOLS: bool = SYMBOLS;
    #[inline(always)]
    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        self.receipt.kept_blocks += 1;
        self.receipt.digest = digest_dc(self.receipt.digest, component, dc);
        self.put_dc(component, dc)
    }
    #[inline(always)]
    fn ac(&mut self, component: usize, symbol: u8, bits: u32) -> Result<(), JpegError> {
        self.receipt.digest = digest_ac(self.receipt.digest, symbol, bits);
        self.put_ac(component, symbol, bits)
    }
    fn run(&mut self, bytes: &[u8], from: usize, run: KeptRun) {
        self.receipt.kept_blocks += run.blocks;
        self.receipt.runs.push(run);
        let (digest, to_byte) = (self.receipt.digest, self.writer.to_byte());
        let copied = Digest { digest, bytes, from, run, to_byte, copy: Some(&mut self.writer) };
        self.receipt.digest = Arch::new().dispatch(copied);
    }
    fn before_masked(&mut self, component: usize, dc: i32) {
        self.predictions[component] = dc;
    }
    fn masked(&mut self, component: usize, _blank: bool) -> Result<(), JpegError> {
        self.receipt.masked_blocks += 1;
        self.put_dc(component, self.fill[component])?;
        self.put_ac(component, 0, 0)
    }
    fn restart(&mut self, number: u8) {
        self.writer.restart(number);
        self.predictions = [0; 3];
    }
}

/// Holds a written scan against what it must be.
pub(super) struct Prove<'a, 'r, const SYMBOLS: bool> {
    pub(super) fill: [i32; 3],
    pub(super) receipt: &'a mut Receipt,
    /// What is to be there yet.
    pub(super) runs: &'a mut std::slice::Iter<'r, KeptRun>,
}

impl<const SYMBOLS: bool> Sink for Prove<'_, '_, SYMBOLS> {
    const SYMBOLS: bool = SYMBOLS;
    const KNOWN: bool = !SYMBOLS;
    #[inline(always)]
    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError> {
        self.receipt.kept_blocks += 1;
        self.receipt.digest = digest_dc(self.receipt.digest, component, dc);
        Ok(())
    }
    #[inline(always)]
    fn ac(&mut self, _component: usize, symbol: u8, bits: u32) -> Result<(), JpegError> {
        self.receipt.digest = digest_ac(self.receipt.digest, symbol, bits);
        Ok(())
    }
    fn known(&mut self, blocks: u64) -> Result<Option<KeptRun>, JpegError> {
        match self.runs.next().filter(|run| run.blocks == blocks) {
            Some(run) => Ok(Some(*run)),
            None => Err(JpegError::Unproven("kept blocks are others")),
        }
    }
    fn run(&mut self, bytes: &[u8], from: usize, run: KeptRun) {
        self.receipt.kept_blocks += run.blocks;
        self.receipt.runs.push(run);
        let (digest, to_byte) = (self.receipt.digest, (8 - from % 8) % 8);
        self.receipt.digest = Arch::new().dispatch(Digest { digest, bytes, from, run, to_byte, copy: None });
    }
    fn fill(&self) -> [i32; 3] {
        self.fill
    }
    fn masked(&mut self, _component: usize, blank: bool) -> Result<(), JpegError> {
        if !blank {
            return Err(JpegError::Unproven("a masked block is not blank"));
        }
        self.receipt.masked_blocks += 1;
        Ok(())
    }
    fn restart(&mut self, _number: u8) {}
}
