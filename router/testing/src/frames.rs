//! Frames by their headers; lengths and checksums are right.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{
    ArpEthIpv4Packet, ArpOperation, IpHeaders, IpNumber, Ipv4HeaderSlice, PacketBuilder, PacketBuilderStep, TcpHeader,
};

/// Ethernet and IP headers; etherparse puts behind them what is not here.
pub type Ip = PacketBuilderStep<IpHeaders>;

/// Source and destination MAC, source and destination address of one family.
pub fn ip(macs: [[u8; 6]; 2], from: impl Into<IpAddr>, to: impl Into<IpAddr>, hop_limit: u8) -> Ip {
    let ethernet = PacketBuilder::ethernet2(macs[0], macs[1]);
    match (from.into(), to.into()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), hop_limit),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), hop_limit),
        (from, to) => panic!("{from} and {to} are of two families"),
    }
}

/// Any protocol, with what is behind the IP header.
#[must_use]
pub fn raw(ip: Ip, protocol: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The number comes afterwards: where it is an extension header's, etherparse wants that header.
    ip.write(&mut bytes, IpNumber::IPV6_NO_NEXT_HEADER, content).unwrap();
    if bytes[14] >> 4 == 6 {
        bytes[20] = protocol;
    } else {
        bytes[23] = protocol;
        let sum = Ipv4HeaderSlice::from_slice(&bytes[14..]).unwrap().to_header().calc_header_checksum();
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// A UDP datagram, with source and destination port.
#[must_use]
pub fn udp(ip: Ip, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip.udp(ports.0, ports.1).write(&mut bytes, payload).unwrap();
    bytes
}

/// What a TCP segment says.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, as in the header.
    pub flags: u8,
    /// Its sequence number.
    pub sequence: u32,
    /// Its acknowledgement number, which counts with ACK.
    pub acknowledgement: u32,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// The opener's first segment of a connection.
pub const SYN: Segment<'_> = Segment { flags: 2, sequence: 100, acknowledgement: 0, payload: &[] };
/// The answer to [`SYN`].
pub const SYN_ACK: Segment<'_> = Segment { flags: 18, sequence: 500, acknowledgement: 101, payload: &[] };
/// The answer to [`SYN_ACK`].
pub const ACK: Segment<'_> = Segment { flags: 16, sequence: 101, acknowledgement: 501, payload: &[] };

/// A TCP segment, with source and destination port.
#[must_use]
pub fn tcp(ip: Ip, ports: (u16, u16), segment: Segment<'_>) -> Vec<u8> {
    let mut header = TcpHeader::new(ports.0, ports.1, segment.sequence, 65_000);
    let flag = |bit: u8| segment.flags >> bit & 1 != 0;
    (header.fin, header.syn, header.rst) = (flag(0), flag(1), flag(2));
    (header.psh, header.ack, header.urg) = (flag(3), flag(4), flag(5));
    header.acknowledgment_number = segment.acknowledgement;
    let mut bytes = Vec::new();
    ip.tcp_header(header).write(&mut bytes, segment.payload).unwrap();
    bytes
}

/// An ICMP message: type and code, the other four bytes of its header, and what is behind them.
#[must_use]
pub fn icmpv4(ip: Ip, kind: (u8, u8), head: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip.icmpv4_raw(kind.0, kind.1, head).write(&mut bytes, payload).unwrap();
    bytes
}

/// The same of ICMPv6, and of neighbour discovery.
#[must_use]
pub fn icmpv6(ip: Ip, kind: (u8, u8), head: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip.icmpv6_raw(kind.0, kind.1, head).write(&mut bytes, payload).unwrap();
    bytes
}

/// A host by its MAC and its address.
pub type Host = ([u8; 6], Ipv4Addr);

/// An ARP message, as `sender` sends it to a MAC: a request is 1, a reply 2.
#[must_use]
pub fn arp(to: [u8; 6], operation: u16, sender: Host, target: Host) -> Vec<u8> {
    let arp = ArpEthIpv4Packet {
        operation: ArpOperation(operation),
        sender_mac: sender.0,
        sender_ipv4: sender.1.octets(),
        target_mac: target.0,
        target_ipv4: target.1.octets(),
    };
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(sender.0, to).arp(arp.to_arp_packet()).write(&mut bytes).unwrap();
    bytes
}

/// A host says to another where it is.
#[must_use]
pub fn arp_reply(from: Host, to: Host) -> Vec<u8> {
    arp(to.0, 2, from, to)
}

/// What a host answers, if the frame asks for its MAC.
#[must_use]
pub fn arp_answer(frame: &[u8], host: Host) -> Option<Vec<u8>> {
    let asks = frame.get(12..14)? == [8, 6] && frame.get(20..22)? == [0, 1];
    let (sender, target) = (frame.get(22..32)?.split_first_chunk()?, frame.get(38..42)?);
    let sender = (*sender.0, Ipv4Addr::from(*sender.1.first_chunk()?));
    (asks && target == host.1.octets()).then(|| arp_reply(host, sender))
}
