//! One link as a state machine without I/O: bytes in, events out; what it wants to send waits in its queue.

use super::codec::{Decoder, Spoken};
use super::error::PeerError;
use super::message::{Hello, Message};
use super::queue::SendQueue;
use crate::id::NodeId;
use crate::limits::{CONNECT_TIME_MAX, DETECTION_TIME, HELLO_LEN_MAX, HELLO_TIME_MAX, MESSAGE_LEN_MAX};
use crate::time::Instant;

/// What this node says of itself, and whom it talks to.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This node's hello.
    pub hello: Hello,
    /// The ids of its peers.
    pub peers: Vec<NodeId>,
}

/// Who opened the connection. The lower id dials the higher, so that two nodes have one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node dialled the address of that peer.
    Dialled(NodeId),
    /// The other end dialled; its hello says who it is.
    Accepted,
}

/// What a link tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The peer said a hello that this node accepts.
    Up(Hello),
    /// A message of the peer.
    Arrived(Message),
    /// The link has ended. Nothing comes after it.
    Closed(PeerError),
}

/// What can happen to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// TCP has opened the connection.
    Connected,
    /// A message was decoded.
    Spoken(Spoken),
    /// The peer closed its end.
    EndOfStream,
    /// The connection broke, cannot be opened, or is not wanted any more.
    Failed(PeerError),
    /// [`Link::next_deadline`] has come.
    DeadlineReached,
}

/// Where a link stands.
///
/// ```text
///                     dialled                      accepted
///                        │                            │
///                        ▼                            ▼
///                   Connecting ──── connected ──▶ AwaitingHello ──── hello ────▶ Established ──┐ message
///                        │                            │                            │    ▲      │
///       unreachable,     │     no hello in time,      │     silent, garbage,       │    └──────┘
///       not wanted       │     refused, garbage       │     closed, replaced       │
///                        └────────────────────────────┴──────────▶ Closed ◀────────┘
/// ```
///
/// Who dialled says hello first; the other end answers with its own hello once it has accepted that one. So a link that
/// is up on the dialling node is up on both. Only where both ends would say the same of each other (another cluster, no
/// common version) the hello is answered before closing, so that both logs name the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    AwaitingHello,
    Established,
    Closed,
}

/// One link.
#[derive(Debug)]
pub struct Link {
    state: State,
    origin: Origin,
    /// When the state began or, once established, when the last message came.
    since: Instant,
    decoder: Decoder,
    queue: SendQueue,
    unknown_kinds: u64,
}

impl Link {
    /// A link to `expected`, whose connection is being opened.
    #[must_use]
    pub fn dialled(now: Instant, expected: NodeId) -> Self {
        Self::new(now, State::Connecting, Origin::Dialled(expected))
    }

    /// A link whose connection another node opened.
    #[must_use]
    pub fn accepted(now: Instant) -> Self {
        Self::new(now, State::AwaitingHello, Origin::Accepted)
    }

    fn new(now: Instant, state: State, origin: Origin) -> Self {
        let (decoder, queue) = (Decoder::default(), SendQueue::default());
        Self { state, origin, since: now, decoder, queue, unknown_kinds: 0 }
    }

    /// Where the next bytes from the peer go; then [`Link::filled`] says how many came. Not empty, once
    /// [`Link::next_event`] has given `None`.
    pub fn space(&mut self) -> &mut [u8] {
        self.decoder.space()
    }

    /// `len` bytes have come.
    pub fn filled(&mut self, len: usize) {
        self.decoder.filled(len);
    }

    /// The next event from the bytes that have come; `None` until more come.
    pub fn next_event(&mut self, now: Instant, identity: &Identity) -> Option<LinkEvent> {
        while self.state != State::Closed {
            let len_max = if self.state == State::Established { MESSAGE_LEN_MAX } else { HELLO_LEN_MAX };
            let input = match self.decoder.decode(len_max) {
                Ok(Some(spoken)) => Input::Spoken(spoken),
                Ok(None) => return None,
                Err(error) => Input::Failed(error),
            };
            if let Some(event) = self.step(now, identity, input) {
                return Some(event);
            }
        }
        None
    }

    /// The state machine: one input, at most one event.
    pub fn step(&mut self, now: Instant, identity: &Identity, input: Input) -> Option<LinkEvent> {
        match (self.state, input) {
            (State::Connecting, Input::Connected) => self.say_hello(now, identity),
            (State::AwaitingHello | State::Established, Input::Connected) => None,
            (State::AwaitingHello, Input::Spoken(Spoken::Hello(hello))) => self.identify(now, identity, hello),
            (State::Connecting, Input::Spoken(spoken))
            | (State::AwaitingHello, Input::Spoken(spoken @ (Spoken::Message(_) | Spoken::Unknown { .. }))) => {
                self.close(PeerError::MessageBeforeHello { kind: spoken.kind() })
            }
            (State::Established, Input::Spoken(Spoken::Hello(_))) => self.close(PeerError::SecondHello),
            (State::Established, Input::Spoken(Spoken::Message(message))) => {
                self.since = now;
                Some(LinkEvent::Arrived(message))
            }
            (State::Established, Input::Spoken(Spoken::Unknown { .. })) => {
                self.since = now;
                self.unknown_kinds += 1;
                None
            }
            (State::Connecting | State::AwaitingHello, Input::EndOfStream) => self.close(PeerError::ClosedBeforeHello),
            (State::Established, Input::EndOfStream) => self.close(PeerError::Closed),
            (State::Connecting | State::AwaitingHello | State::Established, Input::Failed(error)) => self.close(error),
            (State::Connecting | State::AwaitingHello | State::Established, Input::DeadlineReached) => {
                self.time_out(now)
            }
            (
                State::Closed,
                Input::Connected | Input::Spoken(_) | Input::EndOfStream | Input::Failed(_) | Input::DeadlineReached,
            ) => None,
        }
    }

    /// Puts a message behind those that wait.
    ///
    /// # Errors
    ///
    /// [`PeerError::QueueFull`] if the peer does not read: the link is to be closed. [`PeerError::TooLong`] if the
    /// message is over its bound: it alone is lost.
    pub fn send(&mut self, message: &Message) -> Result<(), PeerError> {
        self.queue.push(message)
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        self.queue.unsent()
    }

    /// The first `len` bytes of [`Link::unsent`] have been written.
    pub fn written(&mut self, len: usize) {
        self.queue.written(len);
    }

    /// When [`Input::DeadlineReached`] is due; `None` once closed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Connecting => Some(self.since + CONNECT_TIME_MAX),
            State::AwaitingHello => Some(self.since + HELLO_TIME_MAX),
            State::Established => Some(self.since + DETECTION_TIME),
            State::Closed => None,
        }
    }

    /// Who opened the connection.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// True while the connection is being opened.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// True between the peer's hello and the end.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Messages skipped because this version does not know their kind.
    #[must_use]
    pub fn unknown_kinds(&self) -> u64 {
        self.unknown_kinds
    }

    fn say_hello(&mut self, now: Instant, identity: &Identity) -> Option<LinkEvent> {
        (self.state, self.since) = (State::AwaitingHello, now);
        self.queue.push_hello(&identity.hello).err().and_then(|error| self.close(error))
    }

    fn identify(&mut self, now: Instant, identity: &Identity, hello: Hello) -> Option<LinkEvent> {
        let checked = check_hello(self.origin, identity, &hello);
        let answer = match (self.origin, &checked) {
            (Origin::Dialled(_), _) => Ok(()),
            (Origin::Accepted, Ok(())) => self.queue.push_hello(&identity.hello),
            (Origin::Accepted, Err(error)) if is_mutual(error) => self.queue.push_hello(&identity.hello),
            (Origin::Accepted, Err(_)) => Ok(()),
        };
        match checked.and(answer) {
            Ok(()) => {
                (self.state, self.since) = (State::Established, now);
                Some(LinkEvent::Up(hello))
            }
            Err(error) => self.close(error),
        }
    }

    fn time_out(&mut self, now: Instant) -> Option<LinkEvent> {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        match self.state {
            State::Connecting => self.close(PeerError::Unreachable { why: "no answer".to_owned() }),
            State::AwaitingHello => self.close(PeerError::SlowHello),
            State::Established => self.close(PeerError::Silent),
            State::Closed => None,
        }
    }

    fn close(&mut self, error: PeerError) -> Option<LinkEvent> {
        self.state = State::Closed;
        Some(LinkEvent::Closed(error))
    }
}

/// Whether this node talks to who says this hello.
fn check_hello(origin: Origin, identity: &Identity, hello: &Hello) -> Result<(), PeerError> {
    let (own, node) = (&identity.hello, hello.node);
    if hello.cluster != own.cluster {
        return Err(PeerError::WrongCluster { ours: own.cluster.clone(), theirs: hello.cluster.clone() });
    }
    if hello.version_min > own.version_max || own.version_min > hello.version_max {
        let (ours, theirs) = ((own.version_min, own.version_max), (hello.version_min, hello.version_max));
        return Err(PeerError::NoCommonVersion { ours, theirs });
    }
    if node == own.node {
        return Err(PeerError::OwnId);
    }
    match origin {
        Origin::Dialled(expected) if node != expected => Err(PeerError::NotExpected { expected, found: node }),
        Origin::Accepted if !identity.peers.contains(&node) => Err(PeerError::UnknownNode { node }),
        Origin::Accepted if node > own.node => Err(PeerError::WrongDirection { node }),
        Origin::Dialled(_) | Origin::Accepted => Ok(()),
    }
}

/// True if the other end, given this node's hello, finds the same.
fn is_mutual(error: &PeerError) -> bool {
    matches!(error, PeerError::WrongCluster { .. } | PeerError::NoCommonVersion { .. })
}

#[cfg(test)]
mod tests;
