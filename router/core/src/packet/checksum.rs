//! Checksums of transports (RFC 9293, section 3.1; RFC 768), and the sum under them (RFC 1071).

use super::{Frame, Headers, Transport};

/// A sum under way. Words are added as they lie in memory: the result is right in that order, too (RFC 1071, section 2 (B)).
#[derive(Clone, Copy, Debug, Default)]
struct Sum(u64);

impl Sum {
    fn add(self, word: u64) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        Self(sum + u64::from(carry))
    }

    /// Of bytes that start at an even place.
    #[inline]
    fn add_bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let sum = words.iter().fold(self, |sum, word| sum.add(u64::from_ne_bytes(*word)));
        let (halves, rest) = rest.as_chunks::<4>();
        let sum = halves.iter().fold(sum, |sum, half| sum.add(u32::from_ne_bytes(*half).into()));
        match *rest {
            [] => sum,
            [a] => sum.add(u16::from_ne_bytes([a, 0]).into()),
            [a, b] => sum.add(u16::from_ne_bytes([a, b]).into()),
            [a, b, c, ..] => sum.add(u32::from_ne_bytes([a, b, c, 0]).into()),
        }
    }

    /// In sixteen bits.
    fn folded(self) -> u16 {
        let halved = |sum: u64| (sum & 0xffff_ffff) + (sum >> 32);
        let quartered = |sum: u64| (sum & 0xffff) + (sum >> 16);
        u16::try_from(quartered(quartered(halved(halved(self.0))))).unwrap_or_default()
    }
}

/// True unless the packet's TCP or UDP checksum is wrong. A checksum that a device has seen or will finish is right, and so
/// is that of a super-frame; a UDP packet without one has none that is wrong. IPv6 allows that to tunnels alone (RFC 8200,
/// section 8.1; RFC 6935), and leaves it to the ends (RFC 6936, section 5).
#[must_use]
#[inline]
pub fn is_right(headers: &Headers, frame: &Frame) -> bool {
    let is_checked = matches!(headers.transport, Transport::Tcp { .. } | Transport::Udp { .. });
    !is_checked || frame.offload().vouches_for_checksum() || is_summed_right(headers, frame)
}

/// True if the checksum of an IPv4 header is right (RFC 791, section 3.1).
#[inline]
pub(super) fn is_header_right(header: &[u8]) -> bool {
    const FIXED_LEN: usize = 20;
    let sum = match header.split_first_chunk::<FIXED_LEN>() {
        Some((fixed, [])) => Sum::default().add_bytes(fixed),
        Some(_) | None => Sum::default().add_bytes(header),
    };
    sum.folded() == 0xffff
}

#[inline(never)]
fn is_summed_right(headers: &Headers, frame: &Frame) -> bool {
    let all = headers.transport_bytes(frame);
    let bytes = match headers.transport {
        Transport::Udp { .. } => match *all {
            [_, _, _, _, _, _, 0, 0, ..] => return true,
            // A length that is none leaves nothing to sum up.
            [_, _, _, _, high, low, ..] => match all.get(..usize::from(u16::from_be_bytes([high, low]))) {
                Some(bytes) if bytes.len() >= 8 => bytes,
                _ => return true,
            },
            _ => return true,
        },
        Transport::Tcp { .. }
        | Transport::EchoRequest { .. }
        | Transport::EchoReply { .. }
        | Transport::IcmpError { .. }
        | Transport::Discovery { .. }
        | Transport::Other => all,
    };
    let at = usize::from(headers.network_at) + if headers.is_ipv6() { 8 } else { 12 };
    let addresses = if headers.is_ipv6() { 32 } else { 8 };
    let addresses = frame.bytes().get(at..at + addresses).unwrap_or_default();
    let [_, _, a, b] = u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    let tail = u32::from_ne_bytes([0, headers.protocol, a, b]);
    Sum::default().add_bytes(addresses).add(tail.into()).add_bytes(bytes).folded() == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use herald_testing::frames::{self, ACK, Ip, Segment};
    use proptest::prelude::*;

    /// Of both families, to a host with this number.
    fn ips_to(last: u8) -> [Ip; 2] {
        let macs = [[2; 6], [4; 6]];
        let v6 = |last: u8| std::net::Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0xffff, last.into());
        [frames::ip(macs, [10, 1, 0, 100], [10, 2, 0, last], 64), frames::ip(macs, v6(1), v6(last), 64)]
    }

    fn ips() -> [Ip; 2] {
        ips_to(200)
    }

    fn is_right_in(bytes: &[u8]) -> bool {
        let frame = Frame::from_bytes(bytes);
        is_right(&Packet::parse_ip(&frame).unwrap(), &frame)
    }

    proptest! {
        #[test]
        fn a_checksum_is_right_until_a_bit_flips(
            payload in prop::collection::vec(any::<u8>(), 0..100), ports: (u16, u16), bit in 0_usize..8, place: usize,
        ) {
            for (ip, again) in ips().into_iter().zip(ips()) {
                let tcp = frames::tcp(ip, ports, Segment { payload: &payload, ..ACK });
                let udp = frames::udp(again, ports, &payload);
                for bytes in [tcp, udp] {
                    prop_assert!(is_right_in(&bytes));
                    // An address or the payload: headers that contradict themselves are not parsed.
                    let mut wrong = bytes.clone();
                    let last = bytes.len() - 1;
                    let at = if payload.is_empty() { last } else { last - place % payload.len() };
                    wrong[at] ^= 1 << bit;
                    let has_none = wrong[last - 1..] == [0, 0] && payload.is_empty();
                    prop_assert!(has_none || !is_right_in(&wrong));
                }
            }
        }
    }

    #[test]
    fn addresses_count() {
        for (ip, other) in ips().into_iter().zip(ips_to(201)) {
            let (right, mut bytes) = (frames::udp(ip, (1, 2), b"x"), frames::udp(other, (1, 2), b"x"));
            let at = bytes.len() - 9;
            bytes[at..].copy_from_slice(&right[at..]);
            assert!(is_right_in(&right) && !is_right_in(&bytes));
        }
    }

    #[test]
    fn what_has_no_checksum_or_leaves_it_to_others_is_right() {
        for (ip, again) in ips().into_iter().zip(ips()) {
            let mut none = frames::udp(ip, (1, 2), b"without");
            let at = none.len() - 7 - 2;
            none[at..at + 2].fill(0);
            assert!(is_right_in(&none));
            let mut wrong = frames::tcp(again, (1, 2), Segment { payload: b"wrong", ..ACK });
            let last = wrong.len() - 1;
            wrong[last] ^= 1;
            assert!(!is_right_in(&wrong));
            // Partial, seen by a device, a super-frame of TCP.
            for (flags, segments) in [(1, 0), (2, 0), (1, 1), (0, 1)] {
                let mut frame = Frame::from_bytes(&wrong);
                frame.buffer_mut()[..2].copy_from_slice(&[flags, segments]);
                frame.buffer_mut()[4..6].copy_from_slice(&1_000_u16.to_ne_bytes());
                assert!(is_right(&Packet::parse_ip(&frame).unwrap(), &frame), "{flags} {segments}");
            }
        }
    }
}
