//! What may happen next: a host sends, something arrives, patience ends, or a fault happens.

use herald_core::id::Interface;

use crate::action::Action;
use crate::layout::{PLACES, Place, pairs};
use crate::member::outranking;
use crate::memo::NodeState;
use crate::scenario::{Channel, Fault, Scenario};
use crate::state::{By, State};

/// What may happen next.
pub(crate) fn possible(scenario: &Scenario, state: &State, actions: &mut Vec<Action>) {
    hosts_send(scenario, state, actions);
    actions.extend(state.ways().map(|way| match way.by {
        By::Control => Action::MessageArrives { from: way.from, to: way.to },
        By::Handover => Action::HandoverArrives { from: way.from, to: way.to },
        By::Network(interface) => Action::FrameArrives { interface, from: way.from, to: way.to },
    }));
    for interface in Interface::BOTH {
        let is_slow = scenario.is_slow(Channel::Network(interface));
        let lingering = state.living().filter(|node| is_slow && node.lingers[interface as usize]);
        actions.extend(lingering.map(|node| Action::SuccessorHeard { interface, at: node.place }));
    }
    let noticed = pairs().filter(|(dead, by)| state.may_notice(*dead, *by));
    actions.extend(noticed.map(|(dead, by)| Action::DeathNoticed { dead, by }));
    if state.history.patience < scenario.patience {
        let waiting = state.living().filter(|node| node.kept > 0);
        actions.extend(waiting.map(|node| Action::PatienceEnds { at: node.place }));
    }
    if state.history.faults < scenario.faults.1 {
        faults(scenario, state, actions);
    }
}

/// A host sends while it has packets left: from the start if it opens the stream, else when something has come to answer.
fn hosts_send(scenario: &Scenario, state: &State, actions: &mut Vec<Action>) {
    for (stream, it) in scenario.streams() {
        for from in Interface::BOTH {
            let has_left = state.history.sent[stream][from as usize] < it.packets[from as usize];
            let may = it.is_opened_from(from) || state.history.reached[stream][from.other() as usize] > 0;
            if has_left && may {
                let steers = |node: &&NodeState| node.holds[from as usize] || node.lingers[from as usize];
                let steering = state.living().filter(steers);
                actions.extend(steering.map(|node| Action::HostSends { stream, from, at: node.place }));
            }
        }
    }
}

fn faults(scenario: &Scenario, state: &State, actions: &mut Vec<Action>) {
    if scenario.allows(Fault::RoleTaken) {
        for interface in Interface::BOTH {
            let by = outranking(interface);
            let holder = state.nodes[by].holders[interface as usize];
            if state.alive[by] && holder.is_some_and(|holder| holder != by) {
                actions.push(Action::RoleTaken { interface, by });
            }
        }
    }
    if scenario.allows(Fault::Death) && state.alive == [true; 3] {
        actions.extend(PLACES.map(|node| Action::Dies { node }));
    }
    if scenario.allows(Fault::LinkBreak) {
        let alive = |(one, other): &(Place, Place)| one < other && state.alive[*one] && state.alive[*other];
        actions.extend(pairs().filter(alive).map(|(one, other)| Action::LinkBreaks { one, other }));
    }
}
