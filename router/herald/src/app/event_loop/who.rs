//! Questions of `herald who` that wait for the answers of the redirectors and, for what those have forgotten, of the members.
//!
//! Where a stream opened nobody can tell for sure: the routes do not lead to every source. So each redirector is asked for
//! both keys that the stream can have at its interface.

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
    /// What the redirectors are asked and say if the stream opened at this interface.
    opened: PerInterface<Reading>,
    /// Where it opened, as far as the routes tell.
    likely: Interface,
    /// The number of the question for the owner.
    owner_id: u64,
    /// Members that have not said whether they have a marker session.
    silent: usize,
    owner: Option<NodeId>,
    until: Instant,
    reply: Reply<Who>,
}

/// A stream has two keys, one for each redirector; which ones, follows from where it opened.
#[derive(Debug)]
struct Reading {
    opened_at: Interface,
    ids: PerInterface<u64>,
    /// What the redirectors said; `None`: nothing yet.
    said: PerInterface<Option<Option<NodeId>>>,
}

impl Waiting {
    /// A new question about a stream that opened at an interface, as far as one can tell, put by `asker`.
    pub(super) fn begin(&mut self, now: Instant, opener: FlowKey, reply: Reply<Who>, asker: &mut impl Asker) {
        let opened = PerInterface::from_fn(|opened_at| self.ask_redirectors(&opener, opened_at, asker));
        let id = self.next_id();
        let (owner, silent) = match asker.owner(id, opener) {
            (own, Asked::Own) => (Some(own), 0),
            (_, Asked::Members(asked)) => (None, asked),
        };
        if self.list.len() == WAITING_MAX {
            self.list.remove(0).finish();
        }
        let (likely, owner_id, until) = (opener.interface(), owner_query(id), now + ANSWER_TIME_MAX);
        self.list.push(Pending { opened, likely, owner_id, silent, owner, until, reply });
    }

    fn ask_redirectors(&mut self, opener: &FlowKey, opened_at: Interface, asker: &mut impl Asker) -> Reading {
        let mut reading = Reading { opened_at, ids: PerInterface::default(), said: PerInterface::default() };
        for interface in Interface::BOTH {
            let key = if interface == opened_at { opener.at(interface) } else { opener.reversed(interface) };
            let id = self.next_id();
            reading.ids[interface] = id;
            reading.said[interface] = asker.redirector(id, key).map(|answer| answer.believed.map(|g| g.node));
        }
        reading
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Answers that came over the mesh.
    pub(super) fn heard(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            for pending in &mut self.list {
                pending.hear(&answer);
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

impl Reading {
    fn said(&self, interface: Interface) -> Option<NodeId> {
        self.said[interface].flatten()
    }

    /// The redirector where the stream opened counts first: it is where its next packet goes.
    fn chosen(&self) -> Option<NodeId> {
        self.said(self.opened_at).or(self.said(self.opened_at.other()))
    }
}

impl Pending {
    fn hear(&mut self, answer: &Answer) {
        let believed = answer.believed.map(|g| g.node);
        for (opened_at, interface) in Interface::BOTH.into_iter().flat_map(|i| [(i, i), (i, i.other())]) {
            let reading = &mut self.opened[opened_at];
            if reading.ids[interface] == answer.id {
                reading.said[interface] = Some(believed);
            }
        }
        if self.owner_id == answer.id {
            self.silent = self.silent.saturating_sub(1);
            self.owner = self.owner.or(believed);
        }
    }

    /// Both redirectors have spoken, and one of them or a member knows the stream, or all members do not.
    fn is_answered(&self) -> bool {
        let both = |reading: &Reading| Interface::BOTH.iter().all(|&i| reading.said[i].is_some());
        let all = Interface::BOTH.iter().all(|&opened_at| both(&self.opened[opened_at]));
        all && (self.who().chosen.is_some() || self.silent == 0)
    }

    /// The likely reading, unless the redirectors know the other one alone.
    fn who(&self) -> Who {
        let (likely, other) = (&self.opened[self.likely], &self.opened[self.likely.other()]);
        let reading = if likely.chosen().is_none() && other.chosen().is_some() { other } else { likely };
        Who {
            chosen: reading.chosen().or(self.owner),
            first: reading.said(Interface::First),
            second: reading.said(Interface::Second),
        }
    }

    fn finish(self) {
        let who = self.who();
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
        // The stream may have opened at the second interface, too.
        let (arrival, back) = (opener(), opener().reversed(Interface::Second));
        let swapped = [opener().reversed(Interface::First), opener().at(Interface::Second)];
        assert_eq!(asked, [(1, arrival), (2, back), (3, swapped[0]), (4, swapped[1])]);
        for (id, believed) in [(3, None), (4, None), (2, by("c"))] {
            waiting.finish(Instant::from_nanos(1));
            assert!(answer.try_recv().is_err(), "the second has not spoken");
            waiting.heard(vec![Answer { id, key: opener(), believed, owned: None }]);
        }
        waiting.finish(Instant::from_nanos(1));
        assert_eq!(answer.try_recv(), Ok(who([Some("c"); 3])));
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn a_stream_that_opened_at_the_unlikely_interface_is_found_unless_the_likely_one_is_known() {
        let other = [opener().reversed(Interface::First), opener().at(Interface::Second)];
        let ask = |likely: Option<&str>| {
            let (reply, mut answer) = oneshot::channel();
            let mut waiting = Waiting::default();
            let told = |id, key| {
                let believed = if other.contains(&key) { by("c") } else { likely.and_then(by) };
                Some(Answer { id, key, believed, owned: None })
            };
            waiting.begin(Instant::from_nanos(0), opener(), reply, &mut Told(told, Asked::Members(2)));
            waiting.finish(Instant::from_nanos(1));
            answer.try_recv()
        };
        assert_eq!(ask(None), Ok(who([Some("c"); 3])));
        assert_eq!(ask(Some("b")), Ok(who([Some("b"); 3])));
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
        let from = |believed| Answer { id: owner_query(5), key: opener(), believed, owned: None };
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
