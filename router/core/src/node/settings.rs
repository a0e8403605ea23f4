//! What a node is told at its start.

use std::time::Duration;

use crate::chosen;
use crate::flow::HashKey;
use crate::forward;
use crate::id::{BootId, NodeId};
use crate::membership;
use crate::redirector::{Redirecting, choice};
use crate::session::{Bounds, Midstream, Timeouts};

/// Whether streams are announced. Anything but `On(0)` is for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcing {
    /// They are, after this delay.
    On(Duration),
    /// They are not: packets leave at once, and return packets go where they may.
    Off,
}

/// What a node does with packets that are odd and yet legal to forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Forwards them, as any router.
    Lenient,
    /// Drops them.
    Strict,
}

/// Everything a node must be told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// This boot.
    pub boot: BootId,
    /// Members and roles.
    pub membership: membership::Settings,
    /// Addresses and routes.
    pub forward: forward::Settings,
    /// How nodes are chosen.
    pub choice: choice::Settings,
    /// What to do with TCP in mid-stream.
    pub midstream: Midstream,
    /// What to do with odd packets.
    pub strictness: Strictness,
    /// What one hold may take.
    pub hold_max: chosen::HoldMax,
    /// How long streams may be silent.
    pub timeouts: Timeouts,
    /// How many sessions the tables may have.
    pub bounds: Bounds,
    /// How frames travel to their chosen nodes.
    pub redirecting: Redirecting,
    /// Whether streams are announced.
    pub announcing: Announcing,
    /// Hashes this node's own tables; random, so that no outsider can fill one bucket.
    pub hash_key: HashKey,
    /// Digests of a comparison, equal on all members: [`BUCKETS`](crate::limits::BUCKETS). Tests have few, so that their few
    /// streams share them.
    pub buckets: usize,
}
