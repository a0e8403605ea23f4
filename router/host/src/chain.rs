//! The plugins in their order, as the core's [`Inspector`].
//!
//! Each plugin is told of the start and the end of every stream. A packet goes from plugin to plugin until one ends or
//! accepts it, so a later plugin sees what the earlier ones let through; whom a plugin's word on a whole flow or stream
//! spares is kept in the [`Head`] of the stream's record, and what ends stands in the record itself: the core asks the
//! chain no more.
//!
//! Each plugin gets its packets of a batch at once, so it may see a packet that a later plugin's word on an earlier packet
//! of the same stream ends. That packet is not sent on, and what ends a whole stream or one packet ends the same packets
//! as if they came one by one; but what the earlier plugin said of the other direction at that packet stays said.

mod asked;
mod bytes;
mod outcome;
mod way;

use herald_plugin::abi::{HeraldPacket, HeraldText, HeraldVerdict};

use super::Clock;
use super::block::{Blocks, ChainGeneration, StateLayout};
use super::book::SuspendedRow;
use super::breaker::Admits;
use super::guard::Seat;
use super::head::Head;
use super::library::Plugin;
use super::manifest::FaultPolicy;
use super::notes::Notes;
use super::order::{self, InOrder, Orders};
use super::report::Report;
use super::word::{Said, Word};
use super::{describe, effects};
use herald_core::event::{EndReason, Event};
use herald_core::flow::SourceNetwork;
use herald_core::inspector::{
    Direction, Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals,
};
use herald_core::limits::{BATCH_PACKETS_MAX, PLUGIN_TIMED_BATCHES};
use herald_core::time::Instant;
use way::{Places, Way, interest, places, take_on};

/// The plugins of one node, in the order in which they are asked.
#[derive(Debug)]
pub struct Chain {
    seats: Vec<Seat>,
    blocks: Blocks,
    /// The bits of all seats.
    all: u32,
    clock: Clock,
    batches: u64,
    asked: Asked,
    notes: Notes,
    /// `None` if no plugin wants bytes in order.
    orders: Option<Box<Orders>>,
    /// Packets that plugins have made in this batch, each with the seat that sees it first.
    made: Vec<(usize, Inspection)>,
    /// Those that all have seen.
    injected: Vec<Inspection>,
    /// What the clock of the day is ahead of the loop's.
    unix_ahead: u64,
}

/// The packets that one plugin is asked about, in room that is allocated once.
#[derive(Debug)]
struct Asked {
    packets: Vec<HeraldPacket>,
    verdicts: Vec<HeraldVerdict>,
    /// Index of each packet in the batch.
    places: Vec<usize>,
    /// There are more, which it is not given in this call.
    is_cut: bool,
}

impl Chain {
    /// A chain of these plugins, each with what becomes of packets it fails on.
    pub(super) fn new(plugins: Vec<(Plugin, FaultPolicy)>, clock: Clock) -> Self {
        let mut states = StateLayout::EMPTY;
        let seats: Vec<_> = plugins
            .into_iter()
            .enumerate()
            .map(|(number, (plugin, policy))| {
                let state_at = states.add(plugin.manifest.state_size, plugin.manifest.state_align);
                Seat::new(number, plugin, policy, state_at)
            })
            .collect();
        let asked = Asked {
            packets: Vec::with_capacity(BATCH_PACKETS_MAX),
            verdicts: Vec::with_capacity(BATCH_PACKETS_MAX),
            places: Vec::with_capacity(BATCH_PACKETS_MAX),
            is_cut: false,
        };
        let orders = seats.iter().any(Seat::wants_bytes).then(Box::default);
        let all = seats.iter().fold(0, |mask, seat| mask | seat.bit());
        Self {
            seats,
            blocks: Blocks::new(ChainGeneration::FIRST, states),
            all,
            clock,
            batches: 0,
            asked,
            notes: Notes::default(),
            orders,
            made: Vec::new(),
            injected: Vec::new(),
            unix_ahead: (clock.unix_nanos)(),
        }
    }

    /// What is counted of the plugins, readable from any thread while the chain works.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new(self.seats.iter().map(|seat| (seat.plugin.clone(), seat.book.clone())).collect())
    }

    /// The plugins that are not called as ever.
    #[must_use]
    pub fn suspended(&self) -> Vec<SuspendedRow> {
        self.seats.iter().filter_map(|seat| seat.book.suspended(seat.name())).collect()
    }

    /// What became of the streams that are put in order.
    #[must_use]
    pub fn in_order(&self) -> InOrder {
        self.orders.as_ref().map(|orders| orders.report()).unwrap_or_default()
    }

    /// Bytes that the plugins' states of one stream take.
    #[must_use]
    pub fn stream_len(&self) -> usize {
        self.blocks.stream_len()
    }

    /// What happened to the plugins since the last call.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> {
        self.seats.iter_mut().flat_map(Seat::take_events)
    }

    /// Asks the plugin in one seat about the packets that are still on their way.
    fn pass_through(&mut self, now: Instant, number: usize, way: &mut Way<'_>) {
        let Some(seat) = self.seats.get_mut(number) else { return };
        let clock = self.batches.is_multiple_of(PLUGIN_TIMED_BATCHES).then_some(self.clock.monotonic);
        let unix_now = now.as_nanos().wrapping_add(self.unix_ahead);
        let mut left = way.open;
        loop {
            self.asked.pick(seat, &self.blocks, left, way);
            if self.asked.places.is_empty() {
                return;
            }
            match seat.admits() {
                Admits::All => {}
                Admits::One => self.asked.keep_one(),
                Admits::Nothing => return self.asked.refuse(seat, way),
            }
            let judged = self.asked.ask((now, unix_now), seat, clock, (way, &self.notes));
            if effects::close() {
                self.asked.take_effects(now, seat, judged, way, (&mut self.notes, &mut self.made));
            }
            self.asked.heed(now, seat, judged, way);
            match self.asked.last_asked(judged) {
                // What the plugin did not come to when it failed, or was not given when it was tried, it is asked again.
                Some(last) => left = way.open & (!0 << last) << 1,
                None => return,
            }
        }
    }
}

impl Inspector for Chain {
    type Part = Head;

    fn stream_started(&mut self, now: Instant, stream: &Stream, head: &mut Head) -> PerDirection<Standing> {
        let mut raw = describe::stream(now, now.as_nanos().wrapping_add(self.unix_ahead), 0, stream);
        head.home = self.blocks.take();
        let source = SourceNetwork::of(stream.opener.source().ip());
        let (mut standing, mut ended_by) = (PerDirection::<Standing>::default(), None);
        let mut deaf = PerDirection::default();
        for seat in &mut self.seats {
            if !seat.takes(&stream.opener) {
                Direction::BOTH.iter().for_each(|&direction| head.skip(seat.bit(), direction));
                continue;
            }
            let said = if let Some(refused) = seat.refuses(now, source) {
                refused
            } else {
                let state = seat.state(&self.blocks, head.home);
                // SAFETY: neither changes before the call is over.
                unsafe { effects::open_stream(head, &self.notes) };
                // SAFETY: the block is new and of this chain's layout, and the place is this seat's.
                let said = unsafe { seat.stream_started(now, (&raw, source), state) };
                if effects::close() {
                    outcome::take_stream_effects(head, &mut self.notes);
                    raw.mark = head.mark;
                }
                if said != Said::Failed {
                    head.made |= seat.bit();
                }
                said
            };
            // Behind a plugin that accepted the whole stream nobody is asked, but all are told.
            let failed = matches!(said, Said::Failed | Said::Suspended(_) | Said::Limited);
            if failed || head.skips(Direction::FromOpener) & seat.bit() == 0 {
                let mut word = Word::default();
                seat.settle(said.at_start(), Direction::FromOpener, &mut word);
                take_on(head, &word);
                deaf = order::both(deaf, word.deaf);
                let before = standing;
                for direction in Direction::BOTH {
                    standing[direction].strengthen(word.standing[direction]);
                }
                if standing != before {
                    ended_by = Some((seat.number, word.reason));
                }
            }
        }
        if let Some((number, reason)) = ended_by
            && let Some(seat) = self.seats.get(number)
        {
            seat.book.dropped(reason);
        }
        if self.orders.is_some() && !standing.is_ended() {
            self.put_in_order_from_now_on(stream, deaf, head);
        }
        for direction in Direction::BOTH {
            standing[direction].strengthen(interest(head, direction, self.all));
        }
        standing
    }

    fn reserve(&mut self, streams: usize) -> bool {
        self.blocks.reserve(streams)
    }

    fn inspect(&mut self, now: Instant, batch: &mut [Inspection], parts: &mut dyn Parts<Head>) {
        for batch in batch.chunks_mut(BATCH_PACKETS_MAX) {
            self.batches += 1;
            if self.batches.is_multiple_of(PLUGIN_TIMED_BATCHES) {
                self.unix_ahead = (self.clock.unix_nanos)().wrapping_sub(now.as_nanos());
            }
            let mut way = Way::begin(batch, parts);
            for number in 0..self.seats.len() {
                self.pass_through(now, number, &mut way);
            }
            if self.orders.is_some() {
                self.put_in_order(now, &mut way);
            }
            if way.is_changed {
                way.end(self.all);
            }
            self.seats.last_mut().into_iter().for_each(Seat::mix_configurations);
            if !self.made.is_empty() {
                self.judge_made(now, parts);
            }
        }
    }

    fn take_injected(&mut self, injected: &mut Vec<Inspection>) {
        injected.append(&mut self.injected);
    }

    fn stream_ended(&mut self, now: Instant, stream: &Stream, totals: &Totals, reason: EndReason, head: &mut Head) {
        let raw = describe::stream(now, now.as_nanos().wrapping_add(self.unix_ahead), head.mark, stream);
        let mut end = describe::end(totals, reason);
        if let Some(by) = usize::from(head.ended_by.0).checked_sub(1).and_then(|number| self.seats.get(number)) {
            let why = by.book.reason_text(head.ended_by.1);
            (end.by, end.why) = (HeraldText::new(by.name()), HeraldText::new(why));
        }
        let notes = self.notes.of(head.notes);
        end.notes = (&raw const notes).cast();
        end.each_note = Some(effects::each_note);
        let source = SourceNetwork::of(stream.opener.source().ip());
        for seat in &mut self.seats {
            if head.made & seat.bit() != 0 {
                let state = seat.state(&self.blocks, head.home);
                // SAFETY: neither changes before the call is over.
                unsafe { effects::open_stream(head, &self.notes) };
                // SAFETY: the head says that this seat has made its state; it is wiped below.
                unsafe { seat.stream_ended(now, (&raw, source), &end, state) };
                if effects::close() {
                    effects::give(effects::take());
                }
            }
        }
        if let Some(orders) = &mut self.orders {
            orders.forget(&mut head.order);
        }
        self.notes.forget(&mut head.notes);
        self.blocks.give(std::mem::take(head).home);
    }

    fn time_passed(&mut self, now: Instant) {
        self.seats.iter_mut().for_each(|seat| seat.time_passed(now));
    }

    fn readiness(&self) -> Readiness {
        if self.seats.iter().any(Seat::ends_streams) { Readiness::Suspended } else { Readiness::Ready }
    }
}
