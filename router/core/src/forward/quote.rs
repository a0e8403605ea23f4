//! The packet that an ICMP error quotes: as one packet on the wire, with full checksums, however the kernel left it.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use crate::mistake::or_mistake;
use crate::packet::{Frame, Headers, Transport};

/// Bytes of a UDP header (RFC 768).
const UDP_LEN: usize = 8;

/// The first `len_max` bytes of the packet. Of a super-frame that is the first segment, which is what the network that
/// refused it would have seen; of a joined frame it is the first fragment, which is what its source has sent.
pub(super) fn quote(headers: &Headers, frame: &Frame, len_max: usize) -> Vec<u8> {
    if let Some(first) = frame.fragments().first() {
        let packet = first.bytes().get(usize::from(headers.network_at)..).unwrap_or_default();
        return packet.get(..len_max).unwrap_or(packet).to_vec();
    }
    let offload = frame.offload();
    let segment = usize::from(offload.segment_size());
    let network_at = usize::from(headers.network_at);
    let end = headers.end as usize;
    let end = if segment == 0 { end } else { end.min(usize::from(headers.payload_at) + segment) };
    let mut packet = or_mistake(frame.bytes().get(network_at..end), "headers lie in their frame").to_vec();
    if segment != 0 {
        shorten(headers, &mut packet);
    }
    if segment != 0 || offload.needs_checksum() {
        write_transport_checksum(headers, &mut packet);
    }
    packet.truncate(len_max);
    packet
}

/// Makes a segment's length fields true.
fn shorten(headers: &Headers, packet: &mut [u8]) {
    let transport = usize::from(headers.transport_at - headers.network_at);
    let len = packet.len();
    if headers.is_ipv6() {
        put(packet, 4, low_bits(len.saturating_sub(40)));
    } else {
        put(packet, 2, low_bits(len));
        put(packet, 10, 0);
        let sum = Sum16BitWords::new()
            .add_slice(or_mistake(packet.get(..transport), "an IP header lies in its packet"))
            .ones_complement();
        put(packet, 10, sum.to_be());
    }
    if let Transport::Udp { .. } = headers.transport {
        put(packet, transport + 4, low_bits(len.saturating_sub(transport)));
    }
}

fn write_transport_checksum(headers: &Headers, packet: &mut [u8]) {
    let transport = usize::from(headers.transport_at - headers.network_at);
    // Only of UDP a checksum of 0 says that there is none (RFC 768).
    let (field, zero) = match headers.transport {
        Transport::Tcp { .. } => (16, 0),
        Transport::Udp { .. } => (UDP_LEN - 2, 0xffff),
        Transport::EchoRequest { .. }
        | Transport::EchoReply { .. }
        | Transport::IcmpError { .. }
        | Transport::Discovery { .. }
        | Transport::Other => return,
    };
    let field = transport + field;
    put(packet, field, 0);
    let sum = transport_checksum(headers, or_mistake(packet.get(transport..), "an IP header lies in its packet"));
    put(packet, field, if sum == 0 { zero } else { sum });
}

/// The checksum over a transport and its pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub(super) fn transport_checksum(headers: &Headers, transport: &[u8]) -> u16 {
    let addresses = match (headers.source, headers.destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Sum16BitWords::new().add_4bytes(from.octets()).add_4bytes(to.octets()),
        (from, to) => Sum16BitWords::new().add_16bytes(octets(from)).add_16bytes(octets(to)),
    };
    let [_, _, _, _, length @ ..] = (transport.len() as u64).to_be_bytes();
    u16::from_be(addresses.add_2bytes([0, headers.protocol]).add_4bytes(length).add_slice(transport).ones_complement())
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Packets are shorter than 64 KiB, so nothing is lost.
fn low_bits(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

fn put(packet: &mut [u8], at: usize, word: u16) {
    if let Some(place) = packet.get_mut(at..at + 2) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::*;
    use super::*;
    use herald_testing::frames::{self, ACK, Segment};
    use std::net::Ipv4Addr;

    fn tcp(from: impl Into<IpAddr>, to: impl Into<IpAddr>, payload: &[u8]) -> Frame {
        Frame::from_bytes(&frames::tcp(ip(from, to), (4000, 80), Segment { payload, ..ACK }))
    }

    /// A quote as a frame, to check it.
    fn framed(frame: &Frame, quoted: &[u8]) -> Vec<u8> {
        [&frame.bytes()[..14], quoted].concat()
    }

    #[test]
    fn a_partial_checksum_is_finished() {
        let whole = tcp(CLIENT, SERVER, b"some bytes");
        let mut partial = with_offload(&whole, 34, 16, 0);
        // What the kernel leaves in the field, and which is wrong on a wire.
        partial.bytes_mut()[50..52].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(quote(&headers(&partial), &partial, 1000), whole.bytes()[14..]);
    }

    #[test]
    fn a_super_frame_is_quoted_as_its_first_segment() {
        let addresses: [(IpAddr, IpAddr); 2] =
            [(CLIENT.into(), SERVER.into()), (v6("fd00:1::64").into(), v6("fd00:2::c8").into())];
        for (from, to) in addresses {
            for (whole, start, field, header) in
                [(tcp(from, to, &[9; 5000]), 0, 16, 20), (udp(from, to, &[9; 5000]), 0, 6, 8)]
            {
                let at = headers(&whole).transport_at;
                let frame = with_offload(&whole, at + start, field, 1000);
                let quoted = quote(&headers(&frame), &frame, usize::MAX);
                assert_eq!(quoted.len(), usize::from(at) - 14 + header + 1000);
                let bytes = framed(&frame, &quoted);
                assert_checksums(&bytes);
                assert_eq!(headers(&Frame::from_bytes(&bytes)).payload_len(), 1000);
            }
        }
    }

    proptest! {
        #[test]
        fn checksums_of_quotes_are_right(
            payload in prop::collection::vec(any::<u8>(), 0..600),
            segment in 0_u16..300,
            (a, b) in any::<(u32, u32)>(),
        ) {
            let host = |bits: u32| Ipv4Addr::from_bits(0x0a00_0000 | bits & 0xff_ffff);
            for whole in [tcp(host(a), host(b), &payload), udp(host(a), host(b), &payload)] {
                let field = if whole.bytes()[23] == 6 { 16 } else { 6 };
                let frame = with_offload(&whole, 34, field, segment);
                let quoted = quote(&headers(&frame), &frame, usize::MAX);
                assert_checksums(&framed(&frame, &quoted));
            }
        }
    }
}
