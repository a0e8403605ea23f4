//! Which streams a plugin is told of: its manifest's filters, looked at once for each stream.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use herald_core::flow::FlowKey;
use herald_core::id::Interface;

/// A table `[[filter]]` of a `plugin.toml`. A stream passes if all keys that are there say so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Protocols: `"tcp"`, `"udp"`, `"icmp"`, `"icmpv6"` or numbers.
    protocol: Vec<Protocol>,
    /// Where the stream opens: `"first"` or `"second"`.
    interface: Option<Opens>,
    /// Prefixes or addresses of the opener.
    source: Vec<Prefix>,
    /// Prefixes or addresses that it speaks to.
    destination: Vec<Prefix>,
    /// Ports or ranges such as `"8000-8010"`, of TCP and UDP.
    source_ports: Vec<Ports>,
    /// Likewise.
    destination_ports: Vec<Ports>,
}

/// A protocol's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Protocol(u8);

/// An interface in a manifest.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Opens {
    First,
    Second,
}

#[derive(Clone, Copy, Debug)]
struct Prefix(IpNet);

#[derive(Clone, Debug)]
struct Ports(RangeInclusive<u16>);

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Filter {
    /// A stream that was opened so passes.
    pub(super) fn takes(&self, opener: &FlowKey) -> bool {
        let has_ports = matches!(opener.protocol(), TCP | UDP);
        let end = |prefixes: &[Prefix], ports: &[Ports], address: IpAddr, port: u16| {
            (prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.0.contains(&address)))
                && (ports.is_empty() || has_ports && ports.iter().any(|range| range.0.contains(&port)))
        };
        let (source, destination) = (opener.source(), opener.destination());
        let opens = self.interface.map(|interface| match interface {
            Opens::First => Interface::First,
            Opens::Second => Interface::Second,
        });
        (self.protocol.is_empty() || self.protocol.contains(&Protocol(opener.protocol())))
            && opens.is_none_or(|interface| interface == opener.interface())
            && end(&self.source, &self.source_ports, source.ip(), source.port())
            && end(&self.destination, &self.destination_ports, destination.ip(), destination.port())
    }
}

/// A number or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Number(u16),
    Text(String),
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("a protocol is \"tcp\", \"udp\", \"icmp\", \"icmpv6\" or a number up to 255");
        match Raw::deserialize(from).map_err(|_| wrong())? {
            Raw::Number(number) => u8::try_from(number).map(Self).map_err(|_| wrong()),
            Raw::Text(name) => match name.as_str() {
                "icmp" => Ok(Self(1)),
                "tcp" => Ok(Self(TCP)),
                "udp" => Ok(Self(UDP)),
                "icmpv6" => Ok(Self(58)),
                _ => Err(wrong()),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let prefix = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        prefix.map(Self).map_err(|_| de::Error::custom(format!("{text:?} is neither a prefix nor an address")))
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || de::Error::custom("a port is a number, or a range such as \"8000-8010\"");
        match Raw::deserialize(from).map_err(|_| wrong())? {
            Raw::Number(port) => Ok(Self(port..=port)),
            Raw::Text(text) => {
                let (low, high) = text.split_once('-').ok_or_else(wrong)?;
                let (low, high) = (low.parse().map_err(|_| wrong())?, high.parse().map_err(|_| wrong())?);
                if low <= high { Ok(Self(low..=high)) } else { Err(wrong()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(filter: &str, protocol: u8, interface: Interface, [source, destination]: [(&str, u16); 2]) -> bool {
        let filter: Filter = toml::from_str(filter).unwrap();
        let end = |(address, port): (&str, u16)| (address.parse().unwrap(), port);
        filter.takes(&FlowKey::new(interface, protocol, end(source), end(destination)))
    }

    #[test]
    fn a_stream_passes_if_every_key_says_so() {
        let dns = [("10.1.0.1", 5000), ("10.2.0.1", 53)];
        for (filter, expected) in [
            ("", true),
            ("protocol = [\"udp\"]\ndestination_ports = [53]", true),
            ("protocol = [6, \"icmp\"]", false),
            ("protocol = [17]", true),
            ("interface = \"second\"", false),
            ("source = [\"10.1.0.0/16\"]\ndestination = [\"10.2.0.1\"]", true),
            ("source = [\"10.3.0.0/16\"]", false),
            ("source_ports = [\"4000-4999\"]", false),
            ("source_ports = [\"4000-4999\", 5000]", true),
        ] {
            assert_eq!(takes(filter, 17, Interface::First, dns), expected, "{filter}");
        }
        // An echo's identifier is no port.
        assert!(!takes("destination_ports = [53]", 1, Interface::First, dns));
    }

    #[test]
    fn a_wrong_filter_says_what_is_allowed() {
        for (filter, expected) in [
            ("protocol = [\"sctp\"]", "a protocol is"),
            ("protocol = [256]", "a protocol is"),
            ("source = [\"nowhere\"]", "\"nowhere\" is neither"),
            ("source_ports = [\"9-8\"]", "a port is a number"),
            ("ports = [1]", "unknown field `ports`"),
        ] {
            let error = toml::from_str::<Filter>(filter).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
