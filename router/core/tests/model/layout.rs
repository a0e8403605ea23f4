//! The cluster of the model: three nodes, their settings, and the packets of its two hosts.

use std::time::Duration;

use herald_core::flow::{FlowKey, HashKey};
use herald_core::id::{Interface, PerInterface};
use herald_core::limits::PARK_TIME;
use herald_core::membership::Preemption;
use herald_core::node::Settings;
use herald_core::packet::Frame;
use herald_core::packet::vrrp::Advert;
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::time::Instant;
use herald_testing::frames::{self, SYN, SYN_ACK};
use herald_testing::layout::{self, CLUSTER, ENDLESS, HOST, net, node_mac, v4, v6, virtual_macs};
pub(crate) use herald_testing::layout::{NODES, Place, id, place_of};

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

/// A holder's IPv6 advert.
pub(crate) fn advert(interface: Interface, holder: Place) -> Frame {
    let [_, mac] = virtual_macs(interface);
    let addresses = vec![mac.link_local().into(), v6(interface, CLUSTER).into()];
    let advert = Advert { vrid: net(interface), priority: 100, centiseconds: 10, addresses };
    advert.frame(mac, node_mac(interface, holder).link_local().into()).unwrap()
}

/// Only an announcement may lead a return packet home.
pub(crate) const CHOICE: choice::Settings =
    choice::Settings { key: HashKey([9; 16]), redirectors: Redirectors::Equal, keying: Keying::PerInterface };

pub(crate) fn settings(place: Place) -> Settings {
    let mut settings = layout::settings(place, PLACES.len());
    settings.membership.priorities = PRIORITIES[place];
    settings.membership.adverts.preemption = Preemption::After(Duration::ZERO);
    settings.hold_max.time = PATIENCE;
    Settings { choice: CHOICE, timeouts: ENDLESS, ..settings }
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
    let (ip, ports) = (layout::from_host(from), ports(from, port));
    match kind {
        Kind::Datagram => frames::udp(ip, ports, b"datagram"),
        Kind::Syn => frames::tcp(ip, ports, SYN),
        Kind::SynAck => frames::tcp(ip, ports, SYN_ACK),
    }
}

/// The flow of the packets from the host on `from`.
pub(crate) fn flow(from: Interface, port: u16, protocol: u8) -> FlowKey {
    let (source, destination) = ports(from, port);
    FlowKey::new(from, protocol, (v4(from, HOST).into(), source), (v4(from.other(), HOST).into(), destination))
}

fn ports(from: Interface, port: u16) -> (u16, u16) {
    match from {
        Interface::First => (port, 80),
        Interface::Second => (80, port),
    }
}
