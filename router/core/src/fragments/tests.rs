//! Fragments in any order, with repetitions and overlaps, against a naive model; bounds and time.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use herald_testing::fragments::{fragment, fragments};
use herald_testing::frames;
use proptest::prelude::*;

use super::*;
use crate::packet::{Content, Packet};

const START: Instant = Instant::from_nanos(1);

fn datagram(source: IpAddr, payload: &[u8]) -> Vec<u8> {
    let to: IpAddr = if source.is_ipv4() { Ipv4Addr::new(10, 2, 0, 1).into() } else { "fd00:2::1".parse().unwrap() };
    frames::udp(frames::ip([[2; 6], [4; 6]], source, to, 64), (4000, 53), payload)
}

fn v4(host: u16) -> IpAddr {
    let [a, b] = host.to_be_bytes();
    Ipv4Addr::new(10, 1, a, b).into()
}

fn v6() -> IpAddr {
    Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 7).into()
}

struct Table {
    fragments: Fragments,
    now: Instant,
    out: Outbox,
}

impl Table {
    fn new() -> Self {
        Self { fragments: Fragments::new(HashKey([1; 16])), now: START, out: Outbox::default() }
    }

    fn arrives(&mut self, bytes: &[u8]) -> Option<Frame> {
        self.arrives_by(Way::Handover { hops: 1 }, bytes)
    }

    fn arrives_by(&mut self, way: Way, bytes: &[u8]) -> Option<Frame> {
        let frame = Frame::from_bytes(bytes);
        let Content::Fragment(fragment) = Packet::parse(&frame).unwrap().content else { panic!("no fragment") };
        self.fragments.arrived(self.now, (Interface::First, way), fragment, frame, &mut self.out)
    }

    fn drops(&self) -> BTreeMap<&'static str, u64> {
        self.out.drops().map(|(reason, count)| (reason.name(), count)).collect()
    }

    fn assert_empty(&self) {
        let Fragments { datagrams, by_age, shares, by_cost, frames, load, .. } = &self.fragments;
        assert!(datagrams.is_empty() && by_age.is_empty() && shares.is_empty() && by_cost.is_empty());
        assert_eq!((*frames, *load), (0, Load::default()));
    }
}

/// The payload that a datagram has by its parts, each an offset and bytes and whether more follow: `None` if two
/// overlap without being equal, or contradict each other.
fn model(parts: &[(usize, Vec<u8>, bool)]) -> Option<Vec<u8>> {
    let mut bytes = BTreeMap::new();
    let mut seen: Vec<&(usize, Vec<u8>, bool)> = Vec::new();
    for part in parts.iter() {
        if seen.contains(&part) {
            continue;
        }
        for (place, byte) in part.1.iter().enumerate() {
            if bytes.insert(part.0 + place, *byte).is_some() {
                return None;
            }
        }
        seen.push(part);
    }
    Some(bytes.into_values().collect())
}

proptest! {
    #[test]
    fn datagrams_are_whole_in_any_order_and_leave_as_they_came(
        payload in prop::collection::vec(any::<u8>(), 1..2_000),
        units in 1_usize..40,
        is_ipv6: bool,
        order in any::<prop::sample::Index>(),
        seed: u64,
        repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let source = if is_ipv6 { v6() } else { v4(7) };
        let whole = datagram(source, &payload);
        let sent = fragments(&whole, 77, (units * 8).max(8));
        prop_assume!(sent.len() > 1 && sent.len() <= 256);
        let mut arriving = sent.clone();
        let len = arriving.len();
        let last = arriving[order.index(len)].clone();
        // Everything in an order of its own, some twice; one of them comes last and once.
        arriving.retain(|part| *part != last);
        let extra: Vec<_> = repeats.iter().filter(|_| !arriving.is_empty()).map(|r| arriving[r.index(arriving.len())].clone()).collect();
        arriving.extend(extra);
        let mut state = seed | 1;
        for place in (1..arriving.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            arriving.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
        }
        let mut table = Table::new();
        for part in &arriving {
            prop_assert!(table.arrives(part).is_none());
        }
        let joined = table.arrives(&last).unwrap();
        let mut expected = whole.clone();
        if !is_ipv6 {
            expected[18..22].copy_from_slice(&[0, 77, 0, 0]);
            herald_testing::fragments::mend(&mut expected);
        }
        prop_assert_eq!(joined.bytes(), &expected[..]);
        let left: Vec<_> = joined.fragments().iter().map(|part| part.bytes().to_vec()).collect();
        prop_assert_eq!(left, sent);
        let repeated = (arriving.len() + 1 - len) as u64;
        prop_assert_eq!(table.drops().values().sum::<u64>(), repeated);
        prop_assert_eq!(table.out.ledger.joined, len as u64 - 1);
        table.assert_empty();
    }

    /// Whatever comes, in whatever sizes: a datagram is whole only if nothing contradicts anything, and then it is what the
    /// model says.
    #[test]
    fn nothing_that_overlaps_becomes_a_datagram(
        places in prop::collection::vec((0_usize..12, 1_usize..6, any::<bool>()), 1..14),
        is_ipv6: bool,
    ) {
        let payload: Vec<u8> = (0..88).collect();
        let whole = datagram(if is_ipv6 { v6() } else { v4(7) }, &payload);
        let head_end = if is_ipv6 { 54 } else { 34 };
        let mut table = Table::new();
        let mut came: Vec<(usize, Vec<u8>, bool)> = Vec::new();
        for (at, len, flip) in places {
            let (at, len) = (at * 8, len * 8);
            if at >= whole.len() - head_end || (at == 0 && len < 8) {
                continue;
            }
            let mut bytes = fragment(&whole, 5, at, len);
            if matches!(Packet::parse(&Frame::from_bytes(&bytes)).unwrap().content, Content::Ip(_)) {
                continue;
            }
            if flip && at > 0 {
                *bytes.last_mut().unwrap() ^= 1;
            }
            let part_at = if is_ipv6 { 62 } else { 34 };
            let part = bytes[part_at..].to_vec();
            let more = at + part.len() < whole.len() - head_end;
            came.push((at, part, more));
            let joined = table.arrives(&bytes);
            let expected = model(&came);
            if let Some(joined) = joined {
                prop_assert_eq!(Some(&joined.bytes()[head_end..]), expected.as_deref());
                prop_assert_eq!(joined.bytes().len(), whole.len());
                table.assert_empty();
                return Ok(());
            }
            if expected.is_none() {
                // From here on nothing of it is kept, and whatever comes ends.
                prop_assert_eq!(table.fragments.frames(), 0);
                for late in fragments(&whole, 5, 24) {
                    prop_assert!(table.arrives(&late).is_none());
                    prop_assert_eq!(table.fragments.frames(), 0);
                }
                return Ok(());
            }
            prop_assert!(expected.unwrap().len() < whole.len() - head_end);
        }
    }
}

#[test]
fn datagrams_that_differ_in_anything_are_not_mixed() {
    let (one, other) = (datagram(v4(1), &[1; 100]), datagram(v4(1), &[2; 100]));
    let mut table = Table::new();
    let [a, b] = [fragments(&one, 1, 64), fragments(&other, 2, 64)];
    assert!(table.arrives(&a[0]).is_none() && table.arrives(&b[1]).is_none());
    let network = Way::Network { destination: Mac([1; 6]), source: Mac([2; 6]) };
    assert!(table.arrives_by(network, &a[1]).is_none(), "came another way");
    assert_eq!(table.arrives(&a[1]).unwrap().bytes()[42..], [1; 100]);
    assert_eq!(table.arrives(&b[0]).unwrap().bytes()[42..], [2; 100]);
    assert_eq!(table.fragments.frames(), 1);
}

#[test]
fn what_contradicts_the_end_spoils_its_datagram() {
    let (long, short) = (datagram(v4(1), &[1; 200]), datagram(v4(1), &[1; 100]));
    for (first, second) in [
        // The end, and another one; something behind the end; the end in front of something.
        (fragment(&long, 1, 192, 64), fragment(&short, 1, 64, 64)),
        (fragment(&short, 1, 64, 64), fragment(&long, 1, 128, 64)),
        (fragment(&long, 1, 128, 64), fragment(&short, 1, 64, 64)),
    ] {
        let mut table = Table::new();
        assert!(table.arrives(&first).is_none() && table.arrives(&second).is_none());
        assert_eq!(table.drops(), BTreeMap::from([("fragment-overlap", 2)]));
        assert_eq!(table.fragments.frames(), 0);
    }
}

#[test]
fn time_gives_back_what_waited_and_then_it_is_forgotten() {
    let mut table = Table::new();
    let parts = fragments(&datagram(v6(), &[1; 100]), 9, 32);
    table.arrives(&parts[2]);
    table.now = START + FRAGMENTS_TIME_MAX / 2;
    table.arrives(&parts[0]);
    assert_eq!(table.fragments.next_deadline(), Some(START + FRAGMENTS_TIME_MAX));
    let almost = START + (FRAGMENTS_TIME_MAX - std::time::Duration::from_nanos(1));
    assert!(table.fragments.pop_overdue(almost).is_none());
    let overdue = table.fragments.pop_overdue(START + FRAGMENTS_TIME_MAX).unwrap();
    assert_eq!(overdue.parts.iter().map(|(fragment, _)| fragment.offset).collect::<Vec<_>>(), [0, 64]);
    table.assert_empty();
}

#[test]
fn one_source_makes_room_for_itself_and_the_greediest_for_all() {
    let mut table = Table::new();
    let payload = [0; 1_000];
    for number in 0..u32::try_from(FRAGMENTS_SOURCE_MAX).unwrap() + 5 {
        table.arrives(&fragment(&datagram(v4(1), &payload), number, 0, 64));
    }
    assert_eq!(table.drops(), BTreeMap::from([("fragments-full", 5)]));
    assert_eq!(table.fragments.frames(), FRAGMENTS_SOURCE_MAX);
    let first = table.fragments.by_age.first_key_value().map(|(_, (_, key))| key.identification);
    assert_eq!(first, Some(5), "the oldest made room");
    for host in 2..u16::try_from(FRAGMENTS_MAX - FRAGMENTS_SOURCE_MAX).unwrap() + 12 {
        table.arrives(&fragment(&datagram(v4(host), &payload), 1, 0, 64));
    }
    assert_eq!(table.fragments.load.places, FRAGMENTS_MAX);
    assert_eq!(table.fragments.shares[&SourceNetwork::of(v4(1))].load.places, FRAGMENTS_SOURCE_MAX - 10);
    // Bytes count as well.
    let mut table = Table::new();
    for number in 0..20 * u32::try_from(FRAGMENTS_SOURCE_BYTES_MAX / 60_000).unwrap() {
        table.arrives(&fragment(&datagram(v4(1), &[0; 65_000]), number, 0, 60_000));
        assert!(table.fragments.load.cost <= FRAGMENTS_SOURCE_BYTES_MAX);
    }
    assert!(table.fragments.load.cost > FRAGMENTS_SOURCE_BYTES_MAX - 70_000);
}

#[test]
fn spoiled_datagrams_count_and_too_many_fragments_spoil_one() {
    let mut table = Table::new();
    let whole = datagram(v4(1), &[0; 4_000]);
    for part in fragments(&whole, 1, 8).iter().take(crate::limits::FRAGMENTS_DATAGRAM_MAX + 1) {
        assert!(table.arrives(part).is_none());
    }
    assert_eq!(table.drops(), BTreeMap::from([("fragments-many", crate::limits::FRAGMENTS_DATAGRAM_MAX as u64 + 1)]));
    assert_eq!((table.fragments.frames(), table.fragments.load.places), (0, 1));
    table.now = START + FRAGMENTS_TIME_MAX;
    assert!(table.fragments.pop_overdue(table.now).unwrap().parts.is_empty());
    table.assert_empty();
}

#[test]
fn an_identification_that_comes_again_is_another_datagram() {
    let mut table = Table::new();
    let stale = fragments(&datagram(v4(1), &[1; 100]), 7, 64);
    table.arrives(&stale[0]);
    let others = fragments(&datagram(v4(1), &[3; 100]), 8, 64);
    for _ in 0..=FRAGMENTS_DISTANCE_MAX {
        table.arrives(&others[0]);
        assert!(table.arrives(&others[1]).is_some());
    }
    let fresh = fragments(&datagram(v4(1), &[2; 100]), 7, 64);
    assert!(table.arrives(&fresh[0]).is_none());
    assert_eq!(table.arrives(&fresh[1]).unwrap().bytes()[42..], [2; 100]);
    assert_eq!(table.drops(), BTreeMap::from([("fragment-timed-out", 1)]));
    table.assert_empty();
}
