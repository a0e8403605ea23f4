//! The redirector's note of a stream.

use crate::id::{BootId, Generation, Interface};
use crate::inspector::Direction;
use crate::time::Instant;

/// The redirector's note that a stream belongs to a node.
#[derive(Clone, Copy, Debug)]
pub struct RedirectorSession {
    /// The ownership; names the chosen node. Counter 0: this redirector chose and nobody announced yet.
    pub generation: Generation,
    /// The chosen node's boot, once announced.
    pub boot: BootId,
    /// The hash that chose the node.
    pub choice: u64,
    /// Identity of the stream, once announced: equal for both of its ends.
    pub stream: u64,
    /// How far it can be trusted.
    pub standing: Standing,
    /// Whether the key is that of the opener's packets or of the return packets.
    pub direction: Direction,
    /// The interface of the stream's other key, once announced: often the other one, and the same where both ends are
    /// reached by one network.
    pub other: Interface,
    /// When it was made.
    pub started: Instant,
    /// When its last packet came.
    pub seen: Instant,
    /// When it ends unless something happens.
    pub expires: Instant,
    /// The comparison with its chosen node in which it was heard of last.
    pub round: u32,
    /// Wire packets steered by it.
    pub packets: u64,
    /// Ethernet bytes steered by it.
    pub bytes: u64,
}

/// How far a redirector session can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Made by choosing; its node has not announced yet.
    Provisional,
    /// Announced by its chosen node.
    Announced,
    /// Assigned to another node because its own has died; that one has not announced it yet.
    Moving,
    /// Its stream has ended; the key still goes to the same node.
    Tombstone,
}
