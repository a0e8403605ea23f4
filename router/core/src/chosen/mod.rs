//! The chosen node's side: mark a stream, let the plugins inspect it, and know whether its packets may leave.

mod announcing;
mod breaker;
mod ending;
mod hold;
mod moving;

use std::sync::Arc;

pub use breaker::Breakers;
pub use hold::{Held, Hold, HoldMax};
pub use moving::Fenced;

use crate::event::{DropReason, EndReason, Event, Step};
use crate::flow::{FlowKey, HashKey};
use crate::id::{Generation, Interface, NodeId};
use crate::inspector::{Direction, Inspection, Inspector, Stream, Verdict};
use crate::mesh::Close;
use crate::outbox::Outbox;
use crate::packet::{Frame, Headers};
use crate::session::{
    Announced, Deadlines, Digests, KeyTaken, Life, Markers, Midstream, NewMarker, Opening, Tables, Timeouts,
};
use crate::time::Instant;

/// How a chosen node works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// How long streams may be silent.
    pub timeouts: Timeouts,
    /// What one hold may take.
    pub hold_max: HoldMax,
    /// Take up TCP streams in their middle.
    pub midstream: Midstream,
    /// Hashes this node's own tables.
    pub hash_key: HashKey,
}

/// The marker sessions of a node and what they wait for.
#[derive(Debug)]
pub struct Chosen {
    settings: Settings,
    /// The sessions.
    pub markers: Markers,
    /// The frames that wait for an acknowledgement.
    pub hold: Hold,
    /// Redirectors that are not waited for.
    pub breakers: Breakers,
    /// Streams that ended; both redirectors must be told.
    pub closed: Vec<Close>,
    /// What both redirectors were told.
    pub digests: Digests,
    /// Frames that wait for the fence of their stream.
    pub fenced: Fenced,
    /// Streams that have not ended.
    alive: usize,
    /// Streams that were given away and not fenced.
    unfenced: usize,
    fences: Deadlines<(u32, u64)>,
    deadlines: Deadlines<(u32, u64)>,
}

/// A packet that came to its chosen node.
#[derive(Debug)]
pub struct Arrival {
    /// Where it arrived.
    pub interface: Interface,
    /// Its checked headers.
    pub headers: Headers,
    /// Its bytes.
    pub frame: Frame,
    /// How it came to this node.
    pub came: Came,
}

/// How a packet came to its chosen node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// From a host or a redirector.
    Directly,
    /// From a node that had its stream before, or held it.
    HandedOver {
        /// How often it may be handed over once more.
        hops: u8,
    },
}

/// Whether a packet that passed the plugins may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Now.
    Leave,
    /// After the other redirector was told of the stream.
    Announce,
    /// Behind the packets of its stream that are held already.
    Hold,
    /// The hold had run out: only if the other redirector would choose this node by itself.
    Fallback,
}

impl Chosen {
    /// No streams yet; plugins keep `state_len` bytes for each.
    #[must_use]
    pub fn new(settings: Settings, tables: Arc<Tables>, state_len: usize) -> Self {
        Self {
            settings,
            markers: Markers::new(tables, state_len),
            hold: Hold::new(settings.hold_max, settings.hash_key),
            breakers: Breakers::default(),
            closed: Vec::new(),
            digests: Digests::default(),
            fenced: Fenced::new(settings.hash_key),
            alive: 0,
            unfenced: 0,
            fences: Deadlines::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Finds or makes the packet's marker session. Returns what the plugins must see; else the packet has ended here.
    /// `choose` gives the choice hash of a new stream.
    pub fn accept(
        &mut self,
        now: Instant,
        arrival: Arrival,
        choose: impl Fn(&FlowKey) -> u64,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) -> Option<Inspection> {
        let key = arrival.headers.flow_key(arrival.interface);
        let size = (arrival.frame.segments(arrival.headers.payload_len()), arrival.frame.bytes().len() as u64);
        let met = match self.markers.meet(now, &key, size.0, size.1) {
            Some(met) => self.meet_again(now, met, &arrival, plugins, out),
            None => Meeting::New { generation: 1, slot: None },
        };
        let (slot, direction, verdict) = match met {
            Meeting::Known { slot, direction } => (slot, direction, Verdict::default()),
            Meeting::Ended(reason) => {
                out.drop(arrival.frame, reason);
                return None;
            }
            Meeting::Moved(to) => {
                self.follow(to, arrival, out);
                return None;
            }
            Meeting::Fenced(slot) => {
                self.fenced.keep(slot, arrival, out);
                return None;
            }
            Meeting::New { generation, slot } => {
                let new = NewMarker {
                    stream: Stream {
                        id: 0,
                        opener: key,
                        chosen: self.settings.node,
                        midstream: Opening::of(&arrival.headers) == Opening::Midstream,
                    },
                    choice: choose(&key),
                    generation,
                    life: Life::started(&arrival.headers),
                    size,
                };
                let may_start = self.may_start(Opening::of(&arrival.headers));
                match may_start.and_then(|()| self.start(now, slot, new, plugins, out)) {
                    Ok((slot, verdict)) => (slot, Direction::FromOpener, verdict),
                    Err(reason) => {
                        out.drop(arrival.frame, reason);
                        return None;
                    }
                }
            }
        };
        let stream = self.markers.at(slot).map_or(0, |session| session.stream.id);
        let Arrival { interface, headers, frame, .. } = arrival;
        Some(Inspection { frame, headers, interface, direction, stream, slot, verdict })
    }

    /// A packet of a stream that has a session.
    fn meet_again(
        &mut self,
        now: Instant,
        (slot, direction): (u32, Direction),
        arrival: &Arrival,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) -> Meeting {
        let headers = &arrival.headers;
        let Some(session) = self.markers.at_mut(slot) else { return Meeting::Ended(DropReason::Tombstone) };
        match session.announced {
            Announced::Lost => return Meeting::Ended(DropReason::Refused),
            Announced::Moved(moved) => return Meeting::Moved(moved.to.node),
            Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged => {}
        }
        session.seen = now;
        if session.fenced.is_some() && arrival.came == Came::Directly {
            return Meeting::Fenced(slot);
        }
        if session.alive && !session.life.is_reopened_by(headers) {
            return Meeting::Known { slot, direction };
        }
        match Opening::of(headers) {
            Opening::Connects | Opening::Opens => {}
            Opening::Midstream | Opening::Quotes => return Meeting::Ended(DropReason::Tombstone),
        }
        let generation = session.generation.saturating_add(1);
        if session.alive {
            self.end(now, slot, EndReason::Replaced, plugins, out);
        }
        Meeting::New { generation, slot: Some(slot) }
    }

    /// Whether a packet may be a stream's first.
    fn may_start(&self, opening: Opening) -> Result<(), DropReason> {
        match (opening, self.settings.midstream) {
            (Opening::Connects | Opening::Opens, _) | (Opening::Midstream, Midstream::PickUp) => Ok(()),
            (Opening::Midstream, Midstream::Drop) => Err(DropReason::MidStream),
            (Opening::Quotes, _) => Err(DropReason::UnknownQuote),
        }
    }

    /// Marks a stream whose first packet has come.
    fn start(
        &mut self,
        now: Instant,
        slot: Option<u32>,
        new: NewMarker,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) -> Result<(u32, Verdict), DropReason> {
        let flow = new.stream.opener;
        let marked = self.mark(now, slot, new, plugins)?;
        out.tell(Event::Step { step: Step::M4, flow, node: self.settings.node });
        Ok(marked)
    }

    /// Makes a marker session, in the place of an ended one if `slot` names it, and tells the plugins.
    fn mark(
        &mut self,
        now: Instant,
        slot: Option<u32>,
        new: NewMarker,
        plugins: &mut dyn Inspector,
    ) -> Result<(u32, Verdict), DropReason> {
        let slot = match slot {
            Some(slot) => {
                self.markers.restart(now, slot, new);
                slot
            }
            None => self.markers.make(now, new)?,
        };
        self.alive += 1;
        self.schedule(slot);
        let Some(stream) = self.markers.at(slot).map(|session| session.stream) else {
            return Err(DropReason::MarkerSessionsFull);
        };
        let verdict = plugins.stream_started(now, &stream, self.markers.states().of(slot));
        Ok((slot, verdict))
    }

    /// What an earlier verdict says of every packet of this direction.
    #[must_use]
    pub fn blocked(&self, slot: u32, direction: Direction) -> Verdict {
        self.markers.at(slot).map_or(Verdict::default(), |session| session.blocked(direction))
    }

    /// What becomes of a packet by this verdict and the earlier ones. `None` if its stream was lost while the plugins
    /// had the packet: it must come in anew.
    pub fn judge(&mut self, slot: u32, direction: Direction, verdict: Verdict) -> Option<Verdict> {
        let session = self.markers.at_mut(slot)?;
        match session.announced {
            Announced::Lost | Announced::Moved(_) => return None,
            Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged => {}
        }
        session.block(direction, verdict);
        Some(verdict.or_stronger(session.blocked(direction)))
    }

    /// The return packets of a stream will have this key. Another stream of this node that was opened from the other end
    /// of the same exchange, and of which no packet could leave yet, ends in favour of this one.
    ///
    /// # Errors
    /// The key belongs to the return packets of another stream, or to one of which packets have left.
    pub fn learn_return_key(
        &mut self,
        now: Instant,
        slot: u32,
        (key, identity): (FlowKey, u64),
        out: &mut Outbox,
    ) -> Result<(), KeyTaken> {
        let Some(loser) = self.markers.learn_return_key(slot, key, identity)? else { return Ok(()) };
        let winner = self.markers.at(slot).map(|session| session.generation);
        let winner = winner.map(|counter| Generation { counter, node: self.settings.node });
        out.tell(Event::Refused { flow: key, winner });
        self.give_up(now, loser);
        Ok(())
    }

    /// A packet has passed the plugins: moves its stream's life on and says whether it may leave.
    pub fn depart(
        &mut self,
        now: Instant,
        slot: u32,
        direction: Direction,
        headers: &Headers,
        out: &mut Outbox,
    ) -> Departure {
        let node = self.settings.node;
        let Some(session) = self.markers.at_mut(slot) else { return Departure::Fallback };
        if session.life.packet_passed(direction, headers) {
            self.schedule(slot);
            self.markers.show(slot);
        }
        let Some(session) = self.markers.at_mut(slot) else { return Departure::Fallback };
        match (direction, session.announced) {
            (Direction::ToOpener, _) => {
                if !std::mem::replace(&mut session.has_returned, true) {
                    let flow = session.return_key.unwrap_or(session.stream.opener);
                    out.tell(Event::Step { step: Step::M12, flow, node });
                }
                Departure::Leave
            }
            (Direction::FromOpener, Announced::Acknowledged) => {
                self.first_left(slot, out);
                Departure::Leave
            }
            (Direction::FromOpener, Announced::No) => {
                out.tell(Event::Step { step: Step::M5, flow: session.stream.opener, node });
                Departure::Announce
            }
            (Direction::FromOpener, Announced::Waiting) => Departure::Hold,
            (Direction::FromOpener, Announced::TimedOut { again }) if now >= again => Departure::Announce,
            (Direction::FromOpener, Announced::TimedOut { .. }) => Departure::Fallback,
            (Direction::FromOpener, Announced::Lost | Announced::Moved(_)) => Departure::Hold,
        }
    }

    /// A packet from the opener leaves; tells it if it is the stream's first.
    pub fn first_left(&mut self, slot: u32, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(session) = self.markers.at_mut(slot)
            && !std::mem::replace(&mut session.has_left, true)
        {
            out.tell(Event::Step { step: Step::M8, flow: session.stream.opener, node });
        }
    }

    /// Streams that have not ended, and those that were given away and have still frames to follow them.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.alive + self.unfenced
    }

    /// When a stream or a hold may end next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let moving = [self.fences.next(), self.fenced.next_deadline()];
        [self.deadlines.next(), self.hold.next_deadline()].into_iter().chain(moving).flatten().min()
    }
}

/// What a packet met at the marker table.
enum Meeting {
    Known { slot: u32, direction: Direction },
    New { generation: u32, slot: Option<u32> },
    Ended(DropReason),
    Moved(NodeId),
    Fenced(u32),
}
