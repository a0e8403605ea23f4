//! Links that come up, break, come back and are replaced.

use super::super::*;
use super::room::*;
use herald_core::id::BootId;

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
fn messages_that_are_not_urgent_do_not_hold_up_a_link_that_comes_back() {
    let mut room = Room::linked();
    let address = room.parties[1].address();
    room.parties.truncate(1);
    room.until(|parties| parties[0].lost("closed") || parties[0].lost("broken"));
    room.parties[0].told.clear();
    room.parties.push(Party::new(hello("b", 1), address, &[("a", anywhere())]));
    let (later, mut counters) = (room.now() + 10 * PATIENCE, 0..);
    room.until(|parties| {
        parties[0].peers.send_by(later, node("b"), &claim(counters.next().unwrap())).unwrap();
        parties[0].is_up("b") && parties[1].is_up("a")
    });
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
        | PeerEvent::KeptApart { .. }
        | PeerEvent::Differs { .. }
        | PeerEvent::Refused { .. } => None,
    });
    assert_eq!(boot, Some(BootId(2)));
}

#[test]
fn a_newer_connection_of_the_same_node_replaces_the_older() {
    let mut room = Room::linked();
    room.parties[1].told.clear();
    let mut again = room.secure(1, &tls("a"));
    again.say(&said(&hello("a", 1)));
    room.until(|parties| parties[1].lost("replaced") && parties[1].is_up("a"));
    let is_of_link = |e: &&PeerEvent| match e {
        PeerEvent::Up(_) | PeerEvent::Lost(..) | PeerEvent::KeptApart { .. } | PeerEvent::Refused { .. } => true,
        PeerEvent::Arrived(..) | PeerEvent::FramesUp(_) | PeerEvent::FramesLost(..) | PeerEvent::Differs { .. } => {
            false
        }
    };
    let order: Vec<_> = room.parties[1].told.iter().filter(is_of_link).collect();
    assert!(matches!(order[..], [PeerEvent::Lost(..), PeerEvent::Up(_), ..]), "{order:?}");
    // The real node a has lost its link and dials again, which replaces this one.
    room.until(|_| again.has_ended());
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
