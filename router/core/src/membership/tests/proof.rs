//! Signs of life on the interfaces: only answered challenges count, whatever a host forges.

use std::time::Duration;

use super::super::*;
use super::world::*;
use crate::event::{DropReason, Event};
use crate::id::Mac;
use crate::limits::{
    OPEN_CHALLENGES_MAX, PROBE_ANSWER_TIME_MAX, PROBE_RETRY_DELAY, PROBES_BURST_MAX, PROBES_PER_SECOND_MAX,
};
use crate::packet::Frame;
use crate::packet::probe::{Probe, TAG_LEN, Word};
use crate::packet::vrrp::Advert;

/// Time until a holder is succeeded that a host makes out to live.
const TAKEOVER_FORGED_TIME: Duration = TAKEOVER_TIME.saturating_add(HEARTBEAT_INTERVAL);

/// A probe comes to a node; why it is dropped.
fn lands(world: &mut World, to: usize, frame: Frame) -> Option<DropReason> {
    let mut reason = None;
    world.call(to, |membership, now, out| {
        membership.probe_arrived(now, Interface::First, frame, out);
        assert_eq!(out.spent.len(), 1);
        reason = out.drops().next().map(|(reason, _)| reason);
    });
    reason
}

/// Probes that crossed the first network since `from`, from one node to another.
fn probes(world: &World, since: Instant, from: usize, to: usize) -> Vec<Probe> {
    let sent = world.wire.iter().filter(|(at, interface, _)| *at >= since && *interface == Interface::First);
    let macs = (mac(to, Interface::First), mac(from, Interface::First));
    let read = |bytes: &[u8]| Probe::parse(&Frame::from_bytes(bytes)).ok();
    sent.filter_map(|(_, _, bytes)| read(bytes)).filter(|(to, from, _)| (*to, *from) == macs).map(|p| p.2).collect()
}

fn as_from(probe: Probe, from: usize, to: usize) -> Frame {
    probe.frame(mac(to, Interface::First), mac(from, Interface::First))
}

/// A host forges all it can of the dead: their adverts of both families, and answers to what they are asked, with the answers
/// that they gave when they lived. It sees every frame.
fn forge_life(world: &mut World, dead: &[usize], time: Duration) {
    let end = world.now + time;
    while world.now < end {
        let since = world.now;
        world.advance(Duration::from_millis(10));
        let living: Vec<usize> = world.nodes.keys().copied().collect();
        for to in living {
            for node in dead.iter().copied() {
                for interface in Interface::BOTH {
                    advertise(world, node, to, interface);
                }
                let asked = probes(world, since, to, node);
                let given = probes(world, Instant::default(), node, to);
                for nonce in asked.into_iter().filter(|probe| probe.word == Word::Challenge).map(|probe| probe.nonce) {
                    for word in [Word::Holds, Word::HoldsNot] {
                        let tag = given.last().map_or([0; TAG_LEN], |probe| probe.tag);
                        lands(world, to, as_from(Probe { word, nonce, tag }, node, to));
                    }
                }
                for probe in given.into_iter().rev().take(4) {
                    lands(world, to, as_from(probe, node, to));
                }
            }
        }
    }
}

fn advertise(world: &mut World, node: usize, to: usize, interface: Interface) {
    let number = if interface == Interface::First { 1 } else { 2 };
    let addresses = vec![virtual_address(interface)];
    let advert = Advert { vrid: number, priority: 255, centiseconds: 10, addresses };
    let frame = advert.frame(Mac([0, 0, 0x5e, 0, 1, number]), address(node, interface)).unwrap();
    let bytes = frame.bytes().to_vec();
    world.frame_lands(to, interface, &bytes);
}

#[test]
fn a_stopped_holder_is_succeeded_in_time_although_a_host_forges_its_life() {
    for count in [2, 3, 5] {
        let mut world = World::new(count);
        world.advance(CONVERGENCE_TIME);
        world.kill_silently(0);
        forge_life(&mut world, &[0], TAKEOVER_FORGED_TIME);
        assert_eq!(world.holder_as_seen(1), Some(1), "of {count}");
        forge_life(&mut world, &[0], CONVERGENCE_TIME);
        assert_eq!(world.holder_as_seen(1), Some(1), "of {count}");
        assert_eq!(world.state_of(1, 0), MemberState::Dead, "of {count}");
        assert!((1..count).all(|index| world.membership(index).candidates().len() == count - 1));
    }
}

#[test]
fn who_is_alone_keeps_and_takes_the_roles_although_a_host_forges_the_others_lives() {
    for survivor in 0..3 {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME);
        let dead: Vec<usize> = (0..3).filter(|index| *index != survivor).collect();
        dead.iter().for_each(|index| world.kill_silently(*index));
        forge_life(&mut world, &dead, TAKEOVER_FORGED_TIME + DETECTION_TIME);
        world.assert_holders(survivor, survivor);
        let used = world.used.len();
        forge_life(&mut world, &dead, Duration::from_secs(5));
        world.assert_holders(survivor, survivor);
        assert_eq!(world.used.len(), used);
        assert!(dead.iter().all(|index| world.state_of(survivor, *index) == MemberState::Dead));
        assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::MemberCut { .. })));
    }
}

#[test]
fn an_advert_of_a_member_that_proves_nothing_is_dropped_as_that() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.kill_silently(0);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.forge(2, address(0, Interface::First), 255), Some(DropReason::VrrpUnproven));
    assert_eq!(world.forge(2, address(0, Interface::First), 0), Some(DropReason::VrrpUnproven));
}

#[test]
fn a_forged_resignation_takes_no_role_from_a_member_that_proves_that_it_holds_it() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 1, Wire::Cut);
    assert_eq!(world.state_of(1, 0), MemberState::Suspect);
    assert_eq!(
        world.forge(1, address(0, Interface::First), 0),
        None,
        "its link is lost, and it has proven that it lives"
    );
    world.advance(LATENCY * 10);
    world.assert_holders(0, 1);
    world.advance(CONVERGENCE_TIME);
    assert_eq!((world.state_of(1, 0), world.holder_as_seen(1)), (MemberState::Cut, Some(0)));
    assert_eq!(world.used.len(), 2);
}

#[test]
fn a_member_beyond_the_mesh_is_known_to_hold_by_its_answers_alone() {
    let mut world = World::new(2);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 1, Wire::Cut);
    (0..2).for_each(|index| world.set_cables(index, Cable::Unicast));
    world.advance(CONVERGENCE_TIME);
    assert_eq!([0, 1].map(|index| world.holder_as_seen(index)), [Some(0), Some(0)], "no advert comes");
    assert!(
        world.membership(0).holds(Interface::Second),
        "node b, on the smaller side, has said that it holds it no more"
    );
    let used = world.used.len();
    world.advance(Duration::from_secs(5));
    assert_eq!(world.used.len(), used);
}

#[test]
fn a_role_that_was_given_up_beyond_the_mesh_is_taken_although_a_host_forges_adverts_of_who_held_it() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    [1, 2].into_iter().for_each(|index| world.set_wire(0, index, Wire::Cut));
    for _ in 0..50 {
        world.advance(Duration::from_millis(20));
        [1, 2].into_iter().for_each(|to| advertise(&mut world, 0, to, Interface::First));
    }
    assert_eq!((world.state_of(1, 0), world.holder_as_seen(0)), (MemberState::Cut, None));
    assert_eq!([1, 2].map(|index| world.holder_as_seen(index)), [Some(1); 2]);
}

/// Node b challenges node c, whose answer is caught on its way.
fn caught(world: &mut World) -> Probe {
    let since = world.now;
    world.call(1, |membership, now, out| membership.challenge(now, Interface::First, name(2), out));
    let [challenge] = probes(world, since, 1, 2).try_into().unwrap();
    world.flights.clear();
    lands(world, 2, as_from(challenge, 1, 2));
    let [answer] = probes(world, since, 2, 1).try_into().unwrap();
    world.flights.clear();
    assert_eq!((challenge.nonce, answer.word), (answer.nonce, Word::HoldsNot));
    answer
}

#[test]
fn an_answer_counts_once_and_only_to_what_was_asked() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME + HEARTBEAT_INTERVAL / 4);
    let answer = caught(&mut world);
    let changed = [
        Probe { word: Word::Holds, ..answer },
        Probe {
            tag: {
                let mut tag = answer.tag;
                tag[15] ^= 1;
                tag
            },
            ..answer
        },
    ];
    for probe in changed {
        assert_eq!(lands(&mut world, 1, as_from(probe, 2, 1)), Some(DropReason::ProbeUnproven), "{probe:?}");
    }
    let other = Probe { nonce: answer.nonce + 1, ..answer };
    assert_eq!(lands(&mut world, 1, as_from(other, 2, 1)), Some(DropReason::ProbeStale), "never asked");
    assert_eq!(lands(&mut world, 1, as_from(answer, 0, 1)), Some(DropReason::ProbeStale), "node a was not asked that");
    assert_eq!(lands(&mut world, 0, as_from(answer, 2, 1)), Some(DropReason::OtherMac), "by a switch that floods");
    let stranger = answer.frame(mac(1, Interface::First), Mac([2, 6, 6, 6, 6, 6]));
    assert_eq!(lands(&mut world, 1, stranger), Some(DropReason::ProbeStranger));
    let own = answer.frame(mac(1, Interface::First), mac(1, Interface::First));
    assert_eq!(lands(&mut world, 1, own), Some(DropReason::ProbeStranger));
    let before = world.membership(1).probe_counts(Interface::First).answered;
    assert_eq!(lands(&mut world, 1, as_from(answer, 2, 1)), None);
    assert_eq!(world.membership(1).probe_counts(Interface::First).answered, before + 1);
    assert_eq!(lands(&mut world, 1, as_from(answer, 2, 1)), Some(DropReason::ProbeStale), "a second time");
    assert!(world.membership(1).is_proven(world.now, name(2), Interface::First));
    assert!(!world.membership(1).is_proven(world.now + DETECTION_TIME, name(2), Interface::First));
}

#[test]
fn an_answer_that_comes_late_or_for_another_interface_or_boot_proves_nothing() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME + HEARTBEAT_INTERVAL / 4);
    let answer = caught(&mut world);
    let mut reason = None;
    let second = answer.frame(mac(1, Interface::Second), mac(2, Interface::Second));
    world.call(1, |membership, now, out| {
        membership.probe_arrived(now, Interface::Second, second, out);
        reason = out.drops().next().map(|(reason, _)| reason);
    });
    assert_eq!(reason, Some(DropReason::ProbeStale));
    world.now = world.now + PROBE_ANSWER_TIME_MAX;
    assert_eq!(lands(&mut world, 1, as_from(answer, 2, 1)), Some(DropReason::ProbeStale), "late");
    let since = world.now;
    world.call(1, |membership, now, out| membership.challenge(now, Interface::First, name(2), out));
    let [challenge] = probes(&world, since, 1, 2).try_into().unwrap();
    world.flights.clear();
    // Another run of node c that knows node b, as node b does not know it yet.
    let (hello, now) = (world.hello(1), world.now);
    let settings = world.settings(2, BootId(77));
    world.kill_silently(2);
    world.nodes.insert(2, Node { membership: Membership::new(now, settings), paused_until: Instant::default() });
    world.call(2, |membership, now, out| membership.link_up(now, &hello, out));
    assert_eq!(lands(&mut world, 2, as_from(challenge, 1, 2)), Some(DropReason::ProbeUnproven), "for its older run");
}

#[test]
fn a_challenge_that_is_not_proven_is_not_answered() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME + HEARTBEAT_INTERVAL / 4);
    let since = world.now;
    let answer = caught(&mut world);
    let before = probes(&world, since, 2, 1).len();
    let forged = Probe { word: Word::Challenge, ..answer };
    assert_eq!(lands(&mut world, 2, as_from(forged, 1, 2)), Some(DropReason::ProbeUnproven));
    let [challenge] = probes(&world, since, 1, 2).try_into().unwrap();
    let tomorrow = Probe { nonce: challenge.nonce + 100, ..challenge };
    assert_eq!(lands(&mut world, 2, as_from(tomorrow, 1, 2)), Some(DropReason::ProbeUnproven), "of tomorrow");
    assert_eq!(probes(&world, since, 2, 1).len(), before);
    // Its direction is the other one.
    assert_eq!(lands(&mut world, 1, as_from(challenge, 2, 1)), Some(DropReason::ProbeUnproven), "sent back");
    assert_eq!(lands(&mut world, 2, as_from(challenge, 1, 2)), None, "a copy has the same answer");
    assert_eq!(probes(&world, since, 2, 1)[before..], [answer]);
}

#[test]
fn a_flood_with_one_members_mac_is_checked_within_bounds_and_leaves_the_others_alone() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let forged = Probe { word: Word::Challenge, nonce: 1, tag: [0; TAG_LEN] };
    let flood = |world: &mut World| {
        let reasons = (0..1_000).map(|_| lands(world, 1, as_from(forged, 2, 1)));
        reasons.filter(|reason| *reason == Some(DropReason::ProbeUnproven)).count()
    };
    let checked = flood(&mut world);
    assert!(checked <= PROBES_BURST_MAX as usize && checked > PROBES_BURST_MAX as usize / 2, "{checked}");
    let since = world.now;
    while world.now.since(since) < Duration::from_secs(1) {
        flood(&mut world);
        world.advance(Duration::from_millis(1));
    }
    assert!(world.membership(1).is_proven(world.now, name(0), Interface::First), "node a is not concerned");
    assert!(world.membership(1).is_proven(world.now, name(2), Interface::Second), "nor is the other network");
    let now = world.now;
    let member = &mut world.nodes.get_mut(&1).unwrap().membership;
    let mut frames = 0;
    let mut out = Outbox::default();
    while !out.drops().any(|(reason, _)| reason == DropReason::ProbeRate) {
        frames += 1;
        member.probe_arrived(now + Duration::from_millis(100), Interface::First, as_from(forged, 2, 1), &mut out);
    }
    assert!(frames <= PROBES_PER_SECOND_MAX / 10 + 2, "{frames} more after 100 ms");
}

#[test]
fn a_member_that_does_not_answer_is_challenged_again_before_the_next_beat() {
    let mut world = World::new(2);
    world.advance(CONVERGENCE_TIME);
    let count = |world: &mut World| {
        let since = world.now;
        world.advance(Duration::from_secs(1));
        let all = probes(world, since, 0, 1).into_iter().filter(|probe| probe.word == Word::Challenge);
        let mut nonces: Vec<u64> = all.map(|probe| probe.nonce).collect();
        let sent = nonces.len();
        nonces.dedup();
        assert_eq!(nonces.len(), sent, "no nonce is used twice");
        sent
    };
    assert!((9..=11).contains(&count(&mut world)));
    world.set_cables(1, Cable::Cut);
    world.advance(HEARTBEAT_INTERVAL);
    assert!((19..=21).contains(&count(&mut world)));
    const { assert!(PROBE_RETRY_DELAY.as_millis() * OPEN_CHALLENGES_MAX as u128 >= PROBE_ANSWER_TIME_MAX.as_millis()) };
}
