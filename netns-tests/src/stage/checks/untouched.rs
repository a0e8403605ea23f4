//! L5: the death of a node touches only its own streams; a redirector's death and a drain touch none, and a drain loses not
//! even a datagram.

use std::collections::BTreeSet;

use herald_core::id::Interface;

use crate::scenario::{Action, Place};
use crate::stage::part::name;
use crate::stage::record::Record;

pub(super) fn broken(record: &Record) -> Vec<String> {
    let struck: BTreeSet<Place> = record.acts.iter().filter_map(|act| struck(&act.action)).collect();
    let gentle = record.acts.iter().all(|act| matches!(act.action, Action::Drain(_) | Action::Undrain(_)));
    let gentle = gentle && roles_moved_by_drains(record);
    let mut broken = Vec::new();
    for talk in &record.talks {
        let owners = record.owners(&talk.flow);
        let names: Vec<&str> = owners.iter().copied().map(name).collect();
        let untouched = !owners.is_empty() && owners.iter().all(|owner| !struck.contains(owner));
        if let Some(why) = talk.failed.as_ref().filter(|_| untouched || gentle) {
            broken.push(format!("{} failed ({why}), and nothing had happened to its nodes {names:?}", talk.flow));
        }
        if let Some((heard, of)) = talk.answered.filter(|(heard, of)| gentle && heard < of) {
            broken.push(format!("{} was answered {heard} times of {of}, and no node had died", talk.flow));
        }
    }
    broken
}

/// True if only drained nodes lost roles: on a busy machine another may get no processor for a detection time, and is then
/// succeeded as if it had been stopped.
fn roles_moved_by_drains(record: &Record) -> bool {
    let drained = |node: Place| record.acts.iter().any(|act| matches!(act.action, Action::Drain(of) if of == node));
    Interface::BOTH.into_iter().all(|interface| {
        let holders = record.holders(interface);
        let former = holders.split_last().map_or(&[][..], |(_, former)| former);
        former.iter().all(|holder| drained(*holder))
    })
}

/// The node whose process this ends or stops.
fn struck(action: &Action) -> Option<Place> {
    match action {
        Action::Kill(node) | Action::PowerOff(node) | Action::Stop(node) => Some(*node),
        Action::Open(_)
        | Action::CutMesh { .. }
        | Action::Break { .. }
        | Action::Stall { .. }
        | Action::CutFrames { .. }
        | Action::CutInterface { .. }
        | Action::CutMulticast { .. }
        | Action::CutLarger { .. }
        | Action::Unplug { .. }
        | Action::Continue(_)
        | Action::Start(_)
        | Action::Drain(_)
        | Action::Undrain(_)
        | Action::Impair { .. }
        | Action::ImpairMesh { .. }
        | Action::Hostile { .. }
        | Action::Unknown { .. }
        | Action::Fail { .. }
        | Action::Heal => None,
    }
}
