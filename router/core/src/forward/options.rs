//! What IP options and extension headers ask of a router: source routes are refused (RFC 7126, sections 4.3 and 4.4; RFC 5095), a
//! record route and a timestamp option are filled in if there is room (RFC 791, section 3.1; RFC 781). All else passes as it is.
//! Only packets that have some come here.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use etherparse::checksum::Sum16BitWords;

use super::{Unreachable, Unroutable};
use crate::event::DropReason;
use crate::packet::{Frame, Headers};
use crate::time::Instant;

/// Bytes of an IPv4 header in front of its options.
const FIXED_LEN: usize = 20;

const END: u8 = 0;
const NOTHING: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// The routing header of IPv6 (RFC 8200, section 4.4). With segments left, the chain of headers ends there.
const ROUTING: u8 = 43;

/// True if there is something between the fixed IP header and the transport, or instead of it.
pub(super) fn are_there(headers: &Headers) -> bool {
    headers.transport_at != headers.network_at + if headers.is_ipv6() { 40 } else { 20 } || headers.protocol == ROUTING
}

/// True if a packet has a source route, whose end no router here goes on to.
#[must_use]
pub fn is_source_routed(headers: &Headers, frame: &Frame) -> bool {
    are_there(headers) && check(headers, frame).is_err_and(|unroutable| unroutable.reason == DropReason::SourceRoute)
}

/// Whether a packet with these may go on.
///
/// # Errors
/// [`DropReason::SourceRoute`]; or [`DropReason::Malformed`] with where an option contradicts itself, which its source is told
/// (RFC 1812, section 5.3.13.1; RFC 791, section 3.1).
#[cold]
#[inline(never)]
pub(super) fn check(headers: &Headers, frame: &Frame) -> Result<(), Unroutable> {
    match headers.source {
        IpAddr::V4(_) => {
            let options = options_of(headers, frame);
            let malformed = |at: usize| {
                let at = u16::try_from(FIXED_LEN + at).unwrap_or(u16::MAX);
                Unroutable::told(DropReason::Malformed, Unreachable::Parameter { at })
            };
            let mut at = 0;
            while let Some((place, kind)) = next_option(options, at).map_err(malformed)? {
                let option = options.get(place.clone()).unwrap_or_default();
                let fault = match kind {
                    LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => {
                        return Err(Unroutable::silent(DropReason::SourceRoute));
                    }
                    RECORD_ROUTE => record_fault(option),
                    TIMESTAMP => stamp_fault(option),
                    _ => None,
                };
                if let Some(fault) = fault {
                    return Err(malformed(place.start + fault));
                }
                at = place.end;
            }
            Ok(())
        }
        IpAddr::V6(_) if has_source_route(headers, frame) => Err(Unroutable::silent(DropReason::SourceRoute)),
        IpAddr::V6(_) => Ok(()),
    }
}

/// Where a record route contradicts itself: a pointer in front of the first place, or room for less than an address.
fn record_fault(option: &[u8]) -> Option<usize> {
    let Some(pointer) = option.get(2).map(|pointer| usize::from(*pointer)) else { return Some(1) };
    (pointer < 4 || pointer <= option.len() && pointer + 3 > option.len()).then_some(2)
}

/// The same of a timestamp, whose overflow counter may not overflow.
fn stamp_fault(option: &[u8]) -> Option<usize> {
    let Some(&[pointer, flags]) = option.get(2..4).and_then(|bytes| bytes.first_chunk()) else { return Some(1) };
    let pointer = usize::from(pointer);
    let entry = if flags & 15 == 0 { 4 } else { 8 };
    if pointer < 5 || pointer <= option.len() && pointer + entry - 1 > option.len() {
        return Some(2);
    }
    (pointer > option.len() && flags >> 4 == 15).then_some(3)
}

/// Writes this router's address and the time where the packet asks for them. `own` is the address of the interface that it
/// leaves by.
#[cold]
#[inline(never)]
pub(super) fn fill_in(headers: &Headers, frame: &mut Frame, own: Ipv4Addr, now: Instant) {
    let network = usize::from(headers.network_at);
    let end = network + header_len(headers, frame);
    let Some(ip) = frame.bytes_mut().get_mut(network..end) else { return };
    let Some((fixed, options)) = ip.split_at_mut_checked(20) else { return };
    let mut at = 0;
    while let Ok(Some((place, kind))) = next_option(options, at) {
        at = place.end;
        let Some(option) = options.get_mut(place) else { return };
        match kind {
            RECORD_ROUTE => record(option, own),
            TIMESTAMP => stamp(option, own, now),
            _ => {}
        }
    }
    if let Some(sum) = fixed.get_mut(10..12) {
        sum.fill(0);
    }
    let sum = Sum16BitWords::new().add_slice(fixed).add_slice(options).ones_complement();
    if let Some(place) = fixed.get_mut(10..12) {
        place.copy_from_slice(&sum.to_ne_bytes());
    }
}

/// Length of the IPv4 header in bytes.
fn header_len(headers: &Headers, frame: &Frame) -> usize {
    let first = frame.bytes().get(usize::from(headers.network_at)).copied().unwrap_or_default();
    usize::from(first & 15) * 4
}

fn options_of<'a>(headers: &Headers, frame: &'a Frame) -> &'a [u8] {
    let network = usize::from(headers.network_at);
    frame.bytes().get(network + 20..network + header_len(headers, frame)).unwrap_or_default()
}

/// Place and kind of the option at `at` or behind it; `None` at the end. The error is the place of one that has no length.
fn next_option(options: &[u8], mut at: usize) -> Result<Option<(Range<usize>, u8)>, usize> {
    while options.get(at) == Some(&NOTHING) {
        at += 1;
    }
    let (Some(&kind), rest) = (options.get(at), options.get(at..).unwrap_or_default()) else { return Ok(None) };
    if kind == END {
        return Ok(None);
    }
    let len = usize::from(rest.get(1).copied().unwrap_or_default());
    match rest.get(2..len) {
        Some(_) if len >= 2 => Ok(Some((at..at + len, kind))),
        Some(_) | None => Err(at),
    }
}

/// The pointer counts from 1 and names the next free place.
fn record(option: &mut [u8], own: Ipv4Addr) {
    let Some(pointer) = option.get(2).copied() else { return };
    if write(option, pointer, 4, &own.octets()) {
        set(option, 2, pointer.saturating_add(4));
    }
}

/// Milliseconds, with the highest bit set: they do not count from midnight (RFC 781). Without room the overflow is counted.
fn stamp(option: &mut [u8], own: Ipv4Addr, now: Instant) {
    let Some(&[pointer, flags]) = option.get(2..4).and_then(|bytes| bytes.first_chunk()) else { return };
    let time = (u32::try_from(now.as_nanos() / 1_000_000 % (1 << 31)).unwrap_or_default() | 1 << 31).to_be_bytes();
    let place = usize::from(pointer).saturating_sub(1);
    let (len, written) = match flags & 15 {
        0 => (4, write(option, pointer, 5, &time)),
        1 => (8, write(option, pointer, 5, &[own.octets(), time].concat())),
        // Only the one that is named writes its time.
        3 if option.get(place..place + 4) != Some(&own.octets()[..]) => return,
        3 => (8, write(option, pointer, 5, &[own.octets(), time].concat())),
        _ => return,
    };
    if written {
        set(option, 2, pointer.saturating_add(len));
    } else if flags < 0xf0 {
        set(option, 3, flags + 0x10);
    }
}

fn set(option: &mut [u8], at: usize, value: u8) {
    option.get_mut(at).into_iter().for_each(|byte| *byte = value);
}

/// Writes at a pointer, of which `first` is the first; false without room.
fn write(option: &mut [u8], pointer: u8, first: u8, bytes: &[u8]) -> bool {
    let at = usize::from(pointer).saturating_sub(1);
    match option.get_mut(at..at + bytes.len()) {
        Some(place) if pointer >= first => {
            place.copy_from_slice(bytes);
            true
        }
        Some(_) | None => false,
    }
}

/// True for a routing header of type 0 that has a segment left.
fn has_source_route(headers: &Headers, frame: &Frame) -> bool {
    let routing = headers.transport_bytes(frame);
    headers.protocol == ROUTING && matches!(routing, [_, _, 0, left, ..] if *left > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    /// A packet of the client to the server with these options.
    fn with_options(options: &[u8]) -> Frame {
        let plain = udp(CLIENT, SERVER, b"hello");
        let (ethernet, ip) = plain.bytes().split_at(14);
        let mut header = [&ip[..20], options].concat();
        header[0] = 0x40 | u8::try_from(header.len() / 4).unwrap();
        let len = u16::try_from(header.len() + ip.len() - 20).unwrap();
        header[2..4].copy_from_slice(&len.to_be_bytes());
        header[10..12].fill(0);
        let sum = Sum16BitWords::new().add_slice(&header).ones_complement();
        header[10..12].copy_from_slice(&sum.to_ne_bytes());
        Frame::from_bytes(&[ethernet, &header, &ip[20..]].concat())
    }

    /// The options as they leave.
    fn left(options: &[u8]) -> Vec<u8> {
        let mut router = Router::with_neighbours();
        router.forwards(FIRST, with_options(options)).unwrap();
        let sent = router.sent_one();
        assert_eq!(sent.headers().hop_limit, 63, "the header is right, and its TTL is less one");
        sent.bytes()[34..34 + options.len()].to_vec()
    }

    #[test]
    fn a_record_route_is_filled_in_where_there_is_room() {
        let empty = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(left(&empty), [7, 11, 8, 10, 2, 0, 11, 0, 0, 0, 0, 0]);
        let begun = [1, 7, 11, 8, 9, 9, 9, 9, 0, 0, 0, 0];
        assert_eq!(left(&begun), [1, 7, 11, 12, 9, 9, 9, 9, 10, 2, 0, 11]);
        let full = [7, 7, 8, 9, 9, 9, 9, 0];
        assert_eq!(left(&full), full, "as it was");
    }

    #[test]
    fn a_timestamp_is_filled_in_or_the_overflow_counted() {
        let stamped = left(&[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((&stamped[..4], stamped[4] >> 7, &stamped[8..]), (&[68, 12, 9, 0][..], 1, &[0; 4][..]));
        let with_address = left(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((&with_address[..8], with_address[8] >> 7), (&[68, 12, 13, 1, 10, 2, 0, 11][..], 1));
        let others = [68, 12, 5, 3, 9, 9, 9, 9, 0, 0, 0, 0];
        assert_eq!(left(&others), others, "another is to write there");
        assert_eq!(left(&[68, 8, 9, 0x30, 1, 2, 3, 4]), [68, 8, 9, 0x40, 1, 2, 3, 4]);
    }

    #[test]
    fn source_routes_end_here_and_unknown_options_pass() {
        for options in [[131, 7, 4, 10, 2, 0, 9, 0], [1, 137, 7, 4, 10, 2, 0, 9]] {
            let mut router = Router::with_neighbours();
            let _ = router.forwards(FIRST, with_options(&options));
            assert_eq!((router.dropped(DropReason::SourceRoute), router.sent().len()), (1, 0), "{options:?}");
        }
        let unknown = [148, 4, 0, 0, 30, 4, 7, 7];
        assert_eq!(left(&unknown), unknown);
        let behind_the_end = [0, 131, 7, 4, 0, 0, 0, 0];
        assert_eq!(left(&behind_the_end), behind_the_end);
    }

    #[test]
    fn who_sends_options_that_contradict_themselves_is_told_where() {
        for (options, place) in [
            ([7, 9, 4, 0, 0, 0, 0, 0], 0),
            ([1, 7, 1, 4, 0, 0, 0, 0], 1),
            ([30, 0, 0, 0, 0, 0, 0, 0], 0),
            ([7, 2, 0, 0, 0, 0, 0, 0], 1),
            ([7, 7, 6, 9, 9, 9, 9, 0], 2),
            ([7, 7, 0, 9, 9, 9, 9, 0], 2),
            ([68, 3, 5, 0, 0, 0, 0, 0], 1),
            ([68, 8, 4, 0, 1, 2, 3, 4], 2),
            ([68, 8, 5, 1, 1, 2, 3, 4], 2),
            ([1, 68, 7, 8, 0xf0, 1, 2, 3], 4),
        ] {
            let mut router = Router::with_neighbours();
            let _ = router.forwards(FIRST, with_options(&options));
            let sent = router.sent_one();
            let icmp = usize::from(sent.headers().transport_at);
            assert_eq!((sent.icmp(), sent.bytes()[icmp + 4]), ((12, 0), 20 + place), "{options:?}");
        }
    }

    #[test]
    fn a_routing_header_of_type_0_with_segments_left_ends_here() {
        for (kind, left, drops) in [(0, 1, 1), (0, 0, 0), (4, 1, 0)] {
            let plain = udp(v6("fd00:1::64"), v6("fd00:2::c8"), b"hello");
            let (ip, rest) = plain.bytes().split_at(54);
            let mut ip = ip.to_vec();
            let destination = [43, 0, 1, 4, 0, 0, 0, 0];
            let routing = [[17, 2, kind, left, 0, 0, 0, 0], [0xfd; 8], [1; 8]].concat();
            let len = u16::try_from(8 + 24 + rest.len()).unwrap();
            ip[18..20].copy_from_slice(&len.to_be_bytes());
            ip[20] = 60;
            let mut router = Router::with_neighbours();
            let _ = router.forwards(FIRST, Frame::from_bytes(&[&ip, &destination[..], &routing, rest].concat()));
            assert_eq!(router.dropped(DropReason::SourceRoute), drops, "type {kind}, {left} left");
        }
    }

    #[test]
    fn a_ping_with_a_record_route_is_answered_with_it() {
        let mut router = Router::with_neighbours();
        let mut frame = with_options(&[7, 7, 4, 0, 0, 0, 0, 0]).bytes().to_vec();
        frame.truncate(42);
        frame.extend([8, 0, 0xf7, 0xff - 7, 0, 7, 0, 0]);
        frame[17] = 36;
        frame[23] = 1;
        frame[30..34].copy_from_slice(&OWN.octets());
        frame[24..26].fill(0);
        let sum = Sum16BitWords::new().add_slice(&frame[14..42]).ones_complement();
        frame[24..26].copy_from_slice(&sum.to_ne_bytes());
        router.arrives(FIRST, Frame::from_bytes(&frame));
        let sent = router.sent_one();
        assert_eq!(sent.bytes()[34..42], [7, 7, 8, 10, 1, 0, 11, 0]);
        assert_eq!(sent.icmp(), (0, 0));
    }
}
