//! The linter of redaction templates on files: those that are named, or all of a policy.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use gift_redact::Templates;
use walkdir::WalkDir;

use crate::policy::LISTS;

/// Prints what is questionable in `files`, or in every template of the policy at `root` when none is named. Files are judged as one
/// set, as a box loads them.
///
/// # Errors
/// A file that cannot be read; anything that was found.
pub(crate) fn templates(root: &Path, files: &[PathBuf]) -> Result<()> {
    let files = if files.is_empty() { shipped(&root.join("templates"))? } else { files.to_vec() };
    let mut texts = Vec::with_capacity(files.len());
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        texts.push((path.display().to_string(), text));
    }
    let found = Templates::lint(texts.iter().map(|(name, text)| (name, text)));
    for error in &found {
        println!("{error}");
    }
    match found.len() {
        0 => println!("{} files: nothing found", files.len()),
        n => bail!("{n} found in {} files", files.len()),
    }
    Ok(())
}

/// Every template file below `root`, in order of name.
fn shipped(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name() {
        let path = entry?.into_path();
        let list = path.parent() == Some(root) && path.file_stem().is_some_and(|stem| LISTS.iter().any(|l| stem == *l));
        if path.extension().is_some_and(|e| e == "toml") && !list {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no template below {}", root.display());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
    }

    #[test]
    fn what_is_shipped_passes_and_all_of_it_is_looked_at() {
        templates(&config(), &[]).unwrap();
        let files = shipped(&config().join("templates")).unwrap();
        assert!(files.len() > 10 && files.iter().any(|f| f.ends_with("library/ge.toml")));
        assert!(!files.iter().any(|f| f.ends_with("vocabulary.toml")));
    }

    #[test]
    fn what_is_found_or_cannot_be_read_is_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme-960x720.toml");
        let shipped = std::fs::read_to_string(config().join("templates/demo/ge-v830.toml")).unwrap();
        std::fs::write(&path, shipped).unwrap();
        let error = templates(&config(), std::slice::from_ref(&path)).unwrap_err().to_string();
        assert_eq!(error, "1 found in 1 files");
        assert!(templates(&config(), &[directory.path().join("missing.toml")]).is_err());
        assert!(templates(directory.path(), &[]).is_err());
    }
}
