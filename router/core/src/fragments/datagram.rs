//! One datagram of which some fragments have come.

use crate::event::DropReason;
use crate::limits::{FRAGMENT_COST, FRAGMENTS_DATAGRAM_MAX};
use crate::packet::{Fragment, Frame};

/// What has come, in the order of offsets, without overlaps.
#[derive(Debug, Default)]
pub(super) struct Datagram {
    parts: Vec<(Fragment, Frame)>,
    /// Length of the payload of all fragments together, since the last one has come.
    len: Option<usize>,
    /// Bytes of payload that have come.
    filled: usize,
    /// Bytes of the frames, with what it takes to keep them.
    cost: usize,
    /// Why every other fragment of it ends, too.
    spoiled: Option<DropReason>,
}

/// What a fragment does to its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It waits for others.
    Waits,
    /// It was the last one missing.
    Completes,
    /// It is there already, and ends.
    Repeats,
    /// With it the datagram has no meaning: all of it ends, and whatever comes of it.
    Spoils(DropReason),
}

impl Datagram {
    /// What would become of the datagram with this fragment.
    pub(super) fn step(&self, fragment: &Fragment, frame: &Frame) -> Step {
        if let Some(reason) = self.spoiled {
            return Step::Spoils(reason);
        }
        let (start, end) = (usize::from(fragment.offset), fragment.reach());
        let place = self.place(start);
        let before = place.checked_sub(1).and_then(|before| self.parts.get(before));
        let behind = self.parts.get(place);
        if let Some((known, kept)) = behind.filter(|(known, _)| known.offset == fragment.offset) {
            let same = known.more == fragment.more && payload(known, kept) == payload(fragment, frame);
            return if same { Step::Repeats } else { Step::Spoils(DropReason::FragmentOverlap) };
        }
        let into_before = before.is_some_and(|(known, _)| known.reach() > start);
        let into_behind = behind.is_some_and(|(known, _)| usize::from(known.offset) < end);
        let contradicts = match (self.len, fragment.more) {
            (Some(len), true) => end >= len,
            (Some(len), false) => end != len,
            // Nothing lies behind the last one.
            (None, false) => self.parts.last().is_some_and(|(known, _)| known.reach() > end),
            (None, true) => false,
        };
        if into_before || into_behind || contradicts {
            return Step::Spoils(DropReason::FragmentOverlap);
        }
        if self.parts.len() >= FRAGMENTS_DATAGRAM_MAX {
            return Step::Spoils(DropReason::FragmentsMany);
        }
        let len = if fragment.more { self.len } else { Some(end) };
        if len == Some(self.filled + fragment.payload_len()) { Step::Completes } else { Step::Waits }
    }

    /// Keeps a fragment that [`step`](Self::step) found right.
    pub(super) fn keep(&mut self, fragment: Fragment, frame: Frame) {
        self.filled += fragment.payload_len();
        self.cost += cost(&frame);
        if !fragment.more {
            self.len = Some(fragment.reach());
        }
        let place = self.place(usize::from(fragment.offset));
        self.parts.insert(place, (fragment, frame));
    }

    /// Every fragment of it that comes from now on ends for this reason. What has come.
    pub(super) fn spoil(&mut self, reason: DropReason) -> Vec<(Fragment, Frame)> {
        self.spoiled = Some(reason);
        self.cost = 0;
        std::mem::take(&mut self.parts)
    }

    /// What has come of it, in the order of offsets.
    pub(super) fn into_parts(self) -> Vec<(Fragment, Frame)> {
        self.parts
    }

    /// Frames that it keeps.
    pub(super) fn frames(&self) -> usize {
        self.parts.len()
    }

    /// Bytes that it takes.
    pub(super) fn cost(&self) -> usize {
        FRAGMENT_COST + self.cost
    }

    /// Where a fragment that starts there stands or would stand.
    fn place(&self, start: usize) -> usize {
        self.parts.partition_point(|(known, _)| usize::from(known.offset) < start)
    }
}

/// Bytes that a frame takes.
fn cost(frame: &Frame) -> usize {
    FRAGMENT_COST + frame.bytes().len()
}

fn payload<'a>(fragment: &Fragment, frame: &'a Frame) -> Option<&'a [u8]> {
    frame.bytes().get(usize::from(fragment.payload_at)..fragment.end as usize)
}
