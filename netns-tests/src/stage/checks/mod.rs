//! What must hold (cluster.md, section 12), each checked by a function of what was recorded and of nothing else. Each says
//! what it found broken; nothing if nothing was.

mod books;
mod expected;
mod first_packet;
mod loops;
mod one_node;
mod order;
mod passed;
mod untouched;

#[cfg(test)]
mod examples;

use std::time::Duration;

use herald_core::id::Interface;

use super::record::Record;
use crate::scenario::{Action, Place};

/// Findings of one check that are told; a broken program breaks a promise with every packet.
const TOLD_MAX: usize = 5;

/// Says what it found broken.
type Check = fn(&Record) -> Vec<String>;

/// All that is broken, by invariant.
pub(super) fn broken(record: &Record) -> Vec<String> {
    let checks: [(&str, Check); 7] = [
        ("I1", one_node::broken),
        ("I2", passed::broken),
        ("I3", first_packet::broken),
        ("I4", loops::broken),
        ("I9", books::broken),
        ("I10", order::broken),
        ("L5", untouched::broken),
    ];
    let found = checks.into_iter().flat_map(|(invariant, check)| {
        let found = check(record);
        let more = found.len().saturating_sub(TOLD_MAX);
        let told = found.into_iter().take(TOLD_MAX).map(move |what| format!("{invariant}: {what}"));
        told.chain((more > 0).then(|| format!("{invariant}: and {more} more")))
    });
    found.collect()
}

/// What came otherwise than the scenario itself expects.
pub(super) fn unexpected(record: &Record) -> Vec<String> {
    expected::broken(record)
}

/// How long members and roles may take to settle after something happened to them.
const UNREST: Duration = Duration::from_secs(1);

/// True if nothing happened to nodes, links or roles in the last moments before this time.
fn is_quiet(record: &Record, at_nanos: u64) -> bool {
    let unrest = u64::try_from(UNREST.as_nanos()).unwrap_or(u64::MAX);
    let recent = |then: u64| then <= at_nanos && at_nanos - then < unrest;
    let acted = record.acts.iter().any(|act| !matches!(act.action, Action::Open(_)) && recent(act.at_nanos));
    let changes = ["holder-changed", "member-died", "link-lost", "link-up"];
    let changed = record.told.iter().any(|told| changes.contains(&told.event.as_str()) && recent(told.at_nanos));
    !acted && !changed
}

/// True if a node has said that it holds an interface's redirector.
fn has_held(record: &Record, node: Place, interface: Interface) -> bool {
    record.told.iter().any(|told| {
        let about = (told.event.as_str(), told.interface, told.about);
        told.node == node && about == ("holder-changed", Some(interface), Some(node))
    })
}
