//! What this node is told of itself, and what each member's plugins are up to.

use super::{Change, Membership, Service, Sync};
use crate::event::Event;
use crate::id::{Interface, NodeId};
use crate::inspector::Readiness;
use crate::outbox::Outbox;
use crate::time::Instant;

impl Membership {
    /// This node's redirector sessions of an interface are complete, or no longer. It comes into sync once they are for
    /// both, and stays so.
    pub fn sync_changed(&mut self, now: Instant, interface: Interface, sync: Sync, out: &mut Outbox) {
        let node = self.settings.node;
        let Some(own) = self.members.iter_mut().find(|member| member.node == node) else { return };
        let before = std::mem::replace(&mut own.synced[interface], sync == Sync::Complete);
        if before != own.synced[interface] {
            self.settle(now, out);
        }
    }

    /// This node is to be drained, or to serve again.
    pub fn service_changed(&mut self, now: Instant, service: Service, out: &mut Outbox) {
        let node = self.settings.node;
        if let Some(own) = self.members.iter_mut().find(|member| member.node == node) {
            own.draining = service == Service::Draining;
        }
        self.settle(now, out);
    }

    /// This node's plugins judge no more, or again.
    pub fn readiness_changed(&mut self, now: Instant, readiness: Readiness, out: &mut Outbox) {
        self.readiness_heard(self.settings.node, readiness == Readiness::Suspended, out);
        self.settle(now, out);
    }

    /// A member's plugins judge no more, or again: this node's own, or as it reports.
    pub(super) fn readiness_heard(&mut self, node: NodeId, suspended: bool, out: &mut Outbox) {
        let Some(member) = self.members.iter_mut().find(|member| member.node == node) else { return };
        if std::mem::replace(&mut member.suspended, suspended) == suspended {
            return;
        }
        out.tell(Event::NodeSuspended { node, suspended });
        if suspended {
            self.note(Change::MemberSuspended { node });
        }
    }

    /// True if this node's plugins judge no more while others' do: it gets no new streams, and is to give away those that
    /// it has.
    #[must_use]
    pub fn is_passed_over(&self) -> bool {
        let own = self.member(self.settings.node);
        own.is_some_and(|own| own.suspended) && !self.are_all_suspended && !self.candidates.is_empty()
    }

    /// True if nobody may be chosen but members whose plugins judge no more. They are chosen all the same, and their fault
    /// policies speak.
    #[must_use]
    pub fn are_all_suspended(&self) -> bool {
        self.are_all_suspended
    }
}
