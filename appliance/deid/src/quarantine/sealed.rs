//! A held object on disk: encrypted with a key of its own, which deid's credential wraps.
//!
//! # On-disk format
//!
//! ```text
//!  "GIFTHELD" │ u16 format = 1 │ u16 0 │ u32 key version │ u32 chunk bytes │ 24 wrap nonce │ 7 stream nonce │ 1 0
//!  48 object key, wrapped: XChaCha20-Poly1305(wrap key, wrap nonce, object key; associated: all above, item id)
//!  chunks: ChaCha20-Poly1305 STREAM (BE32) under the object key, 64 KiB + 16 each, the last one shorter and marked
//! ```
//!
//! Integers are little-endian. What the chunks carry is `u32 length of meta │ meta (JSON) │ the object`. A changed,
//! missing, reordered or foreign chunk, a cut file, another item's name or another credential make opening fail. Nothing
//! that was opened counts before the last chunk did.

use std::io::{self, Read, Write};

use aead_stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use zeroize::Zeroizing;

use crate::key::KEY_BYTES;

const MAGIC: &[u8; 8] = b"GIFTHELD";
const FORMAT: u16 = 1;
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// Everything before the wrapped key.
const FIXED_BYTES: usize = 8 + 2 + 2 + 4 + 4 + 24 + 7 + 1;
const HEADER_BYTES: usize = FIXED_BYTES + KEY_BYTES + TAG_BYTES;
/// Largest meta, bytes.
const MAX_META_BYTES: usize = 256 * 1024;

/// Why a held object could not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The disk's.
    #[error("held object: {0}")]
    Io(#[from] io::Error),
    /// Not a held object, of another credential, or changed since it was written.
    #[error("held object does not open")]
    Damaged,
    /// The system has no randomness, or a length is out of range.
    #[error("held object cannot be sealed")]
    Seal,
}

/// The key that wraps object keys.
pub struct WrapKey {
    version: u32,
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl std::fmt::Debug for WrapKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WrapKey(version {})", self.version)
    }
}

impl WrapKey {
    /// The wrap key of a credential of `version`.
    pub fn new(version: u32, key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self { version, key }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

/// Seals `meta` and all of `object` into `to`. `item` is the name it is kept under.
///
/// # Errors
/// [`SealError::Io`] and [`SealError::Seal`].
pub fn seal(
    wrap: &WrapKey,
    item: &str,
    meta: &[u8],
    object: &mut dyn Read,
    to: &mut dyn Write,
) -> Result<(), SealError> {
    if meta.len() > MAX_META_BYTES {
        return Err(SealError::Seal);
    }
    let mut object_key = Zeroizing::new([0; KEY_BYTES]);
    let mut nonces = [0; 24 + 7];
    getrandom::fill(object_key.as_mut_slice()).map_err(|_| SealError::Seal)?;
    getrandom::fill(&mut nonces).map_err(|_| SealError::Seal)?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&[0; 2]);
    header.extend_from_slice(&wrap.version.to_le_bytes());
    header.extend_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
    header.extend_from_slice(&nonces);
    header.push(0);
    let (wrap_nonce, stream_nonce) = split_nonces(&nonces)?;
    let associated = [&header, item.as_bytes()].concat();
    let wrapped = wrap
        .cipher()
        .encrypt(&wrap_nonce, Payload { msg: object_key.as_slice(), aad: &associated })
        .map_err(|_| SealError::Seal)?;
    header.extend_from_slice(&wrapped);
    to.write_all(&header)?;

    let meta_length = u32::try_from(meta.len()).map_err(|_| SealError::Seal)?.to_le_bytes();
    let mut plain = Read::chain(Read::chain(meta_length.as_slice(), meta), object);
    let mut stream = EncryptorBE32::<ChaCha20Poly1305>::new((&*object_key).into(), &stream_nonce.into());
    // One chunk is read ahead, so that the last one is known when it is sealed.
    let mut chunk = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let mut ahead = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let mut filled = fill(&mut plain, &mut chunk)?;
    loop {
        let next = if filled == CHUNK_BYTES { fill(&mut plain, &mut ahead)? } else { 0 };
        let bytes = chunk.get(..filled).ok_or(SealError::Seal)?;
        if next == 0 {
            to.write_all(&stream.encrypt_last(bytes).map_err(|_| SealError::Seal)?)?;
            return Ok(());
        }
        to.write_all(&stream.encrypt_next(bytes).map_err(|_| SealError::Seal)?)?;
        std::mem::swap(&mut chunk, &mut ahead);
        filled = next;
    }
}

/// Opens what [`seal`] wrote: writes the object to `object`, returns the meta. On error `object` holds an unusable part.
///
/// # Errors
/// [`SealError::Damaged`], [`SealError::Io`].
pub fn open(
    wrap: &WrapKey,
    item: &str,
    from: &mut dyn Read,
    object: &mut dyn Write,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut header = [0; HEADER_BYTES];
    // What cannot be read any more (a bad sector) is as damaged as what was changed; the object alone is concerned.
    let mut fill = |buffer: &mut [u8]| fill(from, buffer).map_err(|_| SealError::Damaged);
    if fill(&mut header)? < HEADER_BYTES {
        return Err(SealError::Damaged);
    }
    let (fixed, wrapped) = header.split_at(FIXED_BYTES);
    let expected = [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &[0; 2], &wrap.version.to_le_bytes()].concat();
    let nonces = fixed
        .strip_prefix(expected.as_slice())
        .and_then(|rest| rest.strip_prefix((CHUNK_BYTES as u32).to_le_bytes().as_slice()))
        .ok_or(SealError::Damaged)?;
    let (wrap_nonce, stream_nonce) = split_nonces(nonces)?;
    let associated = [fixed, item.as_bytes()].concat();
    let object_key = wrap
        .cipher()
        .decrypt(&wrap_nonce, Payload { msg: wrapped, aad: &associated })
        .map(Zeroizing::new)
        .map_err(|_| SealError::Damaged)?;
    let object_key: &[u8; KEY_BYTES] = object_key.as_slice().try_into().map_err(|_| SealError::Damaged)?;

    let mut stream = DecryptorBE32::<ChaCha20Poly1305>::new(object_key.into(), &stream_nonce.into());
    let mut splitter = Splitter { meta: Zeroizing::new(Vec::new()), length: None, object };
    let (mut chunk, mut ahead) = (vec![0; CHUNK_BYTES + TAG_BYTES], vec![0; CHUNK_BYTES + TAG_BYTES]);
    let mut filled = fill(&mut chunk)?;
    loop {
        let next = if filled == chunk.len() { fill(&mut ahead)? } else { 0 };
        let bytes = chunk.get(..filled).ok_or(SealError::Damaged)?;
        if next == 0 {
            let plain = stream.decrypt_last(bytes).map(Zeroizing::new).map_err(|_| SealError::Damaged)?;
            splitter.take(&plain)?;
            return splitter.finish();
        }
        let plain = stream.decrypt_next(bytes).map(Zeroizing::new).map_err(|_| SealError::Damaged)?;
        splitter.take(&plain)?;
        std::mem::swap(&mut chunk, &mut ahead);
        filled = next;
    }
}

/// Sends the first part of the opened bytes to the meta, the rest to the object.
struct Splitter<'a> {
    meta: Zeroizing<Vec<u8>>,
    /// Length of the meta, once its four bytes are there.
    length: Option<usize>,
    object: &'a mut dyn Write,
}

impl Splitter<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        if self.length.is_none() {
            // The first chunk is never shorter than the length field: it is full, or it is all there is.
            let (length, rest) = bytes.split_first_chunk::<4>().ok_or(SealError::Damaged)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| SealError::Damaged)?;
            if length > MAX_META_BYTES {
                return Err(SealError::Damaged);
            }
            self.length = Some(length);
            self.meta.reserve_exact(length);
            bytes = rest;
        }
        let missing = self.length.unwrap_or_default().saturating_sub(self.meta.len()).min(bytes.len());
        let (meta, object) = bytes.split_at(missing);
        self.meta.extend_from_slice(meta);
        Ok(self.object.write_all(object)?)
    }

    fn finish(self) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if self.length == Some(self.meta.len()) { Ok(self.meta) } else { Err(SealError::Damaged) }
    }
}

fn split_nonces(nonces: &[u8]) -> Result<(XNonce, [u8; 7]), SealError> {
    let (wrap, rest) = nonces.split_first_chunk::<24>().ok_or(SealError::Damaged)?;
    let stream = rest.first_chunk::<7>().ok_or(SealError::Damaged)?;
    Ok(((*wrap).into(), *stream))
}

/// Reads until `buffer` is full or the end; returns the bytes read.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = "00112233445566778899aabbccddeeff";
    const META: &[u8] = b"{\"calling_ae\":\"WARD7\"}";

    fn key(byte: u8) -> WrapKey {
        WrapKey::new(3, Zeroizing::new([byte; 32]))
    }

    fn sealed(object: &[u8]) -> Vec<u8> {
        let mut to = Vec::new();
        seal(&key(1), ITEM, META, &mut &*object, &mut to).unwrap();
        to
    }

    fn opened(wrap: &WrapKey, item: &str, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealError> {
        let mut object = Vec::new();
        let meta = open(wrap, item, &mut &*bytes, &mut object)?;
        Ok((meta.to_vec(), object))
    }

    fn patterned(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn what_was_sealed_opens_at_every_chunk_border() {
        let first = CHUNK_BYTES - 4 - META.len();
        for length in [0, 1, first - 1, first, first + 1, first + CHUNK_BYTES, first + CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
        {
            let object = patterned(length);
            let (meta, back) = opened(&key(1), ITEM, &sealed(&object)).unwrap();
            assert!(meta == META && back == object, "{length}");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let bytes = sealed(&patterned(CHUNK_BYTES + 100));
        let positions =
            (0..HEADER_BYTES + 40).chain((HEADER_BYTES + 40..bytes.len()).step_by(997)).chain([bytes.len() - 1]);
        for position in positions {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(matches!(opened(&key(1), ITEM, &changed), Err(SealError::Damaged)), "bit at {position}");
            assert!(matches!(opened(&key(1), ITEM, &bytes[..position]), Err(SealError::Damaged)), "cut at {position}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(opened(&key(1), ITEM, &longer).is_err());
    }

    #[test]
    fn chunks_cannot_be_reordered_dropped_repeated_or_taken_from_another_object() {
        let chunk = CHUNK_BYTES + TAG_BYTES;
        let bytes = sealed(&patterned(4 * CHUNK_BYTES));
        let (header, body) = bytes.split_at(HEADER_BYTES);
        let chunks: Vec<&[u8]> = body.chunks(chunk).collect();
        let with = |order: &[usize]| {
            let body: Vec<&[u8]> = order.iter().map(|&i| chunks[i]).collect();
            [header, &body.concat()].concat()
        };
        assert!(opened(&key(1), ITEM, &with(&[0, 1, 2, 3, 4])).is_ok());
        for order in [&[1, 0, 2, 3, 4][..], &[0, 1, 3, 4], &[0, 1, 1, 2, 3, 4], &[0, 1, 2, 3], &[0, 1, 2, 4], &[4]] {
            assert!(opened(&key(1), ITEM, &with(order)).is_err(), "{order:?}");
        }
        let other = sealed(&patterned(4 * CHUNK_BYTES));
        let mixed = [header, &other[HEADER_BYTES..]].concat();
        assert!(opened(&key(1), ITEM, &mixed).is_err());
    }

    #[test]
    fn another_key_another_version_or_another_name_do_not_open_it() {
        let bytes = sealed(b"Doe^Jane");
        assert!(opened(&key(2), ITEM, &bytes).is_err());
        assert!(opened(&WrapKey::new(4, Zeroizing::new([1; 32])), ITEM, &bytes).is_err());
        assert!(opened(&key(1), &ITEM.replace('0', "1"), &bytes).is_err());
    }

    #[test]
    fn the_raw_bytes_hold_nothing_of_the_object_and_never_repeat() {
        let object = b"Doe^Jane 943 476 5919 ".repeat(10_000);
        let bytes = sealed(&object);
        for secret in [b"Doe^Jane".as_slice(), b"943 476", b"WARD7"] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
        assert_ne!(bytes[FIXED_BYTES..], sealed(&object)[FIXED_BYTES..], "fresh key and nonces each time");
    }
}
