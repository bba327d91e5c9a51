//! Settings of the receiver (`config/samples/receiver.toml` shows every key) and the policy they make.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use gift_dimse::{AeTitle, MIN_PDU_BYTES, Offer, Uid};
use serde::Deserialize;

use crate::error::SettingsProblem;

/// The settings file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where to listen when no socket is passed.
    pub(crate) listen: SocketAddr,
    /// Staging half of the drop directory.
    pub(crate) intake_staging: PathBuf,
    /// The reader's half.
    pub(crate) intake_inbox: PathBuf,
    /// Where the status record is published.
    pub(crate) status_directory: PathBuf,
    /// Free space that is left to the rest of the box, bytes.
    pub(crate) reserve_bytes: u64,
    /// AE titles answered to; empty = any.
    pub(crate) called_ae_titles: Vec<String>,
    /// Whether senders without a `[[scanners]]` entry may store.
    #[serde(default = "yes")]
    pub(crate) accept_unknown_scanners: bool,
    /// Abstract syntaxes beyond the standard's storage SOP classes.
    #[serde(default)]
    pub(crate) private_sop_classes: Vec<String>,
    /// Transfer syntaxes to prefer; otherwise the first proposed.
    #[serde(default)]
    pub(crate) transfer_syntax_order: Vec<String>,
    /// Largest P-DATA-TF PDU, bytes.
    #[serde(default = "default_max_pdu_bytes")]
    pub(crate) max_pdu_bytes: u32,
    /// Known scanners.
    #[serde(default)]
    pub(crate) scanners: Vec<Scanner>,
    /// How many at once.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// How long.
    #[serde(default)]
    pub(crate) timeouts: Timeouts,
}

/// A known scanner: by calling AE title, by address, or by both.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Scanner {
    /// All that logs and status say about it; from 1.
    pub(crate) ordinal: u16,
    /// Its calling AE title.
    pub(crate) calling_ae: Option<String>,
    /// Its address or network.
    pub(crate) address: Option<Network>,
}

/// Caps on what is open at once.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Associations, in all.
    pub(crate) max_associations: usize,
    /// Of these, for addresses of known scanners only.
    pub(crate) reserved_for_known: usize,
    /// Associations of one address.
    pub(crate) per_address: usize,
    /// Associations of one address that are not of a known scanner.
    pub(crate) per_unknown_address: usize,
    /// Connections without an association yet, in all.
    pub(crate) max_half_open: usize,
    /// Connections without an association yet, of one address.
    pub(crate) half_open_per_address: usize,
    /// Policy rejections of one address within a minute before it is dropped unheard; 0 = never.
    pub(crate) rejections_before_ban: u32,
    /// How long it is dropped, seconds.
    pub(crate) ban_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_associations: 256,
            reserved_for_known: 64,
            per_address: 32,
            per_unknown_address: 4,
            max_half_open: 128,
            half_open_per_address: 32,
            rejections_before_ban: 5,
            ban_seconds: 600,
        }
    }
}

/// Timers, seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// Connection to A-ASSOCIATE-RQ.
    pub(crate) artim_seconds: u64,
    /// Within a message, for each PDU; also for writing an answer.
    pub(crate) transfer_seconds: u64,
    /// Between messages.
    pub(crate) idle_seconds: u64,
    /// For running associations, after SIGTERM.
    pub(crate) shutdown_seconds: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { artim_seconds: 30, transfer_seconds: 60, idle_seconds: 300, shutdown_seconds: 20 }
    }
}

impl Timeouts {
    pub(crate) fn artim(&self) -> Duration {
        Duration::from_secs(self.artim_seconds)
    }

    pub(crate) fn transfer(&self) -> Duration {
        Duration::from_secs(self.transfer_seconds)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    pub(crate) fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}

fn yes() -> bool {
    true
}

fn default_max_pdu_bytes() -> u32 {
    128 * 1024
}

/// An address, or a network in CIDR notation. IPv4-mapped IPv6 addresses count as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Network {
    base: IpAddr,
    prefix: u8,
}

impl TryFrom<String> for Network {
    type Error = SettingsProblem;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text.as_str(), None),
        };
        let base = base.parse::<IpAddr>().map_err(|_| SettingsProblem::Address)?.to_canonical();
        let widest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|p| *p <= widest).ok_or(SettingsProblem::Address)?,
            None => widest,
        };
        Ok(Self { base, prefix })
    }
}

impl Network {
    /// Whether `address` lies in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                let differ = base.to_bits() ^ address.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                let differ = base.to_bits() ^ address.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Settings {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first contradiction found.
    pub(crate) fn check(&self) -> Result<(), SettingsProblem> {
        let mut ordinals = std::collections::HashSet::new();
        for scanner in &self.scanners {
            if scanner.ordinal == 0 || !ordinals.insert(scanner.ordinal) {
                return Err(SettingsProblem::Ordinal);
            }
            if scanner.calling_ae.is_none() && scanner.address.is_none() {
                return Err(SettingsProblem::Nameless(scanner.ordinal));
            }
        }
        let titles = self.called_ae_titles.iter().chain(self.scanners.iter().filter_map(|s| s.calling_ae.as_ref()));
        if titles.into_iter().any(|title| AeTitle::parse(title.as_bytes()).is_none()) {
            return Err(SettingsProblem::AeTitle);
        }
        let uids = self.private_sop_classes.iter().chain(&self.transfer_syntax_order);
        if uids.into_iter().any(|uid| Uid::parse(uid.as_bytes()).is_none()) {
            return Err(SettingsProblem::Uid);
        }
        if self.max_pdu_bytes < MIN_PDU_BYTES {
            return Err(SettingsProblem::MaxPdu);
        }
        let limits = &self.limits;
        if limits.max_associations == 0 || limits.reserved_for_known >= limits.max_associations {
            return Err(SettingsProblem::Reserve);
        }
        if limits.per_address == 0 || limits.max_half_open == 0 || limits.half_open_per_address == 0 {
            return Err(SettingsProblem::Zero);
        }
        Ok(())
    }

    /// What is offered to every association.
    pub(crate) fn offer(&self) -> Offer {
        Offer::new(self.max_pdu_bytes, self.private_sop_classes.iter().cloned(), self.transfer_syntax_order.clone())
    }

    /// Whether `address` is one of a known scanner.
    pub(crate) fn known_address(&self, address: IpAddr) -> bool {
        self.scanners.iter().any(|scanner| scanner.address.is_some_and(|network| network.contains(address)))
    }

    /// The scanner of this calling AE title at this address.
    pub(crate) fn scanner(&self, calling_ae: &AeTitle, address: IpAddr) -> Option<u16> {
        let matches = |scanner: &&Scanner| {
            scanner.calling_ae.as_ref().is_none_or(|title| title.trim() == calling_ae.as_str())
                && scanner.address.is_none_or(|network| network.contains(address))
        };
        self.scanners.iter().find(matches).map(|scanner| scanner.ordinal)
    }

    /// Whether `called_ae` is one of ours.
    pub(crate) fn answers_to(&self, called_ae: &AeTitle) -> bool {
        self.called_ae_titles.is_empty() || self.called_ae_titles.iter().any(|title| title.trim() == called_ae.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SAMPLE: &str = include_str!("../../../config/samples/receiver.toml");

    fn parse(text: &str) -> Result<Settings, String> {
        let settings: Settings =
            gift_service::parse(Path::new("receiver.toml"), text).map_err(|error| error.to_string())?;
        settings.check().map(|()| settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_parses_as_it_stands_and_with_every_commented_default() {
        let sample = parse(SAMPLE).unwrap();
        assert_eq!(sample.scanners.len(), 2);
        let uncomment = |line: &'static str| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key,
            _ => line,
        };
        let uncommented: Vec<_> = SAMPLE.lines().map(uncomment).collect();
        // The [[scanners]] entries end the top level, so the commented top-level keys stay above them.
        let full = parse(&uncommented.join("\n")).unwrap();
        let (limits, timeouts) = (Limits::default(), Timeouts::default());
        assert_eq!(format!("{:?}", full.limits), format!("{limits:?}"), "the sample's comments show the defaults");
        assert_eq!(format!("{:?}", full.timeouts), format!("{timeouts:?}"));
        assert_eq!(full.max_pdu_bytes, default_max_pdu_bytes());
    }

    #[test]
    fn unknown_keys_and_contradictions_are_refused() {
        assert!(parse(&format!("colour = 1\n{SAMPLE}")).unwrap_err().contains("receiver.toml:1:1"));
        for (from, to) in [
            ("ordinal = 2", "ordinal = 1"),
            ("ordinal = 2", "ordinal = 0"),
            ("address = \"192.0.2.32/28\"", ""),
            ("\"192.0.2.32/28\"", "\"192.0.2.32/33\""),
            ("\"GIFTCLOUD\"", "\"SEVENTEEN_LETTERS\""),
        ] {
            assert!(SAMPLE.contains(from));
            assert!(parse(&SAMPLE.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn scanners_are_found_by_title_and_network() {
        let settings = parse(SAMPLE).unwrap();
        let title = |text: &str| AeTitle::parse(text.as_bytes()).unwrap();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(settings.scanner(&title("VOLUSON1"), at("192.0.2.10")), Some(1));
        assert_eq!(settings.scanner(&title("VOLUSON2"), at("192.0.2.10")), None);
        assert_eq!(settings.scanner(&title("ANY"), at("::ffff:192.0.2.47")), Some(2));
        assert_eq!(settings.scanner(&title("ANY"), at("192.0.2.48")), None);
        assert!(settings.known_address(at("192.0.2.33")) && !settings.known_address(at("198.51.100.1")));
        let everything = Network::try_from("0.0.0.0/0".to_owned()).unwrap();
        assert!(everything.contains(at("203.0.113.9")) && !everything.contains(at("2001:db8::1")));
        let six = Network::try_from("2001:db8::/32".to_owned()).unwrap();
        assert!(six.contains(at("2001:db8:ffff::1")) && !six.contains(at("2001:db9::1")));
    }
}
