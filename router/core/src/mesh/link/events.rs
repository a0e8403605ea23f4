//! What goes into a link and what comes out.

use crate::id::NodeId;
use crate::mesh::codec::Spoken;
use crate::mesh::{Greeting, Message, PeerError};

/// What a link tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The peer said a hello that this node accepts. If the other end dialled, it awaits [`super::Link::answer`].
    Up(Greeting),
    /// A message of the peer, with its number if it has one.
    Arrived(Option<u64>, Message),
    /// A message was skipped, because this version does not know its kind; it had this number.
    Skipped(Option<u64>),
    /// The peer has all messages up to this number.
    Received(u64),
    /// The peer asks whether this node lives: [`super::Link::send_pong`] with this number answers.
    Pinged(u64),
    /// The peer answers a ping with its number.
    Ponged(u64),
    /// The link has ended. Nothing comes after it.
    Closed(PeerError),
}

/// What can happen to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// TCP has opened the connection.
    Connected,
    /// The connection is secure; the other end's certificate is of this node.
    Secured(NodeId),
    /// A message was decoded.
    Spoken(Spoken),
    /// The peer closed its end.
    EndOfStream,
    /// The connection broke, cannot be opened or secured, or is not wanted any more.
    Failed(PeerError),
    /// [`super::Link::next_deadline`] has come.
    DeadlineReached,
}
