//! Whose sessions count: members that are gone, that judge no more, that have come back, that no message reaches, and that no
//! frame does.

use super::Redirector;
use crate::flow::FlowKey;
use crate::id::{BootId, NodeId, Slot};
use crate::limits::DETECTION_TIME;
use crate::mutation::{Mutation, is_on};
use crate::session::{RedirectorSession, Standing};
use crate::time::Instant;

impl Redirector {
    /// A member counts as dead: its streams have no chosen node unless it comes back with the same boot.
    pub fn member_left(&mut self, now: Instant, node: NodeId) {
        if !is_gone(&self.gone, node) {
            self.gone.push((node, now));
        }
    }

    /// A member's plugins judge no more. A stream that it was chosen for and does not announce by the time that others are
    /// heard in has ended there at its first packet: the next one is chosen for anew.
    pub fn member_suspended(&mut self, now: Instant, node: NodeId) {
        let unannounced =
            |session: &RedirectorSession| session.generation.node == node && session.standing == Standing::Provisional;
        let mut next = self.table.next_from(Slot::FIRST);
        while let Some(slot) = next {
            next = self.table.next_from(slot.next());
            if let Some((_, session)) = self.table.at_mut(slot)
                && unannounced(session)
            {
                session.expires = session.expires.min(now + DETECTION_TIME);
                self.arrange(slot);
            }
        }
    }

    /// A node was chosen for this key, has not begun the stream, and may not be chosen any more.
    pub fn forget_choice(&mut self, key: &FlowKey, node: NodeId) {
        let Some(slot) = self.table.slot(key) else { return };
        let chosen = self.table.at(slot).map(|(_, session)| session);
        if chosen.is_some_and(|chosen| chosen.standing == Standing::Provisional && chosen.generation.node == node) {
            self.end(slot);
        }
    }

    /// Members may have come back; `boot_of` names the boot of one that lives. Sessions of an older boot end.
    pub fn members_returned(&mut self, boot_of: impl Fn(NodeId) -> Option<BootId>) {
        for place in (0..self.gone.len()).rev() {
            let Some(&(node, _)) = self.gone.get(place) else { continue };
            let Some(boot) = boot_of(node) else { continue };
            self.gone.swap_remove(place);
            self.retain(|_, session| {
                session.generation.node != node
                    || session.boot == boot
                    || session.standing == Standing::Moving
                    || is_on(Mutation::KeepDeadBoot)
            });
        }
    }

    /// These living members are those to which no message finds a way now.
    pub fn reach_changed(&mut self, beyond: &[NodeId]) {
        self.beyond_reach.clear();
        self.beyond_reach.extend_from_slice(beyond);
    }

    /// These living members have an interface now that is out of order.
    pub fn order_changed(&mut self, out_of_order: &[NodeId]) {
        self.out_of_order.clear();
        self.out_of_order.extend_from_slice(out_of_order);
    }

    /// These living members have no whole link to this node now, but can be asked.
    pub fn touch_changed(&mut self, out_of_touch: &[NodeId]) {
        self.out_of_touch.clear();
        self.out_of_touch.extend_from_slice(out_of_touch);
    }
}

/// True for a member that counts as dead.
pub(super) fn is_gone(gone: &[(NodeId, Instant)], node: NodeId) -> bool {
    !is_on(Mutation::SteerToDead) && gone.iter().any(|(left, _)| *left == node)
}
