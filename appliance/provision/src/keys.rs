//! The box's identity, and the keys that were wrapped to it. What opens a wrapped key is `gift-keys`; what seals one to this machine
//! again, for the one service that reads it, is `systemd-creds`.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

const GIFT_KEYS: &str = "/usr/bin/gift-keys";
const SYSTEMD_CREDS: &str = "/usr/bin/systemd-creds";

/// The box's identity; made at the first boot, on the encrypted state, which it never leaves. Returns its public key.
pub(crate) fn identity(house: &Path) -> Result<String> {
    let public = house.join("public-key");
    match fs::read_to_string(&public) {
        Ok(key) => return Ok(key.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // It may have been told to somebody: an identity is not made anew because a disk has a bad day.
        Err(error) => return Err(error).context("public-key"),
    }
    let identity = house.join("identity");
    // Without its public half it was never told to anybody: begin again.
    match fs::remove_file(&identity) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("identity"),
        _ => {}
    }
    let made = Command::new(GIFT_KEYS)
        .arg("box-identity")
        .arg(&identity)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run gift-keys")?;
    ensure!(made.status.success(), "gift-keys box-identity: {}", made.status);
    let said = String::from_utf8(made.stdout).context("gift-keys box-identity")?;
    let Some(key) = said.split_whitespace().find(|word| word.starts_with("age1")) else {
        bail!("gift-keys box-identity printed no public key");
    };
    fs::File::open(&identity)?.sync_all()?;
    crate::layout::keep(&public, key.as_bytes())?;
    Ok(key.to_owned())
}

/// Opens the wrapped key `name`, which must be the one called `identifier`, and seals it to this machine in `credentials`.
pub(crate) fn seal(
    house: &Path,
    run: &Path,
    credentials: &Path,
    name: &str,
    wrapped: &str,
    identifier: &str,
) -> Result<()> {
    let room = run.join("unwrapping");
    match fs::remove_dir_all(&room) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::DirBuilder::new().mode(0o700).create(&room)?;
    let done = open_and_seal(&room, house, credentials, name, wrapped, identifier);
    // In memory (tmpfs) and ours alone; gone before anything else starts.
    fs::remove_dir_all(&room)?;
    done
}

fn open_and_seal(
    room: &Path,
    house: &Path,
    credentials: &Path,
    name: &str,
    wrapped: &str,
    identifier: &str,
) -> Result<()> {
    let (given, plain): (PathBuf, PathBuf) = (room.join("wrapped"), room.join(name));
    fs::write(&given, wrapped)?;
    let opened = Command::new(GIFT_KEYS)
        .arg("unwrap")
        .arg(&given)
        .arg("--identity")
        .arg(house.join("identity"))
        .args(["--expect", identifier.trim(), "--out"])
        .arg(&plain)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot run gift-keys")?;
    ensure!(opened.success(), "{name}: not wrapped to this box, or not the key that was announced");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(credentials)?;
    let sealed = Command::new(SYSTEMD_CREDS)
        .arg("encrypt")
        // With the secret on the encrypted state, which the TPM opened already. Not with the TPM a second time at each boot: a TPM
        // that lost its power a few times refuses to seal for a while (TPM_RC_LOCKOUT), and the box would not start.
        .arg("--with-key=host")
        .arg(format!("--name={name}"))
        .arg(&plain)
        .arg(credentials.join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .context("cannot run systemd-creds")?;
    // Overwritten before it is unlinked: cheap, and right where the file system is not a tmpfs.
    let length = fs::metadata(&plain)?.len();
    let mut over = fs::OpenOptions::new().write(true).open(&plain)?;
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), length), &mut over)?;
    ensure!(sealed.success(), "{name}: systemd-creds: {sealed}");
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_whose_public_half_cannot_be_read_stays() {
        let house = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(house.path().join(name), bytes).unwrap();
        put("identity", b"AGE-SECRET-KEY-1");
        put("public-key", b"age1\n");
        assert_eq!(identity(house.path()).unwrap(), "age1");
        // As after a sector went bad.
        put("public-key", b"age1\xff");
        assert!(identity(house.path()).is_err());
        assert_eq!(fs::read(house.path().join("identity")).unwrap(), b"AGE-SECRET-KEY-1");
    }
}
