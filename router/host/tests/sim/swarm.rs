//! From a seed to a scenario: each class of fault is on with probability 1/2, so that runs differ in kind and not only in
//! detail (Groce et al., "Swarm Testing", 2012).

use herald_core::id::Interface;
use herald_core::node::Redirecting;
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::Midstream;
use herald_host::FaultPolicy;

use crate::member::{NODES, Place};
use crate::plugins::SEATS;
use crate::scenario::{
    Action, Choices, Ending, Failing, Failure, Hostility, Impairment, Open, Protocol, Scenario, Step, Way,
};
use crate::standing;
use crate::world::{FAULTS_FROM_MS, HEAL_MS, SETTLED_MS};
use herald_testing::chance::Chance;

/// Percent of the seeds in which one fault stands for ever, and no other happens.
const STANDING: u64 = 25;

/// The scenario of a seed.
pub(crate) fn scenario(seed: u64) -> Scenario {
    let mut chance = Chance::new(seed, "standing");
    if chance.happens(STANDING) {
        let kind = chance.pick(&standing::Kind::ALL);
        return standing::scenario(seed, kind);
    }
    let mut chance = Chance::new(seed, "scenario");
    let mut choices = choices(&mut chance);
    let mut steps = conversations(&mut chance);
    faults(seed, &mut chance, &mut steps);
    preemption(&mut Chance::new(seed, "preemption"), &mut choices);
    choices.buckets = Chance::new(seed, "buckets").pick(&[1, 2, 8, 1024]);
    plugins(&mut Chance::new(seed, "plugins"), &mut choices, &mut steps);
    suspension(&mut Chance::new(seed, "suspension"), &mut choices, &mut steps);
    small_tables(&mut Chance::new(seed, "small tables"), &mut choices, &mut steps);
    lives(seed, &mut choices, &mut steps);
    steps.push(Step::new(HEAL_MS, Action::Heal));
    steps.sort_by_key(|step| step.at_ms);
    Scenario { seed, choices, steps, expected: Vec::new() }
}

/// In some runs the ends of unknown connections are told so, and in one half somebody opens connections with keys in use.
fn lives(seed: u64, choices: &mut Choices, steps: &mut Vec<Step>) {
    let chance = &mut Chance::new(seed, "lives");
    if choices.midstream == Midstream::Drop && chance.happens(30) {
        choices.midstream = Midstream::Reset;
    }
    if chance.happens(50) {
        let opens = steps.iter().filter_map(|step| match step.action {
            Action::Open(open) if open.is_tcp() => Some((step.at_ms, open)),
            _ => None,
        });
        let opens: Vec<_> = opens.collect();
        for _ in 0..if opens.is_empty() { 0 } else { chance.between(4, 16) } {
            let (at_ms, open) = chance.pick(&opens);
            let what = if chance.happens(50) { Hostility::Syn(open.key) } else { Hostility::Reset(open.key) };
            add(steps, at_ms + chance.between(100, 3_000), Action::Hostile { interface: open.from, what });
        }
    }
}

pub(crate) fn choices(chance: &mut Chance) -> Choices {
    let mut choices = Choices::default();
    if chance.happens(12) {
        choices.keying = Keying::Shared;
    }
    if chance.happens(50) {
        choices.redirectors = Redirectors::LastResort;
    }
    if chance.happens(25) {
        choices.redirecting = Redirecting::Mesh;
    }
    if chance.happens(25) {
        choices.midstream = Midstream::PickUp;
    }
    if chance.happens(50) {
        for drift in &mut choices.drift {
            *drift = i64::try_from(chance.below(200_000)).unwrap() - 100_000;
        }
    }
    if chance.happens(50) {
        choices.mesh_us = chance.between(1_000, 12_000);
    }
    if chance.happens(50) {
        choices.hold_frames = chance.between(1, 4);
    }
    if chance.happens(50) {
        choices.ageing_s = chance.between(1, 4);
    }
    if chance.happens(50) {
        choices.forged = chance.between(5, 40);
    }
    choices
}

/// Of what conversations are, more often of what hosts say more of.
const PROTOCOLS: &[Protocol] = &[
    Protocol::Tcp4,
    Protocol::Tcp4,
    Protocol::Tcp4,
    Protocol::Tcp4,
    Protocol::Tcp6,
    Protocol::Tcp6,
    Protocol::Udp4,
    Protocol::Udp6,
    Protocol::Icmp4,
    Protocol::Icmp6,
    Protocol::Other4,
    Protocol::Other6,
];

pub(crate) fn conversation(chance: &mut Chance, key: u16) -> Open {
    let protocol = chance.pick(PROTOCOLS);
    let amount = |chance: &mut Chance, tcp: (u64, u64)| {
        let (low, high) = if matches!(protocol, Protocol::Tcp4 | Protocol::Tcp6) { tcp } else { (1, 12) };
        u32::try_from(chance.between(low, high)).unwrap()
    };
    Open {
        from: chance.pick(&Interface::BOTH),
        protocol,
        key,
        request: amount(chance, (1, 6_000)),
        response: amount(chance, (1, 16_000)),
        ending: chance.pick(&[Ending::Close, Ending::Slow, Ending::Reset, Ending::Idle]),
    }
}

/// Conversations during the faults, some with a key that was used before, and some after everything has settled.
pub(crate) fn conversations(chance: &mut Chance) -> Vec<Step> {
    let mut steps = Vec::new();
    let count = u16::try_from(chance.between(8, 20)).unwrap();
    for number in 0..count {
        let key = if chance.happens(25) { u16::try_from(chance.below(u64::from(number) + 1)).unwrap() } else { number };
        let at_ms = chance.between(1_200, HEAL_MS - 500);
        steps.push(Step::new(at_ms, Action::Open(conversation(chance, key))));
    }
    for number in 0..6 {
        let at_ms = SETTLED_MS + 100 * u64::from(number);
        steps.push(Step::new(at_ms, Action::Open(conversation(chance, 100 + number))));
    }
    steps
}

fn faults(seed: u64, chance: &mut Chance, steps: &mut Vec<Step>) {
    // Every run has a stray packet and a change of a role: without them it would not count.
    let interface = chance.pick(&Interface::BOTH);
    add(steps, moment(chance), Action::Hostile { interface, what: Hostility::Midstream });
    change_of_role(chance, steps);
    // In some runs the networks are well, so that every loss is the nodes' own.
    if chance.happens(20) {
        return drains(chance, steps);
    }
    let adders: [fn(&mut Chance, &mut Vec<Step>); 10] =
        [mesh_cuts, breaks, stalls, interface_cuts, deaths, pauses, drains, impairments, hostilities, unknowns];
    for add in adders {
        if chance.happens(50) {
            for _ in 0..chance.between(1, 3) {
                add(chance, steps);
            }
        }
    }
    frames_cuts(&mut Chance::new(seed, "frames cuts"), steps);
    forged_redirects(&mut Chance::new(seed, "forged redirects"), steps);
    moves(&mut Chance::new(seed, "moves"), steps);
    unanswered(&mut Chance::new(seed, "unanswered"), steps);
    forged_lives(&mut Chance::new(seed, "forged lives"), steps);
}

fn change_of_role(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (holder, at) = (chance.pick(&[0, 1]), moment(chance));
    let (strike, mend) = match chance.below(4) {
        0 => (Action::Kill(holder), Action::Start(holder)),
        1 => (Action::PowerOff(holder), Action::Start(holder)),
        2 => (Action::Stop(holder), Action::Continue(holder)),
        _ => (Action::Drain(holder), Action::Undrain(holder)),
    };
    add(steps, at, strike);
    add(steps, at + chance.between(400, 2_000), mend);
}

fn moment(chance: &mut Chance) -> u64 {
    chance.between(FAULTS_FROM_MS, HEAL_MS - 400)
}

fn node(chance: &mut Chance) -> Place {
    chance.pick(&[0, 1, 2])
}

fn two_nodes(chance: &mut Chance) -> (Place, Place) {
    let from = node(chance);
    (from, (from + chance.pick(&[1, 2])) % NODES.len())
}

fn add(steps: &mut Vec<Step>, at_ms: u64, action: Action) {
    steps.push(Step::new(at_ms, action));
}

fn mesh_cuts(chance: &mut Chance, steps: &mut Vec<Step>) {
    let ((from, to), way) = (two_nodes(chance), chance.pick(&[Way::Both, Way::Out]));
    add(steps, moment(chance), Action::CutMesh { from, to, way });
}

fn breaks(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (from, to) = two_nodes(chance);
    add(steps, moment(chance), Action::Break { from, to });
}

fn stalls(chance: &mut Chance, steps: &mut Vec<Step>) {
    let ((from, to), ms) = (two_nodes(chance), chance.between(5, 250));
    add(steps, moment(chance), Action::Stall { from, to, ms });
}

fn interface_cuts(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (node, interface) = (node(chance), chance.pick(&Interface::BOTH));
    let action = if chance.happens(50) {
        Action::Unplug { node, interface }
    } else {
        Action::CutInterface { node, interface, way: chance.pick(&[Way::Both, Way::In, Way::Out]) }
    };
    add(steps, moment(chance), action);
}

fn deaths(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (node, at) = (node(chance), moment(chance));
    add(steps, at, if chance.happens(50) { Action::Kill(node) } else { Action::PowerOff(node) });
    if chance.happens(60) {
        add(steps, at + chance.between(20, 1_500), Action::Start(node));
    }
}

fn pauses(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (node, at) = (node(chance), moment(chance));
    add(steps, at, Action::Stop(node));
    add(steps, at + chance.between(10, 1_200), Action::Continue(node));
}

fn drains(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (node, at) = (node(chance), moment(chance));
    add(steps, at, Action::Drain(node));
    add(steps, at + chance.between(50, 2_000), Action::Undrain(node));
}

fn impairments(chance: &mut Chance, steps: &mut Vec<Step>) {
    let impairment = Impairment {
        loss: if chance.happens(50) { chance.between(1, 30) } else { 0 },
        duplicate: if chance.happens(50) { chance.between(1, 20) } else { 0 },
        reorder: if chance.happens(50) { chance.between(1, 20) } else { 0 },
        delay_us: if chance.happens(50) { chance.between(100, 5_000) } else { 0 },
    };
    add(steps, moment(chance), Action::Impair { interface: chance.pick(&Interface::BOTH), impairment });
}

fn hostilities(chance: &mut Chance, steps: &mut Vec<Step>) {
    for _ in 0..10 {
        let key = u16::try_from(chance.below(16)).unwrap();
        let what = match chance.below(9) {
            0 => Hostility::Garbage,
            1 => Hostility::Spoof(node(chance)),
            2 => Hostility::Direct(node(chance)),
            3 | 4 => Hostility::Midstream,
            5 => Hostility::Reset(key),
            6 => Hostility::Quote,
            7 => Hostility::Flood,
            _ => Hostility::BothOpen(key),
        };
        add(steps, moment(chance), Action::Hostile { interface: chance.pick(&Interface::BOTH), what });
    }
}

fn unknowns(chance: &mut Chance, steps: &mut Vec<Step>) {
    let (from, to) = two_nodes(chance);
    add(steps, moment(chance), Action::Unknown { from, to });
}

/// In one half of the runs connections for frames break alone.
fn frames_cuts(chance: &mut Chance, steps: &mut Vec<Step>) {
    if chance.happens(50) {
        for _ in 0..chance.between(1, 3) {
            let ((from, to), ms) = (two_nodes(chance), chance.between(5, 1_500));
            add(steps, moment(chance), Action::CutFrames { from, to, ms });
        }
    }
}

/// In one half of these runs a node gives its streams away just while the mesh is slow or loses what it says, or another node
/// dies: what a move waits for comes late or never.
fn moves(chance: &mut Chance, steps: &mut Vec<Step>) {
    if chance.happens(50) {
        return;
    }
    for number in 0..chance.between(1, 2) {
        let (at, (from, to)) = (moment(chance), two_nodes(chance));
        for stream in 0..6 {
            let key = 40 + 10 * u16::try_from(number).unwrap() + stream;
            let open = Open { ending: Ending::Slow, request: 60, ..conversation(chance, key) };
            add(steps, at.saturating_sub(chance.between(20, 300)), Action::Open(open));
        }
        let (delay_us, loss) = (chance.between(0, 40_000), chance.between(5, 40));
        add(steps, at, Action::ImpairMesh { from, to, delay_us, loss });
        let after = at + chance.between(0, 120);
        add(steps, after, if chance.happens(70) { Action::Drain(from) } else { Action::Kill(from) });
        let then = after + chance.between(0, 450);
        match chance.below(3) {
            0 => add(steps, then, Action::Kill(to)),
            1 => add(steps, then, Action::PowerOff(to)),
            _ => {}
        }
        add(steps, then + chance.between(100, 1_500), Action::ImpairMesh { from, to, delay_us: 0, loss: 0 });
        for node in [from, to] {
            add(steps, then + chance.between(100, 1_500), Action::Start(node));
            add(steps, then + chance.between(200, 2_500), Action::Undrain(node));
        }
    }
}

/// In one third of the runs somebody forges redirects.
fn forged_redirects(chance: &mut Chance, steps: &mut Vec<Step>) {
    if chance.happens(33) {
        for _ in 0..chance.between(1, 3) {
            let (interface, what) = (chance.pick(&Interface::BOTH), Hostility::Redirect(node(chance)));
            add(steps, moment(chance), Action::Hostile { interface, what });
        }
    }
}

/// In a quarter of the runs a holder's words are late for just as long as its link outlives, and many streams open meanwhile.
/// In a quarter of these runs a holder's words are late for just as long as its link outlives, and many streams open meanwhile.
fn unanswered(chance: &mut Chance, steps: &mut Vec<Step>) {
    if chance.happens(75) {
        return;
    }
    let (at, holder) = (moment(chance), chance.pick(&[0, 1]));
    let to = (holder + chance.pick(&[1, 2])) % NODES.len();
    add(steps, at, Action::Stall { from: holder, to, ms: chance.between(150, 290) });
    for stream in 0..16 {
        let open = Open { request: 1, response: 1, ending: Ending::Idle, ..conversation(chance, 70 + stream) };
        add(steps, at + chance.between(1, 90), Action::Open(open));
    }
}

/// In one of eight of these runs one node or two die or stop, and a host forges their lives and their adverts.
fn forged_lives(chance: &mut Chance, steps: &mut Vec<Step>) {
    if !chance.happens(12) {
        return;
    }
    let (at, (one, other)) = (moment(chance), two_nodes(chance));
    let both = chance.happens(50);
    let until = at + chance.between(300, 2_000);
    for place in [one, other].into_iter().take(1 + usize::from(both)) {
        let (end, begin) = if chance.happens(50) {
            (Action::PowerOff(place), Action::Start(place))
        } else {
            (Action::Stop(place), Action::Continue(place))
        };
        add(steps, at, end);
        add(steps, until, begin);
        for at_ms in (at..until).step_by(40) {
            let what = if chance.happens(20) { Hostility::Advert(place) } else { Hostility::Life(place) };
            add(steps, at_ms, Action::Hostile { interface: chance.pick(&Interface::BOTH), what });
        }
    }
}

/// In one half of the runs a higher priority takes its roles back.
pub(crate) fn preemption(chance: &mut Chance, choices: &mut Choices) {
    if chance.happens(50) {
        choices.preempt_ms = Some(chance.pick(&[0, 50, 500]));
    }
}

/// Plugins have opinions in one half of the runs, and fail in one half.
fn plugins(chance: &mut Chance, choices: &mut Choices, steps: &mut Vec<Step>) {
    if chance.happens(50) {
        choices.opinions = chance.pick(&[1, 2, 5, 20]);
    }
    if chance.happens(50) {
        choices.fault = FaultPolicy::Open;
    }
    if chance.happens(50) {
        // A plugin fails once in a stream, so it takes many streams, and therefore time, until it is suspended.
        for _ in 0..chance.between(1, 4) {
            let at_ms = chance.between(1_000, HEAL_MS / 2);
            let seat = usize::try_from(chance.below(SEATS as u64)).unwrap();
            let failure =
                chance.pick(&[Failure::Start, Failure::Packet, Failure::Packet, Failure::End, Failure::Answer]);
            let failing = Failing { seat, failure, percent: chance.pick(&[2, 20, 100, 100]) };
            add(steps, at_ms, Action::Fail { node: node(chance), failing });
        }
    }
}

/// In some runs a plugin of one node fails on every stream of a crowd, and so is suspended under a closed policy.
fn suspension(chance: &mut Chance, choices: &mut Choices, steps: &mut Vec<Step>) {
    if !chance.happens(15) {
        return;
    }
    choices.fault = FaultPolicy::Closed;
    let seat = usize::try_from(chance.below(SEATS as u64)).unwrap();
    let failure = chance.pick(&[Failure::Start, Failure::Packet, Failure::Answer]);
    let failing = Failing { seat, failure, percent: 100 };
    add(steps, chance.between(1_000, HEAL_MS / 2), Action::Fail { node: node(chance), failing });
    for number in 0..30 {
        let open = Open { request: 10, response: 10, ..conversation(chance, 200 + number) };
        add(steps, chance.between(1_200, HEAL_MS - 1_000), Action::Open(open));
    }
}

/// In one of eight runs the tables are small, and somebody fills them.
fn small_tables(chance: &mut Chance, choices: &mut Choices, steps: &mut Vec<Step>) {
    if chance.happens(12) {
        choices.sessions = 48;
        for _ in 0..chance.between(2, 6) {
            let what = Hostility::Scan;
            add(steps, moment(chance), Action::Hostile { interface: chance.pick(&Interface::BOTH), what });
        }
    }
}

/// The class of an action, for the coverage.
pub(crate) fn class_name(action: &Action) -> &'static str {
    match action {
        Action::Open(_) => "conversation",
        Action::CutMesh { .. } => "fault: mesh cut",
        Action::Break { .. } => "fault: connection broken",
        Action::CutFrames { .. } => "fault: frames cut",
        Action::Stall { .. } => "fault: stall",
        Action::CutLarger { .. } => "fault: mesh cut for large frames",
        Action::CutMulticast { .. } => "fault: interface cut for multicast",
        Action::CutInterface { .. } => "fault: interface cut",
        Action::Unplug { .. } => "fault: unplugged",
        Action::Kill(_) => "fault: kill",
        Action::PowerOff(_) => "fault: power-off",
        Action::Stop(_) => "fault: stop",
        Action::Continue(_) => "fault: continue",
        Action::Start(_) => "start",
        Action::Drain(_) => "fault: drain",
        Action::Undrain(_) => "undrain",
        Action::Impair { .. } => "fault: impairment",
        Action::ImpairMesh { .. } => "fault: mesh impairment",
        Action::Hostile { .. } => "fault: hostile frame",
        Action::Unknown { .. } => "fault: unknown message",
        Action::Fail { .. } => "fault: plugin",
        Action::Heal => "heal",
    }
}
