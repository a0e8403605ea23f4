//! `herald replay` as a user meets it: what becomes of each packet of a capture, the same each time, and captures that are none.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use herald_core::id::Interface;
use herald_testing::frames::{self, ACK, SYN, SYN_ACK};
use herald_testing::layout::{from_host, v6};
use herald_testing::pcap::pcap;
use serde_json::Value;
use tempfile::TempDir;

fn herald(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_herald")).args(arguments).env_remove("HERALD_CONTROL").output().unwrap()
}

fn config() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/one-node/alone.toml").display().to_string()
}

const RULES: &str = r#"plugins=[{name="acl", config={rules=[
    {action="reject", protocol="tcp", destination_ports=23}, {action="drop", protocol="udp", destination_ports=9}]}}]"#;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
}

fn tcp(from: Interface, ports: (u16, u16), segment: frames::Segment<'_>) -> Vec<u8> {
    frames::tcp(from_host(from), ports, segment)
}

/// A connection, one that is refused, a dropped datagram, one for nobody, and what is no packet.
fn packets() -> Vec<Vec<u8>> {
    let (first, second) = (Interface::First, Interface::Second);
    let mut expired = tcp(first, (5000, 80), ACK);
    expired[22] = 1;
    expired[24..26].copy_from_slice(&[0, 0]);
    let sum: u32 = expired[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = !u16::try_from((sum >> 16) + (sum & 0xffff)).unwrap();
    expired[24..26].copy_from_slice(&sum.to_be_bytes());
    let stranger =
        frames::ip([[2; 6], [4; 6]], std::net::Ipv4Addr::new(192, 0, 2, 1), std::net::Ipv4Addr::new(192, 0, 2, 2), 9);
    vec![
        tcp(first, (5000, 80), SYN),
        tcp(second, (80, 5000), SYN_ACK),
        tcp(first, (5000, 80), ACK),
        expired,
        tcp(first, (5001, 23), SYN),
        frames::udp(from_host(second), (1000, 9), b"discard"),
        frames::udp(stranger, (1, 2), b"?"),
    ]
}

const VERDICTS: [(&str, &str); 7] = [
    ("first", "pass"),
    ("second", "pass"),
    ("first", "pass"),
    ("first", "drop"),
    ("first", "reject"),
    ("second", "drop"),
    ("first", "skip"),
];

fn rows(arguments: &[&str]) -> Vec<Value> {
    let output = herald(&[&["replay", "--config", &config(), "--set", RULES, "--json"], arguments].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn verdicts(rows: &[Value]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row["interface"].as_str().unwrap(), row["verdict"].as_str().unwrap())).collect()
}

#[test]
fn each_packet_has_its_verdict_twice_the_same() {
    let files = Files::new();
    let capture = files.file("in.pcap", &pcap(1, &packets()));
    let written = files.path("out.pcapng").display().to_string();
    let first = rows(&[&capture, "--write", &written]);
    assert_eq!(verdicts(&first), VERDICTS);
    assert_eq!((&first[3]["reason"], &first[3]["plugin"]), (&"ttl-exceeded".into(), &Value::Null), "{first:?}");
    assert_eq!((&first[4]["plugin"], &first[5]["plugin"]), (&"acl".into(), &"acl".into()));
    assert_eq!(first[1]["at"], "2023-11-14T22:13:20.001000Z");
    let bytes = std::fs::read(&written).unwrap();
    let again = rows(&[&capture, "--write", &written]);
    assert!(first == again && bytes == std::fs::read(&written).unwrap());
    // What was written is a capture, whose interfaces are named.
    assert_eq!(rows(&[&written]), first);
    for comment in ["pass", "reject by acl: ", "drop: ttl-exceeded"] {
        assert!(bytes.windows(comment.len()).any(|part| part == comment.as_bytes()), "{comment}");
    }
    let text = String::from_utf8(herald(&["replay", &capture, "--config", &config(), "--set", RULES]).stdout).unwrap();
    assert!(text.ends_with("7 packets: pass 3, drop 2, reject 1, skip 1\n"), "{text}");
    assert!(
        text.contains(
            "     5  2023-11-14T22:13:20.004000Z  first   tcp 10.1.0.100:5001 10.2.0.100:23  reject by acl: "
        )
    );
}

#[test]
fn streams_are_shown_in_order_and_leave_with_the_bytes_that_were_shown() {
    let (first, second) = (Interface::First, Interface::Second);
    let says = |sequence, payload| {
        let acknowledgement = SYN_ACK.sequence + 1;
        tcp(first, (5000, 80), frames::Segment { flags: 16, sequence, acknowledgement, payload })
    };
    // The second piece comes first, and once more with other bytes.
    let begin = SYN.sequence + 1;
    let pieces = [says(begin + 5, b"world"), says(begin, b"hello"), says(begin + 5, b"WORLD")];
    let handshake = [tcp(first, (5000, 80), SYN), tcp(second, (80, 5000), SYN_ACK), tcp(first, (5000, 80), ACK)];
    let files = Files::new();
    let capture = files.file("in.pcap", &pcap(1, &[&handshake[..], &pieces[..]].concat()));
    let written = files.path("out.pcapng").display().to_string();
    let output = herald(&["replay", &capture, "--streams", "--json", "--write", &written]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sha256 = "936a185caaa266bb9cbe981e9e05cb78cd732b0b3280eb944412bb6f8f8f07af";
    let stream = &shown[0];
    assert_eq!(stream["from_opener"], serde_json::json!({"bytes": 10, "sha256": sha256}), "{shown}");
    assert_eq!((&stream["source"], &stream["destination"]), (&"10.1.0.100:5000".into(), &"10.2.0.100:80".into()));
    assert_eq!(stream["to_opener"]["bytes"], 0);
    assert_eq!((&stream["end"], &stream["gaps"], &stream["conflicts"]), (&"open".into(), &0.into(), &1.into()));
    assert_eq!(shown.as_array().unwrap().len(), 1);
    let bytes = std::fs::read(&written).unwrap();
    let count = |part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
    assert_eq!((count(b"hello"), count(b"world"), count(b"WORLD")), (1, 2, 0));
}

#[test]
fn facts_are_shown_of_connections_and_behind_them_of_datagrams() {
    let (first, second) = (Interface::First, Interface::Second);
    let query = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
    let mut forged = frames::udp(from_host(first), (1001, 53), query);
    // Its checksum is wrong now: nobody reads it.
    *forged.last_mut().unwrap() = 2;
    let says = |flags, sequence, payload| frames::Segment { flags, sequence, acknowledgement: 501, payload };
    let head = b"GET /a HTTP/1.1\r\nHost: www.test\r\n\r\n";
    let capture = [
        frames::udp(from_host(first), (1000, 53), query),
        forged,
        frames::udp(from_host(first), (1002, 9), b"no facts"),
        tcp(first, (5000, 80), SYN),
        tcp(second, (80, 5000), SYN_ACK),
        tcp(first, (5000, 80), says(16, 101 + 20, &head[20..])),
        tcp(first, (5000, 80), says(16, 101, &head[..20])),
    ];
    let files = Files::new();
    let capture = files.file("in.pcap", &pcap(1, &capture));
    let shown: Value = serde_json::from_slice(&herald(&["replay", &capture, "--streams", "--json"]).stdout).unwrap();
    let requests = &shown[0]["facts"]["http.requests"];
    assert_eq!((&requests[0]["host"], &requests[0]["path"]), (&"www.test".into(), &"/a".into()), "{shown}");
    let exchange = &shown[1];
    assert_eq!((&exchange["protocol"], &exchange["source"]), (&"udp".into(), &"10.1.0.100:1000".into()));
    assert_eq!((&exchange["from_opener"]["bytes"], &exchange["to_opener"]["bytes"]), (&query.len().into(), &0.into()));
    assert_eq!(exchange["facts"]["dns.questions"][0]["name"], "a.test");
    assert_eq!(shown.as_array().unwrap().len(), 2, "{shown}");
    let text = String::from_utf8(herald(&["replay", &capture, "--streams"]).stdout).unwrap();
    assert!(text.contains("gaps 0  conflicts 0\n    http.requests  [{"), "{text}");
    assert!(text.ends_with("7 packets, 1 connections; dropped 0\n"), "{text}");
}

#[test]
fn what_a_capture_lacks_is_a_gap_and_ends_what_parsers_say() {
    let (first, second) = (Interface::First, Interface::Second);
    let head = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let len = u32::try_from(head.len()).unwrap();
    let says = |from, sequence, acknowledgement, payload| {
        let ports = if from == first { (5000, 80) } else { (80, 5000) };
        tcp(from, ports, frames::Segment { flags: 16, sequence, acknowledgement, payload })
    };
    let mut capture = vec![
        tcp(first, (5000, 80), SYN),
        tcp(second, (80, 5000), SYN_ACK),
        says(first, 101, 501, head),
        // Ten bytes are not there, and this is no request.
        says(second, 501, 101 + len + 10, b"HTTP/1.1 204 no\r\n\r\n"),
        says(first, 101 + len + 10, 520, head),
    ];
    let files = Files::new();
    let shown = |capture: &[Vec<u8>]| -> Value {
        let capture = files.file("in.pcap", &pcap(1, capture));
        serde_json::from_slice(&herald(&["replay", &capture, "--streams", "--json"]).stdout).unwrap()
    };
    let rows = shown(&capture);
    assert_eq!((&rows[0]["gaps"], &rows[0]["from_opener"]["bytes"]), (&1.into(), &(2 * len).into()), "{rows}");
    assert_eq!(rows[0]["to_opener"]["bytes"], 19);
    let facts = &rows[0]["facts"];
    assert_eq!(facts["http.requests"].as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(facts["http.responses"][0]["status"], 204);
    // Who goes on where it was has not sent them: the acknowledgement is a lie.
    capture[4] = says(first, 101 + len, 501, head);
    let rows = shown(&capture);
    assert_eq!((&rows[0]["gaps"], &rows[0]["to_opener"]["bytes"]), (&0.into(), &0.into()), "{rows}");
    assert_eq!(rows[0]["facts"]["http.requests"].as_array().unwrap().len(), 2, "{rows}");
}

#[test]
fn links_without_ethernet_are_read_too() {
    let files = Files::new();
    let raw: Vec<Vec<u8>> = packets().iter().map(|packet| packet[14..].to_vec()).collect();
    let cooked = |head: &[u8]| raw.iter().map(|packet| [head, packet].concat()).collect::<Vec<_>>();
    let sll = [&[0, 0, 0, 1, 0, 6][..], &[2; 8], &[8, 0]].concat();
    let sll2 = [&[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6][..], &[2; 8]].concat();
    for (name, bytes) in
        [("raw", pcap(101, &raw)), ("sll", pcap(113, &cooked(&sll))), ("sll2", pcap(276, &cooked(&sll2)))]
    {
        assert_eq!(verdicts(&rows(&[&files.file(name, &bytes)])), VERDICTS, "{name}");
    }
}

#[test]
fn a_packet_of_ipv6_finds_its_neighbour() {
    let files = Files::new();
    let ip = frames::ip([[2; 6], [4; 6]], v6(Interface::First, 100), v6(Interface::Second, 100), 64);
    let capture = files.file("in.pcap", &pcap(1, &[frames::udp(ip, (1000, 53), b"?")]));
    let six = [r#"interfaces.first.addresses=["fd00:1::11/64"]"#, r#"interfaces.second.addresses=["fd00:2::11/64"]"#];
    let virtual_six =
        [r#"interfaces.first.virtual_addresses=["fd00:1::1"]"#, r#"interfaces.second.virtual_addresses=["fd00:2::1"]"#];
    let sets = [six, virtual_six].concat();
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let rows = rows(&[&[&capture[..]], &sets[..]].concat());
    assert_eq!(verdicts(&rows), [("first", "pass")], "{rows:?}");
}

#[test]
fn what_is_no_whole_capture_is_refused_with_its_place() {
    let files = Files::new();
    let good = pcap(1, &packets());
    let mut short = good.clone();
    short.truncate(good.len() - 3);
    let mut cut = pcap(1, &packets()[..1]);
    // The second of the lengths of the first packet: what it had on the wire.
    cut[36..40].copy_from_slice(&1500_u32.to_le_bytes());
    for (name, bytes, expected) in [
        (
            "text",
            b"not a capture at all, just text that is long enough".to_vec(),
            "text: at byte 0: this is no pcap or pcapng capture",
        ),
        ("empty", Vec::new(), "empty: at byte 0: this is no pcap"),
        ("short", short, ": the file ends in the middle of a packet"),
        ("link", pcap(105, &packets()), "link: at byte 24: a packet of link type 105; Ethernet (1)"),
        ("cut", cut, "cut: at byte 24: a packet of 1500 bytes of which"),
        ("head", pcap(1, &[vec![1, 2, 3]]), "head: at byte 24: a packet of 3 bytes ends in its Ethernet header"),
        ("sll", pcap(113, &[vec![0; 9]]), "sll: at byte 24: a packet of 9 bytes ends in its link header"),
    ] {
        let output = herald(&["replay", &files.file(name, &bytes), "--config", &config()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.starts_with("herald: ") && said.contains(expected) && said.lines().count() == 1, "{name}: {said}");
    }
    let output = herald(&["replay", "/nonexistent.pcap", "--config", &config()]);
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("herald: /nonexistent.pcap: "));
    let capture = files.file("in.pcap", &good);
    let output = herald(&["replay", &capture, "--config", &config(), "--write", "/nonexistent/out.pcapng"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nonexistent/out.pcapng: cannot be written"));
}
