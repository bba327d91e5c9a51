//! Bytes of a partition, as far as the eraser needs them. A trait, so that tests can take the power away between any two steps.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
};

/// Written at once, bytes.
const PIECE: usize = 1 << 20;

/// A partition.
pub(crate) trait Disk {
    /// Its length, bytes.
    fn size(&self) -> io::Result<u64>;
    /// Fills `into` from byte `at` on.
    fn read(&self, into: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes `bytes` at byte `at`. Durable only after [`Disk::sync`].
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// What was written is on the medium.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn size(&self) -> io::Result<u64> {
        // A block device has no length in its metadata.
        let mut file: &File = self;
        file.seek(SeekFrom::End(0))
    }

    fn read(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(into, at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// What is written over something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filling {
    /// Random bytes: nothing to tell what was there from.
    Random,
    /// Zeros: nothing there, for who reads it.
    Zeros,
}

/// Overwrites bytes `from..to`, durably.
pub(crate) fn overwrite(disk: &impl Disk, from: u64, to: u64, with: Filling) -> io::Result<()> {
    let (mut piece, mut at) = (vec![0; PIECE], from);
    while at < to {
        let length = usize::try_from(to - at).map_or(PIECE, |left| left.min(PIECE));
        let filled = piece.get_mut(..length).unwrap_or_default();
        if with == Filling::Random {
            getrandom::fill(filled).map_err(io::Error::other)?;
        }
        disk.write(filled, at)?;
        at += length as u64;
    }
    disk.sync()
}
