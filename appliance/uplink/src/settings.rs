//! What an operator may set. Defaults stand in the sample `config/samples/uplink.toml`, which a test parses and compares.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use gift_service::SettingsError;
use serde::Deserialize;

/// Settings of the process, as read from its TOML file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The uplink's own directory.
    pub(crate) house: PathBuf,
    /// The drop directory this process owns.
    pub(crate) outbox: PathBuf,
    /// Who may post into it.
    pub(crate) writers: Vec<Writer>,
    /// Where damaged items of the outbox go; `<house>/set-aside` when absent.
    pub(crate) set_aside: Option<PathBuf>,
    /// Where `status.json` is published.
    pub(crate) status_dir: PathBuf,
    /// `https://name:port` of the hub, without a path.
    pub(crate) hub_url: String,
    /// Address to use instead of resolving the hub's name.
    pub(crate) hub_address: Option<IpAddr>,
    /// PEM file of the roots the hub's certificate must chain to.
    pub(crate) hub_roots: PathBuf,
    /// File with the one-time enrolment token.
    pub(crate) enrolment_token_file: PathBuf,
    /// Socket of the signer, which has the device key in the TPM; without this the key is a file of this process.
    pub(crate) signer: Option<PathBuf>,
    /// HTTP CONNECT proxy, `host:port`.
    pub(crate) proxy: Option<String>,
    /// Objects uploaded at the same time.
    #[serde(default = "four")]
    pub(crate) concurrency: usize,
    /// An object below this size is small, bytes.
    #[serde(default = "one_mebibyte")]
    pub(crate) small_object_bytes: u64,
    /// How long SIGTERM waits for uploads in flight.
    #[serde(default = "five_seconds")]
    pub(crate) stop_grace_ms: u64,
    /// Rows of finished uploads kept in the ledger.
    #[serde(default = "ten_thousand")]
    pub(crate) receipts_kept: u64,
    /// Where signed policy bundles go; without this none is fetched.
    #[serde(default)]
    pub(crate) policy: Option<SignedDrop>,
    /// Where signed system updates go; without this none is fetched.
    #[serde(default)]
    pub(crate) updates: Option<SignedDrop>,
    /// Where signed orders to erase this box go; without this none is fetched.
    #[serde(default)]
    pub(crate) orders: Option<SignedDrop>,
    /// Where a certificate of the hub that is not valid yet goes: this machine's clock may be behind. Without this it goes nowhere.
    #[serde(default)]
    pub(crate) clock: Option<ClockDrop>,
    /// When to try again.
    #[serde(default)]
    pub(crate) retry: Retry,
    /// When to give up an attempt.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
}

/// A process that may post: by name or by uid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Writer {
    /// Numeric user id.
    Uid(u32),
    /// User name, resolved at start.
    Name(String),
}

/// A drop for what was signed offline and comes by the hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct SignedDrop {
    /// The uplink's staging directory, on the inbox's mount.
    pub(crate) staging: PathBuf,
    /// The reader's drop directory.
    pub(crate) inbox: PathBuf,
    /// How often the hub is asked.
    #[serde(default = "five_minutes")]
    pub(crate) interval_seconds: u64,
}

/// The drop of gift-clock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ClockDrop {
    /// The uplink's staging directory, on the inbox's mount.
    pub(crate) staging: PathBuf,
    /// The reader's drop directory.
    pub(crate) inbox: PathBuf,
}

/// When to try again, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// Shortest wait after a failure, and the first upper bound doubled from.
    pub(crate) first_ms: u64,
    /// The upper bound doubles up to this.
    pub(crate) longest_ms: u64,
    /// A `Retry-After` of the hub is honoured up to this.
    pub(crate) retry_after_longest_ms: u64,
    /// An object the hub refused for good is offered again after this.
    pub(crate) refused_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        // 1 s … 5 min with full jitter: bars-reliability R11. Six hours: a refusal needs a person at the hub.
        Self { first_ms: 1_000, longest_ms: 300_000, retry_after_longest_ms: 3_600_000, refused_ms: 21_600_000 }
    }
}

/// When to give up an attempt, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// TCP, proxy and TLS handshakes together.
    pub(crate) connect_ms: u64,
    /// No byte of a body could be sent.
    pub(crate) stall_ms: u64,
    /// The whole body was sent and no answer came.
    pub(crate) answer_ms: u64,
    /// Sent bytes that the peer's TCP does not acknowledge.
    pub(crate) unacknowledged_ms: u64,
    /// An idle connection is closed by us.
    pub(crate) idle_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        // Stall: a 64 kbit/s line takes a minute to drain a full socket buffer. Idle: firewalls kill at 60 s.
        Self { connect_ms: 20_000, stall_ms: 180_000, answer_ms: 120_000, unacknowledged_ms: 60_000, idle_ms: 45_000 }
    }
}

fn four() -> usize {
    4
}
fn one_mebibyte() -> u64 {
    1 << 20
}
fn five_seconds() -> u64 {
    5_000
}
fn five_minutes() -> u64 {
    300
}
fn ten_thousand() -> u64 {
    10_000
}

/// What is wrong with settings that parse.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsFault {
    /// Unreadable, or not TOML of this shape.
    #[error(transparent)]
    Form(#[from] SettingsError),
    /// `hub-url` is not `https://name[:port]`.
    #[error("hub-url must be https://name:port without a path")]
    HubUrl,
    /// Both ways around name resolution.
    #[error("hub-address and proxy exclude each other: the proxy resolves the name")]
    AddressAndProxy,
    /// `proxy` is not `host:port`.
    #[error("proxy must be host:port")]
    Proxy,
    /// Nobody could post.
    #[error("writers must name at least one user")]
    NoWriter,
    /// A user that does not exist here.
    #[error("no such user: {0}")]
    UnknownWriter(String),
    /// A number that cannot work.
    #[error("{0} out of range")]
    Range(&'static str),
}

impl Settings {
    /// Reads and checks the settings file.
    ///
    /// # Errors
    /// What is wrong with it, with file and line where there is one.
    pub(crate) fn load(path: &Path) -> Result<Self, SettingsFault> {
        let settings: Self = gift_service::load(path)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsFault> {
        self.hub_name_and_port().ok_or(SettingsFault::HubUrl)?;
        if self.hub_address.is_some() && self.proxy.is_some() {
            return Err(SettingsFault::AddressAndProxy);
        }
        if let Some(proxy) = &self.proxy {
            name_and_port(proxy, None).ok_or(SettingsFault::Proxy)?;
        }
        if self.writers.is_empty() {
            return Err(SettingsFault::NoWriter);
        }
        if !(1..=64).contains(&self.concurrency) {
            return Err(SettingsFault::Range("concurrency"));
        }
        let drops = [
            (&self.policy, "policy.interval-seconds"),
            (&self.updates, "updates.interval-seconds"),
            (&self.orders, "orders.interval-seconds"),
        ];
        for (drop, name) in drops {
            if drop.as_ref().is_some_and(|drop| drop.interval_seconds == 0) {
                return Err(SettingsFault::Range(name));
            }
        }
        if self.retry.first_ms == 0 || self.retry.longest_ms < self.retry.first_ms {
            return Err(SettingsFault::Range("retry"));
        }
        let t = &self.timeouts;
        if [t.connect_ms, t.stall_ms, t.answer_ms, t.unacknowledged_ms, t.idle_ms].contains(&0) {
            return Err(SettingsFault::Range("timeouts"));
        }
        Ok(())
    }

    /// Host name and port of `hub-url`; `None` when it is not `https://name[:port]`.
    pub(crate) fn hub_name_and_port(&self) -> Option<(&str, u16)> {
        name_and_port(self.hub_url.strip_prefix("https://")?.trim_end_matches('/'), Some(443))
    }

    /// `hub-url` followed by `path`.
    pub(crate) fn hub_path(&self, path: &str) -> String {
        format!("{}{path}", self.hub_url.trim_end_matches('/'))
    }

    /// The directory for damaged items.
    pub(crate) fn set_aside_dir(&self) -> PathBuf {
        self.set_aside.clone().unwrap_or_else(|| self.house.join("set-aside"))
    }

    /// The uids that may post.
    ///
    /// # Errors
    /// A name that is no user of this system.
    pub(crate) fn writer_uids(&self) -> Result<Vec<u32>, SettingsFault> {
        let uid = |writer: &Writer| match writer {
            Writer::Uid(uid) => Ok(*uid),
            Writer::Name(name) => match nix::unistd::User::from_name(name) {
                Ok(Some(user)) => Ok(user.uid.as_raw()),
                _ => Err(SettingsFault::UnknownWriter(name.clone())),
            },
        };
        self.writers.iter().map(uid).collect()
    }
}

impl Retry {
    /// An object the hub refused for good is offered again after this.
    pub(crate) fn refused(&self) -> Duration {
        Duration::from_millis(self.refused_ms)
    }
}

fn name_and_port(text: &str, default_port: Option<u16>) -> Option<(&str, u16)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (text, default_port?),
    };
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (!name.is_empty() && name.bytes().all(ok)).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../../config/samples/uplink.toml");

    fn parse(text: &str) -> Result<Settings, SettingsFault> {
        let settings: Settings = gift_service::parse(Path::new("uplink.toml"), text)?;
        settings.check()?;
        Ok(settings)
    }

    #[test]
    fn the_sample_parses_and_its_comments_tell_the_defaults() {
        let plain = parse(SAMPLE).unwrap();
        assert_eq!(plain.hub_name_and_port(), Some(("hub.example.org", 443)));
        assert_eq!(plain.signer, None);
        let with_signer = parse(&SAMPLE.replace("# signer =", "signer =")).unwrap();
        assert_eq!(with_signer.signer.as_deref(), Some(Path::new("/run/gift/signer/socket")));
        // Every commented-out setting with a fixed default, switched on, must change nothing.
        let text: String = SAMPLE
            .lines()
            .filter(|line| !["<house>", "hub-address =", "proxy =", "signer ="].iter().any(|free| line.contains(free)))
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || is_assignment(rest) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert!(text.contains("\n[retry]\n") && text.contains("\nconcurrency = 4\n"), "{text}");
        let mut switched_on = parse(&text).unwrap();
        assert_eq!(switched_on.policy.take().unwrap().interval_seconds, five_minutes());
        assert_eq!(switched_on.updates.take().unwrap().interval_seconds, five_minutes());
        assert_eq!(switched_on.orders.take().unwrap().interval_seconds, five_minutes());
        assert!(switched_on.clock.take().unwrap().inbox.ends_with("clock/inbox"));
        assert_eq!(format!("{plain:?}"), format!("{switched_on:?}"));
    }

    #[test]
    fn the_settings_that_the_image_ships_parse() {
        parse(include_str!("../../dist/etc/gift/uplink.toml")).unwrap();
    }

    fn is_assignment(text: &str) -> bool {
        text.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let with = |from: &str, to: &str| parse(&SAMPLE.replace(from, to));
        assert!(matches!(with("https://hub", "http://hub"), Err(SettingsFault::HubUrl)));
        assert!(matches!(with(":443\"", ":443/path\""), Err(SettingsFault::HubUrl)));
        assert!(matches!(with("[\"gift-deid\", \"gift-health\"]", "[]"), Err(SettingsFault::NoWriter)));
        assert!(matches!(with("# concurrency = 4", "concurrency = 0"), Err(SettingsFault::Range(_))));
        assert!(matches!(with("# concurrency = 4", "concurency = 4"), Err(SettingsFault::Form(_))));
        let both = SAMPLE.replace("# hub-address", "hub-address").replace("# proxy", "proxy");
        assert!(matches!(parse(&both), Err(SettingsFault::AddressAndProxy)));
        let nobody = parse(&SAMPLE.replace("gift-deid", "no-such-user-here")).unwrap();
        assert!(matches!(nobody.writer_uids(), Err(SettingsFault::UnknownWriter(_))));
    }
}
