//! The redirector's table against a naive model: a map, and every rule in one line.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::choice::{Keying, Redirectors};
use super::*;
use crate::flow::HashKey;
use crate::limits::{BUCKETS, TOMBSTONE_TIME};
use crate::mesh::{Announce, Close, Refuse};
use crate::outbox::Outbox;
use crate::session::Digests;
use crate::time::Instant;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Steer { key: u16 },
    Announce { key: u16, counter: u32, node: usize },
    Close { key: u16, counter: u32, node: usize },
    Wait { millis: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    generation: Generation,
    standing: Standing,
    expires: Instant,
}

const PROVISIONAL: Duration = Duration::from_secs(5);

fn node(number: usize) -> NodeId {
    ["a", "b", "c"][number].parse().unwrap()
}

fn flow(number: u16) -> FlowKey {
    let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
    FlowKey::new(Interface::First, 17, (address(1), number), (address(2), 53))
}

fn redirector() -> Redirector {
    redirector_that(Redirecting::Ethernet)
}

fn redirector_that(redirecting: Redirecting) -> Redirector {
    let timeouts = Timeouts::alike(PROVISIONAL);
    let choice = choice::Settings { key: HashKey([1; 16]), redirectors: Redirectors::Equal, keying: Keying::Shared };
    let hash_key = HashKey([2; 16]);
    let (node, midstream, buckets) = (node(0), Midstream::Drop, BUCKETS);
    let settings = Settings { node, choice, midstream, redirecting, timeouts, sessions_max: 1_000, hash_key, buckets };
    Redirector::new(Instant::from_nanos(1), settings)
}

fn announce(key: u16, generation: Generation) -> Announce {
    let arrival = flow(key);
    Announce { arrival, return_key: arrival.reversed(Interface::Second), choice: 7, boot: BootId(1), generation }
}

/// What the rules of generations say an announcement does.
fn model_announces(model: &mut BTreeMap<u16, Entry>, key: u16, generation: Generation) -> bool {
    let stands = model.get(&key).is_none_or(|old| {
        old.standing == Standing::Provisional
            || generation.wins_over(old.generation)
            || old.standing == Standing::Announced && old.generation == generation
    });
    if stands {
        model.insert(key, Entry { generation, standing: Standing::Announced, expires: Instant::NEVER });
    }
    stands
}

fn model_closes(model: &mut BTreeMap<u16, Entry>, now: Instant, key: u16, generation: Generation) {
    if let Some(entry) = model.get_mut(&key)
        && (entry.generation == generation
            || entry.standing == Standing::Provisional && entry.generation.node == generation.node)
    {
        *entry = Entry { generation, standing: Standing::Tombstone, expires: now + TOMBSTONE_TIME };
    }
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let parts = || (0u16..6, 1u32..4, 0usize..3);
    prop_oneof![
        (0u16..6).prop_map(|key| Operation::Steer { key }),
        parts().prop_map(|(key, counter, node)| Operation::Announce { key, counter, node }),
        parts().prop_map(|(key, counter, node)| Operation::Close { key, counter, node }),
        (1u64..120_000).prop_map(|millis| Operation::Wait { millis }),
        (1u64..700).prop_map(|millis| Operation::Wait { millis }),
    ]
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_model(operations in proptest::collection::vec(any_operation(), 1..200)) {
        let (mut redirector, mut model) = (redirector(), BTreeMap::<u16, Entry>::new());
        let (mut out, mut now) = (Outbox::default(), Instant::from_nanos(1));
        let in_sync = PerInterface { first: true, second: true };
        let candidates = [0, 1, 2].map(|n| Candidate { node: node(n), weight: 1, is_holder: false, is_full: false });
        for operation in operations {
            match operation {
                Operation::Steer { key } => {
                    let summary = Summary { key: HashKey([2; 16]).hashed(flow(key)), opening: Opening::Opens, packets: 1, bytes: 60 };
                    let steer = redirector.steer(now, &summary, &candidates, in_sync, &mut out);
                    match (steer, model.get(&key)) {
                        (Steer::To(to), Some(entry)) => prop_assert_eq!(to, entry.generation.node),
                        (Steer::Chosen(node), None) => {
                            let generation = Generation { counter: 0, node };
                            let expires = now + PROVISIONAL;
                            model.insert(key, Entry { generation, standing: Standing::Provisional, expires });
                        }
                        (steer, entry) => prop_assert!(false, "{steer:?} with {entry:?}"),
                    }
                }
                Operation::Announce { key, counter, node: number } => {
                    let generation = Generation { counter, node: node(number) };
                    let heard = redirector.session_announced(now, &flow(key), key.into(), &announce(key, generation));
                    let stands = !matches!(heard, Heard::Refused(_));
                    prop_assert_eq!(stands, model_announces(&mut model, key, generation));
                }
                Operation::Close { key, counter, node: number } => {
                    let generation = Generation { counter, node: node(number) };
                    let (arrival, return_key) = (flow(key), flow(key).reversed(Interface::Second));
                    redirector.session_closed(now, &flow(key), &Close { arrival, return_key, generation });
                    model_closes(&mut model, now, key, generation);
                }
                Operation::Wait { millis } => {
                    now = now + Duration::from_millis(millis);
                    redirector.deadline_reached(now);
                    model.retain(|_, entry| entry.expires > now);
                }
            }
            for key in 0..6 {
                prop_assert_eq!(redirector.belief(&flow(key)), model.get(&key).map(|entry| entry.generation));
            }
            prop_assert_eq!(redirector.sessions(Interface::First), model.len());
            prop_assert_eq!(redirector.table.len(), model.len());
        }
        for (key, entry) in &model {
            let (arrival, return_key) = (flow(*key), flow(*key).reversed(Interface::Second));
            let close = Close { arrival, return_key, generation: entry.generation };
            redirector.session_closed(now, &arrival, &close);
        }
        redirector.deadline_reached(now + PROVISIONAL);
        prop_assert_eq!(redirector.sessions(Interface::First), 0, "what is closed and what nobody announced ends");
        let copies = [0, 1, 2].map(|number| redirector.digests(node(number), Interface::First));
        prop_assert!(copies.iter().all(|digests| *digests == Digests::new(BUCKETS)), "and leaves no digest");
    }
}

#[test]
fn a_report_knows_the_opener_of_a_stream_whose_return_key_is_translated() {
    let mut redirector = redirector();
    let generation = Generation { counter: 1, node: node(2) };
    let announce = Announce { return_key: flow(99).reversed(Interface::Second), ..announce(7, generation) };
    for key in [announce.arrival, announce.return_key] {
        redirector.session_announced(Instant::from_nanos(1), &key, 5, &announce);
    }
    let rows: Vec<_> = (0..).map_while(|part| redirector.rows(part)).flatten().collect();
    assert_eq!(rows.iter().map(|row| row.opener).collect::<Vec<_>>(), [announce.arrival; 2]);
}

/// A packet that opens a stream comes.
fn opens(redirector: &mut Redirector, now: Instant, key: u16) -> Steer {
    comes(redirector, now, (key, Opening::Opens), &[0, 1, 2])
}

fn comes(redirector: &mut Redirector, now: Instant, (key, opening): (u16, Opening), candidates: &[usize]) -> Steer {
    let summary = Summary { key: HashKey([2; 16]).hashed(flow(key)), opening, packets: 1, bytes: 60 };
    let candidate = |n: &usize| Candidate { node: node(*n), weight: 1, is_holder: false, is_full: false };
    let candidates: Vec<_> = candidates.iter().map(candidate).collect();
    let in_sync = PerInterface { first: true, second: true };
    redirector.steer(now, &summary, &candidates, in_sync, &mut Outbox::default())
}

#[test]
fn streams_that_nobody_announces_have_an_eighth_of_the_table_and_announced_ones_stay() {
    let (mut redirector, now) = (redirector(), Instant::from_nanos(1));
    let generation = Generation { counter: 1, node: node(2) };
    for key in 0..100 {
        redirector.session_announced(now, &flow(key), key.into(), &announce(key, generation));
    }
    for key in 1_000..3_000 {
        assert!(matches!(opens(&mut redirector, now, key), Steer::Chosen(_)), "a flood keeps nobody out");
    }
    assert_eq!((redirector.len(), redirector.evicted()), (100 + 125, 2_000 - 125));
    assert!((0..100).all(|key| redirector.belief(&flow(key)) == Some(generation)));
    assert!(redirector.belief(&flow(2_874)).is_none() && redirector.belief(&flow(2_875)).is_some(), "the oldest goes");
}

#[test]
fn in_a_full_table_tombstones_make_room_and_then_what_was_never_announced() {
    let (mut redirector, now) = (redirector(), Instant::from_nanos(1));
    let generation = Generation { counter: 1, node: node(2) };
    let hear = |redirector: &mut Redirector, key: u16| {
        redirector.session_announced(now, &flow(key), key.into(), &announce(key, generation))
    };
    assert!(matches!(opens(&mut redirector, now, 2_000), Steer::Chosen(_)));
    for key in 0..999 {
        assert_eq!(hear(&mut redirector, key), Heard::Acknowledged);
    }
    let (arrival, return_key) = (flow(7), flow(7).reversed(Interface::Second));
    redirector.session_closed(now, &arrival, &Close { arrival, return_key, generation });
    assert_eq!(hear(&mut redirector, 999), Heard::Acknowledged);
    assert!(redirector.belief(&flow(7)).is_none() && redirector.belief(&flow(2_000)).is_some());
    assert_eq!(hear(&mut redirector, 2_001), Heard::Acknowledged);
    assert_eq!(redirector.belief(&flow(2_000)), None);
    assert!(matches!(hear(&mut redirector, 2_002), Heard::Refused(Refuse { winner: None, .. })));
    assert_eq!(opens(&mut redirector, now, 2_003), Steer::Drop(DropReason::RedirectorSessionsFull));
    assert_eq!((redirector.len(), redirector.evicted()), (1_000, 2));
}

#[test]
fn where_the_mesh_redirects_what_opens_at_a_node_out_of_reach_is_opened_elsewhere() {
    let now = Instant::from_nanos(1);
    let steered = |redirecting, opening| {
        let mut redirector = redirector_that(redirecting);
        let generation = Generation { counter: 1, node: node(2) };
        redirector.session_announced(now, &flow(7), 7, &announce(7, generation));
        redirector.reach_changed(&[node(2)]);
        comes(&mut redirector, now, (7, opening), &[0])
    };
    let steer = steered(Redirecting::Mesh, Opening::Opens);
    assert!(
        matches!(steer, Steer::Move(Assign { generation: Generation { counter: 2, node }, .. }) if node == self::node(0))
    );
    assert_eq!(steered(Redirecting::Mesh, Opening::Connects), Steer::Chosen(node(0)));
    assert_eq!(steered(Redirecting::Mesh, Opening::Midstream), Steer::To(node(2)));
    assert_eq!(steered(Redirecting::Ethernet, Opening::Opens), Steer::To(node(2)));
}
