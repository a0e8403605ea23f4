//! A host that forges all signs of members' lives: their adverts, ARP and neighbour discovery from their MACs, and answers to
//! what they are asked. The dead are missed as soon as without it, and who lives keeps the roles.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::time::Duration;

use herald::io::clock;
use netns_tests::{Lab, Running, eventually, pause};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// In this time the dead are missed, whatever is forged, on a machine that is busy with other tests: without a host that
/// forges it is 360 ms.
const MISSED_TIME: Duration = Duration::from_secs(3);

/// For so long a host forges: much longer than that.
const FORGED_S: u32 = 12;

/// Forges the lives of NUMBER=MAC... on the first network for SECONDS, every 20 ms; with "adverts" the holder's, too. What the
/// living ask the dead comes to this port, as the switch learns their MACs here; it is answered with tags that nobody made.
const FORGER: &str = r#"
import os, select, socket, struct, sys, time

end = time.monotonic() + float(sys.argv[1])
members = [(int(number), bytes.fromhex(mac.replace(":", ""))) for number, mac in (m.split("=") for m in sys.argv[3:])]
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("eth0", 0))
asked = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
asked.bind(("eth0", 0x88b5))
everyone = b"\xff" * 6

def sum_of(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total & 0xffff) + (total >> 16)
    return struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff)

def link_local(mac):
    return bytes.fromhex("fe80000000000000") + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]

def ipv6(macs, source, target, protocol, body, place):
    pseudo = source + target + struct.pack("!II", len(body), protocol)
    body = body[:place] + sum_of(pseudo + body) + body[place + 2:]
    return macs + b"\x86\xdd\x60\0\0\0" + struct.pack("!HBB", len(body), protocol, 255) + source + target + body

def advert_v4(number):
    source, group = bytes([10, 1, 0, 10 + number]), bytes([224, 0, 0, 18])
    body = bytes([0x31, 1, 255, 1, 0, 10, 0, 0, 10, 1, 0, 1])
    pseudo = source + group + struct.pack("!HH", 112, len(body))
    body = body[:6] + sum_of(pseudo + body) + body[8:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 255, 112, 0) + source + group
    macs = bytes.fromhex("01005e000012" "00005e000101")
    return macs + b"\x08\0" + head[:10] + sum_of(head) + head[12:] + body

def advert_v6(mac):
    addresses = bytes.fromhex("fe8000000000000002005efffe000201" "fd000001000000000000000000000001")
    macs, group = bytes.fromhex("333300000012" "00005e000201"), bytes.fromhex("ff020000000000000000000000000012")
    return ipv6(macs, link_local(mac), group, 112, bytes([0x31, 1, 255, 2, 0, 10, 0, 0]) + addresses, 6)

def life(number, mac):
    own = bytes([10, 1, 0, 10 + number])
    yield everyone + mac + bytes.fromhex("0806000108000604" "0001") + mac + own + b"\0" * 6 + bytes([10, 1, 0, 100])
    group = bytes.fromhex("ff0200000000000000000001ff000064")
    solicit = b"\x87\0\0\0\0\0\0\0" + bytes.fromhex("fd000001000000000000000000000064") + b"\x01\x01" + mac
    yield ipv6(bytes.fromhex("3333ff000064") + mac, link_local(mac), group, 58, solicit, 2)
    if sys.argv[2] == "adverts":
        yield advert_v4(number)
        yield advert_v6(mac)

heard, next_at = 0, 0
while time.monotonic() < end:
    if time.monotonic() >= next_at:
        next_at = time.monotonic() + 0.02
        for number, mac in members:
            for frame in life(number, mac):
                out.send(frame)
    if not select.select([asked], [], [], 0.01)[0]:
        continue
    frame, (_, _, kind, *_) = asked.recvfrom(2048)
    if kind == socket.PACKET_OUTGOING or frame[18] != 1 or frame[:6] not in [mac for _, mac in members]:
        continue
    heard += 1
    for word in (2, 3):
        for tag in (b"\0" * 16, frame[30:46]):
            out.send(frame[6:12] + frame[:6] + frame[12:18] + bytes([word, 0, 0, 0]) + frame[22:30] + tag)
print(heard)
"#;

/// A cluster of so many nodes whose roles are taken.
fn lab(hint: &str, nodes: u8) -> Lab {
    let lab = Lab::up(hint).guest().nodes(nodes).start();
    assert_eq!(holder(&lab, "b", "first"), "a");
    lab
}

fn holder(lab: &Lab, node: &str, role: &str) -> String {
    lab.json(node, &["roles"])[role]["holder"].as_str().unwrap_or_default().to_owned()
}

fn state(lab: &Lab, node: &str, of: &str) -> String {
    let members = lab.json(node, &["members"]);
    let found = members.as_array().unwrap().iter().find(|row| row["node"] == of).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

fn drops(lab: &Lab, node: &str, reason: &str) -> u64 {
    lab.json(node, &["drops"])[reason].as_u64().unwrap_or(0)
}

/// A host begins to forge members' lives, by "adverts" and all else, or by all "else".
fn forge(lab: &Lab, by: &str, members: &[&str]) -> Running {
    let seconds = FORGED_S.to_string();
    let mut program: Vec<String> = ["python3", "-c", FORGER, &seconds, by].map(str::to_owned).into();
    program.extend(members.iter().map(|node| {
        let status: Value = lab.json(node, &["status"]);
        let mac = status.pointer("/interfaces/first/mac").unwrap().as_str().unwrap();
        format!("{}={mac}", node.as_bytes()[0] - b'a' + 1)
    }));
    lab.spawn("guest", &program)
}

/// Answered pings from the client to the server, of which there are 20 a second.
fn pings(lab: &Lab, count: u32) -> u32 {
    let said = lab.exec("client", &["ping", "-q", "-i", "0.05", "-W", "1", "-c", &count.to_string(), "10.2.0.100"]);
    let line = said.stdout.lines().find(|line| line.contains("received")).unwrap().to_owned();
    line.split(", ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_stopped_holder_is_succeeded_although_a_host_forges_its_adverts() {
    for nodes in [3, 2] {
        let lab = lab("forged-holder", nodes);
        let forger = forge(&lab, "adverts", &["a"]);
        // From before it is stopped, so that there is no gap.
        pause(Duration::from_millis(500));
        lab.kill("a", "STOP");
        let stopped = clock::now();
        let next = eventually(LIMIT, "another node holds the role", || {
            Some(holder(&lab, "b", "first")).filter(|holder| !["", "a"].contains(&holder.as_str()))
        });
        let took = clock::now().since(stopped);
        println!("{nodes} nodes: {next} holds the role {took:?} after the holder was stopped");
        assert!(took < MISSED_TIME, "{took:?}");
        eventually(LIMIT, "it is dead", || (state(&lab, "b", "a") == "dead").then_some(()));
        pause(Duration::from_secs(2));
        assert_eq!((holder(&lab, "b", "first"), state(&lab, "b", "a")), (next, "dead".to_owned()), "and stays so");
        assert!(drops(&lab, "b", "vrrp-unproven") > 10 && drops(&lab, "b", "probe-unproven") > 10);
        drop(forger);
    }
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn streams_of_a_stopped_node_move_although_a_host_forges_its_life() {
    let lab = lab("forged-chosen", 3);
    assert_eq!(pings(&lab, 10), 10);
    let _forger = forge(&lab, "else", &["c"]);
    // A stream of pings, with the node that it was given to stopped in its midst.
    let answered = std::thread::scope(|scope| {
        let talk = scope.spawn(|| pings(&lab, 160));
        pause(Duration::from_secs(1));
        lab.kill("c", "STOP");
        talk.join().unwrap()
    });
    println!("{answered} of 160 pings, 20 a second, were answered");
    assert!(answered >= 100, "{answered}");
    assert_eq!([state(&lab, "a", "c"), state(&lab, "b", "c")], ["dead", "dead"]);
    assert!(drops(&lab, "a", "probe-unproven") > 10, "what was forged came");
}

#[test]
fn who_is_left_alone_keeps_the_roles_although_a_host_forges_the_others_lives() {
    let lab = lab("forged-side", 3);
    let _forger = forge(&lab, "else", &["b", "c"]);
    lab.kill("b", "STOP");
    lab.kill("c", "STOP");
    pause(MISSED_TIME);
    assert_eq!([holder(&lab, "a", "first"), holder(&lab, "a", "second")], ["a", "a"]);
    assert_eq!(pings(&lab, 60), 60);
    assert_eq!([holder(&lab, "a", "first"), holder(&lab, "a", "second")], ["a", "a"]);
    assert_eq!([state(&lab, "a", "b"), state(&lab, "a", "c")], ["dead", "dead"]);
    assert!(drops(&lab, "a", "probe-unproven") > 10, "what was forged came");
}
