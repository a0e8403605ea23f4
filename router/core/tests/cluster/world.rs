//! A small world around real nodes: two switches that learn, one host on each, mesh links that deliver in order, and a
//! clock that jumps from deadline to deadline.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use herald_core::event::{DropReason, EndReason, Event};
use herald_core::flow::FlowKey;
use herald_core::forward::{ReversePath, StaticRoute};
use herald_core::id::{Interface, Mac, NodeId, PerInterface};
use herald_core::inspector::{
    Inspection, Inspector, Parts, PerDirection, Readiness, Standing, Stream, Totals, Verdict,
};
use herald_core::membership::Service;
use herald_core::mesh::Message;
use herald_core::node::{Announcing, Node, Redirecting, Settings};
use herald_core::outbox::{Leaving, Outbox};
use herald_core::packet::probe::Probe;
use herald_core::packet::{Content, Frame, OFFLOAD_HEADER_LEN, Packet, Tag, TcpFlags, Transport};
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::{Bounds, Midstream, Timeouts};
use herald_core::time::Instant;
use herald_core::turn::Turn;
use herald_testing::frames::{self, ACK, Segment};
use herald_testing::layout::{self, HOST, NODES, Place, host_mac, named};

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
    pub(crate) bounds: Bounds,
    pub(crate) timeouts: Timeouts,
    pub(crate) reverse_path: ReversePath,
    pub(crate) icmp_redirects: bool,
    /// The VLAN of the first network.
    pub(crate) vlan: Option<u16>,
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
            bounds: Bounds::default(),
            timeouts: layout::SHORT,
            reverse_path: ReversePath::Loose,
            icmp_redirects: false,
            vlan: None,
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
    pub(crate) readiness: Readiness,
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

    fn readiness(&self) -> Readiness {
        self.readiness
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
    /// The MACs of the hosts now.
    pub(crate) host_macs: PerInterface<Mac>,
    /// Packets that reached the hosts.
    pub(crate) at_client: Vec<Vec<u8>>,
    pub(crate) at_server: Vec<Vec<u8>>,
    /// Packets that reached the second router, which is on the clients' network.
    pub(crate) at_gateway: Vec<Vec<u8>>,
    /// A member that does not run now and whose links are silent.
    pub(crate) paused: Option<&'static str>,
    /// The VLAN of the first network.
    vlan: Option<u16>,
    dead: Vec<&'static str>,
    /// A member that runs and has its interfaces, and whose messages are lost, both ways.
    pub(crate) cut_off: Option<&'static str>,
    /// Two members without a link.
    cut_link: Option<[&'static str; 2]>,
    /// Where the switches last saw an address as a source: at a node's port, or at the host's.
    learned: PerInterface<HashMap<Mac, Option<usize>>>,
    /// Messages that are lost on their way to a node.
    pub(crate) lost: fn(NodeId, &Message) -> bool,
    mail: VecDeque<(NodeId, NodeId, Message)>,
}

/// MAC and address of the second router on the clients' network.
pub(crate) const GATEWAY: ([u8; 6], Ipv4Addr) = ([2, 0, 0, 0, 0x10, 254], Ipv4Addr::new(10, 1, 0, 254));

/// A host behind it.
pub(crate) const BEHIND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn settings(place: Place, choices: &Choices) -> Settings {
    let mut settings = layout::settings_v4(place, NODES.len());
    if let Some(holders) = choices.holders {
        settings.membership.roles = layout::held_by(holders);
    }
    settings.choice.redirectors = choices.redirectors;
    settings.choice.keying = choices.keying;
    settings.hold_max.time = choices.hold_max;
    let to = "192.0.2.0/24".parse().unwrap();
    settings.forward.routes = vec![StaticRoute { to, via: vec![GATEWAY.1.into()], interface: None }];
    settings.forward.reverse_path = choices.reverse_path;
    settings.forward.icmp_redirects = choices.icmp_redirects;
    settings.forward.interfaces.first.vlan = choices.vlan;
    let (midstream, redirecting, announcing) = (choices.midstream, choices.redirecting, choices.announcing);
    let (bounds, timeouts) = (choices.bounds, choices.timeouts);
    Settings { midstream, redirecting, announcing, bounds, timeouts, ..settings }
}

impl World {
    /// Three nodes, linked, roles taken, addresses of the hosts known.
    pub(crate) fn new(choices: &Choices) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let member = |(place, name)| {
            let (mut plugins, mut out) = (Counter::default(), Outbox::default());
            let node = layout::linked(settings(place, choices), &mut Turn::new(now, &mut plugins, &mut out));
            Member { name, place, node, plugins, out, events: Vec::new() }
        };
        let mut world = Self {
            now,
            members: NODES.into_iter().enumerate().map(member).collect(),
            wire: Vec::new(),
            host_macs: PerInterface::from_fn(host_mac),
            at_client: Vec::new(),
            at_server: Vec::new(),
            at_gateway: Vec::new(),
            paused: None,
            vlan: choices.vlan,
            dead: Vec::new(),
            cut_off: None,
            cut_link: None,
            learned: PerInterface::default(),
            lost: |_, _| false,
            mail: VecDeque::new(),
        };
        world.settle();
        world.run(Duration::from_secs(2));
        world
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
                let from = named(member.name);
                let is_cut = |to| {
                    self.cut_off.is_some_and(|name| [from, to].contains(&named(name)))
                        || self.cut_link.is_some_and(|ends| ends.iter().all(|end| [from, to].contains(&named(end))))
                };
                let arrives = |to, message: &Message| !is_cut(to) && !(self.lost)(to, message);
                let sent = member.out.send.drain(..).filter(|(to, message)| arrives(*to, message));
                self.mail.extend(sent.map(|(to, message)| (from, to, message)));
                frames.extend(member.out.transmit.drain(..).map(|sent| (place, sent)));
            }
            if frames.is_empty() && self.mail.is_empty() {
                return;
            }
            for (place, (interface, frame, leaving)) in frames {
                let bytes = self.on_wire(interface, &frame, leaving);
                self.switch(Some(place), interface, &bytes);
            }
            while let Some((from, to, message)) = self.mail.pop_front() {
                let dead = &self.dead;
                let awake =
                    |m: &&mut Member| named(m.name) == to && Some(m.name) != self.paused && !dead.contains(&m.name);
                let Some(member) = self.members.iter_mut().find(awake) else { continue };
                member.node.message_arrived(
                    &mut Turn::new(self.now, &mut member.plugins, &mut member.out),
                    from,
                    message,
                );
            }
        }
    }

    /// A frame as the program writes it: with the tag of its network, or the one that it came with.
    fn on_wire(&self, interface: Interface, frame: &Frame, leaving: Leaving) -> Vec<u8> {
        let of_network = self.vlan.filter(|_| interface == Interface::First).map(Tag::of);
        let tag = frame.tag().filter(|_| leaving == Leaving::Redirected).or(of_network);
        match tag {
            None => frame.bytes().to_vec(),
            Some(tag) => [&frame.tagged_head(tag)[OFFLOAD_HEADER_LEN..], frame.behind_tag()].concat(),
        }
    }

    /// A host's frame, with the tag of its network.
    pub(crate) fn as_sent(&self, interface: Interface, bytes: &[u8]) -> Vec<u8> {
        self.on_wire(interface, &Frame::from_bytes(bytes), Leaving::Generated)
    }

    /// A frame goes to the port where its destination was last seen; to all others if it is known at none.
    fn switch(&mut self, from: Option<usize>, interface: Interface, bytes: &[u8]) {
        let mut frame = Frame::from_bytes(bytes);
        frame.untag();
        let packet = Packet::parse(&frame);
        let mut known = None;
        let macs = packet.as_ref().ok().map(|packet| (packet.destination, packet.source));
        if let Some((destination, source)) = macs.or_else(|| Some(Probe::parse(&frame).ok()?).map(|p| (p.0, p.1))) {
            self.wire.push(Seen { interface, from: source, to: destination, bytes: bytes.to_vec() });
            self.learned[interface].insert(source, from);
            known = self.learned[interface].get(&destination).copied();
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
        if from.is_some() && (packet.destination == self.host_macs[interface] || packet.destination == Mac::BROADCAST) {
            self.host_receives(interface, &packet, bytes);
        }
        let to_gateway = packet.destination == Mac(GATEWAY.0) || packet.destination == Mac::BROADCAST;
        if from.is_some() && interface == Interface::First && to_gateway {
            match packet.content {
                Content::Arp(_) => {
                    if let Some(reply) = frames::arp_answer(bytes, GATEWAY) {
                        self.switch(None, interface, &reply);
                    }
                }
                Content::Ip(_) | Content::Fragment(_) => self.at_gateway.push(bytes.to_vec()),
            }
        }
    }

    fn host_receives(&mut self, interface: Interface, packet: &Packet, bytes: &[u8]) {
        match packet.content {
            Content::Arp(_) => {
                let host = (self.host_macs[interface].0, layout::v4(interface, HOST));
                if let Some(reply) = frames::arp_answer(&untagged(bytes), host) {
                    let reply = self.as_sent(interface, &reply);
                    self.switch(None, interface, &reply);
                }
            }
            Content::Ip(_) | Content::Fragment(_) if interface == Interface::First => {
                self.at_client.push(bytes.to_vec())
            }
            Content::Ip(_) | Content::Fragment(_) => self.at_server.push(bytes.to_vec()),
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
    pub(crate) fn host_sends(&mut self, interface: Interface, source: u16, destination: u16, segment: Segment<'_>) {
        self.host_begins_to_send(interface, source, destination, segment);
        self.settle();
    }

    /// The same, and what the nodes do about it waits for the next [`settle`](Self::settle).
    pub(crate) fn host_begins_to_send(
        &mut self,
        interface: Interface,
        source: u16,
        destination: u16,
        segment: Segment<'_>,
    ) {
        let bytes = frames::tcp(layout::from_host(interface), (source, destination), segment);
        let bytes = self.as_sent(interface, &bytes);
        self.switch(None, interface, &bytes);
    }

    /// A frame comes from a host on `interface`.
    pub(crate) fn host_sends_frame(&mut self, interface: Interface, bytes: &[u8]) {
        self.host_begins_to_send_frame(interface, bytes);
        self.settle();
    }

    /// The same, and what the nodes do about it waits for the next [`settle`](Self::settle).
    pub(crate) fn host_begins_to_send_frame(&mut self, interface: Interface, bytes: &[u8]) {
        self.switch(None, interface, bytes);
    }

    /// Sends a segment each way of an open connection; true if both arrived.
    pub(crate) fn talks(&mut self, port: u16) -> bool {
        let before = (self.at_client.len(), self.at_server.len());
        self.host_sends(Interface::First, port, 80, Segment { payload: b"x", ..ACK });
        let answer = Segment { flags: 16, sequence: 501, acknowledgement: 101, payload: b"x" };
        self.host_sends(Interface::Second, 80, port, answer);
        self.run(Duration::from_millis(1));
        (self.at_client.len(), self.at_server.len()) == (before.0 + 1, before.1 + 1)
    }

    /// A member dies as by kill -9; the others lose their links to it at once.
    pub(crate) fn crash(&mut self, name: &'static str) {
        self.dead.push(name);
        let dead = self.dead.clone();
        for member in self.members.iter_mut().filter(|m| !dead.contains(&m.name)) {
            member.node.link_lost(&mut Turn::new(self.now, &mut member.plugins, &mut member.out), named(name));
        }
        self.settle();
    }

    /// The mesh of a member is cut; all ends notice that at once.
    pub(crate) fn cut_mesh(&mut self, name: &'static str) {
        self.cut_off = Some(name);
        self.change_links(name, |node, turn, peer| node.link_lost(turn, layout::id(peer)));
    }

    /// The link between two members is cut; both notice that at once.
    pub(crate) fn cut_link(&mut self, ends: [&'static str; 2]) {
        self.cut_link = Some(ends);
        let now = self.now;
        for (end, peer) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let member = self.members.iter_mut().find(|m| m.name == end).unwrap();
            member.node.link_lost(&mut Turn::new(now, &mut member.plugins, &mut member.out), named(peer));
        }
        self.settle();
    }

    /// The mesh is whole again.
    pub(crate) fn heal_mesh(&mut self) {
        let name = self.cut_off.take().unwrap();
        self.change_links(name, |node, turn, peer| {
            node.link_up(turn, &layout::hello(peer));
            node.frames_up(turn, layout::id(peer));
        });
    }

    /// A member loses its connections for frames.
    pub(crate) fn lose_frames_to(&mut self, name: &'static str) {
        self.change_links(name, |node, turn, peer| node.frames_lost(turn, layout::id(peer)));
    }

    /// Both ends of each link of a member hear of a change.
    fn change_links(&mut self, name: &str, change: fn(&mut Node<()>, &mut Turn<'_, ()>, Place)) {
        let now = self.now;
        let place = self.member(name).place;
        let others: Vec<usize> = self.members.iter().map(|m| m.place).filter(|other| *other != place).collect();
        for member in &mut self.members {
            let peers = if member.place == place { others.clone() } else { vec![place] };
            for peer in peers {
                change(&mut member.node, &mut Turn::new(now, &mut member.plugins, &mut member.out), peer);
            }
        }
        self.settle();
    }

    /// A host on `interface` sends a datagram to the other host through the cluster.
    pub(crate) fn host_sends_udp(&mut self, interface: Interface, source: u16, destination: u16) {
        let bytes = frames::udp(layout::from_host(interface), (source, destination), b"a datagram");
        self.switch(None, interface, &bytes);
        self.settle();
    }

    /// One member says something to another.
    pub(crate) fn say(&mut self, from: &str, to: &str, message: Message) {
        self.mail.push_back((named(from), named(to), message));
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
            let came = books.arrived.first + books.arrived.second + books.arrived_mesh + books.cut + books.injected;
            let dropped = member.out.drops().map(|(_, count)| count).sum::<u64>() - books.generated_dropped;
            let went = books.forwarded + books.redirected + books.handed_over + books.consumed + books.joined + dropped;
            let kept = member.node.frames_kept() as u64;
            assert_eq!(came, went + kept, "books of {}: {books:?} {kept}", member.name);
        }
    }
}

/// The TCP flags and TTL of a packet.
pub(crate) fn tcp_of(bytes: &[u8]) -> Option<(TcpFlags, u8, u16)> {
    let packet = Packet::parse(&Frame::from_bytes(bytes)).ok()?;
    let Content::Ip(headers) = packet.content else { return None };
    let Transport::Tcp { flags, source, .. } = headers.transport else { return None };
    Some((flags, headers.hop_limit, source))
}

/// A frame without its VLAN tag.
pub(crate) fn untagged(bytes: &[u8]) -> Vec<u8> {
    let mut frame = Frame::from_bytes(bytes);
    frame.untag();
    frame.bytes().to_vec()
}
