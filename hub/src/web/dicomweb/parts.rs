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
pub(super) struct Sink(mpsc::Sender<io::Result<Bytes>>);

/// A body, and the sink that fills it. The body ends when the sink is dropped.
pub(super) fn body() -> (Sink, Body) {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    (Sink(sender), Body::new(Taken(receiver)))
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
    /// The client is gone or stalled.
    pub(super) async fn put(&self, chunk: impl Into<Bytes>) -> io::Result<()> {
        match timeout(STALLED, self.0.send(Ok(chunk.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Puts `length` bytes of the file at `path` from `offset`.
    ///
    /// # Errors
    /// The file's, or the client's. The body is then broken off, so that the client cannot take it for whole.
    pub(super) async fn put_file(&self, path: PathBuf, offset: u64, length: u64) -> io::Result<()> {
        let mut file = blocking(move || {
            let mut file = File::open(path)?;
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
    pub(super) async fn fail(&self, error: io::Error) {
        let _ = timeout(STALLED, self.0.send(Err(error))).await;
    }
}

/// Runs `work` off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
