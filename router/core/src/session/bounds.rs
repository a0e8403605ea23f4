//! How many sessions a node's tables may have: what is configured, as far as its memory goes.

use crate::limits::{MARKER_SESSIONS_MAX, POOL_FRAMES_MAX, POOL_FRAMES_MIN};
use crate::packet::BUFFER_LEN;
use crate::session::{MarkerSession, RedirectorSession};

/// The bounds of a node's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Streams of which the node is the chosen one, ended ones included until their tombstones are gone.
    pub markers: usize,
    /// Of these, those that one source has opened: an IPv4 address, or a /64 of IPv6. 0: as many as there is room for.
    pub per_source: usize,
    /// Sessions of both redirectors.
    pub redirector: usize,
    /// Buffers for frames.
    pub frames: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            markers: MARKER_SESSIONS_MAX,
            per_source: 0,
            redirector: 2 * MARKER_SESSIONS_MAX,
            frames: POOL_FRAMES_MAX,
        }
    }
}

/// What the bounds follow from.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Streams of one node, as configured.
    pub sessions_max: usize,
    /// Of these, those of one source; 0: no bound.
    pub per_source: usize,
    /// Nodes of the cluster: a redirector may get sessions of the streams of all of them.
    pub nodes: usize,
    /// Bytes that tables and buffers may take together.
    pub memory: u64,
    /// Bytes of a stream's record with its host's part and the plugins' states.
    pub stream_len: usize,
}

impl Plan {
    /// The bounds: three eighths of the memory are for either table, so that neither takes the other's place, and a quarter
    /// is for frames.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let eighth = self.memory / 8;
        let fit = |bytes: u64, each: usize| usize::try_from(bytes / each.max(1) as u64).unwrap_or(usize::MAX);
        Bounds {
            markers: self.sessions_max.min(fit(3 * eighth, self.marker_len())).max(1),
            per_source: self.per_source,
            redirector: (self.sessions_max * self.nodes * 2).min(fit(3 * eighth, redirector_len())).max(8),
            frames: POOL_FRAMES_MAX.min(fit(2 * eighth, BUFFER_LEN)).max(POOL_FRAMES_MIN),
        }
    }

    /// Bytes of one stream on its chosen node, with its places in indices and queues.
    #[must_use]
    pub fn marker_len(&self) -> usize {
        self.stream_len + 2 * INDEX_LEN + SLOT_LEN + INDEX_LEN
    }

    /// Bytes that so many sessions and buffers take at most: of marker sessions, of redirector sessions, of buffers.
    #[must_use]
    pub fn cost(&self, bounds: &Bounds) -> [u64; 3] {
        let cost = |number: usize, each: usize| number as u64 * each as u64;
        [
            cost(bounds.markers, self.marker_len()),
            cost(bounds.redirector, redirector_len()),
            cost(bounds.frames, BUFFER_LEN),
        ]
    }
}

/// Bytes of a record whose host keeps `H` of it.
#[must_use]
pub const fn record_len<H>() -> usize {
    size_of::<Option<MarkerSession<H>>>()
}

/// Bytes of one redirector session, with its places in index and queues.
#[must_use]
const fn redirector_len() -> usize {
    size_of::<Option<(crate::flow::FlowKey, RedirectorSession)>>() + INDEX_LEN + SLOT_LEN
}

/// Bytes of an entry in an index: eight and a byte of the table, which is half empty after it has grown.
const INDEX_LEN: usize = 18;

/// Bytes of a slot's deadline and its places in the queues, in lists that are half empty after they have grown.
const SLOT_LEN: usize = 2 * (16 + 4) + 2 * 12 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_bounds_what_the_configuration_asks_for() {
        let plan = Plan { sessions_max: 1 << 20, per_source: 7, nodes: 3, memory: 16 << 30, stream_len: 280 };
        let all = plan.bounds();
        assert_eq!((all.markers, all.redirector, all.frames), (1 << 20, 6 << 20, POOL_FRAMES_MAX));
        let little = Plan { memory: 256 << 20, ..plan };
        let bounds = little.bounds();
        assert!(bounds.markers < 300_000 && bounds.redirector < 500_000 && bounds.frames < 1_100, "{bounds:?}");
        assert!(little.cost(&bounds).iter().sum::<u64>() <= 256 << 20);
        assert_eq!(bounds.per_source, 7);
        let nothing = Plan { memory: 0, ..plan }.bounds();
        assert_eq!((nothing.markers, nothing.redirector, nothing.frames), (1, 8, POOL_FRAMES_MIN));
    }
}
