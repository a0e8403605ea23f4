//! The plugins in their order, as the core's [`Inspector`].
//!
//! Each plugin is told of the start and the end of every stream. A packet goes from plugin to plugin until one ends or
//! accepts it, so a later plugin sees what the earlier ones let through; what a plugin said of a whole flow or stream
//! is kept in the [`Head`] of the stream's state, and nobody is asked again.

use std::cell::Cell;

use herald_plugin::abi::{HeraldPacket, HeraldVerdict};

use super::Clock;
use super::describe;
use super::guard::{Onward, Said, Seat};
use super::head::{HEAD_LEN, Head, Standing};
use super::library::Plugin;
use super::manifest::FaultPolicy;
use super::report::Report;
use crate::event::EndReason;
use crate::inspector::{Action, Direction, Inspection, Inspector, Line, Scope, States, Stream, Totals, Verdict};
use crate::limits::{BATCH_PACKETS_MAX, PLUGIN_TIMED_BATCHES};
use crate::time::Instant;

/// The plugins of one node, in the order in which they are asked.
#[derive(Debug)]
pub struct Chain {
    seats: Vec<Seat>,
    state_len: usize,
    clock: Clock,
    batches: u64,
    asked: Asked,
}

/// The packets that one plugin is asked about, in room that is allocated once.
#[derive(Debug)]
struct Asked {
    packets: Vec<HeraldPacket>,
    verdicts: Vec<HeraldVerdict>,
    /// Index of each packet in the batch.
    places: Vec<usize>,
}

/// Which packets of a batch, one bit each.
type Places = u64;

const _: () = assert!(BATCH_PACKETS_MAX <= Places::BITS as usize);

impl Chain {
    /// A chain of these plugins, each with what becomes of packets it fails on.
    pub(super) fn new(plugins: Vec<(Plugin, FaultPolicy)>, clock: Clock) -> Self {
        let mut state_len = HEAD_LEN;
        let seats: Vec<_> = plugins
            .into_iter()
            .enumerate()
            .map(|(number, (plugin, policy))| {
                let state_at = state_len.next_multiple_of(plugin.manifest.state_align);
                state_len = state_at + plugin.manifest.state_size;
                Seat::new(number, plugin, policy, state_at)
            })
            .collect();
        let asked = Asked {
            packets: Vec::with_capacity(BATCH_PACKETS_MAX),
            verdicts: Vec::with_capacity(BATCH_PACKETS_MAX),
            places: Vec::with_capacity(BATCH_PACKETS_MAX),
        };
        Self { state_len: if seats.is_empty() { 0 } else { state_len }, seats, clock, batches: 0, asked }
    }

    /// What is counted of the plugins, readable from any thread while the chain works.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new(self.seats.iter().map(|seat| (seat.plugin.clone(), seat.book.clone())).collect())
    }

    /// Judges at most [`BATCH_PACKETS_MAX`] packets.
    fn judge(&mut self, now: Instant, batch: &mut [Inspection], states: &States) {
        self.batches += 1;
        let mut open = 0;
        for (place, inspection) in batch.iter_mut().enumerate() {
            if Head::read(states.of(inspection.slot)).stream != inspection.stream {
                // Its stream ended while it waited for the batch; another may have its place already.
                inspection.verdict = Verdict { action: Action::Drop, ..Verdict::default() };
            } else if inspection.verdict.action == Action::Pass {
                open |= 1 << place;
            }
        }
        for seat in 0..self.seats.len() {
            open = self.end_standing(open, batch, states);
            if open == 0 {
                return;
            }
            open = self.pass_through(now, seat, open, batch, states);
        }
        self.end_standing(open, batch, states);
    }

    /// Ends the packets for which a verdict stands already. Returns those that go on.
    fn end_standing(&self, open: Places, batch: &mut [Inspection], states: &States) -> Places {
        let mut onward = open;
        for place in places(open) {
            let Some(inspection) = batch.get_mut(place) else { break };
            if let Some(standing) = Head::read(states.of(inspection.slot)).standing(inspection.direction) {
                onward &= !(1 << place);
                inspection.verdict = Verdict { action: standing.action, fault: standing.fault, ..Verdict::default() };
                if let Some(seat) = self.seats.get(usize::from(standing.seat)) {
                    seat.book.dropped(standing.reason);
                }
            }
        }
        onward
    }

    /// Asks the plugin in one seat about the open packets. Returns those that go on to the next.
    fn pass_through(
        &mut self,
        now: Instant,
        number: usize,
        mut open: Places,
        batch: &mut [Inspection],
        states: &States,
    ) -> Places {
        let Some(seat) = self.seats.get_mut(number) else { return open };
        let clock = self.batches.is_multiple_of(PLUGIN_TIMED_BATCHES).then_some(self.clock.monotonic);
        let mut left = open;
        loop {
            self.asked.pick(seat, left, batch, states);
            if self.asked.places.is_empty() {
                return open;
            }
            if seat.is_suspended() {
                return open & !self.asked.refuse(seat, batch, states);
            }
            let judged = self.asked.ask(now, seat, clock);
            open &= !self.asked.heed(now, seat, judged, batch, states);
            match self.asked.places.get(judged) {
                // What the plugin did not come to when it failed, it is asked again.
                Some(&failed) => left = open & (!0 << failed) << 1,
                None => return open,
            }
        }
    }
}

impl Asked {
    /// Takes those of the open packets that the plugin wants to see.
    fn pick(&mut self, seat: &Seat, open: Places, batch: &[Inspection], states: &States) {
        self.packets.clear();
        self.verdicts.clear();
        self.places.clear();
        for place in places(open) {
            let Some(inspection) = batch.get(place) else { break };
            let state = states.of(inspection.slot);
            let head = Head::read(state);
            if head.asks(seat.number, inspection.direction) && head.standing(inspection.direction).is_none() {
                self.packets.push(describe::packet(inspection, seat.state(state)));
                self.verdicts.push(HeraldVerdict::PASS);
                self.places.push(place);
            }
        }
    }

    /// Calls the plugin, and takes the time with a clock, if there is one. Returns how many packets it judged.
    fn ask(&mut self, now: Instant, seat: &mut Seat, clock: Option<fn() -> Instant>) -> usize {
        let begin = clock.map(|clock| clock());
        // SAFETY: `pick` takes packets that this seat wants to see. It wants none of a stream whose state it has not made or
        // in which it failed: then its fault policy lets a verdict stand or has it skipped. Frames do not move meanwhile.
        let judged = unsafe { seat.ask(now, &self.packets, &mut self.verdicts) };
        if let (Some(begin), Some(clock)) = (begin, clock) {
            let nanos = clock().as_nanos().saturating_sub(begin.as_nanos());
            seat.book.took(nanos, self.packets.len() as u64);
        }
        judged
    }

    /// Acts on what the plugin said of the first `judged` packets, and on its failure at the next. Returns the packets
    /// that leave the chain.
    fn heed(&self, now: Instant, seat: &mut Seat, judged: usize, batch: &mut [Inspection], states: &States) -> Places {
        let (mut leaving, mut decided) = (0, false);
        for (index, (&place, verdict)) in self.places.iter().zip(&self.verdicts).take(judged + 1).enumerate() {
            let said = if index < judged { seat.said(verdict) } else { Said::Failed };
            if said == Said::Pass(Scope::Packet) && !decided {
                continue;
            }
            let Some(inspection) = batch.get_mut(place) else { break };
            let state = states.of(inspection.slot);
            let mut head = Head::read(state);
            let asked = head.asks(seat.number, inspection.direction) && head.standing(inspection.direction).is_none();
            if said == Said::Failed {
                head.made &= !seat.bit();
                if index < judged {
                    seat.failed(now, inspection.stream);
                }
            } else if !asked {
                // An earlier packet of this batch decided this one, too.
                continue;
            }
            let onward = seat.settle(said, inspection.direction, &mut head);
            head.write(state);
            decided = true;
            leaving |= apply(onward, seat, inspection, place);
        }
        leaving
    }

    /// The plugin is not called any more: its fault policy speaks for it.
    fn refuse(&self, seat: &Seat, batch: &mut [Inspection], states: &States) -> Places {
        let mut leaving = 0;
        for &place in &self.places {
            let Some(inspection) = batch.get_mut(place) else { break };
            let state = states.of(inspection.slot);
            let mut head = Head::read(state);
            let onward = seat.settle(Said::Failed, inspection.direction, &mut head);
            head.write(state);
            leaving |= apply(onward, seat, inspection, place);
        }
        leaving
    }
}

/// Writes down where a packet goes. Returns its bit if it leaves the chain.
fn apply(onward: Onward, seat: &Seat, inspection: &mut Inspection, place: usize) -> Places {
    match onward {
        Onward::Next => 0,
        Onward::Out => 1 << place,
        Onward::Ended { standing, scope } => {
            seat.book.dropped(standing.reason);
            inspection.verdict =
                Verdict { action: standing.action, scope, fault: standing.fault, ..inspection.verdict };
            1 << place
        }
    }
}

/// The places that are set, in order.
fn places(mut set: Places) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (place < Places::BITS).then_some(place as usize)
    })
}

impl Inspector for Chain {
    fn state_len(&self) -> usize {
        self.state_len
    }

    fn stream_started(&mut self, now: Instant, stream: &Stream, state: &[Cell<Line>]) -> Verdict {
        let raw = describe::stream(now, stream);
        let mut head = Head::of(stream.id);
        for seat in &mut self.seats {
            let said = if seat.is_suspended() {
                Said::Failed
            } else {
                // SAFETY: the core gives the state of a new stream, and its place is this seat's.
                let said = unsafe { seat.stream_started(now, &raw, seat.state(state)) };
                if said != Said::Failed {
                    head.made |= seat.bit();
                }
                said
            };
            // Behind a plugin that accepted the whole stream nobody is asked, but all are told.
            if said == Said::Failed || head.asks(seat.number, Direction::FromOpener) {
                seat.settle(said.at_start(), Direction::FromOpener, &mut head);
            }
        }
        head.write(state);
        match head.standing(Direction::FromOpener) {
            None => Verdict::default(),
            Some(Standing { action, seat, reason, fault }) => {
                if let Some(seat) = self.seats.get(usize::from(seat)) {
                    seat.book.dropped(reason);
                }
                Verdict { action, scope: Scope::Stream, rewritten: false, fault }
            }
        }
    }

    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], states: &States) {
        if !self.seats.is_empty() {
            for batch in batch.chunks_mut(BATCH_PACKETS_MAX) {
                self.judge(now, batch, states);
            }
        }
    }

    fn stream_ended(
        &mut self,
        now: Instant,
        stream: &Stream,
        totals: &Totals,
        reason: EndReason,
        state: &[Cell<Line>],
    ) {
        let head = Head::read(state);
        if head.stream != stream.id {
            return;
        }
        let (raw, end) = (describe::stream(now, stream), describe::end(totals, reason));
        for seat in &mut self.seats {
            if head.made & seat.bit() != 0 {
                // SAFETY: the head says that this seat has made its state; the head is wiped below.
                unsafe { seat.stream_ended(now, &raw, &end, seat.state(state)) };
            }
        }
        Head::default().write(state);
    }
}
