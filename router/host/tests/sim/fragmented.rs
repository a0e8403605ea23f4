//! Some conversations' datagrams leave their host in fragments, and become whole again in front of the other one's stack.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use herald_core::packet::{Content, Fragment, Frame, Packet, Transport};
use herald_testing::fragments::fragments;

/// Bytes of a fragment behind its headers: a datagram of a conversation becomes three.
const PART: usize = 24;

/// Of so many conversations over UDP one has fragments, by its ports.
const ONE_OF: u16 = 3;

/// Datagrams of which a host keeps fragments.
const INCOMPLETE_MAX: usize = 64;

/// What a host sends for a frame of its stack, the fragments in one of three orders.
pub(crate) fn sent(frame: Vec<u8>) -> Vec<Vec<u8>> {
    let Ok(Packet { content: Content::Ip(headers), .. }) = Packet::parse(&Frame::from_bytes(&frame)) else {
        return vec![frame];
    };
    let Transport::Udp { source, destination } = headers.transport else { return vec![frame] };
    if headers.payload_len() <= PART || source.wrapping_add(destination) % ONE_OF != 0 {
        return vec![frame];
    }
    // A datagram's first bytes are its conversation's number and its own.
    let place = usize::from(headers.payload_at);
    let number = |at: usize| u32::from(u16::from_be_bytes([frame[place + at], frame[place + at + 1]]));
    let identification = number(2) << 8 ^ number(6);
    let mut parts = fragments(&frame, identification & 0xffff, PART);
    match identification % 3 {
        0 => {}
        1 => parts.reverse(),
        _ => parts.rotate_left(1),
    }
    parts
}

/// The fragments that came to a host.
#[derive(Debug, Default)]
pub(crate) struct Incomplete(VecDeque<((IpAddr, u32), Parts)>);

/// By their offsets.
type Parts = BTreeMap<u16, (Fragment, Frame)>;

impl Incomplete {
    /// The frame for the stack, if one has come.
    pub(crate) fn came(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let frame = Frame::from_bytes(&bytes);
        let Ok(Packet { content: Content::Fragment(fragment), .. }) = Packet::parse(&frame) else { return Some(bytes) };
        let key = (fragment.source, fragment.identification);
        let known = self.0.iter().position(|(known, _)| *known == key);
        let place = known.unwrap_or_else(|| {
            if self.0.len() >= INCOMPLETE_MAX {
                self.0.pop_front();
            }
            self.0.push_back((key, BTreeMap::new()));
            self.0.len() - 1
        });
        let parts = &mut self.0[place].1;
        parts.insert(fragment.offset, (fragment, frame));
        let mut end = 0;
        let gapless = parts.values().all(|(part, _)| {
            let fits = usize::from(part.offset) == end;
            end = part.reach();
            fits
        });
        let is_whole = gapless && parts.values().next_back().is_some_and(|(part, _)| !part.more);
        if !is_whole {
            return None;
        }
        let parts: Vec<_> = self.0.remove(place)?.1.into_values().collect();
        Some(Frame::join(&parts)?.bytes().to_vec())
    }
}
