//! The marker session: the chosen node's one record of a stream, with all that stands for it, of the core and of the plugins'
//! host.

use std::time::Duration;

use super::{Life, State, Timeouts};
use crate::flow::FlowKey;
use crate::id::{Generation, Interface, NodeId};
use crate::inspector::{Direction, HostPart, PerDirection, Standing, Stream};
use crate::limits::{BLOCKED_OPENING_TIME_MAX, BLOCKED_TIME_MAX};
use crate::time::Instant;

/// How far the other redirector knows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// No packet has left yet.
    No,
    /// An announcement is on its way; packets are held.
    Waiting,
    /// A hold ran out; packets go on only as far as the other redirector would choose this node by itself.
    TimedOut {
        /// When to announce again.
        again: Instant,
    },
    /// Acknowledged.
    Acknowledged,
    /// Refused: another node has the stream, and this session is about to end.
    Lost,
    /// Handed over: another node has the stream, and what still comes follows it.
    Moved(Moved),
}

/// A stream that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The new ownership.
    pub to: Generation,
    /// Redirectors that have said that they know.
    pub told_by: ToldBy,
    /// When the fence is due; [`Instant::NEVER`] once it was sent.
    pub fence: Instant,
}

/// Redirectors of a stream that have said that they know of its move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToldBy {
    /// None.
    Nobody,
    /// One of the two.
    One,
    /// Both.
    Both,
}

impl ToldBy {
    /// One more.
    #[must_use]
    pub fn and_one(self) -> Self {
        match self {
            Self::Nobody => Self::One,
            Self::One | Self::Both => Self::Both,
        }
    }
}

/// What was counted of one direction of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Wire packets.
    pub packets: u64,
    /// Ethernet bytes.
    pub bytes: u64,
}

/// The chosen node's record of a stream. `H` is the plugins' host's part.
#[derive(Clone, Debug)]
pub struct MarkerSession<H> {
    /// Number of the stream on this node, never reused in one boot.
    pub id: u64,
    /// The opener's flow, as it arrived.
    pub opener: FlowKey,
    /// Key of the return packets where they arrive, once the first packet was about to leave. It need be neither the
    /// reverse of the opener's, nor of another interface.
    pub return_key: Option<FlowKey>,
    /// What the plugins' host keeps.
    pub host: H,
    /// What stands for the rest of the stream.
    pub standing: PerDirection<Standing>,
    /// Where it is in its life.
    pub life: Life,
    /// How far the other redirector knows.
    pub announced: Announced,
    /// What was counted.
    pub counts: PerDirection<Count>,
    /// When the stream started.
    pub started: Instant,
    /// When its last packet came, in either direction.
    pub seen: Instant,
    /// Since when it is silent: as `seen`, but what comes for a stream that has gone elsewhere does not count, and its end
    /// does.
    pub silent_since: Instant,
    /// The hash that chose this node.
    pub choice: u64,
    /// Identity of the stream, once both keys are known: equal on its redirectors.
    pub identity: u64,
    /// Counter of its generation.
    pub generation: u32,
    /// The generation in which both redirectors were told of the stream: what the digests have of it.
    pub told: Option<u32>,
    /// Frames that come directly stay behind those that its former owner hands over.
    pub fenced: bool,
    /// False once the stream has ended and only its tombstone stands.
    pub alive: bool,
    /// It was taken up in its middle.
    pub midstream: bool,
    /// A packet of the stream has left.
    pub has_left: bool,
    /// A return packet has left.
    pub has_returned: bool,
}

impl<H: HostPart> MarkerSession<H> {
    /// The session of a stream that starts.
    pub(super) fn new(now: Instant, id: u64, new: &NewMarker) -> Self {
        Self {
            id,
            opener: new.opener,
            return_key: None,
            host: H::default(),
            standing: PerDirection::default(),
            life: new.life,
            announced: Announced::No,
            counts: PerDirection { from_opener: new.size, to_opener: Count::default() },
            started: now,
            seen: now,
            silent_since: now,
            choice: new.choice,
            identity: 0,
            generation: new.generation,
            told: None,
            fenced: false,
            alive: true,
            midstream: new.midstream,
            has_left: false,
            has_returned: false,
        }
    }

    /// Shown for a session that is not there.
    pub(super) fn nothing() -> Self {
        let end = (std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        let opener = FlowKey::new(Interface::First, 0, end, end);
        let life = Life::picked_up(0);
        let new = NewMarker { opener, midstream: true, choice: 0, generation: 0, life, size: Count::default() };
        Self { alive: false, announced: Announced::Lost, ..Self::new(Instant::NEVER, 0, &new) }
    }

    /// What plugins are told of the stream.
    #[must_use]
    pub fn stream(&self, chosen: NodeId) -> Stream {
        Stream { id: self.id, opener: self.opener, chosen, midstream: self.midstream }
    }

    /// Its state by name, in reports.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match (self.alive, self.standing.is_ended()) {
            (false, _) => "tombstone",
            (true, true) => "blocked",
            (true, false) => self.life.state().name(),
        }
    }

    /// Where the stream is in its life; `None` once it has ended.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.alive.then(|| self.life.state())
    }

    /// How long it may be silent now. One that a verdict ends is not waited for as if it went on.
    #[must_use]
    pub fn timeout(&self, timeouts: &Timeouts) -> Duration {
        let blocked_max = match self.life.state() {
            State::Opening => BLOCKED_OPENING_TIME_MAX,
            State::Established | State::OneWay | State::Closing => BLOCKED_TIME_MAX,
            State::Closed | State::Active => Duration::MAX,
        };
        let max = if self.standing.is_ended() { blocked_max } else { Duration::MAX };
        self.life.timeout(timeouts).min(max)
    }

    /// The key of its packets of one direction, once it is known.
    #[must_use]
    pub fn key(&self, direction: Direction) -> Option<&FlowKey> {
        match direction {
            Direction::FromOpener => Some(&self.opener),
            Direction::ToOpener => self.return_key.as_ref(),
        }
    }
}

/// What a new marker session is made of.
#[derive(Debug)]
pub struct NewMarker {
    /// The opener's flow, as it arrived.
    pub opener: FlowKey,
    /// It is taken up in its middle.
    pub midstream: bool,
    /// The hash that chose this node.
    pub choice: u64,
    /// Counter of its generation.
    pub generation: u32,
    /// Where it is in its life.
    pub life: Life,
    /// Its first frame.
    pub size: Count,
}
