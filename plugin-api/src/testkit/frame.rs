//! Frames of a test's streams, with the offsets that the router gives.

use std::ffi::c_void;
use std::net::{IpAddr, SocketAddr};

use crate::Direction;
use crate::abi::{self, HeraldPacket};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

const ETHERNET_LEN: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// One packet of a stream that may arrive.
#[derive(Clone, Debug)]
pub struct Segment {
    pub(super) stream: usize,
    pub(super) direction: Direction,
    pub(super) frame: Vec<u8>,
    pub(super) headers: Headers,
}

/// Where the headers lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    protocol: u8,
    is_ipv6: bool,
    transport_at: usize,
    payload_at: usize,
    end: usize,
    ports: (u16, u16),
    flags: u8,
}

impl Segment {
    /// The Ethernet frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// The frame, to change it before it arrives. Its headers stay where they are.
    pub fn frame_mut(&mut self) -> &mut [u8] {
        &mut self.frame
    }

    /// Control bits, sequence number and payload of a TCP segment as the frame has them now.
    pub(super) fn tcp(&self) -> Option<(u8, u32, &[u8])> {
        let Headers { protocol, transport_at, payload_at, end, .. } = self.headers;
        let sequence = self.frame.get(transport_at + 4..)?.first_chunk()?;
        let flags = *self.frame.get(transport_at + 13)?;
        (protocol == TCP).then_some((flags, u32::from_be_bytes(*sequence), self.frame.get(payload_at..end)?))
    }

    /// The frame as the router describes it.
    pub(super) fn described(&self, state: *mut c_void) -> HeraldPacket {
        let short = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let long = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let headers = &self.headers;
        let is_opener = self.direction == Direction::FromOpener;
        HeraldPacket {
            bytes: self.frame.as_ptr(),
            state,
            stream: self.stream as u64 + 1,
            len: long(self.frame.len()),
            end: long(headers.end),
            wire_packets: 1,
            network_at: short(ETHERNET_LEN),
            transport_at: short(headers.transport_at),
            payload_at: short(headers.payload_at),
            source_port: headers.ports.0,
            destination_port: headers.ports.1,
            protocol: headers.protocol,
            ip_version: if headers.is_ipv6 { 6 } else { 4 },
            transport: if headers.protocol == TCP { abi::HERALD_TRANSPORT_TCP } else { abi::HERALD_TRANSPORT_UDP },
            tcp_flags: headers.flags,
            direction: if is_opener { abi::HERALD_DIRECTION_FROM_OPENER } else { abi::HERALD_DIRECTION_TO_OPENER },
            interface: if is_opener { abi::HERALD_INTERFACE_FIRST } else { abi::HERALD_INTERFACE_SECOND },
            mark: 0,
            marks: 0,
            gso_size: 0,
            vlan: 0,
            vlan_tags: 0,
            gso_type: abi::HERALD_GSO_NONE,
        }
    }
}

/// A frame of TCP (control bits; sequence and acknowledgement number) or UDP.
pub(super) fn build(
    protocol: u8,
    (from, to): (SocketAddr, SocketAddr),
    (flags, (sequence, acknowledgement)): (u8, (u32, u32)),
    payload: &[u8],
) -> (Vec<u8>, Headers) {
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let mut transport = if protocol == TCP {
        let acknowledgement = if flags & ACK == 0 { 0 } else { acknowledgement };
        let numbers = [sequence.to_be_bytes(), acknowledgement.to_be_bytes()].concat();
        [&ports[..], &numbers, &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat()
    } else {
        [&ports[..], &word(8 + payload.len()), &[0, 0]].concat()
    };
    let header_len = transport.len();
    transport.extend_from_slice(payload);
    let pseudo = [&addresses(from.ip(), to.ip())[..], &[0, protocol], &word(transport.len()), &transport].concat();
    let sum = match checksum(&pseudo) {
        // No checksum is written as zero in UDP (RFC 768).
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    let at = if protocol == TCP { 16 } else { 6 };
    if let Some(place) = transport.get_mut(at..at + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    let network = network(protocol, from.ip(), to.ip(), transport.len());
    let transport_at = network.len();
    let frame = [network, transport].concat();
    let headers = Headers {
        protocol,
        is_ipv6: from.is_ipv6(),
        transport_at,
        payload_at: transport_at + header_len,
        end: frame.len(),
        ports: (from.port(), to.port()),
        flags: if protocol == TCP { flags } else { 0 },
    };
    (frame, headers)
}

/// Ethernet and IP headers.
fn network(protocol: u8, from: IpAddr, to: IpAddr, len: usize) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let ends = addresses(from, to);
    if from.is_ipv6() {
        return [&macs[..], &[0x86, 0xdd, 0x60, 0, 0, 0], &word(len), &[protocol, 64], &ends].concat();
    }
    let head = [&[0x45, 0][..], &word(20 + len), &[0, 0, 0x40, 0, 64, protocol]].concat();
    let sum = checksum(&[&head[..], &ends].concat()).to_be_bytes();
    [&macs[..], &[0x08, 0x00], &head, &sum, &ends].concat()
}

fn addresses(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let octets = |address| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    [octets(from), octets(to)].concat()
}

fn word(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| match *word {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(u16::from_be_bytes([high, 0])),
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// An address as the contract writes it.
pub(super) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Protocol, source, destination and headers of an Ethernet frame of TCP or UDP, without extension headers and not a fragment.
pub(super) fn parse(frame: &[u8]) -> Option<(u8, SocketAddr, SocketAddr, Headers)> {
    let be =
        |at: usize| frame.get(at..at + 2).and_then(|word| word.first_chunk()).map(|word| u16::from_be_bytes(*word));
    let (source, destination, protocol, transport_at, end): (IpAddr, IpAddr, u8, usize, usize) = match be(12)? {
        0x0800 => {
            let is_fragment = be(20)? & 0x3fff != 0;
            let at = ETHERNET_LEN + usize::from(frame.get(14)? & 15) * 4;
            let (source, destination) =
                (frame.get(26..30)?.first_chunk::<4>()?, frame.get(30..34)?.first_chunk::<4>()?);
            let end = ETHERNET_LEN + usize::from(be(16)?);
            ((*source).into(), (*destination).into(), *frame.get(23).filter(|_| !is_fragment)?, at, end)
        }
        0x86dd => {
            let (source, destination) =
                (frame.get(22..38)?.first_chunk::<16>()?, frame.get(38..54)?.first_chunk::<16>()?);
            let end = ETHERNET_LEN + 40 + usize::from(be(18)?);
            ((*source).into(), (*destination).into(), *frame.get(20)?, ETHERNET_LEN + 40, end)
        }
        _ => return None,
    };
    let header_len = match protocol {
        TCP => usize::from(frame.get(transport_at + 12)? >> 4) * 4,
        UDP => 8,
        _ => return None,
    };
    let payload_at = transport_at + header_len;
    if payload_at > end || end > frame.len() {
        return None;
    }
    let ports = (be(transport_at)?, be(transport_at + 2)?);
    let flags = if protocol == TCP { *frame.get(transport_at + 13)? } else { 0 };
    let headers = Headers { protocol, is_ipv6: source.is_ipv6(), transport_at, payload_at, end, ports, flags };
    Some((protocol, SocketAddr::new(source, ports.0), SocketAddr::new(destination, ports.1), headers))
}
