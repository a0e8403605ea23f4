//! What is counted of each plugin. One thread writes, any thread reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

use serde::Serialize;

use super::breaker::State;
use herald_core::event::PluginFault;
use herald_core::limits::PLUGIN_REASONS_MAX;

/// The counters of one plugin.
#[derive(Debug)]
pub(super) struct Book {
    packets: Counter,
    bytes: Counter,
    drops: Counter,
    faults: Counter,
    forgotten_sources: Counter,
    /// How it stands, as its place in [`STATES`].
    stands: AtomicU8,
    last_fault: Mutex<Option<PluginFault>>,
    reasons: [(OnceLock<&'static str>, Counter); PLUGIN_REASONS_MAX],
    times: Histogram,
}

/// One plugin as `herald plugins --json` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginRow {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Counts the builds that were loaded for this place of the chain; 1 until plugins can be reloaded.
    pub generation: u32,
    /// Frames it was asked about.
    pub packets: u64,
    /// Bytes of TCP that it saw in order.
    pub bytes: u64,
    /// Frames that its verdicts ended, as far as the chain saw them.
    pub drops: u64,
    /// Times it failed.
    pub faults: u64,
    /// Half of its calls took no more than this for each packet, in nanoseconds, by samples.
    pub p50_ns: u64,
    /// 99 of 100 took no more than this.
    pub p99_ns: u64,
    /// `"ok"`; `"faulted"`: it is suspended and not called; `"trying"`: it was, and is given one packet after the other until it
    /// has judged one.
    pub state: &'static str,
    /// What it failed in last: `stream-started`, `packets`, `stream-bytes`, `stream-ended`, or by what it said, `verdict`,
    /// `effect`; `null`: it never failed.
    pub fault_cause: Option<&'static str>,
    /// Who opened the stream that it failed at last: an IPv4 address, or an IPv6 network of 64 bits.
    pub fault_source: Option<String>,
    /// Sources whose faults were forgotten before their time, as there was no room for more.
    pub forgotten_sources: u64,
    /// The plugin's own counters.
    pub counters: BTreeMap<String, u64>,
    /// Drops by the reason it gave.
    pub reasons: BTreeMap<String, u64>,
}

/// A plugin that is not called as ever, as `herald status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuspendedRow {
    /// Its id.
    pub plugin: &'static str,
    /// `"faulted"` or `"trying"`, as in [`PluginRow`].
    pub state: &'static str,
    /// What it failed in last.
    pub fault_cause: Option<&'static str>,
    /// Who opened the stream that it failed at last.
    pub fault_source: Option<String>,
}

/// The reason under which all are counted that find no place.
const OTHER_REASONS: &str = "other";

/// The names of how a plugin may stand.
const STATES: [&str; 3] = ["ok", "faulted", "trying"];

impl Default for Book {
    fn default() -> Self {
        Self {
            packets: Counter::default(),
            bytes: Counter::default(),
            drops: Counter::default(),
            faults: Counter::default(),
            forgotten_sources: Counter::default(),
            stands: AtomicU8::new(0),
            last_fault: Mutex::default(),
            reasons: std::array::from_fn(|_| (OnceLock::new(), Counter::default())),
            times: Histogram::default(),
        }
    }
}

impl Book {
    pub(super) fn asked(&self, packets: u64) {
        self.packets.add(packets);
    }

    pub(super) fn showed(&self, bytes: u64) {
        self.bytes.add(bytes);
    }

    pub(super) fn dropped(&self, reason: u8) {
        self.drops.add(1);
        if let Some((_, count)) = self.reasons.get(usize::from(reason)) {
            count.add(1);
        }
    }

    pub(super) fn failed(&self, fault: PluginFault) {
        self.faults.add(1);
        // The loop waits for no reader: one that reads just now is shown the fault before.
        if let Ok(mut last) = self.last_fault.try_lock() {
            *last = Some(fault);
        }
    }

    pub(super) fn forgot_sources(&self, forgotten: u64) {
        self.forgotten_sources.set(forgotten);
    }

    pub(super) fn stands(&self, state: State) {
        let place = match state {
            State::Closed => 0,
            State::Open { .. } => 1,
            State::Trying { .. } => 2,
        };
        self.stands.store(place, Relaxed);
    }

    pub(super) fn took(&self, nanos: u64, packets: u64) {
        self.times.add(nanos / packets.max(1));
    }

    /// The place of a reason; the last one is for all that found no other.
    pub(super) fn reason(&self, text: &'static str) -> u8 {
        let last = PLUGIN_REASONS_MAX - 1;
        let mut places = self.reasons.iter().take(last);
        let found = places.position(|(place, _)| *place.get_or_init(|| text) == text);
        u8::try_from(found.unwrap_or(last)).unwrap_or(u8::MAX)
    }

    /// The text of a reason by its place.
    pub(super) fn reason_text(&self, place: u8) -> &'static str {
        let text = self.reasons.get(usize::from(place)).and_then(|(text, _)| text.get().copied());
        text.unwrap_or(OTHER_REASONS)
    }

    /// How a plugin stands that is not called as ever.
    pub(super) fn suspended(&self, plugin: &'static str) -> Option<SuspendedRow> {
        let PluginRow { state, fault_cause, fault_source, .. } = self.row();
        (state != STATES[0]).then_some(SuspendedRow { plugin, state, fault_cause, fault_source })
    }

    /// The counters as a row; what only the plugin knows is left empty.
    pub(super) fn row(&self) -> PluginRow {
        let mut reasons = BTreeMap::new();
        for (place, (text, count)) in self.reasons.iter().enumerate() {
            let other = (place == PLUGIN_REASONS_MAX - 1).then_some(OTHER_REASONS);
            if let (Some(text), 1..) = (text.get().copied().or(other), count.value()) {
                *reasons.entry(text.to_owned()).or_default() += count.value();
            }
        }
        let last_fault = self.last_fault.lock().ok().and_then(|last| *last);
        PluginRow {
            id: String::new(),
            version: String::new(),
            generation: 1,
            packets: self.packets.value(),
            bytes: self.bytes.value(),
            drops: self.drops.value(),
            faults: self.faults.value(),
            p50_ns: self.times.quantile(50),
            p99_ns: self.times.quantile(99),
            state: STATES.get(usize::from(self.stands.load(Relaxed))).copied().unwrap_or_default(),
            fault_cause: last_fault.map(|fault| fault.cause),
            fault_source: last_fault.map(|fault| fault.source.to_string()),
            forgotten_sources: self.forgotten_sources.value(),
            counters: BTreeMap::new(),
            reasons,
        }
    }
}

/// A counter with one writer, so that adding needs no locked instruction.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, more: u64) {
        self.0.store(self.value().wrapping_add(more), Relaxed);
    }

    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Times in nanoseconds; each power of two is cut into four, so a quantile is at most a fifth too high.
#[derive(Debug)]
struct Histogram([Counter; Self::PLACES]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Histogram {
    /// Up to 2^32 ns, which is 4 s.
    const PLACES: usize = 31 * 4;

    fn add(&self, nanos: u64) {
        if let Some(count) = self.0.get(Self::place(nanos)) {
            count.add(1);
        }
    }

    fn place(nanos: u64) -> usize {
        let place = match nanos.checked_ilog2() {
            Some(power) if power >= 2 => u64::from(power - 1) * 4 + (nanos >> (power - 2)) - 4,
            Some(_) | None => nanos,
        };
        usize::try_from(place).unwrap_or(usize::MAX).min(Self::PLACES - 1)
    }

    /// The largest time of a place.
    fn upper(place: usize) -> u64 {
        let (power, quarter) = (place / 4, place as u64 % 4);
        if power == 0 { quarter } else { ((quarter + 5) << (power - 1)) - 1 }
    }

    /// The time that `percent` of the times do not exceed; 0 without any.
    fn quantile(&self, percent: u64) -> u64 {
        let total: u64 = self.0.iter().map(Counter::value).sum();
        let wanted = (total * percent).div_ceil(100);
        let mut seen = 0;
        let place = self.0.iter().position(|count| {
            seen += count.value();
            seen >= wanted && seen > 0
        });
        place.map_or(0, Self::upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_holds_its_times(nanos in 0_u64..1 << 31) {
            let place = Histogram::place(nanos);
            prop_assert!(nanos <= Histogram::upper(place));
            prop_assert!(place == 0 || nanos > Histogram::upper(place - 1));
            prop_assert!(Histogram::upper(place) <= nanos + nanos / 4);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_times() {
        let times = Histogram::default();
        assert_eq!(times.quantile(50), 0);
        for _ in 0..98 {
            times.add(20);
        }
        times.add(1_000);
        times.add(u64::MAX);
        assert_eq!(times.quantile(50), 23);
        assert_eq!(times.quantile(99), 1023);
    }

    #[test]
    fn reasons_beyond_the_bound_share_the_last_place() {
        let book = Book::default();
        for number in 0..PLUGIN_REASONS_MAX + 5 {
            let text: &'static str = Box::leak(format!("r{number}").into_boxed_str());
            book.dropped(book.reason(text));
        }
        book.dropped(book.reason("r0"));
        let row = book.row();
        assert_eq!(row.reasons.len(), PLUGIN_REASONS_MAX);
        assert_eq!((row.reasons["r0"], row.reasons["other"]), (2, 6));
        assert_eq!(row.drops, PLUGIN_REASONS_MAX as u64 + 6);
    }
}
