//! What a destination does with the extension headers of IPv6 (RFC 8200, section 4): it passes the good ones, and tells the
//! source of those that it does not know. Only packets to this node that have some come here.

use super::icmp::NEXT_HEADER_AT;
use super::{Unreachable, Unroutable};
use crate::event::DropReason;
use crate::packet::{Frame, Headers};

/// What is wrong with a header, by the codes of a parameter problem (RFC 4443, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// A field.
    Field,
    /// What it says that follows it.
    NextHeader,
    /// An option that a destination may not pass over.
    Option,
}

/// Bytes of the IPv6 header.
const IPV6_LEN: usize = 40;

/// Longest chain, in headers, as in `packet/chain.rs`.
const HEADERS_MAX: usize = 8;

const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMP: u8 = 58;
const NOTHING: u8 = 59;
const DESTINATION_OPTIONS: u8 = 60;

/// Without an answer.
const SILENT: Unroutable = Unroutable::silent(DropReason::OddHeader);

/// Whether this node, whose packet it is, may look at what stands behind its extension headers.
///
/// # Errors
/// [`DropReason::OddHeader`] or [`DropReason::SourceRoute`], with what the source is told.
#[cold]
#[inline(never)]
pub(super) fn check(headers: &Headers, frame: &Frame) -> Result<(), Unroutable> {
    let packet = frame.bytes().get(usize::from(headers.network_at)..headers.end as usize).unwrap_or_default();
    let (mut named_at, mut at) = (usize::from(NEXT_HEADER_AT), IPV6_LEN);
    for _ in 0..=HEADERS_MAX {
        let (Some(&kind), Some(rest)) = (packet.get(named_at), packet.get(at..)) else { return Err(SILENT) };
        let len = match kind {
            HOP_BY_HOP if at == IPV6_LEN => past_options(rest, at)?,
            DESTINATION_OPTIONS => past_options(rest, at)?,
            // No way ends at a group.
            ROUTING if headers.destination.is_multicast() => return Err(SILENT),
            ROUTING => past_route(rest, at)?,
            FRAGMENT => 8,
            TCP | UDP | ICMP | NOTHING => return Ok(()),
            _ => return Err(told(DropReason::OddHeader, HeaderFault::NextHeader, named_at)),
        };
        (named_at, at) = (at, at + len);
    }
    Err(SILENT)
}

/// The length of a header with options, if all of them may be passed (RFC 8200, section 4.2).
fn past_options(rest: &[u8], header_at: usize) -> Result<usize, Unroutable> {
    const PAD_1: u8 = 0;
    let header = whole(rest).ok_or(SILENT)?;
    let mut at = 2;
    while let Some(&kind) = header.get(at) {
        if kind == PAD_1 {
            at += 1;
            continue;
        }
        let end = header.get(at + 1).map(|len| at + 2 + usize::from(*len));
        let end = end.filter(|end| *end <= header.len()).ok_or(SILENT)?;
        match kind >> 6 {
            0 => at = end,
            1 => return Err(SILENT),
            _ => return Err(told(DropReason::OddHeader, HeaderFault::Option, header_at + at)),
        }
    }
    Ok(header.len())
}

/// The length of a routing header whose way is at its end; no type of one that is not is known here (RFC 8200, section 4.4;
/// RFC 5095, section 3).
fn past_route(rest: &[u8], header_at: usize) -> Result<usize, Unroutable> {
    match whole(rest).ok_or(SILENT)? {
        header @ [_, _, _, 0, ..] => Ok(header.len()),
        [_, _, 0, ..] => Err(told(DropReason::SourceRoute, HeaderFault::Field, header_at + 2)),
        _ => Err(told(DropReason::OddHeader, HeaderFault::Field, header_at + 2)),
    }
}

/// A header that has its length in its second byte.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..(usize::from(*bytes.get(1)?) + 1) * 8)
}

fn told(reason: DropReason, fault: HeaderFault, at: usize) -> Unroutable {
    let at = u16::try_from(at).unwrap_or(u16::MAX);
    Unroutable::told(reason, Unreachable::Header { fault, at })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::testing::*;
    use super::*;

    const PAD: [u8; 6] = [1, 4, 0, 0, 0, 0];

    /// Headers by their number, each with what stands in it behind the number of the next and its length.
    type Chain<'a> = &'a [(u8, &'a [u8])];

    /// A packet with these headers in front of what another one has.
    fn behind(chain: Chain<'_>, plain: &Frame) -> Frame {
        let (ip, rest) = plain.bytes().split_at(54);
        let mut ip = ip.to_vec();
        let last = ip[20];
        ip[20] = chain[0].0;
        let next = chain.iter().skip(1).map(|(kind, _)| *kind).chain([last]);
        let mut bytes = Vec::new();
        for ((_, content), next) in chain.iter().zip(next) {
            bytes.extend([next, u8::try_from((content.len() + 2) / 8 - 1).unwrap()]);
            bytes.extend_from_slice(content);
        }
        bytes.extend_from_slice(rest);
        ip[18..20].copy_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
        Frame::from_bytes(&[ip, bytes].concat())
    }

    fn own() -> Ipv6Addr {
        v6("fd00:1::11")
    }

    fn ping() -> Frame {
        let mut bytes = Vec::new();
        ip(v6("fd00:1::64"), own()).icmpv6_echo_request(1, 2).write(&mut bytes, b"hello").unwrap();
        Frame::from_bytes(&bytes)
    }

    #[test]
    fn a_ping_behind_headers_is_answered_without_them() {
        let route = [4, 0, 0, 0, 0, 0];
        let all: Chain<'_> = &[(0, &PAD), (60, &[0x1e, 4, 1, 2, 3, 4]), (43, &route), (44, &[0; 6]), (60, &PAD)];
        for chain in [&all[..1], &all[1..2], &all[2..3], &all[3..4], all] {
            let mut router = Router::with_neighbours();
            router.arrives(FIRST, behind(chain, &ping()));
            let sent = router.sent_one();
            assert_eq!(sent.icmp(), (129, 0), "{chain:?}");
            assert_eq!(sent.headers().transport_at, 54, "{chain:?}");
            assert_eq!(sent.bytes()[58..], ping().bytes()[58..], "{chain:?}");
        }
    }

    #[test]
    fn ports_are_answered_behind_headers_too() {
        let chain: Chain<'_> = &[(60, &PAD)];
        let mut router = Router::with_neighbours();
        let asked = || behind(chain, &udp(v6("fd00:1::64"), own(), b"hello"));
        router.arrives(FIRST, asked());
        let sent = router.sent_one();
        assert_eq!((sent.icmp(), sent.quoted()), ((1, 4), &asked().bytes()[14..]));
    }

    #[test]
    fn who_sends_headers_that_are_not_known_is_told_where() {
        let long: [&[u8]; 2] = [&[4, 1, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 0]];
        let cases: [(Chain<'_>, (u8, u8), u8); 9] = [
            (&[(60, &[0x9e, 4, 1, 2, 3, 4])], (4, 2), 42),
            (&[(0, &PAD), (60, &[0, 0, 0xde, 2, 3, 4])], (4, 2), 52),
            (&[(0, &[0x9e, 4, 1, 2, 3, 4])], (4, 2), 42),
            (&[(43, long[0])], (4, 0), 42),
            (&[(60, &PAD), (43, long[1])], (4, 0), 50),
            (&[(60, &PAD), (0, &PAD)], (4, 1), 40),
            (&[(60, &PAD), (51, &[0; 14])], (4, 1), 40),
            (&[(0, &PAD), (60, &PAD), (253, &PAD)], (4, 1), 48),
            (&[(135, &PAD)], (4, 1), 6),
        ];
        for (chain, code, at) in cases {
            let mut router = Router::with_neighbours();
            router.arrives(FIRST, behind(chain, &ping()));
            let sent = router.sent_one();
            let pointer = usize::from(sent.headers().transport_at) + 7;
            assert_eq!((sent.icmp(), sent.bytes()[pointer]), (code, at), "{chain:?}");
            assert_eq!(sent.headers().source, own(), "{chain:?}");
        }
    }

    #[test]
    fn headers_that_are_broken_or_to_be_discarded_end_in_silence() {
        let nine = [(60, PAD.as_slice()); 9];
        let cases: [Chain<'_>; 4] =
            [&[(60, &[0x5e, 4, 1, 2, 3, 4])], &[(60, &[1, 5, 0, 0, 0, 0])], &[(0, &[1, 5, 0, 0, 0, 0])], &nine];
        for chain in cases {
            let mut router = Router::with_neighbours();
            router.arrives(FIRST, behind(chain, &ping()));
            assert_eq!((router.dropped(DropReason::OddHeader), router.sent().len()), (1, 0), "{chain:?}");
        }
    }
}
