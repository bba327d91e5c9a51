//! From the archive to the other slot. What knows how partitions are found, written and named is systemd-sysupdate, with the transfers in
//! `/usr/lib/sysupdate.d`: root, its hashes, and at the end the kernel image, which alone makes the version one that can be booted; before
//! them the extension with codecs, where there is one, with those in `/usr/lib/sysupdate.codecs.d`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use gift_wire::{Update, UpdatePart};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// Why the parts are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstallError {
    /// The archive is not the one that was signed.
    #[error("the archive is not the one that was signed")]
    Content,
    /// The file system's.
    #[error(transparent)]
    Store(#[from] io::Error),
}

/// Puts the archive's parts into `source`, by the names that the transfers look for, each checked against its signed digest and filled up
/// with zeros: a slot may hold other bytes, and its hashes cover them.
///
/// # Errors
/// [`InstallError`].
pub(crate) fn lay_out(archive: &Path, update: &Update, source: &Path) -> Result<(), InstallError> {
    match fs::remove_dir_all(source) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir(source)?;
    let mut archive = File::open(archive)?;
    if archive.metadata()?.len() != update.archive_bytes() {
        return Err(InstallError::Content);
    }
    for (name, part) in update.parts() {
        one(&mut archive, part, &source.join(file_name(update, name)))?;
    }
    Ok(())
}

/// The file of an update's part. Partitions of the root carry their UUIDs, which are the halves of the root hash
/// (systemd-veritysetup-generator(8)).
fn file_name(update: &Update, part: &str) -> String {
    let (image, hash) = (&update.image, update.root_hash.as_str());
    let uuid = |half: &str| {
        let part = |range: std::ops::Range<usize>| half.get(range).unwrap_or_default().to_owned();
        [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
    };
    let (root, verity) = hash.split_at(hash.len() / 2);
    match part {
        "root" => format!("gift-edge_{image}_{}.root.raw", uuid(root)),
        "verity" => format!("gift-edge_{image}_{}.verity.raw", uuid(verity)),
        "codecs" => format!("gift-codecs_{image}.raw"),
        _ => format!("gift-edge_{image}.efi"),
    }
}

fn one(archive: &mut File, part: &UpdatePart, to: &Path) -> Result<(), InstallError> {
    let mut file = File::create_new(to)?;
    let (mut digest, mut left, mut piece) = (Sha256::new(), part.length, vec![0; PIECE]);
    while left > 0 {
        let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let Some(piece) = piece.get_mut(..most) else { break };
        archive.read_exact(piece)?;
        digest.update(&*piece);
        file.write_all(piece)?;
        left -= most as u64;
    }
    if hex::encode(digest.finalize()) != part.sha256.as_str() {
        return Err(InstallError::Content);
    }
    Ok(file.set_len(part.size)?)
}

/// Has the version written to the other slot; whether it is.
pub(crate) fn write(installer: &Path, update: &Update) -> bool {
    let codecs = update.codecs.is_none() || transfer(installer, &["--component=codecs"], update);
    let written = codecs && transfer(installer, &[], update);
    if written {
        info!("version {} is written", update.image);
    }
    written
}

fn transfer(installer: &Path, which: &[&str], update: &Update) -> bool {
    let version = update.image.to_string();
    let done = Command::new(installer)
        .args(["--verify=no", "update", &version])
        .args(which)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Its own words go to the journal: names of partitions and versions.
        .stderr(Stdio::inherit())
        .status();
    match done {
        Ok(status) if status.success() => true,
        Ok(status) => {
            warn!("systemd-sysupdate: {status}");
            false
        }
        Err(error) => {
            warn!("systemd-sysupdate cannot be run: {error}");
            false
        }
    }
}
