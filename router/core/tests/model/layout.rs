//! The cluster of the model: three nodes, their settings, and the packets of its two hosts.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use etherparse::PacketBuilder;
use herald_core::chosen::HoldMax;
use herald_core::flow::{FlowKey, HashKey};
use herald_core::forward;
use herald_core::id::{BootId, Interface, Mac, NodeId, PerInterface};
use herald_core::limits::PARK_TIME;
use herald_core::membership::{self, AdvertSettings, Preemption, RolesMode};
use herald_core::mesh::Hello;
use herald_core::node::{Announcing, Redirecting, Settings};
use herald_core::packet::Frame;
use herald_core::packet::vrrp::Advert;
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::session::{Midstream, Timeouts};
use herald_core::time::Instant;

/// Index of a node.
pub(crate) type Place = usize;

pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];
pub(crate) const PLACES: [Place; 3] = [0, 1, 2];

/// Pairs of different nodes.
pub(crate) fn pairs() -> impl Iterator<Item = (Place, Place)> {
    PLACES.into_iter().flat_map(|from| PLACES.map(|to| (from, to))).filter(|(from, to)| from != to)
}

/// When the nodes meet.
pub(crate) const MET: Instant = Instant::from_nanos(1_000_000_000);

/// When the first packet may come: longer after the last advert than one advert interval, so that a proven death costs the
/// dead its roles at once, and sooner than any silence counts.
pub(crate) const START: Instant = Instant::from_nanos(1_150_000_000);

/// All timers that concern a packet on its way run out together.
pub(crate) const PATIENCE: Duration = PARK_TIME;

/// Each interface's first holder is outranked by the other's, so that each can lose its role while it lives. The third node
/// holds nothing until both others are gone.
const PRIORITIES: [PerInterface<u8>; 3] = [
    PerInterface { first: 102, second: 103 },
    PerInterface { first: 103, second: 102 },
    PerInterface { first: 101, second: 101 },
];

pub(crate) fn id(place: Place) -> NodeId {
    NODES[place].parse().unwrap()
}

pub(crate) fn place_of(node: NodeId) -> Place {
    NODES.iter().position(|name| *name == node.as_str()).unwrap()
}

fn number(place: Place) -> u8 {
    u8::try_from(place).unwrap() + 1
}

fn net(interface: Interface) -> u8 {
    match interface {
        Interface::First => 1,
        Interface::Second => 2,
    }
}

pub(crate) fn node_mac(interface: Interface, place: Place) -> Mac {
    Mac([2, 0, 0, 0, net(interface), number(place)])
}

fn virtual_mac(interface: Interface) -> Mac {
    Mac([0, 0, 0x5e, 0, 1, net(interface)])
}

fn virtual_mac_v6(interface: Interface) -> Mac {
    Mac([0, 0, 0x5e, 0, 2, net(interface)])
}

fn host_mac(interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, net(interface), 100])
}

pub(crate) fn host(interface: Interface) -> Ipv4Addr {
    Ipv4Addr::new(10, net(interface), 0, 100)
}

fn address(interface: Interface, place: Place) -> IpAddr {
    Ipv4Addr::new(10, net(interface), 0, 10 + number(place)).into()
}

/// A holder's IPv6 advert.
pub(crate) fn advert(interface: Interface, holder: Place) -> Frame {
    let mac = virtual_mac_v6(interface);
    let addresses = vec![mac.link_local().into()];
    let advert = Advert { vrid: net(interface), priority: 100, centiseconds: 10, addresses };
    advert.frame(mac, node_mac(interface, holder).link_local().into()).unwrap()
}

/// Only an announcement may lead a return packet home.
pub(crate) const CHOICE: choice::Settings =
    choice::Settings { key: HashKey([9; 16]), redirectors: Redirectors::Equal, keying: Keying::PerInterface };

pub(crate) fn settings(place: Place) -> Settings {
    let long = Duration::from_secs(60);
    Settings {
        node: id(place),
        boot: BootId(1),
        membership: membership::Settings {
            node: id(place),
            boot: BootId(1),
            macs: PerInterface::from_fn(|i| node_mac(i, place)),
            addresses: PerInterface::from_fn(|i| vec![address(i, place)]),
            peers: PLACES.map(id).into_iter().filter(|peer| *peer != id(place)).collect(),
            priorities: PRIORITIES[place],
            weight: 100,
            roles: RolesMode::Priority,
            adverts: AdvertSettings {
                preemption: Preemption::After(Duration::ZERO),
                virtual_addresses: PerInterface::from_fn(|i| vec![Ipv4Addr::new(10, net(i), 0, 1).into()]),
                ..AdvertSettings::default()
            },
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| forward::InterfaceSettings {
                mac: node_mac(i, place),
                virtual_mac_v4: virtual_mac(i),
                virtual_mac_v6: virtual_mac_v6(i),
                addresses: vec![format!("{}/24", address(i, place)).parse().unwrap()],
                virtual_addresses: vec![Ipv4Addr::new(10, net(i), 0, 1).into()],
                mtu: 1500,
            }),
            routes: Vec::new(),
            hash_key: HashKey([3; 16]),
        },
        choice: CHOICE,
        midstream: Midstream::Drop,
        hold_max: HoldMax { time: PATIENCE, frames: 32, bytes: 1 << 20 },
        timeouts: Timeouts {
            tcp_established: long,
            tcp_opening: long,
            tcp_closing: long,
            tcp_closed: long,
            udp: long,
            icmp: long,
            other: long,
            provisional: long,
        },
        redirecting: Redirecting::Ethernet,
        announcing: Announcing::On(Duration::ZERO),
        hash_key: HashKey([5; 16]),
    }
}

pub(crate) fn hello(place: Place) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: "model".into(),
        node: id(place),
        boot: BootId(1),
        macs: PerInterface::from_fn(|i| node_mac(i, place)),
        addresses: PerInterface::from_fn(|i| vec![address(i, place)]),
        config_digest: 0,
    }
}

/// What a host's packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Datagram,
    Syn,
    SynAck,
}

/// A packet from the host on `from`, whose port is `port` on the first network and 80 on the second.
pub(crate) fn packet(from: Interface, port: u16, kind: Kind) -> Vec<u8> {
    let (source, destination) = ports(from, port);
    let builder = PacketBuilder::ethernet2(host_mac(from).0, virtual_mac(from).0).ipv4(
        host(from).octets(),
        host(from.other()).octets(),
        64,
    );
    let mut bytes = Vec::new();
    match kind {
        Kind::Datagram => builder.udp(source, destination).write(&mut bytes, b"datagram").unwrap(),
        Kind::Syn => builder.tcp(source, destination, 100, 65_000).syn().write(&mut bytes, &[]).unwrap(),
        Kind::SynAck => builder.tcp(source, destination, 500, 65_000).syn().ack(101).write(&mut bytes, &[]).unwrap(),
    }
    bytes
}

/// The flow of the packets from the host on `from`.
pub(crate) fn flow(from: Interface, port: u16, protocol: u8) -> FlowKey {
    let (source, destination) = ports(from, port);
    FlowKey::new(from, protocol, (host(from).into(), source), (host(from.other()).into(), destination))
}

fn ports(from: Interface, port: u16) -> (u16, u16) {
    match from {
        Interface::First => (port, 80),
        Interface::Second => (80, port),
    }
}

/// The host's answer to a request for its MAC address, as bytes, if `bytes` is one.
pub(crate) fn arp_reply(interface: Interface, bytes: &[u8]) -> Option<Vec<u8>> {
    let asks = bytes.get(12..14)? == [8, 6] && bytes.get(20..22)? == [0, 1];
    if !asks || bytes.get(38..42)? != host(interface).octets() {
        return None;
    }
    let mut reply = bytes.get(..42)?.to_vec();
    reply[..6].copy_from_slice(&bytes[6..12]);
    reply[6..12].copy_from_slice(&host_mac(interface).0);
    reply[21] = 2;
    reply[22..28].copy_from_slice(&host_mac(interface).0);
    reply[28..32].copy_from_slice(&host(interface).octets());
    reply[32..42].copy_from_slice(&bytes[22..32]);
    Some(reply)
}
