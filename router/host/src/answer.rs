//! What the stream engine says to an end in the other one's place: a bare acknowledgement.

use std::net::IpAddr;

use herald_core::packet::{Headers, Transport};
use herald_stream::Answer;

/// IP protocol number of TCP, and the TTL of packets that this node makes.
const TCP: u8 = 6;
const HOP_LIMIT: u8 = 64;
/// Length of a TCP header without options in bytes, its offset field (RFC 9293, section 3.1), and the control bit of an
/// acknowledgement.
const TCP_LEN: u8 = 20;
const DATA_OFFSET: u8 = 5 << 4;
const ACK: u8 = 0x10;

/// An IP packet whose checksums are still to be mended. It goes the way of a packet with these headers, or back.
pub(super) fn packet(headers: &Headers, onward: bool, answer: &Answer) -> Option<Vec<u8>> {
    let Transport::Tcp { source, destination, .. } = headers.transport else { return None };
    let (there, back) = ((headers.source, source), (headers.destination, destination));
    let ((from, from_port), (to, to_port)) = if onward { (there, back) } else { (back, there) };
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let head = [0x45, 0, 0, 20 + TCP_LEN, 0, 0, 0x40, 0, HOP_LIMIT, TCP, 0, 0];
            [&head[..], &from.octets(), &to.octets()].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let head = [0x60, 0, 0, 0, 0, TCP_LEN, TCP, HOP_LIMIT];
            [&head[..], &from.octets(), &to.octets()].concat()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    packet.extend([from_port, to_port].map(u16::to_be_bytes).concat());
    packet.extend([answer.sequence, answer.acknowledgement].map(u32::to_be_bytes).concat());
    packet.extend([DATA_OFFSET, ACK]);
    packet.extend(answer.window.to_be_bytes());
    packet.extend([0; 4]);
    Some(packet)
}
