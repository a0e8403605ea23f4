//! The redirector: where a frame that came to the cluster goes, and the sessions that remember it.

pub mod choice;

use std::sync::Arc;

use crate::event::{DropReason, Event, Step};
use crate::flow::FlowKey;
use crate::id::{BootId, Epoch, Generation, Interface, NodeId};
use crate::inspector::Direction;
use crate::limits::{DETECTION_TIME, REDIRECTOR_SESSIONS_MAX, SHADOW_TIME};
use crate::mesh::{Acknowledge, Announce, Close, Refuse};
use crate::outbox::Outbox;
use crate::session::{Deadlines, Midstream, Opening, RedirectorSession, Standing, Tables, Timeouts};
use crate::time::Instant;
use choice::Candidate;

/// How a redirector works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// How nodes are chosen.
    pub choice: choice::Settings,
    /// What to do with TCP in mid-stream.
    pub midstream: Midstream,
    /// How long a session lives unannounced.
    pub timeouts: Timeouts,
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
    /// Nowhere.
    Drop(DropReason),
}

/// What steering needs to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Its flow, as it arrived.
    pub key: FlowKey,
    /// What it may be if no session knows it.
    pub opening: Opening,
    /// How many packets it is on the wire.
    pub packets: u64,
    /// Its Ethernet bytes.
    pub bytes: u64,
}

/// What becomes of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The session stands.
    Acknowledged,
    /// The session stands; the node that had the stream has lost it.
    Displaced(NodeId, Refuse),
    /// Somebody else has the stream or the key.
    Refused(Refuse),
}

/// Both redirector roles of one node; a role it does not hold has no sessions.
#[derive(Debug)]
pub struct Redirector {
    settings: Settings,
    tables: Arc<Tables>,
    /// How many there are; the table itself would lock every shard to count them.
    sessions: usize,
    /// Members that count as dead. Their sessions stand, as they may come back with the same boot, but count for nothing.
    gone: Vec<NodeId>,
    deadlines: Deadlines<FlowKey>,
}

impl Redirector {
    /// A redirector without sessions.
    #[must_use]
    pub fn new(settings: Settings, tables: Arc<Tables>) -> Self {
        Self { settings, tables, sessions: 0, gone: Vec::new(), deadlines: Deadlines::default() }
    }

    /// Where a packet goes.
    pub fn steer(&mut self, now: Instant, summary: &Summary, candidates: &[Candidate], out: &mut Outbox) -> Steer {
        let Summary { key, opening, packets, bytes } = summary;
        if let Some(mut session) = self.tables.redirector.get_mut(key)
            && !self.gone.contains(&session.generation.node)
        {
            session.packets += packets;
            session.bytes += bytes;
            session.seen = now;
            let chosen = session.generation.node;
            return match session.direction {
                Direction::ToOpener if session.packets == *packets => Steer::Returning(chosen),
                Direction::ToOpener | Direction::FromOpener => Steer::To(chosen),
            };
        }
        match (opening, self.settings.midstream) {
            (Opening::Opens, _) | (Opening::Midstream, Midstream::PickUp) => {}
            (Opening::Midstream, Midstream::Drop) => return Steer::Drop(DropReason::MidStream),
            (Opening::Quotes, _) => return Steer::Drop(DropReason::UnknownQuote),
        }
        let choice = self.settings.choice.hash(key);
        let Some(chosen) = self.settings.choice.choose(choice, candidates) else {
            return Steer::Drop(DropReason::NoCandidate);
        };
        if self.sessions >= REDIRECTOR_SESSIONS_MAX {
            return Steer::Drop(DropReason::RedirectorSessionsFull);
        }
        out.tell(Event::Step { step: Step::M1, flow: *key, node: self.settings.node });
        let mut session = RedirectorSession {
            generation: Generation { counter: 0, node: chosen },
            boot: BootId(0),
            choice,
            stream: 0,
            standing: Standing::Provisional,
            direction: Direction::FromOpener,
            started: now,
            seen: now,
            expires: now + self.settings.timeouts.provisional,
            due: Instant::NEVER,
            packets: *packets,
            bytes: *bytes,
        };
        schedule(&mut self.deadlines, key, &mut session);
        if self.tables.redirector.insert(*key, session).is_none() {
            self.sessions += 1;
        }
        out.tell(Event::Step { step: Step::M2, flow: *key, node: chosen });
        Steer::Chosen(chosen)
    }

    /// A chosen node says that packets with `key` are its own. `key` is one of the announcement's two keys.
    pub fn session_announced(&mut self, now: Instant, key: &FlowKey, announce: &Announce) -> Heard {
        let refuse = |winner| {
            Heard::Refused(Refuse { return_key: announce.return_key, generation: announce.generation, winner })
        };
        let expires = now + SHADOW_TIME;
        let stream = self.settings.choice.stream(&announce.arrival, &announce.return_key);
        let announced = |old: Option<&RedirectorSession>| RedirectorSession {
            generation: announce.generation,
            boot: announce.boot,
            choice: announce.choice,
            stream,
            standing: Standing::Announced,
            direction: if *key == announce.arrival { Direction::FromOpener } else { Direction::ToOpener },
            started: old.map_or(now, |old| old.started),
            seen: old.map_or(now, |old| old.seen),
            expires,
            due: old.map_or(Instant::NEVER, |old| old.due),
            packets: old.map_or(0, |old| old.packets),
            bytes: old.map_or(0, |old| old.bytes),
        };
        let Some(mut session) = self.tables.redirector.get_mut(key) else {
            if self.sessions >= REDIRECTOR_SESSIONS_MAX {
                return refuse(None);
            }
            let mut session = announced(None);
            schedule(&mut self.deadlines, key, &mut session);
            self.tables.redirector.insert(*key, session);
            self.sessions += 1;
            return Heard::Acknowledged;
        };
        let old = *session;
        match old.standing {
            Standing::Provisional => *session = announced(Some(&old)),
            Standing::Announced | Standing::Tombstone
                if old.generation.node != announce.generation.node && self.gone.contains(&old.generation.node) =>
            {
                *session = announced(Some(&old));
            }
            Standing::Announced if old.generation == announce.generation => {
                session.expires = expires;
                return Heard::Acknowledged;
            }
            Standing::Announced if old.stream != stream => return refuse(None),
            Standing::Announced if announce.generation.wins_over(old.generation) => {
                *session = announced(Some(&old));
            }
            Standing::Tombstone if announce.generation.wins_over(old.generation) => {
                *session = RedirectorSession { due: old.due, ..announced(None) };
            }
            Standing::Announced | Standing::Tombstone => return refuse(Some(old.generation)),
        }
        schedule(&mut self.deadlines, key, &mut session);
        drop(session);
        if old.standing == Standing::Announced && old.generation.node != announce.generation.node {
            let winner = Some(announce.generation);
            let lost = Refuse { return_key: announce.return_key, generation: old.generation, winner };
            return Heard::Displaced(old.generation.node, lost);
        }
        Heard::Acknowledged
    }

    /// The answer to an announcement that this node's redirector accepted in `epoch`.
    #[must_use]
    pub fn acknowledge(announce: &Announce, epoch: Epoch) -> Acknowledge {
        Acknowledge { return_key: announce.return_key, generation: announce.generation, epoch }
    }

    /// The chosen node says that this ownership has ended; its tombstone stays for a while.
    pub fn session_closed(&mut self, now: Instant, key: &FlowKey, close: &Close) {
        let Some(mut session) = self.tables.redirector.get_mut(key) else { return };
        let provisional = session.generation.node == close.generation.node && session.standing == Standing::Provisional;
        if session.generation == close.generation || provisional {
            session.generation = close.generation;
            session.standing = Standing::Tombstone;
            session.expires = now + DETECTION_TIME * 2;
            schedule(&mut self.deadlines, key, &mut session);
        }
    }

    /// A member counts as dead: its streams have no chosen node unless it comes back with the same boot.
    pub fn member_left(&mut self, node: NodeId) {
        if !self.gone.contains(&node) {
            self.gone.push(node);
        }
    }

    /// Members may have come back; `boot_of` names the boot of one that lives. Sessions of an older boot end.
    pub fn members_returned(&mut self, boot_of: impl Fn(NodeId) -> Option<BootId>) {
        for place in (0..self.gone.len()).rev() {
            let Some(&node) = self.gone.get(place) else { continue };
            let Some(boot) = boot_of(node) else { continue };
            self.gone.swap_remove(place);
            self.tables.redirector.retain(|_, session| session.generation.node != node || session.boot == boot);
            self.sessions = self.tables.redirector.len();
        }
    }

    /// This node no longer holds the redirector of an interface.
    pub fn role_lost(&mut self, interface: Interface) {
        self.tables.redirector.retain(|key, _| key.interface() != interface);
        self.sessions = self.tables.redirector.len();
    }

    /// What this redirector believes of a key.
    #[must_use]
    pub fn belief(&self, key: &FlowKey) -> Option<Generation> {
        self.tables.redirector.get(key).map(|session| session.generation)
    }

    /// Ends sessions whose time has come.
    pub fn deadline_reached(&mut self, now: Instant) {
        while let Some((at, key)) = self.deadlines.pop_due(now) {
            let Some(mut session) = self.tables.redirector.get_mut(&key) else { continue };
            if session.due != at {
                continue;
            }
            session.due = Instant::NEVER;
            if session.expires > now {
                schedule(&mut self.deadlines, &key, &mut session);
            } else {
                drop(session);
                self.tables.redirector.remove(&key);
                self.sessions -= 1;
            }
        }
    }

    /// When a session may end next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }
}

/// Queues the session's end, unless an earlier deadline of it is queued already.
fn schedule(deadlines: &mut Deadlines<FlowKey>, key: &FlowKey, session: &mut RedirectorSession) {
    if session.expires < session.due {
        session.due = session.expires;
        deadlines.push(session.due, *key);
    }
}

#[cfg(test)]
mod tests;
