//! Every bound, with its unit and its reason.

use std::time::Duration;

/// Packets of one batch for the chain: enough to amortise a call, few enough to stay in the first-level cache.
pub const BATCH_PACKETS_MAX: usize = 64;

/// Frames read from one TAP in one turn, so that no interface, link or timer waits long for the others.
pub const TURN_FRAMES_MAX: usize = 256;

/// Redirector sessions of one node.
pub const REDIRECTOR_SESSIONS_MAX: usize = 2_000_000;

/// Marker sessions of one node.
pub const MARKER_SESSIONS_MAX: usize = 1_000_000;

/// Frames that one hold keeps: the first packet and what may follow it within the hold's time.
pub const HOLD_FRAMES_MAX: usize = 32;

/// Frames that all holds together keep.
pub const HOLDS_FRAMES_MAX: usize = 4_096;

/// Frames that one unresolved neighbour keeps (RFC 4861, section 7.2.2 asks for at least one).
pub const NEIGHBOUR_QUEUE_FRAMES_MAX: usize = 16;

/// Frames that all unresolved neighbours keep.
pub const NEIGHBOUR_QUEUES_FRAMES_MAX: usize = 1_024;

/// Neighbours of one interface, so that an address scan cannot fill the memory.
pub const NEIGHBOURS_MAX: usize = 4_096;

/// Buffers of the pool: what may be kept, and a turn of both TAPs on the way.
pub const POOL_FRAMES_MAX: usize = 8_192;

/// Bytes of one message on a link: a whole frame and its envelope.
pub const MESSAGE_LEN_MAX: usize = 72 * 1024;

/// Bytes that wait for one slow link; when they are over it, the link is closed.
pub const LINK_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Connections that have not said hello yet.
pub const UNIDENTIFIED_LINKS_MAX: usize = 64;

/// Members of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// Streams in one refresh.
pub const REFRESH_STREAMS_MAX: usize = 256;

/// Time between two refreshes of a stream's redirector sessions.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// How long a redirector session stands without a refresh: three may be lost.
pub const SHADOW_TIME: Duration = REFRESH_INTERVAL.saturating_mul(4);

/// Frames of members that are not known as holders yet, each waiting for its sender's claim.
pub const CLAIM_WAIT_FRAMES_MAX: usize = 256;

/// How long such a frame waits.
pub const CLAIM_WAIT: Duration = Duration::from_millis(20);

/// Holds that must time out in a row before holding for that redirector is suspended.
pub const BREAKER_TIMEOUTS: u32 = 8;

/// Announcements that wait for the delay that a test asked for.
pub const DELAYED_ANNOUNCEMENTS_MAX: usize = 65_536;

/// Events kept for `herald trace` and the demo.
pub const EVENTS_MAX: usize = 65_536;

/// Time between two heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Heartbeats missed until a member counts as dead.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Time in which the death of a member is noticed.
pub const DETECTION_TIME: Duration = HEARTBEAT_INTERVAL.saturating_mul(HEARTBEATS_MISSED_MAX);

/// Time between two announcements of a node's own MAC, well below a bridge's ageing time of 300 s.
pub const MAC_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(30);

const _: () = assert!(BATCH_PACKETS_MAX <= TURN_FRAMES_MAX);
const _: () = assert!(HOLD_FRAMES_MAX <= HOLDS_FRAMES_MAX);
const _: () = assert!(NEIGHBOUR_QUEUE_FRAMES_MAX <= NEIGHBOUR_QUEUES_FRAMES_MAX);
const _: () = assert!(
    HOLDS_FRAMES_MAX + NEIGHBOUR_QUEUES_FRAMES_MAX + 2 * TURN_FRAMES_MAX + BATCH_PACKETS_MAX <= POOL_FRAMES_MAX
);
const _: () = assert!(MESSAGE_LEN_MAX > crate::packet::BUFFER_LEN + 1024);
const _: () = assert!(LINK_QUEUE_BYTES_MAX > 2 * MESSAGE_LEN_MAX);
