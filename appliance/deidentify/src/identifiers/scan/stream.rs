//! Bytes that come piece by piece, searched as if they were one.
//!
//! A match that begins in one piece and ends in another is found in a window over the joint; so is one whose neighbours, which
//! decide whether it counts, stand in another piece than itself. Pieces too short to hold any match of their own are gathered.

use super::NEIGHBOURS;

/// Consecutive bytes.
#[derive(Clone, Copy)]
pub(super) struct Piece<'b> {
    pub(super) bytes: &'b [u8],
    /// Offset of the first in the file.
    pub(super) offset: u64,
    /// Nothing stands before it.
    pub(super) first: bool,
    /// Nothing stands after it.
    pub(super) last: bool,
}

/// Where in the stream we are.
pub(super) struct Stream {
    start: u64,
    /// Offset of the next byte.
    next: u64,
    /// Longest match, and its neighbours on either side.
    keep: usize,
    /// The last bytes.
    tail: Vec<u8>,
}

impl Stream {
    /// From the beginning of a file, for matches of at most `longest` bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self { start: 0, next: 0, keep: longest + 2 * NEIGHBOURS, tail: Vec::new() }
    }

    /// The same from `start`, as if nothing stood before it.
    pub(super) fn another(&self, start: u64) -> Self {
        Self { start, next: start, keep: self.keep, tail: Vec::new() }
    }

    /// Offset of the next byte.
    pub(super) fn seen(&self) -> u64 {
        self.next
    }

    /// Longest match, and its neighbours on either side, bytes.
    pub(super) fn keep(&self) -> usize {
        self.keep
    }

    /// Takes the next bytes; what `find` finds first.
    pub(super) fn push<T>(&mut self, bytes: &[u8], find: impl Fn(Piece<'_>) -> Option<T>) -> Option<T> {
        let head = bytes.len().min(self.keep);
        let tail = self.next - self.tail.len() as u64;
        self.tail.extend_from_slice(&bytes[..head]);
        let joint = Piece { bytes: &self.tail, offset: tail, first: tail == self.start, last: false };
        let mut found = find(joint);
        if bytes.len() > self.keep {
            let piece = Piece { bytes, offset: self.next, first: self.next == self.start, last: false };
            found = found.or_else(|| find(piece));
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - self.keep..]);
        }
        let before = self.tail.len().saturating_sub(self.keep);
        self.tail.drain(..before);
        self.next += bytes.len() as u64;
        found
    }

    /// No more bytes come.
    pub(super) fn end<T>(&self, find: impl Fn(Piece<'_>) -> Option<T>) -> Option<T> {
        let offset = self.next - self.tail.len() as u64;
        find(Piece { bytes: &self.tail, offset, first: offset == self.start, last: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, each match is seen with its neighbours, and none that has others.
    #[test]
    fn every_cut_of_a_stream_finds_what_the_whole_has() {
        let bytes = b"needle..xneedle....needle,needle";
        let find = |piece: Piece<'_>| {
            let stands = |at: &usize| {
                let (start, end) = (*at, at + 6);
                let cut = !piece.first && start < NEIGHBOURS || !piece.last && piece.bytes.len() - end < NEIGHBOURS;
                piece.bytes[start..].starts_with(b"needle") && !cut && (start == 0 || piece.bytes[start - 1] != b'x')
            };
            let starts: Vec<u64> =
                (0..piece.bytes.len().saturating_sub(5)).filter(stands).map(|at| piece.offset + at as u64).collect();
            FOUND.with_borrow_mut(|found| found.extend(starts));
            None::<()>
        };
        thread_local!(static FOUND: std::cell::RefCell<std::collections::BTreeSet<u64>> = Default::default());
        for size in 1..=bytes.len() {
            for first in 0..=bytes.len() {
                FOUND.with_borrow_mut(std::collections::BTreeSet::clear);
                let mut stream = Stream::new(6);
                for piece in std::iter::once(&bytes[..first]).chain(bytes[first..].chunks(size)) {
                    stream.push(piece, find);
                }
                stream.end(find);
                assert_eq!(stream.seen(), bytes.len() as u64);
                let found = FOUND.with_borrow(|found| found.iter().copied().collect::<Vec<_>>());
                assert_eq!(found, [0, 19, 26], "{first}, then {size} at a time");
            }
        }
    }
}
