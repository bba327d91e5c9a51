//! The item on disk: written by [`header`], body and [`trailer`], read back and checked by [`read_item`].

use std::io;

use nix::errno::Errno;

use crate::error::{SpoolError, errno};

/// Longest record metadata, bytes.
pub const MAX_META_BYTES: usize = 64 * 1024;

const MAGIC: &[u8; 8] = b"GIFTitm1";
const END_MAGIC: &[u8; 8] = b"1mtiTFIG";
const HEADER_BYTES: usize = MAGIC.len() + 4;
const TRAILER_BYTES: usize = 8 + 4 + END_MAGIC.len();
/// Piece in which a body is copied.
const COPY_BYTES: usize = 128 * 1024;

/// Bytes an item takes beyond its metadata and body.
pub(crate) const OVERHEAD_BYTES: u64 = (HEADER_BYTES + TRAILER_BYTES) as u64;

/// Magic, length of the metadata, metadata; `None` when the metadata is too long.
pub(crate) fn header(meta: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(meta.len()).ok().filter(|_| meta.len() <= MAX_META_BYTES)?;
    Some([MAGIC.as_slice(), &len.to_le_bytes(), meta].concat())
}

/// The trailer, given the checksum of everything written so far.
pub(crate) fn trailer(body_len: u64, crc_so_far: u32) -> [u8; TRAILER_BYTES] {
    let len = body_len.to_le_bytes();
    let crc = crc32c::crc32c_append(crc_so_far, &len).to_le_bytes();
    let mut out = [0; TRAILER_BYTES];
    out[..8].copy_from_slice(&len);
    out[8..12].copy_from_slice(&crc);
    out[12..].copy_from_slice(END_MAGIC);
    out
}

/// Reads an item of `len` bytes once, front to back, passing its body to `sink`; returns metadata and length of the body.
///
/// Trusts nothing but the bytes it read itself: a writer that still changes the file only spoils its own item.
///
/// # Errors
/// [`SpoolError::Damaged`] when the bytes are no whole item or the medium cannot give them; the sink's own error.
pub(crate) fn read_item(
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    len: u64,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(Vec<u8>, u64), SpoolError> {
    let mut fill = |buffer: &mut [u8]| fill(&mut read, buffer);
    let mut head = [0_u8; HEADER_BYTES];
    let after_head = len.checked_sub(OVERHEAD_BYTES).ok_or(SpoolError::Damaged)?;
    fill(&mut head)?;
    let meta_len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
    let body_len = after_head.checked_sub(meta_len.into()).ok_or(SpoolError::Damaged)?;
    if &head[..8] != MAGIC || meta_len as usize > MAX_META_BYTES {
        return Err(SpoolError::Damaged);
    }
    let mut meta = vec![0_u8; meta_len as usize];
    fill(&mut meta)?;
    let mut crc = crc32c::crc32c_append(crc32c::crc32c(&head), &meta);

    let mut piece = vec![0_u8; usize::try_from(body_len).map_or(COPY_BYTES, |n| n.min(COPY_BYTES))];
    let mut left = body_len;
    while left > 0 {
        let n = usize::try_from(left).map_or(piece.len(), |n| n.min(piece.len()));
        fill(&mut piece[..n])?;
        crc = crc32c::crc32c_append(crc, &piece[..n]);
        sink(&piece[..n])?;
        left -= n as u64;
    }
    let mut found = [0_u8; TRAILER_BYTES];
    fill(&mut found)?;
    if found != trailer(body_len, crc) {
        return Err(SpoolError::Damaged);
    }
    Ok((meta, body_len))
}

/// Fills `buffer`; a short item or an unreadable sector means damage, anything else is the store's failure.
fn fill(read: &mut impl FnMut(&mut [u8]) -> io::Result<usize>, mut buffer: &mut [u8]) -> Result<(), SpoolError> {
    while !buffer.is_empty() {
        match read(buffer) {
            Ok(0) => return Err(SpoolError::Damaged),
            Ok(n) => buffer = &mut buffer[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if matches!(errno(&e), Some(Errno::EIO | Errno::EBADMSG | Errno::EUCLEAN)) => {
                return Err(SpoolError::Damaged);
            }
            Err(e) => return Err(SpoolError::Store(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(meta: &[u8], body: &[u8]) -> Vec<u8> {
        let mut bytes = header(meta).unwrap();
        bytes.extend_from_slice(body);
        let end = trailer(body.len() as u64, crc32c::crc32c(&bytes));
        bytes.extend_from_slice(&end);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SpoolError> {
        let mut rest = bytes;
        let mut body = Vec::new();
        let read = |into: &mut [u8]| io::Read::read(&mut rest, into);
        let (meta, len) = read_item(read, bytes.len() as u64, |piece| {
            body.extend_from_slice(piece);
            Ok(())
        })?;
        assert_eq!(len, body.len() as u64);
        Ok((meta, body))
    }

    #[test]
    fn the_layout_is_pinned() {
        let bytes = item(b"{}", b"abc");
        assert_eq!(&bytes[..14], b"GIFTitm1\x02\0\0\0{}");
        assert_eq!(&bytes[14..25], b"abc\x03\0\0\0\0\0\0\0");
        assert_eq!(bytes[25..29], crc32c::crc32c(&bytes[..25]).to_le_bytes());
        assert_eq!(&bytes[29..], b"1mtiTFIG");
        assert!(header(&vec![0; MAX_META_BYTES + 1]).is_none());
    }

    proptest! {
        #[test]
        fn a_whole_item_reads_back_and_any_change_is_damage(
            meta in proptest::collection::vec(any::<u8>(), 0..300),
            body in proptest::collection::vec(any::<u8>(), 0..2000),
            at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<prop::sample::Index>(),
        ) {
            let whole = item(&meta, &body);
            prop_assert_eq!(parse(&whole).unwrap(), (meta, body));
            let mut flipped = whole.clone();
            flipped[at.index(whole.len())] ^= 1 << bit;
            prop_assert!(matches!(parse(&flipped), Err(SpoolError::Damaged)));
            prop_assert!(matches!(parse(&whole[..cut.index(whole.len())]), Err(SpoolError::Damaged)));
        }
    }
}
