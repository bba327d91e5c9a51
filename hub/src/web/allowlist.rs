//! Who may connect to the web listener at all: CIDR ranges (RFC 4632, RFC 4291), looked at before TLS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// One range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    /// The network's address as 128 bits; IPv4 as IPv4-mapped.
    network: u128,
    mask: u128,
}

/// The ranges.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct AllowList(Vec<Range>);

impl TryFrom<Vec<String>> for AllowList {
    type Error = String;
    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        texts.iter().map(|text| parse(text)).collect::<Result<_, _>>().map(Self)
    }
}

impl AllowList {
    /// True when a range holds `address`. An IPv4 address and its IPv4-mapped IPv6 form are the same.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.0.iter().any(|range| bits & range.mask == range.network)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Parses `address` or `address/prefix`. Host bits that are set are a mistake somewhere, and refused.
fn parse(text: &str) -> Result<Range, String> {
    let refuse = || format!("{text:?} is not an address range such as 192.0.2.0/24 or 2001:db8::/32");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
            (address, Some(prefix.parse::<u32>().map_err(|_| refuse())?))
        }
        Some(_) => return Err(refuse()),
        None => (text, None),
    };
    let (network, length) = if let Ok(v4) = address.parse::<Ipv4Addr>() {
        (bits(v4.into()), prefix.unwrap_or(32).checked_add(96))
    } else {
        let v6: Ipv6Addr = address.parse().map_err(|_| refuse())?;
        (v6.to_bits(), Some(prefix.unwrap_or(128)))
    };
    let length = length.filter(|length| *length <= 128).ok_or_else(refuse)?;
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    if network & !mask != 0 {
        return Err(format!("{text:?} has bits set beyond its prefix"));
    }
    Ok(Range { network, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> AllowList {
        AllowList::try_from(texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn edges_and_mapped_addresses() {
        let allow = list(&["192.0.2.64/26", "2001:db8:1::/48", "203.0.113.9"]);
        let has = |t: &str| allow.contains(t.parse().unwrap());
        for inside in ["192.0.2.64", "192.0.2.127", "::ffff:192.0.2.100", "2001:db8:1:ffff::1", "203.0.113.9"] {
            assert!(has(inside), "{inside}");
        }
        for outside in ["192.0.2.63", "192.0.2.128", "::ffff:192.0.2.1", "2001:db8:2::", "203.0.113.8", "::192.0.2.100"]
        {
            assert!(!has(outside), "{outside}");
        }
        assert!(!list(&[]).contains("127.0.0.1".parse().unwrap()), "an empty list admits nobody");
        assert!(list(&["0.0.0.0/0"]).contains("198.51.100.1".parse().unwrap()));
        assert!(!list(&["0.0.0.0/0"]).contains("2001:db8::1".parse().unwrap()), "all of IPv4 is not IPv6");
        assert!(list(&["::/0"]).contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "192.0.2.1/24", "192.0.2.0/33", "::1/129", "host", "192.0.2.0/+8", "192.0.2.0/", "1.2.3"] {
            assert!(AllowList::try_from(vec![text.to_owned()]).is_err(), "{text}");
        }
    }
}
