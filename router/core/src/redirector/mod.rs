//! The redirector: where a frame that came to the cluster goes, and the sessions that remember it.

mod announced;
pub mod choice;
mod copies;
mod parking;
mod questions;
mod reach;
mod sessions;
mod unowned;

use std::collections::HashMap;

pub use announced::Heard;
pub use parking::Parking;
pub use unowned::Unowned;

use crate::event::{DropReason, Event, Step};
use crate::flow::{FlowKey, HashKey, HashedKey};
use crate::id::{BootId, Generation, Interface, NodeId, PerInterface};
use crate::inspector::Direction;
use crate::limits::{ASSIGN_RETRY_DELAY, GONE_TIME_MAX};
use crate::mesh::Assign;
use crate::mutation::{Mutation, is_on};
use crate::outbox::Outbox;
use crate::session::{Deadlines, Midstream, Opening, Queues, RedirectorSession, Standing, Table, Timeouts};
use crate::time::Instant;
use choice::Candidate;
use copies::Copies;
use reach::is_gone;

/// How a frame travels to its chosen node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirecting {
    /// On the interface where it arrived, to the chosen node's MAC.
    Ethernet,
    /// Over the mesh.
    Mesh,
}

/// How a redirector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// How nodes are chosen.
    pub choice: choice::Settings,
    /// What to do with TCP in mid-stream.
    pub midstream: Midstream,
    /// How frames travel.
    pub redirecting: Redirecting,
    /// How long a session lives unannounced.
    pub timeouts: Timeouts,
    /// How many sessions there may be.
    pub sessions_max: usize,
    /// Hashes this node's own tables.
    pub hash_key: HashKey,
    /// Digests of a comparison.
    pub buckets: usize,
}

/// The redirector's decision for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// To this node, by a session that stood.
    To(NodeId),
    /// To this node, which was just chosen.
    Chosen(NodeId),
    /// To this node, as the first return packet of its stream.
    Returning(NodeId),
    /// Another node may own the stream: it waits for the answers.
    Ask,
    /// Its chosen node has died: the stream is assigned to another, and the frame waits for its announcement.
    Move(Assign),
    /// The frame waits for the announcement of the node that the stream was assigned to.
    Wait,
    /// Nowhere.
    Drop(DropReason),
    /// Nowhere, and its sender is to get a TCP reset.
    Reset(DropReason),
}

/// What steering needs to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Its flow, as it arrived.
    pub key: HashedKey,
    /// What it may be if no session knows it.
    pub opening: Opening,
    /// How many packets it is on the wire.
    pub packets: u64,
    /// Its Ethernet bytes.
    pub bytes: u64,
}

/// Both redirector roles of one node; of a role that it neither holds nor stands by for it has no sessions.
pub struct Redirector {
    settings: Settings,
    /// By the key of the packets that they steer.
    table: Table<RedirectorSession>,
    /// Frames that wait for an answer or an announcement.
    pub parking: Parking,
    /// Keys that nobody owned a moment ago.
    pub unowned: Unowned,
    /// How many sessions there are.
    sessions: PerInterface<usize>,
    /// Members that count as dead, and since when. Their sessions stand, as they may come back with the same boot, but
    /// count for nothing.
    gone: Vec<(NodeId, Instant)>,
    /// Living members to which no message finds a way. What they own goes on to them; nothing new does.
    beyond_reach: Vec<NodeId>,
    /// Living members with an interface that is out of order. What they have begun goes on to them; nothing new does.
    out_of_order: Vec<NodeId>,
    /// Living members without a whole link to this node: of what they were chosen for and have not announced, they are asked.
    out_of_touch: Vec<NodeId>,
    /// The other key of sessions whose return key is not plainly the reverse of the arrival key.
    translated: HashMap<FlowKey, FlowKey, HashKey>,
    copies: Copies,
    deadlines: Deadlines,
    /// Those that make room, oldest first.
    queues: Queues<2>,
    /// How many made room.
    evicted: u64,
    /// When to ask for more memory again, while the machine gives none.
    grows_again: Option<Instant>,
}

impl Redirector {
    /// A redirector without sessions.
    #[must_use]
    pub fn new(now: Instant, settings: Settings) -> Self {
        Self {
            table: Table::new(settings.hash_key),
            settings,
            parking: Parking::new(now, settings.hash_key),
            unowned: Unowned::new(settings.hash_key),
            sessions: PerInterface::default(),
            gone: Vec::new(),
            beyond_reach: Vec::new(),
            out_of_order: Vec::new(),
            out_of_touch: Vec::new(),
            translated: HashMap::with_hasher(settings.hash_key),
            copies: Copies::new(settings.buckets),
            deadlines: Deadlines::default(),
            queues: Queues::default(),
            evicted: 0,
            grows_again: None,
        }
    }

    /// Where a packet goes. `in_sync`: this redirector knows every stream that is announced.
    pub fn steer(
        &mut self,
        now: Instant,
        summary: &Summary,
        candidates: &[Candidate],
        in_sync: PerInterface<bool>,
        out: &mut Outbox,
    ) -> Steer {
        let key = &summary.key.key;
        let known = self.table.find_mut(&summary.key).map(|session| {
            let chosen = session.generation.node;
            let unopened = session.standing == Standing::Provisional
                && (self.beyond_reach.contains(&chosen) || self.out_of_order.contains(&chosen));
            // Where the mesh redirects, no frame reaches a node that no message does.
            let opens_in_vain = || {
                matches!(summary.opening, Opening::Connects | Opening::Opens)
                    && self.settings.redirecting == Redirecting::Mesh
                    && self.beyond_reach.contains(&chosen)
            };
            if session.standing == Standing::Provisional && self.out_of_touch.contains(&chosen) {
                Known::Doubtful
            } else if is_gone(&self.gone, chosen) || unopened || opens_in_vain() {
                Known::Orphan(*session)
            } else {
                follow(now, session, summary)
            }
        });
        match (known, summary.opening) {
            (Some(Known::Steered(steer)), _) => steer,
            (Some(Known::Doubtful), _) => Steer::Ask,
            (Some(Known::Unanswered(generation)), _) => Steer::Move(self.begin_move(now, key, generation)),
            (Some(Known::Orphan(session)), Opening::Opens | Opening::Midstream | Opening::Quotes)
                if matches!(session.standing, Standing::Announced | Standing::Moving) =>
            {
                self.steer_orphan(now, summary, &session, candidates)
            }
            (Some(Known::Orphan(_)) | None, _) if is_on(Mutation::Guess) => self.choose(now, summary, candidates, out),
            (Some(Known::Orphan(_)) | None, Opening::Connects | Opening::Opens) if in_sync[key.interface()] => {
                self.choose(now, summary, candidates, out)
            }
            (
                Some(Known::Orphan(_)) | None,
                Opening::Connects | Opening::Opens | Opening::Midstream | Opening::Quotes,
            ) => Steer::Ask,
        }
    }

    /// Where a packet goes whose chosen node has died: to the one that both redirectors choose in its place.
    fn steer_orphan(
        &mut self,
        now: Instant,
        summary: &Summary,
        session: &RedirectorSession,
        candidates: &[Candidate],
    ) -> Steer {
        match (summary.opening, self.settings.midstream) {
            (Opening::Midstream, Midstream::Drop) => return Steer::Drop(DropReason::ChosenGone),
            (Opening::Midstream, Midstream::Reset) => return Steer::Reset(DropReason::ChosenGone),
            (Opening::Midstream, Midstream::PickUp) | (Opening::Connects | Opening::Opens | Opening::Quotes, _) => {}
        }
        let Some(node) = self.settings.choice.choose(session.choice, candidates) else {
            return Steer::Drop(DropReason::NoCandidate);
        };
        let counter = session.generation.counter.saturating_add(1);
        Steer::Move(self.begin_move(now, &summary.key.key, Generation { counter, node }))
    }

    /// Where a packet goes whose stream no member owns.
    pub fn steer_unowned(
        &mut self,
        now: Instant,
        summary: &Summary,
        candidates: &[Candidate],
        out: &mut Outbox,
    ) -> Steer {
        match (summary.opening, self.settings.midstream) {
            (Opening::Connects | Opening::Opens, _) | (Opening::Midstream, Midstream::PickUp) => {
                self.choose(now, summary, candidates, out)
            }
            (Opening::Midstream, Midstream::Drop) => Steer::Drop(DropReason::MidStream),
            // Who cannot be asked may have it.
            (Opening::Midstream, Midstream::Reset)
                if !self.beyond_reach.is_empty() || !self.out_of_touch.is_empty() =>
            {
                Steer::Drop(DropReason::MidStream)
            }
            (Opening::Midstream, Midstream::Reset) => Steer::Reset(DropReason::MidStream),
            (Opening::Quotes, _) => Steer::Drop(DropReason::UnknownQuote),
        }
    }

    fn choose(&mut self, now: Instant, summary: &Summary, candidates: &[Candidate], out: &mut Outbox) -> Steer {
        let Summary { key: HashedKey { key, .. }, packets, bytes, .. } = summary;
        let choice = self.settings.choice.hash(key);
        let Some(chosen) = self.settings.choice.choose(choice, candidates) else {
            return Steer::Drop(DropReason::NoCandidate);
        };
        if candidates.iter().any(|candidate| candidate.node == chosen && candidate.is_full) {
            return Steer::Drop(DropReason::NodesFull);
        }
        let session = RedirectorSession {
            generation: Generation { counter: 0, node: chosen },
            boot: BootId(0),
            choice,
            stream: 0,
            standing: Standing::Provisional,
            direction: Direction::FromOpener,
            other: key.interface().other(),
            started: now,
            seen: now,
            expires: now + self.settings.timeouts.provisional,
            round: 0,
            packets: *packets,
            bytes: *bytes,
        };
        if !self.has_room_for_choice(now) || !self.put(now, *key, session) {
            return Steer::Drop(DropReason::RedirectorSessionsFull);
        }
        if !self.beyond_reach.is_empty() {
            out.ledger.unasked += 1;
        }
        out.tell(Event::Step { step: Step::M1, flow: *key, node: self.settings.node });
        out.tell(Event::Step { step: Step::M2, flow: *key, node: chosen });
        Steer::Chosen(chosen)
    }

    /// The session of `key` gets another owner, who must hear of it.
    fn begin_move(&mut self, now: Instant, key: &FlowKey, generation: Generation) -> Assign {
        let known = self.table.get(key).map(|session| session.other);
        let other = self.other_key(key, known.unwrap_or_else(|| key.interface().other()));
        let mut assign = Assign { arrival: *key, return_key: other, choice: 0, generation, life: None };
        if let Some(slot) = self.table.slot(key)
            && let Some((_, session)) = self.table.at_mut(slot)
        {
            self.copies.toggle(key.interface(), session);
            (assign.choice, session.generation) = (session.choice, generation);
            if session.direction == Direction::ToOpener {
                (assign.arrival, assign.return_key) = (other, *key);
            }
            (session.standing, session.seen) = (Standing::Moving, now);
            session.expires = now + self.settings.timeouts.provisional;
            self.arrange(slot);
        }
        assign
    }

    /// The other key of the stream that has `key`; it is of `interface`.
    fn other_key(&self, key: &FlowKey, interface: Interface) -> FlowKey {
        self.translated.get(key).copied().unwrap_or_else(|| key.reversed(interface))
    }

    /// This node neither holds nor stands by for the redirector of an interface any more.
    pub fn forget(&mut self, interface: Interface) {
        self.retain(|key, _| key.interface() != interface);
        self.copies.forget(interface);
    }

    /// Sessions of one interface.
    #[must_use]
    pub fn sessions(&self, interface: Interface) -> usize {
        self.sessions[interface]
    }

    /// The machine gave no more memory.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        self.grows_again.is_some()
    }

    /// Sessions that made room for others: of streams that were chosen for and never announced, and tombstones.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Ends sessions whose time has come.
    pub fn deadline_reached(&mut self, now: Instant) {
        while let Some(slot) = self.deadlines.pop_due(now) {
            self.end(slot);
        }
        while let Some(place) = self.gone.iter().position(|(_, since)| now >= *since + GONE_TIME_MAX) {
            let (node, _) = self.gone.swap_remove(place);
            self.retain(|_, session| session.generation.node != node);
        }
        self.unowned.deadline_reached(now);
    }

    /// When a session may end next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let gone = self.gone.iter().map(|(_, since)| *since + GONE_TIME_MAX);
        [self.deadlines.next(), self.parking.next_deadline()].into_iter().flatten().chain(gone).min()
    }
}

/// What a packet's session says.
enum Known {
    Steered(Steer),
    /// The chosen node may have announced the stream, and nothing of it came.
    Doubtful,
    /// The node that the stream was assigned to is silent.
    Unanswered(Generation),
    /// The chosen node counts as dead; or it is out of reach or of order, and nobody knows whether it has the stream; or no
    /// frame reaches it, and this one may open the stream anew.
    Orphan(RedirectorSession),
}

/// The packet goes by its session, whose node lives.
fn follow(now: Instant, session: &mut RedirectorSession, summary: &Summary) -> Known {
    if session.standing == Standing::Moving {
        let silent = now >= session.seen + ASSIGN_RETRY_DELAY;
        return if silent { Known::Unanswered(session.generation) } else { Known::Steered(Steer::Wait) };
    }
    session.packets += summary.packets;
    session.bytes += summary.bytes;
    session.seen = now;
    let chosen = session.generation.node;
    Known::Steered(match session.direction {
        Direction::ToOpener if session.packets == summary.packets => Steer::Returning(chosen),
        Direction::ToOpener | Direction::FromOpener => Steer::To(chosen),
    })
}

#[cfg(test)]
mod tests;
