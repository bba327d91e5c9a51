//! The process that is started: checks the picture's form, starts the engine, and passes its words on within bounds.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{Orders, engine, words};

/// Longest header of a picture, bytes.
const HEADER_BYTES: usize = 32;
/// Longest table of words taken from the engine, bytes.
const TABLE_BYTES: u64 = 1 << 20;

/// Reads the picture on standard input and writes its words to standard output.
///
/// # Errors
/// No picture, no sandbox, or the engine failed.
pub(crate) fn read(orders: &Orders) -> Result<()> {
    gift_confine::close_inherited()?;
    let mut picture = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    check(&picture)?;
    picture.rewind()?;
    let mut engine = Command::new("/proc/self/exe")
        .arg(engine::VERB)
        .args([&orders.program, &orders.tessdata])
        .args([orders.memory_bytes.to_string(), orders.seconds.to_string()])
        .env_clear()
        .stdin(Stdio::from(picture))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut table = Vec::new();
    let from = engine.stdout.take().context("no pipe")?;
    gift_confine::enter_reader()?;
    from.take(TABLE_BYTES + 1).read_to_end(&mut table)?;
    ensure!(table.len() as u64 <= TABLE_BYTES, "more words than any picture has");
    ensure!(engine.wait()?.success(), "the engine failed");
    io::stdout().write_all(words::of(&String::from_utf8_lossy(&table)).as_bytes())?;
    Ok(())
}

/// That the picture is a grey one as the de-identifier writes it, so that no other image format is tried on it.
fn check(picture: &File) -> Result<()> {
    let length = picture.metadata()?.len();
    let mut head = [0; HEADER_BYTES];
    let read = picture.read_at(&mut head, 0)?;
    let lines: Vec<&[u8]> = head[..read].splitn(4, |byte| *byte == b'\n').collect();
    let [b"P5", size, b"255", _] = lines.as_slice() else { anyhow::bail!("no grey picture") };
    let size: Option<Vec<u64>> =
        std::str::from_utf8(size)?.split(' ').map(|n| n.parse().ok().filter(|n| (1..=1 << 17).contains(n))).collect();
    let header = b"P5\n".len() + lines[1].len() + b"\n255\n".len();
    let whole = match size.as_deref() {
        Some([columns, rows]) => columns * rows + header as u64,
        _ => anyhow::bail!("no grey picture"),
    };
    ensure!(length == whole, "the picture is not of the size it states");
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> bool {
        let path = std::env::temp_dir().join(format!("gift-ocr-{}-{}", std::process::id(), bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        let checked = check(&File::open(&path).unwrap());
        std::fs::remove_file(path).unwrap();
        checked.is_ok()
    }

    #[test]
    fn only_a_whole_grey_picture_is_read() {
        assert!(checked(b"P5\n3 2\n255\n123456"));
        for bad in [
            &b"P5\n3 2\n255\n12345"[..],
            b"P5\n3 2\n255\n1234567",
            b"P5\n3 0\n255\n",
            b"P5\n3 2\n65535\n1234567890ab",
            b"P6\n3 2\n255\n123456789012345678",
            b"\x89PNG\r\n\x1a\n and so on",
            b"",
        ] {
            assert!(!checked(bad), "{}", bad.escape_ascii());
        }
    }
}
