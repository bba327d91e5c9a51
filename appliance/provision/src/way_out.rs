//! The one TCP port that the WAN side's packet filter lets the uplink out to: the proxy's where there is one, else the hub's.

use std::str::FromStr as _;

use http::{Uri, uri::Authority};
use serde::Deserialize;

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
}

/// The rest is the uplink's own business.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Uplink {
    hub_url: String,
    #[serde(default)]
    proxy: Option<String>,
}

/// Port of the uplink's one TCP connection, from its settings.
///
/// # Errors
/// [`WayOutError`].
pub fn way_out(uplink_toml: &str) -> Result<u16, WayOutError> {
    let uplink: Uplink = toml::from_str(uplink_toml).map_err(|_| WayOutError::Form)?;
    let hub = Uri::from_str(&uplink.hub_url).map_err(|_| WayOutError::HubUrl)?;
    let authority = hub.authority().filter(|_| hub.scheme_str() == Some("https")).ok_or(WayOutError::HubUrl)?;
    match uplink.proxy {
        None => port(authority, Some(443)).ok_or(WayOutError::HubUrl),
        Some(proxy) => Authority::from_str(&proxy).ok().and_then(|proxy| port(&proxy, None)).ok_or(WayOutError::Proxy),
    }
}

/// The port that is named, or the usual one when none is.
fn port(authority: &Authority, usual: Option<u16>) -> Option<u16> {
    let named = authority.as_str().rsplit_once(':').is_some_and(|(_, end)| !end.ends_with(']'));
    if named { authority.port_u16() } else { usual }.filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_the_only_way_out_where_there_is_one() {
        assert_eq!(way_out("hub-url = \"https://hub.example.org\""), Ok(443));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:8443\"\nhouse = \"/x\""), Ok(8443));
        assert_eq!(way_out("hub-url = \"https://[2001:db8::1]\""), Ok(443));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:443\"\nproxy = \"proxy.example:3128\""), Ok(3128));
        assert_eq!(way_out("hub-url = \"https://hub.example.org\"\nproxy = \"[2001:db8::1]:8080\""), Ok(8080));
    }

    #[test]
    fn what_names_no_port_is_no_way_out() {
        assert_eq!(way_out("x"), Err(WayOutError::Form));
        assert_eq!(way_out("proxy = \"proxy.example:3128\""), Err(WayOutError::Form));
        assert_eq!(way_out("hub-url = \"http://hub.example.org\""), Err(WayOutError::HubUrl));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:0\""), Err(WayOutError::HubUrl));
        assert_eq!(way_out("hub-url = \"https://hub.example.org:99999\""), Err(WayOutError::HubUrl));
        for proxy in ["proxy.example", "proxy.example:", "proxy.example:0", "proxy.example:3128/x", ":"] {
            let text = format!("hub-url = \"https://hub.example.org\"\nproxy = \"{proxy}\"");
            assert_eq!(way_out(&text), Err(WayOutError::Proxy), "{proxy}");
        }
    }
}
