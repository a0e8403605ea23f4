//! Lines of one kind are limited, so that neither a flood nor a link that flaps fills the disk: what is left out is counted
//! and told in one line for each text.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::io::clock;
use herald_core::time::Instant;

/// For so long lines are compared; it begins with the first, and at its end what was left out is told.
const WINDOW: Duration = Duration::from_secs(60);

/// Lines of one text in a window: enough to see that it comes again and again, and how fast.
const SAME_LINES_MAX: u64 = 3;

/// Lines from one place of the program, or of one plugin, in a window, whatever they say: what happens in the worst minute of
/// a large cluster, and no more than some megabytes an hour.
const KIND_LINES_MAX: u64 = 300;

/// Texts that are compared in a window; beyond them only the kind counts.
const TEXTS_MAX: usize = 1024;

/// Compares the lines from level INFO upwards; who turns on DEBUG wants to see all.
#[derive(Clone, Debug, Default)]
pub(super) struct Limit(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When the window began; `None` while no line has come since the last one.
    began: Option<Instant>,
    texts: HashMap<(Identifier, String), Lines>,
    kinds: HashMap<(Identifier, Option<String>), Lines>,
    left_out: u64,
}

/// Lines of one text or kind in this window.
#[derive(Debug)]
struct Lines {
    level: Level,
    count: u64,
    left_out: u64,
    /// The last of those that were left out, and when.
    last: Option<(Instant, String)>,
}

/// What a line says.
#[derive(Debug, Default)]
struct Said {
    text: String,
    plugin: Option<String>,
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut said = Said::default();
        event.record(&mut said);
        self.lock().admits(clock::now(), *metadata.level(), metadata.callsite(), said)
    }
}

impl Limit {
    /// Lines left out since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    /// Time until something is to be told; `None`: nothing is.
    pub(super) fn due_in(&self, now: Instant) -> Option<Duration> {
        self.lock().began.map(|began| WINDOW.saturating_sub(now.since(began)))
    }

    /// Ends the window and tells what was left out in it.
    pub(super) fn tell_left_out(&self) {
        let now = clock::now();
        // The lock is free again when the lines come by here.
        let told = self.lock().end(now);
        for (level, line) in told {
            if level == Level::INFO {
                tracing::info!("{line}");
            } else {
                tracing::warn!("{line}");
            }
        }
    }

    /// A thread that panicked with the lock has at worst left a line uncounted.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn admits(&mut self, now: Instant, level: Level, place: Identifier, said: Said) -> bool {
        self.began.get_or_insert(now);
        let Said { text, plugin } = said;
        let fresh = || Lines { level, count: 0, left_out: 0, last: None };
        let key = (place.clone(), text);
        if self.texts.len() < TEXTS_MAX || self.texts.contains_key(&key) {
            let text = key.1.clone();
            if !self.texts.entry(key.clone()).or_insert_with(fresh).admits(now, text, SAME_LINES_MAX) {
                self.left_out += 1;
                return false;
            }
        }
        let admitted = self.kinds.entry((place, plugin)).or_insert_with(fresh).admits(now, key.1, KIND_LINES_MAX);
        self.left_out += u64::from(!admitted);
        admitted
    }

    /// Forgets the window; a line for each text and kind of which some were left out.
    fn end(&mut self, now: Instant) -> Vec<(Level, String)> {
        self.began = None;
        let all = self.texts.drain().map(|(_, lines)| lines).chain(self.kinds.drain().map(|(_, lines)| lines));
        let mut told: Vec<_> =
            all.filter_map(|lines| lines.last.map(|last| (last, lines.level, lines.left_out))).collect();
        told.sort_by_key(|((at, _), ..)| *at);
        let line = |((at, text), level, left_out): ((Instant, String), Level, u64)| {
            (
                level,
                format!("{left_out} lines like this were left out, the last {} s ago: {text}", now.since(at).as_secs()),
            )
        };
        told.into_iter().map(line).collect()
    }
}

impl Lines {
    fn admits(&mut self, now: Instant, text: String, lines_max: u64) -> bool {
        self.count += 1;
        if self.count <= lines_max {
            return true;
        }
        self.left_out += 1;
        self.last = Some((now, text));
        false
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Only a `Debug` of the caller can fail here; then what came so far counts.
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            "plugin" => {
                self.plugin = Some(format!("{value:?}"));
                write!(self.text, "plugin={value:?} ")
            }
            name => write!(self.text, "{name}={value:?} "),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    /// Keeps what passes.
    #[derive(Clone, Default)]
    struct Passed(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Passed {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut said = Said::default();
            event.record(&mut said);
            self.0.lock().unwrap().push(said.text);
        }
    }

    impl Passed {
        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn with_limit(work: impl FnOnce(&Limit, &Passed)) {
        let (limit, passed) = (Limit::default(), Passed::default());
        let subscriber = registry().with(passed.clone()).with(limit.clone());
        tracing::subscriber::with_default(subscriber, || work(&limit, &passed));
    }

    fn flap(peer: &str) {
        tracing::warn!("{peer} is lost");
        tracing::info!("{peer} is back");
    }

    #[test]
    fn the_same_line_comes_a_few_times_and_then_once_with_a_count() {
        with_limit(|limit, passed| {
            (0..50).for_each(|_| flap("b"));
            flap("c");
            let lines = passed.take();
            let count = |text: &str| lines.iter().filter(|line| *line == text).count() as u64;
            assert_eq!(["b is lost", "b is back"].map(count), [SAME_LINES_MAX; 2]);
            assert_eq!(["c is lost", "c is back"].map(count), [1; 2], "another text is not concerned");
            assert_eq!(limit.left_out(), 2 * (50 - SAME_LINES_MAX));
            limit.tell_left_out();
            let told = passed.take();
            assert_eq!(told.len(), 2, "{told:?}");
            let last = format!("{} lines like this were left out, the last 0 s ago: b is back", 50 - SAME_LINES_MAX);
            assert_eq!(told[1], last, "in the order in which they came last");
            limit.tell_left_out();
            assert_eq!(passed.take(), Vec::<String>::new(), "each is told once");
            flap("b");
            assert_eq!(passed.take(), ["b is lost", "b is back"], "a new window");
        });
    }

    #[test]
    fn lines_of_one_place_are_limited_whatever_they_say() {
        with_limit(|limit, passed| {
            let lines_max = usize::try_from(KIND_LINES_MAX).unwrap();
            (0..2_000).for_each(|stream| tracing::info!(plugin = "loud", "stream {stream}"));
            assert_eq!(passed.take().len(), lines_max);
            tracing::info!("another place");
            for plugin in ["one", "two"] {
                (0..2_000).for_each(|stream| tracing::info!(plugin, "stream {stream}"));
                assert_eq!(passed.take().len(), lines_max + usize::from(plugin == "one"), "each plugin by itself");
            }
            assert!(limit.lock().texts.len() <= TEXTS_MAX);
            assert_eq!(limit.left_out(), 3 * (2_000 - KIND_LINES_MAX));
        });
    }

    #[test]
    fn the_filter_still_says_what_nobody_wants_to_see() {
        let subscriber = registry().with(tracing_subscriber::EnvFilter::new("info")).with(Limit::default());
        assert_eq!(subscriber.max_level_hint(), Some(tracing::level_filters::LevelFilter::INFO));
    }

    #[test]
    fn what_is_for_debugging_is_not_limited() {
        with_limit(|limit, passed| {
            (0..50).for_each(|_| tracing::debug!("a step"));
            assert_eq!((passed.take().len(), limit.left_out()), (50, 0));
        });
    }

    #[test]
    fn a_window_ends_when_it_is_over() {
        let (limit, began) = (Limit::default(), Instant::from_nanos(1));
        assert_eq!(limit.due_in(began), None);
        limit.lock().began = Some(began);
        assert_eq!(limit.due_in(began + WINDOW / 3), Some(WINDOW - WINDOW / 3));
        assert_eq!(limit.due_in(began + 2 * WINDOW), Some(Duration::ZERO));
    }
}
