//! Bounds of the links between nodes and of what they carry.

use std::time::Duration;

use super::{COMPARED_KEY_LEN_MAX, COMPARED_KEYS_MAX, HEARTBEAT_INTERVAL, MEMBERS_MAX};

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

/// Streams in one refresh.
pub const REFRESH_STREAMS_MAX: usize = 256;

/// Marker sessions looked at in one turn for a bulk of announcements, so that the frames of that turn do not wait long.
pub const BULK_SLOTS_MAX: usize = 1_024;

/// Bytes on their way to one peer, until it acknowledges them, above which bulk senders wait: enough to keep a link busy,
/// few enough that an announcement with a held packet behind them still meets its time.
pub const BULK_BYTES_MAX: usize = 256 * 1024;

/// Bytes that pad a message so that it fills at least one packet of a mesh whose MTU is at most this: a link that passes short
/// messages only is none.
pub const PADDING_LEN: usize = 9_000;

/// Time between two padded heartbeats.
pub const PADDING_INTERVAL: Duration = HEARTBEAT_INTERVAL.saturating_mul(5);

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
