//! Strangers and garbage on the mesh.

use std::fmt::Write as _;
use std::fs;

use herald::id::{BootId, Mac, PerInterface};
use herald::mesh::codec::{Decoder, Spoken, VERSION_MAX, encode, encode_hello};
use herald::mesh::{Heartbeat, Hello, Message};
use netns_tests::{Lab, eventually};
use serde_json::Value;

use crate::{LIMIT, NODES, assert_grown_by_less, memory};

/// Growth of a node's peak memory in KiB: nothing of the announced 4 GiB is ever asked for.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

/// A host on the mesh, and a peer `0` whom all nodes expect to dial from there.
const CONFIGURATION: &str = r#"
roles = "static"

[holders]
first = "a"
second = "b"

[mesh.peers]
0 = "10.9.0.99:7400"

[lab.hosts.stranger]
network = "mesh"
addresses = ["10.9.0.99/24"]
"#;

/// Sends each of its arguments but the first, the address, as a connection's bytes in hexadecimal; waits until the node
/// closes, and prints what it said before.
const STRANGER: &str = r#"
import socket, sys

with socket.create_connection((sys.argv[1], 7400), timeout=30) as client:
    said = b""
    try:
        client.sendall(bytes.fromhex(sys.argv[2]))
        while some := client.recv(65536):
            said += some
    except ConnectionError:
        # A node that closes with bytes unread resets the connection.
        pass
print(said.hex())
"#;

/// What a node `0` of this lab would say.
fn hello(lab: &Lab) -> Hello {
    Hello {
        version_min: VERSION_MAX,
        version_max: VERSION_MAX,
        cluster: lab.name().to_owned(),
        node: "0".parse().unwrap(),
        boot: BootId(7),
        macs: PerInterface { first: Mac([2, 0, 0, 0, 1, 0x77]), second: Mac([2, 0, 0, 0, 2, 0x77]) },
        addresses: PerInterface { first: Vec::new(), second: Vec::new() },
        config_digest: 0,
    }
}

fn bytes_of(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_hello(hello, &mut bytes).unwrap();
    bytes
}

/// What node `c` says to these bytes before it closes.
fn say(lab: &Lab, bytes: &[u8]) -> Vec<Spoken> {
    let mut text = String::new();
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    let said = lab.exec("stranger", &["python3", "-c", STRANGER, "10.9.0.13", &text]).ok();
    let said: Vec<u8> =
        (0..said.trim().len() / 2).map(|at| u8::from_str_radix(&said[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let (mut decoder, mut rest, mut spoken) = (Decoder::default(), &said[..], Vec::new());
    loop {
        while let Some(one) = decoder.decode(usize::MAX).unwrap() {
            spoken.push(one);
        }
        if rest.is_empty() {
            return spoken;
        }
        let space = decoder.space();
        let len = space.len().min(rest.len());
        space[..len].copy_from_slice(&rest[..len]);
        decoder.filled(len);
        rest = &rest[len..];
    }
}

fn refusals(lab: &Lab) -> Value {
    lab.json("c", &["status"])["refusals"].clone()
}

fn log(lab: &Lab) -> String {
    let status = lab.status();
    let mut nodes = status["nodes"].as_array().unwrap().iter();
    fs::read_to_string(nodes.find(|n| n["node"] == "c").unwrap()["log"].as_str().unwrap()).unwrap()
}

/// The real members are linked, the roles are where they were, and traffic crosses the cluster.
fn assert_all_is_well(lab: &Lab, roles: &Value) {
    assert_eq!(&lab.await_mesh(LIMIT, &NODES), roles);
    for address in ["10.2.0.100", "fd00:2::100"] {
        let output = lab.exec("client", &["ping", "-n", "-c", "1", "-W", "10", address]);
        assert_eq!(output.code, 0, "{}", output.stdout);
    }
}

#[test]
fn a_stranger_on_the_mesh_is_refused_by_name_and_disturbs_nobody() {
    let lab = Lab::up("stranger").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let good = hello(&lab);
    let newer = Hello { version_min: VERSION_MAX + 1, version_max: VERSION_MAX + 2, ..good.clone() };
    let garbage: Vec<u8> = (0..2_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let four_gib = [&u32::MAX.to_be_bytes()[..], &[0, 1], &[0; 64]].concat();
    let mut cut = bytes_of(&good);
    cut.truncate(cut.len() / 2);
    let mut early = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut early).unwrap();
    for (bytes, reason, line, answered) in [
        (bytes_of(&Hello { cluster: "other".into(), ..good.clone() }), "wrong-cluster", "the cluster \"other\"", true),
        (bytes_of(&newer), "no-common-version", "it speaks protocol versions 2 to 3, this node 1 to 1", true),
        (
            bytes_of(&Hello { node: "zz".parse().unwrap(), ..good.clone() }),
            "unknown-node",
            "node zz is not among",
            false,
        ),
        (bytes_of(&Hello { node: "c".parse().unwrap(), ..good.clone() }), "own-id", "this node's own id", false),
        (garbage, "too-long", "bytes was announced", false),
        (four_gib, "too-long", "a message of 4294967295 bytes was announced", false),
        (vec![0; 64], "too-short", "a message of 0 bytes was announced", false),
        (early, "message-before-hello", "came before the hello", false),
        (cut, "slow-hello", "no complete hello came in time", false),
        (Vec::new(), "slow-hello", "no complete hello came in time", false),
    ] {
        let (before, lines) = (refusals(&lab), log(&lab).lines().count());
        let said = say(&lab, &bytes);
        assert_eq!(matches!(said[..], [Spoken::Hello(_)]), answered, "{reason}: {said:?}");
        let count = |refusals: &Value| refusals[reason].as_u64().unwrap_or_default();
        let after = eventually(LIMIT, reason, || Some(refusals(&lab)).filter(|after| count(after) > count(&before)));
        assert_eq!(count(&after), count(&before) + 1, "{reason}: {before} {after}");
        let log = log(&lab);
        let told: Vec<_> =
            log.lines().skip(lines).filter(|l| l.contains("10.9.0.99") && l.contains("refused")).collect();
        assert!(told.len() == 1 && told[0].contains(line), "{reason}: {told:?}");
    }
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        priorities: PerInterface { first: 1, second: 1 },
        epochs: PerInterface { first: None, second: None },
        weight: 100,
        in_sync: false,
        synced: PerInterface::default(),
        draining: false,
        interfaces: PerInterface::default(),
        heard: PerInterface::default(),
        links: Vec::new(),
    }
}

#[test]
fn garbage_of_a_member_ends_its_own_link_only() {
    let lab = Lab::up("garbage").configuration(CONFIGURATION).start();
    let (roles, memory_before) = (lab.await_mesh(LIMIT, &NODES), memory(&lab, "VmHWM:"));
    let hello = bytes_of(&hello(&lab));
    let mut beat = Vec::new();
    encode(&Message::Heartbeat(heartbeat()), &mut beat).unwrap();
    let kind: [u8; 2] = beat[4..6].try_into().unwrap();
    let message = |len: u32, body: &[u8]| [&len.to_be_bytes()[..], &kind[..], body].concat();
    for (bytes, line) in [
        (message(u32::MAX, &[0; 100]), "a message of 4294967295 bytes was announced"),
        (message(2 + 300, &[0xff; 300]), "the body of a message of kind"),
        (message(0, &[]), "a message of 0 bytes was announced"),
        (hello.clone(), "a second hello came"),
    ] {
        let lines = log(&lab).lines().count();
        let said = say(&lab, &[&hello[..], &beat[..], &bytes[..]].concat());
        assert!(matches!(said.first(), Some(Spoken::Hello(_))), "the hello is accepted: {said:?}");
        let told = eventually(LIMIT, line, || {
            let log = log(&lab);
            let told: Vec<_> = log.lines().skip(lines).filter(|l| l.contains("link to 0: ")).collect();
            (!told.is_empty()).then(|| told.join("\n"))
        });
        assert!(told.contains(line) && told.lines().count() == 1, "{told}");
    }
    assert_all_is_well(&lab, &roles);
    assert_grown_by_less(GROWTH_KIB_MAX, &memory_before, &memory(&lab, "VmHWM:"));
    let members = lab.json("c", &["members"]);
    let peer = members.as_array().unwrap().iter().find(|m| m["node"] == "0").unwrap();
    assert_eq!(peer["link"], "down", "{members}");
}
