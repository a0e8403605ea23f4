//! The bytes of a peer: through one connection, in pieces of any size, and through the decoder. What is decoded can be
//! encoded and is decoded as the same; where the stream is cut changes nothing but the words of an error.
//!
//! Input: who dialled and which lane, size of the pieces, bytes.

use std::mem::discriminant;

use herald_core::id::{BootId, NodeId, PerInterface};
use herald_core::limits::MESSAGE_LEN_MAX;
use herald_core::mesh::codec::{
    Decoder, Spoken, decode_message, encode, encode_greeting, encode_numbered, encode_ping, encode_pong,
    encode_received,
};
use herald_core::mesh::link::{Identity, Input, Link, LinkEvent};
use herald_core::mesh::{Hello, Lane, PeerError, Side};
use herald_core::time::Instant;

pub(crate) fn run(data: &[u8]) {
    let &[choices, piece, ref bytes @ ..] = data else { return };
    let whole = decode(bytes, bytes.len());
    let piece = usize::from(piece) + 1;
    let pieces = decode(bytes, piece);
    assert_eq!(pieces.0, whole.0, "in pieces of {piece}");
    assert_eq!(pieces.1.as_ref().map(discriminant), whole.1.as_ref().map(discriminant), "in pieces of {piece}");
    whole.0.iter().for_each(check_encoding);
    through_a_link(choices, piece, bytes);
}

fn decode(bytes: &[u8], piece: usize) -> (Vec<Spoken>, Option<PeerError>) {
    let (mut decoder, mut decoded) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            let space = decoder.space();
            let len = space.len().min(rest.len());
            assert!(len > 0, "no space for the next bytes");
            space[..len].copy_from_slice(&rest[..len]);
            decoder.filled(len);
            rest = &rest[len..];
            loop {
                match decoder.decode(MESSAGE_LEN_MAX) {
                    Ok(Some(spoken)) => decoded.push(spoken),
                    Ok(None) => break,
                    Err(error) => return (decoded, Some(error)),
                }
            }
        }
    }
    (decoded, None)
}

fn check_encoding(spoken: &Spoken) {
    let mut bytes = Vec::new();
    match spoken {
        Spoken::Greeting(greeting) => encode_greeting(greeting, &mut bytes),
        Spoken::Message(None, message) => encode(message, &mut bytes),
        Spoken::Message(Some(number), message) => encode_numbered(*number, message, &mut bytes),
        Spoken::Received(number) => encode_received(*number, &mut bytes),
        Spoken::Ping(nonce) => encode_ping(*nonce, &mut bytes),
        Spoken::Pong(nonce) => encode_pong(*nonce, &mut bytes),
        Spoken::Unknown { .. } => return,
    }
    .unwrap_or_else(|error| panic!("{spoken:?} was decoded and cannot be encoded: {error}"));
    assert_eq!(decode(&bytes, bytes.len()), (vec![spoken.clone()], None));
    if let Spoken::Message(None, message) = spoken {
        assert_eq!(decode_message(&bytes).as_ref(), Some(message));
    }
}

fn id(name: &str) -> NodeId {
    name.parse().expect("a name")
}

/// A link of b, which a has dialled or which b dials to c.
fn through_a_link(choices: u8, piece: usize, bytes: &[u8]) {
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        cluster: "test".to_owned(),
        node: id("b"),
        boot: BootId(2),
        macs: PerInterface::default(),
        addresses: PerInterface::default(),
        configuration: Vec::new(),
        side: Side::default(),
    };
    let identity = Identity { hello, peers: vec![id("a"), id("c")] };
    let now = Instant::from_nanos(1_000_000_000);
    let lane = if choices & 2 == 0 { Lane::Control } else { Lane::Frames };
    let (mut link, peer) = if choices & 1 == 0 {
        (Link::accepted(now), id("a"))
    } else {
        (Link::dialled(now, id("c"), lane, None), id("c"))
    };
    for input in [Input::Connected, Input::Secured(peer)] {
        assert!(link.step(now, &identity, input).is_none());
    }
    let mut state = "before hello";
    for piece in bytes.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() && state != "closed" {
            let space = link.space();
            let len = space.len().min(rest.len());
            assert!(len > 0, "no space for the next bytes");
            space[..len].copy_from_slice(&rest[..len]);
            link.filled(len);
            rest = &rest[len..];
            while let Some(event) = link.next_event(now, &identity) {
                state = follows(state, &event);
            }
        }
    }
    assert_eq!(link.is_established(), state == "up");
    let end = link.step(now, &identity, Input::EndOfStream);
    assert_eq!(end.is_some(), state != "closed");
}

/// The state behind an event; panics if the event may not come in this one.
fn follows(state: &'static str, event: &LinkEvent) -> &'static str {
    match (event, state) {
        (LinkEvent::Up(_), "before hello") => "up",
        (LinkEvent::Closed(_), "before hello" | "up") => "closed",
        (
            LinkEvent::Arrived(..)
            | LinkEvent::Received(_)
            | LinkEvent::Pinged(_)
            | LinkEvent::Ponged(_)
            | LinkEvent::Skipped(_),
            "up",
        ) => "up",
        (event, state) => panic!("{event:?} {state}"),
    }
}
