//! The bounded tables. dashmap holds key to session, so that the control thread can read them while the event loop
//! works; everything only the loop needs is kept apart in [`Markers`].

mod deadlines;
mod digests;
mod life;
mod marker;
mod opening;
mod rows;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use dashmap::DashMap;

pub use deadlines::Deadlines;
pub use digests::{Digests, bucket_of};
pub use life::{Life, State, Timeouts};
pub use marker::{Announced, KeyTaken, MarkerSession, Markers, Moved, NewMarker};
pub use opening::{Midstream, Opening};
pub use rows::{Kind, Row};

use crate::flow::{FlowKey, HashKey};
use crate::id::{BootId, Generation, PerInterface};
use crate::inspector::Direction;
use crate::time::Instant;

/// Shards of each table. A reader copies one at a time, so with a million sessions the loop waits for at most 1/64 of them.
const SHARDS: usize = 64;

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
    /// When it was made.
    pub started: Instant,
    /// When its last packet came.
    pub seen: Instant,
    /// When it ends unless something happens.
    pub expires: Instant,
    /// The one deadline in the queue that counts.
    pub due: Instant,
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

/// What the marker table says of one direction of a stream.
#[derive(Clone, Copy, Debug)]
pub struct MarkerEntry {
    /// Place of the [`MarkerSession`].
    pub slot: u32,
    /// Counter of the stream's generation.
    pub generation: u32,
    /// Which direction this key is.
    pub direction: Direction,
    /// Where the stream is in its life; `None` once it has ended.
    pub state: Option<State>,
    /// When the stream started.
    pub started: Instant,
    /// When this direction's last packet came.
    pub seen: Instant,
    /// Wire packets of this direction.
    pub packets: u64,
    /// Ethernet bytes of this direction.
    pub bytes: u64,
}

/// Both tables of one node, shared with the control thread.
#[derive(Debug)]
pub struct Tables {
    /// The redirectors that this node holds. Of others it may have sessions as a warm standby, which steer nothing.
    pub held: PerInterface<AtomicBool>,
    /// Redirector sessions by the key of the packets that they steer.
    pub redirector: DashMap<FlowKey, RedirectorSession, HashKey>,
    /// Marker sessions by each of their two keys.
    pub markers: DashMap<FlowKey, MarkerEntry, HashKey>,
}

impl Tables {
    /// Empty tables, hashed with a key no outsider knows.
    #[must_use]
    pub fn new(key: HashKey) -> Arc<Self> {
        Arc::new(Self {
            held: PerInterface::default(),
            redirector: DashMap::with_capacity_and_hasher_and_shard_amount(0, key, SHARDS),
            markers: DashMap::with_capacity_and_hasher_and_shard_amount(0, key, SHARDS),
        })
    }
}
