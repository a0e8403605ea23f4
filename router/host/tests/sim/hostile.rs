//! What the hostile host sends.

use etherparse::PacketBuilder;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac};

use crate::chance::Chance;
use crate::member::{host_address, node_mac, virtual_macs};
use crate::scenario::{Hostility, ports};

/// Last byte of its addresses.
const HOST: u8 = 66;

pub(crate) fn hostile_mac(interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, 0x20 + interface as u8, HOST])
}

/// True of a flow that only the hostile host takes part in, under its own addresses.
pub(crate) fn is_own(flow: &FlowKey) -> bool {
    let ends = [flow.source().ip(), flow.destination().ip()];
    Interface::BOTH.into_iter().any(|interface| ends.contains(&host_address(interface, HOST).0.into()))
}

/// The frames of one act, each with the interface where it is sent.
pub(crate) fn frames(interface: Interface, what: Hostility, chance: &mut Chance) -> Vec<(Interface, Vec<u8>)> {
    let own = hostile_mac(interface);
    let [virtual_mac, _] = virtual_macs(interface);
    match what {
        Hostility::Garbage => vec![(interface, garbage(interface, chance))],
        Hostility::Spoof(place) => {
            let to = [virtual_mac, node_mac(interface, chance.pick(&[0, 1, 2]))];
            vec![(interface, datagram(interface, node_mac(interface, place), chance.pick(&to), chance))]
        }
        Hostility::Direct(place) => vec![(interface, datagram(interface, own, node_mac(interface, place), chance))],
        Hostility::Midstream => vec![(interface, segment(interface, (own, virtual_mac), 5_000, Kind::Ack, chance))],
        Hostility::Reset(key) => vec![(interface, segment(interface, (own, virtual_mac), key, Kind::Reset, chance))],
        Hostility::BothOpen(key) => {
            let of = |i: Interface, chance: &mut Chance| {
                let [to, _] = virtual_macs(i);
                (i, segment(i, (hostile_mac(i), to), key, Kind::BothOpen, chance))
            };
            vec![of(interface, chance), of(interface.other(), chance)]
        }
        Hostility::Flood => {
            let frame = datagram(interface, own, virtual_mac, chance);
            vec![(interface, frame); FLOOD]
        }
        Hostility::Quote => vec![(interface, quote(interface, (own, virtual_mac), chance))],
    }
}

/// Frames of a flood.
const FLOOD: usize = 300;

#[derive(Clone, Copy)]
enum Kind {
    Ack,
    Reset,
    BothOpen,
}

fn garbage(interface: Interface, chance: &mut Chance) -> Vec<u8> {
    let [virtual_mac, _] = virtual_macs(interface);
    let mut bytes = datagram(interface, hostile_mac(interface), virtual_mac, chance);
    for _ in 0..chance.between(1, 12) {
        let place = usize::try_from(chance.below(bytes.len() as u64)).unwrap();
        if place >= 12 {
            bytes[place] = chance.next().to_le_bytes()[0];
        }
    }
    bytes.truncate(usize::try_from(chance.between(14, bytes.len() as u64)).unwrap());
    bytes
}

fn datagram(interface: Interface, from: Mac, to: Mac, chance: &mut Chance) -> Vec<u8> {
    let (source, _) = host_address(interface, HOST);
    let (destination, _) = host_address(interface.other(), 100);
    let port = u16::try_from(chance.between(5_000, 5_009)).unwrap();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(from.0, to.0).ipv4(source.octets(), destination.octets(), 64);
    builder.udp(port, 9).write(&mut bytes, &chance.next().to_be_bytes()).unwrap();
    bytes
}

fn segment(interface: Interface, macs: (Mac, Mac), key: u16, kind: Kind, chance: &mut Chance) -> Vec<u8> {
    let (source, _) = host_address(interface, 100);
    let (destination, _) = host_address(interface.other(), 100);
    let (opener, server) = ports(key);
    let ends = match (kind, interface) {
        (Kind::Ack | Kind::Reset, _) => (opener, server),
        (Kind::BothOpen, Interface::First) => (20_000 + key, 21_000 + key),
        (Kind::BothOpen, Interface::Second) => (21_000 + key, 20_000 + key),
    };
    let builder = PacketBuilder::ethernet2(macs.0.0, macs.1.0).ipv4(source.octets(), destination.octets(), 64);
    let number = u32::from_be_bytes(*chance.next().to_be_bytes().first_chunk().unwrap());
    let builder = builder.tcp(ends.0, ends.1, number, 1000);
    let builder = match kind {
        Kind::Ack => builder.ack(number),
        Kind::Reset => builder.rst(),
        Kind::BothOpen => builder.syn(),
    };
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

/// "Port unreachable" about a packet that nobody sent.
fn quote(interface: Interface, macs: (Mac, Mac), chance: &mut Chance) -> Vec<u8> {
    let quoted = segment(interface.other(), (macs.1, macs.0), 4_500, Kind::Ack, chance);
    let (source, _) = host_address(interface, HOST);
    let (destination, _) = host_address(interface.other(), 100);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(macs.0.0, macs.1.0)
        .ipv4(source.octets(), destination.octets(), 64)
        .icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port))
        .write(&mut bytes, &quoted[14..14 + 28])
        .unwrap();
    bytes
}
