//! The one query to the whole cluster, as the loop carries it: questions go to the members, their answers come in pieces; what
//! members ask goes to the control thread, whose answer goes out piece by piece, as far as the links have room. The loop knows
//! nothing of what is asked.

use tokio::sync::mpsc;

use super::EventLoop;
use crate::app::control::Reply;
use crate::io::clock;
use herald_core::id::NodeId;
use herald_core::limits::{
    INQUIRIES_ANSWERED_MAX, INQUIRY_ANSWER_LEN_MAX, INQUIRY_LEN_MAX, INQUIRY_PIECE_LEN_MAX, INQUIRY_QUESTION_LEN_MAX,
    INQUIRY_TIME_MAX, QUERIES_OPEN_MAX, TURN_PIECES_MAX,
};
use herald_core::membership::MemberState;
use herald_core::mesh::{Inquiry, InquiryPart, Message};
use herald_core::node::Reach;
use herald_core::time::Instant;

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

/// The answer to a member's question.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Who asked.
    pub to: NodeId,
    /// The asker's number of the question.
    pub id: u64,
    /// The answer; at most [`INQUIRY_ANSWER_LEN_MAX`] bytes.
    pub bytes: Vec<u8>,
}

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

/// The queries under way, of this node and of others.
#[derive(Debug)]
pub(super) struct Cluster {
    queries: Vec<Query>,
    sending: Vec<Sending>,
    inquired: mpsc::Sender<Inquired>,
    last_id: u64,
    /// More pieces could be sent at once.
    has_more: bool,
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

/// An answer of this node on its way.
#[derive(Debug)]
struct Sending {
    answer: Answered,
    sent: usize,
    until: Instant,
}

impl Cluster {
    /// No queries. `first_id` is one that no earlier run of the node has used.
    pub(super) fn new(inquired: mpsc::Sender<Inquired>, first_id: u64) -> Self {
        Self { queries: Vec::new(), sending: Vec::new(), inquired, last_id: first_id, has_more: false }
    }

    /// Opens a query to these members; returns its number. The oldest is ended when there are too many.
    fn open(
        &mut self,
        now: Instant,
        members: impl Iterator<Item = (NodeId, Reach)>,
        reply: Reply<Vec<NodeAnswer>>,
    ) -> u64 {
        if self.queries.len() >= QUERIES_OPEN_MAX {
            self.queries.remove(0).finish();
        }
        self.last_id = self.last_id.wrapping_add(1);
        let asked = |(node, reach)| {
            let state = match reach {
                Reach::By(_) => State::Awaited,
                Reach::None(state) => State::Silent(Silence::Unreachable(state)),
            };
            Asked { node, bytes: Vec::new(), state }
        };
        self.queries.push(Query { id: self.last_id, asked: now, members: members.map(asked).collect(), reply });
        self.last_id
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
            InquiryPart::Piece | InquiryPart::LastPiece => {
                let query = self.queries.iter_mut().find(|query| query.id == id);
                let asked = query.and_then(|query| query.members.iter_mut().find(|asked| asked.node == from));
                if let Some(asked) = asked.filter(|asked| asked.state == State::Awaited) {
                    asked.hear(part, &bytes);
                }
            }
        }
    }

    /// Takes an answer to be sent; too many at once are not.
    fn answer(&mut self, now: Instant, answer: Answered) {
        if self.sending.len() < INQUIRIES_ANSWERED_MAX {
            self.sending.push(Sending { answer, sent: 0, until: now + INQUIRY_TIME_MAX });
        }
    }

    /// The next pieces, as far as `room` says for each asker that bytes can be sent.
    fn pieces(&mut self, now: Instant, room: impl Fn(NodeId) -> usize) -> Vec<(NodeId, Message)> {
        let mut pieces = Vec::new();
        self.sending.retain(|sending| sending.until > now);
        for sending in &mut self.sending {
            let mut room = room(sending.answer.to);
            while pieces.len() < TURN_PIECES_MAX && room >= INQUIRY_LEN_MAX && !sending.is_sent() {
                pieces.push((sending.answer.to, Message::Inquiry(sending.next())));
                room -= INQUIRY_LEN_MAX;
            }
        }
        self.sending.retain(|sending| !sending.is_sent());
        self.has_more = pieces.len() == TURN_PIECES_MAX && !self.sending.is_empty();
        pieces
    }

    /// Ends the queries to which all have answered who can, and those whose time is over.
    fn finish(&mut self, now: Instant, reach: impl Fn(NodeId) -> Reach) {
        for query in &mut self.queries {
            for asked in query.members.iter_mut().filter(|asked| asked.state == State::Awaited) {
                if let Reach::None(state) = reach(asked.node) {
                    asked.state = State::Silent(Silence::Unreachable(state));
                }
            }
        }
        let is_over = |query: &mut Query| {
            query.asked + INQUIRY_TIME_MAX <= now || query.members.iter().all(|asked| asked.state != State::Awaited)
        };
        for query in self.queries.extract_if(.., is_over) {
            query.finish();
        }
    }

    /// When [`finish`](Self::finish) is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queries.first().map(|query| query.asked + INQUIRY_TIME_MAX)
    }

    /// More can be sent at once.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    fn is_idle(&self) -> bool {
        self.queries.is_empty() && self.sending.is_empty()
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

impl Sending {
    fn is_sent(&self) -> bool {
        self.sent > 0 && self.sent >= self.answer.bytes.len()
    }

    fn next(&mut self) -> Inquiry {
        let rest = self.answer.bytes.get(self.sent..).unwrap_or_default();
        let piece = rest.get(..INQUIRY_PIECE_LEN_MAX).unwrap_or(rest);
        let part = if piece.len() == rest.len() { InquiryPart::LastPiece } else { InquiryPart::Piece };
        self.sent += piece.len().max(1);
        Inquiry { id: self.answer.id, part, bytes: piece.to_vec() }
    }
}

impl EventLoop {
    /// Puts a question of this node to all members.
    pub(super) fn ask_cluster(&mut self, question: &[u8], reply: Reply<Vec<NodeAnswer>>) {
        let now = clock::now();
        let node = &self.parts.node;
        let id = self.cluster.open(now, node.reach(), reply);
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
        self.cluster.answer(clock::now(), answer);
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
        let pieces = self.cluster.pieces(now, room);
        self.cluster.finish(now, reach);
        if !pieces.is_empty() {
            pieces.into_iter().for_each(|(to, piece)| self.out.send(to, piece));
            self.carry_out(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn node(id: &str) -> NodeId {
        id.parse().unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn members() -> impl Iterator<Item = (NodeId, Reach)> {
        let far = Reach::None(MemberState::Dead);
        [("b", Reach::By(node("b"))), ("c", Reach::By(node("b"))), ("d", far)].into_iter().map(|(id, r)| (node(id), r))
    }

    fn near(_: NodeId) -> Reach {
        Reach::By(node("b"))
    }

    fn asker() -> (Cluster, mpsc::Receiver<Inquired>) {
        let (inquired, inquiries) = mpsc::channel(1);
        (Cluster::new(inquired, 6), inquiries)
    }

    /// Carries an answer from one node to another, a turn at a time.
    fn carry(from: &str, sender: &mut Cluster, to: &mut Cluster, room: usize) -> usize {
        let mut turns = 0;
        while !sender.sending.is_empty() && turns < 1_000 {
            turns += 1;
            for (_, piece) in sender.pieces(at(1), |_| room) {
                let Message::Inquiry(piece) = piece else { panic!("{piece:?}") };
                to.hear(at(1), node(from), piece);
            }
        }
        turns
    }

    #[test]
    fn an_answer_comes_in_pieces_and_the_absent_are_named() {
        let (mut asking, _inquiries) = asker();
        let (reply, mut answer) = oneshot::channel();
        let id = asking.open(at(0), members(), reply);
        assert_eq!(id, 7);
        let long: Vec<u8> = (0..=250).cycle().take(5 * INQUIRY_PIECE_LEN_MAX + 1).collect();
        let (mut answering, _inquiries) = asker();
        answering.answer(at(0), Answered { to: node("a"), id, bytes: long.clone() });
        assert_eq!(carry("b", &mut answering, &mut asking, 1 << 20), 3, "two pieces in a turn");
        asking.finish(at(2), near);
        assert!(answer.try_recv().is_err(), "c has not answered");
        answering.answer(at(0), Answered { to: node("a"), id, bytes: Vec::new() });
        assert_eq!(carry("c", &mut answering, &mut asking, INQUIRY_LEN_MAX), 1);
        asking.finish(at(2), near);
        let said = |id, said| NodeAnswer { node: node(id), said };
        let expected = vec![
            said("b", Ok((long, at(0)))),
            said("c", Ok((Vec::new(), at(0)))),
            said("d", Err(Silence::Unreachable(MemberState::Dead))),
        ];
        assert_eq!(answer.try_recv(), Ok(expected));
        assert!(asking.is_idle() && answering.is_idle());
    }

    #[test]
    fn who_is_slow_dies_or_says_too_much_is_named_in_time() {
        let (mut asking, _inquiries) = asker();
        let (reply, mut answer) = oneshot::channel();
        let id = asking.open(at(0), members(), reply);
        let piece = || Inquiry { id, part: InquiryPart::Piece, bytes: vec![0; INQUIRY_PIECE_LEN_MAX] };
        for _ in 0..=INQUIRY_ANSWER_LEN_MAX / INQUIRY_PIECE_LEN_MAX {
            asking.hear(at(1), node("b"), piece());
        }
        // Not asked, and another's number.
        asking.hear(at(1), node("e"), piece());
        asking.hear(at(1), node("c"), Inquiry { id: id + 1, ..piece() });
        assert!(asking.queries[0].members.iter().all(|asked| asked.bytes.len() <= INQUIRY_ANSWER_LEN_MAX));
        asking.finish(asking.next_deadline().unwrap(), near);
        let silences: Vec<_> = answer.try_recv().unwrap().into_iter().map(|answer| answer.said.unwrap_err()).collect();
        assert_eq!(silences, [Silence::TooLong, Silence::Late, Silence::Unreachable(MemberState::Dead)]);

        let (reply, mut answer) = oneshot::channel();
        asking.open(at(0), members(), reply);
        asking.finish(at(1), |_| Reach::None(MemberState::Suspect));
        let suspect = Err(Silence::Unreachable(MemberState::Suspect));
        assert_eq!(answer.try_recv().unwrap()[0].said, suspect, "it is not waited for");
    }

    #[test]
    fn everything_has_a_bound() {
        let (mut asking, mut inquiries) = asker();
        let (reply, mut first) = oneshot::channel();
        asking.open(at(0), members(), reply);
        for _ in 0..QUERIES_OPEN_MAX {
            let (reply, _answer) = oneshot::channel();
            asking.open(at(0), members(), reply);
        }
        assert_eq!(first.try_recv().unwrap().len(), 3, "the oldest query makes room");
        let question = |len| Inquiry { id: 1, part: InquiryPart::Question, bytes: vec![b'x'; len] };
        for len in [INQUIRY_QUESTION_LEN_MAX + 1, 6, 7] {
            asking.hear(at(0), node("b"), question(len));
        }
        assert_eq!(inquiries.try_recv().unwrap().question.len(), 6);
        assert!(inquiries.try_recv().is_err(), "the control thread takes one at a time here");
        for _ in 0..=INQUIRIES_ANSWERED_MAX {
            asking.answer(at(0), Answered { to: node("b"), id: 1, bytes: vec![1] });
        }
        assert_eq!(asking.sending.len(), INQUIRIES_ANSWERED_MAX);
        assert!(asking.pieces(at(1), |_| INQUIRY_LEN_MAX - 1).is_empty(), "no room");
        asking.pieces(at(0) + INQUIRY_TIME_MAX, |_| 0);
        assert!(asking.sending.is_empty(), "nobody waits any more");
    }
}
