//! Fragments of IP datagrams (RFC 791, section 3.2; RFC 8200, section 4.5). Off the way of ordinary packets.

use std::net::IpAddr;

use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, TcpHeaderSlice,
};

use super::ETHERNET_LEN;
use super::checksum::is_header_right;
use super::odd::Odd;
use super::parse::{Headers, Transport};
use super::transport::Parsed;
use crate::event::DropReason;

/// Length of the longest IP packet in bytes, that of IPv6 without its first header.
pub(crate) const PACKET_LEN_MAX: usize = 65_535;

/// Length of IPv6's first header in bytes.
const IPV6_LEN: usize = 40;

/// Length of the shortest headers of UDP and ICMP in bytes.
const SHORTEST_LEN: usize = 8;

/// Length of IPv6's fragment header in bytes.
const FRAGMENT_HEADER_LEN: usize = 8;

/// One fragment's checked headers; offsets are in bytes from the Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Fragment {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// What its first byte belongs to, as this fragment says it: the protocol of IPv4, of IPv6 the header behind the fragment
    /// header, which counts in the first fragment only.
    pub protocol: u8,
    /// TTL or hop limit as it arrived.
    pub hop_limit: u8,
    /// Tells the datagram from others of the same hosts.
    pub identification: u32,
    /// Where its payload begins in that of the datagram, in bytes.
    pub offset: u16,
    /// It is not the last.
    pub more: bool,
    /// The transport header, of the first fragment only.
    pub transport: Transport,
    /// Where the IP header starts.
    pub network_at: u16,
    /// Where what every fragment repeats ends: the header of IPv4, the unfragmentable part of IPv6.
    pub head_end: u16,
    /// Of IPv6 the place of the byte that says that a fragment header follows.
    pub next_header_at: u16,
    /// Where its payload starts.
    pub payload_at: u16,
    /// Where it ends; Ethernet padding may follow.
    pub end: u32,
}

impl Fragment {
    /// It has the datagram's first byte.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// Length of its payload in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        (self.end as usize).saturating_sub(usize::from(self.payload_at))
    }

    /// Where its payload ends in that of the datagram, in bytes.
    #[must_use]
    pub fn reach(&self) -> usize {
        usize::from(self.offset) + self.payload_len()
    }

    /// Bytes of the IP packet in front of the payload, without the fragment header, as far as they count for its length.
    pub(super) fn head_len(&self) -> usize {
        usize::from(self.head_end - self.network_at) - if self.source.is_ipv6() { IPV6_LEN } else { 0 }
    }

    /// The first fragment as if it were a packet of its own, to tell its source what became of it.
    #[must_use]
    pub fn headers(&self) -> Headers {
        Headers {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            hop_limit: self.hop_limit,
            transport: self.transport,
            odd: Odd::No,
            network_at: self.network_at,
            transport_at: self.payload_at,
            payload_at: self.payload_at,
            end: self.end,
        }
    }

    /// What must be true of each fragment.
    fn checked(self) -> Result<Self, DropReason> {
        let len = self.payload_len();
        if len == 0 || self.more && !len.is_multiple_of(8) || self.head_len() + self.reach() > PACKET_LEN_MAX {
            return Err(DropReason::FragmentSize);
        }
        Ok(self)
    }
}

/// An IPv4 packet that is none as a whole: a fragment, or malformed.
#[cold]
#[inline(never)]
pub(super) fn parse_ipv4_fragment(bytes: &[u8]) -> Result<Fragment, DropReason> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| DropReason::Malformed)?;
    let head_len = header.slice().len();
    let payload = bytes.get(head_len..usize::from(header.total_len())).ok_or(DropReason::Malformed)?;
    if !header.is_fragmenting_payload() {
        return Err(DropReason::Malformed);
    }
    if !is_header_right(header.slice()) {
        return Err(DropReason::IpChecksum);
    }
    let offset = header.fragments_offset().value().checked_mul(8).ok_or(DropReason::FragmentSize)?;
    let protocol = header.protocol();
    let transport =
        if offset == 0 { first_transport(protocol, payload, header.source_addr().into())? } else { Transport::Other };
    let payload_at = at(head_len)?;
    Fragment {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol: protocol.0,
        hop_limit: header.ttl(),
        identification: header.identification().into(),
        offset,
        more: header.more_fragments(),
        transport,
        network_at: at(0)?,
        head_end: payload_at,
        next_header_at: payload_at,
        payload_at,
        end: u32::from(payload_at) + u32::try_from(payload.len()).map_err(|_| DropReason::Malformed)?,
    }
    .checked()
}

/// The same of IPv6.
#[cold]
#[inline(never)]
pub(super) fn parse_ipv6_fragment(bytes: &[u8]) -> Result<Fragment, DropReason> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| DropReason::Malformed)?;
    let packet = bytes.get(..IPV6_LEN + usize::from(header.payload_length())).ok_or(DropReason::Malformed)?;
    let (source, destination) = (header.source_addr(), header.destination_addr());
    // As in an unfragmented packet (RFC 4291, section 2.5.5.2).
    if source.to_ipv4_mapped().is_some() || destination.to_ipv4_mapped().is_some() {
        return Err(DropReason::Martian);
    }
    let (next_header_at, head_len) = find_fragment_header(packet, header.next_header())?;
    let &[next, _, high, low, a, b, c, d] =
        packet.get(head_len..).and_then(<[u8]>::first_chunk::<FRAGMENT_HEADER_LEN>).ok_or(DropReason::Malformed)?;
    let place = u16::from_be_bytes([high, low]);
    let (offset, more) = (place & !7, place & 1 != 0);
    let payload = packet.get(head_len + FRAGMENT_HEADER_LEN..).unwrap_or_default();
    let transport =
        if offset == 0 { first_transport(IpNumber(next), payload, source.into())? } else { Transport::Other };
    Fragment {
        source: source.into(),
        destination: destination.into(),
        protocol: next,
        hop_limit: header.hop_limit(),
        identification: u32::from_be_bytes([a, b, c, d]),
        offset,
        more,
        transport,
        network_at: at(0)?,
        head_end: at(head_len)?,
        next_header_at: at(next_header_at)?,
        payload_at: at(head_len + FRAGMENT_HEADER_LEN)?,
        end: u32::try_from(ETHERNET_LEN + packet.len()).map_err(|_| DropReason::Malformed)?,
    }
    .checked()
}

/// Where the byte is that names the fragment header, and where that header starts. In front of it there may be options for
/// each hop, options for the destination and a route (RFC 8200, section 4.1).
fn find_fragment_header(packet: &[u8], first: IpNumber) -> Result<(usize, usize), DropReason> {
    let (mut named_at, mut starts, mut next) = (6, IPV6_LEN, first);
    loop {
        match next {
            IpNumber::IPV6_FRAGMENTATION_HEADER => return Ok((named_at, starts)),
            IpNumber::IPV6_HEADER_HOP_BY_HOP if starts == IPV6_LEN => {}
            IpNumber::IPV6_ROUTE_HEADER | IpNumber::IPV6_DESTINATION_OPTIONS => {}
            _ => return Err(DropReason::Malformed),
        }
        let rest = packet.get(starts..).unwrap_or_default();
        let header = Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| DropReason::Malformed)?;
        (named_at, starts, next) = (starts, starts + header.slice().len(), header.next_header());
    }
}

/// The transport header of a first fragment, which must have all headers up to it (RFC 7112; RFC 1858, section 3).
fn first_transport(mut protocol: IpNumber, mut bytes: &[u8], from: IpAddr) -> Result<Transport, DropReason> {
    const TINY: DropReason = DropReason::FragmentTiny;
    loop {
        let (len, next) = match protocol {
            IpNumber::IPV6_DESTINATION_OPTIONS | IpNumber::IPV6_ROUTE_HEADER => {
                let header = Ipv6RawExtHeaderSlice::from_slice(bytes).map_err(|_| TINY)?;
                (header.slice().len(), header.next_header())
            }
            IpNumber::AUTHENTICATION_HEADER => {
                let header = IpAuthHeaderSlice::from_slice(bytes).map_err(|_| TINY)?;
                (header.slice().len(), header.next_header())
            }
            IpNumber::TCP if TcpHeaderSlice::from_slice(bytes).is_err() => return Err(TINY),
            IpNumber::UDP | IpNumber::ICMP | IpNumber::IPV6_ICMP if bytes.len() < SHORTEST_LEN => return Err(TINY),
            _ => return Ok(Parsed::of(protocol.0, bytes, from.is_ipv6()).transport),
        };
        bytes = bytes.get(len..).unwrap_or_default();
        protocol = next;
    }
}

/// A place behind the Ethernet header.
fn at(behind: usize) -> Result<u16, DropReason> {
    u16::try_from(ETHERNET_LEN + behind).map_err(|_| DropReason::Malformed)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::packet::{Content, Frame, Packet};
    use herald_testing::fragments::{fragment, mend};
    use herald_testing::frames::{self, ACK, Segment};

    fn ip(is_ipv6: bool) -> frames::Ip {
        let (v4, v6) = (Ipv4Addr::new(10, 1, 0, 7), Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 7));
        let (from, to): (IpAddr, IpAddr) = if is_ipv6 {
            (v6.into(), Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 9).into())
        } else {
            (v4.into(), Ipv4Addr::new(10, 2, 0, 9).into())
        };
        frames::ip([[2; 6], [4; 6]], from, to, 64)
    }

    fn parse(bytes: &[u8]) -> Result<Content, DropReason> {
        Packet::parse(&Frame::from_bytes(bytes)).map(|packet| packet.content)
    }

    #[track_caller]
    fn fragment_of(bytes: &[u8]) -> Fragment {
        match parse(bytes) {
            Ok(Content::Fragment(fragment)) => fragment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_part_of_a_fragment_is_known() {
        for is_ipv6 in [false, true] {
            let whole = frames::udp(ip(is_ipv6), (4000, 53), &[7; 100]);
            let first = fragment_of(&[fragment(&whole, 0x1234, 0, 64), vec![0xaa; 9]].concat());
            let transport = Transport::Udp { source: 4000, destination: 53 };
            assert_eq!((first.transport, first.protocol, first.hop_limit), (transport, 17, 64));
            assert_eq!((first.offset, first.more, first.payload_len(), first.reach()), (0, true, 64, 64));
            assert_eq!((first.identification, first.is_first(), first.network_at), (0x1234, true, 14));
            let at = if is_ipv6 { (54, 62, 20) } else { (34, 34, 34) };
            assert_eq!((first.head_end, first.payload_at, first.next_header_at), at);
            let last = fragment_of(&fragment(&whole, 0x1234, 64, 64));
            assert_eq!((last.offset, last.more, last.payload_len(), last.reach()), (64, false, 44, 108));
            assert_eq!((last.transport, last.is_first()), (Transport::Other, false));
        }
    }

    #[test]
    fn headers_in_front_of_a_fragment_header_are_its_unfragmentable_part() {
        let whole = frames::udp(ip(true), (4000, 53), &[7; 100]);
        let mut bytes = fragment(&whole, 5, 0, 64);
        // Options for each hop, then a route with no segments left.
        let (each_hop, route) = ([43, 0, 1, 4, 0, 0, 0, 0], [44, 0, 0, 0, 0, 0, 0, 0]);
        bytes.splice(54..54, [each_hop, route].concat());
        bytes[20] = 0;
        bytes[19] += 16;
        let found = fragment_of(&bytes);
        assert_eq!((found.next_header_at, found.head_end, found.payload_at, found.head_len()), (62, 70, 78, 16));
        let last = fragment(&whole, 5, 64, 64);
        let joined =
            Frame::join(&[(found, Frame::from_bytes(&bytes)), (fragment_of(&last), Frame::from_bytes(&last))]).unwrap();
        let Content::Ip(headers) = parse(joined.bytes()).unwrap() else { panic!("no packet") };
        assert_eq!((headers.transport_at, headers.payload_len(), headers.protocol), (70, 100, 17));
        assert_eq!(joined.fragments()[0].bytes(), bytes);
    }

    #[test]
    fn a_first_fragment_has_all_headers() {
        let tcp = |is_ipv6| frames::tcp(ip(is_ipv6), (1, 2), Segment { payload: &[7; 100], ..ACK });
        for (whole, tiny, enough) in [(tcp(false), 16, 24), (tcp(true), 16, 24)] {
            assert_eq!(parse(&fragment(&whole, 1, 0, tiny)).unwrap_err(), DropReason::FragmentTiny, "{tiny}");
            assert!(fragment_of(&fragment(&whole, 1, 0, enough)).is_first());
        }
        // Options for the destination behind the fragment header, and nothing behind them.
        let options = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(true)[54..]].concat();
        let whole = frames::raw(ip(true), 60, &options);
        assert_eq!(parse(&fragment(&whole, 1, 0, 8)).unwrap_err(), DropReason::FragmentTiny);
        assert!(fragment_of(&fragment(&whole, 1, 0, 32)).is_first());
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        for is_ipv6 in [false, true] {
            let whole = frames::raw(ip(is_ipv6), 200, &[7; 100]);
            assert_eq!(parse(&fragment(&whole, 1, 8, 20)).unwrap_err(), DropReason::FragmentSize, "no multiple of 8");
            let mut far = fragment(&whole, 1, 64, 64);
            let (at, place) = if is_ipv6 { (56, 0xfff8_u16) } else { (20, 0x1fff) };
            far[at..at + 2].copy_from_slice(&place.to_be_bytes());
            if !is_ipv6 {
                mend(&mut far);
            }
            assert_eq!(parse(&far).unwrap_err(), DropReason::FragmentSize, "beyond the longest packet");
            let mut cut_short = fragment(&whole, 1, 0, 64);
            cut_short.truncate(60);
            assert_eq!(parse(&cut_short).unwrap_err(), DropReason::Malformed);
        }
        let mut wrong = fragment(&frames::raw(ip(false), 200, &[7; 100]), 1, 64, 64);
        wrong[24] ^= 1;
        assert_eq!(parse(&wrong).unwrap_err(), DropReason::IpChecksum);
    }

    #[test]
    fn an_atomic_fragment_is_a_packet() {
        let whole = frames::udp(ip(true), (4000, 53), &[7; 100]);
        let atomic = fragment(&whole, 5, 0, 200);
        let Ok(Content::Ip(headers)) = parse(&atomic) else { panic!("{:?}", parse(&atomic)) };
        assert_eq!((headers.transport_at, headers.payload_len()), (62, 100));
        assert_eq!(headers.transport, Transport::Udp { source: 4000, destination: 53 });
    }
}
