//! L1: after the last fault both redirectors, and who stands by for them, name the owner of each stream.

use std::collections::BTreeMap;
use std::time::Duration;

use herald_core::flow::FlowKey;
use herald_core::id::Interface;
use herald_core::session::Standing;
use herald_core::time::Instant;

use super::Checker;
use crate::member::{NODES, Place, id};
use crate::packets;
use crate::world::{SETTLED_MS, Sight, World, at_ms};

/// Time for announcements, closes and their answers on a slow mesh, and for redirectors to look again.
const ON_ITS_WAY: Duration = Duration::from_millis(700);

/// Streams that a redirector does not know as their owners do, since when.
#[derive(Default)]
pub(super) struct Agreement {
    differing: BTreeMap<(Place, FlowKey), Instant>,
}

impl Checker for Agreement {
    fn invariant(&self) -> &'static str {
        "L1"
    }

    fn see(&mut self, world: &World, sight: &Sight<'_>) -> Result<(), String> {
        let Sight::Sampled = sight else { return Ok(()) };
        if world.now < at_ms(SETTLED_MS) {
            return Ok(());
        }
        let differing: BTreeMap<_, _> =
            world.standing.well().into_iter().flat_map(|owner| differing(world, owner)).collect();
        self.differing.retain(|key, _| differing.contains_key(key));
        for (key, what) in differing {
            let since = *self.differing.entry(key).or_insert(world.now);
            if world.now.since(since) > ON_ITS_WAY {
                return Err(format!("{} belongs to {}, {what}", key.1, NODES[key.0]));
            }
        }
        Ok(())
    }
}

/// Live streams of a node that a redirector does not know as that node's.
fn differing(world: &World, owner: Place) -> Vec<((Place, FlowKey), String)> {
    let mut found = Vec::new();
    for (_, session) in world.members[owner].node.as_ref().unwrap().markers().iter() {
        let opener = session.opener;
        // Nothing is announced of a stream of which no packet may leave.
        let may_leave = !world.ended_by_plugins.contains(&packets::stream(&opener));
        for key in [opener, opener.reversed(opener.interface().other())] {
            let wrong =
                keepers(world, key.interface()).map(|(keeper, role)| (keeper, role, named(world, keeper, &key)));
            let mut wrong = wrong.filter(|(_, _, named)| *named != Some(id(owner)));
            if may_leave
                && session.alive
                && let Some((keeper, role, named)) = wrong.next()
            {
                let (at, name) = (key.interface(), NODES[keeper]);
                found.push(((owner, opener), format!("{name}, {role} the redirector of {at}, says {named:?}")));
            }
        }
    }
    found
}

/// Who holds the redirector of an interface, and who stands by for it, of those that no standing fault has struck.
fn keepers(world: &World, interface: Interface) -> impl Iterator<Item = (Place, &'static str)> {
    world.standing.well().into_iter().filter_map(move |place| {
        let membership = world.members[place].node.as_ref()?.membership();
        let stands_by = membership.standby(interface) == Some(id(place));
        match (membership.holds(interface), stands_by) {
            (true, _) => Some((place, "which holds")),
            (false, true) => Some((place, "which stands by for")),
            (false, false) => None,
        }
    })
}

/// Whom a node's redirector names for a key.
fn named(world: &World, keeper: Place, key: &FlowKey) -> Option<herald_core::id::NodeId> {
    let session = world.members[keeper].node.as_ref()?.redirector().session(key)?;
    (session.standing == Standing::Announced).then_some(session.generation.node)
}
