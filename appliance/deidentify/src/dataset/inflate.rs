//! Deflated data sets (PS3.5 A.5), inflated into memory within bounds.

use std::io::{self, Read};

use flate2::bufread::DeflateDecoder;

use super::error::{Fault, Limit, ReadError};
use super::{Limits, Source};

/// Inflated bytes per deflated byte that no data set with pixels reaches, once past [`RATIO_FLOOR_BYTES`].
const MAX_RATIO: u64 = 200;
/// Below this size the ratio is not looked at: empty images deflate well.
const RATIO_FLOOR_BYTES: u64 = 64 << 20;

/// Inflates everything from `start` to the end of `source`.
pub(super) fn inflate(source: &dyn Source, start: u64, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let deflated = source.len().saturating_sub(start);
    let bound = limits.inflated_bytes.min(deflated.saturating_mul(MAX_RATIO).max(RATIO_FLOOR_BYTES));
    let input = io::BufReader::with_capacity(64 << 10, Sequential { source, at: start });
    let mut out = Vec::new();
    let taken = DeflateDecoder::new(input).take(bound.saturating_add(1)).read_to_end(&mut out);
    match taken {
        Ok(_) if out.len() as u64 > bound => Err(ReadError::Limit(Limit::Inflated)),
        Ok(_) => Ok(out),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Err(ReadError::Malformed { offset: start, what: Fault::Deflate })
        }
        Err(e) => Err(e.into()),
    }
}

/// A source read from front to back.
pub(crate) struct Sequential<'s> {
    pub(crate) source: &'s dyn Source,
    pub(crate) at: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len().saturating_sub(self.at);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_exact_at(&mut buf[..take], self.at)?;
        self.at += take as u64;
        Ok(take)
    }
}
