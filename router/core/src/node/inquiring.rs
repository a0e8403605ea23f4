//! The one query that any node can put to the whole cluster. The core carries its bytes between the controls of two nodes, and
//! knows nothing of what they say.

use super::Node;
use crate::id::NodeId;
use crate::inspector::HostPart;
use crate::limits::INQUIRIES_MAX;
use crate::membership::MemberState;
use crate::mesh::Inquiry;
use crate::outbox::Outbox;

/// Whether a member can be asked, and what is said of one that cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By the link to this node: its own, or that of a member with links to both.
    By(NodeId),
    /// Not now.
    None(MemberState),
}

impl<H: HostPart> Node<H> {
    /// The other members, and whether they can be asked.
    pub fn reach(&self) -> impl Iterator<Item = (NodeId, Reach)> + '_ {
        self.view.members().filter(|member| member.node != self.node).map(|member| {
            let detour = self.way_to(member.node);
            let reach = if member.link_up {
                Reach::By(member.node)
            } else if detour != member.node {
                Reach::By(detour)
            } else {
                Reach::None(member.state)
            };
            (member.node, reach)
        })
    }

    /// A member asks something, or answers what this node has asked. Only members have links.
    pub(super) fn inquiry_arrived(&mut self, from: NodeId, inquiry: Inquiry, out: &mut Outbox) {
        if self.inquiries.len() < INQUIRIES_MAX {
            self.inquiries.push((from, inquiry));
        } else {
            out.ledger.inquiries_lost += 1;
        }
    }

    /// What members asked and answered since the last call.
    pub fn take_inquiries(&mut self) -> Vec<(NodeId, Inquiry)> {
        std::mem::take(&mut self.inquiries)
    }
}
