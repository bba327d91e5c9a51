//! Where bytes are: the [`Source`] trait, the reader's view of one ([`Body`]) and a buffered cursor.

use std::cell::RefCell;
use std::io;

/// Where an object's bytes are: a slice, or a file in a process that may do IO.
pub trait Source {
    /// Length, bytes.
    fn len(&self) -> u64;
    /// True when there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// The medium's, or `UnexpectedEof`.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> u64 {
        (**self).len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

/// The bytes that [`super::Origin::Input`] spans point into: the source as given, or, for deflated data sets, its inflated
/// bytes. Long big-endian values are swapped as they are read, so a reader of the body only ever sees little endian.
pub struct Body<'s> {
    bytes: Bytes<'s>,
    /// Ascending and disjoint.
    swapped: Vec<Swapped>,
}

enum Bytes<'s> {
    Given(&'s dyn Source),
    Inflated(Vec<u8>),
}

/// A range whose words of `width` bytes are big endian in the source. Its length is a multiple of `width`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swapped {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) width: u64,
}

impl<'s> Body<'s> {
    pub(super) fn given(source: &'s dyn Source) -> Self {
        Self { bytes: Bytes::Given(source), swapped: Vec::new() }
    }

    pub(super) fn inflated(bytes: Vec<u8>) -> Self {
        Self { bytes: Bytes::Inflated(bytes), swapped: Vec::new() }
    }

    pub(super) fn with_swapped(mut self, mut swapped: Vec<Swapped>) -> Self {
        swapped.sort_by_key(|r| r.start);
        self.swapped = swapped;
        self
    }

    fn raw(&self) -> &dyn Source {
        match &self.bytes {
            Bytes::Given(source) => *source,
            Bytes::Inflated(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("length", &self.len()).finish_non_exhaustive()
    }
}

impl Source for Body<'_> {
    fn len(&self) -> u64 {
        self.raw().len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.raw().read_exact_at(buf, offset)?;
        let end = offset.saturating_add(buf.len() as u64);
        let first = self.swapped.partition_point(|r| r.end <= offset);
        for range in self.swapped[first..].iter().take_while(|r| r.start < end) {
            self.swap(buf, offset, range)?;
        }
        Ok(())
    }
}

impl Body<'_> {
    /// Swaps the words of `range` within `buf`, which holds raw bytes from `offset`; words cut by the edges of `buf` are
    /// completed from the source.
    fn swap(&self, buf: &mut [u8], offset: u64, range: &Swapped) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        let mut at = offset.max(range.start);
        let stop = end.min(range.end);
        while at < stop {
            let word = range.start + (at - range.start) / range.width * range.width;
            let word_end = word + range.width;
            if word >= offset && word_end <= end {
                // Whole words: swap in place as far as they go.
                let whole = word + (stop - word) / range.width * range.width;
                let (a, b) = ((word - offset) as usize, (whole - offset) as usize);
                buf[a..b].chunks_exact_mut(range.width as usize).for_each(<[u8]>::reverse);
                at = whole;
            } else {
                let mut bytes = [0_u8; 8];
                let bytes = &mut bytes[..range.width as usize];
                self.raw().read_exact_at(bytes, word)?;
                bytes.reverse();
                while at < stop.min(word_end) {
                    buf[(at - offset) as usize] = bytes[(at - word) as usize];
                    at += 1;
                }
            }
        }
        Ok(())
    }
}

/// Bytes read ahead by [`Cursor`].
const WINDOW: usize = 16 << 10;

/// Random access with read-ahead, for many small reads in ascending order.
pub(super) struct Cursor<'s> {
    source: &'s dyn Source,
    end: u64,
    window: RefCell<(u64, Vec<u8>)>,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        Self { source, end: source.len(), window: RefCell::new((0, Vec::new())) }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Fills `buf` from `offset`. The caller has checked that the bytes exist.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if buf.len() >= WINDOW {
            return self.source.read_exact_at(buf, offset);
        }
        let mut window = self.window.borrow_mut();
        let (start, bytes) = &mut *window;
        let held = *start <= offset && offset + buf.len() as u64 <= *start + bytes.len() as u64;
        if !held {
            let length = (self.end.saturating_sub(offset)).min(WINDOW as u64) as usize;
            if length < buf.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.resize(length, 0);
            self.source.read_exact_at(bytes, offset)?;
            *start = offset;
        }
        let at = (offset - *start) as usize;
        buf.copy_from_slice(&bytes[at..at + buf.len()]);
        Ok(())
    }

    pub(super) fn array<const N: usize>(&self, offset: u64) -> io::Result<[u8; N]> {
        let mut buf = [0; N];
        self.read(&mut buf, offset)?;
        Ok(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_swapped_however_the_reads_cut_them() {
        let raw: Vec<u8> = (0..40).collect();
        let body = Body::given(&raw).with_swapped(vec![
            Swapped { start: 30, end: 38, width: 8 },
            Swapped { start: 3, end: 11, width: 2 },
            Swapped { start: 12, end: 24, width: 4 },
        ]);
        let mut whole = raw.clone();
        whole[3..11].chunks_exact_mut(2).for_each(<[u8]>::reverse);
        whole[12..24].chunks_exact_mut(4).for_each(<[u8]>::reverse);
        whole[30..38].reverse();
        for start in 0..40_usize {
            for end in start..=40 {
                let mut buf = vec![0; end - start];
                body.read_exact_at(&mut buf, start as u64).unwrap();
                assert_eq!(buf, whole[start..end], "{start}..{end}");
            }
        }
    }
}
