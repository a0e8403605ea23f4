//! What is to be built: networks, hosts and nodes with their names and addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::name::LabName;
use herald_core::id::{Interface, PerInterface};

/// Nodes of a lab: their number is the last digit of their addresses.
pub(crate) const NODES_MAX: u8 = 9;

/// The TCP port of the mesh.
pub(crate) const MESH_PORT: u16 = 7400;

/// The longest name of a host: with `to-` before it, it is the name of a link, which the kernel limits to 15 bytes.
const HOST_NAME_LEN_MAX: usize = 12;

/// One of the three networks. Each is a bridge in a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Where the clients are.
    First,
    /// Where the servers are.
    Second,
    /// Between the nodes.
    Mesh,
}

impl Network {
    pub(crate) const ALL: [Self; 3] = [Self::First, Self::Second, Self::Mesh];

    /// The name of its namespace.
    pub(crate) fn host_name(self) -> &'static str {
        match self {
            Self::First => "net-first",
            Self::Second => "net-second",
            Self::Mesh => "net-mesh",
        }
    }

    /// Its IPv4 address with this last byte.
    pub(crate) fn v4(self, last: u8) -> IpNet {
        let third = match self {
            Self::First => Ipv4Addr::new(10, 1, 0, last),
            Self::Second => Ipv4Addr::new(10, 2, 0, last),
            Self::Mesh => Ipv4Addr::new(10, 9, 0, last),
        };
        IpNet::V4(Ipv4Net::new_assert(third, 24))
    }

    /// Its IPv6 address, whose last group shows the decimal digits of `last`: 100 gives `::100`.
    pub(crate) fn v6(self, last: u8) -> IpNet {
        let group = match self {
            Self::First => 1,
            Self::Second => 2,
            Self::Mesh => 9,
        };
        let last = u16::from(last);
        let shown = (last / 100) << 8 | (last / 10 % 10) << 4 | (last % 10);
        IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, group, 0, 0, 0, 0, 0, shown), 64))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Mesh => "mesh",
        })
    }
}

impl From<Interface> for Network {
    fn from(interface: Interface) -> Self {
        match interface {
            Interface::First => Self::First,
            Interface::Second => Self::Second,
        }
    }
}

/// A host with one link to one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) network: Network,
    /// The name of its link.
    pub(crate) device: String,
    pub(crate) addresses: Vec<IpNet>,
    /// Routers for everything else, at most one of each IP version.
    pub(crate) gateways: Vec<IpAddr>,
    /// Where its link is instead, if it is behind a router.
    #[serde(default)]
    pub(crate) behind: Option<Behind>,
    /// Of a router: the networks behind it. Each is a bridge in its own namespace.
    #[serde(default)]
    pub(crate) lans: Vec<Lan>,
}

/// Where a host behind a router is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Behind {
    /// The host that is its router.
    pub(crate) router: String,
    /// The router's network.
    pub(crate) network: String,
    /// Bytes of the largest IP packet there.
    pub(crate) mtu: Option<u16>,
}

/// A network behind a router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lan {
    /// The name of its bridge.
    pub(crate) name: String,
    /// The router's addresses there.
    pub(crate) addresses: Vec<IpNet>,
    /// Bytes of the largest IP packet.
    pub(crate) mtu: Option<u16>,
}

impl Host {
    /// A host on one of the cluster's networks, without a gateway.
    pub(crate) fn new(name: &str, network: Network, addresses: Vec<IpNet>) -> Self {
        Self {
            name: name.to_owned(),
            network,
            device: "eth0".into(),
            addresses,
            gateways: Vec::new(),
            behind: None,
            lans: Vec::new(),
        }
    }

    /// A gateway is of use only to a host with an address of its family.
    pub(crate) fn has_family_of(&self, gateway: &IpAddr) -> bool {
        self.addresses.iter().any(|own| own.addr().is_ipv4() == gateway.is_ipv4())
    }
}

/// The whole lab.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) name: LabName,
    /// Bytes of the largest IP packet on the links of each network.
    pub(crate) mtu: PerInterface<u16>,
    /// The VLAN whose tag the nodes' frames have on each network. The hosts' have none.
    #[serde(default)]
    pub(crate) vlan: PerInterface<Option<u16>>,
    /// Nodes included: theirs is the link of the mesh.
    pub(crate) hosts: Vec<Host>,
    /// The ids of the nodes.
    pub(crate) nodes: Vec<String>,
}

impl Plan {
    /// The ids of the first `count` nodes: `a`, `b`, `c`, ...
    pub(crate) fn node_ids(count: u8) -> Vec<String> {
        ('a'..).take(usize::from(count.min(NODES_MAX))).map(String::from).collect()
    }

    /// The last byte of a node's addresses: 11 for `a`.
    pub(crate) fn node_byte(id: &str) -> u8 {
        id.bytes().next().unwrap_or(b'a').saturating_sub(b'a').saturating_add(11)
    }

    /// The name of a node's TAP in the namespace of that interface's network.
    pub(crate) fn tap(node: &str, interface: Interface) -> String {
        format!("{node}-{interface}")
    }

    /// The name of a node's port in the namespace of a network.
    pub(crate) fn port(node: &str, network: Network) -> String {
        match network {
            Network::First => Self::tap(node, Interface::First),
            Network::Second => Self::tap(node, Interface::Second),
            Network::Mesh => Self::link(node),
        }
    }

    /// The name of a host's link in the namespace of its network.
    pub(crate) fn link(host: &str) -> String {
        format!("to-{host}")
    }

    /// The names of all namespaces, networks first.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = &str> {
        Network::ALL.into_iter().map(|network| network.host_name()).chain(self.hosts.iter().map(|h| h.name.as_str()))
    }

    pub(crate) fn mtu(&self, network: Network) -> Option<u16> {
        match network {
            Network::First => Some(self.mtu.first),
            Network::Second => Some(self.mtu.second),
            Network::Mesh => None,
        }
    }

    pub(crate) fn vlan(&self, network: Network) -> Option<u16> {
        match network {
            Network::First => self.vlan.first,
            Network::Second => self.vlan.second,
            Network::Mesh => None,
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read(path).map_err(LabError::file("read", path))?;
        serde_json::from_slice(&text).map_err(LabError::file("read", path))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), LabError> {
        let text = serde_json::to_vec_pretty(self).map_err(LabError::file("write", path))?;
        std::fs::write(path, text).map_err(LabError::file("write", path))
    }
}

/// The host of a node.
pub(crate) fn node_host(id: &str) -> Host {
    let addresses = vec![Network::Mesh.v4(Plan::node_byte(id))];
    Host { device: "mesh".into(), ..Host::new(id, Network::Mesh, addresses) }
}

/// `client` on the first network or `server` on the second, with the addresses that end in 100.
pub(crate) fn end_host(interface: Interface) -> Host {
    let network = Network::from(interface);
    let name = match interface {
        Interface::First => "client",
        Interface::Second => "server",
    };
    Host::new(name, network, vec![network.v4(100), network.v6(100)])
}

/// Whether a text can be the name of a host of one's own.
pub(crate) fn is_host_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= HOST_NAME_LEN_MAX && !text.starts_with('-') && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_in_the_digits_of_the_node() {
        assert_eq!(Plan::node_ids(3), ["a", "b", "c"]);
        assert_eq!(Plan::node_ids(200).len(), 9);
        assert_eq!(Network::First.v4(Plan::node_byte("a")).to_string(), "10.1.0.11/24");
        assert_eq!(Network::Second.v6(Plan::node_byte("i")).to_string(), "fd00:2::19/64");
        assert_eq!(end_host(Interface::First).addresses.last().unwrap().to_string(), "fd00:1::100/64");
        assert_eq!(Network::Mesh.v4(11).to_string(), "10.9.0.11/24");
    }

    #[test]
    fn names_of_hosts_fit_into_names_of_links() {
        assert!(is_host_name("client-12"));
        for bad in ["", "a-long-name-1", "A", "-a", "a.b"] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
