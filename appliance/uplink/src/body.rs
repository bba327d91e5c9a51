//! The body of one STOW-RS request (PS3.18 §10.5): `multipart/related` with one part, streamed from the queue file, so that
//! memory does not grow with the object.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use gift_wire::{MANIFEST_HEADER, Manifest};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    fs::File,
    io::{AsyncRead as _, ReadBuf},
};

/// Bytes read at a time; with a few of them per upload, memory stays flat.
const CHUNK_BYTES: usize = 128 * 1024;

/// How far a body has come: written by the body, watched by the request.
#[derive(Debug)]
pub(crate) struct Advance {
    start: Instant,
    last_ms: AtomicU64,
    whole: AtomicBool,
}

impl Advance {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), last_ms: AtomicU64::new(0), whole: AtomicBool::new(false) })
    }

    fn note(&self, whole: bool) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
        self.whole.fetch_or(whole, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the transport last took bytes.
    pub(crate) fn still_ms(&self) -> u64 {
        self.now_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed))
    }

    /// True once the transport has taken the whole body.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }
}

/// The streamed body.
pub(crate) struct ObjectBody {
    head: Option<Bytes>,
    file: File,
    file_left: u64,
    tail: Option<Bytes>,
    buffer: BytesMut,
    advance: Arc<Advance>,
}

impl ObjectBody {
    /// A body of the first `manifest.size` bytes of `file`, which stands at its start, between the delimiters of
    /// `boundary`. The second value tells how far it has come.
    ///
    /// # Errors
    /// A manifest that is no JSON (cannot happen).
    pub(crate) fn new(manifest: &Manifest, file: File, boundary: &str) -> serde_json::Result<(Self, Arc<Advance>)> {
        let stated = URL_SAFE_NO_PAD.encode(serde_json::to_vec(manifest)?);
        let head = format!(
            "--{boundary}\r\nContent-Type: application/dicom\r\nContent-Length: {}\r\n{MANIFEST_HEADER}: {stated}\r\n\r\n",
            manifest.size
        );
        let advance = Advance::new();
        let body = Self {
            head: Some(head.into()),
            file,
            file_left: manifest.size,
            tail: Some(format!("\r\n--{boundary}--\r\n").into()),
            buffer: BytesMut::new(),
            advance: advance.clone(),
        };
        Ok((body, advance))
    }

    /// The request's Content-Type for `boundary`.
    pub(crate) fn content_type(boundary: &str) -> String {
        format!("multipart/related; type=\"application/dicom\"; boundary={boundary}")
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let want = usize::try_from(self.file_left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        self.buffer.resize(want, 0);
        let mut space = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.file).poll_read(cx, &mut space))?;
        let n = space.filled().len();
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.file_left -= n as u64;
        Poll::Ready(Ok(self.buffer.split_to(n).freeze()))
    }
}

impl Body for ObjectBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let bytes = if let Some(head) = this.head.take() {
            head
        } else if this.file_left > 0 {
            match ready!(this.poll_chunk(cx)) {
                Ok(bytes) => bytes,
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        } else if let Some(tail) = this.tail.take() {
            tail
        } else {
            return Poll::Ready(None);
        };
        this.advance.note(this.tail.is_none());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.tail.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, |bytes| bytes.len() as u64);
        SizeHint::with_exact(length(&self.head) + self.file_left + length(&self.tail))
    }
}
