//! The plugins in their order, as the core's [`Inspector`].
//!
//! Each plugin is told of the start and the end of every stream. A packet goes from plugin to plugin until one ends or
//! accepts it, so a later plugin sees what the earlier ones let through; what a plugin said of a whole flow or stream
//! is kept in the [`Head`] of the stream's state, and nobody is asked again.
//!
//! Each plugin gets its packets of a batch at once, so it may see a packet that a later plugin's word on an earlier packet
//! of the same stream ends. That packet is not sent on, and what ends a whole stream or one packet ends the same packets
//! as if they came one by one; but what the earlier plugin said of the other direction at that packet stays said.

use std::cell::Cell;

use herald_plugin::abi::{HeraldPacket, HeraldVerdict};

use super::Clock;
use super::describe;
use super::guard::{Onward, Said, Seat};
use super::head::{HEAD_LEN, Head, Standing};
use super::library::Plugin;
use super::manifest::FaultPolicy;
use super::report::Report;
use herald_core::event::EndReason;
use herald_core::inspector::{Action, Direction, Inspection, Inspector, Line, Scope, States, Stream, Totals, Verdict};
use herald_core::limits::{BATCH_PACKETS_MAX, PLUGIN_TIMED_BATCHES};
use herald_core::time::Instant;

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

/// The packets of one batch on their way through the chain. What a plugin says of a stream holds from its packet on, not
/// for those before it.
struct Way<'a> {
    /// Not decided yet.
    open: Places,
    /// Accepted by a plugin; a later plugin's word on an earlier packet of the stream may still end them.
    accepted: Places,
    /// Seats that are not asked, for each packet.
    skips: [u32; BATCH_PACKETS_MAX],
    batch: &'a mut [Inspection],
    states: &'a States,
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

    /// Asks the plugin in one seat about the packets that are still on their way.
    fn pass_through(&mut self, now: Instant, number: usize, way: &mut Way<'_>) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let clock = self.batches.is_multiple_of(PLUGIN_TIMED_BATCHES).then_some(self.clock.monotonic);
        let mut left = way.open;
        loop {
            self.asked.pick(seat, left, way);
            if self.asked.places.is_empty() {
                return;
            }
            if seat.is_suspended() {
                return self.asked.refuse(seat, way);
            }
            let judged = self.asked.ask(now, seat, clock);
            self.asked.heed(now, seat, judged, way);
            match self.asked.places.get(judged) {
                // What the plugin did not come to when it failed, it is asked again.
                Some(&failed) => left = way.open & (!0 << failed) << 1,
                None => return,
            }
        }
    }
}

impl<'a> Way<'a> {
    /// The packets of a batch at the beginning of the chain; those that are decided already have left it.
    fn begin(batch: &'a mut [Inspection], states: &'a States, seats: &[Seat]) -> Self {
        let mut way = Self { open: 0, accepted: 0, skips: [0; BATCH_PACKETS_MAX], batch, states };
        for (place, (inspection, skips)) in way.batch.iter_mut().zip(&mut way.skips).enumerate() {
            let head = Head::read(states.of(inspection.slot));
            *skips = head.skips(inspection.direction);
            if head.stream != inspection.stream {
                // Its stream ended while it waited for the batch; another may have its place already.
                inspection.verdict = Verdict { action: Action::Drop, ..Verdict::default() };
            } else if let Some(standing) = head.standing(inspection.direction) {
                inspection.verdict = verdict(standing, Scope::Packet);
                if let Some(seat) = seats.get(usize::from(standing.seat)) {
                    seat.book.dropped(standing.reason);
                }
            } else if inspection.verdict.action == Action::Pass {
                way.open |= 1 << place;
            }
        }
        way
    }

    /// What the plugin in a seat said of the packet at a place takes effect: on the packet, and on its stream.
    fn settle(&mut self, seat: &Seat, said: Said, place: usize) {
        let Some(inspection) = self.batch.get_mut(place) else { return };
        let mut word = Head::default();
        match seat.settle(said, inspection.direction, &mut word) {
            Onward::Next => {}
            Onward::Out => {
                self.open &= !(1 << place);
                self.accepted |= 1 << place;
            }
            Onward::Ended { standing, scope } => {
                self.open &= !(1 << place);
                inspection.verdict = verdict(standing, scope);
                seat.book.dropped(standing.reason);
            }
        }
        if word != Head::default() {
            let slot = inspection.slot;
            let mut head = Head::read(self.states.of(slot));
            head.take_on(&word);
            if said == Said::Failed {
                head.made &= !seat.bit();
            }
            head.write(self.states.of(slot));
            self.settle_later(seat, slot, &word, place);
        }
    }

    /// A word on a stream was said at a place: the packets of the stream behind it feel that, not those before it.
    fn settle_later(&mut self, seat: &Seat, slot: u32, word: &Head, place: usize) {
        for later in places((self.open | self.accepted) & (!0 << place) << 1) {
            let Some((inspection, skips)) = self.batch.get_mut(later).zip(self.skips.get_mut(later)) else { break };
            if inspection.slot == slot {
                *skips |= word.skips(inspection.direction);
                if let Some(standing) = word.standing(inspection.direction) {
                    self.open &= !(1 << later);
                    self.accepted &= !(1 << later);
                    inspection.verdict = verdict(standing, Scope::Packet);
                    seat.book.dropped(standing.reason);
                }
            }
        }
    }

    /// The plugin in this seat has a say about the packet at this place.
    fn asks(&self, seat: &Seat, place: usize) -> bool {
        self.open & 1 << place != 0 && self.skips.get(place).is_some_and(|skips| skips & seat.bit() == 0)
    }
}

impl Asked {
    /// Takes those of the packets in `left` that the plugin wants to see.
    fn pick(&mut self, seat: &Seat, left: Places, way: &Way<'_>) {
        self.packets.clear();
        self.verdicts.clear();
        self.places.clear();
        for place in places(left) {
            if let (true, Some(inspection)) = (way.asks(seat, place), way.batch.get(place)) {
                let state = seat.state(way.states.of(inspection.slot));
                self.packets.push(describe::packet(inspection, state));
                self.verdicts.push(HeraldVerdict::PASS);
                self.places.push(place);
            }
        }
    }

    /// Calls the plugin, and takes the time if there is a clock. Returns how many packets it judged.
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

    /// Acts on what the plugin said of the first `judged` packets, and on its failure at the next.
    fn heed(&self, now: Instant, seat: &mut Seat, judged: usize, way: &mut Way<'_>) {
        for (&place, verdict) in self.places.iter().zip(&self.verdicts).take(judged) {
            let said = seat.said(verdict);
            // A packet before it may have decided this one, too.
            if said != Said::Pass(Scope::Packet) && way.asks(seat, place) {
                if let (Said::Failed, Some(inspection)) = (said, way.batch.get(place)) {
                    seat.failed(now, inspection.stream);
                }
                way.settle(seat, said, place);
            }
        }
        if let Some(&failed) = self.places.get(judged) {
            way.settle(seat, Said::Failed, failed);
        }
    }

    /// The plugin is not called any more: its fault policy speaks for it.
    fn refuse(&self, seat: &Seat, way: &mut Way<'_>) {
        for &place in &self.places {
            if way.asks(seat, place) {
                way.settle(seat, Said::Suspended, place);
            }
        }
    }
}

fn verdict(standing: Standing, scope: Scope) -> Verdict {
    Verdict { action: standing.action, scope, rewritten: false, fault: standing.fault }
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
                Said::Suspended
            } else {
                // SAFETY: the core gives the state of a new stream, and its place is this seat's.
                let said = unsafe { seat.stream_started(now, &raw, seat.state(state)) };
                if said != Said::Failed {
                    head.made |= seat.bit();
                }
                said
            };
            // Behind a plugin that accepted the whole stream nobody is asked, but all are told.
            let failed = matches!(said, Said::Failed | Said::Suspended);
            if failed || head.skips(Direction::FromOpener) & seat.bit() == 0 {
                seat.settle(said.at_start(), Direction::FromOpener, &mut head);
            }
        }
        head.write(state);
        match head.standing(Direction::FromOpener) {
            None => Verdict::default(),
            Some(standing) => {
                if let Some(seat) = self.seats.get(usize::from(standing.seat)) {
                    seat.book.dropped(standing.reason);
                }
                verdict(standing, Scope::Stream)
            }
        }
    }

    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], states: &States) {
        if self.seats.is_empty() {
            return;
        }
        for batch in batch.chunks_mut(BATCH_PACKETS_MAX) {
            self.batches += 1;
            let mut way = Way::begin(batch, states, &self.seats);
            for number in 0..self.seats.len() {
                self.pass_through(now, number, &mut way);
            }
            self.seats.last_mut().into_iter().for_each(Seat::mix_configurations);
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
