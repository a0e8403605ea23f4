//! One packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{Direction, Interface, Transport, of_a_stream, stream_effects};
use crate::abi::{self, HeraldBatch, HeraldPacket};
use crate::{Action, Refused, Verdict, answer, host};

/// One packet: its bytes and the offsets of the headers that the router has checked already. Every reading is a load.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    raw: &'a HeraldPacket,
    now: u64,
    unix_now: u64,
    /// Its index in the batch.
    at: u32,
}

impl<'a> Packet<'a> {
    /// # Safety
    /// `raw.bytes` points to `raw.len` bytes that stay unchanged for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldPacket, batch: &HeraldBatch, at: u32) -> Self {
        Self { raw, now: batch.now, unix_now: batch.unix_now, at }
    }

    fn at(&self) -> u32 {
        self.at
    }

    fn times(&self) -> (u64, u64) {
        (self.now, self.unix_now)
    }

    stream_effects!();
    of_a_stream!();

    /// The frame from its Ethernet header on. A super-frame has one header for all its payload.
    #[must_use]
    pub fn frame(&self) -> &'a [u8] {
        // SAFETY: promised to `new`.
        unsafe { std::slice::from_raw_parts(self.raw.bytes, self.raw.len as usize) }
    }

    /// The IP packet with its headers, without Ethernet padding.
    #[must_use]
    pub fn network(&self) -> &'a [u8] {
        self.part(self.raw.network_at)
    }

    /// From the transport header on.
    #[must_use]
    pub fn transport_bytes(&self) -> &'a [u8] {
        self.part(self.raw.transport_at)
    }

    /// What the transport carries.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.part(self.raw.payload_at)
    }

    fn part(&self, from: u16) -> &'a [u8] {
        self.frame().get(usize::from(from)..self.raw.end as usize).unwrap_or_default()
    }

    /// The interface where it arrived.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface::from_abi(self.raw.interface)
    }

    /// What was parsed of its transport.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self.raw.transport {
            abi::HERALD_TRANSPORT_TCP => Transport::Tcp,
            abi::HERALD_TRANSPORT_UDP => Transport::Udp,
            abi::HERALD_TRANSPORT_ECHO => Transport::Echo,
            abi::HERALD_TRANSPORT_ICMP_ERROR => Transport::IcmpError,
            _ => Transport::Other,
        }
    }

    /// IP protocol number of the transport.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.raw.protocol
    }

    /// True for IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.raw.ip_version == 6
    }

    /// Source port, or identifier of an echo, or 0.
    #[must_use]
    pub fn source_port(&self) -> u16 {
        self.raw.source_port
    }

    /// Destination port, or identifier of an echo, or 0.
    #[must_use]
    pub fn destination_port(&self) -> u16 {
        self.raw.destination_port
    }

    /// TCP control bits as on the wire (RFC 9293, section 3.1); 0 for other transports.
    #[must_use]
    pub fn tcp_flags(&self) -> u8 {
        self.raw.tcp_flags
    }

    /// Packets on the wire that it stands for: more than 1 for a super-frame.
    #[must_use]
    pub fn wire_packets(&self) -> u32 {
        self.raw.wire_packets
    }

    /// Source address and port; an ICMP echo's identifier in place of the port, or 0.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.address(12, 8), self.raw.source_port)
    }

    /// Destination address and port, likewise.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.address(16, 24), self.raw.destination_port)
    }

    /// The address so many bytes behind the IP header's start, for IPv4 and for IPv6.
    fn address(&self, v4_at: usize, v6_at: usize) -> IpAddr {
        if self.is_ipv6() {
            self.header(v6_at).map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |bytes: [u8; 16]| IpAddr::from(bytes))
        } else {
            self.header(v4_at).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |bytes: [u8; 4]| IpAddr::from(bytes))
        }
    }

    /// Bytes of the IP header.
    fn header<const LEN: usize>(&self, at: usize) -> Option<[u8; LEN]> {
        self.network().get(at..)?.first_chunk().copied()
    }

    /// TTL or hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        let [hop_limit] = self.header(if self.is_ipv6() { 7 } else { 8 }).unwrap_or_default();
        hop_limit
    }

    /// DSCP and ECN in one byte, as on the wire (RFC 2474, section 3; RFC 3168, section 5).
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        let [first, second] = self.header(0).unwrap_or_default();
        if self.is_ipv6() { first << 4 | second >> 4 } else { second }
    }

    /// The differentiated services codepoint (RFC 2474).
    #[must_use]
    pub fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// TCP sequence and acknowledgement number; `None` for other transports.
    #[must_use]
    pub fn tcp_numbers(&self) -> Option<(u32, u32)> {
        if self.raw.transport != abi::HERALD_TRANSPORT_TCP {
            return None;
        }
        let [_, _, _, _, s0, s1, s2, s3, a0, a1, a2, a3] = *self.transport_bytes().first_chunk()?;
        Some((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([a0, a1, a2, a3])))
    }

    /// It is a fragment: only the first one of a datagram has a transport header.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.raw.marks & abi::HERALD_PACKET_FRAGMENT != 0
    }

    /// It was put together from fragments.
    #[must_use]
    pub fn is_whole_datagram(&self) -> bool {
        self.raw.marks & abi::HERALD_PACKET_WHOLE != 0
    }

    /// It is odd, and legal.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        self.raw.marks & abi::HERALD_PACKET_ODD != 0
    }

    /// An earlier plugin made it.
    #[must_use]
    pub fn is_injected(&self) -> bool {
        self.raw.marks & abi::HERALD_PACKET_INJECTED != 0
    }

    /// An earlier plugin has rewritten it.
    #[must_use]
    pub fn is_rewritten(&self) -> bool {
        self.raw.marks & abi::HERALD_PACKET_REWRITTEN != 0
    }

    /// The outermost VLAN tag: priority, eligibility and id as on the wire (IEEE 802.1Q).
    #[must_use]
    pub fn vlan(&self) -> Option<u16> {
        (self.raw.vlan_tags > 0).then_some(self.raw.vlan)
    }

    /// VLAN tags in front of the IP header.
    #[must_use]
    pub fn vlan_tags(&self) -> u8 {
        self.raw.vlan_tags
    }

    /// How the frame is cut into packets on the wire, and how many payload bytes each gets; `None` for one packet.
    #[must_use]
    pub fn segmentation(&self) -> Option<(Segmentation, u16)> {
        let kind = match self.raw.gso_type {
            abi::HERALD_GSO_NONE => return None,
            abi::HERALD_GSO_TCPV4 | abi::HERALD_GSO_TCPV6 => Segmentation::Tcp,
            abi::HERALD_GSO_UDP => Segmentation::Udp,
            _ => Segmentation::Other,
        };
        Some((kind, self.raw.gso_size))
    }

    /// What is known of the transport's checksum.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        if self.raw.marks & abi::HERALD_PACKET_CHECKSUM_PARTIAL != 0 {
            Checksum::Partial
        } else if self.raw.marks & abi::HERALD_PACKET_CHECKSUM_VALID != 0 {
            Checksum::Valid
        } else {
            Checksum::Unverified
        }
    }

    /// Replaces `old_len` bytes, from `from` bytes behind the start of the IP header, by others. The packet stays what it
    /// is during this call; later plugins and the receiver get what was written, with right lengths and checksums. Only
    /// the transport's payload may get longer or shorter, and not that of TCP or of a super-frame.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn replace(&self, from: usize, old_len: usize, bytes: &[u8]) -> Result<(), Refused> {
        host::replace(self.at, from + usize::from(self.raw.network_at), old_len, bytes)
    }

    /// Replaces the transport's payload, as [`replace`](Self::replace) does.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn replace_payload(&self, payload: &[u8]) -> Result<(), Refused> {
        host::replace(self.at, usize::from(self.raw.payload_at), self.payload().len(), payload)
    }

    /// Writes another differentiated services codepoint; ECN stays.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn set_dscp(&self, dscp: u8) -> Result<(), Refused> {
        let class = dscp << 2 | self.traffic_class() & 3;
        if self.is_ipv6() {
            let [first, second] = self.header(0).ok_or(Refused::Wrong)?;
            self.replace(0, 2, &[first & 0xf0 | class >> 4, second & 0x0f | class << 4])
        } else {
            self.replace(1, 1, &[class])
        }
    }

    /// Sends an IP packet of this stream, from its IP header on; the host mends its checksums. Later plugins see it.
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn inject(&self, direction: Direction, packet: &[u8]) -> Result<(), Refused> {
        host::inject(self.at, direction, packet)
    }

    /// Answers the sender in the name of the other end. A datagram is answered by a datagram. To a TCP segment of the opener
    /// the answer is data and a FIN, the server gets a reset, and the verdict should end the stream.
    ///
    /// # Errors
    /// [`Refused`] says why not; other transports and answers of more than 64 KiB are wrong.
    pub fn answer(&self, payload: &[u8]) -> Result<(), Refused> {
        answer::answer(self, payload)
    }

    /// A verdict that keeps the packet until [`resolve`](crate::resolve); when this time is over, it meets `action`.
    /// Reserved: not yet built, and always [`Refused::NoCall`].
    ///
    /// # Errors
    /// [`Refused`] says why not.
    pub fn hold(&self, time: Duration, action: Action) -> Result<Verdict, Refused> {
        host::hold(self.at, time, action)?;
        Ok(Verdict::hold())
    }
}

/// How a super-frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Segmentation {
    /// TCP segments.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// In a way that this version of the SDK does not know.
    Other,
}

/// What is known of a transport's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The field holds the pseudo header's sum, and the kernel finishes it: the packet has crossed no wire yet.
    Partial,
    /// Somebody has verified it.
    Valid,
    /// Nobody has.
    Unverified,
}
