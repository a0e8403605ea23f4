//! Who is held to account for a plugin's faults: its stream, its source, and at last the plugin.

use std::time::Duration;

use super::*;
use herald_core::event::{Event, PluginFault};
use herald_core::flow::SourceNetwork;
use herald_core::limits::{PLUGIN_FAULTS_MIN, PLUGIN_SUSPENDED_TIME_MIN, SOURCE_FAULT_TIME, SOURCE_FAULTS_MAX};

impl Bench {
    /// The streams of all four sources end and start again.
    fn anew(&mut self) {
        self.end_all();
        self.begin_all();
    }

    /// Fails at streams of one source after the other, until it is suspended.
    fn suspend(&mut self, plugin: &str) {
        let word = format!("{plugin}=panic");
        for round in 0..u32::try_from(PLUGIN_FAULTS_MIN).unwrap() {
            assert_eq!(self.row(plugin).state, "ok", "{round}");
            self.judge(&[(round % 4, To, &word)]);
            self.anew();
        }
        assert_eq!(self.row(plugin).state, "faulted");
    }

    fn wait(&mut self, time: Duration) {
        self.1 = self.1 + time;
        self.0.plugins.time_passed(self.1);
    }

    fn told(&mut self) -> Vec<Event> {
        self.0.plugins.take_events().collect()
    }

    fn stands(&mut self, plugin: &str) -> (&'static str, Readiness) {
        (self.row(plugin).state, self.0.plugins.readiness())
    }
}

fn fault(id: u64, cause: &'static str) -> PluginFault {
    PluginFault { plugin: "a", cause, source: SourceNetwork::of(source(id).into()) }
}

#[test]
fn twelve_panics_of_one_source_end_nobody_elses_service() {
    let mut bench = Bench::new(&["a", "b"]);
    for number in 0..12 {
        assert_eq!(bench.judge(&[(0, To, "a=panic"), (1, To, ""), (2, Back, "")]), "FPP", "{number}");
        bench.anew();
    }
    let row = bench.row("a");
    assert_eq!((row.faults, bench.stands("a")), (u64::from(SOURCE_FAULTS_MAX), ("ok", Readiness::Ready)));
    assert_eq!((row.fault_cause, row.fault_source.as_deref()), (Some("packets"), Some("10.1.0.100")));
    assert_eq!((row.reasons["plugin-fault"], row.reasons["source-limit"]), (4, 9), "with the last one that starts");
    assert_eq!(bench.told(), [Event::SourceLimited { fault: fault(1, "packets") }], "it is told once");
    assert_eq!(bench.judge(&[(0, To, "")]), "F", "whatever it sends");
    bench.wait(SOURCE_FAULT_TIME);
    bench.anew();
    assert_eq!(bench.judge(&[(0, To, "")]), "P", "until one fault is forgiven");
    assert_eq!(bench.judge(&[(0, To, "a=panic")]), "F");
    bench.anew();
    assert_eq!(bench.judge(&[(0, To, ""), (1, To, "")]), "FP");
}

#[test]
fn an_open_policy_spares_a_source_over_its_limit_that_plugin_alone() {
    let mut bench = Bench::with_policy(&["a", "b"], FaultPolicy::Open);
    for _ in 0..SOURCE_FAULTS_MAX {
        assert_eq!(bench.judge(&[(0, To, "a=panic")]), "P");
        bench.anew();
    }
    let seen = bench.count("a", "seen");
    assert_eq!(bench.judge(&[(0, To, "a=drop"), (0, To, "b=drop"), (1, To, "a=drop")]), "PDD");
    assert_eq!(bench.count("a", "seen"), seen + 1);
}

#[test]
fn an_open_stream_of_a_source_over_its_limit_goes_on() {
    let mut bench = Bench::new(&["a"]);
    bench.0.start(NOW, Slot::new(9), Stream { id: 10, ..stream(1) });
    for _ in 0..SOURCE_FAULTS_MAX {
        bench.judge(&[(0, To, "a=panic")]);
        bench.anew();
    }
    assert_eq!(bench.judge(&[(9, To, ""), (9, To, "a=drop"), (0, To, "")]), "PDF");
}

#[test]
fn faults_of_several_sources_suspend_the_plugin() {
    for (policy, after) in [(FaultPolicy::Closed, Readiness::Suspended), (FaultPolicy::Open, Readiness::Ready)] {
        let mut bench = Bench::with_policy(&["a", "b"], policy);
        bench.suspend("a");
        assert_eq!((bench.stands("a"), bench.stands("b")), (("faulted", after), ("ok", after)), "{policy:?}");
        let last = PLUGIN_FAULTS_MIN % 4;
        let told = bench.told();
        assert!(told.contains(&Event::PluginSuspended { fault: fault(if last == 0 { 4 } else { last }, "packets") }));
        assert_eq!((told.len(), bench.told().len()), (1, 0), "it is told once: {told:?}");
        let seen = bench.count("a", "seen");
        let ends = if policy == FaultPolicy::Closed { "FF" } else { "PP" };
        assert_eq!(bench.judge(&[(1, To, ""), (2, Back, "")]), ends);
        assert_eq!(bench.count("a", "seen"), seen, "it is not called");
        let expected = (policy == FaultPolicy::Closed).then_some(4);
        assert_eq!(bench.row("a").reasons.get("plugin-suspended").copied(), expected, "the streams that start");
    }
}

#[test]
fn a_small_share_of_faults_suspends_nobody() {
    let mut bench = Bench::new(&["a"]);
    for round in 0..40 {
        let much: Vec<_> = (0..30).map(|number| (number % 4, To, "")).collect();
        bench.judge(&much);
        assert_eq!(bench.judge(&[(round % 4, To, "a=panic")]), "F");
        bench.anew();
        bench.wait(SOURCE_FAULT_TIME / 4);
    }
    assert_eq!((bench.row("a").faults, bench.row("a").state), (40, "ok"));
}

#[test]
fn a_suspended_plugin_is_tried_with_one_packet_after_the_other() {
    let mut bench = Bench::new(&["a"]);
    bench.suspend("a");
    bench.told();
    bench.wait(PLUGIN_SUSPENDED_TIME_MIN - Duration::from_nanos(1));
    assert_eq!(bench.stands("a"), ("faulted", Readiness::Suspended));
    bench.wait(Duration::from_nanos(1));
    assert_eq!(bench.stands("a"), ("trying", Readiness::Ready), "the node gets streams again");
    bench.anew();
    let seen = bench.count("a", "seen");
    assert_eq!(bench.judge(&[(0, To, "a=panic"), (1, To, ""), (2, To, ""), (1, Back, "")]), "FFFF");
    assert_eq!((bench.count("a", "seen"), bench.stands("a")), (seen + 1, ("faulted", Readiness::Suspended)));
    assert_eq!(bench.told(), [Event::PluginSuspended { fault: fault(1, "packets") }]);
    bench.wait(PLUGIN_SUSPENDED_TIME_MIN);
    assert_eq!(bench.stands("a").0, "faulted", "for twice as long");
    bench.wait(PLUGIN_SUSPENDED_TIME_MIN);
    assert_eq!(bench.judge(&[(1, To, ""), (2, To, "a=drop"), (0, To, ""), (3, To, "a=panic"), (1, To, "")]), "PDFFP");
    assert_eq!((bench.stands("a"), bench.count("a", "seen")), (("ok", Readiness::Ready), seen + 5));
    assert_eq!(bench.told(), [Event::PluginResumed { plugin: "a" }]);
}

#[test]
fn a_start_that_fails_ends_a_trial() {
    let mut bench = Bench::new(&["a panic"]);
    bench.anew();
    assert_eq!((bench.stands("a").0, bench.row("a").faults), ("faulted", PLUGIN_FAULTS_MIN));
    bench.wait(SOURCE_FAULT_TIME);
    bench.anew();
    assert_eq!(
        (bench.stands("a").0, bench.row("a").faults),
        ("faulted", PLUGIN_FAULTS_MIN + 1),
        "the others were spared"
    );
    assert_eq!(bench.row("a").fault_cause, Some("stream-started"));
}
