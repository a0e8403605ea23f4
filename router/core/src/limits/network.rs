//! Bounds of what a node says and knows on its networks.

use std::time::Duration;

/// Frames that one unresolved neighbour keeps (RFC 4861, section 7.2.2 asks for at least one).
pub const NEIGHBOUR_QUEUE_FRAMES_MAX: usize = 128;

/// Frames that all unresolved neighbours keep.
pub const NEIGHBOUR_QUEUES_FRAMES_MAX: usize = 4_096;

/// Neighbours of one interface, so that an address scan cannot fill the memory.
pub const NEIGHBOURS_MAX: usize = 4_096;

/// Neighbours of one interface that are asked for and have never answered: a scan cannot push out those that do
/// (RFC 6583, section 7.1).
pub const NEIGHBOURS_UNRESOLVED_MAX: usize = 1_024;

/// Of these, those that packets of one source ask for: an IPv4 address, or a /64 of IPv6.
pub const NEIGHBOURS_UNRESOLVED_SOURCE_MAX: usize = NEIGHBOURS_UNRESOLVED_MAX / 4;

/// Requests until a neighbour counts as silent (RFC 4861, section 10: `MAX_MULTICAST_SOLICIT`, `MAX_UNICAST_SOLICIT`).
pub const NEIGHBOUR_REQUESTS_MAX: u8 = 3;

/// Requests to each of two MACs that a neighbour may have, until it is decided which one it is: one may be lost.
pub const NEIGHBOUR_CONTEST_REQUESTS_MAX: u8 = 2;

/// Time that each of these requests waits for an answer: of a host on the link, even a busy one. The other nodes must know of a
/// new MAC within a second, and ask for themselves when the first has heard its answer.
pub const NEIGHBOUR_CONTEST_INTERVAL: Duration = Duration::from_millis(150);

/// Time in which the same MAC is not asked again whether it is a neighbour's: whoever repeats a claim costs no more.
pub const NEIGHBOUR_CONTEST_PAUSE: Duration = Duration::from_secs(1);

/// Claims in a second that known neighbours have other MACs, on one interface, which are looked into: two requests each to two
/// MACs. Without the others a new MAC is found when the old one does not answer any more.
pub const NEIGHBOUR_CONTESTS_PER_SECOND_MAX: u32 = 100;

/// The same at once: a failed switch that moved a rack of hosts, not a flood.
pub const NEIGHBOUR_CONTESTS_BURST_MAX: u32 = 200;

/// Conflicts between two hosts that one node tells of in a second, of one interface; all are counted.
pub const NEIGHBOUR_CONFLICTS_PER_SECOND_MAX: u32 = 1;

/// The same at once.
pub const NEIGHBOUR_CONFLICTS_BURST_MAX: u32 = 16;

/// Time without a claim after which a conflict of addresses is over, and is told again if it comes back.
pub const CONFLICT_TIME: Duration = Duration::from_secs(60);

/// Connected networks and static routes of each family: they are scanned one by one for every packet.
pub const ROUTES_MAX: usize = 128;

/// Gateways of one route.
pub const GATEWAYS_MAX: usize = 16;

/// Time from one question to a gateway that is silent to the next, where a route has others.
pub const GATEWAY_RETRY_INTERVAL: Duration = Duration::from_secs(1);

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

/// Time between two announcements of a node's own MAC, well below a bridge's ageing time of 300 s.
pub const MAC_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(30);

/// Time between two announcements of a new holder.
pub const HOLDER_ANNOUNCE_INTERVAL: Duration = Duration::from_millis(500);

/// Time between two multicast listener reports after a change (RFC 3810, section 9.11).
pub const LISTENER_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Longest and shortest time between two router advertisements that nobody asked for (RFC 4861, section 6.2.1).
pub const GATEWAY_ADVERT_INTERVAL_MAX: Duration = Duration::from_secs(600);

/// The shortest.
pub const GATEWAY_ADVERT_INTERVAL_MIN: Duration = Duration::from_secs(200);

/// Router advertisements of a new holder, and the time between them (RFC 4861, section 10:
/// `MAX_INITIAL_RTR_ADVERTISEMENTS`, `MAX_INITIAL_RTR_ADVERT_INTERVAL`).
pub const GATEWAY_ADVERTS_INITIAL_MAX: u8 = 3;

/// The time between them.
pub const GATEWAY_ADVERTS_INITIAL_INTERVAL: Duration = Duration::from_secs(16);

/// Time that any two router advertisements are apart, whoever asks (RFC 4861, section 10: `MIN_DELAY_BETWEEN_RAS`).
pub const GATEWAY_ADVERTS_PAUSE: Duration = Duration::from_secs(3);

/// Longest time until a host that asks is answered, if the pause is over (RFC 4861, section 10: `MAX_RA_DELAY_TIME`).
pub const GATEWAY_ADVERT_DELAY_MAX: Duration = Duration::from_millis(500);

/// Shortest time in seconds that hosts may be told to use the gateway: they hear of it in between (RFC 4861, section 6.2.1).
pub const ROUTER_LIFETIME_MIN: usize = 600;

/// The longest.
pub const ROUTER_LIFETIME_MAX: usize = 9_000;

const _: () = assert!(GATEWAY_ADVERT_INTERVAL_MAX.as_secs() <= ROUTER_LIFETIME_MIN as u64);

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
// This node's contest and that of the next one, which begins when the first is decided.
const _: () = assert!(
    2 * NEIGHBOUR_CONTEST_INTERVAL.as_millis() * NEIGHBOUR_CONTEST_REQUESTS_MAX as u128
        <= NEIGHBOUR_CONTEST_PAUSE.as_millis()
);
const _: () = assert!(NEIGHBOUR_QUEUE_FRAMES_MAX <= NEIGHBOUR_QUEUES_FRAMES_MAX);
