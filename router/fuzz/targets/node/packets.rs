//! Well-formed packets between a few hosts, by a few bytes each: random bytes seldom are one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac};

use super::input::Input;
use super::{mac, number};
use crate::targets::advert::checksum;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// The host of each network.
const HOST: u8 = 100;

fn v4(interface: Interface, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, number(interface), 0, host)
}

fn v6(interface: Interface, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, number(interface).into(), 0, 0, 0, 0, 0, host.into())
}

/// The addresses of a host, or of the cluster, in both families.
pub(super) fn addresses(interface: Interface, host: u8) -> Vec<IpAddr> {
    vec![v4(interface, host).into(), v6(interface, host).into()]
}

/// The node's own addresses with their networks.
pub(super) fn networks<T: std::str::FromStr<Err: std::fmt::Debug>>(interface: Interface) -> Vec<T> {
    let texts = [format!("{}/24", v4(interface, 11)), format!("{}/64", v6(interface, 11))];
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

/// `family` is 1 for IPv4 and 2 for IPv6.
pub(super) fn virtual_mac(interface: Interface, family: u8) -> Mac {
    Mac([0, 0, 0x5e, 0, family, number(interface)])
}

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
    let to_mac = match ends & 3 {
        0 | 1 => virtual_mac(interface, if is_v6 { 2 } else { 1 }),
        2 => mac(interface, 1),
        _ => mac(interface, 2 + (ends >> 5 & 1)),
    };
    // A redirected frame has the MAC of the peer that holds the redirector as its source.
    let from_mac = if ends & 16 == 0 { mac(interface, HOST) } else { mac(interface, 2 + (ends >> 5 & 1)) };
    let to = input.pick(&[
        (interface.other(), HOST),
        (interface.other(), HOST),
        (interface, 1),
        (interface, 11),
        (interface, 77),
    ]);
    let (protocol, content) = content(input, interface, is_v6);
    let mut bytes = [to_mac.0, from_mac.0].concat();
    if is_v6 {
        let [high, low] = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, protocol, hop_limit]);
        bytes.extend(v6(interface, HOST).octets());
        bytes.extend(v6(to.0, to.1).octets());
    } else {
        let [high, low] = u16::try_from(20 + content.len()).unwrap_or_default().to_be_bytes();
        let mut header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, hop_limit, protocol, 0, 0];
        header.extend(v4(interface, HOST).octets());
        header.extend(v4(to.0, to.1).octets());
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum);
        bytes.extend([8, 0]);
        bytes.extend(header);
    }
    bytes.extend(content);
    (interface, bytes)
}

/// Protocol, and the bytes behind the IP header. Ports are few, so that packets meet in streams: 80 and what opens to it.
fn content(input: &mut Input<'_>, interface: Interface, is_v6: bool) -> (u8, Vec<u8>) {
    let (protocol, port) = (input.byte(), 1_000 + u16::from(input.byte() & 15));
    let (from, to) = if interface == Interface::First { (port, 80) } else { (80_u16, port) };
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    match protocol % 8 {
        0..=2 => {
            let (flags, sequence, payload) = (input.byte(), input.byte(), input.byte());
            let numbers = [0, 0, 0, sequence, 0, 0, 0, sequence, 0x50, flags & 0x3f, 0xff, 0xff, 0, 0, 0, 0];
            (TCP, [&ports[..], &numbers, &vec![0x55; usize::from(payload)]].concat())
        }
        3 | 4 => {
            let payload = usize::from(input.byte()) * 8;
            let [high, low] = u16::try_from(8 + payload).unwrap_or_default().to_be_bytes();
            (UDP, [&ports[..], &[high, low, 0, 0], &vec![0x55; payload]].concat())
        }
        5 => {
            let kind = input.pick(if is_v6 { &[128, 129, 1, 3, 2] } else { &[8, 0, 3, 11, 5] });
            let quote = usize::from(input.byte());
            let head = [kind, 0, 0, 0, 0, 0, 0, 7];
            (if is_v6 { 58 } else { 1 }, [&head[..], input.take(quote)].concat())
        }
        // An advert.
        6 => {
            let len = usize::from(input.byte() & 63);
            (112, input.take(len).to_vec())
        }
        _ => (input.byte(), vec![0; 12]),
    }
}

/// ARP or neighbour discovery of a host.
pub(super) fn neighbour(input: &mut Input<'_>) -> (Interface, Vec<u8>) {
    let interface = input.interface();
    let (kind, target) = (input.byte(), input.pick(&[1, 11, HOST]));
    let host = mac(interface, HOST);
    if kind & 1 == 0 {
        let mut bytes = [[0xff; 6], host.0].concat();
        bytes.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + (kind >> 1 & 1)]);
        bytes.extend(host.0);
        bytes.extend(v4(interface, HOST).octets());
        bytes.extend([0; 6]);
        bytes.extend(v4(interface, target).octets());
        return (interface, bytes);
    }
    let (kind, option) = if kind & 2 == 0 { (135, 1) } else { (136, 2) };
    let (from, to) = (v6(interface, HOST).octets(), v6(interface, 11).octets());
    let mut message = vec![kind, 0, 0, 0, 0x60, 0, 0, 0];
    message.extend(v6(interface, target).octets());
    message.extend([option, 1]);
    message.extend(host.0);
    let pseudo = [&from[..], &to, &[0, 0, 0, 32, 0, 0, 0, 58], &message].concat();
    let sum = checksum(&pseudo);
    message[2..4].copy_from_slice(&sum);
    let mut bytes = [mac(interface, 1).0, host.0].concat();
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    bytes.extend([from, to].concat());
    bytes.extend(message);
    (interface, bytes)
}

/// What a host says to an ARP request for it.
pub(super) fn arp_reply(interface: Interface, request: &[u8]) -> Option<Vec<u8>> {
    let (ethernet, arp) = request.split_at_checked(14)?;
    let is_request = ethernet.ends_with(&[8, 6]) && arp.get(7) == Some(&1);
    let asks_for_host = arp.get(24..28) == Some(&v4(interface, HOST).octets()[..]);
    let sender = arp.get(8..18).filter(|_| is_request && asks_for_host)?;
    let host = mac(interface, HOST).0;
    let head = [&ethernet[6..12], &host, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &host].concat();
    Some([&head[..], &v4(interface, HOST).octets(), sender].concat())
}
