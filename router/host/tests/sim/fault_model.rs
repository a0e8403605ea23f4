//! What is held against one plugin for its faults, as the documents say it: it forgets nothing, and counts anew each time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald_core::flow::SourceNetwork;
use herald_core::time::Instant;

/// Faults of one source that are held against the plugin, and for how long each is held against the source.
const SOURCE_FAULTS: u32 = 4;
const FORGIVEN_AFTER: Duration = Duration::from_secs(10);
/// The seconds that are compared, and how much in them is too much.
const SECONDS: u64 = 10;
const FAULTS: u64 = 8;
const SHARE: u64 = 20;
const SOURCES: usize = 3;
/// For how long it is suspended.
const SUSPENDED_MIN: Duration = Duration::from_secs(2);
const SUSPENDED_MAX: Duration = Duration::from_secs(256);
const PROBATION: Duration = Duration::from_secs(60);
/// Streams that it is told of while it is tried, in some time.
const TRIED_STREAMS: u32 = 8;
const TRIED_AGAIN: Duration = Duration::from_secs(1);

/// The faults of one plugin.
#[derive(Default)]
pub(crate) struct Faults {
    /// What it was asked, and the faults that count, by their seconds.
    asked: Vec<(u64, u64)>,
    faults: Vec<(u64, SourceNetwork)>,
    /// Until when something is held against a source.
    sources: BTreeMap<SourceNetwork, Instant>,
    /// It is suspended until then, and for how long.
    until: Option<Instant>,
    suspended_for: Duration,
    /// It is tried: streams that it is told of, and since when they are counted.
    tried: Option<(u32, Instant)>,
    /// When it was last said to be well again.
    well: Option<Instant>,
}

/// Whether a plugin is asked about packets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    AtOnce,
    OneByOne,
    Nobody,
}

fn second(at: Instant) -> u64 {
    at.as_nanos() / 1_000_000_000
}

impl Faults {
    /// Whether it is asked about packets now.
    pub(crate) fn asks(&mut self, at: Instant) -> Asks {
        if self.until.is_some_and(|until| at >= until) {
            self.until = None;
            self.tried = Some((0, at));
        }
        match (self.until, self.tried) {
            (Some(_), _) => Asks::Nobody,
            (None, Some(_)) => Asks::OneByOne,
            (None, None) => Asks::AtOnce,
        }
    }

    /// Whether it is told of a stream that this source opens.
    pub(crate) fn asks_about_stream(&mut self, at: Instant, source: SourceNetwork) -> bool {
        if self.is_over(at, source) || self.asks(at) == Asks::Nobody {
            return false;
        }
        let Some((streams, since)) = &mut self.tried else { return true };
        if at >= *since + TRIED_AGAIN {
            (*streams, *since) = (0, at);
        }
        *streams += 1;
        *streams <= TRIED_STREAMS
    }

    /// It was asked.
    pub(crate) fn asked(&mut self, at: Instant, count: u64) {
        self.asked.push((second(at), count));
    }

    /// It failed.
    pub(crate) fn failed(&mut self, at: Instant, source: SourceNetwork) {
        let was_over = self.is_over(at, source);
        let until = self.sources.entry(source).or_insert(at);
        *until = ((*until).max(at) + FORGIVEN_AFTER).min(at + FORGIVEN_AFTER * SOURCE_FAULTS);
        if !was_over {
            self.faults.push((second(at), source));
        }
        let is_tried = self.tried.is_some();
        if self.until.is_none() && (is_tried || (!was_over && self.is_too_much(at))) {
            let relapsed = is_tried || self.well.is_some_and(|well| at < well + PROBATION);
            self.suspended_for = if relapsed { (self.suspended_for * 2).min(SUSPENDED_MAX) } else { SUSPENDED_MIN };
            self.until = Some(at + self.suspended_for);
            self.tried = None;
        }
    }

    /// It judged packets.
    pub(crate) fn judged(&mut self, at: Instant) {
        if self.tried.take().is_some() {
            self.well = Some(at);
            self.asked.clear();
            self.faults.clear();
        }
    }

    fn is_over(&self, at: Instant, source: SourceNetwork) -> bool {
        self.sources.get(&source).is_some_and(|until| *until > at + FORGIVEN_AFTER * (SOURCE_FAULTS - 1))
    }

    fn is_too_much(&self, at: Instant) -> bool {
        let recent = |then: u64| second(at) - then < SECONDS;
        let faults: Vec<_> = self.faults.iter().filter(|(then, _)| recent(*then)).collect();
        let asked: u64 = self.asked.iter().filter(|(then, _)| recent(*then)).map(|(_, count)| count).sum();
        let sources: BTreeSet<_> = faults.iter().map(|(_, source)| source).collect();
        let count = faults.len() as u64;
        sources.len() >= SOURCES && count >= FAULTS && count * SHARE >= asked
    }
}
