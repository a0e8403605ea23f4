//! All peer links of a node over TCP: listening, dialling, saying hello, and dialling again.
//!
//! The lower node id dials the higher one. A peer that connects again while its old connection still looks alive takes
//! the old one's place. What a link costs is bounded: connections that have not said hello, bytes that wait, bytes read
//! and connections accepted in one turn.

mod slots;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::peer_socket::{Budget, PeerSocket};
use crate::flow::HashKey;
use crate::id::NodeId;
use crate::limits;
use crate::mesh::backoff::reconnect_delay;
use crate::mesh::link::{Identity, Input, LinkEvent, Origin};
use crate::mesh::{Hello, Message, PeerError};
use crate::time::Instant;
use slots::Slots;

/// What the links tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// A link is up; the hello says to whom.
    Up(Hello),
    /// A message of a peer whose link is up.
    Arrived(NodeId, Message),
    /// A link that was up is lost.
    Lost(NodeId, PeerError),
    /// A connection did not become a link.
    Refused {
        /// The other end.
        address: SocketAddr,
        /// Why.
        error: PeerError,
    },
}

/// The links to all peers.
#[derive(Debug)]
pub struct Peers {
    first_token: usize,
    listener: Listener,
    identity: Identity,
    chance: HashKey,
    peers: Vec<Peer>,
    slots: Slots,
    /// Slots with something to write or a failure to report.
    unflushed: Vec<usize>,
    refusals: BTreeMap<&'static str, u64>,
    unsendable: u64,
    unknown_kinds: u64,
}

#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// More connections may wait.
    ready: bool,
    /// Not before this.
    retry_at: Instant,
}

#[derive(Debug)]
struct Peer {
    node: NodeId,
    address: SocketAddr,
    /// Its link, or the attempt to open one.
    slot: Option<usize>,
    /// Attempts in a row after which no message came.
    failures: u32,
    dial_at: Instant,
}

/// What every function of one turn needs.
struct Turn<'a> {
    now: Instant,
    registry: &'a Registry,
    told: &'a mut Vec<PeerEvent>,
}

impl Peers {
    /// Tokens used, from the first token on: the listener's, one for each member, one for each unidentified link.
    pub const TOKENS: usize = 1 + limits::MEMBERS_MAX + limits::UNIDENTIFIED_LINKS_MAX;

    /// Listens, and will dial those peers whose id is higher than the node's own at the first call of
    /// [`Peers::deadline_reached`]. The boot id in `hello` is the source of chance for the pauses between attempts.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or there are more peers than `limits::MEMBERS_MAX`.
    pub fn new(
        registry: &Registry,
        first_token: usize,
        listen: SocketAddr,
        peers: Vec<(NodeId, SocketAddr)>,
        hello: Hello,
    ) -> io::Result<Self> {
        if peers.len() > limits::MEMBERS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many peers"));
        }
        let mut socket = TcpListener::bind(listen)?;
        registry.register(&mut socket, Token(first_token), Interest::READABLE)?;
        let chance = HashKey((u128::from(hello.boot.0) << 64 | u128::from(!hello.boot.0)).to_be_bytes());
        let identity = Identity { hello, peers: peers.iter().map(|(node, _)| *node).collect() };
        let peer = |(node, address)| Peer { node, address, slot: None, failures: 0, dial_at: Instant::default() };
        Ok(Self {
            first_token,
            listener: Listener { socket, ready: false, retry_at: Instant::default() },
            identity,
            chance,
            peers: peers.into_iter().map(peer).collect(),
            slots: Slots::default(),
            unflushed: Vec::new(),
            refusals: BTreeMap::new(),
            unsendable: 0,
            unknown_kinds: 0,
        })
    }

    /// The address listened on, with the port the system chose if 0 was asked for.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.socket.local_addr()
    }

    /// True if an event with this token is for [`Peers::ready`].
    #[must_use]
    pub fn owns(&self, token: Token) -> bool {
        token.0.checked_sub(self.first_token).is_some_and(|offset| offset < Self::TOKENS)
    }

    /// The poll says that a socket is ready. A bounded amount is done; if more is left, [`Peers::next_deadline`] lies in
    /// the past and [`Peers::deadline_reached`] goes on.
    pub fn ready(&mut self, now: Instant, registry: &Registry, event: &Event, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        let Some(offset) = event.token().0.checked_sub(self.first_token) else { return };
        let Some(slot) = offset.checked_sub(1) else {
            self.listener.ready = true;
            return self.accept(&mut turn);
        };
        if let Some(ready) = self.slots.get_mut(slot) {
            ready.socket.note(event);
            self.advance(slot, &mut turn);
        }
    }

    /// Puts a message behind those that wait for a peer; [`Peers::flush`] writes them. Without a link, or over its
    /// bound, the message is lost and counted; membership knows of lost links.
    pub fn send(&mut self, to: NodeId, message: &Message) {
        let place = self.peers.iter().find(|peer| peer.node == to).and_then(|peer| peer.slot);
        let link = place.and_then(|place| self.slots.get_mut(place).map(|slot| (place, slot)));
        let Some((place, slot)) = link.filter(|(_, slot)| slot.told_up && slot.failed.is_none()) else {
            self.unsendable += 1;
            return;
        };
        let waited = !slot.socket.link().unsent().is_empty();
        match slot.socket.link_mut().send(message) {
            // What waited before waits for the socket, or is on the list already.
            Ok(()) if waited => {}
            Ok(()) => self.unflushed.push(place),
            Err(error @ PeerError::QueueFull { .. }) => {
                slot.failed = Some(error);
                self.unflushed.push(place);
            }
            Err(_) => self.unsendable += 1,
        }
    }

    /// Bytes that a bulk may put behind those that wait for a peer, so that what is urgent does not wait long behind it.
    #[must_use]
    pub fn room(&self, to: NodeId) -> usize {
        let place = self.peers.iter().find(|peer| peer.node == to).and_then(|peer| peer.slot);
        let slot = place.and_then(|place| self.slots.get(place)).filter(|slot| slot.told_up && slot.failed.is_none());
        slot.map_or(0, |slot| limits::BULK_BYTES_MAX.saturating_sub(slot.socket.link().unsent().len()))
    }

    /// Writes what was sent since the last call: one write for each link.
    pub fn flush(&mut self, now: Instant, registry: &Registry, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        while let Some(place) = self.unflushed.pop() {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            match slot.failed.take() {
                Some(error) => self.end(place, error, &mut turn),
                None => self.write(place, &mut turn),
            }
        }
    }

    /// Goes on where a turn's bounds ended, ends links whose time is over, dials.
    pub fn deadline_reached(&mut self, now: Instant, registry: &Registry, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        self.accept(&mut turn);
        for place in self.slots.places() {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            let due = slot.socket.link().next_deadline().is_some_and(|deadline| deadline <= now);
            if due {
                slot.socket.suspect_readable();
            }
            if due || slot.socket.is_ready() {
                self.advance(place, &mut turn);
                self.time_out(place, &mut turn);
            }
        }
        for index in 0..self.peers.len() {
            self.dial(index, &mut turn);
        }
    }

    /// When [`Peers::deadline_reached`] is due; an instant in the past: at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let listener = self.listener.ready.then_some(self.listener.retry_at);
        let links = self.slots.iter().filter_map(|slot| {
            if slot.socket.is_ready() { Some(Instant::default()) } else { slot.socket.link().next_deadline() }
        });
        let dialling = self.peers.iter().filter(|peer| self.is_to_dial(peer)).map(|peer| peer.dial_at);
        listener.into_iter().chain(links).chain(dialling).min()
    }

    /// How often each reason refused or ended a link, by its name.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.refusals.iter().map(|(name, count)| (*name, *count))
    }

    /// Messages for peers without a link, and messages over their bound.
    #[must_use]
    pub fn unsendable(&self) -> u64 {
        self.unsendable
    }

    /// Messages skipped because this version does not know their kind.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        let open = self.slots.iter().map(|slot| slot.socket.link().unknown_kinds());
        self.unknown_kinds + open.sum::<u64>()
    }

    fn accept(&mut self, turn: &mut Turn<'_>) {
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
        let unidentified = self.slots.iter().filter(|slot| slot.peer.is_none()).count();
        if unidentified >= limits::UNIDENTIFIED_LINKS_MAX {
            return self.refuse(address, PeerError::TooManyUnidentified, turn);
        }
        let place = self.slots.free_place();
        let token = self.token(place);
        match PeerSocket::accept(turn.now, turn.registry, token, stream, address) {
            Ok(socket) => self.slots.fill(place, socket, None),
            Err(error) => self.refuse(address, PeerError::Broken { why: error.to_string() }, turn),
        }
    }

    fn dial(&mut self, index: usize, turn: &mut Turn<'_>) {
        let Some(peer) = self.peers.get(index) else { return };
        let (node, address) = (peer.node, peer.address);
        if !self.is_to_dial(peer) || turn.now < peer.dial_at {
            return;
        }
        let place = self.slots.free_place();
        let token = self.token(place);
        match PeerSocket::dial(turn.now, turn.registry, token, node, address) {
            Ok(socket) => {
                self.slots.fill(place, socket, Some(index));
                self.set_slot(index, Some(place));
            }
            Err(error) => {
                self.dial_later(index, turn.now);
                self.refuse(address, PeerError::Unreachable { why: error.to_string() }, turn);
            }
        }
    }

    /// Reads, acts on what was read, writes what that led to.
    fn advance(&mut self, place: usize, turn: &mut Turn<'_>) {
        let mut budget = Budget(limits::TURN_LINK_BYTES_MAX);
        while let Some(slot) = self.slots.get_mut(place) {
            match slot.socket.next_event(turn.now, &self.identity, &mut budget) {
                Some(event) => self.happened(place, event, turn),
                None => break,
            }
        }
        self.write(place, turn);
    }

    fn write(&mut self, place: usize, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if let Some(event) = slot.socket.flush(turn.now, &self.identity) {
            self.happened(place, event, turn);
        }
    }

    fn time_out(&mut self, place: usize, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if let Some(event) = slot.socket.link_mut().step(turn.now, &self.identity, Input::DeadlineReached) {
            self.happened(place, event, turn);
        }
    }

    fn happened(&mut self, place: usize, event: LinkEvent, turn: &mut Turn<'_>) {
        match event {
            LinkEvent::Up(hello) => self.identified(place, hello, turn),
            LinkEvent::Arrived(message) => {
                let Some(slot) = self.slots.get(place) else { return };
                if let Some(peer) = slot.peer.and_then(|index| self.peers.get_mut(index)) {
                    peer.failures = 0;
                    turn.told.push(PeerEvent::Arrived(peer.node, message));
                }
            }
            LinkEvent::Closed(error) => self.end(place, error, turn),
        }
    }

    /// A good hello came: the link is up, in the place of an older one if there is one.
    fn identified(&mut self, place: usize, hello: Hello, turn: &mut Turn<'_>) {
        let node = hello.node;
        let Some(index) = self.peers.iter().position(|peer| peer.node == node) else {
            return self.end(place, PeerError::UnknownNode { node }, turn);
        };
        if let Some(other) = self.peers.get(index).and_then(|peer| peer.slot).filter(|other| *other != place) {
            if self.slots.serial_of(other) > self.slots.serial_of(place) {
                return self.end(place, PeerError::OlderLink { node }, turn);
            }
            self.end(other, PeerError::Replaced, turn);
        }
        self.set_slot(index, Some(place));
        if let Some(slot) = self.slots.get_mut(place) {
            (slot.peer, slot.told_up) = (Some(index), true);
            turn.told.push(PeerEvent::Up(hello));
        }
    }

    /// Ends a connection and reports it, as a lost link if it was one.
    fn end(&mut self, place: usize, error: PeerError, turn: &mut Turn<'_>) {
        let Some(slot) = self.slots.take(place) else { return };
        self.unknown_kinds += slot.socket.link().unknown_kinds();
        let (address, dialled) = (slot.socket.address(), slot.socket.link().origin() != Origin::Accepted);
        slot.socket.close(turn.registry);
        if let Some(index) = slot.peer {
            self.set_slot(index, None);
            if dialled {
                self.dial_later(index, turn.now);
            }
        }
        match slot.peer.and_then(|index| self.peers.get(index)).filter(|_| slot.told_up) {
            Some(peer) => {
                *self.refusals.entry(error.name()).or_default() += 1;
                turn.told.push(PeerEvent::Lost(peer.node, error));
            }
            None => self.refuse(address, error, turn),
        }
    }

    fn refuse(&mut self, address: SocketAddr, error: PeerError, turn: &mut Turn<'_>) {
        *self.refusals.entry(error.name()).or_default() += 1;
        turn.told.push(PeerEvent::Refused { address, error });
    }

    /// True for a peer that this node dials and has no connection to.
    fn is_to_dial(&self, peer: &Peer) -> bool {
        peer.slot.is_none() && self.identity.hello.node < peer.node
    }

    fn dial_later(&mut self, index: usize, now: Instant) {
        if let Some(peer) = self.peers.get_mut(index) {
            peer.dial_at = now + reconnect_delay(self.chance, peer.node, peer.failures);
            peer.failures = peer.failures.saturating_add(1);
        }
    }

    fn set_slot(&mut self, index: usize, slot: Option<usize>) {
        let Some(peer) = self.peers.get_mut(index) else { return };
        peer.slot = slot;
    }

    fn token(&self, place: usize) -> Token {
        Token(self.first_token + 1 + place)
    }
}

#[cfg(test)]
mod tests;
