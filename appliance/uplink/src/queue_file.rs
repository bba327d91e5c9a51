//! One queued object on disk: `queue/<id>`.
//!
//! ```text
//! body (the DICOM file) | manifest (JSON) | trailer, 32 bytes, little endian:
//!     magic "GIFTQ001" | body length u64 | posted ms u64 | manifest length u32 | CRC-32C u32
//! ```
//!
//! The body stands first because it is copied in before its manifest is checked. The CRC covers manifest and trailer; the
//! body is covered by the manifest's SHA-256. A queue file thus says everything about itself: the ledger can be rebuilt
//! from the queue directory alone.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
};

use gift_wire::Manifest;
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8; 8] = b"GIFTQ001";
const TRAILER_BYTES: u64 = 32;
/// A manifest has about ten short fields; more is damage.
const MAX_MANIFEST_BYTES: u32 = 64 * 1024;
/// Bytes hashed at a time.
const HASH_CHUNK_BYTES: usize = 256 * 1024;

/// Why a queue file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueFault {
    /// It could not be read now: says nothing about the object.
    #[error("cannot read a queued object: {0}")]
    Read(#[source] io::Error),
    /// Torn, altered, or not of this form.
    #[error("damaged queued object")]
    Damaged,
}

impl From<io::Error> for QueueFault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Read(error) }
    }
}

/// What stands behind a body.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// What the box states of the object.
    pub(crate) manifest: Manifest,
    /// When the object was posted to the outbox, ms since the Unix epoch.
    pub(crate) posted_ms: u64,
}

/// Appends manifest and trailer to a `body_len` bytes long body. Does not sync.
///
/// # Errors
/// The file system's.
pub(crate) fn seal(file: &mut File, body_len: u64, sealed: &Sealed) -> io::Result<()> {
    let manifest = serde_json::to_vec(&sealed.manifest)?;
    let length = u32::try_from(manifest.len()).ok().filter(|&n| n <= MAX_MANIFEST_BYTES);
    let length = length.ok_or(io::ErrorKind::InvalidInput)?;
    let mut tail = manifest;
    tail.extend_from_slice(MAGIC);
    tail.extend_from_slice(&body_len.to_le_bytes());
    tail.extend_from_slice(&sealed.posted_ms.to_le_bytes());
    tail.extend_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&tail);
    tail.extend_from_slice(&crc.to_le_bytes());
    file.set_len(body_len)?;
    file.seek(SeekFrom::Start(body_len))?;
    file.write_all(&tail)
}

/// Reads manifest and trailer; the body is not looked at.
///
/// # Errors
/// [`QueueFault::Damaged`] when anything does not fit.
pub(crate) fn read_sealed(file: &File) -> Result<Sealed, QueueFault> {
    let total = file.metadata()?.len();
    let end = total.checked_sub(TRAILER_BYTES).ok_or(QueueFault::Damaged)?;
    let mut trailer = [0u8; 32];
    file.read_exact_at(&mut trailer, end)?;
    let u64_at = |at: usize| {
        let mut bytes = [0u8; 8];
        bytes.copy_from_slice(&trailer[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let body_len = u64_at(8);
    let lengths = u64_at(24);
    let (manifest_len, crc) = ((lengths & u64::from(u32::MAX)) as u32, (lengths >> 32) as u32);
    let fits = body_len.checked_add(u64::from(manifest_len)) == Some(end);
    if &trailer[..8] != MAGIC || manifest_len > MAX_MANIFEST_BYTES || !fits {
        return Err(QueueFault::Damaged);
    }
    let mut manifest = vec![0u8; manifest_len as usize];
    file.read_exact_at(&mut manifest, body_len)?;
    if crc32c::crc32c_append(crc32c::crc32c(&manifest), &trailer[..28]) != crc {
        return Err(QueueFault::Damaged);
    }
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| QueueFault::Damaged)?;
    if manifest.check().is_err() || manifest.size != body_len {
        return Err(QueueFault::Damaged);
    }
    Ok(Sealed { manifest, posted_ms: u64_at(16) })
}

/// Checks that the first `manifest.size` bytes of `file` are the ones the manifest states.
///
/// # Errors
/// [`QueueFault::Damaged`] when they are not.
pub(crate) fn check_body(file: &mut File, manifest: &Manifest) -> Result<(), QueueFault> {
    file.seek(SeekFrom::Start(0))?;
    let mut body = file.take(manifest.size);
    let mut hash = Sha256::new();
    let mut length = 0u64;
    let mut chunk = vec![0u8; HASH_CHUNK_BYTES];
    loop {
        let n = body.read(&mut chunk)?;
        if n == 0 {
            break;
        }
        hash.update(&chunk[..n]);
        length += n as u64;
    }
    let same = length == manifest.size && hex::encode(hash.finalize()) == manifest.sha256.as_str();
    if same { Ok(()) } else { Err(QueueFault::Damaged) }
}

#[cfg(test)]
pub(crate) mod tests {
    use gift_wire::{Certificate, ObjectId, Sha256Hex, WIRE_VERSION};

    use super::*;

    /// A manifest that is right for `body`.
    pub(crate) fn manifest_for(body: &[u8]) -> Manifest {
        Manifest {
            version: WIRE_VERSION,
            object: ObjectId::parse(&"0a".repeat(16)).unwrap(),
            sha256: Sha256Hex::parse(&hex::encode(Sha256::digest(body))).unwrap(),
            size: body.len() as u64,
            sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".into(),
            sop_instance_uid: "2.25.1".into(),
            study_instance_uid: "2.25.2".into(),
            series_instance_uid: "2.25.3".into(),
            transfer_syntax_uid: "1.2.840.10008.1.2.1".into(),
            subject: "2c".repeat(16),
            project: "fetal-surgery".into(),
            certificate: Certificate {
                input_digest: Sha256Hex::parse(&"3d".repeat(32)).unwrap(),
                profile: "gift-default-1".into(),
                key_version: 1,
                linkage: None,
                actions: [0; 6],
                template: None,
                frames_proven: 0,
                leak_patterns: 3,
                made_ms: 1,
            },
        }
    }

    fn sealed_file(body: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(body).unwrap();
        seal(&mut file, body.len() as u64, &Sealed { manifest: manifest_for(body), posted_ms: 77 }).unwrap();
        file
    }

    #[test]
    fn a_sealed_object_reads_back() {
        let body = vec![5u8; 300_000];
        let mut file = sealed_file(&body);
        let sealed = read_sealed(&file).unwrap();
        assert_eq!((sealed.manifest.clone(), sealed.posted_ms), (manifest_for(&body), 77));
        check_body(&mut file, &sealed.manifest).unwrap();
    }

    #[test]
    fn one_flipped_bit_or_one_missing_byte_anywhere_is_found() {
        let body = vec![5u8; 64];
        let whole = sealed_file(&body).metadata().unwrap().len();
        let usable = |file: &mut File| read_sealed(file).and_then(|s| check_body(file, &s.manifest)).is_ok();
        for at in 0..whole {
            let mut file = sealed_file(&body);
            let mut byte = [0u8];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            assert!(!usable(&mut file), "bit flipped in byte {at}");
            let mut file = sealed_file(&body);
            file.set_len(at).unwrap();
            assert!(!usable(&mut file), "cut to {at}");
        }
        assert!(usable(&mut sealed_file(&body)));
    }
}
