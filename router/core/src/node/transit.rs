//! The way of one transit packet: steered, redirected or accepted, inspected, forwarded.

use super::astray::Beginning;
use super::{Node, Redirecting, Strictness};
use crate::chosen::{Departure, Held, Judged, Marked, Unmarked};
use crate::event::{DropReason, Event, Step};
use crate::flow::HashedKey;
use crate::forward::Received;
use crate::id::{Interface, NodeId, PerInterface, Slot};
use crate::inspector::{Action, Direction, HostPart, Inspection};
use crate::limits::BATCH_PACKETS_MAX;
use crate::mutation::{Mutation, is_on};
use crate::outbox::{Leaving, Outbox};
use crate::packet::{Arrival, Came, Frame, Headers, Odd, Packet, checksum, rewrite};
use crate::redirector::{Steer, Summary};
use crate::turn::Turn;

impl<H: HostPart> Node<H> {
    /// A packet from a host, and this node holds the redirector.
    pub(super) fn steer(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let key = self.hash_key.hashed(arrival.key());
        let in_sync = PerInterface::from_fn(|interface| self.knows_all(interface));
        let summary = Self::summary(key, &arrival);
        let steer = self.redirector.steer(turn.now, &summary, &self.candidates, in_sync, turn.out);
        self.steered(turn, steer, &key, arrival);
    }

    /// A packet whose stream nobody owns.
    pub(super) fn steer_unowned(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let key = self.hash_key.hashed(arrival.key());
        let summary = Summary { opening: self.forward.opening(&arrival), ..Self::summary(key, &arrival) };
        let steer = self.redirector.steer_unowned(turn.now, &summary, &self.candidates, turn.out);
        self.steered(turn, steer, &key, arrival);
    }

    // Of its two callers one is on the way of every packet.
    #[inline(always)]
    fn steered(&mut self, turn: &mut Turn<'_, H>, steer: Steer, key: &HashedKey, arrival: Arrival) {
        let flow = key.key;
        let (chosen, step) = match steer {
            Steer::Drop(reason) => return turn.out.drop(arrival.frame, reason),
            Steer::Reset(reason) => return self.reset(turn, arrival, reason),
            Steer::Ask => return self.ask_members(turn, arrival),
            Steer::Wait => return self.await_announcement(turn, arrival),
            Steer::Move(assign) => {
                self.await_announcement(turn, arrival);
                return self.assign(turn, assign);
            }
            Steer::To(chosen) => (chosen, None),
            Steer::Chosen(chosen) => {
                if arrival.came == Came::Directly {
                    self.forward.source_seen(turn.now, &arrival, turn.out);
                }
                (chosen, Some(Step::M3))
            }
            Steer::Returning(chosen) => {
                turn.out.tell(Event::Step { step: Step::M9, flow, node: self.node });
                turn.out.tell(Event::Step { step: Step::M10, flow, node: chosen });
                (chosen, Some(Step::M11))
            }
        };
        if chosen == self.node {
            return self.accept_hashed(turn, key, arrival);
        }
        if let Some(step) = step {
            turn.out.tell(Event::Step { step, flow, node: chosen });
        }
        self.redirect(chosen, arrival, turn.out);
    }

    /// A segment of a connection that nobody knows: its sender is told so, unless no end would take it.
    #[cold]
    fn reset(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival, reason: DropReason) {
        let Arrival { interface, headers, frame, .. } = arrival;
        if !checksum::is_right(&headers, &frame) {
            return turn.out.drop(frame, DropReason::TransportChecksum);
        }
        self.forward.refuse(turn.now, Received { interface, headers: &headers, frame: &frame }, turn.out);
        turn.out.drop(frame, reason);
    }

    /// The same frame, to the chosen node: to its MAC, or over the mesh. What a member had first goes over the mesh, so that
    /// nobody asks about it again.
    fn redirect(&mut self, chosen: NodeId, arrival: Arrival, out: &mut Outbox) {
        let Arrival { interface, mut frame, came, .. } = arrival;
        corrupt(Mutation::CorruptRedirected, &mut frame);
        let way = if came == Came::Astray { Redirecting::Mesh } else { self.redirecting };
        match (way, self.view.mac(chosen, interface), self.view.epoch(interface)) {
            (Redirecting::Ethernet, Some(mac), _) => {
                rewrite::set_macs(&mut frame, mac, self.macs[interface]);
                out.transmit(interface, frame, Leaving::Redirected);
            }
            (Redirecting::Mesh, Some(_), Some(epoch)) => out.redirect(chosen, interface, epoch, frame),
            (Redirecting::Ethernet | Redirecting::Mesh, _, _) => out.drop(frame, DropReason::ChosenGone),
        }
    }

    /// A packet for which this node is the chosen node.
    pub(super) fn accept(&mut self, turn: &mut Turn<'_, H>, arrival: Arrival) {
        let key = self.hash_key.hashed(arrival.key());
        self.accept_hashed(turn, &key, arrival);
    }

    fn accept_hashed(&mut self, turn: &mut Turn<'_, H>, key: &HashedKey, mut arrival: Arrival) {
        if !checksum::is_right(&arrival.headers, &arrival.frame) {
            return turn.out.drop(arrival.frame, DropReason::TransportChecksum);
        }
        if arrival.headers.odd != Odd::No
            && self.strictness == Strictness::Strict
            && let Some(reason) = arrival.headers.odd.reason()
        {
            return turn.out.drop(arrival.frame, reason);
        }
        corrupt(Mutation::CorruptPayload, &mut arrival.frame);
        let forward = &self.forward;
        let beginning = Beginning { node: self.node, choice: self.choice, candidates: &self.with_own, forward };
        let (opening, begin) =
            (|arrival: &Arrival| forward.opening(arrival), |arrival: &Arrival, came| beginning.begin(arrival, came));
        let Marked { slot, direction, stream, verdict } = match self.chosen.accept(turn, key, &arrival, opening, begin)
        {
            Ok(marked) => marked,
            Err(unmarked) => return self.unmarked(turn, unmarked, arrival),
        };
        let inspection = Inspection { verdict, ..Inspection::new(arrival, direction, stream, slot) };
        if verdict.action != Action::Pass {
            return self.judged(turn, inspection);
        }
        self.batch.push(inspection);
        if self.batch.len() >= BATCH_PACKETS_MAX {
            self.batch_ended(turn);
        }
    }

    /// A packet has no stream here.
    #[cold]
    #[inline(never)]
    fn unmarked(&mut self, turn: &mut Turn<'_, H>, unmarked: Unmarked, arrival: Arrival) {
        match unmarked {
            Unmarked::Dropped(reason) => turn.out.drop(arrival.frame, reason),
            Unmarked::Unknown(reason) => self.reset(turn, arrival, reason),
            Unmarked::Moved(to) => self.chosen.follow(to, arrival, turn.out),
            Unmarked::Fenced(id) => self.chosen.fenced.keep(id, arrival, turn.out),
            Unmarked::Astray => self.went_astray(turn, arrival),
        }
    }

    /// A packet is judged.
    pub(super) fn judged(&mut self, turn: &mut Turn<'_, H>, mut inspection: Inspection) {
        turn.out.arriving = Some(inspection.arrival.interface);
        let judged = self.chosen.judge(&inspection, turn.out);
        let Inspection { direction, slot, verdict, ref mut arrival, .. } = inspection;
        match judged {
            Judged::Stands => {}
            Judged::Anew => return self.keep_for_winner(inspection, turn.out),
            Judged::Evicted => return turn.out.drop(inspection.arrival.frame, DropReason::Evicted),
        }
        match verdict.action {
            Action::Pass => {}
            Action::Drop if verdict.fault => {
                return turn.out.drop_by(inspection.arrival.frame, DropReason::PluginFault, verdict.cause);
            }
            Action::Drop => {
                let reason = verdict.by_host.unwrap_or(DropReason::Verdict);
                return turn.out.drop_by(inspection.arrival.frame, reason, verdict.cause);
            }
            Action::Reject => {
                let Arrival { interface, headers, frame, .. } = inspection.arrival;
                self.forward.reject(turn.now, Received { interface, headers: &headers, frame: &frame }, turn.out);
                return turn.out.drop_by(frame, verdict.by_host.unwrap_or(DropReason::Rejected), verdict.cause);
            }
        }
        if verdict.rewritten {
            match Packet::parse_ip(&arrival.frame) {
                Ok(headers) => arrival.headers = headers,
                Err(_) => return turn.out.drop(inspection.arrival.frame, DropReason::PluginFault),
            }
        }
        let Arrival { interface, ref headers, frame, .. } = inspection.arrival;
        self.leave(turn, (slot, direction), (interface, headers), frame);
    }

    /// A packet whose stream was lost while the plugins had it comes in once more, behind this batch: by its key it is
    /// one of the stream that won. The mark of the lost stream's plugins must not go on with it.
    fn keep_for_winner(&mut self, inspection: Inspection, out: &mut Outbox) {
        if inspection.verdict.rewritten {
            out.drop(inspection.arrival.frame, DropReason::Refused);
        } else {
            self.anew.push(inspection.arrival);
        }
    }

    /// A packet that passed the plugins goes on, if there is a way and the other redirector knows of its stream.
    fn leave(
        &mut self,
        turn: &mut Turn<'_, H>,
        (slot, direction): (Slot, Direction),
        (interface, headers): (Interface, &Headers),
        frame: Frame,
    ) {
        let spread = || self.chosen.markers.at(slot).choice;
        let hop = match self.forward.route(interface, headers, &frame, spread) {
            Ok(hop) => hop,
            Err(unroutable) => {
                if let Some(answer) = unroutable.answer {
                    let received = Received { interface, headers, frame: &frame };
                    self.forward.unreachable(turn.now, received, answer, turn.out);
                }
                return turn.out.drop(frame, unroutable.reason);
            }
        };
        let departure = self.chosen.depart(turn, slot, direction, headers);
        if hop.interface == interface && departure == Departure::Announce {
            let received = Received { interface, headers, frame: &frame };
            self.forward.tell_shorter_way(turn.now, received, hop, turn.out);
        }
        let held = |frame| Held { frame, headers: *headers, arrived: interface, hop };
        match departure {
            Departure::Leave => self.forward.transmit(turn.now, hop, headers, frame, turn.out),
            Departure::LeaveAndAnnounce => {
                self.announce_renewed(turn, slot);
                self.forward.transmit(turn.now, hop, headers, frame, turn.out);
            }
            Departure::Announce => self.announce(turn, slot, held(frame)),
            Departure::Hold => self.keep_held(slot, held(frame), turn.out),
            Departure::Fallback => self.fall_back(turn, slot, held(frame)),
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
