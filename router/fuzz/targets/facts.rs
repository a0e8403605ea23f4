//! The parsers of facts: any cuts of the bytes say the same, and what is kept has a bound.
//!
//! Input: the length of the pieces; what is said, by the opener and then by whoever answers.

use herald_facts::limits::FACTS_BYTES_MAX;
use herald_facts::ssh::Speaker;
use herald_facts::{Datagrams, Direction, Facts, Progress, Stream, dns, http, quic, ssh, tls};

/// Gives bytes to a parser whole and in pieces.
fn cut<P>(data: &[u8], new: fn() -> P, feed: fn(&mut P, &[u8], &mut Facts) -> Progress) {
    let Some((len, bytes)) = data.split_first() else { return };
    let (mut whole, mut facts) = (new(), Facts::new());
    let progress = feed(&mut whole, bytes, &mut facts);
    let (mut slow, mut same) = (new(), Facts::new());
    for piece in bytes.chunks(usize::from(*len).max(1)) {
        feed(&mut slow, piece, &mut same);
    }
    assert_eq!((feed(&mut slow, &[], &mut same), &same), (progress, &facts));
    let cost: usize = facts.iter().map(|(_, value)| value.cost()).sum();
    assert!(cost <= FACTS_BYTES_MAX, "{cost}");
    assert!(progress != Progress::Need(0));
}

pub(crate) fn run_tls(data: &[u8]) {
    cut(data, tls::ClientParser::new, tls::ClientParser::feed);
    cut(data, tls::ServerParser::new, tls::ServerParser::feed);
}

pub(crate) fn run_http(data: &[u8]) {
    cut(data, http::Parser::new, http::Parser::from_client);
    cut(data, http::Parser::new, http::Parser::from_server);
}

pub(crate) fn run_dns(data: &[u8]) {
    cut(data, dns::Parser::new, dns::Parser::feed);
    dns::datagram(data, &mut Facts::new());
}

pub(crate) fn run_ssh(data: &[u8]) {
    cut(data, || ssh::Parser::new(Speaker::Client), ssh::Parser::feed);
    cut(data, || ssh::Parser::new(Speaker::Server), ssh::Parser::feed);
}

/// Pieces are datagrams here, so they may say other things than the whole.
pub(crate) fn run_quic(data: &[u8]) {
    let (mut parser, mut facts) = (quic::Parser::new(), Facts::new());
    let Some((len, bytes)) = data.split_first() else { return };
    for datagram in bytes.chunks(usize::from(*len).max(1) * 16) {
        parser.datagram(datagram, &mut facts);
    }
    let mut datagrams = Datagrams::new(443);
    datagrams.feed(Direction::FromOpener, data);
    datagrams.feed(Direction::ToOpener, data);
}

/// Both directions, after what the first bytes say.
pub(crate) fn run_stream(data: &[u8]) {
    let Some((len, bytes)) = data.split_first() else { return };
    let (opener, responder) = bytes.split_at(bytes.len() / 2);
    let mut whole = Stream::new();
    whole.feed(Direction::FromOpener, opener);
    whole.feed(Direction::ToOpener, responder);
    let mut slow = Stream::new();
    for piece in opener.chunks(usize::from(*len).max(1)) {
        slow.feed(Direction::FromOpener, piece);
    }
    for piece in responder.chunks(usize::from(*len).max(1)) {
        slow.feed(Direction::ToOpener, piece);
    }
    assert_eq!(whole.facts(), slow.facts());
}
