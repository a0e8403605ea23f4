//! What comes next in a capture: it tells bytes that the capture lacks from bytes that nobody sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::passage::{Passage, Through};
use crate::app::replay::capture::{Capture, CaptureError};
use herald_core::id::Interface;
use herald_core::packet::{Frame, Headers, Transport, checksum};

/// Packets that are read ahead: more than a window of one connection among some others.
const AHEAD_LEN: usize = 1_024;

/// A packet that was read.
pub(super) struct Read {
    pub(super) at: Duration,
    pub(super) interface: Option<Interface>,
    pub(super) through: Through,
}

/// A capture behind an IP router's checks.
pub(super) struct Ahead {
    capture: Capture,
    passage: Passage,
    /// At most [`AHEAD_LEN`].
    waiting: VecDeque<Read>,
    is_at_end: bool,
}

/// What the next segment of a direction says.
#[derive(Clone, Copy)]
struct Next {
    is_syn: bool,
    sequence: u32,
    acknowledgement: u32,
}

impl Ahead {
    pub(super) fn new(capture: Capture) -> Self {
        Self { capture, passage: Passage::new(), waiting: VecDeque::new(), is_at_end: false }
    }

    /// The next packet.
    ///
    /// # Errors
    /// What is wrong with the capture.
    pub(super) fn next(&mut self) -> Result<Option<Read>, CaptureError> {
        while !self.is_at_end && self.waiting.len() <= AHEAD_LEN {
            match self.capture.next()? {
                Some(captured) => {
                    let through = self.passage.packet(captured.at, &captured.frame);
                    self.waiting.push_back(Read { at: captured.at, interface: captured.interface, through });
                }
                None => self.is_at_end = true,
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// Whether an end has sent its bytes before a sequence number, which the other end has just acknowledged: what it says next
    /// stands behind them, or, if it says no more, the other end acknowledges them once more.
    pub(super) fn has_sent(&self, from: SocketAddr, to: SocketAddr, before: u32) -> bool {
        let is_reached = |number: u32| number.wrapping_sub(before).cast_signed() >= 0;
        match (self.next_of(from, to), self.next_of(to, from)) {
            (Some(next), _) => !next.is_syn && is_reached(next.sequence),
            (None, Some(answer)) => !answer.is_syn && is_reached(answer.acknowledgement),
            (None, None) => false,
        }
    }

    /// Whether an end's SYN is still to come.
    pub(super) fn opens(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.next_of(from, to).is_some_and(|next| next.is_syn)
    }

    fn next_of(&self, from: SocketAddr, to: SocketAddr) -> Option<Next> {
        let packets = self.waiting.iter().filter_map(|read| read.through.packet.as_ref());
        packets.filter_map(|(frame, headers)| next(frame, headers.as_ref()?, from, to)).next()
    }
}

/// What a packet says, if it is a segment of this direction that its receiver reads.
fn next(frame: &Frame, headers: &Headers, from: SocketAddr, to: SocketAddr) -> Option<Next> {
    let Transport::Tcp { source, destination, flags, sequence, acknowledgement, .. } = headers.transport else {
        return None;
    };
    let ends = (SocketAddr::new(headers.source, source), SocketAddr::new(headers.destination, destination));
    let is_read = ends == (from, to) && !flags.rst() && (flags.ack() || flags.syn());
    (is_read && checksum::is_right(headers, frame)).then_some(Next { is_syn: flags.syn(), sequence, acknowledgement })
}
