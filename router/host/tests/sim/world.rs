//! The world of one run: a queue of what happens next, ordered by time and then by number; nodes, switches, hosts and
//! links. One seed decides everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald_core::event::Event;
use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::membership::{InterfaceState, Service};
use herald_core::mesh::{Lane, Message};
use herald_core::outbox::Leaving;
use herald_core::packet::Frame;
use herald_core::time::Instant;

use crate::checkers::Checkers;
use crate::coverage::Coverage;
use crate::host::{Host, Progress, Talk};
use crate::hostile;
use crate::links::{ConnectionId, Links, Side};
use crate::member::{Came, Member, NODES, Place, Process, place_of};
use crate::packets;
use crate::recorder::Note;
use crate::scenario::{Action, Hostility, Impairment, Lasts, Open, Scenario, Step, Way, ports};
use crate::standing::{Part, Standing};
use crate::switch::{self, HOST_PORT, HOSTILE_PORT, Port, Switch};
use crate::trace::Trace;
use herald_testing::chance::Chance;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A node looks at what has come, or at its deadlines.
    Turn(Place),
    /// A frame goes into a switch.
    IntoSwitch(Interface, Port, Vec<u8>),
    /// A frame comes out of a switch.
    OutOfSwitch(Interface, Port, Vec<u8>),
    /// A host works.
    HostTurn(Interface),
    /// A pair's lower node dials.
    Dial(usize),
    /// A connection opened at an end.
    Opened(ConnectionId, Side),
    /// Bytes come to an end.
    Bytes(ConnectionId, Side, Lane, Vec<u8>),
    /// An end learns that the connection is gone.
    Ended(ConnectionId, Side),
    /// A connection's lower node dials for frames.
    DialFrames(ConnectionId),
    /// The lane for frames opened at an end.
    FramesOpened(ConnectionId, Side),
    /// An end learns that its lane for frames is gone.
    FramesEnded(ConnectionId, Side),
    /// A node asks whether a peer that it lost still listens.
    Knock(Place, Place),
    /// A stall is over.
    Flush(usize),
    /// The next step of the scenario.
    Step(usize),
    /// The hosts fall silent.
    Silence,
    /// The checkers look at the whole.
    Sample,
}

/// What the checkers see.
#[derive(Debug)]
pub(crate) enum Sight<'a> {
    /// A frame came to a node that runs.
    Arrived { place: Place, interface: Interface, bytes: &'a [u8] },
    /// The plugins of a node saw or heard something.
    Noted { place: Place, note: &'a Note },
    /// A node transmitted a frame.
    Left { place: Place, interface: Interface, bytes: &'a [u8], leaving: Leaving },
    /// A node sent a message.
    Sent { place: Place, to: Place, message: &'a Message },
    /// A message is about to be given to a node.
    Hearing { place: Place, message: &'a Message },
    /// It was given.
    Heard { place: Place, message: &'a Message },
    /// A forged message was given; what it changed, if anything.
    Forged { place: Place, message: &'a Message, changed: Option<&'a str> },
    /// A node told something.
    Told { place: Place, event: &'a Event },
    /// A node has done what there was to do.
    TurnEnded { place: Place },
    /// A link between honest nodes broke by what came over it.
    Garbled { place: Place, why: &'a str },
    /// An action took place.
    Acted(&'a Action),
    /// Time to look at the whole.
    Sampled,
    /// The run is over.
    Over,
}

/// What was disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// One node's process.
    Process(Place),
    /// A network or the mesh.
    Network,
}

/// An invariant was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
    pub(crate) at: Instant,
}

/// When what begins, from the start of a run.
pub(crate) const FAULTS_FROM_MS: u64 = 2_000;
/// When everything works again.
pub(crate) const HEAL_MS: u64 = 8_000;
/// When all must have settled.
pub(crate) const SETTLED_MS: u64 = 12_000;
/// When the hosts fall silent.
pub(crate) const SILENCE_MS: u64 = 15_000;
/// When every table must be empty: the longest time-out, a comparison, clocks that are 10 % slow, and a little more.
pub(crate) const EMPTY_MS: u64 = SILENCE_MS + 110_000;

pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn at_ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) scenario: Scenario,
    queue: BTreeMap<(Instant, u64), Happening>,
    last_number: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) switches: [Switch; 2],
    pub(crate) hosts: [Host; 2],
    pub(crate) talks: Vec<Talk>,
    pub(crate) links: Links,
    pub(crate) wire_chance: Chance,
    pub(crate) mesh_chance: Chance,
    pub(crate) forge_chance: Chance,
    pub(crate) knock_chance: Chance,
    pub(crate) frames_chance: Chance,
    hostile_chance: Chance,
    /// What the hostile host has seen of the nodes' challenges, wherever they went.
    overheard: [hostile::Overheard; 2],
    pub(crate) trace: Trace,
    pub(crate) coverage: Coverage,
    checkers: Checkers,
    pub(crate) violation: Option<Violation>,
    /// The last action that broke or mended something.
    pub(crate) disturbed_at: Instant,
    /// What disturbed which node and when; for claims about undisturbed nodes.
    pub(crate) disturbances: Vec<(Instant, Disturbance)>,
    /// Streams of which plugins have ended a packet, whatever the cluster does for them.
    pub(crate) ended_by_plugins: BTreeSet<FlowKey>,
    /// What nobody heals.
    pub(crate) standing: Standing,
    /// Since when all running nodes are joined and agree on the roles.
    pub(crate) united_since: Instant,
    pub(crate) silent: bool,
    pub(crate) log: bool,
}

impl World {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let (seed, choices) = (scenario.seed, &scenario.choices);
        let switch = || Switch::new(Duration::from_secs(choices.ageing_s));
        let mut world = Self {
            now: Instant::default(),
            queue: BTreeMap::new(),
            last_number: 0,
            members: (0..NODES.len()).map(|place| Member::new(place, choices)).collect(),
            switches: [switch(), switch()],
            hosts: Interface::BOTH.map(|interface| Host::new(interface, seed)),
            talks: Vec::new(),
            links: Links::new(),
            wire_chance: Chance::new(seed, "wire"),
            mesh_chance: Chance::new(seed, "mesh"),
            forge_chance: Chance::new(seed, "forge"),
            knock_chance: Chance::new(seed, "knock"),
            frames_chance: Chance::new(seed, "frames"),
            hostile_chance: Chance::new(seed, "hostile"),
            overheard: Default::default(),
            trace: Trace::default(),
            coverage: Coverage::default(),
            checkers: Checkers::default(),
            violation: None,
            disturbed_at: Instant::default(),
            disturbances: Vec::new(),
            ended_by_plugins: BTreeSet::new(),
            standing: Standing::new(scenario),
            united_since: Instant::default(),
            silent: false,
            log: false,
            scenario: scenario.clone(),
        };
        let mut chance = Chance::new(seed, "start");
        for (number, step) in scenario.steps.iter().enumerate() {
            world.plan(at_ms(step.at_ms), Happening::Step(number));
        }
        for place in 0..NODES.len() {
            world.now = world.now.max(Instant::default());
            let at = world.now + chance.up_to(Duration::from_millis(400));
            world.start_at(at, place);
        }
        world.plan(at_ms(SILENCE_MS), Happening::Silence);
        world.plan(Instant::default() + SAMPLE_INTERVAL, Happening::Sample);
        world
    }

    /// Looks at one invariant only.
    pub(crate) fn watch_only(&mut self, invariant: &str) {
        self.checkers.keep_only(invariant);
    }

    pub(crate) fn plan(&mut self, at: Instant, happening: Happening) {
        self.last_number += 1;
        self.queue.insert((at.max(self.now), self.last_number), happening);
    }

    /// Runs to the end, or to the first broken invariant.
    pub(crate) fn run(&mut self) {
        let end = at_ms(EMPTY_MS);
        while self.violation.is_none() {
            let Some(((at, _), happening)) = self.queue.pop_first() else { break };
            if at > end || self.silent && self.is_empty() && self.now >= at_ms(SILENCE_MS + 1_000) {
                break;
            }
            self.now = at;
            self.happen(happening);
        }
        if self.violation.is_none() {
            self.see(&Sight::Over);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Turn(place) => self.turn(place),
            Happening::IntoSwitch(interface, port, frame) => self.enter_switch(interface, port, &frame),
            Happening::OutOfSwitch(interface, port, frame) => self.out_of_switch(interface, port, frame),
            Happening::HostTurn(interface) => self.host_turn(interface),
            Happening::Dial(pair) => self.dial(pair),
            Happening::Opened(connection, side) => self.opened(connection, side),
            Happening::Bytes(connection, side, lane, bytes) => self.bytes_came(connection, side, lane, bytes),
            Happening::Ended(connection, side) => self.ended(connection, side),
            Happening::DialFrames(connection) => self.dial_frames(connection),
            Happening::FramesOpened(connection, side) => self.lane_opened(connection, side),
            Happening::FramesEnded(connection, side) => self.tell_of_frames(connection, side, Came::FramesEnded),
            Happening::Knock(node, peer) => self.knock(node, peer),
            Happening::Flush(pair) => self.flush_kept_back(pair),
            Happening::Step(number) => {
                let Step { action, lasts, .. } = self.scenario.steps[number];
                match lasts {
                    Lasts::UntilHealed => self.act(&action),
                    Lasts::ForEver => self.stand(&action),
                }
            }
            Happening::Silence => self.fall_silent(),
            Happening::Sample => {
                self.note_unity();
                self.see(&Sight::Sampled);
                self.plan(self.now + SAMPLE_INTERVAL, Happening::Sample);
            }
        }
    }

    fn note_unity(&mut self) {
        let running: Vec<_> = self.members.iter().filter(|member| member.runs()).collect();
        let roles = |member: &Member| {
            let node = member.node.as_ref();
            node.map(|node| Interface::BOTH.map(|interface| node.membership().epoch(interface)))
        };
        let agree = running.iter().all(|member| running.first().is_some_and(|first| roles(member) == roles(first)));
        let places = || running.iter().map(|member| member.place);
        let joined = places().all(|one| places().all(|other| one == other || self.links.joined(one, other)));
        if !agree || !joined {
            self.united_since = self.now;
        }
    }

    /// The checkers see something.
    pub(crate) fn see(&mut self, sight: &Sight<'_>) {
        self.coverage.see(self.now, sight);
        if self.log {
            self.print(sight);
        }
        if self.violation.is_some() {
            return;
        }
        let mut checkers = std::mem::replace(&mut self.checkers, Checkers::none());
        self.violation = checkers.see(self, sight);
        self.checkers = checkers;
    }

    fn print(&self, sight: &Sight<'_>) {
        let at = self.now.as_nanos() / 1000;
        match sight {
            Sight::Told { .. } | Sight::Acted(_) | Sight::Sent { .. } => println!("{at:>10} us {sight:?}"),
            Sight::Left { place, interface, bytes, leaving } => {
                let parsed = herald_core::packet::Packet::parse(&Frame::from_bytes(bytes));
                println!("{at:>10} us {} left {interface} {leaving:?} {parsed:?}", NODES[*place]);
            }
            _ => {}
        }
    }

    /// True if no node that runs has a session or a frame left.
    pub(crate) fn is_empty(&self) -> bool {
        // This is asked after each event of a silent world.
        let has_streams = |member: &Member| member.node.as_ref().is_some_and(|node| !node.markers().is_empty());
        let runs = || self.members.iter().filter(|member| member.runs());
        !runs().any(has_streams) && runs().all(|member| self.left(member) == (0, 0, 0))
    }

    /// What a node has left: marker sessions, redirector sessions, frames. Redirector sessions whose owner a standing fault
    /// has struck do not count, nor those of a struck node: they are kept until owner and redirector meet again.
    pub(crate) fn left(&self, member: &Member) -> (usize, usize, usize) {
        let Some(node) = &member.node else { return (0, 0, 0) };
        let sessions = if self.standing.is_there() {
            let well = self.standing.well();
            let is_well = |place: Place| well.contains(&place) && well.contains(&member.place);
            node.redirector().iter().filter(|(_, session)| is_well(place_of(session.generation.node))).count()
        } else {
            node.redirector().len()
        };
        (node.markers().len(), sessions, node.frames_kept())
    }

    pub(crate) fn plan_turn(&mut self, place: Place, delay: Duration) {
        if !std::mem::replace(&mut self.members[place].turn_planned, true) {
            self.plan(self.now + delay, Happening::Turn(place));
        }
    }

    /// Something came for a node: it looks at it soon.
    pub(crate) fn wake(&mut self, place: Place) {
        let delay = self.wire_chance.up_to(Duration::from_micros(40));
        self.plan_turn(place, delay);
    }

    pub(crate) fn give(&mut self, place: Place, came: Came) {
        if self.members[place].process != Process::Off {
            self.members[place].inbox.push_back(came);
            self.wake(place);
        }
    }

    // Frames.

    pub(crate) fn enter_switch(&mut self, interface: Interface, port: Port, frame: &[u8]) {
        if port < HOST_PORT {
            self.overheard[interface as usize].see(frame);
        }
        let switch = &mut self.switches[interface as usize];
        let ports = switch.ports_for(self.now, port, frame);
        for to in ports.into_iter().filter(|to| switch::listens(*to, frame)) {
            let impairment = self.switches[interface as usize].impairment;
            if self.wire_chance.happens(impairment.loss) {
                continue;
            }
            let copies = 1 + u64::from(self.wire_chance.happens(impairment.duplicate));
            for _ in 0..copies {
                let delay = Duration::from_micros(self.wire_chance.between(10, 30 + impairment.delay_us));
                let overtaken = self.wire_chance.happens(impairment.reorder);
                let last = &mut self.switches[interface as usize].last_out[to];
                let mut at = (self.now + delay).max(*last);
                if overtaken {
                    at = at + Duration::from_micros(500) + delay * 3;
                } else {
                    *last = at;
                }
                self.plan(at, Happening::OutOfSwitch(interface, to, frame.to_vec()));
            }
        }
    }

    fn out_of_switch(&mut self, interface: Interface, port: Port, frame: Vec<u8>) {
        if !self.switches[interface as usize].comes_out(port, &frame) {
            return;
        }
        self.trace.note(&self.now.as_nanos().to_le_bytes());
        self.trace.note(&frame);
        match port {
            HOST_PORT => {
                self.hosts[interface as usize].nic.came(frame);
                self.host_turn(interface);
            }
            place => {
                self.members[place].offer(interface, frame);
                self.wake(place);
            }
        }
    }

    // Hosts.

    fn host_turn(&mut self, interface: Interface) {
        let now = self.now;
        let index = interface as usize;
        if self.silent {
            self.hosts[index].nic.received.clear();
            return;
        }
        self.hosts[index].poll(now);
        for talk in &mut self.talks {
            talk.step(now, &mut self.hosts);
        }
        for index in 0..2 {
            self.hosts[index].poll(now);
            for frame in std::mem::take(&mut self.hosts[index].nic.sent) {
                self.plan(now, Happening::IntoSwitch(Interface::BOTH[index], HOST_PORT, frame));
            }
        }
        let talks = self.talks.iter().filter_map(Talk::next_turn).min();
        for (index, interface) in Interface::BOTH.into_iter().enumerate() {
            let stack = self.hosts[index].next_poll(now).map(|at| at.max(now + Duration::from_micros(1)));
            let Some(next) = [stack, talks].into_iter().flatten().min() else { continue };
            if self.hosts[index].next_turn <= now || next < self.hosts[index].next_turn {
                self.hosts[index].next_turn = next;
                self.plan(next, Happening::HostTurn(interface));
            }
        }
        for talk in self.talks.iter().filter(|talk| talk.ended_at == now) {
            self.coverage.talk_ended(talk);
        }
    }

    fn open(&mut self, open: Open) {
        if self.silent {
            return;
        }
        // Of protocols without ports, some keys and both directions are one stream.
        let stream = packets::stream(&open.flow());
        let same =
            |talk: &Talk| packets::stream(&talk.open.flow()) == stream || ports(talk.open.key) == ports(open.key);
        if let Some(place) = self.talks.iter().position(same) {
            if self.talks[place].progress == Progress::Speaking {
                return;
            }
            let mut old = self.talks.remove(place);
            old.clear(&mut self.hosts);
        }
        let number = usize::try_from(self.last_number).unwrap();
        if let Some(talk) = Talk::begin(self.now, number, open, &mut self.hosts) {
            self.talks.push(talk);
            self.host_turn(open.from);
        }
    }

    fn fall_silent(&mut self) {
        self.silent = true;
        for talk in &mut self.talks {
            talk.forget();
        }
        for host in &mut self.hosts {
            host.fall_silent();
        }
    }

    // Actions.

    pub(crate) fn disturb(&mut self, what: Disturbance) {
        self.disturbed_at = self.now;
        self.disturbances.push((self.now, what));
    }

    /// What happens for ever disturbs the nodes once: that it goes on is nothing new.
    fn stand(&mut self, action: &Action) {
        let before = (self.disturbed_at, self.disturbances.len());
        let is_new = self.standing.begin(self.now, action);
        self.act(action);
        if !is_new {
            self.disturbed_at = before.0;
            self.disturbances.truncate(before.1);
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Open(open) => self.open(open),
            Action::Hostile { interface, what } => self.be_hostile(interface, what),
            Action::Unknown { from, to } => self.send_unknown(from, to),
            Action::CutMesh { from, to, way } => self.cut_mesh(from, to, way),
            Action::Break { from, to } => self.break_connection(from, to),
            Action::Stall { from, to, ms } => self.stall(from, to, ms),
            Action::CutFrames { from, to, ms } => self.cut_frames(from, to, ms),
            Action::CutInterface { node, interface, way } => {
                self.disturb(Disturbance::Network);
                self.switches[interface as usize].cut(node, way);
            }
            Action::CutMulticast { node, interface, way } => {
                self.disturb(Disturbance::Network);
                self.switches[interface as usize].cut_groups(node, way);
            }
            Action::CutLarger { from, to, than, way } => self.cut_mesh_for_larger((from, to), than, way),
            Action::Unplug { node, interface } => {
                self.disturb(Disturbance::Network);
                let switch = &mut self.switches[interface as usize];
                switch.cut(node, Way::Both);
                switch.cables[node].unplugged = true;
                self.give(node, Came::Carrier(interface, InterfaceState::Down));
            }
            Action::Kill(node) => self.kill(node, Process::Running),
            Action::PowerOff(node) => self.kill(node, Process::Off),
            Action::Stop(node) if self.members[node].runs() => {
                self.disturb(Disturbance::Process(node));
                (self.members[node].process, self.members[node].since) = (Process::Stopped, self.now);
            }
            Action::Continue(node) if self.members[node].process == Process::Stopped => {
                self.disturb(Disturbance::Process(node));
                let member = &mut self.members[node];
                (member.process, member.since, member.back_since) = (Process::Running, self.now, self.now);
                self.plan_turn(node, Duration::ZERO);
            }
            Action::Start(node) if self.members[node].process == Process::Off => self.start_at(self.now, node),
            Action::Drain(node) => {
                self.disturb(Disturbance::Process(node));
                self.give(node, Came::Serve(Service::Draining));
            }
            Action::Undrain(node) => {
                self.disturb(Disturbance::Process(node));
                self.give(node, Came::Serve(Service::Normal));
            }
            Action::Stop(_) | Action::Continue(_) | Action::Start(_) => {}
            Action::Impair { interface, impairment } => {
                self.disturb(Disturbance::Network);
                self.switches[interface as usize].impairment = impairment;
            }
            Action::ImpairMesh { from, to, delay_us, loss } => self.impair_mesh(from, to, delay_us, loss),
            Action::Fail { node, failing } => self.members[node].plugins.failing = Some(failing),
            Action::Heal => self.heal(),
        }
        self.see(&Sight::Acted(action));
    }

    fn be_hostile(&mut self, interface: Interface, what: Hostility) {
        let mut at = self.now;
        let overheard = &self.overheard[interface as usize];
        for (interface, frame) in hostile::frames(interface, what, overheard, &mut self.hostile_chance) {
            self.plan(at, Happening::IntoSwitch(interface, HOSTILE_PORT, frame));
            at = at + Duration::from_micros(10);
        }
    }

    /// A node's process ends. Its kernel tells the peers if it still runs.
    fn kill(&mut self, node: Place, kernel: Process) {
        if self.members[node].process == Process::Off {
            return;
        }
        self.disturb(Disturbance::Process(node));
        self.members[node].end(self.now);
        self.members[node].has_kernel = kernel == Process::Running;
        self.close_all_of(node, kernel == Process::Running);
    }

    /// A node starts, now or a little later.
    fn start_at(&mut self, at: Instant, node: Place) {
        if at > self.now {
            let number = self.scenario.steps.len();
            self.scenario.steps.push(Step::new(0, Action::Start(node)));
            return self.plan(at, Happening::Step(number));
        }
        self.disturb(Disturbance::Process(node));
        let choices = self.scenario.choices.clone();
        self.members[node].start(self.now, self.scenario.seed, &choices);
        for interface in Interface::BOTH {
            let unplugged = self.switches[interface as usize].cables[node].unplugged;
            let state = if unplugged { InterfaceState::Down } else { InterfaceState::Up };
            self.give(node, Came::Carrier(interface, state));
        }
        self.plan_turn(node, Duration::ZERO);
        self.dial_from(node);
    }

    fn heal(&mut self) {
        for pair in 0..self.links.pairs.len() {
            (self.links.pairs[pair].cut, self.links.pairs[pair].impaired) = ([false; 2], (0, 0));
            self.links.pairs[pair].larger = [None; 2];
            self.links.pairs[pair].no_frames_until = self.now;
        }
        for action in self.standing.of_links() {
            match action {
                Action::CutMesh { from, to, way } => self.cut_mesh(from, to, way),
                Action::CutLarger { from, to, than, way } => self.cut_mesh_for_larger((from, to), than, way),
                Action::ImpairMesh { from, to, delay_us, loss } => self.impair_mesh(from, to, delay_us, loss),
                _ => {}
            }
        }
        (0..self.links.pairs.len()).for_each(|pair| self.flush_kept_back(pair));
        for interface in Interface::BOTH {
            if !self.standing.has(Part::Network(interface)) {
                self.switches[interface as usize].impairment = Impairment::default();
            }
            for node in 0..NODES.len() {
                if self.standing.has(Part::Cable(node, interface)) {
                    continue;
                }
                let cable = std::mem::take(&mut self.switches[interface as usize].cables[node]);
                if cable.unplugged {
                    self.give(node, Came::Carrier(interface, InterfaceState::Up));
                }
            }
        }
        for node in 0..NODES.len() {
            match self.members[node].process {
                _ if self.standing.has(Part::Process(node)) => {}
                Process::Off => self.start_at(self.now, node),
                Process::Stopped => self.act(&Action::Continue(node)),
                Process::Running => {}
            }
            if !self.standing.has(Part::Plugins(node)) {
                self.members[node].plugins.failing = None;
            }
            if !self.standing.has(Part::Service(node)) {
                self.give(node, Came::Serve(Service::Normal));
            }
        }
        self.disturb(Disturbance::Network);
    }
}
