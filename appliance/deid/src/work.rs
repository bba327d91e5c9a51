//! The files of one worker: what it reads, what it writes, its scratch, and two for video. None has a name once it holds a byte, so
//! nothing of an object stays behind whatever ends the process. They are used again for the next object.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use gift_spool::ItemId;

/// The files, as the monitor has them: it reads and writes at positions of its own, whatever a worker does to its own.
#[derive(Debug)]
pub struct WorkFiles {
    /// The object as received. The worker has it by `input_for_worker`.
    pub input: File,
    /// The same, read-only: a worker cannot change what will be held.
    pub input_for_worker: File,
    /// What the worker makes of it.
    pub output: File,
    /// What redaction writes, and then the picture for the second look.
    pub scratch: File,
    /// The same, read-only, for the reader of that picture.
    pub picture: File,
    /// For video.
    pub film: FilmFiles,
}

/// What passes between a worker and coders of video.
#[derive(Debug)]
pub struct FilmFiles {
    /// The stream as received, which the worker writes.
    pub stream: File,
    /// The same, read-only, for the coder.
    pub stream_read: File,
    /// The encoded stream, which the coder writes.
    pub encoded: File,
    /// The same, read-only, for the worker.
    pub encoded_read: File,
    /// Scratch, read-only, for the coder that proves what stands there.
    pub scratch_read: File,
}

impl WorkFiles {
    /// Makes the files in `directory`, which is this process's own.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let (input, input_for_worker) = nameless(directory)?;
        let (scratch, picture) = nameless(directory)?;
        let (stream, stream_read) = nameless(directory)?;
        let (encoded, encoded_read) = nameless(directory)?;
        let scratch_read = picture.try_clone()?;
        let film = FilmFiles { stream, stream_read, encoded, encoded_read, scratch_read };
        Ok(Self { input, input_for_worker, output: nameless(directory)?.0, scratch, picture, film })
    }

    /// Empties all of them.
    ///
    /// # Errors
    /// The file system's.
    pub fn clear(&self) -> io::Result<()> {
        let film = [&self.film.stream, &self.film.encoded];
        let files = [&self.input, &self.output, &self.scratch].into_iter().chain(film);
        files.into_iter().try_for_each(|file| file.set_len(0))
    }
}

impl FilmFiles {
    /// The same files.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            stream_read: self.stream_read.try_clone()?,
            encoded: self.encoded.try_clone()?,
            encoded_read: self.encoded_read.try_clone()?,
            scratch_read: self.scratch_read.try_clone()?,
        })
    }
}

/// A new file without a name: the descriptor that writes, and one that only reads.
fn nameless(directory: &Path) -> io::Result<(File, File)> {
    let path = directory.join(ItemId::random()?.as_str());
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let reader = File::open(&path);
    fs::remove_file(&path)?;
    Ok((file, reader?))
}

/// Makes `directory`, empty: what an earlier run left there is erased.
///
/// # Errors
/// The file system's.
pub fn make_empty(directory: &Path) -> io::Result<()> {
    make(directory)?;
    for entry in fs::read_dir(directory)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Makes `directory` when it is not there, for this process only.
///
/// # Errors
/// The file system's.
pub fn make(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Reads or writes a file from its beginning, without touching the position it shares with others.
#[derive(Debug)]
pub struct At<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> At<'a> {
    /// From the beginning of `file`.
    pub fn start(file: &'a File) -> Self {
        Self { file, position: 0 }
    }
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.position)?;
        self.position += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_files_have_no_name_and_the_workers_input_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("left-by-a-crash"), b"Doe^Jane").unwrap();
        make_empty(directory.path()).unwrap();
        let files = WorkFiles::new(directory.path()).unwrap();
        At::start(&files.input).write_all(b"Doe^Jane").unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut read = String::new();
        At::start(&files.input_for_worker).read_to_string(&mut read).unwrap();
        assert_eq!(read, "Doe^Jane");
        assert!(files.input_for_worker.write_at(b"x", 0).is_err() && files.input_for_worker.set_len(0).is_err());
        files.clear().unwrap();
        assert_eq!(files.input_for_worker.metadata().unwrap().len(), 0);
    }
}
