//! An item while it is being written.

use std::{io, sync::Arc};

use crate::{
    error::{SpoolError, again, is_full},
    format,
    fs::{Fs, OsFs},
    item::ItemId,
    shared::{Shared, part},
};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 128 * 1024;

/// An item being written; its body goes in through [`io::Write`]. Erased on drop unless it was committed.
#[derive(Debug)]
pub struct Staged<F: Fs = OsFs> {
    shared: Arc<Shared<F>>,
    id: ItemId,
    file: F::File,
    buffer: Vec<u8>,
    crc: u32,
    body_len: u64,
    /// The first failed write: what is in the file is then unknown, so the item can only be dropped.
    spoilt: Option<io::Error>,
    erase: bool,
}

impl<F: Fs> Staged<F> {
    /// Makes `<id>.part` and begins it with the header; `None` when `meta` is too long.
    pub(crate) fn begin(shared: &Arc<Shared<F>>, meta: &[u8]) -> Result<Option<Self>, SpoolError> {
        shared.check()?;
        let Some(buffer) = format::header(meta) else { return Ok(None) };
        let id = ItemId::random().map_err(SpoolError::Store)?;
        let file = shared.fs.create(&shared.staging, &part(&id)).map_err(|e| shared.fail(e))?;
        let crc = crc32c::crc32c(&buffer);
        Ok(Some(Self { shared: Arc::clone(shared), id, file, buffer, crc, body_len: 0, spoilt: None, erase: true }))
    }

    /// Its name belongs to the committed item now.
    pub(crate) fn keep(&mut self) {
        self.erase = false;
    }

    /// Bytes of the body written so far.
    pub fn body_len(&self) -> u64 {
        self.body_len
    }

    /// The identifier it will be posted under.
    pub fn id(&self) -> &ItemId {
        &self.id
    }

    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(error) = &self.spoilt {
            return Err(again(error));
        }
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.drain()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write_out(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_out(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_out(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let error = match self.shared.fs.write(&self.file, bytes) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    bytes = &bytes[n..];
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => e,
            };
            if !is_full(&error) {
                self.shared.poison_with(again(&error));
            }
            self.spoilt = Some(again(&error));
            return Err(error);
        }
        Ok(())
    }

    /// Trailer, then the bytes to disk.
    pub(crate) fn seal(&mut self) -> Result<(), SpoolError> {
        self.shared.check()?;
        let end = format::trailer(self.body_len, self.crc);
        self.take_in(&end).and_then(|()| self.drain())?;
        match self.shared.fs.sync_data(&self.file) {
            Ok(()) => Ok(()),
            // Delayed allocation or a quota can refuse this late. The handle is dropped, not synced again.
            Err(error) => Err(self.shared.fail(error)),
        }
    }
}

impl<F: Fs> io::Write for Staged<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take_in(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.body_len += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// Does nothing: the bytes go out with the buffer, and to disk with [`Depositor::commit`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: Fs> Drop for Staged<F> {
    fn drop(&mut self) {
        if self.erase {
            // What cannot be erased now is erased by the next start.
            let _ = self.shared.fs.unlink(&self.shared.staging, &part(&self.id));
        }
    }
}
