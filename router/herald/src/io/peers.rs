//! All peer links of a node over TCP and TLS: listening, dialling, saying hello, and dialling again.
//!
//! The lower node id dials the higher one. A link is a connection for control, and beside it one for frames that comes
//! and goes without it mattering to the first. A peer that connects again while its old connection still looks alive
//! takes the old one's place. What a link costs is bounded: connections that have not said hello, handshakes, bytes that
//! wait, bytes kept to be sent again, bytes read and connections accepted in one turn.

mod apart;
mod opening;
mod peer;
mod slots;
mod talking;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use super::tls::TlsIdentity;
use herald_core::flow::HashKey;
use herald_core::id::NodeId;
use herald_core::limits;
use herald_core::mesh::link::Identity;
use herald_core::mesh::{Hello, Lane, Message, PeerError, Side};
use herald_core::time::Instant;
use peer::Peer;
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
    /// The connection for frames beside a link is up.
    FramesUp(NodeId),
    /// The connection for frames beside a link is lost; frames find it again later, or not.
    FramesLost(NodeId, PeerError),
    /// A connection of a peer did not become a link, for what only people can mend. Told each time.
    KeptApart {
        /// The peer; of an id that is used twice, the id.
        peer: NodeId,
        /// The other end.
        address: SocketAddr,
        /// Why.
        error: PeerError,
        /// Whether it was told before of this boot of it.
        said: Said,
    },
    /// The configuration of a peer that was linked differs in these keys, which should be equal. Told once for each boot.
    Differs {
        /// The peer.
        peer: NodeId,
        /// The keys.
        keys: Vec<String>,
    },
    /// A connection did not become a link.
    Refused {
        /// The other end.
        address: SocketAddr,
        /// Why.
        error: PeerError,
    },
}

/// Whether something was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is new.
    First,
    /// It was, and goes on.
    Before,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// Too many bytes of frames wait for that peer.
    QueueFull,
    /// There is no connection for frames to that peer.
    Unreachable,
}

/// When a message is to be written.
#[derive(Clone, Copy)]
enum Haste {
    /// At the next [`Peers::flush`].
    Urgent,
    /// With the next urgent one, and when this time has come.
    By(Instant),
}

/// The links to all peers.
#[derive(Debug)]
pub struct Peers {
    first_token: usize,
    listener: Listener,
    identity: Identity,
    tls: TlsIdentity,
    chance: HashKey,
    peers: Vec<Peer>,
    slots: Slots,
    /// Slots with something to write or a failure to report.
    unflushed: Vec<usize>,
    /// Handshakes that may still go on in the turn of this time.
    handshakes: (Instant, u32),
    /// From when on a node that nobody has dialled says itself that it is there; once the first turn has come.
    introduces_at: Option<Instant>,
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

/// What every function of one turn needs.
struct Turn<'a> {
    now: Instant,
    registry: &'a Registry,
    told: &'a mut Vec<PeerEvent>,
}

impl Peers {
    /// Tokens used, from the first token on: the listener's, two for each member, one for each unidentified link.
    pub const TOKENS: usize = 1 + 2 * limits::MEMBERS_MAX + limits::UNIDENTIFIED_LINKS_MAX;

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
        tls: TlsIdentity,
    ) -> io::Result<Self> {
        if peers.len() > limits::MEMBERS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many peers"));
        }
        let mut socket = TcpListener::bind(listen)?;
        registry.register(&mut socket, Token(first_token), Interest::READABLE)?;
        let chance = HashKey((u128::from(hello.boot.0) << 64 | u128::from(!hello.boot.0)).to_be_bytes());
        let boot = hello.boot;
        let identity = Identity { hello, peers: peers.iter().map(|(node, _)| *node).collect() };
        Ok(Self {
            first_token,
            listener: Listener { socket, ready: false, retry_at: Instant::default() },
            identity,
            tls,
            chance,
            peers: peers.into_iter().map(|(node, address)| Peer::new(node, address, boot)).collect(),
            slots: Slots::default(),
            unflushed: Vec::new(),
            handshakes: (Instant::default(), limits::TURN_HANDSHAKES_MAX),
            introduces_at: None,
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

    /// The part of the cluster that this node is in, as its next hellos tell it.
    pub fn set_side(&mut self, side: Side) {
        self.identity.hello.side = side;
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

    /// Puts a message behind those that wait for a peer; [`Peers::flush`] writes them.
    ///
    /// A numbered message waits, too, for a peer whose link is lost until [`Peers::forget`] gives it up. Other messages of
    /// the control connection without a link, or over a bound, are lost and counted; membership knows of lost links.
    ///
    /// # Errors
    ///
    /// A message with a frame found no room or no connection: the frame is lost, and is the caller's to count.
    pub fn send(&mut self, to: NodeId, message: &Message) -> Result<(), Unsent> {
        self.put(to, message, Haste::Urgent)
    }

    /// As [`Peers::send`], for a message that is not urgent: it is written with the next urgent one to the same peer, and by
    /// [`Peers::deadline_reached`] when `time` has come.
    ///
    /// # Errors
    ///
    /// Those of [`Peers::send`].
    pub fn send_by(&mut self, time: Instant, to: NodeId, message: &Message) -> Result<(), Unsent> {
        self.put(to, message, Haste::By(time))
    }

    fn put(&mut self, to: NodeId, message: &Message, haste: Haste) -> Result<(), Unsent> {
        match (message.lane(), self.peers.iter().position(|peer| peer.node == to)) {
            (Lane::Frames, Some(index)) => self.send_frame(index, message),
            (Lane::Frames, None) => Err(Unsent::Unreachable),
            (Lane::Control, Some(index)) => {
                self.send_control(index, message, haste);
                Ok(())
            }
            (Lane::Control, None) => {
                self.unsendable += 1;
                Ok(())
            }
        }
    }

    /// How many bytes a bulk sender may still send to a peer before it should wait; 0 without a link. There is more room
    /// when the peer has acknowledged, which is an event of its socket.
    #[must_use]
    pub fn room(&self, to: NodeId) -> usize {
        let peer = self.peers.iter().find(|peer| peer.node == to).filter(|peer| peer.boot.is_some());
        peer.map_or(0, |peer| limits::BULK_BYTES_MAX.saturating_sub(peer.resend.bytes_kept()))
    }

    /// The peer is dead: what waits for its return is given up.
    pub fn forget(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == node && peer.boot.is_none()) {
            peer.resend.forget();
        }
    }

    /// Writes what was sent since the last call, but what is not urgent: one write for each link.
    pub fn flush(&mut self, now: Instant, registry: &Registry, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        while let Some(place) = self.unflushed.pop() {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            match slot.failed.take() {
                Some(error) => self.end(place, error, &mut turn),
                None => {
                    self.tell_received(place, 1);
                    self.write(place, &mut turn);
                }
            }
        }
    }

    /// Writes what is not urgent, too: the last words of a node that stops.
    pub fn flush_all(&mut self, now: Instant, registry: &Registry, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        for place in self.slots.places() {
            self.write_delayed(place, Instant::NEVER, &mut turn);
        }
    }

    /// Goes on where a turn's bounds ended, ends links whose time is over, dials.
    pub fn deadline_reached(&mut self, now: Instant, registry: &Registry, told: &mut Vec<PeerEvent>) {
        let mut turn = Turn { now, registry, told };
        self.introduces_at.get_or_insert(now + limits::INTRODUCTION_DELAY);
        self.accept(&mut turn);
        for place in self.slots.places() {
            let Some(slot) = self.slots.get_mut(place) else { continue };
            let due = slot.deadline().is_some_and(|deadline| deadline <= now);
            if due {
                slot.socket.suspect_readable();
            }
            if due || slot.socket.is_ready() {
                self.advance(place, &mut turn);
                self.time_out(place, &mut turn);
            }
            self.write_delayed(place, now, &mut turn);
        }
        for index in 0..self.peers.len() {
            self.dial(index, Lane::Control, &mut turn);
            self.dial(index, Lane::Frames, &mut turn);
        }
    }

    /// When [`Peers::deadline_reached`] is due; an instant in the past: at once.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.unflushed.is_empty() {
            return Some(Instant::default());
        }
        let listener = self.listener.ready.then_some(self.listener.retry_at);
        let links = self.slots.iter().filter_map(|slot| {
            if slot.socket.is_ready() {
                return Some(Instant::default());
            }
            [slot.deadline(), Some(slot.write_by)].into_iter().flatten().min()
        });
        let dialling = self.peers.iter().flat_map(|peer| {
            let lanes = [Lane::Control, Lane::Frames].into_iter();
            lanes.filter(|lane| self.is_to_dial(peer, *lane)).map(|lane| self.dial_at(peer, lane))
        });
        listener.into_iter().chain(links).chain(dialling).min()
    }

    /// How often each reason refused or ended a link, by its name.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.refusals.iter().map(|(name, count)| (*name, *count))
    }

    /// Messages for peers without a link, messages over their bound, and messages given up before they were
    /// acknowledged.
    #[must_use]
    pub fn unsendable(&self) -> u64 {
        self.unsendable + self.peers.iter().map(|peer| peer.resend.given_up()).sum::<u64>()
    }

    /// Messages skipped because this version does not know their kind.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        let open = self.slots.iter().map(|slot| slot.socket.link().unknown_kinds());
        self.unknown_kinds + open.sum::<u64>()
    }
}

#[cfg(test)]
mod tests;
