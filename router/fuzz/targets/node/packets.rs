//! Well-formed packets between a few hosts, by a few bytes each: random bytes seldom are one.

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::packet::probe::{Probe, TAG_LEN, Word};
use herald_testing::frames::{self, Ip, Segment};
use herald_testing::layout::{CLUSTER, HOST, host_mac, node_mac, v4, v6, virtual_macs};

use super::input::Input;

const UDP: u8 = 17;
/// Last byte of the node's own addresses.
const NODE: u8 = 11;

/// The key of a datagram between the hosts.
pub(super) fn key(port: u8) -> FlowKey {
    let (from, to) = (Interface::First, Interface::Second);
    FlowKey::new(from, UDP, (v4(from, HOST).into(), port.into()), (v4(to, HOST).into(), 80))
}

/// A packet of one host to the other, or to somebody else: interface, destination MAC, family and addresses, protocol,
/// ports, then what the protocol has.
pub(super) fn packet(input: &mut Input<'_>) -> (Interface, Vec<u8>) {
    let interface = input.interface();
    let ends = input.byte();
    let (hop_limit, is_v6) = (if ends & 8 == 0 { 64 } else { ends >> 6 }, ends & 4 != 0);
    let peer = node_mac(interface, 1 + usize::from(ends >> 5 & 1));
    let to_mac = match ends & 3 {
        0 | 1 => virtual_macs(interface)[usize::from(is_v6)],
        2 => node_mac(interface, 0),
        _ => peer,
    };
    // A redirected frame has the MAC of the peer that holds the redirector as its source.
    let from_mac = if ends & 16 == 0 { host_mac(interface) } else { peer };
    let to = input.pick(&[
        (interface.other(), HOST),
        (interface.other(), HOST),
        (interface, CLUSTER),
        (interface, NODE),
        (interface, 77),
    ]);
    let macs = [from_mac.0, to_mac.0];
    let bytes = if is_v6 {
        let ip = frames::ip(macs, v6(interface, HOST), v6(to.0, to.1), hop_limit);
        content(input, interface, ip, frames::icmpv6, [128, 129, 1, 3, 2])
    } else {
        let ip = frames::ip(macs, v4(interface, HOST), v4(to.0, to.1), hop_limit);
        content(input, interface, ip, frames::icmpv4, [8, 0, 3, 11, 5])
    };
    (interface, bytes)
}

/// How a family writes its ICMP messages.
type Icmp = fn(Ip, (u8, u8), [u8; 4], &[u8]) -> Vec<u8>;

/// What is behind the IP header: ports are few, so that packets meet in streams: 80 and what opens to it.
fn content(input: &mut Input<'_>, interface: Interface, ip: Ip, icmp: Icmp, kinds: [u8; 5]) -> Vec<u8> {
    let (protocol, port) = (input.byte(), 1_000 + u16::from(input.byte() & 15));
    let ports = if interface == Interface::First { (port, 80) } else { (80, port) };
    match protocol % 8 {
        0..=2 => {
            let (flags, number, payload) = (input.byte(), u32::from(input.byte()), input.byte());
            let payload = &[0x55; 255][..payload.into()];
            frames::tcp(ip, ports, Segment { flags, sequence: number, acknowledgement: number, payload })
        }
        3 | 4 => frames::udp(ip, ports, &vec![0x55; usize::from(input.byte()) * 8]),
        5 => {
            let (kind, quote) = (input.pick(&kinds), usize::from(input.byte()));
            icmp(ip, (kind, 0), [0, 0, 0, 7], input.take(quote))
        }
        // An advert.
        6 => {
            let len = usize::from(input.byte() & 63);
            frames::raw(ip, 112, input.take(len))
        }
        _ => frames::raw(ip, input.byte(), &[0; 12]),
    }
}

/// ARP or neighbour discovery of a host, or a challenge or an answer of a peer, whose tag nobody has made.
pub(super) fn neighbour(input: &mut Input<'_>) -> (Interface, Vec<u8>) {
    let interface = input.interface();
    let (kind, target) = (input.byte(), input.pick(&[CLUSTER, NODE, HOST]));
    let host = host_mac(interface).0;
    if kind & 0x80 != 0 {
        let word = input.pick(&[Word::Challenge, Word::Holds, Word::HoldsNot]);
        // The nonces of this node are counted from here on.
        let nonce = u64::from(u16::from_be_bytes([input.byte(), input.byte()])) + (1 << 32);
        let probe = Probe { word, nonce, tag: [kind; TAG_LEN] };
        let peer = node_mac(interface, 1 + usize::from(kind & 1));
        return (interface, probe.frame(node_mac(interface, 0), peer).bytes().to_vec());
    }
    if kind & 1 == 0 {
        let operation = 1 + u16::from(kind >> 1 & 1);
        let (sender, target) = ((host, v4(interface, HOST)), ([0; 6], v4(interface, target)));
        return (interface, frames::arp([0xff; 6], operation, sender, target));
    }
    let (kind, option) = if kind & 2 == 0 { (135, 1) } else { (136, 2) };
    let ip = frames::ip([host, node_mac(interface, 0).0], v6(interface, HOST), v6(interface, NODE), 255);
    let content = [&v6(interface, target).octets()[..], &[option, 1], &host].concat();
    (interface, frames::icmpv6(ip, (kind, 0), [0x60, 0, 0, 0], &content))
}
