//! Who may say of whom that it holds a redirector.

use super::election::Teller;
use super::{Change, Membership};
use crate::id::{BootId, Epoch, Interface, NodeId};
use crate::mesh::{Claim, Message};
use crate::outbox::Outbox;
use crate::time::Instant;

impl Membership {
    /// A peer says that it holds a redirector; or who does, which it may say only to a node that claims the same one in
    /// a lower epoch. Of others' epochs its heartbeats tell, as those that it obeys.
    pub fn claim_arrived(&mut self, now: Instant, from: NodeId, claim: &Claim, out: &mut Outbox) {
        let Some(boot) = self.heard_from(now, from) else { return };
        let Claim { interface, epoch } = *claim;
        let is_own = epoch.node == from && epoch.boot == boot;
        let answers = epoch.node != from && self.elections[interface].held().is_some_and(|held| held < epoch);
        if !is_own && !answers {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        self.epoch_heard(now, (interface, epoch), (from, boot), out);
        self.settle(now, out);
    }

    /// A peer named an epoch: its own, which must be of its present boot, or one that it obeys. A holder that named a lower
    /// one learns of the highest; if that is this node's, the network must hear who holds the role.
    pub(super) fn epoch_heard(
        &mut self,
        now: Instant,
        named: (Interface, Epoch),
        from: (NodeId, BootId),
        out: &mut Outbox,
    ) {
        let ((interface, epoch), (node, boot)) = (named, from);
        if !self.elections[interface].may_be(epoch) {
            out.ledger.messages_unauthorised += 1;
            return;
        }
        let teller = if epoch.node == node { Teller::Holder } else { Teller::Member };
        if teller == Teller::Holder && epoch.boot != boot {
            return;
        }
        let before = self.elections[interface].followed();
        if let Some(epoch) = self.elections[interface].heard(epoch, teller) {
            out.ledger.messages_stale += 1;
            out.send(node, Message::Claim(Claim { interface, epoch }));
            if self.elections[interface].held().is_some() {
                self.note(Change::RoleContested { interface });
            }
        }
        let followed = self.elections[interface].followed();
        if followed != before {
            self.adverts[interface].followed(now);
        }
        if teller == Teller::Holder && followed == Some(epoch) {
            self.named[interface] = followed;
            if let Some(member) = self.peer_mut(node) {
                member.epochs[interface] = followed;
            }
        }
    }
}
