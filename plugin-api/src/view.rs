//! What a plugin sees: packets, streams and their ends, as safe views of the contract's structures.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::abi::{self, HeraldEnd, HeraldPacket, HeraldStream, HeraldText};

/// Who sent a packet, seen from the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the opener of the stream.
    FromOpener,
    /// To the opener.
    ToOpener,
}

/// One of the two networks the cluster sits between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The first network.
    First,
    /// The second network.
    Second,
}

impl Interface {
    /// `"first"` or `"second"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }

    const fn from_abi(number: u8) -> Self {
        if number == abi::HERALD_INTERFACE_FIRST { Self::First } else { Self::Second }
    }
}

/// What the router parsed of a packet's transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP: ports and control bits.
    Tcp,
    /// UDP: ports.
    Udp,
    /// ICMP or ICMPv6 echo: both ports are the identifier.
    Echo,
    /// An ICMP or ICMPv6 error that quotes a packet of this stream.
    IcmpError,
    /// Anything else.
    Other,
}

/// One packet: its bytes and the offsets of the headers that the router has checked already. Every reading is a load.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    raw: &'a HeraldPacket,
    now: u64,
}

impl<'a> Packet<'a> {
    /// # Safety
    /// `raw.bytes` points to `raw.len` bytes that stay unchanged for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldPacket, now: u64) -> Self {
        Self { raw, now }
    }

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

    /// Number of the stream on this node.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.raw.stream
    }

    /// Who sent it.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.from_opener() { Direction::FromOpener } else { Direction::ToOpener }
    }

    /// The opener of the stream sent it.
    #[must_use]
    pub fn from_opener(&self) -> bool {
        self.raw.direction == abi::HERALD_DIRECTION_FROM_OPENER
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

    /// Now, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }
}

/// A stream as it is known at its start and at its end.
#[derive(Clone, Copy, Debug)]
pub struct StreamInfo<'a>(&'a HeraldStream);

impl<'a> StreamInfo<'a> {
    /// # Safety
    /// `raw.chosen` is text that stays unchanged for `'a`.
    pub(crate) unsafe fn new(raw: &'a HeraldStream) -> Self {
        Self(raw)
    }

    /// Number of the stream on this node, never reused in one run of the node.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.0.protocol
    }

    /// The opener's address and port. Port 0 for protocols without ports; both ports are an ICMP echo's identifier.
    #[must_use]
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(address(self.0.source), self.0.source_port)
    }

    /// The address and port that the opener spoke to.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(address(self.0.destination), self.0.destination_port)
    }

    /// The interface at which the stream opened.
    #[must_use]
    pub fn interface(&self) -> Interface {
        Interface::from_abi(self.0.interface)
    }

    /// The stream was taken up in its middle: its first packets were not seen, and the opener is a guess.
    #[must_use]
    pub fn midstream(&self) -> bool {
        self.0.midstream != 0
    }

    /// Id of the chosen node, which is this node.
    #[must_use]
    pub fn chosen(&self) -> &'a str {
        let HeraldText { bytes, len } = self.0.chosen;
        if len == 0 {
            return "";
        }
        // SAFETY: promised to `new`.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, len) };
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Now, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now)
    }
}

fn address(mapped: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(mapped).to_canonical()
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Both FINs were acknowledged.
    Finished,
    /// A TCP reset.
    Reset,
    /// Nothing came for the state's time.
    TimedOut,
    /// A plugin dropped or rejected the stream.
    Verdict,
    /// Another node won the stream.
    Refused,
    /// A new connection took its key.
    Replaced,
    /// The node stops.
    Shutdown,
    /// Another node has taken it over from this one.
    HandedOver,
    /// It made room for others in a full table.
    Evicted,
    /// A reason that this version of the SDK does not know.
    Unknown,
}

impl EndReason {
    /// The name in logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::TimedOut => "timed-out",
            Self::Verdict => "verdict",
            Self::Refused => "refused",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
            Self::HandedOver => "handed-over",
            Self::Evicted => "evicted",
            Self::Unknown => "unknown",
        }
    }
}

/// A stream's end: its totals and the reason.
#[derive(Clone, Copy, Debug)]
pub struct End<'a>(&'a HeraldEnd);

impl<'a> End<'a> {
    pub(crate) fn new(raw: &'a HeraldEnd) -> Self {
        Self(raw)
    }

    /// Why the stream ended.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        match self.0.reason {
            abi::HERALD_END_FINISHED => EndReason::Finished,
            abi::HERALD_END_RESET => EndReason::Reset,
            abi::HERALD_END_TIMED_OUT => EndReason::TimedOut,
            abi::HERALD_END_VERDICT => EndReason::Verdict,
            abi::HERALD_END_REFUSED => EndReason::Refused,
            abi::HERALD_END_REPLACED => EndReason::Replaced,
            abi::HERALD_END_SHUTDOWN => EndReason::Shutdown,
            abi::HERALD_END_HANDED_OVER => EndReason::HandedOver,
            abi::HERALD_END_EVICTED => EndReason::Evicted,
            _ => EndReason::Unknown,
        }
    }

    /// Packets on the wire from the opener.
    #[must_use]
    pub fn packets_from_opener(&self) -> u64 {
        self.0.packets_from_opener
    }

    /// Ethernet bytes from the opener.
    #[must_use]
    pub fn bytes_from_opener(&self) -> u64 {
        self.0.bytes_from_opener
    }

    /// Packets on the wire to the opener.
    #[must_use]
    pub fn packets_to_opener(&self) -> u64 {
        self.0.packets_to_opener
    }

    /// Ethernet bytes to the opener.
    #[must_use]
    pub fn bytes_to_opener(&self) -> u64 {
        self.0.bytes_to_opener
    }

    /// When the stream started, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn started(&self) -> Duration {
        Duration::from_nanos(self.0.started)
    }

    /// When the stream's last packet came, as time since the beginning of the host's monotonic clock.
    #[must_use]
    pub fn last_packet(&self) -> Duration {
        Duration::from_nanos(self.0.last_packet)
    }
}
