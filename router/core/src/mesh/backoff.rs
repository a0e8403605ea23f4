//! When a lost link is dialled again.

use std::time::Duration;

use crate::flow::HashKey;
use crate::id::NodeId;
use crate::limits::{RECONNECT_DELAY_MAX, RECONNECT_DELAY_MIN};

/// The pause before dialling `peer` again after `failures` attempts in a row: doubled each time up to a small maximum,
/// and of that a part between a half and the whole, so that nodes that lost each other together do not return together.
/// The key is the source of chance: equal keys give equal pauses.
#[must_use]
pub fn reconnect_delay(chance: HashKey, peer: NodeId, failures: u32) -> Duration {
    let doubled = RECONNECT_DELAY_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
    let half = doubled.min(RECONNECT_DELAY_MAX) / 2;
    let [jitter, ..] = chance.hash(&(peer, failures)).to_be_bytes();
    half + half * u32::from(jitter) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_small_maximum_and_differ_between_nodes() {
        let peer: NodeId = "b".parse().unwrap();
        for failures in 0..100 {
            let whole = RECONNECT_DELAY_MIN.saturating_mul(1 << failures.min(10)).min(RECONNECT_DELAY_MAX);
            let delay = reconnect_delay(HashKey([1; 16]), peer, failures);
            assert!(whole / 2 <= delay && delay <= whole, "{failures}: {delay:?}");
            assert_eq!(delay, reconnect_delay(HashKey([1; 16]), peer, failures));
        }
        let differing = (0..100)
            .filter(|f| reconnect_delay(HashKey([1; 16]), peer, *f) != reconnect_delay(HashKey([2; 16]), peer, *f));
        assert!(differing.count() > 80);
    }
}
