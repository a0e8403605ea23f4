//! How streams end: silence, a refusal, the node's stop; and the tombstones they leave.

use std::time::Duration;

use super::Chosen;
use crate::event::{DropReason, EndReason, Event};
use crate::id::Generation;
use crate::inspector::{Action, Inspector, Totals};
use crate::limits::DETECTION_TIME;
use crate::mesh::Close;
use crate::outbox::Outbox;
use crate::session::{Announced, MarkerSession, State};
use crate::time::Instant;

/// How long an ended stream's key stays with this node: twice a redirector's tombstone, so that this one, which counts
/// the generations on, outlives it.
const TOMBSTONE: Duration = DETECTION_TIME.saturating_mul(4);

impl Chosen {
    /// Ends a stream: tells the plugins, leaves a tombstone, and queues the news for both redirectors.
    pub fn end(&mut self, now: Instant, slot: u32, reason: EndReason, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let node = self.settings.node;
        let Some(session) = self.markers.at_mut(slot) else { return };
        if !std::mem::replace(&mut session.alive, false) {
            return;
        }
        let (stream, return_key) = (session.stream, session.return_key);
        let (started, last_packet) = (session.started, session.seen);
        let told = !matches!(session.announced, Announced::No | Announced::Lost | Announced::Moved(_));
        self.alive -= 1;
        session.seen = now;
        let generation = Generation { counter: session.generation, node };
        let (packets_from_opener, bytes_from_opener) = self.markers.counted(slot, Some(stream.opener));
        let (packets_to_opener, bytes_to_opener) = self.markers.counted(slot, return_key);
        let totals =
            Totals { packets_from_opener, bytes_from_opener, packets_to_opener, bytes_to_opener, started, last_packet };
        plugins.stream_ended(now, &stream, &totals, reason, self.markers.states().of(slot));
        while let Some(held) = self.hold.take(slot) {
            out.drop(held.frame, DropReason::HoldTimedOut);
        }
        out.tell(Event::StreamEnded { flow: stream.opener, reason });
        if let (true, Some(return_key)) = (told, return_key) {
            self.closed.push(Close { arrival: stream.opener, return_key, generation });
        }
        self.note_untold(slot);
        self.schedule(slot);
        self.markers.show(slot);
    }

    /// The stream belongs to another node: it ends here as soon as deadlines are looked at, without a word to the
    /// redirectors, which know better.
    pub fn give_up(&mut self, now: Instant, slot: u32) {
        self.note_untold(slot);
        if let Some(session) = self.markers.at_mut(slot) {
            session.announced = Announced::Lost;
            session.due = now;
            self.deadlines.push(now, (slot, session.stream.id));
        }
    }

    /// Queues the stream's next deadline, unless an earlier one is queued already.
    pub(super) fn schedule(&mut self, slot: u32) {
        let timeouts = self.settings.timeouts;
        let Some(session) = self.markers.at_mut(slot) else { return };
        let expiry = session.seen + if session.alive { session.life.timeout(&timeouts) } else { TOMBSTONE };
        if expiry < session.due {
            session.due = expiry;
            self.deadlines.push(expiry, (slot, session.stream.id));
        }
    }

    /// Ends streams that were silent for too long.
    pub fn deadline_reached(&mut self, now: Instant, plugins: &mut dyn Inspector, out: &mut Outbox) {
        while let Some((at, (slot, id))) = self.deadlines.pop_due(now) {
            let timeouts = self.settings.timeouts;
            let Some(session) = self.markers.at_mut(slot) else { continue };
            if session.stream.id != id || session.due != at {
                continue;
            }
            session.due = Instant::NEVER;
            if session.announced == Announced::Lost {
                self.end(now, slot, EndReason::Refused, plugins, out);
                self.markers.remove(slot);
                continue;
            }
            let silent = now.since(session.seen);
            if !session.alive && silent >= TOMBSTONE {
                self.markers.remove(slot);
                continue;
            }
            if session.alive && silent >= session.life.timeout(&timeouts) {
                let reason = end_of_silence(session);
                self.end(now, slot, reason, plugins, out);
                continue;
            }
            self.schedule(slot);
        }
    }
}

/// Why a stream ends that has been silent for its state's time.
fn end_of_silence(session: &MarkerSession) -> EndReason {
    if session.blocked_from_opener.action != Action::Pass && session.blocked_to_opener.action != Action::Pass {
        return EndReason::Verdict;
    }
    match session.life.state() {
        State::Closed if session.life.was_reset() => EndReason::Reset,
        State::Closed => EndReason::Finished,
        State::Opening | State::Established | State::Closing | State::Active => EndReason::TimedOut,
    }
}
