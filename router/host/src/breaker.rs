//! When a plugin that fails is called no more, and when it is tried again.

use std::time::Duration;

use herald_core::limits::{
    PLUGIN_FAULT_SECONDS, PLUGIN_FAULT_SHARE, PLUGIN_FAULT_SOURCES_MIN, PLUGIN_FAULTS_MIN, PLUGIN_PROBATION_TIME,
    PLUGIN_SUSPENDED_TIME_MAX, PLUGIN_SUSPENDED_TIME_MIN, PLUGIN_TRIAL_STREAMS_MAX, PLUGIN_TRIAL_TIME,
};
use herald_core::mutation::{Mutation, is_on};
use herald_core::time::Instant;

/// Compares faults with what the plugin was asked.
///
/// ```text
/// closed --faults of several sources, a share of all that was asked--> open
/// open ----its time is over------------------------------------------> trying
/// trying --a packet was judged---------------------------------------> closed
/// trying --a fault---------------------------------------------------> open, for twice as long
/// ```
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    seconds: [Second; PLUGIN_FAULT_SECONDS],
    /// How long it was open last, and until when its next time follows from that.
    open_for: Duration,
    probation_ends: Instant,
}

/// Where a breaker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// The plugin is called.
    #[default]
    Closed,
    /// It is not called.
    Open { until: Instant },
    /// It is given one packet at a time, and may be told of so many new streams.
    Trying { streams_left: u32, since: Instant },
}

/// How many packets the plugin may be given in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    All,
    One,
    Nothing,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    /// Packets that the plugin was asked about, and streams that it was told of.
    asked: u64,
    faults: u64,
}

impl Breaker {
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The plugin was asked about so many packets or streams.
    pub(super) fn asked(&mut self, now: Instant, count: u64) {
        if let Some(second) = self.second(now) {
            second.asked += count;
        }
    }

    /// How many packets the plugin may be given in one call.
    pub(super) fn admits(&self) -> Admits {
        match self.state {
            State::Closed => Admits::All,
            State::Trying { .. } => Admits::One,
            State::Open { .. } => Admits::Nothing,
        }
    }

    /// True if the plugin may be told of a new stream now; while it is tried, that is one less.
    pub(super) fn admits_stream(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Closed => true,
            State::Open { .. } => false,
            State::Trying { streams_left, since } => {
                if now >= *since + PLUGIN_TRIAL_TIME {
                    (*streams_left, *since) = (PLUGIN_TRIAL_STREAMS_MAX, now);
                }
                let admits = *streams_left > 0;
                *streams_left = streams_left.saturating_sub(1);
                admits
            }
        }
    }

    /// The plugin failed at a stream of a source that was over its limit already: that is no news of the plugin, unless it is
    /// just tried. True if that suspends it.
    pub(super) fn failed_again(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed | State::Open { .. } => false,
            State::Trying { .. } => self.open(now),
        }
    }

    /// The plugin failed; so many sources have had a part in the faults that count. True if that suspends it.
    pub(super) fn failed(&mut self, now: Instant, sources: usize) -> bool {
        if let Some(second) = self.second(now) {
            second.faults += 1;
        }
        match self.state {
            State::Closed if self.is_share(now, sources) => self.open(now),
            State::Closed | State::Open { .. } => false,
            State::Trying { .. } => self.open(now),
        }
    }

    /// The plugin judged a packet without a fault. True if that ends its trial.
    pub(super) fn judged(&mut self, now: Instant) -> bool {
        let is_tried = matches!(self.state, State::Trying { .. });
        if is_tried {
            (self.state, self.seconds) = (State::Closed, Default::default());
            self.probation_ends = now + PLUGIN_PROBATION_TIME;
        }
        is_tried
    }

    /// A suspended plugin may be tried when its time is over.
    pub(super) fn time_passed(&mut self, now: Instant) {
        if matches!(self.state, State::Open { until } if now >= until) && !is_on(Mutation::NeverTry) {
            self.state = State::Trying { streams_left: PLUGIN_TRIAL_STREAMS_MAX, since: now };
        }
    }

    /// For how long it was opened last.
    pub(super) fn open_for(&self) -> Duration {
        self.open_for
    }

    fn open(&mut self, now: Instant) -> bool {
        if is_on(Mutation::NeverSuspend) {
            return false;
        }
        let is_relapse = self.state != State::Closed || now < self.probation_ends;
        self.open_for =
            if is_relapse { (self.open_for * 2).min(PLUGIN_SUSPENDED_TIME_MAX) } else { PLUGIN_SUSPENDED_TIME_MIN };
        self.state = State::Open { until: now + self.open_for };
        true
    }

    /// The faults of the last seconds are a share of what was asked in them.
    fn is_share(&self, now: Instant, sources: usize) -> bool {
        let recent = self.seconds.iter().filter(|second| is_recent(second.number, now));
        let (faults, asked) = recent.fold((0, 0), |(faults, asked), s| (faults + s.faults, asked + s.asked));
        sources >= PLUGIN_FAULT_SOURCES_MIN && faults >= PLUGIN_FAULTS_MIN && faults * PLUGIN_FAULT_SHARE >= asked
    }

    fn second(&mut self, now: Instant) -> Option<&mut Second> {
        let number = second_of(now);
        let second = self.seconds.get_mut(usize::try_from(number % PLUGIN_FAULT_SECONDS as u64).ok()?)?;
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        Some(second)
    }
}

/// The number of the second in which an instant lies.
pub(super) fn second_of(at: Instant) -> u64 {
    at.as_nanos() / 1_000_000_000
}

/// True for one of the seconds over which faults are compared.
pub(super) fn is_recent(second: u64, now: Instant) -> bool {
    second_of(now).saturating_sub(second) < PLUGIN_FAULT_SECONDS as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos((1_000_000 + millis) * 1_000_000)
    }

    /// Faults of this many sources in a row until it opens; `None` if it does not by a hundred.
    fn faults_until_open(breaker: &mut Breaker, now: Instant, sources: usize) -> Option<u64> {
        (1..=100).find(|_| {
            breaker.asked(now, 1);
            breaker.failed(now, sources)
        })
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        assert_eq!(faults_until_open(&mut breaker, now, 3), Some(PLUGIN_FAULTS_MIN));
        breaker
    }

    #[test]
    fn it_opens_by_a_share_of_what_was_asked() {
        for (asked, faults) in [(0, 8), (100, 8), (160, 9), (1_900, 100)] {
            let mut breaker = Breaker::default();
            breaker.asked(at(0), asked);
            assert_eq!(faults_until_open(&mut breaker, at(9_000), 3), Some(faults), "{asked}");
        }
        let mut breaker = Breaker::default();
        breaker.asked(at(0), 2_000);
        assert_eq!(faults_until_open(&mut breaker, at(9_999), 3), None, "one in twenty it is not");
        assert_eq!(
            faults_until_open(&mut breaker, at(10_000), 3),
            Some(1),
            "what was asked so long ago counts no more"
        );
    }

    #[test]
    fn faults_far_apart_or_of_few_sources_do_not_open_it() {
        let mut breaker = Breaker::default();
        for number in 0..100 {
            assert!(!breaker.failed(at(number * 1_500), 3), "seven in ten seconds");
        }
        assert_eq!(faults_until_open(&mut Breaker::default(), at(0), PLUGIN_FAULT_SOURCES_MIN - 1), None);
    }

    #[test]
    fn a_trial_decides_and_its_failure_doubles_the_time() {
        let mut breaker = opened(at(0));
        let (mut now, mut wait) = (at(0), PLUGIN_SUSPENDED_TIME_MIN);
        for _ in 0..10 {
            breaker.time_passed(now + wait - Duration::from_nanos(1));
            assert_eq!(breaker.admits(), Admits::Nothing);
            now = now + wait;
            breaker.time_passed(now);
            assert_eq!((breaker.admits(), breaker.admits()), (Admits::One, Admits::One));
            assert!(breaker.failed(now, 0), "one fault is enough, whoever's it is");
            wait = (wait * 2).min(PLUGIN_SUSPENDED_TIME_MAX);
        }
        now = now + wait;
        breaker.time_passed(now);
        assert!(breaker.admits_stream(now) && breaker.judged(now) && !breaker.judged(now));
        assert_eq!(breaker.admits(), Admits::All);
        // A relapse, and a new trouble long after.
        assert_eq!(faults_until_open(&mut breaker, now, 3), Some(PLUGIN_FAULTS_MIN), "old faults are forgotten");
        assert_eq!(breaker.open_for(), PLUGIN_SUSPENDED_TIME_MAX);
        now = now + PLUGIN_SUSPENDED_TIME_MAX;
        breaker.time_passed(now);
        assert!(breaker.judged(now));
        now = now + PLUGIN_PROBATION_TIME;
        assert!(faults_until_open(&mut breaker, now, 3).is_some());
        assert_eq!(breaker.open_for(), PLUGIN_SUSPENDED_TIME_MIN);
    }

    #[test]
    fn few_streams_are_tried_until_a_packet_was_judged() {
        let mut breaker = opened(at(0));
        let tried = |breaker: &mut Breaker, now| {
            breaker.time_passed(now);
            (0..100).filter(|_| breaker.admits_stream(now)).count()
        };
        assert_eq!(tried(&mut breaker, at(1_999)), 0);
        assert_eq!(tried(&mut breaker, at(2_000)), PLUGIN_TRIAL_STREAMS_MAX as usize);
        assert_eq!(tried(&mut breaker, at(2_999)), 0);
        assert_eq!(
            tried(&mut breaker, at(3_000)),
            PLUGIN_TRIAL_STREAMS_MAX as usize,
            "no packet of theirs may have come"
        );
        breaker.judged(at(3_000));
        assert_eq!(tried(&mut breaker, at(3_000)), 100);
    }

    #[test]
    fn what_a_source_does_that_is_over_its_limit_is_no_news() {
        let mut breaker = Breaker::default();
        assert!((0..100).all(|_| !breaker.failed_again(at(0))));
        let mut breaker = opened(at(0));
        breaker.time_passed(at(2_000));
        assert!(breaker.failed_again(at(2_000)), "but a trial is a trial");
    }
}
