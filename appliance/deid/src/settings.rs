//! What an operator may set: the sample `config/samples/deid.toml`, which a test parses and compares with the defaults.

mod ocr;
mod video;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use gift_service::SettingsError;
use serde::{Deserialize, Serialize};

pub use ocr::{Mode, Ocr, OnFailure};
pub use video::{Mode as VideoMode, Video};

use crate::{ask::AskLimits, bundle, linkage::LinkageSetting, route::Route, sandbox::Bounds};

/// Settings of the process, as read from its TOML file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The drop directory this process owns.
    pub intake_inbox: PathBuf,
    /// Who may post into it.
    pub intake_writers: Vec<Writer>,
    /// The process's own directory: `work/`, `quarantine/`, `set-aside/`, `policy/`, `policy-aside/` and `ledger.sqlite` are
    /// made in it.
    pub house: PathBuf,
    /// Its staging directory for what is released, on the outbox's mount.
    pub release_staging: PathBuf,
    /// The drop directory of uplink.
    pub release_outbox: PathBuf,
    /// Where `status.json` is published.
    pub status_directory: PathBuf,
    /// Policy as data: `ps3.15/`, `profiles/` and `templates/`.
    pub policy: PathBuf,
    /// Below this much free space at the release side or in the house nothing is taken, bytes.
    #[serde(default = "Settings::reserve_default")]
    pub reserve_bytes: u64,
    /// How often `policy` is looked at for a change.
    #[serde(default = "Settings::policy_check_default")]
    pub policy_check_seconds: u64,
    /// Beyond this time without a sign of life from a lane the watchdog gets none either.
    #[serde(default = "Settings::stall_default")]
    pub stall_seconds: u64,
    /// How long SIGTERM waits for objects being judged; what is not finished then stays in the intake.
    #[serde(default = "Settings::stop_grace_default")]
    pub stop_grace_seconds: u64,
    /// The workers.
    #[serde(default)]
    pub workers: Workers,
    /// Bounds of what is read.
    #[serde(default)]
    pub limits: ReadLimits,
    /// What a worker may ask for one object.
    #[serde(default)]
    pub asks: AskLimits,
    /// The second look.
    #[serde(default)]
    pub ocr: Ocr,
    /// Video.
    #[serde(default)]
    pub video: Video,
    /// The quarantine.
    #[serde(default)]
    pub quarantine: Quarantine,
    /// The ledger.
    #[serde(default)]
    pub ledger: Ledger,
    /// Signed policy bundles; without this none is taken.
    #[serde(default)]
    pub bundles: Option<Bundles>,
    /// Linkage domains that routes may name.
    #[serde(default, rename = "linkage")]
    pub linkages: Vec<LinkageSetting>,
    /// Site and linkage keys by name; a key that is not listed is the credential of that name.
    #[serde(default, rename = "key")]
    pub keys: Vec<KeySetting>,
    /// Which object belongs to which project; the first that matches counts.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
}

/// A process that may post: by name or by uid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Writer {
    /// Numeric user id.
    Uid(u32),
    /// User name, resolved at start.
    Name(String),
}

/// A named site key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeySetting {
    /// The name routes use.
    pub name: String,
    /// The key file.
    pub file: PathBuf,
}

/// The workers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Workers {
    /// How many, and so how many objects are judged at the same time.
    pub count: u8,
    /// Longest time for one object.
    pub timeout_seconds: u64,
    /// Address space of one worker, bytes.
    pub memory_bytes: u64,
    /// Largest output or scratch it may write, bytes.
    pub output_bytes: u64,
    /// Objects before a worker is replaced.
    pub objects_each: u32,
    /// A worker that was killed from outside (SIGKILL) costs no object before this many tries.
    pub tries: u8,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            count: 2,
            timeout_seconds: 120,
            memory_bytes: 1 << 30,
            output_bytes: gift_wire::MAX_OBJECT_BYTES,
            objects_each: 500,
            tries: 3,
        }
    }
}

/// Bounds of what is read; those of the design's pre-scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReadLimits {
    /// Deepest nesting of sequences.
    pub depth: u16,
    /// Most elements, all levels together.
    pub elements: u32,
    /// Longest value that is read into memory, bytes.
    pub inline_bytes: u32,
    /// Most bytes of values in memory, all together.
    pub inline_total_bytes: u64,
    /// Largest inflated size of a deflated data set, bytes; it is held in memory.
    pub inflated_bytes: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        // Together well under the 256 MB that any process of the box may use.
        Self {
            depth: 64,
            elements: 600_000,
            inline_bytes: 64 << 10,
            inline_total_bytes: 64 << 20,
            inflated_bytes: 128 << 20,
        }
    }
}

/// The quarantine's bounds. When it is full nothing more is taken from the intake: held objects are never lost.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quarantine {
    /// Largest size in all, bytes.
    pub max_bytes: u64,
    /// Most objects in all.
    pub max_objects: u64,
    /// Most objects of one scanner (by ordinal).
    pub max_objects_per_scanner: u64,
    /// After this an object is erased, and the erasure audited, days.
    pub max_age_days: u32,
    /// The credential that wraps held objects' keys; the site key when absent.
    pub key: Option<String>,
}

impl Default for Quarantine {
    fn default() -> Self {
        // 5,000 objects a source: bars-security S16. 90 days: time to make and sign a template for a new format.
        Self { max_bytes: 32 << 30, max_objects: 20_000, max_objects_per_scanner: 5_000, max_age_days: 90, key: None }
    }
}

/// Signed policy bundles.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bundles {
    /// The drop directory that uplink posts them into; this process owns it.
    pub inbox: PathBuf,
    /// Who may post into it.
    pub writers: Vec<Writer>,
    /// minisign public keys of those who may sign.
    pub keys: Vec<String>,
}

/// The ledger's bounds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ledger {
    /// Oldest row kept, days.
    pub max_age_days: u32,
    /// Most rows kept.
    pub max_rows: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        // As many rows as a start can check in about a second.
        Self { max_age_days: 3_650, max_rows: 500_000 }
    }
}

/// What is wrong with settings that parse.
#[derive(Debug, thiserror::Error)]
pub enum SettingsFault {
    /// Unreadable, or not TOML of this shape.
    #[error(transparent)]
    Form(#[from] SettingsError),
    /// A number that cannot work.
    #[error("{0} out of range")]
    Range(&'static str),
    /// A name outside `[a-z0-9._-]{1,64}`.
    #[error("{0}: a name is 1 to 64 of a-z 0-9 . _ -")]
    Name(&'static str),
    /// Two keys of one name.
    #[error("two keys of the same name")]
    DoubleKey,
    /// A domain without a place or with one that no issuer vouches for, or that is too large.
    #[error("linkage {0}: 1 to 16 places, each with 1 to 16 issuers")]
    Linkage(String),
    /// Two domains of one name, or a route that names none of them.
    #[error("a route's linkage must be the name of exactly one linkage domain")]
    LinkageName,
    /// One key in two roles.
    #[error("a linkage key must not be the key of a route or of the quarantine")]
    LinkageKey,
    /// A signer's key that is no minisign public key.
    #[error("bundles.keys: a minisign public key is one line of 56 base64 characters")]
    BundleKey,
    /// Bundles that nobody could post or sign.
    #[error("bundles: writers and keys must name at least one")]
    NoBundle,
    /// Nobody could post.
    #[error("intake-writers must name at least one user")]
    NoWriter,
    /// A user that does not exist here.
    #[error("no such user: {0}")]
    UnknownWriter(String),
}

/// Name of the key that is used where none is named.
pub const DEFAULT_KEY: &str = "site-key";

impl Settings {
    fn reserve_default() -> u64 {
        256 << 20
    }
    fn policy_check_default() -> u64 {
        5
    }
    fn stop_grace_default() -> u64 {
        10
    }
    fn stall_default() -> u64 {
        60
    }

    /// Reads and checks the settings file.
    ///
    /// # Errors
    /// What is wrong with it, with file and line where there is one.
    pub fn load(path: &Path) -> Result<Self, SettingsFault> {
        let settings: Self = gift_service::load(path)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsFault> {
        let in_range = [
            ("workers.count", (1..=64).contains(&self.workers.count)),
            ("workers.timeout-seconds", self.workers.timeout_seconds > 0),
            // Below this the policy's own tables do not fit.
            ("workers.memory-bytes", self.workers.memory_bytes >= 64 << 20),
            ("workers.output-bytes", (1..=gift_wire::MAX_OBJECT_BYTES).contains(&self.workers.output_bytes)),
            ("workers.objects-each", self.workers.objects_each > 0),
            ("workers.tries", self.workers.tries > 0),
            ("ocr.every", self.ocr.every > 0),
            ("ocr.timeout-seconds", (1..self.workers.timeout_seconds).contains(&self.ocr.timeout_seconds)),
            // Tesseract's libraries alone take a good part of that.
            ("ocr.memory-bytes", self.ocr.memory_bytes >= 256 << 20),
            ("ocr.max-megapixels", (1..=100).contains(&self.ocr.max_megapixels)),
            ("video.timeout-seconds", self.video.timeout_seconds > 0),
            // ffmpeg's libraries alone take a good part of that.
            ("video.memory-bytes", self.video.memory_bytes >= 512 << 20),
            // A worker keeps up to four frames, of two bytes a sample.
            ("video.max-pixels", (1..=8_912_896).contains(&self.video.max_pixels)),
            ("video.max-frames", self.video.max_frames > 0),
            ("video.crf", self.video.crf <= 51),
            ("limits", self.limits.depth > 0 && self.limits.elements > 0),
            ("policy-check-seconds", self.policy_check_seconds > 0),
            ("stall-seconds", self.stall_seconds > 0),
            ("quarantine", self.quarantine.max_objects > 0 && self.quarantine.max_age_days > 0),
            ("ledger", self.ledger.max_rows > 0 && self.ledger.max_age_days > 0),
        ];
        if let Some((name, _)) = in_range.into_iter().find(|&(_, ok)| !ok) {
            return Err(SettingsFault::Range(name));
        }
        if self.intake_writers.is_empty() {
            return Err(SettingsFault::NoWriter);
        }
        if let Some(bundles) = &self.bundles {
            if bundles.writers.is_empty() || bundles.keys.is_empty() {
                return Err(SettingsFault::NoBundle);
            }
            if bundles.keys.iter().any(|key| bundle::parse_key(key).is_none()) {
                return Err(SettingsFault::BundleKey);
            }
        }
        for route in &self.routes {
            for (what, name) in [("project", &route.project), ("profile", &route.profile), ("key", &route.key)] {
                if !is_name(name) {
                    return Err(SettingsFault::Name(what));
                }
            }
        }
        let names: BTreeMap<&str, ()> = self.keys.iter().map(|key| (key.name.as_str(), ())).collect();
        if names.len() < self.keys.len() {
            return Err(SettingsFault::DoubleKey);
        }
        if !names.keys().chain(self.quarantine.key.as_deref().iter()).all(|name| is_name(name)) {
            return Err(SettingsFault::Name("key"));
        }
        self.check_linkages()
    }

    fn check_linkages(&self) -> Result<(), SettingsFault> {
        let own = self.quarantine.key.as_deref().unwrap_or(DEFAULT_KEY);
        for linkage in &self.linkages {
            if ![&linkage.name, &linkage.key].into_iter().all(|name| is_name(name)) {
                return Err(SettingsFault::Name("linkage"));
            }
            if !linkage.is_possible() {
                return Err(SettingsFault::Linkage(linkage.name.clone()));
            }
            if linkage.key == own || self.routes.iter().any(|route| route.key == linkage.key) {
                return Err(SettingsFault::LinkageKey);
            }
        }
        let count = |name: &str| self.linkages.iter().filter(|linkage| linkage.name == name).count();
        let named = self.routes.iter().filter_map(|route| route.linkage.as_deref());
        if !named.chain(self.linkages.iter().map(|l| l.name.as_str())).all(|name| count(name) == 1) {
            return Err(SettingsFault::LinkageName);
        }
        Ok(())
    }

    /// The configured file of the key called `name`.
    pub fn key_file(&self, name: &str) -> Option<&Path> {
        self.keys.iter().find(|key| key.name == name).map(|key| key.file.as_path())
    }

    /// Bounds of a worker.
    pub fn worker_bounds(&self) -> Bounds {
        Bounds { memory_bytes: self.workers.memory_bytes, file_bytes: self.workers.output_bytes }
    }

    /// Longest time for one object.
    pub fn object_timeout(&self) -> Duration {
        Duration::from_secs(self.workers.timeout_seconds)
    }
}

/// User ids of the accounts that may post.
///
/// # Errors
/// [`SettingsFault::UnknownWriter`].
pub fn uids(writers: &[Writer]) -> Result<Vec<u32>, SettingsFault> {
    let uid = |writer: &Writer| match writer {
        Writer::Uid(uid) => Ok(*uid),
        Writer::Name(name) => match nix::unistd::User::from_name(name) {
            Ok(Some(user)) => Ok(user.uid.as_raw()),
            _ => Err(SettingsFault::UnknownWriter(name.clone())),
        },
    };
    writers.iter().map(uid).collect()
}

/// True for a configured name, as the manifest wants it: `[a-z0-9._-]{1,64}`, and not a path.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../config/samples/deid.toml");

    fn parse(text: &str) -> Result<Settings, SettingsFault> {
        let settings: Settings = gift_service::parse(Path::new("deid.toml"), text)?;
        settings.check().map(|()| settings)
    }

    /// The sample with the commented defaults switched on: every key it shows must exist and stand at its default.
    fn uncommented() -> String {
        let is_setting = |line: &&str| line.starts_with("# ") && (line.contains(" = ") || line.starts_with("# ["));
        let lines = SAMPLE.lines().map(|line| if is_setting(&line) { &line[2..] } else { line });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_parses_and_shows_every_default() {
        let sample = parse(SAMPLE).unwrap();
        let mut shown = parse(&uncommented()).unwrap();
        assert_ne!(uncommented(), SAMPLE);
        assert_eq!(shown.routes[1].linkage.as_deref(), Some(shown.linkages[0].name.as_str()));
        assert_eq!((shown.linkages[0].places.len(), shown.linkages[0].key.as_str()), (3, "linkage-key"));
        assert_eq!(shown.bundles.take().unwrap().keys.len(), 1);
        shown.linkages.clear();
        shown.routes[1].linkage = None;
        shown.keys.clear();
        shown.quarantine.key = None;
        assert_eq!(shown, sample);
        assert_eq!((sample.workers, sample.asks), (Workers::default(), AskLimits::default()));
        assert_eq!((sample.ocr, sample.video), (Ocr::default(), Video::default()));
        assert_eq!(sample.routes.len(), 2);
    }

    #[test]
    fn a_linkage_domain_that_cannot_work_is_refused() {
        let with = |from: &str, to: &str| {
            let sample = uncommented();
            assert!(sample.contains(from), "{from}");
            parse(&sample.replacen(from, to, 1))
        };
        let nhs = "issuers = [\"NHS\", \"2.16.840.1.113883.2.1.4.1\"]";
        assert!(matches!(with(nhs, "issuers = []"), Err(SettingsFault::Linkage(_))));
        assert!(matches!(with("scheme = \"nhs\"", "scheme = \"passport\""), Err(SettingsFault::Form(_))));
        assert!(matches!(
            with("linkage = \"uk-be-fetal\"", "linkage = \"elsewhere\""),
            Err(SettingsFault::LinkageName)
        ));
        assert!(matches!(with("name = \"uk-be-fetal\"", "name = \"UK\""), Err(SettingsFault::Name("linkage"))));
        assert!(matches!(with("key = \"linkage-key\"", "key = \"site-key\""), Err(SettingsFault::LinkageKey)));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from), "{from}");
            parse(&SAMPLE.replace(from, to))
        };
        assert!(matches!(with("house =", "hause ="), Err(SettingsFault::Form(_))));
        assert!(matches!(with("# [workers]\n# count = 2", "[workers]\ncount = 0"), Err(SettingsFault::Range(_))));
        assert!(matches!(with("project = \"fetal-surgery\"", "project = \"Doe^Jane\""), Err(SettingsFault::Name(_))));
        assert!(matches!(with("profile = \"gift-default-1\"", "profile = \"../../etc\""), Err(SettingsFault::Name(_))));
        assert!(matches!(with("[\"gift-receiver\"]", "[]"), Err(SettingsFault::NoWriter)));
        let bundles = |from: &str, to: &str| parse(&uncommented().replacen(from, to, 1));
        assert!(matches!(bundles("keys = [\"RW", "keys = [\"RX"), Err(SettingsFault::BundleKey)));
        assert!(matches!(bundles("writers = [\"gift-uplink\"]", "writers = []"), Err(SettingsFault::NoBundle)));
    }
}
