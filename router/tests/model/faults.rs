//! Faults: a role that is taken from a living holder, a node that dies, a link that breaks.

use herald::id::Interface;
use herald::mesh::{Heartbeat, Message};

use crate::layout::{NODES, PLACES, Place, hello, id};
use crate::world::{Member, World};

impl World<'_> {
    /// Every other member says once more what it said last, and that it hears this node on the interface.
    pub(crate) fn let_preempt(&mut self, interface: Interface, by: Place) {
        for from in PLACES.into_iter().filter(|place| *place != by) {
            let Member { node, plugins, out, clock } = &mut self.members[by];
            let Some(said) = node.membership().member(id(from)).filter(|member| member.lives()) else { continue };
            let mut heard = said.heard_on.clone();
            heard[interface].push(id(by));
            let report = Heartbeat {
                priorities: said.priorities.unwrap(),
                epochs: said.epochs,
                weight: said.weight,
                in_sync: said.in_sync,
                synced: said.synced,
                draining: said.draining,
                interfaces: said.interfaces,
                heard,
                links: said.links.clone(),
            };
            node.message_arrived(*clock, id(from), Message::Heartbeat(report), plugins, out);
        }
    }

    /// What is on its way to a dead node is lost.
    pub(crate) fn die(&mut self, dead: Place) {
        self.alive[dead] = false;
        for from in PLACES {
            self.control[from][dead].clear();
            self.handovers[from][dead].clear();
            self.wire.first[from][dead].clear();
            self.wire.second[from][dead].clear();
        }
    }

    /// The link's end, and the refusal of a new connection, come behind all that the dead node has said.
    pub(crate) fn notice(&mut self, dead: Place, by: Place) {
        self.tell(|_| format!("  {} finds {} dead", NODES[by], NODES[dead]));
        self.noticed[by][dead] = true;
        let Member { node, plugins, out, clock } = &mut self.members[by];
        node.link_lost(*clock, id(dead), plugins, out);
        node.peer_refused(*clock, id(dead), plugins, out);
    }

    /// Control messages are sent again after the break; frames are lost.
    pub(crate) fn break_link(&mut self, one: Place, other: Place) {
        for (here, there) in [(one, other), (other, one)] {
            self.handovers[here][there].clear();
            let Member { node, plugins, out, clock } = &mut self.members[here];
            node.link_lost(*clock, id(there), plugins, out);
            node.link_up(*clock, &hello(there), plugins, out);
        }
    }
}
