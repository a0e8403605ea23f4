//! Frames from a member that redirects before its claim has come over the mesh. They wait for it for a moment.

use std::collections::VecDeque;

use crate::event::DropReason;
use crate::id::{Interface, NodeId};
use crate::limits::{CLAIM_WAIT, CLAIM_WAIT_FRAMES_MAX};
use crate::outbox::Outbox;
use crate::packet::{Content, Frame, Headers, Packet};
use crate::time::Instant;

#[derive(Debug)]
struct Early {
    until: Instant,
    from: NodeId,
    interface: Interface,
    frame: Frame,
}

/// The frames that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct ClaimWait {
    frames: VecDeque<Early>,
}

impl ClaimWait {
    /// Keeps a frame that `from` sent.
    pub(super) fn keep(&mut self, now: Instant, from: NodeId, interface: Interface, frame: Frame, out: &mut Outbox) {
        if self.frames.len() >= CLAIM_WAIT_FRAMES_MAX {
            return out.drop(frame, DropReason::ClaimWait);
        }
        self.frames.push_back(Early { until: now + CLAIM_WAIT, from, interface, frame });
    }

    /// Takes the oldest frame of a member that is the holder now.
    pub(super) fn take(&mut self, holder: NodeId, interface: Interface) -> Option<(Frame, Headers)> {
        let place = self.frames.iter().position(|e| e.from == holder && e.interface == interface)?;
        let frame = self.frames.remove(place)?.frame;
        match Packet::parse(&frame).ok()?.content {
            Content::Ip(headers) => Some((frame, headers)),
            Content::Arp(_) => None,
        }
    }

    /// Ends frames that waited in vain.
    pub(super) fn deadline_reached(&mut self, now: Instant, out: &mut Outbox) {
        while self.frames.front().is_some_and(|early| early.until <= now) {
            if let Some(early) = self.frames.pop_front() {
                out.drop(early.frame, DropReason::ClaimWait);
            }
        }
    }

    /// When the oldest frame has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.frames.front().map(|early| early.until)
    }

    /// Frames that wait now.
    pub(super) fn frames(&self) -> usize {
        self.frames.len()
    }
}
