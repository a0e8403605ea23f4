//! The loop's answers to commands: a look at the node, copied into plain data.

use super::EventLoop;
use crate::app::control::Question;
use crate::app::reports::{
    AdvertStatus, Draining, Drops, FrameCounts, InterfaceStatus, MemberRow, MessageCounts, NeighbourRow, Role, Roles,
    RouteRow, SessionCounts, Status,
};
use crate::app::watchdog::Phase;
use crate::io::peers::Peers;
use crate::io::{Usable, clock};
use herald_core::flow::FlowKey;
use herald_core::id::{Interface, PerInterface};
use herald_core::membership::Service;
use herald_core::node::Remaining;
use herald_core::turn::Turn;

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
    }

    /// The asker may have gone meanwhile; then nobody misses the answer.
    fn answer(&mut self, question: Question) {
        match question {
            Question::Status(reply) => drop(reply.send(self.status())),
            Question::Members(reply) => drop(reply.send(self.members())),
            Question::Roles(reply) => drop(reply.send(self.roles())),
            Question::Drops(reply) => drop(reply.send(self.drops())),
            Question::Neighbours(reply) => drop(reply.send(self.neighbours())),
            Question::Routes(reply) => drop(reply.send(self.routes())),
            Question::Events(after, reply) => drop(reply.send(self.ring.rows(after))),
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
                let (node, out) = (&mut self.parts.node, &mut self.out);
                self.waiting.begin(now, opener, reply, |id, key| node.ask(id, key, out));
                self.carry_out(now);
            }
        }
    }

    /// The opener's flow at the interface by which its source is reached.
    fn opened_somewhere(&self, flow: &FlowKey) -> FlowKey {
        let (source, destination) = (flow.source(), flow.destination());
        let routes = self.parts.node.forward().routes().filter(|route| route.to.contains(&source.ip()));
        let interface = routes.max_by_key(|r| r.to.prefix_len()).map_or(Interface::First, |route| route.interface);
        let ends = [source, destination].map(|end| (end.ip(), end.port()));
        let [from, to] = ends;
        FlowKey::new(interface, flow.protocol(), from, to)
    }

    fn status(&self) -> Status {
        Status {
            node: self.parts.about.node,
            cluster: self.parts.about.cluster.clone(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime_ms: u64::try_from(clock::now().since(self.parts.about.started).as_millis()).unwrap_or(u64::MAX),
            interfaces: PerInterface::from_fn(|interface| self.interface_status(interface)),
            roles: self.roles(),
            members: self.members(),
            sessions: SessionCounts {
                redirector: self.parts.node.redirector_sessions(),
                marker: self.parts.node.markers().len(),
            },
            frames: self.frames(),
            drops: self.drops(),
            refusals: self.parts.peers.iter().flat_map(Peers::refusals).collect(),
            messages: MessageCounts {
                stale: self.out.ledger.messages_stale,
                unauthorised: self.out.ledger.messages_unauthorised,
            },
        }
    }

    fn interface_status(&self, interface: Interface) -> InterfaceStatus {
        let port = &self.parts.ports[interface];
        let adverts = self.parts.node.membership().advert_counts(interface);
        InterfaceStatus {
            tap: port.name.clone(),
            state: match port.usable {
                Usable::Yes => "up",
                Usable::No => "down",
            },
            mac: port.mac,
            offloads: port.tap.offloads(),
            adverts: AdvertStatus { sent: adverts.sent, heard: adverts.heard },
        }
    }

    fn frames(&self) -> FrameCounts {
        let ledger = &self.out.ledger;
        FrameCounts {
            arrived_first: ledger.arrived.first,
            arrived_second: ledger.arrived.second,
            arrived_mesh: ledger.arrived_mesh,
            forwarded: ledger.forwarded,
            redirected: ledger.redirected,
            handed_over: ledger.handed_over,
            consumed: ledger.consumed,
            dropped: self.out.drops().map(|(_, count)| count).sum(),
            kept: self.parts.node.frames_kept() as u64,
            generated: ledger.generated,
            generated_dropped: ledger.generated_dropped,
            buffers_taken: self.pool.taken() as u64,
        }
    }

    fn members(&self) -> Vec<MemberRow> {
        let row = |member: &herald_core::membership::Member| MemberRow {
            node: member.node,
            state: member.state.name(),
            link: if member.link_up { "up" } else { "down" },
            in_sync: member.in_sync,
            weight: member.weight,
        };
        self.parts.node.membership().members().map(row).collect()
    }

    fn roles(&self) -> Roles {
        let membership = self.parts.node.membership();
        PerInterface::from_fn(|interface| {
            let (holder, epoch) = (membership.holder(interface)?, membership.epoch(interface)?);
            Some(Role { holder, epoch: epoch.counter })
        })
    }

    fn drops(&self) -> Drops {
        self.out.drops().map(|(reason, count)| (reason.name(), count)).collect()
    }

    fn neighbours(&self) -> Vec<NeighbourRow> {
        let rows = self.parts.node.forward().neighbours().into_iter();
        rows.map(|row| NeighbourRow {
            interface: row.interface,
            address: row.address,
            mac: row.mac,
            state: row.state,
            frames: row.frames,
        })
        .collect()
    }

    fn routes(&self) -> Vec<RouteRow> {
        let rows = self.parts.node.forward().routes();
        rows.map(|row| RouteRow { to: row.to.to_string(), interface: row.interface, via: row.via }).collect()
    }
}
