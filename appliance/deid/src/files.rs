//! A worker's files as the pure crates want them: bytes at offsets, and a scratch that grows.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use gift_deidentify::dataset::Source;
use gift_redact::Scratch;

/// A file of known length.
#[derive(Debug, Clone, Copy)]
pub struct FileSource<'a> {
    file: &'a File,
    length: u64,
}

impl<'a> FileSource<'a> {
    /// The first `length` bytes of `file`.
    pub fn new(file: &'a File, length: u64) -> Self {
        Self { file, length }
    }
}

impl Source for FileSource<'_> {
    fn len(&self) -> u64 {
        self.length
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, offset)
    }
}

/// An empty file that redaction appends to.
#[derive(Debug)]
pub struct FileScratch<'a> {
    file: &'a File,
    length: u64,
}

impl<'a> FileScratch<'a> {
    /// On `file`, which is empty.
    pub fn new(file: &'a File) -> Self {
        Self { file, length: 0 }
    }
}

impl Source for FileScratch<'_> {
    fn len(&self) -> u64 {
        self.length
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileSource::new(self.file, self.length).read_exact_at(buffer, offset)
    }
}

impl Scratch for FileScratch<'_> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_can_be_read_and_nothing_beyond() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        let mut scratch = FileScratch::new(&file);
        scratch.append(b"abc").unwrap();
        scratch.append(b"def").unwrap();
        let mut buffer = [0; 4];
        scratch.read_exact_at(&mut buffer, 2).unwrap();
        assert_eq!((&buffer, scratch.len()), (b"cdef", 6));
        assert!(scratch.read_exact_at(&mut buffer, 3).is_err());
        assert!(scratch.read_exact_at(&mut buffer, u64::MAX).is_err());
        assert!(FileSource::new(&file, 3).read_exact_at(&mut buffer, 0).is_err(), "the file is longer than stated");
    }
}
