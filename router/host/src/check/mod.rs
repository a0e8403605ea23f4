//! Whether a plugin keeps the contract: tests that call it as the host does, with what is rare in traffic. Each is to run in a
//! process of its own, which it may end: who runs them names what killed it.

mod frames;
mod room;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use herald_plugin::abi::{HERALD_ACTION_REJECT, HERALD_SCOPE_STREAM, HeraldPacket, HeraldVerdict};

use super::describe;
use super::library::{self, Plugin};
use super::manifest::Manifest;
use super::{HostError, file};
use frames::{Kind, Sample};
use herald_core::event::EndReason;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, NodeId};
use herald_core::inspector::{Direction, Stream, Totals};
use herald_core::limits::BATCH_PACKETS_MAX;
use herald_core::time::Instant;
use room::{Edge, Guarded, State, heap_in_use};

/// Streams that come and go in one round, and rounds in each of which a plugin that leaks grows.
const LEAK_STREAMS: u64 = 2_000;
const LEAK_ROUNDS: u64 = 5;

/// Time for a plugin's own threads to do what they have been given.
const SETTLE_TIME: Duration = Duration::from_millis(100);

/// Bytes for each stream that the heap may grow by: less than the smallest block that an allocator gives.
const LEAK_BYTES_MAX: usize = 8;

/// One test.
#[derive(Debug)]
pub struct Test {
    /// Its name in tables, and the word that runs it alone.
    pub name: &'static str,
    /// What the plugin does if it passes.
    pub about: &'static str,
    run: fn(&Subject<'_>) -> Result<(), String>,
}

/// The tests, in the order of the table.
pub const TESTS: &[Test] = &[
    Test { name: "symbols", about: "loads, takes its configuration, and goes", run: loads },
    Test { name: "guard-pages", about: "reads and writes nothing beside a packet's bytes", run: guard_pages },
    Test { name: "odd-offsets", about: "takes packets at any address", run: odd_offsets },
    Test { name: "truncated", about: "takes packets without payload, and those of unknown protocols", run: truncated },
    Test { name: "huge", about: "takes super-frames of 64 KiB and whole batches", run: huge },
    Test { name: "packet-bytes", about: "changes no byte of a packet without saying so", run: packet_bytes },
    Test { name: "state-size", about: "writes nothing beside its state of a stream", run: state_size },
    Test { name: "verdicts", about: "says only what the contract has", run: verdicts },
    Test { name: "determinism", about: "says the same of the same packets", run: determinism },
    Test { name: "leaks", about: "gives back what it took for a stream", run: leaks },
    Test { name: "counters", about: "reports its counters while packets pass, those of its manifest", run: counters },
    Test { name: "faults", about: "fails at no packet, start or end of a stream", run: faults },
];

/// What is tested.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The plugin's file.
    pub path: &'a Path,
    /// Its configuration, a text in TOML.
    pub config: &'a str,
}

impl Subject<'_> {
    /// Reads the file's manifest. Nothing of the file runs.
    ///
    /// # Errors
    /// The file is no plugin for this host.
    pub fn manifest(&self) -> Result<Manifest, HostError> {
        Manifest::read(self.path, &file::read(self.path)?)
    }

    /// Runs one test, in this process.
    ///
    /// # Errors
    /// What the plugin did, and what it must do instead.
    pub fn run(&self, test: &Test) -> Result<(), String> {
        (test.run)(self)
    }

    fn load(&self) -> Result<Plugin, String> {
        Plugin::load(self.path, self.config, || 0).map_err(|error| error.to_string())
    }
}

const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// A stream on its way through a plugin.
struct Visit<'a> {
    plugin: &'a Plugin,
    stream: Stream,
    state: State,
    started: Option<HeraldVerdict>,
    faults: Vec<String>,
}

impl<'a> Visit<'a> {
    /// The plugin is told of a stream of this kind.
    fn begin(plugin: &'a Plugin, kind: Kind, id: u64) -> Self {
        let chosen = "a".parse::<NodeId>().unwrap_or_else(|_| unreachable!("a is a node id"));
        let (source, destination) = kind.ends();
        let opener = FlowKey::new(Interface::First, kind.protocol(), source, destination);
        let stream = Stream { id, opener, chosen, midstream: false };
        let state = State::new(plugin.manifest.state_size, plugin.manifest.state_align);
        let mut visit = Self { plugin, stream, state, started: None, faults: Vec::new() };
        let raw = describe::stream(NOW, NOW.as_nanos(), 0, &visit.stream);
        // SAFETY: the state is new, of this plugin's size and alignment; one thread runs the hooks.
        match unsafe { plugin.stream_started(&raw, visit.state.place()) } {
            Ok(verdict) => visit.started = Some(verdict),
            Err(library::Fault) => visit.faults.push(format!("at the start of a stream ({})", kind.name())),
        }
        visit
    }

    /// The plugin judges packets, whose bytes lie where `place` puts them. What it says of each.
    fn packets(&mut self, samples: &[Sample], place: impl Fn(&[u8]) -> Guarded) -> Vec<HeraldVerdict> {
        let places: Vec<_> = samples.iter().map(|sample| place(sample.bytes())).collect();
        self.placed(samples, &places)
    }

    fn placed(&mut self, samples: &[Sample], places: &[Guarded]) -> Vec<HeraldVerdict> {
        if self.started.is_none() {
            return Vec::new();
        }
        let described = samples.iter().zip(places).map(|(sample, place)| HeraldPacket {
            bytes: place.bytes().as_ptr(),
            ..describe::packet(&sample.inspection(self.stream.id), self.state.place(), 0)
        });
        let packets: Vec<_> = described.collect();
        let mut verdicts = vec![HeraldVerdict::PASS; packets.len()];
        // SAFETY: the state was made for this stream, and the bytes stay during the call.
        let judged = unsafe { self.plugin.packets((NOW, NOW.as_nanos()), &packets, &mut verdicts) };
        if let Some(failed) = samples.get(judged) {
            self.faults.push(format!("at a packet ({})", failed.name()));
        }
        verdicts.truncate(judged);
        verdicts
    }

    /// The stream ends. Where the plugin failed.
    fn end(mut self) -> Vec<String> {
        if self.started.is_some() {
            let (raw, end) = (
                describe::stream(NOW, NOW.as_nanos(), 0, &self.stream),
                describe::end(&Totals::default(), EndReason::TimedOut),
            );
            // SAFETY: the state was made for this stream and is used no more.
            if unsafe { self.plugin.stream_ended(&raw, &end, self.state.place()) }.is_err() {
                self.faults.push("at the end of a stream".to_owned());
            }
        }
        self.faults
    }
}

/// Lets streams of every kind pass, and gives what was said of each, with what it was said of.
fn pass(plugin: &Plugin, place: fn(&[u8]) -> Guarded) -> Vec<(String, HeraldVerdict)> {
    let mut said = Vec::new();
    for (kind, id) in Kind::ALL.into_iter().zip(1..) {
        let mut visit = Visit::begin(plugin, kind, id);
        said.extend(visit.started.map(|verdict| (format!("the start of a stream ({})", kind.name()), verdict)));
        for direction in Direction::BOTH {
            for sample in frames::samples(kind, direction) {
                let verdicts = visit.packets(std::slice::from_ref(&sample), place);
                said.extend(verdicts.into_iter().map(|verdict| (format!("a packet ({})", sample.name()), verdict)));
            }
        }
        visit.end();
    }
    said
}

/// Lets packets of every kind pass one by one, each as `judge` gives it to the plugin; ends with what `judge` finds wrong.
fn one_by_one(plugin: &Plugin, judge: impl Fn(&mut Visit<'_>, Sample) -> Result<(), String>) -> Result<(), String> {
    for (kind, id) in Kind::ALL.into_iter().zip(1..) {
        let mut visit = Visit::begin(plugin, kind, id);
        for direction in Direction::BOTH {
            for sample in frames::samples(kind, direction) {
                judge(&mut visit, sample)?;
            }
        }
        visit.end();
    }
    Ok(())
}

fn loads(subject: &Subject<'_>) -> Result<(), String> {
    subject.load().map(drop)
}

/// A plugin that leaves a packet's bytes ends here by a signal.
fn guard_pages(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    pass(&plugin, |bytes| Guarded::new(bytes, Edge::Behind));
    pass(&plugin, |bytes| Guarded::new(bytes, Edge::Before));
    Ok(())
}

fn odd_offsets(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    for place in [
        (|bytes| Guarded::new(bytes, Edge::Offset(1))) as fn(&[u8]) -> Guarded,
        |bytes| Guarded::new(bytes, Edge::Offset(3)),
        |bytes| Guarded::new(bytes, Edge::Offset(7)),
    ] {
        pass(&plugin, place);
    }
    Ok(())
}

fn truncated(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    for (kind, id) in Kind::ALL.into_iter().zip(1..) {
        let mut visit = Visit::begin(&plugin, kind, id);
        for direction in Direction::BOTH {
            visit.packets(&[Sample::new(kind, direction, &[])], |bytes| Guarded::new(bytes, Edge::Behind));
        }
        visit.end();
    }
    Ok(())
}

fn huge(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    for (kind, id) in Kind::ALL.into_iter().zip(1..) {
        let mut visit = Visit::begin(&plugin, kind, id);
        let large = Sample::new(kind, Direction::FromOpener, &vec![0x55; 65_000]);
        visit.packets(&[large], |bytes| Guarded::new(bytes, Edge::Behind));
        let batch: Vec<_> = (0..BATCH_PACKETS_MAX)
            .map(|number| {
                let direction = if number % 2 == 0 { Direction::FromOpener } else { Direction::ToOpener };
                Sample::new(kind, direction, &vec![0x41; number * 11])
            })
            .collect();
        visit.packets(&batch, |bytes| Guarded::new(bytes, Edge::Behind));
        visit.end();
    }
    Ok(())
}

fn packet_bytes(subject: &Subject<'_>) -> Result<(), String> {
    one_by_one(&subject.load()?, |visit, sample| {
        let place = Guarded::new(sample.bytes(), Edge::Behind);
        let said = visit.placed(std::slice::from_ref(&sample), std::slice::from_ref(&place));
        if !said.is_empty() && place.bytes() != sample.bytes() {
            let name = sample.name();
            return Err(format!("it changes a packet ({name}); let the host replace bytes (HeraldHost::replace)"));
        }
        Ok(())
    })
}

fn state_size(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    one_by_one(&plugin, |visit, sample| {
        visit.packets(&[sample], |bytes| Guarded::new(bytes, Edge::Behind));
        if !visit.state.is_within() {
            let size = plugin.manifest.state_size;
            return Err(format!("it writes beside its state of {size} bytes; give the manifest its true size"));
        }
        Ok(())
    })
}

fn verdicts(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    for (what, verdict) in pass(&plugin, |bytes| Guarded::new(bytes, Edge::Behind)) {
        if verdict.action > HERALD_ACTION_REJECT || verdict.scope > HERALD_SCOPE_STREAM {
            let (action, scope) = (verdict.action, verdict.scope);
            return Err(format!(
                "of {what} it says action {action} with scope {scope}, which the contract does not have"
            ));
        }
        // SAFETY: the verdict is this plugin's.
        if unsafe { library::reason(&verdict) } == "unreadable" {
            return Err(format!("of {what} it gives a reason that is not UTF-8"));
        }
    }
    Ok(())
}

fn determinism(subject: &Subject<'_>) -> Result<(), String> {
    let said = || -> Result<Vec<_>, String> {
        let plugin = subject.load()?;
        let said = pass(&plugin, |bytes| Guarded::new(bytes, Edge::Behind)).into_iter();
        // SAFETY: the verdicts are this plugin's.
        Ok(said.map(|(what, v)| (what, v.action, v.scope, v.reserved, unsafe { library::reason(&v) })).collect())
    };
    let (first, second) = (said()?, said()?);
    match first.iter().zip(&second).find(|(one, other)| one != other) {
        None => Ok(()),
        Some((one, other)) => Err(format!(
            "of {} it says action {} once and {} the next time; let only configuration, packets and their time decide",
            one.0, one.1, other.1
        )),
    }
}

fn leaks(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    let samples: Vec<_> = Kind::ALL.into_iter().map(|kind| frames::samples(kind, Direction::FromOpener)).collect();
    let places: Vec<Vec<_>> = samples
        .iter()
        .map(|samples| samples.iter().map(|sample| Guarded::new(sample.bytes(), Edge::Behind)).collect())
        .collect();
    let stream = |id: u64| {
        let number = usize::try_from(id).unwrap_or_default() % samples.len();
        if let (Some(kind), Some(samples), Some(places)) =
            (Kind::ALL.get(number), samples.get(number), places.get(number))
        {
            let mut visit = Visit::begin(&plugin, *kind, id);
            visit.placed(samples, places);
            visit.end();
        }
    };
    let mut each = usize::MAX;
    for round in 0..=LEAK_ROUNDS {
        let before = heap_in_use();
        (0..LEAK_STREAMS).for_each(|id| stream(round * LEAK_STREAMS + id));
        // A thread of the plugin may still have what it was given last.
        std::thread::park_timeout(SETTLE_TIME);
        each = heap_in_use().saturating_sub(before) / usize::try_from(LEAK_STREAMS).unwrap_or(usize::MAX);
        // What is kept for good, a queue or a table, is there after the first round.
        if round > 0 && each < LEAK_BYTES_MAX {
            return Ok(());
        }
    }
    Err(format!("it keeps {each} bytes of every stream that has ended; free them in stream_ended"))
}

fn counters(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    let is_over = AtomicBool::new(false);
    let names = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut names = plugin.counters();
            while !is_over.load(Relaxed) {
                names = plugin.counters();
            }
            names
        });
        for _ in 0..20 {
            pass(&plugin, |bytes| Guarded::new(bytes, Edge::Behind));
        }
        is_over.store(true, Relaxed);
        asked.join().unwrap_or_default()
    });
    // Words with spaces describe counters whose names follow from the configuration.
    let named = plugin.manifest.text.counters.iter().filter(|name| !name.contains(' '));
    let missing = named.into_iter().find(|name| names.iter().all(|(reported, _)| reported != *name));
    match missing {
        None => Ok(()),
        Some(name) => Err(format!("its manifest names the counter {name:?}, which it does not report")),
    }
}

fn faults(subject: &Subject<'_>) -> Result<(), String> {
    let plugin = subject.load()?;
    for (kind, id) in Kind::ALL.into_iter().zip(1..) {
        let mut visit = Visit::begin(&plugin, kind, id);
        for direction in Direction::BOTH {
            for sample in frames::samples(kind, direction) {
                visit.packets(&[sample], |bytes| Guarded::new(bytes, Edge::Behind));
            }
        }
        if let Some(fault) = visit.end().first() {
            return Err(format!("it fails {fault}; the line above may say where"));
        }
    }
    Ok(())
}
