//! The rewrites a router makes in place: MACs, TTL and hop limit, and finishing a partial checksum.

use etherparse::checksum::Sum16BitWords;

use super::joined::set_word;
use super::{ETHERNET_LEN, Frame, Headers};
use crate::id::Mac;

/// Writes both Ethernet addresses.
pub fn set_macs(frame: &mut Frame, destination: Mac, source: Mac) {
    if let Some(header) = frame.bytes_mut().first_chunk_mut::<ETHERNET_LEN>() {
        let (to, rest) = header.split_at_mut(6);
        to.copy_from_slice(&destination.0);
        if let Some(from) = rest.first_chunk_mut() {
            *from = source.0;
        }
    }
}

/// TTL or hop limit less one; IPv4's header checksum follows (RFC 1624, equation 3).
pub fn decrement_hop_limit(frame: &mut Frame, headers: &Headers) {
    let at = usize::from(headers.network_at);
    let Some(ip) = frame.bytes_mut().get_mut(at..) else { return };
    if headers.is_ipv6() {
        if let Some(hop_limit) = ip.get_mut(7) {
            *hop_limit = hop_limit.saturating_sub(1);
        }
        return;
    }
    if let Some([ttl, protocol, high, low]) = ip.get_mut(8..12) {
        let old = u16::from_be_bytes([*ttl, *protocol]);
        *ttl = ttl.saturating_sub(1);
        let new = u16::from_be_bytes([*ttl, *protocol]);
        [*high, *low] = update_checksum(u16::from_be_bytes([*high, *low]), old, new).to_be_bytes();
    }
}

/// The checksum after one 16-bit word changed from `old` to `new` (RFC 1624, equation 3).
#[must_use]
pub fn update_checksum(checksum: u16, old: u16, new: u16) -> u16 {
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum).unwrap_or_default()
}

/// Gives an IPv4 packet an identification, and allows its fragmentation. Its header checksum is left for who cuts it.
pub fn identify(frame: &mut Frame, headers: &Headers, identification: u16) {
    let at = usize::from(headers.network_at);
    if let Some(ip) = frame.bytes_mut().get_mut(at..) {
        set_word(ip, 4, identification);
        set_word(ip, 6, 0);
    }
}

/// Finishes a partial transport checksum, so that the frame needs no offload. A super-frame is left as it is: its
/// segments do not exist yet.
pub fn finish_checksum(frame: &mut Frame) {
    let offload = frame.offload();
    if !offload.needs_checksum() || offload.segment_size() != 0 {
        return;
    }
    let (start, field) = offload.checksum_field();
    // The offload header of a frame that came over the mesh is a peer's word.
    let sum = Sum16BitWords::new().add_slice(frame.bytes().get(start..).unwrap_or_default()).ones_complement();
    // A UDP sum of zero would read as "no checksum" (RFC 768); for TCP both forms of zero are valid.
    let sum = if sum == 0 { 0xffff } else { sum };
    if let Some(place) = frame.bytes_mut().get_mut(field..field + 2) {
        // etherparse adds up words in the machine's byte order (RFC 1071, section 2 (B)).
        place.copy_from_slice(&sum.to_ne_bytes());
    }
    frame.set_offload(super::Offload::default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::OFFLOAD_HEADER_LEN;
    use herald_testing::frames::{self, ACK, Segment};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_finished_checksum_is_the_full_one(payload in prop::collection::vec(any::<u8>(), 0..100), from: [u8; 4]) {
            let ip = frames::ip([[2; 6], [4; 6]], from, [10, 2, 0, 1], 64);
            let mut whole = frames::tcp(ip, (4000, 80), Segment { payload: &payload, ..ACK });
            // The other form of zero is as good.
            if whole[50..52] == [0, 0] {
                whole[50..52].fill(0xff);
            }
            let mut frame = Frame::from_bytes(&whole);
            // NEEDS_CSUM; the checksum starts at 34, its field is 16 behind that and holds the pseudo header's sum.
            let mut header = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            header[6..8].copy_from_slice(&34_u16.to_ne_bytes());
            header[8..].copy_from_slice(&16_u16.to_ne_bytes());
            frame.buffer_mut()[..OFFLOAD_HEADER_LEN].copy_from_slice(&header);
            let len = u16::try_from(20 + payload.len()).unwrap();
            let pseudo = !Sum16BitWords::new()
                .add_4bytes(from)
                .add_4bytes([10, 2, 0, 1])
                .add_2bytes([0, 6])
                .add_2bytes(len.to_be_bytes())
                .ones_complement();
            frame.bytes_mut()[50..52].copy_from_slice(&pseudo.to_ne_bytes());
            finish_checksum(&mut frame);
            prop_assert_eq!(frame.bytes(), &whole[..]);
            prop_assert!(!frame.offload().needs_checksum());
        }
    }
}
