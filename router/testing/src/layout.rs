//! A cluster of up to four nodes between two networks, with one host on each: 10.N.0.0/24 and fd00:N::/64, N being 1 and 2.
//! The cluster's addresses end in 1, those of the nodes a, b, c and d in 11 to 14, the host's in 100.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use herald_core::chosen::HoldMax;
use herald_core::flow::HashKey;
use herald_core::forward::{self, ReversePath};
use herald_core::id::{BootId, Interface, Mac, NodeId, PerInterface};
use herald_core::inspector::HostPart;
use herald_core::limits::BUCKETS;
use herald_core::membership::{self, AdvertSettings, InterfaceState, ProbeSettings, RolesMode};
use herald_core::mesh::{Hello, Side};
use herald_core::node::{Announcing, Node, Redirecting, Settings, Strictness};
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::session::{Bounds, Midstream, Timeouts};
use herald_core::turn::Turn;

use crate::frames::{self, Ip};

/// Index of a node.
pub type Place = usize;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The nodes of a usual cluster, by place.
pub const NODES: [&str; 3] = {
    let [a, b, c, _] = NAMES;
    [a, b, c]
};

/// Last byte of the cluster's own addresses.
pub const CLUSTER: u8 = 1;
/// Last byte of a host's addresses and of its MAC.
pub const HOST: u8 = 100;

/// The node with this name.
#[must_use]
pub fn named(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// The node at a place.
#[must_use]
pub fn id(place: Place) -> NodeId {
    named(NAMES[place])
}

/// Where a node is.
#[must_use]
pub fn place_of(node: NodeId) -> Place {
    NAMES.iter().position(|name| *name == node.as_str()).unwrap()
}

fn number(place: Place) -> u8 {
    u8::try_from(place).unwrap() + 1
}

/// 1 for the first network and 2 for the second.
#[must_use]
pub const fn net(interface: Interface) -> u8 {
    match interface {
        Interface::First => 1,
        Interface::Second => 2,
    }
}

/// A node's MAC.
#[must_use]
pub fn node_mac(interface: Interface, place: Place) -> Mac {
    Mac([2, 0, 0, 0, net(interface), number(place)])
}

/// A host's MAC.
#[must_use]
pub const fn host_mac(interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, 0x10 + interface as u8, HOST])
}

/// The cluster's MACs, for IPv4 and for IPv6.
#[must_use]
pub const fn virtual_macs(interface: Interface) -> [Mac; 2] {
    let net = net(interface);
    [Mac([0, 0, 0x5e, 0, 1, net]), Mac([0, 0, 0x5e, 0, 2, net])]
}

/// An address on a network, by its last byte.
#[must_use]
pub const fn v4(interface: Interface, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, net(interface), 0, last)
}

/// The same of IPv6.
#[must_use]
pub const fn v6(interface: Interface, last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, net(interface) as u16, 0, 0, 0, 0, 0, last as u16)
}

/// Both of these.
#[must_use]
pub fn addresses(interface: Interface, last: u8) -> Vec<IpAddr> {
    vec![v4(interface, last).into(), v6(interface, last).into()]
}

/// A node's own addresses.
#[must_use]
pub fn node_addresses(interface: Interface, place: Place) -> Vec<IpAddr> {
    addresses(interface, 10 + number(place))
}

/// What the host on a network sends to the host on the other one begins with this.
#[must_use]
pub fn from_host(interface: Interface) -> Ip {
    let macs = [host_mac(interface).0, virtual_macs(interface)[0].0];
    frames::ip(macs, v4(interface, HOST), v4(interface.other(), HOST), 64)
}

/// What the host on a network answers, if the frame asks for its MAC.
#[must_use]
pub fn arp_answer(interface: Interface, frame: &[u8]) -> Option<Vec<u8>> {
    frames::arp_answer(frame, (host_mac(interface).0, v4(interface, HOST)))
}

/// The host on a network says to a node where it is, unasked or not.
#[must_use]
pub fn arp_reply(interface: Interface, to: Place) -> Vec<u8> {
    let node = (node_mac(interface, to).0, v4(interface, 10 + number(to)));
    frames::arp_reply((host_mac(interface).0, v4(interface, HOST)), node)
}

/// Named nodes hold the redirectors.
#[must_use]
pub fn held_by([first, second]: [&str; 2]) -> RolesMode {
    RolesMode::Static(PerInterface { first: Some(named(first)), second: Some(named(second)) })
}

/// Short times, as a test likes them.
pub const SHORT: Timeouts = Timeouts {
    tcp_established: Duration::from_secs(60),
    tcp_opening: Duration::from_secs(4),
    tcp_closing: Duration::from_secs(4),
    tcp_closed: Duration::from_secs(2),
    udp: Duration::from_secs(2),
    icmp: Duration::from_secs(2),
    other: Duration::from_secs(2),
    provisional: Duration::from_secs(5),
};

/// An hour for each: streams do not end by themselves.
pub const ENDLESS: Timeouts = Timeouts::alike(Duration::from_secs(3600));

/// One node of a cluster of so many, its boot being its place's number from 1 on: the first node is to hold the first
/// redirector and the next one the second. A test changes what it is about.
#[must_use]
pub fn settings(place: Place, nodes: usize) -> Settings {
    let (node, boot) = (id(place), BootId(number(place).into()));
    let rank = |first: usize| 100 - u8::try_from((place + nodes - first % nodes) % nodes).unwrap();
    Settings {
        node,
        boot,
        membership: membership::Settings {
            node,
            boot,
            macs: PerInterface::from_fn(|i| node_mac(i, place)),
            addresses: PerInterface::from_fn(|i| node_addresses(i, place)),
            peers: (0..nodes).filter(|peer| *peer != place).map(id).collect(),
            priorities: PerInterface { first: rank(0), second: rank(1) },
            weight: 100,
            roles: RolesMode::Priority,
            adverts: AdvertSettings {
                virtual_addresses: PerInterface::from_fn(|i| addresses(i, CLUSTER)),
                ..AdvertSettings::default()
            },
            probes: ProbeSettings { key: HashKey([7; 16]), first_nonce: u64::from(number(place)) << 32 },
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| interface_settings(i, place)),
            routes: Vec::new(),
            reverse_path: ReversePath::Loose,
            icmp_redirects: false,
            hash_key: HashKey([3; 16]),
        },
        choice: choice::Settings {
            key: HashKey([9; 16]),
            redirectors: Redirectors::Equal,
            keying: Keying::PerInterface,
        },
        midstream: Midstream::Drop,
        strictness: Strictness::Lenient,
        hold_max: HoldMax { time: Duration::from_millis(20), frames: 32, bytes: 1 << 20 },
        timeouts: SHORT,
        bounds: Bounds::default(),
        redirecting: Redirecting::Ethernet,
        announcing: Announcing::On(Duration::ZERO),
        hash_key: HashKey([5; 16]),
        buckets: BUCKETS,
    }
}

/// The same without IPv6. Each address of its own that a node must know again costs some instructions a packet, so
/// figures compare only with those of nodes with as many.
#[must_use]
pub fn settings_v4(place: Place, nodes: usize) -> Settings {
    let mut settings = settings(place, nodes);
    for interface in Interface::BOTH {
        let of_interface = &mut settings.forward.interfaces[interface];
        of_interface.addresses.retain(|network| network.addr().is_ipv4());
        of_interface.virtual_addresses.retain(IpAddr::is_ipv4);
        settings.membership.addresses[interface].retain(IpAddr::is_ipv4);
        settings.membership.adverts.virtual_addresses[interface].retain(IpAddr::is_ipv4);
    }
    settings
}

/// The same for a benchmark: named holders, and streams that do not end, more than a million of them.
#[must_use]
pub fn steady_settings(place: Place, nodes: usize, holders: [&str; 2]) -> Settings {
    let mut settings = settings_v4(place, nodes);
    settings.membership.roles = held_by(holders);
    let bounds = Bounds { markers: 4 << 20, redirector: 8 << 20, ..Bounds::default() };
    Settings { timeouts: ENDLESS, bounds, ..settings }
}

fn interface_settings(interface: Interface, place: Place) -> forward::InterfaceSettings {
    let [virtual_mac_v4, virtual_mac_v6] = virtual_macs(interface);
    let network = |address: IpAddr| format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 });
    forward::InterfaceSettings {
        mac: node_mac(interface, place),
        virtual_mac_v4,
        virtual_mac_v6,
        addresses: node_addresses(interface, place).into_iter().map(|a| network(a).parse().unwrap()).collect(),
        virtual_addresses: addresses(interface, CLUSTER),
        mtu: 1500,
        vlan: None,
        router_lifetime: None,
    }
}

/// What a node with these settings says of itself to its peers.
#[must_use]
pub fn hello(place: Place) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: "test".into(),
        node: id(place),
        boot: BootId(number(place).into()),
        macs: PerInterface::from_fn(|i| node_mac(i, place)),
        addresses: PerInterface::from_fn(|i| node_addresses(i, place)),
        configuration: Vec::new(),
        side: Side::default(),
    }
}

/// A node whose interfaces are up, and which is linked with all its peers.
pub fn linked<H: HostPart>(settings: Settings, turn: &mut Turn<'_, H>) -> Node<H> {
    let peers = settings.membership.peers.clone();
    let mut node = Node::new(turn.now, settings).unwrap();
    for interface in Interface::BOTH {
        node.interface_changed(turn, interface, InterfaceState::Up);
    }
    for peer in peers {
        node.link_up(turn, &hello(place_of(peer)));
        node.frames_up(turn, peer);
    }
    node
}
