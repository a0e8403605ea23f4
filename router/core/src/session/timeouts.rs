//! How long streams may be silent.

use std::time::Duration;

/// How long a stream may be silent in each state (RFC 5382 for TCP, RFC 4787 for UDP, RFC 5508 for ICMP).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP, both ends have spoken.
    pub tcp_established: Duration,
    /// TCP, the handshake is not complete.
    pub tcp_opening: Duration,
    /// TCP, one end has finished.
    pub tcp_closing: Duration,
    /// TCP, both FINs acknowledged, or reset.
    pub tcp_closed: Duration,
    /// UDP.
    pub udp: Duration,
    /// ICMP echo.
    pub icmp: Duration,
    /// Every other protocol.
    pub other: Duration,
    /// A redirector session that nobody announced.
    pub provisional: Duration,
}

impl Timeouts {
    /// The same time in every state.
    #[must_use]
    pub const fn alike(time: Duration) -> Self {
        Self {
            tcp_established: time,
            tcp_opening: time,
            tcp_closing: time,
            tcp_closed: time,
            udp: time,
            icmp: time,
            other: time,
            provisional: time,
        }
    }
}
