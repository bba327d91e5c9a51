//! A stream that is given up at one instant, however slowly the other side reads or writes.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// A UNIX stream with one deadline for all that is read and written.
#[derive(Debug)]
pub struct Patient<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl<'a> Patient<'a> {
    /// Gives `stream` up after `patience`.
    pub fn new(stream: &'a UnixStream, patience: Duration) -> Self {
        Self { stream, until: Instant::now() + patience }
    }

    /// What is left; an error when nothing is.
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        (&mut &*self.stream).read(buffer)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        (&mut &*self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_wins_no_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dripping = std::thread::spawn(move || {
            while (&mut &theirs).write_all(&[1]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let error = Patient::new(&ours, Duration::from_millis(200)).read_exact(&mut [0; 4096]).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10));
        drop(ours);
        dripping.join().unwrap();
    }
}
