//! What a member may not say: each such message is counted and changes nothing.

use std::net::IpAddr;
use std::time::Duration;

use herald_core::event::DropReason;
use herald_core::flow::FlowKey;
use herald_core::id::{BootId, Epoch, Generation, Interface};
use herald_core::limits::{BUCKETS, INQUIRIES_MAX};
use herald_core::mesh::{
    Acknowledge, Announce, Answer, Assign, Astray, Claim, Close, Compare, Fence, Handover, Inquiry, InquiryPart,
    Message, Redirect, Refresh, Refuse, Relay, RelayFrame, SyncEnd, codec,
};
use herald_core::node::Reach;
use herald_core::outbox::Ledger;
use herald_core::session::Life;
use herald_testing::frames::{self, ACK, SYN_ACK};
use herald_testing::layout::{HOST, named, node_addresses, node_mac, v4};

use crate::world::*;
use crate::{open_until_chosen, opener};

/// A message from b to a node, and the counter that must move.
type Case = (&'static str, &'static str, Message, fn(&Ledger) -> u64);

fn generation(counter: u32, node: &str) -> Generation {
    Generation { counter, node: named(node) }
}

fn epoch(counter: u64, node: &str) -> Epoch {
    Epoch { counter, node: named(node), boot: BootId(2) }
}

fn unauthorised(ledger: &Ledger) -> u64 {
    ledger.messages_unauthorised
}

fn stale(ledger: &Ledger) -> u64 {
    ledger.messages_stale
}

#[test]
fn what_members_ask_the_cluster_is_kept_within_bounds_for_who_fetches_it() {
    let mut world = World::new(&Choices::default());
    let inquiry = |id| Inquiry { id, part: InquiryPart::Question, bytes: b"/drops".to_vec() };
    for id in 0..=INQUIRIES_MAX as u64 {
        world.say("a", "c", Message::Inquiry(inquiry(id)));
    }
    let member = world.members.iter_mut().find(|member| member.name == "c").unwrap();
    let taken = member.node.take_inquiries();
    assert_eq!((taken.len(), &taken[0]), (INQUIRIES_MAX, &(named("a"), inquiry(0))));
    assert_eq!((member.out.ledger.inquiries_lost, member.node.take_inquiries().len()), (1, 0));
    let reach: Vec<_> = member.node.reach().collect();
    assert_eq!(reach, ["a", "b"].map(|name| (named(name), Reach::By(named(name)))));
}

#[test]
fn an_offload_header_that_points_behind_its_frame_does_no_harm() {
    let mut world = World::new(&Choices::default());
    let interface = Interface::First;
    let own = node_addresses(interface, 2)[0];
    let macs = [node_mac(interface, 0).0, node_mac(interface, 2).0];
    let ip = frames::ip(macs, IpAddr::from(v4(interface, HOST)), own, 64);
    let echo = frames::icmpv4(ip, (8, 0), [0, 1, 0, 1], b"who is there");
    // The checksum is partial, and begins at byte 65,535: virtio_net_hdr of linux/virtio_net.h.
    let wire = [&[1, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0][..], &echo].concat();
    let epoch = world.member("c").node.membership().epoch(interface).unwrap();
    let before = world.member("c").out.ledger.consumed;
    world.say("a", "c", Message::Redirect(Redirect { interface, epoch, wire }));
    // The request is answered, and the host says where it is.
    assert_eq!((world.drops(DropReason::Internal), world.member("c").out.ledger.consumed), (0, before + 2));
    world.check_books();
}

/// All of them name c's stream, which b may not speak for, or an epoch or boot that is not b's.
fn cases(arrival: FlowKey) -> Vec<Case> {
    let return_key = arrival.reversed(Interface::Second);
    let announce = |counter, node: &str, boot| Announce {
        arrival,
        return_key,
        choice: 7,
        boot: BootId(boot),
        generation: generation(counter, node),
    };
    let close = |counter, node| Close { arrival, return_key, generation: generation(counter, node) };
    vec![
        ("another's stream", "a", Message::Announce(announce(9, "c", 3)), unauthorised),
        ("an old boot's stream", "a", Message::Announce(announce(9, "b", 1)), stale),
        ("another's streams", "a", Message::Refresh(Refresh { streams: vec![announce(9, "c", 3)] }), unauthorised),
        ("the end of another's stream", "a", Message::Close(close(1, "c")), unauthorised),
        (
            "an acknowledgement in another's name",
            "c",
            Message::Acknowledge(Acknowledge {
                return_key,
                generation: generation(1, "c"),
                epoch: Epoch { boot: BootId(1), ..epoch(1, "a") },
            }),
            unauthorised,
        ),
        (
            "an acknowledgement in an old epoch",
            "c",
            Message::Acknowledge(Acknowledge { return_key, generation: generation(1, "c"), epoch: epoch(0, "b") }),
            stale,
        ),
        (
            "a refusal of a generation that is none",
            "c",
            Message::Refuse(Refuse { return_key, generation: generation(5, "c"), winner: Some(generation(9, "b")) }),
            stale,
        ),
    ]
}

/// Streams that are given to somebody, and what ends the wait for their last frames.
fn moves(arrival: FlowKey) -> Vec<Case> {
    let return_key = arrival.reversed(Interface::Second);
    let assign = |node| Assign { arrival, return_key, choice: 7, generation: generation(9, node), life: None };
    let given = |node| Message::Assign(Assign { life: Some(Life::picked_up(6)), ..assign(node) });
    vec![
        ("a stream for somebody else", "a", Message::Assign(assign("c")), unauthorised),
        ("another's stream, as a gift", "a", given("a"), unauthorised),
        ("a stream that its receiver has", "c", given("c"), stale),
        (
            "a stream of an interface that its sender does not hold",
            "c",
            Message::Assign(Assign { return_key: arrival.reversed(Interface::First), ..assign("c") }),
            unauthorised,
        ),
        (
            "the fence of a stream that waits for none",
            "c",
            Message::Fence(Fence { arrival, generation: generation(1, "c") }),
            stale,
        ),
    ]
}

fn more_cases(arrival: FlowKey) -> Vec<Case> {
    let return_key = arrival.reversed(Interface::Second);
    let first = Interface::First;
    let digests = vec![7; BUCKETS];
    let announce = |counter, node: &str, boot| Announce {
        arrival,
        return_key,
        choice: 7,
        boot: BootId(boot),
        generation: generation(counter, node),
    };
    let claim = |epoch| Message::Claim(Claim { interface: first, epoch });
    let mut words = Vec::new();
    codec::encode(&Message::Announce(announce(9, "c", 3)), &mut words).unwrap();
    let relay = |bytes: &[u8]| Relay { source: named("c"), target: named("a"), bytes: bytes.to_vec() };
    vec![
        (
            "an owned stream that is another's",
            "a",
            Message::Answer(Answer { id: 1 << 63, key: arrival, believed: None, owned: Some(announce(9, "c", 3)) }),
            unauthorised,
        ),
        (
            "an owned stream that was not asked for",
            "a",
            Message::Answer(Answer {
                id: 1 << 63,
                key: opener(Interface::First, 1),
                believed: None,
                owned: Some(announce(9, "b", 2)),
            }),
            unauthorised,
        ),
        (
            "a comparison in an old epoch",
            "c",
            Message::Compare(Compare { interface: first, epoch: epoch(0, "b"), round: 1, digests: digests.clone() }),
            stale,
        ),
        (
            "the end of no comparison",
            "a",
            Message::SyncEnd(SyncEnd { interface: first, epoch: epoch(0, "b"), round: 1, sent: vec![0], digests }),
            stale,
        ),
        (
            "a frame that is none",
            "c",
            Message::Handover(Handover { interface: first, hops: 1, wire: vec![1] }),
            unauthorised,
        ),
        (
            "a redirected frame that is none",
            "c",
            Message::Redirect(Redirect { interface: first, epoch: epoch(1, "b"), wire: Vec::new() }),
            unauthorised,
        ),
        (
            "a frame for the holder that is none",
            "a",
            Message::Astray(Astray { interface: first, wire: vec![1, 2] }),
            unauthorised,
        ),
        ("garbage passed on", "a", Message::Relay(relay(b"garbage")), unauthorised),
        ("garbage passed on as a frame", "a", Message::RelayFrame(RelayFrame(relay(b"garbage"))), unauthorised),
        ("the word of one who speaks itself", "a", Message::Relay(relay(&words)), unauthorised),
        ("a role that its holder never took", "a", claim(Epoch { boot: BootId(1), ..epoch(9, "a") }), unauthorised),
        ("the last epoch of all", "a", claim(epoch(u64::MAX, "b")), unauthorised),
    ]
}

#[test]
fn what_a_member_may_not_say_is_counted_and_changes_nothing() {
    let mut world = World::new(&Choices::default());
    let port = open_until_chosen(&mut world, Interface::First, "c");
    let state = |world: &World| -> Vec<String> {
        let rows = world.members.iter().flat_map(|m| m.node.all_rows());
        let mut rows: Vec<_> =
            rows.map(|r| format!("{:?} {:?} {} {}", r.kind, r.opener, r.chosen, r.generation)).collect();
        let roles =
            Interface::BOTH.map(|interface| format!("{:?}", world.member("a").node.membership().epoch(interface)));
        rows.extend(roles);
        rows.sort();
        rows
    };
    let arrival = opener(Interface::First, port);
    let before = state(&world);
    for (what, to, message, counter) in [cases(arrival), moves(arrival), more_cases(arrival)].concat() {
        let counted = counter(&world.member(to).out.ledger);
        world.say("b", to, message);
        assert_eq!(counter(&world.member(to).out.ledger), counted + 1, "{what}");
        assert_eq!(state(&world), before, "{what}");
    }
    // Without effect, and without need for a counter: a claim about what is not the case.
    world.say("b", "c", Message::Claim(Claim { interface: Interface::First, epoch: epoch(0, "a") }));
    assert_eq!(state(&world), before);
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    assert_eq!(world.inspectors(&arrival), [("c", 2)]);
    world.check_books();
}

#[test]
fn only_its_owner_and_its_redirectors_give_a_stream_away() {
    for (holders, without_life) in [(["a", "a"], unauthorised as fn(&Ledger) -> u64), (["a", "b"], |_| 0)] {
        let mut world = World::new(&Choices { holders: Some(holders), ..Choices::default() });
        let port = open_until_chosen(&mut world, Interface::First, "c");
        let arrival = opener(Interface::First, port);
        let return_key = arrival.reversed(Interface::Second);
        let assign = Assign { arrival, return_key, choice: 7, generation: generation(2, "a"), life: None };
        let counted = without_life(&world.member("a").out.ledger);
        world.say("b", "a", Message::Assign(assign));
        if holders == ["a", "a"] {
            assert_eq!(without_life(&world.member("a").out.ledger), counted + 1, "b holds nothing");
            let life = Some(Life::picked_up(6));
            world.say("c", "a", Message::Assign(Assign { life, ..assign }));
        }
        world.run(Duration::from_millis(300));
        world.host_sends(Interface::Second, 80, port, SYN_ACK);
        assert_eq!(world.inspectors(&arrival), [("a", 1), ("c", 1)], "{holders:?}: a took it over");
        world.check_books();
    }
}

#[test]
fn only_who_gave_a_stream_away_ends_the_wait_for_its_stragglers() {
    let mut world = World::new(&Choices { holders: Some(["a", "a"]), ..Choices::default() });
    let arrival = opener(Interface::First, 41_500);
    let return_key = arrival.reversed(Interface::Second);
    let life = Some(Life::picked_up(6));
    world.say(
        "b",
        "c",
        Message::Assign(Assign { arrival, return_key, choice: 7, generation: generation(2, "c"), life }),
    );
    world.host_sends(Interface::First, 41_500, 80, ACK);
    let fence = |counter| Message::Fence(Fence { arrival, generation: generation(counter, "c") });
    let cases = [
        ("a did not give it", "a", 2, [1, 0]),
        ("it was not given in this generation", "b", 3, [0, 1]),
        ("nor in that", "b", 1, [0, 1]),
    ];
    for (why, from, counter, counted) in cases {
        let count = |world: &World| [unauthorised, stale].map(|of| of(&world.member("c").out.ledger));
        let before = count(&world);
        world.say(from, "c", fence(counter));
        assert_eq!(world.inspectors(&arrival), [], "{why}: a straggler may still come");
        assert_eq!(count(&world), [before[0] + counted[0], before[1] + counted[1]], "{why}");
    }
    world.say("b", "c", fence(2));
    assert_eq!(world.inspectors(&arrival), [("c", 1)]);
    world.check_books();
}

#[test]
fn only_a_redirector_refuses_a_stream() {
    let mut world = World::new(&Choices { holders: Some(["a", "a"]), ..Choices::default() });
    let port = open_until_chosen(&mut world, Interface::First, "c");
    let arrival = opener(Interface::First, port);
    let return_key = arrival.reversed(Interface::Second);
    let refuse = Refuse { return_key, generation: generation(1, "c"), winner: Some(generation(9, "b")) };
    let counted = world.member("c").out.ledger.messages_unauthorised;
    world.say("b", "c", Message::Refuse(refuse));
    assert_eq!(world.member("c").out.ledger.messages_unauthorised, counted + 1);
    world.host_sends(Interface::Second, 80, port, SYN_ACK);
    assert_eq!(world.inspectors(&arrival), [("c", 2)], "the stream is where it was");
    world.check_books();
}
