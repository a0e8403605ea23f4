//! The loop's answers to commands: a look at the node, copied into plain data.

use super::who::Asker;
use super::{About, EventLoop};
use crate::app::control::Question;
use crate::app::drain::Draining;
use crate::app::watchdog::Phase;
use crate::io::clock;
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, NodeId};
use herald_core::membership::Service;
use herald_core::mesh::Answer;
use herald_core::node::{Asked, Node, Remaining};
use herald_core::outbox::Outbox;
use herald_core::turn::Turn;
use herald_host::Head;

/// Questions answered in one turn, so that many askers do not stop the frames.
const TURN_QUESTIONS_MAX: usize = 4;

impl EventLoop {
    /// Answers some questions; the others wait for the next turn.
    pub(super) fn answer_questions(&mut self) {
        self.parts.progress.enter(Phase::Answers);
        if self.asked {
            self.asked = false;
            for _ in 0..TURN_QUESTIONS_MAX {
                let Ok(question) = self.parts.questions.try_recv() else { break };
                self.answer(question);
                self.asked = true;
            }
        }
        self.publisher.publish(|part| self.parts.node.rows(part));
        if self.waiting.next_deadline().is_some() {
            self.waiting.heard(self.parts.node.take_answers());
            self.waiting.finish(clock::now());
        }
        self.serve_cluster();
    }

    /// The asker may have gone meanwhile; then nobody misses the answer.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Report(read, reply) => drop(reply.send(read(self))),
            Question::Events(after, reply) => drop(reply.send(self.rings.rows(after))),
            Question::Cluster(question, reply) => self.ask_cluster(question.as_bytes(), reply),
            Question::Answered(answer) => self.answer_member(answer),
            Question::Dropped(reply) => drop(reply.send(self.out.last_drops())),
            Question::Sessions(reply) => self.publisher.begin(reply),
            Question::Serve(service, reply) => {
                let now = clock::now();
                let turn = &mut Turn::new(now, &mut self.parts.plugins, &mut self.out);
                self.parts.node.service_changed(turn, service);
                self.carry_out(now);
                let Remaining { roles, streams } = self.parts.node.remaining();
                let _ = reply.send(Draining { draining: service == Service::Draining, roles, streams });
            }
            Question::Who(flow, reply) => {
                let now = clock::now();
                let opener = self.opened_somewhere(&flow);
                let asker = &mut NodeAsker { about: &self.parts.about, node: &mut self.parts.node, out: &mut self.out };
                self.waiting.begin(now, opener, reply, asker);
                self.carry_out(now);
            }
        }
    }

    /// The opener's flow at the interface by which its source is reached.
    fn opened_somewhere(&self, flow: &FlowKey) -> FlowKey {
        let source = flow.source().ip();
        let routes = self.parts.node.forward().routes().filter(|route| route.to.contains(&source));
        let interface = routes.max_by_key(|r| r.to.prefix_len()).map_or(Interface::First, |route| route.interface);
        flow.at(interface)
    }
}

/// Puts the questions of `herald who` to the cluster.
struct NodeAsker<'a> {
    about: &'a About,
    node: &'a mut Node<Head>,
    out: &'a mut Outbox,
}

impl Asker for NodeAsker<'_> {
    fn redirector(&mut self, id: u64, key: FlowKey) -> Option<Answer> {
        self.node.ask(id, key, self.out)
    }

    fn owner(&mut self, id: u64, flow: FlowKey) -> (NodeId, Asked) {
        (self.about.node, self.node.ask_for_owner(id, flow, self.out))
    }
}
