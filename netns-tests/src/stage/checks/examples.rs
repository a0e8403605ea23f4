#![cfg(test)]

//! Runs made by hand: one that is sound, and for each invariant some that break it.

use herald_core::flow::FlowKey;
use herald_core::id::{BootId, Epoch, Generation, Interface, Mac, PerInterface};
use herald_core::mesh::{Acknowledge, Announce, Message};

use crate::books::Books;
use crate::scenario::{Action, Ending, Expected, Open, Place, Protocol};
use crate::sighting::Sighting;
use crate::stage::checks::{books, broken, expected, first_packet, loops, one_node, order, passed, untouched};
use crate::stage::conversations::{Talk, flow};
use crate::stage::record::{Act, Carried, Heard, Record, Seen, Told};

const HOST: Mac = Mac([4; 6]);
const VIRTUAL: Mac = Mac([0, 0, 0x5e, 0, 1, 1]);
const A: Place = 0;
const B: Place = 1;
const C: Place = 2;

/// A second, as times are counted here; all happens long after the start.
const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 100 * SECOND;

fn mac(interface: Interface, node: Place) -> Mac {
    Mac([2, 0, 0, 0, interface as u8, u8::try_from(node).unwrap()])
}

fn opener() -> FlowKey {
    let (protocol, ending) = (Protocol::Udp4, Ending::Close);
    flow(&Open { from: Interface::First, protocol, key: 1, request: 2, response: 2, ending })
}

/// The packet with this number where its flow is seen, from one MAC to another.
fn packet(at: u64, number: u8, flow: FlowKey, macs: [Mac; 2], hop_limit: u8) -> Sighting {
    let [frame_source, frame_destination] = macs;
    let (identification, content) = (number.into(), vec![number; 30]);
    let at_nanos = BEGIN + at;
    Sighting {
        at_nanos,
        frame_source,
        frame_destination,
        hop_limit,
        flow,
        identification,
        packet_len: 50,
        wire_packets: 1,
        content,
    }
}

fn told(at: u64, node: Place, event: &str, interface: Interface) -> Told {
    let (event, interface, about) = (event.to_owned(), Some(interface), Some(node));
    Told { node, at_nanos: at, event, about, interface, flow: opener().to_string(), counter: 1 }
}

fn epoch() -> Epoch {
    Epoch { counter: 1, node: "b".parse().unwrap(), boot: BootId(1) }
}

/// The way of one packet from `a`, which holds the first redirector, by `c`, in seven moments from this one on.
fn add_packet(record: &mut Record, at: u64, number: u8) {
    let (here, there) = (opener(), opener().reversed(Interface::Second).reversed(Interface::Second));
    let seen = |node, packet| Seen { node, packet };
    let [a, c] = [A, C].map(|node| mac(Interface::First, node));
    record.delivered.push(seen(A, packet(at, number, here, [HOST, VIRTUAL], 64)));
    record.sent.push(seen(A, packet(at + 1, number, here, [a, c], 64)));
    record.delivered.push(seen(C, packet(at + 2, number, here, [a, c], 64)));
    record.inspected.push(seen(C, packet(at + 3, number, here, [Mac([0; 6]); 2], 64)));
    record.sent.push(seen(C, packet(at + 6, number, there, [mac(Interface::Second, C), HOST], 63)));
}

fn announce(node: &str, counter: u32) -> Message {
    let arrival = opener();
    let generation = Generation { counter, node: node.parse().unwrap() };
    let return_key = arrival.reversed(Interface::Second);
    Message::Announce(Announce { arrival, return_key, choice: 0, boot: BootId(1), generation })
}

fn acknowledge(at: u64) -> Heard {
    let return_key = opener().reversed(Interface::Second);
    let generation = Generation { counter: 1, node: "c".parse().unwrap() };
    let message = Message::Acknowledge(Acknowledge { return_key, generation, epoch: epoch() });
    Heard { at_nanos: BEGIN + at, from: B, to: C, message }
}

fn books_with(dropped: u64) -> Books {
    Books::of(serde_json::json!({
        "arrived_first": 5, "arrived_second": 4, "arrived_mesh": 1, "forwarded": 4, "redirected": 3, "handed_over": 0,
        "consumed": 1, "joined": 0, "cut": 0, "injected": 0, "dropped": dropped, "kept": 0, "generated_dropped": 0
    }))
}

/// Two packets of one conversation, which take the claimed way.
fn sound() -> Record {
    let holders = [(A, Interface::First), (B, Interface::Second)];
    let mut record = Record {
        macs: (0..3).map(|node| PerInterface::from_fn(|interface| mac(interface, node))).collect(),
        told: holders.map(|(node, interface)| told(0, node, "holder-changed", interface)).into(),
        heard: vec![acknowledge(5)],
        talks: vec![Talk { flow: opener(), failed: None, answered: Some((2, 2)) }],
        books: vec![(A, books_with(2))],
        ..Record::default()
    };
    add_packet(&mut record, 0, 1);
    add_packet(&mut record, 2 * SECOND, 2);
    record
}

#[test]
fn a_sound_run_breaks_nothing() {
    assert_eq!(broken(&sound()), Vec::<String>::new());
}

#[test]
fn i1_sees_a_second_node_without_a_higher_generation() {
    let mut record = sound();
    record.inspected[1].node = B;
    assert_eq!(one_node::broken(&record).len(), 1);
    // With a generation of its own that is higher, or while roles change, it may be so.
    let mut moved = sound();
    moved.inspected[1].node = B;
    moved.heard.push(Heard { at_nanos: BEGIN + SECOND, from: B, to: A, message: announce("b", 2) });
    assert_eq!(one_node::broken(&moved), Vec::<String>::new());
    record.told.push(told(BEGIN + 2 * SECOND, A, "holder-changed", Interface::First));
    assert_eq!(one_node::broken(&record), Vec::<String>::new());
    // The same generation again does not bring it back.
    add_packet(&mut moved, 4 * SECOND, 3);
    assert_eq!(one_node::broken(&moved).len(), 1);
}

#[test]
fn i2_sees_what_a_chain_has_not_passed_so() {
    let breaks: [fn(&mut Record); 6] = [
        |record| drop(record.inspected.remove(0)),
        |record| record.inspected[0].node = B,
        |record| record.inspected[0].packet.hop_limit = 63,
        |record| record.inspected[0].packet.at_nanos = BEGIN + 7,
        |record| record.inspected[0].packet.content[20] ^= 1,
        |record| record.delivered[0].packet.frame_source = VIRTUAL,
    ];
    for (number, break_it) in breaks.iter().enumerate() {
        let mut record = sound();
        break_it(&mut record);
        assert_eq!(passed::broken(&record).len(), 1, "{number}");
    }
}

#[test]
fn i3_sees_a_first_packet_without_its_acknowledgement() {
    let breaks: [fn(&mut Record); 5] = [
        |record| record.heard.clear(),
        |record| record.heard[0].at_nanos = BEGIN + 7,
        |record| record.heard[0].to = B,
        // Not from a holder.
        |record| record.heard[0].from = A,
        |record| record.heard[0] = Heard { message: announce("c", 1), ..acknowledge(5) },
    ];
    for (number, break_it) in breaks.iter().enumerate() {
        let mut record = sound();
        break_it(&mut record);
        assert_eq!(first_packet::broken(&record).len(), 1, "{number}");
        // After a time-out, without holding, or on the holder itself, it may leave.
        for event in ["hold-timed-out", "breaker-opened", "holder-changed"] {
            record.told.push(told(BEGIN + 4, C, event, Interface::Second));
            assert_eq!(first_packet::broken(&record), Vec::<String>::new(), "{number} {event}");
            record.told.pop();
        }
        record.told.push(told(BEGIN + 4, C, "breaker-opened", Interface::Second));
        record.told.push(told(BEGIN + 5, C, "breaker-closed", Interface::Second));
        assert_eq!(first_packet::broken(&record).len(), 1, "{number}");
    }
}

#[test]
fn i4_sees_loops_and_packets_that_came_by_no_door() {
    let breaks: [fn(&mut Record); 5] = [
        // Redirected twice: by the wire, then over the mesh.
        |record| record.sent.push(record.sent[0].clone()),
        |record| {
            let packet = record.sent[0].packet.clone();
            record.carried.push(Carried { to: C, redirected: true, packet });
        },
        // Handed over twice.
        |record| {
            let packet = record.sent[0].packet.clone();
            record.carried.extend([B, A].map(|to| Carried { to, redirected: false, packet: packet.clone() }));
        },
        // Taken in by a node that it was not sent to, and twice by the one that it was sent to.
        |record| record.inspected[0].node = B,
        |record| record.inspected.push(record.inspected[0].clone()),
    ];
    for (number, break_it) in breaks.iter().enumerate() {
        let mut record = sound();
        break_it(&mut record);
        assert_eq!(loops::broken(&record).len(), 1, "{number}");
    }
    // A holder takes in what hosts send to it; one that does not hold may not.
    let mut record = sound();
    (record.inspected[0].node, record.sent[0].node) = (A, A);
    assert_eq!(loops::broken(&record), Vec::<String>::new());
    record.told.clear();
    assert_eq!(loops::broken(&record).len(), 1);
}

#[test]
fn i9_sees_books_that_do_not_balance() {
    let mut record = sound();
    record.books.push((B, books_with(1)));
    assert_eq!(books::broken(&record).len(), 1);
}

#[test]
fn i10_sees_duplicates_and_changes_of_order() {
    let mut twice = sound();
    twice.sent.insert(1, twice.sent[1].clone());
    assert_eq!(order::broken(&twice).len(), 1);
    // A packet that came twice may leave twice.
    twice.delivered.insert(1, twice.delivered[0].clone());
    assert_eq!(order::broken(&twice).len(), 0);
    let mut overtaken = sound();
    overtaken.sent.swap(1, 3);
    assert_eq!(order::broken(&overtaken).len(), 1);
    let mut from_nowhere = sound();
    from_nowhere.delivered.clear();
    assert_eq!(order::broken(&from_nowhere).len(), 2);
}

#[test]
fn l5_sees_what_nobody_may_lose() {
    let act = |action| Act { at_nanos: BEGIN, action };
    let mut record = sound();
    record.talks[0].failed = Some("reset".to_owned());
    for (action, findings) in [
        (Action::Kill(C), 0),
        (Action::Stop(C), 0),
        (Action::Kill(A), 1),
        (Action::Drain(C), 1),
        (Action::CutMesh { from: A, to: C, way: crate::scenario::Way::Both }, 1),
    ] {
        record.acts = vec![act(action)];
        assert_eq!(untouched::broken(&record).len(), findings, "{action}");
    }
    // A datagram may be lost with a holder, but not with a node that drains.
    let mut record = sound();
    record.talks[0].answered = Some((1, 2));
    for (action, findings) in [(Action::Kill(A), 0), (Action::Drain(A), 1)] {
        record.acts = vec![act(action)];
        assert_eq!(untouched::broken(&record).len(), findings, "{action}");
    }
    // One that lost its role without a drain was not heard of for a while.
    record.told.push(Told { counter: 2, ..told(BEGIN, C, "holder-changed", Interface::Second) });
    assert_eq!(untouched::broken(&record).len(), 0);
}

#[test]
fn what_a_scenario_expects_is_compared_with_what_was() {
    let holders = |nodes: &[Place]| Expected::Holders { interface: Interface::First, nodes: nodes.to_vec() };
    let owners = |nodes: &[Place]| Expected::Owners { key: 1, nodes: nodes.to_vec() };
    for (expected, findings) in [
        (holders(&[A]), 0),
        (holders(&[A, B]), 1),
        (holders(&[]), 1),
        (owners(&[C]), 0),
        (owners(&[C, B]), 1),
        (owners(&[B]), 1),
    ] {
        let record = Record { expected: vec![expected.clone()], ..sound() };
        assert_eq!(expected::broken(&record).len(), findings, "{expected}");
    }
}
