//! System updates: an image's parts become one archive, and its signed description.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Cursor, Read as _, Seek as _},
    path::Path,
};

use chrono::{Days, NaiveDate};
use gift_wire::{ImageVersion, Sha256Hex, SignedUpdate, Update, UpdateError, UpdatePart, WIRE_VERSION};
use minisign::{PError, PublicKey, SecretKeyBox};
use sha2::{Digest as _, Sha256};

use crate::files::FileError;

/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// What the kernel image's command line says the root hash by.
const ROOT_HASH: &[u8] = b"roothash=";

/// Why no update was made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateMakeError {
    /// The key file is none.
    #[error("not a signer's key: {0}")]
    Key(#[from] PError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It does not hold together.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The kernel image names no root.
    #[error("the kernel image's command line has no roothash")]
    NoRootHash,
    /// The firmware of no box would start it.
    #[error("the kernel image is not signed with this Secure Boot certificate")]
    NotSigned,
    /// The order says that there is none.
    #[error("the extension with codecs is there, but the update is to be without it")]
    Codecs,
    /// The calendar ends.
    #[error("so many days from now there is no day")]
    Days,
}

/// What an update is to be.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Directory with `gift-edge_VERSION.root.raw`, `.verity.raw`, `.efi`, and with codecs `.codecs.raw` (`cargo xtask image`).
    pub image: &'a Path,
    /// The image's version.
    pub version: &'a ImageVersion,
    /// Whether it is made with the extension with codecs.
    pub codecs: bool,
    /// The Secure Boot certificate that the boxes' firmware has, DER.
    pub boot_certificate: &'a [u8],
    /// Its serial.
    pub serial: u64,
    /// The day it is made.
    pub today: NaiveDate,
    /// For how many days boxes take it.
    pub days: u64,
}

/// Writes the archive to `archive`, and signs it with the key whose file says `key`; JSON, as it travels.
///
/// # Errors
/// [`UpdateMakeError`].
pub fn make(order: &Order<'_>, key: &str, archive: &Path) -> Result<Vec<u8>, UpdateMakeError> {
    let key = SecretKeyBox::from_string(key)?.into_unencrypted_secret_key()?;
    let of = |path: &Path| {
        let path = path.to_owned();
        move |source| FileError { path, source }
    };
    let file = |ending: &str| order.image.join(format!("gift-edge_{}.{ending}", order.version));
    let (kernel, codecs) = (file("efi"), file("codecs.raw"));
    if !order.codecs && codecs.try_exists().map_err(of(&codecs))? {
        return Err(UpdateMakeError::Codecs);
    }
    let image = fs::read(&kernel).map_err(of(&kernel))?;
    let root_hash = root_hash(&image).ok_or(UpdateMakeError::NoRootHash)?;
    if !names(certificate_table(&image).unwrap_or_default(), order.boot_certificate) {
        return Err(UpdateMakeError::NotSigned);
    }
    drop(image);
    let out = File::create_new(archive).map_err(of(archive))?;
    let (mut out, mut whole) = (BufWriter::with_capacity(PIECE, out), Sha256::new());
    let mut part = |path: &Path| append(path, &mut out, &mut whole).map_err(of(path));
    let (root, verity) = (part(&file("root.raw"))?, part(&file("verity.raw"))?);
    let codecs = if order.codecs { Some(part(&codecs)?) } else { None };
    let kernel = part(&kernel)?;
    let out = out.into_inner().map_err(io::IntoInnerError::into_error).map_err(of(archive))?;
    out.sync_all().map_err(of(archive))?;
    let update = Update {
        version: WIRE_VERSION,
        serial: order.serial,
        image: order.version.clone(),
        created: order.today.to_string(),
        expires: order.today.checked_add_days(Days::new(order.days)).ok_or(UpdateMakeError::Days)?.to_string(),
        root_hash,
        root,
        verity,
        codecs,
        kernel,
        archive: digest(whole)?,
    };
    update.check()?;
    let mut signed = SignedUpdate {
        update: serde_json::to_string(&update).map_err(|_| UpdateError::Form)?,
        signature: String::new(),
    };
    let comment = format!("gift update serial {} of {}", update.serial, update.created);
    let public = PublicKey::from_secret_key(&key)?;
    let document = Cursor::new(signed.signed_bytes());
    signed.signature = minisign::sign(Some(&public), &key, document, Some(&comment), None)?.into_string();
    Ok(serde_json::to_vec(&signed).map_err(|_| UpdateError::Form)?)
}

/// Where a PE32+ image has its signatures (*Microsoft PE format*, attribute certificate table: entry 4 of the data directories, an offset in the
/// file and a length).
fn certificate_table(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = image.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    // PE signature and file header, then the optional header to its data directories.
    let entry = word(0x3C)?.checked_add(24 + 112 + 4 * 8)?;
    let start = word(entry)?;
    image.get(start..start.checked_add(word(entry + 4)?)?)
}

/// Whether signatures come with this certificate. They are not verified here (the firmware does that): it is the key of another build, or none,
/// that would leave every box in its firmware's screen.
fn names(signatures: &[u8], certificate: &[u8]) -> bool {
    !certificate.is_empty() && signatures.windows(certificate.len()).any(|window| window == certificate)
}

/// The root hash that a kernel image demands.
fn root_hash(kernel: &[u8]) -> Option<Sha256Hex> {
    let at = kernel.windows(ROOT_HASH.len()).position(|window| window == ROOT_HASH)? + ROOT_HASH.len();
    let hash = std::str::from_utf8(kernel.get(at..at + 64)?).ok()?;
    Sha256Hex::parse(hash)
}

fn digest(digest: Sha256) -> Result<Sha256Hex, UpdateError> {
    Sha256Hex::parse(&hex::encode(digest.finalize())).ok_or(UpdateError::Form)
}

/// Appends a file without the zeros at its end.
fn append(path: &Path, out: &mut impl io::Write, whole: &mut Sha256) -> io::Result<UpdatePart> {
    let mut file = File::open(path)?;
    let (mut piece, mut size, mut length) = (vec![0; PIECE], 0, 0);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        let filled = piece.get(..read).unwrap_or_default();
        if let Some(last) = filled.iter().rposition(|byte| *byte != 0) {
            length = size + last as u64 + 1;
        }
        size += read as u64;
    }
    file.rewind()?;
    let (mut own, mut left) = (Sha256::new(), length);
    while left > 0 {
        let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let filled = piece.get_mut(..most).unwrap_or_default();
        file.read_exact(filled)?;
        own.update(&*filled);
        whole.update(&*filled);
        out.write_all(filled)?;
        left -= most as u64;
    }
    let sha256 = digest(own).map_err(io::Error::other)?;
    Ok(UpdatePart { length, size, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &[u8] = b"a certificate, DER";

    /// What of a PE32+ image counts here, signatures before the rest.
    fn kernel(signatures: &[u8], rest: &str) -> Vec<u8> {
        let mut bytes = vec![0; 0x40 + 24 + 112 + 5 * 8];
        bytes[..2].copy_from_slice(b"MZ");
        let (header, start) = (0x40, bytes.len());
        bytes[0x3C..0x40].copy_from_slice(&u32::to_le_bytes(header));
        let entry = 0x40 + 24 + 112 + 4 * 8;
        bytes[entry..entry + 4].copy_from_slice(&u32::try_from(start).unwrap().to_le_bytes());
        bytes[entry + 4..entry + 8].copy_from_slice(&u32::try_from(signatures.len()).unwrap().to_le_bytes());
        [&bytes, signatures, rest.as_bytes()].concat()
    }

    #[test]
    fn where_an_image_has_no_signatures_there_are_none() {
        let signed = kernel(CERTIFICATE, "");
        assert_eq!(certificate_table(&signed), Some(CERTIFICATE));
        for length in 0..signed.len() {
            assert_eq!(certificate_table(&signed[..length]), None, "cut at {length}");
        }
        assert_eq!(certificate_table(&[0xFF; 400]), None);
    }

    #[test]
    fn an_images_parts_become_an_archive_without_the_zeros_at_their_ends() {
        let directory = tempfile::tempdir().unwrap();
        let hash = "0123456789abcdef".repeat(4);
        let kernel = kernel(CERTIFICATE, &format!("…roothash={hash} ro quiet\0"));
        let put = |ending: &str, bytes: &[u8]| {
            fs::write(directory.path().join(format!("gift-edge_1.2.3.{ending}")), bytes).unwrap();
        };
        put("root.raw", b"\0ro\0ot\0\0\0");
        put("verity.raw", &[&vec![7; PIECE + 3][..], &vec![0; PIECE]].concat());
        put("efi", &kernel);
        let (secret, public) = crate::bundle::policy_key().unwrap();
        let version = ImageVersion::parse("1.2.3").unwrap();
        let today = NaiveDate::from_ymd_opt(2026, 11, 29).unwrap();
        let (image, boot_certificate) = (directory.path(), CERTIFICATE);
        let order = Order { image, version: &version, codecs: false, boot_certificate, serial: 8, today, days: 30 };
        let archive = directory.path().join("archive");
        let signed = SignedUpdate::from_json(&make(&order, &secret, &archive).unwrap()).unwrap();
        assert!(gift_provision::Trust::parse(&public).unwrap().signed(&signed.signed_bytes(), &signed.signature));
        let update = Update::parse(&signed.update).unwrap();
        assert_eq!(
            (update.serial, update.expires.as_str(), update.root_hash.as_str()),
            (8, "2026-12-29", hash.as_str())
        );
        let lengths: Vec<_> = update.parts().map(|(_, part)| (part.length, part.size)).collect();
        let kernel_length = kernel.len() as u64 - 1;
        assert_eq!(lengths, [(6, 9), (PIECE as u64 + 3, 2 * PIECE as u64 + 3), (kernel_length, kernel_length + 1)]);
        let bytes = fs::read(&archive).unwrap();
        assert_eq!(bytes.len() as u64, update.archive_bytes());
        assert!(bytes.starts_with(b"\0ro\0ot\x07\x07") && bytes.ends_with(b"quiet"));
        assert_eq!(hex::encode(Sha256::digest(&bytes)), update.archive.as_str());
        // Nothing is replaced.
        assert!(make(&order, &secret, &archive).is_err());
        // What no firmware would start.
        for other in [&b"another"[..], b"", b"roothash"] {
            let made = make(&Order { boot_certificate: other, ..order }, &secret, &directory.path().join("unsigned"));
            assert!(matches!(made, Err(UpdateMakeError::NotSigned)), "{other:?}");
        }
        // With the extension, which lies before the kernel image; whether it is to be there has to be said.
        let with_codecs = Order { codecs: true, ..order };
        let made = |order, name| make(order, &secret, &directory.path().join(name));
        assert!(matches!(made(&with_codecs, "missing"), Err(UpdateMakeError::File(_))));
        put("codecs.raw", b"codecs\0");
        assert!(matches!(made(&order, "unsaid"), Err(UpdateMakeError::Codecs)));
        let signed = made(&with_codecs, "second").unwrap();
        let update = Update::parse(&SignedUpdate::from_json(&signed).unwrap().update).unwrap();
        assert_eq!(update.codecs.map(|part| (part.length, part.size)), Some((6, 7)));
        let bytes = fs::read(directory.path().join("second")).unwrap();
        assert!(bytes.windows(8).any(|window| window == b"codecsMZ") && bytes.ends_with(b"quiet"));
    }
}
