//! Peers that are kept apart for what only people can mend, and two nodes with one id.
//!
//! A node that says hello with the id of a peer whose link is up, and with another boot, is either that peer, started again
//! before its old connection was seen to end, or another machine. The old connection is asked:
//!
//! ```text
//!  hello, another boot ---> ping on the old connection ---- pong ----> refused: the id is taken
//!                                    |
//!                                    +-- ends, or silent for ID_ANSWER_TIME_MAX --> takes the old one's place
//! ```
//!
//! The lower id dials, so a clone of the highest one would hear of nobody. A node that has not been dialled for a while says
//! hello itself: whoever is to dial it does so at once, or refuses it.

use std::net::SocketAddr;

use super::slots::{Challenge, Slot};
use super::{PeerEvent, Peers, Said, Turn};
use herald_core::id::{BootId, NodeId};
use herald_core::limits::{APART_TIME, ID_ANSWER_TIME_MAX};
use herald_core::mesh::link::Origin;
use herald_core::mesh::{Differences, Greeting, Hello, Lane, PeerError};
use herald_core::time::Instant;

/// Why a peer was kept apart last.
#[derive(Debug)]
pub(super) struct KeptApart {
    error: PeerError,
    address: SocketAddr,
    at: Instant,
}

impl Peers {
    /// Asks the older connection of a peer whether it lives, before another boot takes its place. False if nobody is asked:
    /// it is the same boot, or there is no older link, or it was asked already and did not answer.
    pub(super) fn is_challenged(&mut self, place: usize, index: usize, greeting: &Greeting, turn: &Turn<'_>) -> bool {
        let Some(peer) = self.peers.get(index) else { return false };
        let older = peer.way(Lane::Control).slot.filter(|older| *older != place);
        if greeting.lane != Lane::Control || peer.boot.is_none_or(|boot| boot == greeting.hello.boot) {
            return false;
        }
        let Some(older) = older else { return false };
        let serial = self.slots.serial_of(older);
        let nonce = self.slots.serial_of(place);
        let Some(slot) = self.slots.get_mut(place) else { return false };
        if slot.challenge.take().is_some_and(|challenge| challenge.older == serial) {
            return false;
        }
        slot.challenge =
            Some(Challenge { greeting: greeting.clone(), older: serial, until: turn.now + ID_ANSWER_TIME_MAX });
        if let Some(asked) = self.slots.get_mut(older) {
            // What cannot be asked does not answer.
            asked.socket.link_mut().send_ping(nonce).ok();
            self.unflushed.push(older);
        }
        true
    }

    /// A peer asks whether this node lives.
    pub(super) fn pinged(&mut self, place: usize, nonce: u64) -> Result<(), PeerError> {
        let Some(slot) = self.slots.get_mut(place) else { return Ok(()) };
        slot.socket.link_mut().send_pong(nonce)?;
        self.unflushed.push(place);
        Ok(())
    }

    /// The older connection lives: who said hello meanwhile is another node.
    pub(super) fn ponged(&mut self, place: usize, nonce: u64, turn: &mut Turn<'_>) {
        let asked = self.slots.serial_of(place);
        let Some(member) = self.slots.get(place).map(|slot| slot.socket.address()) else { return };
        let newcomer = self.slots.places().find(|newcomer| {
            let challenged = |older| asked == older && self.slots.serial_of(*newcomer) == nonce;
            self.slots.get(*newcomer).and_then(|slot| slot.challenge.as_ref()).is_some_and(|c| challenged(c.older))
        });
        let Some(newcomer) = newcomer else { return };
        let Some(slot) = self.slots.get_mut(newcomer) else { return };
        let Some(Challenge { greeting, .. }) = slot.challenge.take() else { return };
        // The connection ends for this reason in any case.
        slot.socket.link_mut().refuse_taken(&self.identity, member).ok();
        let (node, boot) = (greeting.hello.node, greeting.hello.boot);
        self.end(newcomer, PeerError::IdTwice { node, boot, member }, turn);
    }

    /// The time for an answer is over. What has come from the older connection by now counts still.
    pub(super) fn unanswered(&mut self, place: usize, turn: &mut Turn<'_>) {
        let challenge = |peers: &Self| peers.slots.get(place).and_then(|slot| slot.challenge.clone());
        let Some(Challenge { older, .. }) = challenge(self).filter(|c| c.until <= turn.now) else { return };
        if let Some(older) = self.slots.places().find(|place| self.slots.serial_of(*place) == older) {
            if let Some(slot) = self.slots.get_mut(older) {
                slot.socket.suspect_readable();
            }
            self.advance(older, turn);
        }
        if let Some(Challenge { greeting, .. }) = challenge(self) {
            self.identified(place, greeting, turn);
        }
    }

    /// A connection has ended: who waited for its answer takes its place.
    pub(super) fn not_answered_by(&mut self, serial: u64, turn: &mut Turn<'_>) {
        for place in self.slots.places() {
            let challenge = self.slots.get(place).and_then(|slot| slot.challenge.as_ref());
            if let Some(greeting) = challenge.filter(|c| c.older == serial).map(|c| c.greeting.clone()) {
                self.identified(place, greeting, turn);
            }
        }
    }

    /// True while this node starts and nobody has dialled it.
    pub(super) fn introduces_itself(&self) -> bool {
        !self.identity.hello.side.serves && self.peers.iter().all(|peer| peer.boot.is_none())
    }

    /// True for a connection by which this node only says that it is there.
    pub(super) fn introduces(&self, slot: &Slot) -> bool {
        match slot.socket.link().origin() {
            Origin::Dialled(peer) => !self.is_own_to_dial(peer),
            Origin::Accepted => false,
        }
    }

    pub(super) fn is_introduction(&self, place: usize) -> bool {
        self.slots.get(place).is_some_and(|slot| self.introduces(slot))
    }

    pub(super) fn was_accepted(&self, place: usize) -> bool {
        self.slots.get(place).is_some_and(|slot| slot.socket.link().origin() == Origin::Accepted)
    }

    /// A peer that this node is to dial says that it is there. Nobody has to be told: it is dialled at once.
    pub(super) fn introduced(&mut self, place: usize, index: usize, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.take(place) else { return };
        slot.socket.close(turn.registry);
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.way_mut(Lane::Control).dial_at = turn.now;
        let node = peer.node;
        self.count_refusal(&PeerError::WrongDirection { node });
    }

    /// A connection was refused. If that is for what only people can mend, its peer is told of each time, and whether it is
    /// the first time for this boot of its; all other reasons pass.
    pub(super) fn keep_apart(&mut self, address: SocketAddr, error: &PeerError, turn: &mut Turn<'_>) -> bool {
        let Some((node, boot)) = kept_apart(error) else { return false };
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node) else { return false };
        let is_known = |before: &KeptApart| {
            before.error.name() == error.name() && kept_apart(&before.error).is_some_and(|(_, of)| of == boot)
        };
        let said = if peer.apart.as_ref().is_some_and(is_known) { Said::Before } else { Said::First };
        peer.apart = Some(KeptApart { error: error.clone(), address, at: turn.now });
        turn.told.push(PeerEvent::KeptApart { peer: node, address, error: error.clone(), said });
        true
    }

    /// A peer's link is up. The keys that should be equal and are not are told once for each of its boots.
    pub(super) fn compare(&mut self, index: usize, hello: &Hello, turn: &mut Turn<'_>) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.apart = None;
        let before = peer.compared.replace(hello.boot);
        peer.differs = Differences::between(&self.identity.hello.configuration, &hello.configuration).should;
        if before != Some(hello.boot) && !peer.differs.is_empty() {
            turn.told.push(PeerEvent::Differs { peer: hello.node, keys: peer.differs.clone() });
        }
    }

    /// Why a connection of a peer was refused a moment ago, for what only people can mend; and by whom.
    #[must_use]
    pub fn kept_apart(&self, now: Instant, node: NodeId) -> Option<(SocketAddr, &PeerError)> {
        let apart = self.peers.iter().find(|peer| peer.node == node)?.apart.as_ref()?;
        (now < apart.at + APART_TIME).then_some((apart.address, &apart.error))
    }

    /// The keys of a peer's configuration that should be equal to this node's and are not.
    #[must_use]
    pub fn differing_keys(&self, node: NodeId) -> &[String] {
        self.peers.iter().find(|peer| peer.node == node).map_or(&[], |peer| &peer.differs)
    }
}

/// True for a reason that does not pass by itself.
pub(super) fn is_lasting(error: &PeerError) -> bool {
    kept_apart(error).is_some()
}

/// Whom people have to look at, and which boot of it; `None` for reasons that pass by themselves.
fn kept_apart(error: &PeerError) -> Option<(NodeId, Option<BootId>)> {
    if let PeerError::OtherConfiguration { node, boot, .. } | PeerError::IdTwice { node, boot, .. } = error {
        return Some((*node, Some(*boot)));
    }
    if let PeerError::IdTaken { node, .. } = error { Some((*node, None)) } else { None }
}
