//! What is to be mended in a packet whose bytes a plugin has replaced: lengths, checksums, the offload header's sum.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use super::{Frame, Headers, Packet, Transport, checksum};
use crate::event::DropReason;

const ICMP: u8 = 1;
const UDP: u8 = 17;

/// Replaces `old_len` bytes of a packet, from `from` bytes behind its Ethernet header's start, and mends what depends on them.
/// Returns the headers as they are now.
///
/// # Errors
/// The packet is malformed now, or does not fit a frame.
pub fn replace(
    frame: &mut Frame,
    headers: &Headers,
    (from, old_len): (usize, usize),
    bytes: &[u8],
) -> Result<Headers, DropReason> {
    if !frame.splice(from, old_len, bytes) {
        return Err(DropReason::Malformed);
    }
    if bytes.len() != old_len {
        let end = (headers.end as usize + bytes.len()).checked_sub(old_len).ok_or(DropReason::Malformed)?;
        set_lengths(frame, headers, end)?;
    }
    mend(frame, headers.network_at)
}

/// Mends the checksums of the packet whose IP header starts at `network_at`, and returns its headers.
///
/// # Errors
/// The packet is malformed.
pub fn mend(frame: &mut Frame, network_at: u16) -> Result<Headers, DropReason> {
    let ip = frame.bytes_mut().get_mut(usize::from(network_at)..).ok_or(DropReason::Malformed)?;
    if let Some(&[first]) = ip.first_chunk()
        && first >> 4 == 4
    {
        let header = ip.get_mut(..usize::from(first & 0xf) * 4).ok_or(DropReason::Malformed)?;
        put(header, 10, [0, 0]);
        let sum = Sum16BitWords::new().add_slice(header).ones_complement();
        put(header, 10, sum.to_ne_bytes());
    }
    let headers = Packet::parse_ip(frame)?;
    mend_transport(frame, &headers);
    Ok(headers)
}

/// False if a packet's transport checksum is wrong.
#[must_use]
pub fn is_sound(frame: &Frame, headers: &Headers) -> bool {
    let is_icmp = checksum_at(headers) == Some(ICMP_CHECKSUM_AT);
    let transport = headers.transport_bytes(frame);
    let sum = || pseudo(headers, transport.len()).add_slice(transport).ones_complement();
    checksum::is_right(headers, frame) && (!is_icmp || frame.offload().vouches_for_checksum() || sum() == 0)
}

fn set_lengths(frame: &mut Frame, headers: &Headers, end: usize) -> Result<(), DropReason> {
    let short = |len: usize| u16::try_from(len).map(u16::to_be_bytes).map_err(|_| DropReason::Malformed);
    let (network_at, transport_at) = (usize::from(headers.network_at), usize::from(headers.transport_at));
    let (at, header_len) = if headers.is_ipv6() { (4, 40) } else { (2, 0) };
    let packet_len = end.checked_sub(network_at + header_len).ok_or(DropReason::Malformed)?;
    put(frame.bytes_mut(), network_at + at, short(packet_len)?);
    if headers.protocol == UDP {
        let len = short(end.checked_sub(transport_at).ok_or(DropReason::Malformed)?)?;
        put(frame.bytes_mut(), transport_at + 4, len);
    }
    Ok(())
}

fn mend_transport(frame: &mut Frame, headers: &Headers) {
    let Some(field) = checksum_at(headers) else { return };
    let partial = frame.offload().needs_checksum();
    let mut end = headers.end as usize;
    let transport_at = usize::from(headers.transport_at);
    if let (Transport::Udp { .. }, [_, _, _, _, high, low, ..]) = (headers.transport, headers.transport_bytes(frame)) {
        // What lies behind a datagram's own length is not summed up.
        end = end.min(transport_at + usize::from(u16::from_be_bytes([*high, *low])).max(8));
    }
    let Some(transport) = frame.bytes_mut().get_mut(transport_at..end) else { return };
    let len = transport.len();
    let absent = transport.get(field..field + 2) == Some(&[0, 0]);
    if headers.protocol == UDP && !headers.is_ipv6() && absent && !partial {
        return;
    }
    put(transport, field, [0, 0]);
    let sum = pseudo(headers, len);
    if partial {
        // The kernel adds what is behind it, and expects the sum itself.
        return put(transport, field, (!sum.ones_complement()).to_ne_bytes());
    }
    let sum = sum.add_slice(transport).ones_complement();
    // A UDP sum of zero would read as "no checksum" (RFC 768).
    let sum = if sum == 0 && headers.protocol == UDP { 0xffff } else { sum };
    put(transport, field, sum.to_ne_bytes());
}

const ICMP_CHECKSUM_AT: usize = 2;

/// Where a transport's checksum lies in it.
fn checksum_at(headers: &Headers) -> Option<usize> {
    match headers.transport {
        Transport::Tcp { .. } => Some(16),
        Transport::Udp { .. } => Some(6),
        Transport::EchoRequest { .. }
        | Transport::EchoReply { .. }
        | Transport::IcmpError { .. }
        | Transport::Discovery { .. } => Some(ICMP_CHECKSUM_AT),
        Transport::Other => None,
    }
}

/// The pseudo header's sum (RFC 9293, section 3.1; RFC 8200, section 8.1). ICMP has none.
fn pseudo(headers: &Headers, len: usize) -> Sum16BitWords {
    let mut sum = match (headers.source, headers.destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) if headers.protocol == ICMP => return Sum16BitWords::new(),
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Sum16BitWords::new().add_4bytes(source.octets()).add_4bytes(destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Sum16BitWords::new().add_16bytes(source.octets()).add_16bytes(destination.octets())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Sum16BitWords::new(),
    };
    let len = u32::try_from(len).unwrap_or_default();
    sum.add_4bytes(len.to_be_bytes()).add_2bytes([0, headers.protocol])
}

fn put(bytes: &mut [u8], at: usize, word: [u8; 2]) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_testing::frames::{self, ACK, Segment};

    const ENDS: ([u8; 4], [u8; 4]) = ([10, 1, 0, 1], [10, 2, 0, 1]);

    fn udp(ends: ([u8; 4], [u8; 4]), payload: &[u8]) -> Frame {
        Frame::from_bytes(&frames::udp(frames::ip([[2; 6], [4; 6]], ends.0, ends.1, 64), (1000, 53), payload))
    }

    #[test]
    fn a_rewritten_packet_is_what_its_sender_would_have_sent() {
        let mut frame = udp(ENDS, b"short");
        let headers = Packet::parse_ip(&frame).unwrap();
        let headers = replace(&mut frame, &headers, (usize::from(headers.payload_at), 5), b"something longer").unwrap();
        assert_eq!(frame.bytes(), udp(ENDS, b"something longer").bytes());
        let headers = replace(&mut frame, &headers, (26, 4), &[10, 9, 9, 9]).unwrap();
        assert_eq!(frame.bytes(), udp(([10, 9, 9, 9], ENDS.1), b"something longer").bytes());
        assert_eq!(headers.source, IpAddr::from([10, 9, 9, 9]));
    }

    #[test]
    fn a_partial_checksum_stays_partial() {
        let segment = |from| {
            let ip = frames::ip([[2; 6], [4; 6]], from, ENDS.1, 64);
            Frame::from_bytes(&frames::tcp(ip, (4000, 80), Segment { payload: b"data", ..ACK }))
        };
        let partial = |mut frame: Frame| {
            let mut header = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0];
            header[6..8].copy_from_slice(&34_u16.to_ne_bytes());
            header[8..].copy_from_slice(&16_u16.to_ne_bytes());
            frame.buffer_mut()[..10].copy_from_slice(&header);
            let headers = Packet::parse_ip(&frame).unwrap();
            mend_transport(&mut frame, &headers);
            frame
        };
        let mut frame = partial(segment(ENDS.0));
        assert_ne!(frame.bytes(), segment(ENDS.0).bytes(), "the sum is not finished");
        let headers = Packet::parse_ip(&frame).unwrap();
        replace(&mut frame, &headers, (26, 4), &[10, 9, 9, 9]).unwrap();
        super::super::rewrite::finish_checksum(&mut frame);
        assert_eq!(frame.bytes(), segment([10, 9, 9, 9]).bytes());
    }

    #[test]
    fn a_wrong_checksum_is_seen() {
        let mut frame = udp(ENDS, b"payload");
        let headers = Packet::parse_ip(&frame).unwrap();
        assert!(is_sound(&frame, &headers));
        frame.bytes_mut()[45] ^= 1;
        assert!(!is_sound(&frame, &headers));
        // Without a checksum nothing is wrong (RFC 768).
        frame.bytes_mut()[40..42].fill(0);
        assert!(is_sound(&frame, &headers));
    }
}
