//! The captures that `HERALD_CAPTURES` names: what their `expected.json` says of applications is what the facts say.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use herald_facts::{Datagrams, Direction, Facts, Stream};
use serde_json::{Value, json};

/// What one direction of a TCP stream carried, in order.
#[derive(Default)]
struct Half {
    next: Option<u32>,
    ahead: BTreeMap<u32, Vec<u8>>,
}

impl Half {
    /// The bytes that have come in order with this segment.
    fn segment(&mut self, sequence: u32, syn: bool, payload: &[u8]) -> Vec<u8> {
        if syn {
            self.next = Some(sequence.wrapping_add(1));
        }
        let mut next = *self.next.get_or_insert(sequence);
        self.ahead.entry(sequence).or_default().extend_from_slice(payload);
        let mut bytes = Vec::new();
        while let Some(piece) = self.ahead.remove(&next) {
            next = next.wrapping_add(u32::try_from(piece.len()).unwrap());
            bytes.extend(piece);
        }
        self.next = Some(next);
        bytes
    }
}

/// The facts of a capture with one stream. The client is 10.1.0.100.
fn facts(file: &Path) -> Facts {
    let bytes = fs::read(file).unwrap();
    let (mut stream, mut datagrams) = (Stream::new(), None);
    let mut halves = [Half::default(), Half::default()];
    let mut rest = &bytes[24..];
    while let Some((header, more)) = rest.split_first_chunk::<16>() {
        let len = u32::from_le_bytes(header[8..12].try_into().unwrap());
        let (frame, more) = more.split_at(usize::try_from(len).unwrap());
        rest = more;
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(NetSlice::Ipv4(network)) = &packet.net else { panic!("only IPv4 here") };
        let from_client = network.header().source() == [10, 1, 0, 100];
        let direction = if from_client { Direction::FromOpener } else { Direction::ToOpener };
        match &packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let half = &mut halves[usize::from(from_client)];
                // Before the SYN only its own number counts.
                let bytes = half.segment(tcp.sequence_number(), tcp.syn(), if tcp.syn() { &[] } else { tcp.payload() });
                stream.feed(direction, &bytes);
            }
            Some(TransportSlice::Udp(udp)) => {
                let port = if from_client { udp.destination_port() } else { udp.source_port() };
                datagrams.get_or_insert_with(|| Datagrams::new(port)).feed(direction, udp.payload());
            }
            other => panic!("{other:?}"),
        }
    }
    datagrams.map_or_else(|| stream.facts().clone(), |datagrams| datagrams.facts().clone())
}

/// The parts of a list's elements under one key.
fn column(list: &Value, key: &str) -> Value {
    list.as_array().into_iter().flatten().map(|element| element[key].clone()).collect()
}

/// True if the facts say what one key of an `app` says.
fn agrees(facts: &Value, key: &str, expected: &Value) -> bool {
    let either = |name: &str| [&facts[format!("tls.{name}")], &facts[format!("quic.{name}")]];
    let requests = &facts["http.requests"];
    let questions = &facts["dns.questions"];
    let odd = |name: &str, oddity: &Value| facts[name].as_array().is_some_and(|list| list.contains(oddity));
    match key {
        "sni" if expected.is_null() => either("sni").into_iter().all(Value::is_null),
        "sni" | "alpn" | "second_sni" | "ech" | "dcid" => either(key).contains(&expected),
        "quic" => &facts["quic.version"] == expected,
        "requests" => {
            expected.as_array().unwrap().iter().enumerate().all(|(place, wanted)| {
                let request = &requests[place];
                let host_line = wanted.get("host_line").is_none_or(|line| request["host_lines"] == json!([line]));
                // Bodies are no facts: `body` is not compared.
                ["method", "path", "host"].iter().all(|part| request[part] == wanted[part]) && host_line
            }) && requests.as_array().map(Vec::len) == expected.as_array().map(Vec::len)
        }
        "ambiguous" if expected == "host" => {
            odd("http.oddities", &json!("host twice")) && requests[0]["host"].is_null()
        }
        "ambiguous" => odd("http.oddities", expected),
        "second_request_if" => expected == "te" && requests[1]["path"] == "/admin",
        "hosts" => &requests[0]["host_lines"] == expected,
        "client" | "server" => &facts[format!("ssh.{key}_banner")] == expected,
        "qname" => &questions[0]["name"] == expected && questions.as_array().unwrap().len() == 1,
        "qtype" => &questions[0]["type"] == expected,
        "answer" => &facts["dns.answers"][0]["data"] == expected,
        "qnames" => &column(questions, "name") == expected,
        "udp_size" => &facts["dns.udp_size"] == expected,
        "malformed" => odd("dns.oddities", &json!("pointer leads not backwards")) && questions.is_null(),
        "second" => odd("dns.oddities", &json!("name too long")) && expected == "malformed",
        other => panic!("nobody knows what {other:?} says"),
    }
}

#[test]
fn captures_say_what_is_expected() {
    let Some(folder) = std::env::var_os("HERALD_CAPTURES") else {
        println!("HERALD_CAPTURES names no folder of captures: nothing is compared");
        return;
    };
    let folder = Path::new(&folder);
    let all: Value = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (name, case) in all["cases"].as_object().unwrap() {
        let Some(app) = case.get("app") else { continue };
        let facts = serde_json::to_value(facts(&folder.join(case["file"].as_str().unwrap()))).unwrap();
        for (key, expected) in app.as_object().unwrap() {
            seen += 1;
            if !agrees(&facts, key, expected) {
                wrong.push(format!("{name}: {key} should be {expected}; the facts are {facts}"));
            }
        }
    }
    println!("{seen} expectations were compared");
    assert!(seen > 0 && wrong.is_empty(), "{seen} compared:\n{}", wrong.join("\n"));
}
