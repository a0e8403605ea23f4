//! The chain with plugins that do what the packets tell them.

mod blocks;
mod bytes;
mod effects;
mod faults;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;

use herald_plugin::{ConfigError, Counters, End, Packet as Seen, Plugin as Inspect, StreamInfo, thunk};

use super::library::Plugin;
use super::*;
use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, Slot};
use herald_core::inspector::{
    Action, Direction, Inspection, Inspector, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::packet::{Arrival, Came, Frame};
use herald_testing::frames;
use herald_testing::streams::Streams;

/// Looks for words that begin with its own name: in a packet's payload, and for stream starts in its configuration. So
/// `a=drop b=accept/flow` makes plugin `a` drop a packet. `panic` panics.
#[derive(Default)]
struct Obedient {
    name: String,
    at_start: String,
    at_end: String,
    started: AtomicU64,
    seen: AtomicU64,
    ended: AtomicU64,
}

/// Each state says whose it is, and is on the heap, so that mixing up or losing one shows.
#[derive(Default)]
struct Kept {
    stream: Box<u64>,
    packets: u64,
}

fn obey(word: &str) -> herald_plugin::Verdict {
    use herald_plugin::Verdict;
    let (action, scope) = word.split_once('/').unwrap_or((word, ""));
    let verdict = match action {
        "pass" => Verdict::pass(),
        "accept" => Verdict::accept(),
        "bypass" => Verdict::bypass(),
        "drop" => Verdict::drop("told-to"),
        "reject" => Verdict::reject("told-so"),
        other => panic!("told to: {other}"),
    };
    match scope {
        "flow" => verdict.for_flow(),
        "stream" => verdict.for_stream(),
        _ => verdict,
    }
}

impl Inspect for Obedient {
    type Stream = Kept;

    fn configure(&mut self, config: &str) -> Result<(), ConfigError> {
        let mut words = config.split(' ').map(str::to_owned);
        self.name = words.next().unwrap();
        self.at_start = words.next().unwrap_or_else(|| "pass".into());
        self.at_end = words.next().unwrap_or_default();
        if self.at_start == "refuse" { Err(ConfigError::new("told to refuse")) } else { Ok(()) }
    }

    fn stream_started(&self, kept: &mut Kept, stream: &StreamInfo<'_>) -> herald_plugin::Verdict {
        self.started.fetch_add(1, Relaxed);
        assert_eq!((stream.chosen(), stream.destination().port()), ("c", 80));
        *kept.stream = stream.id();
        obey(&self.at_start)
    }

    fn packet(&self, kept: &mut Kept, packet: &Seen<'_>) -> herald_plugin::Verdict {
        self.seen.fetch_add(1, Relaxed);
        assert_eq!(*kept.stream, packet.stream());
        kept.packets += 1;
        let text = std::str::from_utf8(packet.payload()).unwrap();
        let word = text.split(' ').filter_map(|word| word.split_once('=')).find(|(name, _)| *name == self.name);
        word.map_or(herald_plugin::Verdict::pass(), |(_, word)| obey(word))
    }

    fn stream_ended(&self, kept: Kept, stream: &StreamInfo<'_>, end: &End<'_>) {
        self.ended.fetch_add(1, Relaxed);
        assert_eq!((*kept.stream, end.packets_from_opener()), (stream.id(), 3));
        assert!(self.at_end.is_empty(), "told to panic at the end");
    }

    fn counters(&self, counters: &mut Counters<'_>) {
        for (name, count) in [("started", &self.started), ("seen", &self.seen), ("ended", &self.ended)] {
            counters.report(name, count.load(Relaxed));
        }
    }
}

/// A chain with streams 1 to 4 in slots 0 to 3, each of another host, and the time.
struct Bench(Streams<Chain>, Instant);

const NOW: Instant = Instant::from_nanos(5);

fn clock() -> Instant {
    NOW
}

fn manifest(id: &str) -> Manifest {
    let text = toml::from_str(&format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"")).unwrap();
    let table = thunk::table::<Obedient>();
    Manifest { text, schema: None, state_size: table.state_size as usize, state_align: table.state_align as usize }
}

fn stream(id: u64) -> Stream {
    let opener = FlowKey::new(
        Interface::First,
        17,
        (source(id).into(), u16::try_from(id).unwrap()),
        ("10.2.0.100".parse().unwrap(), 80),
    );
    Stream { id, opener, chosen: "c".parse().unwrap(), midstream: false }
}

/// The opener of a stream.
fn source(id: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, 99 + u8::try_from(id).unwrap())
}

fn packet(slot: u32, direction: Direction, payload: &str) -> Inspection {
    let ip = frames::ip([[2; 6], [4; 6]], source(u64::from(slot) + 1), Ipv4Addr::new(10, 2, 0, 100), 64);
    let bytes = frames::udp(ip, (1000, 80), payload.as_bytes());
    let arrival = Arrival::parse(Interface::First, Frame::from_bytes(&bytes), Came::Directly).unwrap();
    Inspection::new(arrival, direction, u64::from(slot) + 1, Slot::new(slot))
}

impl Bench {
    fn new(plugins: &[&str]) -> Self {
        Self::with_policy(plugins, FaultPolicy::Closed)
    }

    fn with_policy(plugins: &[&str], policy: FaultPolicy) -> Self {
        let plugins = plugins.iter().map(|config| {
            let id = config.split(' ').next().unwrap();
            (Plugin::make(manifest(id), *thunk::table::<Obedient>(), config).unwrap(), policy)
        });
        let chain = Chain::new(plugins.collect(), Clock { monotonic: clock, unix_nanos: || 0 });
        let mut bench = Self(Streams::new(chain), NOW);
        bench.begin_all();
        bench
    }

    /// What becomes of packets of one batch, in one letter each: Pass, Drop, Reject, Fault.
    fn judge(&mut self, packets: &[(u32, Direction, &str)]) -> String {
        let batch = packets.iter().map(|&(slot, direction, text)| packet(slot, direction, text)).collect();
        let letter = |verdict: Verdict| match (verdict.action, verdict.fault) {
            (Action::Drop, true) => 'F',
            (Action::Pass, _) => 'P',
            (Action::Drop, false) => 'D',
            (Action::Reject, _) => 'R',
        };
        let verdicts = self.0.judge(self.1, batch).into_iter().map(letter).collect();
        self.0.plugins.time_passed(self.1);
        verdicts
    }

    fn standing(&self, slot: u32) -> &PerDirection<Standing> {
        self.0.standing(Slot::new(slot))
    }

    /// The plugin's counter.
    fn count(&self, id: &str, counter: &str) -> u64 {
        let rows = self.0.plugins.report().rows();
        rows.iter().find(|row| row.id == id).unwrap().counters[counter]
    }

    fn row(&self, id: &str) -> PluginRow {
        self.0.plugins.report().rows().into_iter().find(|row| row.id == id).unwrap()
    }

    fn end_all(&mut self) {
        let totals = Totals { packets_from_opener: 3, ..Totals::default() };
        for slot in 0..4 {
            self.0.end(self.1, Slot::new(slot), &totals, EndReason::TimedOut);
        }
    }

    /// The streams start anew.
    fn begin_all(&mut self) {
        for slot in 0..4 {
            self.0.start(self.1, Slot::new(slot), stream(u64::from(slot) + 1));
        }
    }
}

use Direction::{FromOpener as To, ToOpener as Back};

#[test]
fn verdicts_of_packets_follow_the_table() {
    // Streams 0 and 1; each row is one batch; then how many packets `a` and `b` saw.
    for (batch, expected, seen_a, seen_b) in [
        (&[(0, To, ""), (1, Back, "")][..], "PP", 2, 2),
        (&[(0, To, "a=drop"), (0, To, "")], "DP", 2, 1),
        (&[(0, To, "a=reject"), (0, To, "b=drop")], "RD", 2, 1),
        (&[(0, To, "a=accept b=drop"), (0, To, "")], "PP", 2, 1),
        (&[(0, To, "a=accept/flow b=drop"), (0, To, "b=drop"), (0, Back, "b=drop")], "PPD", 2, 1),
        (&[(0, To, "a=accept/stream"), (0, Back, "b=drop"), (1, To, "b=drop")], "PPD", 2, 1),
        (&[(0, To, "a=bypass b=drop"), (0, Back, "a=drop"), (0, To, "b=drop")], "PPD", 1, 2),
        (&[(0, To, "a=pass/flow"), (0, To, "a=drop"), (0, Back, "a=drop")], "PPD", 2, 2),
        (&[(0, To, "a=pass/stream b=drop"), (0, Back, "a=drop")], "DP", 1, 2),
        (&[(0, To, "a=drop/flow"), (0, Back, ""), (0, To, "a=pass")], "DPD", 2, 1),
        (&[(0, To, ""), (0, To, "b=reject/stream"), (0, Back, "b=pass"), (1, To, "")], "PRRP", 4, 3),
        // `a` accepts the second packet before `b` ends the stream with the first.
        (&[(0, To, "b=drop/stream"), (0, To, "a=accept")], "DD", 2, 1),
        (&[(0, To, "b=drop/flow"), (0, Back, ""), (0, Back, "a=drop/flow")], "DPD", 3, 2),
        // `b` judges the first packet before `a`'s word of the second reaches it; the third is ended by the first's.
        (&[(0, To, "b=drop/flow"), (0, To, "a=pass/flow"), (0, To, "a=drop")], "DDD", 2, 1),
    ] {
        let mut bench = Bench::new(&["a", "b"]);
        assert_eq!(bench.judge(batch), expected, "{batch:?}");
        assert_eq!((bench.count("a", "seen"), bench.count("b", "seen")), (seen_a, seen_b), "{batch:?}");
        bench.end_all();
        assert_eq!((bench.count("a", "ended"), bench.count("b", "ended")), (4, 4));
    }
}

proptest! {
    #[test]
    fn a_batch_ends_the_same_packets_as_one_by_one(
        packets in prop::collection::vec((0_u32..2, any::<bool>(), "(a=W|b=W|a=W b=W|)"), 1..12),
        words in prop::collection::vec(0_usize..7, 24),
    ) {
        const WORDS: [&str; 7] = ["drop", "drop/stream", "reject", "accept", "accept/stream", "bypass", "panic"];
        let mut words = words.into_iter().map(|word| WORDS[word]);
        let packets: Vec<_> = packets
            .into_iter()
            .map(|(slot, back, mut text)| {
                while text.contains('W') {
                    text = text.replacen('W', words.next().unwrap(), 1);
                }
                (slot, if back { Back } else { To }, text)
            })
            .collect();
        let packets: Vec<_> = packets.iter().map(|(slot, direction, text)| (*slot, *direction, text.as_str())).collect();
        let passed = |letters: String| letters.chars().map(|letter| letter == 'P').collect::<Vec<_>>();
        let together = Bench::new(&["a", "b"]).judge(&packets);
        let mut bench = Bench::new(&["a", "b"]);
        let one_by_one = packets.iter().map(|packet| bench.judge(&[*packet])).collect();
        prop_assert_eq!(passed(together), passed(one_by_one), "{:?}", packets);
    }
}

#[test]
fn what_covers_a_stream_holds_for_later_batches() {
    for (first, later, expected, seen_a) in [
        ("a=drop/flow", To, "D", 1),
        ("a=drop/flow", Back, "P", 2),
        ("a=reject/stream", Back, "R", 1),
        ("a=bypass", Back, "P", 1),
        ("a=accept/stream", To, "P", 1),
        ("a=pass/flow", Back, "P", 2),
    ] {
        let mut bench = Bench::new(&["a"]);
        bench.judge(&[(2, To, first)]);
        assert_eq!(bench.judge(&[(2, later, "")]), expected, "{first} {later:?}");
        assert_eq!(bench.count("a", "seen"), seen_a, "{first} {later:?}");
    }
}

#[test]
fn a_verdict_at_the_start_covers_the_stream() {
    for (a, b, action, packet, seen_a, seen_b) in [
        ("a pass", "b pass", Action::Pass, "P", 1, 1),
        ("a pass/stream", "b pass", Action::Pass, "P", 0, 1),
        ("a bypass", "b pass", Action::Pass, "P", 0, 1),
        ("a accept/stream", "b drop", Action::Pass, "P", 0, 0),
        ("a drop", "b pass", Action::Drop, "D", 0, 0),
        ("a drop", "b reject", Action::Reject, "R", 0, 0),
        ("a pass", "b reject/flow", Action::Reject, "R", 0, 0),
    ] {
        let mut bench = Bench::new(&[a, b]);
        let ends = bench.standing(0).from_opener.verdict();
        assert_eq!(ends.map_or(Action::Pass, |verdict| verdict.action), action, "{a}, {b}");
        assert_eq!(bench.standing(0).is_ended(), action != Action::Pass);
        assert_eq!(bench.judge(&[(0, Back, "")]), packet, "{a}, {b}");
        assert_eq!((bench.count("a", "seen"), bench.count("b", "seen")), (seen_a, seen_b), "{a}, {b}");
        assert_eq!((bench.count("a", "started"), bench.count("b", "started")), (4, 4), "all are told");
        bench.end_all();
        assert_eq!((bench.count("a", "ended"), bench.count("b", "ended")), (4, 4));
    }
}

#[test]
fn a_panic_ends_its_stream_alone() {
    let mut bench = Bench::new(&["a", "b"]);
    let batch = [(0, To, ""), (1, To, "a=panic"), (1, To, ""), (2, To, ""), (0, Back, "b=panic"), (3, To, "a=drop")];
    assert_eq!(bench.judge(&batch), "PFFPFD");
    assert_eq!(bench.judge(&[(1, Back, ""), (0, To, ""), (2, To, "")]), "FFP");
    let (a, b) = (bench.row("a"), bench.row("b"));
    assert_eq!((a.faults, b.faults, a.state), (1, 1, "ok"));
    assert_eq!(a.reasons["plugin-fault"], 2, "what it was not shown any more it did not end");
    bench.end_all();
    assert_eq!((bench.count("a", "ended"), bench.count("b", "ended")), (3, 3), "not for the stream it failed in");
}

#[test]
fn an_open_fault_policy_lets_pass() {
    let mut bench = Bench::with_policy(&["a", "b"], FaultPolicy::Open);
    assert_eq!(bench.judge(&[(0, To, "a=panic"), (0, To, "a=drop"), (0, Back, "b=drop"), (1, To, "a=drop")]), "PPDD");
    let mut bench = Bench::with_policy(&["a panic", "b"], FaultPolicy::Open);
    assert_eq!(bench.standing(0).from_opener.verdict(), None);
    assert_eq!(bench.judge(&[(0, To, "b=drop")]), "D");
    assert_eq!(bench.count("a", "seen"), 0);
}

#[test]
fn what_ended_a_packet_names_the_plugin_and_its_reason() {
    let mut bench = Bench::new(&["a", "b"]);
    let batch = vec![packet(0, To, "b=drop"), packet(1, To, "a=reject"), packet(2, To, "b=panic"), packet(3, To, "")];
    let causes: Vec<_> = bench.0.judge(NOW, batch).into_iter().map(|verdict| verdict.cause).collect();
    let report = bench.0.plugins.report();
    let named: Vec<_> = causes.into_iter().map(|cause| report.cause(cause)).collect();
    assert_eq!(named, [Some(("b", "told-to")), Some(("a", "told-so")), Some(("b", "plugin-fault")), None]);
}

#[test]
fn panics_at_start_and_end_are_faults() {
    let mut bench = Bench::new(&["a panic", "b pass panic"]);
    let expected = Verdict { action: Action::Drop, fault: true, ..Verdict::default() };
    let ended = |slot| Direction::BOTH.iter().all(|d| bench.standing(slot)[*d] == Standing::Ended(expected));
    assert!((0..4).all(ended));
    bench.end_all();
    assert_eq!((bench.row("a").faults, bench.row("b").faults), (4, 4));
    assert_eq!(bench.count("a", "ended"), 0);
}

#[test]
fn a_packet_whose_stream_is_gone_is_dropped_unseen() {
    let mut bench = Bench::new(&["a"]);
    bench.end_all();
    assert_eq!(bench.judge(&[(0, To, "")]), "D");
    bench.0.start(NOW, Slot::new(0), stream(80));
    assert_eq!(bench.judge(&[(0, To, "")]), "D", "another stream has the slot");
    assert_eq!(bench.count("a", "seen"), 0);
}

#[test]
fn large_batches_and_no_plugins_work() {
    let mut bench = Bench::new(&["a"]);
    let batch: Vec<_> = (0..150).map(|n| (n % 4, To, if n % 10 == 3 { "a=drop" } else { "" })).collect();
    let expected: String = (0..150).map(|n| if n % 10 == 3 { 'D' } else { 'P' }).collect();
    assert_eq!(bench.judge(&batch), expected);
    assert_eq!((bench.row("a").packets, bench.row("a").drops), (150, 15));
    assert_eq!(bench.row("a").reasons["told-to"], 15);
    let mut bench = Bench::new(&[]);
    assert_eq!(bench.judge(&[(0, To, "")]), "P");
}

#[test]
fn it_is_told_when_a_stream_interests_nobody_any_more() {
    for (plugins, packets, interest) in [
        (&[][..], &[][..], "nobody"),
        (&["a", "b"], &[(0, To, "")], "plugins"),
        (&["a pass/stream", "b"], &[(0, To, "")], "plugins"),
        (&["a pass/stream", "b pass/stream"], &[], "nobody"),
        (&["a accept/stream", "b"], &[], "nobody"),
        (&["a", "b"], &[(0, To, "a=bypass"), (0, Back, "b=bypass")], "nobody"),
        (&["a", "b"], &[(0, To, "a=pass/flow b=pass/flow")], "to-opener"),
        (&["a", "b"], &[(0, Back, "a=accept/flow")], "from-opener"),
    ] {
        let mut bench = Bench::new(plugins);
        bench.judge(packets);
        let standing = bench.standing(0);
        assert_eq!(
            (standing.interest(), bench.standing(1).interest() == interest),
            (interest, packets.is_empty() || interest == "plugins")
        );
        assert_eq!(standing.interests_nobody(), interest == "nobody");
        assert!(!standing.is_ended());
    }
    let mut bench = Bench::new(&["a"]);
    bench.judge(&[(0, To, "a=drop/stream")]);
    assert!(bench.standing(0).is_ended() && !bench.standing(0).interests_nobody());
}

#[test]
fn a_refused_configuration_carries_the_plugins_words() {
    let error = Plugin::make(manifest("a"), *thunk::table::<Obedient>(), "a refuse").unwrap_err();
    assert_eq!(error.to_string(), "plugin a refuses its configuration: told to refuse");
}

#[test]
fn an_order_that_contradicts_a_manifest_is_refused() {
    let text = |id: &str, more: &str| -> ManifestText {
        toml::from_str(&format!("id = \"{id}\"\nversion = \"1\"\nlicence = \"MIT\"\n{more}")).unwrap()
    };
    let (first, nat) = (text("x", "before = [\"nat\"]"), text("nat", ""));
    let last = text("log", "after = [\"nat\", \"absent\"]");
    assert!(check_order(&[&first, &nat, &last]).is_ok());
    let error = check_order(&[&nat, &first]).unwrap_err().to_string();
    assert!(error.starts_with("plugin x must come before nat"), "{error}");
    let error = check_order(&[&last, &nat]).unwrap_err().to_string();
    assert!(error.starts_with("plugin log must come after nat"), "{error}");
}
