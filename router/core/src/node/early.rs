//! Frames that come before the word of the mesh that they need: the claim of the holder that redirected them, or the
//! assignment of the stream that was given away. They wait for it for a moment.

use std::collections::VecDeque;

use super::Node;
use crate::event::DropReason;
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId};
use crate::inspector::HostPart;
use crate::limits::{EARLY_FRAMES_MAX, EARLY_TIME_MAX};
use crate::outbox::Outbox;
use crate::packet::Arrival;
use crate::time::Instant;
use crate::turn::Turn;

/// The word that a frame needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The claim of the member that redirected it.
    Claim(NodeId, Interface),
    /// The assignment of its stream.
    Assign(FlowKey),
}

impl Awaited {
    fn reason(self) -> DropReason {
        match self {
            Self::Claim(..) => DropReason::ClaimWait,
            Self::Assign(_) => DropReason::AssignWait,
        }
    }
}

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) awaited: Awaited,
    pub(super) arrival: Arrival,
}

/// The frames that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct EarlyFrames {
    frames: VecDeque<(Instant, Early)>,
}

impl EarlyFrames {
    /// Keeps a frame.
    pub(super) fn keep(&mut self, now: Instant, early: Early, out: &mut Outbox) {
        if self.frames.len() >= EARLY_FRAMES_MAX {
            return out.drop(early.arrival.frame, early.awaited.reason());
        }
        let early = Early { arrival: out.packed_arrival(early.arrival), ..early };
        self.frames.push_back((now + EARLY_TIME_MAX, early));
    }

    /// Takes the oldest frame for which the word has come.
    pub(super) fn take(&mut self, come: &[Awaited]) -> Option<Early> {
        let place = self.frames.iter().position(|(_, early)| come.contains(&early.awaited))?;
        self.frames.remove(place).map(|(_, early)| early)
    }

    /// Ends frames that waited in vain.
    pub(super) fn deadline_reached(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((_, early)) = self.frames.pop_front_if(|(until, _)| *until <= now) {
            out.drop(early.arrival.frame, early.awaited.reason());
        }
    }

    /// When the oldest frame has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.frames.front().map(|(until, _)| *until)
    }

    /// Frames that wait now.
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }
}

impl<H: HostPart> Node<H> {
    /// The word has come that some frames waited for.
    pub(super) fn accept_early(&mut self, turn: &mut Turn<'_, H>, come: &[Awaited]) {
        while let Some(Early { arrival, .. }) = self.early.take(come) {
            self.accept(turn, arrival);
        }
    }
}
