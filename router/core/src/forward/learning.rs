//! What is learned of neighbours' MACs, and what of it the other nodes must know.
//!
//! Any host can say anything of another: so a claim that contradicts the table only makes this node ask both MACs, while frames go
//! on to the old one. What it has heard answered, it tells the members, each of which asks for itself: a member that lies costs
//! two requests. What a hostile host can do is what it can do on any Ethernet: answer in another's name while that one is silent.

use std::net::IpAddr;

use super::neighbour::Told;
use super::neighbours::{Informant, Unknown};
use super::{Forward, Hop, arp, discovery};
use crate::event::Event;
use crate::id::{Interface, Mac, PerInterface};
use crate::limits::{
    NEIGHBOUR_CONFLICTS_BURST_MAX, NEIGHBOUR_CONFLICTS_PER_SECOND_MAX, NEIGHBOUR_CONTESTS_BURST_MAX,
    NEIGHBOUR_CONTESTS_PER_SECOND_MAX,
};
use crate::mesh::NeighbourChanged;
use crate::outbox::{Leaving, Outbox};
use crate::packet::Arrival;
use crate::time::{Bucket, Instant};

/// What bounds and gathers what is learned.
#[derive(Debug)]
pub(super) struct Learning {
    /// Claims that may be looked into.
    contests: PerInterface<Bucket>,
    /// Conflicts that may be told.
    conflicts: PerInterface<Bucket>,
    /// What the members are to be told.
    changed: Vec<NeighbourChanged>,
}

impl Learning {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = |per_second, burst| PerInterface::from_fn(|_| Bucket::new(now, per_second, burst));
        Self {
            contests: bucket(NEIGHBOUR_CONTESTS_PER_SECOND_MAX, NEIGHBOUR_CONTESTS_BURST_MAX),
            conflicts: bucket(NEIGHBOUR_CONFLICTS_PER_SECOND_MAX, NEIGHBOUR_CONFLICTS_BURST_MAX),
            changed: Vec::new(),
        }
    }
}

/// Neighbours whose MACs others claimed, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourCounts {
    /// Two answered for one address.
    pub conflicts: u64,
    /// Claims that were not looked into because there were too many.
    pub unasked: u64,
}

impl Forward {
    /// A message spoke of a neighbour; what waited for it leaves. If it contradicts what is known, both MACs are asked.
    pub(super) fn told(&mut self, now: Instant, neighbour: Hop, told: Told, unknown: Unknown, out: &mut Outbox) {
        if told.mac.is_some() {
            self.routes.gateways.spoke(&neighbour);
        }
        if self.contested(now, neighbour, (told, Informant::Frame), out) {
            return;
        }
        let Hop { interface, next_hop } = neighbour;
        if let Some((mac, queue)) = self.neighbours[interface].told(now, next_hop, told, unknown) {
            self.release(now, (interface, mac), queue, out);
        }
    }

    /// A host's packet begins a stream: if its source is a neighbour with another MAC, that may have changed.
    #[cold]
    pub fn source_seen(&mut self, now: Instant, arrival: &Arrival, out: &mut Outbox) {
        let Some(mac) = arrival.frame.bytes().get(6..12).and_then(|bytes| bytes.try_into().ok()).map(Mac) else {
            return;
        };
        let neighbour = Hop { interface: arrival.interface, next_hop: arrival.headers.source };
        self.claimed(now, neighbour, (mac, Informant::Frame), out);
    }

    /// A member has heard that a neighbour has this MAC. False if that is not a neighbour's to have: nothing follows then.
    pub fn neighbour_changed(&mut self, now: Instant, changed: &NeighbourChanged, out: &mut Outbox) -> bool {
        let NeighbourChanged { interface, address, mac } = *changed;
        let is_ours = self.is_own_address(address) || self.is_virtual_address(address);
        let is_one =
            !is_ours && self.local[interface].is_on_link(address) && !mac.is_multicast() && mac != Mac::default();
        if is_one {
            self.claimed(now, Hop { interface, next_hop: address }, (mac, Informant::Member), out);
        }
        is_one
    }

    /// Neighbours whose new MACs this node has heard itself since the last call: the members are to be told.
    pub fn take_changed(&mut self) -> Vec<NeighbourChanged> {
        std::mem::take(&mut self.learning.changed)
    }

    /// Neighbours whose MACs others claimed.
    #[must_use]
    pub fn neighbour_counts(&self, interface: Interface) -> NeighbourCounts {
        NeighbourCounts {
            conflicts: self.neighbours[interface].conflicts(),
            unasked: self.learning.contests[interface].refused(),
        }
    }

    /// A neighbour is where this node has heard it.
    pub(super) fn changed(&mut self, interface: Interface, address: IpAddr, mac: Mac) {
        self.learning.changed.push(NeighbourChanged { interface, address, mac });
    }

    /// Two answer for one address.
    pub(super) fn conflicted(&mut self, now: Instant, neighbour: Hop, macs: [Mac; 2], out: &mut Outbox) {
        let (Hop { interface, next_hop: address }, [mac, rival]) = (neighbour, macs);
        if self.learning.conflicts[interface].take(now).is_some() {
            out.tell(Event::NeighbourConflict { interface, address, mac, rival });
        }
    }

    /// True while both MACs are asked that a neighbour may have.
    pub(super) fn is_contested(&self, interface: Interface, address: impl Into<IpAddr>) -> bool {
        self.neighbours[interface].is_contested(address.into())
    }

    /// Asks both MACs that a neighbour may have.
    pub(super) fn ask_both(&self, neighbour: Hop, macs: [Mac; 2], out: &mut Outbox) {
        macs.into_iter().for_each(|mac| self.ask(neighbour, Some(mac), out));
    }

    /// Asks for a neighbour's MAC; by unicast if it is known and only its truth is asked for.
    pub(super) fn ask(&self, hop: Hop, mac: Option<Mac>, out: &mut Outbox) {
        let local = &self.local[hop.interface];
        let request = match hop.next_hop {
            IpAddr::V4(target) => arp::request(local, target, mac),
            IpAddr::V6(target) => discovery::solicitation(local, target, mac),
        };
        if let Some(frame) = request {
            out.transmit(hop.interface, frame, Leaving::Generated);
        }
    }

    /// Something says that a known neighbour has this MAC.
    fn claimed(&mut self, now: Instant, neighbour: Hop, (mac, informant): (Mac, Informant), out: &mut Outbox) {
        let told = Told { mac: Some(mac), solicited: false, overrides: true };
        self.contested(now, neighbour, (told, informant), out);
    }

    /// If what is told contradicts what is known, both MACs are asked, and true is the answer.
    fn contested(&mut self, now: Instant, neighbour: Hop, told: (Told, Informant), out: &mut Outbox) -> bool {
        let Hop { interface, next_hop } = neighbour;
        let contests = &mut self.learning.contests[interface];
        let Some(macs) = self.neighbours[interface].contested(now, next_hop, told, contests) else { return false };
        self.ask_both(neighbour, macs, out);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use herald_testing::frames;

    use super::super::testing::*;
    use super::*;
    use crate::limits::{CONFLICT_TIME, NEIGHBOUR_CONTEST_INTERVAL, NEIGHBOUR_CONTEST_PAUSE};
    use crate::packet::{Came, Frame};

    const NEW: Mac = Mac([2, 0, 0, 0, 0, 0x65]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 0x66]);

    /// The client is said to have a MAC.
    fn claim(router: &mut Router, mac: Mac) {
        let frame = frames::arp(Mac::BROADCAST.0, 1, (mac.0, CLIENT), ([0; 6], CLIENT));
        router.arrives(FIRST, Frame::from_bytes(&frame));
    }

    fn answer(router: &mut Router, mac: Mac) {
        router.arrives(FIRST, Frame::from_bytes(&frames::arp_reply((mac.0, CLIENT), (OWN_MAC.0, OWN))));
    }

    /// How many ARP requests went to each MAC since the last look.
    fn asked(router: &mut Router, macs: [Mac; 2]) -> [usize; 2] {
        let sent = router.sent();
        macs.map(|mac| sent.iter().filter(|sent| sent.packet().destination == mac).count())
    }

    fn changed() -> NeighbourChanged {
        NeighbourChanged { interface: FIRST, address: CLIENT.into(), mac: NEW }
    }

    #[test]
    fn who_answers_has_the_address_and_the_old_one_has_it_if_both_do() {
        // What each answers to the first and to the second request; who has it then, in which state, and what follows.
        let (yes, no) = (true, false);
        for (old, new, mac, state, told, conflicts) in [
            ([yes, no], [no, no], CLIENT_MAC, "reachable", vec![], 0),
            ([no, yes], [no, no], CLIENT_MAC, "reachable", vec![], 0),
            ([no, no], [yes, no], NEW, "reachable", vec![changed()], 0),
            ([no, no], [no, yes], NEW, "reachable", vec![changed()], 0),
            ([yes, no], [yes, no], CLIENT_MAC, "reachable", vec![], 1),
            ([no, yes], [yes, no], CLIENT_MAC, "reachable", vec![], 1),
            ([no, no], [no, no], CLIENT_MAC, "probe", vec![], 0),
        ] {
            let name = format!("old {old:?}, new {new:?}");
            let mut router = Router::with_neighbours();
            claim(&mut router, NEW);
            for request in 0..2 {
                if router.state_of(CLIENT) != "contested" {
                    break;
                }
                assert_eq!(asked(&mut router, [CLIENT_MAC, NEW]), [1, 1], "{name}");
                // Frames go on to the old one.
                router.forwards(SECOND, udp(SERVER, CLIENT, b"hello")).unwrap();
                assert_eq!(router.sent_one().packet().destination, CLIENT_MAC, "{name}");
                for (mac, _) in [(CLIENT_MAC, old), (NEW, new)].iter().filter(|(_, answers)| answers[request]) {
                    answer(&mut router, *mac);
                }
                router.wait(NEIGHBOUR_CONTEST_INTERVAL);
            }
            assert_eq!((router.mac_of(CLIENT), router.state_of(CLIENT)), (Some(mac), state), "{name}");
            assert_eq!(router.forward.take_changed(), told, "{name}");
            assert_eq!(router.forward.neighbour_counts(FIRST).conflicts, conflicts, "{name}");
            let events = vec![Event::NeighbourConflict {
                interface: FIRST,
                address: CLIENT.into(),
                mac: CLIENT_MAC,
                rival: NEW,
            }];
            assert_eq!(router.out.events, if conflicts > 0 { events } else { vec![] }, "{name}");
        }
    }

    #[test]
    fn a_claim_that_is_repeated_is_looked_into_once_in_a_while_and_another_one_at_once() {
        let mut router = Router::with_neighbours();
        for _ in 0..10 {
            claim(&mut router, NEW);
            answer(&mut router, CLIENT_MAC);
        }
        assert_eq!(asked(&mut router, [CLIENT_MAC, NEW]), [1, 1]);
        router.wait(NEIGHBOUR_CONTEST_INTERVAL);
        claim(&mut router, NEW);
        assert_eq!(asked(&mut router, [CLIENT_MAC, NEW]), [0, 0]);
        claim(&mut router, OTHER);
        assert_eq!(asked(&mut router, [CLIENT_MAC, OTHER]), [1, 1]);
        answer(&mut router, CLIENT_MAC);
        router.wait(NEIGHBOUR_CONTEST_PAUSE);
        router.sent();
        claim(&mut router, NEW);
        assert_eq!(asked(&mut router, [CLIENT_MAC, NEW]), [1, 1]);
    }

    #[test]
    fn a_flood_of_claims_is_bounded_and_counted() {
        let mut router = Router::with_neighbours();
        for number in 0..u16::try_from(NEIGHBOUR_CONTESTS_BURST_MAX).unwrap() + 50 {
            let [high, low] = number.to_be_bytes();
            claim(&mut router, Mac([2, 0, 0, 9, high, low]));
            answer(&mut router, CLIENT_MAC);
            let end = router.now;
            router.wait(NEIGHBOUR_CONTEST_INTERVAL);
            router.now = end;
        }
        let counts = router.forward.neighbour_counts(FIRST);
        assert!((1..=50).contains(&counts.unasked), "{counts:?}");
    }

    #[test]
    fn a_conflict_is_told_once_in_an_outbreak() {
        let mut router = Router::with_neighbours();
        let outbreak = |router: &mut Router| {
            for _ in 0..5 {
                claim(router, NEW);
                answer(router, NEW);
                answer(router, CLIENT_MAC);
                router.wait(NEIGHBOUR_CONTEST_PAUSE);
            }
            router.out.events.drain(..).count()
        };
        assert_eq!(outbreak(&mut router), 1);
        assert_eq!(outbreak(&mut router), 0);
        assert_eq!(router.forward.neighbour_counts(FIRST).conflicts, 10);
        router.wait(CONFLICT_TIME + Duration::from_secs(1));
        assert_eq!(outbreak(&mut router), 1);
    }

    #[test]
    fn a_member_is_believed_to_have_heard_something_and_not_told_again() {
        let mut router = Router::with_neighbours();
        let (now, out) = (router.now, &mut router.out);
        assert!(router.forward.neighbour_changed(now, &changed(), out));
        assert_eq!(router.mac_of(CLIENT), Some(CLIENT_MAC));
        assert_eq!(asked(&mut router, [CLIENT_MAC, NEW]), [1, 1]);
        answer(&mut router, NEW);
        router.wait(2 * NEIGHBOUR_CONTEST_INTERVAL);
        assert_eq!((router.mac_of(CLIENT), router.forward.take_changed()), (Some(NEW), vec![]));
    }

    #[test]
    fn a_member_makes_nobody_known_and_speaks_for_neighbours_only() {
        for (address, mac, is_heard) in [
            ("10.1.0.77", NEW, true),
            ("10.1.0.11", NEW, false),
            ("10.1.0.1", NEW, false),
            ("10.2.0.200", NEW, false),
            ("192.0.2.1", NEW, false),
            ("10.1.0.100", Mac::BROADCAST, false),
            ("10.1.0.100", Mac::default(), false),
        ] {
            let mut router = Router::with_neighbours();
            let before = router.forward.neighbours();
            let changed = NeighbourChanged { interface: FIRST, address: address.parse().unwrap(), mac };
            let (now, out) = (router.now, &mut router.out);
            assert_eq!(router.forward.neighbour_changed(now, &changed, out), is_heard, "{address} {mac}");
            assert!(router.sent().is_empty(), "{address} {mac}");
            assert_eq!(router.forward.neighbours(), before, "{address} {mac}");
        }
    }

    #[test]
    fn a_packet_that_begins_a_stream_says_where_its_source_is() {
        for (from, asks) in [(NODE_MAC, true), (CLIENT_MAC, false)] {
            let mut router = Router::with_neighbours();
            let ip = frames::ip([from.0, OWN_MAC.0], CLIENT, SERVER, 64);
            let frame = Frame::from_bytes(&frames::udp(ip, (4000, 53), b"x"));
            let Ok(arrival) = Arrival::parse(FIRST, frame, Came::Directly) else { panic!() };
            router.forward.source_seen(router.now, &arrival, &mut router.out);
            assert_eq!(asked(&mut router, [CLIENT_MAC, NODE_MAC]), if asks { [1, 1] } else { [0, 0] });
        }
    }
}
