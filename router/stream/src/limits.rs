//! Every bound of the engine, with its unit and its reason.

/// Bytes that one stream keeps, both directions together: more than the largest window that Linux gives by itself (6 MiB).
pub const STREAM_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Pieces that wait behind holes, for each direction: more than a window has losses, few enough to be searched for each segment.
pub const STREAM_PIECES_MAX: usize = 1_024;

/// Bytes that all streams together keep.
pub const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Streams that are followed at a time.
pub const STREAMS_MAX: usize = 262_144;

/// What a piece costs besides its bytes: its place in the tree and an allocation.
pub const PIECE_COST: usize = 64;

/// Bytes up to which segments that follow each other behind a hole become one piece.
pub const PIECE_LEN_MAX: usize = 64 * 1024;

/// Bytes for which a plugin may let its hook sleep: what it has not seen is kept.
pub const WANT_MAX: u64 = 1024 * 1024;

/// Bytes behind what is acknowledged where a segment can still be an old copy: the largest window (RFC 7323, section 2.3).
pub const WINDOW_MAX: i64 = 1 << 30;

/// The largest window scale (RFC 7323, section 2.3).
pub const SCALE_MAX: u8 = 14;

/// Bytes of a ring that is kept for the next segment though it is empty.
pub const RING_SPARE_LEN: usize = 16 * 1024;

const _: () = assert!(STREAM_BYTES_MAX <= BYTES_MAX && PIECE_LEN_MAX <= STREAM_BYTES_MAX);
const _: () = assert!(WANT_MAX < STREAM_BYTES_MAX as u64, "a hook that sleeps wakes up before its stream is full");
