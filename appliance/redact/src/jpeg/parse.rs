//! Marker segments of a Huffman-coded JPEG stream (ITU-T T.81 Annex B): SOF0, SOF1 and SOF2 with 8 or 12 bit, and SOF3.
//!
//! Everything a redacted stream may hold passes through here; what it may not hold (comments, application segments but
//! Adobe's, other processes, a second frame, bytes after EOI) is dropped or refused here.

use super::{JpegError, huffman::Table};

/// A component of the frame (B.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) h: u32,
    pub(super) v: u32,
    pub(super) quantiser: usize,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) precision: u8,
    pub(super) rows: u16,
    pub(super) columns: u16,
    pub(super) components: Vec<Component>,
    pub(super) h_max: u32,
    pub(super) v_max: u32,
}

/// A component of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanComponent {
    /// Index in [`Frame::components`].
    pub(super) index: usize,
    /// DC table selector.
    pub(super) dc: usize,
    /// AC table selector.
    pub(super) ac: usize,
}

/// What comes next in the stream.
#[derive(Debug)]
pub(super) enum Segment<'a> {
    /// DQT, SOF or DRI: marker code and payload, to be kept as they stand.
    Keep(u8, &'a [u8]),
    /// Adobe's APP14: the colour transform.
    Adobe(u8),
    /// Something that is not kept.
    Dropped,
    /// A scan; the parser stands at its entropy-coded bytes.
    Scan(Vec<ScanComponent>),
    /// EOI.
    End,
}

/// Which processes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Process {
    /// SOF0, SOF1.
    Sequential,
    /// SOF2.
    Progressive,
    /// SOF3.
    Lossless,
}

/// The state of tables and frame while going through the stream.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
    pub(super) frame: Option<Frame>,
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    pub(super) quantisers: [Option<[u16; 64]>; 4],
    pub(super) restart_interval: u32,
    pub(super) adobe: Option<u8>,
    pub(super) jfif: bool,
    /// Ss, Se, and Ah and Al of the last scan header.
    pub(super) scan_parameters: [u8; 3],
    process: Process,
    /// Components whose scan has begun.
    seen: [bool; 3],
}

impl<'a> Parser<'a> {
    /// Starts behind SOI.
    pub(super) fn new(bytes: &'a [u8], process: Process) -> Result<Self, JpegError> {
        if !bytes.starts_with(&[0xFF, 0xD8]) {
            return Err(JpegError::Malformed("no SOI"));
        }
        Ok(Self {
            bytes,
            position: 2,
            frame: None,
            dc: Default::default(),
            ac: Default::default(),
            quantisers: Default::default(),
            restart_interval: 0,
            adobe: None,
            jfif: false,
            scan_parameters: [0; 3],
            process,
            seen: [false; 3],
        })
    }

    fn byte(&mut self) -> Result<u8, JpegError> {
        let byte = *self.bytes.get(self.position).ok_or(JpegError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    fn payload(&mut self) -> Result<&'a [u8], JpegError> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let length = length.checked_sub(2).ok_or(JpegError::Malformed("segment length"))?;
        let payload = self.bytes.get(self.position..self.position + length).ok_or(JpegError::Truncated)?;
        self.position += length;
        Ok(payload)
    }

    /// Reads the next marker segment and takes its tables in.
    pub(super) fn next(&mut self) -> Result<Segment<'a>, JpegError> {
        if self.byte()? != 0xFF {
            return Err(JpegError::Malformed("no marker where one must be"));
        }
        let mut marker = self.byte()?;
        while marker == 0xFF {
            marker = self.byte()?;
        }
        match marker {
            0xD9 => return self.end(),
            0x00 | 0x01 | 0xD0..=0xD8 => return Err(JpegError::Malformed("marker out of place")),
            _ => {}
        }
        let payload = self.payload()?;
        match marker {
            0xDB => self.quantiser(payload).map(|()| Segment::Keep(marker, payload)),
            0xC4 => self.huffman(payload).map(|()| Segment::Dropped),
            0xC0 | 0xC1 if self.process == Process::Sequential => {
                self.frame(marker, payload).map(|()| Segment::Keep(marker, payload))
            }
            0xC2 if self.process == Process::Progressive => {
                self.frame(marker, payload).map(|()| Segment::Keep(marker, payload))
            }
            0xC3 if self.process == Process::Lossless => {
                self.frame(marker, payload).map(|()| Segment::Keep(marker, payload))
            }
            0xC0..=0xCF => Err(JpegError::Unsupported("another process than that of the transfer syntax")),
            0xDD => {
                let interval = payload.try_into().map_err(|_| JpegError::Malformed("DRI"))?;
                self.restart_interval = u32::from(u16::from_be_bytes(interval));
                Ok(Segment::Keep(marker, payload))
            }
            0xDA => self.scan(payload).map(Segment::Scan),
            0xDC => Err(JpegError::Unsupported("DNL")),
            0xE0 => {
                self.jfif |= payload.starts_with(b"JFIF\0");
                Ok(Segment::Dropped)
            }
            // A shorter one is none to any decoder.
            0xEE if payload.starts_with(b"Adobe") && payload.len() >= 12 => {
                let transform = payload[11];
                if transform > 2 || self.adobe.is_some_and(|earlier| earlier != transform) {
                    return Err(JpegError::Malformed("Adobe segment"));
                }
                self.adobe = Some(transform);
                Ok(Segment::Adobe(transform))
            }
            0xE0..=0xEF | 0xFE => Ok(Segment::Dropped),
            _ => Err(JpegError::Unsupported("marker")),
        }
    }

    fn end(&self) -> Result<Segment<'a>, JpegError> {
        let components = self.frame.as_ref().map_or(usize::MAX, |f| f.components.len());
        if self.seen.iter().filter(|&&s| s).count() != components {
            return Err(JpegError::Malformed("a component has no scan"));
        }
        Ok(Segment::End)
    }

    fn quantiser(&mut self, mut payload: &[u8]) -> Result<(), JpegError> {
        const BAD: JpegError = JpegError::Malformed("DQT");
        while let Some((&head, rest)) = payload.split_first() {
            let (wide, index) = (head >> 4, usize::from(head & 15));
            let width = match wide {
                0 => 64,
                1 => 128,
                _ => return Err(BAD),
            };
            let values = rest.get(..width).ok_or(BAD)?;
            payload = &rest[width..];
            let table = self.quantisers.get_mut(index).ok_or(BAD)?;
            let read = |i: usize| match wide {
                0 => u16::from(values[i]),
                _ => u16::from_be_bytes([values[2 * i], values[2 * i + 1]]),
            };
            let new: [u16; 64] = std::array::from_fn(read);
            if new.contains(&0) {
                return Err(BAD);
            }
            *table = Some(new);
        }
        Ok(())
    }

    fn huffman(&mut self, mut payload: &[u8]) -> Result<(), JpegError> {
        const BAD: JpegError = JpegError::Malformed("DHT");
        while let Some((&head, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(BAD)?;
            let total = counts.iter().map(|&n| usize::from(n)).sum();
            let symbols = rest.get(..total).ok_or(BAD)?;
            payload = &rest[total..];
            let class = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(BAD),
            };
            *class.get_mut(usize::from(head & 15)).ok_or(BAD)? = Some(Table::new(*counts, symbols)?);
        }
        Ok(())
    }

    fn frame(&mut self, marker: u8, payload: &[u8]) -> Result<(), JpegError> {
        const BAD: JpegError = JpegError::Malformed("SOF");
        if self.frame.is_some() {
            return Err(JpegError::Malformed("second frame"));
        }
        let (&[precision, r1, r0, c1, c0, count], rest) = payload.split_first_chunk::<6>().ok_or(BAD)?;
        let known = match marker {
            0xC0 => precision == 8,
            0xC1 | 0xC2 => precision == 8 || precision == 12,
            _ => (2..=16).contains(&precision),
        };
        if !known {
            return Err(JpegError::Unsupported("sample precision"));
        }
        if count != 1 && count != 3 {
            return Err(JpegError::Unsupported("number of components"));
        }
        if rest.len() != 3 * usize::from(count) {
            return Err(BAD);
        }
        let mut components = Vec::with_capacity(3);
        for spec in rest.chunks_exact(3) {
            let (h, v) = (u32::from(spec[1] >> 4), u32::from(spec[1] & 15));
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || spec[2] > 3 {
                return Err(BAD);
            }
            if components.iter().any(|c: &Component| c.id == spec[0]) {
                return Err(BAD);
            }
            components.push(Component { id: spec[0], h, v, quantiser: usize::from(spec[2]) });
        }
        if let [only] = &mut components[..] {
            // A.2.2: a scan of one component is not interleaved, whatever the factors say.
            (only.h, only.v) = (1, 1);
        }
        let rows = u16::from_be_bytes([r1, r0]);
        let columns = u16::from_be_bytes([c1, c0]);
        if rows == 0 || columns == 0 {
            return Err(JpegError::Unsupported("no rows or columns"));
        }
        let h_max = components.iter().map(|c| c.h).max().unwrap_or(1);
        let v_max = components.iter().map(|c| c.v).max().unwrap_or(1);
        self.frame = Some(Frame { precision, rows, columns, components, h_max, v_max });
        Ok(())
    }

    fn scan(&mut self, payload: &[u8]) -> Result<Vec<ScanComponent>, JpegError> {
        const BAD: JpegError = JpegError::Malformed("SOS");
        let frame = self.frame.as_ref().ok_or(BAD)?;
        let (&count, rest) = payload.split_first().ok_or(BAD)?;
        let count = usize::from(count);
        // Spectral selection and approximation mean nothing in a sequential process; some encoders write zeros.
        let parameters = rest.get(2 * count..).and_then(|p| <[u8; 3]>::try_from(p).ok()).ok_or(BAD)?;
        if self.process == Process::Sequential && !matches!(parameters, [0, 63 | 0, 0]) {
            return Err(BAD);
        }
        let progressive = self.process == Process::Progressive;
        // G.1.1.1: DC coefficients and AC coefficients have scans of their own.
        let band = |[from, to, bits]: [u8; 3]| {
            (from == 0) == (to == 0) && from <= to && to < 64 && bits >> 4 <= 13 && bits & 15 <= 13
        };
        if progressive && !(band(parameters) && (parameters[0] == 0 || count == 1)) {
            return Err(BAD);
        }
        self.scan_parameters = parameters;
        let mut scan = Vec::with_capacity(3);
        for pair in rest[..2 * count].chunks_exact(2) {
            let index = frame.components.iter().position(|c| c.id == pair[0]).ok_or(BAD)?;
            // B.2.3: scan components follow the order of the frame; each component is coded once, progressively more often.
            if std::mem::replace(&mut self.seen[index], true) && !progressive
                || scan.last().is_some_and(|last: &ScanComponent| last.index > index)
            {
                return Err(BAD);
            }
            let (dc, ac) = (usize::from(pair[1] >> 4), usize::from(pair[1] & 15));
            if dc > 3 || ac > 3 {
                return Err(BAD);
            }
            scan.push(ScanComponent { index, dc, ac });
        }
        let units: u32 = scan.iter().map(|s| frame.components[s.index].h * frame.components[s.index].v).sum();
        if scan.is_empty() || scan.len() > 1 && units > 10 {
            return Err(BAD);
        }
        Ok(scan)
    }
}
