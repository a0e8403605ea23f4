//! What real traffic sees of one fault that stands: the streams of the other nodes go on, new ones open, roles come to
//! rest. What it cost is printed, line by line, for the table in the documents: fault, node, the longest gaps and the losses
//! among the other nodes' streams, new streams that failed, short connections that failed, time to rest.

#![expect(clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use herald::io::clock;
use herald_core::id::Interface;
use netns_tests::{Family, Lab, Load, Outage, Protocol, Size, Stream, Streams, binary, eventually, pause};

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Traffic before the fault.
const BEFORE: Duration = Duration::from_secs(1);

/// The fault is noticed and its roles are taken over by then.
const KNOWN: Duration = Duration::from_secs(3);

/// So long no epoch changes when roles are at rest, and so long they may take to come to it.
const REST: Duration = Duration::from_secs(4);
const REST_TIME_MAX: Duration = Duration::from_secs(10);

/// A SYN, its repetition after a second, and a byte there and back on a busy machine.
const OPEN_TIME_MAX: Duration = Duration::from_secs(4);

const NODES: [&str; 3] = ["a", "b", "c"];

/// How much traffic a fault meets.
const SIZE: Size = Size { takes: 1, ticks: 6, downloads: 3, alive: 60, short_ms: 50 };

/// A fault that stands.
struct Fault {
    name: &'static str,
    /// The node that it strikes; nobody's streams but its own may be lost.
    node: &'static str,
    begin: fn(&Lab, &str),
    end: fn(&Lab, &str),
    /// What goes on while it stands, about once in a second.
    meanwhile: fn(&Lab, &str),
    /// Who says so.
    told: Told,
}

/// Who says what a fault is.
#[derive(Clone, Copy)]
enum Told {
    /// Other nodes, by events with these names.
    ByOthers(&'static [&'static str]),
    /// The node itself, by a line of its log with this text, at the latest when the fault is mended.
    ByItself(&'static str),
}

fn nothing(_: &Lab, _: &str) {}

fn heal(lab: &Lab, _: &str) {
    lab.links("heal", &[]);
}

fn others(node: &str) -> Vec<&'static str> {
    NODES.into_iter().filter(|other| *other != node).collect()
}

/// The clients' ends of the streams that a node owns.
fn owned(lab: &Lab, node: &str) -> BTreeSet<String> {
    let sessions = lab.json(node, &["sessions"]);
    let markers = sessions.as_array().into_iter().flatten().filter(|session| session["kind"] == "marker");
    markers.filter_map(|session| session["source"].as_str().map(str::to_owned)).collect()
}

/// All epochs that the well nodes know, added up.
fn epochs(lab: &Lab, nodes: &[&str]) -> u64 {
    let of = |node: &&str| {
        let roles = lab.json(node, &["roles"]);
        ["first", "second"].iter().filter_map(|role| roles[*role]["epoch"].as_u64()).sum::<u64>()
    };
    nodes.iter().map(of).sum()
}

/// The rare events of a node, as lines.
fn events(lab: &Lab, node: &str) -> Vec<String> {
    let program = binary().display().to_string();
    let said = lab.exec(node, &[program.as_str(), "events"]).ok();
    // They alone have the time of the wall clock.
    said.lines().filter(|line| line.contains(r#""at":"#)).map(str::to_owned).collect()
}

/// What a node has logged.
fn log(lab: &Lab, node: &str) -> String {
    let status = lab.status();
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let path = nodes.filter(|row| row["node"] == node).find_map(|row| row["log"].as_str());
    path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
}

/// Begins a fault and waits until no epoch changes any more; how long after the fault the last one did.
fn time_to_rest(lab: &Lab, fault: &Fault, nodes: &[&str]) -> Option<Duration> {
    let (mut last, mut changed) = (epochs(lab, nodes), None);
    let began = clock::now();
    (fault.begin)(lab, fault.node);
    loop {
        (fault.meanwhile)(lab, fault.node);
        pause(Duration::from_millis(100));
        let (now, found) = (clock::now(), epochs(lab, nodes));
        if found != last {
            (last, changed) = (found, Some(now));
        }
        if now.since(changed.unwrap_or(began)) >= REST {
            return Some(changed.map_or(Duration::ZERO, |at| at.since(began)));
        }
        if now.since(began) >= REST_TIME_MAX {
            return None;
        }
    }
}

/// Opens new streams, all at once; says which failed.
fn open_new(lab: &Lab) -> Vec<String> {
    let of = |protocol, count, source_port| {
        let time_max = OPEN_TIME_MAX;
        let (family, opened_at) = (Family::V4, Interface::First);
        Streams { protocol, family, opened_at, source_port, count, len: 100, time_max }
    };
    let programs = [of(Protocol::Tcp, 30, 30_000).open(lab), of(Protocol::Udp, 50, 31_000).open(lab)];
    let said = programs.map(|program| program.wait(LIMIT).stdout);
    let lines: Vec<&str> = said.iter().flat_map(|said| said.lines()).collect();
    assert_eq!(lines.len(), 80, "each says how it went: {said:?}");
    lines.into_iter().filter(|line| !line.ends_with(" ok")).map(str::to_owned).collect()
}

/// Lets a fault stand under load, looks at what goes on, and mends it.
#[track_caller]
fn stands(fault: &Fault) {
    // So every node owns streams.
    let lab = Lab::up("standing").set("choose.redirectors", "equal").start();
    let load = Load::start(&lab, SIZE);
    pause(BEFORE);
    let (struck, well) = (owned(&lab, fault.node), others(fault.node));
    let told_before: Vec<usize> = well.iter().map(|node| events(&lab, node).len()).collect();
    let logged_before = log(&lab, fault.node).len();
    let rest = time_to_rest(&lab, fault, &well);
    pause(KNOWN);
    let failed = open_new(&lab);
    let outage = load.stop();
    let told: Vec<String> =
        well.iter().zip(told_before).flat_map(|(node, seen)| events(&lab, node).split_off(seen)).collect();
    (fault.end)(&lab, fault.node);
    let _roles = lab.await_mesh(LIMIT, &NODES);
    let others = of_others(&outage, &struck);
    let lost: Vec<&str> =
        others.iter().filter(|stream| stream.lost.is_some()).map(|stream| stream.name.as_str()).collect();
    let rested = rest.map_or_else(|| "never".to_owned(), |time| format!("{} ms", time.as_millis()));
    println!(
        "| {} | {} | UDP {:?}, TCP {:?} | {} of {} | {} of 80 | {} of {} | {rested} |",
        fault.name,
        fault.node,
        gap(&others, "udp"),
        gap(&others, "tcp"),
        lost.len(),
        others.len(),
        failed.len(),
        outage.short_failed,
        outage.short_done + outage.short_failed,
    );
    assert!(!others.is_empty(), "no stream of another node");
    assert!(lost.is_empty(), "{}: streams of the others are lost: {lost:?}\n{outage}", fault.name);
    assert!(failed.is_empty(), "{}: new streams failed: {failed:?}", fault.name);
    assert!(rest.is_some(), "{}: epochs change without end", fault.name);
    match fault.told {
        Told::ByOthers(names) => {
            let is_told = |name: &&&str| told.iter().any(|line| line.contains(&format!(r#""event":"{name}""#)));
            let missing: Vec<_> = names.iter().filter(|name| !is_told(name)).collect();
            assert!(missing.is_empty(), "{}: nobody says {missing:?}: {told:#?}", fault.name);
        }
        Told::ByItself(text) => eventually(LIMIT, text, || {
            log(&lab, fault.node).get(logged_before..).is_some_and(|since| since.contains(text)).then_some(())
        }),
    }
}

/// The longest time in which one of these streams stood still.
fn gap(streams: &[&Stream], protocol: &str) -> Duration {
    let of_protocol = streams.iter().filter(|stream| stream.name.starts_with(protocol));
    of_protocol.map(|stream| stream.gap).max().unwrap_or_default()
}

/// The streams that another node owned.
fn of_others<'a>(outage: &'a Outage, struck: &BTreeSet<String>) -> Vec<&'a Stream> {
    let is_other = |stream: &&Stream| stream.name.split_whitespace().nth(1).is_some_and(|end| !struck.contains(end));
    outage.streams().filter(is_other).collect()
}

/// One test for each row: name, node, what begins it, what ends it, what goes on meanwhile, who says so.
macro_rules! standing {
    ($($(#[$attribute:meta])* $test:ident: $name:literal at $node:literal, $begin:expr, $end:expr, $meanwhile:expr, $told:expr;)*) => {
        $(#[test] $(#[$attribute])* fn $test() {
            stands(&Fault { name: $name, node: $node, begin: $begin, end: $end, meanwhile: $meanwhile, told: $told });
        })*
    };
}

standing! {
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_dead_holder: "dead" at "a", |lab, node| lab.kill(node, "KILL"), |lab, node| lab.start(node), nothing,
        Told::ByOthers(&["member-died", "holder-changed"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_dead_chosen_node: "dead" at "c", |lab, node| lab.kill(node, "KILL"), |lab, node| lab.start(node), nothing,
        Told::ByOthers(&["member-died"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_frozen_holder: "frozen" at "a", |lab, node| lab.kill(node, "STOP"), |lab, node| lab.kill(node, "CONT"), nothing,
        Told::ByOthers(&["member-died", "holder-changed"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_chosen_node_frozen_in_pulses: "frozen in pulses" at "c", nothing, nothing, pulse,
        Told::ByOthers(&["member-died", "link-up"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_drained_holder: "drained" at "a", drain, undrain, nothing,
        Told::ByOthers(&["holder-changed"]);

    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_holder_whose_mesh_is_cut: "mesh cut" at "a", |lab, node| lab.links("cut", &[node, "--mesh"]), heal, nothing,
        Told::ByOthers(&["member-cut", "holder-changed"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_chosen_node_whose_mesh_is_cut: "mesh cut" at "c", |lab, node| lab.links("cut", &[node, "--mesh"]), heal, nothing,
        Told::ByOthers(&["member-cut"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_mesh_that_is_cut_to_one_peer: "mesh cut to b" at "a", |lab, node| lab.links("cut", &[node, "b"]), heal, nothing,
        Told::ByOthers(&["member-cut"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_mesh_that_is_cut_one_way: "mesh cut, what it sends" at "a",
        |lab, node| lab.links("cut", &[node, "--mesh", "--one-way"]), heal, nothing,
        Told::ByOthers(&["link-lost", "member-cut"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_mesh_that_loses_large_frames: "mesh cut above 600 bytes" at "c",
        |lab, node| lab.links("cut", &[node, "--mesh", "--larger-than", "600"]), heal, nothing,
        Told::ByOthers(&["link-lost", "member-cut"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_mesh_that_is_slow: "mesh 100 ms late" at "a",
        |lab, node| lab.links("impair", &[node, "--mesh", "--delay", "100ms"]), heal, nothing,
        Told::ByItself("acknowledges announcements late");

    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_that_is_cut: "first cut" at "a",
        |lab, node| lab.links("cut", &[node, "--interface", "first"]), heal, nothing,
        Told::ByOthers(&["holder-changed", "interface-unheard"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_that_is_deaf: "second cut, what it hears" at "b",
        |lab, node| lab.links("cut", &[node, "--interface", "second", "--one-way=in"]), heal, nothing,
        Told::ByOthers(&["holder-changed", "interface-unheard"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_that_is_mute: "second cut, what it sends" at "b",
        |lab, node| lab.links("cut", &[node, "--interface", "second", "--one-way"]), heal, nothing,
        Told::ByOthers(&["holder-changed", "interface-unheard"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_without_multicast: "first cut for multicast" at "a",
        |lab, node| lab.links("cut", &[node, "--interface", "first", "--multicast"]), heal, nothing,
        Told::ByOthers(&["holder-changed", "interface-unheard"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_whose_adverts_are_lost: "first cut for multicast, what it sends" at "a",
        |lab, node| lab.links("cut", &[node, "--interface", "first", "--multicast", "--one-way"]), heal, nothing,
        Told::ByOthers(&["holder-changed", "interface-unheard"]);
    #[ignore = "takes long: netns-tests/run --long runs it"]
    an_interface_that_hears_no_adverts: "first cut for multicast, what it hears" at "b",
        |lab, node| lab.links("cut", &[node, "--interface", "first", "--multicast", "--one-way=in"]), heal, nothing,
        Told::ByOthers(&["interface-unheard"]);

    #[ignore = "takes long: netns-tests/run --long runs it"]
    a_full_disk: "disk full" at "c", fill_disk, heal, nothing,
        Told::ByItself("holds the");
    #[ignore = "takes long: netns-tests/run --long runs it"]
    no_descriptors: "no descriptors" at "c", |lab, node| lab.links("fill", &[node, "--descriptors"]), heal, nothing,
        Told::ByItself("no file descriptor is left");
}

/// Frozen for longer than it takes to notice.
fn pulse(lab: &Lab, node: &str) {
    lab.kill(node, "STOP");
    pause(Duration::from_millis(600));
    lab.kill(node, "CONT");
}

/// And something to log: a role changes.
fn fill_disk(lab: &Lab, node: &str) {
    lab.links("fill", &[node, "--disk"]);
    drain(lab, "b");
    undrain(lab, "b");
}

fn drain(lab: &Lab, node: &str) {
    let program = binary().display().to_string();
    let _said = lab.exec(node, &[program.as_str(), "drain", "--timeout", "30"]).ok();
}

fn undrain(lab: &Lab, node: &str) {
    let program = binary().display().to_string();
    let _said = lab.exec(node, &[program.as_str(), "undrain"]).ok();
}
