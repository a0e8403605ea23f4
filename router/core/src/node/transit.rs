//! The way of one transit packet: steered, redirected or accepted, inspected, forwarded.

use super::{Node, Redirecting};
use crate::chosen::{Arrival, Came, Departure, Held};
use crate::event::{DropReason, Event, Step};
use crate::forward::Received;
use crate::id::{Interface, NodeId, PerInterface};
use crate::inspector::{Action, Direction, Inspection, Inspector, Verdict};
use crate::limits::BATCH_PACKETS_MAX;
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::{Content, Frame, Packet, rewrite};
use crate::redirector::Steer;
use crate::time::Instant;

impl Node {
    /// A packet from a host, and this node holds the redirector.
    pub(super) fn steer(&mut self, now: Instant, arrival: Arrival, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let summary = Self::summary(&arrival);
        let in_sync = PerInterface::from_fn(|interface| self.knows_all(interface));
        let steer = self.redirector.steer(now, &summary, &self.candidates, in_sync, out);
        self.steered(now, steer, arrival, plugins, out);
    }

    /// A packet whose stream nobody owns.
    pub(super) fn steer_unowned(
        &mut self,
        now: Instant,
        arrival: Arrival,
        plugins: &mut dyn Inspector,
        out: &mut Outbox,
    ) {
        let steer = self.redirector.steer_unowned(now, &Self::summary(&arrival), &self.candidates, out);
        self.steered(now, steer, arrival, plugins, out);
    }

    fn steered(&mut self, now: Instant, steer: Steer, arrival: Arrival, plugins: &mut dyn Inspector, out: &mut Outbox) {
        let flow = arrival.headers.flow_key(arrival.interface);
        let (chosen, step) = match steer {
            Steer::Drop(reason) => return out.drop(arrival.frame, reason),
            Steer::Ask => return self.ask_members(now, arrival, plugins, out),
            Steer::Wait => return self.await_announcement(now, arrival, out),
            Steer::Move(assign) => {
                self.await_announcement(now, arrival, out);
                return self.assign(now, assign, plugins, out);
            }
            Steer::To(chosen) => (chosen, None),
            Steer::Chosen(chosen) => (chosen, Some(Step::M3)),
            Steer::Returning(chosen) => {
                out.tell(Event::Step { step: Step::M9, flow, node: self.node });
                out.tell(Event::Step { step: Step::M10, flow, node: chosen });
                (chosen, Some(Step::M11))
            }
        };
        if chosen == self.node {
            return self.accept(now, arrival, plugins, out);
        }
        if let Some(step) = step {
            out.tell(Event::Step { step, flow, node: chosen });
        }
        self.redirect(arrival.interface, chosen, arrival.frame, out);
    }

    /// The same frame, to the chosen node: to its MAC, or over the mesh.
    fn redirect(&mut self, interface: Interface, chosen: NodeId, mut frame: Frame, out: &mut Outbox) {
        corrupt(Mutation::CorruptRedirected, &mut frame);
        match (self.redirecting, self.membership.mac(chosen, interface), self.membership.epoch(interface)) {
            (Redirecting::Ethernet, Some(mac), _) => {
                rewrite::set_macs(&mut frame, mac, self.macs[interface]);
                out.transmit(interface, frame, Leaving::Redirected);
            }
            (Redirecting::Mesh, Some(_), Some(epoch)) => out.redirect(chosen, interface, epoch, frame),
            (Redirecting::Ethernet | Redirecting::Mesh, _, _) => out.drop(frame, DropReason::ChosenGone),
        }
    }

    /// A packet for which this node is the chosen node.
    pub(super) fn accept(&mut self, now: Instant, mut arrival: Arrival, plugins: &mut dyn Inspector, out: &mut Outbox) {
        corrupt(Mutation::CorruptPayload, &mut arrival.frame);
        let choice = self.choice;
        let accepted = self.chosen.accept(now, arrival, |opener| choice.hash(opener), plugins, out);
        let Some(mut inspection) = accepted else { return };
        // A verdict on the stream, of its start or of an earlier packet, spares the plugins this packet.
        let blocked = self.chosen.blocked(inspection.slot, inspection.direction);
        inspection.verdict = inspection.verdict.or_stronger(blocked);
        if inspection.verdict.action != Action::Pass {
            return self.judged(now, inspection, out);
        }
        self.batch.push(inspection);
        if self.batch.len() >= BATCH_PACKETS_MAX {
            self.batch_ended(now, plugins, out);
        }
    }

    /// The plugins have judged a packet.
    pub(super) fn judged(&mut self, now: Instant, inspection: Inspection, out: &mut Outbox) {
        let Inspection { frame, mut headers, interface, direction, slot, verdict, .. } = inspection;
        let Some(verdict) = self.chosen.judge(slot, direction, verdict) else {
            return self.keep_for_winner(Arrival { interface, headers, frame, came: Came::Directly }, verdict, out);
        };
        match verdict.action {
            Action::Pass => {}
            Action::Drop if verdict.fault => return out.drop(frame, DropReason::PluginFault),
            Action::Drop => return out.drop(frame, DropReason::Verdict),
            Action::Reject => {
                self.forward.reject(now, Received { interface, headers: &headers, frame: &frame }, out);
                return out.drop(frame, DropReason::Rejected);
            }
        }
        if verdict.rewritten {
            match Packet::parse(&frame).map(|packet| packet.content) {
                Ok(Content::Ip(rewritten)) => headers = rewritten,
                Ok(Content::Arp(_)) | Err(_) => return out.drop(frame, DropReason::PluginFault),
            }
        }
        self.leave(now, slot, direction, Arrival { interface, headers, frame, came: Came::Directly }, out);
    }

    /// A packet whose stream was lost while the plugins had it comes in once more, behind this batch: by its key it is
    /// one of the stream that won. The mark of the lost stream's plugins must not go on with it.
    fn keep_for_winner(&mut self, arrival: Arrival, verdict: Verdict, out: &mut Outbox) {
        if verdict.rewritten {
            out.drop(arrival.frame, DropReason::Refused);
        } else {
            self.anew.push(arrival);
        }
    }

    /// A packet that passed the plugins goes on, if there is a way and the other redirector knows of its stream.
    fn leave(&mut self, now: Instant, slot: u32, direction: Direction, arrival: Arrival, out: &mut Outbox) {
        let Arrival { interface, headers, frame, .. } = arrival;
        let hop = match self.forward.route(interface, &headers, &frame) {
            Ok(hop) => hop,
            Err(unroutable) => {
                if let Some(answer) = unroutable.answer {
                    let received = Received { interface, headers: &headers, frame: &frame };
                    self.forward.unreachable(now, received, answer, out);
                }
                return out.drop(frame, unroutable.reason);
            }
        };
        let departure = self.chosen.depart(now, slot, direction, &headers, out);
        match departure {
            Departure::Leave => self.forward.transmit(now, hop, &headers, frame, out),
            Departure::Announce => self.announce(now, slot, Held { frame, headers, arrived: interface, hop }, out),
            Departure::Hold => self.keep_held(slot, Held { frame, headers, arrived: interface, hop }, out),
            Departure::Fallback => self.fall_back(now, slot, Held { frame, headers, arrived: interface, hop }, out),
        }
    }
}

/// With this mutation two words at the frame's end change places.
fn corrupt(mutation: Mutation, frame: &mut Frame) {
    if is_on(mutation)
        && let Some([.., a, b, c, d]) = frame.bytes_mut().get_mut(70..)
    {
        (*a, *b, *c, *d) = (*c, *d, *a, *b);
    }
}
