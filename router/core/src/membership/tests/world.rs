//! Simulated clusters of one to five nodes, whose messages and frames the test carries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::*;
use crate::event::{DropReason, Event};
use crate::flow::HashKey;
use crate::id::Mac;
use crate::mesh::{Hello, Message, Side};
use crate::packet::{Content, Frame, Packet, probe, vrrp};

pub(super) const LATENCY: Duration = Duration::from_millis(1);
/// Three intervals and the skew, one heartbeat of those who vouch, messages.
pub(super) const TAKEOVER_TIME: Duration = Duration::from_millis(400);
pub(super) const ADVERT_INTERVAL: Duration = Duration::from_millis(100);
pub(super) const CONVERGENCE_TIME: Duration = Duration::from_secs(2);

/// What a link between two nodes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Carries both ways.
    Whole,
    /// Broken: both ends know.
    Cut,
    /// Carries nothing: no end is told.
    Stalled,
    /// Carries only from the lower id to the higher: no end is told.
    OneWay,
}

/// What the cable of one node's interface does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    Whole,
    /// Carries nothing; the device does not tell.
    Cut,
    /// Carries only what the node sends.
    Deaf,
    /// Carries what the node sends, and to it what is for it alone.
    DeafToGroups,
    /// Carries what is for one receiver only, both ways.
    Unicast,
}

pub(super) struct Node {
    pub(super) membership: Membership,
    pub(super) paused_until: Instant,
}

pub(super) struct Flight {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) load: Load,
}

pub(super) enum Load {
    /// Messages of an older connection are lost.
    Message(u64, Message),
    Frame(Interface, Vec<u8>),
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) count: usize,
    pub(super) roles: RolesMode,
    pub(super) adverts: AdvertSettings,
    pub(super) cables: BTreeMap<(usize, Interface), Cable>,
    /// Frames of nodes, as their network saw them.
    pub(super) wire: Vec<(Instant, Interface, Vec<u8>)>,
    pub(super) nodes: BTreeMap<usize, Node>,
    pub(super) boots: u64,
    pub(super) wires: BTreeMap<(usize, usize), Wire>,
    pub(super) connections: BTreeMap<(usize, usize), u64>,
    pub(super) flights: BTreeMap<(Instant, u64), Flight>,
    pub(super) serial: u64,
    /// Epochs in which a role was taken.
    pub(super) used: BTreeSet<(Interface, Epoch)>,
    /// The epoch in which each node holds each role now.
    pub(super) holding: BTreeMap<(usize, Interface), Epoch>,
    /// Since when two nodes that the mesh joins act for the same interface.
    pub(super) both_act_since: BTreeMap<(Interface, (usize, usize)), Instant>,
    pub(super) events: Vec<(usize, Event)>,
}

pub(super) fn name(index: usize) -> NodeId {
    ["a", "b", "c", "d", "e"][index].parse().unwrap()
}

pub(super) fn index_of(node: NodeId) -> usize {
    (0..5).find(|index| name(*index) == node).unwrap()
}

pub(super) fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

pub(super) fn mac(node: usize, interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, u8::from(interface == Interface::Second), u8::try_from(node).unwrap()])
}

pub(super) fn address(node: usize, interface: Interface) -> IpAddr {
    let host = u8::try_from(node).unwrap() + 11;
    let net = if interface == Interface::First { 1 } else { 2 };
    Ipv4Addr::new(10, net, 0, host).into()
}

pub(super) fn virtual_address(interface: Interface) -> IpAddr {
    Ipv4Addr::new(10, if interface == Interface::First { 1 } else { 2 }, 0, 1).into()
}

impl World {
    /// All nodes started and linked, at time 0.
    pub(super) fn new(count: usize) -> Self {
        Self::with_roles(count, RolesMode::Priority)
    }

    pub(super) fn with_roles(count: usize, roles: RolesMode) -> Self {
        let mut world = Self::empty(count, roles);
        (0..count).for_each(|index| world.start(index));
        world
    }

    pub(super) fn empty(count: usize, roles: RolesMode) -> Self {
        Self {
            now: Instant::from_nanos(1_000),
            count,
            roles,
            adverts: AdvertSettings {
                virtual_addresses: PerInterface::from_fn(|interface| vec![virtual_address(interface)]),
                ..AdvertSettings::default()
            },
            cables: BTreeMap::new(),
            wire: Vec::new(),
            nodes: BTreeMap::new(),
            boots: 0,
            wires: BTreeMap::new(),
            connections: BTreeMap::new(),
            flights: BTreeMap::new(),
            serial: 0,
            used: BTreeSet::new(),
            holding: BTreeMap::new(),
            both_act_since: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn settings(&self, index: usize, boot: BootId) -> Settings {
        let rank = |first: usize| 200 - u8::try_from((index + self.count - first) % self.count).unwrap();
        Settings {
            node: name(index),
            boot,
            macs: PerInterface::from_fn(|interface| mac(index, interface)),
            addresses: PerInterface::from_fn(|interface| vec![address(index, interface)]),
            peers: (0..self.count).filter(|peer| *peer != index).map(name).collect(),
            priorities: PerInterface { first: rank(0), second: rank(1 % self.count) },
            weight: 100,
            roles: self.roles.clone(),
            adverts: self.adverts.clone(),
            probes: ProbeSettings { key: HashKey([7; 16]), first_nonce: boot.0 },
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        self.boots += 1;
        // Boot ids are random: a later one may be lower.
        let settings = self.settings(index, BootId(self.boots.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let membership = Membership::new(self.now, settings);
        self.nodes.insert(index, Node { membership, paused_until: Instant::default() });
        self.call(index, |_, _, _| {});
        for peer in 0..self.count {
            self.connect(index, peer);
        }
    }

    /// The node is gone; the others notice at once that its links are.
    pub(super) fn kill(&mut self, index: usize) {
        for peer in 0..self.count {
            self.disconnect(index, peer);
        }
        self.kill_silently(index);
    }

    pub(super) fn kill_silently(&mut self, index: usize) {
        self.nodes.remove(&index);
        self.holding.retain(|(node, _), _| *node != index);
    }

    pub(super) fn set_wire(&mut self, one: usize, other: usize, wire: Wire) {
        if one == other {
            return;
        }
        self.wires.insert(pair(one, other), wire);
        if wire == Wire::Cut {
            self.disconnect(one, other);
        } else {
            self.connect(one, other);
        }
    }

    pub(super) fn wire(&self, one: usize, other: usize) -> Wire {
        self.wires.get(&pair(one, other)).copied().unwrap_or(Wire::Whole)
    }

    /// A new connection, if both live and the wire allows; an old one is replaced, as links do.
    pub(super) fn connect(&mut self, one: usize, other: usize) {
        let able = one != other && self.nodes.contains_key(&one) && self.nodes.contains_key(&other);
        if !able || self.wire(one, other) != Wire::Whole {
            return;
        }
        self.disconnect(one, other);
        self.serial += 1;
        self.connections.insert(pair(one, other), self.serial);
        for (from, to) in [(one, other), (other, one)] {
            let hello = self.hello(from);
            self.call(to, |membership, now, out| membership.link_up(now, &hello, out));
        }
    }

    pub(super) fn disconnect(&mut self, one: usize, other: usize) {
        if self.connections.remove(&pair(one, other)).is_some() {
            for (from, to) in [(one, other), (other, one)] {
                self.call(to, |membership, now, out| membership.link_lost(now, name(from), out));
            }
        }
    }

    pub(super) fn hello(&self, index: usize) -> Hello {
        let settings = &self.nodes[&index].membership.settings;
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: "test".to_owned(),
            node: settings.node,
            boot: settings.boot,
            macs: settings.macs,
            addresses: settings.addresses.clone(),
            configuration: Vec::new(),
            side: Side::default(),
        }
    }

    /// One call into a node, and everything that follows from it.
    pub(super) fn call(&mut self, index: usize, call: impl FnOnce(&mut Membership, Instant, &mut Outbox)) {
        let Some(node) = self.nodes.get_mut(&index) else { return };
        let mut out = Outbox::default();
        call(&mut node.membership, self.now, &mut out);
        while node.membership.next_change().is_some() {}
        self.events.extend(out.events.drain(..).map(|event| (index, event)));
        self.check_epochs(index);
        self.check_acting();
        for (to, message) in out.send {
            self.carry(index, index_of(to), message);
        }
        for (interface, frame, _) in out.transmit {
            self.flood(index, interface, frame.bytes());
        }
    }

    pub(super) fn cable(&self, index: usize, interface: Interface) -> Cable {
        self.cables.get(&(index, interface)).copied().unwrap_or(Cable::Whole)
    }

    pub(super) fn set_cables(&mut self, index: usize, cable: Cable) {
        self.cables.extend(Interface::BOTH.map(|interface| ((index, interface), cable)));
    }

    pub(super) fn works(&self, index: usize, interface: Interface) -> bool {
        self.membership(index).member(name(index)).unwrap().interfaces[interface]
    }

    /// A frame to everyone on the network.
    pub(super) fn flood(&mut self, from: usize, interface: Interface, bytes: &[u8]) {
        let is_cut = match self.cable(from, interface) {
            Cable::Cut => true,
            Cable::Unicast => is_multicast(bytes),
            Cable::Whole | Cable::Deaf | Cable::DeafToGroups => false,
        };
        if is_cut || !self.works(from, interface) {
            return;
        }
        self.wire.push((self.now, interface, bytes.to_vec()));
        for to in (0..self.count).filter(|to| *to != from) {
            self.serial += 1;
            let flight = Flight { from, to, load: Load::Frame(interface, bytes.to_vec()) };
            self.flights.insert((self.now + LATENCY, self.serial), flight);
        }
    }

    /// A frame as the node takes it: a lease that is over is looked at first.
    pub(super) fn frame_lands(&mut self, to: usize, interface: Interface, bytes: &[u8]) {
        let is_cut = match self.cable(to, interface) {
            Cable::Cut | Cable::Deaf => true,
            Cable::Unicast | Cable::DeafToGroups => is_multicast(bytes),
            Cable::Whole => false,
        };
        if is_cut || !self.works(to, interface) {
            return;
        }
        let frame = Frame::from_bytes(bytes);
        self.call(to, |membership, now, out| {
            if membership.is_lease_over(now) {
                membership.deadline_reached(now, out);
            }
            if !membership.is_admitted() {
                return;
            }
            if probe::is_probe(&frame) {
                return membership.probe_arrived(now, interface, frame, out);
            }
            let packet = Packet::parse(&frame).unwrap();
            match packet.content {
                Content::Ip(headers) if vrrp::is_advert(&headers) => {
                    membership.advert_arrived(now, interface, (packet.source, &headers), frame, out);
                }
                Content::Ip(_) | Content::Fragment(_) | Content::Arp(_) if packet.destination.is_multicast() => {
                    membership.group_heard(now, interface, packet.source);
                }
                Content::Ip(_) | Content::Fragment(_) | Content::Arp(_) => {}
            }
        });
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, message: Message) {
        let Some(connection) = self.connections.get(&pair(from, to)).copied() else { return };
        let carried = match self.wire(from, to) {
            Wire::Whole => true,
            Wire::Cut | Wire::Stalled => false,
            Wire::OneWay => from < to,
        };
        if carried {
            self.serial += 1;
            // Not the same for all, so that news may come round before it comes straight; in order on each link.
            let latency = LATENCY * u32::try_from(1 + (3 * from + to) % 4).unwrap();
            self.flights.insert(
                (self.now + latency, self.serial),
                Flight { from, to, load: Load::Message(connection, message) },
            );
        }
    }

    /// A role is taken with a new epoch, always, and its epoch names the taker.
    pub(super) fn check_epochs(&mut self, index: usize) {
        let membership = &self.nodes[&index].membership;
        for interface in Interface::BOTH {
            let held = membership.epoch(interface).filter(|_| membership.holds(interface));
            let before = self.holding.get(&(index, interface)).copied();
            if held == before {
                continue;
            }
            self.holding.remove(&(index, interface));
            if let Some(epoch) = held {
                assert_eq!((epoch.node, epoch.boot), (name(index), membership.settings.boot));
                assert!(self.used.insert((interface, epoch)), "{epoch:?} was used twice");
                self.holding.insert((index, interface), epoch);
            }
        }
    }

    /// I5: nodes that the mesh joins see two acting holders for at most the detection time.
    pub(super) fn check_acting(&mut self) {
        for interface in Interface::BOTH {
            let now = self.now;
            let acts = |index: &usize| self.nodes.get(index).is_some_and(|n| n.membership.may_emit(now, interface));
            let acting: Vec<_> = (0..self.count).filter(acts).collect();
            let pairs =
                acting.iter().flat_map(|one| acting.iter().filter(move |other| *other > one).map(|o| (*one, *o)));
            let joined =
                |pair: &(usize, usize)| self.connections.contains_key(pair) && self.wire(pair.0, pair.1) == Wire::Whole;
            let pairs: BTreeSet<_> = pairs.filter(joined).collect();
            self.both_act_since.retain(|(on, pair), _| *on != interface || pairs.contains(pair));
            for pair in pairs {
                let since = *self.both_act_since.entry((interface, pair)).or_insert(now);
                assert!(now.since(since) <= DETECTION_TIME, "{interface}: both of {pair:?} act");
            }
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        for round in 0.. {
            assert!(round < 1_000_000, "no progress");
            let flight = self.flights.keys().next().copied();
            let deadline =
                self.nodes.iter().map(|(index, node)| (node.membership.next_deadline().max(node.paused_until), *index));
            let deadline = deadline.min();
            match (flight, deadline) {
                // What has arrived counts before a deadline does.
                (Some((at, serial)), _) if at <= end && deadline.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    self.land((at, serial));
                }
                (_, Some((due, index))) if due <= end => {
                    self.now = self.now.max(due);
                    self.call(index, |membership, now, out| membership.deadline_reached(now, out));
                }
                (_, Some(_) | None) => break,
            }
        }
        self.now = end;
    }

    pub(super) fn land(&mut self, key: (Instant, u64)) {
        let Some(flight) = self.flights.remove(&key) else { return };
        let Some(node) = self.nodes.get(&flight.to) else { return };
        if node.paused_until > self.now {
            self.flights.insert((node.paused_until, key.1), flight);
            return;
        }
        let (connection, message) = match flight.load {
            Load::Message(connection, message) => (connection, message),
            Load::Frame(interface, bytes) => return self.frame_lands(flight.to, interface, &bytes),
        };
        if self.connections.get(&pair(flight.from, flight.to)) != Some(&connection) {
            return;
        }
        let from = name(flight.from);
        self.call(flight.to, |membership, now, out| {
            if let Message::Heartbeat(heartbeat) = &message {
                membership.heartbeat_arrived(now, from, heartbeat, out);
            } else if let Message::Claim(claim) = &message {
                membership.claim_arrived(now, from, claim, out);
            } else {
                panic!("{message:?}");
            }
        });
    }

    pub(super) fn membership(&self, index: usize) -> &Membership {
        &self.nodes[&index].membership
    }

    /// Everybody who lives names these holders, in one epoch, and of these two only.
    pub(super) fn assert_holders(&self, first: usize, second: usize) {
        for (interface, holder) in Interface::BOTH.into_iter().zip([first, second]) {
            let epochs: BTreeSet<_> = self.nodes.values().map(|node| node.membership.epoch(interface)).collect();
            assert_eq!(epochs.len(), 1, "{interface}: {epochs:?}");
            for index in self.nodes.keys() {
                assert_eq!(
                    self.membership(*index).holder(interface),
                    Some(name(holder)),
                    "{interface} as {index} sees it"
                );
                assert_eq!(self.membership(*index).holds(interface), *index == holder);
            }
        }
    }

    pub(super) fn counter(&self, index: usize, interface: Interface) -> u64 {
        self.membership(index).epoch(interface).map_or(0, |epoch| epoch.counter)
    }

    pub(super) fn heal(&mut self) {
        for index in 0..self.count {
            if let Some(node) = self.nodes.get_mut(&index) {
                node.paused_until = Instant::default();
            }
        }
        self.cables.clear();
        for (one, other) in (0..self.count).flat_map(|one| (0..one).map(move |other| (one, other))) {
            self.set_wire(one, other, Wire::Whole);
        }
    }

    pub(super) fn assert_converged(&self) {
        for interface in Interface::BOTH {
            let fit = self.nodes.keys().any(|index| self.works(*index, interface));
            let epochs: BTreeSet<_> = self.nodes.values().map(|node| node.membership.epoch(interface)).collect();
            assert!(epochs.len() <= 1, "{interface}: {epochs:?}");
            let holder = epochs.first().copied().flatten().map(|epoch| index_of(epoch.node));
            assert_eq!(holder.is_some(), fit && !self.nodes.is_empty(), "{interface}: {epochs:?}");
            assert!(holder.is_none_or(|holder| self.works(holder, interface)), "{interface}: {epochs:?}");
            assert!(holder.is_none_or(|holder| self.membership(holder).holds(interface)), "{interface}: {epochs:?}");
        }
        let working = |index: &&usize| {
            let own = self.membership(**index).member(name(**index)).unwrap();
            own.interfaces.first && own.interfaces.second
        };
        let expected: Vec<_> = self.nodes.keys().filter(working).map(|index| name(*index)).collect();
        for node in self.nodes.values() {
            let candidates: Vec<_> = node.membership.candidates().iter().map(|candidate| candidate.node).collect();
            assert_eq!(candidates, expected);
        }
    }

    pub(super) fn assert_candidates<const N: usize>(&self, index: usize, expected: [(usize, bool); N]) {
        let expected =
            expected.map(|(node, is_holder)| Candidate { node: name(node), weight: 100, is_holder, is_full: false });
        assert_eq!(self.membership(index).candidates(), expected);
    }

    /// An advert for the cluster's addresses, as a host forges it.
    pub(super) fn forge(&mut self, to: usize, source: IpAddr, priority: u8) -> Option<DropReason> {
        let interface = Interface::First;
        let advert = vrrp::Advert { vrid: 1, priority, centiseconds: 10, addresses: vec![virtual_address(interface)] };
        let frame = advert.frame(Mac([0, 0, 0x5e, 0, 1, 1]), source).unwrap();
        self.forge_frame(to, frame)
    }

    pub(super) fn forge_frame(&mut self, to: usize, frame: Frame) -> Option<DropReason> {
        let packet = Packet::parse(&frame).unwrap();
        let Content::Ip(headers) = packet.content else { panic!("no IP") };
        let mut reason = None;
        self.call(to, |membership, now, out| {
            membership.advert_arrived(now, Interface::First, (packet.source, &headers), frame, out);
            assert_eq!(out.spent.len(), 1);
            reason = out.drops().next().map(|(reason, _)| reason);
        });
        reason
    }

    pub(super) fn holder_as_seen(&self, index: usize) -> Option<usize> {
        self.membership(index).holder(Interface::First).map(index_of)
    }

    pub(super) fn state_of(&self, seen_by: usize, node: usize) -> MemberState {
        self.membership(seen_by).member(name(node)).unwrap().state
    }
}

/// Adverts that crossed a network since `from`, with the number of the node that sent each.
fn is_multicast(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first & 1 == 1)
}

pub(super) fn adverts(world: &World, from: Instant, interface: Interface) -> Vec<(usize, u8)> {
    let seen = world.wire.iter().filter(|(at, on, _)| *at >= from && *on == interface);
    let read = |bytes: &[u8]| {
        let frame = Frame::from_bytes(bytes);
        let Content::Ip(headers) = Packet::parse(&frame).ok()?.content else { return None };
        let advert = vrrp::is_advert(&headers).then(|| vrrp::Advert::parse(&headers, &frame).unwrap())?;
        let node = (0..5).find(|node| {
            [address(*node, interface), mac(*node, interface).link_local().into()].contains(&headers.source)
        });
        Some((node.unwrap(), advert.priority))
    };
    seen.filter_map(|(_, _, bytes)| read(bytes)).collect()
}
