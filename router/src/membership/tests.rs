//! Tests of membership: simulated clusters of one to five nodes whose messages the test carries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::DropReason;
use crate::id::Mac;
use crate::limits::START_DEFERRED_MAX;
use crate::mesh::{Claim, Message};
use crate::packet::{Content, Frame, Packet, vrrp};

const LATENCY: Duration = Duration::from_millis(1);
/// Three intervals and the skew, one heartbeat of those who vouch, messages.
const TAKEOVER_TIME: Duration = Duration::from_millis(400);
const ADVERT_INTERVAL: Duration = Duration::from_millis(100);
const CONVERGENCE_TIME: Duration = Duration::from_secs(2);

/// What a link between two nodes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
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
enum Cable {
    Whole,
    /// Carries nothing; the device does not tell.
    Cut,
    /// Carries only what the node sends.
    Deaf,
}

struct Node {
    membership: Membership,
    paused_until: Instant,
}

struct Flight {
    from: usize,
    to: usize,
    load: Load,
}

enum Load {
    /// Messages of an older connection are lost.
    Message(u64, Message),
    Frame(Interface, Vec<u8>),
}

struct World {
    now: Instant,
    count: usize,
    roles: RolesMode,
    adverts: AdvertSettings,
    cables: BTreeMap<(usize, Interface), Cable>,
    /// Frames of nodes, as their network saw them.
    wire: Vec<(Instant, Interface, Vec<u8>)>,
    nodes: BTreeMap<usize, Node>,
    boots: u64,
    wires: BTreeMap<(usize, usize), Wire>,
    connections: BTreeMap<(usize, usize), u64>,
    flights: BTreeMap<(Instant, u64), Flight>,
    serial: u64,
    /// Epochs in which a role was taken.
    used: BTreeSet<(Interface, Epoch)>,
    /// The epoch in which each node holds each role now.
    holding: BTreeMap<(usize, Interface), Epoch>,
    /// Since when two nodes that the mesh joins act for the same interface.
    both_act_since: BTreeMap<(Interface, (usize, usize)), Instant>,
    events: Vec<(usize, Event)>,
}

fn name(index: usize) -> NodeId {
    ["a", "b", "c", "d", "e"][index].parse().unwrap()
}

fn index_of(node: NodeId) -> usize {
    (0..5).find(|index| name(*index) == node).unwrap()
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

fn mac(node: usize, interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, u8::from(interface == Interface::Second), u8::try_from(node).unwrap()])
}

fn address(node: usize, interface: Interface) -> IpAddr {
    let host = u8::try_from(node).unwrap() + 11;
    let net = if interface == Interface::First { 1 } else { 2 };
    Ipv4Addr::new(10, net, 0, host).into()
}

fn virtual_address(interface: Interface) -> IpAddr {
    Ipv4Addr::new(10, if interface == Interface::First { 1 } else { 2 }, 0, 1).into()
}

impl World {
    /// All nodes started and linked, at time 0.
    fn new(count: usize) -> Self {
        Self::with_roles(count, RolesMode::Priority)
    }

    fn with_roles(count: usize, roles: RolesMode) -> Self {
        let mut world = Self::empty(count, roles);
        (0..count).for_each(|index| world.start(index));
        world
    }

    fn empty(count: usize, roles: RolesMode) -> Self {
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

    fn settings(&self, index: usize, boot: BootId) -> Settings {
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
        }
    }

    fn start(&mut self, index: usize) {
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
    fn kill(&mut self, index: usize) {
        for peer in 0..self.count {
            self.disconnect(index, peer);
        }
        self.kill_silently(index);
    }

    fn kill_silently(&mut self, index: usize) {
        self.nodes.remove(&index);
        self.holding.retain(|(node, _), _| *node != index);
    }

    fn set_wire(&mut self, one: usize, other: usize, wire: Wire) {
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

    fn wire(&self, one: usize, other: usize) -> Wire {
        self.wires.get(&pair(one, other)).copied().unwrap_or(Wire::Whole)
    }

    /// A new connection, if both live and the wire allows; an old one is replaced, as links do.
    fn connect(&mut self, one: usize, other: usize) {
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

    fn disconnect(&mut self, one: usize, other: usize) {
        if self.connections.remove(&pair(one, other)).is_some() {
            for (from, to) in [(one, other), (other, one)] {
                self.call(to, |membership, now, out| membership.link_lost(now, name(from), out));
            }
        }
    }

    fn hello(&self, index: usize) -> Hello {
        let settings = &self.nodes[&index].membership.settings;
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: "test".to_owned(),
            node: settings.node,
            boot: settings.boot,
            macs: settings.macs,
            addresses: settings.addresses.clone(),
            config_digest: 0,
        }
    }

    /// One call into a node, and everything that follows from it.
    fn call(&mut self, index: usize, call: impl FnOnce(&mut Membership, Instant, &mut Outbox)) {
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

    fn cable(&self, index: usize, interface: Interface) -> Cable {
        self.cables.get(&(index, interface)).copied().unwrap_or(Cable::Whole)
    }

    fn set_cables(&mut self, index: usize, cable: Cable) {
        self.cables.extend(Interface::BOTH.map(|interface| ((index, interface), cable)));
    }

    fn works(&self, index: usize, interface: Interface) -> bool {
        self.membership(index).member(name(index)).unwrap().interfaces[interface]
    }

    /// A frame to everyone on the network.
    fn flood(&mut self, from: usize, interface: Interface, bytes: &[u8]) {
        if self.cable(from, interface) == Cable::Cut || !self.works(from, interface) {
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
    fn frame_lands(&mut self, to: usize, interface: Interface, bytes: &[u8]) {
        if self.cable(to, interface) != Cable::Whole || !self.works(to, interface) {
            return;
        }
        let frame = Frame::from_bytes(bytes);
        let packet = Packet::parse(&frame).unwrap();
        self.call(to, |membership, now, out| {
            if membership.is_lease_over(now) {
                membership.deadline_reached(now, out);
            }
            match packet.content {
                Content::Ip(headers) if vrrp::is_advert(&headers) => {
                    membership.advert_arrived(now, interface, (packet.source, &headers), frame, out);
                }
                Content::Ip(_) | Content::Arp(_) if packet.destination == membership.settings.macs[interface] => {
                    membership.neighbour_heard(now, interface, packet.source);
                }
                Content::Ip(_) | Content::Arp(_) => {}
            }
        });
    }

    fn carry(&mut self, from: usize, to: usize, message: Message) {
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
    fn check_epochs(&mut self, index: usize) {
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
    fn check_acting(&mut self) {
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

    fn advance(&mut self, time: Duration) {
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

    fn land(&mut self, key: (Instant, u64)) {
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

    fn membership(&self, index: usize) -> &Membership {
        &self.nodes[&index].membership
    }

    /// Everybody who lives names these holders, in one epoch, and of these two only.
    fn assert_holders(&self, first: usize, second: usize) {
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

    fn counter(&self, index: usize, interface: Interface) -> u64 {
        self.membership(index).epoch(interface).map_or(0, |epoch| epoch.counter)
    }

    fn heal(&mut self) {
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

    fn assert_converged(&self) {
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
}

#[test]
fn clusters_of_every_size_start_with_one_holder_each_and_keep_it() {
    for count in 1..=5 {
        let mut world = World::new(count);
        world.advance(LATENCY * 10);
        world.assert_holders(0, 1 % count);
        world.assert_converged();
        world.advance(Duration::from_secs(10));
        world.assert_holders(0, 1 % count);
        assert_eq!(world.used.len(), 2, "no role has changed hands: {:?}", world.used);
    }
}

#[test]
fn a_node_alone_waits_three_detection_times_for_its_peers() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(2);
    world.advance(START_TIME_MAX - LATENCY);
    assert_eq!(world.membership(2).holder(Interface::First), None);
    assert!(world.membership(2).candidates().is_empty());
    world.advance(LATENCY * 2);
    world.assert_holders(2, 2);
    let candidate = Candidate { node: name(2), weight: 100, is_holder: true };
    assert_eq!(world.membership(2).candidates(), [candidate]);
}

#[test]
fn a_dead_holder_is_succeeded_within_the_detection_time_in_a_higher_epoch() {
    for how in [World::kill, World::kill_silently] {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME);
        let before = world.counter(2, Interface::First);
        how(&mut world, 0);
        world.advance(TAKEOVER_TIME);
        world.assert_holders(1, 1);
        assert!(world.counter(2, Interface::First) > before);
        let died = Event::MemberDied { node: name(0) };
        assert!([1, 2].iter().all(|index| world.events.contains(&(*index, died))));
        assert_eq!(world.membership(2).member(name(0)).unwrap().state, MemberState::Dead);
        assert_eq!(world.membership(2).mac(name(0), Interface::First), Some(mac(0, Interface::First)));
    }
}

#[test]
fn the_previous_holder_is_named_for_one_detection_time() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    while world.membership(2).holder(Interface::First) != Some(name(1)) {
        world.advance(LATENCY);
    }
    let previous = |world: &World| world.membership(2).previous_holder(world.now, Interface::First);
    assert_eq!(previous(&world), Some(name(0)));
    assert_eq!(world.membership(2).previous_holder(world.now, Interface::Second), None);
    world.advance(DETECTION_TIME);
    assert_eq!(previous(&world), None);
}

#[test]
fn a_higher_priority_that_returns_takes_its_role_back_only_if_it_may_preempt() {
    let delay = Duration::from_secs(1);
    for (preemption, holder) in [(Preemption::Never, 1), (Preemption::After(delay), 0)] {
        let mut world = World::empty(3, RolesMode::Priority);
        world.adverts.preemption = preemption;
        (0..3).for_each(|index| world.start(index));
        world.advance(CONVERGENCE_TIME);
        world.kill(0);
        world.advance(CONVERGENCE_TIME);
        let before = world.counter(2, Interface::First);
        world.start(0);
        world.advance(delay);
        world.assert_holders(1, 1);
        world.advance(LATENCY * 10);
        world.assert_holders(holder, 1);
        world.advance(Duration::from_secs(10));
        world.assert_holders(holder, 1);
        assert_eq!(world.counter(2, Interface::First), before + u64::from(holder == 0));
        assert_eq!(world.counter(2, Interface::Second), 1, "the other role is not touched");
    }
}

#[test]
fn who_is_not_heard_by_every_member_does_not_preempt() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    world.advance(CONVERGENCE_TIME);
    world.cables.insert((1, Interface::First), Cable::Deaf);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    // A member that just came counts as heard until the first probes must have come; then it does not.
    world.advance(Duration::from_secs(2));
    let used = world.used.len();
    world.advance(Duration::from_secs(10));
    assert_eq!(world.used.len(), used);
}

#[test]
fn who_has_no_link_to_the_holder_does_not_preempt() {
    let delay = CONVERGENCE_TIME * 2;
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(delay);
    (0..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.kill(0);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 1, Wire::Cut);
    world.advance(delay * 2);
    world.assert_holders(1, 1);
    world.heal();
    world.advance(delay * 2);
    world.assert_holders(0, 1);
}

#[test]
fn a_new_boot_ends_the_old_one_at_once() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.nodes.remove(&0);
    world.holding.retain(|(node, _), _| *node != 0);
    world.start(0);
    assert!(world.events.contains(&(1, Event::MemberDied { node: name(0) })));
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
    assert_eq!(world.counter(1, Interface::First), 2, "an epoch belongs to one boot");
}

#[test]
fn a_link_that_resets_makes_a_suspect_and_changes_no_epoch() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    for _ in 0..20 {
        world.set_wire(0, 1, Wire::Cut);
        assert_eq!(world.membership(1).member(name(0)).unwrap().state, MemberState::Suspect);
        world.advance(DETECTION_TIME / 2);
        world.set_wire(0, 1, Wire::Whole);
        assert_eq!(world.membership(1).member(name(0)).unwrap().state, MemberState::Alive);
        world.advance(DETECTION_TIME / 2);
    }
    assert_eq!(world.used.len(), 2);
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::MemberDied { .. })));
}

#[test]
fn a_permanent_cut_or_one_way_link_causes_no_endless_epochs() {
    for wire in [Wire::Cut, Wire::OneWay, Wire::Stalled] {
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let mut world = World::new(3);
            world.advance(CONVERGENCE_TIME);
            world.set_wire(one, other, wire);
            world.advance(CONVERGENCE_TIME);
            let settled = world.used.len();
            world.advance(Duration::from_secs(30));
            assert_eq!(world.used.len(), settled, "{wire:?} between {one} and {other}");
            for interface in Interface::BOTH {
                let holders = world.nodes.values().filter(|node| node.membership.holds(interface)).count();
                assert_eq!(holders, 1, "{wire:?} between {one} and {other}");
            }
            world.heal();
            world.advance(CONVERGENCE_TIME);
            world.assert_converged();
        }
    }
}

#[test]
fn both_halves_of_a_cluster_that_is_cut_everywhere_have_holders_and_agree_again_afterwards() {
    let mut world = World::new(5);
    world.advance(CONVERGENCE_TIME);
    [0, 1].into_iter().for_each(|index| world.set_cables(index, Cable::Cut));
    for (one, other) in [(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)] {
        world.set_wire(one, other, Wire::Cut);
    }
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.membership(1).holder(Interface::First), Some(name(0)));
    assert_eq!(world.membership(4).holder(Interface::First), Some(name(2)));
    for index in [0, 1] {
        assert_eq!(world.membership(index).member(name(3)).unwrap().state, MemberState::Dead);
    }
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_converged();
}

#[test]
fn a_holder_whose_interface_fails_gives_up_that_role_only() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let down = |membership: &mut Membership, now, out: &mut Outbox| {
        membership.interface_changed(now, Interface::First, InterfaceState::Down, out);
    };
    world.call(0, down);
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
    world.assert_converged();
    world.call(1, down);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 1);
    world.call(0, |membership, now, out| {
        membership.interface_changed(now, Interface::First, InterfaceState::Up, out);
    });
    world.advance(LATENCY * 10);
    world.assert_holders(2, 1);
}

#[test]
fn a_pause_of_this_node_is_no_death_of_the_others() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let now = world.now;
    world.nodes.get_mut(&2).unwrap().paused_until = now + DETECTION_TIME * 5;
    world.advance(DETECTION_TIME * 10);
    assert!(!world.events.iter().any(|(index, event)| *index == 2 && matches!(event, Event::MemberDied { .. })));
    world.assert_converged();
}

#[test]
fn static_roles_follow_the_configuration_and_the_life_of_the_named() {
    let roles = RolesMode::Static(PerInterface { first: Some(name(2)), second: Some(name(0)) });
    let mut world = World::with_roles(3, roles);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 0);
    let epoch = world.membership(0).epoch(Interface::First);
    assert_eq!(epoch.map(|epoch| epoch.counter), Some(1));
    world.assert_candidates(1, [(0, true), (1, false), (2, true)]);
    world.kill(2);
    world.advance(TAKEOVER_TIME);
    assert_eq!(world.membership(0).holder(Interface::First), None);
    world.start(2);
    world.advance(LATENCY * 10);
    world.assert_holders(2, 0);
    assert_ne!(world.membership(0).epoch(Interface::First), epoch, "another boot has another epoch");
}

impl World {
    fn assert_candidates<const N: usize>(&self, index: usize, expected: [(usize, bool); N]) {
        let expected = expected.map(|(node, is_holder)| Candidate { node: name(node), weight: 100, is_holder });
        assert_eq!(self.membership(index).candidates(), expected);
    }
}

#[test]
fn who_lacks_a_link_to_a_holder_is_no_candidate_by_either_ends_report() {
    let mut world = World::new(4);
    world.advance(CONVERGENCE_TIME);
    world.assert_candidates(3, [(0, true), (1, true), (2, false), (3, false)]);
    // Neither of the two reports to d is d's own.
    world.set_wire(0, 2, Wire::Cut);
    world.advance(LATENCY * 10);
    world.assert_candidates(3, [(0, true), (1, true), (3, false)]);
    world.assert_candidates(2, [(1, true), (3, false)]);
    world.set_wire(0, 2, Wire::Whole);
    world.advance(LATENCY * 10);
    world.assert_candidates(3, [(0, true), (1, true), (2, false), (3, false)]);
    world.call(3, |membership, now, out| {
        membership.interface_changed(now, Interface::Second, InterfaceState::Down, out);
    });
    world.advance(LATENCY * 10);
    for index in 0..4 {
        world.assert_candidates(index, [(0, true), (1, true), (2, false)]);
    }
}

#[test]
fn whom_frames_do_not_reach_has_no_link_to_those_who_choose() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.call(0, |membership, now, out| membership.frames_lost(now, name(2), out));
    world.advance(LATENCY * 10);
    for index in 0..3 {
        world.assert_candidates(index, [(0, true), (1, true)]);
        assert_eq!(world.membership(index).is_out_of_reach(), index == 2);
    }
    world.call(0, |membership, now, out| membership.frames_up(now, name(2), out));
    world.advance(LATENCY * 10);
    for index in 0..3 {
        world.assert_candidates(index, [(0, true), (1, true), (2, false)]);
    }
}

#[test]
fn a_weight_of_zero_is_never_chosen() {
    let mut world = World::empty(2, RolesMode::Priority);
    let settings = Settings { weight: 0, peers: Vec::new(), ..world.settings(0, BootId(1)) };
    world.nodes.insert(0, Node { membership: Membership::new(world.now, settings), paused_until: Instant::default() });
    world.advance(LATENCY);
    assert!(world.membership(0).holds(Interface::First) && world.membership(0).candidates().is_empty());
}

#[test]
fn a_member_speaks_only_for_itself_and_a_low_claim_is_answered() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let boot = world.membership(1).member(name(2)).unwrap().boot.unwrap();
    let claim = |node, boot, counter| Claim { interface: Interface::First, epoch: Epoch { counter, node, boot } };
    let (now, mut out) = (world.now, Outbox::default());
    let membership = &mut world.nodes.get_mut(&0).unwrap().membership;
    let counter = |membership: &Membership| membership.epoch(Interface::First).map(|epoch| epoch.counter);
    membership.claim_arrived(now, name(2), &claim(name(2), BootId(999), 9), &mut out);
    assert!(membership.holds(Interface::First) && counter(membership) == Some(1), "another boot's claim");
    membership.claim_arrived(now, name(2), &claim(name(2), boot, 0), &mut out);
    let epoch = membership.epoch(Interface::First).unwrap();
    assert_eq!(out.send, [(name(2), Message::Claim(Claim { interface: Interface::First, epoch }))]);
    membership.claim_arrived(now, name(2), &claim(name(3), BootId(3), 10), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(3)), "a holder in a lower epoch is told of a higher one");
    membership.claim_arrived(now, name(2), &claim(name(2), boot, 20), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(2)) && counter(membership) == Some(20), "a higher claim");
    membership.claim_arrived(now, name(2), &claim(name(3), BootId(3), 30), &mut out);
    assert!(membership.holder(Interface::First) == Some(name(2)), "who claims nothing is told nothing");
    assert_eq!(out.ledger.messages_unauthorised, 2);
}

#[test]
fn changes_are_told_once_and_macs_are_found() {
    let world = World::empty(3, RolesMode::Priority);
    let settings = Settings { peers: Vec::new(), ..world.settings(0, BootId(1)) };
    let (mut membership, mut out) = (Membership::new(world.now, settings), Outbox::default());
    assert!(membership.holds(Interface::First), "alone, it holds from the first moment");
    assert_eq!(membership.next_deadline(), world.now);
    membership.deadline_reached(world.now, &mut out);
    let changes: Vec<_> = std::iter::from_fn(|| membership.next_change()).collect();
    let [first, second] = Interface::BOTH.map(|interface| Change::HolderChanged { interface });
    assert_eq!(changes, [first, second, Change::CandidatesChanged]);
    assert_eq!(out.events.len(), 2);
    membership.deadline_reached(membership.next_deadline(), &mut out);
    assert_eq!(membership.next_change(), None);
    assert_eq!(membership.member_by_mac(Interface::First, mac(0, Interface::First)), Some(name(0)));
    assert_eq!(membership.member_by_mac(Interface::Second, mac(0, Interface::First)), None);
    assert_eq!(membership.mac(name(1), Interface::First), None);
}

/// Adverts that crossed a network since `from`, with the number of the node that sent each.
fn adverts(world: &World, from: Instant, interface: Interface) -> Vec<(usize, u8)> {
    let seen = world.wire.iter().filter(|(at, on, _)| *at >= from && *on == interface);
    let read = |bytes: &[u8]| {
        let frame = Frame::from_bytes(bytes);
        let Content::Ip(headers) = Packet::parse(&frame).unwrap().content else { return None };
        let advert = vrrp::is_advert(&headers).then(|| vrrp::Advert::parse(&headers, &frame).unwrap())?;
        let node = (0..5).find(|node| {
            [address(*node, interface), mac(*node, interface).link_local().into()].contains(&headers.source)
        });
        Some((node.unwrap(), advert.priority))
    };
    seen.filter_map(|(_, _, bytes)| read(bytes)).collect()
}

impl World {
    /// An advert for the cluster's addresses, as a host forges it.
    fn forge(&mut self, to: usize, source: IpAddr, priority: u8) -> Option<DropReason> {
        let interface = Interface::First;
        let advert = vrrp::Advert { vrid: 1, priority, centiseconds: 10, addresses: vec![virtual_address(interface)] };
        let frame = advert.frame(Mac([0, 0, 0x5e, 0, 1, 1]), source).unwrap();
        self.forge_frame(to, frame)
    }

    fn forge_frame(&mut self, to: usize, frame: Frame) -> Option<DropReason> {
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

    fn holder_as_seen(&self, index: usize) -> Option<usize> {
        self.membership(index).holder(Interface::First).map(index_of)
    }

    fn state_of(&self, seen_by: usize, node: usize) -> MemberState {
        self.membership(seen_by).member(name(node)).unwrap().state
    }
}

#[test]
fn the_holder_advertises_both_families_in_its_interval_and_nobody_else_does() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.advance(ADVERT_INTERVAL * 10);
    for (interface, holder) in Interface::BOTH.into_iter().zip([0, 1]) {
        let sent = adverts(&world, from, interface);
        assert_eq!(sent.len(), 20, "{interface}: {sent:?}");
        assert!(sent.iter().all(|advert| *advert == (holder, 200)), "{interface}: {sent:?}");
    }
    let counts = world.membership(0).advert_counts(Interface::First);
    assert!(counts.sent > 20 && counts.heard == 0);
    assert!(world.membership(2).advert_counts(Interface::First).heard > 20);
}

#[test]
fn a_holder_that_stops_hands_over_at_once_by_priority_0() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.call(0, Membership::stop);
    assert_eq!(adverts(&world, from, Interface::First), [(0, 0), (0, 0)]);
    assert_eq!(adverts(&world, from, Interface::Second), []);
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn a_draining_holder_hands_over_once_its_successor_is_in_sync() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.call(1, |membership, now, out| membership.sync_changed(now, Interface::First, Sync::Incomplete, out));
    world.advance(LATENCY * 10);
    world.call(0, |membership, now, out| membership.service_changed(now, Service::Draining, out));
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(0, 1);
    world.call(1, |membership, now, out| membership.sync_changed(now, Interface::First, Sync::Complete, out));
    assert_eq!(world.holder_as_seen(1), Some(1));
    assert_eq!(world.holder_as_seen(0), Some(0), "it goes on until it hears of its successor");
    world.advance(LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn proof_of_death_needs_a_lost_link_and_one_interval_without_an_advert() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let refused = |membership: &mut Membership, now, out: &mut Outbox| membership.peer_refused(now, name(0), out);
    world.call(1, refused);
    assert_eq!(world.state_of(1, 0), MemberState::Alive, "its link lives");
    world.kill(0);
    world.call(1, refused);
    assert_eq!(world.state_of(1, 0), MemberState::Dead);
    assert_eq!(world.holder_as_seen(1), Some(0), "its last advert is not old enough");
    world.advance(ADVERT_INTERVAL + LATENCY * 10);
    world.assert_holders(1, 1);
}

#[test]
fn a_holder_that_is_only_paused_is_succeeded_by_its_missing_adverts_and_does_not_act_afterwards() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let (from, pause) = (world.now, Duration::from_secs(2));
    world.nodes.get_mut(&0).unwrap().paused_until = from + pause + LATENCY;
    assert!(world.membership(0).may_emit(world.now, Interface::First));
    assert!(!world.membership(0).may_emit(world.now + ADVERT_INTERVAL * 3, Interface::First), "its lease");
    world.advance(TAKEOVER_TIME);
    assert_eq!((world.holder_as_seen(1), world.holder_as_seen(2)), (Some(1), Some(1)));
    world.advance(pause - TAKEOVER_TIME);
    let (resumed, now) = (world.now, world.now);
    // A frame is the first thing it sees, and no claim has come.
    world.call(0, |membership, _, out| {
        assert!(membership.is_lease_over(now));
        membership.deadline_reached(now, out);
        assert!(!membership.holds(Interface::First));
    });
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
    assert!(adverts(&world, resumed, Interface::First).iter().all(|(node, _)| *node == 1));
}

#[test]
fn a_short_pause_renews_the_lease_and_changes_no_role() {
    for phase in 0..10 {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME + LATENCY * 10 * phase);
        let until = world.now + ADVERT_INTERVAL * 2;
        world.nodes.get_mut(&0).unwrap().paused_until = until;
        assert!(!world.membership(0).may_emit(until, Interface::First), "its lease is over");
        world.advance(CONVERGENCE_TIME);
        world.assert_holders(0, 1);
        assert_eq!(world.used.len(), 2);
    }
}

#[test]
fn a_holder_whose_cable_is_cut_is_succeeded_although_the_mesh_says_that_it_lives() {
    for cable in [Cable::Cut, Cable::Deaf] {
        let mut world = World::new(3);
        world.advance(CONVERGENCE_TIME);
        world.cables.insert((0, Interface::First), cable);
        world.advance(CONVERGENCE_TIME);
        // A node that hears nobody, but is heard, still reaches the hosts' switch: it keeps its role.
        world.assert_holders(if cable == Cable::Cut { 1 } else { 0 }, 1);
        let candidates: Vec<_> = world.membership(2).candidates().iter().map(|c| c.node).collect();
        let expected: Vec<_> =
            if cable == Cable::Cut { vec![name(1), name(2)] } else { vec![name(0), name(1), name(2)] };
        assert_eq!(candidates, expected, "{cable:?}");
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
        let used = world.used.len();
        world.advance(Duration::from_secs(10));
        assert_eq!(world.used.len(), used);
    }
}

#[test]
fn two_nodes_that_do_not_hear_each_other_leave_the_role_where_it_is() {
    let mut world = World::new(2);
    world.advance(CONVERGENCE_TIME);
    world.cables.insert((0, Interface::First), Cable::Cut);
    world.advance(Duration::from_secs(10));
    world.assert_holders(0, 1);
    assert_eq!(world.used.len(), 2);
    world.kill(0);
    world.advance(TAKEOVER_TIME);
    world.assert_holders(1, 1);
}

#[test]
fn the_smaller_side_of_a_cut_mesh_gives_up_its_roles_and_keeps_its_streams() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let from = world.now;
    world.set_wire(0, 1, Wire::Cut);
    world.set_wire(0, 2, Wire::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!((world.state_of(1, 0), world.state_of(0, 2)), (MemberState::Cut, MemberState::Cut));
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::MemberDied { .. })));
    assert!(adverts(&world, from, Interface::First).contains(&(0, 0)), "priority 0");
    assert_eq!([0, 1, 2].map(|index| world.holder_as_seen(index)), [None, Some(1), Some(1)]);
    assert_eq!(world.membership(0).cut_holder(world.now, Interface::First), Some(name(1)), "its frames are taken");
    assert!(world.membership(1).candidates().iter().all(|c| c.node != name(0)), "no new streams");
    let used = world.used.len();
    world.advance(Duration::from_secs(10));
    assert_eq!(world.used.len(), used);
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
    world.assert_converged();
    assert_eq!(world.used.len(), used);
}

#[test]
fn of_equal_sides_the_one_with_the_lowest_id_keeps_the_roles() {
    for (count, cuts) in [(2, vec![(0, 1)]), (4, vec![(0, 2), (0, 3), (1, 2), (1, 3)])] {
        let mut world = World::new(count);
        world.advance(CONVERGENCE_TIME);
        cuts.iter().for_each(|(one, other)| world.set_wire(*one, *other, Wire::Cut));
        world.advance(CONVERGENCE_TIME);
        for interface in Interface::BOTH {
            let holders: Vec<_> = (0..count).filter(|index| world.membership(*index).holds(interface)).collect();
            assert!(holders.len() == 1 && holders[0] < count / 2, "{interface} of {count}: {holders:?}");
        }
        let used = world.used.len();
        world.advance(Duration::from_secs(10));
        assert_eq!(world.used.len(), used);
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
    }
}

#[test]
fn a_cut_member_that_falls_silent_on_the_interfaces_too_is_dead() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    world.set_wire(0, 2, Wire::Cut);
    world.set_wire(1, 2, Wire::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Cut);
    world.set_cables(2, Cable::Cut);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Dead);
    assert!(world.events.contains(&(0, Event::MemberDied { node: name(2) })));
    world.set_cables(2, Cable::Whole);
    world.advance(CONVERGENCE_TIME);
    assert_eq!(world.state_of(0, 2), MemberState::Cut, "it is heard again");
    world.heal();
    world.advance(CONVERGENCE_TIME);
    world.assert_converged();
}

#[test]
fn forged_adverts_change_nothing_and_have_their_reasons() {
    let mut world = World::new(3);
    world.advance(CONVERGENCE_TIME);
    let stranger: IpAddr = Ipv4Addr::new(10, 1, 0, 66).into();
    assert_eq!(world.forge(2, stranger, 255), Some(DropReason::VrrpStranger));
    assert_eq!(world.forge(2, address(2, Interface::First), 255), Some(DropReason::VrrpStranger), "its own address");
    assert_eq!(world.forge(2, address(1, Interface::First), 255), Some(DropReason::VrrpContradicts));
    assert_eq!(world.forge(2, address(0, Interface::First), 0), Some(DropReason::VrrpContradicts), "it says it holds");
    assert_eq!(world.forge(0, address(1, Interface::First), 255), Some(DropReason::VrrpContradicts), "to the holder");
    let advert = |vrid, to: IpAddr| vrrp::Advert { vrid, priority: 255, centiseconds: 10, addresses: vec![to] };
    let holder = address(0, Interface::First);
    let mac = Mac([0, 0, 0x5e, 0, 1, 1]);
    let wrong = [
        (advert(2, virtual_address(Interface::First)).frame(mac, holder), DropReason::VrrpVrid),
        (advert(1, virtual_address(Interface::Second)).frame(mac, holder), DropReason::VrrpAddresses),
        (advert(1, virtual_address(Interface::First)).frame(Mac([2; 6]), holder), DropReason::VrrpStranger),
    ];
    for (frame, reason) in wrong {
        assert_eq!(world.forge_frame(2, frame.unwrap()), Some(reason));
    }
    assert_eq!(world.forge(2, holder, 200), None, "that is what the holder says itself");
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(0, 1);
    assert_eq!(world.used.len(), 2);
}

#[test]
fn a_starting_node_that_hears_a_holder_beyond_the_mesh_takes_no_role() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(1);
    for _ in 0..50 {
        world.advance(ADVERT_INTERVAL);
        assert_eq!(world.forge(1, address(0, Interface::First), 200), Some(DropReason::VrrpStranger));
    }
    assert_eq!(world.holder_as_seen(1), None);
    world.advance(START_TIME_MAX + LATENCY);
    world.assert_holders(1, 1);
}

#[test]
fn a_stranger_that_never_ceases_to_advertise_does_not_hold_a_starting_node_back_for_ever() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.start(1);
    let from = world.now;
    while world.now.since(from) < START_DEFERRED_MAX {
        assert_eq!(world.holder_as_seen(1), None);
        world.forge(1, address(0, Interface::First), 200);
        world.advance(ADVERT_INTERVAL);
    }
    world.assert_holders(1, 1);
}

#[test]
fn a_joining_node_takes_no_role_before_it_is_in_sync() {
    let mut world = World::empty(3, RolesMode::Priority);
    world.adverts.preemption = Preemption::After(Duration::ZERO);
    (1..3).for_each(|index| world.start(index));
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    for interface in Interface::BOTH {
        world.call(0, |membership, now, out| membership.sync_changed(now, interface, Sync::Incomplete, out));
    }
    world.advance(CONVERGENCE_TIME);
    let in_sync = world.membership(1).member(name(0)).unwrap().in_sync;
    assert_eq!(world.membership(0).holds(Interface::First), in_sync, "it had said that it is in sync");
    let mut world = World::empty(2, RolesMode::Priority);
    world.start(1);
    world.advance(CONVERGENCE_TIME);
    world.start(0);
    world.advance(CONVERGENCE_TIME);
    world.assert_holders(1, 1);
}

/// Two nodes joined by the mesh act for the same interface for no longer than the detection time (I5).
#[test]
fn two_holders_that_meet_on_the_mesh_are_one_within_the_detection_time() {
    let mut world = World::new(4);
    world.advance(CONVERGENCE_TIME);
    let cuts = [(0, 2), (0, 3), (1, 2), (1, 3)];
    [2, 3].into_iter().for_each(|index| world.set_cables(index, Cable::Cut));
    cuts.into_iter().for_each(|(one, other)| world.set_wire(one, other, Wire::Cut));
    world.advance(CONVERGENCE_TIME);
    let acting = |world: &World| (0..4).filter(|i| world.membership(*i).may_emit(world.now, Interface::First)).count();
    assert_eq!(acting(&world), 2, "each half has its own");
    cuts.into_iter().for_each(|(one, other)| world.set_wire(one, other, Wire::Whole));
    world.advance(DETECTION_TIME);
    assert_eq!(acting(&world), 1);
}

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    Kill(usize),
    KillSilently(usize),
    Start(usize),
    Wire(usize, usize, Wire),
    Pause(usize, u64),
    Interface(usize, Interface, InterfaceState),
    Cable(usize, Interface, Cable),
}

fn any_op() -> impl Strategy<Value = Op> {
    let node = || 0_usize..5;
    let wire = prop_oneof![
        3 => Just(Wire::Whole),
        1 => Just(Wire::Cut),
        1 => Just(Wire::Stalled),
        1 => Just(Wire::OneWay),
    ];
    let interface = prop_oneof![Just(Interface::First), Just(Interface::Second)];
    let cable = prop_oneof![2 => Just(Cable::Whole), 1 => Just(Cable::Cut), 1 => Just(Cable::Deaf)];
    let state = prop_oneof![Just(InterfaceState::Up), Just(InterfaceState::Down)];
    prop_oneof![
        4 => (0_u64..700).prop_map(Op::Advance),
        1 => node().prop_map(Op::Kill),
        1 => node().prop_map(Op::KillSilently),
        2 => node().prop_map(Op::Start),
        4 => (node(), node(), wire).prop_map(|(one, other, wire)| Op::Wire(one, other, wire)),
        1 => (node(), 0_u64..1_500).prop_map(|(index, ms)| Op::Pause(index, ms)),
        1 => (node(), interface.clone(), cable).prop_map(|(index, interface, cable)| Op::Cable(index, interface, cable)),
        1 => (node(), interface, state).prop_map(|(index, interface, state)| Op::Interface(index, interface, state)),
    ]
}

impl World {
    fn apply(&mut self, op: &Op) {
        let here = |index: usize| index % self.count;
        match *op {
            Op::Advance(ms) => self.advance(Duration::from_millis(ms)),
            Op::Kill(index) => self.kill(here(index)),
            Op::KillSilently(index) => self.kill_silently(here(index)),
            Op::Start(index) if self.nodes.contains_key(&here(index)) => {}
            Op::Start(index) => self.start(here(index)),
            Op::Wire(one, other, wire) => self.set_wire(here(one), here(other), wire),
            Op::Pause(index, ms) => {
                let (index, until) = (here(index), self.now + Duration::from_millis(ms));
                if let Some(node) = self.nodes.get_mut(&index) {
                    node.paused_until = until;
                }
            }
            Op::Cable(index, interface, cable) => self.cables.extend([((here(index), interface), cable)]),
            Op::Interface(index, interface, state) => self.call(here(index), |membership, now, out| {
                membership.interface_changed(now, interface, state, out);
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No epoch is used twice (checked at every call), and afterwards all agree on the best and stay with it.
    #[test]
    fn any_history_uses_no_epoch_twice_and_converges(count in 1_usize..=5, ops in prop::collection::vec(any_op(), 0..40)) {
        let mut world = World::new(count);
        for op in &ops {
            world.apply(op);
        }
        world.heal();
        world.advance(CONVERGENCE_TIME);
        world.assert_converged();
        let settled = world.used.len();
        world.advance(Duration::from_secs(5));
        world.assert_converged();
        prop_assert_eq!(world.used.len(), settled);
    }
}
