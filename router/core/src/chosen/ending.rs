//! How streams end: silence, a refusal, the node's stop; and the tombstones they leave.

use std::time::Duration;

use super::Chosen;
use crate::event::{DropReason, EndReason, Event};
use crate::id::{Generation, Slot};
use crate::inspector::{HostPart, Totals};
use crate::limits::DETECTION_TIME;
use crate::mesh::Close;
use crate::session::{Announced, MarkerSession, State};
use crate::time::Instant;
use crate::turn::Turn;

/// How long an ended stream's key stays with this node: twice a redirector's tombstone, so that this one, which counts
/// the generations on, outlives it.
const TOMBSTONE: Duration = DETECTION_TIME.saturating_mul(4);

impl<H: HostPart> Chosen<H> {
    /// Ends a stream: tells the plugins, leaves a tombstone, and queues the news for both redirectors.
    pub fn end(&mut self, turn: &mut Turn<'_, H>, slot: Slot, reason: EndReason) {
        let node = self.settings.node;
        let session = self.markers.at_mut(slot);
        if !std::mem::replace(&mut session.alive, false) {
            return;
        }
        let (stream, return_key) = (session.stream(node), session.return_key);
        let told = !matches!(session.announced, Announced::No | Announced::Lost | Announced::Moved(_));
        self.alive -= 1;
        session.silent_since = turn.now;
        let generation = Generation { counter: session.generation, node };
        let totals = totals(session);
        turn.plugins.stream_ended(turn.now, &stream, &totals, reason, &mut session.host);
        while let Some(held) = self.hold.take(slot) {
            turn.out.drop(held.frame, drop_reason(reason));
        }
        turn.out.tell(Event::StreamEnded { flow: stream.opener, reason });
        if let (true, Some(return_key)) = (told, return_key) {
            self.closed.push(Close { arrival: stream.opener, return_key, generation });
        }
        self.note_untold(slot);
        self.room.sources.take(self.room.sources.of(&stream.opener));
        self.classify(slot);
        self.schedule(slot);
    }

    /// The stream belongs to another node: it ends here as soon as deadlines are looked at, without a word to the
    /// redirectors, which know better.
    pub fn give_up(&mut self, now: Instant, slot: Slot) {
        self.note_untold(slot);
        let session = self.markers.at_mut(slot);
        session.announced = Announced::Lost;
        self.classify(slot);
        self.deadlines.hasten(slot, now);
    }

    /// The stream's next deadline, unless an earlier one stands already: each packet moves it on, and is not to pay for that.
    pub(super) fn schedule(&mut self, slot: Slot) {
        let timeouts = self.settings.timeouts;
        let session = self.markers.at_mut(slot);
        let expiry = session.silent_since + if session.alive { session.timeout(&timeouts) } else { TOMBSTONE };
        self.deadlines.hasten(slot, expiry);
    }

    /// Nothing is left of a stream.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.forget_fence(slot);
        self.deadlines.forget(slot);
        self.room.leave(slot);
        self.markers.remove(slot);
    }

    /// Ends streams that were silent for too long.
    pub fn deadline_reached(&mut self, turn: &mut Turn<'_, H>) {
        while let Some(slot) = self.deadlines.pop_due(turn.now) {
            let timeouts = self.settings.timeouts;
            let session = self.markers.at_mut(slot);
            if session.announced == Announced::Lost {
                self.end(turn, slot, EndReason::Refused);
                self.forget(slot);
                continue;
            }
            let silent = turn.now.since(session.silent_since);
            if !session.alive && silent >= TOMBSTONE {
                self.forget(slot);
                continue;
            }
            if session.alive && silent >= session.timeout(&timeouts) {
                let reason = end_of_silence(session);
                self.end(turn, slot, reason);
                continue;
            }
            self.schedule(slot);
        }
    }
}

/// Why a stream ends that has been silent for its state's time.
pub(super) fn end_of_silence<H: HostPart>(session: &MarkerSession<H>) -> EndReason {
    if session.standing.is_ended() {
        return EndReason::Verdict;
    }
    match session.life.state() {
        State::Closed if session.life.was_reset() => EndReason::Reset,
        State::Closed => EndReason::Finished,
        State::Opening | State::OneWay | State::Established | State::Closing | State::Active => EndReason::TimedOut,
    }
}

/// Why the frames that are held for a stream end with it.
fn drop_reason(reason: EndReason) -> DropReason {
    match reason {
        EndReason::TimedOut => DropReason::HoldTimedOut,
        EndReason::Verdict => DropReason::Verdict,
        EndReason::Refused | EndReason::HandedOver => DropReason::Refused,
        EndReason::Finished | EndReason::Reset | EndReason::Replaced => DropReason::Tombstone,
        EndReason::Shutdown => DropReason::Stopping,
        EndReason::Evicted => DropReason::Evicted,
    }
}

fn totals<H: HostPart>(session: &MarkerSession<H>) -> Totals {
    let (there, back) = (session.counts.from_opener, session.counts.to_opener);
    Totals {
        packets_from_opener: there.packets,
        bytes_from_opener: there.bytes,
        packets_to_opener: back.packets,
        bytes_to_opener: back.bytes,
        started: session.started,
        last_packet: session.seen,
    }
}
