//! ICMP messages: echo, errors with the packet they quote, and the discovery of neighbours and listeners.

use std::net::IpAddr;

use etherparse::IpNumber;

use super::parse::Transport;
use crate::event::DropReason;

/// Length of the part of an ICMP header that all messages share, in bytes.
pub(super) const ICMP_HEADER_LEN: usize = 8;

/// What an ICMP message is (RFC 792).
pub(super) fn parse_icmp(bytes: &[u8]) -> Result<Transport, DropReason> {
    let (header, quoted) = bytes.split_first_chunk::<ICMP_HEADER_LEN>().ok_or(DropReason::Malformed)?;
    let [kind, code, _, _, id_high, id_low, ..] = *header;
    let identifier = u16::from_be_bytes([id_high, id_low]);
    Ok(match (kind, code) {
        (8, 0) => Transport::EchoRequest { identifier },
        (0, 0) => Transport::EchoReply { identifier },
        // Destination unreachable, time exceeded, parameter problem (RFC 792).
        (3 | 11 | 12, _) => {
            let ip = etherparse::Ipv4HeaderSlice::from_slice(quoted).map_err(|_| DropReason::Malformed)?;
            if ip.fragments_offset().value() != 0 {
                return Err(DropReason::Fragment);
            }
            let behind = quoted.get(ip.slice().len()..).unwrap_or_default();
            let (from, to) = (ip.source_addr().into(), ip.destination_addr().into());
            quote(from, to, ip.protocol(), behind)?
        }
        _ => Transport::Other,
    })
}

/// What an ICMPv6 message is (RFC 4443).
pub(super) fn parse_icmpv6(bytes: &[u8]) -> Result<Transport, DropReason> {
    let (header, quoted) = bytes.split_first_chunk::<ICMP_HEADER_LEN>().ok_or(DropReason::Malformed)?;
    let [kind, code, _, _, id_high, id_low, ..] = *header;
    let identifier = u16::from_be_bytes([id_high, id_low]);
    Ok(match (kind, code) {
        (128, 0) => Transport::EchoRequest { identifier },
        (129, 0) => Transport::EchoReply { identifier },
        (130..=137 | 143, _) => Transport::Discovery { kind },
        // Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443).
        (1..=4, _) => {
            let ip = etherparse::Ipv6HeaderSlice::from_slice(quoted).map_err(|_| DropReason::Malformed)?;
            let behind = quoted.get(ip.slice().len()..).unwrap_or_default();
            let (from, to) = (ip.source_addr().into(), ip.destination_addr().into());
            quote(from, to, ip.next_header(), behind)?
        }
        _ => Transport::Other,
    })
}

/// The flow of a quoted packet, from the first 8 bytes of its transport header (RFC 792, RFC 4443).
fn quote(from: IpAddr, to: IpAddr, protocol: IpNumber, transport: &[u8]) -> Result<Transport, DropReason> {
    let (source_port, destination_port) = match protocol {
        IpNumber::TCP | IpNumber::UDP => {
            let &[a, b, c, d] = transport.first_chunk().ok_or(DropReason::Malformed)?;
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        IpNumber::ICMP | IpNumber::IPV6_ICMP => {
            let &[_, _, _, _, high, low] = transport.first_chunk().ok_or(DropReason::Malformed)?;
            let identifier = u16::from_be_bytes([high, low]);
            (identifier, identifier)
        }
        _ => (0, 0),
    };
    Ok(Transport::IcmpError { source: (from, source_port), destination: (to, destination_port), protocol: protocol.0 })
}
