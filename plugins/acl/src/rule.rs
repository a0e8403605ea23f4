//! One rule, and whether it matches a stream.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use herald_plugin::prelude::*;
use ipnet::IpNet;

use crate::Policy;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// A rule. `None` and empty lists match everything.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) policy: Policy,
    pub(crate) name: Reason,
    pub(crate) protocol: Option<u8>,
    pub(crate) interface: Option<Interface>,
    pub(crate) source: End,
    pub(crate) destination: End,
}

/// What a rule asks of one end of a stream.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) prefixes: Vec<IpNet>,
    pub(crate) ports: Vec<RangeInclusive<u16>>,
}

impl Rule {
    pub(crate) fn matches(&self, stream: &StreamInfo<'_>) -> bool {
        self.matches_opener(stream.protocol(), stream.interface(), stream.source(), stream.destination())
    }

    fn matches_opener(&self, protocol: u8, interface: Interface, source: SocketAddr, destination: SocketAddr) -> bool {
        // Other protocols' streams carry an ICMP identifier or nothing in place of ports.
        let port = |end: SocketAddr| (protocol == TCP || protocol == UDP).then(|| end.port());
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && self.interface.is_none_or(|wanted| wanted == interface)
            && self.source.matches(source.ip(), port(source))
            && self.destination.matches(destination.ip(), port(destination))
    }
}

impl End {
    fn matches(&self, address: IpAddr, port: Option<u16>) -> bool {
        (self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| prefix.contains(&address)))
            && (self.ports.is_empty() || port.is_some_and(|port| self.ports.iter().any(|range| range.contains(&port))))
    }
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::rule::{TCP, UDP};
    use herald_plugin::Interface;

    #[test]
    fn the_first_rule_that_matches_is_found() {
        let text = r#"
            [[rules]]
            action = "drop"
            protocol = "tcp"
            source = "10.1.0.0/16"
            destination = ["10.2.0.7", "fd00:2::/64"]
            destination_ports = [80, "8000-8010"]
            [[rules]]
            action = "reject"
            interface = "second"
            [[rules]]
            action = "drop"
            source_ports = 53
            [[rules]]
            action = "pass"
            protocol = "icmpv6"
        "#;
        let (_, rules) = config::read(text).unwrap();
        let (first, second) = (Interface::First, Interface::Second);
        for (protocol, interface, source, destination, expected) in [
            (TCP, first, "10.1.2.3:1000", "10.2.0.7:80", Some("rule-1")),
            (TCP, first, "10.1.2.3:1000", "10.2.0.7:8010", Some("rule-1")),
            (TCP, first, "10.1.2.3:1000", "10.2.0.7:8011", None),
            (TCP, first, "10.1.2.3:1000", "10.2.0.8:80", None),
            (TCP, first, "10.3.2.3:1000", "10.2.0.7:80", None),
            (UDP, first, "10.1.2.3:1000", "10.2.0.7:80", None),
            (TCP, first, "[fd00:1::1]:1000", "[fd00:2::1]:80", None),
            (TCP, second, "10.1.2.3:1000", "10.2.0.7:80", Some("rule-1")),
            (TCP, second, "10.1.2.3:1000", "10.2.0.7:81", Some("rule-2")),
            (UDP, first, "[fd00:1::1]:53", "[fd00:2::1]:80", Some("rule-3")),
            // An echo's identifier is no port.
            (58, first, "[fd00:1::1]:53", "[fd00:2::1]:53", Some("rule-4")),
        ] {
            let (from, to) = (source.parse().unwrap(), destination.parse().unwrap());
            let found = rules.iter().find(|rule| rule.matches_opener(protocol, interface, from, to));
            assert_eq!(found.map(|rule| rule.name.as_str()), expected, "{protocol} {source} {destination}");
        }
    }
}
