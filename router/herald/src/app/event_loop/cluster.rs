//! The one query to the whole cluster, as the loop carries it: questions go to the members, their answers come in pieces; what
//! members ask goes to the control thread, whose answer goes out piece by piece, as far as the links have room. The loop knows
//! nothing of what is asked.

mod answers;
mod queries;
#[cfg(test)]
mod tests;

use tokio::sync::mpsc;

use super::EventLoop;
use crate::app::control::Reply;
use crate::io::clock;
pub use answers::Answered;
use answers::Answers;
use herald_core::id::NodeId;
use herald_core::limits::INQUIRY_QUESTION_LEN_MAX;
use herald_core::membership::MemberState;
use herald_core::mesh::{Inquiry, InquiryPart, Message};
use herald_core::node::Reach;
use herald_core::time::Instant;
use queries::Queries;
pub use queries::{NodeAnswer, Silence};

/// A member's question, for the control thread.
#[derive(Clone, Debug)]
pub struct Inquired {
    /// Who asks.
    pub from: NodeId,
    /// The asker's number of the question.
    pub id: u64,
    /// What is asked, as it came.
    pub question: Vec<u8>,
    /// When it came.
    pub arrived: Instant,
}

/// The queries under way, of this node and of others.
#[derive(Debug)]
pub(super) struct Cluster {
    queries: Queries,
    answers: Answers,
    inquired: mpsc::Sender<Inquired>,
}

impl Cluster {
    /// No queries. `first_id` is one that no earlier run of the node has used.
    pub(super) fn new(inquired: mpsc::Sender<Inquired>, first_id: u64) -> Self {
        Self { queries: Queries::new(first_id), answers: Answers::default(), inquired }
    }

    /// A member's question or a piece of its answer. What it asks beyond what the control thread takes is not answered.
    fn hear(&mut self, now: Instant, from: NodeId, inquiry: Inquiry) {
        let Inquiry { id, part, bytes } = inquiry;
        match part {
            InquiryPart::Question => {
                if bytes.len() <= INQUIRY_QUESTION_LEN_MAX {
                    // A full queue: the asker names this node as late.
                    let _ = self.inquired.try_send(Inquired { from, id, question: bytes, arrived: now });
                }
            }
            InquiryPart::Piece | InquiryPart::LastPiece => self.queries.hear(from, id, part, &bytes),
        }
    }

    /// When a query is over at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queries.next_deadline()
    }

    /// More can be sent at once.
    pub(super) fn has_more(&self) -> bool {
        self.answers.has_more()
    }

    fn is_idle(&self) -> bool {
        self.queries.is_empty() && self.answers.is_empty()
    }
}

impl EventLoop {
    /// Puts a question of this node to all members.
    pub(super) fn ask_cluster(&mut self, question: &[u8], reply: Reply<Vec<NodeAnswer>>) {
        let now = clock::now();
        let node = &self.parts.node;
        let id = self.cluster.queries.open(now, node.reach(), reply);
        for (to, reach) in node.reach() {
            if matches!(reach, Reach::By(_)) {
                let question = Inquiry { id, part: InquiryPart::Question, bytes: question.to_vec() };
                self.out.send(to, Message::Inquiry(question));
            }
        }
        self.carry_out(now);
    }

    /// The control thread has answered a member.
    pub(super) fn answer_member(&mut self, answer: Answered) {
        self.cluster.answers.take(clock::now(), answer);
    }

    /// Hears what members ask and answer, sends what there is room for, and ends what is over.
    pub(super) fn serve_cluster(&mut self) {
        let heard = self.parts.node.take_inquiries();
        if heard.is_empty() && self.cluster.is_idle() {
            return;
        }
        let now = clock::now();
        for (from, inquiry) in heard {
            self.cluster.hear(now, from, inquiry);
        }
        let (node, peers) = (&self.parts.node, self.parts.peers.as_ref());
        let reach = |asked| {
            let found = node.reach().find(|(member, _)| *member == asked);
            found.map_or(Reach::None(MemberState::Dead), |(_, reach)| reach)
        };
        let room = |to| match (reach(to), peers) {
            (Reach::By(via), Some(peers)) => peers.room(via),
            (Reach::By(_) | Reach::None(_), _) => 0,
        };
        let pieces = self.cluster.answers.pieces(now, room);
        self.cluster.queries.finish(now, reach);
        if !pieces.is_empty() {
            pieces.into_iter().for_each(|(to, piece)| self.out.send(to, piece));
            self.carry_out(now);
        }
    }
}
