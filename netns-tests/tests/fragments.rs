//! Datagrams longer than the MTU, as real hosts send them and as scapy forges them: through three nodes, of which a and b hold
//! the redirectors and c is chosen, to the gateway itself, and into a network with a smaller MTU.

#![expect(clippy::indexing_slicing, reason = "a test's own steps may panic too")]

use std::collections::BTreeMap;
use std::time::Duration;

use netns_tests::{CapturedFrame, Lab, echo_server, eventually};
use serde_json::Value;

/// For anything that takes a moment on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends datagrams of some lengths, which may be fragmented anywhere, and prints how many came back as they were sent.
/// Arguments: address, lengths.
const ASK: &str = r#"
import random, socket, sys

address, lengths = sys.argv[1], [int(length) for length in sys.argv[2:]]
answered = 0
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
    if ":" not in address:
        client.setsockopt(socket.IPPROTO_IP, 10, 0)
    client.connect((address, 9000))
    client.settimeout(5)
    for length in lengths:
        data = random.randbytes(length)
        for _ in range(3):
            try:
                client.send(data)
                answered += client.recv(65535) == data
                break
            except OSError:
                pass
print(answered)
"#;

#[track_caller]
fn assert_echoed(lab: &Lab, host: &str, address: &str, lengths: &[&str]) {
    let command = [&["python3", "-c", ASK, address], lengths].concat();
    assert_eq!(
        lab.exec(host, &command).ok().trim(),
        lengths.len().to_string(),
        "{host} to {address}, {lengths:?} bytes"
    );
}

fn drops(lab: &Lab, reason: &str) -> u64 {
    let of = |node| lab.json(node, &["drops"])[reason].as_u64().unwrap_or_default();
    ["a", "b", "c"].into_iter().map(of).sum()
}

/// True for a fragment of a datagram of UDP.
fn is_fragment(frame: &CapturedFrame) -> bool {
    match frame.bytes.get(12..14) {
        Some([8, 0]) => frame.bytes[23] == 17 && u16::from_be_bytes([frame.bytes[20], frame.bytes[21]]) & 0x3fff != 0,
        Some([0x86, 0xdd]) => frame.bytes[20] == 44,
        _ => false,
    }
}

/// What must be the same on both networks, and the TTL.
fn essence(frame: &CapturedFrame) -> (Vec<u8>, usize, u8) {
    let mut bytes = frame.bytes[14..].to_vec();
    let ttl = if bytes[0] >> 4 == 4 {
        (bytes[10], bytes[11]) = (0, 0);
        std::mem::take(&mut bytes[8])
    } else {
        std::mem::take(&mut bytes[7])
    };
    (bytes, frame.len, ttl)
}

/// How often each fragment was on the wire, by its TTL.
fn counted(frames: &[CapturedFrame]) -> BTreeMap<(Vec<u8>, usize, u8), usize> {
    let mut counted = BTreeMap::new();
    frames.iter().filter(|frame| is_fragment(frame)).for_each(|frame| *counted.entry(essence(frame)).or_default() += 1);
    counted
}

#[test]
fn long_datagrams_cross_both_ways_and_their_fragments_leave_as_they_came() {
    for redirect in ["ethernet", "mesh"] {
        let lab = Lab::up("fragments").static_roles().set("redirect", redirect).start();
        let _servers = [echo_server(&lab, "server"), echo_server(&lab, "client")];
        let mut captures = [lab.capture("first"), lab.capture("second")];
        for address in ["10.2.0.100", "fd00:2::100"] {
            assert_echoed(&lab, "client", address, &["1400", "4000", "30000", "65000"]);
        }
        for address in ["10.1.0.100", "fd00:1::100"] {
            assert_echoed(&lab, "server", address, &["1400", "4000", "30000", "65000"]);
        }
        let [first, second] = captures.each_mut().map(|capture| counted(&capture.frames()));
        for (here, there) in [(&first, &second), (&second, &first)] {
            let sent: Vec<_> = here.keys().filter(|(_, _, ttl)| *ttl == 64).collect();
            assert!(sent.len() > 200, "{} fragments", sent.len());
            for (bytes, len, _) in sent {
                assert_eq!(there.get(&(bytes.clone(), *len, 63)), Some(&1), "it left once, as it came: {bytes:02x?}");
            }
        }
        for node in ["a", "b", "c"] {
            assert!(lab.books(node).count("joined") > 200, "{node} joins");
        }
        lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
    }
}

/// Sends datagrams of both families in fragments of its own: with an overlap, without the end, and in the reverse order.
const FORGE: &str = r#"
from scapy.all import Ether, IP, IPv6, UDP, Raw, fragment, sendp
from scapy.layers.inet6 import IPv6ExtHdrFragment, fragment6

for number, what in enumerate(["overlap", "short", "reversed"], 77):
    text = what.encode() + b"." * 2000
    for family in 4, 6:
        if family == 4:
            front = Ether(dst="00:00:5e:00:01:01")
            whole = IP(src="10.1.0.100", dst="10.2.0.100", id=number) / UDP(sport=4000, dport=9000) / Raw(text)
            parts = fragment(whole, fragsize=800)
        else:
            front = Ether(dst="00:00:5e:00:02:01")
            whole = IPv6(src="fd00:1::100", dst="fd00:2::100") / IPv6ExtHdrFragment(id=number)
            parts = fragment6(whole / UDP(sport=4000, dport=9000) / Raw(text), 856)
        assert len(parts) == 3, parts
        if what == "reversed":
            parts.reverse()
        elif what == "overlap":
            other = parts[1].copy()
            if family == 4:
                other.frag -= 1
                del other.chksum
            else:
                other[IPv6ExtHdrFragment].offset -= 1
            parts.insert(1, other)
        elif what == "short":
            parts = parts[:2]
        for part in parts:
            sendp(front / part, iface="eth0", verbose=False)
"#;

/// Prints the first eight bytes of each datagram.
const RECEIVER: &str = r#"
import socket

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
    server.bind(("::", 9000))
    print("ready", flush=True)
    while True:
        data, peer = server.recvfrom(65535)
        print(data[:8].decode(), len(data), flush=True)
"#;

/// A lab after [`FORGE`]: only what is whole has arrived.
#[track_caller]
fn forged() -> Lab {
    let lab = Lab::up("forged").static_roles().start();
    let server = lab.spawn("server", &["python3", "-c", RECEIVER]);
    eventually(LIMIT, "the receiver is ready", || server.stdout().contains("ready").then_some(()));
    let mut capture = lab.capture("second");
    let _nothing_said = lab.exec("client", &["/usr/bin/python3", "-c", FORGE]).ok();
    let got = eventually(LIMIT, "both datagrams came", || {
        let said = server.stdout();
        (said.lines().count() >= 3).then_some(said)
    });
    assert_eq!(got, "ready\nreversed 2008\nreversed 2008\n");
    assert_eq!(drops(&lab, "fragment-overlap"), 8);
    let left = capture.frames().iter().filter(|frame| is_fragment(frame)).count();
    assert_eq!(left, 6, "only whole datagrams leave");
    lab
}

#[test]
fn any_order_is_right_and_what_overlaps_or_lacks_a_part_reaches_nobody() {
    let _lab = forged();
}

#[test]
#[ignore = "takes long: netns-tests/run --long runs it"]
fn what_lacks_a_part_is_kept_until_its_time_is_over() {
    let lab = forged();
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
    assert_eq!(drops(&lab, "fragment-timed-out"), 4);
}

#[track_caller]
fn assert_pinged(lab: &Lab, host: &str, arguments: &[&str]) {
    let output = lab.exec(host, &[&["ping", "-n", "-c", "2", "-i", "0.05", "-W", "5"], arguments].concat());
    assert!(output.code == 0 && output.stdout.contains("2 received"), "{host} pings {arguments:?}: {}", output.stdout);
}

#[test]
fn pings_of_any_size_reach_hosts_and_the_gateway() {
    let lab = Lab::up("pings").static_roles().start();
    for size in ["1452", "1473", "3000", "60000"] {
        for address in ["10.2.0.100", "fd00:2::100", "10.1.0.1", "fd00:1::1", "10.1.0.13", "fd00:1::13"] {
            assert_pinged(&lab, "client", &["-s", size, address]);
        }
    }
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}

#[test]
fn a_smaller_network_gets_smaller_fragments() {
    let lab = Lab::up("smaller").static_roles().set("interfaces.second.mtu", 1400).start();
    let _server = echo_server(&lab, "server");
    let mut capture = lab.capture("second");
    // Too long for the second network only; then with fragments that are.
    assert_echoed(&lab, "client", "10.2.0.100", &["1450", "4000", "30000"]);
    assert_pinged(&lab, "client", &["-M", "dont", "-s", "1472", "10.2.0.100"]);
    // The source of IPv6 has to cut, and does when it was told.
    assert_echoed(&lab, "client", "fd00:2::100", &["4000", "1450", "30000"]);
    let frames = capture.frames();
    assert!(frames.iter().all(|frame| frame.len <= 14 + 1400), "longer than the MTU");
    let status: Value = lab.json("c", &["status"]);
    assert!(status["frames"]["cut"].as_u64() > Some(0), "{status}");
    lab.assert_books_balance(LIMIT, &["a", "b", "c"]);
}
