//! Which project, profile and key an object belongs to: by called AE title and where it came from. What no route names is
//! held unparsed.

use std::{fmt, net::IpAddr, str::FromStr};

use gift_spool::IntakeRecord;
use serde::{Deserialize, Serialize};

/// One route; all conditions it states must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Route {
    /// Called AE title.
    pub called_ae: String,
    /// Calling AE title.
    pub calling_ae: Option<String>,
    /// Addresses of the sender.
    pub source: Option<Cidr>,
    /// Ordinal of the sender in the receiver's settings.
    pub scanner: Option<u16>,
    /// The project.
    pub project: String,
    /// Name of the de-identification profile.
    pub profile: String,
    /// Name of the site key.
    #[serde(default = "Route::default_key")]
    pub key: String,
    /// Name of the linkage domain; without one, patients are those of the site.
    pub linkage: Option<String>,
}

impl Route {
    fn default_key() -> String {
        crate::settings::DEFAULT_KEY.to_owned()
    }

    fn matches(&self, record: &IntakeRecord) -> bool {
        self.called_ae.trim() == record.called_ae.trim()
            && self.calling_ae.as_ref().is_none_or(|title| title.trim() == record.calling_ae.trim())
            && self.source.is_none_or(|cidr| cidr.contains(record.source))
            && self.scanner.is_none_or(|ordinal| ordinal == record.scanner)
    }
}

/// The first route that matches `record`.
pub fn find<'a>(routes: &'a [Route], record: &IntakeRecord) -> Option<&'a Route> {
    routes.iter().find(|route| route.matches(record))
}

/// An address or a range of addresses, `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

/// Not an address or range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or CIDR range")]
pub struct NotCidr;

impl Cidr {
    /// True when `address` is within; an IPv4 address mapped into IPv6 counts as what it is.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = NotCidr;
    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().map_err(|_| NotCidr)?)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| NotCidr)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(NotCidr) } else { Ok(Self { base, bits }) }
    }
}

impl TryFrom<String> for Cidr {
    type Error = NotCidr;
    fn try_from(text: String) -> Result<Self, NotCidr> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(called: &str, calling: &str, source: &str, scanner: u16) -> IntakeRecord {
        IntakeRecord {
            version: 1,
            called_ae: called.into(),
            calling_ae: calling.into(),
            source: source.parse().unwrap(),
            scanner,
            sop_class_uid: String::new(),
            sop_instance_uid: String::new(),
            transfer_syntax_uid: String::new(),
            received_ms: 0,
        }
    }

    fn route(project: &str) -> Route {
        Route {
            called_ae: "BOX".into(),
            calling_ae: None,
            source: None,
            scanner: None,
            project: project.into(),
            profile: "p".into(),
            key: Route::default_key(),
            linkage: None,
        }
    }

    #[test]
    fn every_stated_condition_must_hold_and_the_first_match_counts() {
        let routes = [
            Route { calling_ae: Some("US1 ".into()), source: "10.0.0.0/8".parse().ok(), ..route("both") },
            Route { scanner: Some(3), ..route("third") },
            Route { called_ae: "OTHER".into(), ..route("any") },
        ];
        let project = |r: &IntakeRecord| find(&routes, r).map(|route| route.project.as_str());
        assert_eq!(project(&record("BOX", "US1", "10.9.9.9", 3)), Some("both"));
        assert_eq!(project(&record("BOX", "US1", "11.0.0.1", 3)), Some("third"));
        assert_eq!(project(&record("BOX", "US2", "10.9.9.9", 1)), None);
        assert_eq!(project(&record("OTHER", "", "::1", 0)), Some("any"));
        assert_eq!(project(&record("box", "US1", "10.9.9.9", 3)), None, "AE titles are case-sensitive (PS3.5 §6.2)");
        assert_eq!(find(&[], &record("BOX", "US1", "10.9.9.9", 3)), None);
    }

    #[test]
    fn ranges_end_where_they_say() {
        let within = |cidr: &str, address: &str| cidr.parse::<Cidr>().unwrap().contains(address.parse().unwrap());
        assert!(within("192.0.2.32/28", "192.0.2.32") && within("192.0.2.32/28", "192.0.2.47"));
        assert!(!within("192.0.2.32/28", "192.0.2.48") && !within("192.0.2.32/28", "192.0.2.31"));
        assert!(within("0.0.0.0/0", "255.255.255.255") && within("::/0", "fe80::1"));
        assert!(within("192.0.2.1", "::ffff:192.0.2.1") && !within("192.0.2.1", "192.0.2.2"));
        assert!(within("fe80::/10", "febf::1") && !within("fe80::/10", "fec0::1"));
        assert!(!within("0.0.0.0/0", "fe80::1") && !within("::/0", "192.0.2.1"));
        for bad in ["", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2/24", "host"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
