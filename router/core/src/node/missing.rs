//! Who has compared its sessions with this node's streams and was not told of some since: members need not agree at every moment
//! who stands by for a redirector, and a standby that others do not know as one is not told by them what is announced.

use super::Node;
use super::view::Following;
use crate::id::{Interface, NodeId, PerInterface};
use crate::inspector::HostPart;
use crate::mesh::{Message, Unheard};
use crate::turn::Turn;

/// A member that has compared.
#[derive(Clone, Copy, Debug)]
struct Hearer {
    node: NodeId,
    /// Something was announced or closed since, and not to this member.
    has_missed: bool,
}

/// Members that have compared, by interface.
#[derive(Debug, Default)]
pub(super) struct Missing(PerInterface<Vec<Hearer>>);

impl Missing {
    /// A member compares: it is about to be sent what it has not got.
    pub(super) fn compared(&mut self, interface: Interface, from: NodeId) {
        let hearers = &mut self.0[interface];
        hearers.retain(|hearer| hearer.node != from);
        hearers.push(Hearer { node: from, has_missed: false });
    }

    /// Something of streams on these interfaces is told to those that this node knows as keepers of their sessions.
    pub(super) fn told(&mut self, interfaces: [Interface; 2], keepers: &[Option<NodeId>]) {
        for interface in interfaces {
            for hearer in &mut self.0[interface] {
                hearer.has_missed |= !keepers.contains(&Some(hearer.node));
            }
        }
    }

    /// True, once, if the member has missed something.
    fn take(&mut self, interface: Interface, node: NodeId) -> bool {
        let mut hearers = self.0[interface].iter_mut();
        hearers.find(|hearer| hearer.node == node).is_some_and(|hearer| std::mem::take(&mut hearer.has_missed))
    }
}

impl<H: HostPart> Node<H> {
    /// Another member stands by for a redirector, as far as this node knows. If it has known so itself for longer, and compared,
    /// it does not compare again by itself.
    pub(super) fn standby_changed(&mut self, turn: &mut Turn<'_, H>, following: &Following, interface: Interface) {
        self.keeper_changed(turn, following, interface);
        if let Some(standby) = self.view.standby(interface).filter(|standby| *standby != self.node)
            && self.missing.take(interface, standby)
        {
            turn.out.send(standby, Message::Unheard(Unheard { interface }));
        }
    }
}
