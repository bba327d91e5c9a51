//! Settings of the hub: TOML, kebab-case, unknown keys refused. Every policy figure stands here with its default, none in
//! the code that applies it. `config/samples/hub.toml` is parsed by a test below.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::web::allowlist::AllowList;

/// Everything the hub is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Where certificates, database and archive live; created on first start.
    pub data_directory: PathBuf,
    /// Where boxes connect.
    pub box_listener: BoxListener,
    /// Where people and DICOMweb clients connect.
    pub web_listener: WebListener,
    /// Enrolment of boxes.
    #[serde(default)]
    pub enrolment: Enrolment,
    /// Bounds of ingest.
    #[serde(default)]
    pub ingest: Ingest,
    /// Password hashing and policy.
    #[serde(default)]
    pub passwords: Passwords,
    /// Sessions of the pages.
    #[serde(default)]
    pub sessions: Sessions,
    /// Limits against guessing.
    #[serde(default)]
    pub throttle: Throttle,
    /// The fleet page.
    #[serde(default)]
    pub fleet: Fleet,
    /// The hub's own check of arriving objects.
    #[serde(default)]
    pub check: Check,
    /// De-identification profiles that boxes may name in a manifest; an object under any other is isolated.
    #[serde(default, rename = "profile")]
    pub profiles: Vec<Profile>,
    /// Projects with a subject label prefix of their own.
    #[serde(default, rename = "project")]
    pub projects: Vec<Project>,
}

/// The listener for boxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BoxListener {
    /// Address to bind, unless systemd passes a socket named `box`.
    pub address: SocketAddr,
    /// DNS names and IP addresses in the server certificate.
    pub names: Vec<String>,
    /// Connections at a time, all boxes together.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
}

/// The listener for people and DICOMweb clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WebListener {
    /// Address to bind, unless systemd passes a socket named `web`.
    pub address: SocketAddr,
    /// DNS names and IP addresses in the server certificate.
    pub names: Vec<String>,
    /// Where clients find this listener, for the links in DICOMweb answers (`https://hub.example.org`): needed where a port
    /// is forwarded. Otherwise the links are made of the request's `Host`.
    #[serde(default)]
    pub public_url: Option<String>,
    /// CIDR ranges that may connect; all others are cut before TLS. `X-Forwarded-For` is never read.
    pub allow: AllowList,
    /// Connections at a time.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
}

fn default_connections() -> usize {
    512
}

/// Enrolment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Enrolment {
    /// How long a one-time token can be used, hours.
    pub token_hours: u32,
    /// Validity of a device certificate, days.
    pub certificate_days: u32,
}

impl Default for Enrolment {
    fn default() -> Self {
        // A box is made, shipped, and plugged in when the hospital has the time.
        Self { token_hours: 90 * 24, certificate_days: 30 }
    }
}

/// Bounds of ingest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Ingest {
    /// Uploads at a time; one more is asked to come back.
    pub concurrent_uploads: usize,
    /// Longest silence within an upload, or within a box's download of a system update, seconds.
    pub idle_seconds: u64,
    /// Space kept free on the archive's file system, MiB; below it uploads are asked to come back.
    pub disk_reserve_mib: u64,
}

impl Default for Ingest {
    fn default() -> Self {
        Self { concurrent_uploads: 32, idle_seconds: 60, disk_reserve_mib: 1024 }
    }
}

/// Password hashing (Argon2id) and policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Passwords {
    /// Memory of one hash, KiB.
    pub memory_kib: u32,
    /// Passes.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes computed at a time.
    pub concurrent: usize,
    /// Shortest password, characters (NIST SP 800-63B-4 for a single factor: 15).
    pub min_length: usize,
    /// How long a verified HTTP Basic credential is remembered in memory, seconds.
    pub basic_cache_seconds: u64,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            memory_kib: 65_536,
            iterations: 3,
            parallelism: 1,
            concurrent: 4,
            min_length: 15,
            basic_cache_seconds: 60,
        }
    }
}

/// Sessions of the pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sessions {
    /// A session unused for this long ends, minutes.
    pub idle_minutes: u64,
    /// A session ends after this time in any case, hours.
    pub max_hours: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle_minutes: 30, max_hours: 12 }
    }
}

/// Limits against guessing, per account name and per /24 (IPv4) or /64 (IPv6).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Throttle {
    /// Failures that cost no waiting.
    pub free_failures: u32,
    /// Longest wait, seconds; the wait doubles from one second.
    pub max_wait_seconds: u64,
    /// Consecutive failures after which an account stays shut until an administrator sets a new password.
    pub max_failures: u32,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { free_failures: 5, max_wait_seconds: 900, max_failures: 100 }
    }
}

/// The fleet page.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Fleet {
    /// A box that has not reported for this long is shown as offline, seconds.
    pub offline_after_seconds: u64,
    /// Reports kept per box.
    pub history_reports: u32,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { offline_after_seconds: 180, history_reports: 1440 }
    }
}

/// The hub's own check.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Check {
    /// PS3.15 Table E.1-1 as CSV; the edition the hub was built with when absent.
    pub table: Option<PathBuf>,
    /// What boxes write where PS3.15 asks for a dummy value. Besides these, 16 hexadecimal digits (a keyed token) and a value of
    /// zero length are taken for one.
    pub dummies: Vec<String>,
}

impl Default for Check {
    fn default() -> Self {
        let dummies = ["REMOVED", "19000101", "19000101000000", "000000", "000Y", "about:blank", "99GIFT"];
        Self { table: None, dummies: dummies.map(str::to_owned).to_vec() }
    }
}

/// A de-identification profile as the hub knows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// The name that manifests carry.
    pub name: String,
    /// The options of PS3.15 E.3 that it applies on top of the Basic Profile.
    #[serde(default)]
    pub options: Vec<ProfileOption>,
    /// Attributes (tags as `ggggeeee`) that this profile keeps although the table says to remove them, each for a reason given
    /// beside it.
    #[serde(default)]
    pub may_keep: Vec<crate::check::TagText>,
}

/// An option of PS3.15 E.3, named as the column of Table E.1-1, or in full as the box's profiles do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileOption {
    /// Retain Safe Private Option.
    #[serde(alias = "retain-safe-private")]
    RtnSafePriv,
    /// Retain UIDs Option.
    #[serde(alias = "retain-uids")]
    RtnUids,
    /// Retain Device Identity Option.
    #[serde(alias = "retain-device-identity")]
    RtnDevId,
    /// Retain Institution Identity Option.
    #[serde(alias = "retain-institution-identity")]
    RtnInstId,
    /// Retain Patient Characteristics Option.
    #[serde(alias = "retain-patient-characteristics")]
    RtnPatChars,
    /// Retain Longitudinal Temporal Information With Full Dates Option.
    #[serde(alias = "retain-longitudinal-full-dates")]
    RtnLongFullDates,
    /// Retain Longitudinal Temporal Information With Modified Dates Option.
    #[serde(alias = "retain-longitudinal-modified-dates")]
    RtnLongModifDates,
    /// Clean Descriptors Option.
    #[serde(alias = "clean-descriptors")]
    CleanDesc,
    /// Clean Structured Content Option.
    #[serde(alias = "clean-structured-content")]
    CleanStructCont,
    /// Clean Graphics Option.
    #[serde(alias = "clean-graphics")]
    CleanGraph,
    /// Clean Pixel Data Option: no column of the table; the hub cannot judge pixels.
    CleanPixelData,
}

/// A project.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Project {
    /// The name that manifests carry.
    pub name: String,
    /// What its subject labels start with: `FETAL` makes `FETAL-00001`.
    pub subject_prefix: String,
}

impl Settings {
    /// The prefix of `project`'s subject labels: the configured one, else made of the project's own name.
    pub fn subject_prefix(&self, project: &str) -> String {
        let configured = self.projects.iter().find(|p| p.name == project).map(|p| p.subject_prefix.clone());
        configured.unwrap_or_else(|| {
            project.chars().filter(char::is_ascii_alphanumeric).take(24).collect::<String>().to_ascii_uppercase()
        })
    }

    /// [`Ingest::idle_seconds`] as a duration.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.ingest.idle_seconds)
    }
}

/// Why settings could not be used. The text holds the settings file's own words only.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file does not say what it should.
    #[error("{path}:{line}: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
}

/// Reads the settings.
///
/// # Errors
/// Unreadable file, or text that does not fit, with its line.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// Parses settings text; `path` only names it in errors.
///
/// # Errors
/// Text that does not fit, with its line.
pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let refuse = |line, reason: &str| SettingsError::Parse { path: path.to_owned(), line, reason: reason.to_owned() };
    let settings: Settings = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start.min(text.len()));
        refuse(text.get(..offset).unwrap_or_default().matches('\n').count() + 1, error.message())
    })?;
    for project in &settings.projects {
        if project.name == gift_wire::CANARY_PROJECT {
            return Err(refuse(1, "the project canary is that of the boxes' canaries, which are not kept"));
        }
        let ok = (1..=24).contains(&project.subject_prefix.len())
            && project.subject_prefix.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !ok {
            return Err(refuse(1, "subject-prefix takes 1 to 24 of A-Z and 0-9"));
        }
    }
    if settings.passwords.memory_kib < 19_456 && !cfg!(test) {
        return Err(refuse(1, "passwords.memory-kib below 19456 (OWASP's floor for Argon2id)"));
    }
    let public = settings.web_listener.public_url.as_deref();
    if public.is_some_and(|url| !url.starts_with("https://") || url.ends_with('/')) {
        return Err(refuse(1, "web-listener.public-url begins with https:// and does not end with a slash"));
    }
    if settings.passwords.concurrent == 0 || settings.ingest.concurrent_uploads == 0 {
        return Err(refuse(1, "a concurrency of zero would serve nobody"));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../config/samples/hub.toml");

    #[test]
    fn the_sample_parses_and_an_unknown_key_is_refused_with_its_line() {
        let settings = parse(Path::new("hub.toml"), SAMPLE).unwrap();
        assert_eq!(settings.subject_prefix("fetal-surgery"), "FETAL");
        assert_eq!(settings.subject_prefix("cardiac.2"), "CARDIAC2");
        assert!(settings.profiles.iter().any(|p| p.name == "gift-default-1"));

        let spoilt = SAMPLE.replacen("idle-minutes", "idle-minuets", 1);
        let line = spoilt.lines().position(|line| line.starts_with("idle-minuets")).unwrap() + 1;
        let error = parse(Path::new("hub.toml"), &spoilt).unwrap_err().to_string();
        assert!(error.starts_with(&format!("hub.toml:{line}: ")), "{error}");
    }

    #[test]
    fn a_prefix_that_would_break_labels_is_refused() {
        let spoilt = SAMPLE.replace("\"FETAL\"", "\"fetal 1\"");
        assert!(parse(Path::new("hub.toml"), &spoilt).is_err());
    }

    #[test]
    fn the_project_of_canaries_is_nobodys() {
        let spoilt = SAMPLE.replace("\"fetal-surgery\"", "\"canary\"");
        assert!(parse(Path::new("hub.toml"), &spoilt).is_err());
    }
}
