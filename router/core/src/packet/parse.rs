//! The one parser of frames from outside. etherparse slices; what it accepts becomes a [`Packet`], whose accessors
//! cannot fail.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{
    ArpHardwareId, ArpOperation as EtherArp, ArpPacketSlice, EtherType, Ethernet2Slice, Ipv4HeaderSlice,
    Ipv6HeaderSlice,
};

use super::chain::Chain;
use super::checksum::is_header_right;
use super::fragment::{Fragment, parse_ipv4_fragment, parse_ipv6_fragment};
use super::transport::Parsed;
use super::{ETHERNET_LEN, Frame, Odd};
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::{Interface, Mac};
use crate::mistake::or_mistake;

/// A frame's checked headers. Copied out of the frame, so the frame can be moved or rewritten while they are known.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Ethernet destination.
    pub destination: Mac,
    /// Ethernet source.
    pub source: Mac,
    /// What the frame carries.
    pub content: Content,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Address resolution for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// An unfragmented IPv4 or IPv6 packet. One of IPv6 may have a fragment header all the same (RFC 6946).
    Ip(Headers),
    /// A fragment of an IPv4 or IPv6 packet.
    Fragment(Fragment),
}

/// Request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP message (RFC 826).
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    /// Request or reply.
    pub operation: ArpOperation,
    /// The sender's MAC.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The address asked for or answered to.
    pub target: Ipv4Addr,
}

/// An IP packet's checked headers; offsets are in bytes from the Ethernet header.
#[derive(Clone, Copy, Debug)]
pub struct Headers {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// The transport's protocol number, behind IPv6 extension headers; or that of an extension header which the packet's
    /// destination alone may look behind.
    pub protocol: u8,
    /// TTL or hop limit as it arrived.
    pub hop_limit: u8,
    /// The transport header.
    pub transport: Transport,
    /// What is odd about them.
    pub odd: Odd,
    /// Where the IP header starts.
    pub network_at: u16,
    /// Where the transport header starts.
    pub transport_at: u16,
    /// Where the transport's payload starts.
    pub payload_at: u16,
    /// Where the IP packet ends; Ethernet padding may follow.
    pub end: u32,
}

/// What the router needs of a transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Control bits.
        flags: TcpFlags,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgement number.
        acknowledgement: u32,
        /// The window, without its scale.
        window: u16,
        /// The scale that a SYN offers for the windows of its sender (RFC 7323, section 2).
        scale: Option<u8>,
    },
    /// UDP (RFC 768).
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP or ICMPv6 echo request.
    EchoRequest {
        /// Identifier.
        identifier: u16,
    },
    /// ICMP or ICMPv6 echo reply.
    EchoReply {
        /// Identifier.
        identifier: u16,
    },
    /// An ICMP or ICMPv6 error; it belongs to the stream of the packet it quotes.
    IcmpError {
        /// Source of the quoted packet.
        source: (IpAddr, u16),
        /// Destination of the quoted packet.
        destination: (IpAddr, u16),
        /// Protocol of the quoted packet.
        protocol: u8,
    },
    /// An ICMPv6 message of neighbour discovery or multicast listener discovery (types 130 to 137 and 143): link-local.
    Discovery {
        /// ICMPv6 type.
        kind: u8,
    },
    /// Any other protocol or ICMP message.
    Other,
}

/// TCP control bits as on the wire (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    /// FIN is set.
    #[must_use]
    pub fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }
    /// SYN is set.
    #[must_use]
    pub fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }
    /// RST is set.
    #[must_use]
    pub fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }
    /// ACK is set.
    #[must_use]
    pub fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }
    /// ACK is set, and neither SYN, FIN nor RST.
    #[must_use]
    pub fn only_acknowledges(self) -> bool {
        self.0 & (Self::FIN | Self::SYN | Self::RST | Self::ACK) == Self::ACK
    }
    /// The first segment of a connection: SYN without ACK, RST or FIN.
    #[must_use]
    pub fn opens(self) -> bool {
        self.syn() && !self.ack() && !self.rst() && !self.fin()
    }
}

impl Packet {
    /// Checks the frame's headers once.
    ///
    /// # Errors
    /// The reason to drop the frame: it is cut short, contradicts itself, or carries what this router does not
    /// handle.
    pub fn parse(frame: &Frame) -> Result<Self, DropReason> {
        let bytes = frame.bytes();
        let ethernet = Ethernet2Slice::from_slice_without_fcs(bytes).map_err(|_| DropReason::Malformed)?;
        let behind = or_mistake(bytes.get(ETHERNET_LEN..), "an Ethernet header has its length");
        let content = match ethernet.ether_type() {
            EtherType::ARP => Content::Arp(parse_arp(behind)?),
            EtherType::IPV4 => parse_ipv4(behind)?,
            EtherType::IPV6 => parse_ipv6(behind)?,
            EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING => return Err(DropReason::VlanTagged),
            _ => return Err(DropReason::EtherType),
        };
        Ok(Self { destination: Mac(ethernet.destination()), source: Mac(ethernet.source()), content })
    }
}

impl Packet {
    /// The checked headers of a frame that must carry an IP packet.
    ///
    /// # Errors
    /// As [`Packet::parse`]; ARP counts as malformed here, and a fragment as `fragment`.
    pub fn parse_ip(frame: &Frame) -> Result<Headers, DropReason> {
        match Self::parse(frame)?.content {
            Content::Ip(headers) => Ok(headers),
            Content::Arp(_) => Err(DropReason::Malformed),
            Content::Fragment(_) => Err(DropReason::Fragment),
        }
    }
}

impl Headers {
    /// The key of this packet's flow as it arrived at `interface`. An ICMP error has the key of the flow that its
    /// quoted packet answers.
    #[must_use]
    pub fn flow_key(&self, interface: Interface) -> FlowKey {
        let (protocol, source, destination) = match self.transport {
            Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination } => {
                (self.protocol, (self.source, source), (self.destination, destination))
            }
            Transport::EchoRequest { identifier } | Transport::EchoReply { identifier } => {
                (self.protocol, (self.source, identifier), (self.destination, identifier))
            }
            Transport::IcmpError { source, destination, protocol } => (protocol, destination, source),
            Transport::Discovery { .. } | Transport::Other => (self.protocol, (self.source, 0), (self.destination, 0)),
        };
        FlowKey::new(interface, protocol, source, destination)
    }

    /// Length of the IP packet in bytes.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        (self.end as usize).saturating_sub(usize::from(self.network_at))
    }

    /// Length of the transport's payload in bytes.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        (self.end as usize).saturating_sub(usize::from(self.payload_at))
    }

    /// The bytes behind the IP headers, in the frame that these are the headers of.
    #[must_use]
    pub fn transport_bytes<'a>(&self, frame: &'a Frame) -> &'a [u8] {
        or_mistake(frame.bytes().get(usize::from(self.transport_at)..self.end as usize), "headers lie in their frame")
    }

    /// True for IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.source.is_ipv6()
    }
}

fn parse_arp(bytes: &[u8]) -> Result<Arp, DropReason> {
    let arp = ArpPacketSlice::from_slice(bytes).map_err(|_| DropReason::Malformed)?;
    if arp.hw_addr_type() != ArpHardwareId::ETHERNET || arp.proto_addr_type() != EtherType::IPV4 {
        return Err(DropReason::Malformed);
    }
    let operation = match arp.operation() {
        EtherArp::REQUEST => ArpOperation::Request,
        EtherArp::REPLY => ArpOperation::Reply,
        _ => return Err(DropReason::Malformed),
    };
    let mac = <[u8; 6]>::try_from(arp.sender_hw_addr()).map_err(|_| DropReason::Malformed)?;
    let address = |b: &[u8]| <[u8; 4]>::try_from(b).map(Ipv4Addr::from).map_err(|_| DropReason::Malformed);
    Ok(Arp {
        operation,
        sender_mac: Mac(mac),
        sender: address(arp.sender_protocol_addr())?,
        target: address(arp.target_protocol_addr())?,
    })
}

fn parse_ipv4(bytes: &[u8]) -> Result<Content, DropReason> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| DropReason::Malformed)?;
    if !is_header_right(header.slice()) {
        return Err(DropReason::IpChecksum);
    }
    let behind = header.slice().len();
    let payload = bytes.get(behind..usize::from(header.total_len())).ok_or(DropReason::Malformed)?;
    if header.is_fragmenting_payload() {
        return parse_ipv4_fragment(bytes).map(Content::Fragment);
    }
    let network = Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        hop_limit: header.ttl(),
        protocol: header.protocol().0,
        odd: Odd::No,
    };
    network.with_transport(behind, payload).map(Content::Ip)
}

fn parse_ipv6(bytes: &[u8]) -> Result<Content, DropReason> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| DropReason::Malformed)?;
    let behind = header.slice().len();
    let payload = bytes.get(behind..behind + usize::from(header.payload_length())).ok_or(DropReason::Malformed)?;
    let chain = Chain::follow(header.next_header().0, payload);
    if chain.is_fragmented {
        return parse_ipv6_fragment(bytes).map(Content::Fragment);
    }
    let (source, destination) = (header.source_addr(), header.destination_addr());
    // A mapped address on the wire would meet the keys of IPv4 streams (RFC 4291, section 2.5.5.2).
    if source.to_ipv4_mapped().is_some() || destination.to_ipv4_mapped().is_some() {
        return Err(DropReason::Martian);
    }
    let network = Network {
        source: source.into(),
        destination: destination.into(),
        hop_limit: header.hop_limit(),
        protocol: chain.protocol,
        odd: chain.odd,
    };
    network.with_transport(behind + chain.at, payload.get(chain.at..).unwrap_or_default()).map(Content::Ip)
}

/// The network layer's part of [`Headers`].
struct Network {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    protocol: u8,
    odd: Odd,
}

impl Network {
    /// `payload` stands so many bytes behind the beginning of the IP header.
    #[inline]
    fn with_transport(self, at: usize, payload: &[u8]) -> Result<Headers, DropReason> {
        let Parsed { transport, len, odd } = Parsed::of(self.protocol, payload, self.source.is_ipv6());
        let offset = |behind: usize| u16::try_from(ETHERNET_LEN + behind).map_err(|_| DropReason::Malformed);
        Ok(Headers {
            source: self.source,
            destination: self.destination,
            protocol: self.protocol,
            hop_limit: self.hop_limit,
            transport,
            odd: if self.odd == Odd::No { odd } else { self.odd },
            network_at: offset(0)?,
            transport_at: offset(at)?,
            payload_at: offset(at + len)?,
            end: u32::try_from(ETHERNET_LEN + at + payload.len()).map_err(|_| DropReason::Malformed)?,
        })
    }
}
