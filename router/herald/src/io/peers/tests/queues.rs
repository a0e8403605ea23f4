//! What waits for a peer: in order, bounded, told and counted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::*;
use super::room::*;
use herald_core::mesh::{Greeting, codec};

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
fn what_nobody_waits_for_is_written_with_what_somebody_does_or_in_time() {
    let mut room = Room::linked();
    let b = node("b");
    let waits = |party: &Party| party.peers.slots.iter().any(|slot| !slot.socket.link().unsent().is_empty());
    let arrived = |party: &Party, counters: &[u64]| {
        let messages: Vec<_> =
            party.told.iter().filter(|e| matches!(e, PeerEvent::Arrived(_, Message::Claim(_)))).collect();
        let wanted: Vec<_> = counters.iter().map(|counter| PeerEvent::Arrived(node("a"), claim(*counter))).collect();
        messages == wanted.iter().collect::<Vec<_>>()
    };
    room.until(|parties| !waits(&parties[0]));
    let (now, later) = (room.now(), room.now() + PATIENCE);
    let a = &mut room.parties[0];
    for counter in [1, 2] {
        a.peers.send_by(later, b, &claim(counter)).unwrap();
        a.peers.flush(now, a.poll.registry(), &mut a.told);
        assert!(waits(a));
    }
    a.peers.send(b, &claim(3)).unwrap();
    a.peers.flush(now, a.poll.registry(), &mut a.told);
    assert!(!waits(a));
    room.until(|parties| arrived(&parties[1], &[1, 2, 3]));
    let (now, soon) = (room.now(), room.now() + Duration::from_millis(2));
    let a = &mut room.parties[0];
    a.peers.send_by(soon, b, &claim(4)).unwrap();
    a.peers.flush(now, a.poll.registry(), &mut a.told);
    assert!(waits(a) && a.peers.next_deadline().is_some_and(|deadline| deadline <= soon));
    a.peers.deadline_reached(soon, a.poll.registry(), &mut a.told);
    assert!(!waits(a));
    room.until(|parties| arrived(&parties[1], &[1, 2, 3, 4]));
    let now = room.now();
    let a = &mut room.parties[0];
    a.peers.send_by(now + PATIENCE, b, &claim(5)).unwrap();
    assert!(waits(a));
    a.peers.flush_all(now, a.poll.registry(), &mut a.told);
    assert!(!waits(a), "a node that stops leaves nothing behind");
    room.until(|parties| arrived(&parties[1], &[1, 2, 3, 4, 5]));
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
fn what_has_no_link_is_counted() {
    let mut a = Party::new(hello("a", 1), anywhere(), &[("b", anywhere())]);
    a.peers.send(node("b"), &claim(1)).unwrap();
    a.peers.send(node("z"), &claim(1)).unwrap();
    assert_eq!(a.peers.unsendable(), 2);
}
