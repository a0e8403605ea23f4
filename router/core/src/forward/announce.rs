//! Telling the network unasked: own addresses at start and again before switches forget, virtual addresses when this
//! node takes a role, and the groups it listens to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::gateway_adverts::GatewayAdverts;
use super::listener::{self, Record};
use super::{Forward, HolderState, arp, discovery};
use crate::id::Interface;
use crate::limits::{
    DEFEND_INTERVAL, HOLDER_ANNOUNCE_INTERVAL, HOLDER_ANNOUNCEMENTS_MAX, LISTENER_REPORT_INTERVAL,
    LISTENER_REPORTS_MAX, MAC_ANNOUNCE_INTERVAL,
};
use crate::outbox::{Leaving, Outbox};
use crate::packet::Frame;
use crate::time::Instant;

/// Something that is repeated a few times.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    at: Instant,
    left: u8,
}

/// When an address was defended last, and whether somebody has claimed it again since.
#[derive(Clone, Copy, Debug)]
struct Defence {
    last: Instant,
    again: bool,
}

/// What one interface has still to say, and when.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Where in the time that a query gives this node answers, in 256ths: random for each node, so that not all answer
    /// at once (RFC 3810, section 6.2).
    pub(super) spread: u8,
    /// Router advertisements, if they are wanted.
    pub(super) gateway: Option<GatewayAdverts>,
    /// Everything, again.
    regular: Option<Instant>,
    /// The virtual addresses, as a new holder.
    takeover: Option<Repeat>,
    /// The groups, as new ones.
    joins: Option<Repeat>,
    /// The groups, as an answer to a query.
    answer: Option<Instant>,
    /// Those of this node's addresses that others claimed.
    defences: BTreeMap<IpAddr, Defence>,
}

impl Schedule {
    pub(super) fn new(spread: u8, router_lifetime: Option<Duration>) -> Self {
        let gateway = router_lifetime.map(GatewayAdverts::new);
        Self { spread, gateway, regular: None, takeover: None, joins: None, answer: None, defences: BTreeMap::new() }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let repeats = [self.takeover, self.joins].into_iter().flatten().map(|r| r.at);
        let defences = self.defences.values().filter_map(Defence::due);
        let gateway = self.gateway.as_ref().and_then(GatewayAdverts::next_deadline);
        [self.regular, self.answer, gateway].into_iter().flatten().chain(repeats).chain(defences).min()
    }

    /// True if an address that this node answers for may be defended now; it counts as done then (RFC 5227, section 2.4
    /// (c)). Else it is done once the interval is over: who claimed it in between was believed. Each address has its own
    /// time, so that who claims one keeps no other from being defended.
    fn may_defend(&mut self, now: Instant, address: IpAddr) -> bool {
        match self.defences.get_mut(&address) {
            Some(defence) if now < defence.last + DEFEND_INTERVAL => {
                defence.again = true;
                false
            }
            Some(_) | None => {
                self.defences.insert(address, Defence { last: now, again: false });
                true
            }
        }
    }

    /// The next address whose defence is due again; it counts as done then.
    fn take_defence(&mut self, now: Instant) -> Option<IpAddr> {
        let (address, defence) = self.defences.iter_mut().find(|(_, defence)| is_due(defence.due(), now))?;
        *defence = Defence { last: now, again: false };
        Some(*address)
    }

    /// A query wants an answer within `delay_max`.
    pub(super) fn query_arrived(&mut self, now: Instant, delay_max: Duration) {
        let at = now + delay_max / 256 * u32::from(self.spread);
        self.answer = Some(self.answer.map_or(at, |earlier| earlier.min(at)));
    }
}

impl Forward {
    /// The interface works: makes this node's MAC and groups known, and the virtual addresses if it holds the role.
    /// Repeated every [`MAC_ANNOUNCE_INTERVAL`] from now on.
    pub fn interface_up(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        self.schedule[interface].regular = Some(now + MAC_ANNOUNCE_INTERVAL);
        self.announce_own(interface, out);
        self.announce_virtual(interface, out);
        self.join(now, interface, out);
    }

    /// This node took or gave up an interface's redirector: from now on it answers for the virtual addresses, and tells
    /// everyone so several times; or it is silent about them. A holder that took the role anew tells it again: another
    /// node had it in between, and the switches know only that one.
    pub fn holder_changed(&mut self, now: Instant, interface: Interface, state: HolderState, out: &mut Outbox) {
        let before = std::mem::replace(&mut self.local[interface].holds, state);
        match state {
            HolderState::DoesNot if before == state => {}
            HolderState::Holds => {
                self.announce_takeover(now, interface, out);
                self.join(now, interface, out);
            }
            HolderState::DoesNot => {
                self.schedule[interface].takeover = None;
                let kept = self.local[interface].groups();
                let left: Vec<_> = self.local[interface].virtual_groups().filter(|g| !kept.contains(g)).collect();
                self.report(interface, Record::Leaves, &left, out);
            }
        }
        self.gateway_changed(now, interface, out);
    }

    /// Another node acted as holder until now: the network hears again, several times, who does. Once at a time, whatever
    /// comes.
    pub fn announce_again(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        if self.local[interface].is_holder() && self.schedule[interface].takeover.is_none() {
            self.announce_takeover(now, interface, out);
        }
    }

    fn announce_takeover(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let again = Repeat { at: now + HOLDER_ANNOUNCE_INTERVAL, left: HOLDER_ANNOUNCEMENTS_MAX - 1 };
        self.schedule[interface].takeover = Some(again);
        self.announce_virtual(interface, out);
    }

    /// Says what is due.
    pub(super) fn announce_due(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        if is_due(self.schedule[interface].regular, now) {
            self.schedule[interface].regular = Some(now + MAC_ANNOUNCE_INTERVAL);
            self.announce_own(interface, out);
            self.announce_virtual(interface, out);
        }
        if let Some(repeat) = self.schedule[interface].takeover.filter(|r| r.at <= now) {
            self.schedule[interface].takeover = repeat.next(now, HOLDER_ANNOUNCE_INTERVAL);
            self.announce_virtual(interface, out);
        }
        if let Some(repeat) = self.schedule[interface].joins.filter(|r| r.at <= now) {
            self.schedule[interface].joins = repeat.next(now, LISTENER_REPORT_INTERVAL);
            self.report(interface, Record::Joins, &self.local[interface].groups(), out);
        }
        self.advertise_gateway(now, interface, out);
        while let Some(address) = self.schedule[interface].take_defence(now) {
            if let Some(frame) = self.defence(interface, address) {
                out.transmit(interface, frame, Leaving::Generated);
            }
        }
        if is_due(self.schedule[interface].answer, now) {
            self.schedule[interface].answer = None;
            self.report(interface, Record::Listens, &self.local[interface].groups(), out);
        }
    }

    /// Another host claims an address: if this node answers for it, it says so again, not too often.
    pub(super) fn defend(&mut self, now: Instant, interface: Interface, address: IpAddr, out: &mut Outbox) {
        if let Some(frame) = self.defence(interface, address)
            && self.schedule[interface].may_defend(now, address)
        {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }

    /// What defends an address; `None` if this node does not answer for it.
    fn defence(&self, interface: Interface, address: IpAddr) -> Option<Frame> {
        let local = &self.local[interface];
        match address {
            IpAddr::V4(address) => local.answers_v4(address).and_then(|mac| arp::announcement(mac, address)),
            IpAddr::V6(address) => local.answers_v6(address).and_then(|mac| discovery::announcement(mac, address)),
        }
    }

    /// Own addresses with the own MAC.
    fn announce_own(&self, interface: Interface, out: &mut Outbox) {
        let local = &self.local[interface];
        let v4 = local.own_v4().map(|address| arp::announcement(local.mac, address));
        let v6 = local.own_v6().map(|address| discovery::announcement(local.mac, address));
        for frame in v4.chain(v6).flatten() {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }

    /// Virtual addresses with the virtual MACs, by their holder only.
    fn announce_virtual(&self, interface: Interface, out: &mut Outbox) {
        let local = &self.local[interface];
        if !local.is_holder() {
            return;
        }
        let v4 = local.virtual_v4().iter().map(|&address| arp::announcement(local.virtual_mac_v4, address));
        let v6 = local.virtual_v6().iter().map(|&address| discovery::announcement(local.virtual_mac_v6, address));
        for frame in v4.chain(v6).flatten() {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }

    /// Reports all groups as new, and again a little later.
    fn join(&mut self, now: Instant, interface: Interface, out: &mut Outbox) {
        let again = Repeat { at: now + LISTENER_REPORT_INTERVAL, left: LISTENER_REPORTS_MAX - 1 };
        self.schedule[interface].joins = Some(again);
        self.report(interface, Record::Joins, &self.local[interface].groups(), out);
    }

    fn report(&self, interface: Interface, record: Record, groups: &[Ipv6Addr], out: &mut Outbox) {
        if let Some(frame) = listener::report(&self.local[interface], record, groups) {
            out.transmit(interface, frame, Leaving::Generated);
        }
    }
}

impl Defence {
    /// When the address is to be defended again.
    fn due(&self) -> Option<Instant> {
        self.again.then(|| self.last + DEFEND_INTERVAL)
    }
}

impl Repeat {
    /// What is left after this one.
    fn next(self, now: Instant, interval: Duration) -> Option<Self> {
        let left = self.left.saturating_sub(1);
        (left > 0).then_some(Self { at: now + interval, left })
    }
}

fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::id::Mac;
    use crate::packet::{Content, Transport};

    /// What was announced: MAC and address; and the number of listener reports.
    fn announced(router: &mut Router, interface: Interface) -> (Vec<(Mac, IpAddr)>, usize) {
        let (mut said, mut reports) = (Vec::new(), 0);
        for sent in router.sent() {
            assert_eq!(sent.interface, interface);
            let packet = sent.packet();
            match packet.content {
                Content::Arp(arp) => {
                    assert_eq!((packet.destination, packet.source), (Mac::BROADCAST, arp.sender_mac));
                    assert_eq!(arp.sender, arp.target);
                    said.push((arp.sender_mac, arp.sender.into()));
                }
                Content::Ip(h) if h.transport == (Transport::Discovery { kind: 136 }) => {
                    // Router, not solicited, override.
                    assert_eq!(sent.bytes()[58], 0xa0);
                    assert_eq!(sent.bytes()[80..86], packet.source.0);
                    assert_eq!(h.destination, v6("ff02::1"));
                    said.push((packet.source, h.source));
                }
                Content::Ip(h) => {
                    assert_eq!(h.transport, Transport::Discovery { kind: 143 });
                    assert_eq!(packet.source, OWN_MAC);
                    reports += 1;
                }
                Content::Fragment(_) => panic!("a fragment"),
            }
        }
        (said, reports)
    }

    fn own() -> Vec<(Mac, IpAddr)> {
        vec![(OWN_MAC, OWN.into()), (OWN_MAC, v6("fe80::ff:fe00:10a").into()), (OWN_MAC, v6("fd00:1::11").into())]
    }

    fn virtuals() -> Vec<(Mac, IpAddr)> {
        vec![
            (VIRTUAL_MAC_V4, VIRTUAL.into()),
            (VIRTUAL_MAC_V6, v6("fd00:1::1").into()),
            (VIRTUAL_MAC_V6, v6("fe80::200:5eff:fe00:201").into()),
        ]
    }

    #[test]
    fn an_interface_that_comes_up_is_announced_and_again_every_30_seconds() {
        let mut router = Router::new();
        router.forward.interface_up(router.now, FIRST, &mut router.out);
        assert_eq!(announced(&mut router, FIRST), (own(), 1));
        router.wait(Duration::from_secs(29));
        assert_eq!(announced(&mut router, FIRST), (vec![], 1));
        for _ in 0..3 {
            router.wait(MAC_ANNOUNCE_INTERVAL);
            assert_eq!(announced(&mut router, FIRST), (own(), 0));
        }
    }

    #[test]
    fn a_new_holder_announces_the_virtual_addresses_several_times() {
        let mut router = Router::new();
        router.forward.holder_changed(router.now, FIRST, HolderState::Holds, &mut router.out);
        assert_eq!(announced(&mut router, FIRST), (virtuals(), 1));
        for _ in 1..HOLDER_ANNOUNCEMENTS_MAX {
            router.wait(HOLDER_ANNOUNCE_INTERVAL);
            assert_eq!(announced(&mut router, FIRST).0, virtuals());
        }
        router.wait(Duration::from_secs(60));
        assert_eq!(announced(&mut router, FIRST), (vec![], 0));
        router.forward.interface_up(router.now, FIRST, &mut router.out);
        assert_eq!(announced(&mut router, FIRST), ([own(), virtuals()].concat(), 1));
    }

    #[test]
    fn a_holder_whose_role_was_contested_announces_again_once_at_a_time() {
        let mut router = Router::new();
        let again = |router: &mut Router| router.forward.announce_again(router.now, FIRST, &mut router.out);
        again(&mut router);
        assert!(router.sent().is_empty(), "it holds nothing");
        let mut router = router.holding(FIRST);
        router.wait(Duration::from_secs(10));
        router.sent();
        (0..100).for_each(|_| again(&mut router));
        assert_eq!(announced(&mut router, FIRST).0, virtuals());
        router.wait(Duration::from_secs(5));
        let times = usize::from(HOLDER_ANNOUNCEMENTS_MAX) - 1;
        assert_eq!(announced(&mut router, FIRST).0.len(), times * virtuals().len());
    }

    #[test]
    fn a_holder_that_takes_its_role_anew_announces_it_anew() {
        let mut router = Router::new();
        for _ in 0..2 {
            router.forward.holder_changed(router.now, FIRST, HolderState::Holds, &mut router.out);
            assert_eq!(announced(&mut router, FIRST), (virtuals(), 1));
            router.wait(Duration::from_secs(60));
            announced(&mut router, FIRST);
        }
    }

    #[test]
    fn a_former_holder_falls_silent_and_leaves_the_groups() {
        let mut router = Router::new();
        router.forward.holder_changed(router.now, FIRST, HolderState::Holds, &mut router.out);
        assert_eq!(announced(&mut router, FIRST).0.len(), 3);
        router.forward.holder_changed(router.now, FIRST, HolderState::DoesNot, &mut router.out);
        let sent = router.sent_one();
        let at = usize::from(sent.headers().payload_at);
        // Those of both virtual addresses, and that of the one that all routers have.
        assert_eq!(sent.bytes()[at..].len(), 3 * 20);
        assert!([0, 20, 40].iter().all(|record| sent.bytes()[at + record] == 3));
        router.wait(Duration::from_secs(60));
        assert!(announced(&mut router, FIRST).0.is_empty());
    }
}
