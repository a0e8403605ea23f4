//! Tests of peer links with real TCP over the loopback device. They poll with a deadline and never sleep.

mod room;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use super::*;
use crate::id::BootId;
use crate::io::clock;
use crate::keys::{Authority, Validity};
use crate::mesh::{Greeting, Resume, codec};
use room::*;

#[test]
fn three_nodes_have_one_link_for_each_pair_and_talk_in_order() {
    let c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere()), ("b", anywhere())]);
    let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere()), ("c", c.address())]);
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("c", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    let all = ["a", "b", "c"];
    room.until(|parties| {
        parties.iter().all(|party| all.iter().all(|name| party.node == node(name) || party.is_up(name)))
    });
    for counter in 0..2_000 {
        for party in &mut room.parties {
            for peer in all.map(node).into_iter().filter(|peer| *peer != party.node) {
                party.peers.send(peer, &claim(counter)).unwrap();
            }
        }
    }
    let heard = |party: &Party, from: NodeId| -> Vec<u64> {
        let counter = |event: &PeerEvent| {
            let PeerEvent::Arrived(peer, Message::Claim(claim)) = event else { return None };
            (*peer == from).then_some(claim.epoch.counter)
        };
        party.told.iter().filter_map(counter).collect()
    };
    room.until(|parties| {
        parties.iter().all(|party| {
            let others = all.map(node).into_iter().filter(|peer| *peer != party.node);
            others.into_iter().all(|peer| heard(party, peer).len() == 2_000)
        })
    });
    assert_eq!(heard(&room.parties[2], node("a")), (0..2_000).collect::<Vec<_>>());
    let ups = room.parties.iter().flat_map(|party| &party.told).filter(|e| matches!(e, PeerEvent::Up(_))).count();
    assert_eq!(ups, 6);
}

#[test]
fn more_bytes_than_a_turn_takes_arrive_whole() {
    let mut room = Room::linked();
    let frame = handover(60_000);
    room.until(|parties| parties[0].peers.send(node("b"), &frame).is_ok());
    let mut to_send = 0..100;
    let arrived = |party: &Party| {
        party.told.iter().filter(|e| matches!(e, PeerEvent::Arrived(_, message) if *message == frame)).count()
    };
    room.until(|parties| {
        to_send.by_ref().take(20).for_each(|_| parties[0].peers.send(node("b"), &frame).unwrap());
        arrived(&parties[1]) == 101
    });
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn a_peer_that_comes_back_is_linked_again() {
    let mut room = Room::linked();
    let address = room.parties[1].address();
    room.parties.truncate(1);
    room.until(|parties| parties[0].lost("closed") || parties[0].lost("broken"));
    room.until(|parties| parties[0].refused("unreachable") >= 3);
    room.parties[0].told.clear();
    room.parties.push(Party::new(hello("b", 2), address, &[("a", anywhere())]));
    room.until(|parties| parties[0].is_up("b") && parties[1].is_up("a"));
    let boot = room.parties[0].told.iter().find_map(|event| match event {
        PeerEvent::Up(hello) => Some(hello.boot),
        PeerEvent::Arrived(..)
        | PeerEvent::Lost(..)
        | PeerEvent::FramesUp(_)
        | PeerEvent::FramesLost(..)
        | PeerEvent::Refused { .. } => None,
    });
    assert_eq!(boot, Some(BootId(2)));
}

#[test]
fn a_newer_connection_of_the_same_node_replaces_the_older() {
    let mut room = Room::linked();
    for boot in [1, 7] {
        room.parties[1].told.clear();
        let mut again = room.secure(1, &tls("a"));
        again.say(&said(&hello("a", boot)));
        room.until(|parties| parties[1].lost("replaced") && parties[1].is_up("a"));
        let is_of_link = |e: &&PeerEvent| match e {
            PeerEvent::Up(_) | PeerEvent::Lost(..) | PeerEvent::Refused { .. } => true,
            PeerEvent::Arrived(..) | PeerEvent::FramesUp(_) | PeerEvent::FramesLost(..) => false,
        };
        let order: Vec<_> = room.parties[1].told.iter().filter(is_of_link).collect();
        assert!(matches!(order[..], [PeerEvent::Lost(..), PeerEvent::Up(_), ..]), "{order:?}");
        // The real node a has lost its link and dials again, which replaces this one.
        room.until(|_| again.has_ended());
    }
}

#[test]
fn silent_and_half_open_peers_are_dropped() {
    let mut room = Room::linked();
    room.parties[0].beats = Beats::Off;
    room.until(|parties| parties[1].lost("silent"));
    // Says nothing at all, and says one byte of its hello at a time.
    let (mut mute, mut slow) = (room.connect(1), room.secure(1, &tls("a")));
    let bytes = said(&hello("a", 1));
    let mut trickle = bytes.iter();
    room.until(|parties| {
        if let Some(byte) = trickle.next().filter(|_| trickle.len() > bytes.len() / 2) {
            slow.try_say(&[*byte]).ok();
        }
        parties[1].refused("slow-hello") >= 2
    });
    room.until(|_| has_ended(&mut mute) && slow.has_ended());
}

#[test]
fn each_wrong_peer_is_refused_by_name_and_the_good_link_stays() {
    let mut room = Room::linked();
    room.parties[1].told.clear();
    let foreign = Hello { cluster: "other".to_owned(), ..hello("a", 1) };
    let newer = Hello { version_min: 1_000, version_max: 1_001, ..hello("a", 1) };
    let mut early = Vec::new();
    codec::encode_numbered(1, &claim(1), &mut early).unwrap();
    let (mut wrong_boot, mut lanes) = (Vec::new(), greeting(&hello("a", 9)));
    lanes.lane = Lane::Frames;
    codec::encode_greeting(&lanes, &mut wrong_boot).unwrap();
    let mut never_sent = Vec::new();
    let resume = Some(Resume { boot: BootId(1), received: 1_000_000, first_kept: 1 });
    codec::encode_greeting(&Greeting { resume, ..greeting(&hello("a", 1)) }, &mut never_sent).unwrap();
    let cases = [
        ("wrong-cluster", "a", said(&foreign)),
        ("no-common-version", "a", said(&newer)),
        ("unknown-node", "0", said(&hello("0", 1))),
        ("own-id", "b", said(&hello("b", 1))),
        ("certificate-of-another", "c", said(&hello("a", 1))),
        ("message-before-hello", "a", early),
        ("no-control", "a", wrong_boot),
        ("too-long", "a", vec![0xff; 64]),
        ("too-long", "a", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        ("too-short", "a", vec![0; 64]),
        ("garbage", "a", [&[0, 0, 0, 66, 0, 1][..], &[0xee; 64]].concat()),
    ];
    let mut expected = std::collections::BTreeMap::new();
    for (name, certified, bytes) in cases {
        let mut hand = room.secure(1, &tls(certified));
        hand.say(&bytes);
        *expected.entry(name).or_insert(0) += 1;
        room.until(|parties| parties[1].refused(name) == expected[name]);
        room.until(|_| hand.has_ended());
    }
    let mut cut = room.secure(1, &tls("a"));
    cut.say(&said(&hello("a", 1))[..20]);
    drop(cut);
    room.until(|parties| parties[1].refused("closed-before-hello") == 1);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
    let refused: BTreeSet<_> = room.parties[1]
        .told
        .iter()
        .filter_map(|event| match event {
            PeerEvent::Refused { error, .. } => Some(error.name()),
            PeerEvent::Up(_)
            | PeerEvent::Arrived(..)
            | PeerEvent::Lost(..)
            | PeerEvent::FramesUp(_)
            | PeerEvent::FramesLost(..) => None,
        })
        .collect();
    assert_eq!(refused.len(), 11);
    // A real hello with impossible numbers ends the link it would replace, and its own.
    let mut liar = room.secure(1, &tls("a"));
    liar.say(&never_sent);
    room.until(|parties| parties[1].refused("wrong-number") == 1);
    room.until(|_| liar.has_ended());
}

#[test]
fn each_wrong_certificate_is_refused_by_name_and_the_good_link_stays() {
    let mut room = Room::linked();
    let other = Authority::new("lab", clock::wall()).unwrap();
    let now = clock::wall();
    let day = Duration::from_secs(24 * 3600);
    let issue = |authority: &Authority, from, until| authority.issue(node("a"), Validity { from, until }).unwrap();
    let cases = [
        ("other-authority", issue(&other, now - day, now + day)),
        ("certificate-expired", issue(authority(), now - 2 * day, now - day)),
        ("certificate-not-yet-valid", issue(authority(), now + day, now + 2 * day)),
    ];
    for (name, keys) in cases {
        // The stranger itself trusts this cluster's authority, so that it is not the one to refuse.
        let mut hand = room.secure(1, &tls_of(authority(), &keys));
        room.until(|parties| parties[1].refused(name) == 1);
        room.until(|_| hand.has_ended());
    }
    let mut bare = room.secure(1, &TlsIdentity::without_certificate(authority().certificate().as_bytes()));
    room.until(|parties| parties[1].refused("no-certificate") == 1);
    room.until(|_| bare.has_ended());
    for garbage in [b"GET / HTTP/1.1\r\nHost: b\r\n\r\n".to_vec(), vec![0xff; 64], said(&hello("a", 1))] {
        let before = room.parties[1].refused("not-tls");
        let mut stream = room.connect(1);
        stream.write_all(&garbage).unwrap();
        room.until(|parties| parties[1].refused("not-tls") == before + 1);
        room.until(|_| has_ended(&mut stream));
    }
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn who_dials_refuses_a_wrong_certificate_and_says_nothing() {
    // Node b's certificate is of another authority; node c has one of node d.
    let other = Authority::new("lab", clock::wall()).unwrap();
    let foreign = other.issue(node("b"), Validity::days(clock::wall(), 1)).unwrap();
    let mut b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
    b.peers.tls = tls_of(authority(), &foreign);
    let mut c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere())]);
    c.peers.tls = tls("d");
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("c", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    room.until(|parties| {
        parties[0].refused("other-authority") > 0
            && parties[0].refused("not-expected") > 0
            && parties[1].refused("refused-by-peer") > 0
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Up(_))));
}

#[test]
fn both_ends_name_another_cluster_and_the_unexpected_node() {
    let b = Party::new(Hello { cluster: "other".to_owned(), ..hello("b", 1) }, anywhere(), &[("a", anywhere())]);
    let c = Party::new(hello("c", 1), anywhere(), &[("a", anywhere())]);
    // Where node d should be, c answers.
    let a = Party::new(hello("a", 1), anywhere(), &[("b", b.address()), ("d", c.address())]);
    let mut room = Room::new(vec![a, b, c]);
    room.until(|parties| {
        parties[0].refused("wrong-cluster") > 0
            && parties[1].refused("wrong-cluster") > 0
            && parties[0].refused("not-expected") > 0
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Up(_))));
}

/// A party with a peer `a` that is served by hand, is linked, and from now on reads nothing.
fn deaf_peer() -> (Room, Hand) {
    let b = Party::new(hello("b", 1), anywhere(), &[("a", anywhere())]);
    let mut room = Room::new(vec![b]);
    let mut deaf = room.secure(0, &tls("a"));
    deaf.say(&said(&hello("a", 1)));
    room.until(|parties| parties[0].is_up("a"));
    (room, deaf)
}

fn heartbeat_bytes() -> Vec<u8> {
    let mut alive = Vec::new();
    codec::encode(&heartbeat(), &mut alive).unwrap();
    alive
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_what_waited_is_counted() {
    let (mut room, mut deaf) = deaf_peer();
    let alive = heartbeat_bytes();
    room.until(|parties| {
        deaf.try_say(&alive).ok();
        (0..20_000).for_each(|counter| parties[0].peers.send(node("a"), &claim(counter)).unwrap());
        parties[0].lost("queue-full")
    });
    assert_eq!(room.parties[0].peers.room(node("a")), 0);
    assert!(room.parties[0].peers.unsendable() > 10_000);
}

#[test]
fn bulk_senders_are_told_when_to_wait() {
    let mut room = Room::linked();
    let (b, c) = (node("b"), node("c"));
    room.until(|parties| parties[0].peers.room(b) == limits::BULK_BYTES_MAX);
    assert_eq!(room.parties[0].peers.room(c), 0, "there is no such peer");
    let mut sent = 0;
    while room.parties[0].peers.room(b) > 0 {
        sent += 1;
        room.parties[0].peers.send(b, &claim(sent)).unwrap();
    }
    assert!(sent > 1_000);
    // The peer takes them and says so: there is room again.
    room.until(|parties| parties[0].peers.room(b) == limits::BULK_BYTES_MAX);
    assert_eq!(room.parties[0].peers.peers[0].resend.given_up(), 0);
}

#[test]
fn frames_that_do_not_fit_are_told_and_harm_nothing_else() {
    let (mut room, mut deaf) = deaf_peer();
    let (a, frame) = (node("a"), handover(60_000));
    assert_eq!(room.parties[0].peers.send(a, &frame), Err(Unsent::Unreachable));
    assert_eq!(room.parties[0].peers.send(node("z"), &frame), Err(Unsent::Unreachable));
    let mut frames = room.secure(0, &tls("a"));
    let mut bytes = Vec::new();
    codec::encode_greeting(&Greeting { lane: Lane::Frames, ..greeting(&hello("a", 1)) }, &mut bytes).unwrap();
    frames.say(&bytes);
    let alive = heartbeat_bytes();
    let mut took = 0;
    room.until(|parties| {
        deaf.turn();
        deaf.say(&alive);
        match parties[0].peers.send(a, &frame) {
            Ok(()) => {
                took += 1;
                false
            }
            Err(unsent) => took > 0 && unsent == Unsent::QueueFull,
        }
    });
    assert!(took > limits::FRAMES_QUEUE_BYTES_MAX / 60_100, "{took}");
    // Control goes on: what is said arrives although nobody reads the frames.
    deaf.heard.clear();
    room.parties[0].peers.send(a, &claim(77)).unwrap();
    let mut expected = Vec::new();
    codec::encode_numbered(1, &claim(77), &mut expected).unwrap();
    room.until(|_| {
        deaf.say(&alive);
        deaf.turn();
        deaf.heard.windows(expected.len()).any(|bytes| bytes == expected)
    });
    // The connection that takes nothing is given up; the link stays.
    room.until(|parties| {
        deaf.turn();
        deaf.say(&alive);
        parties[0].told.iter().any(|event| matches!(event, PeerEvent::FramesLost(..)))
    });
    assert!(!room.parties[0].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
    assert_eq!(room.parties[0].peers.send(a, &frame), Err(Unsent::Unreachable));
    drop(frames);
}

#[test]
fn the_connection_for_frames_comes_back_by_itself() {
    let mut room = Room::linked();
    let frame = handover(100);
    let has = |party: &Party| party.told.iter().any(|e| matches!(e, PeerEvent::Arrived(_, m) if *m == frame));
    room.until(|parties| parties[0].peers.send(node("b"), &frame).is_ok());
    room.until(|parties| has(&parties[1]));
    let place = room.parties[1].peers.peers[0].way(Lane::Frames).slot.unwrap();
    let (now, mut told) = (room.now(), Vec::new());
    room.parties[0].told.clear();
    let b = &mut room.parties[1];
    let mut turn = Turn { now, registry: b.poll.registry(), told: &mut told };
    b.peers.end(place, PeerError::Closed, &mut turn);
    assert!(matches!(told[..], [PeerEvent::FramesLost(..)]), "{told:?}");
    b.told.clear();
    room.until(|parties| {
        // Until the loss is noticed, what is sent is lost with the connection.
        parties[0].peers.send(node("b"), &frame).ok();
        has(&parties[1])
    });
    assert!(!room.parties.iter().any(|party| party.lost("closed")), "the links stayed");
    let told = |event: &PeerEvent| matches!(event, PeerEvent::FramesUp(_));
    assert!(
        room.parties.iter().all(|party| party.told.iter().any(told)),
        "both were told that frames have a way again"
    );
}

#[test]
fn what_was_said_over_a_link_that_broke_arrives_once_and_in_order() {
    let mut room = Room::linked();
    let (mut said, mut ended) = (0_u64, 0);
    for _ in 0..8 {
        for party in [0, 1] {
            let from = said;
            said += 500;
            for counter in from..said {
                let to = node(if party == 0 { "b" } else { "a" });
                room.parties[party].peers.send(to, &claim(counter)).unwrap();
            }
        }
        // Somewhere on their way.
        let now = room.now();
        room.parties.iter_mut().for_each(|party| party.turn(now, Duration::ZERO));
        let b = &mut room.parties[1];
        if let Some(place) = b.peers.peers[0].way(Lane::Control).slot {
            let mut turn = Turn { now, registry: b.poll.registry(), told: &mut b.told };
            b.peers.end(place, PeerError::Closed, &mut turn);
            ended += 1;
        }
        // Said while there is no link.
        room.parties[1].peers.send(node("a"), &claim(said)).unwrap();
        said += 1;
        room.until(|parties| parties.iter().all(|party| party.peers.peers[0].boot.is_some()));
    }
    assert_eq!(ended, 8);
    let heard = |party: &Party| -> Vec<u64> {
        let counter = |event: &PeerEvent| {
            let PeerEvent::Arrived(_, Message::Claim(claim)) = event else { return None };
            Some(claim.epoch.counter)
        };
        party.told.iter().filter_map(counter).collect()
    };
    let total = usize::try_from(said).unwrap();
    room.until(|parties| parties.iter().map(|party| heard(party).len()).sum::<usize>() >= total);
    let all: Vec<_> = room.parties.iter().map(heard).collect();
    assert!(all.iter().all(|heard| heard.is_sorted()), "in order");
    let each: BTreeSet<_> = all.iter().flatten().copied().collect();
    assert_eq!((each.len(), all.iter().map(Vec::len).sum::<usize>()), (total, total), "once");
    assert_eq!(room.parties.iter().map(|party| party.peers.peers[0].resend.given_up()).sum::<u64>(), 0);
}

#[test]
fn nothing_is_kept_for_the_dead() {
    let mut room = Room::linked();
    room.parties[0].peers.forget(node("b"));
    room.parties.truncate(1);
    room.until(|parties| parties[0].lost("closed") || parties[0].lost("broken"));
    room.parties[0].peers.send(node("b"), &claim(1)).unwrap();
    assert_eq!(room.parties[0].peers.unsendable(), heartbeats_lost(&room), "a link that is up is not given up");
    room.parties[0].peers.forget(node("b"));
    let before = room.parties[0].peers.unsendable();
    room.parties[0].peers.send(node("b"), &claim(2)).unwrap();
    assert_eq!(room.parties[0].peers.unsendable(), before + 1);
}

/// Heartbeats that found no link: they are not kept.
fn heartbeats_lost(room: &Room) -> u64 {
    room.parties[0].peers.unsendable
}

#[test]
fn strangers_are_bounded() {
    let mut room = Room::linked();
    let strangers: Vec<_> = (0..limits::UNIDENTIFIED_LINKS_MAX + 8).map(|_| room.connect(1)).collect();
    room.until(|parties| parties[1].refused("too-many-unidentified") > 0);
    drop(strangers);
    room.until(|parties| parties[1].peers.slots.iter().count() == 2);
    assert!(!room.parties[1].told.iter().any(|event| matches!(event, PeerEvent::Lost(..))));
}

#[test]
fn what_has_no_link_is_counted() {
    let mut a = Party::new(hello("a", 1), anywhere(), &[("b", anywhere())]);
    a.peers.send(node("b"), &claim(1)).unwrap();
    a.peers.send(node("z"), &claim(1)).unwrap();
    assert_eq!(a.peers.unsendable(), 2);
}
