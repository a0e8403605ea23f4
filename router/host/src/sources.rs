//! Whose streams a plugin fails at: a source that makes it fail again and again is refused by the plugin's fault policy before
//! the plugin is called, so that it harms nobody but itself.

use std::collections::BTreeMap;

use super::breaker::{is_recent, second_of};
use herald_core::flow::SourceNetwork;
use herald_core::limits::{FAULT_SOURCES_MAX, SOURCE_FAULT_TIME, SOURCE_FAULTS_MAX};
use herald_core::mutation::{Mutation, is_on};
use herald_core::time::Instant;

/// The sources of one plugin's faults.
#[derive(Debug, Default)]
pub(super) struct Sources {
    of: BTreeMap<SourceNetwork, Held>,
    /// Sources that made room for others before all was forgiven.
    forgotten: u64,
}

/// What is held against one source.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// When all is forgiven: the faults that are left, each with [`SOURCE_FAULT_TIME`], one after the other.
    until: Instant,
    /// The second of its last fault that counts against the plugin.
    counted: Option<u64>,
}

/// What a fault is to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charged {
    /// One of those that it may have.
    Within,
    /// The last of those.
    Last,
    /// It was over its limit before.
    Over,
}

impl Sources {
    /// Holds a fault against a source.
    pub(super) fn charge(&mut self, now: Instant, source: SourceNetwork) -> Charged {
        self.make_room(now, source);
        let held = self.of.entry(source).or_insert(Held { until: now, counted: None });
        let was_over = held.is_over(now);
        held.until = (held.until.max(now) + SOURCE_FAULT_TIME).min(now + SOURCE_FAULT_TIME * SOURCE_FAULTS_MAX);
        if was_over {
            return Charged::Over;
        }
        held.counted = Some(second_of(now));
        if held.is_over(now) { Charged::Last } else { Charged::Within }
    }

    /// True if the plugin is not called for what this source opens.
    pub(super) fn is_over(&self, now: Instant, source: SourceNetwork) -> bool {
        !self.of.is_empty()
            && self.of.get(&source).is_some_and(|held| held.is_over(now))
            && !is_on(Mutation::IgnoreSourceLimit)
    }

    /// Sources that have had a part in the faults that count now.
    pub(super) fn recent(&self, now: Instant) -> usize {
        self.of.values().filter(|held| held.counted.is_some_and(|second| is_recent(second, now))).count()
    }

    /// The faults so far count against the plugin no more; against their sources they do.
    pub(super) fn begin_anew(&mut self) {
        self.of.values_mut().for_each(|held| held.counted = None);
    }

    /// Sources that made room for others too early.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn make_room(&mut self, now: Instant, source: SourceNetwork) {
        if self.of.len() < FAULT_SOURCES_MAX || self.of.contains_key(&source) {
            return;
        }
        if let Some((first, until)) = self.of.iter().map(|(of, held)| (*of, held.until)).min_by_key(|(_, until)| *until)
        {
            self.of.remove(&first);
            self.forgotten += u64::from(until > now);
        }
    }
}

impl Held {
    fn is_over(self, now: Instant) -> bool {
        self.until > now + SOURCE_FAULT_TIME * (SOURCE_FAULTS_MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos((100 + seconds) * 1_000_000_000)
    }

    fn source(text: &str) -> SourceNetwork {
        SourceNetwork::of(text.parse().unwrap())
    }

    #[test]
    fn a_source_over_its_limit_is_given_back_one_fault_after_the_other() {
        use Charged::{Last, Over, Within};
        let (mut sources, evil) = (Sources::default(), source("10.0.0.1"));
        let charged: Vec<_> = (0..6).map(|_| sources.charge(at(0), evil)).collect();
        assert_eq!(charged, [Within, Within, Within, Last, Over, Over]);
        assert!(sources.is_over(at(9), evil) && !sources.is_over(at(10), evil));
        assert_eq!([sources.charge(at(10), evil), sources.charge(at(10), evil)], [Last, Over]);
        assert!(sources.is_over(at(19), evil) && !sources.is_over(at(20), evil));
        assert_eq!((0..4).filter(|_| sources.charge(at(100), evil) != Over).count(), 4, "all is forgiven");
        assert!(!sources.is_over(at(100), source("10.0.0.2")));
    }

    #[test]
    fn the_addresses_of_one_host_are_one_source() {
        let mut sources = Sources::default();
        for number in 0..4 {
            sources.charge(at(0), source(&format!("2001:db8::{number}")));
        }
        assert!(
            sources.is_over(at(0), source("2001:db8::ffff:1")) && !sources.is_over(at(0), source("2001:db8:0:1::"))
        );
        assert_eq!(source("2001:db8::9").to_string(), "2001:db8::/64");
        assert_eq!(sources.recent(at(0)), 1);
    }

    #[test]
    fn only_recent_faults_within_the_limit_have_a_source() {
        let mut sources = Sources::default();
        sources.charge(at(0), source("10.0.0.1"));
        sources.charge(at(5), source("10.0.0.2"));
        assert_eq!([9, 10, 14, 15].map(|seconds| sources.recent(at(seconds))), [2, 1, 1, 0]);
        sources.begin_anew();
        assert_eq!(sources.recent(at(5)), 0);
    }

    #[test]
    fn who_is_forgiven_first_makes_room() {
        let mut sources = Sources::default();
        let evil = source("10.9.9.9");
        (0..4).for_each(|_| _ = sources.charge(at(0), evil));
        for number in 0..2 * FAULT_SOURCES_MAX {
            sources.charge(at(1), source(&format!("10.0.{}.{}", number / 256, number % 256)));
        }
        assert_eq!(sources.of.len(), FAULT_SOURCES_MAX);
        assert!(sources.is_over(at(1), evil));
        assert_eq!(sources.forgotten(), FAULT_SOURCES_MAX as u64 + 1);
        sources.charge(at(90), evil);
        sources.charge(at(90), source("10.1.0.0"));
        assert_eq!(sources.forgotten(), FAULT_SOURCES_MAX as u64 + 1, "who was forgiven is not missed");
    }
}
