//! Transport headers. What is odd about one is noted, and the packet goes on as a router's does: ports are read where the
//! header is whole, and flags only from a TCP header that an end would read.

use etherparse::TcpHeaderSlice;

use super::icmp::{ICMP_HEADER_LEN, parse_icmp, parse_icmpv6};
use super::tcp::offered_scale;
use super::{Odd, TcpFlags, Transport};

/// A transport header.
pub(super) struct Parsed {
    pub(super) transport: Transport,
    /// Its length in bytes.
    pub(super) len: usize,
    pub(super) odd: Odd,
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

impl Parsed {
    /// The header of a protocol at the beginning of these bytes, behind an IPv4 or IPv6 header.
    pub(super) fn of(protocol: u8, bytes: &[u8], is_ipv6: bool) -> Self {
        match (protocol, is_ipv6) {
            (TCP, _) => tcp(bytes),
            (UDP, _) => udp(bytes, is_ipv6),
            (ICMP, false) => icmp(parse_icmp(bytes)),
            (ICMPV6, true) => icmp(parse_icmpv6(bytes)),
            (_, _) => Self { transport: Transport::Other, len: 0, odd: Odd::of_protocol(protocol, is_ipv6) },
        }
    }

    /// Of less than the shortest header.
    const SHORT: Self = Self { transport: Transport::Other, len: 0, odd: Odd::Transport };
}

fn icmp(transport: Option<Transport>) -> Parsed {
    transport.map_or(Parsed::SHORT, |transport| Parsed { transport, len: ICMP_HEADER_LEN, odd: Odd::No })
}

#[inline]
fn tcp(bytes: &[u8]) -> Parsed {
    let (Ok(tcp), Some(&flags)) = (TcpHeaderSlice::from_slice(bytes), bytes.get(13)) else {
        return broken_tcp(bytes);
    };
    let flags = TcpFlags(flags);
    let transport = Transport::Tcp {
        source: tcp.source_port(),
        destination: tcp.destination_port(),
        flags,
        sequence: tcp.sequence_number(),
        acknowledgement: tcp.acknowledgment_number(),
        window: tcp.window_size(),
        scale: flags.syn().then(|| offered_scale(tcp.options())).flatten(),
    };
    Parsed { transport, len: tcp.slice().len(), odd: Odd::of_flags(flags) }
}

/// No end reads a header whose length is none: its flags say nothing.
#[cold]
fn broken_tcp(bytes: &[u8]) -> Parsed {
    const HEADER_LEN: usize = 20;
    let Some(&[a, b, c, d, ..]) = bytes.first_chunk::<HEADER_LEN>() else { return Parsed::SHORT };
    let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let flags = TcpFlags(0);
    let transport =
        Transport::Tcp { source, destination, flags, sequence: 0, acknowledgement: 0, window: 0, scale: None };
    Parsed { transport, len: HEADER_LEN, odd: Odd::Transport }
}

fn udp(bytes: &[u8], is_ipv6: bool) -> Parsed {
    const HEADER_LEN: usize = 8;
    let Some(&[a, b, c, d, high, low, sum @ ..]) = bytes.first_chunk::<HEADER_LEN>() else { return Parsed::SHORT };
    let transport = Transport::Udp { source: u16::from_be_bytes([a, b]), destination: u16::from_be_bytes([c, d]) };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let odd = if len < HEADER_LEN || len > bytes.len() {
        Odd::UdpLength
    } else if is_ipv6 && sum == [0, 0] {
        Odd::UdpChecksum
    } else {
        Odd::No
    };
    Parsed { transport, len: HEADER_LEN, odd }
}
