//! Where a stream is in its life.

use serde::{Deserialize, Serialize};

/// Where a stream is in its life.
///
/// ```text
///  SYN              SYN|ACK, ACK                FIN               both FINs acknowledged
///  ----> Opening ----------------> Established -----> Closing ---------------------------> Closed
///           |                        |  ^  ^              |                                 ^  |
///           |                        |  |  +--------------+ more data than the FIN's        |  |
///           |                        |  +---------------------------------------------------|--+ new data both ways
///           +------------------------+----------------------------------------------------- +
///                      a reset between the last acknowledged byte and the end of what was seen
///
///  UDP, ICMP, other: Active for all their life
///  TCP of which only one direction passes: OneWay, from an ACK to what never passed, until something comes back
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// TCP: the handshake is not complete.
    Opening,
    /// TCP: both ends have spoken.
    Established,
    /// TCP: one end has finished.
    Closing,
    /// TCP: both have finished, or one has reset.
    Closed,
    /// Any protocol without connections.
    Active,
    /// TCP: only what the opener says passes here; its answers go another way.
    OneWay,
}

impl State {
    /// The name in reports and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Established => "established",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Active => "active",
            Self::OneWay => "one-way",
        }
    }
}
