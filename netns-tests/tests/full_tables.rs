//! A host that fills tables and a machine that gives no more memory: who was there stays, and others are served.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use netns_tests::{Lab, Load, Outage, Size, pause};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];

/// How long others are watched without a flood, and at least during one.
const WATCHED: Duration = Duration::from_secs(5);

/// Sends COUNT first packets of streams, PER_SECOND of them: datagrams and SYNs by turns, each of another stream, with its own
/// source address ("own") or with any ("forged"), which pass where `reverse_path` is off. Another SEED makes other streams.
const FLOOD: &str = r#"
import random, socket, struct, sys, time

count, per_second, sources = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
chance = random.Random(sys.argv[4])
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("eth0", 0))
ethernet = bytes.fromhex("00005e000101") + out.getsockname()[4] + b"\x08\x00"

def sum_of(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff

def ip(protocol, body):
    host = (chance.randrange(1, 255), chance.randrange(1, 255)) if sources == "forged" else (0, 101)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + bytes((10, 1, *host, 10, 2, 0, 100))
    pseudo = head[12:20] + struct.pack("!BBH", 0, protocol, len(body))
    place = 6 if protocol == 17 else 16
    body = body[:place] + struct.pack("!H", sum_of(pseudo + body)) + body[place + 2:]
    return ethernet + head[:10] + struct.pack("!H", sum_of(head)) + head[12:] + body

begun = time.monotonic()
for number in range(count):
    ports = chance.randrange(1024, 65536), chance.randrange(1024, 65536)
    if number % 2:
        frame = ip(17, struct.pack("!HHHH", *ports, 8, 0))
    else:
        frame = ip(6, struct.pack("!HHIIBBHHH", *ports, number, 0, 0x50, 2, 65535, 0, 0))
    try:
        out.send(frame)
    except OSError:
        pass
    early = begun + number / per_second - time.monotonic()
    if early > 0.002:
        time.sleep(early)
"#;

fn size() -> Size {
    Size { takes: 1, ticks: 6, downloads: 2, alive: 100, short_ms: 20 }
}

fn flood(lab: &Lab, (count, per_second): (u32, u32), sources: &str, seed: u32) {
    let [count, per_second, seed] = [count, per_second, seed].map(|number| number.to_string());
    let said = lab.exec("guest", &["python3", "-c", FLOOD, &count, &per_second, sources, &seed]).ok();
    assert_eq!(said, "");
}

fn count(lab: &Lab, node: &str, of: &str, what: &str) -> u64 {
    lab.json(node, &["status"])[of][what].as_u64().unwrap_or_default()
}

/// What is loosely asserted of others during a flood, beside what happens to them without one.
fn assert_served(beside: &Outage, without: &Outage) {
    println!("without the flood: {without}\nbeside the flood:  {beside}");
    assert!(without.lost().is_empty() && beside.lost().is_empty());
    let all = beside.short_done + beside.short_failed;
    assert!(all > 20 && beside.short_failed * 20 <= all, "more than one of twenty connections failed");
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_host_that_fills_the_table_takes_it_from_nobody() {
    let up = || Lab::up("flood").guest().set("reverse_path", "off").set("sessions_max", 2_048).start();
    let lab = up();
    let load = Load::start(&lab, size());
    pause(WATCHED);
    let without = load.stop();
    drop(lab);
    for sources in ["own", "forged"] {
        let lab = up();
        let load = Load::start(&lab, size());
        flood(&lab, (24_000, 3_000), sources, 1);
        let marker = count(&lab, "c", "sessions", "marker");
        let beside = load.stop();
        println!("{sources} addresses:");
        assert!(marker <= 2_048, "{marker} sessions");
        assert_served(&beside, &without);
        assert_made_room(&lab);
    }
}

/// The flood's own streams made room, and it was told.
fn assert_made_room(lab: &Lab) {
    let status = lab.json("c", &["status"]);
    let evicted = |class: &str| status["evicted"][class].as_u64().unwrap();
    assert!(evicted("half_open") + evicted("one_way") > 10_000, "{status}");
    assert_eq!((evicted("answered"), evicted("established")), (0, 0), "{status}");
    for node in NODES {
        assert_eq!(lab.json(node, &["drops"])["marker-sessions-full"], Value::Null, "{node}");
    }
    // It is said once a minute, not for each.
    let said = log_of(lab, "c").lines().filter(|line| line.contains("streams that are not answered")).count();
    assert!((1..=3).contains(&said), "{said} lines");
    lab.assert_books_balance(LIMIT, &NODES);
}

/// What the node may take more of than it has when the machine begins to refuse.
const MORE_BYTES: u64 = 56 << 20;

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn a_node_without_memory_refuses_streams_and_goes_on() {
    let lab = Lab::up("memory").guest().set("reverse_path", "off").start();
    let load = Load::start(&lab, size());
    pause(WATCHED);
    let pid = pid_of(&lab, "c");
    let limit = virtual_bytes(pid) + MORE_BYTES;
    let limited = Command::new("prlimit").args([format!("--pid={pid}"), format!("--as={limit}")]).status().unwrap();
    assert!(limited.success());
    let mut floods = 0;
    while lab.json("c", &["status"])["room"]["short_of_memory"] != true {
        floods += 1;
        assert!(floods < 20, "memory for {} sessions", count(&lab, "c", "sessions", "marker"));
        flood(&lab, (20_000, 5_000), "forged", floods);
    }
    flood(&lab, (20_000, 5_000), "forged", 0);
    let beside = load.stop();
    println!("in {limit} bytes: {beside}, {}", lab.json("c", &["drops"]));
    assert!(beside.lost().is_empty(), "{beside}");
    let all = beside.short_done + beside.short_failed;
    assert!(beside.short_failed * 20 <= all, "more than one of twenty connections failed");
    assert_eq!(pid_of(&lab, "c"), pid, "it is the same process");
    let most = count(&lab, "c", "room", "marker_max");
    assert!(most < 1 << 20, "{most} sessions");
    let said = log_of(&lab, "c").lines().filter(|line| line.contains("gives no more memory")).count();
    assert!((1..=3).contains(&said), "{said} lines");
    lab.assert_books_balance(LIMIT, &NODES);
}

fn node_of(lab: &Lab, name: &str) -> Value {
    let status = lab.status();
    status["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap().clone()
}

fn pid_of(lab: &Lab, name: &str) -> u64 {
    node_of(lab, name)["pid"].as_u64().unwrap()
}

fn log_of(lab: &Lab, name: &str) -> String {
    fs::read_to_string(node_of(lab, name)["log"].as_str().unwrap()).unwrap()
}

fn virtual_bytes(pid: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}
