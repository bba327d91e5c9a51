//! What the tool knows from the policy directory: the vocabulary, the never-burnt-in list, storage SOP classes, templates.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gift_redact::{NeverBurntIn, Templates, Vocabulary};
use walkdir::WalkDir;

/// Stands in `templates/` besides templates.
const LISTS: [&str; 2] = ["never-burnt-in.toml", "vocabulary.toml"];

/// The policy at a directory (`config/`).
#[derive(Debug)]
pub struct Policy {
    /// Makes and models that may be named; templates do not add to it.
    pub vocabulary: Vocabulary,
    /// What is clear without a template.
    pub never_burnt_in: NeverBurntIn,
    /// UIDs of storage SOP classes.
    pub sop_classes: Vec<String>,
    root: PathBuf,
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

impl Policy {
    /// Reads it.
    ///
    /// # Errors
    /// A file that is missing or not what it should be.
    pub fn load(root: &Path) -> Result<Self> {
        let list = |name: &str| read(&root.join("templates").join(name));
        let classes = read(&root.join("storage-sop-classes.csv"))?;
        let uids = classes.lines().filter_map(|line| line.split(',').next());
        Ok(Self {
            vocabulary: Vocabulary::parse(LISTS[1], &list(LISTS[1])?, &Templates::default())?,
            never_burnt_in: NeverBurntIn::parse(LISTS[0], &list(LISTS[0])?)?,
            sop_classes: uids.filter(|uid| uid.starts_with("1.2.840.10008.")).map(str::to_owned).collect(),
            root: root.to_owned(),
        })
    }

    /// The templates of `files`, or all of the policy's when there are none.
    ///
    /// # Errors
    /// A file that cannot be read or is none of templates.
    pub fn templates(&self, files: &[PathBuf]) -> Result<Templates> {
        let mut texts = Vec::new();
        let mut add = |path: &Path| -> Result<()> {
            texts.push((path.display().to_string(), read(path)?));
            Ok(())
        };
        let folder = self.root.join("templates");
        if files.is_empty() {
            for entry in WalkDir::new(&folder).sort_by_file_name() {
                let path = entry?.into_path();
                let is_list = path.parent() == Some(&folder) && LISTS.iter().any(|list| path.ends_with(list));
                if path.extension().is_some_and(|e| e == "toml") && !is_list {
                    add(&path)?;
                }
            }
        }
        files.iter().try_for_each(|path| add(path))?;
        Ok(Templates::parse(texts)?)
    }
}
