//! The worker's side of video: its ends of the pipes, the files between it and the coders, and what it asks the monitor for.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
};

use gift_redact::video::{Bounds, Coding, Film, Scan, VideoCoder};

use crate::{
    channel::Endpoint,
    protocol::{Coder, Order, Report},
    settings::Video,
};

/// What a worker has for the one object with video that it judges.
#[derive(Debug)]
pub struct Studio {
    /// The stream as received, which it writes.
    stream: File,
    stream_bytes: u64,
    /// The encoded stream.
    encoded: File,
    received: File,
    again: File,
    written: File,
    /// Closed at the end of the frames.
    frames: Option<File>,
    bounds: Bounds,
}

impl Studio {
    /// Of the descriptors that came with [`Order::Start`], behind the four that always do.
    pub fn of(descriptors: Vec<File>, video: &Video) -> Option<Self> {
        let [stream, encoded, received, again, written, frames] = <[File; 6]>::try_from(descriptors).ok()?;
        let bounds = Bounds { most_pixels: video.max_pixels, most_frames: video.max_frames };
        Some(Self { stream, stream_bytes: 0, encoded, received, again, written, frames: Some(frames), bounds })
    }
}

/// A studio, and the way to the monitor.
#[derive(Debug)]
pub struct Filming<'a> {
    /// The way.
    pub channel: &'a RefCell<Endpoint>,
    /// The studio.
    pub studio: &'a mut Studio,
}

impl Filming<'_> {
    fn ask(&self, asked: Coder) -> io::Result<()> {
        self.channel.borrow().send(&Report::Code(asked), &[], None).map_err(io::Error::other)
    }
}

impl VideoCoder for Filming<'_> {
    fn bounds(&self) -> Bounds {
        self.studio.bounds
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.studio.stream.write_all_at(bytes, self.studio.stream_bytes)?;
        self.studio.stream_bytes += bytes.len() as u64;
        Ok(())
    }

    fn decode(&mut self, film: Film, coding: Coding) -> io::Result<()> {
        self.ask(Coder::Decode(film, coding))
    }

    fn read(&mut self, film: Film, into: &mut [u8]) -> io::Result<usize> {
        let pipe = match film {
            Film::Received => &mut self.studio.received,
            Film::ReceivedAgain => &mut self.studio.again,
            Film::Written => &mut self.studio.written,
        };
        pipe.read(into)
    }

    fn encode(&mut self, coding: Coding, scan: Scan) -> io::Result<()> {
        self.ask(Coder::Encode(coding, scan))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(pipe) = &mut self.studio.frames else { return Ok(false) };
        match pipe.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn finish(&mut self) -> io::Result<bool> {
        self.studio.frames = None;
        self.ask(Coder::Finish)?;
        match self.channel.borrow_mut().recv::<Order>(None, || ()) {
            Ok(Order::Coded(good)) => Ok(good),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn encoded_bytes(&mut self) -> io::Result<u64> {
        self.studio.encoded.seek(SeekFrom::End(0))
    }

    fn read_encoded(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.studio.encoded.read_exact_at(into, at)
    }
}
