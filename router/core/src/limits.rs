//! Every bound, with its unit and its reason; what belongs to one part has a file of its own.

mod fragments;
mod joining;
mod links;
mod network;
mod plugins;
mod probes;
mod relay;
mod reports;
mod tables;

use std::time::Duration;

pub use fragments::*;
pub use joining::*;
pub use links::*;
pub use network::*;
pub use plugins::*;
pub use probes::*;
pub use relay::*;
pub use reports::*;
pub use tables::*;

/// Packets of one batch for the chain: enough to amortise a call, few enough to stay in the first-level cache.
pub const BATCH_PACKETS_MAX: usize = 64;

/// Bytes after which a batch is full whatever its packets: super-frames must be written while the second-level cache
/// still has what was read of them.
pub const BATCH_BYTES_MAX: usize = 128 * 1024;

/// Frames read from one TAP in one turn, so that no interface, link or timer waits long for the others.
pub const TURN_FRAMES_MAX: usize = 256;

/// Bytes, offload header included, up to which a frame that waits gets a buffer of its own size.
pub const PACKED_FRAME_LEN_MAX: usize = 4 * 1024;

/// Frames that all holds together keep; what one keeps is a setting.
pub const HOLDS_FRAMES_MAX: usize = 4_096;

/// Ethernet bytes that all holds together keep: a thousand super-frames.
pub const HOLDS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Buffers of the pool: what may be kept, and a turn of both TAPs on the way.
pub const POOL_FRAMES_MAX: usize = 12_288;

/// Members of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// Time between two comparisons of a redirector's sessions with their chosen nodes.
pub const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// Time for which a closed redirector session stands, so that what was said of it before and comes late is refused.
pub const TOMBSTONE_TIME: Duration = DETECTION_TIME.saturating_mul(2);

/// Time for which the redirector sessions of a dead member stand, as it may have been only slow.
pub const GONE_TIME_MAX: Duration = Duration::from_secs(240);

/// Time for which a TCP stream that a verdict ends may be silent while its handshake is not complete: longer than the pauses
/// between the SYNs of an opener that hears nothing (32 s at most in Linux), which the same verdict ends.
pub const BLOCKED_OPENING_TIME_MAX: Duration = Duration::from_secs(60);

/// The same later in its life: longer than the pauses between two retransmissions (120 s at most in Linux).
pub const BLOCKED_TIME_MAX: Duration = Duration::from_secs(150);

/// Time that a redirector's frame waits for the answers of all members.
pub const PARK_TIME: Duration = Duration::from_millis(50);

/// Frames that wait in a redirector for one key.
pub const PARKED_STREAM_FRAMES_MAX: usize = 256;

/// Frames that wait in a redirector.
pub const PARKED_FRAMES_MAX: usize = 2_048;

/// Ethernet bytes of those frames: five hundred super-frames.
pub const PARKED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Keys in a second about which a redirector asks all members: a take-over with busy streams, not a flood of strays.
pub const QUERIES_PER_SECOND_MAX: u32 = 20_000;

/// The same at once.
pub const QUERIES_BURST_MAX: u32 = 5_000;

/// Keys of which it is remembered that no member owns them.
pub const UNOWNED_KEYS_MAX: usize = 4_096;

/// How long that is remembered: a second, in which a stray's retransmissions come.
pub const UNOWNED_TIME: Duration = Duration::from_secs(1);

/// Time after which a node that was assigned a stream and has not announced it is told again.
pub const ASSIGN_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Packets in a second that a node hands to the holder because they came to it and are not its own: those of a busy host that
/// answers to the source MAC of what it gets, not a flood, which costs two nodes and a link.
pub const ASTRAY_PER_SECOND_MAX: u32 = 20_000;

/// The same at once: what both TAPs bring in a turn, some times.
pub const ASTRAY_BURST_MAX: u32 = 2_048;

/// How often a frame may be handed over from a node that had its stream to the next.
pub const HANDOVER_HOPS_MAX: u8 = 2;

/// Streams that a draining node hands over in one turn.
pub const DRAIN_STREAMS_MAX: usize = 256;

/// Pause between two such turns.
pub const DRAIN_INTERVAL: Duration = Duration::from_millis(2);

/// Time between the last redirector's word that a stream has moved and the fence: frames that it sent before are in
/// this node's interface by then.
pub const FENCE_DELAY: Duration = Duration::from_millis(5);

/// Time between the first redirector's word that a stream has moved and the fence, whatever the other one says.
pub const FENCE_TIME_MAX: Duration = Duration::from_millis(100);

/// Frames that all streams together keep back until their fences.
pub const FENCED_FRAMES_MAX: usize = 1_024;

/// Frames that came before the claim of the holder that redirected them, or before the assignment of their stream.
pub const EARLY_FRAMES_MAX: usize = 256;

/// How long such a frame waits.
pub const EARLY_TIME_MAX: Duration = Duration::from_millis(20);

/// Holds that must time out in a row before holding for that redirector is suspended.
pub const BREAKER_TIMEOUTS: u32 = 8;

/// Acknowledgements that must come in time in a row before a redirector is late no more.
pub const PROMPT_ACKNOWLEDGEMENTS: u32 = 64;

/// Announcements that wait for the delay that a test asked for.
pub const DELAYED_ANNOUNCEMENTS_MAX: usize = 65_536;

/// Events of single streams that a node keeps for `herald events`: all of a demonstration or a test, seconds under load.
pub const STREAM_EVENTS_MAX: usize = 65_536;

/// Rare events that a node keeps: a member that goes and comes back tells some ten, so those of the largest cluster may all
/// do so six times.
pub const RARE_EVENTS_MAX: usize = 4_096;

/// Time between two heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Heartbeats missed until a member counts as dead.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Time in which the death of a member is noticed.
pub const DETECTION_TIME: Duration = HEARTBEAT_INTERVAL.saturating_mul(HEARTBEATS_MISSED_MAX);

/// A node that looks so late whether a peer is silent did not run meanwhile. The peer may not have run either, where both are on
/// one machine that stood still, and gets one heartbeat more.
pub const LATE_MIN: Duration = Duration::from_millis(20);

/// Takes of a role that may be heard of at once: a number that rises faster was not counted up, and would leave none.
pub const EPOCH_STEP_MAX: u64 = 1 << 32;

/// Time in which a frame has crossed a network: of two nodes' adverts that were written within it, either may have passed a
/// switch last.
pub const CROSSING_TIME_MAX: Duration = Duration::from_millis(10);

/// Time in which a starting node awaits a link to every peer before it takes a role without them.
pub const START_TIME_MAX: Duration = DETECTION_TIME.saturating_mul(3);

/// Time for which adverts of unknown senders may hold a starting node back: they may be those of a holder that the mesh does
/// not reach, or of a host that forges them.
pub const START_DEFERRED_MAX: Duration = START_TIME_MAX.saturating_mul(10);

/// Time for which a node that has lost a role must be fit for it before it takes it back from a living holder: one that stops
/// again and again would take it back each time.
pub const STEADY_TIME: Duration = Duration::from_secs(2);

/// Time after a stream was taken back from a node that did not confirm it, before this node gives streams away again.
pub const TAKEN_BACK_DELAY: Duration = Duration::from_secs(5);

const _: () = assert!(BATCH_PACKETS_MAX <= TURN_FRAMES_MAX && ASTRAY_BURST_MAX as usize >= 2 * TURN_FRAMES_MAX);
const _: () = assert!(RARE_EVENTS_MAX >= 6 * 10 * MEMBERS_MAX);
const _: () = assert!(
    HOLDS_FRAMES_MAX
        + NEIGHBOUR_QUEUES_FRAMES_MAX
        + PARKED_FRAMES_MAX
        + FENCED_FRAMES_MAX
        + EARLY_FRAMES_MAX
        + 2 * TURN_FRAMES_MAX
        + BATCH_PACKETS_MAX
        <= POOL_FRAMES_MAX
);
