//! Packets that are too long for the next network become fragments (RFC 791, section 3.2; RFC 8200, section 4.5).

use etherparse::checksum::Sum16BitWords;

use super::fragment::PACKET_LEN_MAX;
use super::joined::{set_word, word};
use super::{Frame, Headers};

/// Length in bytes of an IPv4 header without options.
const V4_LEN: usize = 20;
/// Length of IPv6's first header, and of its fragment header.
const V6_LEN: usize = 40;
const V6_FRAGMENT_LEN: usize = 8;
/// Next header: a fragment header.
const V6_FRAGMENT: u8 = 44;
/// Flag "more fragments" and the offset in the same word of IPv4.
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
/// Of an IPv4 option's kind: it is in every fragment.
const COPIED: u8 = 0x80;

/// Fragments of at most `mtu` bytes of an IPv4 packet, which may be a fragment itself; its transport checksum must be full. What
/// cannot be cut is left out: an MTU that has no room behind the header.
#[must_use]
pub fn cut_ipv4(frame: &Frame, network_at: usize, mtu: usize) -> Vec<Frame> {
    let Some((front, packet)) = frame.bytes().split_at_checked(network_at) else { return Vec::new() };
    let head_len = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    let total = usize::from(word(packet, 2)).min(packet.len());
    let Some((head, rest)) = packet.get(..total).and_then(|packet| packet.split_at_checked(head_len)) else {
        return Vec::new();
    };
    let later = later_head(head);
    let place = word(head, 6);
    let (flags, base) = (place & !(OFFSET | MORE), place & OFFSET);
    let mut fragments = Vec::new();
    let mut at = 0;
    while at < rest.len() {
        let head = if at == 0 { head } else { later.as_slice() };
        let room = mtu.saturating_sub(head.len());
        let left = rest.len() - at;
        let len = if left <= room { left } else { room & !7 };
        let (Some(part), Ok(units)) = (rest.get(at..at + len).filter(|part| !part.is_empty()), u16::try_from(at / 8))
        else {
            return Vec::new();
        };
        let more = at + len < rest.len() || place & MORE != 0;
        let mut bytes = [front, head, part].concat();
        if let Some(ip) = bytes.get_mut(network_at..network_at + head.len()) {
            set_word(ip, 2, low_bits(head.len() + len));
            set_word(ip, 6, flags | base.saturating_add(units) & OFFSET | if more { MORE } else { 0 });
            set_word(ip, 10, 0);
            let sum = Sum16BitWords::new().add_slice(ip).ones_complement();
            set_word(ip, 10, sum.to_be());
        }
        fragments.push(Frame::from_bytes(&bytes));
        at += len;
    }
    fragments
}

/// The header of all fragments but the first: options that are not to be copied are left out (RFC 791, section 3.1).
fn later_head(head: &[u8]) -> Vec<u8> {
    let (fixed, mut options) = head.split_at_checked(V4_LEN).unwrap_or((head, &[]));
    let mut later = fixed.to_vec();
    while let Some(&kind) = options.first() {
        let len = match kind {
            // End of the options, and no operation.
            0 => break,
            1 => 1,
            _ => options.get(1).map_or(0, |len| usize::from(*len)),
        };
        let Some((option, rest)) = options.split_at_checked(len).filter(|_| len > 0) else { break };
        if kind & COPIED != 0 {
            later.extend_from_slice(option);
        }
        options = rest;
    }
    later.resize(later.len().next_multiple_of(4), 0);
    let words = u8::try_from(later.len() / 4).unwrap_or_default();
    if let Some(first) = later.first_mut() {
        *first = *first & 0xf0 | words & 0xf;
    }
    later
}

/// Fragments of at most `mtu` bytes of an IPv6 packet of this node's own, which has no extension headers.
#[must_use]
pub fn cut_ipv6(frame: &Frame, headers: &Headers, mtu: usize, identification: u32) -> Vec<Frame> {
    let network_at = usize::from(headers.network_at);
    let (payload_at, end) = (network_at + V6_LEN, headers.end as usize);
    let (Some(front), Some(rest)) = (frame.bytes().get(..payload_at), frame.bytes().get(payload_at..end)) else {
        return Vec::new();
    };
    let room = mtu.saturating_sub(V6_LEN + V6_FRAGMENT_LEN) & !7;
    if room == 0 || rest.len() > PACKET_LEN_MAX {
        return Vec::new();
    }
    let next = front.get(network_at + 6).copied().unwrap_or_default();
    let last = rest.len().div_ceil(room).saturating_sub(1);
    let cut = |(number, part): (usize, &[u8])| {
        let place = low_bits(number * room) | u16::from(number < last);
        let ([high, low], [a, b, c, d]) = (place.to_be_bytes(), identification.to_be_bytes());
        let mut bytes = [front, &[next, 0, high, low, a, b, c, d], part].concat();
        if let Some(ip) = bytes.get_mut(network_at..) {
            set_word(ip, 4, low_bits(V6_FRAGMENT_LEN + part.len()));
            if let Some(named) = ip.get_mut(6) {
                *named = V6_FRAGMENT;
            }
        }
        Frame::from_bytes(&bytes)
    };
    rest.chunks(room).enumerate().map(cut).collect()
}

/// A packet with extension headers of IPv6 as if it had none; `None` for any other.
#[must_use]
pub fn without_extensions(frame: &Frame, headers: &Headers) -> Option<Frame> {
    let (network_at, transport_at) = (usize::from(headers.network_at), usize::from(headers.transport_at));
    let header_at = network_at + V6_LEN;
    if !headers.is_ipv6() || transport_at == header_at {
        return None;
    }
    let front = frame.bytes().get(..header_at)?;
    let rest = frame.bytes().get(transport_at..headers.end as usize)?;
    let mut bytes = [front, rest].concat();
    let ip = bytes.get_mut(network_at..)?;
    *ip.get_mut(6)? = headers.protocol;
    set_word(ip, 4, low_bits(rest.len()));
    Some(Frame::from_bytes(&bytes))
}

/// Lengths of a packet fit in 16 bits.
fn low_bits(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}
