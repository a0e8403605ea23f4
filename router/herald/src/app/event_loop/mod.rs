//! The event loop: one thread, one poll, everything a node touches. Each turn takes a bounded amount from every source,
//! lets the node decide, and carries out what it decided before it waits again.

mod answers;
mod cluster;
mod log;
mod port;
mod ring;
mod turn;
mod who;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::mpsc;

pub use cluster::{Answered, Inquired, NodeAnswer, Silence};
pub use port::Port;

use super::control::Question;
use super::logging::LogBooks;
use super::published::{Published, Publisher};
use super::watchdog::{Phase, Progress};
use crate::io::knocks::Knocks;
use crate::io::peers::{PeerEvent, Peers, Said};
use crate::io::{Pool, StopSignals, Timer, clock};
use cluster::Cluster;
use herald_core::event::Event;
use herald_core::id::{Interface, NodeId, PerInterface};
use herald_core::limits::{REFUSAL_LINES_BURST_MAX, REFUSAL_LINES_PER_SECOND_MAX};
use herald_core::membership::Apart;
use herald_core::mesh::PeerError;
use herald_core::node::Node;
use herald_core::outbox::Outbox;
use herald_core::session::Bounds;
use herald_core::time::{Bucket, Instant};
use herald_core::turn::Turn;
use herald_host::{Chain, Head};
use ring::Rings;
use who::Waiting;

const FIRST_TAP: Token = Token(0);
const SECOND_TAP: Token = Token(1);
const FIRST_WATCH: Token = Token(2);
const SECOND_WATCH: Token = Token(3);
const SIGNALS: Token = Token(4);
const WAKER: Token = Token(5);
const TIMER: Token = Token(6);

/// The first of the tokens that the peers' links use.
pub const PEERS_FIRST_TOKEN: usize = 16;

/// The first of the tokens that knocks at the peers' addresses use.
pub const KNOCKS_FIRST_TOKEN: usize = PEERS_FIRST_TOKEN + Peers::TOKENS;

/// Events fetched from the kernel at once; more are fetched in the next turn.
const POLL_EVENTS_MAX: usize = 256;

/// What the loop works with.
#[derive(Debug)]
pub struct Parts {
    /// The poll that the peers' links are registered with.
    pub poll: Poll,
    /// The node.
    pub node: Node<Head>,
    /// Its plugins.
    pub plugins: Chain,
    /// Its interfaces.
    pub ports: PerInterface<Port>,
    /// Its links; `None` without peers.
    pub peers: Option<Peers>,
    /// Asks whether lost peers still listen.
    pub knocks: Knocks,
    /// Signals that end the loop.
    pub signals: StopSignals,
    /// Questions of the control thread, which wakes the loop for each.
    pub questions: Receiver<Question>,
    /// Takes what members ask.
    pub inquired: mpsc::Sender<Inquired>,
    /// What readers of the session tables take.
    pub published: Published,
    /// Where the watchdog looks.
    pub progress: Arc<Progress>,
    /// For reports.
    pub about: About,
}

/// What reports say of the node and the node itself does not know.
#[derive(Clone, Debug)]
pub struct About {
    /// The node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: String,
    /// When it started.
    pub started: Instant,
    /// What became of its log's lines.
    pub log: LogBooks,
    /// How large its tables may be.
    pub bounds: Bounds,
}

/// The loop.
#[derive(Debug)]
pub struct EventLoop {
    /// Seen by reports, as are the two below.
    pub(super) parts: Parts,
    pub(super) out: Outbox,
    pub(super) pool: Pool,
    rings: Rings,
    timer: Timer,
    /// When something is due next, as far as the last turn saw.
    due: Instant,
    told: Vec<PeerEvent>,
    waiting: Waiting,
    publisher: Publisher,
    cluster: Cluster,
    /// Lines of the log about refused connections: strangers must not fill the disk.
    refusal_lines: Bucket,
    asked: bool,
    /// More streams of a bulk could be sent at once.
    bulk: bool,
    stopping: bool,
}

/// A waker for a loop's poll.
///
/// # Errors
/// When there are no descriptors left.
pub fn waker(poll: &Poll) -> io::Result<Waker> {
    Waker::new(poll.registry(), WAKER)
}

impl EventLoop {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// When the kernel refuses to watch one of the descriptors.
    pub fn new(mut parts: Parts) -> io::Result<Self> {
        let publisher = Publisher::new(parts.published.clone());
        let registry = parts.poll.registry();
        registry.register(&mut parts.ports.first.tap, FIRST_TAP, Interest::READABLE)?;
        registry.register(&mut parts.ports.second.tap, SECOND_TAP, Interest::READABLE)?;
        registry.register(&mut parts.ports.first.watch, FIRST_WATCH, Interest::READABLE)?;
        registry.register(&mut parts.ports.second.watch, SECOND_WATCH, Interest::READABLE)?;
        registry.register(&mut parts.signals, SIGNALS, Interest::READABLE)?;
        let mut timer = Timer::new()?;
        registry.register(&mut timer, TIMER, Interest::READABLE)?;
        let pool = Pool::new(parts.about.bounds.frames);
        // A number that no earlier run of this node has come to.
        let cluster = Cluster::new(parts.inquired.clone(), parts.about.started.as_nanos());
        let mut out = Outbox::default();
        out.keep_drops();
        Ok(Self {
            parts,
            out,
            pool,
            rings: Rings::new(),
            timer,
            due: Instant::default(),
            told: Vec::new(),
            waiting: Waiting::default(),
            publisher,
            cluster,
            refusal_lines: Bucket::new(clock::now(), REFUSAL_LINES_PER_SECOND_MAX, REFUSAL_LINES_BURST_MAX),
            asked: false,
            bulk: false,
            stopping: false,
        })
    }

    /// Runs until a signal asks to stop; then ends the streams, tells the peers, and returns.
    ///
    /// # Errors
    /// When the poll fails.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(POLL_EVENTS_MAX);
        self.send_bulk();
        self.deadlines();
        while !self.stopping {
            self.parts.progress.enter(Phase::Waiting);
            let time_out = self.prepare_to_wait()?;
            match self.parts.poll.poll(&mut events, time_out) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                result => result?,
            }
            self.parts.progress.turn();
            self.turn(&events);
        }
        let now = clock::now();
        self.parts.node.stop(&mut Turn::new(now, &mut self.parts.plugins, &mut self.out));
        // The network hears first that roles are given up: the advert of a successor, which hears of it on the mesh, must not
        // overtake this one and lead switches back here.
        self.transmit();
        self.carry_out(now);
        if let Some(peers) = &mut self.parts.peers {
            peers.flush_all(now, self.parts.poll.registry(), &mut self.told);
        }
        Ok(())
    }

    /// Sees to it that the loop wakes when something is due. Returns the poll's time-out: none, or zero while a TAP has more
    /// to give.
    fn prepare_to_wait(&mut self) -> io::Result<Option<Duration>> {
        if self.parts.ports.first.readable || self.parts.ports.second.readable || self.has_more() {
            return Ok(Some(Duration::ZERO));
        }
        self.timer.wake_by(self.due)?;
        Ok(None)
    }

    /// True if there is more to do at once than frames.
    fn has_more(&self) -> bool {
        self.asked || self.bulk || self.publisher.is_busy() || self.cluster.has_more()
    }

    /// One turn: what happened, then the questions, then the deadlines.
    fn turn(&mut self, events: &Events) {
        let now = clock::now();
        self.parts.progress.enter(Phase::Peers);
        for event in events {
            self.note(now, event);
        }
        self.hear_peers(now);
        self.take_frames();
        self.answer_questions();
        self.send_bulk();
        self.deadlines();
    }

    /// Remembers what an event says is ready; links are served at once.
    fn note(&mut self, now: Instant, event: &mio::event::Event) {
        match event.token() {
            FIRST_TAP => self.parts.ports.first.readable = true,
            SECOND_TAP => self.parts.ports.second.readable = true,
            FIRST_WATCH => self.look_at(now, Interface::First),
            SECOND_WATCH => self.look_at(now, Interface::Second),
            WAKER => self.asked = true,
            TIMER => self.timer.has_woken(),
            SIGNALS => {
                if let Some(name) = self.parts.signals.read() {
                    tracing::info!("stopping: {name}");
                    self.stopping = true;
                }
            }
            Token(KNOCKS_FIRST_TOKEN..) => {
                if let Some(peer) = self.parts.knocks.ready(now, self.parts.poll.registry(), event.token()) {
                    self.refused(now, peer);
                }
            }
            _ => {
                if let Some(peers) = &mut self.parts.peers {
                    peers.ready(now, self.parts.poll.registry(), event, &mut self.told);
                }
            }
        }
    }

    /// Lets the node know what the links said, until they have nothing more to say.
    fn hear_peers(&mut self, now: Instant) {
        while !self.told.is_empty() {
            let mut told = std::mem::take(&mut self.told);
            for event in told.drain(..) {
                self.hear(now, event);
            }
            // Treating them tells nothing new; the emptied list is used again.
            self.told = told;
            self.carry_out(now);
        }
    }

    fn hear(&mut self, now: Instant, event: PeerEvent) {
        let (node, turn) = (&mut self.parts.node, &mut Turn::new(now, &mut self.parts.plugins, &mut self.out));
        match event {
            PeerEvent::Up(hello) => node.link_up(turn, &hello),
            PeerEvent::Arrived(from, message) => node.message_arrived(turn, from, message),
            PeerEvent::Lost(peer, error) => {
                tracing::info!("link to {peer}: {error}");
                node.link_lost(turn, peer);
                if error != PeerError::Replaced && self.parts.knocks.knock(now, self.parts.poll.registry(), peer) {
                    self.refused(now, peer);
                }
            }
            PeerEvent::FramesUp(peer) => node.frames_up(turn, peer),
            PeerEvent::FramesLost(peer, error) => {
                tracing::debug!("connection for frames with {peer}: {error}");
                node.frames_lost(turn, peer);
            }
            PeerEvent::KeptApart { peer, address, error, said } => self.kept_apart(now, (peer, address), &error, said),
            PeerEvent::Differs { peer, keys } => {
                tracing::warn!("the configuration of {peer} differs in {}, which should be equal", keys.join(", "));
                self.out.tell(Event::ConfigurationDiffers { peer });
            }
            // Those without a line are counted all the same.
            PeerEvent::Refused { address, error } => {
                if self.refusal_lines.take(now).is_some() {
                    tracing::warn!("connection with {address} refused: {error}");
                }
            }
        }
    }

    /// A peer was refused, or refuses this node, until people mend what is wrong: told once for each boot of the peer.
    fn kept_apart(&mut self, now: Instant, (peer, address): (NodeId, SocketAddr), error: &PeerError, said: Said) {
        let apart = if let PeerError::OtherConfiguration { side, .. } = error {
            Some(Apart::Configuration(*side))
        } else if let PeerError::IdTaken { .. } = error {
            Some(Apart::IdTaken)
        } else {
            None
        };
        if let Some(apart) = apart {
            let turn = &mut Turn::new(now, &mut self.parts.plugins, &mut self.out);
            self.parts.node.kept_apart(turn, peer, apart);
        }
        if said == Said::First {
            tracing::error!("{peer} at {address} and this node take no part with each other: {error}");
            self.out.tell(Event::KeptApart { peer, reason: error.name() });
        }
    }

    /// A lost peer's address refuses connections. What follows is carried out in this turn.
    fn refused(&mut self, now: Instant, peer: NodeId) {
        tracing::info!("nobody listens at the address of {peer} any more");
        self.parts.node.peer_refused(&mut Turn::new(now, &mut self.parts.plugins, &mut self.out), peer);
    }
}
