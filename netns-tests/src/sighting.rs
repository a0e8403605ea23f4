//! Packets of streams as a bridge saw them.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Mac};
use herald_core::packet::ETHERNET_LEN;

use crate::capture::CapturedFrame;

/// Bytes of the largest IP packet in a lab that does not say otherwise; what is larger is a super-frame.
const MTU: usize = 1500;

/// A TCP or UDP packet that crossed the bridge of an interface's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When, in nanoseconds since 1970 (UTC). The kernel takes this time when the frame comes to the bridge, before
    /// anybody behind it can have the frame.
    pub at_nanos: u64,
    /// Who sent the frame.
    pub frame_source: Mac,
    /// Who shall have it.
    pub frame_destination: Mac,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The packet's flow, as if it arrived at this interface's redirector.
    pub flow: FlowKey,
    /// Identification of an IPv4 packet; 0 for IPv6.
    pub identification: u16,
    /// Bytes of the IP packet, of a super-frame the whole.
    pub packet_len: usize,
    /// Packets on a wire without offloads.
    pub wire_packets: u64,
    /// Transport header and payload, as far as the capture has them, without the checksum: it may still be partial.
    pub content: Vec<u8>,
}

/// The TCP and UDP packets among these frames, in the order of their times.
#[must_use]
pub fn sightings(interface: Interface, frames: &[CapturedFrame]) -> Vec<Sighting> {
    let mut all: Vec<_> = frames.iter().filter_map(|frame| sighting(interface, frame)).collect();
    all.sort_by_key(|sighting| sighting.at_nanos);
    all
}

fn sighting(interface: Interface, frame: &CapturedFrame) -> Option<Sighting> {
    let packet = LaxSlicedPacket::from_ethernet(&frame.bytes).ok()?;
    let LinkSlice::Ethernet2(link) = packet.link? else { return None };
    let (source, destination, hop_limit, identification, packet_len) = match packet.net? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let ends: (IpAddr, IpAddr) = (header.source_addr().into(), header.destination_addr().into());
            (ends.0, ends.1, header.ttl(), header.identification(), usize::from(header.total_len()))
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let ends: (IpAddr, IpAddr) = (header.source_addr().into(), header.destination_addr().into());
            (ends.0, ends.1, header.hop_limit(), 0, header.slice().len() + usize::from(header.payload_length()))
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let (protocol, ports, transport, header_len, checksum_at) = match &packet.transport? {
        TransportSlice::Tcp(tcp) => {
            (6, (tcp.source_port(), tcp.destination_port()), tcp.slice(), tcp.header_slice().len(), 16)
        }
        TransportSlice::Udp(udp) => (17, (udp.source_port(), udp.destination_port()), udp.slice(), 8, 6),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => return None,
    };
    let headers_len = transport.as_ptr().addr() - frame.bytes.as_ptr().addr() - ETHERNET_LEN + header_len;
    let mut content = transport.to_vec();
    content.get_mut(checksum_at..checksum_at + 2)?.fill(0);
    Some(Sighting {
        at_nanos: frame.at_nanos,
        frame_source: Mac(link.source()),
        frame_destination: Mac(link.destination()),
        hop_limit,
        flow: FlowKey::new(interface, protocol, (source, ports.0), (destination, ports.1)),
        identification,
        packet_len,
        wire_packets: wire_packets(packet_len, headers_len),
        content,
    })
}

/// A flow as if it arrived at the first interface: the same for one direction of a stream wherever it is seen.
pub(crate) fn direction(flow: &FlowKey) -> FlowKey {
    flow.reversed(Interface::First).reversed(Interface::First)
}

/// The kernel fills each packet of a super-frame but the last up to the MTU.
fn wire_packets(packet_len: usize, headers_len: usize) -> u64 {
    if packet_len <= MTU {
        return 1;
    }
    let packets = packet_len.saturating_sub(headers_len).div_ceil(MTU.saturating_sub(headers_len).max(1));
    u64::try_from(packets).unwrap_or(u64::MAX)
}

/// What stays the same of a packet on its way through the cluster, and is another for each packet: even TCP's
/// retransmissions have another identification or time stamp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    flow: FlowKey,
    identification: u16,
    packet_len: usize,
    head: Vec<u8>,
}

impl Mark {
    /// The packet's flow, as if it arrived at the first interface.
    #[must_use]
    pub fn flow(&self) -> FlowKey {
        self.flow
    }
}

/// Bytes of a [`Mark`] from the transport header on: as many as every record of a packet has.
const MARK_LEN_MAX: usize = 200;

impl Sighting {
    /// The packet's mark.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let head = self.content.iter().take(MARK_LEN_MAX).copied().collect();
        let (identification, packet_len) = (self.identification, self.packet_len);
        Mark { flow: direction(&self.flow), identification, packet_len, head }
    }

    /// True if the packet opens a stream: a SYN of a connection's opener, or UDP.
    #[must_use]
    pub fn opens(&self) -> bool {
        const FLAGS_AT: usize = 13;
        const SYN_ACK: u8 = 0x12;
        const SYN: u8 = 0x02;
        self.flow.protocol() != 6 || self.content.get(FLAGS_AT).is_some_and(|flags| flags & SYN_ACK == SYN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn frame(payload_len: usize, kept: usize) -> CapturedFrame {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 1, 0, 1], [10, 2, 0, 1], 63);
        let mut bytes = Vec::new();
        builder.tcp(1000, 80, 7, 1024).write(&mut bytes, &vec![9; payload_len]).unwrap();
        let len = bytes.len();
        bytes.truncate(kept);
        CapturedFrame { at_nanos: 5, len, bytes }
    }

    #[test]
    fn a_packet_is_read_although_its_end_was_not_kept() {
        let all = sightings(Interface::First, &[frame(2 * 1460 + 1, 100)]);
        let [seen] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((seen.frame_source, seen.frame_destination), (Mac([2; 6]), Mac([4; 6])));
        assert_eq!((seen.hop_limit, seen.wire_packets, seen.content.len()), (63, 3, 100 - 34));
        assert_eq!(seen.flow.to_string(), "tcp 10.1.0.1:1000 10.2.0.1:80");
        assert!(!seen.opens());
    }

    #[test]
    fn a_full_packet_is_one() {
        let packets = |payload_len| sightings(Interface::First, &[frame(payload_len, 512)])[0].wire_packets;
        assert_eq!([packets(0), packets(1460), packets(1461), packets(2920)], [1, 1, 2, 2]);
    }
}
