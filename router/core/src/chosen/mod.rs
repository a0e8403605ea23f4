//! The chosen node's side: mark a stream, let the plugins inspect it, and know whether its packets may leave.

mod announcing;
mod breaker;
mod ending;
mod hold;
mod meeting;
mod moving;
mod outcome;
mod room;

pub use breaker::{Breakers, Punctuality};
pub use hold::{Held, Hold, HoldMax};
pub use moving::{FenceDue, FenceError, Fenced};
pub use outcome::{Judged, Marked, Unmarked};
pub use room::{Class, Room};

use crate::event::{DropReason, Event, Step};
use crate::flow::{FlowKey, HashKey, HashedKey};
use crate::id::{Generation, NodeId, PerInterface, Slot};
use crate::inspector::{Direction, HostPart, Inspection, PerDirection, Standing};
use crate::mesh::Close;
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::packet::{Arrival, Came, Headers};
use crate::session::{
    Announced, Bounds, Count, Deadlines, Digests, KeyTaken, Life, Markers, Midstream, NewMarker, Opening, Timeouts,
};
use crate::time::Instant;
use crate::turn::Turn;
use meeting::Meeting;

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
    /// How many sessions there may be.
    pub bounds: Bounds,
    /// Hashes this node's own tables.
    pub hash_key: HashKey,
    /// Digests of a comparison.
    pub buckets: usize,
}

/// The marker sessions of a node and what they wait for.
#[derive(Debug)]
pub struct Chosen<H> {
    settings: Settings,
    /// The sessions.
    pub markers: Markers<H>,
    /// The frames that wait for an acknowledgement.
    pub hold: Hold,
    /// Redirectors that are not waited for.
    pub breakers: Breakers,
    /// Streams that ended; both redirectors must be told.
    pub closed: Vec<Close>,
    /// What the redirector of each interface was told.
    pub digests: PerInterface<Digests>,
    /// Frames that wait for the fence of their stream.
    pub fenced: Fenced,
    /// Who makes room in the table of sessions.
    pub room: Room,
    /// Streams without room, by their opener's flow; their redirectors are to choose others for them.
    pub declined: Vec<FlowKey>,
    /// Streams that have not ended.
    alive: usize,
    /// Streams that were given away and not fenced.
    unfenced: usize,
    fences: Deadlines,
    deadlines: Deadlines,
}

/// Whether a packet that passed the plugins may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Now.
    Leave,
    /// After the other redirector was told of the stream.
    Announce,
    /// Now, and the redirectors are told of the stream: it began with an answer, which its former stream's sessions let come.
    LeaveAndAnnounce,
    /// Behind the packets of its stream that are held already.
    Hold,
    /// The hold had run out: only if the other redirector would choose this node by itself.
    Fallback,
}

impl<H: HostPart> Chosen<H> {
    /// No streams yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            markers: Markers::new(settings.hash_key),
            hold: Hold::new(settings.hold_max, settings.hash_key),
            breakers: Breakers::default(),
            closed: Vec::new(),
            digests: PerInterface::from_fn(|_| Digests::new(settings.buckets)),
            fenced: Fenced::new(settings.hash_key),
            room: Room::new(settings.bounds, settings.hash_key),
            declined: Vec::new(),
            alive: 0,
            unfenced: 0,
            fences: Deadlines::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// Finds or makes the packet's marker session. `key` is the packet's. `begin` gives the choice hash of a new stream whose
    /// first packet came so, if this node may make it; `opening` says what that packet may be.
    ///
    /// # Errors
    /// What becomes of a packet that has none.
    pub fn accept(
        &mut self,
        turn: &mut Turn<'_, H>,
        key: &HashedKey,
        arrival: &Arrival,
        opening: impl Fn(&Arrival) -> Opening,
        begin: impl Fn(&Arrival, Came) -> Result<u64, Unmarked>,
    ) -> Result<Marked, Unmarked> {
        let (packets, bytes) = arrival.size();
        let size = Count { packets, bytes };
        let met = match self.markers.meet(turn.now, key, size) {
            Some(met) => self.meet_again(turn, met, arrival, size)?,
            None => Meeting::New { generation: 1, slot: None },
        };
        let (slot, direction) = match met {
            Meeting::Known { slot, direction } => (slot, direction),
            Meeting::New { generation, slot } => {
                // A key that this node has already stays its own.
                let came = if slot.is_some() { Came::Directly } else { arrival.came };
                // What a host sends straight to this node may be of any stream, whatever it looks like.
                if came != Came::Straight {
                    self.may_start(opening(arrival)).map_err(Unmarked::Dropped)?;
                }
                let choice = begin(arrival, came)?;
                let midstream = Opening::of(&arrival.headers) == Opening::Midstream;
                let (opener, life) = (key.key, Life::started(&arrival.headers));
                let new = NewMarker { opener, midstream, choice, generation, life, size };
                match self.start(turn, slot, &new) {
                    Ok(slot) => (slot, Direction::FromOpener),
                    Err(reason) => {
                        if reason == DropReason::MarkerSessionsFull {
                            self.decline(turn.now, key.key);
                        }
                        return Err(Unmarked::Dropped(reason));
                    }
                }
            }
        };
        let session = self.markers.at(slot);
        let verdict = session.standing[direction].verdict().unwrap_or_default();
        Ok(Marked { slot, direction, stream: session.id, verdict })
    }

    /// Marks a stream whose first packet has come.
    fn start(&mut self, turn: &mut Turn<'_, H>, slot: Option<Slot>, new: &NewMarker) -> Result<Slot, DropReason> {
        let slot = self.mark(turn, slot, new)?;
        turn.out.tell(Event::Step { step: Step::M4, flow: new.opener, node: self.settings.node });
        Ok(slot)
    }

    /// Makes a marker session, in the place of an ended one if `slot` names it, and tells the plugins.
    fn mark(&mut self, turn: &mut Turn<'_, H>, slot: Option<Slot>, new: &NewMarker) -> Result<Slot, DropReason> {
        self.make_room(turn, slot, new)?;
        let slot = match slot {
            Some(slot) => {
                self.forget_fence(slot);
                self.deadlines.forget(slot);
                self.markers.restart(turn.now, slot, new);
                slot
            }
            None => self.markers.make(turn.now, new)?,
        };
        self.alive += 1;
        self.room.sources.add(self.room.sources.of(&new.opener));
        self.classify(slot);
        self.schedule(slot);
        let session = self.markers.at_mut(slot);
        let stream = session.stream(self.settings.node);
        let standing = turn.plugins.stream_started(turn.now, &stream, &mut session.host);
        self.stands(slot, standing, turn.out);
        Ok(slot)
    }

    /// What the plugins have said of the rest of a stream stands from now on.
    fn stands(&mut self, slot: Slot, standing: PerDirection<Standing>, out: &mut Outbox) {
        let session = self.markers.at_mut(slot);
        let (interested, ended) = (!session.standing.interests_nobody(), session.standing.is_ended());
        for direction in Direction::BOTH {
            session.standing[direction].strengthen(standing[direction]);
        }
        if interested && session.standing.interests_nobody() {
            out.tell(Event::InterestEnded { flow: session.opener });
        }
        if !ended && session.standing.is_ended() {
            self.schedule(slot);
        }
    }

    /// What becomes of a packet by what the plugins have said of it and of its stream.
    pub fn judge(&mut self, inspection: &Inspection, out: &mut Outbox) -> Judged {
        let Some(session) = self.markers.still(inspection.slot, inspection.stream) else {
            let has_successor = self.markers.find(&inspection.arrival.key()).is_some();
            return if has_successor { Judged::Anew } else { Judged::Evicted };
        };
        if !session.alive {
            return Judged::Anew;
        }
        match session.announced {
            Announced::Lost | Announced::Moved(_) => return Judged::Anew,
            Announced::No | Announced::Waiting | Announced::TimedOut { .. } | Announced::Acknowledged => {}
        }
        if inspection.standing != PerDirection::default() {
            self.stands(inspection.slot, inspection.standing, out);
        }
        Judged::Stands
    }

    /// The return packets of a stream will have this key. Another stream of this node that was opened from the other end
    /// of the same exchange, and of which no packet could leave yet, ends in favour of this one.
    ///
    /// # Errors
    /// The key belongs to the return packets of another stream, or to one of which packets have left.
    pub fn learn_return_key(
        &mut self,
        turn: &mut Turn<'_, H>,
        slot: Slot,
        (key, identity): (FlowKey, u64),
    ) -> Result<(), KeyTaken> {
        let Some(loser) = self.markers.learn_return_key(slot, key, identity)? else { return Ok(()) };
        let winner = Some(Generation { counter: self.markers.at(slot).generation, node: self.settings.node });
        turn.out.tell(Event::Refused { flow: key, winner });
        self.give_up(turn.now, loser);
        Ok(())
    }

    /// A packet has passed the plugins: moves its stream's life on and says whether it may leave.
    pub fn depart(&mut self, turn: &mut Turn<'_, H>, slot: Slot, direction: Direction, headers: &Headers) -> Departure {
        let node = self.settings.node;
        let mut session = self.markers.at_mut(slot);
        if session.life.packet_passed(direction, headers) {
            self.classify(slot);
            self.schedule(slot);
            session = self.markers.at_mut(slot);
        }
        match (direction, session.announced) {
            (Direction::ToOpener, _) => {
                if !std::mem::replace(&mut session.has_returned, true) {
                    let flow = session.return_key.unwrap_or(session.opener);
                    turn.out.tell(Event::Step { step: Step::M12, flow, node });
                }
                if session.announced == Announced::No { Departure::LeaveAndAnnounce } else { Departure::Leave }
            }
            (Direction::FromOpener, Announced::Acknowledged) => {
                if !session.has_left {
                    self.first_left(slot, turn.out);
                }
                Departure::Leave
            }
            (Direction::FromOpener, Announced::No) => {
                turn.out.tell(Event::Step { step: Step::M5, flow: session.opener, node });
                Departure::Announce
            }
            (Direction::FromOpener, Announced::Waiting) => Departure::Hold,
            (Direction::FromOpener, Announced::TimedOut { again }) if turn.now >= again => Departure::Announce,
            (Direction::FromOpener, Announced::TimedOut { .. }) => Departure::Fallback,
            (Direction::FromOpener, Announced::Lost | Announced::Moved(_)) => Departure::Hold,
        }
    }

    /// A packet from the opener leaves; tells it if it is the stream's first.
    pub fn first_left(&mut self, slot: Slot, out: &mut Outbox) {
        let session = self.markers.at_mut(slot);
        if !std::mem::replace(&mut session.has_left, true) {
            out.tell(Event::Step { step: Step::M8, flow: session.opener, node: self.settings.node });
        }
    }

    /// Streams that have not ended, and those that were given away and have still frames to follow them.
    #[must_use]
    pub fn alive(&self) -> usize {
        if is_on(Mutation::ForgetUnfenced) { self.alive } else { self.alive + self.unfenced }
    }

    /// When a stream or a hold may end next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let moving = [self.fences.next(), self.fenced.next_deadline(), self.full_until()];
        [self.deadlines.next(), self.hold.next_deadline()].into_iter().chain(moving).flatten().min()
    }
}
