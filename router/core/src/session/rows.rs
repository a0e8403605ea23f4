//! The tables as reports show them.

use super::{MarkerSession, RedirectorSession, Standing};
use crate::flow::FlowKey;
use crate::id::{Interface, NodeId};
use crate::inspector::{Direction, HostPart};
use crate::time::Instant;

/// Whose note a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The redirector's.
    Redirector,
    /// The chosen node's.
    Marker,
}

/// One session.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose note it is.
    pub kind: Kind,
    /// The redirector's interface, or the one where a marker session's stream opened.
    pub interface: Interface,
    /// The stream, seen from its opener.
    pub opener: FlowKey,
    /// The chosen node.
    pub chosen: NodeId,
    /// Counter of the generation.
    pub generation: u32,
    /// State or standing, by name.
    pub state: &'static str,
    /// Whom the rest of a marker session's stream interests; `None` of a redirector session, which does not know.
    pub interest: Option<&'static str>,
    /// When it started.
    pub started: Instant,
    /// When its last packet came.
    pub seen: Instant,
    /// Wire packets, for a marker session of both directions.
    pub packets: u64,
    /// Ethernet bytes, for a marker session of both directions.
    pub bytes: u64,
}

impl Row {
    /// The row of a stream's record; `node` is this node.
    #[must_use]
    pub fn of_marker<H: HostPart>(node: NodeId, session: &MarkerSession<H>) -> Self {
        let (there, back) = (session.counts.from_opener, session.counts.to_opener);
        Self {
            kind: Kind::Marker,
            interface: session.opener.interface(),
            opener: session.opener,
            chosen: node,
            generation: session.generation,
            state: session.state_name(),
            interest: Some(session.standing.interest()),
            started: session.started,
            seen: session.seen,
            packets: there.packets + back.packets,
            bytes: there.bytes + back.bytes,
        }
    }

    /// The row of a redirector's session. `other` is the stream's other key.
    #[must_use]
    pub fn of_redirector(key: &FlowKey, other: FlowKey, session: &RedirectorSession) -> Self {
        Self {
            kind: Kind::Redirector,
            interface: key.interface(),
            opener: match session.direction {
                Direction::FromOpener => *key,
                Direction::ToOpener => other,
            },
            chosen: session.generation.node,
            generation: session.generation.counter,
            state: match session.standing {
                Standing::Provisional => "provisional",
                Standing::Announced => "announced",
                Standing::Moving => "moving",
                Standing::Tombstone => "tombstone",
            },
            interest: None,
            started: session.started,
            seen: session.seen,
            packets: session.packets,
            bytes: session.bytes,
        }
    }
}
