//! Questions of `herald who` that wait for the answers of the redirectors and, for what those have forgotten, of the members.

use std::time::Duration;

use crate::app::control::Reply;
use crate::app::reports::Who;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, NodeId, PerInterface};
use herald_core::mesh::Answer;
use herald_core::node::{Asked, owner_query};
use herald_core::time::Instant;

/// Time for a redirector to answer: far more than a mesh round trip, less than the asker's patience.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// Questions that wait at the same time; the oldest is answered with what is known when there is one more.
const WAITING_MAX: usize = 64;

/// All that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    list: Vec<Pending>,
    last_id: u64,
}

/// One question to both redirectors and to all members.
#[derive(Debug)]
struct Pending {
    ids: PerInterface<u64>,
    /// What the redirectors said; `None`: nothing yet.
    said: PerInterface<Option<Option<NodeId>>>,
    /// The number of the question for the owner.
    owner_id: u64,
    /// Members that have not said whether they have a marker session.
    silent: usize,
    owner: Option<NodeId>,
    opened_at: Interface,
    until: Instant,
    reply: Reply<Who>,
}

impl Waiting {
    /// A new question about a stream that opened at an interface, put by `asker`.
    pub(super) fn begin(&mut self, now: Instant, opener: FlowKey, reply: Reply<Who>, asker: &mut impl Asker) {
        let opened_at = opener.interface();
        let mut said = PerInterface::default();
        let mut ids = PerInterface::default();
        for interface in Interface::BOTH {
            self.last_id += 1;
            ids[interface] = self.last_id;
            let key = if interface == opened_at { opener } else { opener.reversed(interface) };
            said[interface] = asker.redirector(self.last_id, key).map(|answer| answer.believed.map(|g| g.node));
        }
        self.last_id += 1;
        let owner_id = owner_query(self.last_id);
        let (owner, silent) = match asker.owner(self.last_id, opener) {
            (own, Asked::Own) => (Some(own), 0),
            (_, Asked::Members(asked)) => (None, asked),
        };
        if self.list.len() == WAITING_MAX {
            self.list.remove(0).finish();
        }
        self.list.push(Pending { ids, said, owner_id, silent, owner, opened_at, until: now + ANSWER_TIME_MAX, reply });
    }

    /// Answers that came over the mesh.
    pub(super) fn heard(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            for pending in &mut self.list {
                for interface in Interface::BOTH {
                    if pending.ids[interface] == answer.id {
                        pending.said[interface] = Some(answer.believed.map(|g| g.node));
                    }
                }
                if pending.owner_id == answer.id {
                    pending.silent = pending.silent.saturating_sub(1);
                    pending.owner = pending.owner.or(answer.believed.map(|g| g.node));
                }
            }
        }
    }

    /// Answers the questions to which everybody has spoken who must, or whose time is over.
    pub(super) fn finish(&mut self, now: Instant) {
        for pending in self.list.extract_if(.., |pending| pending.until <= now || pending.is_answered()) {
            pending.finish();
        }
    }

    /// When [`finish`](Self::finish) is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.list.first().map(|pending| pending.until)
    }
}

/// Puts the questions.
pub(super) trait Asker {
    /// Puts a key to its redirector under an id; the answer may be there at once.
    fn redirector(&mut self, id: u64, key: FlowKey) -> Option<Answer>;

    /// Looks for the marker session of a stream; names this node, in case it has it.
    fn owner(&mut self, id: u64, flow: FlowKey) -> (NodeId, Asked);
}

impl Pending {
    /// Both redirectors have spoken, and one of them or a member knows the stream, or all members do not.
    fn is_answered(&self) -> bool {
        let both = Interface::BOTH.iter().all(|&i| self.said[i].is_some());
        both && (self.chosen().is_some() || self.silent == 0)
    }

    /// A redirector's word counts first: it is where the next packet goes.
    fn chosen(&self) -> Option<NodeId> {
        let said = |interface: Interface| self.said[interface].flatten();
        said(self.opened_at).or(said(self.opened_at.other())).or(self.owner)
    }

    fn finish(self) {
        let said = |interface: Interface| self.said[interface].flatten();
        let chosen = self.chosen();
        let who = Who { chosen, first: said(Interface::First), second: said(Interface::Second) };
        // The asker may have gone; then nobody misses the answer.
        let _ = self.reply.send(who);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use herald_core::id::Generation;

    fn opener() -> FlowKey {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().map(|a| (a.ip(), a.port())).unwrap();
        FlowKey::new(Interface::First, 6, end("10.1.0.100:1"), end("10.2.0.100:80"))
    }

    /// Answers of the redirectors that are there at once; two members are asked for the owner.
    struct Told<F>(F, Asked);

    impl<F: FnMut(u64, FlowKey) -> Option<Answer>> Asker for Told<F> {
        fn redirector(&mut self, id: u64, key: FlowKey) -> Option<Answer> {
            (self.0)(id, key)
        }

        fn owner(&mut self, _: u64, _: FlowKey) -> (NodeId, Asked) {
            ("a".parse().unwrap(), self.1)
        }
    }

    fn by(node: &str) -> Option<Generation> {
        Some(Generation { counter: 1, node: node.parse().unwrap() })
    }

    fn who(nodes: [Option<&str>; 3]) -> Who {
        let [chosen, first, second] = nodes.map(|n| n.map(|n| n.parse().unwrap()));
        Who { chosen, first, second }
    }

    #[test]
    fn both_redirectors_are_asked_for_the_key_that_they_see() {
        let (reply, mut answer) = oneshot::channel();
        let mut waiting = Waiting::default();
        let mut asked = Vec::new();
        waiting.begin(
            Instant::from_nanos(0),
            opener(),
            reply,
            &mut Told(
                |id, key| {
                    asked.push((id, key));
                    (id == 1).then_some(Answer { id, key, believed: by("c"), owned: None })
                },
                Asked::Members(2),
            ),
        );
        assert_eq!(asked, [(1, opener()), (2, opener().reversed(Interface::Second))]);
        waiting.finish(Instant::from_nanos(1));
        assert!(answer.try_recv().is_err(), "the second has not spoken");
        waiting.heard(vec![Answer { id: 2, key: opener(), believed: by("c"), owned: None }]);
        waiting.finish(Instant::from_nanos(1));
        assert_eq!(answer.try_recv(), Ok(who([Some("c"); 3])));
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn a_silent_redirector_is_not_waited_for_without_end() {
        let (reply, mut answer) = oneshot::channel();
        let mut waiting = Waiting::default();
        waiting.begin(
            Instant::from_nanos(0),
            opener(),
            reply,
            &mut Told(
                |id, key| (id == 2).then_some(Answer { id, key, believed: by("b"), owned: None }),
                Asked::Members(2),
            ),
        );
        waiting.finish(waiting.next_deadline().unwrap());
        assert_eq!(answer.try_recv(), Ok(who([Some("b"), None, Some("b")])));
    }

    #[test]
    fn the_oldest_question_makes_room() {
        let mut waiting = Waiting::default();
        let (reply, mut oldest) = oneshot::channel();
        waiting.begin(Instant::from_nanos(0), opener(), reply, &mut Told(|_, _| None, Asked::Members(2)));
        for _ in 0..WAITING_MAX {
            let (reply, _answer) = oneshot::channel();
            waiting.begin(Instant::from_nanos(1), opener(), reply, &mut Told(|_, _| None, Asked::Members(2)));
        }
        assert_eq!(oldest.try_recv(), Ok(who([None; 3])));
    }

    #[test]
    fn a_stream_that_no_redirector_knows_is_its_owners() {
        let nobody = |id, key| Some(Answer { id, key, believed: None, owned: None });
        let from = |believed| Answer { id: owner_query(3), key: opener(), believed, owned: None };
        let mut waiting = Waiting::default();
        let (reply, mut answer) = oneshot::channel();
        waiting.begin(Instant::from_nanos(0), opener(), reply, &mut Told(nobody, Asked::Members(2)));
        waiting.heard(vec![from(None)]);
        waiting.finish(Instant::from_nanos(1));
        assert!(answer.try_recv().is_err(), "another member may have it");
        waiting.heard(vec![from(by("c"))]);
        waiting.finish(Instant::from_nanos(1));
        assert_eq!(answer.try_recv(), Ok(who([Some("c"), None, None])));
        let (reply, mut answer) = oneshot::channel();
        waiting.begin(Instant::from_nanos(0), opener(), reply, &mut Told(nobody, Asked::Own));
        waiting.finish(Instant::from_nanos(1));
        assert_eq!(answer.try_recv(), Ok(who([Some("a"), None, None])), "this node has it");
    }
}
