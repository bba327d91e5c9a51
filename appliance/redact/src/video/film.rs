//! Frames in YUV4MPEG2: a line that says what they are, and before each frame a line of its own.

use super::{Film, Scan, Standard, VideoCoder};
use crate::{PixelLayout, RedactError, codec::CodecError};

/// Longest line, bytes.
const LINE_BYTES: usize = 256;
/// How each frame begins; nothing is said of one by itself.
const FRAME: &[u8] = b"FRAME\n";

/// What a stream's frames are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) columns: u32,
    pub(super) rows: u32,
    /// Frames in so many seconds.
    pub(super) rate: (u32, u32),
    pub(super) scan: Scan,
    /// Width to height of a pixel; 0:0 when not known.
    pub(super) aspect: (u32, u32),
    /// Where the samples of chroma are, and how wide samples are: one of [`CHROMA`].
    pub(super) chroma: &'static str,
}

/// Terms for 4:2:0.
const CHROMA: [&str; 4] = ["420mpeg2", "420jpeg", "420paldv", "420p10"];

fn malformed(what: &'static str) -> RedactError {
    RedactError::Codec { frame: 1, error: CodecError::Malformed(what) }
}

fn unsupported(what: &'static str) -> RedactError {
    RedactError::Codec { frame: 1, error: CodecError::Unsupported(what) }
}

impl Header {
    /// Parses the line, without its end.
    pub(super) fn parse(line: &[u8]) -> Result<Self, RedactError> {
        let line = std::str::from_utf8(line).map_err(|_| malformed("frames of another form"))?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(malformed("frames of another form"));
        }
        let (mut columns, mut rows, mut rate, mut aspect) = (0, 0, (0, 0), (0, 0));
        let (mut scan, mut chroma) = (Scan::Progressive, None);
        for word in words {
            let Some((key, value)) = word.split_at_checked(1) else { continue };
            let number = || value.parse().map_err(|_| malformed("frames of another form"));
            match (key, value) {
                ("W", _) => columns = number()?,
                ("H", _) => rows = number()?,
                ("F", _) => rate = ratio(value)?,
                ("A", _) => aspect = ratio(value)?,
                ("I", "p" | "?") => scan = Scan::Progressive,
                ("I", "t") => scan = Scan::TopFirst,
                ("I", "b") => scan = Scan::BottomFirst,
                ("I", _) => return Err(unsupported("fields and frames mixed")),
                ("C", _) => chroma = CHROMA.into_iter().find(|term| *term == value),
                ("X", "COLORRANGE=FULL") => return Err(unsupported("samples of full range")),
                _ => {}
            }
        }
        // Anything but 4:2:0 contradicts YBR_PARTIAL_420.
        let chroma = chroma.ok_or(RedactError::Inconsistent)?;
        if rate.0 == 0 || rate.1 == 0 {
            return Err(malformed("no rate of frames"));
        }
        Ok(Self { columns, rows, rate, scan, aspect, chroma })
    }

    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        let Self { columns, rows, rate, scan, aspect, chroma } = self;
        let scan = match scan {
            Scan::Progressive => 'p',
            Scan::TopFirst => 't',
            Scan::BottomFirst => 'b',
        };
        let (rate, aspect) = (format!("{}:{}", rate.0, rate.1), format!("{}:{}", aspect.0, aspect.1));
        format!("YUV4MPEG2 W{columns} H{rows} F{rate} I{scan} A{aspect} C{chroma} XCOLORRANGE=LIMITED\n")
    }

    /// That the frames are what the attributes say, and what can be coded.
    pub(super) fn check(&self, layout: &PixelLayout, standard: Standard) -> Result<(), RedactError> {
        let wide = self.chroma == "420p10";
        if (self.columns, self.rows) != (layout.columns.into(), layout.rows.into()) || wide != (standard.bits() > 8) {
            return Err(RedactError::Inconsistent);
        }
        if self.scan != Scan::Progressive && !standard.may_interlace() {
            return Err(unsupported("fields"));
        }
        let pixels = u64::from(self.columns).next_multiple_of(16) * u64::from(self.rows).next_multiple_of(16);
        if pixels * u64::from(self.rate.0) > standard.most_pixels_a_second() * u64::from(self.rate.1) {
            return Err(unsupported("more frames in a second than the level has"));
        }
        Ok(())
    }
}

fn ratio(text: &str) -> Result<(u32, u32), RedactError> {
    let parsed = text.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.ok_or_else(|| malformed("frames of another form"))
}

/// The frames of a film, one after the other.
pub(super) struct Reel {
    film: Film,
}

/// What reading a frame came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is there.
    Frame,
    /// There is none any more.
    End,
    /// The film ends in the middle of it.
    Cut,
}

impl Reel {
    /// The film's, and what they are; `None` when it has none at all.
    pub(super) fn open(film: Film, coder: &mut dyn VideoCoder) -> Result<Option<(Self, Header)>, RedactError> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            if read(film, &mut byte, coder)? == 0 {
                return Ok(None);
            }
            match byte {
                [b'\n'] => return Ok(Some((Self { film }, Header::parse(&line)?))),
                _ if line.len() == LINE_BYTES => return Err(malformed("frames of another form")),
                [other] => line.push(other),
            }
        }
    }

    /// The next frame, into the whole of `frame`.
    pub(super) fn next(&mut self, frame: &mut [u8], coder: &mut dyn VideoCoder) -> Result<Read, RedactError> {
        let mut line = [0; FRAME.len()];
        match read(self.film, &mut line, coder)? {
            0 => return Ok(Read::End),
            n if n < line.len() => return Ok(Read::Cut),
            _ if line != FRAME => return Err(malformed("frames of another form")),
            _ => {}
        }
        Ok(if read(self.film, frame, coder)? == frame.len() { Read::Frame } else { Read::Cut })
    }
}

/// Writes a frame; false when nobody takes it.
pub(super) fn write(frame: &[u8], coder: &mut dyn VideoCoder) -> Result<bool, RedactError> {
    let mut write = |bytes| coder.write(bytes).map_err(RedactError::Coder);
    Ok(write(FRAME)? && write(frame)?)
}

/// Reads as much of `into` as there is.
fn read(film: Film, into: &mut [u8], coder: &mut dyn VideoCoder) -> Result<usize, RedactError> {
    let mut at = 0;
    while at < into.len() {
        match coder.read(film, &mut into[at..]).map_err(RedactError::Coder)? {
            0 => break,
            read => at += read,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read_and_written_again() {
        let line = b"YUV4MPEG2 W640 H480 F30000:1001 It A4:3 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED";
        let header = Header::parse(line).unwrap();
        assert_eq!((header.columns, header.rows, header.rate), (640, 480, (30000, 1001)));
        assert_eq!((header.scan, header.aspect, header.chroma), (Scan::TopFirst, (4, 3), "420mpeg2"));
        assert_eq!(Header::parse(header.line().trim_end().as_bytes()).unwrap(), header);
        for (bad, hold) in [
            ("YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C444", "inconsistent"),
            ("YUV4MPEG2 W6 H4 F25:1 Ip A1:1", "inconsistent"),
            ("YUV4MPEG2 W6 H4 F25:1 Im A1:1 C420jpeg", "unsupported-transfer-syntax"),
            ("YUV4MPEG2 W6 H4 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL", "unsupported-transfer-syntax"),
            ("YUV4MPEG2 W6 H4 F0:0 Ip A1:1 C420jpeg", "decode-failed"),
            ("YUV4MPEG2 Wx H4 F25:1 Ip A1:1 C420jpeg", "decode-failed"),
            ("RIFF", "decode-failed"),
        ] {
            assert_eq!(Header::parse(bad.as_bytes()).unwrap_err().hold(), Some(hold), "{bad}");
        }
    }
}
