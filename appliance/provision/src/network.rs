//! The two sides of the box: which port has which role, and how it is addressed. `network.toml` of a provisioning; out of it come
//! systemd-networkd's files, one instance of which runs in each side's network namespace.

use std::{fmt::Write as _, net::IpAddr};

use serde::Deserialize;

/// Both sides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Network {
    /// Where the scanners are.
    pub scanner: Side,
    /// Where the hub is.
    pub wan: Side,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Side {
    /// The port by where it is on the board, which no order of probing changes: the bus address of its device
    /// (`/sys/class/net/*/device`), such as `0000:01:00.0`.
    pub port: String,
    /// VLAN tag (IEEE 802.1Q), 1 to 4094, when the switch expects tagged frames.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// Take address, gateway and name servers from DHCP.
    #[serde(default)]
    pub dhcp: bool,
    /// Own address with prefix length, `192.0.2.1/24`; several with commas.
    #[serde(default)]
    pub address: Option<String>,
    /// Default gateway.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Name servers (WAN), instead of those that DHCP names.
    #[serde(default)]
    pub dns: Vec<IpAddr>,
    /// Time servers (WAN): names or addresses. Without them the clock is the machine's own.
    #[serde(default)]
    pub ntp: Vec<String>,
}

/// What is wrong with `network.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not the form of one.
    #[error("{0}")]
    Form(String),
    /// A value.
    #[error("[{side}] {what}")]
    Value {
        /// `scanner` or `wan`.
        side: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// One port for both sides.
    #[error("scanner and wan are the same port")]
    SamePort,
}

impl Network {
    /// Reads and checks `network.toml`.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let network: Self = toml::from_str(text).map_err(|error| NetworkError::Form(error.to_string()))?;
        for (name, side) in network.sides() {
            side.check().map_err(|what| NetworkError::Value { side: name, what })?;
        }
        if !network.scanner.dns.is_empty() {
            return Err(NetworkError::Value { side: "scanner", what: "the box looks no name up on the scanner side" });
        }
        if !network.scanner.ntp.is_empty() {
            return Err(NetworkError::Value {
                side: "scanner",
                what: "the box asks nobody for the time on the scanner side",
            });
        }
        if network.scanner.port.eq_ignore_ascii_case(&network.wan.port) {
            return Err(NetworkError::SamePort);
        }
        Ok(network)
    }

    /// The sides with the names of their namespaces and interfaces.
    #[must_use]
    pub fn sides(&self) -> [(&'static str, &Side); 2] {
        [("scanner", &self.scanner), ("wan", &self.wan)]
    }

    /// `resolv.conf` of the WAN side.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        resolv_conf(&self.wan.dns)
    }

    /// Settings of systemd-timesyncd, which asks these servers and no others (its built-in ones are Debian's).
    #[must_use]
    pub fn timesyncd_conf(&self) -> String {
        format!("[Time]\nNTP={}\nFallbackNTP=\n", self.wan.ntp.join(" "))
    }
}

fn resolv_conf(servers: &[IpAddr]) -> String {
    servers.iter().fold(String::new(), |mut text, server| {
        let _ = writeln!(text, "nameserver {server}");
        text
    })
}

/// `resolv.conf` with the name servers that networkd's state (`/run/systemd/netif/state`) has from DHCP; none when it has none.
/// What is no address there is passed over.
#[must_use]
pub fn resolv_conf_of(state: &str) -> Option<String> {
    let line = state.lines().find_map(|line| line.strip_prefix("DNS="))?;
    let servers: Vec<IpAddr> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (!servers.is_empty()).then(|| resolv_conf(&servers))
}

impl Side {
    fn check(&self) -> Result<(), &'static str> {
        let bus = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'-' | b'_');
        if self.port.is_empty() || self.port.len() > 64 || !self.port.bytes().all(bus) {
            return Err("port: the bus address of a network device, such as 0000:01:00.0");
        }
        if self.vlan.is_some_and(|tag| !(1..=4094).contains(&tag)) {
            return Err("vlan: 1 to 4094");
        }
        let host = |name: &String| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed)
        };
        if !self.ntp.iter().all(host) {
            return Err("ntp: names or addresses of time servers");
        }
        match &self.address {
            None if !self.dhcp => Err("an address, or dhcp = true"),
            Some(_) if self.dhcp => Err("either an address or dhcp = true"),
            Some(text) if !text.split(',').all(|one| is_address(one.trim())) => {
                Err("address: an address with its prefix length, such as 192.0.2.1/24")
            }
            _ => Ok(()),
        }
    }

    /// Files of systemd-networkd for this side, whose interface is called `name`: (file, content).
    #[must_use]
    pub fn networkd(&self, name: &str) -> Vec<(String, String)> {
        // Nothing that was not configured: no link-local names, no router's word, no discovery.
        let mut addressing =
            String::from("LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\nLLDP=no\nEmitLLDP=no\n");
        if self.dhcp {
            addressing.push_str("DHCP=ipv4\n");
        }
        for address in self.address.iter().flat_map(|text| text.split(',')) {
            let _ = writeln!(addressing, "Address={}", address.trim());
        }
        if let Some(gateway) = self.gateway {
            let _ = writeln!(addressing, "Gateway={gateway}");
        }
        // Reservations are made by the port's address; what networkd would send else comes from the mainboard's number.
        addressing
            .push_str("\n[DHCPv4]\nClientIdentifier=mac\nSendHostname=no\nUseHostname=no\nUseDomains=no\nUseNTP=no\n");
        if !self.dns.is_empty() {
            addressing.push_str("UseDNS=no\n");
        }
        let network = |name: &str, body: &str| format!("[Match]\nName={name}\n\n[Network]\n{body}");
        match self.vlan {
            None => vec![("10-gift.network".to_owned(), network(name, &addressing))],
            Some(tag) => {
                let tagged = format!("{name}.{tag}");
                vec![
                    ("10-gift.netdev".to_owned(), format!("[NetDev]\nName={tagged}\nKind=vlan\n\n[VLAN]\nId={tag}\n")),
                    (
                        "10-gift.network".to_owned(),
                        network(
                            name,
                            &format!(
                                "VLAN={tagged}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\nLLDP=no\n"
                            ),
                        ),
                    ),
                    ("20-gift-vlan.network".to_owned(), network(&tagged, &addressing)),
                ]
            }
        }
    }
}

fn is_address(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let longest = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= longest)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STATIC: &str = "[scanner]\nport = \"0000:00:03.0\"\naddress = \"192.0.2.1/24\"\n[wan]\nport = \"0000:00:04.0\"\naddress = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\ndns = [\"198.51.100.1\"]\n";

    #[test]
    fn both_sides_become_files_of_networkd() {
        let network = Network::parse(STATIC).unwrap();
        let [(_, scanner), (_, wan)] = network.sides();
        let files = scanner.networkd("scanner");
        assert_eq!(files.len(), 1);
        assert!(files[0].1.contains("[Match]\nName=scanner\n") && files[0].1.contains("Address=192.0.2.1/24\n"));
        assert!(!files[0].1.contains("DHCP=") && !files[0].1.contains("Gateway="));
        assert!(wan.networkd("wan")[0].1.contains("Gateway=198.51.100.1\n"));
        assert_eq!(network.resolv_conf(), "nameserver 198.51.100.1\n");
        assert_eq!(network.timesyncd_conf(), "[Time]\nNTP=\nFallbackNTP=\n");
    }

    #[test]
    fn name_servers_of_a_lease_are_addresses_and_nothing_else() {
        let state = "# private\nOPER_STATE=routable\nDNS=198.51.100.1 fe80::1%wan x; 2001:db8::1\nNTP=192.0.2.9\n";
        assert_eq!(resolv_conf_of(state).unwrap(), "nameserver 198.51.100.1\nnameserver 2001:db8::1\n");
        assert_eq!(resolv_conf_of("OPER_STATE=routable\n"), None);
        assert_eq!(resolv_conf_of("DNS=\n"), None);
    }

    #[test]
    fn a_tagged_side_has_its_addresses_on_the_tag_alone() {
        let network = Network::parse(&STATIC.replace("address = \"192.0.2.1/24\"", "vlan = 40\ndhcp = true")).unwrap();
        let files = network.scanner.networkd("scanner");
        assert_eq!(files.len(), 3);
        assert!(files[0].1.contains("Name=scanner.40\nKind=vlan") && files[0].1.contains("Id=40"));
        assert!(!files[1].1.contains("DHCP="), "the untagged port carries nothing");
        assert!(files[2].1.contains("Name=scanner.40\n") && files[2].1.contains("DHCP=ipv4"));
        assert!(files[2].1.contains("\n[DHCPv4]\nClientIdentifier=mac\n"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fails = |from: &str, to: &str| Network::parse(&STATIC.replace(from, to)).unwrap_err().to_string();
        assert_eq!(fails("0000:00:04.0", "0000:00:03.0"), "scanner and wan are the same port");
        assert!(fails("192.0.2.1/24", "192.0.2.1").contains("[scanner] address"));
        assert!(fails("192.0.2.1/24", "192.0.2.1/33").contains("[scanner] address"));
        assert!(fails("address = \"192.0.2.1/24\"", "").contains("[scanner] an address"));
        assert!(fails("address = \"192.0.2.1/24\"", "vlan = 4095\ndhcp = true").contains("vlan"));
        assert!(fails("address = \"192.0.2.1/24\"", "address = \"192.0.2.1/24\"\ndhcp = true").contains("either"));
        assert!(fails("0000:00:03.0", "../../x").contains("port"));
        assert!(fails("dns =", "ntp = [\"a b\"]\ndns =").contains("[wan] ntp"));
        assert!(fails("address = \"192.0.2.1/24\"", "address = \"192.0.2.1/24\"\nntp = [\"a\"]").contains("time"));
        assert!(fails("dns =", "nds =").contains("nds"));
        assert!(
            fails("address = \"192.0.2.1/24\"", "address = \"192.0.2.1/24\"\ndns = [\"192.0.2.2\"]")
                .contains("no name")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_brings_a_second_line_into_a_file(port in ".{0,40}", address in ".{0,40}") {
            let text = format!("[scanner]\nport = {port:?}\naddress = {address:?}\n[wan]\nport = \"a\"\ndhcp = true\n");
            if let Ok(network) = Network::parse(&text) {
                let lines = network.scanner.networkd("scanner")[0].1.lines().count();
                let usual = Network::parse(STATIC).unwrap().scanner.networkd("scanner")[0].1.lines().count();
                proptest::prop_assert!(lines >= usual && lines <= usual + address.matches(',').count());
            }
        }
    }
}
