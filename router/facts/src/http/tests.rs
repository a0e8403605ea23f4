//! Connections built here, in any cuts, with what receivers read in two ways.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Parser;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_UNANSWERED_MAX, LIST_LEN_MAX};
use crate::{FactName, Facts, Oddity, Progress};

/// What a client says, whole and byte by byte.
fn client(bytes: &[u8]) -> (Progress, Facts) {
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    let progress = parser.from_client(bytes, &mut facts);
    let (mut slow, mut same) = (Parser::new(), Facts::new());
    for byte in bytes {
        slow.from_client(&[*byte], &mut same);
    }
    assert_eq!((slow.from_client(&[], &mut same), &same), (progress, &facts), "{}", bytes.escape_ascii());
    (progress, facts)
}

/// What a client and then a server say.
fn both(client: &[u8], server: &[u8]) -> (Progress, Facts) {
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    parser.from_client(client, &mut facts);
    let progress = parser.from_server(server, &mut facts);
    let (mut slow, mut same) = (Parser::new(), Facts::new());
    slow.from_client(client, &mut same);
    for byte in server {
        slow.from_server(&[*byte], &mut same);
    }
    assert_eq!((slow.from_server(&[], &mut same), &same), (progress, &facts), "{}", server.escape_ascii());
    (progress, facts)
}

fn json_of(facts: &Facts, name: FactName) -> Json {
    json!(facts.get(name))
}

fn requests(bytes: &[u8]) -> Json {
    let (progress, facts) = client(bytes);
    assert_eq!(progress, Progress::Need(1), "{facts:?}");
    json_of(&facts, FactName::HttpRequests)
}

#[test]
fn requests_are_read_one_behind_the_other() {
    let bytes = b"GET /one?q HTTP/1.1\r\nHost: WWW.Example.test:8080\r\nX: y\r\n\r\n\
        POST /two HTTP/1.1\r\nhost:  b.test \r\nContent-Length: 31\r\n\r\nGET /not HTTP/1.1\r\nHost: x\r\n\r\n.\
        PUT /three HTTP/1.1\r\nHost: c.test\r\nTransfer-Encoding: Chunked\r\n\r\n\
        1b;x=y\r\nGET /not HTTP/1.1\r\nA: b\r\n\r\n\r\n1 \r\na\r\n0\r\nTrailer: 1\r\n\r\n\
        OPTIONS * HTTP/1.0\r\n\r\n";
    assert_eq!(
        requests(bytes),
        json!([
            {"method": "GET", "path": "/one?q", "host": "www.example.test", "port": 8080, "version": "1.1"},
            {"method": "POST", "path": "/two", "host": "b.test", "version": "1.1"},
            {"method": "PUT", "path": "/three", "host": "c.test", "version": "1.1"},
            {"method": "OPTIONS", "path": "*", "host": null, "version": "1.0"},
        ])
    );
}

/// Heads that are read with an oddity: what stands behind the first line and Host, and what is odd.
#[test]
fn what_may_be_read_in_two_ways_is_told() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", "null", &["host twice"]),
        ("GET / HTTP/1.1\r\n\r\n", "null", &["no host"]),
        ("GET http://B.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "\"b.test\"", &["target and host differ"]),
        ("GET http://a.test/ HTTP/1.1\r\nHost: A.test\r\n\r\n", "\"a.test\"", &[]),
        ("GET http://x@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "\"a.test\"", &["user information in target"]),
        ("GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n", "\"a.test,\\\\032b.test\"", &["host is no host name"]),
        ("GET / HTTP/1.1\nHost: a.test\r\n\r\n", "\"a.test\"", &["line feed without carriage return"]),
        (
            "\r\n\nGET / HTTP/1.0\r\n\r\n",
            "null",
            &["line feed without carriage return", "empty lines before a request"],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\ncontent-length: 0\r\n\r\n",
            "\"a.test\"",
            &["content-length twice"],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "\"a.test\"",
            &["content-length and transfer-encoding"],
        ),
    ];
    for (bytes, host, oddities) in cases {
        let (progress, facts) = client(bytes.as_bytes());
        assert_eq!(progress, Progress::Need(1), "{bytes:?}");
        let requests = json_of(&facts, FactName::HttpRequests);
        assert_eq!(requests[0]["host"].to_string(), *host, "{bytes:?}");
        let expected = if oddities.is_empty() { Json::Null } else { json!(oddities) };
        assert_eq!(
            (&requests[0]["oddities"], json_of(&facts, FactName::HttpOddities)),
            (&expected, expected.clone()),
            "{bytes:?}"
        );
    }
    let lines = requests(b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test:1\r\n\r\n");
    assert_eq!(lines[0]["host_lines"], json!(["a.test", "b.test:1"]));
    let lines = requests(b"GET http://b.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!((&lines[0]["path"], &lines[0]["host_lines"]), (&json!("/x"), &json!(["a.test"])));
}

#[test]
fn what_cannot_be_framed_is_refused() {
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    let cases: &[(&str, Oddity)] = &[
        ("Content-Length: 1\r\nContent-Length: 2\r\n\r\n", Oddity::HttpLength),
        ("Content-Length: +1\r\n\r\n", Oddity::HttpLength),
        ("Content-Length: 1, 1\r\n\r\n", Oddity::HttpLength),
        ("Content-Length:\r\n\r\n", Oddity::HttpLength),
        ("Content-Length: 99999999999999999999\r\n\r\n", Oddity::HttpLength),
        ("Transfer-Encoding: xchunked\r\n\r\n", Oddity::HttpTransferEncoding),
        ("Transfer-Encoding: chunked, identity\r\n\r\n", Oddity::HttpTransferEncoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", Oddity::HttpTransferEncoding),
        ("Transfer-Encoding : chunked\r\n\r\n", Oddity::HttpHeaderName),
        ("A: b\r\n Transfer-Encoding: chunked\r\n\r\n", Oddity::HttpHeaderName),
        ("A: b\rTransfer-Encoding: chunked\r\n\r\n", Oddity::HttpHeaderValue),
        ("A: \0\r\n\r\n", Oddity::HttpHeaderValue),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", Oddity::HttpChunk),
        ("Transfer-Encoding: chunked\r\n\r\n\r\n", Oddity::HttpChunk),
        ("Transfer-Encoding: chunked\r\n\r\n5\n", Oddity::HttpChunk),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\naX\r\n", Oddity::HttpChunk),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\na\n", Oddity::HttpChunk),
        ("Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", Oddity::HttpChunk),
    ];
    for (rest, oddity) in cases {
        let (progress, facts) = client(format!("{head}{rest}").as_bytes());
        assert_eq!(progress, Progress::Refused(*oddity), "{rest:?}");
        assert!(json_of(&facts, FactName::HttpOddities).as_array().is_some_and(|list| list.contains(&json!(oddity))));
    }
    for line in ["GET\t/ HTTP/1.1", "GET /", "GET  / HTTP/1.1", "GET a.test HTTP/1.1", "GET / HTTP/3.0"] {
        let (progress, _) = client(format!("{line}\r\nHost: a.test\r\n\r\n").as_bytes());
        assert_eq!(progress, Progress::Refused(Oddity::HttpFirstLine), "{line:?}");
    }
    let (progress, facts) = client(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(progress, Progress::Refused(Oddity::HttpOldTransferEncoding), "{facts:?}");
}

#[test]
fn other_protocols_are_not_this() {
    for bytes in
        [&b"\x16\x03\x01"[..], b"(x)\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{}\r\n\r\n", &[b'A'; 40], b" GET"]
    {
        assert_eq!(client(bytes).0, Progress::NotThis, "{}", bytes.escape_ascii());
    }
    assert_eq!(both(b"", b"HTTP/2 200\r\n").0, Progress::NotThis);
    assert_eq!(both(b"", b"220 smtp\r\n").0, Progress::NotThis);
}

#[test]
fn heads_chunks_and_requests_have_bounds() {
    let endless = [&b"GET / HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(HTTP_HEAD_BYTES_MAX / 6)].concat();
    assert_eq!(client(&endless).0, Progress::Refused(Oddity::HttpHeadTooLong));
    let line = [b"GET /", &[b'a'; HTTP_HEAD_BYTES_MAX][..]].concat();
    assert_eq!(client(&line).0, Progress::Refused(Oddity::HttpHeadTooLong));
    let with = |lines: usize| [&b"GET / HTTP/1.0\r\n"[..], &b"A: b\r\n".repeat(lines), b"\r\n"].concat();
    assert_eq!(client(&with(HTTP_HEADERS_MAX)).0, Progress::Need(1));
    assert_eq!(client(&with(HTTP_HEADERS_MAX + 1)).0, Progress::Refused(Oddity::HttpTooManyHeaders));
    let chunk = [&b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;"[..], &[b'x'; 300]].concat();
    assert_eq!(client(&chunk).0, Progress::Refused(Oddity::HttpChunk));
    // Ten thousand requests, one behind the other: some are kept, and nobody waits for more answers than that.
    let (progress, facts) = client(&b"GET / HTTP/1.0\r\n\r\n".repeat(10_000));
    assert_eq!(progress, Progress::Refused(Oddity::HttpUnanswered));
    assert_eq!(json_of(&facts, FactName::HttpRequests).as_array().map(Vec::len), Some(LIST_LEN_MAX));
    assert_eq!(facts.left_out(), (HTTP_UNANSWERED_MAX + 1 - LIST_LEN_MAX) as u64);
}

#[test]
fn answered_requests_go_on_without_end_if_facts_are_taken() {
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    for _ in 0..HTTP_UNANSWERED_MAX * 2 {
        assert_eq!(parser.from_client(b"GET / HTTP/1.0\r\n\r\n", &mut facts), Progress::Need(1));
        assert_eq!(parser.from_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", &mut facts), Progress::Need(1));
        assert!(facts.take(FactName::HttpRequests).is_some() && facts.take(FactName::HttpResponses).is_some());
    }
    assert_eq!(facts.left_out(), 0);
}

#[test]
fn responses_end_as_their_requests_say() {
    let statuses = |client: &str, server: &str| {
        let (progress, facts) = both(client.as_bytes(), server.as_bytes());
        let list = json_of(&facts, FactName::HttpResponses);
        let list = list.as_array().cloned().unwrap_or_default();
        (progress, list.iter().map(|response| response["status"].as_u64().unwrap_or(0)).collect::<Vec<_>>())
    };
    let more = Progress::Need(1);
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let (get, head) = ("GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.0\r\n\r\n");
    assert_eq!(statuses(&get.repeat(2), &format!("{ok}abc{ok}abc")), (more, vec![200, 200]));
    assert_eq!(statuses(&format!("{head}{get}"), &format!("{ok}{ok}abc")), (more, vec![200, 200]));
    assert_eq!(
        statuses(&format!("{head}{get}"), &format!("HTTP/1.1 103 Hints\r\n\r\n{ok}{ok}abc")),
        (more, vec![103, 200, 200])
    );
    assert_eq!(statuses(get, &format!("HTTP/1.1 304 Not\r\nContent-Length: 3\r\n\r\n{ok}abc")), (more, vec![304, 200]));
    assert_eq!(statuses(get, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 no\r\n\r\n"), (Progress::Done, vec![200]));
    assert_eq!(
        statuses(get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 204 no\r\n\r\n"),
        (more, vec![200, 204])
    );
    assert_eq!(
        statuses("CONNECT a.test:1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nSSH-"),
        (Progress::Done, vec![200])
    );
    let refused = statuses(get, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
    assert_eq!(refused, (Progress::Refused(Oddity::HttpLength), vec![200]));
    // After a switch the client's bytes are of another protocol.
    let (mut parser, mut facts) = (Parser::new(), Facts::new());
    parser.from_client(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", &mut facts);
    assert_eq!(parser.from_server(b"HTTP/1.1 101 Switch\r\n\r\n\0\x01", &mut facts), Progress::Done);
    assert_eq!(parser.from_client(b"\x81\x05hello", &mut facts), Progress::Done);
}

proptest! {
    #[test]
    fn any_bytes_never_panic_and_cuts_say_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        client(&bytes);
        both(b"", &bytes);
        client(&[b"GET / HTTP/1.1\r\n", &bytes[..]].concat());
        client(&[b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat());
    }

    #[test]
    fn lines_of_any_kind_never_panic_and_cuts_say_the_same(
        parts in proptest::collection::vec(prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", "\r\n", "\n", "\r", "Host: a.test\r\n", "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n", "0\r\n", "3\r\nabc\r\n", "abc", " x\r\n", "HEAD /x HTTP/1.0\n", ":", "A:", "\0",
        ]), 0..20),
    ) {
        let bytes = parts.concat();
        client(bytes.as_bytes());
        both(bytes.as_bytes(), bytes.as_bytes());
    }
}
