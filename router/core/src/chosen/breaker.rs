//! What this node has learnt of how redirectors acknowledge: a circuit breaker for one that lets hold after hold time out, so
//! that it is not waited for until it acknowledges again; and whether one acknowledges late.

use crate::id::NodeId;
use crate::limits::{BREAKER_TIMEOUTS, PROMPT_ACKNOWLEDGEMENTS};

/// One entry for each redirector that let a hold run out.
#[derive(Debug, Default)]
pub struct Breakers {
    peers: Vec<Breaker>,
}

#[derive(Debug)]
struct Breaker {
    peer: NodeId,
    /// Holds that ran out since the last acknowledgement.
    timed_out: u32,
    /// Acknowledgements that must still come in time before it is late no more; 0: it is not late.
    late: u32,
}

/// When an acknowledgement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Punctuality {
    /// While its stream's packets were held.
    InTime,
    /// After the hold had run out.
    Late,
}

/// What an acknowledgement has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// It resumed holding.
    pub closed: bool,
    /// The peer is late from now on, or no more.
    pub late: Option<bool>,
}

impl Breakers {
    /// True while holding for this peer is suspended.
    #[must_use]
    pub fn is_open(&self, peer: NodeId) -> bool {
        self.peers.iter().any(|breaker| breaker.peer == peer && breaker.is_open())
    }

    /// A hold for this peer ran out. True if that suspended holding.
    pub fn timed_out(&mut self, peer: NodeId) -> bool {
        let mut breaker = self.take(peer);
        breaker.timed_out = breaker.timed_out.saturating_add(1);
        let opens = breaker.timed_out == BREAKER_TIMEOUTS;
        self.peers.push(breaker);
        opens
    }

    /// The peer acknowledged.
    pub fn acknowledged(&mut self, peer: NodeId, punctuality: Punctuality) -> Acknowledged {
        if punctuality == Punctuality::InTime && self.peers.iter().all(|breaker| breaker.peer != peer) {
            return Acknowledged::default();
        }
        let before = self.take(peer);
        let late = match punctuality {
            Punctuality::InTime => before.late.saturating_sub(1),
            Punctuality::Late => PROMPT_ACKNOWLEDGEMENTS,
        };
        if late > 0 {
            self.peers.push(Breaker { peer, timed_out: 0, late });
        }
        let (was_late, is_late) = (before.late > 0, late > 0);
        Acknowledged { closed: before.is_open(), late: (was_late != is_late).then_some(is_late) }
    }

    fn take(&mut self, peer: NodeId) -> Breaker {
        match self.peers.iter().position(|breaker| breaker.peer == peer) {
            Some(place) => self.peers.swap_remove(place),
            None => Breaker { peer, timed_out: 0, late: 0 },
        }
    }
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.timed_out >= BREAKER_TIMEOUTS
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
        assert!(breakers.acknowledged(peer, Punctuality::InTime).closed);
        assert!(!breakers.is_open(peer));
        assert!(!breakers.acknowledged(peer, Punctuality::InTime).closed);
    }

    #[test]
    fn a_late_peer_is_told_once_and_again_when_it_has_long_been_in_time() {
        let peer = "b".parse().unwrap();
        let mut breakers = Breakers::default();
        let mut late = |punctuality| breakers.acknowledged(peer, punctuality).late;
        assert_eq!(late(Punctuality::InTime), None);
        assert_eq!(late(Punctuality::Late), Some(true));
        for _ in 1..PROMPT_ACKNOWLEDGEMENTS {
            assert_eq!(late(Punctuality::InTime), None);
        }
        assert_eq!(late(Punctuality::Late), None, "it is late still");
        for _ in 1..PROMPT_ACKNOWLEDGEMENTS {
            assert_eq!(late(Punctuality::InTime), None);
        }
        assert_eq!(late(Punctuality::InTime), Some(false));
        assert_eq!(late(Punctuality::InTime), None);
    }
}
