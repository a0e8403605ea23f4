//! The queries of this node: whom it has asked, and what they have said so far.

use crate::app::control::Reply;
use herald_core::id::NodeId;
use herald_core::limits::{INQUIRY_ANSWER_LEN_MAX, INQUIRY_TIME_MAX, QUERIES_OPEN_MAX};
use herald_core::membership::MemberState;
use herald_core::mesh::InquiryPart;
use herald_core::node::Reach;
use herald_core::time::Instant;

/// What one member said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAnswer {
    /// The member.
    pub node: NodeId,
    /// Its answer, and when the question was sent; or why there is none.
    pub said: Result<(Vec<u8>, Instant), Silence>,
}

/// Why a member did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It cannot be reached over the mesh, directly or by another member.
    Unreachable(MemberState),
    /// It is linked, and has not said all in time.
    Late,
    /// It says more than it may.
    TooLong,
}

/// The queries of this node that are under way.
#[derive(Debug)]
pub(super) struct Queries {
    open: Vec<Query>,
    last_id: u64,
}

/// A query of this node.
#[derive(Debug)]
struct Query {
    id: u64,
    asked: Instant,
    members: Vec<Asked>,
    reply: Reply<Vec<NodeAnswer>>,
}

#[derive(Debug)]
struct Asked {
    node: NodeId,
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Awaited,
    Complete,
    Silent(Silence),
}

impl Queries {
    /// None. `first_id` is one that no earlier run of the node has used.
    pub(super) fn new(first_id: u64) -> Self {
        Self { open: Vec::new(), last_id: first_id }
    }

    /// Opens a query to these members; returns its number. The oldest is ended when there are too many.
    pub(super) fn open(
        &mut self,
        now: Instant,
        members: impl Iterator<Item = (NodeId, Reach)>,
        reply: Reply<Vec<NodeAnswer>>,
    ) -> u64 {
        if self.open.len() >= QUERIES_OPEN_MAX {
            self.open.remove(0).finish();
        }
        self.last_id = self.last_id.wrapping_add(1);
        let asked = |(node, reach)| {
            let state = match reach {
                Reach::By(_) => State::Awaited,
                Reach::None(state) => State::Silent(Silence::Unreachable(state)),
            };
            Asked { node, bytes: Vec::new(), state }
        };
        self.open.push(Query { id: self.last_id, asked: now, members: members.map(asked).collect(), reply });
        self.last_id
    }

    /// A piece of a member's answer came.
    pub(super) fn hear(&mut self, from: NodeId, id: u64, part: InquiryPart, bytes: &[u8]) {
        let query = self.open.iter_mut().find(|query| query.id == id);
        let asked = query.and_then(|query| query.members.iter_mut().find(|asked| asked.node == from));
        if let Some(asked) = asked.filter(|asked| asked.state == State::Awaited) {
            asked.hear(part, bytes);
        }
    }

    /// Ends the queries to which all have answered who can, and those whose time is over.
    pub(super) fn finish(&mut self, now: Instant, reach: impl Fn(NodeId) -> Reach) {
        for query in &mut self.open {
            for asked in query.members.iter_mut().filter(|asked| asked.state == State::Awaited) {
                if let Reach::None(state) = reach(asked.node) {
                    asked.state = State::Silent(Silence::Unreachable(state));
                }
            }
        }
        let is_over = |query: &mut Query| {
            query.asked + INQUIRY_TIME_MAX <= now || query.members.iter().all(|asked| asked.state != State::Awaited)
        };
        for query in self.open.extract_if(.., is_over) {
            query.finish();
        }
    }

    /// When [`finish`](Self::finish) is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.first().map(|query| query.asked + INQUIRY_TIME_MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    #[cfg(test)]
    pub(super) fn kept_len_max(&self) -> usize {
        self.open.iter().flat_map(|query| &query.members).map(|asked| asked.bytes.len()).max().unwrap_or_default()
    }
}

impl Asked {
    fn hear(&mut self, part: InquiryPart, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > INQUIRY_ANSWER_LEN_MAX {
            self.state = State::Silent(Silence::TooLong);
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if part == InquiryPart::LastPiece {
            self.state = State::Complete;
        }
    }
}

impl Query {
    /// The asker may have gone; then nobody misses the answer.
    fn finish(self) {
        let asked = self.asked;
        let answer = |member: Asked| NodeAnswer {
            node: member.node,
            said: match member.state {
                State::Complete => Ok((member.bytes, asked)),
                State::Awaited => Err(Silence::Late),
                State::Silent(silence) => Err(silence),
            },
        };
        let _ = self.reply.send(self.members.into_iter().map(answer).collect());
    }
}
