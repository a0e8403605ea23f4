//! Tests of one link: every state with every input, who may say hello, and two links talking to each other.

use super::*;
use crate::id::{BootId, Epoch, Interface, Mac, PerInterface};
use crate::mesh::{Claim, Hello, Likeness, Setting, Side, codec};

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
        configuration: Vec::new(),
        side: Side::default(),
    }
}

fn greeting(name: &str) -> Greeting {
    Greeting { hello: hello(name), lane: Lane::Control, resume: None, taken: None, padding: Padding::whole() }
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
        State::Connecting => Link::dialled(Instant::default(), node("c"), Lane::Control, None),
        State::Securing | State::AwaitingHello | State::Established | State::Closed => {
            Link::accepted(Instant::default())
        }
    };
    link.state = state;
    link.certified = (state != State::Securing).then(|| node("a"));
    link
}

/// For each state: the state after each input, and the event's name. `early` stands for `Closed/message-before-hello`.
const TABLE: [(State, &str); 5] = [
    (
        State::Connecting,
        "Securing/- Connecting/- early early early early early early early early Closed/closed-before-hello Closed/garbage \
         Closed/unreachable",
    ),
    (
        State::Securing,
        "Securing/- AwaitingHello/- early early early early early early early early Closed/closed-before-hello Closed/garbage \
         Closed/slow-hello",
    ),
    (
        State::AwaitingHello,
        "AwaitingHello/- AwaitingHello/- Established/up Closed/unknown-node early early early early early early \
         Closed/closed-before-hello Closed/garbage Closed/slow-hello",
    ),
    (
        State::Established,
        "Established/- Established/- Closed/second-hello Closed/second-hello Established/arrived Closed/wrong-lane \
         Established/received Established/pinged Established/ponged Established/skipped Closed/closed Closed/garbage Closed/silent",
    ),
    (
        State::Closed,
        "Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- Closed/- \
         Closed/-",
    ),
];

fn inputs() -> [(&'static str, Input); 13] {
    [
        ("connected", Input::Connected),
        ("secured", Input::Secured(node("a"))),
        ("hello", Input::Spoken(Spoken::Greeting(greeting("a")))),
        ("bad hello", Input::Spoken(Spoken::Greeting(greeting("z")))),
        ("message", Input::Spoken(Spoken::Message(Some(1), claim()))),
        ("message without number", Input::Spoken(Spoken::Message(None, claim()))),
        ("received", Input::Spoken(Spoken::Received(7))),
        ("ping", Input::Spoken(Spoken::Ping(7))),
        ("pong", Input::Spoken(Spoken::Pong(7))),
        ("unknown", Input::Spoken(Spoken::Unknown { number: Some(1), kind: 99 })),
        ("end", Input::EndOfStream),
        ("garbage", Input::Failed(PeerError::Garbage { kind: 3 })),
        ("deadline", Input::DeadlineReached),
    ]
}

#[test]
fn every_state_with_every_input() {
    for (state, row) in TABLE {
        let row: Vec<_> = row.split(' ').collect();
        assert_eq!(row.len(), inputs().len());
        for ((name, input), expected) in inputs().into_iter().zip(row) {
            let mut link = link_in(state);
            // In time; what is late is another test's.
            let now = link.next_deadline().unwrap_or(Instant::from_nanos(2_000_000_000));
            let event = link.step(now, &identity("b"), input);
            let told = match &event {
                None => "-",
                Some(LinkEvent::Up(_)) => "up",
                Some(LinkEvent::Arrived(..)) => "arrived",
                Some(LinkEvent::Pinged(_)) => "pinged",
                Some(LinkEvent::Ponged(_)) => "ponged",
                Some(LinkEvent::Skipped(_)) => "skipped",
                Some(LinkEvent::Received(_)) => "received",
                Some(LinkEvent::Closed(error)) => error.name(),
            };
            let expected = if expected == "early" { "Closed/message-before-hello" } else { expected };
            assert_eq!(format!("{:?}/{told}", link.state), expected, "{state:?} and {name}");
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
        (Origin::Accepted, hello("c"), None),
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

/// Two ends whose connection is open and secure: node a dialled node b.
fn secured(now: Instant, dialling: &Identity, lane: Lane) -> (Link, Link) {
    let (mut ours, mut theirs) = (Link::dialled(now, node("b"), lane, None), Link::accepted(now));
    assert_eq!(ours.step(now, dialling, Input::Connected), None);
    assert_eq!(ours.step(now, dialling, Input::Secured(node("b"))), None);
    assert_eq!(theirs.step(now, &identity("b"), Input::Secured(dialling.hello.node)), None);
    (ours, theirs)
}

#[test]
fn two_links_say_hello_and_talk() {
    let now = Instant::default();
    let (mut ours, mut theirs) = secured(now, &identity("a"), Lane::Control);
    assert_eq!(carry(now, &mut ours, &mut theirs, &identity("b")), [LinkEvent::Up(greeting("a"))]);
    theirs.answer(&identity("b"), None).unwrap();
    let mut numbered = Vec::new();
    codec::encode_numbered(1, &claim(), &mut numbered).unwrap();
    theirs.send_encoded(&numbered).unwrap();
    theirs.send_received(3).unwrap();
    let events = carry(now, &mut theirs, &mut ours, &identity("a"));
    let expected = [LinkEvent::Up(greeting("b")), LinkEvent::Arrived(Some(1), claim()), LinkEvent::Received(3)];
    assert_eq!(events, expected);
    assert!(ours.is_established() && theirs.is_established());
}

#[test]
fn a_certificate_of_another_node_is_refused_whoever_dialled() {
    let now = Instant::default();
    let mut ours = Link::dialled(now, node("b"), Lane::Control, None);
    ours.step(now, &identity("a"), Input::Connected);
    let refused = ours.step(now, &identity("a"), Input::Secured(node("c")));
    assert!(matches!(refused, Some(LinkEvent::Closed(PeerError::NotExpected { .. }))), "{refused:?}");
    assert!(ours.unsent().is_empty(), "nothing is said to another node");

    let mut theirs = Link::accepted(now);
    theirs.step(now, &identity("b"), Input::Secured(node("c")));
    let refused = theirs.step(now, &identity("b"), Input::Spoken(Spoken::Greeting(greeting("a"))));
    let (certified, said) = (node("c"), node("a"));
    assert_eq!(refused, Some(LinkEvent::Closed(PeerError::CertificateOfAnother { certified, said })));
}

#[test]
fn frames_and_control_never_share_a_connection() {
    let now = Instant::default();
    let frame = Message::Handover(crate::mesh::Handover { interface: Interface::First, hops: 0, wire: vec![1] });
    for (lane, good, bad) in
        [(Lane::Frames, (None, frame.clone()), (Some(1), claim())), (Lane::Control, (Some(1), claim()), (None, frame))]
    {
        let (mut ours, mut theirs) = secured(now, &identity("a"), lane);
        carry(now, &mut ours, &mut theirs, &identity("b"));
        assert_eq!(theirs.lane(), lane);
        assert_eq!(theirs.next_deadline().is_some(), lane == Lane::Control, "frames may be silent");
        let arrived = theirs.step(now, &identity("b"), Input::Spoken(Spoken::Message(good.0, good.1.clone())));
        assert_eq!(arrived, Some(LinkEvent::Arrived(good.0, good.1)));
        let refused = theirs.step(now, &identity("b"), Input::Spoken(Spoken::Message(bad.0, bad.1)));
        assert!(matches!(refused, Some(LinkEvent::Closed(PeerError::WrongLane { .. }))), "{refused:?}");
    }
}

#[test]
fn another_cluster_is_named_on_both_sides_and_nothing_else_is_answered() {
    let now = Instant::default();
    let foreign = Identity { hello: Hello { cluster: "other".to_owned(), ..hello("a") }, peers: vec![node("b")] };
    let (mut ours, mut theirs) = secured(now, &foreign, Lane::Control);
    for events in [carry(now, &mut ours, &mut theirs, &identity("b")), carry(now, &mut theirs, &mut ours, &foreign)] {
        assert!(matches!(&events[..], [LinkEvent::Closed(PeerError::WrongCluster { .. })]), "{events:?}");
    }
    let stranger = Identity { hello: hello("0-unknown"), peers: vec![node("b")] };
    let (mut ours, mut theirs) = secured(now, &stranger, Lane::Control);
    carry(now, &mut ours, &mut theirs, &identity("b"));
    assert!(theirs.unsent().is_empty());
}

#[test]
fn a_slow_hello_and_silence_end_the_link_however_the_bytes_trickle() {
    let (mut hello_bytes, mut claim_bytes) = (Vec::new(), Vec::new());
    codec::encode_greeting(&greeting("a"), &mut hello_bytes).unwrap();
    codec::encode_numbered(1, &claim(), &mut claim_bytes).unwrap();
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
fn a_peer_gets_one_heartbeat_more_after_this_node_did_not_run() {
    let mut link = link_in(State::Established);
    let looks = |link: &mut Link, now| link.step(now, &identity("b"), Input::DeadlineReached);
    let silent = Some(LinkEvent::Closed(PeerError::Silent));
    let woken = Instant::default() + DETECTION_TIME + LATE_MIN;
    assert_eq!(looks(&mut link, woken), None);
    assert_eq!(link.next_deadline(), Some(woken + HEARTBEAT_INTERVAL));
    // Only once, and it begins anew with what the peer says.
    let unknown = Input::Spoken(Spoken::Unknown { number: Some(1), kind: 99 });
    assert_eq!(link.step(woken, &identity("b"), unknown), Some(LinkEvent::Skipped(Some(1))));
    let again = woken + DETECTION_TIME + LATE_MIN;
    assert_eq!(looks(&mut link, again), None);
    assert_eq!(looks(&mut link, again + HEARTBEAT_INTERVAL + LATE_MIN), silent);
    // In time there is nothing to forgive.
    assert_eq!(looks(&mut link_in(State::Established), Instant::default() + DETECTION_TIME), silent);
}

#[test]
fn unknown_kinds_are_counted_and_keep_the_link_alive() {
    let mut link = link_in(State::Established);
    let later = Instant::from_nanos(1) + DETECTION_TIME / 2;
    let unknown = Input::Spoken(Spoken::Unknown { number: Some(1), kind: 99 });
    assert_eq!(link.step(later, &identity("b"), unknown), Some(LinkEvent::Skipped(Some(1))));
    assert_eq!(link.unknown_kinds(), 1);
    assert_eq!(link.next_deadline(), Some(later + DETECTION_TIME));
}

/// A hello of this node whose configuration has this digest of a key that must be equal, and of one that should be.
fn configured(name: &str, must: u64, should: u64) -> Hello {
    let setting = |key: &str, likeness, digest| Setting { key: key.to_owned(), likeness, digest };
    let configuration = vec![setting("redirect", Likeness::Must, must), setting("midstream", Likeness::Should, should)];
    Hello { configuration, side: Side { serves: true, nodes: 2 }, ..hello(name) }
}

#[test]
fn another_configuration_is_named_on_both_sides_if_it_must_be_equal() {
    let now = Instant::default();
    let a = Identity { hello: configured("a", 1, 1), peers: vec![node("b")] };
    let b = Identity { hello: configured("b", 2, 2), peers: vec![node("a")] };
    let (mut ours, mut theirs) = secured(now, &a, Lane::Control);
    for (events, of) in [(carry(now, &mut ours, &mut theirs, &b), "a"), (carry(now, &mut theirs, &mut ours, &a), "b")] {
        let (keys, side) = (vec!["redirect".to_owned()], Side { serves: true, nodes: 2 });
        let error = PeerError::OtherConfiguration { node: node(of), boot: BootId(1), side, keys };
        assert_eq!(events, [LinkEvent::Closed(error)]);
    }
    let b = Identity { hello: configured("b", 1, 2), ..b };
    let (mut ours, mut theirs) = secured(now, &a, Lane::Control);
    assert!(
        matches!(carry(now, &mut ours, &mut theirs, &b)[..], [LinkEvent::Up(_)]),
        "what should be equal may differ"
    );
}

#[test]
fn who_dialled_and_is_refused_learns_that_its_id_is_taken() {
    let now = Instant::default();
    let (mut ours, mut theirs) = secured(now, &identity("a"), Lane::Control);
    carry(now, &mut ours, &mut theirs, &identity("b"));
    let member = SocketAddr::from(([10, 9, 0, 11], 4_000));
    theirs.refuse_taken(&identity("b"), member).unwrap();
    let told = carry(now, &mut theirs, &mut ours, &identity("a"));
    assert_eq!(told, [LinkEvent::Closed(PeerError::IdTaken { node: node("b"), member })]);
}

#[test]
fn a_ping_over_a_link_comes_back_with_its_number() {
    let now = Instant::default();
    let (mut ours, mut theirs) = secured(now, &identity("a"), Lane::Control);
    carry(now, &mut ours, &mut theirs, &identity("b"));
    theirs.answer(&identity("b"), None).unwrap();
    theirs.send_ping(7).unwrap();
    let told = carry(now, &mut theirs, &mut ours, &identity("a"));
    assert_eq!(told[1..], [LinkEvent::Pinged(7)]);
    ours.send_pong(7).unwrap();
    assert_eq!(carry(now, &mut ours, &mut theirs, &identity("b")), [LinkEvent::Ponged(7)]);
}
