//! Where the WAN side's packet filter lets the uplink out to: the proxy where there is one, else the hub. Its TCP port always, and its
//! address where the settings say it; a name may lead anywhere (docs/decisions/0019-way-out.md).

use std::{fmt::Write as _, net::IpAddr, str::FromStr as _};

use http::{Uri, uri::Authority};
use serde::Deserialize;

use crate::network::Side;

/// What is wrong with the part of `uplink.toml` that the packet filter is made from. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WayOutError {
    /// No TOML, or no `hub-url`.
    #[error("not TOML with a hub-url")]
    Form,
    /// `hub-url`.
    #[error("hub-url: an https address of a hub")]
    HubUrl,
    /// `proxy`.
    #[error("proxy: host:port")]
    Proxy,
    /// `hub-address`.
    #[error("hub-address: an address, and none where there is a proxy")]
    HubAddress,
}

/// The rest is the uplink's own business.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Uplink {
    hub_url: String,
    #[serde(default)]
    hub_address: Option<String>,
    #[serde(default)]
    proxy: Option<String>,
}

/// The uplink's one TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayOut {
    /// TCP port.
    pub port: u16,
    /// The address, where it needs no looking up.
    pub address: Option<IpAddr>,
}

/// Where the uplink goes, from its settings.
///
/// # Errors
/// [`WayOutError`].
pub fn way_out(uplink_toml: &str) -> Result<WayOut, WayOutError> {
    let uplink: Uplink = toml::from_str(uplink_toml).map_err(|_| WayOutError::Form)?;
    let hub = Uri::from_str(&uplink.hub_url).map_err(|_| WayOutError::HubUrl)?;
    let authority = hub.authority().filter(|_| hub.scheme_str() == Some("https")).ok_or(WayOutError::HubUrl)?;
    let given = uplink.hub_address.map(|address| address.parse()).transpose().map_err(|_| WayOutError::HubAddress)?;
    match uplink.proxy {
        None => {
            let port = port(authority, Some(443)).ok_or(WayOutError::HubUrl)?;
            // An address in the URL needs no resolver, and the uplink asks none.
            Ok(WayOut { port, address: address(authority).or(given.map(|given: IpAddr| given.to_canonical())) })
        }
        Some(_) if given.is_some() => Err(WayOutError::HubAddress),
        Some(proxy) => {
            let proxy = Authority::from_str(&proxy).map_err(|_| WayOutError::Proxy)?;
            let port = port(&proxy, None).ok_or(WayOutError::Proxy)?;
            Ok(WayOut { port, address: address(&proxy) })
        }
    }
}

impl WayOut {
    /// What the WAN side's packet filter (`wan.nft`) includes: where the uplink may go, whom it and the clock may ask for a name, and whom
    /// the clock for the time. A set is of everything where an address is known only by its name, or by DHCP.
    #[must_use]
    pub fn definitions(&self, wan: &Side) -> String {
        let servers = (!wan.dns.is_empty()).then(|| wan.dns.clone());
        let times: Option<Vec<IpAddr>> = wan.ntp.iter().map(|name| name.parse().ok()).collect();
        // A name is looked up only by those who have one.
        let names = |known: bool| if known { Some(Vec::new()) } else { servers.clone() };
        let sets = [
            ("uplink", self.address.map(|address| vec![address])),
            ("uplink_names", names(self.address.is_some())),
            ("time_names", names(times.is_some())),
            ("time", times),
        ];
        let mut text = format!("define uplink_port = {}\n", self.port);
        for (name, addresses) in sets {
            let of = |v4: bool, nothing: &str, everything: &str| match &addresses {
                None => everything.to_owned(),
                Some(addresses) => {
                    let found = addresses.iter().map(IpAddr::to_canonical).filter(|address| address.is_ipv4() == v4);
                    let found = found.map(|address| address.to_string());
                    let found = found.collect::<Vec<_>>().join(", ");
                    if found.is_empty() { nothing.to_owned() } else { found }
                }
            };
            // The unspecified address is no destination of a packet.
            let (v4, v6) = (of(true, "0.0.0.0", "0.0.0.0/0"), of(false, "::", "::/0"));
            let _ = writeln!(text, "define {name}_v4 = {{ {v4} }}\ndefine {name}_v6 = {{ {v6} }}");
        }
        text
    }
}

fn address(authority: &Authority) -> Option<IpAddr> {
    // An IPv4 address in IPv6's form is an IPv4 packet.
    authority.host().trim_matches(['[', ']']).parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The port that is named, or the usual one when none is.
fn port(authority: &Authority, usual: Option<u16>) -> Option<u16> {
    let named = authority.as_str().rsplit_once(':').is_some_and(|(_, end)| !end.ends_with(']'));
    if named { authority.port_u16() } else { usual }.filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(uplink_toml: &str) -> (u16, Option<String>) {
        let WayOut { port, address } = way_out(uplink_toml).unwrap();
        (port, address.map(|address| address.to_string()))
    }

    #[test]
    fn the_proxy_is_the_only_way_out_where_there_is_one() {
        let at = |address: &str| Some(address.to_owned());
        assert_eq!(out("hub-url = \"https://hub.example.org\""), (443, None));
        assert_eq!(out("hub-url = \"https://hub.example.org:8443\"\nhouse = \"/x\""), (8443, None));
        assert_eq!(out("hub-url = \"https://[2001:db8::1]\""), (443, at("2001:db8::1")));
        assert_eq!(out("hub-url = \"https://hub.example.org\"\nhub-address = \"192.0.2.1\""), (443, at("192.0.2.1")));
        assert_eq!(out("hub-url = \"https://hub.example.org:443\"\nproxy = \"proxy.example:3128\""), (3128, None));
        // The uplink looks nothing up then.
        assert_eq!(out("hub-url = \"https://192.0.2.1\"\nhub-address = \"192.0.2.9\""), (443, at("192.0.2.1")));
        let mapped = "hub-url = \"https://hub.example.org\"\nhub-address = \"::ffff:192.0.2.1\"";
        assert_eq!(out(mapped), (443, at("192.0.2.1")));
        assert_eq!(out("hub-url = \"https://192.0.2.1\"\nproxy = \"[2001:db8::1]:8080\""), (8080, at("2001:db8::1")));
    }

    #[test]
    fn what_names_no_port_is_no_way_out() {
        assert_eq!(way_out("x"), Err(WayOutError::Form));
        assert_eq!(way_out("proxy = \"proxy.example:3128\""), Err(WayOutError::Form));
        assert_eq!(way_out("hub-url = \"http://hub.example.org\""), Err(WayOutError::HubUrl));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:0\""), Err(WayOutError::HubUrl));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:99999\""), Err(WayOutError::HubUrl));
        for further in ["hub-address = \"hub\"", "hub-address = \"192.0.2.1\"\nproxy = \"proxy.example:3128\""] {
            let text = format!("hub-url = \"https://hub.example.org\"\n{further}");
            assert_eq!(way_out(&text), Err(WayOutError::HubAddress), "{further}");
        }
        for proxy in ["proxy.example", "proxy.example:", "proxy.example:0", "proxy.example:3128/x", ":"] {
            let text = format!("hub-url = \"https://hub.example.org\"\nproxy = \"{proxy}\"");
            assert_eq!(way_out(&text), Err(WayOutError::Proxy), "{proxy}");
        }
    }

    #[test]
    fn the_filter_has_the_addresses_that_are_known_and_no_more() {
        let wan = |further: &str| {
            let text = format!("[scanner]\nport = \"a\"\ndhcp = true\n[wan]\nport = \"b\"\ndhcp = true\n{further}");
            crate::network::Network::parse(&text).unwrap().wan
        };
        let hub = WayOut { port: 443, address: None };
        assert_eq!(
            hub.definitions(&wan("dns = [\"192.0.2.53\", \"2001:db8::53\"]\nntp = [\"192.0.2.123\"]")),
            "define uplink_port = 443\n\
             define uplink_v4 = { 0.0.0.0/0 }\ndefine uplink_v6 = { ::/0 }\n\
             define uplink_names_v4 = { 192.0.2.53 }\ndefine uplink_names_v6 = { 2001:db8::53 }\n\
             define time_names_v4 = { 0.0.0.0 }\ndefine time_names_v6 = { :: }\n\
             define time_v4 = { 192.0.2.123 }\ndefine time_v6 = { :: }\n"
        );
        let known = WayOut { port: 443, address: Some("192.0.2.1".parse().unwrap()) };
        assert_eq!(
            known.definitions(&wan("ntp = [\"time.example.org\"]")),
            "define uplink_port = 443\n\
             define uplink_v4 = { 192.0.2.1 }\ndefine uplink_v6 = { :: }\n\
             define uplink_names_v4 = { 0.0.0.0 }\ndefine uplink_names_v6 = { :: }\n\
             define time_names_v4 = { 0.0.0.0/0 }\ndefine time_names_v6 = { ::/0 }\n\
             define time_v4 = { 0.0.0.0/0 }\ndefine time_v6 = { ::/0 }\n"
        );
    }
}
