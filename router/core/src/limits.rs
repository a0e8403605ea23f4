//! Every bound, with its unit and its reason.

mod joining;
mod tables;

use std::time::Duration;

pub use joining::*;
pub use tables::*;

/// Packets of one batch for the chain: enough to amortise a call, few enough to stay in the first-level cache.
pub const BATCH_PACKETS_MAX: usize = 64;

/// Bytes after which a batch is full whatever its packets: super-frames must be written while the second-level cache
/// still has what was read of them.
pub const BATCH_BYTES_MAX: usize = 128 * 1024;

/// Frames read from one TAP in one turn, so that no interface, link or timer waits long for the others.
pub const TURN_FRAMES_MAX: usize = 256;

/// Bytes of what the plugins' host keeps in each stream's record: one cache line.
pub const HOST_PART_LEN_MAX: usize = 64;

/// Frames that all holds together keep; what one keeps is a setting.
pub const HOLDS_FRAMES_MAX: usize = 4_096;

/// Ethernet bytes that all holds together keep: a thousand super-frames.
pub const HOLDS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Frames that one unresolved neighbour keeps (RFC 4861, section 7.2.2 asks for at least one).
pub const NEIGHBOUR_QUEUE_FRAMES_MAX: usize = 16;

/// Frames that all unresolved neighbours keep.
pub const NEIGHBOUR_QUEUES_FRAMES_MAX: usize = 1_024;

/// Neighbours of one interface, so that an address scan cannot fill the memory.
pub const NEIGHBOURS_MAX: usize = 4_096;

/// Neighbours of one interface that are asked for and have never answered: a scan cannot push out those that do
/// (RFC 6583, section 7.1).
pub const NEIGHBOURS_UNRESOLVED_MAX: usize = 1_024;

/// Requests until a neighbour counts as silent (RFC 4861, section 10: `MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`).
pub const NEIGHBOUR_REQUESTS_MAX: u8 = 3;

/// Connected networks and static routes of each family: they are scanned one by one for every packet.
pub const ROUTES_MAX: usize = 128;

/// ICMP errors of one node in a second (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4 (f)).
pub const ICMP_ERRORS_PER_SECOND_MAX: u32 = 1_000;

/// ICMP errors at once: a burst of streams towards one dead host, or a few traceroutes.
pub const ICMP_ERRORS_BURST_MAX: u32 = 100;

/// TCP resets of one node in a second: a rejected port scan of one host, not a flood with forged sources.
pub const RESETS_PER_SECOND_MAX: u32 = 10_000;

/// TCP resets at once: both ends of all streams of a turn.
pub const RESETS_BURST_MAX: u32 = 1_024;

/// Times that a new holder announces the virtual MAC, because a frame to a switch may be lost.
pub const HOLDER_ANNOUNCEMENTS_MAX: u8 = 5;

/// Multicast listener reports after a change (RFC 3810, section 9.1: robustness variable).
pub const LISTENER_REPORTS_MAX: u8 = 2;

/// Buffers of the pool: what may be kept, and a turn of both TAPs on the way.
pub const POOL_FRAMES_MAX: usize = 10_240;

/// Bytes of one message on a link: a whole frame and its envelope.
pub const MESSAGE_LEN_MAX: usize = 72 * 1024;

/// Bytes of one message that is no frame: 256 streams in a refresh.
pub const CONTROL_MESSAGE_LEN_MAX: usize = 40 * 1024;

/// Bytes that wait for one slow control connection; when they are over it, the link is closed.
pub const LINK_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of frames that wait for one slow peer; what comes when they are over it is dropped. At 1 Gbit/s they are 30 ms,
/// after which a frame is better lost than late.
pub const FRAMES_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Time for which a connection for frames may take nothing of what waits for it: some retransmissions of TCP, whose first
/// comes after 200 ms, and no longer, as every frame meanwhile is lost.
pub const FRAMES_UNTAKEN_TIME_MAX: Duration = Duration::from_secs(1);

/// Bytes of messages kept for one peer until it acknowledges them: some seconds of a busy node's announcements. Beyond it
/// they are given up and the link is reset; comparing digests mends what was lost.
pub const RESEND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Numbered messages after which the receiver says that it has them, although it has nothing else to say: before a bulk
/// sender runs out of room, whatever their lengths.
pub const UNTOLD_MESSAGES_MAX: u64 = 4;

/// How long a message that is not urgent may wait for others to the same peer, so that one write, and one wake-up there, serve
/// them all. The timer wakes the loop at the next whole millisecond.
pub const DELAYED_WRITE_TIME_MAX: Duration = Duration::from_millis(2);

/// Bytes of a control connection's send buffer in the kernel, which doubles the number (socket(7)): acknowledgements must
/// not wait behind megabytes.
pub const CONTROL_SEND_BUFFER_LEN: usize = 256 * 1024;

/// Bytes that wait in a secure connection for its socket: some records, for one write.
pub const SECURE_BUFFER_LEN: usize = 128 * 1024;

/// Bytes read from a socket at once, before they are decrypted: two records.
pub const SECURE_READ_LEN: usize = 32 * 1024;

/// Reads of connections in their handshakes in one turn: two or three make a handshake of some hundred microseconds, and
/// frames wait meanwhile.
pub const TURN_HANDSHAKES_MAX: u32 = 16;

/// Connections that have not said hello yet.
pub const UNIDENTIFIED_LINKS_MAX: usize = 64;

/// Of those, connections from addresses that are no peer's: the others are left for peers that come back.
pub const STRANGER_LINKS_MAX: usize = 48;

/// Lines of the log about refused connections in a second: a person reads no more, and each is counted besides.
pub const REFUSAL_LINES_PER_SECOND_MAX: u32 = 10;

/// The same at once: every peer of a large cluster.
pub const REFUSAL_LINES_BURST_MAX: u32 = 128;

/// Members of a cluster.
pub const MEMBERS_MAX: usize = 64;

/// Streams in one refresh.
pub const REFRESH_STREAMS_MAX: usize = 256;

/// Marker sessions looked at in one turn for a bulk of announcements, so that the frames of that turn do not wait long.
pub const BULK_SLOTS_MAX: usize = 1_024;

/// Bytes on their way to one peer, until it acknowledges them, above which bulk senders wait: enough to keep a link busy,
/// few enough that an announcement with a held packet behind them still meets its time.
pub const BULK_BYTES_MAX: usize = 256 * 1024;

/// Time between two comparisons of a redirector's sessions with their chosen nodes.
pub const COMPARE_INTERVAL: Duration = Duration::from_secs(60);

/// Time for which the redirector sessions of a dead member stand, as it may have been only slow.
pub const GONE_TIME_MAX: Duration = Duration::from_secs(240);

/// Time that a redirector's frame waits for the answers of all members.
pub const PARK_TIME: Duration = Duration::from_millis(50);

/// Frames that wait in a redirector for one key.
pub const PARKED_STREAM_FRAMES_MAX: usize = 64;

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

/// Announcements that wait for the delay that a test asked for.
pub const DELAYED_ANNOUNCEMENTS_MAX: usize = 65_536;

/// Frames on their way through a relay of the lab: at 50 ms of delay, a Gbit/s of full-size packets.
pub const RELAY_FRAMES_MAX: usize = 4_096;

/// Bytes of these frames, as some are super-frames.
pub const RELAY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Ethernet addresses that a relay of the lab remembers: those of all hosts of a lab many times over.
pub const RELAY_MACS_MAX: usize = 1_024;

/// How long a frame that is to be overtaken waits for the next one.
pub const RELAY_REORDER_TIME_MAX: Duration = Duration::from_millis(100);

/// Frames that a relay of the lab takes from one port before it looks at the others.
pub const RELAY_TURN_FRAMES_MAX: usize = 64;

/// Events of single streams that a node keeps for `herald events`: all of a demonstration or a test, seconds under load.
pub const STREAM_EVENTS_MAX: usize = 65_536;

/// Rare events that a node keeps: a member that goes and comes back tells some ten, so those of the largest cluster may all
/// do so six times.
pub const RARE_EVENTS_MAX: usize = 4_096;

/// Plugins of one chain: the per-stream masks have this many bits.
pub const PLUGINS_MAX: usize = 32;

/// Bytes of a plugin's file, which is read into memory: a debug build has some tens of MiB.
pub const PLUGIN_FILE_LEN_MAX: u64 = 512 * 1024 * 1024;

/// Times that the kernel is asked to seal a plugin's copy; it waits for up to 150 ms each time.
pub const PLUGIN_SEAL_TRIES_MAX: u32 = 10;

/// Bytes of the text by which a plugin refuses its configuration.
pub const PLUGIN_ERROR_LEN_MAX: usize = 4 * 1024;

/// Distinct drop reasons of one plugin that are counted by their text; the others share the last place.
pub const PLUGIN_REASONS_MAX: usize = 64;

/// Bytes of a drop reason's text, which is a line of a report.
pub const PLUGIN_REASON_LEN_MAX: usize = 256;

/// Counters that one plugin may report: some for each of its configured rules.
pub const PLUGIN_COUNTERS_MAX: usize = 16_384;

/// Faults of a plugin within [`PLUGIN_FAULT_TIME`] after which it is called no more.
pub const PLUGIN_FAULTS_MAX: u32 = 8;

/// Time in which a plugin's faults add up.
pub const PLUGIN_FAULT_TIME: Duration = Duration::from_secs(10);

/// One batch in this many has its time taken, so that the clock costs nothing.
pub const PLUGIN_TIMED_BATCHES: u64 = 64;

/// Time between two heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Heartbeats missed until a member counts as dead.
pub const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Time in which the death of a member is noticed.
pub const DETECTION_TIME: Duration = HEARTBEAT_INTERVAL.saturating_mul(HEARTBEATS_MISSED_MAX);

/// Takes of a role that may be heard of at once: a number that rises faster was not counted up, and would leave none.
pub const EPOCH_STEP_MAX: u64 = 1 << 32;

/// Time in which a frame has crossed a network: of two nodes' adverts that were written within it, either may have passed a
/// switch last.
pub const CROSSING_TIME_MAX: Duration = Duration::from_millis(10);

/// Time between two announcements of a node's own MAC, well below a bridge's ageing time of 300 s.
pub const MAC_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(30);

/// Time in which a starting node awaits a link to every peer before it takes a role without them.
pub const START_TIME_MAX: Duration = DETECTION_TIME.saturating_mul(3);

/// Time for which adverts of unknown senders may hold a starting node back: they may be those of a holder that the mesh does
/// not reach, or of a host that forges them.
pub const START_DEFERRED_MAX: Duration = START_TIME_MAX.saturating_mul(10);

/// Time after a stream was taken back from a node that did not confirm it, before this node gives streams away again.
pub const TAKEN_BACK_DELAY: Duration = Duration::from_secs(5);

/// Bytes that pad a message so that it fills at least one packet of a mesh whose MTU is at most this: a link that passes short
/// messages only is none.
pub const PADDING_LEN: usize = 9_000;

/// Time between two padded heartbeats.
pub const PADDING_INTERVAL: Duration = HEARTBEAT_INTERVAL.saturating_mul(10);

/// Bytes of a greeting, which is padded: what a node with a certificate can make another one keep before it is known.
pub const HELLO_LEN_MAX: usize = PADDING_LEN + 4 * 1024;

/// Bytes of a heartbeat: three lists of 64 members with the longest ids, the padding, and the rest.
pub const HEARTBEAT_LEN_MAX: usize = PADDING_LEN + 4 * 1024;

/// Buckets of the digests by which a redirector compares its sessions with their chosen nodes: with a million streams a
/// bucket that differs costs a thousand of them.
pub const BUCKETS: usize = 1024;

/// Bytes of a message with a digest for each bucket, and perhaps its number.
pub const DIGESTS_LEN_MAX: usize = 16 * 1024;

/// Bytes of a message about one stream or one role.
pub const SMALL_MESSAGE_LEN_MAX: usize = 512;

/// Bytes of the name of a cluster.
pub const CLUSTER_NAME_LEN_MAX: usize = 64;

/// Own addresses of one node on one interface.
pub const ADDRESSES_MAX: usize = 16;

/// Time from the opening of a connection to its complete hello, securing it included.
pub const HELLO_TIME_MAX: Duration = Duration::from_secs(1);

/// Time for TCP to open a connection; neighbours on a mesh answer within milliseconds.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// First pause before a lost link is dialled again; doubled each time.
pub const RECONNECT_DELAY_MIN: Duration = Duration::from_millis(50);

/// Longest pause before a peer is dialled again: small, so that a node that comes back is seen soon.
pub const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// Pause after the listener failed to accept (no file descriptors, no memory).
pub const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Connections accepted in one turn.
pub const TURN_ACCEPTS_MAX: usize = 32;

/// Bytes read from one link in one turn, so that no TAP, link or timer waits long for it: a thousand streams of a bulk.
pub const TURN_LINK_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a link's first read buffer: some hundred announcements.
pub const LINK_READ_LEN: usize = 16 * 1024;

/// Bytes that an empty send queue keeps for the next messages.
pub const LINK_QUEUE_BYTES_KEPT: usize = 256 * 1024;

/// Time between two announcements of a new holder.
pub const HOLDER_ANNOUNCE_INTERVAL: Duration = Duration::from_millis(500);

/// Time between two multicast listener reports after a change (RFC 3810, section 9.11).
pub const LISTENER_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two defences of an address that another host uses, too (RFC 5227, section 1.1: `DEFEND_INTERVAL`).
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two requests to a neighbour (RFC 4861, section 10: `RETRANS_TIMER`).
pub const NEIGHBOUR_REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// Time for which an answer proves that a neighbour is reachable (RFC 4861, section 10: `REACHABLE_TIME`). The random
/// factor is left out: a router asks on use, so its requests are spread by the traffic.
pub const NEIGHBOUR_REACHABLE_TIME: Duration = Duration::from_secs(30);

/// Time after which a neighbour that nobody uses is forgotten.
pub const NEIGHBOUR_STALE_TIME: Duration = Duration::from_secs(600);

const _: () = assert!(NEIGHBOURS_UNRESOLVED_MAX < NEIGHBOURS_MAX);
const _: () = assert!(BATCH_PACKETS_MAX <= TURN_FRAMES_MAX && ASTRAY_BURST_MAX as usize >= 2 * TURN_FRAMES_MAX);
const _: () = assert!(RARE_EVENTS_MAX >= 6 * 10 * MEMBERS_MAX);
const _: () = assert!(PLUGINS_MAX <= u32::BITS as usize && PLUGIN_REASONS_MAX <= u8::MAX as usize);
const _: () = assert!(NEIGHBOUR_QUEUE_FRAMES_MAX <= NEIGHBOUR_QUEUES_FRAMES_MAX);
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
const _: () = assert!(MESSAGE_LEN_MAX > crate::packet::BUFFER_LEN + 1024);
const _: () = assert!(LINK_QUEUE_BYTES_MAX > 2 * MESSAGE_LEN_MAX);
const _: () = assert!(LINK_QUEUE_BYTES_KEPT < LINK_QUEUE_BYTES_MAX && RESEND_BYTES_MAX <= LINK_QUEUE_BYTES_MAX);
const _: () = assert!(STRANGER_LINKS_MAX < UNIDENTIFIED_LINKS_MAX && BULK_BYTES_MAX < RESEND_BYTES_MAX);
const _: () = assert!(CONTROL_MESSAGE_LEN_MAX <= MESSAGE_LEN_MAX);
const _: () = assert!(UNTOLD_MESSAGES_MAX.saturating_mul(CONTROL_MESSAGE_LEN_MAX as u64) < BULK_BYTES_MAX as u64);
const _: () = assert!(HELLO_LEN_MAX <= LINK_READ_LEN && LINK_READ_LEN <= MESSAGE_LEN_MAX);
// The longest encodings: a node id takes 17 bytes, an address 18, a stream in a refresh 138.
const _: () = assert!(
    HELLO_LEN_MAX - PADDING_LEN
        > CLUSTER_NAME_LEN_MAX + 36 * ADDRESSES_MAX + (COMPARED_KEY_LEN_MAX + 13) * COMPARED_KEYS_MAX + 128
);
const _: () = assert!(HEARTBEAT_LEN_MAX - PADDING_LEN > 3 * 17 * MEMBERS_MAX + 128);
const _: () = assert!(
    DIGESTS_LEN_MAX > (10 + 3) * BUCKETS + 128
        && BUCKETS <= u16::MAX as usize
        && DIGESTS_LEN_MAX <= CONTROL_MESSAGE_LEN_MAX
);
const _: () = assert!(CONTROL_MESSAGE_LEN_MAX > 138 * REFRESH_STREAMS_MAX + 128);
const _: () = assert!(RECONNECT_DELAY_MIN.as_nanos() <= RECONNECT_DELAY_MAX.as_nanos());
