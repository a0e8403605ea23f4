//! Bounds of the datagrams of which some fragments have come. Fragments that wait lie in buffers of their own length, so they
//! take none of the pool.

use std::time::Duration;

/// Fragments of one datagram: the longest one over the least MTU of a link that was in use in the last decades (296, SLIP).
pub const FRAGMENTS_DATAGRAM_MAX: usize = 256;

/// Fragments that wait for the rest of their datagrams; a datagram of which nothing is kept counts as one.
pub const FRAGMENTS_MAX: usize = 8_192;

/// Bytes of those fragments, with what it takes to keep them.
pub const FRAGMENTS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Fragments of one source among these, which is an IPv4 address or a /64 of IPv6: thirty of the longest datagrams at once.
pub const FRAGMENTS_SOURCE_MAX: usize = FRAGMENTS_MAX / 4;

/// Bytes of one source among these.
pub const FRAGMENTS_SOURCE_BYTES_MAX: usize = FRAGMENTS_BYTES_MAX / 4;

/// What it takes to keep a datagram or a fragment, beside its bytes: places in tables, and the allocator's own.
pub const FRAGMENT_COST: usize = 256;

/// Time for which the rest of a datagram may come. Linux waits 30 s for IPv4; RFC 8200, section 4.5, gives up after 60 s at the
/// destination. A router in between keeps what others send and gives up sooner: what comes later than this was lost.
pub const FRAGMENTS_TIME_MAX: Duration = Duration::from_secs(30);

/// Datagrams that one source begins until an incomplete one is given up, as its identification may come again (RFC 4963).
pub const FRAGMENTS_DISTANCE_MAX: u64 = 4_096;

/// Hosts to which the way is known to take only shorter packets of this node's own.
pub const PATH_MTUS_MAX: usize = 1_024;

/// Time for which that is known (RFC 1191, section 6.3; RFC 8201, section 4).
pub const PATH_MTU_TIME: Duration = Duration::from_secs(600);

/// The least that is believed of IPv4: what every host takes is 576 bytes, and Linux goes down to this.
pub const PATH_MTU_V4_MIN: u16 = 552;

/// The least of IPv6 (RFC 8200, section 5).
pub const PATH_MTU_V6_MIN: u16 = 1_280;

const _: () = assert!(FRAGMENTS_DATAGRAM_MAX < FRAGMENTS_SOURCE_MAX);
// The longest datagram in as many fragments as may be.
const _: () = assert!(65_535 + (FRAGMENTS_DATAGRAM_MAX + 1) * (FRAGMENT_COST + 128) < FRAGMENTS_SOURCE_BYTES_MAX);
