//! The circuit breaker: a redirector that lets hold after hold time out is not waited for until it acknowledges again.

use crate::id::NodeId;
use crate::limits::BREAKER_TIMEOUTS;

/// One breaker for each redirector that was waited for.
#[derive(Debug, Default)]
pub struct Breakers {
    timed_out: Vec<(NodeId, u32)>,
}

impl Breakers {
    /// True while holding for this peer is suspended.
    #[must_use]
    pub fn is_open(&self, peer: NodeId) -> bool {
        self.timed_out.iter().any(|&(node, count)| node == peer && count >= BREAKER_TIMEOUTS)
    }

    /// A hold for this peer ran out. True if that suspended holding.
    pub fn timed_out(&mut self, peer: NodeId) -> bool {
        match self.timed_out.iter_mut().find(|(node, _)| *node == peer) {
            Some((_, count)) => {
                *count = count.saturating_add(1);
                *count == BREAKER_TIMEOUTS
            }
            None => {
                self.timed_out.push((peer, 1));
                BREAKER_TIMEOUTS == 1
            }
        }
    }

    /// The peer acknowledged. True if that resumed holding.
    pub fn acknowledged(&mut self, peer: NodeId) -> bool {
        let was_open = self.is_open(peer);
        self.timed_out.retain(|(node, _)| *node != peer);
        was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_repeated_time_outs_and_closes_with_one_acknowledgement() {
        let peer = "b".parse().unwrap();
        let mut breakers = Breakers::default();
        for round in 1..=BREAKER_TIMEOUTS {
            assert!(!breakers.is_open(peer));
            assert_eq!(breakers.timed_out(peer), round == BREAKER_TIMEOUTS);
        }
        assert!(breakers.is_open(peer));
        assert!(breakers.acknowledged(peer));
        assert!(!breakers.is_open(peer));
        assert!(!breakers.acknowledged(peer));
    }
}
