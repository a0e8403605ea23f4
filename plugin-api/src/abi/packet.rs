//! Packets and what is said of them.

use core::ffi::c_void;

/// One packet of a batch: a flat descriptor, so that reading a field is a load. Offsets are in bytes from the start of
/// the Ethernet header and never lie behind `len`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldPacket {
    /// The frame, from its Ethernet header on. Not to be written: `HeraldHost::replace` writes.
    pub bytes: *const u8,
    /// The plugin's own state of the packet's stream: `state_size` bytes that never move while the stream lives. May be
    /// null where that size is 0.
    pub state: *mut c_void,
    /// Number of the stream.
    pub stream: u64,
    /// Length of the frame in bytes.
    pub len: u32,
    /// Where the IP packet ends; Ethernet padding may follow.
    pub end: u32,
    /// Packets on the wire that the frame stands for: more than 1 for a super-frame.
    pub wire_packets: u32,
    /// Where the IP header starts.
    pub network_at: u16,
    /// Where the transport header starts.
    pub transport_at: u16,
    /// Where the transport's payload starts.
    pub payload_at: u16,
    /// Source port, or identifier of an ICMP echo, or 0.
    pub source_port: u16,
    /// Destination port, or identifier of an ICMP echo, or 0.
    pub destination_port: u16,
    /// IP protocol number of the transport.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
    /// What was parsed of the transport (`HERALD_TRANSPORT_*`).
    pub transport: u8,
    /// TCP control bits as on the wire (RFC 9293, section 3.1), else 0.
    pub tcp_flags: u8,
    /// Who sent it, seen from the stream (`HERALD_DIRECTION_*`).
    pub direction: u8,
    /// Where it arrived (`HERALD_INTERFACE_*`).
    pub interface: u8,
    /// The stream's mark when the packet came to this plugin.
    pub mark: u32,
    /// What else is known of it (`HERALD_PACKET_*`).
    pub marks: u16,
    /// Payload bytes of each packet on the wire, if the frame is a super-frame; else 0.
    pub gso_size: u16,
    /// Outermost VLAN tag as on the wire: priority, eligibility and id (IEEE 802.1Q); 0 without a tag.
    pub vlan: u16,
    /// VLAN tags between the Ethernet addresses and the IP header.
    pub vlan_tags: u8,
    /// How the frame is cut into packets (`HERALD_GSO_*`).
    pub gso_type: u8,
}

/// What a plugin says of a packet or a stream. The host sets each to zeros, which is pass, before it asks.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HeraldVerdict {
    /// `HERALD_ACTION_*`.
    pub action: u8,
    /// `HERALD_SCOPE_*`.
    pub scope: u8,
    /// Zero. Effects are said by functions of `HeraldHost`.
    pub reserved: u16,
    /// Length of the reason in bytes.
    pub reason_len: u32,
    /// Reason of a drop or reject: a short text in UTF-8 that stays valid and unchanged as long as the process lives.
    pub reason: *const u8,
}

/// Packets to judge, in the order of their arrival. Several may belong to one stream: what a plugin says of packets
/// that its own earlier verdict already covers does not count.
#[derive(Debug)]
#[repr(C)]
pub struct HeraldBatch {
    /// Size of this structure in bytes.
    pub size: u32,
    /// Number of packets and verdicts, at most `HERALD_BATCH_PACKETS_MAX`.
    pub count: u32,
    /// Distance from one packet to the next in bytes.
    pub packet_size: u32,
    /// Distance from one verdict to the next in bytes.
    pub verdict_size: u32,
    /// Index of the packet the plugin has come to; it counts when the plugin returns `HERALD_FAULT`.
    pub reached: u32,
    /// Zero.
    pub reserved: u32,
    /// Now, in nanoseconds of the host's monotonic clock.
    pub now: u64,
    /// The first packet.
    pub packets: *const HeraldPacket,
    /// The first verdict, to be written.
    pub verdicts: *mut HeraldVerdict,
    /// Now, in nanoseconds since 1970-01-01 00:00 UTC.
    pub unix_now: u64,
}
