//! Bytes that are meant to exhaust a parser: each ends in an oddity with a name, and what is kept has a bound.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use herald_facts::limits::{FACTS_BYTES_MAX, RECORD_BYTES_MAX};
use herald_facts::{Datagrams, Direction, Facts, Stream};
use serde_json::Value;

/// What an opener says in pieces, until its stream ends; and whether it did.
fn said(pieces: impl IntoIterator<Item = Vec<u8>>) -> (Facts, bool) {
    let mut stream = Stream::new();
    for piece in pieces {
        if stream.feed(Direction::FromOpener, &piece).is_end() {
            return (stream.facts().clone(), true);
        }
    }
    (stream.facts().clone(), false)
}

fn has_oddity(facts: &Facts, fact: &str, oddity: &str) -> bool {
    let facts = serde_json::to_value(facts).unwrap();
    facts[fact].as_array().is_some_and(|list| list.contains(&Value::from(oddity)))
}

/// A hello that announces 64 KiB and one byte, and says them in whole records.
fn long_hello() -> Vec<Vec<u8>> {
    let mut hello = vec![1, 1, 0, 1, 3, 3];
    hello.resize(4 + 0x1_0001, 0);
    let record = |part: &[u8]| {
        let len = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &len, part].concat()
    };
    hello.chunks(RECORD_BYTES_MAX).map(record).collect()
}

#[test]
fn streams_that_never_end_are_refused_by_name() {
    let (facts, has_ended) = said(long_hello());
    assert!(has_ended && has_oddity(&facts, "tls.oddities", "hello too long"), "{facts:?}");
    let begin = [b"GET / HTTP/1.1\r\n".to_vec()];
    for line in [&b"A: b\r\n"[..], b"aaaaaaaa"] {
        let lines = std::iter::repeat_n(line.to_vec(), 100_000);
        let (facts, has_ended) = said(begin.iter().cloned().chain(lines));
        assert!(has_ended && has_oddity(&facts, "http.oddities", "head too long"), "{facts:?}");
    }
    let (facts, has_ended) = said(std::iter::repeat_n(b"SSH-2.0-".to_vec(), 1_000));
    assert!(has_ended && has_oddity(&facts, "ssh.oddities", "banner too long"), "{facts:?}");
}

#[test]
fn requests_without_end_leave_facts_out_and_are_refused() {
    let request = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n".repeat(64);
    let (facts, has_ended) = said(std::iter::repeat_n(request, 1_000));
    assert!(has_ended && has_oddity(&facts, "http.oddities", "too many unanswered requests"));
    let cost: usize = facts.iter().map(|(_, value)| value.cost()).sum();
    assert!(cost <= FACTS_BYTES_MAX && facts.left_out() > 3_000, "{cost} bytes, {} left out", facts.left_out());
}

/// A query for a name: labels of one byte, and a pointer to where the name's own bytes begin, or before.
fn query(labels: usize, pointer: u8) -> Vec<u8> {
    let name = [&b"\x01a".repeat(labels)[..], &[0xc0, pointer]].concat();
    [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name, &[0, 1, 0, 1]].concat()
}

#[test]
fn names_of_many_labels_in_loops_are_refused_by_name() {
    // Byte 12 is the first label: every turn would say the name once more.
    for (labels, pointer, oddity) in [(255, 12, "name too long"), (100, 12, "pointer leads not backwards")] {
        let query = query(labels, pointer);
        let mut datagrams = Datagrams::new(53);
        assert!(datagrams.feed(Direction::FromOpener, &query).is_end());
        assert!(has_oddity(datagrams.facts(), "dns.oddities", oddity), "{labels} labels: {:?}", datagrams.facts());
    }
}
