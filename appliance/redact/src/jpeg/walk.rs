//! Goes through the blocks of one scan in the order of the stream and tells a [`Sink`] what each holds.

use super::{
    JpegError, KeptRun,
    bits::{BitReader, Entropy},
    huffman::Decoder,
    parse::{Frame, ScanComponent},
    strides::Strides,
};
use crate::mask::Mask;
use pulp::{Arch, NullaryFnOnce};

/// What becomes of the blocks.
pub(super) trait Sink {
    /// Whether it is told of each block and symbol outside the mask, or only of runs ([`Self::run`]) and the DCs between them; for
    /// that, which is faster, every channel must have its strides.
    const SYMBOLS: bool = true;
    /// The blocks of the MCU at column `x` and row `y` of the scan's grid come next; false ends the walk.
    #[inline(always)]
    fn at(&mut self, _x: u32, _y: u32) -> bool {
        true
    }
    /// A block outside the mask begins: component (index in the scan) and its absolute DC, quantised.
    fn dc(&mut self, component: usize, dc: i32) -> Result<(), JpegError>;
    /// An AC symbol of a block outside the mask (run × 16 + size) with its `size` extra bits.
    fn ac(&mut self, component: usize, symbol: u8, bits: u32) -> Result<(), JpegError>;
    /// Whether it knows what stands outside the mask ([`Self::known`]), so that it need not be decoded.
    const KNOWN: bool = false;
    /// The run of so many blocks that comes next.
    #[inline(always)]
    fn known(&mut self, _blocks: u64) -> Result<Option<KeptRun>, JpegError> {
        Ok(None)
    }
    /// A run, `from` a bit of a segment's `bytes` on: what follows the last DC or block that it was told of, up to the next such, with
    /// the DCs of all its blocks; at most up to a restart marker or the end.
    #[inline(always)]
    fn run(&mut self, _bytes: &[u8], _from: usize, _run: KeptRun) {}
    /// The DC of the last block of a run's component, a masked one of which comes next; zero where none is before it.
    #[inline(always)]
    fn before_masked(&mut self, _component: usize, _dc: i32) {}
    /// By component, the DC of a blank block.
    fn fill(&self) -> [i32; 3] {
        [0; 3]
    }
    /// A block inside the mask, blank or one of several that are not all so.
    fn masked(&mut self, component: usize, blank: bool) -> Result<(), JpegError>;
    /// A restart marker; DC prediction starts over.
    fn restart(&mut self, number: u8);
}

/// One component of a scan, with its tables arranged.
pub(super) struct Channel<'t> {
    pub(super) dc: &'t Decoder,
    pub(super) ac: &'t Decoder,
    /// Of both, when they have some.
    pub(super) strides: Option<&'static Strides>,
    pub(super) h: u32,
    pub(super) v: u32,
}

impl Channel<'_> {
    /// Passes over a block; true when it has no AC symbols but an end of block.
    #[inline(always)]
    fn pass(&self, reader: &mut BitReader<'_>, prediction: &mut i32) -> Result<bool, JpegError> {
        self.strides.ok_or(JpegError::NoCode)?.pass(reader, prediction)
    }

    /// The same behind its DC.
    fn pass_ac(&self, reader: &mut BitReader<'_>) -> Result<bool, JpegError> {
        self.strides.ok_or(JpegError::NoCode)?.pass_ac(reader)
    }
}

/// Grid of a scan: cells (MCUs) across and down, cell of the mask in px, and cells of the scan per cell of the mask.
struct Grid {
    across: u32,
    down: u32,
    cell_w: u32,
    cell_h: u32,
    per_mask_w: u32,
    per_mask_h: u32,
}

impl Grid {
    fn of(frame: &Frame, scan: &[ScanComponent]) -> Self {
        let (rows, columns) = (u32::from(frame.rows), u32::from(frame.columns));
        let (cell_w, cell_h) = (8 * frame.h_max, 8 * frame.v_max);
        if let [only] = scan {
            // A.2.2, A.1.1: blocks of the component's own samples, not padded to whole MCUs.
            let c = frame.components[only.index];
            Self {
                across: (columns * c.h).div_ceil(frame.h_max).div_ceil(8),
                down: (rows * c.v).div_ceil(frame.v_max).div_ceil(8),
                cell_w,
                cell_h,
                per_mask_w: c.h,
                per_mask_h: c.v,
            }
        } else {
            let (across, down) = (columns.div_ceil(cell_w), rows.div_ceil(cell_h));
            Self { across, down, cell_w, cell_h, per_mask_w: 1, per_mask_h: 1 }
        }
    }
}

/// What is walked.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    /// Where its entropy-coded bytes start.
    pub(super) position: usize,
    pub(super) frame: &'a Frame,
    pub(super) components: &'a [ScanComponent],
    /// In the order of `components`.
    pub(super) channels: &'a [Channel<'a>],
    pub(super) restart_interval: u32,
    pub(super) mask: &'a Mask,
}

/// Walks a scan; returns the position of the marker behind it (of a walk that its sink ended, where it began).
pub(super) fn walk<S: Sink>(scan: Scan<'_>, sink: &mut S) -> Result<usize, JpegError> {
    let Scan { bytes, position, frame, components, channels, restart_interval, mask } = scan;
    let grid = Grid::of(frame, components);
    // Blocks of a cell, by component (index in the scan).
    let blocks = |channel: &Channel<'_>| if components.len() > 1 { (channel.h * channel.v) as usize } else { 1 };
    let of_each =
        channels.iter().enumerate().map(|(index, channel)| std::iter::repeat_n((index, channel), blocks(channel)));
    let units: Vec<(usize, &Channel<'_>)> = of_each.flatten().collect();
    let most = match restart_interval {
        0 => 1,
        interval => (u64::from(grid.across) * u64::from(grid.down)).div_ceil(u64::from(interval)),
    };
    let entropy = Entropy::of(bytes, position, usize::try_from(most).unwrap_or(usize::MAX))?;
    let mut reader = entropy.reader();
    let mut predictions = [0i32; 3];
    let mut run = Run::default();
    let mut spans: Vec<(u32, u32)> = Vec::new();
    let mut until_restart = restart_interval;
    let mut number = 0u8;
    for y in 0..grid.down {
        if y % grid.per_mask_h == 0 {
            mask.spans(y / grid.per_mask_h, grid.cell_w, grid.cell_h, &mut spans);
        }
        let mut next = spans.iter().copied().peekable();
        let mut x = 0;
        while x < grid.across {
            if restart_interval > 0 && until_restart == 0 {
                run.end(&mut reader, &mut predictions, sink)?;
                run = Run::default();
                reader.restart(number)?;
                sink.restart(number);
                number = (number + 1) & 7;
                predictions = [0; 3];
                until_restart = restart_interval;
            }
            if !sink.at(x, y) {
                return Ok(position);
            }
            let cell = x / grid.per_mask_w;
            while next.next_if(|&(_, end)| end <= cell).is_some() {}
            let (start, end) = next.peek().copied().unwrap_or((u32::MAX, u32::MAX));
            let masked = start <= cell;
            let mut cells = 1;
            if !S::SYMBOLS && (masked || run.behind_masked == [false; 3]) {
                // All up to where that changes.
                let next = if masked { end } else { start };
                cells = next.saturating_mul(grid.per_mask_w).min(grid.across) - x;
                if restart_interval > 0 {
                    cells = cells.min(until_restart);
                }
                if masked {
                    skip_cells(&mut reader, cells, &units, &mut predictions, &mut run, sink)?;
                } else {
                    pass_cells::<S>(&mut reader, cells, &units, &mut predictions, &mut run)?;
                }
                reader.check()?;
            } else {
                for &(index, channel) in &units {
                    match (masked, S::SYMBOLS) {
                        (true, _) => skip(&mut reader, channel, index, &mut predictions[index], sink)?,
                        (false, true) => keep(&mut reader, channel, index, &mut predictions[index], sink)?,
                        (false, false) => pass(&mut reader, channel, index, &mut predictions, &mut run, sink)?,
                    }
                    reader.check()?;
                }
            }
            x += cells;
            until_restart = until_restart.saturating_sub(cells);
        }
    }
    run.end(&mut reader, &mut predictions, sink)?;
    reader.end()
}

/// Blocks outside the mask, one after the other, and nothing between.
#[derive(Default)]
struct Run {
    /// Bit of the segment at which it begins, when one is under way.
    from: Option<usize>,
    /// How many blocks have begun in it.
    blocks: u64,
    /// By component: the block before was masked, so that the next DC is coded anew.
    behind_masked: [bool; 3],
}

impl Run {
    /// Ends what is under way where the reader is; what was not decoded, because it is known, is left behind.
    #[inline(always)]
    fn end<S: Sink>(
        &mut self,
        reader: &mut BitReader<'_>,
        predictions: &mut [i32; 3],
        sink: &mut S,
    ) -> Result<(), JpegError> {
        let Some(from) = self.from.take() else { return Ok(()) };
        let blocks = std::mem::take(&mut self.blocks);
        if let Some(known) = sink.known(blocks)? {
            reader.seek(from + known.bits)?;
            let each = predictions.iter_mut().zip(known.dc).zip(self.behind_masked);
            each.filter(|(_, masked)| !masked).for_each(|((prediction, dc), _)| *prediction = dc);
        }
        let dc = std::array::from_fn(|n| if self.behind_masked[n] { 0 } else { predictions[n] });
        sink.run(reader.bytes(), from, KeptRun { bits: reader.at() - from, blocks, dc });
        Ok(())
    }
}

/// The value of `size` bits (F.2.2.1, EXTEND).
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    if size == 0 || bits >> (size - 1) != 0 { bits as i32 } else { bits as i32 - ((1i32 << size) - 1) }
}

#[inline(always)]
pub(super) fn dc(reader: &mut BitReader<'_>, table: &Decoder, prediction: &mut i32) -> Result<i32, JpegError> {
    reader.refill();
    let size = u32::from(table.decode(reader)?);
    if size > 15 {
        return Err(JpegError::Malformed("DC category"));
    }
    add(prediction, extend(reader.take(size), size))?;
    Ok(*prediction)
}

/// Adds a DC difference of 16 bits to a prediction.
#[inline(always)]
pub(super) fn add(prediction: &mut i32, difference: i32) -> Result<(), JpegError> {
    let dc = prediction.wrapping_add(difference);
    // 12 bit samples reach ±2^14; what lies beyond is damage and must not overflow later sums.
    if dc.abs() > 1 << 16 {
        return Err(JpegError::Malformed("DC out of range"));
    }
    *prediction = dc;
    Ok(())
}

/// What an AC symbol does to the position in the block: the size of its value, or the end of the block.
#[inline(always)]
pub(super) fn step(symbol: u8, k: &mut u32) -> Result<Option<u32>, JpegError> {
    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    if size == 0 && run != 15 {
        return if run == 0 { Ok(None) } else { Err(JpegError::Malformed("AC symbol")) };
    }
    *k += run + 1;
    if *k > 64 { Err(JpegError::Malformed("AC position")) } else { Ok(Some(size)) }
}

#[inline(always)]
fn keep<S: Sink>(
    shared: &mut BitReader<'_>,
    channel: &Channel<'_>,
    index: usize,
    prediction: &mut i32,
    sink: &mut S,
) -> Result<(), JpegError> {
    let mut reader = *shared;
    let dc = dc(&mut reader, channel.dc, prediction)?;
    sink.dc(index, dc)?;
    let mut k = 1;
    while k < 64 {
        reader.refill();
        let symbol = channel.ac.decode(&mut reader)?;
        let Some(size) = step(symbol, &mut k)? else {
            *shared = reader;
            return sink.ac(index, symbol, 0);
        };
        sink.ac(index, symbol, reader.take(size))?;
    }
    *shared = reader;
    Ok(())
}

/// A block outside the mask, of a run.
#[inline(always)]
fn pass<S: Sink>(
    shared: &mut BitReader<'_>,
    channel: &Channel<'_>,
    index: usize,
    predictions: &mut [i32; 3],
    run: &mut Run,
    sink: &mut S,
) -> Result<(), JpegError> {
    if run.behind_masked[index] {
        run.end(shared, predictions, sink)?;
        run.behind_masked[index] = false;
        let dc = dc(shared, channel.dc, &mut predictions[index])?;
        sink.dc(index, dc)?;
        run.from = Some(shared.at());
        if S::KNOWN {
            return Ok(());
        }
        return channel.pass_ac(shared).map(drop);
    }
    pass_cells::<S>(shared, 1, &[(index, channel)], predictions, run)
}

/// Blocks outside the mask, of a run, each the next of its component there too: the `units` of so many cells.
#[inline(always)]
fn pass_cells<S: Sink>(
    shared: &mut BitReader<'_>,
    cells: u32,
    units: &[(usize, &Channel<'_>)],
    predictions: &mut [i32; 3],
    run: &mut Run,
) -> Result<(), JpegError> {
    run.from.get_or_insert(shared.at());
    run.blocks += u64::from(cells) * units.len() as u64;
    if S::KNOWN {
        return Ok(());
    }
    let passed =
        Arch::new().dispatch(Pass { reader: *shared, predictions: *predictions, fill: [0; 3], cells, units })?;
    (*shared, *predictions, _) = passed;
    Ok(())
}

/// The same of blocks inside the mask.
fn skip_cells<S: Sink>(
    shared: &mut BitReader<'_>,
    cells: u32,
    units: &[(usize, &Channel<'_>)],
    predictions: &mut [i32; 3],
    run: &mut Run,
    sink: &mut S,
) -> Result<(), JpegError> {
    run.end(shared, predictions, sink)?;
    for &(index, _) in units {
        if !std::mem::replace(&mut run.behind_masked[index], true) {
            sink.before_masked(index, predictions[index]);
        }
    }
    let pass = Pass { reader: *shared, predictions: *predictions, fill: sink.fill(), cells, units };
    let blank;
    (*shared, *predictions, blank) = Arch::new().dispatch(pass)?;
    for _ in 0..cells {
        units.iter().try_for_each(|&(index, _)| sink.masked(index, blank))?;
    }
    Ok(())
}

/// Passes over the blocks of some cells; true when each is flat and has the DC `fill`. Almost all time goes here and into shifts by what
/// was just looked up, which newer processors have better instructions for: so it is compiled for each kind.
struct Pass<'p, 'a> {
    reader: BitReader<'a>,
    predictions: [i32; 3],
    fill: [i32; 3],
    cells: u32,
    units: &'p [(usize, &'p Channel<'p>)],
}

impl<'a> NullaryFnOnce for Pass<'_, 'a> {
    type Output = Result<(BitReader<'a>, [i32; 3], bool), JpegError>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { mut reader, mut predictions, fill, cells, units } = self;
        let mut blank = true;
        for _ in 0..cells {
            for &(index, channel) in units {
                let flat = channel.pass(&mut reader, &mut predictions[index])?;
                blank &= flat & (predictions[index] == fill[index]);
            }
        }
        Ok((reader, predictions, blank))
    }
}

#[inline(always)]
fn skip<S: Sink>(
    shared: &mut BitReader<'_>,
    channel: &Channel<'_>,
    index: usize,
    prediction: &mut i32,
    sink: &mut S,
) -> Result<(), JpegError> {
    let mut reader = *shared;
    let dc = dc(&mut reader, channel.dc, prediction)?;
    let mut flat = true;
    let mut k = 1;
    while k < 64 {
        reader.refill();
        let symbol = channel.ac.decode(&mut reader)?;
        let Some(size) = step(symbol, &mut k)? else { break };
        flat = false;
        reader.take(size);
    }
    *shared = reader;
    sink.masked(index, flat && dc == sink.fill()[index])
}
