//! The core's words in the contract's structures.

use std::cmp::min;
use std::ffi::c_void;
use std::net::IpAddr;

use herald_plugin::abi::{
    HERALD_DIRECTION_FROM_OPENER, HERALD_DIRECTION_TO_OPENER, HERALD_END_EVICTED, HERALD_END_FINISHED,
    HERALD_END_HANDED_OVER, HERALD_END_REFUSED, HERALD_END_REPLACED, HERALD_END_RESET, HERALD_END_SHUTDOWN,
    HERALD_END_TIMED_OUT, HERALD_END_VERDICT, HERALD_GSO_NONE, HERALD_INTERFACE_FIRST, HERALD_INTERFACE_SECOND,
    HERALD_PACKET_CHECKSUM_PARTIAL, HERALD_PACKET_CHECKSUM_VALID, HERALD_PACKET_INJECTED, HERALD_PACKET_ODD,
    HERALD_PACKET_REWRITTEN, HERALD_PACKET_WHOLE, HERALD_TRANSPORT_ECHO, HERALD_TRANSPORT_ICMP_ERROR,
    HERALD_TRANSPORT_OTHER, HERALD_TRANSPORT_TCP, HERALD_TRANSPORT_UDP, HeraldBytes, HeraldEnd, HeraldPacket,
    HeraldStream, HeraldStreamBytes, HeraldText,
};

use super::library::size_u32;
use herald_core::event::EndReason;
use herald_core::id::Interface;
use herald_core::inspector::{Direction, Inspection, Stream, Totals};
use herald_core::packet::{Arrival, Odd, Offload, Transport};
use herald_core::time::Instant;

/// A stream with its mark. The result points to the node's id inside `stream`.
pub(super) fn stream(now: Instant, unix_now: u64, mark: u32, stream: &Stream) -> HeraldStream {
    let (source, destination) = (stream.opener.source(), stream.opener.destination());
    HeraldStream {
        size: size_u32::<HeraldStream>(),
        protocol: stream.opener.protocol(),
        interface: interface(stream.opener.interface()),
        midstream: u8::from(stream.midstream),
        reserved: 0,
        id: stream.id,
        source: mapped(source.ip()),
        destination: mapped(destination.ip()),
        source_port: source.port(),
        destination_port: destination.port(),
        mark,
        now: now.as_nanos(),
        chosen: HeraldText::new(stream.chosen.as_str()),
        related: 0,
        unix_now,
    }
}

/// A stream's end.
pub(super) fn end(totals: &Totals, reason: EndReason) -> HeraldEnd {
    HeraldEnd {
        size: size_u32::<HeraldEnd>(),
        reason: match reason {
            EndReason::Finished => HERALD_END_FINISHED,
            EndReason::Reset => HERALD_END_RESET,
            EndReason::TimedOut => HERALD_END_TIMED_OUT,
            EndReason::Verdict => HERALD_END_VERDICT,
            EndReason::Refused => HERALD_END_REFUSED,
            EndReason::Replaced => HERALD_END_REPLACED,
            EndReason::Shutdown => HERALD_END_SHUTDOWN,
            EndReason::HandedOver => HERALD_END_HANDED_OVER,
            EndReason::Evicted => HERALD_END_EVICTED,
        },
        packets_from_opener: totals.packets_from_opener,
        bytes_from_opener: totals.bytes_from_opener,
        packets_to_opener: totals.packets_to_opener,
        bytes_to_opener: totals.bytes_to_opener,
        started: totals.started.as_nanos(),
        last_packet: totals.last_packet.as_nanos(),
        by: HeraldText::new(""),
        why: HeraldText::new(""),
        notes: std::ptr::null(),
        each_note: None,
    }
}

/// A packet with a plugin's state of its stream, and the stream's mark. The result points into the frame.
pub(super) fn packet(inspection: &Inspection, state: *mut c_void, mark: u32) -> HeraldPacket {
    let (headers, frame) = (&inspection.arrival.headers, &inspection.arrival.frame);
    let bytes = frame.bytes();
    let (transport, source_port, destination_port, tcp_flags) = match headers.transport {
        Transport::Tcp { source, destination, flags, .. } => (HERALD_TRANSPORT_TCP, source, destination, flags.0),
        Transport::Udp { source, destination } => (HERALD_TRANSPORT_UDP, source, destination, 0),
        Transport::EchoRequest { identifier } | Transport::EchoReply { identifier } => {
            (HERALD_TRANSPORT_ECHO, identifier, identifier, 0)
        }
        Transport::IcmpError { .. } => (HERALD_TRANSPORT_ICMP_ERROR, 0, 0, 0),
        Transport::Discovery { .. } | Transport::Other => (HERALD_TRANSPORT_OTHER, 0, 0, 0),
    };
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let offload = frame.offload();
    let special = if is_ordinary(inspection, offload) { Special::NOTHING } else { Special::of(inspection, offload) };
    HeraldPacket {
        bytes: bytes.as_ptr(),
        state,
        stream: inspection.stream,
        len,
        end: min(headers.end, len),
        wire_packets: special.wire_packets,
        network_at: headers.network_at,
        transport_at: headers.transport_at,
        payload_at: headers.payload_at,
        source_port,
        destination_port,
        protocol: headers.protocol,
        ip_version: if headers.is_ipv6() { 6 } else { 4 },
        transport,
        tcp_flags,
        direction: direction(inspection.direction),
        interface: interface(inspection.arrival.interface),
        mark,
        marks: checksum_marks(offload) | special.marks,
        gso_size: special.gso_size,
        // Frames with tags end before they come here; who lets them in fills these.
        vlan: 0,
        vlan_tags: 0,
        gso_type: special.gso_type,
    }
}

/// Bytes in order of a packet's stream, which has this mark; nothing is said yet of what they are.
pub(super) fn bytes((now, unix_now): (Instant, u64), inspection: &Inspection, mark: u32) -> HeraldStreamBytes {
    HeraldStreamBytes {
        size: size_u32::<HeraldStreamBytes>(),
        direction: direction(inspection.direction),
        marks: 0,
        reserved: 0,
        stream: inspection.stream,
        state: std::ptr::null_mut(),
        offset: 0,
        fresh: HeraldBytes::new(&[]),
        want: 0,
        now: now.as_nanos(),
        unix_now,
        mark,
        reserved_too: 0,
    }
}

/// A super-frame with the ECN bit (`VIRTIO_NET_HDR_GSO_ECN`).
const GSO_ECN: u8 = 0x80;

/// True of one packet as its host sent it, of which there is nothing to tell but its headers and who looks after its checksum.
fn is_ordinary(inspection: &Inspection, offload: Offload) -> bool {
    let Arrival { frame, headers, .. } = &inspection.arrival;
    let is_made = inspection.injected || inspection.verdict.rewritten;
    !offload.is_super_frame() && !frame.is_joined() && headers.odd == Odd::No && !is_made
}

/// What there is to tell of a packet that is not ordinary.
struct Special {
    wire_packets: u32,
    marks: u16,
    gso_size: u16,
    gso_type: u8,
}

impl Special {
    const NOTHING: Self = Self { wire_packets: 1, marks: 0, gso_size: 0, gso_type: HERALD_GSO_NONE };

    #[cold]
    #[inline(never)]
    fn of(inspection: &Inspection, offload: Offload) -> Self {
        let Arrival { frame, headers, .. } = &inspection.arrival;
        let gso_size = offload.segment_size();
        Self {
            wire_packets: u32::try_from(frame.segments(headers.payload_len())).unwrap_or(u32::MAX),
            marks: mark(frame.is_joined(), HERALD_PACKET_WHOLE)
                | mark(headers.odd != Odd::No, HERALD_PACKET_ODD)
                | mark(inspection.injected, HERALD_PACKET_INJECTED)
                | mark(inspection.verdict.rewritten, HERALD_PACKET_REWRITTEN),
            gso_size,
            gso_type: if gso_size == 0 { HERALD_GSO_NONE } else { offload.gso_type() & !GSO_ECN },
        }
    }
}

fn checksum_marks(offload: Offload) -> u16 {
    mark(offload.needs_checksum(), HERALD_PACKET_CHECKSUM_PARTIAL)
        | mark(offload.has_valid_checksum(), HERALD_PACKET_CHECKSUM_VALID)
}

fn mark(is: bool, mark: u16) -> u16 {
    if is { mark } else { 0 }
}

fn direction(direction: Direction) -> u8 {
    match direction {
        Direction::FromOpener => HERALD_DIRECTION_FROM_OPENER,
        Direction::ToOpener => HERALD_DIRECTION_TO_OPENER,
    }
}

fn interface(interface: Interface) -> u8 {
    match interface {
        Interface::First => HERALD_INTERFACE_FIRST,
        Interface::Second => HERALD_INTERFACE_SECOND,
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
