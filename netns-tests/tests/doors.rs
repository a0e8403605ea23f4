//! The doors of a node, with real kernels: a server that answers to the MAC that a packet came from, redirects that a host forges,
//! and plugins that fail: whom that harms, and how it ends.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::fs;
use std::time::Duration;

use netns_tests::{Capture, Lab, Running, binary, echo, eventually};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

const NODES: [&str; 3] = ["a", "b", "c"];

/// A second host on the first network.
const EVIL: &str = r#"
[lab.hosts.evil]
network = "first"
addresses = ["10.1.0.66/24"]
"#;

/// Answers ARP and echo requests for the address that is its argument, each to the MAC that it came from.
const REFLECTOR: &str = r#"
import socket, sys

own = socket.inet_aton(sys.argv[1])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind(("eth0", 0))
mac = link.getsockname()[4]

def checksum(data):
    total = sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return (~total & 0xffff).to_bytes(2, "big")

print("ready", flush=True)
while True:
    frame, address = link.recvfrom(2000)
    if address[2] == socket.PACKET_OUTGOING:
        continue
    to, kind = frame[6:12], frame[12:14]
    if kind == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == own:
        link.send(to + mac + frame[12:20] + b"\0\2" + mac + own + frame[22:32])
    elif kind == b"\x08\0" and frame[23] == 1 and frame[30:34] == own and frame[34] == 8:
        echo = frame[34:]
        echo = b"\0\0\0\0" + echo[4:]
        echo = echo[:2] + checksum(echo + b"\0" * (len(echo) % 2)) + echo[4:]
        link.send(to + mac + frame[12:26] + own + frame[26:30] + echo)
"#;

/// Sends datagrams from the MAC that is its first argument to the MAC that is its second, each from another port, and so of
/// another stream.
const FORGER: &str = r#"
import socket, struct, sys

macs = [bytes.fromhex(mac.replace(":", "")) for mac in sys.argv[1:3]]
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0))
ends = socket.inet_aton("10.1.0.66") + socket.inet_aton("10.2.0.100")

def ip(length):
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 64, 17, 0) + ends
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + head[12:]

for port in range(20000, 20000 + int(sys.argv[3])):
    link.send(macs[1] + macs[0] + b"\x08\0" + ip(36) + struct.pack("!HHHH", port, 9, 16, 0) + b"a datagr")
"#;

/// Says something to the server that echoes ten times in a second, and prints a line for each answer.
const TALKER: &str = r#"
import itertools, socket, time

with socket.create_connection(("10.2.0.100", 7), timeout=20) as talk:
    for number in itertools.count():
        talk.sendall(b"hello")
        talk.recv(5, socket.MSG_WAITALL)
        print("answered", flush=True)
        time.sleep(0.1)
"#;

/// Sends datagrams of so many streams on which the plugin panics, from the addresses between two, one after the other; pauses
/// when each has sent one.
const BOOM: &str = r#"
import ipaddress, socket, sys, time

first, last = (int(ipaddress.ip_address(address)) for address in sys.argv[2:4])
for number in range(int(sys.argv[1])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        source = first + number % (last - first + 1)
        client.bind((str(ipaddress.ip_address(source)), 0))
        client.sendto(b"boom", ("10.2.0.100", 7))
        if source == last and last > first:
            time.sleep(0.2)
"#;

/// The last bytes of the crowd's addresses.
const CROWD: std::ops::RangeInclusive<u8> = 30..=89;

fn mac(lab: &Lab, node: &str, interface: &str) -> String {
    lab.json(node, &["status"])["interfaces"][interface]["mac"].as_str().unwrap().to_owned()
}

fn python(lab: &Lab, host: &str, program: &str, arguments: &[&str]) -> String {
    lab.exec(host, &[&["python3", "-c", program], arguments].concat()).ok()
}

fn ping(lab: &Lab, address: &str) {
    let output = lab.exec("client", &["ping", "-n", "-i", "0.1", "-c", "10", "-W", "10", address]);
    assert!(output.stdout.contains(" 0% packet loss"), "{address}: {}", output.stdout);
}

/// Frames of a capture from one MAC to another.
fn frames_to(mut capture: Capture, to: &str) -> usize {
    let to: Vec<u8> = to.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    capture.frames().iter().filter(|frame| frame.bytes[..6] == to[..] && frame.bytes[12..14] == [8, 0]).count()
}

fn answers_to_the_source_mac(redirect: &str) {
    let lab = Lab::up("doors").set("redirect", redirect).start();
    let mut reflector = lab.spawn("server", &["python3", "-c", REFLECTOR, "10.2.0.200"]);
    eventually(LIMIT, "the reflector listens", || {
        assert!(reflector.ended().is_none(), "{}", reflector.stderr());
        reflector.stdout().contains("ready").then_some(())
    });
    let capture = lab.capture("second");
    ping(&lab, "10.2.0.200");
    // By default no redirector is chosen: c sent what came, and gets the answers.
    assert_eq!(frames_to(capture, &mac(&lab, "c", "second")), 10, "the answers go to the node that sent the requests");
    assert_eq!((lab.books("c").count("straight"), lab.books("c").count("handed_to_holder")), (10, 0));
    drop(reflector);
    // A kernel whose gateway is one node's own MAC. a has to ask b, which holds the second redirector.
    let _echo = echo(&lab);
    for node in NODES {
        let mac = mac(&lab, node, "second");
        let neighbour = ["ip", "neigh", "replace", "10.2.0.1", "lladdr", &mac, "dev", "eth0", "nud", "permanent"];
        let _nothing_said = lab.exec("server", &neighbour).ok();
        let before = lab.books(node);
        ping(&lab, "10.2.0.100");
        let after = lab.books(node);
        let counted = |name: &str| after.count(name) - before.count(name);
        assert!(counted("straight") >= 10, "{node}: {after:?}");
        assert_eq!(counted("handed_to_holder") >= 10, node == "a", "{node}: {after:?}");
    }
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn a_server_that_answers_to_the_source_mac_is_heard() {
    answers_to_the_source_mac("ethernet");
}

#[test]
fn a_server_that_answers_to_the_source_mac_is_heard_where_the_mesh_redirects() {
    answers_to_the_source_mac("mesh");
}

#[test]
fn forged_redirects_begin_no_stream_where_none_would_begin() {
    const FORGED: u64 = 200;
    let lab = Lab::up("forged").set("redirect", "ethernet").configuration(EVIL).start();
    let _echo = echo(&lab);
    let macs = NODES.map(|node| mac(&lab, node, "first"));
    let sessions = |node: &str| lab.json(node, &["status"])["sessions"]["marker"].as_u64().unwrap();
    let _nothing_said = python(&lab, "evil", FORGER, &[&macs[0], &macs[1], &FORGED.to_string()]);
    eventually(LIMIT, "b hands them to a", || (lab.books("b").count("handed_to_holder") == FORGED).then_some(()));
    assert_eq!((lab.books("b").count("unproven"), sessions("b")), (FORGED, 0));
    // a gives them to c, as it does with what comes to the virtual MAC.
    eventually(LIMIT, "they begin where they would", || (sessions("c") == FORGED).then_some(()));
    ping(&lab, "10.2.0.100");
    lab.assert_books_balance(LIMIT, &NODES);
}

/// Answers that the talker had.
fn answers(talker: &mut Running) -> usize {
    assert!(talker.ended().is_none(), "{}", talker.stderr());
    talker.stdout().lines().count()
}

fn log_of(lab: &Lab, node: &str) -> String {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    fs::read_to_string(nodes.find(|n| n["node"] == node).unwrap()["log"].as_str().unwrap()).unwrap()
}

fn told(lab: &Lab, node: &str, name: &str) -> Vec<Value> {
    let lines = lab.exec(node, &[binary().to_str().unwrap(), "events"]).ok();
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == name).collect()
}

fn events(lab: &Lab, node: &str, name: &str) -> usize {
    told(lab, node, name).len()
}

/// What each node says of its plugins, and what `a` says of each node's.
fn plugins(lab: &Lab) -> ([String; 3], Vec<String>) {
    let own = NODES.map(|node| lab.json(node, &["status"])["plugins"].as_str().unwrap().to_owned());
    let members = lab.json("a", &["members"]);
    (own, members.as_array().unwrap().iter().map(|m| m["plugins"].as_str().unwrap().to_owned()).collect())
}

/// A host that has many addresses, and so is many sources.
fn crowd() -> String {
    let addresses: Vec<_> = CROWD.map(|number| format!("\"10.1.0.{number}/24\"")).collect();
    format!("[lab.hosts.crowd]\nnetwork = \"first\"\naddresses = [{}]\n", addresses.join(", "))
}

fn faulty(lab: &Lab, node: &str) -> Value {
    lab.json(node, &["plugins"])[0].clone()
}

fn pings(lab: &Lab, host: &str) -> bool {
    lab.exec(host, &["ping", "-n", "-c", "1", "-W", "2", "10.2.0.100"]).code == 0
}

fn faulty_lab(name: &str) -> Lab {
    let plugins = r#"[{name = "faulty", config = {when = "packet", payload = "boom"}}]"#;
    Lab::up(name).set("plugins", plugins).configuration(&crowd()).start()
}

/// A connection of the client to the server that echoes, of which something was heard.
fn talking(lab: &Lab) -> Running {
    let mut talker = lab.spawn("client", &["python3", "-c", TALKER]);
    eventually(LIMIT, "the connection is open", || (answers(&mut talker) > 3).then_some(()));
    talker
}

fn goes_on(talker: &mut Running) {
    let before = answers(talker);
    eventually(LIMIT, "the open connection goes on", || (answers(talker) > before + 5).then_some(()));
}

#[test]
fn twelve_panicking_datagrams_of_one_host_end_nobody_elses_service() {
    let lab = faulty_lab("twelve");
    let _echo = echo(&lab);
    let mut talker = talking(&lab);
    // By default no redirector is chosen: all streams are c's.
    let boom = || {
        let before = lab.books("c").count("dropped");
        let _nothing_said = python(&lab, "client", BOOM, &["12", "10.1.0.100", "10.1.0.100"]);
        eventually(LIMIT, "all have come", || (lab.books("c").count("dropped") >= before + 12).then_some(()));
        faulty(&lab, "c")
    };
    // Streams that begin in one batch are all begun before the first packet of them is judged.
    let first = boom();
    let row = boom();
    assert_eq!((&row["faults"], &row["state"]), (&first["faults"], &"ok".into()), "the plugin is not called again");
    let limited = row["reasons"]["source-limit"].as_u64().unwrap();
    assert_eq!(limited + row["faults"].as_u64().unwrap(), 24, "{row}");
    assert_eq!((&row["fault_cause"], &row["fault_source"]), (&"packets".into(), &"10.1.0.100".into()));
    assert_eq!(plugins(&lab).0, ["ok"; 3].map(str::to_owned));
    let told = told(&lab, "c", "source-limited");
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["plugin"], &told[0]["source"]), (&"faulty".into(), &"10.1.0.100".into()));
    let why = lab.json("c", &["why"]);
    let rules: Vec<_> = why.as_array().unwrap().iter().filter(|row| row["plugin"] == "faulty").collect();
    assert!(
        rules.iter().any(|row| row["rule"] == "source-limit" && row["source"].as_str().unwrap().contains("10.1.0.100"))
    );
    assert!(pings(&lab, "crowd"), "nobody else feels it");
    assert!(!pings(&lab, "client"), "what it opens is judged by the policy");
    goes_on(&mut talker);
    eventually(LIMIT, "its faults are forgiven", || pings(&lab, "client").then_some(()));
    assert_eq!(events(&lab, "c", "plugin-suspended"), 0);
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn a_node_whose_plugin_is_suspended_gives_its_streams_away_and_recovers() {
    let lab = faulty_lab("suspended");
    let _echo = echo(&lab);
    let roles = lab.json("a", &["roles"]);
    let mut talker = talking(&lab);
    assert_eq!(lab.json("c", &["status"])["sessions"]["marker"], 1);
    let _nothing_said = python(&lab, "crowd", BOOM, &["60", "10.1.0.30", "10.1.0.89"]);
    eventually(LIMIT, "c is passed over", || (events(&lab, "a", "node-suspended") > 0).then_some(()));
    let said = told(&lab, "c", "plugin-suspended");
    assert_eq!((&said[0]["plugin"], &said[0]["reason"]), (&"faulty".into(), &"packets".into()));
    assert!(said[0]["source"].as_str().unwrap().starts_with("10.1.0."), "{said:?}");
    goes_on(&mut talker);
    let owner = lab.json("b", &["status"])["sessions"]["marker"].as_u64().unwrap()
        + lab.json("a", &["status"])["sessions"]["marker"].as_u64().unwrap();
    assert!(owner >= 1, "a or b has the connection");
    assert_eq!(lab.json("a", &["roles"]), roles, "roles stay");
    for node in NODES {
        assert!(log_of(&lab, node).contains("c has a suspended plugin whose fault policy is closed"), "{node}");
    }
    eventually(LIMIT, "c judges again", || {
        let _may_be_the_trial = pings(&lab, "client");
        (events(&lab, "c", "plugin-resumed") > 0).then_some(())
    });
    let ok = ["ok"; 3].map(str::to_owned);
    eventually(LIMIT, "all say so", || (plugins(&lab) == (ok.clone(), ok.to_vec())).then_some(()));
    assert_eq!(faulty(&lab, "c")["state"], "ok");
    goes_on(&mut talker);
    ping(&lab, "10.2.0.100");
    lab.assert_books_balance(LIMIT, &NODES);
}

#[test]
fn when_all_are_suspended_the_policy_decides_until_they_recover() {
    let lab = faulty_lab("all-suspended");
    let _echo = echo(&lab);
    let booming = lab.spawn("crowd", &["python3", "-c", BOOM, "1000000", "10.1.0.30", "10.1.0.89"]);
    for node in NODES {
        eventually(LIMIT, "all are suspended", || (events(&lab, node, "all-suspended") > 0).then_some(()));
        assert!(log_of(&lab, node).contains("every node that may be chosen has a suspended plugin"), "{node}");
    }
    drop(booming);
    let ok = ["ok"; 3].map(str::to_owned);
    eventually(LIMIT, "all recover by themselves", || {
        let _may_be_the_trial = pings(&lab, "client");
        (plugins(&lab).0 == ok).then_some(())
    });
    eventually(LIMIT, "the first trial ends well", || pings(&lab, "client").then_some(()));
    ping(&lab, "10.2.0.100");
    lab.assert_books_balance(LIMIT, &NODES);
}
