//! What becomes of packets and streams at their chosen node.

use crate::event::DropReason;
use crate::inspector::Verdict;

/// Why a node does not begin a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbegun {
    /// Another node may.
    Astray,
    /// Nobody may.
    Dropped(DropReason),
}

/// What becomes of a packet that the plugins have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// This.
    Stands(Verdict),
    /// Its stream was lost or ended while they had it: it must come in anew.
    Anew,
    /// Its stream made room for others while they had it. It ends with it, or it would push out another in turn.
    Evicted,
}
