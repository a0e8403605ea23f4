//! Oddities of IP packets: fragments, and headers in front of a segment.

use super::kinds::{opened, told};
use super::talk::{By, Talk};
use crate::fragments::fragments;
use By::Opener;

/// A segment in fragments, in any order, or with one that contradicts another.
pub(super) fn fragmented(talk: &mut Talk<'_>, overlaps: bool) {
    opened(talk);
    let part = talk.part(Opener, 0, 200);
    let frame = talk.frame(Opener, &part);
    let identification = u32::try_from(talk.chance.below(60_000)).unwrap();
    let mut parts = fragments(&frame, identification, 64);
    if overlaps {
        let evil = talk.other(Opener, 0, 200);
        let evil = talk.frame(Opener, &evil);
        parts.insert(1, fragments(&evil, identification, 72).swap_remove(1));
        talk.frames.extend(parts);
        // All are dropped.
        return told(talk, 0);
    }
    let middle = talk.chance.place(parts.len());
    parts.rotate_left(middle);
    talk.frames.extend(parts);
    talk.learn(Opener, &part);
    told(talk, 200);
}

/// An IPv6 header of destination options in front of a segment; `is_read`: the receiver takes it.
pub(super) fn extended(talk: &mut Talk<'_>, options: &[u8], is_read: bool) {
    const NEXT_HEADER_AT: usize = 14 + 6;
    const LENGTH_AT: usize = 14 + 4;
    const BEHIND_IP: usize = 14 + 40;
    const DESTINATION_OPTIONS: u8 = 60;
    const TCP: u8 = 6;
    talk.use_ipv6();
    opened(talk);
    let part = if is_read { talk.part(Opener, 0, 90) } else { talk.other(Opener, 0, 90) };
    let mut frame = talk.frame(Opener, &part);
    let units = u8::try_from((options.len() + 2) / 8 - 1).unwrap();
    let header = [&[TCP, units][..], options].concat();
    frame[NEXT_HEADER_AT] = DESTINATION_OPTIONS;
    let len = u16::from_be_bytes([frame[LENGTH_AT], frame[LENGTH_AT + 1]]) + u16::try_from(header.len()).unwrap();
    frame[LENGTH_AT..LENGTH_AT + 2].copy_from_slice(&len.to_be_bytes());
    frame.splice(BEHIND_IP..BEHIND_IP, header);
    talk.frames.push(frame);
    if is_read {
        talk.learn(Opener, &part);
    }
    told(talk, if is_read { 90 } else { 0 });
}
