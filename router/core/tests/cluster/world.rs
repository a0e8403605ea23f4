//! A small world around real nodes: two switches that learn, one host on each, mesh links that deliver in order, and a
//! clock that jumps from deadline to deadline.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use etherparse::PacketBuilder;
use herald_core::chosen::HoldMax;
use herald_core::event::{DropReason, EndReason, Event};
use herald_core::flow::{FlowKey, HashKey};
use herald_core::forward;
use herald_core::id::{BootId, Interface, Mac, NodeId, PerInterface};
use herald_core::inspector::{Inspection, Inspector, Parts, PerDirection, Standing, Stream, Totals, Verdict};
use herald_core::membership::{self, InterfaceState, RolesMode, Service};
use herald_core::mesh::{Hello, Message};
use herald_core::node::{Announcing, Node, Redirecting, Settings};
use herald_core::outbox::Outbox;
use herald_core::packet::{ArpOperation, Content, Frame, Packet, TcpFlags, Transport};
use herald_core::redirector::choice::{self, Keying, Redirectors};
use herald_core::session::{Midstream, Timeouts};
use herald_core::time::Instant;
use herald_core::turn::Turn;

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 100);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 100);
pub(crate) const NODES: [&str; 3] = ["a", "b", "c"];

/// As the configuration derives them: the order of ids, rotated by one for the second interface.
const PRIORITIES: [PerInterface<u8>; 3] = [
    PerInterface { first: 103, second: 101 },
    PerInterface { first: 102, second: 103 },
    PerInterface { first: 101, second: 102 },
];

pub(crate) fn id(node: &str) -> NodeId {
    node.parse().unwrap()
}

/// What a test may set.
#[derive(Clone)]
pub(crate) struct Choices {
    /// Named holders; `None`: they are elected, a holds first and b second.
    pub(crate) holders: Option<[&'static str; 2]>,
    pub(crate) announcing: Announcing,
    pub(crate) hold_max: Duration,
    pub(crate) keying: Keying,
    pub(crate) redirectors: Redirectors,
    pub(crate) redirecting: Redirecting,
    pub(crate) midstream: Midstream,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            holders: Some(["a", "b"]),
            announcing: Announcing::On(Duration::ZERO),
            hold_max: Duration::from_millis(20),
            keying: Keying::PerInterface,
            redirectors: Redirectors::Equal,
            redirecting: Redirecting::Ethernet,
            midstream: Midstream::Drop,
        }
    }
}

/// Counts what it sees, per stream's opener.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) seen: BTreeMap<u64, u64>,
    pub(crate) openers: BTreeMap<u64, FlowKey>,
    pub(crate) ended: Vec<(FlowKey, EndReason)>,
    /// What ends every stream at its first packet, if anything does.
    pub(crate) ends: Option<Verdict>,
}

impl Inspector for Counter {
    type Part = ();

    fn stream_started(&mut self, _: Instant, stream: &Stream, (): &mut ()) -> PerDirection<Standing> {
        self.openers.insert(stream.id, stream.opener);
        PerDirection::default()
    }

    fn inspect(&mut self, _: Instant, batch: &mut [Inspection], _: &mut dyn Parts<()>) {
        for inspection in batch {
            *self.seen.entry(inspection.stream).or_default() += 1;
            if let Some(verdict) = self.ends {
                inspection.verdict = verdict;
                let ended = Standing::Ended(verdict);
                inspection.standing = PerDirection { from_opener: ended, to_opener: ended };
            }
        }
    }

    fn stream_ended(&mut self, _: Instant, stream: &Stream, _: &Totals, reason: EndReason, (): &mut ()) {
        self.ended.push((stream.opener, reason));
    }
}

pub(crate) struct Member {
    pub(crate) name: &'static str,
    place: usize,
    pub(crate) node: Node<()>,
    pub(crate) plugins: Counter,
    pub(crate) out: Outbox,
    pub(crate) events: Vec<Event>,
}

/// A frame on a network, with the MAC that sent it.
pub(crate) struct Seen {
    pub(crate) interface: Interface,
    pub(crate) from: Mac,
    pub(crate) to: Mac,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) members: Vec<Member>,
    pub(crate) wire: Vec<Seen>,
    /// Packets that reached the hosts.
    pub(crate) at_client: Vec<Vec<u8>>,
    pub(crate) at_server: Vec<Vec<u8>>,
    /// A member that does not run now and whose links are silent.
    pub(crate) paused: Option<&'static str>,
    dead: Vec<&'static str>,
    /// Where the switches last saw an address as a source: at a node's port, or at the host's.
    learned: PerInterface<HashMap<Mac, Option<usize>>>,
    /// Messages that are lost on their way to a node.
    pub(crate) lost: fn(NodeId, &Message) -> bool,
    mail: VecDeque<(NodeId, NodeId, Message)>,
}

pub(crate) fn node_mac(interface: Interface, number: u8) -> Mac {
    Mac([2, 0, 0, 0, if interface == Interface::First { 1 } else { 2 }, number])
}

pub(crate) fn virtual_mac(interface: Interface) -> Mac {
    Mac([0, 0, 0x5e, 0, 1, if interface == Interface::First { 1 } else { 2 }])
}

pub(crate) fn host_mac(interface: Interface) -> Mac {
    Mac([2, 0, 0, 0, if interface == Interface::First { 1 } else { 2 }, 0x99])
}

fn net(interface: Interface) -> u8 {
    if interface == Interface::First { 1 } else { 2 }
}

fn settings(number: u8, choices: &Choices) -> Settings {
    let node = id(NODES[usize::from(number) - 1]);
    let address = |i: Interface| IpAddr::from(Ipv4Addr::new(10, net(i), 0, 10 + number));
    let second = Duration::from_secs(1);
    Settings {
        node,
        boot: BootId(u64::from(number)),
        membership: membership::Settings {
            node,
            boot: BootId(u64::from(number)),
            macs: PerInterface::from_fn(|i| node_mac(i, number)),
            addresses: PerInterface::from_fn(|i| vec![address(i)]),
            peers: NODES.iter().map(|n| id(n)).filter(|n| *n != node).collect(),
            priorities: PRIORITIES[usize::from(number) - 1],
            weight: 100,
            roles: match choices.holders {
                Some(holders) => {
                    RolesMode::Static(PerInterface { first: Some(id(holders[0])), second: Some(id(holders[1])) })
                }
                None => RolesMode::Priority,
            },
            adverts: membership::AdvertSettings {
                virtual_addresses: PerInterface::from_fn(|i| vec![Ipv4Addr::new(10, net(i), 0, 1).into()]),
                ..membership::AdvertSettings::default()
            },
        },
        forward: forward::Settings {
            interfaces: PerInterface::from_fn(|i| forward::InterfaceSettings {
                mac: node_mac(i, number),
                virtual_mac_v4: virtual_mac(i),
                virtual_mac_v6: Mac([0, 0, 0x5e, 0, 2, net(i)]),
                addresses: vec![format!("{}/24", address(i)).parse().unwrap()],
                virtual_addresses: vec![Ipv4Addr::new(10, net(i), 0, 1).into()],
                mtu: 1500,
            }),
            routes: Vec::new(),
            hash_key: HashKey([3; 16]),
        },
        choice: choice::Settings { key: HashKey([9; 16]), redirectors: choices.redirectors, keying: choices.keying },
        midstream: choices.midstream,
        hold_max: HoldMax { time: choices.hold_max, frames: 32, bytes: 1 << 20 },
        timeouts: Timeouts {
            tcp_established: second * 60,
            tcp_opening: second * 4,
            tcp_closing: second * 4,
            tcp_closed: second * 2,
            udp: second * 2,
            icmp: second * 2,
            other: second * 2,
            provisional: second * 5,
        },
        redirecting: choices.redirecting,
        announcing: choices.announcing,
        hash_key: HashKey([5; 16]),
    }
}

impl World {
    /// Three nodes, linked, roles taken, addresses of the hosts known.
    pub(crate) fn new(choices: &Choices) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let members = (1u8..).zip(NODES).map(|(number, name)| Member {
            name,
            place: usize::from(number) - 1,
            node: Node::new(now, settings(number, choices)).unwrap(),
            plugins: Counter::default(),
            out: Outbox::default(),
            events: Vec::new(),
        });
        let mut world = Self {
            now,
            members: members.collect(),
            wire: Vec::new(),
            at_client: Vec::new(),
            at_server: Vec::new(),
            paused: None,
            dead: Vec::new(),
            learned: PerInterface::default(),
            lost: |_, _| false,
            mail: VecDeque::new(),
        };
        for a in 0..3 {
            for interface in Interface::BOTH {
                let Member { node, plugins, out, .. } = &mut world.members[a];
                node.interface_changed(&mut Turn::new(now, plugins, out), interface, InterfaceState::Up);
            }
            for b in (0u8..3).filter(|b| usize::from(*b) != a) {
                let hello = world.hello(b + 1);
                let Member { node, plugins, out, .. } = &mut world.members[a];
                node.link_up(&mut Turn::new(now, plugins, out), &hello);
                node.frames_up(&mut Turn::new(now, plugins, out), hello.node);
            }
        }
        world.settle();
        world.run(Duration::from_secs(2));
        world
    }

    fn hello(&self, number: u8) -> Hello {
        let node = id(NODES[usize::from(number) - 1]);
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: "test".into(),
            node,
            boot: BootId(u64::from(number)),
            macs: PerInterface::from_fn(|i| node_mac(i, number)),
            addresses: PerInterface::from_fn(|i| vec![IpAddr::from(Ipv4Addr::new(10, net(i), 0, 10 + number))]),
            config_digest: 0,
        }
    }

    /// Carries out everything there is to do now.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut frames = Vec::new();
            let alive = |m: &&mut Member| !self.dead.contains(&m.name);
            for member in self.members.iter_mut().filter(alive) {
                let place = member.place;
                member.node.batch_ended(&mut Turn::new(self.now, &mut member.plugins, &mut member.out));
                while member
                    .node
                    .send_bulk(&mut Turn::new(self.now, &mut member.plugins, &mut member.out), &|_| usize::MAX)
                {
                }
                member.events.append(&mut member.out.events);
                member.out.spent.clear();
                let from = id(member.name);
                let sent = member.out.send.drain(..).filter(|(to, message)| !(self.lost)(*to, message));
                self.mail.extend(sent.map(|(to, message)| (from, to, message)));
                frames.extend(member.out.transmit.drain(..).map(|(interface, frame, _)| (place, interface, frame)));
            }
            if frames.is_empty() && self.mail.is_empty() {
                return;
            }
            for (place, interface, frame) in frames {
                self.switch(Some(place), interface, frame.bytes());
            }
            while let Some((from, to, message)) = self.mail.pop_front() {
                let dead = &self.dead;
                let awake =
                    |m: &&mut Member| id(m.name) == to && Some(m.name) != self.paused && !dead.contains(&m.name);
                let Some(member) = self.members.iter_mut().find(awake) else { continue };
                member.node.message_arrived(
                    &mut Turn::new(self.now, &mut member.plugins, &mut member.out),
                    from,
                    message,
                );
            }
        }
    }

    /// A frame goes to the port where its destination was last seen; to all others if it is known at none.
    fn switch(&mut self, from: Option<usize>, interface: Interface, bytes: &[u8]) {
        let frame = Frame::from_bytes(bytes);
        let packet = Packet::parse(&frame);
        let mut known = None;
        if let Ok(packet) = &packet {
            self.wire.push(Seen { interface, from: packet.source, to: packet.destination, bytes: bytes.to_vec() });
            self.learned[interface].insert(packet.source, from);
            known = self.learned[interface].get(&packet.destination).copied();
        }
        let dead = &self.dead;
        for member in self.members.iter_mut().filter(|m| !dead.contains(&m.name)) {
            let is_meant = known.is_none_or(|port| port == Some(member.place));
            if is_meant && Some(member.place) != from && Some(member.name) != self.paused {
                let frame = Frame::from_bytes(bytes);
                member.node.frame_arrived(
                    &mut Turn::new(self.now, &mut member.plugins, &mut member.out),
                    interface,
                    frame,
                );
            }
        }
        let Ok(packet) = packet else { return };
        if from.is_some() && (packet.destination == host_mac(interface) || packet.destination == Mac::BROADCAST) {
            self.host_receives(interface, &packet, bytes);
        }
    }

    fn host_receives(&mut self, interface: Interface, packet: &Packet, bytes: &[u8]) {
        let host = if interface == Interface::First { CLIENT } else { SERVER };
        match packet.content {
            Content::Arp(arp) if arp.operation == ArpOperation::Request && arp.target == host => {
                let mut reply = bytes.to_vec();
                reply[..6].copy_from_slice(&packet.source.0);
                reply[6..12].copy_from_slice(&host_mac(interface).0);
                reply[21] = 2;
                let sender: Vec<u8> = bytes[22..32].to_vec();
                reply[22..28].copy_from_slice(&host_mac(interface).0);
                reply[28..32].copy_from_slice(&host.octets());
                reply[32..42].copy_from_slice(&sender);
                self.switch(None, interface, &reply);
            }
            Content::Arp(_) => {}
            Content::Ip(_) if interface == Interface::First => self.at_client.push(bytes.to_vec()),
            Content::Ip(_) => self.at_server.push(bytes.to_vec()),
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let paused = self.paused;
            let dead = self.dead.clone();
            let runs = |name: &str| Some(name) != paused && !dead.contains(&name);
            let running = self.members.iter().filter(|m| runs(m.name));
            let next = running.filter_map(|m| m.node.next_deadline()).min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            for member in self.members.iter_mut().filter(|m| runs(m.name)) {
                member.node.deadline_reached(&mut Turn::new(self.now, &mut member.plugins, &mut member.out));
            }
            self.settle();
        }
    }

    /// A host on `interface` sends a TCP segment to the other host through the cluster.
    pub(crate) fn host_sends(&mut self, interface: Interface, source: u16, destination: u16, segment: Segment) {
        self.host_begins_to_send(interface, source, destination, segment);
        self.settle();
    }

    /// The same, and what the nodes do about it waits for the next [`settle`](Self::settle).
    pub(crate) fn host_begins_to_send(
        &mut self,
        interface: Interface,
        source: u16,
        destination: u16,
        segment: Segment,
    ) {
        let (from, to) = if interface == Interface::First { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let builder = PacketBuilder::ethernet2(host_mac(interface).0, virtual_mac(interface).0)
            .ipv4(from.octets(), to.octets(), 64)
            .tcp(source, destination, segment.sequence, 65_000);
        let builder = if segment.flags & 2 != 0 { builder.syn() } else { builder };
        let builder = if segment.flags & 1 != 0 { builder.fin() } else { builder };
        let builder = if segment.flags & 4 != 0 { builder.rst() } else { builder };
        let builder = if segment.flags & 16 != 0 { builder.ack(segment.acknowledgement) } else { builder };
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &[0x55; 100][..segment.payload]).unwrap();
        self.switch(None, interface, &bytes);
    }

    /// Sends a segment each way of an open connection; true if both arrived.
    pub(crate) fn talks(&mut self, port: u16) -> bool {
        let before = (self.at_client.len(), self.at_server.len());
        self.host_sends(Interface::First, port, 80, Segment { payload: 1, ..ACK });
        let answer = Segment { flags: 16, sequence: 501, acknowledgement: 101, payload: 1 };
        self.host_sends(Interface::Second, 80, port, answer);
        self.run(Duration::from_millis(1));
        (self.at_client.len(), self.at_server.len()) == (before.0 + 1, before.1 + 1)
    }

    /// A member dies as by kill -9; the others lose their links to it at once.
    pub(crate) fn crash(&mut self, name: &'static str) {
        self.dead.push(name);
        let dead = self.dead.clone();
        for member in self.members.iter_mut().filter(|m| !dead.contains(&m.name)) {
            member.node.link_lost(&mut Turn::new(self.now, &mut member.plugins, &mut member.out), id(name));
        }
        self.settle();
    }

    /// A host on `interface` sends a datagram to the other host through the cluster.
    pub(crate) fn host_sends_udp(&mut self, interface: Interface, source: u16, destination: u16) {
        let (from, to) = if interface == Interface::First { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let builder = PacketBuilder::ethernet2(host_mac(interface).0, virtual_mac(interface).0)
            .ipv4(from.octets(), to.octets(), 64)
            .udp(source, destination);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, b"a datagram").unwrap();
        self.switch(None, interface, &bytes);
        self.settle();
    }

    /// One member says something to another.
    pub(crate) fn say(&mut self, from: &str, to: &str, message: Message) {
        self.mail.push_back((id(from), id(to), message));
        self.settle();
    }

    /// Drains a member or lets it serve again.
    pub(crate) fn serve(&mut self, name: &str, service: Service) {
        let now = self.now;
        let member = self.members.iter_mut().find(|m| m.name == name).unwrap();
        member.node.service_changed(&mut Turn::new(now, &mut member.plugins, &mut member.out), service);
        self.settle();
    }

    /// Roles and streams that a member still has.
    pub(crate) fn remaining(&self, name: &str) -> (usize, usize) {
        let remaining = self.member(name).node.remaining();
        (remaining.roles, remaining.streams)
    }

    pub(crate) fn member(&self, name: &str) -> &Member {
        self.members.iter().find(|m| m.name == name).unwrap()
    }

    /// Names of the nodes whose plugins saw packets of the stream that `opener` opened, with their counts.
    pub(crate) fn inspectors(&self, opener: &FlowKey) -> Vec<(&'static str, u64)> {
        let counts = self.members.iter().map(|m| {
            let streams = m.plugins.openers.iter().filter(|(_, key)| key.stream() == opener.stream());
            (m.name, streams.map(|(stream, _)| m.plugins.seen.get(stream).copied().unwrap_or(0)).sum::<u64>())
        });
        counts.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.members.iter().flat_map(|m| m.out.drops()).filter(|(r, _)| *r == reason).map(|(_, count)| count).sum()
    }

    /// I9: every frame that came in is accounted for.
    pub(crate) fn check_books(&self) {
        for member in self.members.iter().filter(|m| !self.dead.contains(&m.name)) {
            let books = &member.out.ledger;
            let came = books.arrived.first + books.arrived.second + books.arrived_mesh;
            let dropped = member.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
            let went = books.forwarded + books.redirected + books.handed_over + books.consumed + dropped;
            let kept = member.node.frames_kept() as u64;
            assert_eq!(came, went + kept, "books of {}: {books:?} {kept}", member.name);
        }
    }
}

/// A TCP segment.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) payload: usize,
}

pub(crate) const SYN: Segment = Segment { flags: 2, sequence: 100, acknowledgement: 0, payload: 0 };
pub(crate) const SYN_ACK: Segment = Segment { flags: 18, sequence: 500, acknowledgement: 101, payload: 0 };
pub(crate) const ACK: Segment = Segment { flags: 16, sequence: 101, acknowledgement: 501, payload: 0 };

/// The TCP flags and TTL of a packet.
pub(crate) fn tcp_of(bytes: &[u8]) -> Option<(TcpFlags, u8, u16)> {
    let packet = Packet::parse(&Frame::from_bytes(bytes)).ok()?;
    let Content::Ip(headers) = packet.content else { return None };
    let Transport::Tcp { flags, source, .. } = headers.transport else { return None };
    Some((flags, headers.hop_limit, source))
}
