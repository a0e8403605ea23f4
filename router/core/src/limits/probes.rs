//! Bounds of the challenges by which nodes prove on an interface that they live.

use std::time::Duration;

use super::{DETECTION_TIME, HEARTBEAT_INTERVAL};

/// Time after which a challenge that was not answered is followed by another one, before all are due again.
pub const PROBE_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How long a challenge may be answered: an older answer would not prove what is asked, that its sender lives now.
pub const PROBE_ANSWER_TIME_MAX: Duration = DETECTION_TIME;

/// Challenges of one member on one interface that may be answered at a time: with the shortest interval of adverts, 10 ms, a
/// silent holder is challenged as often, and an answer may take longer.
pub const OPEN_CHALLENGES_MAX: usize = 8;

/// Challenges and answers in a second from one member on one interface whose tags are checked: three times what a member sends
/// with the shortest interval of adverts. Who sends more has forged that member's MAC, and leads its frames away by that.
pub const PROBES_PER_SECOND_MAX: u32 = 1_000;

/// The same at once: what comes after a pause of the detection time, twice.
pub const PROBES_BURST_MAX: u32 = 200;

const _: () = assert!(PROBE_RETRY_DELAY.as_nanos() < HEARTBEAT_INTERVAL.as_nanos());
