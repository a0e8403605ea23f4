//! A datagram whose fragments were joined: one frame, which knows how to become fragments again.
//!
//! ```text
//! fragments:  [ head 0 | payload 0 ] [ head 1 | payload 1 ] [ head 2 | payload 2 ]
//! joined:     [ head, mended | payload 0 | payload 1 | payload 2 ]  and: heads as they came, lengths
//! ```
//!
//! Plugins, holds, parks and tables have it as one frame. Where it leaves, each fragment gets back its own headers, so that of
//! an untouched datagram nothing changes but MACs and TTLs; what a plugin rewrote of the whole is written into each.

use etherparse::checksum::Sum16BitWords;

use super::fragment::PACKET_LEN_MAX;
use super::rewrite::update_checksum;
use super::{Fragment, Frame};

/// Length of both Ethernet addresses in bytes.
const MACS_LEN: usize = 12;
/// Place of IPv4's total length, of flags and offset, of TTL and protocol, and of the checksum, in bytes from its header.
const V4_LEN_AT: usize = 2;
const V4_PLACE_AT: usize = 6;
const V4_TTL_AT: usize = 8;
const V4_CHECKSUM_AT: usize = 10;
/// IPv4's flag "don't fragment".
const V4_DONT_FRAGMENT: u16 = 0x4000;
/// IPv4's flag "more fragments".
const V4_MORE: u16 = 0x2000;
/// Place of IPv6's payload length and of its hop limit, in bytes from its header.
const V6_LEN_AT: usize = 4;
const V6_HOP_LIMIT_AT: usize = 7;

/// What a joined frame remembers.
#[derive(Debug)]
pub(super) struct Joined {
    /// Where the IP header starts in the whole and in each head.
    network_at: usize,
    /// The IP header of the whole as it was joined.
    head: Box<[u8]>,
    /// In the order of their offsets.
    pieces: Vec<Piece>,
    /// Length of the IP packet of the longest piece in bytes.
    longest: usize,
    is_ipv6: bool,
}

#[derive(Debug)]
struct Piece {
    /// Everything in front of the payload, as it came.
    head: Box<[u8]>,
    /// Bytes of payload.
    len: usize,
}

impl Joined {
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }
}

impl Frame {
    /// Joins the fragments of a datagram, which come in the order of their offsets, the first first, with neither gap nor
    /// overlap. The whole has the Ethernet header of the first one and the lowest TTL of all. `None` if it is too long for
    /// an IP packet.
    #[must_use]
    pub fn join(parts: &[(Fragment, Self)]) -> Option<Self> {
        let (first, first_frame) = parts.first()?;
        let payload: usize = parts.iter().map(|(fragment, _)| fragment.payload_len()).sum();
        let len = first.head_len() + payload;
        if len > PACKET_LEN_MAX {
            return None;
        }
        let head_end = usize::from(first.head_end);
        let mut whole = Vec::with_capacity(head_end + payload);
        whole.extend_from_slice(first_frame.bytes().get(..head_end)?);
        let mut pieces = Vec::with_capacity(parts.len());
        for (fragment, frame) in parts {
            let (at, end) = (usize::from(fragment.payload_at), fragment.end as usize);
            whole.extend_from_slice(frame.bytes().get(at..end)?);
            pieces.push(Piece { head: frame.bytes().get(..at)?.into(), len: fragment.payload_len() });
        }
        let network_at = usize::from(first.network_at);
        let is_ipv6 = first.source.is_ipv6();
        let ip = whole.get_mut(network_at..head_end)?;
        let hop_limit = parts.iter().map(|(fragment, _)| fragment.hop_limit).min()?;
        if is_ipv6 {
            let place = usize::from(first.next_header_at) - network_at;
            *ip.get_mut(place)? = first.protocol;
            *ip.get_mut(V6_HOP_LIMIT_AT)? = hop_limit;
            set_word(ip, V6_LEN_AT, u16::try_from(len).ok()?);
        } else {
            let forbids =
                pieces.iter().any(|piece| word(&piece.head, network_at + V4_PLACE_AT) & V4_DONT_FRAGMENT != 0);
            set_word(ip, V4_PLACE_AT, if forbids { V4_DONT_FRAGMENT } else { 0 });
            set_word(ip, V4_LEN_AT, u16::try_from(len).ok()?);
            *ip.get_mut(V4_TTL_AT)? = hop_limit;
            set_word(ip, V4_CHECKSUM_AT, 0);
            let sum = Sum16BitWords::new().add_slice(ip).ones_complement();
            set_word(ip, V4_CHECKSUM_AT, sum.to_be());
        }
        let head = whole.get(network_at..head_end)?.into();
        let longest = pieces.iter().map(|piece| piece.head.len() + piece.len - network_at).max()?;
        Some(Self::from_bytes(&whole).with_joined(Joined { network_at, head, pieces, longest, is_ipv6 }))
    }

    /// The fragments of a joined frame as they leave: in the order of their offsets, with the MACs of the whole, and what was
    /// changed of the whole changed in each. Of any other frame nothing.
    #[must_use]
    pub fn fragments(&self) -> Vec<Self> {
        let Some(joined) = self.joined() else { return Vec::new() };
        let bytes = self.bytes();
        let payload_at = joined.network_at + joined.head.len();
        let Some((front, payload)) = bytes.split_at_checked(payload_at) else { return Vec::new() };
        let now = front.get(joined.network_at..).unwrap_or_default();
        let mut fragments = Vec::with_capacity(joined.pieces.len());
        let mut at = 0;
        for (number, piece) in joined.pieces.iter().enumerate() {
            let is_last = number + 1 == joined.pieces.len();
            let end = if is_last { payload.len() } else { payload.len().min(at + piece.len) };
            let part = payload.get(at..end).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            let mut fragment = Vec::with_capacity(piece.head.len() + part.len());
            fragment.extend_from_slice(&piece.head);
            fragment.extend_from_slice(part);
            let (macs, own) = (front.get(..MACS_LEN), fragment.get_mut(..MACS_LEN));
            if let (Some(macs), Some(own)) = (macs, own) {
                own.copy_from_slice(macs);
            }
            if let Some(packet) = fragment.get_mut(joined.network_at..) {
                let more = end < payload.len();
                let head_len = piece.head.len() - joined.network_at;
                if joined.is_ipv6 {
                    renew_v6(packet, head_len, more, (&joined.head, now))
                } else {
                    renew_v4(packet, more, (&joined.head, now))
                }
            }
            fragments.push(Self::from_bytes(&fragment));
            at = end;
        }
        fragments
    }
}

/// Makes the header of an IPv4 fragment true, given the whole's header as it was joined and as it is now.
fn renew_v4(packet: &mut [u8], more: bool, (before, now): (&[u8], &[u8])) {
    let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    change_word(packet, V4_LEN_AT, len);
    let place = word(packet, V4_PLACE_AT);
    change_word(packet, V4_PLACE_AT, if more { place | V4_MORE } else { place & !V4_MORE });
    // Version, class of service, and the addresses.
    for at in [0, 12, 14, 16, 18] {
        if word(before, at) != word(now, at) {
            change_word(packet, at, word(now, at));
        }
    }
    let [ttl, _] = word(packet, V4_TTL_AT).to_be_bytes();
    let [was, _] = word(before, V4_TTL_AT).to_be_bytes();
    let [is, protocol] = word(now, V4_TTL_AT).to_be_bytes();
    let ttl = ttl.saturating_sub(was.saturating_sub(is));
    change_word(packet, V4_TTL_AT, u16::from_be_bytes([ttl, protocol]));
}

/// The same of IPv6.
fn renew_v6(packet: &mut [u8], head_len: usize, more: bool, (before, now): (&[u8], &[u8])) {
    let len = u16::try_from(packet.len().saturating_sub(40)).unwrap_or(u16::MAX);
    set_word(packet, V6_LEN_AT, len);
    let place_at = head_len.saturating_sub(6);
    let place = word(packet, place_at);
    set_word(packet, place_at, if more { place | 1 } else { place & !1 });
    for at in [0, 2].into_iter().chain((8..40).step_by(2)) {
        if word(before, at) != word(now, at) {
            set_word(packet, at, word(now, at));
        }
    }
    let lowered = byte(before, V6_HOP_LIMIT_AT).saturating_sub(byte(now, V6_HOP_LIMIT_AT));
    if let Some(hop_limit) = packet.get_mut(V6_HOP_LIMIT_AT) {
        *hop_limit = hop_limit.saturating_sub(lowered);
    }
}

/// Writes a word of an IPv4 header, and its checksum anew, if it is another (RFC 1624, equation 3).
fn change_word(header: &mut [u8], at: usize, new: u16) {
    let old = word(header, at);
    if old != new {
        set_word(header, at, new);
        let sum = update_checksum(word(header, V4_CHECKSUM_AT), old, new);
        set_word(header, V4_CHECKSUM_AT, sum);
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |pair| u16::from_be_bytes(*pair))
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

pub(super) fn set_word(bytes: &mut [u8], at: usize, new: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = new.to_be_bytes();
    }
}
