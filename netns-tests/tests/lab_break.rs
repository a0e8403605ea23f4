//! `herald lab cut`, `impair` and `heal`: each fault as real programs feel it, and that healing mends it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use etherparse::{Icmpv4Type, SlicedPacket, TransportSlice};
use herald_core::id::Interface;
use netns_tests::{Capture, Family, Lab, Protocol, Streams, binary, echo, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The nodes' addresses on the mesh and on the first network.
const MESH: [(&str, &str); 3] = [("a", "10.9.0.11"), ("b", "10.9.0.12"), ("c", "10.9.0.13")];
const FIRST: [(&str, &str); 3] = [("a", "10.1.0.11"), ("b", "10.1.0.12"), ("c", "10.1.0.13")];

/// What `ping` says of some echo requests.
#[derive(Debug)]
struct Pinged {
    sent: u32,
    received: u32,
    /// In milliseconds.
    rtt_min: f64,
    text: String,
}

fn ping(lab: &Lab, from: &str, to: &str, count: u32, interval_ms: u32) -> Pinged {
    let interval = format!("0.{interval_ms:03}");
    let text = lab.exec(from, &["ping", "-n", "-W", "1", "-i", &interval, "-c", &count.to_string(), to]).stdout;
    let before = |word: &str| -> u32 {
        let line = text.lines().find(|line| line.contains("packets transmitted")).unwrap();
        line.split(word).next().unwrap().split_whitespace().next_back().unwrap().parse().unwrap()
    };
    let rtt = text.lines().find_map(|line| line.split_once(" = ").filter(|_| line.starts_with("rtt")));
    let rtt_min = rtt.map_or(f64::INFINITY, |(_, numbers)| numbers.split('/').next().unwrap().parse().unwrap());
    Pinged { sent: before(" packets transmitted"), received: before(" received"), rtt_min, text }
}

fn reaches(lab: &Lab, from: &str, to: &str) -> bool {
    ping(lab, from, to, 2, 200).received > 0
}

/// The bridges may have to learn anew where everybody is.
#[track_caller]
fn await_reach(lab: &Lab, from: &str, to: &str) {
    eventually(LIMIT, &format!("{from} reaches {to}"), || reaches(lab, from, to).then_some(()));
}

/// Which of the three nodes' addresses answer to this host.
fn answering(lab: &Lab, from: &str, addresses: [(&str, &str); 3]) -> Vec<String> {
    let answering = addresses.into_iter().filter(|(_, address)| reaches(lab, from, address));
    answering.map(|(node, _)| node.to_owned()).collect()
}

/// Echo requests and echo replies in a capture.
fn echoes(capture: Capture) -> (usize, usize) {
    let kinds: Vec<_> = capture.stop().iter().filter_map(|frame| kind(&frame.bytes)).collect();
    let count = |is: fn(&Icmpv4Type) -> bool| kinds.iter().filter(|kind| is(kind)).count();
    (count(|kind| matches!(kind, Icmpv4Type::EchoRequest(_))), count(|kind| matches!(kind, Icmpv4Type::EchoReply(_))))
}

fn kind(frame: &[u8]) -> Option<Icmpv4Type> {
    match SlicedPacket::from_ethernet(frame).ok()?.transport? {
        TransportSlice::Icmpv4(icmp) => Some(icmp.icmp_type()),
        TransportSlice::Udp(_) | TransportSlice::Tcp(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => None,
    }
}

/// The lane of a fault in `herald lab status --json`, with its counts.
fn counts(lab: &Lab, from: Option<&str>, to: Option<&str>) -> Value {
    let status = lab.status();
    let faults = status["faults"].as_array().unwrap();
    let found = faults.iter().find(|f| f["from"].as_str() == from && f["to"].as_str() == to);
    found.unwrap_or_else(|| panic!("{faults:?}"))["counts"].clone()
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_cut_between_two_nodes_leaves_the_third_in_reach_of_both() {
    let lab = Lab::up("pair").start();
    lab.links("cut", &["a", "b"]);
    for (node, expected) in [("a", ["a", "c"].as_slice()), ("b", &["b", "c"]), ("c", &["a", "b", "c"])] {
        assert_eq!(answering(&lab, node, MESH), expected, "as {node} sees it");
    }
    assert_eq!(answering(&lab, "client", FIRST), ["a", "b", "c"], "the other networks are as they were");
    eventually(LIMIT, "a sees its link with b gone", || {
        let members = lab.json("a", &["members"]);
        members.as_array().unwrap().iter().any(|m| m["node"] == "b" && m["link"] != "up").then_some(())
    });
    assert_eq!(lab.exec("a", &["bash", "-c", "timeout 2 bash -c '</dev/tcp/10.9.0.12/7400'"]).code, 124);
    lab.links("heal", &["b", "a"]);
    await_reach(&lab, "a", "10.9.0.12");
    let _roles = lab.await_mesh(LIMIT, &["a", "b", "c"]);
    assert_eq!(lab.status()["faults"], serde_json::json!([]));
    assert_eq!(lab.status()["relays"], serde_json::json!([]));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_one_way_cut_loses_what_the_first_node_sends() {
    let lab = Lab::up("oneway").start();
    for (way, requests_at_b, replies_at_a) in
        [(&["a", "b", "--one-way"][..], false, false), (&["b", "a", "--one-way"], true, false)]
    {
        // Both know each other's Ethernet address: nothing else than the cut decides.
        await_reach(&lab, "a", "10.9.0.12");
        lab.links("cut", way);
        let (at_a, at_b) = (lab.capture_at("a", "mesh"), lab.capture_at("b", "mesh"));
        assert_eq!(ping(&lab, "a", "10.9.0.12", 3, 200).received, 0, "{way:?}");
        let ((sent, replies), (requests, answers)) = (echoes(at_a), echoes(at_b));
        assert_eq!((sent, replies > 0), (3, replies_at_a), "{way:?}");
        assert_eq!((requests == 3, answers == 3), (requests_at_b, requests_at_b), "{way:?}: {requests} {answers}");
        lab.links("heal", &[]);
    }
    lab.links("cut", &["b", "a", "--one-way=in"]);
    assert_eq!(lab.status()["faults"][0]["from"], "a", "what b is sent by a");
}

#[test]
fn a_cut_interface_is_a_cable_cut_elsewhere() {
    let lab = Lab::up("cable").start();
    await_reach(&lab, "client", "10.1.0.12");
    lab.links("cut", &["b", "--interface", "first"]);
    assert_eq!(answering(&lab, "client", FIRST), ["a", "c"]);
    assert_eq!(answering(&lab, "a", MESH), ["a", "b", "c"], "its mesh is as it was");
    assert!(reaches(&lab, "server", "10.2.0.12"), "its other interface, too");
    let device = lab.exec("net-first", &["ip", "link", "show", "b-first"]).ok();
    assert!(device.contains("LOWER_UP"), "{device}");
    lab.links("heal", &["b", "--interface", "first"]);
    await_reach(&lab, "client", "10.1.0.12");
}

#[test]
fn a_node_is_cut_from_the_mesh_alone() {
    let lab = Lab::up("mesh").start();
    lab.links("cut", &["c", "--mesh"]);
    assert_eq!(answering(&lab, "a", MESH), ["a", "b"]);
    assert_eq!(answering(&lab, "client", FIRST), ["a", "b", "c"]);
    lab.links("heal", &["c"]);
    await_reach(&lab, "a", "10.9.0.13");
    let _roles = lab.await_mesh(LIMIT, &["a", "b", "c"]);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn an_interface_is_cut_one_way() {
    let lab = Lab::up("deaf").start();
    for (way, comes, goes) in [("--one-way", true, false), ("--one-way=in", false, true)] {
        await_reach(&lab, "client", "10.1.0.12");
        lab.links("cut", &["b", "--interface", "first", way]);
        let (at_node, at_bridge) = (lab.capture_at("net-first", "b-first"), lab.capture_at("net-first", "relay"));
        assert_eq!(ping(&lab, "client", "10.1.0.12", 3, 200).received, 0, "{way}");
        let ((requests, replies), (sent, answers)) = (echoes(at_node), echoes(at_bridge));
        assert_eq!((sent, requests), (3, if comes { 3 } else { 0 }), "{way}");
        assert_eq!((replies, answers), (requests, 0), "{way}");
        let lost = counts(&lab, Some("b").filter(|_| !goes), Some("b").filter(|_| goes))["lost"].as_u64().unwrap();
        assert!(lost >= 3, "{way}: {lost}");
        lab.links("heal", &[]);
    }
    await_reach(&lab, "client", "10.1.0.12");
}

#[test]
fn an_interface_is_cut_for_multicast_alone() {
    let lab = Lab::up("groups").start();
    await_reach(&lab, "client", "10.1.0.12");
    lab.links("cut", &["b", "--interface", "first", "--multicast"]);
    let everybody = ping(&lab, "client", "ff02::1%eth0", 2, 200).text;
    // Both know each other's Ethernet address.
    assert!(reaches(&lab, "client", "10.1.0.12"), "unicast passes");
    assert!(everybody.contains("fe80::"), "the others hear it: {everybody}");
    let fault = lab.status()["faults"][0].clone();
    assert_eq!((&fault["kind"], &fault["network"]), (&"cut-multicast".into(), &"first".into()), "{fault}");
    let _none = lab.exec("client", &["ip", "neigh", "flush", "all"]).ok();
    assert!(!reaches(&lab, "client", "10.1.0.12"), "nobody can ask for its Ethernet address");
    lab.links("heal", &[]);
    await_reach(&lab, "client", "10.1.0.12");
}

#[test]
fn the_mesh_is_cut_for_large_frames_alone() {
    let lab = Lab::up("large").start();
    await_reach(&lab, "a", "10.9.0.12");
    lab.links("cut", &["a", "b", "--larger-than", "642"]);
    // 14 bytes of Ethernet, 20 of IPv4, 8 of ICMP.
    let sized = |from: &str, to: &str, size: &str| {
        lab.exec(from, &["ping", "-n", "-W", "1", "-c", "2", "-s", size, to]).code == 0
    };
    assert!(sized("a", "10.9.0.12", "600") && !sized("a", "10.9.0.12", "601"));
    assert!(sized("a", "10.9.0.13", "1400"), "no other link");
    lab.links("cut", &["a", "b", "--larger-than", "642", "--one-way"]);
    assert_eq!(lab.status()["faults"][0]["than"], 642);
    lab.links("heal", &[]);
    assert!(sized("a", "10.9.0.12", "1400"));
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_delay_is_felt_by_the_two_and_by_nobody_else() {
    let lab = Lab::up("late").start();
    lab.links("impair", &["a", "b", "--delay", "40ms"]);
    await_reach(&lab, "a", "10.9.0.12");
    let pinged = ping(&lab, "a", "10.9.0.12", 5, 200);
    assert!(pinged.received > 0 && pinged.rtt_min >= 80.0, "there and back: {pinged:?}");
    let others = [("a", "10.9.0.13"), ("c", "10.9.0.12")].map(|(from, to)| ping(&lab, from, to, 5, 200).rtt_min);
    assert!(others.iter().all(|rtt| *rtt < pinged.rtt_min / 2.0), "{others:?} beside {pinged:?}");
    lab.links("impair", &["a", "b", "--one-way", "--delay", "90ms"]);
    await_reach(&lab, "a", "10.9.0.12");
    assert!(ping(&lab, "a", "10.9.0.12", 5, 200).rtt_min >= 130.0, "the other way is as it was");
    lab.links("heal", &[]);
    await_reach(&lab, "a", "10.9.0.12");
    assert!(ping(&lab, "a", "10.9.0.12", 5, 200).rtt_min < pinged.rtt_min / 2.0);
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn frames_are_lost_by_their_share() {
    let lab = Lab::up("loss").start();
    await_reach(&lab, "a", "10.9.0.12");
    lab.links("impair", &["a", "b", "--one-way", "--loss", "20%", "--seed", "7"]);
    let pinged = ping(&lab, "a", "10.9.0.12", 500, 10);
    // A tenth to two fifths: seven standard deviations and more.
    assert!((pinged.sent, 300..450) == (500, 300..450) && (300..450).contains(&pinged.received), "{pinged:?}");
    let counts = counts(&lab, Some("a"), Some("b"));
    let lost = counts["lost"].as_u64().unwrap();
    assert!(lost >= u64::from(500 - pinged.received) && counts["passed"].as_u64().unwrap() >= 300, "{counts}");
    assert_eq!(lab.status()["faults"][0]["seed"], 7);
}

#[test]
fn frames_come_twice_and_out_of_order() {
    let lab = Lab::up("twice").start();
    await_reach(&lab, "a", "10.9.0.12");
    lab.links("impair", &["a", "b", "--one-way", "--duplicate", "50%"]);
    let text = ping(&lab, "a", "10.9.0.12", 50, 20).text;
    assert!(text.contains("DUP!") && text.contains("duplicates"), "{text}");
    assert!(counts(&lab, Some("a"), Some("b"))["duplicated"].as_u64().unwrap() >= 5);

    lab.links("impair", &["a", "b", "--one-way", "--reorder", "30%"]);
    let text = ping(&lab, "a", "10.9.0.12", 200, 2).text;
    let numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.split_once("icmp_seq=")?.1.split_whitespace().next()?.parse().ok())
        .collect();
    assert!(numbers.len() >= 100 && !numbers.is_sorted(), "{text}");
    assert!(counts(&lab, Some("a"), Some("b"))["reordered"].as_u64().unwrap() >= 10);
    lab.links("heal", &["a", "b"]);
    await_reach(&lab, "a", "10.9.0.12");
    let text = ping(&lab, "a", "10.9.0.12", 50, 2).text;
    assert!(text.contains(" 50 received") && !text.contains("DUP!"), "{text}");
}

#[test]
fn super_frames_pass_the_relay_whole() {
    let lab = Lab::up("super").start();
    let _echo = echo(&lab);
    // The chosen node, c, and the redirectors, a and b, are all behind the relay.
    for node in ["a", "b", "c"] {
        lab.links("impair", &[node, "--interface", "first", "--delay", "1ms"]);
    }
    let mut capture = lab.capture_at("net-first", "relay-c");
    let order = Streams {
        protocol: Protocol::Tcp,
        family: Family::V4,
        opened_at: Interface::First,
        source_port: 20_000,
        count: 4,
        len: 1_000_000,
        time_max: LIMIT,
    };
    let _every_byte_was_right = order.open(&lab).wait(LIMIT * 2).ok();
    let longest = capture.frames().iter().map(|frame| frame.len).max();
    assert!(longest > Some(3_000), "no super-frame: {longest:?}");
    assert!(counts(&lab, Some("c"), None)["passed"].as_u64().unwrap() > 100);
}

/// What the kernel limits a node's process to.
fn limit(lab: &Lab, node: &str, name: &str) -> String {
    let status = lab.status();
    let nodes = status["nodes"].as_array().unwrap();
    let pid = nodes.iter().find(|found| found["node"] == node).unwrap()["pid"].as_u64().unwrap();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_node_has_no_room_until_it_is_healed() {
    let lab = Lab::up("full").start();
    let full = |lab: &Lab| lab.status()["nodes"][2]["full"].clone();
    let asks = |lab: &Lab| lab.exec("c", &[binary().display().to_string().as_str(), "roles"]).code;
    let before = ["Max file size", "Max open files"].map(|name| limit(&lab, "c", name));
    lab.links("fill", &["c", "--disk", "--descriptors"]);
    assert_eq!(full(&lab), serde_json::json!(["disk", "descriptors"]));
    assert_eq!(limit(&lab, "c", "Max file size"), "0");
    assert_ne!(asks(&lab), 0, "it can accept nobody");
    let shown = lab.command("status").output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&shown).contains("running, disk full, no descriptors"));
    lab.links("heal", &["c"]);
    assert_eq!((full(&lab), asks(&lab)), (serde_json::json!([]), 0));
    assert_eq!(["Max file size", "Max open files"].map(|name| limit(&lab, "c", name)), before);
    lab.links("fill", &["c", "--descriptors"]);
    lab.kill("c", "KILL");
    assert_eq!(full(&lab), serde_json::json!([]), "they went with the process");
    lab.start("c");
}

#[test]
fn wrong_input_changes_nothing() {
    let lab = Lab::up("wrong").start();
    lab.links("cut", &["a", "b"]);
    let before = lab.status()["faults"].clone();
    let lanes = |faults: &Value| -> Vec<Value> {
        faults
            .as_array()
            .unwrap()
            .iter()
            .map(|f| serde_json::json!([f["network"], f["from"], f["to"], f["kind"]]))
            .collect()
    };
    for (word, arguments, code, expected) in [
        ("cut", &["a"][..], 2, "which network of a?"),
        ("cut", &[], 2, "required"),
        ("cut", &["a", "a"], 2, "a and a are one node"),
        ("cut", &["a", "x"], 1, "no node \"x\"; it has a, b, c"),
        ("cut", &["client", "a"], 1, "no node \"client\""),
        ("cut", &["a", "b", "c"], 2, "unexpected argument"),
        ("cut", &["a", "--interface", "third"], 2, "first, second"),
        ("cut", &["a", "--interface", "first", "--mesh"], 2, "cannot be used with"),
        ("cut", &["a", "b", "--one-way=up"], 2, "out, in"),
        ("cut", &["a", "b", "--loss", "1%"], 2, "unexpected argument"),
        ("cut", &["a", "--multicast"], 2, "which network of a?"),
        ("cut", &["a", "b", "--larger-than", "0"], 2, "1..=65535"),
        ("cut", &["a", "b", "--larger-than", "600", "--multicast"], 2, "cannot be used with"),
        ("impair", &["a", "b", "--multicast", "--delay", "1ms"], 2, "unexpected argument"),
        ("impair", &["a", "b"], 2, "nothing to impair"),
        ("impair", &["a", "b", "--loss", "1"], 2, "\"1\" is no share"),
        ("impair", &["a", "b", "--loss", "101%"], 2, "0% to 100%"),
        ("impair", &["a", "b", "--loss", "-1%"], 2, "-1"),
        ("impair", &["a", "b", "--delay", "50"], 2, "is no delay"),
        ("impair", &["a", "b", "--delay", "1h"], 2, "is no delay"),
        ("impair", &["a", "b", "--loss", "1%", "--seed", "x"], 2, "seed"),
        ("fill", &["a"], 2, "--disk or --descriptors is needed"),
        ("fill", &["--disk"], 2, "required"),
        ("fill", &["x", "--disk"], 1, "no node \"x\""),
        ("fill", &["a", "--memory"], 2, "unexpected argument"),
        ("heal", &["a", "c"], 1, "nothing is broken at a and c"),
        ("heal", &["c"], 1, "nothing is broken at c"),
        ("heal", &["a", "a"], 2, "a and a are one node"),
        ("heal", &["x"], 1, "no node \"x\""),
        ("heal", &["--interface", "first"], 2, "name a node"),
        ("heal", &["a", "b", "--interface", "first"], 1, "nothing is broken"),
    ] {
        let output = lab.command(word).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{word} {arguments:?}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{word} {arguments:?}: {said}");
        assert_eq!(lanes(&lab.status()["faults"]), lanes(&before), "{word} {arguments:?}");
    }
    lab.links("heal", &[]);
    lab.links("heal", &[]);
}

#[test]
fn a_relay_that_dies_is_named_and_healing_does_without_it() {
    let lab = Lab::up("relay").start();
    lab.links("impair", &["a", "b", "--delay", "1ms"]);
    let relay = lab.status()["relays"][0].clone();
    assert_eq!(relay["network"], "mesh");
    let pid = i32::try_from(relay["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually(LIMIT, "the status says so", || (lab.status()["relays"][0]["ended"] == "SIGKILL").then_some(()));
    assert!(!reaches(&lab, "a", "10.9.0.12"), "a broken switch passes nothing");
    lab.links("impair", &["a", "b", "--delay", "1ms"]);
    await_reach(&lab, "a", "10.9.0.12");
    let pid = lab.status()["relays"][0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    lab.links("heal", &[]);
    await_reach(&lab, "a", "10.9.0.12");
    lab.links("cut", &["a", "b"]);
    let pid = lab.status()["relays"][0]["pid"].as_i64().unwrap();
    drop(lab);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "the relay outlives its lab");
}
