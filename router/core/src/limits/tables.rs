//! Bounds of the tables of sessions, and of the memory that they and the buffers of frames take.

use std::time::Duration;

use super::{BATCH_PACKETS_MAX, TURN_FRAMES_MAX};

/// Marker sessions of one node unless it is configured otherwise.
pub const MARKER_SESSIONS_MAX: usize = 1 << 20;

/// Marker sessions that a node may be configured to have: some gigabytes of them.
pub const SESSIONS_MAX: usize = 1 << 24;

/// The least: a batch of new streams is not to push out its own.
pub const SESSIONS_MIN: usize = 8 * BATCH_PACKETS_MAX;

/// Sessions by which a table grows at once: growing stops the loop for so many at most.
pub const GROWTH_SLOTS: usize = 1_024;

/// Bytes that the machine must have left for the rest of the program when a table has grown: queues of links, indices,
/// copies of frames. More than 32 MiB, from which on asking for them changes no threshold of the allocator (mallopt(3),
/// `M_MMAP_THRESHOLD`).
pub const HEADROOM_LEN: usize = 33 * 1024 * 1024;

/// Time after which a table that the machine gave no memory asks for it again.
pub const GROWTH_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Time for which a node that the machine gives no memory asks for no streams.
pub const FULL_TIME_MAX: Duration = Duration::from_secs(10);

/// Time between two words that streams make room for others, while they do.
pub const TELLING_INTERVAL: Duration = Duration::from_secs(60);

/// Streams without room of which a full node tells their redirectors in a second, until these have heard that it is full.
pub const DECLINES_PER_SECOND_MAX: u32 = 10_000;

/// The same at once: those of a turn.
pub const DECLINES_BURST_MAX: u32 = 1_024;

/// Buffers of the pool where memory is short: a turn of both TAPs and a batch.
pub const POOL_FRAMES_MIN: usize = 2 * TURN_FRAMES_MAX + BATCH_PACKETS_MAX;
