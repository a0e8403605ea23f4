//! Other configurations, and two nodes with one id.

use super::super::*;
use super::room::*;
use herald_core::mesh::{Likeness, Setting, codec};

/// A hello with these digests of a key that must be equal and of one that should be.
fn configured(name: &str, boot: u64, [must, should]: [u64; 2]) -> Hello {
    let setting = |key: &str, likeness, digest| Setting { key: key.to_owned(), likeness, digest };
    let configuration = vec![setting("redirect", Likeness::Must, must), setting("midstream", Likeness::Should, should)];
    Hello { configuration, ..hello(name, boot) }
}

/// Node a dials node b.
fn pair(a: Hello, b: Hello) -> Room {
    let b = Party::new(b, anywhere(), &[("a", anywhere())]);
    let a = Party::new(a, anywhere(), &[("b", b.address())]);
    Room::new(vec![a, b])
}

/// How often a party was told that it and a peer are kept apart for this reason: first, and again.
fn told(party: &Party, reason: &str) -> [usize; 2] {
    [Said::First, Said::Before].map(|wanted| {
        let is_it = |event: &&PeerEvent| match event {
            PeerEvent::KeptApart { error, said, .. } => error.name() == reason && *said == wanted,
            PeerEvent::Up(_)
            | PeerEvent::Arrived(..)
            | PeerEvent::Lost(..)
            | PeerEvent::FramesUp(_)
            | PeerEvent::FramesLost(..)
            | PeerEvent::Differs { .. }
            | PeerEvent::Refused { .. } => false,
        };
        party.told.iter().filter(is_it).count()
    })
}

#[test]
fn another_configuration_is_refused_by_name_at_both_ends_and_said_once() {
    let mut room = pair(configured("a", 1, [1, 1]), configured("b", 1, [2, 1]));
    room.until(|parties| parties.iter().all(|party| told(party, "other-configuration")[1] >= 2));
    for (party, peer) in room.parties.iter().zip(["b", "a"]) {
        assert_eq!(told(party, "other-configuration")[0], 1);
        let (_, error) = party.peers.kept_apart(room.now(), node(peer)).unwrap();
        assert!(error.to_string().contains("redirect must be equal"), "{error}");
        assert!(!party.is_up("a") && !party.is_up("b"));
    }
    // The other node is mended and starts again: it is a member at once.
    let address = room.parties[1].address();
    room.parties.truncate(1);
    room.parties.push(Party::new(configured("b", 2, [1, 1]), address, &[("a", anywhere())]));
    room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
    assert!(room.parties[0].peers.kept_apart(room.now(), node("b")).is_none());
}

#[test]
fn what_should_be_equal_is_told_once_and_keeps_nobody_apart() {
    let mut room = pair(configured("a", 1, [1, 1]), configured("b", 1, [1, 2]));
    let differs = |party: &Party| {
        let found = party
            .told
            .iter()
            .filter(|event| matches!(event, PeerEvent::Differs { keys, .. } if keys == &["midstream"]));
        found.count()
    };
    room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
    let (place, now) = (room.parties[1].peers.peers[0].way(Lane::Control).slot.unwrap(), room.now());
    let b = &mut room.parties[1];
    b.peers.end(place, PeerError::Closed, &mut Turn { now, registry: b.poll.registry(), told: &mut b.told });
    let ups = |party: &Party| party.told.iter().filter(|event| matches!(event, PeerEvent::Up(_))).count();
    room.until(|parties| parties.iter().all(|party| ups(party) == 2));
    for (party, peer) in room.parties.iter().zip(["b", "a"]) {
        assert_eq!((differs(party), party.peers.differing_keys(node(peer))), (1, &["midstream".to_owned()][..]));
    }
}

#[test]
fn a_clone_is_refused_and_told_while_the_member_answers() {
    let mut room = Room::linked();
    let b = room.parties[1].address();
    room.parties[1].told.clear();
    // The clone of a has its id and certificate.
    room.parties.push(Party::new(hello("a", 7), anywhere(), &[("b", b)]));
    room.until(|parties| told(&parties[2], "id-taken")[1] >= 2 && told(&parties[1], "id-twice")[1] >= 2);
    let [a, b, clone] = &room.parties[..] else { panic!() };
    assert_eq!((told(b, "id-twice")[0], told(clone, "id-taken")[0]), (1, 1), "each says it once");
    assert!(!b.told.iter().any(|event| matches!(event, PeerEvent::Lost(..) | PeerEvent::Up(_))), "the member stays");
    assert!(a.told.iter().all(|event| !matches!(event, PeerEvent::Lost(..))) && !clone.is_up("b"));
    let (_, error) = clone.peers.kept_apart(room.now(), node("b")).unwrap();
    let PeerError::IdTaken { member, .. } = error else { panic!("{error}") };
    assert_eq!(*member, b.peers.slots.iter().next().unwrap().socket.address(), "it learns where the member is");
}

#[test]
fn a_clone_that_nobody_dials_says_hello_itself_and_is_refused() {
    let mut room = Room::linked();
    let a = room.parties[0].address();
    // Node a dials b where that is; the clone of b is elsewhere.
    room.parties.push(Party::new(hello("b", 7), anywhere(), &[("a", a)]));
    room.until(|parties| told(&parties[2], "id-taken")[1] >= 2 && told(&parties[0], "id-twice")[1] >= 2);
    let [a, b, clone] = &room.parties[..] else { panic!() };
    assert_eq!((told(a, "id-twice")[0], told(clone, "id-taken")[0]), (1, 1), "each says it once");
    assert!([a, b].iter().all(|party| party.told.iter().all(|event| !matches!(event, PeerEvent::Lost(..)))));
    assert!(!clone.is_up("a"));
}

#[test]
fn a_node_that_says_that_it_is_there_is_dialled() {
    let mut b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address())]);
    b.peers.peers[0].address = a.address();
    let mut room = Room::new(vec![a, b]);
    // Node a would not dial for a long time.
    room.parties[0].peers.peers[0].way_mut(Lane::Control).dial_at = Instant::NEVER;
    room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
    assert!(
        !room.parties.iter().any(|party| party.told.iter().any(|event| matches!(event, PeerEvent::Refused { .. })))
    );
}

#[test]
fn a_member_that_does_not_answer_gives_its_place_to_its_next_boot() {
    let mut room = Room::linked();
    let b = room.parties[1].address();
    room.parties[1].told.clear();
    // It is stopped: its connection stands and says nothing.
    let stopped = room.parties.remove(0);
    let before = room.now();
    room.parties.push(Party::new(hello("a", 7), anywhere(), &[("b", b)]));
    room.until(|parties| parties[0].is_up("a") && parties[1].is_up("b"));
    assert!(room.now().since(before) < limits::HELLO_TIME_MAX, "within one attempt");
    assert_eq!(told(&room.parties[0], "id-twice"), [0, 0]);
    drop(stopped);
}

#[test]
fn a_link_that_speaks_and_does_not_answer_gives_its_place_away_too() {
    let mut room = Room::new(vec![Party::new(hello("b", 1), anywhere(), &[("a", anywhere())])]);
    let b = room.parties[0].address();
    let mut member = room.secure(0, &tls("a"));
    member.say(&said(&hello("a", 1)));
    room.until(|parties| parties[0].is_up("a"));
    room.parties[0].told.clear();
    room.parties.push(Party::new(hello("a", 7), anywhere(), &[("b", b)]));
    let mut beat = Vec::new();
    codec::encode(&heartbeat(), &mut beat).unwrap();
    room.until(|parties| {
        member.try_say(&beat).ok();
        parties[0].is_up("a") && parties[1].is_up("b")
    });
    assert!(room.parties[0].lost("replaced"), "it was not silent");
}

#[test]
fn a_restart_does_not_wait_for_an_answer() {
    let mut room = Room::linked();
    let b = room.parties[1].address();
    room.parties[1].told.clear();
    // Its connections end with its process, as the kernel closes them.
    room.parties.remove(0);
    room.parties.push(Party::new(hello("a", 7), anywhere(), &[("b", b)]));
    room.until(|parties| parties[0].is_up("a") && parties[1].is_up("b"));
    assert!(!room.parties[0].lost("replaced") && !room.parties[0].lost("silent"), "its link was closed by the kernel");
    assert_eq!(told(&room.parties[0], "id-twice"), [0, 0]);
}
