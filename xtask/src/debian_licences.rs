//! The licences that a Debian package declares, from the copyright file in it (machine-readable debian/copyright, DEP-5).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::run::output;

/// Packages whose documentation is another's (a link of one directory to another): so many steps are followed.
const LINKS: u8 = 3;

/// Short names of the licences of a package, as its copyright file names them; empty when that file is not machine-readable.
/// `archive` is where apt kept the packages of the image.
///
/// # Errors
/// The package is not there, or has no copyright file.
pub(crate) fn of_package(archive: &Path, name: &str, version: &str, architecture: &str) -> Result<BTreeSet<String>> {
    let file = archive.join(format!("{name}_{}_{architecture}.deb", version.replace(':', "%3a")));
    Ok(names(&copyright(archive, &file, name, LINKS)?))
}

fn copyright(archive: &Path, file: &Path, name: &str, links: u8) -> Result<String> {
    let directory = format!("./usr/share/doc/{name}");
    let listing = tar(file, &["-tv", &directory])?;
    if listing.contains(&format!("{directory}/copyright")) {
        return tar(file, &["-xO", &format!("{directory}/copyright")]);
    }
    let other = listing.lines().find_map(|line| line.split_once(&format!("{directory} -> "))).map(|(_, to)| to.trim());
    match other.filter(|_| links > 0) {
        Some(other) => copyright(archive, &newest(archive, other)?, other, links - 1),
        None => bail!("{}: no copyright file", file.display()),
    }
}

/// Package `name` of whatever version apt kept.
fn newest(archive: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(archive)? {
        let path = entry?.path();
        if path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.starts_with(&format!("{name}_"))) {
            return Ok(path);
        }
    }
    bail!("{}: no package {name}", archive.display())
}

fn tar(package: &Path, words: &[&str]) -> Result<String> {
    let script = r#"set -o pipefail; package=$1; shift; dpkg-deb --fsys-tarfile "$package" | tar "$@""#;
    output(Command::new("/bin/bash").args(["-c", script, "tar"]).arg(package).args(words))
}

fn names(copyright: &str) -> BTreeSet<String> {
    if !copyright.lines().any(|line| line.starts_with("Format:") && line.contains("copyright-format")) {
        return BTreeSet::new();
    }
    let short = copyright.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    short.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn short_names_of_a_machine_readable_file_and_no_guess_of_another() {
        let file = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat\n text\n\nLicense: GPL-2+\n On Debian systems\n";
        assert_eq!(names(file).into_iter().collect::<Vec<_>>(), ["Expat", "GPL-2+"]);
        assert!(names("This package is free software.\nLicense: GPL\n").is_empty());
    }
}
