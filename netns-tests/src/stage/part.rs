//! What a scenario does to a lab: its actions as the lab's commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use herald::io::clock;
use herald_core::node::Redirecting;
use herald_core::redirector::choice::{Keying, Redirectors};
use herald_core::session::Midstream;
use serde_json::Value;

use super::record::{Act, Told, told};
use crate::lab::{Lab, binary};
use crate::process::{Running, eventually};
use crate::scenario::{Action, Choices, Impairment, Lasts, NODES, Place, Scenario, Step, Way};

/// Time for anything that follows from a fault.
const LIMIT: Duration = Duration::from_secs(30);

/// What the choices are called in a configuration: keying, redirectors, redirecting, midstream.
pub(super) fn words(choices: &Choices) -> [&'static str; 4] {
    [
        match choices.keying {
            Keying::Shared => "shared",
            Keying::PerInterface => "per-interface",
        },
        match choices.redirectors {
            Redirectors::LastResort => "last-resort",
            Redirectors::Equal => "equal",
        },
        match choices.redirecting {
            Redirecting::Ethernet => "ethernet",
            Redirecting::Mesh => "mesh",
        },
        match choices.midstream {
            Midstream::Drop => "drop",
            Midstream::Reset => "reset",
            Midstream::PickUp => "pick-up",
        },
    ]
}

/// What a scenario asks for and a lab cannot do, in the scenario's words.
pub(super) fn impossible(scenario: &Scenario) -> Vec<String> {
    let (asked, usual) = (&scenario.choices, Choices::default());
    let mut found: Vec<String> = [
        ("set ageing-s", asked.ageing_s != usual.ageing_s),
        ("set mesh-us", asked.mesh_us != usual.mesh_us),
        ("set drift", asked.drift != usual.drift),
        ("set buckets", asked.buckets != usual.buckets),
        ("set forged", asked.forged != usual.forged),
        ("set opinions", asked.opinions != usual.opinions),
        ("set fault", asked.fault != usual.fault),
        ("set sessions", asked.sessions != usual.sessions),
    ]
    .into_iter()
    .filter(|(_, is_asked)| *is_asked)
    .map(|(what, _)| what.to_owned())
    .collect();
    // A host would have to wait until its kernel lets the ports be used again.
    let mut keys = BTreeSet::new();
    for step in &scenario.steps {
        let possible = match &step.action {
            Action::Open(open) => keys.insert(open.key) && matches!(open.protocol_number(), 6 | 17),
            Action::PowerOff(_)
            | Action::Break { .. }
            | Action::Stall { .. }
            | Action::CutFrames { .. }
            | Action::Unplug { .. }
            | Action::Hostile { .. }
            | Action::Unknown { .. }
            | Action::Fail { .. } => false,
            Action::CutMesh { .. }
            | Action::CutInterface { .. }
            | Action::CutMulticast { .. }
            | Action::CutLarger { .. }
            | Action::Kill(_)
            | Action::Stop(_)
            | Action::Continue(_)
            | Action::Start(_)
            | Action::Drain(_)
            | Action::Undrain(_)
            | Action::Impair { .. }
            | Action::ImpairMesh { .. }
            | Action::Heal => true,
        };
        if !possible {
            found.push(format!("at {}ms {}", step.at_ms, step.action));
        }
    }
    found
}

/// What was done, and what state it left the nodes in.
pub(super) struct Part {
    seed: String,
    pub(super) acts: Vec<Act>,
    /// What the processes that were killed had told.
    pub(super) told: Vec<Told>,
    /// Their drops by reason.
    pub(super) drops: BTreeMap<String, u64>,
    dead: [bool; 3],
    stopped: [bool; 3],
    drained: [bool; 3],
    /// What between the nodes is broken, as `heal` takes it.
    broken: BTreeSet<Vec<&'static str>>,
    /// What of that nobody heals.
    standing: BTreeSet<Vec<&'static str>>,
    /// The nodes that a fault has struck which nobody heals.
    struck: [bool; 3],
    /// Programs that wait until a node is drained.
    drains: Vec<Running>,
}

impl Part {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed: seed.to_string(),
            acts: Vec::new(),
            told: Vec::new(),
            drops: BTreeMap::new(),
            dead: [false; 3],
            stopped: [false; 3],
            drained: [false; 3],
            broken: BTreeSet::new(),
            standing: BTreeSet::new(),
            struck: [false; 3],
            drains: Vec::new(),
        }
    }

    /// Does it, and returns when the lab says that it is done.
    #[track_caller]
    pub(super) fn act(&mut self, lab: &Lab, step: &Step) {
        let action = &step.action;
        let (links, node) = about(action);
        match step.lasts {
            Lasts::UntilHealed => self.broken.extend(links),
            Lasts::ForEver => {
                self.standing.extend(links);
                node.iter().for_each(|node| set(&mut self.struck, *node, true));
            }
        }
        if let Action::Kill(node) = action {
            self.remember(lab, *node);
        }
        self.acts.push(Act { at_nanos: wall_nanos(), action: *action });
        match *action {
            Action::CutMesh { from, to, way } => self.cut(lab, &[name(from), name(to)], way),
            Action::CutInterface { node, interface, way } => {
                self.cut(lab, &[name(node), "--interface", interface.as_str()], way);
            }
            Action::CutMulticast { node, interface, way } => {
                self.cut(lab, &[name(node), "--interface", interface.as_str(), "--multicast"], way);
            }
            Action::CutLarger { from, to, than, way } => {
                self.cut(lab, &[name(from), name(to), "--larger-than", &than.to_string()], way);
            }
            Action::Kill(node) => {
                lab.kill(name(node), "KILL");
                set(&mut self.dead, node, true);
            }
            Action::Stop(node) => {
                lab.kill(name(node), "STOP");
                set(&mut self.stopped, node, true);
            }
            Action::Continue(node) => {
                lab.kill(name(node), "CONT");
                set(&mut self.stopped, node, false);
            }
            Action::Start(node) => {
                lab.start(name(node));
                set(&mut self.dead, node, false);
            }
            Action::Drain(node) => {
                let program = binary().display().to_string();
                self.drains.push(lab.spawn(name(node), &[program.as_str(), "drain", "--timeout", "30"]));
                set(&mut self.drained, node, true);
            }
            Action::Undrain(node) => self.undrain(lab, node),
            Action::Impair { interface, impairment } => {
                // As a switch would: once for each frame that goes to a node.
                for node in NODES {
                    self.impair(lab, &[node, "--interface", interface.as_str(), "--one-way=in"], impairment);
                }
            }
            Action::ImpairMesh { from, to, delay_us, loss } => {
                self.impair(lab, &[name(from), name(to)], Impairment { loss, delay_us, ..Impairment::default() });
            }
            Action::Heal => self.heal(lab),
            Action::Open(_)
            | Action::PowerOff(_)
            | Action::Break { .. }
            | Action::Stall { .. }
            | Action::CutFrames { .. }
            | Action::Unplug { .. }
            | Action::Hostile { .. }
            | Action::Unknown { .. }
            | Action::Fail { .. } => panic!("{action} is no fault of a lab"),
        }
    }

    fn cut(&self, lab: &Lab, ends: &[&str], way: Way) {
        let way: &[&str] = match way {
            Way::Both => &[],
            Way::Out => &["--one-way=out"],
            Way::In => &["--one-way=in"],
        };
        lab.links("cut", &[ends, way].concat());
    }

    fn impair(&self, lab: &Lab, ends: &[&str], impairment: Impairment) {
        let Impairment { loss, duplicate, reorder, delay_us } = impairment;
        let options = [
            ("--loss", format!("{loss}%")),
            ("--duplicate", format!("{duplicate}%")),
            ("--reorder", format!("{reorder}%")),
            ("--delay", format!("{delay_us}us")),
            ("--seed", self.seed.clone()),
        ];
        let options = options.iter().flat_map(|(option, value)| [*option, value.as_str()]);
        lab.links("impair", &ends.iter().copied().chain(options).collect::<Vec<_>>());
    }

    fn undrain(&mut self, lab: &Lab, node: Place) {
        let program = binary().display().to_string();
        let _said = lab.exec(name(node), &[program.as_str(), "undrain"]).ok();
        set(&mut self.drained, node, false);
    }

    /// As in the simulator: everything works again, everybody runs and serves, but for what stands.
    fn heal(&mut self, lab: &Lab) {
        for ends in std::mem::take(&mut self.broken).difference(&self.standing) {
            lab.links("heal", ends);
        }
        for node in 0..NODES.len() {
            let is = |of: &[bool; 3]| of.get(node) == Some(&true);
            if is(&self.struck) {
                continue;
            }
            if is(&self.dead) {
                lab.start(name(node));
            }
            if is(&self.stopped) {
                lab.kill(name(node), "CONT");
            }
            if is(&self.drained) {
                self.undrain(lab, node);
            }
            set(&mut self.dead, node, false);
            set(&mut self.stopped, node, false);
        }
    }

    /// Reads what a node knows before it is killed.
    fn remember(&mut self, lab: &Lab, node: Place) {
        self.told.extend(told(lab, node));
        self.count_drops(lab, node);
    }

    fn count_drops(&mut self, lab: &Lab, node: Place) {
        let drops = lab.json(name(node), &["drops"]);
        for (reason, count) in drops.as_object().into_iter().flatten() {
            *self.drops.entry(reason.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }

    /// Waits until the nodes that run agree, but for those that a standing fault has struck, and none of them keeps a frame;
    /// then reads what they know.
    #[track_caller]
    pub(super) fn await_quiet(&mut self, lab: &Lab) {
        let running: Vec<Place> = self.running().collect();
        let well = |node: &&Place| self.struck.get(**node) == Some(&false);
        let names: Vec<&str> = running.iter().filter(well).map(|node| name(*node)).collect();
        let _roles = lab.await_mesh(LIMIT, &names);
        for node in running {
            eventually(LIMIT, "no frame is kept", || {
                let books = lab.books(name(node));
                (books.count("kept") == 0 && books.count("buffers_taken") == 0).then_some(())
            });
            self.remember(lab, node);
        }
        for mut drain in std::mem::take(&mut self.drains) {
            let code = eventually(LIMIT, "the node is drained", || drain.ended());
            assert!(code == 0, "drain: {}", drain.stderr());
        }
    }

    /// The nodes whose processes run.
    pub(super) fn running(&self) -> impl Iterator<Item = Place> + '_ {
        (0..NODES.len()).filter(|node| self.dead.get(*node) == Some(&false) && self.stopped.get(*node) == Some(&false))
    }
}

/// What between the nodes an action breaks, as `heal` takes it, and the node that it strikes.
fn about(action: &Action) -> (Vec<Vec<&'static str>>, Option<Place>) {
    match *action {
        Action::CutMesh { from, to, .. } | Action::CutLarger { from, to, .. } | Action::ImpairMesh { from, to, .. } => {
            let (low, high) = (from.min(to), from.max(to));
            (vec![vec![name(low), name(high), "--mesh"]], Some(from))
        }
        Action::CutInterface { node, interface, .. } | Action::CutMulticast { node, interface, .. } => {
            (vec![vec![name(node), "--interface", interface.as_str()]], Some(node))
        }
        Action::Impair { interface, .. } => {
            (NODES.iter().map(|node| vec![*node, "--interface", interface.as_str()]).collect(), None)
        }
        Action::Kill(node)
        | Action::PowerOff(node)
        | Action::Stop(node)
        | Action::Continue(node)
        | Action::Start(node)
        | Action::Drain(node)
        | Action::Undrain(node)
        | Action::Unplug { node, .. }
        | Action::Fail { node, .. } => (Vec::new(), Some(node)),
        Action::Break { from, .. } | Action::Stall { from, .. } | Action::CutFrames { from, .. } => {
            (Vec::new(), Some(from))
        }
        Action::Open(_) | Action::Hostile { .. } | Action::Unknown { .. } | Action::Heal => (Vec::new(), None),
    }
}

/// A node's name.
pub(super) fn name(node: Place) -> &'static str {
    NODES.get(node).copied().unwrap_or_default()
}

/// A node's place.
pub(super) fn place(name: &str) -> Option<Place> {
    NODES.iter().position(|node| *node == name)
}

fn set(of: &mut [bool; 3], node: Place, value: bool) {
    if let Some(place) = of.get_mut(node) {
        *place = value;
    }
}

/// Nanoseconds since 1970.
pub(super) fn wall_nanos() -> u64 {
    u64::try_from(clock::wall().as_nanos()).unwrap_or(u64::MAX)
}

/// A number in a JSON object.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        text.parse().unwrap()
    }

    #[test]
    fn statements_stand_on_lines_and_behind_semicolons_and_are_written_as_they_are_read() {
        let text = "# A line of words; at 1s kill b\nseed 7\nexpect holders first a b; expect owners 3\nat 3s cut a c --one-way; at 5s stop b;\n\
                    at 1500ms impair a b --delay 5ms --loss 2%;at 2s impair first --reorder 1%\n\
                    at 6s cut a --interface first --multicast --one-way=in for ever; at 7s cut a b --larger-than 600";
        let read = scenario(text);
        let steps: Vec<String> = read.steps.iter().map(|s| format!("{} {}", s.at_ms, s.action)).collect();
        assert_eq!(
            steps,
            [
                "1500 impair a b --delay 5000us --loss 2%",
                "2000 impair first --loss 0% --duplicate 0% --reorder 1% --delay 0us",
                "3000 cut a c --one-way",
                "5000 stop b",
                "6000 cut a --interface first --multicast --one-way=in",
                "7000 cut a b --larger-than 600"
            ]
        );
        let lasts: Vec<Lasts> = read.steps.iter().map(|step| step.lasts).collect();
        assert_eq!(lasts.iter().position(|lasts| *lasts == Lasts::ForEver), Some(4));
        assert_eq!(scenario(&read.to_string()), read);
        for wrong in [
            "at 3 stop b",
            "at 3s stop d",
            "at 3s impair a b --reorder 1%",
            "set hold-ms many",
            "stop b",
            "at 3s stop b for",
        ] {
            assert!(wrong.parse::<Scenario>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_lab_cannot_do_is_refused_by_name() {
        let possible = "seed 3\nset hold-ms 5\nat 1s open first tcp4 1 5 5 close; at 2s kill a; at 3s heal";
        assert_eq!(impossible(&scenario(possible)), Vec::<String>::new());
        let asked = "set drift 5 0 0\nat 1s open first tcp4 1 5 5 close; at 2s open second udp4 1 5 5 close\n\
                     at 3s power-off a; at 4s hostile first flood";
        let expected = [
            "set drift",
            "at 2000ms open second udp4 1 5 5 close",
            "at 3000ms power-off a",
            "at 4000ms hostile first flood",
        ];
        assert_eq!(impossible(&scenario(asked)), expected);
    }
}
