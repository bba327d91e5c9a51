//! What uplink and signer say to each other: one request and one answer a connection, both closed lists of small frames.
//!
//! ```text
//! frame    version (1 byte: 1) | kind (1 byte) | length of the body (2 bytes, big endian) | body
//! request  1  public key          no body
//!          2  sign                SHA-256 digest, 32 bytes
//! answer   129  public key        SubjectPublicKeyInfo (RFC 5480), DER, 91 bytes
//!          130  signature         Ecdsa-Sig-Value (RFC 3279), DER, 8 to 72 bytes
//!          255  failure           1 byte, see `Failure`
//! ```
//! Starts nothing and logs nothing; bytes come from and go to what the caller gives.

use std::io::{self, Read, Write};

/// Version of the frames, their first byte.
const VERSION: u8 = 1;
/// Version, kind, length of the body.
const HEAD_BYTES: usize = 4;
/// Longest body there is: a public key.
const MAX_BODY_BYTES: usize = SPKI_BYTES;
/// A SHA-256 digest.
pub const DIGEST_BYTES: usize = 32;
/// SubjectPublicKeyInfo of a P-256 key with an uncompressed point.
const SPKI_BYTES: usize = SPKI_PREFIX.len() + POINT_BYTES;
/// 0x04 and two coordinates (SEC 1, 2.3.3).
const POINT_BYTES: usize = 65;
/// What stands before the point: id-ecPublicKey, secp256r1, BIT STRING (RFC 5480).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Shortest and longest Ecdsa-Sig-Value of a P-256 key.
const SIGNATURE_BYTES: std::ops::RangeInclusive<usize> = 8..=72;

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It did not come, or not whole.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no frame of this version that is expected here.
    #[error("no frame of this protocol")]
    Form,
}

/// What the uplink may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The public half of the device key, which is made on the first request.
    PublicKey,
    /// The device key's signature of this digest.
    Sign([u8; DIGEST_BYTES]),
}

/// What the signer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The public half of the device key.
    PublicKey(PublicKeyInfo),
    /// An ECDSA signature, DER.
    Signature(Vec<u8>),
    /// Neither.
    Failed(Failure),
}

/// Why there is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Failure {
    /// The request is no request.
    #[error("the request is none")]
    Request = 1,
    /// The stored key is damaged, or another TPM's. It is never replaced.
    #[error("the stored device key is damaged or another TPM's")]
    Key = 2,
    /// The TPM is not there or does not do it.
    #[error("the TPM fails")]
    Tpm = 3,
    /// The disk failed.
    #[error("the signer's store fails")]
    Store = 4,
}

impl Failure {
    const ALL: [Self; 4] = [Self::Request, Self::Key, Self::Tpm, Self::Store];
}

/// SubjectPublicKeyInfo of a P-256 key, DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKeyInfo([u8; SPKI_BYTES]);

impl PublicKeyInfo {
    /// Of the point with these coordinates, big endian; a TPM may leave their leading zeros out. `None` when one is longer
    /// than 32 bytes.
    pub fn of_point(x: &[u8], y: &[u8]) -> Option<Self> {
        let mut der = [0; SPKI_BYTES];
        let (prefix, point) = der.split_at_mut(SPKI_PREFIX.len());
        prefix.copy_from_slice(&SPKI_PREFIX);
        let (form, coordinates) = point.split_first_mut()?;
        *form = 4;
        let (x_room, y_room) = coordinates.split_at_mut(POINT_BYTES / 2);
        for (room, coordinate) in [(x_room, x), (y_room, y)] {
            let at = room.len().checked_sub(coordinate.len())?;
            room.get_mut(at..)?.copy_from_slice(coordinate);
        }
        Some(Self(der))
    }

    /// The DER text when it is that of a P-256 key. Whether the point is on the curve, its user finds out.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let der: [u8; SPKI_BYTES] = der.try_into().ok()?;
        (der.starts_with(&SPKI_PREFIX) && der.get(SPKI_PREFIX.len()) == Some(&4)).then_some(Self(der))
    }

    /// The whole, DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// The uncompressed point, 65 bytes.
    pub fn point(&self) -> &[u8] {
        self.0.get(SPKI_PREFIX.len()..).unwrap_or_default()
    }
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(from: &mut impl Read) -> Result<Self, ReadError> {
        match read_frame(from)? {
            (1, body) if body.is_empty() => Ok(Self::PublicKey),
            (2, body) => Ok(Self::Sign(body.try_into().map_err(|_| ReadError::Form)?)),
            _ => Err(ReadError::Form),
        }
    }

    /// Writes the request.
    ///
    /// # Errors
    /// The stream's.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::PublicKey => write_frame(to, 1, &[]),
            Self::Sign(digest) => write_frame(to, 2, digest),
        }
    }
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(from: &mut impl Read) -> Result<Self, ReadError> {
        match read_frame(from)? {
            (129, body) => PublicKeyInfo::parse(&body).map(Self::PublicKey).ok_or(ReadError::Form),
            (130, body) if SIGNATURE_BYTES.contains(&body.len()) => Ok(Self::Signature(body)),
            (255, body) => {
                let failure = Failure::ALL.into_iter().find(|failure| body == [*failure as u8]);
                failure.map(Self::Failed).ok_or(ReadError::Form)
            }
            _ => Err(ReadError::Form),
        }
    }

    /// Writes the answer.
    ///
    /// # Errors
    /// The stream's.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::PublicKey(key) => write_frame(to, 129, key.der()),
            Self::Signature(signature) => write_frame(to, 130, signature),
            Self::Failed(failure) => write_frame(to, 255, &[*failure as u8]),
        }
    }
}

fn read_frame(from: &mut impl Read) -> Result<(u8, Vec<u8>), ReadError> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head)?;
    let [version, kind, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    // Before a byte of the body is read or room made for it.
    if version != VERSION || length > MAX_BODY_BYTES {
        return Err(ReadError::Form);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok((kind, body))
}

fn write_frame(to: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u16::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let [high, low] = length.to_be_bytes();
    let mut frame = vec![VERSION, kind, high, low];
    frame.extend_from_slice(body);
    to.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_key() -> PublicKeyInfo {
        PublicKeyInfo::of_point(&[7; 31], &[9; 32]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for request in [Request::PublicKey, Request::Sign([5; 32])] {
            let mut bytes = Vec::new();
            request.write(&mut bytes).unwrap();
            assert_eq!(Request::read(&mut bytes.as_slice()).unwrap(), request);
        }
        let answers = [Answer::PublicKey(public_key()), Answer::Signature(vec![0x30; 72])];
        for answer in answers.into_iter().chain(Failure::ALL.map(Answer::Failed)) {
            let mut bytes = Vec::new();
            answer.write(&mut bytes).unwrap();
            assert_eq!(Answer::read(&mut bytes.as_slice()).unwrap(), answer);
        }
    }

    #[test]
    fn nothing_else_is_a_request_or_an_answer() {
        for frame in [
            &[2, 1, 0, 0][..],        // another version
            &[1, 3, 0, 0],            // no such request
            &[1, 1, 0, 1, 0],         // a body where there is none
            &[1, 2, 0, 3, 1, 2, 3],   // a short digest
            &[1, 2, 0xff, 0xff],      // too long, and it never comes
            &[1, 129, 0, 1, 4],       // no key
            &[1, 130, 0, 2, 0x30, 0], // no signature
            &[1, 255, 0, 1, 0],       // no such failure
            &[1, 255, 0, 2, 1, 1],    // two failures
        ] {
            assert!(matches!(Request::read(&mut &frame[..]), Err(ReadError::Form)), "{frame:?}");
            assert!(matches!(Answer::read(&mut &frame[..]), Err(ReadError::Form)), "{frame:?}");
        }
        for cut in 0..4 {
            assert!(matches!(Request::read(&mut &[1, 2, 0, 32][..cut]), Err(ReadError::Io(_))));
        }
    }

    #[test]
    fn a_key_is_one_of_this_curve_in_full() {
        let key = public_key();
        assert_eq!(PublicKeyInfo::parse(key.der()), Some(key));
        assert_eq!((key.point()[0], key.point()[1], key.point()[2], key.point().len()), (4, 0, 7, 65));
        let mut compressed = key.der().to_vec();
        compressed[26] = 2;
        let mut other_curve = key.der().to_vec();
        other_curve[22] = 8;
        for wrong in [&compressed[..], &other_curve, &key.der()[1..], &[]] {
            assert_eq!(PublicKeyInfo::parse(wrong), None);
        }
        assert_eq!(PublicKeyInfo::of_point(&[1; 33], &[1; 32]), None);
    }
}
