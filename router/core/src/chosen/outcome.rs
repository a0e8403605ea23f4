//! What becomes of packets and streams at their chosen node.

use crate::event::DropReason;
use crate::id::{NodeId, Slot};
use crate::inspector::{Direction, Verdict};

/// Where a packet's stream stands at its chosen node.
#[derive(Clone, Copy, Debug)]
pub struct Marked {
    /// Place of the stream's record.
    pub slot: Slot,
    /// Who sent the packet.
    pub direction: Direction,
    /// The stream's number.
    pub stream: u64,
    /// What it ends by, if an earlier word on its stream ends it.
    pub verdict: Verdict,
}

/// What becomes of a packet whose stream this node has not got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmarked {
    /// It ends.
    Dropped(DropReason),
    /// It is of a TCP connection that nobody knows, and its sender is to get a reset.
    Unknown(DropReason),
    /// It follows its stream to the node that was given it.
    Moved(NodeId),
    /// It waits for the fence of the stream with this number.
    Fenced(u64),
    /// This node may not begin its stream; another may have it.
    Astray,
}

/// What becomes of a packet that the plugins have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// What they say of it.
    Stands,
    /// Its stream was lost or ended while they had it: it must come in anew.
    Anew,
    /// Its stream made room for others while they had it. It ends with it, or it would push out another in turn.
    Evicted,
}
