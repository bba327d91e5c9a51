//! Policy as data: the standard's tables, profiles and templates, as texts. The monitor reads and checks them, remembers
//! their digest, and hands them to its workers in a sealed memory file; a worker never opens a path.
//!
//! Fail closed: a directory that cannot be read, or one text that does not parse, is no policy at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use gift_status::HoldReason;
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use gift_wire::Bundle;

use crate::{
    judge::{Judge, Names},
    linkage::LinkageSetting,
    route::Route,
    settings::{Ocr, ReadLimits, Video},
};

/// Largest policy text, bytes.
const MAX_TEXT_BYTES: u64 = 8 << 20;
/// Most texts in a directory.
const MAX_TEXTS: usize = 1_000;

/// Why there is no policy. Paths and positions in them only.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not readable.
    #[error("{path}: {source}")]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too long, or too many.
    #[error("{path}: too large")]
    TooLarge {
        /// What.
        path: PathBuf,
    },
    /// A text that does not say what it should.
    #[error("policy: {0}")]
    Parse(String),
    /// A route names a profile that is not there.
    #[error("no profile named {0}")]
    NoProfile(String),
    /// The memory file.
    #[error("policy cannot be handed to workers: {0}")]
    Hand(#[source] io::Error),
}

/// The texts themselves, by file name without ending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTexts {
    /// Tables of PS3.15.
    pub tables: BTreeMap<String, String>,
    /// De-identification profiles.
    pub profiles: BTreeMap<String, String>,
    /// Redaction templates.
    pub templates: BTreeMap<String, String>,
    /// Bounds of what is read.
    pub limits: ReadLimits,
}

impl PolicyTexts {
    /// Reads `ps3.15/`, `profiles/` and `templates/` under `root`.
    ///
    /// # Errors
    /// [`PolicyError::Read`], [`PolicyError::TooLarge`].
    pub fn load(root: &Path, limits: ReadLimits) -> Result<Self, PolicyError> {
        Ok(Self {
            tables: texts(&root.join("ps3.15"), "csv")?,
            profiles: texts(&root.join("profiles"), "toml")?,
            templates: texts(&root.join("templates"), "toml")?,
            limits,
        })
    }

    /// What a bundle is to be made of: `profiles/` and `templates/` under `root`, either of which may be missing.
    ///
    /// # Errors
    /// [`PolicyError::Read`], [`PolicyError::TooLarge`].
    pub fn of_bundle(root: &Path) -> Result<Self, PolicyError> {
        let of = |name: &str| {
            let directory = root.join(name);
            if directory.is_dir() { texts(&directory, "toml") } else { Ok(BTreeMap::new()) }
        };
        Ok(Self { profiles: of("profiles")?, templates: of("templates")?, ..Self::default() })
    }

    /// Puts a bundle on top.
    #[must_use]
    pub fn with(mut self, bundle: Option<&Bundle>) -> Self {
        let Some(bundle) = bundle else { return self };
        for (root, texts) in [("templates/", &mut self.templates), ("profiles/", &mut self.profiles)] {
            texts.retain(|name, _| !bundle.withdrawn.contains(&format!("{root}{name}")));
            let named = bundle.texts.iter().filter_map(|(name, text)| Some((name.strip_prefix(root)?, text)));
            texts.extend(named.map(|(name, text)| (name.to_owned(), text.clone())));
        }
        self
    }

    /// Reads what [`Policy`] handed over.
    ///
    /// # Errors
    /// The file's.
    pub fn read(file: &File, bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut text = vec![0; length];
        file.read_exact_at(&mut text, 0)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Every text with `ending` in `root` and one level of directories below it, by path without the ending.
fn texts(root: &Path, ending: &str) -> Result<BTreeMap<String, String>, PolicyError> {
    let read = |path: &Path, source| PolicyError::Read { path: path.to_owned(), source };
    let mut texts = BTreeMap::new();
    for path in files(root).map_err(|e| read(root, e))? {
        let name = path.strip_prefix(root).ok().map(|path| path.with_extension(""));
        let name = name.as_deref().and_then(Path::to_str);
        let (Some(name), true) = (name, path.extension().is_some_and(|e| e == ending)) else { continue };
        let file = File::open(&path).map_err(|e| read(&path, e))?;
        let mut text = String::new();
        file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text).map_err(|e| read(&path, e))?;
        if text.len() as u64 > MAX_TEXT_BYTES || texts.len() >= MAX_TEXTS {
            return Err(PolicyError::TooLarge { path });
        }
        texts.insert(name.to_owned(), text);
    }
    Ok(texts)
}

/// Files in `root` and one level of directories below it.
fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                files.push(entry?.path());
            }
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Names, sizes and times of the policy's files: cheap to compare, and different after any change.
pub type Signature = BTreeSet<(PathBuf, u64, Option<SystemTime>)>;

/// The present signature of the policy under `root`; what cannot be read is left out, so its coming and going shows.
pub fn signature(root: &Path) -> Signature {
    let mut signature = Signature::new();
    for path in ["ps3.15", "profiles", "templates"].iter().filter_map(|name| files(&root.join(name)).ok()).flatten() {
        if let Ok(meta) = fs::metadata(&path) {
            signature.insert((path, meta.len(), meta.modified().ok()));
        }
    }
    signature
}

/// A policy that parses.
#[derive(Debug)]
pub struct Policy {
    /// The texts as JSON, in a memory file nobody can change.
    pub file: File,
    /// Its length, bytes.
    pub bytes: u64,
    /// What profiles and templates call themselves.
    pub names: Names,
    /// Digest of all a verdict depends on: program, limits, routes, linkage domains, texts.
    whole: String,
    /// Digest of what reading depends on: program and limits.
    reading: String,
}

impl Policy {
    /// Reads and checks the policy under `root`, with `bundle` on top.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn load(
        root: &Path,
        limits: ReadLimits,
        routes: &[Route],
        linkages: &[LinkageSetting],
        bundle: Option<&Bundle>,
    ) -> Result<Self, PolicyError> {
        let texts = PolicyTexts::load(root, limits)?.with(bundle);
        let names = Judge::new(&texts).map_err(|error| PolicyError::Parse(error.to_string()))?.names();
        if let Some(route) = routes.iter().find(|route| !names.profiles.contains(&route.profile)) {
            return Err(PolicyError::NoProfile(route.profile.clone()));
        }
        let hand = PolicyError::Hand;
        let json = serde_json::to_vec(&texts).map_err(|e| hand(e.into()))?;
        let reading = digest(&serde_json::to_vec(&(env!("CARGO_PKG_VERSION"), limits)).map_err(|e| hand(e.into()))?);
        let routes = serde_json::to_vec(&(routes, linkages)).map_err(|e| hand(e.into()))?;
        let whole = digest(&[reading.as_bytes(), digest(&routes).as_bytes(), digest(&json).as_bytes()].concat());
        Ok(Self { file: sealed(&json).map_err(hand)?, bytes: json.len() as u64, names, whole, reading })
    }

    /// The same with the settings of the second look and of video, on which verdicts depend too.
    ///
    /// # Errors
    /// They cannot be written as text, which never happens.
    pub fn looked_at(mut self, ocr: &Ocr, video: &Video) -> Result<Self, PolicyError> {
        let settings = serde_json::to_vec(&(ocr, video)).map_err(|e| PolicyError::Hand(e.into()))?;
        self.whole = digest(&[self.whole.as_bytes(), digest(&settings).as_bytes()].concat());
        // Other bounds, or another coder, read video otherwise.
        let video = serde_json::to_vec(video).map_err(|e| PolicyError::Hand(e.into()))?;
        self.reading = digest(&[self.reading.as_bytes(), digest(&video).as_bytes()].concat());
        Ok(self)
    }

    /// Digest of what a verdict with `reason` depended on: when it differs from the present one, judging again may come
    /// out differently.
    pub fn digest(&self, reason: HoldReason) -> &str {
        use HoldReason as R;
        match reason {
            // The bytes themselves are to blame; only another program or other limits would see them differently.
            R::Malformed
            | R::LimitExceeded
            | R::DecodeFailed
            | R::WorkerCrashed
            | R::WorkerTimeout
            | R::RefusedByHub => &self.reading,
            R::Unrouted
            | R::NoTemplate
            | R::UnverifiedTemplate
            | R::AmbiguousTemplate
            | R::TemplateMismatch
            | R::UnsupportedTransferSyntax
            | R::UnsupportedSopClass
            | R::RecognizableFeatures
            | R::Inconsistent
            | R::NoPatientId
            | R::RedactionUnproven
            | R::LeakFound
            | R::TextInPixels
            | R::SecondLookFailed => &self.whole,
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A memory file of `bytes` that nobody can change any more.
fn sealed(bytes: &[u8]) -> io::Result<File> {
    let fd = memfd_create("gift-policy", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository_policy() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
    }

    fn copy_of_policy() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in ["ps3.15", "profiles", "templates"] {
            let to = directory.path().join(name);
            for from in files(&repository_policy().join(name)).unwrap() {
                let to = to.join(from.strip_prefix(repository_policy().join(name)).unwrap());
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        directory
    }

    fn route(profile: &str) -> Route {
        toml::from_str(&format!("called-ae = \"A\"\nproject = \"p\"\nprofile = \"{profile}\"")).unwrap()
    }

    #[test]
    fn the_repositorys_policy_parses_and_reaches_a_worker_unchanged_and_unchangeable() {
        let limits = ReadLimits::default();
        let policy = Policy::load(&repository_policy(), limits, &[route("gift-default-1")], &[], None).unwrap();
        let texts = PolicyTexts::read(&policy.file, policy.bytes).unwrap();
        assert_eq!(texts, PolicyTexts::load(&repository_policy(), limits).unwrap());
        assert!(policy.file.write_at(b"x", 0).is_err() && policy.file.set_len(0).is_err());
    }

    #[test]
    fn what_does_not_parse_or_is_missing_is_no_policy() {
        let load = |root: &Path, profile: &str| Policy::load(root, ReadLimits::default(), &[route(profile)], &[], None);
        let broken = copy_of_policy();
        assert!(load(broken.path(), "gift-default-1").is_ok());
        assert!(matches!(load(broken.path(), "elsewhere"), Err(PolicyError::NoProfile(_))));
        let before = signature(broken.path());
        fs::write(broken.path().join("templates/zz.toml"), "version = 99").unwrap();
        assert_ne!(signature(broken.path()), before);
        assert!(matches!(load(broken.path(), "gift-default-1"), Err(PolicyError::Parse(_))));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(load(empty.path(), "gift-default-1"), Err(PolicyError::Read { .. })));
    }

    #[test]
    fn a_changed_route_or_text_concerns_verdicts_of_policy_but_not_unreadable_bytes() {
        let root = copy_of_policy();
        let load = |routes: &[Route]| Policy::load(root.path(), ReadLimits::default(), routes, &[], None).unwrap();
        let first = load(&[route("gift-default-1")]);
        let again = load(&[route("gift-default-1")]);
        let no_route = load(&[]);
        let profile = root.path().join("profiles/gift-default.toml");
        let text = fs::read_to_string(&profile).unwrap();
        fs::write(&profile, format!("{text}\n# changed\n")).unwrap();
        let changed = load(&[route("gift-default-1")]);
        for &reason in HoldReason::ALL {
            assert_eq!(first.digest(reason), again.digest(reason));
            let of_policy = first.digest(reason) != no_route.digest(reason);
            assert_eq!(of_policy, first.digest(reason) != changed.digest(reason));
            assert_eq!(
                of_policy,
                !matches!(
                    reason,
                    HoldReason::Malformed
                        | HoldReason::LimitExceeded
                        | HoldReason::DecodeFailed
                        | HoldReason::WorkerCrashed
                        | HoldReason::WorkerTimeout
                        | HoldReason::RefusedByHub
                ),
                "{reason}"
            );
        }
    }
}
