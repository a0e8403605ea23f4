//! Neighbours that have new MACs: who has heard one answer tells the others.

use super::Node;
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::membership::Member;
use crate::mesh::{Message, NeighbourChanged};
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// A node says that a neighbour has a new MAC. Only members are heard, and only about neighbours; this node asks for itself.
    pub(super) fn neighbour_changed(&mut self, turn: &mut Turn<'_, H>, from: NodeId, changed: &NeighbourChanged) {
        let is_member = self.view.member(from).is_some_and(Member::lives);
        if !is_member || !self.forward.neighbour_changed(turn.now, changed, turn.out) {
            turn.out.ledger.messages_unauthorised += 1;
        }
    }

    /// Tells the members what this node has heard.
    pub(super) fn tell_changed(&mut self, turn: &mut Turn<'_, H>) {
        let changed = self.forward.take_changed();
        if changed.is_empty() {
            return;
        }
        let is_told = |member: &&Member| member.node != self.node && member.lives();
        for member in self.view.members().filter(is_told) {
            for changed in &changed {
                turn.out.send(member.node, Message::NeighbourChanged(*changed));
            }
        }
    }
}
