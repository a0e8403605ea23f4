//! How connections begin: accepted or dialled.

use std::io;
use std::net::SocketAddr;

use mio::Token;
use mio::net::TcpStream;

use super::peer::Peer;
use super::{PeerEvent, Peers, Turn};
use crate::io::peer_socket::PeerSocket;
use crate::io::tls::Session;
use herald_core::id::NodeId;
use herald_core::limits;
use herald_core::mesh::backoff::reconnect_delay;
use herald_core::mesh::link::Link;
use herald_core::mesh::{Lane, PeerError};
use herald_core::time::Instant;

impl Peers {
    pub(super) fn accept(&mut self, turn: &mut Turn<'_>) {
        for _ in 0..limits::TURN_ACCEPTS_MAX {
            if !self.listener.ready || turn.now < self.listener.retry_at {
                return;
            }
            match self.listener.socket.accept() {
                Ok((stream, address)) => self.accepted(stream, address, turn),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.listener.ready = false,
                // A connection that ended before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.listener.retry_at = turn.now + limits::ACCEPT_RETRY_DELAY;
                    *self.refusals.entry("accept-failed").or_default() += 1;
                }
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, address: SocketAddr, turn: &mut Turn<'_>) {
        let is_strange = |address: SocketAddr| self.peers.iter().all(|peer| peer.address.ip() != address.ip());
        let unidentified = || self.slots.iter().filter(|slot| slot.peer.is_none());
        let strangers = unidentified().filter(|slot| is_strange(slot.socket.address())).count();
        if unidentified().count() >= limits::UNIDENTIFIED_LINKS_MAX
            || (is_strange(address) && strangers >= limits::STRANGER_LINKS_MAX)
        {
            return self.refuse(address, PeerError::TooManyUnidentified, turn);
        }
        let session = match Session::accepted(&self.tls) {
            Ok(session) => session,
            Err(error) => return self.refuse(address, error, turn),
        };
        let place = self.slots.free_place();
        let link = Link::accepted(turn.now);
        match PeerSocket::accept(turn.registry, self.token(place), (stream, address), session, link) {
            Ok(socket) => self.slots.fill(place, socket, None),
            Err(error) => self.refuse(address, PeerError::Broken { why: error.to_string() }, turn),
        }
    }

    pub(super) fn dial(&mut self, index: usize, lane: Lane, turn: &mut Turn<'_>) {
        let Some(peer) = self.peers.get(index) else { return };
        if !self.is_to_dial(peer, lane) || turn.now < self.dial_at(peer, lane) {
            return;
        }
        let (node, address) = (peer.node, peer.address);
        let resume = match lane {
            Lane::Control => peer.resend.resume(),
            Lane::Frames => None,
        };
        let place = self.slots.free_place();
        let token = self.token(place);
        let opened = Session::dialled(&self.tls, address).and_then(|session| {
            let link = Link::dialled(turn.now, node, lane, resume);
            PeerSocket::dial(turn.registry, token, address, session, link)
                .map_err(|error| PeerError::Unreachable { why: error.to_string() })
        });
        match opened {
            Ok(socket) => {
                self.slots.fill(place, socket, Some(index));
                self.set_slot(index, lane, Some(place));
            }
            Err(error) => {
                self.dial_later(index, lane, turn.now);
                if self.is_own_to_dial(node) {
                    self.refuse(address, error, turn);
                } else {
                    self.count_refusal(&error);
                }
            }
        }
    }

    /// True for a connection that this node dials and does not have. The one for frames follows the other.
    pub(super) fn is_to_dial(&self, peer: &Peer, lane: Lane) -> bool {
        let due = match lane {
            Lane::Control => self.is_own_to_dial(peer.node) || self.introduces_itself(),
            Lane::Frames => self.is_own_to_dial(peer.node) && peer.boot.is_some(),
        };
        due && peer.way(lane).slot.is_none()
    }

    /// When that is.
    pub(super) fn dial_at(&self, peer: &Peer, lane: Lane) -> Instant {
        let earliest = if self.is_own_to_dial(peer.node) { None } else { self.introduces_at };
        earliest.map_or(peer.way(lane).dial_at, |earliest| earliest.max(peer.way(lane).dial_at))
    }

    /// The lower id dials the higher one.
    pub(super) fn is_own_to_dial(&self, peer: NodeId) -> bool {
        self.identity.hello.node < peer
    }

    pub(super) fn dial_later(&mut self, index: usize, lane: Lane, now: Instant) {
        if let Some(peer) = self.peers.get_mut(index) {
            let node = peer.node;
            let way = peer.way_mut(lane);
            way.dial_at = now + reconnect_delay(self.chance, node, way.failures);
            way.failures = way.failures.saturating_add(1);
        }
    }

    pub(super) fn set_slot(&mut self, index: usize, lane: Lane, slot: Option<usize>) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.way_mut(lane).slot = slot;
    }

    pub(super) fn refuse(&mut self, address: SocketAddr, error: PeerError, turn: &mut Turn<'_>) {
        self.count_refusal(&error);
        if !self.keep_apart(address, &error, turn) {
            turn.told.push(PeerEvent::Refused { address, error });
        }
    }

    pub(super) fn count_refusal(&mut self, error: &PeerError) {
        *self.refusals.entry(error.name()).or_default() += 1;
    }

    fn token(&self, place: usize) -> Token {
        Token(self.first_token + 1 + place)
    }
}
