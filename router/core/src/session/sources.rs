//! How many streams each source has opened: an IPv4 address, or the /64 of an IPv6 address, which is one network's and often
//! one host's (RFC 4291, section 2.5.1).

use std::fmt;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::flow::{FlowKey, HashKey};

/// Tables, so that growing stops the loop for a small part of the sources only.
const SHARDS: usize = 64;

/// A source, as a keyed hash of its address. Two in a million share one, and then a count, which no outsider can aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(u32);

/// Counts by source. One without a stream takes no room.
pub struct Sources {
    key: HashKey,
    shards: Vec<HashTable<(u32, u32)>>,
    /// A source that has more streams than this is outsized.
    share_max: u32,
    outsized: usize,
}

impl Sources {
    /// No streams yet. A source with more than `share_max` of them is outsized.
    #[must_use]
    pub fn new(key: HashKey, share_max: usize) -> Self {
        let share_max = u32::try_from(share_max).unwrap_or(u32::MAX);
        Self { key, shards: (0..SHARDS).map(|_| HashTable::new()).collect(), share_max, outsized: 0 }
    }

    /// A source with more than `share_max` streams is outsized from now on.
    pub fn set_share_max(&mut self, share_max: usize) {
        self.share_max = u32::try_from(share_max).unwrap_or(u32::MAX);
        let counts = self.shards.iter().flat_map(|shard| shard.iter());
        self.outsized = counts.filter(|(_, count)| *count > self.share_max).count();
    }

    /// The source of the stream that opens with this flow.
    #[must_use]
    pub fn of(&self, opener: &FlowKey) -> Source {
        let [.., a, b, c, d] = self.key.hash(&opener.source_network()).to_be_bytes();
        Source(u32::from_be_bytes([a, b, c, d]))
    }

    /// The source has one more stream.
    pub fn add(&mut self, source: Source) {
        let share_max = self.share_max;
        let Some(shard) = self.shard_mut(source) else { return };
        let (_, count) = shard
            .entry(spread(source), |known| known.0 == source.0, |known| spread(Source(known.0)))
            .or_insert((source.0, 0))
            .into_mut();
        *count = count.saturating_add(1);
        self.outsized += usize::from(share_max.checked_add(1) == Some(*count));
    }

    /// The source has one stream less.
    pub fn take(&mut self, source: Source) {
        let share_max = self.share_max;
        let Some(shard) = self.shard_mut(source) else { return };
        let Entry::Occupied(mut entry) =
            shard.entry(spread(source), |known| known.0 == source.0, |known| spread(Source(known.0)))
        else {
            return;
        };
        let (_, count) = entry.get_mut();
        let was_outsized = share_max.checked_add(1) == Some(*count);
        *count -= 1;
        if *count == 0 {
            entry.remove();
        }
        self.outsized -= usize::from(was_outsized);
    }

    /// Streams of a source.
    #[must_use]
    pub fn count(&self, source: Source) -> usize {
        let shard = self.shards.get(shard_of(source));
        let known = shard.and_then(|shard| shard.find(spread(source), |known| known.0 == source.0));
        known.map_or(0, |(_, count)| *count as usize)
    }

    /// True if a source has more streams than one is to have of a full table.
    #[must_use]
    pub fn is_outsized(&self, source: Source) -> bool {
        self.count(source) > self.share_max as usize
    }

    /// True if any source has.
    #[must_use]
    pub fn have_outsized(&self) -> bool {
        self.outsized > 0
    }

    fn shard_mut(&mut self, source: Source) -> Option<&mut HashTable<(u32, u32)>> {
        self.shards.get_mut(shard_of(source))
    }
}

/// How many sources there are.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: usize = self.shards.iter().map(HashTable::len).sum();
        f.debug_struct("Sources").field("sources", &sources).field("outsized", &self.outsized).finish_non_exhaustive()
    }
}

fn shard_of(source: Source) -> usize {
    source.0 as usize % SHARDS
}

/// Both ends of a hash count in a table; these are made of its half.
fn spread(Source(hash): Source) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::id::Interface;

    fn opener(source: IpAddr, port: u16) -> FlowKey {
        FlowKey::new(Interface::First, 17, (source, port), ("10.2.0.1".parse().unwrap(), 53))
    }

    proptest! {
        #[test]
        fn they_agree_with_a_map(steps in proptest::collection::vec((0_u32..6, prop::bool::weighted(0.6)), 1..200)) {
            let (mut sources, mut model) = (Sources::new(HashKey([5; 16]), 3), BTreeMap::<u32, usize>::new());
            for (host, adds) in steps {
                let source = sources.of(&opener(IpAddr::from(host.to_be_bytes()), 9));
                let count = model.entry(host).or_default();
                if adds {
                    sources.add(source);
                    *count += 1;
                } else if *count > 0 {
                    sources.take(source);
                    *count -= 1;
                }
                prop_assert_eq!((sources.count(source), sources.is_outsized(source)), (*count, *count > 3));
                prop_assert_eq!(sources.have_outsized(), model.values().any(|count| *count > 3));
            }
            let kept: usize = sources.shards.iter().map(HashTable::len).sum();
            prop_assert_eq!(kept, model.values().filter(|count| **count > 0).count());
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_ipv6() {
        let sources = Sources::new(HashKey([5; 16]), 3);
        let of = |text: &str, port| sources.of(&opener(text.parse().unwrap(), port));
        assert_eq!(of("10.1.0.7", 1), of("10.1.0.7", 2));
        assert_ne!(of("10.1.0.7", 1), of("10.1.0.8", 1));
        assert_eq!(of("fd00:1::7", 1), of("fd00:1::ffff:8", 1));
        assert_ne!(of("fd00:1::7", 1), of("fd00:1:0:1::7", 1));
    }
}
