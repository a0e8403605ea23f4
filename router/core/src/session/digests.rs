//! Digests of sets of streams, by which a redirector and a chosen node find out where they disagree without naming one
//! stream: equal sets have equal digests, and of unequal ones only the buckets that differ need to be told.

use std::fmt;

use crate::inspector::Direction;
use crate::limits::BUCKETS;

/// One digest for each bucket. A stream's identity, which says its bucket, is a keyed hash that no outsider can aim.
#[derive(Clone, PartialEq, Eq)]
pub struct Digests {
    digests: Vec<u64>,
    used: usize,
}

/// The buckets that are not empty.
impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.digests.iter().enumerate().filter(|(_, digest)| **digest != 0)).finish()
    }
}

impl Digests {
    /// Of no streams, in so many buckets, from 1 to [`BUCKETS`]. All of those travel, whether they are used or not.
    #[must_use]
    pub fn new(used: usize) -> Self {
        Self { digests: vec![0; BUCKETS], used }
    }

    /// The bucket of a stream.
    #[must_use]
    pub fn bucket_of(&self, stream: u64) -> usize {
        let place = stream.checked_rem(self.used as u64).unwrap_or_default();
        usize::try_from(place).unwrap_or_default()
    }

    /// Adds one direction of a stream in one generation, or takes it away if it is there. Both directions may arrive at one
    /// interface, so they must not cancel each other out.
    pub fn toggle(&mut self, stream: u64, generation: u32, direction: Direction) {
        let bucket = self.bucket_of(stream);
        if let Some(digest) = self.digests.get_mut(bucket) {
            let number = u64::from(generation) << 1 | direction as u64;
            *digest ^= spread(stream ^ number.rotate_left(31));
        }
    }

    /// The digests themselves.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        &self.digests
    }

    /// For each bucket whether it differs from that of another side.
    #[must_use]
    pub fn differing(&self, others: &[u64]) -> Vec<bool> {
        let theirs = others.iter().copied().map(Some).chain(std::iter::repeat(None));
        self.digests.iter().zip(theirs).map(|(ours, theirs)| Some(*ours) != theirs).collect()
    }
}

/// Spreads every bit over all others (the finaliser of `SplitMix64`), so that digests of similar streams do not cancel
/// each other out.
fn spread(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_sets_have_equal_digests_in_any_order(
            mut streams: Vec<(u64, u32)>, extra: (u64, u32), used in prop_oneof![1..4_usize, Just(BUCKETS)],
            direction in prop_oneof![Just(Direction::FromOpener), Just(Direction::ToOpener)],
        ) {
            let digests_of = |streams: &[(u64, u32)]| {
                let mut digests = Digests::new(used);
                streams.iter().for_each(|(stream, generation)| digests.toggle(*stream, *generation, direction));
                digests
            };
            streams.sort_unstable();
            streams.dedup();
            let one = digests_of(&streams);
            streams.reverse();
            let mut other = digests_of(&streams);
            prop_assert!(one.differing(other.as_slice()).iter().all(|differs| !differs));
            other.toggle(extra.0, extra.1, direction);
            let differing: Vec<_> = one.differing(other.as_slice()).iter().enumerate().filter(|(_, d)| **d).map(|(b, _)| b).collect();
            prop_assert_eq!(differing, [one.bucket_of(extra.0)]);
            prop_assert!(one.bucket_of(extra.0) < used);
            other.toggle(extra.0, extra.1, direction);
            prop_assert_eq!(&one, &other);
            other.toggle(extra.0, extra.1, direction);
            let other_direction = Direction::BOTH.into_iter().find(|d| *d != direction).unwrap();
            for (generation, direction) in [(extra.1 ^ 1, direction), (extra.1, other_direction)] {
                let mut third = other.clone();
                third.toggle(extra.0, generation, direction);
                prop_assert_ne!(&one, &third, "the same stream in another generation or direction is another");
            }
        }
    }
}
