//! Packets that are longer than their way out: fragments, if they may become some (RFC 791, section 3.2; RFC 1812, section
//! 4.2.2.7), or an answer with the MTU (RFC 1191; RFC 4443, section 3.2).

use super::{Unreachable, Unroutable};
use crate::event::DropReason;
use crate::flow::HashKey;
use crate::id::Interface;
use crate::outbox::{Leaving, Outbox};
use crate::packet::rewrite::{self, finish_checksum};
use crate::packet::{Frame, Headers, Packet, cut};

/// Whether a packet that is longer than this MTU may leave all the same, as fragments.
#[cold]
#[inline(never)]
pub(super) fn may_leave(headers: &Headers, frame: &Frame, mtu: u16) -> Result<(), Unroutable> {
    if forbids_fragments(headers, frame) {
        return Err(Unroutable::told(DropReason::TooBig, Unreachable::TooBig { mtu }));
    }
    // The segments of a super-frame do not exist yet: the kernel cuts no others than it was told.
    if frame.offload().segment_size() != 0 {
        return Err(Unroutable::silent(DropReason::TooBig));
    }
    Ok(())
}

/// Sends a frame that is longer than this MTU: a super-frame as it is, anything else in fragments. Its MACs and its TTL are those
/// with which it leaves.
#[cold]
#[inline(never)]
pub(super) fn leave(
    mtu: u16,
    (interface, leaving): (Interface, Leaving),
    headers: &Headers,
    mut frame: Frame,
    out: &mut Outbox,
) {
    let mtu = usize::from(mtu);
    let is_short = headers.packet_len() <= mtu || frame.longest_fragment().is_some_and(|longest| longest <= mtu);
    if is_short || frame.offload().segment_size() != 0 {
        return out.transmit(interface, frame, leaving);
    }
    finish_checksum(&mut frame);
    let network_at = usize::from(headers.network_at);
    let fragments: Vec<Frame> = if frame.is_joined() {
        let cut_again = |part: Frame| {
            let is_long = part.bytes().len() > network_at + mtu;
            if is_long { cut::cut_ipv4(&part, network_at, mtu) } else { vec![part] }
        };
        frame.fragments().into_iter().flat_map(cut_again).collect()
    } else {
        cut::cut_ipv4(&frame, network_at, mtu)
    };
    out.transmit_cut(interface, (frame, fragments), leaving);
}

/// Sends a packet of this node's own that is longer than this MTU.
#[cold]
#[inline(never)]
pub(super) fn leave_own(mtu: u16, interface: Interface, key: &HashKey, mut frame: Frame, out: &mut Outbox) {
    let Ok(headers) = Packet::parse_ip(&frame) else { return out.drop_generated(frame, DropReason::TooBig) };
    let (network_at, mtu) = (usize::from(headers.network_at), usize::from(mtu));
    if headers.packet_len() <= mtu {
        // Only with what fills its frame it is so long.
        return out.transmit(interface, frame, Leaving::Generated);
    }
    // Two packets with one identification are equal, so that it does not matter whose fragments are joined (RFC 7739).
    let [a, b, c, d, ..] = key.hash(&frame.bytes().get(network_at..)).to_be_bytes();
    let fragments = if headers.is_ipv6() {
        cut::cut_ipv6(&frame, &headers, mtu, u32::from_be_bytes([a, b, c, d]))
    } else {
        rewrite::identify(&mut frame, &headers, u16::from_be_bytes([a, b]));
        cut::cut_ipv4(&frame, network_at, mtu)
    };
    if fragments.is_empty() {
        return out.drop_generated(frame, DropReason::TooBig);
    }
    out.transmit_cut(interface, (frame, fragments), Leaving::Generated);
}

/// True for IPv6, and for IPv4 with the "don't fragment" flag (RFC 791, section 3.1).
fn forbids_fragments(headers: &Headers, frame: &Frame) -> bool {
    let flags = frame.bytes().get(usize::from(headers.network_at) + 6).copied().unwrap_or_default();
    headers.is_ipv6() || flags & 0x40 != 0
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::testing::*;
    use super::*;
    use crate::packet::{Content, Fragment};
    use herald_testing::fragments::{fragment, fragments};
    use herald_testing::frames::{self, ACK, Segment};
    use proptest::prelude::*;

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    /// A datagram whose source allows fragments.
    fn cuttable(payload: &[u8]) -> Frame {
        let mut frame = udp(CLIENT, SERVER, payload);
        frame.bytes_mut()[18..22].copy_from_slice(&[0x12, 0x34, 0, 0]);
        herald_testing::fragments::mend(frame.bytes_mut());
        frame
    }

    fn parsed(frame: &Frame) -> Fragment {
        let Content::Fragment(fragment) = Packet::parse(frame).unwrap().content else {
            panic!("no fragment: {frame:?}")
        };
        fragment
    }

    fn joined(parts: impl IntoIterator<Item = Frame>) -> Frame {
        let mut parts: Vec<_> = parts.into_iter().map(|frame| (parsed(&frame), frame)).collect();
        parts.sort_by_key(|(fragment, _)| fragment.offset);
        Frame::join(&parts).unwrap()
    }

    /// What was sent, joined, and how long each IP packet was.
    fn sent(router: &mut Router) -> (Frame, Vec<usize>) {
        let frames: Vec<Frame> = router.out.transmit.drain(..).map(|(_, frame, _)| frame).collect();
        let lens = frames.iter().map(|frame| frame.bytes().len() - 14).collect();
        (joined(frames), lens)
    }

    #[test]
    fn a_long_packet_leaves_in_fragments_unless_it_forbids_them() {
        let mut router = Router::with_neighbours();
        router.forwards(FIRST, cuttable(&payload(1_400))).unwrap();
        let (whole, lens) = sent(&mut router);
        assert_eq!(lens, [20 + 1_376, 20 + 32]);
        assert_eq!(whole.bytes()[42..], payload(1_400));
        assert_eq!((whole.bytes()[22], &whole.bytes()[18..20]), (63, &[0x12, 0x34][..]));
        assert_checksums(whole.bytes());
        assert_eq!((router.out.ledger.forwarded, router.out.ledger.cut), (2, 1));
        let mut forbids = udp(CLIENT, SERVER, &payload(1_400));
        forbids.bytes_mut()[20] = 0x40;
        herald_testing::fragments::mend(forbids.bytes_mut());
        assert_eq!(router.forwards(FIRST, forbids), Err(DropReason::TooBig));
        assert_eq!(router.sent_one().icmp(), (3, 4));
    }

    #[test]
    fn a_partial_checksum_is_full_before_it_is_cut() {
        let mut router = Router::with_neighbours();
        let plain = cuttable(&payload(1_400));
        let mut frame = with_offload(&plain, 34, 6, 0);
        // The field has the pseudo header's sum.
        let sum = etherparse::checksum::Sum16BitWords::new()
            .add_4bytes(CLIENT.octets())
            .add_4bytes(SERVER.octets())
            .add_2bytes([0, 17])
            .add_2bytes(1_408_u16.to_be_bytes())
            .ones_complement();
        frame.bytes_mut()[40..42].copy_from_slice(&(!sum).to_ne_bytes());
        router.forwards(FIRST, frame).unwrap();
        assert_checksums(sent(&mut router).0.bytes());
    }

    #[test]
    fn options_are_in_every_fragment_if_they_want_to() {
        // Router alert is copied, a timestamp is not; both are followed by the list's end.
        let options = [0x94, 4, 0, 0, 0x44, 8, 5, 0, 0, 0, 0, 0];
        let mut bytes = cuttable(&payload(3_000)).bytes().to_vec();
        bytes.splice(34..34, options);
        bytes[14] = 0x48;
        bytes[16..18].copy_from_slice(&(20_u16 + 12 + 3_008).to_be_bytes());
        herald_testing::fragments::mend(&mut bytes);
        let mut router = Router::with_neighbours();
        router.forwards(FIRST, Frame::from_bytes(&bytes)).unwrap();
        let left: Vec<Frame> = router.out.transmit.drain(..).map(|(_, frame, _)| frame).collect();
        assert_eq!(left.len(), 3);
        // The timestamp is this node's.
        assert_eq!((&left[0].bytes()[34..40], left[0].bytes()[40]), (&options[..6], 9));
        for part in &left[1..] {
            assert_eq!((part.bytes()[14], &part.bytes()[34..38]), (0x46, &options[..4]));
        }
        assert_eq!(joined(left).bytes()[54..], payload(3_000));
    }

    #[test]
    fn fragments_that_are_too_long_are_cut_again_or_answered() {
        let mut router = Router::with_neighbours();
        let whole = cuttable(&payload(3_000));
        let parts = fragments(whole.bytes(), 0x1234, 1_480);
        let frame = joined(parts.iter().map(|part| Frame::from_bytes(part)));
        router.out.ledger.joined += 2;
        router.forwards(FIRST, frame).unwrap();
        let (again, lens) = sent(&mut router);
        assert_eq!(lens, [1_396, 20 + 104, 1_396, 20 + 104, 20 + 48]);
        assert_eq!(again.bytes()[42..], payload(3_000));
        // IPv6 is cut by its source only, which hears of the first fragment.
        let (from, to) = (v6("fd00:1::64"), v6("fd00:2::c8"));
        let parts = fragments(udp(from, to, &payload(3_000)).bytes(), 7, 1_448);
        let frame = joined(parts.iter().map(|part| Frame::from_bytes(part)));
        assert_eq!(router.forwards(FIRST, frame), Err(DropReason::TooBig));
        let told = router.sent_one();
        assert_eq!((told.icmp(), &told.bytes()[58..62]), ((2, 0), &1_400_u32.to_be_bytes()[..]));
        assert_eq!(told.bytes()[62..62 + 1_232], parts[0][14..14 + 1_232]);
        assert_eq!(router.dropped(DropReason::TooBig), 3, "all of them ended");
        // Short ones pass, however long their datagram is.
        let parts = fragments(udp(from, to, &payload(30_000)).bytes(), 7, 1_352);
        router.forwards(FIRST, joined(parts.iter().map(|part| Frame::from_bytes(part)))).unwrap();
        assert_eq!(sent(&mut router).0.bytes()[62..], payload(30_000));
    }

    #[test]
    fn what_was_rewritten_leaves_in_the_original_sizes() {
        for (whole, head, sizes) in [
            (cuttable(&payload(900)), 34, [400, 508]),
            (udp(v6("fd00:1::64"), v6("fd00:2::c8"), &payload(900)), 54, [400, 508]),
        ] {
            let parts = [fragment(whole.bytes(), 9, 0, 400), fragment(whole.bytes(), 9, 400, 600)];
            let mut frame = joined(parts.iter().map(|part| Frame::from_bytes(part)));
            let bytes = frame.bytes_mut();
            bytes[head + 8..].fill(7);
            // The destination's last byte, the class of service, and the checksum that follows.
            bytes[head - 1] = 99;
            bytes[15] |= 0x40;
            if head == 34 {
                herald_testing::fragments::mend(bytes);
            }
            let left = frame.fragments();
            let lens: Vec<_> = left.iter().map(|part| parsed(part).payload_len()).collect();
            assert_eq!(lens, sizes);
            for part in &left {
                assert_eq!((part.bytes()[head - 1], part.bytes()[15] & 0x40), (99, 0x40));
            }
            assert_eq!(joined(left).bytes(), frame.bytes());
        }
    }

    #[test]
    fn pings_of_any_size_are_answered() {
        for (to, from) in
            [(IpAddr::from(OWN), IpAddr::from(CLIENT)), (v6("fd00:1::11").into(), v6("fd00:1::64").into())]
        {
            for len in [1_400, 3_000, 20_000, 65_000] {
                let mut bytes = Vec::new();
                match from {
                    IpAddr::V4(_) => ip(from, to).icmpv4_echo_request(3, 4).write(&mut bytes, &payload(len)).unwrap(),
                    IpAddr::V6(_) => ip(from, to).icmpv6_echo_request(3, 4).write(&mut bytes, &payload(len)).unwrap(),
                }
                let mut router = Router::with_neighbours();
                if len < 1_452 {
                    router.arrives(FIRST, Frame::from_bytes(&bytes));
                    assert_eq!(router.sent_one().bytes().len(), bytes.len());
                    continue;
                }
                let parts = fragments(&bytes, 8, 1_448);
                let count = parts.len() as u64;
                router.arrives(FIRST, joined(parts.iter().map(|part| Frame::from_bytes(part))));
                let (whole, lens) = sent(&mut router);
                assert!(lens.iter().all(|len| *len <= 1_500), "{lens:?}");
                assert_checksums(whole.bytes());
                let headers = headers(&whole);
                assert_eq!((headers.source, headers.destination), (to, from));
                assert_eq!(whole.bytes()[usize::from(headers.payload_at)..], payload(len));
                assert_eq!((router.out.ledger.consumed, router.out.ledger.cut), (count, count - 1));
                assert_eq!(router.out.ledger.generated, lens.len() as u64);
            }
        }
    }

    #[test]
    fn super_frames_are_left_to_the_kernel() {
        let mut router = Router::with_neighbours();
        let bytes = frames::tcp(ip(CLIENT, SERVER), (4000, 80), Segment { payload: &[9; 20_000], ..ACK });
        router.forwards(FIRST, with_offload(&Frame::from_bytes(&bytes), 34, 16, 1_360)).unwrap();
        assert_eq!((router.out.transmit.len(), router.out.ledger.cut), (1, 0));
    }

    proptest! {
        #[test]
        fn cuts_join_to_what_was_cut(len in 1_usize..9_000, mtu in 68_usize..1_500, identification: u32) {
            let host = Ipv4Addr::new(10, 2, 0, 7);
            for whole in [udp(CLIENT, host, &payload(len)), udp(v6("fd00:1::64"), v6("fd00:2::c8"), &payload(len))] {
                let headers = headers(&whole);
                prop_assume!(headers.packet_len() > mtu);
                let parts = if headers.is_ipv6() {
                    cut::cut_ipv6(&whole, &headers, mtu, identification)
                } else {
                    cut::cut_ipv4(&whole, 14, mtu)
                };
                prop_assert!(parts.iter().all(|part| part.bytes().len() <= 14 + mtu));
                let joined = joined(parts);
                prop_assert_eq!(joined.bytes(), whole.bytes());
            }
        }
    }
}
