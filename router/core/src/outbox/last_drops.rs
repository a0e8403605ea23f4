//! The last frames that ended here, for `herald why`: a ring for each reason, so that a flood of one pushes no other out. All
//! room is taken when the rings are made; keeping a frame copies its beginning over the oldest one.

use crate::event::DropReason;
use crate::id::Interface;
use crate::inspector::Cause;
use crate::limits::{DROPPED_BYTES_KEPT, DROPS_KEPT_PER_REASON, VERDICTS_KEPT};
use crate::packet::Frame;
use crate::time::Instant;

/// What is kept of a frame that ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Counts the dropped frames from 1, across reasons.
    pub number: u64,
    /// When it ended.
    pub at: Instant,
    /// Why.
    pub reason: DropReason,
    /// The plugin that ended it, as the host numbers it.
    pub cause: Cause,
    /// Where it arrived, if that is known.
    pub interface: Option<Interface>,
    /// Its Ethernet bytes in all.
    pub frame_len: usize,
    len: u8,
    bytes: [u8; DROPPED_BYTES_KEPT],
}

impl Dropped {
    /// Its first Ethernet bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// A frame that begins like it, with zeroes behind what was kept: enough to see of which flow it was.
    #[must_use]
    pub fn likeness(&self) -> Frame {
        let mut bytes = self.bytes().to_vec();
        bytes.resize(self.frame_len, 0);
        Frame::from_bytes(&bytes)
    }
}

/// The newest dropped frames of each reason.
#[derive(Debug)]
pub struct LastDrops {
    rings: Vec<Ring>,
    last_number: u64,
}

#[derive(Debug)]
struct Ring {
    /// Full after the first round; `oldest` is the next to be overwritten then.
    kept: Vec<Dropped>,
    oldest: usize,
    kept_max: usize,
}

impl Default for LastDrops {
    fn default() -> Self {
        let rings = DropReason::ALL.iter().map(|reason| {
            let kept_max = if reason.is_verdict() { VERDICTS_KEPT } else { DROPS_KEPT_PER_REASON };
            Ring { kept: Vec::with_capacity(kept_max), oldest: 0, kept_max }
        });
        Self { rings: rings.collect(), last_number: 0 }
    }
}

impl LastDrops {
    /// Keeps the beginning of a frame that ended, over the oldest of its reason.
    #[cold]
    #[inline(never)]
    pub(super) fn keep(
        &mut self,
        at: Instant,
        frame: &Frame,
        reason: DropReason,
        (interface, cause): (Option<Interface>, Cause),
    ) {
        self.last_number += 1;
        let Some(ring) = self.rings.get_mut(reason as usize) else { return };
        let (bytes, mut kept) = (frame.bytes(), [0; DROPPED_BYTES_KEPT]);
        let len = bytes.len().min(DROPPED_BYTES_KEPT);
        if let (Some(to), Some(from)) = (kept.get_mut(..len), bytes.get(..len)) {
            to.copy_from_slice(from);
        }
        ring.keep(Dropped {
            number: self.last_number,
            at,
            reason,
            cause,
            interface,
            frame_len: bytes.len(),
            len: u8::try_from(len).unwrap_or(u8::MAX),
            bytes: kept,
        });
    }

    /// The newest of all.
    #[must_use]
    pub fn newest(&self) -> Option<&Dropped> {
        self.rings.iter().flat_map(|ring| &ring.kept).max_by_key(|dropped| dropped.number)
    }

    /// All that are kept, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Dropped> {
        let mut all: Vec<_> = self.rings.iter().flat_map(|ring| ring.kept.iter().copied()).collect();
        all.sort_unstable_by_key(|dropped| dropped.number);
        all
    }
}

impl Ring {
    fn keep(&mut self, dropped: Dropped) {
        if self.kept.len() < self.kept_max {
            self.kept.push(dropped);
        } else if let Some(oldest) = self.kept.get_mut(self.oldest) {
            *oldest = dropped;
            self.oldest = (self.oldest + 1) % self.kept_max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(drops: impl IntoIterator<Item = (DropReason, u8)>) -> LastDrops {
        let mut last = LastDrops::default();
        for ((reason, byte), at) in drops.into_iter().zip(1..) {
            let frame = Frame::from_bytes(&[byte; 200]);
            last.keep(Instant::from_nanos(at), &frame, reason, (Some(Interface::Second), Cause(3)));
        }
        last
    }

    #[test]
    fn a_flood_of_one_reason_pushes_no_other_out() {
        let flood = std::iter::repeat_n((DropReason::OtherMac, 2), 10 * VERDICTS_KEPT);
        let last = kept(std::iter::once((DropReason::Verdict, 1)).chain(flood));
        let all = last.all();
        assert_eq!((all.len(), all[0].reason, all[0].number), (1 + DROPS_KEPT_PER_REASON, DropReason::Verdict, 1));
        let numbers: Vec<_> = all.iter().skip(1).map(|dropped| dropped.number).collect();
        let end = 1 + 10 * VERDICTS_KEPT as u64;
        assert_eq!(numbers, (end + 1 - DROPS_KEPT_PER_REASON as u64..=end).collect::<Vec<_>>(), "the newest, in order");
    }

    #[test]
    fn what_is_kept_of_a_frame_is_its_beginning_and_where_and_why_it_ended() {
        let last = kept([(DropReason::Rejected, 7)]);
        let [dropped] = last.all()[..] else { panic!("one") };
        assert_eq!((dropped.bytes(), dropped.frame_len), (&[7; DROPPED_BYTES_KEPT][..], 200));
        assert_eq!((dropped.interface, dropped.cause), (Some(Interface::Second), Cause(3)));
        let likeness = dropped.likeness();
        assert_eq!((likeness.bytes().len(), likeness.bytes()[127], likeness.bytes()[128]), (200, 7, 0));
    }

    #[test]
    fn rings_take_their_room_once() {
        let room = |last: &LastDrops| last.rings.iter().map(|ring| ring.kept.capacity()).collect::<Vec<_>>();
        let everything = DropReason::ALL.iter().flat_map(|reason| std::iter::repeat_n((*reason, 0), 1_000));
        assert_eq!(room(&kept(everything)), room(&LastDrops::default()));
    }
}
