//! Bounds of what happens when a node meets the others, and strangers on the networks.

use std::time::Duration;

use super::{DETECTION_TIME, RECONNECT_DELAY_MAX};

/// Keys of a node's configuration that others compare: there are 33 so far.
pub const COMPARED_KEYS_MAX: usize = 48;

/// Bytes of the name of such a key.
pub const COMPARED_KEY_LEN_MAX: usize = 40;

/// Time in which a member's link answers when another node says hello with its id: one that has been silent for so long has
/// no link any more.
pub const ID_ANSWER_TIME_MAX: Duration = DETECTION_TIME;

/// How long a refusal counts that only people can mend; it is tried again each [`RECONNECT_DELAY_MAX`].
pub const APART_TIME: Duration = RECONNECT_DELAY_MAX.saturating_mul(3);

/// Time after which a starting node that nobody has dialled says itself that it is there.
pub const INTRODUCTION_DELAY: Duration = DETECTION_TIME;

/// Foreign routers on one network that are remembered: a person looks for one.
pub const FOREIGN_ROUTERS_MAX: usize = 8;

/// How long one that is heard no more is remembered. Its next advert is told as a new outbreak.
pub const FOREIGN_ROUTER_TIME: Duration = Duration::from_secs(10);
