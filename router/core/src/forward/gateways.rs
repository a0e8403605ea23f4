//! Several gateways of one route: which of them a stream takes, and those that are silent.
//!
//! The hash that chose the stream's node chooses its gateway, too: it goes with the stream wherever that moves, so all nodes
//! agree, and no host can aim it. One that does not answer is passed over until it does; only its own streams go elsewhere.

use crate::flow::{HashKey, Hop};
use crate::limits::GATEWAY_RETRY_INTERVAL;
use crate::time::Instant;

/// The gateways of all routes that have several.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    several: Vec<Vec<Hop>>,
    /// Those that do not answer, and when each is asked again.
    silent: Vec<(Hop, Instant)>,
}

impl Gateways {
    /// Adds the gateways of one route; their number.
    pub(super) fn add(&mut self, hops: Vec<Hop>) -> usize {
        self.several.push(hops);
        self.several.len() - 1
    }

    /// The gateways of a route.
    pub(super) fn of(&self, number: usize) -> &[Hop] {
        self.several.get(number).map(Vec::as_slice).unwrap_or_default()
    }

    /// The gateway of a stream: by rendezvous hashing over those that answer, over all if none does.
    #[cold]
    #[inline(never)]
    pub(super) fn pick(&self, number: usize, spread: u64) -> Option<Hop> {
        self.pick_heard(number, spread).or_else(|| highest(self.of(number).iter(), spread))
    }

    /// The same over those that answer only.
    pub(super) fn pick_heard(&self, number: usize, spread: u64) -> Option<Hop> {
        highest(self.of(number).iter().filter(|hop| !self.is_silent(hop)), spread)
    }

    /// A neighbour does not answer. True if it is one of several gateways.
    pub(super) fn fell_silent(&mut self, now: Instant, hop: Hop) -> bool {
        let is_known = self.several.iter().any(|hops| hops.contains(&hop));
        if is_known && !self.is_silent(&hop) {
            self.silent.push((hop, now + GATEWAY_RETRY_INTERVAL));
        }
        is_known
    }

    /// A neighbour has said where it is.
    pub(super) fn spoke(&mut self, hop: &Hop) {
        self.silent.retain(|(silent, _)| silent != hop);
    }

    /// A silent one that is to be asked again now.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Hop> {
        let (hop, again) = self.silent.iter_mut().find(|(_, again)| *again <= now)?;
        *again = now + GATEWAY_RETRY_INTERVAL;
        Some(*hop)
    }

    /// When one is.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.silent.iter().map(|(_, again)| *again).min()
    }

    fn is_silent(&self, hop: &Hop) -> bool {
        self.silent.iter().any(|(silent, _)| silent == hop)
    }
}

fn highest<'a>(hops: impl Iterator<Item = &'a Hop>, spread: u64) -> Option<Hop> {
    let key = HashKey(u128::from(spread).to_le_bytes());
    hops.max_by_key(|hop| key.hash(&hop.next_hop)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Interface;

    fn hop(last: u8) -> Hop {
        Hop { interface: Interface::Second, next_hop: [10, 2, 0, last].into() }
    }

    #[test]
    fn each_gateway_has_its_part_and_only_that_of_a_silent_one_moves() {
        let now = Instant::from_nanos(0);
        let mut gateways = Gateways::default();
        let number = gateways.add(vec![hop(1), hop(2), hop(3)]);
        let all = |gateways: &Gateways| (0..3000_u64).map(|n| gateways.pick(number, n << 40 | n)).collect::<Vec<_>>();
        let before = all(&gateways);
        for last in 1..=3 {
            let part = before.iter().filter(|picked| **picked == Some(hop(last))).count();
            assert!((900..1100).contains(&part), "{last} has {part} of 3000");
        }
        assert!(gateways.fell_silent(now, hop(2)) && !gateways.fell_silent(now, hop(9)));
        for (was, is) in before.iter().zip(all(&gateways)) {
            assert!(is != Some(hop(2)) && (is == *was || *was == Some(hop(2))));
        }
        gateways.spoke(&hop(2));
        assert_eq!(all(&gateways), before);
    }

    #[test]
    fn silent_gateways_are_asked_again_and_used_where_nobody_answers() {
        let now = Instant::from_nanos(0);
        let mut gateways = Gateways::default();
        let number = gateways.add(vec![hop(1), hop(2)]);
        assert_eq!((gateways.next_due(now), gateways.next_deadline()), (None, None));
        for last in [1, 2] {
            gateways.fell_silent(now, hop(last));
        }
        assert!(gateways.pick(number, 7).is_some() && gateways.pick_heard(number, 7).is_none());
        let again = now + GATEWAY_RETRY_INTERVAL;
        assert_eq!((gateways.next_due(now), gateways.next_deadline()), (None, Some(again)));
        assert_eq!([gateways.next_due(again), gateways.next_due(again)], [Some(hop(1)), Some(hop(2))]);
        assert_eq!(gateways.next_due(again), None);
    }
}
