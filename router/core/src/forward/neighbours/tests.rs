//! The table against a scan, silence, and arbitrary steps.

use super::*;
use crate::limits::{NEIGHBOUR_REQUESTS_MAX, NEIGHBOURS_UNRESOLVED_MAX, NEIGHBOURS_UNRESOLVED_SOURCE_MAX};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 100));
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ANSWER: Told = Told { mac: Some(MAC), solicited: true, overrides: true };
const SPEAKS: Told = Told { mac: Some(MAC), solicited: false, overrides: true };

fn address(n: usize) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(n).unwrap()).into()
}

fn waiting() -> Waiting {
    Waiting { frame: Frame::from_bytes(&[0; 60]), origin: Origin::Generated }
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn check(table: &Neighbours) {
    assert_eq!(table.deadlines.len(), table.known.len());
    assert_eq!(table.resolved.len(), table.known.values().filter(|n| n.state.mac().is_some()).count());
    assert_eq!(table.queued, table.known.values().map(|n| n.queue.len()).sum::<usize>());
    assert!(table.known.len() <= NEIGHBOURS_MAX);
    assert_eq!(table.known.len() - table.resolved.len(), table.unresolved.len());
    assert!(table.unresolved.len() <= NEIGHBOURS_UNRESOLVED_MAX && table.pushed_out.is_empty());
    assert!(table.queued <= QUEUES_FRAMES_MAX);
    assert!(table.known.values().all(|n| n.queue.len() <= NEIGHBOUR_QUEUE_FRAMES_MAX));
    assert!(table.known.values().all(|n| n.queue.is_empty() || n.state.mac().is_none()));
    if let Some((address, mac)) = table.last {
        let state = table.known[&Place(address)].state;
        assert_eq!((state.mac(), state.after(Event::Used)), (Some(mac), Next::Stay));
    }
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_gives_its_frames_back() {
    let (mut table, mut out) = (Neighbours::new(HashKey([1; 16])), Outbox::default());
    assert_eq!(table.used(at(0), &SOURCE, address(1)), Way::Unasked);
    table.keep(address(1), waiting(), &mut out);
    assert_eq!(table.used(at(1), &SOURCE, address(1)), Way::Asked);
    table.keep(address(1), waiting(), &mut out);
    for request in 1..u64::from(NEIGHBOUR_REQUESTS_MAX) {
        assert!(table.overdue(at(request * 1000 - 1)).is_none());
        let overdue = table.overdue(at(request * 1000)).unwrap();
        assert!(matches!(overdue, Overdue::Ask(who, None) if who == address(1)));
    }
    assert!(matches!(table.overdue(at(3000)), Some(Overdue::Silent(_, queue)) if queue.len() == 2));
    assert_eq!(table.next_deadline(), None);
    check(&table);
}

#[test]
fn queues_drop_the_oldest_and_have_a_cap_in_all() {
    let (mut table, mut out) = (Neighbours::new(HashKey([1; 16])), Outbox::default());
    let neighbours = QUEUES_FRAMES_MAX / NEIGHBOUR_QUEUE_FRAMES_MAX + 1;
    for n in 0..neighbours {
        table.used(at(0), &SOURCE, address(n));
        for _ in 0..=NEIGHBOUR_QUEUE_FRAMES_MAX {
            table.keep(address(n), waiting(), &mut out);
        }
    }
    check(&table);
    assert_eq!(table.queued, QUEUES_FRAMES_MAX);
    let over = neighbours * (NEIGHBOUR_QUEUE_FRAMES_MAX + 1) - QUEUES_FRAMES_MAX;
    assert_eq!(out.drops().collect::<Vec<_>>(), [(DropReason::NeighbourQueueFull, over as u64)]);
    assert_eq!(out.ledger.generated_dropped, over as u64);
    let (_, queue) = table.told(at(1), address(0), ANSWER, Unknown::Ignore).unwrap();
    assert_eq!(queue.len(), NEIGHBOUR_QUEUE_FRAMES_MAX);
    check(&table);
}

#[test]
fn a_scan_pushes_out_its_own_questions() {
    let (mut table, mut out) = (Neighbours::new(HashKey([1; 16])), Outbox::default());
    table.used(at(0), &SOURCE, address(0));
    table.told(at(0), address(0), ANSWER, Unknown::Ignore);
    let other = IpAddr::from([10, 1, 0, 101]);
    table.used(at(1), &other, address(1));
    table.keep(address(1), waiting(), &mut out);
    let scanned = 2..100_000;
    for n in scanned.clone() {
        assert_eq!(table.used(at(n as u64), &SOURCE, address(n)), Way::Unasked);
        table.keep(address(n), waiting(), &mut out);
    }
    check(&table);
    assert_eq!(table.unresolved.len(), NEIGHBOURS_UNRESOLVED_SOURCE_MAX + 1);
    let pushed_out = scanned.len() - NEIGHBOURS_UNRESOLVED_SOURCE_MAX;
    assert_eq!(out.drops().collect::<Vec<_>>(), [(DropReason::NeighboursFull, pushed_out as u64)]);
    assert_eq!(table.used(at(100_000), &SOURCE, address(0)), Way::Known(MAC));
    let (_, queue) = table.told(at(100_000), address(1), ANSWER, Unknown::Ignore).unwrap();
    assert_eq!(queue.len(), 1, "another's question stays");
}

#[test]
fn a_scan_with_forged_sources_pushes_out_the_oldest_question() {
    let (mut table, mut out) = (Neighbours::new(HashKey([1; 16])), Outbox::default());
    for n in 0..2 * NEIGHBOURS_UNRESOLVED_MAX {
        assert_eq!(table.used(at(n as u64), &address(100_000 + n), address(n)), Way::Unasked);
        table.keep(address(n), waiting(), &mut out);
        check(&table);
    }
    let is_known = |n: usize| table.known.contains_key(&Place(address(n)));
    assert!(!is_known(NEIGHBOURS_UNRESOLVED_MAX - 1) && is_known(NEIGHBOURS_UNRESOLVED_MAX));
}

#[test]
fn at_the_cap_who_never_answered_goes_first_then_the_oldest_answer() {
    let mut table = Neighbours::new(HashKey([1; 16]));
    for n in 1..NEIGHBOURS_MAX {
        table.used(at(n as u64), &SOURCE, address(n));
        table.told(at(n as u64), address(n), ANSWER, Unknown::Ignore);
    }
    table.told(at(5000), address(0), SPEAKS, Unknown::Learn);
    assert_eq!(table.known.len(), NEIGHBOURS_MAX);
    table.told(at(5000), address(5000), SPEAKS, Unknown::Learn);
    assert!(!table.known.contains_key(&Place(address(5000))), "an unasked word pushes nobody out");
    for pushed_out in [0, 1, 2] {
        assert!(table.known.contains_key(&Place(address(pushed_out))));
        assert_eq!(table.used(at(5001), &SOURCE, address(6000 + pushed_out)), Way::Unasked);
        assert!(!table.known.contains_key(&Place(address(pushed_out))));
        check(&table);
    }
}

#[test]
fn reachable_becomes_stale_becomes_forgotten() {
    let mut table = Neighbours::new(HashKey([1; 16]));
    table.used(at(0), &SOURCE, address(1));
    table.told(at(0), address(1), ANSWER, Unknown::Ignore);
    assert!(table.overdue(at(30_000)).is_none());
    assert_eq!(table.used(at(30_001), &SOURCE, address(1)), Way::Doubtful(MAC));
    assert_eq!(table.used(at(30_002), &SOURCE, address(1)), Way::Known(MAC));
    assert!(table.is_asked(address(1)));
    assert!(matches!(table.overdue(at(31_001)), Some(Overdue::Ask(_, Some(MAC)))));
    table.told(at(31_002), address(1), ANSWER, Unknown::Ignore);
    assert!(table.overdue(at(700_000)).is_none());
    assert_eq!(table.known.len(), 1);
    assert!(table.overdue(at(1_300_000)).is_none());
    assert!(table.known.is_empty());
    check(&table);
}

proptest! {
    #[test]
    fn bounds_and_indices_hold(steps in prop::collection::vec((0_u8..6, 0_usize..40, 0_u64..2_000), 1..400)) {
        let (mut table, mut out) = (Neighbours::new(HashKey([1; 16])), Outbox::default());
        let (mut millis, mut kept, mut given_back) = (0, 0_u64, 0);
        for (what, n, pause) in steps {
            millis += pause;
            match what {
                0 | 1 => if matches!(table.used(at(millis), &SOURCE, address(n)), Way::Asked | Way::Unasked) {
                    kept += 1;
                    table.keep(address(n), waiting(), &mut out);
                },
                2 => given_back += table.told(at(millis), address(n), ANSWER, Unknown::Ignore).map_or(0, |r| r.1.len()),
                3 => given_back += table.told(at(millis), address(n), SPEAKS, Unknown::Learn).map_or(0, |r| r.1.len()),
                4 => given_back += table.told(at(millis), address(n), Told { mac: None, ..ANSWER }, Unknown::Learn)
                    .map_or(0, |r| r.1.len()),
                _ => while let Some(overdue) = table.overdue(at(millis)) {
                    if let Overdue::Silent(_, queue) = overdue {
                        given_back += queue.len();
                    }
                },
            }
            check(&table);
        }
        let dropped: u64 = out.drops().map(|(_, count)| count).sum();
        prop_assert_eq!(kept, dropped + (given_back + table.queued) as u64);
    }
}
