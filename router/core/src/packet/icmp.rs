//! ICMP messages: echo, errors with the packet they quote, and the discovery of neighbours and listeners.

use std::net::IpAddr;

use super::chain::Chain;
use super::parse::Transport;

/// Length of the part of an ICMP header that all messages share, in bytes.
pub(super) const ICMP_HEADER_LEN: usize = 8;

/// What an ICMP message is (RFC 792); `None` if it is too short for any. Queries other than echo have no identifier that
/// counts: all of two hosts are one stream.
pub(super) fn parse_icmp(bytes: &[u8]) -> Option<Transport> {
    let (header, quoted) = bytes.split_first_chunk::<ICMP_HEADER_LEN>()?;
    let [kind, code, _, _, id_high, id_low, ..] = *header;
    let identifier = u16::from_be_bytes([id_high, id_low]);
    Some(match (kind, code) {
        (8, 0) => Transport::EchoRequest { identifier },
        (0, 0) => Transport::EchoReply { identifier },
        // Destination unreachable, time exceeded, parameter problem (RFC 792).
        (3 | 11 | 12, _) => quote_v4(quoted).unwrap_or(Transport::Other),
        _ => Transport::Other,
    })
}

/// What an ICMPv6 message is (RFC 4443); `None` if it is too short for any.
pub(super) fn parse_icmpv6(bytes: &[u8]) -> Option<Transport> {
    let (header, quoted) = bytes.split_first_chunk::<ICMP_HEADER_LEN>()?;
    let [kind, code, _, _, id_high, id_low, ..] = *header;
    let identifier = u16::from_be_bytes([id_high, id_low]);
    Some(match (kind, code) {
        (128, 0) => Transport::EchoRequest { identifier },
        (129, 0) => Transport::EchoReply { identifier },
        (130..=137 | 143, _) => Transport::Discovery { kind },
        // Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
        (1..=4, _) => quote_v6(quoted).unwrap_or(Transport::Other),
        _ => Transport::Other,
    })
}

/// `None` if no whole IP header is quoted.
fn quote_v4(quoted: &[u8]) -> Option<Transport> {
    let ip = etherparse::Ipv4HeaderSlice::from_slice(quoted).ok()?;
    let behind = quoted.get(ip.slice().len()..).unwrap_or_default();
    // Of a fragment other than the first there is no transport header.
    let behind = if ip.fragments_offset().value() == 0 { behind } else { &[] };
    Some(quote(ip.source_addr().into(), ip.destination_addr().into(), ip.protocol().0, behind))
}

fn quote_v6(quoted: &[u8]) -> Option<Transport> {
    let ip = etherparse::Ipv6HeaderSlice::from_slice(quoted).ok()?;
    let behind = quoted.get(ip.slice().len()..).unwrap_or_default();
    let chain = Chain::follow(ip.next_header().0, behind);
    let behind = behind.get(chain.at..).unwrap_or_default();
    Some(quote(ip.source_addr().into(), ip.destination_addr().into(), chain.protocol, behind))
}

/// The flow of a quoted packet, from the first bytes of its transport header (RFC 792, RFC 4443): as the packet itself had
/// it. What was not quoted counts as 0, which is no stream's.
fn quote(from: IpAddr, to: IpAddr, protocol: u8, transport: &[u8]) -> Transport {
    const ICMP: u8 = 1;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const ICMPV6: u8 = 58;
    let word = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let ports = match (protocol, transport) {
        (TCP | UDP, &[a, b, c, d, ..]) => (word(a, b), word(c, d)),
        (ICMP, &[0 | 8, 0, _, _, high, low, ..]) | (ICMPV6, &[128 | 129, 0, _, _, high, low, ..]) => {
            (word(high, low), word(high, low))
        }
        _ => (0, 0),
    };
    Transport::IcmpError { source: (from, ports.0), destination: (to, ports.1), protocol }
}
