//! Faults that stand: one that nobody heals, and what goes on while it is there. Which kinds there are, a scenario of each
//! for every seed, and what a run knows of the one that stands.

use std::collections::BTreeSet;
use std::str::FromStr;

use herald_core::id::Interface;
use herald_core::time::Instant;

use crate::member::{NODES, Place};
use crate::scenario::{Action, Choices, Hostility, Lasts, Scenario, Step, Way};
use crate::swarm;
use crate::world::{FAULTS_FROM_MS, HEAL_MS, SETTLED_MS, SILENCE_MS};
use herald_testing::chance::Chance;

/// A fault that may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A node is dead, and maybe its machine.
    Dead,
    /// A node's process is stopped.
    Frozen,
    /// A node's process is stopped again and again for a moment.
    Pulses,
    /// The same where a higher priority takes its role back.
    PulsesPreempting,
    /// All links of a node's mesh are cut.
    Mesh,
    /// One of them is.
    MeshPeer,
    /// What a node says to all others, or they to it, is lost.
    MeshOneWay,
    /// The same of long pieces alone, both ways.
    MeshLarge,
    /// A node's mesh is slow.
    MeshSlow,
    /// A node's cable is cut.
    Interface,
    /// It is cut one way.
    InterfaceOneWay,
    /// It is cut for multicast, one way or both.
    Multicast,
    /// A node is drained.
    Drained,
    /// A host on a network sends what no honest one does.
    Hostile,
    /// A node is dead or stopped, and a host forges all signs of its life.
    Impersonated,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 15] = [
        Self::Dead,
        Self::Frozen,
        Self::Pulses,
        Self::PulsesPreempting,
        Self::Mesh,
        Self::MeshPeer,
        Self::MeshOneWay,
        Self::MeshLarge,
        Self::MeshSlow,
        Self::Interface,
        Self::InterfaceOneWay,
        Self::Multicast,
        Self::Drained,
        Self::Hostile,
        Self::Impersonated,
    ];

    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Frozen => "frozen",
            Self::Pulses => "pulses",
            Self::PulsesPreempting => "pulses-preempting",
            Self::Mesh => "mesh",
            Self::MeshPeer => "mesh-peer",
            Self::MeshOneWay => "mesh-one-way",
            Self::MeshLarge => "mesh-large",
            Self::MeshSlow => "mesh-slow",
            Self::Interface => "interface",
            Self::InterfaceOneWay => "interface-one-way",
            Self::Multicast => "multicast",
            Self::Drained => "drained",
            Self::Hostile => "hostile",
            Self::Impersonated => "impersonated",
        }
    }
}

/// Which kinds somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    All,
    One(Kind),
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Kind::ALL.map(Kind::name).join(", ");
        let one = Kind::ALL.into_iter().find(|kind| kind.name() == text).map(Self::One);
        let all = (text == "all").then_some(Self::All);
        one.or(all).ok_or_else(|| format!("there is no such kind; all, or one of {}", known()))
    }
}

impl Asked {
    pub(crate) fn kinds(self) -> Vec<Kind> {
        match self {
            Self::All => Kind::ALL.into(),
            Self::One(kind) => vec![kind],
        }
    }
}

/// What a standing fault is about: what heals leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The link of two nodes, the lower one first.
    Pair(Place, Place),
    Cable(Place, Interface),
    Network(Interface),
    Process(Place),
    /// Whether a node is drained.
    Service(Place),
    Plugins(Place),
    /// A hostile host.
    Stranger,
}

/// What stands in a run.
#[derive(Debug)]
pub(crate) struct Standing {
    parts: BTreeSet<Part>,
    /// What was done to links. Healing does it again: another fault of the same link is healed.
    of_links: Vec<Action>,
    /// The nodes that are struck.
    struck: BTreeSet<Place>,
    since: Option<Instant>,
    /// Nothing else goes wrong in this run.
    is_alone: bool,
    /// A process stops and goes on for ever.
    comes_and_goes: bool,
}

impl Standing {
    /// Nothing stands yet.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let is_alone = |step: &Step| step.lasts == Lasts::ForEver || matches!(step.action, Action::Open(_));
        let (parts, of_links, struck) = Default::default();
        let is_alone = scenario.steps.iter().all(is_alone);
        Self { parts, of_links, struck, since: None, is_alone, comes_and_goes: false }
    }

    /// An action that lasts for ever; false if it goes on with what stands already.
    pub(crate) fn begin(&mut self, now: Instant, action: &Action) -> bool {
        let Some((part, struck)) = about(action) else { return true };
        self.struck.extend(struck);
        self.comes_and_goes |= matches!(action, Action::Continue(_));
        if matches!(part, Part::Pair(..)) {
            self.of_links.push(*action);
        }
        let is_new = self.parts.insert(part);
        if self.since.is_none() {
            self.since = Some(now);
        }
        is_new
    }

    pub(crate) fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.since.is_some()
    }

    pub(crate) fn of_links(&self) -> Vec<Action> {
        self.of_links.clone()
    }

    /// The nodes that no standing fault has struck.
    pub(crate) fn well(&self) -> Vec<Place> {
        (0..NODES.len()).filter(|place| !self.struck.contains(place)).collect()
    }

    /// Since when something stands, if nothing else goes wrong in this run.
    pub(crate) fn alone_since(&self) -> Option<Instant> {
        self.since.filter(|_| self.is_alone)
    }

    pub(crate) fn comes_and_goes(&self) -> bool {
        self.comes_and_goes
    }
}

/// What an action is about, and the node that it strikes.
fn about(action: &Action) -> Option<(Part, Option<Place>)> {
    match *action {
        Action::CutMesh { from, to, .. }
        | Action::CutLarger { from, to, .. }
        | Action::ImpairMesh { from, to, .. }
        | Action::Break { from, to }
        | Action::Stall { from, to, .. }
        | Action::CutFrames { from, to, .. } => Some((Part::Pair(from.min(to), from.max(to)), Some(from))),
        Action::CutInterface { node, interface, .. }
        | Action::CutMulticast { node, interface, .. }
        | Action::Unplug { node, interface } => Some((Part::Cable(node, interface), Some(node))),
        Action::Kill(node)
        | Action::PowerOff(node)
        | Action::Stop(node)
        | Action::Continue(node)
        | Action::Start(node) => Some((Part::Process(node), Some(node))),
        Action::Drain(node) | Action::Undrain(node) => Some((Part::Service(node), Some(node))),
        Action::Fail { node, .. } => Some((Part::Plugins(node), Some(node))),
        Action::Impair { interface, .. } => Some((Part::Network(interface), None)),
        Action::Hostile { .. } => Some((Part::Stranger, None)),
        Action::Open(_) | Action::Unknown { .. } | Action::Heal => None,
    }
}

/// A run in which one fault stands and nothing else is wrong.
pub(crate) fn scenario(seed: u64, kind: Kind) -> Scenario {
    let mut chance = Chance::new(seed, kind.name());
    let from_ms = chance.between(FAULTS_FROM_MS, FAULTS_FROM_MS + 2_000);
    let (mut choices, mut steps) = quiet(seed, &mut chance, from_ms);
    match kind {
        Kind::Pulses => choices.preempt_ms = None,
        Kind::PulsesPreempting => choices.preempt_ms = choices.preempt_ms.or(Some(50)),
        _ => {}
    }
    let node = chance.pick(&[0, 1, 2]);
    let fault = fault(kind, node, (from_ms, SILENCE_MS), &mut chance);
    steps.extend(fault.into_iter().map(|(at_ms, action)| Step { at_ms, action, lasts: Lasts::ForEver }));
    steps.sort_by_key(|step| step.at_ms);
    Scenario { seed, choices, steps, expected: Vec::new() }
}

/// Longest delay of a mesh that is well, in microseconds.
const MESH_US_MAX: u64 = 4_000;

/// Choices and conversations, of which some begin with the fault and some when it is hardly known.
fn quiet(seed: u64, chance: &mut Chance, from_ms: u64) -> (Choices, Vec<Step>) {
    let mut choices = swarm::choices(chance);
    swarm::preemption(&mut Chance::new(seed, "preemption"), &mut choices);
    // A hold outlasts an announcement and its answer: otherwise that would be one more fault.
    choices.mesh_us = choices.mesh_us.min(MESH_US_MAX);
    let mut steps = swarm::conversations(chance);
    for key in 200..206 {
        let at_ms = from_ms + chance.between(0, 600);
        steps.push(Step::new(at_ms, Action::Open(swarm::conversation(chance, key))));
    }
    (choices, steps)
}

/// For how long a node is stopped in pulses, and how long it runs between, in milliseconds: longer than it takes to notice,
/// and together so that a SYN and its repetition a second later do not both meet a stop that nobody has noticed.
const PULSE_MS: (u64, u64) = (600, 900);

/// Delay of a slow mesh.
const SLOW_US: u64 = 100_000;

/// What a fault of a node consists of, from one time to another, in milliseconds.
fn fault(kind: Kind, node: Place, (from, to): (u64, u64), chance: &mut Chance) -> Vec<(u64, Action)> {
    let peers = [1, 2].map(|step| (node + step) % NODES.len());
    let interface = chance.pick(&Interface::BOTH);
    let cut = |to: Place, way: Way| Action::CutMesh { from: node, to, way };
    let one_way = chance.pick(&[Way::In, Way::Out]);
    let actions: Vec<Action> = match kind {
        Kind::Dead => vec![if chance.happens(50) { Action::Kill(node) } else { Action::PowerOff(node) }],
        Kind::Frozen => vec![Action::Stop(node)],
        Kind::Pulses | Kind::PulsesPreempting => return pulses(node, (from, to)),
        Kind::Mesh => peers.map(|to| cut(to, Way::Both)).into(),
        Kind::MeshPeer => vec![cut(chance.pick(&peers), Way::Both)],
        Kind::MeshOneWay => peers.map(|to| cut(to, one_way)).into(),
        Kind::MeshLarge => {
            let than = u16::try_from(chance.between(200, 1_000)).unwrap();
            peers.map(|to| Action::CutLarger { from: node, to, than, way: Way::Both }).into()
        }
        Kind::MeshSlow => peers.map(|to| Action::ImpairMesh { from: node, to, delay_us: SLOW_US, loss: 0 }).into(),
        Kind::Interface => vec![Action::CutInterface { node, interface, way: Way::Both }],
        Kind::InterfaceOneWay => vec![Action::CutInterface { node, interface, way: one_way }],
        Kind::Multicast => {
            vec![Action::CutMulticast { node, interface, way: chance.pick(&[Way::Both, Way::In, Way::Out]) }]
        }
        Kind::Drained => vec![Action::Drain(node)],
        Kind::Hostile => return hostile((from, to), chance),
        Kind::Impersonated => return impersonated(node, (from, to), chance),
    };
    actions.into_iter().map(|action| (from, action)).collect()
}

fn pulses(node: Place, (from, to): (u64, u64)) -> Vec<(u64, Action)> {
    let (stopped, runs) = PULSE_MS;
    let starts = (0..).map(|number| from + number * (stopped + runs)).take_while(|at| at + stopped < to);
    starts.flat_map(|at| [(at, Action::Stop(node)), (at + stopped, Action::Continue(node))]).collect()
}

/// What moves a switch's entries is left out: a kernel router in the same place would lose as much by it.
fn hostile((from, to): (u64, u64), chance: &mut Chance) -> Vec<(u64, Action)> {
    let (mut at, mut found) = (from, Vec::new());
    while at < to {
        let key = u16::try_from(chance.below(16)).unwrap();
        let what = match chance.below(6) {
            0 => Hostility::Garbage,
            1 => Hostility::Direct(chance.pick(&[0, 1, 2])),
            2 => Hostility::Midstream,
            3 => Hostility::Reset(key),
            4 => Hostility::Quote,
            _ => Hostility::BothOpen(key),
        };
        found.push((at, Action::Hostile { interface: chance.pick(&Interface::BOTH), what }));
        at += chance.between(20, 400);
    }
    found
}

/// No advert is among it: from the virtual MAC they would lead hosts' frames away, as a kernel router's.
fn impersonated(node: Place, (from, to): (u64, u64), chance: &mut Chance) -> Vec<(u64, Action)> {
    let end = if chance.happens(50) { Action::PowerOff(node) } else { Action::Stop(node) };
    let times = (from..to).step_by(20);
    let life = |at| Interface::BOTH.map(|interface| (at, Action::Hostile { interface, what: Hostility::Life(node) }));
    [(from, end)].into_iter().chain(times.flat_map(life)).collect()
}

/// What follows a standing fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A role goes to another node: its holder, or whoever it is by then, is stopped for a moment.
    RoleChange,
    /// Another node is drained, and serves again.
    Drain,
    /// Another node is started anew.
    Restart,
    /// Another node has a fault of its own, until it is healed.
    Fault(Kind),
}

impl Event {
    /// All that may follow this one.
    pub(crate) fn after(kind: Kind) -> Vec<Self> {
        let faults = Kind::ALL.into_iter().filter(|other| *other != kind).map(Self::Fault);
        [Self::RoleChange, Self::Drain, Self::Restart].into_iter().chain(faults).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RoleChange => "role-change",
            Self::Drain => "drain",
            Self::Restart => "restart",
            Self::Fault(kind) => kind.name(),
        }
    }
}

/// When the event follows, and when it is over.
const EVENT_MS: (u64, u64) = (5_500, 7_000);

/// A run in which one fault stands, and something else happens at another node meanwhile and is mended.
pub(crate) fn pair(seed: u64, kind: Kind, event: Event) -> Scenario {
    let Scenario { choices, mut steps, .. } = scenario(seed, kind);
    let mut chance = Chance::new(seed, event.name());
    let struck = steps.iter().filter(|step| step.lasts == Lasts::ForEver).find_map(|step| about(&step.action)?.1);
    let others: Vec<Place> = (0..NODES.len()).filter(|place| Some(*place) != struck).collect();
    let (node, (from, to)) = (chance.pick(&others), EVENT_MS);
    let (strike, mend) = match event {
        Event::RoleChange => (vec![(from, Action::Stop(node))], vec![(from + 600, Action::Continue(node))]),
        Event::Drain => (vec![(from, Action::Drain(node))], vec![(to, Action::Undrain(node))]),
        Event::Restart => (vec![(from, Action::Kill(node))], vec![(from + 500, Action::Start(node))]),
        Event::Fault(other) => (fault(other, node, (from, to), &mut chance), Vec::new()),
    };
    steps.extend(strike.into_iter().chain(mend).map(|(at_ms, action)| Step::new(at_ms, action)));
    steps.push(Step::new(HEAL_MS, Action::Heal));
    for key in 300..306 {
        let at_ms = SETTLED_MS + chance.between(0, 1_000);
        steps.push(Step::new(at_ms, Action::Open(swarm::conversation(&mut chance, key))));
    }
    steps.sort_by_key(|step| step.at_ms);
    Scenario { seed, choices, steps, expected: Vec::new() }
}
