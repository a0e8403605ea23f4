//! One connection of a link as a state machine without I/O: bytes in, events out; what it wants to send waits in its
//! queue. A link has two: one for control, which is the link's life, and one for frames beside it.

mod admission;
mod events;

use std::net::SocketAddr;

use super::codec::{Decoder, Spoken};
use super::error::PeerError;
use super::greeting::{Greeting, Resume};
use super::kinds::Message;
use super::message::{Lane, Padding};
use super::queue::SendQueue;
use crate::id::NodeId;
use crate::limits::{
    CONNECT_TIME_MAX, CONTROL_MESSAGE_LEN_MAX, DETECTION_TIME, HEARTBEAT_INTERVAL, HELLO_LEN_MAX, HELLO_TIME_MAX,
    LATE_MIN, MESSAGE_LEN_MAX,
};
use crate::time::Instant;
use admission::{check_configuration, check_hello, is_mutual};

pub use admission::{Identity, Origin};
pub use events::{Input, LinkEvent};

/// Where a link stands.
///
/// ```text
///        dialled                   accepted
///           │                         │
///           ▼                         ▼
///       Connecting ── connected ─▶ Securing ── secured ─▶ AwaitingHello ── hello ─▶ Established ──┐ message
///           │                         │                        │                       │    ▲     │
///     unreachable,    no time, no or a wrong certificate, garbage, refused     silent, garbage, └─┘
///     not wanted                      │                        │               closed, replaced
///           └─────────────────────────┴───────────▶ Closed ◀───┴───────────────────────┘
/// ```
///
/// Who dialled says hello first; the other end answers with its own hello once it has accepted that one. So a link that
/// is up on the dialling node is up on both. Only where both ends would say the same of each other (another cluster, no
/// common version, another configuration) the hello is answered before closing, so that both logs name the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Securing,
    AwaitingHello,
    Established,
    Closed,
}

/// One connection of a link.
#[derive(Debug)]
pub struct Link {
    state: State,
    origin: Origin,
    /// What it is for; of one that the other end dialled the hello says it.
    lane: Lane,
    /// What the hello of this node says of the talk before.
    resume: Option<Resume>,
    /// The node in the other end's certificate.
    certified: Option<NodeId>,
    /// When the state began or, once established, when the last message came.
    since: Instant,
    /// This node was late to look whether the peer is silent, and looks again then.
    looks_again_at: Option<Instant>,
    decoder: Decoder,
    queue: SendQueue,
    unknown_kinds: u64,
}

impl Link {
    /// A link to `expected`, whose connection is being opened. `resume` is where the talk with that node goes on.
    #[must_use]
    pub fn dialled(now: Instant, expected: NodeId, lane: Lane, resume: Option<Resume>) -> Self {
        let mut link = Self::new(now, State::Connecting, Origin::Dialled(expected));
        link.becomes(lane);
        link.resume = resume;
        link
    }

    /// A link whose connection another node opened.
    #[must_use]
    pub fn accepted(now: Instant) -> Self {
        Self::new(now, State::Securing, Origin::Accepted)
    }

    fn new(now: Instant, state: State, origin: Origin) -> Self {
        Self {
            state,
            origin,
            lane: Lane::Control,
            resume: None,
            certified: None,
            since: now,
            looks_again_at: None,
            decoder: Decoder::default(),
            queue: SendQueue::new(),
            unknown_kinds: 0,
        }
    }

    fn becomes(&mut self, lane: Lane) {
        self.lane = lane;
        self.queue.becomes(lane);
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
            let input = match self.decoder.decode(self.message_len_max()) {
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

    fn message_len_max(&self) -> usize {
        match (self.state, self.lane) {
            (State::Established, Lane::Control) => CONTROL_MESSAGE_LEN_MAX,
            (State::Established, Lane::Frames) => MESSAGE_LEN_MAX,
            (State::Connecting | State::Securing | State::AwaitingHello | State::Closed, _) => HELLO_LEN_MAX,
        }
    }

    /// The state machine: one input, at most one event.
    pub fn step(&mut self, now: Instant, identity: &Identity, input: Input) -> Option<LinkEvent> {
        use State::{AwaitingHello, Closed, Connecting, Established, Securing};
        match (self.state, input) {
            (Connecting, Input::Connected) => {
                (self.state, self.since) = (Securing, now);
                None
            }
            (Securing, Input::Secured(certified)) => self.secured(identity, certified),
            (Securing | AwaitingHello | Established, Input::Connected)
            | (Connecting | AwaitingHello | Established, Input::Secured(_)) => None,
            (AwaitingHello, Input::Spoken(Spoken::Greeting(greeting))) => self.identify(now, identity, greeting),
            (Connecting | Securing, Input::Spoken(spoken))
            | (
                AwaitingHello,
                Input::Spoken(
                    spoken @ (Spoken::Message(..)
                    | Spoken::Received(_)
                    | Spoken::Ping(_)
                    | Spoken::Pong(_)
                    | Spoken::Unknown { .. }),
                ),
            ) => self.close(PeerError::MessageBeforeHello { kind: spoken.kind() }),
            (Established, Input::Spoken(spoken)) => self.heard(now, spoken),
            (Connecting | Securing | AwaitingHello, Input::EndOfStream) => self.close(PeerError::ClosedBeforeHello),
            (Established, Input::EndOfStream) => self.close(PeerError::Closed),
            (Connecting | Securing | AwaitingHello | Established, Input::Failed(error)) => self.close(error),
            (Connecting | Securing | AwaitingHello | Established, Input::DeadlineReached) => self.time_out(now),
            (
                Closed,
                Input::Connected
                | Input::Secured(_)
                | Input::Spoken(_)
                | Input::EndOfStream
                | Input::Failed(_)
                | Input::DeadlineReached,
            ) => None,
        }
    }

    /// Says hello to the node that dialled and was accepted.
    ///
    /// # Errors
    ///
    /// [`PeerError::TooLong`] if this node's own hello is over its bound.
    pub fn answer(&mut self, identity: &Identity, resume: Option<Resume>) -> Result<(), PeerError> {
        self.resume = resume;
        self.push_greeting(identity, None)
    }

    /// Tells the node that dialled that its id is taken by a member at this address. The connection is to end now.
    ///
    /// # Errors
    ///
    /// [`PeerError::TooLong`] if this node's own hello is over its bound.
    pub fn refuse_taken(&mut self, identity: &Identity, member: SocketAddr) -> Result<(), PeerError> {
        self.push_greeting(identity, Some(member))
    }

    /// Asks whether the peer lives; an answer is [`LinkEvent::Ponged`] with the same number. Errors are those of
    /// [`Link::send_received`].
    pub fn send_ping(&mut self, nonce: u64) -> Result<(), PeerError> {
        self.queue.push_ping(nonce)
    }

    /// Answers a ping.
    ///
    /// # Errors
    ///
    /// [`PeerError::QueueFull`] if the peer does not read: the link is to be closed.
    pub fn send_pong(&mut self, nonce: u64) -> Result<(), PeerError> {
        self.queue.push_pong(nonce)
    }

    /// Puts messages that are encoded already behind those that wait.
    ///
    /// # Errors
    ///
    /// [`PeerError::QueueFull`] if the peer does not read: the link is to be closed.
    pub fn send_encoded(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.queue.push_encoded(bytes)
    }

    /// Says that all messages up to this number have come.
    ///
    /// # Errors
    ///
    /// None in practice: it is short.
    pub fn send_received(&mut self, number: u64) -> Result<(), PeerError> {
        self.queue.push_received(number)
    }

    /// Puts a message without a number behind those that wait.
    ///
    /// # Errors
    ///
    /// [`PeerError::QueueFull`] if the peer does not read; [`PeerError::TooLong`] if the message is: it alone is lost.
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

    /// When [`Input::DeadlineReached`] is due; `None` once closed, and for frames, which may be silent.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match (self.state, self.lane) {
            (State::Connecting, _) => Some(self.since + CONNECT_TIME_MAX),
            (State::Securing | State::AwaitingHello, _) => Some(self.since + HELLO_TIME_MAX),
            (State::Established, Lane::Control) => self.looks_again_at.or(Some(self.since + DETECTION_TIME)),
            (State::Established, Lane::Frames) | (State::Closed, _) => None,
        }
    }

    /// What the connection is for; known once it is established, or if this node dialled.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// True while the connection is being secured.
    #[must_use]
    pub fn is_securing(&self) -> bool {
        self.state == State::Securing
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

    /// The other end has shown whose certificate it has. Who dialled says hello now; the time for it runs on.
    fn secured(&mut self, identity: &Identity, certified: NodeId) -> Option<LinkEvent> {
        self.certified = Some(certified);
        if let Origin::Dialled(expected) = self.origin
            && expected != certified
        {
            return self.close(PeerError::NotExpected { expected, found: certified });
        }
        self.state = State::AwaitingHello;
        match self.origin {
            Origin::Dialled(_) => self.push_greeting(identity, None).err().and_then(|error| self.close(error)),
            Origin::Accepted => None,
        }
    }

    fn push_greeting(&mut self, identity: &Identity, taken: Option<SocketAddr>) -> Result<(), PeerError> {
        let (hello, lane, resume) = (identity.hello.clone(), self.lane, self.resume);
        self.queue.push_greeting(&Greeting { hello, lane, resume, taken, padding: Padding::whole() })
    }

    fn identify(&mut self, now: Instant, identity: &Identity, greeting: Greeting) -> Option<LinkEvent> {
        if let Err(error) = self.check_greeting(identity, &greeting) {
            if self.origin == Origin::Accepted && is_mutual(&error) {
                // The link ends for this reason in any case.
                self.push_greeting(identity, None).ok();
            }
            return self.close(error);
        }
        self.becomes(greeting.lane);
        (self.state, self.since) = (State::Established, now);
        Some(LinkEvent::Up(greeting))
    }

    fn check_greeting(&self, identity: &Identity, greeting: &Greeting) -> Result<(), PeerError> {
        check_hello(self.origin, identity, &greeting.hello)?;
        let said = greeting.hello.node;
        match self.certified {
            Some(certified) if certified != said => Err(PeerError::CertificateOfAnother { certified, said }),
            None => Err(PeerError::NoCertificate),
            Some(_) if self.origin != Origin::Accepted && greeting.lane != self.lane => {
                Err(PeerError::WrongLane { kind: Spoken::Greeting(greeting.clone()).kind() })
            }
            Some(_) => match greeting.taken.filter(|_| self.origin != Origin::Accepted) {
                Some(member) => Err(PeerError::IdTaken { node: said, member }),
                None => check_configuration(identity, &greeting.hello),
            },
        }
    }

    /// Something came over the established link.
    fn heard(&mut self, now: Instant, spoken: Spoken) -> Option<LinkEvent> {
        let kind = spoken.kind();
        let fits = match &spoken {
            Spoken::Greeting(_) => return self.close(PeerError::SecondHello),
            Spoken::Message(number, message) => {
                message.lane() == self.lane && number.is_some() == message.is_numbered()
            }
            Spoken::Received(_) | Spoken::Ping(_) | Spoken::Pong(_) => self.lane == Lane::Control,
            Spoken::Unknown { number, .. } => self.lane == Lane::Control || number.is_none(),
        };
        if !fits {
            return self.close(PeerError::WrongLane { kind });
        }
        (self.since, self.looks_again_at) = (now, None);
        match spoken {
            Spoken::Message(number, message) => Some(LinkEvent::Arrived(number, message)),
            Spoken::Received(number) => Some(LinkEvent::Received(number)),
            Spoken::Ping(nonce) => Some(LinkEvent::Pinged(nonce)),
            Spoken::Pong(nonce) => Some(LinkEvent::Ponged(nonce)),
            Spoken::Unknown { number, .. } => {
                self.unknown_kinds += 1;
                Some(LinkEvent::Skipped(number))
            }
            Spoken::Greeting(_) => None,
        }
    }

    fn time_out(&mut self, now: Instant) -> Option<LinkEvent> {
        let late = now.since(self.next_deadline().filter(|deadline| now >= *deadline)?);
        match self.state {
            State::Established if late >= LATE_MIN && self.looks_again_at.is_none() => {
                self.looks_again_at = Some(now + HEARTBEAT_INTERVAL);
                None
            }
            State::Connecting => self.close(PeerError::Unreachable { why: "no answer".to_owned() }),
            State::Securing | State::AwaitingHello => self.close(PeerError::SlowHello),
            State::Established => self.close(PeerError::Silent),
            State::Closed => None,
        }
    }

    fn close(&mut self, error: PeerError) -> Option<LinkEvent> {
        self.state = State::Closed;
        Some(LinkEvent::Closed(error))
    }
}

#[cfg(test)]
mod tests;
