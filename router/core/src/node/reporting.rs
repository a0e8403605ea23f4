//! What people ask of the whole cluster: whose a stream is, as each redirector believes and as its chosen node knows.

use super::Node;
use crate::flow::FlowKey;
use crate::id::{Generation, Interface, NodeId};
use crate::inspector::HostPart;
use crate::limits::MEMBERS_MAX;
use crate::mesh::{Answer, Message, Query};
use crate::outbox::Outbox;

/// Answers that nobody has fetched yet.
const ANSWERS_MAX: usize = MEMBERS_MAX * 16;

/// Marks a question about marker sessions in its number, apart from those about a redirector's belief.
const OWNER_QUERY: u64 = 1 << 62;

/// Who was asked for a stream's marker session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody: this node has it.
    Own,
    /// So many members, whose answers come.
    Members(usize),
}

impl<H: HostPart> Node<H> {
    /// Whom the redirector of the key's interface believes to be chosen: at once if this node knows, else as one of
    /// [`take_answers`](Self::take_answers) under the same id.
    pub fn ask(&mut self, id: u64, key: FlowKey, out: &mut Outbox) -> Option<Answer> {
        match self.view.holder(key.interface()) {
            Some(holder) if holder == self.node => {
                Some(Answer { id, key, believed: self.redirector.belief(&key), owned: None })
            }
            Some(holder) => {
                out.send(holder, Message::Query(Query { id, key }));
                None
            }
            None => Some(Answer { id, key, believed: None, owned: None }),
        }
    }

    pub(super) fn keep_answer(&mut self, answer: Answer) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push(answer);
        }
    }

    /// Answers that came since the last call.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Whether this node has a marker session of a stream, by either of its flows at either interface; else all members are
    /// asked, whose answers come as those of [`take_answers`](Self::take_answers) under [`owner_query`] of the id.
    pub fn ask_for_owner(&mut self, id: u64, flow: FlowKey, out: &mut Outbox) -> Asked {
        if self.marks(&flow).is_some() {
            return Asked::Own;
        }
        let others = self.view.members().filter(|member| member.node != self.node && member.link_up);
        let others: Vec<NodeId> = others.map(|member| member.node).collect();
        for to in &others {
            out.send(*to, Message::Query(Query { id: owner_query(id), key: flow }));
        }
        Asked::Members(others.len())
    }

    /// The ownership of a stream that this node has a marker session of.
    fn marks(&self, flow: &FlowKey) -> Option<Generation> {
        let markers = &self.chosen.markers;
        let keys = Interface::BOTH.into_iter().flat_map(|interface| [flow.at(interface), flow.reversed(interface)]);
        let slot = keys.into_iter().find_map(|key| markers.slot_of(&key))?;
        Some(Generation { counter: markers.at(slot).generation, node: self.node })
    }

    /// What this node believes of a key that a member asks about.
    pub(super) fn believed(&self, query: &Query) -> Option<Generation> {
        if is_owner_query(query.id) { self.marks(&query.key) } else { self.redirector.belief(&query.key) }
    }
}

/// The number under which a question about marker sessions travels.
#[must_use]
pub fn owner_query(id: u64) -> u64 {
    id | OWNER_QUERY
}

/// Numbers of a redirector's own queries have the bit above, whatever theirs are.
fn is_owner_query(id: u64) -> bool {
    id >> 62 == 1
}
