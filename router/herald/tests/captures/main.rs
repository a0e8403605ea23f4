//! Captures through `herald replay --streams`: what hooks saw, what left, and the facts, against what is known of each: the
//! captures of the folder that `HERALD_CAPTURES` names, with its `expected.json`, and made ones of every kind.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

mod application;
mod packets;

use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use herald_testing::cases::{self, Case, Connection};
use herald_testing::chance::Chance;
use herald_testing::pcap;
use packets::{FIN, RST, SYN, Timed, Ways, is_fragment, pcap_packets, pcapng, segment, sha256};
use serde_json::{Value, json};

/// Where something else than the first answer of a case is right: which one, and the frames that do not leave as its actions
/// say. What is no longer so is an error.
const OTHERWISE: &[Otherwise] = &[
    // The first copy of each byte stands, and later ones are rewritten to it.
    Otherwise { case: "tcp_overlap_start", answer: "inline", frames: &[] },
    Otherwise { case: "tcp_overlap_engulf", answer: "inline", frames: &[] },
    Otherwise { case: "tcp_overlap_same_start_longer", answer: "inline", frames: &[] },
    Otherwise { case: "tcp_overlap_chain", answer: "inline", frames: &[] },
    Otherwise { case: "tcp_overlap_in_order", answer: "inline", frames: &[] },
    Otherwise { case: "tcp_overlap_to_client", answer: "inline", frames: &[] },
    // Urgent marks are cleared, so that the byte stays in the stream.
    Otherwise { case: "tcp_urgent", answer: "oobinline", frames: &[4] },
    // What ends behind the window is dropped whole; the receiver that took it acknowledges more than came here.
    Otherwise { case: "tcp_window_straddle", answer: "dropped", frames: &[95] },
    // A first fragment without a whole TCP header ends as `fragment-tiny`: its bytes are a gap.
    Otherwise { case: "ip4_frag_tiny_first", answer: NONE, frames: &[] },
    // The whole packet is dropped; the receiver that read it acknowledges what has not come here yet.
    Otherwise { case: "ip4_frag_inside", answer: LINUX, frames: &[8] },
    Otherwise { case: "ip6_frag_inside", answer: LINUX, frames: &[8] },
    Otherwise { case: "ip4_frag_same_range_other_bytes", answer: LINUX, frames: &[8] },
    // A later copy of what is acknowledged leaves without its bytes; its hop limit stays, as the first copy counts.
    Otherwise { case: "tcp_no_timestamp", answer: LINUX, frames: &[8] },
    Otherwise { case: "tcp_ttl_2", answer: LINUX, frames: &[6, 8] },
];

struct Otherwise {
    case: &'static str,
    answer: &'static str,
    frames: &'static [u64],
}

/// What an untouched Linux receiver reads, and what no answer says.
const LINUX: &str = "linux";
const NONE: &str = "none";

/// Seeds of made captures.
const SEEDS: u64 = 12;

/// What `herald replay --streams` says of a capture, and what leaves.
struct Replayed {
    rows: Value,
    left: Vec<Timed>,
}

fn replay(capture: &Path) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("left.pcapng");
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.args(["replay", "--streams", "--json", "--write"]).args([&written, capture]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&output.stderr));
    Replayed { rows: serde_json::from_slice(&output.stdout).unwrap(), left: pcapng(&fs::read(written).unwrap()) }
}

fn otherwise(case: &str) -> Option<&'static Otherwise> {
    OTHERWISE.iter().find(|otherwise| otherwise.case == case)
}

/// What left at a moment.
fn at(left: &[Timed], time: u64) -> Vec<&[u8]> {
    left.iter().filter(|(at, _)| *at == time).map(|(_, frame)| &frame[..]).collect()
}

/// What the hook of a direction saw is this.
fn is_seen(seen: &Value, expected: &Value) -> bool {
    let digest = expected["text"].as_str().map(|text| sha256(text.as_bytes()));
    seen["bytes"] == expected["len"] && seen["sha256"] == digest.map_or_else(|| expected["sha256"].clone(), Value::from)
}

/// An end of a connection.
fn end_of(text: &Value) -> SocketAddr {
    let (address, port) = text.as_str().unwrap().rsplit_once(':').unwrap();
    let address: IpAddr = address.trim_matches(['[', ']']).parse().unwrap();
    SocketAddr::new(address, port.parse().unwrap())
}

/// By which of its answers a flow was seen.
fn answer<'a>(flow: &'a Value, row: &Value) -> &'a str {
    let none = json!({"len": 0, "text": ""});
    let agrees = |changed: &Value| {
        let of = |key: &str| changed.get(key).or_else(|| flow.get(key)).unwrap_or(&none).clone();
        let end = if of("end") == "rst" { json!("reset") } else { of("end") };
        let ends = ["source", "destination"].map(|key| end_of(&row[key]));
        ends == ["client", "server"].map(|key| end_of(&flow[key]))
            && row["end"] == end
            && is_seen(&row["from_opener"], &of("to_server"))
            && is_seen(&row["to_opener"], &of("to_client"))
    };
    if agrees(&json!({})) {
        return LINUX;
    }
    if agrees(&flow["inline"]) {
        return "inline";
    }
    if flow.get("oobinline").is_some_and(|bytes| agrees(&json!({"to_server": bytes}))) {
        return "oobinline";
    }
    let alternatives = flow["alternatives"].as_array().into_iter().flatten();
    alternatives.filter(|changed| agrees(changed)).find_map(|changed| changed["if"].as_str()).unwrap_or(NONE)
}

/// What left of a frame against what a normaliser does with it.
fn check_action(action: &Value, frame: &[u8], left: &[&[u8]]) -> bool {
    let segment = segment(left);
    let is_bare = segment.as_ref().is_none_or(|segment| segment.payload.is_empty());
    let is_same = left == [frame];
    match action["do"].as_str().unwrap() {
        // Its number may leave without its bytes or with the first ones, so that its receiver answers it.
        "drop" => left.is_empty() || !is_same && segment.is_some_and(|segment| segment.flags & (FIN | SYN | RST) == 0),
        "rewrite" => !is_same,
        "strip" => is_bare && !left.is_empty(),
        "either" => true,
        other => panic!("nobody knows how to {other}"),
    }
}

/// What left: each byte in one form only, and what the hooks saw; and each frame as its action says.
fn check_left(name: &str, case: &Value, frames: &[Timed], replayed: &Replayed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut ways = Ways::default();
    for (number, (time, frame)) in (1_u64..).zip(frames) {
        let left = at(&replayed.left, *time);
        if let Some(segment) = segment(&left) {
            ways.add(&segment);
        }
        let action = case["actions"].as_array().into_iter().flatten().find(|action| action["frame"] == number);
        let is_right = match action {
            Some(action) => check_action(action, frame, &left),
            None => is_fragment(frame) || left == [frame],
        };
        if is_right == otherwise(name).is_some_and(|otherwise| otherwise.frames.contains(&number)) {
            wrong.push(format!("frame {number} leaves as {left:02x?}, and {action:?}: right is {is_right}"));
        }
    }
    wrong.append(&mut ways.differing);
    wrong.extend(check_carried(&replayed.rows, &ways));
    wrong
}

/// What the hooks saw has left.
fn check_carried(rows: &Value, ways: &Ways) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows.as_array().unwrap().iter().filter(|row| row["protocol"] == "tcp") {
        let [source, destination] = ["source", "destination"].map(|key| end_of(&row[key]));
        for (seen, carried) in [
            (&row["from_opener"], ways.carried(source, destination)),
            (&row["to_opener"], ways.carried(destination, source)),
        ] {
            let is_there = carried.iter().any(|bytes| seen["sha256"] == sha256(bytes));
            if !is_there && seen["bytes"] != 0 {
                wrong.push(format!("{seen} was seen, and {carried:?} left"));
            }
        }
    }
    wrong
}

/// What hooks and parsers said of a case.
fn check_seen(name: &str, case: &Value, rows: &Value) -> Vec<String> {
    let flows: Vec<_> = case["flows"].as_array().unwrap().iter().filter(|flow| flow["proto"] == "tcp").collect();
    let connections: Vec<_> = rows.as_array().unwrap().iter().filter(|row| row["protocol"] == "tcp").collect();
    let mut wrong = Vec::new();
    if flows.len() != connections.len() {
        wrong.push(format!("{} connections instead of {}", connections.len(), flows.len()));
    }
    for (flow, row) in flows.iter().zip(connections) {
        let expected = otherwise(name).map_or(LINUX, |otherwise| otherwise.answer);
        let answer = answer(flow, row);
        if answer != expected {
            wrong.push(format!("{row} is the answer {answer}, not {expected}"));
        }
    }
    for (key, expected) in case["app"].as_object().into_iter().flatten() {
        if !application::agrees(&rows[0]["facts"], key, expected) {
            wrong.push(format!("{key} should be {expected}: {}", rows[0]["facts"]));
        }
    }
    wrong
}

#[test]
fn captures_are_seen_as_their_receivers_read_them() {
    let Some(folder) = std::env::var_os("HERALD_CAPTURES") else {
        println!("skipped: HERALD_CAPTURES names no folder of captures");
        return;
    };
    let folder = Path::new(&folder);
    let all: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let cases = all["cases"].as_object().unwrap();
    let mut wrong = Vec::new();
    for (name, case) in cases {
        let file = folder.join(case["file"].as_str().unwrap());
        let replayed = replay(&file);
        let frames = pcap_packets(&fs::read(&file).unwrap());
        let found = [check_seen(name, case, &replayed.rows), check_left(name, case, &frames, &replayed)].concat();
        wrong.extend(found.iter().map(|what| format!("{name}: {what}")));
    }
    let gone = OTHERWISE.iter().filter(|otherwise| !cases.contains_key(otherwise.case));
    wrong.extend(gone.map(|otherwise| format!("{}: there is no such case", otherwise.case)));
    println!("{} captures were compared", cases.len());
    assert!(!cases.is_empty() && wrong.is_empty(), "of {} captures:\n{}", cases.len(), wrong.join("\n"));
}

/// Frames of all cases, each one's in order, and its connections in the order of their first frames.
fn mix(cases: Vec<Case>, chance: &mut Chance) -> (Vec<Vec<u8>>, Vec<(&'static str, Connection)>) {
    let (mut frames, mut connections, mut later) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting: Vec<_> =
        cases.into_iter().map(|case| (case.kind, case.frames.into_iter(), case.connections)).collect();
    while !waiting.is_empty() {
        let place = chance.place(waiting.len());
        let (kind, rest, known) = &mut waiting[place];
        // The first connection begins with the first frame; those behind it are told apart by their ends.
        if let [first, behind @ ..] = &known[..] {
            connections.push((*kind, first.clone()));
            later.extend(behind.iter().map(|connection| (*kind, connection.clone())));
            known.clear();
        }
        match rest.next() {
            Some(frame) => frames.push(frame),
            None => drop(waiting.swap_remove(place)),
        }
    }
    connections.extend(later);
    (frames, connections)
}

/// A connection as a row should show it.
fn row_of(connection: &Connection) -> Value {
    let seen = |bytes: &[u8]| json!({"bytes": bytes.len(), "sha256": sha256(bytes)});
    json!({
        "protocol": "tcp",
        "source": connection.opener.to_string(),
        "destination": connection.answerer.to_string(),
        "from_opener": seen(&connection.from_opener),
        "to_opener": seen(&connection.to_opener),
        "end": connection.end,
        "gaps": connection.gaps,
        "conflicts": connection.conflicts,
        "facts": {},
    })
}

#[test]
fn made_captures_of_every_kind_are_seen_as_their_receivers_read_them() {
    for seed in 0..SEEDS {
        let mut chance = Chance::new(seed, "captures");
        let cases = cases::of_every_kind(&mut chance);
        let (frames, connections) = mix(cases, &mut chance);
        let folder = tempfile::tempdir().unwrap();
        let capture = folder.path().join("made.pcap");
        fs::write(&capture, pcap::pcap(1, &frames)).unwrap();
        let replayed = replay(&capture);
        let rows = replayed.rows.as_array().unwrap();
        assert_eq!(rows.len(), connections.len(), "seed {seed}");
        let mut openers: Vec<_> = rows.iter().map(|row| end_of(&row["source"])).collect();
        let mut seen = HashSet::new();
        openers.retain(|opener| seen.insert(*opener));
        let known = connections.iter().map(|(_, connection)| connection.opener);
        assert!(openers.into_iter().eq(known.take(seen.len())), "seed {seed}: in the order of their first packets");
        let mut wrong = Vec::new();
        for (kind, connection) in &connections {
            let expected = row_of(connection);
            let same_ends: Vec<_> = rows.iter().filter(|row| row["source"] == expected["source"]).collect();
            if !same_ends.contains(&&expected) {
                wrong.push(format!("{kind}: {expected} is expected, and shown {same_ends:?}"));
            }
        }
        let mut ways = Ways::default();
        let mut times: Vec<u64> = replayed.left.iter().map(|(at, _)| *at).collect();
        times.dedup();
        for time in times {
            ways.add(&segment(&at(&replayed.left, time)).unwrap());
        }
        wrong.append(&mut ways.differing);
        wrong.extend(check_carried(&replayed.rows, &ways));
        assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    }
}
