//! Tests of one link: every state with every input, who may say hello, and two links talking to each other.

use super::*;
use crate::id::{BootId, Epoch, Interface, Mac, PerInterface};
use crate::mesh::{Claim, codec};

fn node(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn hello(name: &str) -> Hello {
    Hello {
        version_min: 1,
        version_max: 1,
        cluster: "lab".to_owned(),
        node: node(name),
        boot: BootId(1),
        macs: PerInterface { first: Mac([2; 6]), second: Mac([4; 6]) },
        addresses: PerInterface::default(),
        config_digest: 0,
    }
}

fn identity(name: &str) -> Identity {
    let peers = ["a", "b", "c"].into_iter().filter(|peer| *peer != name).map(node).collect();
    Identity { hello: hello(name), peers }
}

fn claim() -> Message {
    let epoch = Epoch { counter: 1, node: node("a"), boot: BootId(1) };
    Message::Claim(Claim { interface: Interface::First, epoch })
}

/// Node b's link in that state; the peer is a, or c where b dialled.
fn link_in(state: State) -> Link {
    let mut link = match state {
        State::Connecting => Link::dialled(Instant::default(), node("c")),
        State::AwaitingHello | State::Established | State::Closed => Link::accepted(Instant::default()),
    };
    link.state = state;
    link
}

#[test]
fn every_state_with_every_input() {
    use State::{AwaitingHello, Closed, Connecting, Established};
    let inputs = || {
        [
            ("connected", Input::Connected),
            ("hello", Input::Spoken(Spoken::Hello(hello("a")))),
            ("bad hello", Input::Spoken(Spoken::Hello(hello("z")))),
            ("message", Input::Spoken(Spoken::Message(claim()))),
            ("unknown", Input::Spoken(Spoken::Unknown { kind: 99 })),
            ("end", Input::EndOfStream),
            ("garbage", Input::Failed(PeerError::Garbage { kind: 3 })),
            ("deadline", Input::DeadlineReached),
        ]
    };
    // For each state: the state after each input, and the event's name.
    let early = (Closed, "message-before-hello");
    let table: [(State, [(State, &str); 8]); 4] = [
        (
            Connecting,
            [
                (AwaitingHello, "-"),
                early,
                early,
                early,
                early,
                (Closed, "closed-before-hello"),
                (Closed, "garbage"),
                (Closed, "unreachable"),
            ],
        ),
        (
            AwaitingHello,
            [
                (AwaitingHello, "-"),
                (Established, "up"),
                (Closed, "unknown-node"),
                early,
                early,
                (Closed, "closed-before-hello"),
                (Closed, "garbage"),
                (Closed, "slow-hello"),
            ],
        ),
        (
            Established,
            [
                (Established, "-"),
                (Closed, "second-hello"),
                (Closed, "second-hello"),
                (Established, "arrived"),
                (Established, "-"),
                (Closed, "closed"),
                (Closed, "garbage"),
                (Closed, "silent"),
            ],
        ),
        (Closed, [(Closed, "-"); 8]),
    ];
    for (state, row) in table {
        for ((name, input), expected) in inputs().into_iter().zip(row) {
            let mut link = link_in(state);
            let event = link.step(Instant::from_nanos(2_000_000_000), &identity("b"), input);
            let told = match &event {
                None => "-",
                Some(LinkEvent::Up(_)) => "up",
                Some(LinkEvent::Arrived(_)) => "arrived",
                Some(LinkEvent::Closed(error)) => error.name(),
            };
            assert_eq!((link.state, told), expected, "{state:?} and {name}");
        }
    }
}

#[test]
fn each_wrong_hello_is_refused_by_name() {
    let dialled = Origin::Dialled(node("c"));
    let foreign = Hello { cluster: "other".to_owned(), ..hello("a") };
    let newer = Hello { version_min: 2, version_max: 3, ..hello("a") };
    let older = Hello { version_min: 0, version_max: 0, ..hello("a") };
    let spanning = Hello { version_min: 0, version_max: 9, ..hello("a") };
    let cases = [
        (Origin::Accepted, hello("a"), None),
        (Origin::Accepted, spanning, None),
        (dialled, hello("c"), None),
        (Origin::Accepted, foreign, Some("wrong-cluster")),
        (Origin::Accepted, newer, Some("no-common-version")),
        (Origin::Accepted, older, Some("no-common-version")),
        (Origin::Accepted, hello("b"), Some("own-id")),
        (dialled, hello("b"), Some("own-id")),
        (dialled, hello("a"), Some("not-expected")),
        (Origin::Accepted, hello("z"), Some("unknown-node")),
        (Origin::Accepted, hello("c"), Some("wrong-direction")),
    ];
    for (origin, said, expected) in cases {
        let error = check_hello(origin, &identity("b"), &said).err();
        assert_eq!(error.map(|e| e.name()), expected, "{origin:?} {said:?}");
    }
}

/// Moves what one link wants to send to the other, and gives the other's events.
fn carry(now: Instant, from: &mut Link, to: &mut Link, identity: &Identity) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    while !from.unsent().is_empty() {
        let space = to.space();
        let len = space.len().min(from.unsent().len());
        space[..len].copy_from_slice(&from.unsent()[..len]);
        to.filled(len);
        from.written(len);
        events.extend(std::iter::from_fn(|| to.next_event(now, identity)));
    }
    events
}

#[test]
fn two_links_say_hello_and_talk() {
    let now = Instant::default();
    let (mut ours, mut theirs) = (Link::dialled(now, node("b")), Link::accepted(now));
    assert_eq!(ours.step(now, &identity("a"), Input::Connected), None);
    assert_eq!(carry(now, &mut ours, &mut theirs, &identity("b")), [LinkEvent::Up(hello("a"))]);
    theirs.send(&claim()).unwrap();
    let events = carry(now, &mut theirs, &mut ours, &identity("a"));
    assert_eq!(events, [LinkEvent::Up(hello("b")), LinkEvent::Arrived(claim())]);
    assert!(ours.is_established() && theirs.is_established());
}

#[test]
fn another_cluster_is_named_on_both_sides_and_nothing_else_is_answered() {
    let now = Instant::default();
    let foreign = Identity { hello: Hello { cluster: "other".to_owned(), ..hello("a") }, peers: vec![node("b")] };
    let (mut ours, mut theirs) = (Link::dialled(now, node("b")), Link::accepted(now));
    ours.step(now, &foreign, Input::Connected);
    for events in [carry(now, &mut ours, &mut theirs, &identity("b")), carry(now, &mut theirs, &mut ours, &foreign)] {
        assert!(matches!(&events[..], [LinkEvent::Closed(PeerError::WrongCluster { .. })]), "{events:?}");
    }
    let stranger = Identity { hello: hello("0-unknown"), peers: vec![node("b")] };
    let (mut ours, mut theirs) = (Link::dialled(now, node("b")), Link::accepted(now));
    ours.step(now, &stranger, Input::Connected);
    carry(now, &mut ours, &mut theirs, &identity("b"));
    assert!(theirs.unsent().is_empty());
}

#[test]
fn a_slow_hello_and_silence_end_the_link_however_the_bytes_trickle() {
    let (mut hello_bytes, mut claim_bytes) = (Vec::new(), Vec::new());
    codec::encode_hello(&hello("a"), &mut hello_bytes).unwrap();
    codec::encode(&claim(), &mut claim_bytes).unwrap();
    for (state, bytes, expected) in
        [(State::AwaitingHello, &hello_bytes, "slow-hello"), (State::Established, &claim_bytes, "silent")]
    {
        let (mut link, mut now) = (link_in(state), Instant::default());
        let mut trickle = bytes[..bytes.len() - 1].iter();
        let error = loop {
            now = now + DETECTION_TIME.min(HELLO_TIME_MAX) / 10;
            link.space()[0] = *trickle.next().expect("ended before its last byte but one");
            link.filled(1);
            assert_eq!(link.next_event(now, &identity("b")), None);
            if let Some(LinkEvent::Closed(error)) = link.step(now, &identity("b"), Input::DeadlineReached) {
                break error;
            }
        };
        assert_eq!(error.name(), expected);
    }
}

#[test]
fn unknown_kinds_are_counted_and_keep_the_link_alive() {
    let mut link = link_in(State::Established);
    let later = Instant::from_nanos(1) + DETECTION_TIME / 2;
    assert_eq!(link.step(later, &identity("b"), Input::Spoken(Spoken::Unknown { kind: 99 })), None);
    assert_eq!(link.unknown_kinds(), 1);
    assert_eq!(link.next_deadline(), Some(later + DETECTION_TIME));
}
