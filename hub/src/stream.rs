//! A response body that is made while it is sent: one task reads, the connection takes, a stalled client ends it.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::{sync::mpsc, time::timeout};

/// Chunks made ahead of the connection.
const CHUNKS_AHEAD: usize = 2;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// A client that takes nothing for this long is given up.
const STALLED: Duration = Duration::from_secs(60);

/// Where a body's chunks are put.
#[derive(Debug, Clone)]
pub struct Sink {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    stalled: Duration,
}

/// A body, and the sink that fills it. The body ends when the sink is dropped.
pub fn body() -> (Sink, Body) {
    body_within(STALLED)
}

/// As [`body`], for a client that is given up when it takes nothing for `stalled`.
pub fn body_within(stalled: Duration) -> (Sink, Body) {
    let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
    (Sink { chunks, stalled }, Body::new(Taken(receiver)))
}

struct Taken(mpsc::Receiver<io::Result<Bytes>>);

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

impl Sink {
    /// Puts a chunk.
    ///
    /// # Errors
    /// The client is gone ([`io::ErrorKind::BrokenPipe`]) or stalled ([`io::ErrorKind::TimedOut`]).
    pub async fn put(&self, chunk: impl Into<Bytes>) -> io::Result<()> {
        match timeout(self.stalled, self.chunks.send(Ok(chunk.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Puts `length` bytes of the file at `path` from `offset`.
    ///
    /// # Errors
    /// The file's, or the client's. The body is then broken off, so that the client cannot take it for whole.
    pub async fn put_file(&self, path: PathBuf, offset: u64, length: u64) -> io::Result<()> {
        let file = blocking(move || File::open(path)).await?;
        self.put_open(file, offset, length).await
    }

    /// As [`Sink::put_file`], of a file that is open already.
    ///
    /// # Errors
    /// As for [`Sink::put_file`].
    pub async fn put_open(&self, file: File, offset: u64, length: u64) -> io::Result<()> {
        let mut file = blocking(move || {
            let mut file = file;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        })
        .await?;
        let mut left = length;
        while left > 0 {
            let take = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let (back, chunk) = blocking(move || {
                let mut chunk = vec![0; take];
                file.read_exact(&mut chunk)?;
                Ok((file, chunk))
            })
            .await?;
            file = back;
            left -= take as u64;
            self.put(chunk).await?;
        }
        Ok(())
    }

    /// Breaks the body off.
    pub async fn fail(&self, error: io::Error) {
        let _ = timeout(self.stalled, self.chunks.send(Err(error))).await;
    }
}

/// Runs `work` off the async threads.
///
/// # Errors
/// The work's.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
