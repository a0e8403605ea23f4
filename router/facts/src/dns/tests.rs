//! Messages built here, and bytes of any kind.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Parser, datagram};
use crate::limits::{FACTS_BYTES_MAX, LIST_LEN_MAX};
use crate::{Facts, Oddity, Progress};

/// A name in labels.
fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A message with these flags, counts and sections.
fn message(flags: u16, counts: [u16; 4], sections: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0xab, 0xcd];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    bytes.extend(sections.concat());
    bytes
}

fn question(text: &str, kind: u16) -> Vec<u8> {
    [&name(text)[..], &kind.to_be_bytes(), &[0, 1]].concat()
}

fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    [name, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &len, data].concat()
}

fn query(text: &str) -> Vec<u8> {
    message(0x0100, [1, 0, 0, 0], &[&question(text, 1)])
}

fn read(bytes: &[u8]) -> (Progress, Json) {
    let mut facts = Facts::new();
    let progress = datagram(bytes, &mut facts);
    (progress, serde_json::to_value(&facts).unwrap())
}

#[test]
fn questions_and_answers_are_read() {
    let (progress, facts) = read(&query("WWW.Example.test"));
    assert_eq!(progress, Progress::Done);
    assert_eq!(facts, json!({"dns.questions": [{"name": "www.example.test", "type": 1, "class": 1}]}));
    // The answers' names point to the question's, the alias's data to its last two labels.
    let alias = record(&[0xc0, 12], 5, &[1, b'a', 0xc0, 16]);
    let v4 = record(&[0xc0, 12], 1, &[192, 0, 2, 7]);
    let v6 = record(&name("a.example.test"), 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let text = record(&[0xc0, 12], 16, b"\x03abc");
    let options = [&[0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0][..]].concat();
    let sections = [&question("www.example.test", 1)[..], &alias, &v4, &v6, &text, &options];
    let (progress, facts) = read(&message(0x8183, [1, 4, 0, 1], &sections));
    assert_eq!(progress, Progress::Done);
    assert_eq!(
        facts,
        json!({
            "dns.answers": [
                {"name": "www.example.test", "type": 5, "ttl": 60, "data": "a.example.test"},
                {"name": "www.example.test", "type": 1, "ttl": 60, "data": "192.0.2.7"},
                {"name": "a.example.test", "type": 28, "ttl": 60, "data": "2001:db8::1"},
                {"name": "www.example.test", "type": 16, "ttl": 60},
            ],
            "dns.response_code": 3,
        })
    );
    let (_, facts) = read(&message(0, [1, 0, 0, 1], &[&question("", 2), &options]));
    assert_eq!(facts, json!({"dns.questions": [{"name": ".", "type": 2, "class": 1}], "dns.udp_size": 1232}));
}

#[test]
fn broken_messages_say_nothing_but_that() {
    let labels = |last: usize| {
        let label = |len: usize| [&[u8::try_from(len).unwrap()][..], &vec![b'a'; len]].concat();
        [label(63), label(63), label(63), label(last), vec![0, 0, 1, 0, 1]].concat()
    };
    assert_eq!(read(&message(0, [1, 0, 0, 0], &[&labels(61)])).0, Progress::Done);
    let asked = question("a.test", 1);
    let cases: &[(Vec<u8>, Oddity)] = &[
        (message(0, [1, 0, 0, 0], &[&labels(62)]), Oddity::DnsNameTooLong),
        (message(0, [1, 0, 0, 0], &[&[0xc0, 12, 0, 1, 0, 1]]), Oddity::DnsPointer),
        (message(0, [1, 0, 0, 0], &[&[0xc0, 14, 0xc0, 12, 0, 1, 0, 1]]), Oddity::DnsPointer),
        (message(0, [1, 0, 0, 0], &[&[1, b'a', 0xc0, 12, 0, 1, 0, 1]]), Oddity::DnsPointer),
        (message(0, [1, 0, 0, 0], &[&[0xff, 0xff, 0, 1, 0, 1]]), Oddity::DnsPointer),
        (message(0, [1, 0, 0, 0], &[&[0x41, 0, 0, 1, 0, 1]]), Oddity::DnsMessage),
        (message(0, [1, 0, 0, 0], &[&[5, b'a', 0]]), Oddity::DnsMessage),
        (message(0, [2, 0, 0, 0], &[&asked]), Oddity::DnsMessage),
        (message(0x8000, [1, 0xffff, 0xffff, 0xffff], &[&asked]), Oddity::DnsMessage),
        (message(0x8000, [0, 1, 0, 0], &[&record(&[0], 1, &[1, 2, 3])]), Oddity::DnsMessage),
        (message(0x8000, [0, 1, 0, 0], &[&record(&[0], 5, &[0, 0])]), Oddity::DnsMessage),
        (query("a.test").split_at(11).0.to_vec(), Oddity::DnsMessage),
    ];
    for (bytes, oddity) in cases {
        assert_eq!(read(bytes), (Progress::Refused(*oddity), json!({"dns.oddities": [oddity]})), "{bytes:?}");
    }
}

#[test]
fn what_is_odd_is_told() {
    let asked = question("a.test", 1);
    let (_, facts) = read(&message(0, [2, 0, 0, 0], &[&asked, &asked, &[0]]));
    assert_eq!(facts["dns.oddities"], json!(["more than one question", "bytes behind the message"]));
    let (_, facts) = read(&query("_dmarc.test"));
    assert_eq!(facts["dns.oddities"], json!(["name is no host name"]));
    let (_, facts) = read(&message(0, [1, 0, 0, 0], &[&[4, b'a', b'.', 0, b'\\', 0, 0, 16, 0, 1]]));
    assert_eq!(facts, json!({"dns.questions": [{"name": "a\\.\\000\\\\", "type": 16, "class": 1}]}));
}

/// Feeds the bytes in pieces.
fn stream(bytes: &[u8], cut: usize) -> (Progress, Facts) {
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    for piece in bytes.chunks(cut) {
        parser.feed(piece, &mut facts);
    }
    (parser.feed(&[], &mut facts), facts)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[test]
fn messages_over_tcp_follow_one_another() {
    let bytes = [framed(&query("a.test")), framed(&query("b.test"))].concat();
    for cut in 1..bytes.len() {
        let (progress, facts) = stream(&bytes, cut);
        assert_eq!(progress, Progress::Need(2));
        let json = serde_json::to_value(&facts).unwrap();
        assert_eq!(
            (&json["dns.questions"][0]["name"], &json["dns.questions"][1]["name"]),
            (&json!("a.test"), &json!("b.test"))
        );
    }
    assert_eq!(stream(&[0, 9, 1], 1).0, Progress::Need(8));
    assert_eq!(stream(&framed(&[]), 1).0, Progress::NotThis);
    assert_eq!(stream(&framed(b"GET / HTTP/1.1"), 3).0, Progress::NotThis);
    let looping = message(0, [1, 0, 0, 0], &[&[0xc0, 12, 0, 1, 0, 1]]);
    assert_eq!(stream(&framed(&looping), 5).0, Progress::Refused(Oddity::DnsPointer));
}

#[test]
fn a_message_full_of_long_names_is_read() {
    let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(3);
    let first = [&long[..], &[0, 0, 1, 0, 1]].concat();
    let records = record(&[0xc0, 12], 1, &[1, 2, 3, 4]).repeat(4_000);
    let (progress, facts) = read(&message(0x8000, [1, 4_000, 0, 0], &[&first, &records]));
    // An answer counts for its name, its address and a part for itself; the others are left out.
    let fitting = FACTS_BYTES_MAX / (191 + "1.2.3.4".len() + 128);
    assert!(fitting < LIST_LEN_MAX);
    assert_eq!((progress, facts["dns.answers"].as_array().unwrap().len()), (Progress::Done, fitting));
    assert_eq!(facts["left_out"], json!(4_000 - fitting));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
        read(&message(0x8000, [1, 1, 1, 1], &[&bytes]));
    }

    #[test]
    fn any_cuts_say_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..60), whole in 0_usize..3, cut in 1_usize..30,
    ) {
        let bytes = [framed(&query("a.test")).repeat(whole), bytes].concat();
        prop_assert_eq!(stream(&bytes, cut), stream(&bytes, usize::MAX));
    }
}
