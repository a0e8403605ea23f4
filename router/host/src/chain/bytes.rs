//! TCP in order: what is left of a batch behind the packets' hooks goes through the stream engine, segment by segment, and bytes
//! that are in order then are shown to the plugins that listen, before the segment leaves.
//!
//! ```text
//! packets' hooks, plugin by plugin -> the engine: dropped, changed or as it came -> `stream_bytes`, plugin by plugin -> it leaves
//! ```
//!
//! So the engine sees what plugins wrote, and nothing that an engine has taken is changed by anybody. A segment that it took and
//! that a plugin or the router ends later is one that was lost behind this node: its sender repeats it, and it is compared.

use herald_core::event::DropReason;
use herald_core::inspector::{Action, Direction, Inspection, PerDirection, Standing, Stream, Verdict};
use herald_core::packet::Transport;
use herald_core::time::Instant;
use herald_plugin::Scope;
use herald_plugin::abi::{HERALD_BYTES_END, HERALD_BYTES_GAP, HERALD_BYTES_LOST, HeraldBytes, HeraldStreamBytes};
use herald_stream::limits::WANT_MAX;
use herald_stream::{Action as Engines, Answer, Begun, End, Judged, Segment, Side};

use super::{Chain, Way, outcome, places};
use crate::breaker::Admits;
use crate::effects;
use crate::guard::Seat;
use crate::head::Head;
use crate::order::{self, Cursor, Listener, Ordered};
use crate::word::{Fault, Said, covered};
use crate::{answer, describe};

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// What there is to tell of a direction besides its bytes.
#[derive(Clone, Copy)]
struct News {
    is_end: bool,
    is_lost: bool,
}

/// What the engine says of a segment.
enum Word {
    /// It does not follow the stream, or this packet is none of its business.
    Nothing,
    Judged(Judged),
    /// By its exception policy the stream passes without inspection, from its first segment on.
    Passes,
    Ends(Ending),
}

/// How a segment ends.
enum Ending {
    /// Alone.
    Segment(DropReason),
    /// With its stream, which is reset.
    Stream(DropReason),
    /// By a plugin that is called no more.
    Suspended(usize),
}

impl Chain {
    /// A stream has started: it is put in order from its first segment on if a plugin listens.
    pub(super) fn put_in_order_from_now_on(&mut self, stream: &Stream, deaf: PerDirection<u32>, head: &mut Head) {
        if stream.opener.protocol() != TCP {
            return;
        }
        let made = |seat: &&Seat| head.made & seat.bit() != 0;
        let wanting = self.seats.iter().filter(|seat| seat.wants_bytes() && seat.takes(&stream.opener));
        let listeners: Vec<_> = wanting.filter(made).filter_map(|seat| Listener::new(seat.number, deaf)).collect();
        if let Some(orders) = self.orders.as_mut().filter(|_| !listeners.is_empty()) {
            head.order = orders.start(listeners);
        }
    }

    /// Puts what is left of a batch in order, and shows bytes to plugins.
    pub(super) fn put_in_order(&mut self, now: Instant, way: &mut Way<'_>) {
        way.hushed.sort_by_key(|(place, _)| *place);
        let mut said = std::mem::take(&mut way.hushed).into_iter().peekable();
        for place in 0..way.batch.len() {
            while let Some((_, plugins)) = said.next_if(|(at, _)| *at <= place) {
                self.hush(place, plugins, way);
            }
            let is_ordered = way.heads.get(place).is_some_and(|head| head.order.is_some());
            if is_ordered && (way.open | way.accepted) & 1 << place != 0 {
                self.order_segment(now, place, way);
            }
        }
    }

    /// Plugins see no more bytes of a packet's stream.
    fn hush(&mut self, place: usize, plugins: PerDirection<u32>, way: &mut Way<'_>) {
        let Some((mut ordered, head)) = self.take_ordered(place, way) else { return };
        if let Some(orders) = &mut self.orders {
            ordered.hush(plugins, &mut orders.engine);
        }
        self.put_back(place, ordered, head, way);
    }

    /// The order of a packet's stream, and its head as it is now.
    fn take_ordered(&mut self, place: usize, way: &mut Way<'_>) -> Option<(Ordered, Head)> {
        let Inspection { slot, stream, .. } = *way.batch.get(place)?;
        let head = *way.parts.part(slot, stream)?;
        Some((self.orders.as_mut()?.take(head.order)?, head))
    }

    /// Keeps the order of a packet's stream, unless nobody looks at the stream any more.
    fn put_back(&mut self, place: usize, ordered: Ordered, head: Head, way: &mut Way<'_>) {
        let Some(orders) = &mut self.orders else { return };
        let Some(Inspection { slot, stream, standing, .. }) = way.batch.get(place) else {
            return orders.put(head.order, ordered);
        };
        let is_over = match &ordered.stream {
            Some(stream) => stream.is_unwatched(),
            None => ordered.watched().is_none(),
        };
        if !is_over && !standing.is_ended() {
            return orders.put(head.order, ordered);
        }
        let mut at = head.order;
        orders.close(&mut at, &ordered);
        if let Some(part) = way.parts.part(*slot, *stream) {
            part.order = at;
        }
        way.is_changed = true;
    }

    fn order_segment(&mut self, now: Instant, place: usize, way: &mut Way<'_>) {
        let Some((mut ordered, head)) = self.take_ordered(place, way) else { return };
        let word = way.batch.get_mut(place).map_or(Word::Nothing, |inspection| self.judge(&mut ordered, inspection));
        match word {
            Word::Nothing => {}
            Word::Judged(judged) => {
                if let Some(made) = judged.answer.and_then(|answer| answered(place, answer, way)) {
                    self.injected.push(made);
                }
                match judged.action {
                    Engines::Drop(reason) => way.end_segment(place, order::drop_reason(reason)),
                    Engines::Reset(exception) => way.end_stream(place, order::exception_reason(exception)),
                    Engines::Pass => {
                        let news = News { is_end: judged.end == Some(End::Fin), is_lost: judged.gap.is_some() };
                        if judged.fresh.len > 0 || news.is_end || news.is_lost {
                            self.show(now, (place, news), &mut ordered, way);
                        }
                    }
                }
            }
            Word::Passes => {
                self.show(now, (place, News { is_end: false, is_lost: true }), &mut ordered, way);
                ordered.listeners.clear();
            }
            Word::Ends(Ending::Segment(reason)) => way.end_segment(place, reason),
            Word::Ends(Ending::Stream(reason)) => way.end_stream(place, reason),
            Word::Ends(Ending::Suspended(number)) => {
                if let Some(seat) = self.seats.get(number) {
                    way.settle(seat, Said::Suspended(Scope::Packet), place);
                }
            }
        }
        self.put_back(place, ordered, head, way);
    }

    /// The engine's word on a segment.
    fn judge(&mut self, ordered: &mut Ordered, inspection: &mut Inspection) -> Word {
        // An error about the stream is none of its segments.
        let (Some(orders), Transport::Tcp { .. }) = (&mut self.orders, inspection.arrival.headers.transport) else {
            return Word::Nothing;
        };
        // What a plugin would have to see that is called no more does not leave.
        let ends = |seat: &usize| self.seats.get(*seat).is_some_and(Seat::ends_streams);
        if let Some(number) = ordered.listening().find(ends) {
            return Word::Ends(Ending::Suspended(number));
        }
        let (side, arrival) = (order::side(inspection.direction), &mut inspection.arrival);
        let Ok(segment) = Segment::of(&arrival.headers, &mut arrival.frame) else {
            return Word::Ends(Ending::Segment(DropReason::TcpNoSegment));
        };
        let is_bare = segment.payload.is_empty();
        match &ordered.stream {
            // What begins with it is another stream once it is answered. Bytes on it would be nobody's.
            Some(stream) if stream.is_succeeded_by(&segment) && is_bare => return Word::Nothing,
            Some(stream) if stream.is_succeeded_by(&segment) => {
                return Word::Ends(Ending::Segment(DropReason::TcpSynInConnection));
            }
            Some(_) => {}
            None => {
                let Some(watched) = ordered.watched() else { return Word::Nothing };
                match orders.engine.begin(side, &segment, watched) {
                    Begun::Followed(stream) => ordered.follow(stream),
                    Begun::Passes(_) => return Word::Passes,
                    Begun::Dropped(reason) => return Word::Ends(Ending::Segment(order::drop_reason(reason))),
                    Begun::Reset(exception) => return Word::Ends(Ending::Stream(order::exception_reason(exception))),
                }
            }
        }
        let Some(stream) = &mut ordered.stream else { return Word::Nothing };
        let len = arrival.headers.payload_len();
        match orders.engine.frame(stream, side, &arrival.headers, &mut arrival.frame) {
            Ok(judged) => {
                inspection.verdict.rewritten |= judged.action == Engines::Pass && !judged.edit.is_none(len);
                Word::Judged(judged)
            }
            Err(_) => Word::Ends(Ending::Segment(DropReason::TcpNoSegment)),
        }
    }

    /// Shows bytes to each plugin that is awake, in the order of the chain.
    fn show(&mut self, now: Instant, (place, news): (usize, News), ordered: &mut Ordered, way: &mut Way<'_>) {
        let Some(direction) = way.batch.get(place).map(|inspection| inspection.direction) else { return };
        for number in 0..ordered.listeners.len() {
            let Some(said) = self.show_to(now, (place, news), (number, ordered), way) else { continue };
            let Some(listener) = ordered.listeners.get_mut(number) else { return };
            let Some(seat) = self.seats.get(listener.seat) else { return };
            match said {
                Said::Pass(scope) => covered(scope, direction).iter().for_each(|&of| listener.at[of] = None),
                Said::Accept(_) => {
                    way.settle(seat, said, place);
                    ordered.skip_behind(number, direction);
                }
                Said::Bypass | Said::End { .. } | Said::Failed | Said::Suspended(_) | Said::Limited => {
                    way.settle(seat, said.at_start(), place);
                }
            }
            for (_, plugins) in std::mem::take(&mut way.hushed) {
                ordered.silence(plugins);
            }
            if matches!(said, Said::Accept(Scope::Packet)) || way.is_ended(place) {
                break;
            }
        }
        if let Some(orders) = &mut self.orders {
            ordered.hush(PerDirection::default(), &mut orders.engine);
        }
        ordered.rest(direction);
    }

    /// Shows one plugin what it has not seen. `None` if there is nothing for it, or it says nothing.
    fn show_to(
        &mut self,
        now: Instant,
        (place, News { is_end, is_lost }): (usize, News),
        (number, ordered): (usize, &mut Ordered),
        way: &mut Way<'_>,
    ) -> Option<Said> {
        let inspection = way.batch.get(place)?;
        let (direction, orders) = (inspection.direction, self.orders.as_mut()?);
        let side = order::side(direction);
        let Ordered { stream, listeners } = ordered;
        let listener = listeners.get_mut(number)?;
        let seat = self.seats.get_mut(listener.seat)?;
        let cursor = listener.at[direction].as_mut()?;
        let next = stream.as_ref().map_or(cursor.seen, |stream| stream.in_order(side));
        if !is_end && !is_lost && (next <= cursor.seen || next < cursor.wake) {
            return None;
        }
        if matches!(seat.admits(), Admits::Nothing) {
            return Some(Said::Suspended(Scope::Packet));
        }
        let head = way.parts.part(inspection.slot, inspection.stream)?;
        if head.made & seat.bit() == 0 {
            listener.at = PerDirection::default();
            return None;
        }
        let fresh = match stream.as_ref().map(|stream| stream.bytes(side, cursor.seen, next)) {
            None => &[],
            Some((one, [])) => one,
            Some((one, two)) => {
                orders.joined.clear();
                orders.joined.extend_from_slice(one);
                orders.joined.extend_from_slice(two);
                &orders.joined
            }
        };
        let marks = [(cursor.has_gap, HERALD_BYTES_GAP), (is_end, HERALD_BYTES_END), (is_lost, HERALD_BYTES_LOST)];
        let mut bytes = HeraldStreamBytes {
            marks: marks.into_iter().filter(|(is, _)| *is).fold(0, |marks, (_, mark)| marks | mark),
            offset: cursor.seen,
            fresh: HeraldBytes::new(fresh),
            state: seat.state(&self.blocks, head.home),
            ..describe::bytes((now, now.as_nanos().wrapping_add(self.unix_ahead)), inspection, head.mark)
        };
        // SAFETY: neither changes before the call is over.
        unsafe { effects::open_stream(head, &self.notes) };
        // SAFETY: the head says that this seat has made its state; nothing of it moves meanwhile.
        let said = unsafe { seat.stream_bytes((now, Fault::in_bytes(inspection)), &mut bytes) };
        if effects::close() {
            outcome::take_stream_effects(head, &mut self.notes);
        }
        *cursor = Cursor { seen: next, wake: next + bytes.want.min(WANT_MAX), has_gap: false };
        (said != Said::Pass(Scope::Packet)).then_some(said)
    }
}

impl Way<'_> {
    fn is_ended(&self, place: usize) -> bool {
        self.batch.get(place).is_none_or(|inspection| inspection.verdict.action != Action::Pass)
    }

    /// The host ends a segment.
    fn end_segment(&mut self, place: usize, reason: DropReason) {
        let verdict = Verdict { action: Action::Drop, by_host: Some(reason), ..Verdict::default() };
        self.open &= !(1 << place);
        self.accepted &= !(1 << place);
        if let Some(inspection) = self.batch.get_mut(place) {
            inspection.verdict = verdict;
        }
    }

    /// The host ends a stream: both ends are reset.
    fn end_stream(&mut self, place: usize, reason: DropReason) {
        let verdict = Verdict { action: Action::Reject, by_host: Some(reason), ..Verdict::default() };
        let Some(stream) = self.batch.get(place).map(|inspection| inspection.stream) else { return };
        self.is_changed = true;
        for later in places((self.open | self.accepted) & !0 << place) {
            let Some(inspection) = self.batch.get_mut(later).filter(|packet| packet.stream == stream) else { continue };
            inspection.verdict = verdict;
            Direction::BOTH.iter().for_each(|&of| inspection.standing[of].strengthen(Standing::Ended(verdict)));
            self.open &= !(1 << later);
            self.accepted &= !(1 << later);
        }
    }
}

/// What the engine wants to say to an end, as a packet of its stream.
#[cold]
fn answered(place: usize, answer: Answer, way: &Way<'_>) -> Option<Inspection> {
    let inspection = way.batch.get(place)?;
    let direction = match answer.to {
        Side::Opener => Direction::ToOpener,
        Side::Answerer => Direction::FromOpener,
    };
    let packet = answer::packet(&inspection.arrival.headers, direction == inspection.direction, &answer)?;
    way.make(place, direction, &packet)
}
