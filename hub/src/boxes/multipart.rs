//! A `multipart/related` body of exactly one part, taken as it streams in (RFC 2046 §5.1, PS3.18 §8.6.1): bytes in, events
//! out, no IO. Memory is bounded by the header limit and one chunk.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// Largest part header block, bytes: a manifest in base64url is below 2 KiB.
const MAX_HEADERS: usize = 16 << 10;

/// What came out of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The part's headers.
    Headers(PartHeaders),
    /// Bytes of the part's body.
    Body(Bytes),
    /// The closing delimiter was met.
    End,
}

/// The headers that matter, by lower-case name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PartHeaders(Vec<(String, String)>);

impl PartHeaders {
    /// The value of a header; `None` when absent or repeated.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        found.next().filter(|_| found.next().is_none())
    }
}

/// Why the body is no such multipart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// Delimiters or headers are not where they must be.
    #[error("malformed multipart body")]
    Malformed,
    /// More than one part.
    #[error("more than one part")]
    ManyParts,
    /// Headers too long.
    #[error("part headers too long")]
    Headers,
}

/// The boundary of a `Content-Type` that must be `multipart/related; type="application/dicom"`; `None` for any other.
pub fn boundary(content_type: &str) -> Option<String> {
    let media = crate::web::media::MediaType::parse(content_type)?;
    let is_dicom = media.parameter("type").is_some_and(|t| t.eq_ignore_ascii_case("application/dicom"));
    let boundary = media.parameter("boundary")?;
    (media.is("multipart", "related") && is_dicom && (1..=70).contains(&boundary.len())).then(|| boundary.to_owned())
}

enum State {
    /// Before the first delimiter line has ended.
    Start,
    Headers,
    Body,
    /// After the closing delimiter: an epilogue is passed over.
    Done,
}

/// The parser.
pub struct Parser {
    /// CRLF, two hyphens, boundary.
    delimiter: Vec<u8>,
    state: State,
    held: BytesMut,
}

impl Parser {
    /// For bodies delimited by `boundary`.
    pub fn new(boundary: &str) -> Self {
        // The body may begin with the delimiter: a line break before it is supposed.
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            state: State::Start,
            held: BytesMut::from(&b"\r\n"[..]),
        }
    }

    /// Takes the next bytes and gives what they complete.
    ///
    /// # Errors
    /// The body is not a multipart of one part.
    pub fn feed(&mut self, chunk: &Bytes, events: &mut Vec<Event>) -> Result<(), MultipartError> {
        // The common case, a chunk in the midst of the body with nothing held back, is passed on without a copy.
        if matches!(self.state, State::Body) && self.held.is_empty() && memmem::find(chunk, &self.delimiter).is_none() {
            let keep = self.keep_from(chunk);
            if keep > 0 {
                events.push(Event::Body(chunk.slice(..keep)));
            }
            self.held.extend_from_slice(&chunk[keep..]);
            return Ok(());
        }
        self.held.extend_from_slice(chunk);
        while self.step(events)? {}
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// The closing delimiter was not met.
    pub fn finish(&self) -> Result<(), MultipartError> {
        if matches!(self.state, State::Done) { Ok(()) } else { Err(MultipartError::Malformed) }
    }

    /// Where a delimiter that is not complete yet may begin: from the last CR within reach.
    fn keep_from(&self, bytes: &[u8]) -> usize {
        let reach = bytes.len().saturating_sub(self.delimiter.len() - 1);
        memchr::memchr(b'\r', &bytes[reach..]).map_or(bytes.len(), |at| reach + at)
    }

    /// One step; false when more bytes are needed.
    fn step(&mut self, events: &mut Vec<Event>) -> Result<bool, MultipartError> {
        match self.state {
            State::Start => {
                if self.held.len() < self.delimiter.len() + 2 {
                    return Ok(false);
                }
                if !self.held.starts_with(&self.delimiter) || &self.held[self.delimiter.len()..][..2] != b"\r\n" {
                    return Err(MultipartError::Malformed);
                }
                // The CRLF that ends the delimiter line stays: headers then end at the first CRLF CRLF, none included.
                let _ = self.held.split_to(self.delimiter.len());
                self.state = State::Headers;
            }
            State::Headers => {
                let Some(end) = memmem::find(&self.held, b"\r\n\r\n") else {
                    return if self.held.len() > MAX_HEADERS { Err(MultipartError::Headers) } else { Ok(false) };
                };
                if end > MAX_HEADERS {
                    return Err(MultipartError::Headers);
                }
                let block = self.held.split_to(end + 4);
                events.push(Event::Headers(parse_headers(&block[..end])?));
                self.state = State::Body;
            }
            State::Body => {
                let Some(at) = memmem::find(&self.held, &self.delimiter) else {
                    let keep = self.keep_from(&self.held);
                    if keep > 0 {
                        events.push(Event::Body(self.held.split_to(keep).freeze()));
                    }
                    return Ok(false);
                };
                if self.held.len() < at + self.delimiter.len() + 2 {
                    if at > 0 {
                        events.push(Event::Body(self.held.split_to(at).freeze()));
                    }
                    return Ok(false);
                }
                if at > 0 {
                    events.push(Event::Body(self.held.split_to(at).freeze()));
                }
                let _ = self.held.split_to(self.delimiter.len());
                if !self.held.starts_with(b"--") {
                    return Err(MultipartError::ManyParts);
                }
                events.push(Event::End);
                self.state = State::Done;
            }
            State::Done => {
                self.held.clear();
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parse_headers(block: &[u8]) -> Result<PartHeaders, MultipartError> {
    let text = std::str::from_utf8(block).map_err(|_| MultipartError::Malformed)?;
    let mut headers = Vec::new();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(MultipartError::Malformed)?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(PartHeaders(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &[u8], step: usize) -> Result<(PartHeaders, Vec<u8>), MultipartError> {
        let mut parser = Parser::new("b0");
        let (mut headers, mut out, mut ended) = (None, Vec::new(), 0);
        for chunk in body.chunks(step) {
            let mut events = Vec::new();
            parser.feed(&Bytes::copy_from_slice(chunk), &mut events)?;
            for event in events {
                match event {
                    Event::Headers(h) => headers = Some(h),
                    Event::Body(b) => out.extend(b),
                    Event::End => ended += 1,
                }
            }
        }
        parser.finish()?;
        assert_eq!(ended, 1);
        Ok((headers.unwrap(), out))
    }

    #[test]
    fn the_part_comes_out_whole_however_it_is_cut() {
        // Contains delimiter look-alikes and ends in part of one.
        let body = b"\r\n--b\r\n-\r\n--b\r\r\n--bX\r\n--b\r\n\r\n--".repeat(3);
        let mut message = b"--b0\r\nContent-Type: application/dicom\r\nGift-Manifest: eyJ9\r\n\r\n".to_vec();
        message.extend(&body);
        message.extend(b"\r\n--b0--\r\nepilogue");
        for step in 1..message.len() {
            let (headers, out) = parse(&message, step).unwrap();
            assert_eq!(out, body, "step {step}");
            assert_eq!(headers.get("gift-manifest"), Some("eyJ9"));
        }
    }

    #[test]
    fn what_is_no_single_part_is_refused() {
        let cases: [(&[u8], MultipartError); 6] = [
            (b"--b0\r\na: b\r\n\r\nx\r\n--b0\r\n\r\ny\r\n--b0--", MultipartError::ManyParts),
            (b"--b0\r\na: b\r\n\r\nx", MultipartError::Malformed),
            (b"--b0\r\nno colon\r\n\r\nx\r\n--b0--", MultipartError::Malformed),
            (b"--b1\r\na: b\r\n\r\nx\r\n--b1--", MultipartError::Malformed),
            (b"", MultipartError::Malformed),
            (b"--b0--\r\n", MultipartError::Malformed),
        ];
        for (message, error) in cases {
            for step in [1, 7, 1000] {
                assert_eq!(parse(message, step).unwrap_err(), error, "{}", String::from_utf8_lossy(message));
            }
        }
        let long = [b"--b0\r\na: ".to_vec(), vec![b'x'; MAX_HEADERS + 10]].concat();
        assert_eq!(parse(&long, 100).unwrap_err(), MultipartError::Headers);
    }

    #[test]
    fn an_empty_body_and_a_repeated_header() {
        let (headers, body) = parse(b"--b0\r\nx: 1\r\nX: 2\r\n\r\n\r\n--b0--", 3).unwrap();
        assert!(body.is_empty());
        assert_eq!(headers.get("x"), None);
    }

    #[test]
    fn the_boundary_is_taken_from_dicom_bodies_only() {
        let b = |t| boundary(t);
        assert_eq!(b("multipart/related; type=\"application/dicom\"; boundary=\"a b\""), Some("a b".to_owned()));
        assert_eq!(b("multipart/related;boundary=x;type=application/dicom"), Some("x".to_owned()));
        assert_eq!(b("multipart/related; type=\"application/dicom+json\"; boundary=x"), None);
        assert_eq!(b("multipart/form-data; boundary=x"), None);
        assert_eq!(b("multipart/related; type=\"application/dicom\""), None);
    }
}
